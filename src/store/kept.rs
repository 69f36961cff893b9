//! A small file that is replaced as a whole: what the checkpoint keeps aside to be salvaged with.
//!
//! ```text
//! magic 8 | version u32 | length u32 | CRC32C u32 of all that and the content | content
//! ```
//!
//! Invariant: by rename, so the file is the old one or the new one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::disk::{Disk, read_fully};
use super::error::StoreError;

const MAGIC: [u8; 8] = *b"LVRTKEPT";
const VERSION: u32 = 1;
const LENGTH_AT: usize = 12;
const CRC_AT: usize = 16;
const HEADER: usize = 20;

/// What became of a kept file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It was never written.
    Absent,
    /// It is not what was written.
    Damaged,
    /// What was written last.
    Content(Bytes),
}

/// See the module.
#[derive(Debug)]
pub(super) struct KeptFile {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    pub(super) path: PathBuf,
}

impl KeptFile {
    pub(super) fn new(disk: Arc<dyn Disk>, directory: &Path, name: &str) -> Self {
        Self { disk, path: directory.join(name), directory: directory.to_owned() }
    }

    pub(super) fn read(&self) -> Result<Kept, StoreError> {
        let file = match self.disk.open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::Absent),
            Err(error) => return Err(StoreError::io(&self.path, "open")(error)),
        };
        let length = file.length().map_err(StoreError::io(&self.path, "stat"))?;
        // As long as what is in memory anyway: the definitions.
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        let read = read_fully(&*file, &mut bytes, 0).map_err(StoreError::io(&self.path, "read"))?;
        bytes.truncate(read);
        Ok(decode(&bytes)
            .map_or(Kept::Damaged, |()| Kept::Content(Bytes::from(bytes).slice(HEADER..))))
    }

    /// Replaces the content, durably.
    pub(super) fn write(&self, content: &[u8]) -> Result<(), StoreError> {
        let draft = self.path.with_extension("new");
        let file = self.disk.create(&draft).map_err(StoreError::io(&draft, "create"))?;
        let bytes = encode(content);
        file.write_at(&bytes, 0).map_err(StoreError::io(&draft, "write"))?;
        file.sync().map_err(StoreError::fatal(&draft, "sync"))?;
        self.disk.rename(&draft, &self.path).map_err(StoreError::io(&draft, "rename"))?;
        let directory = &self.directory;
        self.disk.sync_directory(directory).map_err(StoreError::fatal(directory, "sync"))
    }
}

fn encode(content: &[u8]) -> Vec<u8> {
    // Definitions beyond 4 GiB would not fit memory either; such a file would be read as damaged.
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let mut bytes = [&MAGIC[..], &VERSION.to_le_bytes(), &length.to_le_bytes()].concat();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes), content);
    bytes.extend(crc.to_le_bytes());
    bytes.extend(content);
    bytes
}

fn decode(bytes: &[u8]) -> Option<()> {
    let (header, content) = bytes.split_at_checked(HEADER)?;
    let (head, crc) = header.split_at(CRC_AT);
    let version = head.strip_prefix(&MAGIC)?.strip_prefix(&VERSION.to_le_bytes());
    debug_assert_eq!(LENGTH_AT, MAGIC.len() + size_of_val(&VERSION));
    let length = u32::from_le_bytes(version?.try_into().ok()?);
    let expected = crc32c::crc32c_append(crc32c::crc32c(head), content);
    (length as usize == content.len() && crc == expected.to_le_bytes()).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SimulatedDisk;

    fn file(disk: &SimulatedDisk) -> KeptFile {
        KeptFile::new(Arc::new(disk.clone()), Path::new("/data"), "definitions")
    }

    #[test]
    fn what_was_written_last_is_read_after_a_power_cut() {
        let disk = SimulatedDisk::new();
        assert_eq!(file(&disk).read().unwrap(), Kept::Absent);
        for content in ["one", "", "three"] {
            file(&disk).write(content.as_bytes()).unwrap();
            let after = disk.power_cut(&mut || false);
            assert_eq!(file(&after).read().unwrap(), Kept::Content(content.into()));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let disk = SimulatedDisk::new();
        file(&disk).write(b"content").unwrap();
        let good = disk.contents(&file(&disk).path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            disk.overwrite(&file(&disk).path, bad);
            assert_eq!(file(&disk).read().unwrap(), Kept::Damaged, "bit {bit}");
        }
        for length in 0..good.len() {
            disk.overwrite(&file(&disk).path, good[..length].to_vec());
            assert_eq!(file(&disk).read().unwrap(), Kept::Damaged, "length {length}");
        }
    }
}
