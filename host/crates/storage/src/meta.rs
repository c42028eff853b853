//! Single rows of `meta`, outside of commits: read, and written durably.

use rocksdb::DB;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::db::family;
use crate::error::{Error, Result};
use crate::key::{Family, MetaKey, Row};
use crate::read::read_error;

/// The value of a row; `None` if there is none.
pub(crate) fn read<T: DeserializeOwned>(db: &DB, key: MetaKey) -> Result<Option<T>> {
    let value = db.get_pinned_cf(family(db, Family::Meta), key.as_str()).map_err(read_error)?;
    value.map(|value| codec::decode(Row::Meta(key), key.as_str().as_bytes(), &value)).transpose()
}

/// Writes a row. It is durable when this returns.
pub(crate) fn write<T: Serialize>(db: &DB, key: MetaKey, value: &T) -> Result<()> {
    let mut bytes = Vec::new();
    codec::encode(&mut bytes, Row::Meta(key), key.as_str().as_bytes(), value)?;
    db.put_cf(family(db, Family::Meta), key.as_str(), bytes).map_err(Error::Write)?;
    db.flush_wal(true).map_err(Error::Write)
}
