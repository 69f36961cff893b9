//! A checkpoint that is not believed on its own word.
//!
//! The database below notices most damage, and some it does not: it opens a journal with a flipped bit in a
//! length as if the rest had never been written, and one with a flipped bit in a batch's age as if that batch
//! were newer, or older, than it is. Values come back that are whole and not the last. Segments of the log that
//! the newer state had given up are gone by then, so this would lose messages without a word. Therefore:
//!
//! * A **digest** of all pairs lies among them, written in the batch that makes it true. At the start it must
//!   fit what is there. It is a sum over the pairs, so a batch costs what it changes.
//! * The **mark** (`data/checkpoint`) says outside of the database which position and digest were applied
//!   last. It is written before segments are given up on the word of that checkpoint. What is older than the mark has
//!   lost something; what is newer is right: the power failed in between.
//! * Keys from [`BULK_KEYS`] are too many to be read at the start. Whoever stores them keeps a check of each
//!   elsewhere, and says so when it fails ([`CheckpointReader::distrust`]); then `data/distrust` is made, and the
//!   next start does without this checkpoint.
//! * The caller's **snapshot** (`data/definitions`) is what a state cannot be put together without when the
//!   checkpoint is lost. It is written before the mark.
//!
//! The database also takes much of what it reads for its own promise, and panics; in unwinding it may panic again,
//! which ends the process. So a panic of whoever is inside the database makes `data/distrust` before anything
//! is unwound.
//!
//! A checkpoint that cannot be believed is set aside, not deleted, and an empty one takes its place. That it was lost
//! is told by [`Checkpoint::condition`]; the mark goes on saying so until a new one is applied, so a power cut
//! at any step only repeats the step.

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use bytes::Bytes;

use super::disk::Disk;
use super::error::StoreError;
use super::kept::{Kept, KeptFile};
use super::mark::MarkFile;
use super::{
    BULK_KEYS, Checkpoint, CheckpointBatch, CheckpointReader, Condition, Damage, FjallCheckpoint,
    LogPosition, Lost, PairVisitor,
};

/// The key of the digest. Callers' keys do not begin with 0.
const DIGEST_KEY: [u8; 2] = [0, b'd'];

/// Where a checkpoint lies.
pub trait CheckpointPlace: Send {
    /// For the operator.
    fn path(&self) -> PathBuf;

    /// Opens what is there; an empty checkpoint if there is nothing.
    fn open(&self) -> Result<Box<dyn Checkpoint>, StoreError>;

    /// Puts what is there out of the way, where it can be looked at, and says where. `None`: there was nothing.
    fn set_aside(&self) -> Result<Option<PathBuf>, StoreError>;
}

/// A directory of the database.
#[derive(Debug)]
pub(super) struct FjallPlace(pub(super) PathBuf);

impl CheckpointPlace for FjallPlace {
    fn path(&self) -> PathBuf {
        self.0.clone()
    }

    fn open(&self) -> Result<Box<dyn Checkpoint>, StoreError> {
        Ok(Box::new(FjallCheckpoint::open(&self.0)?))
    }

    fn set_aside(&self) -> Result<Option<PathBuf>, StoreError> {
        if !self.0.exists() {
            return Ok(None);
        }
        let names = (1_u32..).map(|number| self.0.with_extension(format!("damaged-{number}")));
        let mut free = names.filter(|name| !name.exists());
        let aside = free.next().unwrap_or_else(|| self.0.with_extension("damaged"));
        std::fs::rename(&self.0, &aside).map_err(StoreError::io(&self.0, "rename"))?;
        let parent = self.0.parent().unwrap_or(&self.0);
        let directory = File::open(parent).map_err(StoreError::io(parent, "open"))?;
        directory.sync_all().map_err(StoreError::io(parent, "sync"))?;
        Ok(Some(aside))
    }
}

/// See the module.
pub struct GuardedCheckpoint {
    inner: Box<dyn Checkpoint>,
    mark: MarkFile,
    snapshot: KeptFile,
    distrust: Arc<Distrust>,
    condition: Condition,
    wants_snapshot: bool,
}

impl fmt::Debug for GuardedCheckpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("GuardedCheckpoint");
        shown.field("mark", &self.mark).field("condition", &self.condition).finish_non_exhaustive()
    }
}

/// Why a checkpoint is not used.
enum Refusal {
    /// It is not what was applied.
    Lost(&'static str),
    /// Nobody knows.
    Error(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::DamagedValue { .. } | StoreError::Damaged { .. } => {
                tracing::error!(%error, "the checkpoint is damaged");
                Self::Lost("a value of the checkpoint is not what was stored")
            }
            StoreError::Checkpoint { .. } => {
                tracing::error!(%error, "the checkpoint is damaged");
                Self::Lost("the checkpoint cannot be read")
            }
            StoreError::Full { .. }
            | StoreError::InUse { .. }
            | StoreError::Unusable { .. }
            | StoreError::TooLarge { .. }
            | StoreError::Io { .. }
            | StoreError::Stopped { .. } => Self::Error(error),
        }
    }
}

