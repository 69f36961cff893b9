//! The files of the log: `<generation>.seg`, preallocated, and recycled by rename.
//!
//! Invariants:
//! * A file gets its name only after its header is durable, so a named segment without a readable
//!   header is damaged, never unfinished.
//! * The header is there twice, in two pages: losing it would lose the whole segment.
//! * Files to be used again are called `pool-<n>.seg`. What they hold belongs to generations that are
//!   gone, and their frames fail the new generation's checksum.
//!
//! A file that has another name is a stranger's and is left alone.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{read_u32, read_u64};
use crate::store::disk::{Disk, DiskFile, read_fully};
use crate::store::error::{StoreError, is_full};

/// Bytes at the start of a segment that hold no frames.
pub const SEGMENT_HEADER_AREA: u32 = 8192;
pub(super) const COPIES_AT: [u64; 2] = [0, 4096];

const MAGIC: [u8; 8] = *b"LVRTSEG\0";
const VERSION: u32 = 1;
const VERSION_AT: usize = 8;
const SALT_AT: usize = 12;
const GENERATION_AT: usize = 16;
const FIRST_LSN_AT: usize = 24;
const CRC_AT: usize = 32;
pub(super) const HEADER: usize = 36;

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) generation: u64,
    /// The log's number of the file's first byte. Where the next segment's begins, this one ended.
    pub(super) first_lsn: u64,
    /// Random, so that nobody can write a message that looks like a frame of ours.
    salt: u32,
}

impl SegmentHeader {
    fn new(generation: u64, first_lsn: u64) -> Self {
        // The standard library's keys are the random numbers nearest at hand.
        let random = RandomState::new().hash_one(generation);
        let [a, b, c, d, ..] = random.to_le_bytes();
        Self { generation, first_lsn, salt: u32::from_le_bytes([a, b, c, d]) }
    }

    /// What the checksums of the segment's frames start from.
    fn seed(&self) -> u32 {
        let seed = crc32c::crc32c(&self.generation.to_le_bytes());
        crc32c::crc32c_append(seed, &self.salt.to_le_bytes())
    }

    fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..VERSION_AT].copy_from_slice(&MAGIC);
        bytes[VERSION_AT..SALT_AT].copy_from_slice(&VERSION.to_le_bytes());
        bytes[SALT_AT..GENERATION_AT].copy_from_slice(&self.salt.to_le_bytes());
        bytes[GENERATION_AT..FIRST_LSN_AT].copy_from_slice(&self.generation.to_le_bytes());
        bytes[FIRST_LSN_AT..CRC_AT].copy_from_slice(&self.first_lsn.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `Ok(None)` for anything but an intact header; `Err` with the version for one we cannot read.
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<Self>, u32> {
        if bytes.len() < HEADER || !bytes.starts_with(&MAGIC) {
            return Ok(None);
        }
        if crc32c::crc32c(&bytes[..CRC_AT]) != read_u32(bytes, CRC_AT) {
            return Ok(None);
        }
        let version = read_u32(bytes, VERSION_AT);
        if version != VERSION {
            return Err(version);
        }
        Ok(Some(Self {
            generation: read_u64(bytes, GENERATION_AT),
            first_lsn: read_u64(bytes, FIRST_LSN_AT),
            salt: read_u32(bytes, SALT_AT),
        }))
    }
}

/// An open segment with a readable header.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) header: SegmentHeader,
    pub(super) seed: u32,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
}

impl Segment {
    fn new(header: SegmentHeader, path: PathBuf, file: Arc<dyn DiskFile>) -> Self {
        Self { seed: header.seed(), header, path, file }
    }

    /// The number of a frame that begins at `offset`.
    pub(super) fn lsn(&self, offset: u64) -> u64 {
        self.header.first_lsn + offset
    }

