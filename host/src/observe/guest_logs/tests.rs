//! What is kept is found again, after any number of restarts, until it is too much or forgotten.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use everstate_engine::guest::{GuestLog as _, GuestLogLine};
use everstate_http::GuestLogs as _;
use everstate_types::InstanceId;
use tempfile::TempDir;

use super::{KeptLogs, ObserverMetrics};

fn open(folder: &TempDir, bytes_max: u64) -> Arc<KeptLogs> {
    let logs = KeptLogs::open(&folder.path().join("logs"), bytes_max, ObserverMetrics::default());
    logs.expect("it opens")
}

fn id(text: &str) -> InstanceId {
    InstanceId::orchestration(text).expect("a valid id")
}

fn keep(logs: &KeptLogs, instance: &str, message: &str) {
    let (instance_id, level) = (&id(instance), "information");
    logs.keep(GuestLogLine { instance_id, function: "F", level, message });
}

fn messages(logs: &KeptLogs, instance: &str, top: usize) -> Vec<String> {
    logs.newest(&id(instance), top).into_iter().map(|line| line.message).collect()
}

fn files(folder: &TempDir) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.path().join("logs")).expect("it is there");
    let mut paths: Vec<_> = files.map(|file| file.expect("readable").path()).collect();
    paths.sort();
    paths
}

#[test]
fn lines_are_found_by_their_instance_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let logs = open(&folder, 1 << 20);
    for number in 0..10 {
        keep(&logs, "a", &format!("a{number}"));
        keep(&logs, "b", "b \"quoted\"\nsecond line");
    }
    logs.stop();
    for logs in [logs, open(&folder, 1 << 20)] {
        assert_eq!(messages(&logs, "a", 3), ["a7", "a8", "a9"]);
        assert_eq!(messages(&logs, "b", 1), ["b \"quoted\"\nsecond line"]);
        assert!(messages(&logs, "c", 9).is_empty());
    }
}

#[test]
fn lines_of_all_runs_are_there_and_restarts_make_no_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runs: Vec<_> = (0..9).map(|run| format!("run {run}")).collect();
    for run in &runs {
        let logs = open(&folder, 1 << 20);
        keep(&logs, "a", run);
        logs.stop();
    }
    assert_eq!(messages(&open(&folder, 1 << 20), "a", 100), runs);
    assert_eq!(files(&folder).len(), 1);
}

/// In full files lines are looked up, in the last one they are looked for.
#[test]
fn oldest_lines_go_when_there_is_too_much_also_over_restarts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for run in 0..4 {
        let logs = open(&folder, 0);
        for number in run * 100..(run + 1) * 100 {
            keep(&logs, "a", &format!("{number} {}", "x".repeat(100)));
            keep(&logs, &format!("other-{number}"), "line");
        }
        logs.stop();
        let kept = messages(&logs, "a", 1_000);
        let numbers: Vec<usize> = kept
            .iter()
            .map(|text| text.split(' ').next().and_then(|text| text.parse().ok()).expect("one"))
            .collect();
        let last = (run + 1) * 100;
        assert_eq!(numbers, (last - numbers.len()..last).collect::<Vec<_>>());
        assert!((30..100).contains(&numbers.len()), "{}", numbers.len());
        assert_eq!(files(&folder).len(), 4);
    }
}

#[test]
fn line_that_a_crash_has_cut_off_is_left_out_and_harms_none_behind_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let logs = open(&folder, 1 << 20);
    keep(&logs, "a", "whole");
    keep(&logs, "a", "cut off");
    logs.stop();
    let file = &files(&folder)[0];
    let text = fs::read(file).expect("it is there");
    fs::write(file, &text[..text.len() - 5]).expect("writable");
    let again = open(&folder, 1 << 20);
    keep(&again, "a", "next");
    again.stop();
    for logs in [again, open(&folder, 1 << 20)] {
        assert_eq!(messages(&logs, "a", 9), ["whole", "next"]);
    }
}

#[test]
fn what_is_forgotten_is_not_shown_any_more_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let logs = open(&folder, 1 << 20);
    keep(&logs, "a", "of the first");
    keep(&logs, "b", "of another");
    logs.forget(&id("a"));
    assert!(messages(&logs, "a", 9).is_empty(), "at once");
    keep(&logs, "a", "of the second");
    logs.stop();
    for logs in [logs, open(&folder, 1 << 20)] {
        assert_eq!(messages(&logs, "a", 9), ["of the second"]);
        assert_eq!(messages(&logs, "b", 9), ["of another"]);
        // Nothing can be forgotten any more, and nobody waits for it.
        logs.stop();
        logs.forget(&id("b"));
    }
}
