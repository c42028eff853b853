//! An fsync lies before each acknowledgement: seen in the system calls of the host.
//!
//! Needs `strace`; without it these tests say so and check nothing.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use everstate_tests::guests;
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::http::Connection;
use everstate_tests::wait::eventually;
use hyper::StatusCode;

use crate::options;

const CALLS: &str =
    "trace=read,recvfrom,write,writev,sendto,sendmsg,pwrite64,fsync,fdatasync,sync_file_range";

/// A host whose system calls are written to a file.
struct TracedHost {
    host: HostProcess,
    trace: PathBuf,
    _folder: tempfile::TempDir,
}

impl TracedHost {
    /// `None`, with a message, where there is no strace.
    async fn start() -> Result<Option<Self>> {
        if Command::new("strace").arg("-V").output().is_err() {
            eprintln!("SKIPPED, strace is not installed");
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let trace = folder.path().join("trace");
        let mut options = options(&[guests::DATABASE]);
        let trace_to = trace.to_string_lossy();
        // -D: the host is the child, strace stands aside.
        let words = ["strace", "-D", "-f", "-qq", "-yy", "-s", "64", "-e", CALLS, "-o", &trace_to];
        options.run_by = words.map(str::to_owned).to_vec();
        let host = HostProcess::start(options).await?;
        Ok(Some(Self { host, trace, _folder: folder }))
    }

    /// The lines from where the host received this request to where it began its answer.
    async fn calls_of(&self, request_line: &str) -> Result<Vec<String>> {
        eventually("the answer stands in the trace", START_DEADLINE, || async {
            let text = fs::read_to_string(&self.trace).ok()?;
            let lines = text.lines().skip_while(|line| !line.contains(request_line));
            let mut calls = Vec::new();
            for line in lines {
                if line.contains("\"HTTP/1.1 ") {
                    return Some(calls);
                }
                calls.push(line.to_owned());
            }
            None
        })
        .await
    }
}

/// Whether there is a write to the log of the database and, after it, an fsync of it that returned.
fn wrote_and_synced_the_log(calls: &[String]) -> bool {
    let wrote = calls.iter().position(|line| line.contains("write") && line.contains(".log>"));
    let Some(wrote) = wrote else { return false };
    // A call that another thread's interrupts stands in two lines; only the second has a result.
    let mut under_way = Vec::new();
    for line in &calls[wrote..] {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        let sync = call.starts_with("fsync(") || call.starts_with("fdatasync(");
        if sync && call.contains(".log>") {
            if call.contains("= 0") {
                return true;
            }
            under_way.push(thread);
        } else if under_way.contains(&thread)
            && call.contains("sync resumed>")
            && call.contains("= 0")
        {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn put_answers_200_only_after_an_fsync_of_the_log() -> Result<()> {
    let Some(traced) = TracedHost::start().await? else { return Ok(()) };
    let mut connection = Connection::open(traced.host.address()).await?;
    for number in 0..20 {
        let path = format!("/Database/traced-{number}");
        let reply = connection.send("PUT", &path, &[], "x".repeat(100)).await?;
        assert_eq!(reply.status, StatusCode::OK);
        let calls = traced.calls_of(&format!("PUT {path} ")).await.context(path)?;
        assert!(wrote_and_synced_the_log(&calls), "200 before the fsync:\n{}", calls.join("\n"));
    }
    Ok(())
}

/// A GET runs an orchestration, and that it ran is a promise as well.
#[tokio::test]
async fn get_through_an_orchestrator_answers_only_after_an_fsync_of_the_log() -> Result<()> {
    let Some(traced) = TracedHost::start().await? else { return Ok(()) };
    let mut connection = Connection::open(traced.host.address()).await?;
    connection.send("PUT", "/Database/traced", &[], "x").await?;
    for number in 0..5 {
        let path = format!("/Database/traced?number={number}");
        let reply = connection.send("GET", &path, &[], "").await?;
        assert_eq!(reply.status, StatusCode::OK);
        let calls = traced.calls_of(&format!("GET {path} ")).await.context(path)?;
        assert!(wrote_and_synced_the_log(&calls), "200 before the fsync:\n{}", calls.join("\n"));
    }
    Ok(())
}

/// The check itself: it must not be content with what proves nothing.
#[test]
fn check_of_the_trace_needs_a_finished_fsync_after_the_write() {
    let write = "7 write(9</d/000004.log>, \"x\"..., 99) = 99";
    let sync = "7 fdatasync(9</d/000004.log>) = 0";
    let begun = "7 fdatasync(9</d/000004.log> <unfinished ...>";
    let resumed = "7 <... fdatasync resumed>) = 0";
    let other = "8 <... fdatasync resumed>) = 0";
    let verdict = |lines: &[&str]| {
        wrote_and_synced_the_log(&lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>())
    };
    assert!(verdict(&[write, sync]));
    assert!(verdict(&[write, begun, other, resumed]));
    assert!(!verdict(&[write, begun]));
    assert!(!verdict(&[write, begun, other]));
    assert!(!verdict(&[sync, write]));
    assert!(!verdict(&[sync]));
    assert!(!verdict(&[]));
}
