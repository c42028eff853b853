//! The envelope of every value: `[format u8][checksum u32 LE][body]`. The body is postcard, or postcard
//! compressed with LZ4: one payload often stands in several events of a history.
//!
//! The checksum is CRC-32 (IEEE) over the key and the encoded value: a value that was damaged, or
//! that stands in another row than its own, is not taken for what was written. RocksDB has
//! checksums of its blocks; this one also covers what happens to the bytes between them.

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::key::Row;

/// The format byte of a body that is postcard. Values of an older layout keep their number; new
/// ones take the next.
const FORMAT: u8 = 1;

/// The format byte of a body that is `[length u32 LE][LZ4 block]` of postcard.
const FORMAT_LZ4: u8 = 2;

/// Smaller bodies are not worth the attempt to compress them.
const COMPRESSED_BYTES_MIN: usize = 256;

/// Larger bodies are left to RocksDB, which compresses blobs and blocks better.
const COMPRESSED_BYTES_MAX: usize = 64 << 10;

/// Bytes before the encoded value.
const HEADER_BYTES: usize = 5;

/// Makes `buffer` the value to be stored under `key`.
pub(crate) fn encode<T: Serialize + ?Sized>(
    buffer: &mut Vec<u8>,
    row: Row<'_>,
    key: &[u8],
    value: &T,
) -> Result<()> {
    buffer.clear();
    buffer.extend_from_slice(&[FORMAT, 0, 0, 0, 0]);
    postcard::serialize_with_flavor(value, Buffer(buffer))
        .map_err(|cause| Error::Encode { row: row.to_string(), cause })?;
    compress(buffer);
    let checksum = checksum(key, &buffer[HEADER_BYTES..]);
    buffer[1..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// Compresses the body of a value in its envelope, if that saves an eighth of it.
fn compress(buffer: &mut Vec<u8>) {
    let body = &buffer[HEADER_BYTES..];
    if !(COMPRESSED_BYTES_MIN..=COMPRESSED_BYTES_MAX).contains(&body.len()) {
        return;
    }
    let compressed = lz4_flex::compress_prepend_size(body);
    if compressed.len() < body.len() - body.len() / 8 {
        buffer.truncate(HEADER_BYTES);
        buffer.extend_from_slice(&compressed);
        buffer[0] = FORMAT_LZ4;
    }
}

/// The value in `bytes`, which were stored under `key`.
pub(crate) fn decode<T: DeserializeOwned>(row: Row<'_>, key: &[u8], bytes: &[u8]) -> Result<T> {
    let Some((&[format, ref stored @ ..], body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(damaged(row, format!("its value has {} bytes", bytes.len())));
    };
    if u32::from_le_bytes(*stored) != checksum(key, body) {
        return Err(damaged(row, "its checksum does not match"));
    }
    let decompressed;
    let body = match format {
        FORMAT => body,
        FORMAT_LZ4 => {
            decompressed = lz4_flex::decompress_size_prepended(body)
                .map_err(|cause| damaged(row, format!("it cannot be decompressed: {cause}")))?;
            &decompressed
        }
        unknown => {
            return Err(damaged(row, format!("its value has the unknown format {unknown}")));
        }
    };
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(damaged(row, format!("{} bytes are left over", rest.len()))),
        Err(cause) => Err(damaged(row, format!("its value cannot be decoded: {cause}"))),
    }
}

/// The error for a row that is not what was written.
pub(crate) fn damaged(row: Row<'_>, reason: impl Into<String>) -> Error {
    Error::Damaged { row: row.to_string(), reason: reason.into() }
}

/// CRC-32 (IEEE) of a key and of what is stored under it.
pub(crate) fn checksum(key: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(body);
    hasher.finalize()
}

/// Lets postcard append to a buffer that is used again and again.
struct Buffer<'a>(&'a mut Vec<u8>);

impl Flavor for Buffer<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
