//! What a `Location` means that stands in the answer to a request: the reference resolution of
//! RFC 3986, section 5.2, for `http` and `https`. It checks nothing; the host does.

/// The whole address of a location, which may be relative to the address that was asked.
pub(super) fn resolve(base: &str, location: &str) -> String {
    let location = location.trim();
    let location = location.split_once('#').map_or(location, |(address, _fragment)| address);
    if has_scheme(location) {
        return location.to_owned();
    }
    let base = base.split_once(['?', '#']).map_or(base, |(path, _query)| path);
    let Some((scheme, rest)) = base.split_once("://") else { return location.to_owned() };
    if location.starts_with("//") {
        return format!("{scheme}:{location}");
    }
    let (host, base_path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (path, query) = location.find('?').map_or((location, ""), |at| location.split_at(at));
    let path = if path.is_empty() {
        base_path.to_owned()
    } else if path.starts_with('/') {
        without_dots(path)
    } else {
        let folder = base_path.rfind('/').map_or("/", |at| &base_path[..=at]);
        without_dots(&format!("{folder}{path}"))
    };
    format!("{scheme}://{host}{path}{query}")
}

/// Whether it begins like `https:`; the colon must stand before any slash.
fn has_scheme(location: &str) -> bool {
    let Some((scheme, _)) = location.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// The path with its `.` and `..` resolved.
fn without_dots(path: &str) -> String {
    let mut kept = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => {
                kept.push(segment);
                continue;
            }
        }
        // `/a/.` and `/a/..` name folders.
        if is_last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn locations_of_every_form_are_resolved() {
        let base = "https://shop.example:8443/a/b/orders?id=7";
        for (location, expected) in [
            ("http://other.example/x", "http://other.example/x"),
            ("//other.example/x", "https://other.example/x"),
            ("/status/7", "https://shop.example:8443/status/7"),
            ("/status/7?wait=1#now", "https://shop.example:8443/status/7?wait=1"),
            ("status/7", "https://shop.example:8443/a/b/status/7"),
            ("./status", "https://shop.example:8443/a/b/status"),
            ("../status", "https://shop.example:8443/a/status"),
            ("../../../status", "https://shop.example:8443/status"),
            ("..", "https://shop.example:8443/a/"),
            ("?page=2", "https://shop.example:8443/a/b/orders?page=2"),
            ("", "https://shop.example:8443/a/b/orders"),
            ("/time/12:30", "https://shop.example:8443/time/12:30"),
        ] {
            assert_eq!(resolve(base, location), expected, "{location}");
        }
        assert_eq!(resolve("http://shop.example", "status"), "http://shop.example/status");
        assert_eq!(resolve("http://shop.example?x=/y", "/status"), "http://shop.example/status");
    }
}
