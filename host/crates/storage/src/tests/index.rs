//! The index says of every instance what its row says, and nothing else, after every commit. What is
//! only about entities is in `entity_index.rs`.

use everstate_engine::storage::{
    CommitBatch, Indexed, OrchestrationRow, PurgedRow, StoredInstance,
};
use everstate_types::{
    EntityId, EntityRecord, ExecutionId, FunctionName, InstanceId, OrchestrationRecord, Payload,
    RuntimeStatus,
};
use uuid::Uuid;

use super::{
    after, both_turns, commit, compact, entity_record, entity_row, first_turn, keys_in, load, lock,
    locked_record, open, orchestration_batch, purge_batch, record, row, time,
};
use crate::RocksStorage;
use crate::index::{Entries, IndexedEntity};
use crate::key::Family;

/// The entries that all stored rows need, recomputed.
fn recomputed(storage: &RocksStorage) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let mut entries = Entries::default();
    for key in keys_in(storage, Family::Instances) {
        let id = instance_id(&key);
        match load(storage, &id) {
            StoredInstance::Orchestration { record, .. } => {
                entries.set(&id, Some(&Indexed::of(&record)));
            }
            StoredInstance::Entity(_) if id.is_receipt() => continue,
            StoredInstance::Entity(record) => {
                entries.set_entity(&id, Some(IndexedEntity::of(&record)));
            }
        }
        keys.extend(entries.keys().map(<[u8]>::to_vec));
    }
    keys.sort();
    keys
}

/// The instance whose row has this key.
fn instance_id(key: &[u8]) -> InstanceId {
    let text = str::from_utf8(&key[9..]).unwrap();
    match text.strip_prefix('@').and_then(|rest| rest.split_once('@')) {
        Some((name, key)) => EntityId::from_stored(name, key).instance_id(),
        None => InstanceId::orchestration(text).unwrap(),
    }
}

pub(super) fn check(storage: &RocksStorage, step: &str) {
    assert_eq!(keys_in(storage, Family::Index), recomputed(storage), "{step}");
}

fn tag(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// A step of an orchestration's life.
type Change = fn(&mut OrchestrationRecord);

#[test]
fn entries_follow_an_orchestration_through_its_life() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let mut before = record(RuntimeStatus::Pending);
    commit(&storage, orchestration_batch(1, row(RuntimeStatus::Pending, 0, Vec::new())));
    check(&storage, "it began");
    assert_eq!(keys_in(&storage, Family::Index).len(), 3, "name, id, one tag");
    let changes: [(&str, Change); 9] = [
        ("it runs", |record| record.status = RuntimeStatus::Running),
        ("nothing that is indexed changes", |record| record.updated_at = time(99)),
        ("a custom status", |record| record.custom_status = Some(Payload::from("\"half\""))),
        ("another one", |record| record.custom_status = Some(Payload::from("\"done\""))),
        ("none", |record| record.custom_status = None),
        ("it pauses", |record| record.status = RuntimeStatus::Suspended),
        ("it goes on", |record| record.status = RuntimeStatus::Running),
        ("started again with other tags, one of them twice", |record| {
            record.tags = vec![tag("a", "1"), tag("team", "blue"), tag("a", "1"), tag("a", "2")];
            record.created_at = time(50);
            record.status = RuntimeStatus::Pending;
        }),
        ("started again by another name", |record| {
            record.name = FunctionName::new("TRANSFER-2").unwrap();
            record.tags.clear();
        }),
    ];
    for (step, change) in changes {
        let mut next = row(RuntimeStatus::Running, 4, Vec::new());
        next.record = before.clone();
        change(&mut next.record);
        let record = next.record.clone();
        commit(&storage, orchestration_batch(1, after(&before, next)));
        before = record;
        // The history does not matter here; without one the record can be read alone.
        check_keys(&storage, &before, step);
    }
    commit(&storage, purge_batch(&super::orchestration_id(), &before));
    assert!(keys_in(&storage, Family::Index).is_empty());
}

/// As [`check`], for the only orchestration, whose history is not there.
fn check_keys(storage: &RocksStorage, record: &OrchestrationRecord, step: &str) {
    let mut entries = Entries::default();
    entries.set(&super::orchestration_id(), Some(&Indexed::of(record)));
    let mut keys: Vec<_> = entries.keys().map(<[u8]>::to_vec).collect();
    keys.sort();
    assert_eq!(keys_in(storage, Family::Index), keys, "{step}");
}

/// What a commit writes to the index: deletes and puts.
#[test]
fn commit_writes_the_difference_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let mut before = record(RuntimeStatus::Pending);
    commit(&storage, orchestration_batch(1, row(RuntimeStatus::Pending, 0, Vec::new())));
    let steps: [(&str, Change, u64); 4] = [
        ("nothing that is indexed", |record| record.updated_at = time(8), 0),
        ("the status", |record| record.status = RuntimeStatus::Running, 2),
        ("a custom status", |record| record.custom_status = Some(Payload::from("1")), 1),
        ("another custom status", |record| record.custom_status = Some(Payload::from("2")), 2),
    ];
    for (step, change, writes) in steps {
        storage.db().flush_cf(storage.families().index).unwrap();
        let mut next = row(RuntimeStatus::Running, 0, Vec::new());
        next.record = before.clone();
        change(&mut next.record);
        let now = next.record.clone();
        commit(&storage, orchestration_batch(2, after(&before, next)));
        before = now;
        let index = storage.families().index;
        let written =
            storage.db().property_int_value_cf(index, "rocksdb.num-entries-active-mem-table");
        assert_eq!(written.unwrap(), Some(writes), "{step}");
    }
}

