//! Pages and counts of entities: they have what a look at all of them would give.

use everstate_engine::storage::{EntityFilter, EntityPage, EntityQuery, Storage};
use everstate_types::{EntityId, EntityRecord, FunctionName, Payload, Timestamp};

use super::{
    CommitBatch, commit, digits, entity_record, entity_row, lock, locked_record, new_entity_row,
    open, time, write_entity_as,
};
use crate::RocksStorage;
use crate::query::{CANDIDATE_BYTES_MAX, CANDIDATES_MAX};

type Stored = Vec<(EntityId, EntityRecord)>;

fn entity(name: &str, key: &str) -> EntityId {
    EntityId::new(name, key).unwrap()
}

fn write(storage: &RocksStorage, stored: &Stored) {
    let row = |(id, record): &(EntityId, EntityRecord)| {
        (id.instance_id(), new_entity_row(record.clone()))
    };
    let entities = stored.iter().map(row).collect();
    commit(storage, CommitBatch { entities, ..CommitBatch::default() });
}

fn field(name: &str, value: &str) -> (String, Payload) {
    (name.to_owned(), Payload::from(value))
}

/// A hundred entities that differ in everything that can be asked for, in no order.
fn zoo() -> Stored {
    let names = ["Account", "account2", "acc", "Ünit", "a-b"];
    let made = |number: u64| {
        let at = |of: usize| usize::try_from(number).unwrap() % of;
        let mut record = if number % 7 == 3 {
            locked_record()
        } else {
            let mut record = entity_record(&number.to_string());
            record.state.fields = match number % 4 {
                0 => vec![],
                1 => vec![field("owner", "\"eve\"")],
                2 => vec![field("owner", "\"eve\""), field("size", "1")],
                _ => vec![field("owner", "\"bob\""), field("size", "2")],
            };
            record.lock = number.is_multiple_of(3).then(lock);
            record
        };
        record.last_operation_at = time(number * 37 % 40);
        let prefix = ["", "a", "a@b", "ä"][at(4)];
        (entity(names[at(5)], &format!("{prefix}{number}")), record)
    };
    (0..100).rev().map(made).collect()
}

fn page(
    storage: &RocksStorage,
    filter: &EntityFilter,
    page_size: usize,
    continuation: Option<String>,
) -> EntityPage {
    let query =
        EntityQuery { filter: filter.clone(), page_size, continuation, fetches_state: true };
    storage.query_entities(&query).expect("the data is good")
}

/// All pages, one after the other.
fn pages(storage: &RocksStorage, filter: &EntityFilter, page_size: usize) -> Stored {
    let (mut found, mut count, mut continuation) = (Stored::new(), 0, None);
    loop {
        let page = page(storage, filter, page_size, continuation);
        assert!(page.entities.len() <= page_size);
        found.extend(page.entities);
        count += 1;
        assert!(count < 1_000, "the pages come to no end");
        continuation = page.continuation;
        if continuation.is_none() {
            return found;
        }
    }
}

/// What a look at all of them gives.
fn expected(stored: &Stored, filter: &EntityFilter) -> Stored {
    let mut found = stored.clone();
    found.retain(|(id, record)| {
        filter.name.as_ref().is_none_or(|name| name.as_str().to_lowercase() == id.name())
            && filter.key_prefix.as_ref().is_none_or(|prefix| id.key().starts_with(prefix))
            && filter.last_operation_from.is_none_or(|from| from <= record.last_operation_at)
            && filter.last_operation_to.is_none_or(|to| record.last_operation_at <= to)
            && filter.fields.iter().all(|field| record.state.fields.contains(field))
            && (filter.includes_stateless || record.state.value.is_some())
            && (!filter.only_locked || record.lock.is_some())
    });
    found.sort_by_key(|(id, _)| (id.name().to_owned(), id.key().to_owned()));
    found
}

