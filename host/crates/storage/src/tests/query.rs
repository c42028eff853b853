//! Pages of the orchestrations that fit a filter, and their count, compared with what a look at all
//! of them gives.

use std::sync::atomic::{AtomicBool, Ordering};

use everstate_engine::storage::{
    CommitBatch, Indexed, InstanceFilter, InstancePage, InstanceQuery, OrchestrationRow, Storage,
};
use everstate_types::{
    FunctionName, InstanceId, OrchestrationRecord, Payload, RuntimeStatus, Tags, Timestamp,
};

use super::{after, commit, open, purge_batch, record, time};
use crate::RocksStorage;
use crate::query::{CANDIDATE_BYTES_MAX, CANDIDATES_MAX};

const STATUSES: [RuntimeStatus; 6] = [
    RuntimeStatus::Pending,
    RuntimeStatus::Running,
    RuntimeStatus::Suspended,
    RuntimeStatus::Completed,
    RuntimeStatus::Failed,
    RuntimeStatus::Terminated,
];

type Stored = Vec<(InstanceId, OrchestrationRecord)>;

fn id(text: &str) -> InstanceId {
    InstanceId::orchestration(text).unwrap()
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Writes orchestrations that have no history.
fn write(storage: &RocksStorage, stored: &Stored) {
    let row = |record: &OrchestrationRecord| OrchestrationRow {
        record: record.clone(),
        history_stored: 0,
        events: Vec::new(),
        replaces: None,
        indexed: None,
    };
    let orchestrations = stored.iter().map(|(id, record)| (id.clone(), row(record))).collect();
    commit(storage, CommitBatch { orchestrations, ..CommitBatch::default() });
}

/// Ninety orchestrations that differ in everything that can be asked for, in no order.
fn zoo() -> Stored {
    let names = ["Order", "order", "Pay", "Order-Late", "Ordér"];
    let made = |number: u64| {
        let at = |of: usize| usize::try_from(number).unwrap() % of;
        let mut record = record(STATUSES[at(6)]);
        record.name = FunctionName::new(names[at(5)]).unwrap();
        record.created_at = time(number * 37 % 40);
        record.tags = match number % 4 {
            0 => tags(&[]),
            1 => tags(&[("team", "blue")]),
            2 => tags(&[("size", "1"), ("team", "blue")]),
            _ => tags(&[("team", "red")]),
        };
        record.custom_status = match number % 3 {
            0 => None,
            1 => Some(Payload::from("\"half\"")),
            _ => Some(Payload::from("{}")),
        };
        let prefix = ["a", "ab", "b", "ä"][at(4)];
        (id(&format!("{prefix}-{number}")), record)
    };
    (0..90).map(made).collect()
}

fn page(
    storage: &RocksStorage,
    filter: &InstanceFilter,
    page_size: usize,
    continuation: Option<String>,
) -> InstancePage {
    let query = InstanceQuery { filter: filter.clone(), page_size, continuation };
    storage.query(&query).expect("the data is good")
}

/// All pages, one after the other, and how many there were.
fn pages(storage: &RocksStorage, filter: &InstanceFilter, page_size: usize) -> (Stored, usize) {
    let (mut found, mut count, mut continuation) = (Stored::new(), 0, None);
    loop {
        let page = page(storage, filter, page_size, continuation);
        assert!(page.instances.len() <= page_size);
        found.extend(page.instances);
        count += 1;
        assert!(count < 1_000, "the pages come to no end");
        continuation = page.continuation;
        if continuation.is_none() {
            return (found, count);
        }
    }
}

/// What a look at all of them gives.
fn expected(stored: &Stored, filter: &InstanceFilter) -> Stored {
    let lower = |name: &FunctionName| name.as_str().to_ascii_lowercase();
    let mut found = stored.clone();
    found.retain(|(id, record)| {
        filter.name.as_ref().is_none_or(|name| lower(name) == lower(&record.name))
            && (filter.statuses.is_empty() || filter.statuses.contains(&record.status))
            && filter.created_from.is_none_or(|from| from <= record.created_at)
            && filter.created_to.is_none_or(|to| record.created_at <= to)
            && filter.id_prefix.as_ref().is_none_or(|prefix| id.as_str().starts_with(prefix))
            && filter.tags.iter().all(|tag| record.tags.contains(tag))
            && (filter.custom_status.is_none() || filter.custom_status == record.custom_status)
    });
    if filter.id_prefix.is_some() {
        found.sort_by_key(|(id, _)| id.clone());
    } else {
        found.sort_by_key(|(id, record)| (record.created_at, id.clone()));
    }
    found
}

/// Every combination of these conditions.
fn filters() -> Vec<InstanceFilter> {
    let names = [None, Some("ORDER"), Some("order-late"), Some("Unknown")];
    let statuses = [
        vec![],
        vec![RuntimeStatus::Running],
        vec![RuntimeStatus::Failed, RuntimeStatus::Pending, RuntimeStatus::Failed],
    ];
    let times: [(Option<u64>, Option<u64>); 5] =
        [(None, None), (Some(10), None), (None, Some(30)), (Some(7), Some(22)), (Some(9), Some(3))];
    let prefixes = [None, Some(""), Some("a"), Some("ab-1"), Some("ä")];
    let all_tags = [
        tags(&[]),
        tags(&[("team", "blue")]),
        tags(&[("team", "blue"), ("size", "1")]),
        tags(&[("team", "green")]),
    ];
    let customs = [None, Some("\"half\""), Some("\"none\"")];
    let mut filters = vec![InstanceFilter::default()];
    let mut combine = |extend: &dyn Fn(&InstanceFilter) -> Vec<InstanceFilter>| {
        filters = filters.iter().flat_map(extend).collect();
    };
    let each = |filter: &InstanceFilter| filter.clone();
    combine(&|f| {
        let name = |name: &str| FunctionName::new(name).unwrap();
        names.iter().map(|n| InstanceFilter { name: n.map(name), ..each(f) }).collect()
    });
    combine(&|f| {
        statuses.iter().map(|s| InstanceFilter { statuses: s.clone(), ..each(f) }).collect()
    });
    combine(&|f| {
        let with = |&(from, to): &(Option<u64>, Option<u64>)| InstanceFilter {
            created_from: from.map(time),
            created_to: to.map(time),
            ..each(f)
        };
        times.iter().map(with).collect()
    });
    combine(&|f| {
        let owned = |prefix: &str| prefix.to_owned();
        prefixes.iter().map(|p| InstanceFilter { id_prefix: p.map(owned), ..each(f) }).collect()
    });
    combine(&|f| all_tags.iter().map(|t| InstanceFilter { tags: t.clone(), ..each(f) }).collect());
    combine(&|f| {
        let with =
            |c: &Option<&str>| InstanceFilter { custom_status: c.map(Payload::from), ..each(f) };
        customs.iter().map(with).collect()
    });
    filters
}

#[test]
fn every_combination_of_conditions_finds_what_a_look_at_all_finds() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let stored = zoo();
    write(&storage, &stored);
    let (mut filled, filters) = (0, filters());
    for filter in &filters {
        let expected = expected(&stored, filter);
        for page_size in [4, 1_000] {
            assert_eq!(pages(&storage, filter, page_size).0, expected, "{filter:?}");
        }
        assert_eq!(storage.count(filter).unwrap(), expected.len() as u64, "{filter:?}");
        filled += usize::from(!expected.is_empty());
    }
    assert!(filled > 200, "only {filled} of {} filters find something", filters.len());
}

