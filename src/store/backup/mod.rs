//! A backup: segments, checkpoint and a manifest in one directory, written once and never changed.
//!
//! ```text
//! <generation>.seg   a segment; the newest one ends where the log ended
//! checkpoint         the pairs of the checkpoint and the position they stand for, see `pairs`
//! manifest           length and checksums of all that, written last
//! ```
//!
//! Invariants:
//! * Without a whole manifest there is no backup. It gets its name after everything it names is durable.
//! * A backup is no data directory: a broker refuses it, so nobody changes it by starting one.
//! * What is given up, or fails, is removed.

mod manifest;
mod pairs;
mod restore;
#[cfg(test)]
mod tests;
mod writer;

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::restore::Restoring;
pub use self::writer::BackupWriter;

use self::manifest::{BLOCK, MANIFEST, Manifest, ManifestFile};
use super::disk::{Disk, read_fully};
use super::error::StoreError;
use super::log::{DamageVisitor, LogInspection};
use super::read_only_disk::ReadOnlyDisk;
use super::stored::CopiedCheckpoint;
use super::{Damage, LogPosition, PairVisitor};

/// The file of the pairs.
const CHECKPOINT: &str = "checkpoint";

/// Why there is no backup. What was written of it is gone again.
#[derive(Debug)]
pub enum BackupError {
    /// The store refused.
    Store(StoreError),
    /// The disk has no room for it.
    NoRoom {
        /// Where it should go.
        target: PathBuf,
        /// Bytes it takes, with what is left to others.
        needed: u64,
        /// Bytes there are.
        free: u64,
    },
    /// Somebody asked to stop: who wanted it is gone, or the broker ends.
    Cancelled,
    /// The checkpoint it begins with could not be taken; why.
    NoCheckpoint(String),
    /// It was to be restored and is damaged in this many places.
    Damaged(u64),
}

impl fmt::Display for BackupError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(formatter),
            Self::NoRoom { target, needed, free } => write!(
                formatter,
                "{} has room for {free} bytes, the backup needs {needed}; name a larger disk, or make room",
                target.display()
            ),
            Self::Cancelled => write!(formatter, "the backup was given up before it was complete"),
            Self::NoCheckpoint(why) => {
                write!(formatter, "no checkpoint could be taken to begin with ({why})")
            }
            Self::Damaged(places) => write!(
                formatter,
                "the backup is damaged in {places} places and nothing was restored; with \
                 --accept-damage what can be read is"
            ),
        }
    }
}

impl Error for BackupError {}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Whether somebody asked to stop.
pub type Cancelled<'a> = dyn Fn() -> bool + 'a;

/// A finished backup, to be read.
#[derive(Debug)]
pub struct Backup {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    manifest: Manifest,
}

impl Backup {
    /// Whether `path` claims to be one.
    pub fn is_at(path: &Path) -> bool {
        path.join(MANIFEST).exists()
    }

    /// Opens the backup in the directory `path`.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_on(Arc::new(ReadOnlyDisk), path)
    }

    pub(super) fn open_on(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, StoreError> {
        let manifest = Manifest::read(&*disk, path)?;
        Ok(Self { disk, path: path.to_owned(), manifest })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of all its files but the manifest.
    pub fn bytes(&self) -> u64 {
        self.manifest.files.iter().map(|file| file.length).sum()
    }

    /// The segments in it.
    pub fn log(&self) -> Result<LogInspection, StoreError> {
        LogInspection::new(Arc::clone(&self.disk), self.path.clone())
    }

    /// Hands out the pairs of the checkpoint and returns its position; `None` if there is no checkpoint.
    pub fn pairs(&self, visit: &mut PairVisitor<'_>) -> Result<Option<LogPosition>, StoreError> {
        if !self.manifest.files.iter().any(|file| file.name == CHECKPOINT) {
            return Ok(None);
        }
        let path = self.path.join(CHECKPOINT);
        let file = self.disk.open(&path).map_err(StoreError::io(&path, "open"))?;
        pairs::read(&path, &*file, visit).map(Some)
    }

    /// The checkpoint in it, made anew in the directory `scratch`; `None` if there is none.
    pub fn checkpoint(&self, scratch: &Path) -> Result<Option<CopiedCheckpoint>, StoreError> {
        CopiedCheckpoint::make(scratch, |directory| restore::apply_pairs(self, directory))
    }

    /// Compares every octet of every file with what was written.
    pub fn files(&self, found: &mut DamageVisitor<'_>) -> Result<(), StoreError> {
        for file in &self.manifest.files {
            self.compare(file, found)?;
        }
        Ok(())
    }

    fn compare(
        &self,
        file: &ManifestFile,
        found: &mut DamageVisitor<'_>,
    ) -> Result<(), StoreError> {
        let path = self.path.join(&file.name);
        let mut damage = |offset, bytes, what| {
            found(Damage { file: path.clone(), offset, bytes, what });
        };
        let opened = match self.disk.open(&path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                damage(0, file.length, "the file is missing");
                return Ok(());
            }
            Err(error) => return Err(StoreError::io(&path, "open")(error)),
        };
        let mut buffer = vec![0; BLOCK];
        for (at, wanted) in (0..).step_by(BLOCK).zip(&file.checksums) {
            let length = (file.length - at).min(BLOCK as u64);
            let block = &mut buffer[..usize::try_from(length).unwrap_or(BLOCK)];
            let what = match read_fully(&*opened, block, at) {
                Ok(read) if read < block.len() => "the file ends too early",
                Ok(_) if crc32c::crc32c(block) != *wanted => "not what was backed up",
                Ok(_) => continue,
                Err(_) => "the disk cannot read it",
            };
            damage(at, length, what);
        }
        Ok(())
    }
}