/// Every combination of these conditions.
fn filters() -> Vec<EntityFilter> {
    let names = [None, Some("ACCOUNT"), Some("acc"), Some("ünit"), Some("Unknown")];
    let prefixes = [None, Some(""), Some("a"), Some("a@"), Some("ä"), Some("1")];
    let times: [(Option<u64>, Option<u64>); 4] =
        [(None, None), (Some(10), None), (None, Some(30)), (Some(7), Some(22))];
    let fields = [
        vec![],
        vec![field("owner", "\"eve\"")],
        vec![field("size", "1"), field("owner", "\"eve\"")],
        vec![field("owner", "eve")],
    ];
    let mut filters = Vec::new();
    for name in names {
        for prefix in prefixes {
            for (from, to) in times {
                for fields in &fields {
                    for (includes_stateless, only_locked) in
                        [(false, false), (true, false), (false, true), (true, true)]
                    {
                        filters.push(EntityFilter {
                            name: name.map(|name| FunctionName::new(name).unwrap()),
                            key_prefix: prefix.map(str::to_owned),
                            last_operation_from: from.map(Timestamp::from_millis),
                            last_operation_to: to.map(Timestamp::from_millis),
                            fields: fields.clone(),
                            includes_stateless,
                            only_locked,
                        });
                    }
                }
            }
        }
    }
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
        for page_size in [3, 1_000] {
            assert_eq!(pages(&storage, filter, page_size), expected, "{filter:?}");
        }
        assert_eq!(storage.count_entities(filter).unwrap(), expected.len() as u64, "{filter:?}");
        filled += usize::from(!expected.is_empty());
    }
    assert!(filled > 200, "only {filled} of {} filters find something", filters.len());
}

#[test]
fn pages_are_full_but_the_last_and_there_is_no_empty_one_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    write(&storage, &zoo());
    let all = EntityFilter { includes_stateless: true, ..EntityFilter::default() };
    let first = page(&storage, &all, 99, None);
    assert_eq!(first.entities.len(), 99);
    let second = page(&storage, &all, 99, first.continuation);
    assert_eq!((second.entities.len(), second.continuation), (1, None));
    assert_eq!(page(&storage, &all, 100, None).continuation, None);
}

#[test]
fn nothing_stored_is_one_empty_page_and_a_count_of_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    for filter in filters().into_iter().step_by(7) {
        assert_eq!(page(&storage, &filter, 1, None), EntityPage::default());
        assert_eq!(storage.count_entities(&filter).unwrap(), 0);
    }
}

/// Orchestrations and receipts are beside the entities, and no part of what is found.
#[test]
fn orchestrations_are_found_by_no_query_of_entities_and_entities_by_none_of_orchestrations() {
    use everstate_engine::storage::InstanceFilter;

    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let row = super::row(super::RuntimeStatus::Running, 0, Vec::new());
    commit(&storage, super::orchestration_batch(1, row));
    write(&storage, &vec![(entity("Transfer", "1"), entity_record("1"))]);
    let all = EntityFilter { includes_stateless: true, ..EntityFilter::default() };
    assert_eq!(storage.count_entities(&all).unwrap(), 1);
    assert_eq!(storage.count(&InstanceFilter::default()).unwrap(), 1);
    for id_prefix in ["", "@"] {
        let filter =
            InstanceFilter { id_prefix: Some(id_prefix.to_owned()), ..InstanceFilter::default() };
        let expected = u64::from(id_prefix.is_empty());
        assert_eq!(storage.count(&filter).unwrap(), expected);
    }
}

#[test]
fn without_values_a_state_that_exists_is_null_and_all_else_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let stored = zoo();
    write(&storage, &stored);
    let filter = EntityFilter { includes_stateless: true, ..EntityFilter::default() };
    let mut expected = expected(&stored, &filter);
    for (_, record) in &mut expected {
        record.state.value = record.state.value.as_ref().map(|_| Payload::null());
    }
    let query = EntityQuery { filter, page_size: 1_000, continuation: None, fetches_state: false };
    assert_eq!(storage.query_entities(&query).unwrap().entities, expected);
}

/// What changes between two pages may be missed or seen, but nothing else is, and nothing twice.
#[test]
fn page_goes_on_behind_the_last_although_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    write(&storage, &zoo());
    let name = FunctionName::new("account").ok();
    let fields = vec![field("owner", "\"eve\"")];
    for filter in [
        EntityFilter { name: name.clone(), ..EntityFilter::default() },
        EntityFilter { name, fields, ..EntityFilter::default() },
        EntityFilter { includes_stateless: true, ..EntityFilter::default() },
    ] {
        let all = pages(&storage, &filter, 1_000);
        let first = page(&storage, &filter, 4, None);
        write_entity_as(&storage, &first.entities[3].0.instance_id(), None);
        let rest = page(&storage, &filter, 1_000, first.continuation);
        assert_eq!(rest.entities, all[4..]);
    }
}

