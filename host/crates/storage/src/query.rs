//! Finding orchestrations: a page of those that fit, and how many there are.

use everstate_engine::storage::{Indexed, InstanceFilter, InstancePage, InstanceQuery};
use everstate_types::{InstanceId, OrchestrationRecord};

use crate::codec::damaged;
use crate::continuation::{self, Position};
use crate::db::RocksStorage;
use crate::error::{Error, Result};
use crate::index::{Entries, IndexKind};
use crate::key::Row;
use crate::read::View;
use crate::scan::{self, Candidate, Scan, ScannedBy};

/// Most instances that are looked at for one page, whether they fit or not: the time that a
/// page takes has a bound.
pub(crate) const CANDIDATES_MAX: usize = 10_000;

/// Bytes of rows and large values that are read for one page; the row that reaches them is the last.
pub(crate) const CANDIDATE_BYTES_MAX: usize = 16 << 20;

impl RocksStorage {
    /// A page of the orchestrations that fit.
    pub(crate) fn read_page(&self, query: &InstanceQuery) -> Result<InstancePage> {
        let filter = &query.filter;
        let after = query.continuation.as_deref().map(|text| start_of_page(filter, text));
        let after = after.transpose()?;
        let view = View::new(self, true);
        let scan = Scan::begin(&view, filter, after.as_ref())?;
        let mut loader = Loader::new(&view);
        let (instances, continuation) = fill_page(scan, query.page_size, |candidate| {
            let (record, bytes) = loader.load(candidate)?;
            let id = candidate.position.instance_id();
            Ok((fits(filter, &id, &record).then_some((id, record)), bytes))
        })?;
        Ok(InstancePage { instances, continuation })
    }

    /// The orchestrators of all that is stored, in lower case.
    pub(crate) fn read_orchestrators(&self) -> Result<Vec<String>> {
        scan::names(&View::new(self, false), IndexKind::Name)
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
            count += u64::from(fits(filter, &candidate.position.instance_id(), &record));
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
        let id = candidate.position.instance_id();
        let (record, bytes) = self.view.record(&id)?.ok_or_else(|| not_stored(&id))?;
        self.entries.set(&id, Some(&Indexed::of(&record)));
        check_entry(&self.entries, candidate, &id)?;
        Ok((record, bytes))
    }
}

/// Looks at candidates until the page is full or has taken its time: what is in it, and where the
/// next one begins. `load` gives what fits, and how many bytes were read for it.
pub(crate) fn fill_page<T>(
    mut scan: Scan<'_>,
    page_size: usize,
    mut load: impl FnMut(&Candidate) -> Result<(Option<T>, usize)>,
) -> Result<(Vec<T>, Option<String>)> {
    let mut page = Vec::new();
    let mut last: Option<Position> = None;
    let (mut candidates, mut bytes) = (0, 0);
    while let Some(candidate) = scan.next()? {
        if let Some(last) = &last
            && (page.len() >= page_size
                || candidates >= CANDIDATES_MAX
                || bytes >= CANDIDATE_BYTES_MAX)
        {
            return Ok((page, Some(last.to_text())));
        }
        let (fitting, bytes_read) = load(&candidate)?;
        candidates += 1;
        bytes += bytes_read;
        page.extend(fitting);
        last = Some(candidate.position);
    }
    Ok((page, None))
}

/// Checks that the row of the candidate needs the entry that led to it. `entries` are all that it
/// needs.
pub(crate) fn check_entry(entries: &Entries, candidate: &Candidate, id: &InstanceId) -> Result<()> {
    if entries.keys().any(|key| key == candidate.key) {
        return Ok(());
    }
    let reason = format!("it has an entry of `{id}` that does not fit what is stored");
    Err(damaged(Row::Index, reason))
}

/// The error for an entry whose row is missing.
pub(crate) fn not_stored(id: &InstanceId) -> Error {
    damaged(Row::Index, format!("it has an entry of `{id}`, which is not stored"))
}

/// The place that a continuation names, if it is one in the order of this filter's scan.
fn start_of_page(filter: &InstanceFilter, text: &str) -> Result<Position> {
    let position = Position::from_text(text)?;
    match (&position, ScannedBy::of(filter)) {
        (Position::Id(_), ScannedBy::Id)
        | (Position::Created(..), ScannedBy::CustomStatus | ScannedBy::Tag | ScannedBy::Name) => {
            Ok(position)
        }
        _ => Err(continuation::wrong(text)),
    }
}

/// Whether all entries that the scan for this filter finds fit, so that nothing need be loaded.
fn keys_suffice(filter: &InstanceFilter) -> bool {
    match ScannedBy::of(filter) {
        ScannedBy::Name => true,
        ScannedBy::Id => {
            let rest = InstanceFilter { id_prefix: None, ..filter.clone() };
            rest == InstanceFilter::default()
        }
        // Their keys have hashes.
        ScannedBy::Tag | ScannedBy::CustomStatus => false,
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