impl GuardedCheckpoint {
    /// Opens what is in `place`, with the files that guard it in `directory`. If it is not what was applied
    /// last it is set aside, and the condition says that it is lost.
    pub fn open(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        place: &dyn CheckpointPlace,
    ) -> Result<Self, StoreError> {
        let mut condition = Condition::default();
        let mark = MarkFile::open(Arc::clone(disk), directory, &mut condition.damages)?;
        let snapshot = KeptFile::new(Arc::clone(disk), directory, "definitions");
        let kept = snapshot.read()?;
        let distrust = Arc::new(Distrust::new(Arc::clone(disk), directory));
        if kept == Kept::Damaged {
            let what = "it does not hold what was written there";
            condition.damages.push(damage(snapshot.path.clone(), what));
        }
        let wants_snapshot = !matches!(kept, Kept::Content(_));
        let inner = match examine(place, &mark, &distrust) {
            Ok(inner) => inner,
            Err(Refusal::Error(error)) => return Err(error),
            Err(Refusal::Lost(what)) => {
                condition.lost = Some(lost(kept, &mark, &snapshot)?);
                condition.damages.push(damage(place.path(), what));
                let aside = place.set_aside()?;
                let aside = aside.as_deref().map(Path::display);
                let kept = aside.map_or_else(|| "nowhere".to_owned(), |aside| aside.to_string());
                tracing::error!(
                    what,
                    kept,
                    "the checkpoint is lost; what it stood for is put together \
                    from the log; messages that were settled may come again"
                );
                distrust.clear()?;
                place.open()?
            }
        };
        Ok(Self { inner, mark, snapshot, distrust, condition, wants_snapshot })
    }

    /// The digest of what is there, and what a batch makes of it.
    fn digest_after(&self, batch: &CheckpointBatch) -> Result<Digest, StoreError> {
        let mut digest = Digest::default();
        if let Some(value) = self.inner.get(&DIGEST_KEY)? {
            digest = Digest::decode(&value).ok_or_else(|| StoreError::DamagedValue {
                key: DIGEST_KEY.to_vec(),
                what: "it is no digest".to_owned(),
            })?;
        }
        for (key, value) in batch.changes.iter().filter(|(key, _)| !is_bulk(key)) {
            if let Some(before) = self.inner.get(key)? {
                digest.remove(key, &before);
            }
            if let Some(value) = value {
                digest.add(key, value);
            }
        }
        Ok(digest)
    }
}

impl Checkpoint for GuardedCheckpoint {
    fn position(&self) -> Option<LogPosition> {
        self.inner.position()
    }

    fn load_range(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut PairVisitor<'_>,
    ) -> Result<(), StoreError> {
        self.inner.load_range(from, to, &mut |key, value| {
            if key == DIGEST_KEY { Ok(()) } else { visit(key, value) }
        })
    }

    fn reader(&self) -> Arc<dyn CheckpointReader> {
        let distrust = Arc::clone(&self.distrust);
        Arc::new(GuardedReader { inner: self.inner.reader(), distrust })
    }

    fn apply(&mut self, mut batch: CheckpointBatch) -> Result<(), StoreError> {
        let (position, snapshot) = (batch.position, batch.snapshot.take());
        let distrust = Arc::clone(&self.distrust);
        let digest = distrust.watch(|| {
            self.inner.revive()?;
            let digest = self.digest_after(&batch)?;
            batch.put(DIGEST_KEY, digest.encode());
            self.inner.apply(batch)?;
            Ok::<_, StoreError>(digest)
        })?;
        if let Some(snapshot) = snapshot {
            self.snapshot.write(&snapshot)?;
            self.wants_snapshot = false;
        }
        self.mark.set(position, digest.0)
    }

    fn revive(&mut self) -> Result<(), StoreError> {
        self.inner.revive()
    }

    fn condition(&self) -> Condition {
        self.condition.clone()
    }

    fn wants_snapshot(&self) -> bool {
        self.wants_snapshot
    }
}

fn damage(file: PathBuf, what: &'static str) -> Damage {
    Damage { file, offset: 0, bytes: 0, what }
}

/// What is left when the checkpoint is not. Without any snapshot everything must still be in the log.
fn lost(kept: Kept, mark: &MarkFile, snapshot: &KeptFile) -> Result<Lost, StoreError> {
    match kept {
        Kept::Content(snapshot) => Ok(Lost { snapshot: Some(snapshot) }),
        // Nothing was ever given up.
        Kept::Absent if !mark.exists() => Ok(Lost { snapshot: None }),
        Kept::Absent | Kept::Damaged => {
            let what = "the checkpoint is damaged, and so are the definitions it could be replaced with; \
                        restore a backup of the data directory, or of this file";
            Err(StoreError::Unusable { path: snapshot.path.clone(), what: what.to_owned() })
        }
    }
}