#[test]
fn entity_is_found_as_it_is_and_not_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let id = entity("account", "1");
    let with = |value: &str| {
        let mut record = entity_record("1");
        record.state.fields = vec![field("owner", value)];
        record
    };
    let found = |value: &str| {
        let fields = vec![field("owner", value)];
        let name = FunctionName::new("account").ok();
        storage.count_entities(&EntityFilter { name, fields, ..EntityFilter::default() }).unwrap()
    };
    for (before, now) in [("\"a\"", "\"b\""), ("\"b\"", "\"c\""), ("\"c\"", "\"a\"")] {
        write_entity_as(&storage, &id.instance_id(), Some(with(now)));
        assert_eq!((found(before), found(now)), (0, 1));
    }
}

#[test]
fn page_looks_at_so_many_and_no_more_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let mut stored: Stored = (0..CANDIDATES_MAX + 5)
        .map(|number| (entity("account", &format!("{number:05}")), entity_record("1")))
        .collect();
    let mut last = entity_record("1");
    last.last_operation_at = time(99);
    stored.push((entity("account", "99999"), last));
    write(&storage, &stored);
    let last_operation_from = Some(time(99));
    let filter = EntityFilter { last_operation_from, ..EntityFilter::default() };
    let first = page(&storage, &filter, 3, None);
    assert!(first.entities.is_empty() && first.continuation.is_some());
    let second = page(&storage, &filter, 3, first.continuation);
    assert_eq!((second.entities.len(), second.continuation), (1, None));
    assert_eq!(storage.count_entities(&filter).unwrap(), 1, "a count looks at all");
}

#[test]
fn page_of_long_states_is_short_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let long = 512 << 10;
    let state = digits(long);
    let stored: Stored = (0..40)
        .map(|number| (entity("account", &format!("{number:02}")), entity_record(&state)))
        .collect();
    write(&storage, &stored);
    let first = page(&storage, &EntityFilter::default(), 100, None);
    assert_eq!(first.entities.len(), CANDIDATE_BYTES_MAX / long);
    assert!(pages(&storage, &EntityFilter::default(), 100) == stored);
}

#[test]
fn wrong_continuation_is_refused_by_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    write(&storage, &zoo());
    let good = page(&storage, &EntityFilter::default(), 1, None).continuation.unwrap();
    let mut changed = good.clone();
    changed.replace_range(4..5, if &good[4..5] == "0" { "1" } else { "0" });
    let of_orchestration = crate::continuation::Position::Id(super::orchestration_id()).to_text();
    for text in ["", "?", "0000000000", &changed, &good[..good.len() - 2], &of_orchestration] {
        let query = EntityQuery {
            filter: EntityFilter::default(),
            page_size: 1,
            continuation: Some(text.to_owned()),
            fetches_state: true,
        };
        let error = storage.query_entities(&query).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("the continuation `{text}` is none that a page of such a query had")
        );
    }
}

/// An entry of the index that no row needs is not passed over: the row that is missing may be the
/// damage.
#[test]
fn entry_of_the_index_that_does_not_fit_the_rows_is_damage() {
    for (key, text) in [
        (
            b"\x05account\0other".to_vec(),
            "it has an entry of `@account@other`, which is not stored",
        ),
        (
            b"\x05account\0locked".to_vec(),
            "it has an entry of `@account@locked` that does not fit what is stored",
        ),
        (b"\x05account\0\xff".to_vec(), "a key is none of an entry"),
        (b"\x05account".to_vec(), "a key has no name"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let storage = open(folder.path());
        let locked = entity("account", "locked").instance_id();
        let row = entity_row(&storage, &locked, Some(locked_record()));
        commit(&storage, CommitBatch { entities: vec![row], ..CommitBatch::default() });
        storage.db().put_cf(storage.families().index, key, []).unwrap();
        let query = EntityQuery {
            filter: EntityFilter::default(),
            page_size: 9,
            continuation: None,
            fetches_state: true,
        };
        let error = storage.query_entities(&query).unwrap_err().to_string();
        assert_eq!(error, format!("the stored family `index` is damaged: {text}"));
    }
}
