//! The port, and the host that listens there or elsewhere: whether it runs, is ready, is of this version,
//! lets us in, and serves what is in its folder.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};

use serde_json::Value;

use super::super::api::{Api, ApiPath, HostArgs};
use super::super::functions::broken;
use super::super::output::{field, whole_field};
use super::{Finding, exposure, owner};
use crate::config::HostConfig;

pub(super) fn examine(args: &HostArgs, config: &HostConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(port(&config.listen));
    let url = exposure::url(config);
    let args = match &url {
        Some(url) => &args.or_host(url, config.tls.certificate.as_ref()),
        None => args,
    };
    match args.open() {
        Ok((api, _)) => findings.extend(host(&api)),
        Err(error) => findings.push(Finding::problem("host", format!("{error:#}"), "correct it")),
    }
    findings
}

/// Whether a host that starts now could listen, and who is in its way.
fn port(listen: &str) -> Option<Finding> {
    const ABOUT: &str = "port";
    let address: SocketAddr = match listen.to_socket_addrs().map(|mut found| found.next()) {
        Ok(Some(address)) => address,
        Ok(None) | Err(_) => {
            return Some(Finding::problem(
                ABOUT,
                format!("`{listen}` is no address to listen on"),
                "give one like 127.0.0.1:7071 with --listen or in the configuration",
            ));
        }
    };
    if address.port() == 0 {
        return None;
    }
    let Err(error) = TcpListener::bind(address) else {
        return Some(Finding::ok(ABOUT, format!("{listen} is free")));
    };
    if error.kind() != ErrorKind::AddrInUse {
        let advice = "choose another address with --listen";
        let text = format!("cannot listen on {listen}: {error}");
        return Some(Finding::problem(ABOUT, text, advice));
    }
    Some(match owner::of_port(address) {
        Some(owner) if owner.is_everstate() => {
            Finding::ok(ABOUT, format!("{owner} listens on {listen}"))
        }
        Some(owner) => Finding::problem(
            ABOUT,
            format!("{owner} listens on {listen}"),
            "end it, or choose another address with --listen",
        ),
        None => Finding::warning(
            ABOUT,
            format!("another process listens on {listen}"),
            "if it is no host, end it, or choose another address with --listen",
        ),
    })
}

fn host(api: &Api) -> Vec<Finding> {
    const ABOUT: &str = "host";
    let ready = match api.get(&ApiPath::root(&["health", "ready"])) {
        Ok(reply) => reply,
        Err(error) => return vec![Finding::warning(ABOUT, format!("{error:#}"), "")],
    };
    let state = ready.json().unwrap_or_default();
    let reasons: Vec<String> = state["reasons"]
        .as_array()
        .map_or_else(Vec::new, |reasons| reasons.iter().map(reason).collect());
    let (base, reasons) = (api.base(), reasons.join("; "));
    let mut findings = vec![match (ready.status.as_u16(), reasons.is_empty()) {
        (200, _) if state["status"] != "ready" => Finding::problem(
            ABOUT,
            format!("{base} does not answer as a host of Everstate"),
            "--host names another address",
        ),
        (200, true) => Finding::ok(ABOUT, format!("{base} is ready")),
        (200, false) => {
            let text = format!("{base} is ready, but: {reasons}");
            Finding::warning(ABOUT, text, "`everstate functions` tells more")
        }
        (503, _) => Finding::problem(
            ABOUT,
            format!("{base} is not ready: {reasons}"),
            "wait, and look at its log if that does not help",
        ),
        (status, _) => Finding::problem(
            ABOUT,
            format!("{base} answers {status} to /health/ready"),
            "see that it is a host of Everstate; --host names another",
        ),
    }];
    findings.extend(inside(api));
    findings
}

/// What only those see who have the key.
fn inside(api: &Api) -> Vec<Finding> {
    let status =
        api.get(&ApiPath::admin(&["host", "status"])).and_then(|reply| reply.ok("cannot ask"));
    let status = match status.and_then(|reply| reply.json()) {
        Ok(status) => status,
        Err(error) => return vec![Finding::warning("key", format!("{error:#}"), "")],
    };
    let mut findings = Vec::new();
    let (ours, theirs) = (env!("CARGO_PKG_VERSION"), field(&status, "version"));
    if !theirs.is_empty() && theirs != ours {
        findings.push(Finding::warning(
            "version",
            format!("the host is {theirs}, this command is {ours}"),
            "use the command of the host's version",
        ));
    }
    let listed = api.get(&ApiPath::admin(&["functions"])).and_then(|reply| reply.json());
    for file in broken(&listed.unwrap_or_default()) {
        let text = format!("{}: {}", whole_field(file, "file"), whole_field(file, "message"));
        findings.push(Finding::problem("functions", text, "correct it and deploy it again"));
    }
    findings
}

/// A reason as people read it. The message does not always name the file.
fn reason(reason: &Value) -> String {
    let (file, message) = (whole_field(reason, "file"), whole_field(reason, "message"));
    if file.is_empty() || message.contains(&file) { message } else { format!("{file}: {message}") }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::Level;
    use serde_json::json;

    use super::{port, reason};

    #[test]
    fn reason_is_told_in_words() {
        let warning = json!({"kind": "component", "file": "a.wasm", "message": "it is cut off"});
        assert_eq!(reason(&warning), "a.wasm: it is cut off");
        let warning = json!({"kind": "component", "file": "a.wasm", "message": "a.wasm is broken"});
        assert_eq!(reason(&warning), "a.wasm is broken");
    }

    #[test]
    fn port_that_is_taken_is_told_with_its_owner() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address").to_string();
        let found = port(&address).expect("found");
        // The name of this very process begins with `everstate`, so it is taken for a host.
        let owner = format!("(process {}) listens on {address}", std::process::id());
        assert!(found.text.ends_with(&owner), "{found:?}");
        drop(socket);
        assert_eq!(port(&address).expect("found").level, Level::Ok);
        assert_eq!(port("nowhere").expect("found").level, Level::Problem);
    }
}
