//! [`Scan`]: the entries of the index that a filter leaves, in order.
//!
//! One kind of entries is chosen, the one that probably leaves least. What its keys tell decides
//! where to begin and where to end; the rest is for who loads the rows. The time that a scan takes
//! depends on how far it is read, and not on how many orchestrations there are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use everstate_engine::storage::InstanceFilter;
use everstate_types::{InstanceId, RuntimeStatus};
use rocksdb::DBRawIterator;

use crate::codec::damaged;
use crate::continuation::Position;
use crate::error::Result;
use crate::index::{self, IndexKind};
use crate::key::{Row, make_end_of_prefix};
use crate::read::{View, read_error};

/// All statuses.
const STATUSES: [RuntimeStatus; 6] = [
    RuntimeStatus::Pending,
    RuntimeStatus::Running,
    RuntimeStatus::Suspended,
    RuntimeStatus::Completed,
    RuntimeStatus::Failed,
    RuntimeStatus::Terminated,
];

/// Entries of the index in order, merged from streams that are in order each.
pub(crate) struct Scan<'a> {
    streams: Vec<Stream<'a>>,
    /// Where each stream is that has not ended.
    heads: BinaryHeap<Reverse<(Position, usize)>>,
}

/// An entry that a scan found.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// Where it stands, and which orchestration it stands for.
    pub(crate) position: Position,
    /// Its key.
    pub(crate) key: Vec<u8>,
}

/// Adjacent entries.
struct Stream<'a> {
    rows: DBRawIterator<'a>,
    /// Bytes of each key before the time of the start; `None`: the keys are of [`IndexKind::Id`].
    created_begin: Option<usize>,
}

impl<'a> Scan<'a> {
    /// The scan for this filter, from behind `after` on.
    pub(crate) fn begin(
        view: &'a View<'_>,
        filter: &InstanceFilter,
        after: Option<&Position>,
    ) -> Result<Self> {
        let mut scan = Self { streams: Vec::new(), heads: BinaryHeap::new() };
        let mut prefix = Vec::new();
        match driving_kind(filter) {
            IndexKind::Id => scan.add_ids(view, filter, after)?,
            IndexKind::CustomStatus => {
                let text = filter.custom_status.as_ref().map_or("", |text| text.as_str());
                index::custom(&mut prefix, text);
                scan.add_created(view, prefix, filter, after)?;
            }
            IndexKind::Tag => {
                if let Some((name, value)) = filter.tags.first() {
                    index::tag(&mut prefix, name, value);
                }
                scan.add_created(view, prefix, filter, after)?;
            }
            IndexKind::Name => {
                for name in names(view, filter)? {
                    let wanted = |status: &RuntimeStatus| {
                        filter.statuses.is_empty() || filter.statuses.contains(status)
                    };
                    for status in STATUSES.into_iter().filter(wanted) {
                        let mut prefix = Vec::new();
                        index::name_and_status(&mut prefix, &name, status);
                        scan.add_created(view, prefix, filter, after)?;
                    }
                }
            }
        }
        Ok(scan)
    }

    /// The next entry.
    pub(crate) fn next(&mut self) -> Result<Option<Candidate>> {
        let Some(Reverse((position, at))) = self.heads.pop() else { return Ok(None) };
        let stream = &mut self.streams[at];
        let key = stream.rows.key().expect("the stream has not ended").to_vec();
        stream.rows.next();
        self.push_head(at)?;
        Ok(Some(Candidate { position, key }))
    }

    /// How many entries there are.
    pub(crate) fn count(self) -> Result<u64> {
        let mut count = 0;
        for mut stream in self.streams {
            while stream.rows.valid() {
                count += 1;
                stream.rows.next();
            }
            stream.rows.status().map_err(read_error)?;
        }
        Ok(count)
    }