/// A generator of small numbers from a seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let at = self.below(from.len() as u64);
        from[usize::try_from(at).unwrap()].clone()
    }

    fn record(&mut self, execution: u128) -> OrchestrationRecord {
        let mut record = record(RuntimeStatus::Running);
        record.execution_id = ExecutionId::new(Uuid::from_u128(execution));
        record.name = FunctionName::new(self.pick(&["Order", "order", "Pay", "Order2"])).unwrap();
        record.created_at = time(self.below(5));
        let tags = [tag("a", "1"), tag("a", "2"), tag("b", "1")];
        record.tags = (0..self.below(4)).map(|_| self.pick(&tags)).collect();
        self.change(&mut record);
        record
    }

    fn entity(&mut self) -> Option<EntityRecord> {
        let values = ["1", "2", "3"];
        let field =
            |dice: &mut Self, name: &str| (name.to_owned(), Payload::from(dice.pick(&values)));
        let mut record = match self.below(4) {
            0 => return None,
            1 => locked_record(),
            _ => entity_record("1"),
        };
        if record.state.value.is_some() {
            record.state.fields =
                ["a", "b", "c"][..self.pick(&[0, 1, 3])].iter().map(|n| field(self, n)).collect();
            record.lock = self.pick(&[None, Some(lock())]);
        }
        Some(record)
    }

    fn change(&mut self, record: &mut OrchestrationRecord) {
        use RuntimeStatus::{Completed, Failed, Pending, Running, Suspended, Terminated};
        record.status = self.pick(&[Pending, Running, Suspended, Completed, Failed, Terminated]);
        record.custom_status = self.pick(&[None, Some("1"), Some("2")]).map(Payload::from);
    }
}

/// One orchestration of a random run: what is stored of it.
type Known = Option<OrchestrationRecord>;

/// Starts, changes, starts again or purges; gives what is written.
fn random_step(
    dice: &mut Dice,
    id: &InstanceId,
    known: &mut Known,
    execution: u128,
    batch: &mut CommitBatch,
) {
    let before = known.take();
    let indexed = before.as_ref().map(|before| Box::new(Indexed::of(before)));
    let (record, history_stored, events, replaces) = match (&before, dice.below(8)) {
        (Some(before), 0) => {
            let indexed = Box::new(Indexed::of(before));
            let purged = PurgedRow { execution_id: before.execution_id, indexed };
            batch.purged.push((id.clone(), purged));
            return;
        }
        (Some(before), 2..) => {
            let mut record = before.clone();
            dice.change(&mut record);
            (record, 0, both_turns(), Some(before.execution_id))
        }
        (before, _) => {
            let replaces = before.as_ref().map(|before| before.execution_id);
            (dice.record(execution), 0, first_turn(), replaces)
        }
    };
    *known = Some(record.clone());
    let row = OrchestrationRow { record, history_stored, events, replaces, indexed };
    batch.orchestrations.push((id.clone(), row));
}

#[test]
fn random_runs_leave_exactly_the_entries_that_the_rows_need() {
    for seed in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let mut storage = open(folder.path());
        let mut dice = Dice(seed);
        let ids = ["a", "aa", "b", "c"].map(|id| InstanceId::orchestration(id).unwrap());
        let mut known: [Known; 4] = Default::default();
        let entities = [("A", "x"), ("a", ""), ("a-b", "x@y"), ("b", "é")]
            .map(|(name, key)| EntityId::new(name, key).unwrap());
        let receipt = InstanceId::receipt(&entities[0], "key");
        let entities =
            [entities.map(|entity| entity.instance_id()).to_vec(), vec![receipt]].concat();
        for step in 0..150 {
            let mut batch = CommitBatch::default();
            for (id, known) in ids.iter().zip(&mut known) {
                if dice.below(2) == 0 {
                    random_step(&mut dice, id, known, 100 + step, &mut batch);
                }
            }
            for id in &entities {
                if dice.below(2) == 0 {
                    batch.entities.push(entity_row(&storage, id, dice.entity()));
                }
            }
            commit(&storage, batch);
            match dice.below(12) {
                0 => compact(&storage, Family::Index),
                1 => storage.db().flush_cf(storage.families().index).unwrap(),
                2 => {
                    drop(storage);
                    storage = open(folder.path());
                }
                _ => {}
            }
            check(&storage, &format!("seed {seed}, step {step}"));
        }
        assert!(known.iter().any(Option::is_some));
        compact(&storage, Family::Index);
        check(&storage, "all in files");
    }
}
