//! The mark: which checkpoint was applied last, said outside of the checkpoint.
//!
//! A database that lost its last writes opens as if nothing had happened. The segments of the log that its
//! newer self had given up are gone by then, so taking it for good would lose messages without a word. Beside
//! the mark it is seen to be older than it was.
//!
//! ```text
//! two slots, at 0 and 4096:
//!   magic 8 | version u32 | sequence u64 | generation u64 | offset u32 | digest u64 | CRC32C u32
//! ```
//!
//! Invariants:
//! * Slots are written in turn and synced, so one readable slot is there whatever is cut short.
//! * The file appears with its first mark in it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFile, read_fully};
use super::error::StoreError;
use super::{Damage, LogPosition};

const MAGIC: [u8; 8] = *b"LVRTMARK";
const VERSION: u32 = 1;
const SLOTS: [u64; 2] = [0, 4096];
const FILE: u64 = 8192;
const CRC_AT: usize = 40;
const SLOT: usize = CRC_AT + 4;

/// What a checkpoint was when it was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Rises with every mark.
    sequence: u64,
    /// What the checkpoint stands for.
    pub(super) position: LogPosition,
    /// See [`Digest`](super::guard::Digest).
    pub(super) digest: u64,
}

impl Mark {
    fn encode(&self) -> [u8; SLOT] {
        let mut bytes = [0; SLOT];
        let parts: [&[u8]; 6] = [
            &MAGIC,
            &VERSION.to_le_bytes(),
            &self.sequence.to_le_bytes(),
            &self.position.generation.to_le_bytes(),
            &self.position.offset.to_le_bytes(),
            &self.digest.to_le_bytes(),
        ];
        let body = parts.concat();
        bytes[..CRC_AT].copy_from_slice(&body);
        bytes[CRC_AT..].copy_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        bytes
    }

    /// `None` for anything but an intact mark.
    fn decode(bytes: &[u8; SLOT]) -> Option<Self> {
        let (body, crc) = bytes.split_at(CRC_AT);
        if crc != crc32c::crc32c(body).to_le_bytes() {
            return None;
        }
        let body = body.strip_prefix(&MAGIC)?.strip_prefix(&VERSION.to_le_bytes())?;
        let (sequence, body) = body.split_first_chunk()?;
        let (generation, body) = body.split_first_chunk()?;
        let (offset, body) = body.split_first_chunk()?;
        let generation = u64::from_le_bytes(*generation);
        Some(Self {
            sequence: u64::from_le_bytes(*sequence),
            position: LogPosition { generation, offset: u32::from_le_bytes(*offset) },
            digest: u64::from_le_bytes(body.try_into().ok()?),
        })
    }
}

/// The file the mark is kept in.
#[derive(Debug)]
pub(super) struct MarkFile {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    path: PathBuf,
    file: Option<Arc<dyn DiskFile>>,
    last: Option<Mark>,
}