    /// Forgets everything behind `end` and makes room for `size` bytes again. Afterwards the place
    /// behind `end` holds zeros, so nothing of an abandoned batch can ever be taken for a frame.
    pub(super) fn cut(&self, end: u64, size: u64) -> Result<(), StoreError> {
        self.file.truncate(end).map_err(StoreError::fatal(&self.path, "truncate"))?;
        match self.file.allocate(size) {
            // The space was ours a moment ago; if somebody else has it now, writes will say so.
            Ok(()) => {}
            Err(error) if is_full(&error) => {}
            Err(error) => return Err(StoreError::fatal(&self.path, "allocate")(error)),
        }
        self.file.sync().map_err(StoreError::fatal(&self.path, "sync"))
    }
}

/// What a file with the name of a segment turns out to be.
#[derive(Debug)]
pub(super) enum Found {
    /// The segment.
    Segment(Segment),
    /// It was given up and became a newer segment, and a power cut undid its new name.
    Recycled,
    /// Neither copy of its header can be read.
    Lost,
}

/// The directory of the segments, and the pool of files to be used again.
#[derive(Debug)]
pub(super) struct SegmentDirectory {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) path: PathBuf,
    /// Length of an ordinary segment.
    pub(super) segment_size: u64,
    pool_limit: usize,
    /// Numbers of the files in the pool.
    pool: BTreeSet<u32>,
}

impl SegmentDirectory {
    /// Looks through the directory: takes in the pool, and returns generation and length of every
    /// segment, oldest first.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        segment_size: u64,
        pool_limit: usize,
    ) -> Result<(Self, Vec<(u64, u64)>), StoreError> {
        let files = disk.list(&path).map_err(StoreError::io(&path, "list"))?;
        let mut directory = Self { disk, path, segment_size, pool_limit, pool: BTreeSet::new() };
        let mut segments = Vec::new();
        for (name, length) in files {
            if let Some(generation) = segment_generation(&name) {
                segments.push((generation, length));
            } else if let Some(number) = pool_number(&name) {
                directory.adopt(number, length)?;
            } else {
                tracing::warn!(directory = %directory.path.display(), name, "not ours, left alone");
            }
        }
        segments.sort_unstable();
        Ok((directory, segments))
    }

    /// The directory as it is, for who only reads: there is no pool to take files from.
    pub(super) fn to_read(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self { disk, path, segment_size: 0, pool_limit: 0, pool: BTreeSet::new() }
    }

    /// Opens a segment.
    pub(super) fn segment(&self, generation: u64) -> Result<Found, StoreError> {
        let path = segment_path(&self.path, generation);
        let file = self.disk.open(&path).map_err(StoreError::io(&path, "open"))?;
        let mut found = Found::Lost;
        for at in COPIES_AT {
            let mut bytes = [0; HEADER];
            let length =
                read_fully(&*file, &mut bytes, at).map_err(StoreError::io(&path, "read"))?;
            match SegmentHeader::decode(&bytes[..length]) {
                Ok(Some(header)) if header.generation == generation => {
                    return Ok(Found::Segment(Segment::new(header, path, file)));
                }
                Ok(Some(header)) if header.generation > generation => found = Found::Recycled,
                Ok(_) => {}
                Err(version) => {
                    let what = format!("version {version} of the segment format is unknown here");
                    return Err(StoreError::Unusable { path, what });
                }
            }
        }
        Ok(found)
    }

    /// A segment of at least `size` bytes, ready to be written and sure to be there after a power cut.
    pub(super) fn create(
        &mut self,
        generation: u64,
        first_lsn: u64,
        size: u64,
    ) -> Result<Segment, StoreError> {
        let number = self.take_number(size);
        let draft = pool_path(&self.path, number);
        let created = self.create_as(&draft, SegmentHeader::new(generation, first_lsn), size);
        if created.is_err() {
            // It may be half made; a new one costs little. Left over, it is found at the next start.
            let _ = self.disk.remove(&draft);
        }
        created
    }

    fn create_as(
        &self,
        draft: &Path,
        header: SegmentHeader,
        size: u64,
    ) -> Result<Segment, StoreError> {
        let path = segment_path(&self.path, header.generation);
        let file = match self.disk.open(draft) {
            Ok(recycled) => recycled,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.disk.create(draft).map_err(StoreError::io(draft, "create"))?
            }
            Err(error) => return Err(StoreError::io(draft, "open")(error)),
        };
        file.allocate(size).map_err(StoreError::io(draft, "allocate"))?;
        for at in COPIES_AT {
            file.write_at(&header.encode(), at).map_err(StoreError::io(draft, "write"))?;
        }
        file.sync().map_err(StoreError::fatal(draft, "sync"))?;
        self.disk.rename(draft, &path).map_err(StoreError::io(draft, "rename"))?;
        self.disk.sync_directory(&self.path).map_err(StoreError::fatal(&self.path, "sync"))?;
        Ok(Segment::new(header, path, file))
    }

    /// Bytes that further segments could take; the pool's files are theirs already.
    pub(super) fn free_space(&self) -> Result<u64, StoreError> {
        let free = self.disk.free_space(&self.path).map_err(StoreError::io(&self.path, "stat"))?;
        Ok(free.saturating_add(self.pool.len() as u64 * self.segment_size))
    }

    /// Puts a segment nobody needs into the pool, or deletes it. If a power cut undoes that, the segment
    /// is back and is released again.
    pub(super) fn recycle(&mut self, generation: u64, size: u64) -> Result<(), StoreError> {
        let path = segment_path(&self.path, generation);
        if size != self.segment_size || self.pool.len() >= self.pool_limit {
            return self.disk.remove(&path).map_err(StoreError::io(&path, "delete"));
        }
        let number = self.free_number();
        let pooled = pool_path(&self.path, number);
        self.disk.rename(&path, &pooled).map_err(StoreError::io(&path, "rename"))?;
        self.pool.insert(number);
        Ok(())
    }

    /// Takes a pool file found at the start, unless there are enough or its size is wrong.
    fn adopt(&mut self, number: u32, length: u64) -> Result<(), StoreError> {
        if length == self.segment_size && self.pool.len() < self.pool_limit {
            self.pool.insert(number);
            return Ok(());
        }
        let path = pool_path(&self.path, number);
        self.disk.remove(&path).map_err(StoreError::io(&path, "delete"))
    }

    /// A number whose file, if it exists, can become a segment of `size`.
    fn take_number(&mut self, size: u64) -> u32 {
        if size == self.segment_size
            && let Some(number) = self.pool.pop_first()
        {
            return number;
        }
        self.free_number()
    }

    fn free_number(&self) -> u32 {
        let taken = &self.pool;
        (0..=u32::MAX).find(|number| !taken.contains(number)).unwrap_or_default()
    }
}

