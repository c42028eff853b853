//! [`Scan`]: the entries of the index that a filter leaves, in order.
//!
//! One kind of entries is chosen, the one that probably leaves least. What its keys tell decides
//! where to begin and where to end; the rest is for who loads the rows. The time that a scan takes
//! depends on how far it is read, and not on how much is stored.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use everstate_engine::storage::{EntityFilter, InstanceFilter};
use everstate_types::{EntityId, InstanceId, RuntimeStatus};
use rocksdb::DBRawIterator;

use crate::codec::damaged;
use crate::continuation::Position;
use crate::error::Result;
use crate::index::{self, IndexKind};
use crate::key::{Row, make_end_of_prefix};
use crate::read::{View, read_error};

/// Entries of the index in order, merged from streams that are in order each.
pub(crate) struct Scan<'a> {
    streams: Vec<Stream<'a>>,
    /// Where each stream is that has not ended.
    heads: BinaryHeap<Reverse<(Position, usize)>>,
}

/// An entry that a scan found.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// Where it stands, and which instance it stands for.
    pub(crate) position: Position,
    /// Its key.
    pub(crate) key: Vec<u8>,
}

/// The kind of entries that is scanned for orchestrations: the one that probably leaves least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScannedBy {
    /// By the beginning of the id.
    Id,
    /// By the custom status.
    CustomStatus,
    /// By the first tag.
    Tag,
    /// By the name and the status, or all of them.
    Name,
}

impl ScannedBy {
    /// The one for this filter.
    pub(crate) fn of(filter: &InstanceFilter) -> Self {
        if filter.id_prefix.is_some() {
            Self::Id
        } else if filter.custom_status.is_some() {
            Self::CustomStatus
        } else if !filter.tags.is_empty() {
            Self::Tag
        } else {
            Self::Name
        }
    }
}

/// Adjacent entries.
struct Stream<'a> {
    rows: DBRawIterator<'a>,
    layout: Layout,
}

