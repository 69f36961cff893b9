//! A data directory that is looked at and not changed, while no broker has it.
//!
//! Its database is opened in a copy: fjall has no other way of opening one than to recover it, and that
//! writes.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::FjallCheckpoint;
use super::directory::{FORMAT, GUARDS, create_private, open_checkpoint, unusable};
use super::error::StoreError;
use super::log::{DamageVisitor, LogInspection};
use super::read_only_disk::ReadOnlyDisk;
use super::{Checkpoint, Condition, Damage};

/// See the module. While it is there no broker can start on the directory.
#[derive(Debug)]
pub struct StoredData {
    path: PathBuf,
    /// Shared, so that several may look. `None` if no broker was ever there.
    _lock: Option<File>,
}

/// A checkpoint that was opened in a copy, which goes when this is dropped.
pub struct CopiedCheckpoint {
    /// Closed before its files go.
    checkpoint: Option<Box<dyn Checkpoint>>,
    directory: PathBuf,
}

impl StoredData {
    /// Opens the data directory `path`. Fails with [`StoreError::InUse`] if a broker has it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.is_dir() {
            return Err(unusable(path, "there is no such directory"));
        }
        let lock = lock(path)?;
        let format = path.join("format");
        match fs::read(&format) {
            Ok(found) if is_other_version(&found) => {
                let found = String::from_utf8_lossy(&found).trim().escape_debug().to_string();
                let what = format!(
                    "its format is '{found}', this version reads '{}'; use the version that wrote it",
                    FORMAT.trim()
                );
                Err(unusable(path, what))
            }
            Ok(_) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(unusable(path, "it holds neither leveret data nor a finished backup"))
            }
            Err(error) => Err(StoreError::io(&format, "read")(error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The segments in it.
    pub fn log(&self) -> Result<LogInspection, StoreError> {
        LogInspection::new(Arc::new(ReadOnlyDisk), self.path.join("log"))
    }

    /// Compares the file `format` with what it should be.
    pub fn format(&self, found: &mut DamageVisitor<'_>) -> Result<(), StoreError> {
        let file = self.path.join("format");
        let content = fs::read(&file).map_err(StoreError::io(&file, "read"))?;
        if content != FORMAT.as_bytes() {
            let same =
                content.iter().zip(FORMAT.as_bytes()).take_while(|(one, other)| one == other);
            let (offset, what) = (same.count() as u64, "it does not name the format");
            found(Damage { file, offset, bytes: 1, what });
        }
        Ok(())
    }

    /// The checkpoint, opened in a copy in the directory `scratch`; `None` if there is none. `probe` tries it
    /// first. Journals that fjall would silently shorten are reported.
    pub fn checkpoint(
        &self,
        scratch: &Path,
        probe: &Probe<'_>,
        found: &mut DamageVisitor<'_>,
    ) -> Result<Option<CopiedCheckpoint>, StoreError> {
        let meta = self.path.join("meta");
        if !meta.exists() {
            return Ok(None);
        }
        let mut journals = Vec::new();
        let copied = CopiedCheckpoint::make(scratch, |directory| {
            let copy = directory.join("meta");
            copy_tree(&meta, &copy, &mut journals)?;
            for guard in GUARDS {
                copy_if_there(&self.path.join(guard), &directory.join(guard))?;
            }
            probe(&copy).map_err(|why| StoreError::Checkpoint {
                path: meta.clone(),
                what: "open",
                source: why.into(),
            })?;
            open_checkpoint(directory).map(Some)
        })?;
        let condition = copied.as_ref().map(CopiedCheckpoint::condition).unwrap_or_default();
        for damage in condition.damages {
            // Told of the copy, and true of the original.
            let name = damage.file.file_name().unwrap_or_default();
            found(Damage { file: self.path.join(name), ..damage });
        }
        if condition.lost.is_some() {
            let what = "it is not what was applied last; messages would be put together from the log alone";
            let source = what.into();
            return Err(StoreError::Checkpoint { path: meta, what: "open", source });
        }
        for journal in journals {
            journal.report_cut(found)?;
        }
        Ok(copied)
    }
}

/// Reads everything in a database, in a process of its own: fjall panics over some damage, and then again while it
/// cleans up, which ends a process. See [`probe_checkpoint`].
pub type Probe<'a> = dyn Fn(&Path) -> Result<(), String> + 'a;

/// What a [`Probe`] does with the database in the directory `path`. Values that are damaged are no reason to fail:
/// whoever reads them finds them.
pub fn probe_checkpoint(path: &Path) -> Result<(), StoreError> {
    let checkpoint = match FjallCheckpoint::open(path) {
        Err(StoreError::DamagedValue { .. }) => return Ok(()),
        opened => opened?,
    };
    let reader = checkpoint.reader();
    let loaded = checkpoint.load(&mut |key, _| reader.get(key).map(drop));
    match loaded {
        Err(StoreError::DamagedValue { .. }) => Ok(()),
        loaded => loaded,
    }
}

impl CopiedCheckpoint {
    /// Lets `open` make and open a database in a directory of its own in `scratch`.
    pub(super) fn make(
        scratch: &Path,
        open: impl FnOnce(&Path) -> Result<Option<Box<dyn Checkpoint>>, StoreError>,
    ) -> Result<Option<Self>, StoreError> {
        let directory = scratch.join(format!("leveret-{:016x}", random()?));
        create_private(&directory).map_err(StoreError::io(&directory, "create"))?;
        let mut copied = Self { checkpoint: None, directory };
        copied.checkpoint = open(&copied.directory)?;
        Ok(copied.checkpoint.is_some().then_some(copied))
    }

    fn condition(&self) -> Condition {
        self.get().map(Checkpoint::condition).unwrap_or_default()
    }

    /// The checkpoint.
    pub fn get(&self) -> Option<&dyn Checkpoint> {
        self.checkpoint.as_deref()
    }
}

impl Drop for CopiedCheckpoint {
    fn drop(&mut self) {
        self.checkpoint = None;
        // It is a copy, in a place for such things.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A journal of the database and its copy.
struct Journal {
    path: PathBuf,
    original: File,
    /// Open since before the database was: it may delete the name.
    copy: File,
}

impl Journal {
    /// fjall cuts a journal behind its last whole batch. If that was not the end, something is lost, or a
    /// write was cut short.
    fn report_cut(mut self, found: &mut DamageVisitor<'_>) -> Result<(), StoreError> {
        let failed = |what| StoreError::io(&self.path, what);
        let kept = self.copy.metadata().map_err(failed("stat"))?.len();
        self.original.seek(SeekFrom::Start(kept)).map_err(failed("seek"))?;
        let mut buffer = vec![0; 64 * 1024];
        let (mut at, mut first, mut end) = (kept, None, kept);
        loop {
            let read = self.original.read(&mut buffer).map_err(failed("read"))?;
            if read == 0 {
                break;
            }
            let block = &buffer[..read];
            if let Some(used) = block.iter().position(|&octet| octet != 0) {
                first.get_or_insert(at + used as u64);
                let last = block.iter().rposition(|&octet| octet != 0).unwrap_or(used);
                end = at + last as u64 + 1;
            }
            at += read as u64;
        }
        if first.is_some() {
            let what =
                "no whole batch of the checkpoint: a damaged one, or one cut short by a kill";
            found(Damage { file: self.path, offset: kept, bytes: end - kept, what });
        }
        Ok(())
    }
}

/// Keeps brokers out. It is opened for reading, so that nothing changes.
fn lock(path: &Path) -> Result<Option<File>, StoreError> {
    let file = path.join("lock");
    let lock = match File::open(&file) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io(&file, "open")(error)),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io(&file, "lock")(error)),
    }
}

