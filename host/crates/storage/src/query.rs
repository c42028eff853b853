//! Finding orchestrations: a page of those that fit, and how many there are.

use everstate_engine::storage::{Indexed, InstanceFilter, InstancePage, InstanceQuery};
use everstate_types::{InstanceId, OrchestrationRecord};

use crate::codec::damaged;
use crate::continuation::{self, Position};
use crate::db::RocksStorage;
use crate::error::Result;
use crate::index::{Entries, IndexKind};
use crate::key::Row;
use crate::read::View;
use crate::scan::{Candidate, Scan, driving_kind};

/// Most orchestrations that are looked at for one page, whether they fit or not: the time that a
/// page takes has a bound.
pub(crate) const CANDIDATES_MAX: usize = 10_000;

/// Bytes of rows that are read for one page; the row that reaches them is the last.
pub(crate) const CANDIDATE_BYTES_MAX: usize = 16 << 20;

impl RocksStorage {
    /// A page of the orchestrations that fit.
    pub(crate) fn read_page(&self, query: &InstanceQuery) -> Result<InstancePage> {
        let filter = &query.filter;
        let after = query.continuation.as_deref().map(|text| start_of_page(filter, text));
        let after = after.transpose()?;
        let view = View::new(self, true);
        let mut scan = Scan::begin(&view, filter, after.as_ref())?;
        let mut loader = Loader::new(&view);
        let mut page = InstancePage::default();
        let mut last: Option<Position> = None;
        let (mut candidates, mut bytes) = (0, 0);
        while let Some(candidate) = scan.next()? {
            if let Some(last) = &last
                && (page.instances.len() >= query.page_size
                    || candidates >= CANDIDATES_MAX
                    || bytes >= CANDIDATE_BYTES_MAX)
            {
                page.continuation = Some(last.to_text());
                break;
            }
            let (record, row_bytes) = loader.load(&candidate)?;
            candidates += 1;
            bytes += row_bytes;
            if fits(filter, candidate.position.id(), &record) {
                page.instances.push((candidate.position.id().clone(), record));
            }
            last = Some(candidate.position);
        }
        Ok(page)
    }

    /// How many orchestrations fit.
    pub(crate) fn read_count(&self, filter: &InstanceFilter) -> Result<u64> {
        // What is read once for a number must not push out what is in use.
        let view = View::new(self, false);
        let mut scan = Scan::begin(&view, filter, None)?;
        if keys_suffice(filter) {
            return scan.count();
        }
        let mut loader = Loader::new(&view);
        let mut count = 0;
        while let Some(candidate) = scan.next()? {
            let (record, _) = loader.load(&candidate)?;
            count += u64::from(fits(filter, candidate.position.id(), &record));
        }
        Ok(count)
    }
}

/// Loads the orchestrations that entries of the index stand for.
struct Loader<'a> {
    view: &'a View<'a>,
    entries: Entries,
}

impl<'a> Loader<'a> {
    fn new(view: &'a View<'a>) -> Self {
        Self { view, entries: Entries::default() }
    }

    /// The record, and how many bytes its row has.
    fn load(&mut self, candidate: &Candidate) -> Result<(OrchestrationRecord, usize)> {
        let id = candidate.position.id();
        let (record, bytes) = self.view.record(id)?.ok_or_else(|| {
            damaged(Row::Index, format!("it has an entry of `{id}`, which is not stored"))
        })?;
        self.entries.set(id, Some(&Indexed::of(&record)));
        if self.entries.keys().all(|key| key != candidate.key) {
            let reason = format!("it has an entry of `{id}` that does not fit what is stored");
            return Err(damaged(Row::Index, reason));
        }
        Ok((record, bytes))
    }
}

/// The place that a continuation names, if it is one in the order of this filter's scan.
fn start_of_page(filter: &InstanceFilter, text: &str) -> Result<Position> {
    let position = Position::from_text(text)?;
    let by_id = driving_kind(filter) == IndexKind::Id;
    if by_id == matches!(position, Position::Id(_)) {
        Ok(position)
    } else {
        Err(continuation::wrong(text))
    }
}

/// Whether all entries that the scan for this filter finds fit, so that nothing need be loaded.
fn keys_suffice(filter: &InstanceFilter) -> bool {
    match driving_kind(filter) {
        IndexKind::Name => true,
        IndexKind::Id => {
            let rest = InstanceFilter { id_prefix: None, ..filter.clone() };
            rest == InstanceFilter::default()
        }
        // Their keys have hashes.
        IndexKind::Tag | IndexKind::CustomStatus => false,
    }
}

fn fits(filter: &InstanceFilter, id: &InstanceId, record: &OrchestrationRecord) -> bool {
    let InstanceFilter { name, statuses, created_from, created_to, id_prefix, tags, custom_status } =
        filter;
    name.as_ref().is_none_or(|name| name.as_str().eq_ignore_ascii_case(record.name.as_str()))
        && (statuses.is_empty() || statuses.contains(&record.status))
        && created_from.is_none_or(|from| record.created_at >= from)
        && created_to.is_none_or(|to| record.created_at <= to)
        && id_prefix.as_ref().is_none_or(|prefix| id.as_str().starts_with(prefix))
        && tags.iter().all(|tag| record.tags.contains(tag))
        && custom_status.as_ref().is_none_or(|text| record.custom_status.as_ref() == Some(text))
}
