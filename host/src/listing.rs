//! What the host prints of its functions, in the form of the original's core tools.

use std::fmt::Write as _;
use std::net::SocketAddr;

use everstate_http::NewKey;
use everstate_types::{AuthorizationLevel, FunctionKind, FunctionName};

/// An HTTP function as it is listed.
#[derive(Clone, Debug)]
pub(crate) struct ListedHttp {
    pub(crate) name: FunctionName,
    pub(crate) methods: Vec<String>,
    pub(crate) route: String,
    /// Not shown: the original's list has none either.
    pub(crate) level: AuthorizationLevel,
}

/// The HTTP functions with where to `curl` them, then all others with their kinds.
pub(crate) fn functions(
    scheme: &str,
    address: SocketAddr,
    http: &[ListedHttp],
    others: &[(FunctionKind, FunctionName)],
) -> String {
    let base = base_url(scheme, address);
    let mut text = String::new();
    if http.is_empty() && others.is_empty() {
        return "No functions found.\n\n".to_owned();
    }
    if !http.is_empty() {
        text.push_str("Http Functions:\n\n");
        for function in http {
            let methods = match function.methods.as_slice() {
                [] => String::new(),
                methods => format!("[{}]", methods.join(",")),
            };
            let (name, route) = (&function.name, &function.route);
            writeln!(text, "        {name}: {methods} {base}/{route}").expect("a String takes all");
        }
        text.push('\n');
    }
    if !others.is_empty() {
        text.push_str("Functions:\n\n");
        for (kind, name) in others {
            writeln!(text, "        {name}: {}", trigger(*kind)).expect("a String takes all");
        }
        text.push('\n');
    }
    text
}

/// Keys that were just made, for the only time. Each stands by itself, so that it can be copied.
pub(crate) fn keys(made: &[NewKey]) -> String {
    if made.is_empty() {
        return String::new();
    }
    let mut text = "New keys, shown only now:\n\n".to_owned();
    for NewKey { scope, name, value } in made {
        writeln!(text, "        {scope}/{name}: {value}").expect("a String takes all");
    }
    text.push('\n');
    text
}

/// Where a person on this machine reaches the host.
pub(crate) fn base_url(scheme: &str, address: SocketAddr) -> String {
    let ip = address.ip();
    if ip.is_loopback() || ip.is_unspecified() {
        format!("{scheme}://localhost:{}", address.port())
    } else {
        format!("{scheme}://{address}")
    }
}

/// The original's name for what starts a function of this kind.
fn trigger(kind: FunctionKind) -> &'static str {
    match kind {
        FunctionKind::Orchestrator => "orchestrationTrigger",
        FunctionKind::Entity => "entityTrigger",
        FunctionKind::Activity => "activityTrigger",
        FunctionKind::Http => "httpTrigger",
    }
}

#[cfg(test)]
mod tests {
    use everstate_types::{AuthorizationLevel, FunctionKind, FunctionName};

    use super::{ListedHttp, functions};

    fn name(text: &str) -> FunctionName {
        FunctionName::new(text).expect("a valid name")
    }

    #[test]
    fn http_function_is_listed_as_the_original_does() {
        let http = [ListedHttp {
            name: name("Database_HttpStart"),
            methods: vec!["GET".to_owned(), "PUT".to_owned()],
            route: "Database/{key}".to_owned(),
            level: AuthorizationLevel::Function,
        }];
        let others = [(FunctionKind::Entity, name("Register"))];
        let address = "127.0.0.1:7071".parse().expect("an address");
        assert_eq!(
            functions("http", address, &http, &others),
            "Http Functions:\n\n        Database_HttpStart: [GET,PUT] \
             http://localhost:7071/Database/{key}\n\nFunctions:\n\n        Register: \
             entityTrigger\n\n"
        );
    }
}
