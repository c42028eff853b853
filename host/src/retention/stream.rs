//! [`Stream`]: finds, among the orchestrations of one function that ended in one way, those that are old
//! enough, without reading everything again and again. Pure: it says what to read and is told what was
//! found.
//!
//! The index has them in the order in which they were started. One that is old enough was started as
//! long ago at least, so only that part is read; and it is read from where the last reading ended. What
//! is found there and ended later waits here, by the time when it will be old enough. What ends behind the
//! place where reading is ends later than that was read, so it need not be found before a whole age has
//! passed: then everything is read from the beginning, which by now holds nothing but what is too young.

use std::collections::BTreeSet;

use everstate_engine::storage::{InstanceFilter, InstancePage, InstanceQuery};
use everstate_types::{FunctionName, InstanceId, RuntimeStatus, Timestamp};

/// Orchestrations that are read together.
const PAGE_SIZE: usize = 200;

/// How many may wait here. Those beyond are found again by reading.
const WAITING_MAX: usize = 5_000;

/// The orchestrations of one function that ended in one way.
#[derive(Debug)]
pub(super) struct Stream {
    name: FunctionName,
    status: RuntimeStatus,
    age_ms: u64,
    /// Everything that was started up to then is read.
    read_to: Timestamp,
    /// What is being read.
    reading: Option<Reading>,
    /// When everything has to be read from the beginning.
    again_at: Timestamp,
    /// What is old enough.
    due: Vec<InstanceId>,
    /// What is not, by the time when it will be.
    waiting: BTreeSet<(Timestamp, InstanceId)>,
}

#[derive(Debug)]
struct Reading {
    /// Up to which time of start.
    to: Timestamp,
    continuation: Option<String>,
}

impl Stream {
    pub(super) fn new(name: FunctionName, status: RuntimeStatus, age_ms: u64) -> Self {
        Self {
            name,
            status,
            age_ms,
            read_to: Timestamp::default(),
            reading: None,
            again_at: Timestamp::default(),
            due: Vec::new(),
            waiting: BTreeSet::new(),
        }
    }

    /// Begins to look at what has come since it was looked the last time.
    pub(super) fn look(&mut self, now: Timestamp) {
        let Some(to) = now.as_millis().checked_sub(self.age_ms).map(Timestamp::from_millis) else {
            return;
        };
        if now >= self.again_at {
            self.again_at = self.later(now);
            self.read_to = Timestamp::default();
            self.waiting.clear();
        }
        // A clock that was set back: what is read is read.
        if to >= self.read_to {
            self.reading = Some(Reading { to, continuation: None });
        }
        while self.waiting.first().is_some_and(|(due, _)| *due <= now) {
            self.due.extend(self.waiting.pop_first().map(|(_, id)| id));
        }
    }

    /// What is to be read next; `None`: nothing before the next look.
    pub(super) fn next_query(&self) -> Option<InstanceQuery> {
        let reading = self.reading.as_ref()?;
        let filter = InstanceFilter {
            name: Some(self.name.clone()),
            statuses: vec![self.status],
            created_from: Some(self.read_to),
            created_to: Some(reading.to),
            ..InstanceFilter::default()
        };
        let continuation = reading.continuation.clone();
        Some(InstanceQuery { filter, page_size: PAGE_SIZE, continuation })
    }

    /// Takes in what was read.
    pub(super) fn take(&mut self, now: Timestamp, page: InstancePage) {
        for (id, record) in page.instances {
            let due = self.later(record.updated_at);
            if due <= now {
                self.due.push(id);
            } else {
                self.waiting.insert((due, id));
            }
        }
        while self.waiting.len() > WAITING_MAX
            && let Some((due, _)) = self.waiting.pop_last()
        {
            self.again_at = self.again_at.min(due);
        }
        let Some(reading) = self.reading.as_mut() else { return };
        reading.continuation = page.continuation;
        if reading.continuation.is_none() {
            self.read_to = reading.to;
            self.reading = None;
        }
    }

