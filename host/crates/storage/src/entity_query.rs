//! Finding entities: a page of those that fit, and how many there are. How a page is filled is in
//! `query.rs`.

use everstate_engine::storage::{EntityFilter, EntityPage, EntityQuery};
use everstate_types::{EntityId, EntityRecord, Payload};

use crate::continuation::{self, Position};
use crate::db::RocksStorage;
use crate::error::Result;
use crate::index::{Entries, IndexedEntity, has_state};
use crate::key::Row;
use crate::query::{check_entry, fill_page, not_stored};
use crate::read::View;
use crate::scan::{Candidate, Scan};

impl RocksStorage {
    /// A page of the entities that fit.
    pub(crate) fn read_entity_page(&self, query: &EntityQuery) -> Result<EntityPage> {
        let filter = &query.filter;
        let after = query.continuation.as_deref().map(start_of_page).transpose()?;
        // Before the view: what rows refer to must stay as long as the rows are looked at.
        let large = self.large().begin_read();
        let view = View::new(self, true);
        let scan = Scan::of_entities(&view, filter, after.as_ref())?;
        let mut loader = Loader { view: &view, entries: Entries::default() };
        let (entities, continuation) = fill_page(scan, query.page_size, |candidate| {
            let (entity, mut record, mut bytes) = loader.load(candidate)?;
            if !fits(filter, &record) {
                return Ok((None, bytes));
            }
            if !query.fetches_state {
                record.state.value = has_state(&record).then(Payload::null);
            } else if let Some(id) = record.large {
                let value = large.value(Row::Instance(&entity.instance_id()), id)?;
                bytes += value.len();
                record.state.value = Some(value);
            }
            Ok((Some((entity, record)), bytes))
        })?;
        Ok(EntityPage { entities, continuation })
    }

    /// How many entities fit.
    pub(crate) fn read_entity_count(&self, filter: &EntityFilter) -> Result<u64> {
        // What is read once for a number must not push out what is in use.
        let view = View::new(self, false);
        let mut scan = Scan::of_entities(&view, filter, None)?;
        if keys_suffice(filter) {
            return scan.count();
        }
        let mut loader = Loader { view: &view, entries: Entries::default() };
        let mut count = 0;
        while let Some(candidate) = scan.next()? {
            let (_, record, _) = loader.load(&candidate)?;
            count += u64::from(fits(filter, &record));
        }
        Ok(count)
    }
}

/// Loads the entities that entries of the index stand for.
struct Loader<'a> {
    view: &'a View<'a>,
    entries: Entries,
}

impl Loader<'_> {
    /// The entity, its record without a large value, and how many bytes its row has.
    fn load(&mut self, candidate: &Candidate) -> Result<(EntityId, EntityRecord, usize)> {
        let Position::Entity(entity) = &candidate.position else {
            unreachable!("entities are scanned in the order of their names and keys")
        };
        let id = entity.instance_id();
        let (record, bytes) = self.view.entity(&id)?.ok_or_else(|| not_stored(&id))?;
        self.entries.set_entity(&id, Some(IndexedEntity::of(&record)));
        check_entry(&self.entries, candidate, &id)?;
        Ok((entity.clone(), record, bytes))
    }
}

/// The entity that a continuation names.
fn start_of_page(text: &str) -> Result<EntityId> {
    match Position::from_text(text)? {
        Position::Entity(entity) => Ok(entity),
        Position::Created(..) | Position::Id(_) => Err(continuation::wrong(text)),
    }
}

/// Whether all entries that the scan for this filter finds fit, so that nothing need be loaded.
fn keys_suffice(filter: &EntityFilter) -> bool {
    // The keys by fields have hashes.
    filter.fields.is_empty()
        && filter.last_operation_from.is_none()
        && filter.last_operation_to.is_none()
        && !filter.only_locked
}

/// Whether an entity fits that the scan for this filter has found: by name and key it does.
fn fits(filter: &EntityFilter, record: &EntityRecord) -> bool {
    let EntityFilter {
        name: _,
        key_prefix: _,
        last_operation_from,
        last_operation_to,
        fields,
        includes_stateless,
        only_locked,
    } = filter;
    last_operation_from.is_none_or(|from| record.last_operation_at >= from)
        && last_operation_to.is_none_or(|to| record.last_operation_at <= to)
        && fields.iter().all(|field| record.state.fields.contains(field))
        && (*includes_stateless || has_state(record))
        && (!*only_locked || record.lock.is_some())
}
