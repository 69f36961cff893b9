//! Writes a backup, file by file, the manifest last.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::{BLOCK, Manifest, ManifestFile};
use super::{BackupError, CHECKPOINT, Cancelled, pairs};
use crate::store::directory::create_private;
use crate::store::disk::{Disk, DiskFile, RealDisk};
use crate::store::error::StoreError;
use crate::store::{Checkpoint, LogPosition};

/// A backup under construction. Dropped before it is finished, it removes what it made.
#[derive(Debug)]
pub struct BackupWriter {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    manifest: Manifest,
    /// Also the one that is being written.
    names: Vec<String>,
    /// The directory is ours as well.
    made_directory: bool,
    is_finished: bool,
}

impl BackupWriter {
    /// Begins a backup in a new directory, or in one that is empty.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        let made_directory = create_directory(path)?;
        let mut writer = Self::begin(Arc::new(RealDisk), path)?;
        writer.made_directory = made_directory;
        Ok(writer)
    }

    /// Begins a backup in a directory that exists.
    pub(super) fn begin(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, StoreError> {
        if !disk.list(path).map_err(StoreError::io(path, "list"))?.is_empty() {
            return Err(not_empty(path));
        }
        Ok(Self {
            disk,
            path: path.to_owned(),
            manifest: Manifest::default(),
            names: Vec::new(),
            made_directory: false,
            is_finished: false,
        })
    }

    /// Where it is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.manifest.files.iter().map(|file| file.length).sum()
    }

    /// Refuses to begin what cannot be ended: `bytes` are to come, and `reserve` is for others.
    pub fn expects(&self, bytes: u64, reserve: u64) -> Result<(), BackupError> {
        let free = self.disk.free_space(&self.path).map_err(StoreError::io(&self.path, "stat"))?;
        let needed = bytes.saturating_add(reserve);
        if free < needed {
            return Err(BackupError::NoRoom { target: self.path.clone(), needed, free });
        }
        Ok(())
    }

    /// Writes the pairs of a checkpoint that stands for `position`.
    pub fn checkpoint(
        &mut self,
        checkpoint: &dyn Checkpoint,
        position: LogPosition,
    ) -> Result<(), StoreError> {
        let mut draft = self.draft(CHECKPOINT)?;
        pairs::write(checkpoint, position, &mut |bytes| draft.append(bytes))?;
        self.keep(draft)
    }

    /// Copies the first `length` bytes of the file `from`, or all that were ever written.
    pub fn copy(
        &mut self,
        source: &dyn Disk,
        from: &Path,
        length: Option<u64>,
        is_cancelled: &Cancelled<'_>,
    ) -> Result<(), BackupError> {
        let name = from.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let file = source.open(from).map_err(StoreError::io(from, "open"))?;
        // What lies behind is preallocated space.
        let data = file.data_end().map_err(StoreError::io(from, "seek"))?;
        let end = length.map_or(data, |length| length.min(data));
        let mut draft = self.draft(name)?;
        let mut buffer = vec![0; BLOCK];
        let mut at = 0;
        while at < end {
            if is_cancelled() {
                return Err(BackupError::Cancelled);
            }
            let wanted = usize::try_from(end - at).unwrap_or(BLOCK).min(BLOCK);
            let read = file.read_at(&mut buffer[..wanted], at);
            let read = read.map_err(StoreError::io(from, "read"))?;
            if read == 0 {
                break;
            }
            draft.append(&buffer[..read])?;
            at += read as u64;
        }
        Ok(self.keep(draft)?)
    }

    /// Makes it a backup.
    pub fn finish(mut self) -> Result<(), StoreError> {
        self.disk.sync_directory(&self.path).map_err(StoreError::io(&self.path, "sync"))?;
        self.manifest.write(&*self.disk, &self.path)?;
        self.is_finished = true;
        Ok(())
    }

    fn draft(&mut self, name: &str) -> Result<Draft, StoreError> {
        self.names.push(name.to_owned());
        let path = self.path.join(name);
        let file = self.disk.create(&path).map_err(StoreError::io(&path, "create"))?;
        let entry = ManifestFile { name: name.to_owned(), length: 0, checksums: Vec::new() };
        Ok(Draft { path, file, entry, block: Vec::with_capacity(BLOCK) })
    }

    /// Makes a file durable. One at a time: else the whole backup would be dirty pages at its end.
    fn keep(&mut self, mut draft: Draft) -> Result<(), StoreError> {
        draft.write_block()?;
        draft.file.sync().map_err(StoreError::io(&draft.path, "sync"))?;
        self.manifest.files.push(draft.entry);
        Ok(())
    }
}

impl Drop for BackupWriter {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        Manifest::remove(&*self.disk, &self.path);
        for name in &self.names {
            // What stays is no backup: it has no manifest.
            let _ = self.disk.remove(&self.path.join(name));
        }
        if self.made_directory {
            // The same; somebody may have put something else there.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// A file of a backup under construction.
struct Draft {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    entry: ManifestFile,
    /// What is not written yet: less than a block.
    block: Vec<u8>,
}

impl Draft {
    fn append(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == BLOCK {
                self.write_block()?;
            }
        }
        Ok(())
    }

    fn write_block(&mut self) -> Result<(), StoreError> {
        if self.block.is_empty() {
            return Ok(());
        }
        let written = self.file.write_at(&self.block, self.entry.length);
        written.map_err(StoreError::io(&self.path, "write"))?;
        self.entry.checksums.push(crc32c::crc32c(&self.block));
        self.entry.length += self.block.len() as u64;
        self.block.clear();
        Ok(())
    }
}

fn not_empty(path: &Path) -> StoreError {
    let what = "it is not empty; name a new or an empty directory".to_owned();
    StoreError::Unusable { path: path.to_owned(), what }
}

/// Makes a directory that only we may look into, unless it exists and is empty. Whether it was made.
pub(super) fn create_directory(path: &Path) -> Result<bool, StoreError> {
    if !path.exists() {
        create_private(path).map_err(StoreError::io(path, "create"))?;
        sync_parent(path)?;
        return Ok(true);
    }
    let mut entries = fs::read_dir(path).map_err(StoreError::io(path, "list"))?;
    if entries.next().is_some() {
        return Err(not_empty(path));
    }
    Ok(false)
}

/// Makes the name of a new directory survive a power cut.
fn sync_parent(path: &Path) -> Result<(), StoreError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    RealDisk.sync_directory(parent).map_err(StoreError::io(parent, "sync"))
}
