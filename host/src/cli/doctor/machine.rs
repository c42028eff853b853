//! The machine: how many files may be open, and what time it is.

use std::path::Path;
use std::time::UNIX_EPOCH;

use everstate_engine::clock::{Clock as _, SystemClock};
use everstate_types::Timestamp;
use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::config::HostConfig;

/// Files and sockets beside the connections of clients: the storage, components, outgoing requests.
const DESCRIPTORS_BESIDE: u64 = 1024;

/// No clock that is right is earlier: 2026-01-01T00:00:00Z.
const EARLIEST: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// How far ahead of the clock a file may have been written, in milliseconds.
const AHEAD_MS_MAX: u64 = 60_000;

pub(super) fn examine(config: &HostConfig) -> Vec<Finding> {
    vec![descriptors(config), clock(SystemClock.now(), newest(&config.data.join("state")))]
}

fn descriptors(config: &HostConfig) -> Finding {
    const ABOUT: &str = "file descriptors";
    let needed = config.http.connections_max as u64 + DESCRIPTORS_BESIDE;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => Finding::warning(
            ABOUT,
            format!("a process may have {limit}, http.connections_max wants {needed}"),
            format!("raise it (`ulimit -n {needed}`), or lower http.connections_max"),
        ),
        Some(limit) => Finding::ok(ABOUT, format!("a process may have {limit}")),
        None => Finding::ok(ABOUT, "a process may have as many as it likes"),
    }
}

/// When the files in the folder were written last.
fn newest(folder: &Path) -> Option<Timestamp> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let times = entries.filter_map(|entry| entry.metadata().ok()?.modified().ok());
    let newest = times.max()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(u64::try_from(newest.as_millis()).ok()?))
}

fn clock(now: Timestamp, written: Option<Timestamp>) -> Finding {
    const ABOUT: &str = "clock";
    let advice = "set it (NTP): timers and the clocks of orchestrations follow it";
    if now < EARLIEST {
        return Finding::problem(ABOUT, format!("it says {now}, which cannot be"), advice);
    }
    match written {
        Some(written) if written.as_millis() > now.as_millis().saturating_add(AHEAD_MS_MAX) => {
            let text = format!("it says {now}, but the data was written at {written}");
            Finding::problem(ABOUT, text, advice)
        }
        _ => Finding::ok(ABOUT, format!("it is {now}")),
    }
}

#[cfg(test)]
mod tests {
    use everstate_types::Timestamp;

    use super::super::Level;
    use super::{EARLIEST, clock};

    #[test]
    fn clock_that_went_back_is_a_problem() {
        let later = |millis| Timestamp::from_millis(EARLIEST.as_millis() + millis);
        for (now, written, expected) in [
            (Timestamp::from_millis(0), None, Level::Problem),
            (later(0), None, Level::Ok),
            (later(0), Some(later(59_000)), Level::Ok),
            (later(0), Some(later(61_000)), Level::Problem),
        ] {
            assert_eq!(clock(now, written).level, expected, "{now} {written:?}");
        }
    }
}
