//! Components come, change and go while the host runs.

use std::fs;
use std::io::Write as _;

use anyhow::{Context, Result};
use everstate_tests::guests;
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::http::Client;
use everstate_tests::wait::eventually;
use hyper::StatusCode;

use crate::{database, options};

/// Waits until the route answers with this status.
async fn answers(client: Client, path: &str, status: StatusCode) -> Result<()> {
    eventually(&format!("{path} answers {status}"), START_DEADLINE, || async {
        client.get(path).await.ok().filter(|reply| reply.status == status).map(drop)
    })
    .await
}

#[tokio::test]
async fn copy_component_into_running_host_serves_its_route() -> Result<()> {
    let host = HostProcess::start(options(&[])).await?;
    assert_eq!(host.client().get("/Database/1").await?.status, StatusCode::NOT_FOUND);
    host.deploy(guests::DATABASE, "database.wasm")?;
    answers(host.client(), "/Database/1", StatusCode::OK).await?;
    host.says(&["Database_HttpStart", "[GET,PUT]", "/Database/{key}"]).await?;
    Ok(())
}

#[tokio::test]
async fn remove_component_from_running_host_ends_its_route_and_keeps_its_data() -> Result<()> {
    let host = database().await?;
    host.client().put("/Database/1", "kept").await?;
    let file = fs::read_dir(host.functions())?.next().context("one component")??.path();
    fs::remove_file(&file)?;
    answers(host.client(), "/Database/1", StatusCode::NOT_FOUND).await?;
    host.deploy(guests::DATABASE, "again.wasm")?;
    answers(host.client(), "/Database/1", StatusCode::OK).await?;
    assert_eq!(host.client().get("/Database/1").await?.text(), r#""kept""#);
    Ok(())
}

/// A copy is not atomic: the host meets the file while it grows, and must take it when it is whole.
#[tokio::test]
async fn component_half_copied_is_reported_and_loads_when_it_is_complete() -> Result<()> {
    let host = HostProcess::start(options(&[])).await?;
    let whole = fs::read(guests::DATABASE)?;
    let path = host.functions().join("database.wasm");
    let mut file = fs::File::create(&path)?;
    file.write_all(&whole[..whole.len() / 2])?;
    file.sync_all()?;
    host.says(&["database.wasm"]).await?;
    assert_eq!(host.client().get("/Database/1").await?.status, StatusCode::NOT_FOUND);
    file.write_all(&whole[whole.len() / 2..])?;
    drop(file);
    answers(host.client(), "/Database/1", StatusCode::OK).await
}

#[tokio::test]
async fn replace_component_under_load_never_refuses_a_request() -> Result<()> {
    let host = database().await?;
    let name = fs::read_dir(host.functions())?.next().context("one component")??.file_name();
    // Another component with the same functions: an empty custom section changes its hash only.
    let mut changed = fs::read(guests::DATABASE)?;
    changed.extend([0, 2, 1, b'x']);
    let staged = host.data().with_file_name("staged.wasm");
    fs::write(&staged, changed)?;
    fs::rename(&staged, host.functions().join(name))?;
    let client = host.client();
    for number in 0..300 {
        let reply = client.put("/Database/1", number.to_string()).await?;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    }
    assert_eq!(client.get("/Database/1").await?.text(), r#""299""#);
    Ok(())
}

/// The old file stays under the new one's routes if it went wrong.
#[tokio::test]
async fn replace_component_by_garbage_is_reported_by_name() -> Result<()> {
    let host = database().await?;
    let name = fs::read_dir(host.functions())?.next().context("one component")??.file_name();
    fs::write(host.functions().join(&name), b"no component at all")?;
    host.says(&[&name.to_string_lossy()]).await?;
    // Whatever it does with the route, it is there and answers.
    host.client().get("/").await?;
    Ok(())
}

#[tokio::test]
async fn other_files_in_the_folder_are_ignored() -> Result<()> {
    let host = HostProcess::start(options(&[])).await?;
    fs::write(host.functions().join("README.md"), "not a component")?;
    host.deploy(guests::DATABASE, "database.wasm")?;
    answers(host.client(), "/Database/1", StatusCode::OK).await?;
    assert!(host.output().lines_with(&["README.md"]).is_empty(), "{}", host.output().all());
    Ok(())
}
