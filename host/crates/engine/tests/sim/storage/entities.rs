//! Entities in the storage: their rows, the fields that they are found by, and large values.

use std::collections::{BTreeMap, BTreeSet};

use everstate_engine::storage::{EntityRow, IndexedFields};
use everstate_types::{EntityId, EntityRecord, InstanceId, LargeId, Payload};

use super::SimStorage;

/// The rows and the index.
#[derive(Clone, Debug, Default)]
pub(super) struct EntityRows {
    /// Without the values that are stored by themselves.
    rows: BTreeMap<InstanceId, EntityRecord>,
    index: BTreeMap<InstanceId, IndexedFields>,
}

/// Values that are stored by themselves. What is stored is there after a crash.
#[derive(Debug, Default)]
pub(super) struct LargeValues {
    values: BTreeMap<LargeId, Payload>,
    next: u64,
    from_bytes: usize,
}

impl SimStorage {
    pub(crate) fn store_large(&mut self, value: &Payload) -> Option<LargeId> {
        if value.len() < self.large.from_bytes {
            return None;
        }
        let id = LargeId(self.large.next);
        self.large.next += 1;
        self.large.values.insert(id, value.clone());
        Some(id)
    }

    pub(crate) fn entity(&self, id: &InstanceId) -> Option<EntityRecord> {
        let mut record = self.written.entities.rows.get(id)?.clone();
        if let Some(large) = record.large {
            record.state.value = Some(self.large.value(id, large).clone());
        }
        Some(record)
    }

    /// Everything that a running process sees of entities.
    pub(crate) fn entities(&self) -> impl Iterator<Item = (&InstanceId, EntityRecord)> {
        let ids = self.written.entities.rows.keys();
        ids.map(|id| (id, self.entity(id).expect("it is stored")))
    }

    /// Checks that no large value is kept for nobody, as some may be while something is under way.
    pub(crate) fn check_large(&self) {
        let kept: BTreeSet<_> = self.large.values.keys().copied().collect();
        let used = self.written.entities.large();
        assert_eq!(kept, used, "large values are kept for nobody, or lost");
    }

    /// What a query finds in a field of an entity.
    pub(crate) fn indexed_field(&self, entity: &EntityId, field: &str) -> Option<&str> {
        let fields = self.written.entities.index.get(&entity.instance_id())?;
        fields.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_str())
    }
}

impl EntityRows {
    pub(super) fn apply(&mut self, id: &InstanceId, row: &EntityRow, large: &LargeValues) {
        let before = match id.is_receipt() {
            // Nobody looks for receipts.
            true => self.rows.get(id).map(|record| record.state.fields.clone()),
            false => self.index.get(id).cloned(),
        };
        assert_eq!(before, row.indexed, "the index holds something else of {id}");
        let Some(record) = &row.record else {
            self.rows.remove(id);
            self.index.remove(id);
            return;
        };
        assert!(!record.is_empty(), "{id} is stored and does not exist");
        let mut stored = record.clone();
        if let Some(large_id) = record.large {
            let value = stored.state.value.take();
            assert_eq!(value.as_ref(), Some(large.value(id, large_id)), "{id} has another value");
            assert!(!row.freed.contains(&large_id), "the value of {id} is freed and kept");
        }
        self.rows.insert(id.clone(), stored);
        if !id.is_receipt() {
            self.index.insert(id.clone(), record.state.fields.clone());
        }
    }

    fn large(&self) -> BTreeSet<LargeId> {
        self.rows.values().filter_map(|record| record.large).collect()
    }
}

impl LargeValues {
    pub(super) fn new(from_bytes: usize) -> Self {
        Self { from_bytes, ..Self::default() }
    }

    fn value(&self, id: &InstanceId, large: LargeId) -> &Payload {
        self.values.get(&large).unwrap_or_else(|| panic!("the value {large:?} of {id} is gone"))
    }

    /// Removes what the last commit that is durable refers to no more.
    pub(super) fn free(&mut self, freed: &[LargeId]) {
        for id in freed {
            assert!(self.values.remove(id).is_some(), "{id:?} is freed twice");
        }
    }

    /// Removes what was stored for a commit that never came.
    pub(super) fn collect(&mut self, rows: &EntityRows) {
        let used = rows.large();
        self.values.retain(|id, _| used.contains(id));
    }
}
