//! The data directory: one process at a time, one format.
//!
//! ```text
//! lock     held while the directory is open; its content means nothing
//! format   "leveret data 2": what follows can be read by this version
//! log/     segments
//! meta/    checkpoint; meta.damaged-<n>/ are such that could not be believed
//! spill/   what is gone with the process that wrote it
//! checkpoint   which checkpoint was applied last
//! definitions  what is needed if the checkpoint is lost
//! distrust     there if the checkpoint must not be used again
//! ```

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, RealDisk};
use super::error::StoreError;
use super::guard::{FjallPlace, GuardedCheckpoint};
use super::log::SegmentFiles;
use super::{Checkpoint, SpillArea, StoredLog};

pub(super) const FORMAT: &str = "leveret data 2\n";

/// A data directory that is ours until this value is dropped: keep it as long as the log and the
/// checkpoint that were opened from it.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// The lock goes with the file, also when the process is killed.
    _lock: File,
}

impl DataDirectory {
    /// Opens the directory, and makes it if it does not exist.
    ///
    /// Fails with [`StoreError::InUse`] if another process has it open, and with
    /// [`StoreError::Unusable`] if it is not a directory, holds something else, or is of another version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if path.exists() && !path.is_dir() {
            return Err(unusable(path, "it is not a directory; choose another data directory"));
        }
        create_private(path).map_err(StoreError::io(path, "create"))?;
        let is_foreign = !path.join("format").exists() && holds_anything(path)?;
        if is_foreign {
            let what = "it holds files, but no leveret data; choose an empty or new directory";
            return Err(unusable(path, what));
        }
        let lock = lock(path)?;
        check_format(path)?;
        let directory = Self { path: path.to_owned(), _lock: lock };
        let log = directory.log_path();
        fs::create_dir_all(&log).map_err(StoreError::io(&log, "create"))?;
        sync_directory(path)?;
        Ok(directory)
    }

    /// Makes what was restored into `path` a data directory, and opens it.
    pub(super) fn adopt(path: &Path) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        check_format(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The log in it, to be opened.
    pub fn log(&self) -> Box<dyn StoredLog> {
        Box::new(SegmentFiles::new(Arc::new(RealDisk), self.log_path()))
    }

    /// The checkpoint in it, opened.
    pub fn checkpoint(&self) -> Result<Box<dyn Checkpoint>, StoreError> {
        open_checkpoint(&self.path)
    }

    /// The area in it for what means nothing after this run, emptied. It leaves `reserve` bytes of the disk free.
    pub fn spill(&self, reserve: u64) -> Result<SpillArea, StoreError> {
        let path = self.path.join("spill");
        create_private(&path).map_err(StoreError::io(&path, "create"))?;
        SpillArea::empty(Arc::new(RealDisk), path, reserve)
    }

    fn log_path(&self) -> PathBuf {
        self.path.join("log")
    }
}

/// The checkpoint in a data directory, or in one that is to become one.
pub(super) fn open_checkpoint(path: &Path) -> Result<Box<dyn Checkpoint>, StoreError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let place = FjallPlace(path.join("meta"));
    Ok(Box::new(GuardedCheckpoint::open(&disk, path, &place)?))
}

/// What belongs to the checkpoint besides the database.
pub(super) const GUARDS: [&str; 3] = ["checkpoint", "definitions", "distrust"];

pub(super) fn unusable(path: &Path, what: impl Into<String>) -> StoreError {
    StoreError::Unusable { path: path.to_owned(), what: what.into() }
}

