//! What the host prints when it starts, what configures it, and how it refuses to start.

use std::fs;
use std::net::TcpListener;

use anyhow::Result;
use everstate_tests::guests;
use everstate_tests::host::{HostOptions, HostProcess};

use crate::{database, options};

/// The host ends by itself, not with 0, and says why in one line on standard error that has all of
/// these words.
async fn refuses_to_start(options: HostOptions, words: &[&str]) -> Result<()> {
    let (status, output) = HostProcess::start_and_fail(options).await?;
    assert_eq!(status.code().map(|code| code != 0), Some(true), "{status}");
    let lines = output.stderr();
    let reasons = lines.iter().filter(|line| line.starts_with("everstate: ")).count();
    assert_eq!(reasons, 1, "one clear line: {lines:#?}");
    let last = lines.last().map(String::as_str).unwrap_or_default();
    assert!(last.starts_with("everstate: "), "nothing comes after it: {lines:#?}");
    for word in words {
        assert!(last.contains(word), "no {word:?} in {last:?}");
    }
    Ok(())
}

#[tokio::test]
async fn start_prints_the_http_functions_as_the_original_does() -> Result<()> {
    let host = database().await?;
    host.says(&["Database_HttpStart"]).await?;
    let stdout = host.output().stdout();
    let heading = stdout.iter().position(|line| line == "Http Functions:");
    let heading = heading.unwrap_or_else(|| panic!("no heading: {stdout:#?}"));
    let port = host.address().port();
    assert_eq!(stdout[heading + 1], "");
    let listed = &stdout[heading + 2];
    assert!(
        [format!("http://localhost:{port}"), format!("http://127.0.0.1:{port}")].iter().any(
            |url| {
                *listed == format!("        Database_HttpStart: [GET,PUT] {url}/Database/{{key}}")
            }
        ),
        "{listed:?}"
    );
    Ok(())
}

#[tokio::test]
async fn start_without_components_serves_and_answers_404() -> Result<()> {
    let host = HostProcess::start(options(&[])).await?;
    assert_eq!(host.client().get("/Database/1").await?.status.as_u16(), 404);
    Ok(())
}

#[tokio::test]
async fn port_taken_refuses_to_start() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let mut options = options(&[]);
    options.listen = Some(address.clone());
    refuses_to_start(options, &[&address]).await
}

#[tokio::test]
async fn data_folder_of_another_process_refuses_to_start() -> Result<()> {
    let host = database().await?;
    let data = host.data();
    refuses_to_start(options(&[]).data(&data), &[&data.to_string_lossy()]).await?;
    assert_eq!(host.client().put("/Database/1", "x").await?.status.as_u16(), 200);
    Ok(())
}

#[tokio::test]
async fn data_folder_that_is_a_file_refuses_to_start() -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    refuses_to_start(options(&[]).data(file.path()), &[&file.path().to_string_lossy()]).await
}

#[tokio::test]
async fn config_file_that_is_missing_refuses_to_start() -> Result<()> {
    let options = options(&[]).args(&["--config", "nowhere.toml"]);
    refuses_to_start(options, &["nowhere.toml"]).await
}

#[tokio::test]
async fn config_file_that_is_no_toml_refuses_to_start() -> Result<()> {
    refuses_to_start(options(&[]).config("listen = = 1\n"), &["everstate.toml"]).await
}

#[tokio::test]
async fn unknown_key_in_the_file_refuses_to_start_and_is_named() -> Result<()> {
    for (text, key) in
        [("lisson = 1\n", "lisson"), ("[http]\nrequest_bites = 1\n", "request_bites")]
    {
        refuses_to_start(options(&[]).config(text), &["everstate.toml", key]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn unknown_key_in_the_environment_refuses_to_start_and_is_named() -> Result<()> {
    refuses_to_start(options(&[]).env("EVERSTATE_LISTEM", "x"), &["EVERSTATE_LISTEM"]).await
}

#[tokio::test]
async fn wrong_value_in_the_environment_refuses_to_start_and_is_named() -> Result<()> {
    let mut options = options(&[]).env("EVERSTATE_LISTEN", "not-an-address");
    options.listen = None;
    refuses_to_start(options, &["not-an-address"]).await
}

#[tokio::test]
async fn unknown_flag_refuses_to_start_and_is_named() -> Result<()> {
    let (status, output) = HostProcess::start_and_fail(options(&[]).args(&["--lisson"])).await?;
    assert!(!status.success());
    let lines = output.stderr();
    assert!(lines.first().is_some_and(|line| line.contains("--lisson")), "{lines:#?}");
    Ok(())
}

/// Three addresses from three places: the flag is obeyed.
#[tokio::test]
async fn listen_flag_wins_over_environment_and_file() -> Result<()> {
    let options =
        options(&[]).config("listen = \"127.0.0.3:0\"\n").env("EVERSTATE_LISTEN", "127.0.0.2:0");
    let host = HostProcess::start(options).await?;
    assert_eq!(host.address().ip().to_string(), "127.0.0.1");
    Ok(())
}

#[tokio::test]
async fn listen_environment_wins_over_file() -> Result<()> {
    let mut options =
        options(&[]).config("listen = \"127.0.0.3:0\"\n").env("EVERSTATE_LISTEN", "127.0.0.2:0");
    options.listen = None;
    let host = HostProcess::start(options).await?;
    assert_eq!(host.address().ip().to_string(), "127.0.0.2");
    Ok(())
}

#[tokio::test]
async fn listen_file_is_obeyed() -> Result<()> {
    let mut options = options(&[guests::DATABASE]).config("listen = \"127.0.0.3:0\"\n");
    options.listen = None;
    let host = HostProcess::start(options).await?;
    assert_eq!(host.address().ip().to_string(), "127.0.0.3");
    Ok(())
}

/// `everstate.toml` beside the folders is found without a flag.
#[tokio::test]
async fn config_named_by_the_environment_is_read() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("other.toml");
    fs::write(&file, "listen = \"127.0.0.4:0\"\n")?;
    let mut options = options(&[]).env("EVERSTATE_CONFIG", &file.to_string_lossy());
    options.listen = None;
    let host = HostProcess::start(options).await?;
    assert_eq!(host.address().ip().to_string(), "127.0.0.4");
    Ok(())
}
