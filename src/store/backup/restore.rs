//! From a backup to a data directory, which becomes one with the last step.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::writer::create_directory;
use super::{Backup, BackupError, CHECKPOINT, Cancelled};
use crate::store::directory::{DataDirectory, GUARDS, open_checkpoint, sync_tree};
use crate::store::disk::{Disk, RealDisk};
use crate::store::error::StoreError;
use crate::store::log::LogInspection;
use crate::store::read_only_disk::ReadOnlyDisk;
use crate::store::{Checkpoint, CheckpointBatch, LogPosition};

/// Bytes of a backup that are copied at once.
const STRIDE: usize = 1024 * 1024;
/// Bytes of pairs that are applied at once; each time is a sync.
const APPLY: usize = 4 * 1024 * 1024;

/// A data directory under construction: whole, but no broker takes it for one before
/// [`Restoring::finish`]. Dropped before that, it is removed.
pub struct Restoring {
    path: PathBuf,
    checkpoint: Option<Box<dyn Checkpoint>>,
    made_directory: bool,
    is_finished: bool,
}

impl Restoring {
    /// Copies `backup` into the directory `path`, which is new or empty.
    pub fn begin(
        backup: &Backup,
        path: &Path,
        is_cancelled: &Cancelled<'_>,
    ) -> Result<Self, BackupError> {
        let made_directory = create_directory(path)?;
        let checkpoint = None;
        let mut this =
            Self { path: path.to_owned(), checkpoint, made_directory, is_finished: false };
        let (needed, free) = (backup.bytes(), RealDisk.free_space(path));
        let free = free.map_err(StoreError::io(path, "stat"))?;
        if free < needed {
            return Err(BackupError::NoRoom { target: path.to_owned(), needed, free });
        }
        let log = this.log_path();
        fs::create_dir(&log).map_err(StoreError::io(&log, "create"))?;
        for file in backup.manifest.files.iter().filter(|file| file.name != CHECKPOINT) {
            copy(
                &*backup.disk,
                &backup.path.join(&file.name),
                &log.join(&file.name),
                is_cancelled,
            )?;
        }
        this.checkpoint = apply_pairs(backup, path)?;
        sync_tree(path)?;
        Ok(this)
    }

    /// What was restored of the log.
    pub fn log(&self) -> Result<LogInspection, StoreError> {
        LogInspection::new(Arc::new(ReadOnlyDisk), self.log_path())
    }

    /// What was restored of the checkpoint; `None` if there was none.
    pub fn checkpoint(&self) -> Option<&dyn Checkpoint> {
        self.checkpoint.as_deref()
    }

    /// Makes it a data directory.
    pub fn finish(mut self) -> Result<(), StoreError> {
        // Closed, so that nothing of it is written later.
        self.checkpoint = None;
        sync_tree(&self.path)?;
        drop(DataDirectory::adopt(&self.path)?);
        self.is_finished = true;
        Ok(())
    }

    fn log_path(&self) -> PathBuf {
        self.path.join("log")
    }
}

impl Drop for Restoring {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        self.checkpoint = None;
        for made in ["log", "meta", "meta.new"] {
            // What stays is no data directory: it has no format.
            let _ = fs::remove_dir_all(self.path.join(made));
        }
        for made in GUARDS {
            // The same, if it was made.
            let _ = fs::remove_file(self.path.join(made));
        }
        if self.made_directory {
            // The same.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Makes a checkpoint of the pairs of a backup in the directory `path`; none if there are none.
pub(super) fn apply_pairs(
    backup: &Backup,
    path: &Path,
) -> Result<Option<Box<dyn Checkpoint>>, StoreError> {
    // The position comes with the end of the pairs; till then the checkpoint stands for nothing.
    let mut checkpoint = open_checkpoint(path)?;
    let (mut batch, mut bytes) = (CheckpointBatch::new(LogPosition::START), 0);
    let position = backup.pairs(&mut |key, value| {
        batch.put(key, value);
        bytes += key.len() + value.len();
        if bytes >= APPLY {
            bytes = 0;
            checkpoint
                .apply(std::mem::replace(&mut batch, CheckpointBatch::new(LogPosition::START)))?;
        }
        Ok(())
    })?;
    let Some(position) = position else { return Ok(None) };
    checkpoint.apply(batch.at(position))?;
    Ok(Some(checkpoint))
}

fn copy(
    source: &dyn Disk,
    from: &Path,
    to: &Path,
    is_cancelled: &Cancelled<'_>,
) -> Result<(), BackupError> {
    let (input, output) = match source.open(from) {
        Ok(input) => (input, RealDisk.create(to).map_err(StoreError::io(to, "create"))?),
        // It was reported as damage.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io(from, "open")(error).into()),
    };
    let mut buffer = vec![0; STRIDE];
    let mut at = 0;
    loop {
        if is_cancelled() {
            return Err(BackupError::Cancelled);
        }
        let read = input.read_at(&mut buffer, at).map_err(StoreError::io(from, "read"))?;
        if read == 0 {
            break;
        }
        output.write_at(&buffer[..read], at).map_err(StoreError::io(to, "write"))?;
        at += read as u64;
    }
    Ok(output.sync().map_err(StoreError::io(to, "sync"))?)
}
