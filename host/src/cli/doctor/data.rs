//! `everstate doctor --data`: examines every row of a data folder that no host has open.

use std::path::Path;

use anyhow::bail;
use everstate_storage::{Error, Report};
use serde_json::{Value, json};

use super::super::errors::{self, NotAsHoped};
use super::super::output::{Output, Progress, Tone, counted};
use super::owner;
use crate::integrity::verify;

/// Examines the folder and prints what is there and what is wrong with it.
pub(super) fn run(data: &Path, out: Output) -> anyhow::Result<()> {
    let progress = Progress::start(&format!("examining {}", data.display()));
    let report = match verify(data) {
        Ok(report) => report,
        Err(error) if matches!(error.downcast_ref(), Some(Error::Locked { .. })) => {
            let owner = owner::of_lock(&data.join("state/LOCK"));
            let owner = owner.map_or_else(|| "a host".to_owned(), |owner| owner.to_string());
            bail!("{owner} has {} open: stop it first, or examine a backup", data.display());
        }
        Err(error) => {
            let said = errors::one_line(&error);
            bail!(
                "cannot examine {}: {said}; see that it is the data folder of a host, and if it is \
                 damaged, bring a backup back with `everstate restore`",
                data.display()
            );
        }
    };
    drop(progress);
    let result = document(data, &report);
    if !out.json {
        print(data, &report, out)?;
    }
    if report.problem_count > 0 {
        let message = format!(
            "{} is damaged ({}): bring a backup back with `everstate restore`, and look after the disk",
            data.display(),
            counted(report.problem_count, "problem")
        );
        return Err(NotAsHoped { message, result }.into());
    }
    if out.json { out.value(&result) } else { Ok(()) }
}

fn document(data: &Path, report: &Report) -> Value {
    let counts = &report.counts;
    json!({
        "data": data,
        "storageFormat": report.format,
        "counts": {
            "orchestrations": counts.orchestrations,
            "live": counts.live,
            "entities": counts.entities,
            "receipts": counts.receipts,
            "events": counts.events,
            "messages": counts.messages,
            "delayedMessages": counts.delayed,
            "indexEntries": counts.index_entries,
            "largeValues": counts.large_values,
            "components": report.pinned.len(),
        },
        "problemCount": report.problem_count,
        "problems": report.problems,
        "notes": report.notes,
    })
}

fn print(data: &Path, report: &Report, out: Output) -> anyhow::Result<()> {
    let counts = &report.counts;
    out.line(&format!(
        "{}: {} orchestrations ({} of them live) with {} events, {} entities ({} with large values), {} \
         receipts, {} messages and {} delayed ones, {} entries of the index, {} components in use",
        data.display(),
        counts.orchestrations,
        counts.live,
        counts.events,
        counts.entities,
        counts.large_values,
        counts.receipts,
        counts.messages,
        counts.delayed,
        counts.index_entries,
        report.pinned.len()
    ))?;
    for problem in &report.problems {
        out.line(&out.paint(&format!("problem: {problem}"), Tone::Bad))?;
    }
    let unlisted = report.problem_count.saturating_sub(report.problems.len() as u64);
    if unlisted > 0 {
        out.line(&out.paint(&format!("and {unlisted} more problems"), Tone::Bad))?;
    }
    for note in &report.notes {
        out.line(&out.paint(&format!("note: {note}"), Tone::Warning))?;
    }
    if report.problem_count == 0 {
        out.line("No problem was found.")?;
    }
    Ok(())
}