/// Opens the checkpoint and holds it against what is known of it.
fn examine(
    place: &dyn CheckpointPlace,
    mark: &MarkFile,
    distrust: &Distrust,
) -> Result<Box<dyn Checkpoint>, Refusal> {
    if distrust.is_set()? {
        return Err(Refusal::Lost("a value was not what was stored when it was needed"));
    }
    let examined = catch_unwind(AssertUnwindSafe(|| {
        distrust.watch(|| {
            let inner = place.open()?;
            let (found, stored) = read_digest(&*inner)?;
            Ok((inner, found, stored))
        })
    }));
    let Ok(examined) = examined else { return Err(Refusal::Lost("the checkpoint cannot be read")) };
    let (inner, found, stored) = examined.map_err(|error: StoreError| Refusal::from(error))?;
    if found != stored.unwrap_or_default() || stored.is_some() != inner.position().is_some() {
        return Err(Refusal::Lost("the checkpoint does not hold what was applied to it"));
    }
    let Some(last) = mark.last() else { return Ok(inner) };
    match inner.position() {
        None => Err(Refusal::Lost("the checkpoint is missing")),
        Some(position) if position < last.position => {
            Err(Refusal::Lost("the checkpoint is older than the last that was applied"))
        }
        Some(position) if position == last.position && found.0 != last.digest => {
            Err(Refusal::Lost("the checkpoint is not the last that was applied"))
        }
        Some(_) => Ok(inner),
    }
}

/// The digest of the pairs that are there, and the one that was stored with them.
fn read_digest(checkpoint: &dyn Checkpoint) -> Result<(Digest, Option<Digest>), StoreError> {
    let (mut found, mut stored) = (Digest::default(), None);
    let mut visit = |key: &[u8], value: &[u8]| {
        if key == DIGEST_KEY {
            stored = Some(Digest::decode(value).unwrap_or_default());
        } else {
            found.add(key, value);
        }
        Ok(())
    };
    checkpoint.load_range(&[], Some(BULK_KEYS.start), &mut visit)?;
    checkpoint.load_range(BULK_KEYS.end, None, &mut visit)?;
    Ok((found, stored))
}

fn is_bulk(key: &[u8]) -> bool {
    BULK_KEYS.contains(&key)
}

/// A sum over pairs that does not depend on their order, and from which a pair can be taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Digest(u64);

impl Digest {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(hash(key, value));
    }

    fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_sub(hash(key, value));
    }

    fn encode(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    fn decode(value: &[u8]) -> Option<Self> {
        value.try_into().ok().map(|value| Self(u64::from_le_bytes(value)))
    }
}

/// Damage is not malice: the checksum says whether two values differ, and the mixing that sums of different
/// pairs do not meet.
fn hash(key: &[u8], value: &[u8]) -> u64 {
    let checksum = crc32c::crc32c_append(crc32c::crc32c(key), value);
    let length = (key.len() as u64) << 16 ^ value.len() as u64;
    let mut mixed = (length << 32 | u64::from(checksum)).wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

thread_local! {
    /// Whose database this thread is inside of.
    static INSIDE: Cell<Option<Distrust>> = const { Cell::new(None) };
}

/// The file that says that the checkpoint must not be used again.
#[derive(Clone, Debug)]
struct Distrust {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    path: PathBuf,
}

impl Distrust {
    fn new(disk: Arc<dyn Disk>, directory: &Path) -> Self {
        Self { disk, path: directory.join("distrust"), directory: directory.to_owned() }
    }

    /// Does `work`, and if it panics, sets the file before anything is unwound.
    fn watch<T>(&self, work: impl FnOnce() -> T) -> T {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                if let Some(distrust) = INSIDE.take() {
                    distrust.set();
                }
                before(panic);
            }));
        });
        INSIDE.set(Some(self.clone()));
        let done = work();
        INSIDE.set(None);
        done
    }

    fn is_set(&self) -> Result<bool, StoreError> {
        match self.disk.open(&self.path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io(&self.path, "open")(error)),
        }
    }

    fn set(&self) {
        let set =
            self.disk.create(&self.path).and_then(|_| self.disk.sync_directory(&self.directory));
        match set {
            Ok(()) => tracing::error!("the next start does without this checkpoint"),
            Err(error) => tracing::error!(%error, "cannot say that the checkpoint is damaged"),
        }
    }

    fn clear(&self) -> Result<(), StoreError> {
        match self.disk.remove(&self.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StoreError::io(&self.path, "delete")(error)),
        }
        let directory = &self.directory;
        self.disk.sync_directory(directory).map_err(StoreError::io(directory, "sync"))
    }
}

#[derive(Debug)]
struct GuardedReader {
    inner: Arc<dyn CheckpointReader>,
    distrust: Arc<Distrust>,
}

impl CheckpointReader for GuardedReader {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let got = self.distrust.watch(|| self.inner.get(key));
        if matches!(got, Err(StoreError::DamagedValue { .. } | StoreError::Checkpoint { .. })) {
            self.distrust();
        }
        got
    }

    fn distrust(&self) {
        self.distrust.set();
    }
}

#[cfg(test)]
mod tests;