    fn add_ids(
        &mut self,
        view: &'a View<'_>,
        filter: &InstanceFilter,
        after: Option<&Position>,
    ) -> Result<()> {
        let mut begin = Vec::new();
        index::ids(&mut begin, filter.id_prefix.as_deref().unwrap_or_default());
        let mut end = begin.clone();
        make_end_of_prefix(&mut end);
        if let Some(after) = after {
            let mut next = Vec::new();
            index::ids(&mut next, after.id().as_str());
            begin = begin.max(successor(next));
        }
        self.add(view, &begin, end, None)
    }

    fn add_created(
        &mut self,
        view: &'a View<'_>,
        prefix: Vec<u8>,
        filter: &InstanceFilter,
        after: Option<&Position>,
    ) -> Result<()> {
        let created_begin = prefix.len();
        let mut begin = prefix.clone();
        index::created(&mut begin, filter.created_from.unwrap_or_default(), &[]);
        let mut end = prefix.clone();
        if let Some(created_to) = filter.created_to {
            index::created(&mut end, created_to, &[]);
        }
        make_end_of_prefix(&mut end);
        if let Some(Position::Created(created_at, id)) = after {
            let mut next = prefix;
            index::created(&mut next, *created_at, id.as_str().as_bytes());
            begin = begin.max(successor(next));
        }
        self.add(view, &begin, end, Some(created_begin))
    }

    fn add(
        &mut self,
        view: &'a View<'_>,
        begin: &[u8],
        end: Vec<u8>,
        created_begin: Option<usize>,
    ) -> Result<()> {
        if begin < end.as_slice() {
            self.streams.push(Stream { rows: view.index_entries(begin, end), created_begin });
            self.push_head(self.streams.len() - 1)?;
        }
        Ok(())
    }

    /// Notes where this stream is, unless it has ended.
    fn push_head(&mut self, at: usize) -> Result<()> {
        let Stream { rows, created_begin } = &self.streams[at];
        if let Some(key) = rows.key() {
            let position = position(key, *created_begin)
                .ok_or_else(|| damaged(Row::Index, "a key is none of an entry"))?;
            self.heads.push(Reverse((position, at)));
            return Ok(());
        }
        rows.status().map_err(read_error)
    }
}

/// The kind of entries to be scanned for a filter: the one that probably leaves least.
pub(crate) fn driving_kind(filter: &InstanceFilter) -> IndexKind {
    if filter.id_prefix.is_some() {
        IndexKind::Id
    } else if filter.custom_status.is_some() {
        IndexKind::CustomStatus
    } else if !filter.tags.is_empty() {
        IndexKind::Tag
    } else {
        IndexKind::Name
    }
}

/// The names of the orchestrators of all that is stored and may fit, in lower case: from each the
/// iterator jumps to the next.
fn names(view: &View<'_>, filter: &InstanceFilter) -> Result<Vec<String>> {
    if let Some(name) = &filter.name {
        return Ok(vec![name.as_str().to_ascii_lowercase()]);
    }
    let mut names = Vec::new();
    let mut begin = Vec::new();
    index::kind(&mut begin, IndexKind::Name);
    let mut end = begin.clone();
    make_end_of_prefix(&mut end);
    let mut rows = view.index_entries(&begin, end);
    while let Some(key) = rows.key() {
        let name = index::parse_name(key)
            .ok_or_else(|| damaged(Row::Index, "a key has no name"))?
            .to_owned();
        let mut behind = Vec::new();
        index::name(&mut behind, &name);
        make_end_of_prefix(&mut behind);
        rows.seek(behind);
        names.push(name);
    }
    rows.status().map_err(read_error)?;
    Ok(names)
}

/// The first key after this one.
fn successor(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

fn position(key: &[u8], created_begin: Option<usize>) -> Option<Position> {
    let instance_id = |id| InstanceId::orchestration(str::from_utf8(id).ok()?).ok();
    match created_begin {
        Some(begin) => {
            let (created_at, id) = index::parse_created(key, begin)?;
            Some(Position::Created(created_at, instance_id(id)?))
        }
        None => Some(Position::Id(instance_id(&key[1..])?)),
    }
}
