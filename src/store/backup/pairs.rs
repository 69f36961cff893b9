//! The pairs of a checkpoint in a plain file, in the order of their keys.
//!
//! ```text
//! head   "LVRTPAIR", version u32, generation u64, offset u32, CRC32C of that
//! pair   key length u32 (not 0), value length u32, key, value, CRC32C of that
//! end    0 u32, 0 u32, number of pairs u64, CRC32C of that
//! ```
//! All integers are little-endian.

use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::store::disk::DiskFile;
use crate::store::error::StoreError;
use crate::store::{Checkpoint, LogPosition, PairVisitor};

const MAGIC: [u8; 8] = *b"LVRTPAIR";
const VERSION: u32 = 1;
/// Bytes that are read at once.
const STRIDE: usize = 256 * 1024;

/// Takes the octets of the file, in order.
type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), StoreError> + 'a;

/// Writes all pairs of `checkpoint`, which stands for `position`.
pub(super) fn write(
    checkpoint: &dyn Checkpoint,
    position: LogPosition,
    sink: &mut Sink<'_>,
) -> Result<(), StoreError> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(position.generation.to_le_bytes());
    bytes.extend(position.offset.to_le_bytes());
    seal(&mut bytes);
    sink(&bytes)?;
    let mut count = 0_u64;
    checkpoint.load(&mut |key, value| {
        bytes.clear();
        for length in [key.len(), value.len()] {
            // A value comes out of a database that bounds it to 4 GiB.
            bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        }
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
        seal(&mut bytes);
        count += 1;
        sink(&bytes)
    })?;
    bytes.clear();
    bytes.extend([0; 8]);
    bytes.extend(count.to_le_bytes());
    seal(&mut bytes);
    sink(&bytes)
}

fn seal(bytes: &mut Vec<u8>) {
    let checksum = crc32c::crc32c(bytes);
    bytes.extend(checksum.to_le_bytes());
}

/// Hands out the pairs and returns the position they stand for.
pub(super) fn read(
    path: &Path,
    file: &dyn DiskFile,
    visit: &mut PairVisitor<'_>,
) -> Result<LogPosition, StoreError> {
    let length = file.length().map_err(StoreError::io(path, "stat"))?;
    let cursor = BufReader::with_capacity(STRIDE, Cursor { file, at: 0 });
    let mut reading = Reading { path, source: cursor, at: 0, rest: length, checksum: 0 };
    let (magic, version) = (reading.array()?, reading.u32()?);
    let position = LogPosition { generation: reading.u64()?, offset: reading.u32()? };
    reading.sealed()?;
    if magic != MAGIC || version != VERSION {
        return Err(reading.damaged("no checkpoint of this version"));
    }
    let mut count = 0;
    loop {
        let (key, value) = (reading.u32()?, reading.u32()?);
        if key == 0 {
            break;
        }
        let pair = reading.bytes(u64::from(key) + u64::from(value))?;
        reading.sealed()?;
        let (key, value) = pair.split_at(key as usize);
        visit(key, value)?;
        count += 1;
    }
    let written = reading.u64()?;
    reading.sealed()?;
    if written != count || reading.rest != 0 {
        return Err(reading.damaged("the checkpoint has another number of pairs"));
    }
    Ok(position)
}

struct Reading<'a> {
    path: &'a Path,
    source: BufReader<Cursor<'a>>,
    at: u64,
    /// Bytes from `at` to the end of the file.
    rest: u64,
    /// Of what was taken since the last seal.
    checksum: u32,
}

impl Reading<'_> {
    fn damaged(&self, what: &'static str) -> StoreError {
        StoreError::Damaged { file: self.path.to_owned(), offset: self.at, what }
    }

    /// Takes `length` bytes. Memory is taken only for what the file has.
    fn bytes(&mut self, length: u64) -> Result<Vec<u8>, StoreError> {
        self.rest = (self.rest.checked_sub(length))
            .ok_or_else(|| self.damaged("the checkpoint ends too early"))?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.source.read_exact(&mut bytes).map_err(StoreError::io(self.path, "read"))?;
        self.at += length;
        self.checksum = crc32c::crc32c_append(self.checksum, &bytes);
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes(N as u64)?);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32, StoreError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, StoreError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Takes the checksum of what was taken since the last one.
    fn sealed(&mut self) -> Result<(), StoreError> {
        let computed = self.checksum;
        if self.u32()? != computed {
            return Err(self.damaged("a checksum of the checkpoint does not fit"));
        }
        self.checksum = 0;
        Ok(())
    }
}

/// A file that is read from its beginning.
struct Cursor<'a> {
    file: &'a dyn DiskFile,
    at: u64,
}

impl Read for Cursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
