//! `everstate keys …`, and a host that is spoken to by HTTPS with a key.

use anyhow::{Context, Result};
use everstate_tests::certificate::write_certificate;
use everstate_tests::guests;
use everstate_tests::host::HostProcess;
use serde_json::Value;

use super::{Ran, command, finish, run_in};
use crate::options;

/// The key of the management as a person copies it from the console.
async fn printed_key(host: &HostProcess) -> Result<String> {
    host.says(&["management/default"]).await?;
    let stdout = host.output().stdout();
    let mut lines =
        stdout.iter().filter_map(|line| line.trim().strip_prefix("management/default: "));
    Ok(lines.next().context("no line with the key")?.to_owned())
}

/// Runs a command that has its key from the environment.
async fn run_with(host: &HostProcess, key: &str, args: &[&str]) -> Result<Ran> {
    let mut command = command(&host.functions(), args);
    command.env("EVERSTATE_HOST_URL", format!("http://{}", host.address()));
    command.env("EVERSTATE_KEY", key);
    finish(command).await
}

#[tokio::test]
async fn key_is_made_listed_rotated_and_deleted() -> Result<()> {
    let config = "[http]\nrequire_keys = true\n";
    let host = HostProcess::start(options(&[guests::COUNTER]).config(config)).await?;
    let management = printed_key(&host).await?;
    let url = format!("http://{}", host.address());
    let folder = host.functions();
    let line = run_in(&folder, &["locks", "--host", &url]).await?.failure()?;
    assert!(line.contains("asks for its management key"), "{line}");
    let line = run_with(&host, "wrong", &["locks"]).await?.failure()?;
    assert!(line.contains("does not accept this key"), "{line}");

    for scope in ["management", "host", "function/Counter_Reset"] {
        let made = run_with(&host, &management, &["keys", "set", scope, "ci"]).await?.ok()?;
        let again = run_with(&host, &management, &["keys", "set", scope, "ci"]).await?.failure()?;
        assert!(again.contains("everstate keys rotate"), "{again}");
        let args = ["keys", "rotate", scope, "ci", "--json"];
        let rotated = run_with(&host, &management, &args).await?.json()?;
        assert_ne!(rotated["value"].as_str().context("a value")?, made.trim());
        let listed = run_with(&host, &management, &["keys", "list"]).await?.ok()?;
        let row = listed.lines().find(|line| line.split_whitespace().nth(1) == Some("ci"));
        assert!(row.is_some_and(|row| !row.contains(made.trim())), "{listed}");
        let value = rotated["value"].as_str().context("a value")?;
        let opened = run_with(&host, value, &["keys", "list", "--json"]).await?;
        assert_eq!(opened.code, i32::from(scope != "management"), "{scope}: {}", opened.stderr);
        run_with(&host, &management, &["keys", "delete", scope, "ci"]).await?.ok()?;
        for command in ["rotate", "delete"] {
            let args = ["keys", command, scope, "ci"];
            let line = run_with(&host, &management, &args).await?.failure()?;
            assert!(line.contains("there is no key"), "{line}");
        }
    }
    for wrong in ["all", "function", "function/"] {
        let line = run_with(&host, &management, &["keys", "set", wrong]).await?.failure()?;
        assert!(line.contains("is no scope of keys"), "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn host_behind_https_is_reached_with_its_certificate() -> Result<()> {
    let folder = tempfile::tempdir()?;
    write_certificate(folder.path())?;
    let path = folder.path().display();
    let config = format!("[tls]\ncertificate = \"{path}/cert.pem\"\nkey = \"{path}/key.pem\"\n");
    let host = HostProcess::start(options(&[guests::DATABASE]).config(&config)).await?;
    let url = format!("https://localhost:{}", host.address().port());
    let args = ["functions", "--host", &url, "--ca", "cert.pem", "--json"];
    let listed: Value = run_in(folder.path(), &args).await?.json()?;
    assert!(listed["functions"].as_array().is_some_and(|all| !all.is_empty()), "{listed}");
    let untrusted = run_in(folder.path(), &["functions", "--host", &url]).await?.failure()?;
    assert!(untrusted.contains("--ca"), "{untrusted}");
    let plain = format!("http://{}", host.address());
    let line = run_in(folder.path(), &["functions", "--host", &plain]).await?.failure()?;
    assert!(line.contains("https://"), "{line}");
    Ok(())
}