    /// Takes out so many at most of what is old enough, and the time up to which it must have ended for
    /// that.
    pub(super) fn take_due(&mut self, now: Timestamp, max: usize) -> (Vec<InstanceId>, Timestamp) {
        let before = Timestamp::from_millis(now.as_millis().saturating_sub(self.age_ms));
        let later = self.due.split_off(self.due.len().min(max));
        (std::mem::replace(&mut self.due, later), before)
    }

    /// Takes back what was taken out and could not be removed.
    pub(super) fn put_back(&mut self, left: Vec<InstanceId>) {
        self.due.splice(0..0, left);
    }

    /// Whether anything is old enough that was read.
    pub(super) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Whether there is nothing to do before the next look.
    pub(super) fn is_over(&self) -> bool {
        self.reading.is_none() && self.due.is_empty()
    }

    /// Which one it is.
    pub(super) fn is_of(&self, name: &str, status: RuntimeStatus) -> bool {
        self.name.as_str() == name && self.status == status
    }

    fn later(&self, from: Timestamp) -> Timestamp {
        Timestamp::from_millis(from.as_millis().saturating_add(self.age_ms))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use everstate_engine::storage::InstancePage;
    use everstate_types::{
        ExecutionId, FunctionName, InstanceId, OrchestrationRecord, RuntimeStatus, Timestamp,
    };
    use uuid::Uuid;

    use super::{Stream, WAITING_MAX};

    const AGE: u64 = 1_000;

    /// What is stored: by start, id and end; and how much was read of it.
    #[derive(Default)]
    struct Stored {
        rows: BTreeMap<(u64, String), u64>,
        read: usize,
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn stream() -> Stream {
        let name = FunctionName::new("nap").expect("a name");
        Stream::new(name, RuntimeStatus::Completed, AGE)
    }

    fn record(started: u64, ended: u64) -> OrchestrationRecord {
        OrchestrationRecord {
            status: RuntimeStatus::Completed,
            updated_at: at(ended),
            ..OrchestrationRecord::pending(
                FunctionName::new("nap").expect("a name"),
                ExecutionId::new(Uuid::from_u128(1)),
                at(started),
            )
        }
    }

    impl Stored {
        fn add(&mut self, id: &str, started: u64, ended: u64) {
            self.rows.insert((started, id.to_owned()), ended);
        }

        /// Looks once, and removes what is old enough. The continuation is the key of the last row.
        fn look(&mut self, stream: &mut Stream, now: u64) -> Vec<String> {
            stream.look(at(now));
            while let Some(query) = stream.next_query() {
                let filter = &query.filter;
                let from = filter.created_from.expect("a bound").as_millis();
                let to = filter.created_to.expect("a bound").as_millis();
                assert!(to + AGE <= now, "what cannot be old enough is not read");
                let after = query.continuation.as_ref().map(|text| {
                    let (started, id) = text.split_once(' ').expect("one of ours");
                    (started.parse::<u64>().expect("a number"), id.to_owned())
                });
                let mut found = self.rows.iter().filter(|(key, _)| {
                    (from..=to).contains(&key.0) && after.as_ref().is_none_or(|after| *key > after)
                });
                let page: Vec<_> = found.by_ref().take(query.page_size).collect();
                let last = page.last().map(|((started, id), _)| format!("{started} {id}"));
                let continuation = last.filter(|_| found.next().is_some());
                let instance = |((started, id), ended): &(&(u64, String), &u64)| {
                    let id = InstanceId::orchestration(id).expect("an id");
                    (id, record(*started, **ended))
                };
                let instances: Vec<_> = page.iter().map(instance).collect();
                self.read += instances.len();
                stream.take(at(now), InstancePage { instances, continuation });
            }
            let (due, before) = stream.take_due(at(now), usize::MAX);
            let mut removed = Vec::new();
            for id in due {
                let ended_before =
                    |known: &str, ended: u64| known == id.as_str() && at(ended) <= before;
                self.rows.retain(|(_, known), ended| !ended_before(known, *ended));
                removed.push(id.as_str().to_owned());
            }
            removed.sort();
            removed
        }
    }

    #[test]
    fn each_is_removed_when_it_is_old_enough_and_not_before() {
        let (mut stored, mut stream) = (Stored::default(), stream());
        stored.add("early", 100, 200);
        stored.add("slow", 110, 900);
        stored.add("late", 800, 850);
        for (now, removed) in [
            (1_199, vec![]),
            (1_200, vec!["early"]),
            (1_849, vec![]),
            (1_850, vec!["late"]),
            (1_900, vec!["slow"]),
            (9_000, vec![]),
        ] {
            assert_eq!(stored.look(&mut stream, now), removed, "at {now}");
        }
        assert!(stored.rows.is_empty());
    }

    #[test]
    fn one_that_ends_behind_the_place_of_reading_is_found_in_time() {
        let (mut stored, mut stream) = (Stored::default(), stream());
        stored.add("a", 2_000, 2_001);
        assert_eq!(stored.look(&mut stream, 5_000), ["a"]);
        // It has run since long before.
        stored.add("old", 10, 5_100);
        for now in (5_100..6_100).step_by(100) {
            assert_eq!(stored.look(&mut stream, now), [""; 0], "at {now}");
        }
        assert_eq!(stored.look(&mut stream, 6_100), ["old"]);
    }

    #[test]
    fn what_is_too_young_is_read_twice_an_age_and_not_with_every_look() {
        let (mut stored, mut stream) = (Stored::default(), stream());
        for number in 0..1_000 {
            // All were started long ago and ended just now.
            stored.add(&format!("i{number}"), number, 10_000);
        }
        for now in 10_000..10_900 {
            assert_eq!(stored.look(&mut stream, now), [""; 0]);
        }
        assert!(stored.read <= 2_000, "{} rows were read", stored.read);
        assert_eq!(stored.look(&mut stream, 11_000).len(), 1_000);
    }

    #[test]
    fn more_than_can_wait_are_all_removed_in_time() {
        let (mut stored, mut stream) = (Stored::default(), stream());
        let count = 3 * WAITING_MAX as u64;
        for number in 0..count {
            stored.add(&format!("i{number}"), number % 7, 10_000 + number % 500);
        }
        let mut removed = 0;
        for now in (10_500..11_500).step_by(50) {
            removed += stored.look(&mut stream, now).len();
            let left = stored.rows.values().filter(|ended| **ended + AGE + 50 <= now).count();
            assert_eq!(left, 0, "at {now}");
        }
        removed += stored.look(&mut stream, 11_500).len();
        assert_eq!(removed as u64, count);
    }

    #[test]
    fn what_could_not_be_removed_comes_again_and_first() {
        let (mut stored, mut stream) = (Stored::default(), stream());
        for (id, ended) in [("a", 1), ("b", 2), ("c", 3)] {
            stored.add(id, ended, ended);
        }
        stream.look(at(5_000));
        let instance = |((started, id), ended): (&(u64, String), &u64)| {
            (InstanceId::orchestration(id).expect("an id"), record(*started, *ended))
        };
        let instances = stored.rows.iter().map(instance).collect();
        stream.take(at(5_000), InstancePage { instances, continuation: None });
        let (due, _) = stream.take_due(at(5_000), 2);
        stream.put_back(due[1..].to_vec());
        assert!(!stream.is_over());
        let (due, _) = stream.take_due(at(5_000), 9);
        assert_eq!(due.iter().map(InstanceId::as_str).collect::<Vec<_>>(), ["b", "c"]);
        assert!(stream.is_over());
    }

    #[test]
    fn clock_that_is_set_back_removes_nothing_too_early() {
        let (mut stored, mut stream) = (Stored::default(), stream());
        stored.add("a", 5_000, 5_000);
        assert_eq!(stored.look(&mut stream, 5_500), [""; 0]);
        assert_eq!(stored.look(&mut stream, 500), [""; 0]);
        assert_eq!(stored.look(&mut stream, 3_000), [""; 0]);
        assert_eq!(stored.look(&mut stream, 6_000), ["a"]);
    }
}