/// The name of a segment's file, in the log's directory.
pub fn segment_name(generation: u64) -> String {
    format!("{generation:016x}.seg")
}

/// Where a segment lies.
pub(super) fn segment_path(directory: &Path, generation: u64) -> PathBuf {
    directory.join(segment_name(generation))
}

fn pool_path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("pool-{number}.seg"))
}

pub(super) fn segment_generation(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let generation = u64::from_str_radix(digits, 16).ok()?;
    (name == segment_name(generation)).then_some(generation)
}

pub(super) fn pool_number(name: &str) -> Option<u32> {
    name.strip_prefix("pool-")?.strip_suffix(".seg")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back() {
        let header = SegmentHeader::new(7, 4096);
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(Some(header)));
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        let good = SegmentHeader::new(7, 4096).encode();
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&bad), Ok(None), "bit {bit}");
        }
    }

    #[test]
    fn a_header_of_another_version_is_told_apart_from_damage() {
        let mut bytes = SegmentHeader::new(7, 4096).encode();
        bytes[VERSION_AT] = 9;
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());

        assert_eq!(SegmentHeader::decode(&bytes), Err(9));
    }

    #[test]
    fn two_uses_of_one_file_never_share_a_seed() {
        assert_ne!(SegmentHeader::new(7, 0).seed(), SegmentHeader::new(8, 0).seed());
    }

    #[test]
    fn only_our_own_spelling_is_a_segment() {
        assert_eq!(segment_generation("000000000000001f.seg"), Some(31));
        assert_eq!(segment_generation("1f.seg"), None);
        assert_eq!(segment_generation("000000000000001F.seg"), None);
        assert_eq!(segment_generation("pool-1.seg"), None);
        assert_eq!(pool_number("pool-12.seg"), Some(12));
    }
}
