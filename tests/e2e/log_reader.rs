//! Whoever reads the log of a host may pause, or never read at all: the host goes on.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use everstate_tests::guests;
use everstate_tests::host::{EXIT_DEADLINE, HostProcess};
use hyper::StatusCode;
use rustix::fs::OFlags;

use crate::options;

/// A pipe that has a reader and no room.
fn full_pipe(path: &Path) -> Result<File> {
    ensure!(Command::new("mkfifo").arg(path).status()?.success(), "no pipe");
    let flags = i32::try_from(OFlags::NONBLOCK.bits())?;
    let mut pipe = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    loop {
        match pipe.write(&[b'\n'; 512]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(pipe),
            written => drop(written?),
        }
    }
}

#[tokio::test]
async fn host_whose_log_nobody_reads_starts_works_and_stops_in_order() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("stderr");
    let _pipe = full_pipe(&path)?;
    let mut options = options(&[guests::DATABASE, guests::APPROVAL]).config("log = \"debug\"\n");
    let shell = ["sh", "-c", "exec \"$@\" 2>\"$0\""].map(Into::into);
    options.run_by = shell.into_iter().chain([path.display().to_string()]).collect();
    let mut host = HostProcess::start(options).await?;
    let client = host.client();
    for number in 0..50 {
        let reply = client.put(&format!("/Database/{number}"), "v").await?;
        assert_eq!(reply.status, StatusCode::OK);
    }
    assert_eq!(client.get("/health/live").await?.status, StatusCode::OK);
    host.process().terminate()?;
    assert!(host.process().wait_exit(EXIT_DEADLINE).await?.success());
    Ok(())
}
