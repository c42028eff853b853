//! `everstate deploy` into a folder, and what it refuses before it asks anybody.

use std::fs;

use anyhow::Result;
use everstate_tests::guests;
use everstate_tests::host::HostProcess;

use super::{run, run_in};
use crate::options;

#[tokio::test]
async fn component_is_written_into_a_folder_and_served() -> Result<()> {
    let host = HostProcess::start(options(&[])).await?;
    let functions = host.functions();
    let args = ["deploy", guests::DATABASE, "--as", "shop", "--functions", "."];
    run_in(&functions, &args).await?.ok()?;
    host.says(&["Database_HttpStart"]).await?;
    let names: Vec<_> = fs::read_dir(&functions)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<_, _>>()?;
    assert_eq!(names, ["shop.wasm"], "nothing else is left there");
    Ok(())
}

#[tokio::test]
async fn what_is_no_component_is_not_sent() -> Result<()> {
    let host = HostProcess::start(options(&[])).await?;
    let file = host.data().with_file_name("module.wasm");
    let path = file.to_string_lossy().into_owned();
    for (bytes, words) in [
        (&b"\0asm\x01\0\0\0"[..], "is a WebAssembly module and no component"),
        (b"text", "is no WebAssembly component"),
    ] {
        fs::write(&file, bytes)?;
        for command in ["deploy", "check"] {
            let line = run(&host, &[command, &path]).await?.failure()?;
            assert!(line.contains(words), "{line}");
        }
    }
    let line = run(&host, &["deploy", "nowhere.wasm"]).await?.failure()?;
    assert!(line.contains("nowhere.wasm") && line.contains("folder of a project"), "{line}");
    Ok(())
}