/// `leveret data <another number>`, and nothing else: what is neither is damaged.
fn is_other_version(format: &[u8]) -> bool {
    let text = std::str::from_utf8(format).ok().and_then(|text| text.strip_suffix('\n'));
    let number = text.and_then(|text| text.strip_prefix("leveret data "));
    format != FORMAT.as_bytes() && number.is_some_and(|number| number.parse::<u32>().is_ok())
}

fn random() -> Result<u64, StoreError> {
    getrandom::u64().map_err(|error| {
        let source = io::Error::other(error.to_string());
        StoreError::io(Path::new("the random number generator"), "read")(source)
    })
}

fn copy_if_there(from: &Path, to: &Path) -> Result<(), StoreError> {
    match fs::copy(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io(from, "copy")(error))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

fn copy_tree(from: &Path, to: &Path, journals: &mut Vec<Journal>) -> Result<(), StoreError> {
    fs::create_dir(to).map_err(StoreError::io(to, "create"))?;
    for entry in fs::read_dir(from).map_err(StoreError::io(from, "list"))? {
        let entry = entry.map_err(StoreError::io(from, "list"))?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().map_err(StoreError::io(&path, "stat"))?.is_dir() {
            copy_tree(&path, &copy, journals)?;
            continue;
        }
        fs::copy(&path, &copy).map_err(StoreError::io(&path, "copy"))?;
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let original = File::open(&path).map_err(StoreError::io(&path, "open"))?;
            let copy = File::open(&copy).map_err(StoreError::io(&copy, "open"))?;
            journals.push(Journal { path, original, copy });
        }
    }
    Ok(())
}