/// Whether there is anything but what a new file system or an interrupted first start leaves.
fn holds_anything(path: &Path) -> Result<bool, StoreError> {
    for entry in fs::read_dir(path).map_err(StoreError::io(path, "list"))? {
        let name = entry.map_err(StoreError::io(path, "list"))?.file_name();
        if !["lock", "format.new", "lost+found"].iter().any(|known| name == *known) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes a directory, with those above it. Messages are nobody else's business; a directory that exists keeps
/// the mode its owner gave it.
pub(super) fn create_private(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    // Recursive: it may exist.
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let file = path.join("lock");
    let lock = File::create(&file).map_err(StoreError::io(&file, "create"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io(&file, "lock")(error)),
    }
}

fn check_format(path: &Path) -> Result<(), StoreError> {
    let file = path.join("format");
    match fs::read(&file) {
        Ok(found) if found == FORMAT.as_bytes() => Ok(()),
        Ok(found) => {
            let found = String::from_utf8_lossy(&found).trim().escape_debug().to_string();
            let what = format!(
                "its format is '{found}', this version reads '{}'; use the version that wrote it",
                FORMAT.trim()
            );
            Err(unusable(path, what))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => write_format(path, &file),
        Err(error) => Err(StoreError::io(&file, "read")(error)),
    }
}

/// By rename, so that the file is whole or not there.
fn write_format(path: &Path, file: &Path) -> Result<(), StoreError> {
    let draft = path.join("format.new");
    let mut new = File::create(&draft).map_err(StoreError::io(&draft, "create"))?;
    new.write_all(FORMAT.as_bytes()).map_err(StoreError::io(&draft, "write"))?;
    new.sync_all().map_err(StoreError::io(&draft, "sync"))?;
    fs::rename(&draft, file).map_err(StoreError::io(&draft, "rename"))?;
    sync_directory(path)
}

/// Makes everything in `path` survive a power cut.
pub(super) fn sync_tree(path: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(path).map_err(StoreError::io(path, "list"))? {
        let entry = entry.map_err(StoreError::io(path, "list"))?.path();
        if entry.is_dir() {
            sync_tree(&entry)?;
        } else {
            let file = File::open(&entry).map_err(StoreError::io(&entry, "open"))?;
            file.sync_all().map_err(StoreError::io(&entry, "sync"))?;
        }
    }
    sync_directory(path)
}

fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let directory = File::open(path).map_err(StoreError::io(path, "open"))?;
    directory.sync_all().map_err(StoreError::io(path, "sync"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_new_directory_is_made_and_can_be_opened_again() {
        let scratch = scratch();
        let path = scratch.path().join("deep").join("data");

        drop(DataDirectory::open(&path).unwrap());

        assert!(DataDirectory::open(&path).is_ok());
    }

    #[test]
    fn a_directory_that_is_open_cannot_be_opened_again() {
        let scratch = scratch();
        let _held = DataDirectory::open(scratch.path()).unwrap();

        let error = DataDirectory::open(scratch.path()).unwrap_err();

        assert!(matches!(error, StoreError::InUse { .. }));
        assert!(error.to_string().contains("in use by another process"));
    }

    #[test]
    fn a_file_is_not_taken_for_a_directory() {
        let scratch = scratch();
        let file = scratch.path().join("data");
        fs::write(&file, "hello").unwrap();

        let error = DataDirectory::open(&file).unwrap_err();

        assert!(error.to_string().contains("not a directory"), "{error}");
    }

    #[test]
    fn a_directory_with_other_peoples_files_is_left_alone() {
        let scratch = scratch();
        fs::write(scratch.path().join("thesis.txt"), "hello").unwrap();

        let error = DataDirectory::open(scratch.path()).unwrap_err();

        assert!(error.to_string().contains("holds files"), "{error}");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_of_another_version_is_refused_by_name() {
        let scratch = scratch();
        drop(DataDirectory::open(scratch.path()).unwrap());
        for other in ["leveret data 1", "leveret data 3"] {
            fs::write(scratch.path().join("format"), format!("{other}\n")).unwrap();

            let error = DataDirectory::open(scratch.path()).unwrap_err();

            assert!(error.to_string().contains(&format!("'{other}'")), "{error}");
        }
    }

    #[test]
    fn a_first_start_that_was_interrupted_is_repeated() {
        let scratch = scratch();
        fs::write(scratch.path().join("lock"), "").unwrap();
        fs::write(scratch.path().join("format.new"), "lev").unwrap();

        assert!(DataDirectory::open(scratch.path()).is_ok());
    }
}