#[test]
fn pages_are_full_but_the_last_and_there_is_no_empty_one_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    write(&storage, &zoo());
    let by_id = InstanceFilter { id_prefix: Some(String::new()), ..InstanceFilter::default() };
    for filter in [InstanceFilter::default(), by_id] {
        for (page_size, count) in [(1, 90), (7, 13), (30, 3), (45, 2), (89, 2), (90, 1), (91, 1)] {
            let (found, pages) = pages(&storage, &filter, page_size);
            assert_eq!((found.len(), pages), (90, count), "pages of {page_size}");
        }
    }
}

#[test]
fn nothing_stored_is_one_empty_page_and_a_count_of_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    for filter in filters().into_iter().step_by(7) {
        assert_eq!(page(&storage, &filter, 1, None), InstancePage::default());
        assert_eq!(storage.count(&filter).unwrap(), 0);
    }
}

#[test]
fn time_of_a_start_at_the_end_of_time_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let mut last = record(RuntimeStatus::Running);
    last.created_at = Timestamp::from_millis(u64::MAX);
    write(&storage, &vec![(id("last"), last)]);
    for created_to in [None, Some(time(u64::MAX))] {
        let created_from = Some(time(u64::MAX));
        let filter = InstanceFilter { created_from, created_to, ..InstanceFilter::default() };
        assert_eq!(page(&storage, &filter, 9, None).instances.len(), 1);
        assert_eq!(storage.count(&filter).unwrap(), 1);
    }
}

/// What changes between two pages may be missed or seen, but nothing else is, and nothing twice.
#[test]
fn page_goes_on_behind_the_last_although_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let stored = zoo();
    write(&storage, &stored);
    let by_id = InstanceFilter { id_prefix: Some(String::new()), ..InstanceFilter::default() };
    for filter in [InstanceFilter::default(), by_id] {
        let all = pages(&storage, &filter, 1_000).0;
        let first = page(&storage, &filter, 10, None);
        let (gone, gone_record) = first.instances.last().unwrap();
        commit(&storage, purge_batch(gone, gone_record));
        let rest = page(&storage, &filter, 1_000, first.continuation);
        assert_eq!(rest.instances, all[10..]);
    }
}