impl MarkFile {
    /// Reads the mark in `directory`, if one was ever made. What cannot be read goes to `damages`.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        damages: &mut Vec<Damage>,
    ) -> Result<Self, StoreError> {
        let path = directory.join("checkpoint");
        let file = match disk.open(&path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::io(&path, "open")(error)),
        };
        let directory = directory.to_owned();
        let mut mark = Self { disk, directory, path, file: None, last: None };
        if let Some(file) = file {
            for at in SLOTS {
                mark.read_slot(&*file, at, damages)?;
            }
            mark.file = Some(file);
        }
        Ok(mark)
    }

    fn read_slot(
        &mut self,
        file: &dyn DiskFile,
        at: u64,
        damages: &mut Vec<Damage>,
    ) -> Result<(), StoreError> {
        let mut bytes = [0; SLOT];
        read_fully(file, &mut bytes, at).map_err(StoreError::io(&self.path, "read"))?;
        let mark = Mark::decode(&bytes);
        // The second slot is empty until the second mark.
        if mark.is_none() && (at == 0 || bytes != [0; SLOT]) {
            let what = "it does not hold the mark that was written there";
            damages.push(Damage { file: self.path.clone(), offset: at, bytes: SLOT as u64, what });
        }
        let sequence = |mark: &Option<Mark>| mark.map(|mark| mark.sequence);
        if sequence(&mark) > sequence(&self.last) {
            self.last = mark;
        }
        Ok(())
    }

    /// What was marked last.
    pub(super) fn last(&self) -> Option<Mark> {
        self.last
    }

    /// Whether there is a file at all.
    pub(super) fn exists(&self) -> bool {
        self.file.is_some()
    }

    /// Makes durable that a checkpoint was applied.
    pub(super) fn set(&mut self, position: LogPosition, digest: u64) -> Result<(), StoreError> {
        let sequence = self.last.map_or(0, |last| last.sequence + 1);
        let mark = Mark { sequence, position, digest };
        match &self.file {
            Some(file) => {
                let at = SLOTS[usize::from(sequence % 2 == 1)];
                file.write_at(&mark.encode(), at).map_err(StoreError::io(&self.path, "write"))?;
                file.sync().map_err(StoreError::fatal(&self.path, "sync"))?;
            }
            None => self.file = Some(self.create(&mark)?),
        }
        self.last = Some(mark);
        Ok(())
    }

    fn create(&self, mark: &Mark) -> Result<Arc<dyn DiskFile>, StoreError> {
        let draft = self.path.with_extension("new");
        let file = self.disk.create(&draft).map_err(StoreError::io(&draft, "create"))?;
        file.allocate(FILE).map_err(StoreError::io(&draft, "allocate"))?;
        file.write_at(&mark.encode(), SLOTS[0]).map_err(StoreError::io(&draft, "write"))?;
        file.sync().map_err(StoreError::fatal(&draft, "sync"))?;
        self.disk.rename(&draft, &self.path).map_err(StoreError::io(&draft, "rename"))?;
        let directory = &self.directory;
        self.disk.sync_directory(directory).map_err(StoreError::fatal(directory, "sync"))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SimulatedDisk;

    const DATA: &str = "/data";

    fn open(disk: &SimulatedDisk) -> (MarkFile, Vec<Damage>) {
        let mut damages = Vec::new();
        let mark = MarkFile::open(Arc::new(disk.clone()), Path::new(DATA), &mut damages).unwrap();
        (mark, damages)
    }

    fn at(offset: u32) -> LogPosition {
        LogPosition { generation: 3, offset }
    }

    fn position(disk: &SimulatedDisk) -> Option<LogPosition> {
        open(disk).0.last().map(|mark| mark.position)
    }

    #[test]
    fn the_last_mark_survives_a_power_cut() {
        let disk = SimulatedDisk::new();
        for offset in 0..5 {
            open(&disk).0.set(at(offset), 7).unwrap();
            assert_eq!(position(&disk.power_cut(&mut || false)), Some(at(offset)));
        }
    }

    #[test]
    fn a_flipped_bit_costs_one_mark_and_is_reported() {
        let disk = SimulatedDisk::new();
        let mut mark = open(&disk).0;
        mark.set(at(1), 7).unwrap();
        mark.set(at(2), 7).unwrap();
        let path = Path::new(DATA).join("checkpoint");
        for bit in 0..SLOT * 8 {
            for slot in [0, 4096] {
                let mut contents = disk.contents(&path).unwrap();
                contents[slot + bit / 8] ^= 1 << (bit % 8);
                let damaged = disk.snapshot();
                damaged.overwrite(&path, contents);

                let (mark, damages) = open(&damaged);

                let left = if slot == 0 { at(2) } else { at(1) };
                assert_eq!(mark.last().map(|mark| mark.position), Some(left));
                assert_eq!(damages.len(), 1, "slot {slot} bit {bit}");
            }
        }
    }

    #[test]
    fn after_damage_the_next_mark_counts() {
        let disk = SimulatedDisk::new();
        let mut mark = open(&disk).0;
        mark.set(at(1), 7).unwrap();
        mark.set(at(2), 7).unwrap();
        let path = Path::new(DATA).join("checkpoint");
        let mut contents = disk.contents(&path).unwrap();
        contents[4096] ^= 1;
        disk.overwrite(&path, contents);

        open(&disk).0.set(at(3), 7).unwrap();

        assert_eq!(position(&disk), Some(at(3)));
        assert!(open(&disk).1.is_empty());
    }
}
