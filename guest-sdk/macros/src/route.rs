//! A first look at route templates, so that slips are found where they are written. The host
//! reads them in full; constraints, for instance, are left to it.

use std::collections::BTreeSet;

/// Says what is wrong with a template, if something is.
pub(crate) fn check(template: &str) -> Result<(), String> {
    if template.is_empty() {
        return Err("the route is empty".to_owned());
    }
    if template.starts_with('/') || template.ends_with('/') {
        return Err("a route is written without a slash at its start and its end".to_owned());
    }
    if template.contains(['?', '#']) && !template.contains('{') {
        return Err("a route is a path: it has neither a query nor a fragment".to_owned());
    }
    let mut names = BTreeSet::new();
    for parameter in parameters(template)? {
        let name = parameter_name(parameter);
        let is_allowed = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(is_allowed) {
            return Err(format!(
                "`{{{parameter}}}` does not name a parameter; write for instance `{{key}}`, \
                 `{{id:int}}`, `{{page?}}` or `{{*rest}}`"
            ));
        }
        if !names.insert(name.to_ascii_lowercase()) {
            return Err(format!("the parameter `{name}` stands twice in the route"));
        }
    }
    Ok(())
}

/// What stands between the braces. A doubled brace is a plain character.
fn parameters(template: &str) -> Result<Vec<&str>, String> {
    let mut parameters = Vec::new();
    let mut start = None;
    let mut characters = template.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let is_doubled = characters.peek().is_some_and(|(_, next)| *next == character);
        match (character, start) {
            ('{' | '}', _) if is_doubled => {
                characters.next();
            }
            ('{', None) => start = Some(at + 1),
            ('}', Some(from)) => {
                parameters.push(&template[from..at]);
                start = None;
            }
            ('{', Some(_)) => return Err("a `{` inside of a parameter in the route".to_owned()),
            ('}', None) => return Err("a `}` without its `{` in the route".to_owned()),
            _ => {}
        }
    }
    match start {
        Some(_) => Err("a `{` without its `}` in the route".to_owned()),
        None => Ok(parameters),
    }
}

/// The name of a parameter without its catch-all stars, constraints, default and question mark.
fn parameter_name(parameter: &str) -> &str {
    let parameter = parameter.trim_start_matches('*');
    let end = parameter.find([':', '=', '?']).unwrap_or(parameter.len());
    &parameter[..end]
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn templates_of_every_kind_are_accepted() {
        for template in [
            "Database/{key}",
            "Slow/{key}/{millis:int}",
            "files/{*rest}",
            "pages/{page?}",
            "pages/{page=1}",
            "codes/{code:regex(^\\d{{3}}$)}",
            "a-{b}.{c}",
        ] {
            assert_eq!(check(template), Ok(()), "{template}");
        }
    }

    #[test]
    fn slips_are_named() {
        for (template, problem) in [
            ("", "empty"),
            ("/Database", "slash"),
            ("Database/{key", "without its `}`"),
            ("Database/key}", "without its `{`"),
            ("Database/{ke{y}", "inside of a parameter"),
            ("Database/{}", "does not name"),
            ("Database/{a b}", "does not name"),
            ("Database/{key}/{Key}", "twice"),
            ("Database?x=1", "query"),
        ] {
            let message = check(template).expect_err(template);
            assert!(message.contains(problem), "{template}: {message}");
        }
    }
}
