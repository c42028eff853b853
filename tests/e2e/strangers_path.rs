//! The path of somebody who has nothing but the binary and a compiler: a new project, a running host, a
//! mistake, its correction while orchestrations wait, a backup, and the same value elsewhere.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use serde_json::Value;
use tokio::process::Command;

use crate::options;

/// An orchestrator that waits for a payment, and then does what the version of the code does.
const ORDER: &str = r#"
#[orchestrator]
async fn Order(context: OrchestrationContext, number: u64) -> Result<String, Failure> {
    context.wait_for_event::<()>("paid").await?;
    STEPS
}
"#;

/// What the first version does.
const OLD_STEPS: &str = r#"Ok(format!("{number} shipped"))"#;

/// What the corrected version does: a step more, which no old history has.
const NEW_STEPS: &str = r#"
    let shipped = EntityId::new("Register", "shipped")?;
    let value: Option<String> = context.call_entity(&shipped, "set", &number.to_string()).await?;
    Ok(format!("{} shipped and noted", value.unwrap_or_default()))"#;

/// Runs `everstate` in a folder against a host; gives whether it did what it was to do, and what it said.
async fn everstate(folder: &Path, host: &HostProcess, args: &[&str]) -> Result<(bool, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-under-test"));
    for name in ["CARGO_TARGET_DIR", "GUESTS_DIR", "GUESTS_TARGET_DIR", "EVERSTATE_KEY"] {
        command.env_remove(name);
    }
    let output = command
        .args(args)
        .current_dir(folder)
        .env("EVERSTATE_HOST_URL", format!("http://{}", host.address()))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8(said)?))
}

/// The same, of a command that is expected to work.
async fn done(folder: &Path, host: &HostProcess, args: &[&str]) -> Result<String> {
    let (is_done, said) = everstate(folder, host, args).await?;
    if !is_done {
        bail!("everstate {args:?}: {said}");
    }
    Ok(said)
}

/// The same, of one that is expected to fail.
async fn refused(folder: &Path, host: &HostProcess, args: &[&str]) -> Result<String> {
    let (is_done, said) = everstate(folder, host, args).await?;
    if is_done {
        bail!("everstate {args:?} did it: {said}");
    }
    Ok(said)
}

/// Writes the template's code with the orchestrator of a version.
fn write_code(project: &Path, template: &str, steps: &str) -> Result<()> {
    let order = ORDER.replace("STEPS", steps);
    let (code, tests) = template.split_once("\n#[cfg(test)]").context("tests at the end")?;
    fs::write(project.join("src/lib.rs"), format!("{code}{order}\n#[cfg(test)]{tests}"))?;
    Ok(())
}

async fn answers(host: &HostProcess, path: &str, expected: &str) -> Result<()> {
    let reply = host.client().get(path).await?;
    assert_eq!((reply.status, reply.text().as_str()), (StatusCode::OK, expected), "{path}");
    Ok(())
}

#[tokio::test]
async fn stranger_makes_a_project_breaks_and_mends_it_and_moves_the_data() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let host = HostProcess::start(options(&[])).await?;
    done(folder.path(), &host, &["new", "shop"]).await?;
    let project = folder.path().join("shop");
    let template = fs::read_to_string(project.join("src/lib.rs"))?;
    write_code(&project, &template, OLD_STEPS)?;

    let built = done(&project, &host, &["build"]).await?;
    assert!(built.contains("shop.wasm"), "{built}");
    let deployed = done(&project, &host, &["deploy"]).await?;
    assert!(deployed.contains("Deployed shop.wasm") && deployed.contains("Order"), "{deployed}");
    let written = host.client().put("/Database/1", "my-value").await?;
    assert_eq!(written.status, StatusCode::OK, "{}", written.text());
    answers(&host, "/Database/1", "\"my-value\"").await?;
    let listed = done(&project, &host, &["instances", "list"]).await?;
    assert!(
        listed.contains("Database_PUT_Orchestrator") && listed.contains("Completed"),
        "{listed}"
    );
    done(&project, &host, &["instances", "start", "Order", "--id", "old", "--input", "1"]).await?;
    let why = done(&project, &host, &["instances", "why", "old"]).await?;
    assert!(why.contains("paid"), "{why}");

    broken_code_is_named(&project, &host, &template).await?;
    mended_code_is_for_new_orders(&project, &host, &template).await?;
    data_lives_elsewhere(folder.path(), &host).await
}

/// Code that does not compile, and a component that is none: both are named, and nothing else happens.
async fn broken_code_is_named(project: &Path, host: &HostProcess, template: &str) -> Result<()> {
    write_code(project, template, "Ok(nowhere)")?;
    let said = refused(project, host, &["deploy"]).await?;
    assert!(said.contains("nowhere") && said.contains("does not compile"), "{said}");
    let whole = fs::read(host.functions().join("shop.wasm"))?;
    fs::write(project.join("half.wasm"), &whole[..whole.len() / 2])?;
    let said = refused(project, host, &["deploy", "half.wasm"]).await?;
    assert!(said.contains("half.wasm is cut off"), "{said}");
    fs::copy(project.join("half.wasm"), host.functions().join("half.wasm"))?;
    eventually("the broken file is named", START_DEADLINE, || async {
        let said = done(project, host, &["functions"]).await.ok()?;
        said.contains("half.wasm is broken").then_some(())
    })
    .await?;
    fs::remove_file(host.functions().join("half.wasm"))?;
    answers(host, "/Database/1", "\"my-value\"").await
}

/// What waits ends with the code that it began with; what starts now has the new one.
async fn mended_code_is_for_new_orders(
    project: &Path,
    host: &HostProcess,
    template: &str,
) -> Result<()> {
    write_code(project, template, NEW_STEPS)?;
    done(project, host, &["deploy"]).await?;
    done(project, host, &["instances", "start", "Order", "--id", "new", "--input", "2"]).await?;
    for (id, expected) in [("old", "\"1 shipped\""), ("new", "\"2 shipped and noted\"")] {
        done(project, host, &["instances", "raise", id, "paid"]).await?;
        let output = done(project, host, &["instances", "wait", id]).await?;
        assert_eq!(output.trim_end(), expected);
    }
    let listed = done(project, host, &["deploy", "--list", "--json"]).await?;
    let listed: Value = serde_json::from_str(&listed)?;
    let deployed = listed.as_array().into_iter().flatten();
    let deployed =
        deployed.filter(|entry| entry["action"] == "deployed" && entry["file"] == "shop.wasm");
    assert_eq!(deployed.count(), 2, "{listed}");
    Ok(())
}

/// A backup of the running host, restored elsewhere, has the value.
async fn data_lives_elsewhere(folder: &Path, host: &HostProcess) -> Result<()> {
    done(folder, host, &["backup", "kept"]).await?;
    host.client().put("/Database/1", "later").await?;
    let said = done(folder, host, &["restore", "--from", "kept", "--data", "elsewhere"]).await?;
    assert!(said.contains("shop.wasm") && said.contains("elsewhere-functions"), "{said}");
    let component = folder.join("elsewhere-functions/shop.wasm");
    let component = component.to_str().context("a path that is text")?;
    let other = HostProcess::start(options(&[component]).data(&folder.join("elsewhere"))).await?;
    answers(&other, "/Database/1", "\"my-value\"").await?;
    let shown = done(folder, &other, &["instances", "show", "old"]).await?;
    assert!(shown.contains("1 shipped"), "{shown}");
    answers(host, "/Database/1", "\"later\"").await
}