#[test]
fn orchestration_is_found_as_it_is_and_not_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let before = record(RuntimeStatus::Running);
    write(&storage, &vec![(id("a"), before.clone())]);
    let mut now = record(RuntimeStatus::Failed);
    now.custom_status = Some(Payload::from("1"));
    let row = OrchestrationRow {
        record: now.clone(),
        history_stored: 0,
        events: Vec::new(),
        replaces: None,
        indexed: None,
    };
    let orchestrations = vec![(id("a"), after(&before, row))];
    commit(&storage, CommitBatch { orchestrations, ..CommitBatch::default() });
    let of = |status| InstanceFilter { statuses: vec![status], ..InstanceFilter::default() };
    assert_eq!(storage.count(&of(RuntimeStatus::Running)).unwrap(), 0);
    let found = page(&storage, &of(RuntimeStatus::Failed), 9, None);
    assert_eq!(found.instances, [(id("a"), now)]);
}

/// A writer moves an orchestration from one stream of entries to another and back, all the time.
#[test]
fn page_is_as_of_one_moment_while_commits_go_on() {
    const COMMITS: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let records = [RuntimeStatus::Running, RuntimeStatus::Suspended].map(record);
    write(&storage, &vec![(id("a"), records[0].clone())]);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..COMMITS {
                let (before, now) = (&records[number % 2], &records[(number + 1) % 2]);
                let row = OrchestrationRow {
                    record: now.clone(),
                    history_stored: 0,
                    events: Vec::new(),
                    replaces: None,
                    indexed: Some(Box::new(Indexed::of(before))),
                };
                let orchestrations = vec![(id("a"), row)];
                commit(&storage, CommitBatch { orchestrations, ..CommitBatch::default() });
            }
            ended.store(true, Ordering::Release);
        });
        while !ended.load(Ordering::Acquire) {
            let found = page(&storage, &InstanceFilter::default(), 9, None);
            assert_eq!(found.instances.len(), 1);
            assert_eq!(storage.count(&InstanceFilter::default()).unwrap(), 1);
        }
    });
}

#[test]
fn page_looks_at_so_many_and_no_more_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let others = CANDIDATES_MAX + 5;
    let mut stored: Stored = (0..others)
        .map(|number| (id(&format!("a{number:05}")), record(RuntimeStatus::Running)))
        .collect();
    stored.push((id("a99999"), record(RuntimeStatus::Failed)));
    write(&storage, &stored);
    for filter in [
        InstanceFilter {
            id_prefix: Some("a".to_owned()),
            statuses: vec![RuntimeStatus::Failed],
            ..InstanceFilter::default()
        },
        InstanceFilter {
            tags: record(RuntimeStatus::Running).tags,
            statuses: vec![RuntimeStatus::Failed],
            ..InstanceFilter::default()
        },
    ] {
        let first = page(&storage, &filter, 3, None);
        assert!(first.instances.is_empty() && first.continuation.is_some());
        let second = page(&storage, &filter, 3, first.continuation);
        assert_eq!(second.instances.len(), 1);
        assert_eq!(second.continuation, None);
        assert_eq!(storage.count(&filter).unwrap(), 1, "a count looks at all");
    }
    let all = page(&storage, &InstanceFilter::default(), usize::MAX, None);
    assert_eq!(all.instances.len(), CANDIDATES_MAX);
}

#[test]
fn page_of_large_rows_is_short_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let large = 1 << 20;
    let stored: Stored = (0..20)
        .map(|number| {
            let mut record = record(RuntimeStatus::Running);
            record.input = Payload::from("x".repeat(large));
            (id(&format!("a{number:02}")), record)
        })
        .collect();
    write(&storage, &stored);
    let first = page(&storage, &InstanceFilter::default(), 100, None);
    assert_eq!(first.instances.len(), CANDIDATE_BYTES_MAX / large);
    let (found, count) = pages(&storage, &InstanceFilter::default(), 100);
    assert!(found == stored && count == 2);
}

#[test]
fn wrong_continuation_is_refused_by_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    write(&storage, &zoo());
    let by_id = InstanceFilter { id_prefix: Some(String::new()), ..InstanceFilter::default() };
    let by_time = InstanceFilter::default();
    let good = |filter| page(&storage, filter, 1, None).continuation.unwrap();
    let (of_id, of_time) = (good(&by_id), good(&by_time));
    let mut changed = of_time.clone();
    changed.replace_range(4..5, if &of_time[4..5] == "0" { "1" } else { "0" });
    let long = "é".repeat(500);
    for (filter, text) in [
        (&by_time, ""),
        (&by_time, "?"),
        (&by_time, "00"),
        (&by_time, "0000000000"),
        (&by_time, long.as_str()),
        (&by_time, changed.as_str()),
        (&by_time, &of_time[..of_time.len() - 2]),
        (&by_time, of_id.as_str()),
        (&by_id, of_time.as_str()),
    ] {
        let query = InstanceQuery {
            filter: filter.clone(),
            page_size: 1,
            continuation: Some(text.to_owned()),
        };
        let error = storage.query(&query).unwrap_err().to_string();
        let shown: String = text.chars().take(80).collect();
        assert_eq!(
            error,
            format!("the continuation `{shown}` is none that a page of such a query had")
        );
    }
}
