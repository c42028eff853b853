//! A disk that is full, and one that cannot be written.
//!
//! Needs the right to mount (root); without it these tests say so and check nothing.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use everstate_tests::guests;
use everstate_tests::host::{EXIT_DEADLINE, HostProcess};
use hyper::StatusCode;
use tempfile::TempDir;

use crate::options;

/// Bytes of the small disk: enough for an empty database, too little for long.
const DISK_BYTES: usize = 96 << 20;

/// Something mounted on a folder of its own; unmounted when dropped.
struct Mount {
    folder: TempDir,
}

impl Mount {
    /// `None`, with a message, where mounting is refused.
    fn new(arguments: &[&str]) -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let output = Command::new("mount").args(arguments).arg(folder.path()).output()?;
        if output.status.success() {
            return Ok(Some(Self { folder }));
        }
        eprintln!("SKIPPED, cannot mount: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(None)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a host that a failed test left behind may still be in it.
        let _status = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

#[tokio::test]
async fn disk_full_ends_or_refuses_and_keeps_everything_acknowledged() -> Result<()> {
    let Some(disk) = Mount::new(&["-t", "tmpfs", "-o", &format!("size={DISK_BYTES}"), "tmpfs"])?
    else {
        return Ok(());
    };
    let data = disk.path().join("data");
    let mut host = HostProcess::start(options(&[guests::DATABASE]).data(&data)).await?;
    let mut acknowledged = Vec::new();
    for number in 0..20 {
        acknowledged.push(put(&host, number).await?.expect("the disk is not full yet"));
    }
    let ballast = fill(disk.path())?;
    let mut refusal = None;
    for number in 20..2_000 {
        match put(&host, number).await {
            Ok(Ok(value)) => acknowledged.push(value),
            Ok(Err(status)) => {
                refusal = Some(Ok(status));
                break;
            }
            Err(error) => {
                refusal = Some(Err(error));
                break;
            }
        }
    }
    match refusal.context("the disk is full and nothing is refused")? {
        Ok(status) => ensure!(status.is_server_error(), "a refusal is a 5xx, not {status}"),
        Err(_) => {
            let status = host.process().wait_exit(EXIT_DEADLINE).await?;
            assert!(!status.success(), "{status}");
            host.says(&["No space left on device"]).await?;
        }
    }
    // Space returns.
    fs::remove_file(ballast)?;
    host.restart().await?;
    for (number, value) in acknowledged.iter().enumerate() {
        let reply = host.client().get(&format!("/Database/{number}")).await?;
        assert_eq!(reply.json()?, value.as_str(), "key {number} of {}", acknowledged.len());
    }
    put(&host, 0).await?.expect("it takes new values");
    Ok(())
}

/// PUTs 64 KiB under a key; gives the value if it was acknowledged.
async fn put(host: &HostProcess, number: usize) -> Result<Result<String, StatusCode>> {
    let value = format!("{number}-").repeat((64 << 10) / format!("{number}-").len());
    let reply = host.client().put(&format!("/Database/{number}"), value.clone()).await?;
    Ok(if reply.status == StatusCode::OK { Ok(value) } else { Err(reply.status) })
}

/// Takes all space that is left.
fn fill(disk: &Path) -> Result<std::path::PathBuf> {
    let path = disk.join("ballast");
    let mut file = File::create(&path)?;
    for bytes in [1 << 20, 4096, 1] {
        let block = vec![0; bytes];
        while file.write_all(&block).is_ok() {}
    }
    Ok(path)
}

#[tokio::test]
async fn read_only_data_folder_refuses_to_start_and_loses_nothing() -> Result<()> {
    let mut host = HostProcess::start(options(&[guests::DATABASE])).await?;
    host.client().put("/Database/1", "kept").await?;
    host.process().terminate()?;
    host.process().wait_exit(EXIT_DEADLINE).await?;

    let data = host.data();
    let Some(mount) = Mount::new(&["--bind", &data.to_string_lossy()])? else { return Ok(()) };
    let read_only =
        Command::new("mount").args(["-o", "remount,bind,ro"]).arg(mount.path()).status()?;
    ensure!(read_only.success(), "a bind mount can be made read-only");
    let (status, output) =
        HostProcess::start_and_fail(options(&[guests::DATABASE]).data(mount.path())).await?;
    assert!(!status.success());
    let last = output.stderr().pop().unwrap_or_default();
    assert!(last.contains("Read-only file system"), "{last}");
    assert!(last.contains(&*mount.path().to_string_lossy()), "{last}");

    host.restart().await?;
    assert_eq!(host.client().get("/Database/1").await?.text(), r#""kept""#);
    Ok(())
}