/// Where the keys of a stream have what they stand for.
#[derive(Clone, Copy, Debug)]
enum Layout {
    /// The id of an orchestration, behind the kind.
    Id,
    /// The time of its start and the id of an orchestration, behind so many bytes.
    Created(usize),
    /// The name of an entity behind the kind, and its key behind so many bytes.
    Entity(usize),
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
        match ScannedBy::of(filter) {
            ScannedBy::Id => scan.add_ids(view, filter, after)?,
            ScannedBy::CustomStatus => {
                let text = filter.custom_status.as_ref().map_or("", |text| text.as_str());
                index::custom(&mut prefix, text);
                scan.add_created(view, prefix, filter, after)?;
            }
            ScannedBy::Tag => {
                if let Some((name, value)) = filter.tags.first() {
                    index::tag(&mut prefix, name, value);
                }
                scan.add_created(view, prefix, filter, after)?;
            }
            ScannedBy::Name => {
                for name in orchestrators(view, filter)? {
                    let wanted = |status: &RuntimeStatus| {
                        filter.statuses.is_empty() || filter.statuses.contains(status)
                    };
                    for status in RuntimeStatus::ALL.into_iter().filter(wanted) {
                        let mut prefix = Vec::new();
                        index::name_and_status(&mut prefix, &name, status);
                        scan.add_created(view, prefix, filter, after)?;
                    }
                }
            }
        }
        Ok(scan)
    }

    /// The scan of entities for this filter, from behind `after` on.
    pub(crate) fn of_entities(
        view: &'a View<'_>,
        filter: &EntityFilter,
        after: Option<&EntityId>,
    ) -> Result<Self> {
        let mut scan = Self { streams: Vec::new(), heads: BinaryHeap::new() };
        let name = filter.name.as_ref().map(|name| name.as_str().to_lowercase());
        if let (Some(name), Some((field, value))) = (&name, filter.fields.first()) {
            let mut prefix = Vec::new();
            index::entity_field(&mut prefix, name, field, value);
            scan.add_entities(view, name, &prefix, filter, after)?;
            return Ok(scan);
        }
        let kinds = [IndexKind::Entity, IndexKind::Stateless];
        for kind in kinds.into_iter().take(1 + usize::from(filter.includes_stateless)) {
            let names = match &name {
                Some(name) => vec![name.clone()],
                None => names(view, kind)?,
            };
            for name in names {
                let mut prefix = Vec::new();
                index::name(&mut prefix, kind, &name);
                scan.add_entities(view, &name, &prefix, filter, after)?;
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
        if let Some(Position::Id(id)) = after {
            let mut next = Vec::new();
            index::ids(&mut next, id.as_str());
            begin = begin.max(successor(next));
        }
        self.add(view, &begin, end, Layout::Id)
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
        self.add(view, &begin, end, Layout::Created(created_begin))
    }

    /// Entries of the entities of one function, all of which begin with `prefix`.
    fn add_entities(
        &mut self,
        view: &'a View<'_>,
        name: &str,
        prefix: &[u8],
        filter: &EntityFilter,
        after: Option<&EntityId>,
    ) -> Result<()> {
        let key_prefix = filter.key_prefix.as_deref().unwrap_or_default();
        let mut begin = [prefix, key_prefix.as_bytes()].concat();
        let mut end = begin.clone();
        make_end_of_prefix(&mut end);
        match after.map(|after| (name.cmp(after.name()), after.key())) {
            Some((Ordering::Less, _)) => return Ok(()),
            Some((Ordering::Equal, key)) => {
                begin = begin.max(successor([prefix, key.as_bytes()].concat()));
            }
            Some((Ordering::Greater, _)) | None => {}
        }
        self.add(view, &begin, end, Layout::Entity(prefix.len()))
    }

    fn add(
        &mut self,
        view: &'a View<'_>,
        begin: &[u8],
        end: Vec<u8>,
        layout: Layout,
    ) -> Result<()> {
        if begin < end.as_slice() {
            self.streams.push(Stream { rows: view.index_entries(begin, end), layout });
            self.push_head(self.streams.len() - 1)?;
        }
        Ok(())
    }

    /// Notes where this stream is, unless it has ended.
    fn push_head(&mut self, at: usize) -> Result<()> {
        let Stream { rows, layout } = &self.streams[at];
        if let Some(key) = rows.key() {
            let position = position(key, *layout)
                .ok_or_else(|| damaged(Row::Index, "a key is none of an entry"))?;
            self.heads.push(Reverse((position, at)));
            return Ok(());
        }
        rows.status().map_err(read_error)
    }
}

/// The names of the orchestrators of all that is stored and may fit, in lower case.
fn orchestrators(view: &View<'_>, filter: &InstanceFilter) -> Result<Vec<String>> {
    match &filter.name {
        Some(name) => Ok(vec![name.as_str().to_ascii_lowercase()]),
        None => names(view, IndexKind::Name),
    }
}

/// The names in the keys of a kind that begin with one: from each the iterator jumps to the next.
pub(crate) fn names(view: &View<'_>, kind: IndexKind) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut begin = Vec::new();
    index::kind(&mut begin, kind);
    let mut end = begin.clone();
    make_end_of_prefix(&mut end);
    let mut rows = view.index_entries(&begin, end);
    while let Some(key) = rows.key() {
        let name = index::parse_name(key)
            .ok_or_else(|| damaged(Row::Index, "a key has no name"))?
            .to_owned();
        let mut behind = Vec::new();
        index::name(&mut behind, kind, &name);
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

fn position(key: &[u8], layout: Layout) -> Option<Position> {
    let instance_id = |id| InstanceId::orchestration(str::from_utf8(id).ok()?).ok();
    match layout {
        Layout::Id => Some(Position::Id(instance_id(&key[1..])?)),
        Layout::Created(begin) => {
            let (created_at, id) = index::parse_created(key, begin)?;
            Some(Position::Created(created_at, instance_id(id)?))
        }
        Layout::Entity(key_begin) => Some(Position::Entity(index::parse_entity(key, key_begin)?)),
    }
}
