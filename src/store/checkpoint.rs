//! The checkpoint on disk: one ordered map in fjall, the only place that names it.
//!
//! Invariants:
//! * The position lies in the same batch as the changes it stands for, and a batch is durable when
//!   `apply` returns.
//! * Everything is in one keyspace, so no idle one can pin the journal, and no range is ever scanned
//!   except by `load` at the start.
//! * Every value carries a checksum of its own, see `sealed`; fjall's are not relied on.
//! * fjall refuses all writes after a failed one, and still reads what was applied before. The next `apply`
//!   opens it again, which finds the last whole batch, but not before there is space for it: readers would have
//!   nothing to read from if it failed. Until then the log keeps what the checkpoint lacks.
//! * The database is made by the first `apply`: that takes some thirty syncs, and a first start should
//!   not wait for them. It is made under another name, because fjall cannot open a half-made one.

use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fjall::config::{CompressionPolicy, PinningPolicy};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::disk::{Disk, RealDisk};
use super::error::{StoreError, is_full};
use super::sealed::{seal, unseal};
use super::{Checkpoint, CheckpointBatch, CheckpointReader, LogPosition, PairVisitor};
use crate::limits;
use crate::sync::{RankedMutex, rank};

const KEYSPACE: &str = "state";
/// The key of the position. Callers' keys are longer; it sorts before all of them that start with 0.
const POSITION_KEY: [u8; 1] = [0];

/// A checkpoint in a fjall database.
#[derive(Debug)]
pub struct FjallCheckpoint {
    shared: Arc<Shared>,
    position: Option<LogPosition>,
}

/// What the checkpoint and its readers share.
struct Shared {
    path: PathBuf,
    state: RankedMutex<{ rank::LEAF }, State>,
}

enum State {
    /// Nothing was ever applied.
    Absent,
    Open(Open),
    /// A write failed; the database must be opened again. It may still be read, unless that failed, too, or the
    /// checkpoint is gone.
    Failed(Option<Open>),
}

#[derive(Clone)]
struct Open {
    keyspace: Keyspace,
    database: Database,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FjallCheckpoint").field("path", &self.path).finish_non_exhaustive()
    }
}

impl FjallCheckpoint {
    /// Opens the database in the directory `path`. If there is none, the first `apply` makes it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let state = RankedMutex::new(State::Absent);
        let shared = Arc::new(Shared { path: path.to_owned(), state });
        let mut checkpoint = Self { shared, position: None };
        if path.exists() {
            // Not under the lock: fjall asserts things of a damaged journal, and a check goes on after that.
            let open = open_database(path).map_err(failed(path, "open"))?;
            *checkpoint.shared.state.lock() = State::Open(open);
            checkpoint.position = checkpoint.read_position()?;
        }
        Ok(checkpoint)
    }

    fn read_position(&self) -> Result<Option<LogPosition>, StoreError> {
        let Some(value) = self.get(&POSITION_KEY)? else { return Ok(None) };
        let damaged = || StoreError::DamagedValue {
            key: POSITION_KEY.to_vec(),
            what: "it is no position".to_owned(),
        };
        decode_position(&value).ok_or_else(damaged).map(Some)
    }

    /// Writes what is in memory into a table.
    #[cfg(test)]
    pub(crate) fn flush(&self) {
        let open = self.shared.writable().unwrap();
        open.keyspace.rotate_memtable_and_wait().unwrap();
    }

    fn commit(&self, open: &Open, batch: CheckpointBatch) -> Result<(), StoreError> {
        let Open { database, keyspace } = open;
        // fdatasync, also of the journal's length: only then may segments of the log be given up.
        let mut writes = database.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in batch.changes {
            match value {
                Some(value) => {
                    let sealed = seal(&key, value);
                    writes.insert(keyspace, key, sealed);
                }
                None => writes.remove(keyspace, key),
            }
        }
        let position = encode_position(batch.position).to_vec();
        writes.insert(keyspace, POSITION_KEY, seal(&POSITION_KEY, position));
        writes.commit().map_err(failed(&self.shared.path, "apply"))
    }
}

impl Drop for FjallCheckpoint {
    /// Readers may be left, but the database must not be held by them.
    fn drop(&mut self) {
        *self.shared.state.lock() = State::Failed(None);
    }
}

impl Shared {
    /// Opens the database, again if need be. Readers wait meanwhile.
    fn reopen(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        // Nobody else may have it open.
        *state = State::Failed(None);
        *state = State::Open(open_database(&self.path).map_err(failed(&self.path, "open"))?);
        Ok(())
    }

    /// The database, to be written. Makes it, or opens it again, if that must be.
    fn writable(&self) -> Result<Open, StoreError> {
        let (is_absent, is_readable) = match &*self.state.lock() {
            State::Open(open) => return Ok(open.clone()),
            State::Absent => (true, false),
            State::Failed(open) => (false, open.is_some()),
        };
        if is_absent {
            create_database(&self.path)?;
        }
        if is_readable && self.free_space()? < limits::CHECKPOINT_REOPEN_SPACE {
            return Err(StoreError::Full { path: self.path.clone() });
        }
        self.reopen()?;
        self.readable()?.ok_or_else(|| StoreError::Stopped { path: self.path.clone() })
    }

    fn free_space(&self) -> Result<u64, StoreError> {
        RealDisk.free_space(&self.path).map_err(StoreError::io(&self.path, "look at"))
    }

    /// The database as it is; `None` if there is none yet.
    fn readable(&self) -> Result<Option<Open>, StoreError> {
        match &*self.state.lock() {
            State::Open(open) | State::Failed(Some(open)) => Ok(Some(open.clone())),
            State::Absent => Ok(None),
            State::Failed(None) => Err(StoreError::Stopped { path: self.path.clone() }),
        }
    }

    fn fail(&self) {
        let mut state = self.state.lock();
        if let State::Open(open) = &*state {
            *state = State::Failed(Some(open.clone()));
        }
    }
}

impl CheckpointReader for Shared {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        // Under the lock: a handle that outlives it would keep the database from being opened again.
        let state = self.state.lock();
        let keyspace = match &*state {
            State::Open(open) | State::Failed(Some(open)) => &open.keyspace,
            State::Absent => return Ok(None),
            State::Failed(None) => return Err(StoreError::Stopped { path: self.path.clone() }),
        };
        let Some(stored) = keyspace.get(key).map_err(failed(&self.path, "read"))? else {
            return Ok(None);
        };
        Ok(Some(Bytes::copy_from_slice(unseal(key, &stored)?)))
    }
}

impl Checkpoint for FjallCheckpoint {
    fn position(&self) -> Option<LogPosition> {
        self.position
    }

    fn load_range(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut PairVisitor<'_>,
    ) -> Result<(), StoreError> {
        let Some(Open { keyspace, .. }) = self.shared.readable()? else { return Ok(()) };
        let pairs = match to {
            Some(to) => keyspace.range(from..to),
            None => keyspace.range(from..),
        };
        for pair in pairs {
            let (key, stored) = pair.into_inner().map_err(failed(&self.shared.path, "load"))?;
            let value = unseal(&key, &stored)?;
            if *key != POSITION_KEY {
                visit(&key, value)?;
            }
        }
        Ok(())
    }

    fn reader(&self) -> Arc<dyn CheckpointReader> {
        let shared: Arc<Shared> = Arc::clone(&self.shared);
        shared
    }

    fn apply(&mut self, batch: CheckpointBatch) -> Result<(), StoreError> {
        let position = batch.position;
        let open = self.shared.writable()?;
        if let Err(error) = self.commit(&open, batch) {
            self.shared.fail();
            return Err(error);
        }
        self.position = Some(position);
        Ok(())
    }

    fn revive(&mut self) -> Result<(), StoreError> {
        self.shared.writable().map(drop)
    }
}

/// Makes an empty database, whole or not at all.
fn create_database(path: &Path) -> Result<(), StoreError> {
    let draft = path.with_extension("new");
    if draft.exists() {
        fs::remove_dir_all(&draft).map_err(StoreError::io(&draft, "delete"))?;
    }
    drop(open_database(&draft).map_err(failed(&draft, "create"))?);
    fs::rename(&draft, path).map_err(StoreError::io(&draft, "rename"))?;
    let parent = path.parent().unwrap_or(path);
    let directory = File::open(parent).map_err(StoreError::io(parent, "open"))?;
    directory.sync_all().map_err(StoreError::io(parent, "sync"))
}

fn open_database(path: &Path) -> fjall::Result<Open> {
    let database = Database::builder(path)
        // One is enough for a write every few seconds, and it defers compaction: WA 2.3 against 4.7.
        .worker_threads(1)
        // Read at the start, and then a chunk at a time; what matters is cached above us.
        .cache_size(limits::CHECKPOINT_CACHE)
        // The least it takes. A larger one lengthens the start after a crash.
        .max_journaling_size(limits::CHECKPOINT_JOURNAL)
        // The default of 900 could starve connections of descriptors.
        .max_cached_files(Some(limits::CHECKPOINT_FILES))
        // Every batch is synced by itself; a flush of the buffer before that would be one call more.
        .manual_journal_persist(true)
        // Index chunks do not compress, and the CPU is better spent on messages.
        .journal_compression(CompressionType::None)
        .open()?;
    let keyspace = database.keyspace(KEYSPACE, keyspace_options)?;
    Ok(Open { keyspace, database })
}

/// They apply to a new keyspace only: fjall writes them down and takes those ever after.
fn keyspace_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        // The default of 64 MiB is resident memory, and replay after a crash.
        .max_memtable_size(limits::CHECKPOINT_MEMTABLE)
        // As for the journal.
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
        .index_block_compression_policy(CompressionPolicy::all(CompressionType::None))
        // Pinned blocks are outside the cache's bound; a backlog's index would grow into memory.
        .index_block_pinning_policy(PinningPolicy::all(false))
        .filter_block_pinning_policy(PinningPolicy::all(false))
        // Keys that are looked up exist, so the last level, nine tenths of the data, needs no filters.
        .expect_point_read_hits(true)
        // As for the database.
        .manual_journal_persist(true)
}

/// For `map_err`: the error of doing `what`. A full disk is told apart, and what the machine refused from what the
/// files hold.
fn failed(path: &Path, what: &'static str) -> impl FnOnce(fjall::Error) -> StoreError {
    move |error| {
        let path = path.to_owned();
        if matches!(error, fjall::Error::Locked) {
            return StoreError::InUse { path };
        }
        match io_error(&error) {
            Some(error) if is_full(error) => StoreError::Full { path },
            Some(source) if is_of_the_machine(source) => {
                let source = io::Error::new(source.kind(), error);
                StoreError::Io { path, what, source }
            }
            Some(_) | None => StoreError::Checkpoint { path, what, source: Box::new(error) },
        }
    }
}

/// The error of the operating system behind an error.
fn io_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e io::Error> {
    error.downcast_ref().or_else(|| io_error(error.source()?))
}

/// Whether it would come with any content of the files. A file that is missing, or a place that none has, is what
/// damaged files ask for.
fn is_of_the_machine(error: &io::Error) -> bool {
    use io::ErrorKind::{
        AlreadyExists, FileTooLarge, InvalidInput, IsADirectory, NotADirectory, NotFound,
    };
    let asked_for =
        [AlreadyExists, FileTooLarge, InvalidInput, IsADirectory, NotADirectory, NotFound];
    error.raw_os_error().is_some() && !asked_for.contains(&error.kind())
}

fn encode_position(position: LogPosition) -> [u8; 12] {
    let mut value = [0; 12];
    value[..8].copy_from_slice(&position.generation.to_be_bytes());
    value[8..].copy_from_slice(&position.offset.to_be_bytes());
    value
}

fn decode_position(value: &[u8]) -> Option<LogPosition> {
    let (generation, offset) = value.split_at_checked(8)?;
    Some(LogPosition {
        generation: u64::from_be_bytes(generation.try_into().ok()?),
        offset: u32::from_be_bytes(offset.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: LogPosition = LogPosition { generation: 7, offset: 8192 };
    const THERE: LogPosition = LogPosition { generation: 9, offset: 4096 };

    fn range(checkpoint: &dyn Checkpoint, from: &str, to: Option<&str>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut pairs = Vec::new();
        let mut visit = |key: &[u8], value: &[u8]| {
            pairs.push((key.to_vec(), value.to_vec()));
            Ok(())
        };
        checkpoint.load_range(from.as_bytes(), to.map(str::as_bytes), &mut visit).unwrap();
        pairs
    }

    fn pairs(checkpoint: &dyn Checkpoint) -> Vec<(Vec<u8>, Vec<u8>)> {
        range(checkpoint, "", None)
    }

    fn pair(key: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
        (key.as_bytes().to_vec(), value.as_bytes().to_vec())
    }

    /// A place for a database.
    struct Scratch(tempfile::TempDir);

    impl Scratch {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("meta")
        }

        fn open(&self) -> FjallCheckpoint {
            FjallCheckpoint::open(&self.path()).unwrap()
        }
    }

    /// What holds for every checkpoint.
    fn exercise(checkpoint: &mut dyn Checkpoint) {
        assert_eq!(checkpoint.position(), None);
        assert_eq!(pairs(checkpoint), []);

        let mut batch = CheckpointBatch::new(HERE);
        batch.put("q2", "two");
        batch.put("q1", "one");
        batch.put("q3", "three");
        checkpoint.apply(batch).unwrap();
        let mut batch = CheckpointBatch::new(THERE);
        batch.put("q1", "uno");
        batch.delete("q2");
        batch.put("q3", "lost");
        batch.put("q3", "tres");
        batch.delete("q9");
        checkpoint.apply(batch).unwrap();

        assert_eq!(checkpoint.position(), Some(THERE));
        assert_eq!(pairs(checkpoint), [pair("q1", "uno"), pair("q3", "tres")]);
        assert_eq!(checkpoint.get(b"q1").unwrap().as_deref(), Some(b"uno".as_slice()));
        assert_eq!(checkpoint.get(b"q2").unwrap(), None);
        assert_eq!(range(checkpoint, "q1", Some("q3")), [pair("q1", "uno")]);
        assert_eq!(range(checkpoint, "q2", None), [pair("q3", "tres")]);
    }

    #[test]
    fn the_last_change_of_a_key_is_what_is_loaded() {
        let scratch = Scratch::new();
        exercise(&mut scratch.open());
    }

    #[test]
    fn the_checkpoint_in_memory_behaves_alike() {
        exercise(&mut *crate::store::MemoryStore::new().checkpoint());
    }

    #[test]
    fn a_checkpoint_survives_being_opened_again() {
        let scratch = Scratch::new();
        exercise(&mut scratch.open());

        let checkpoint = scratch.open();

        assert_eq!(checkpoint.position(), Some(THERE));
        assert_eq!(pairs(&checkpoint), [pair("q1", "uno"), pair("q3", "tres")]);
    }

    #[test]
    fn after_a_failed_write_the_next_apply_opens_the_database_again() {
        let scratch = Scratch::new();
        let mut checkpoint = scratch.open();
        exercise(&mut checkpoint);
        let reader = checkpoint.reader();
        checkpoint.shared.fail();

        assert_eq!(reader.get(b"q1").unwrap().as_deref(), Some(b"uno".as_slice()));
        checkpoint.apply(CheckpointBatch::new(HERE)).unwrap();

        assert!(matches!(*checkpoint.shared.state.lock(), State::Open(_)));
        assert_eq!(reader.get(b"q1").unwrap().as_deref(), Some(b"uno".as_slice()));
    }

    #[test]
    fn a_reader_from_before_the_first_apply_sees_what_is_applied() {
        let scratch = Scratch::new();
        let mut checkpoint = scratch.open();
        let reader = checkpoint.reader();
        assert_eq!(reader.get(b"q1").unwrap(), None);

        exercise(&mut checkpoint);

        assert_eq!(reader.get(b"q1").unwrap().as_deref(), Some(b"uno".as_slice()));
    }

    #[test]
    fn a_reader_that_is_left_does_not_hold_the_database() {
        let scratch = Scratch::new();
        let mut checkpoint = scratch.open();
        exercise(&mut checkpoint);
        let reader = checkpoint.reader();
        drop(checkpoint);

        assert_eq!(scratch.open().position(), Some(THERE));
        assert!(matches!(reader.get(b"q1"), Err(StoreError::Stopped { .. })));
    }

    #[test]
    fn a_value_that_changed_in_the_database_is_an_error_that_names_its_key() {
        let scratch = Scratch::new();
        let mut checkpoint = scratch.open();
        exercise(&mut checkpoint);
        let open = checkpoint.shared.readable().unwrap().unwrap();
        let stored = open.keyspace.get(b"q1").unwrap().unwrap().to_vec();
        for bit in 0..8 * stored.len() {
            let mut damaged = stored.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            open.keyspace.insert(b"q1", damaged).unwrap();

            let named = |error: &StoreError| error.to_string().contains("key 'q1'");
            assert!(checkpoint.get(b"q1").is_err_and(|error| named(&error)), "bit {bit}");
            assert!(checkpoint.load(&mut |_, _| Ok(())).is_err_and(|error| named(&error)));
        }
    }

    #[test]
    fn a_damaged_position_is_an_error_when_the_database_is_opened() {
        let scratch = Scratch::new();
        let mut checkpoint = scratch.open();
        exercise(&mut checkpoint);
        let open = checkpoint.shared.readable().unwrap().unwrap();
        open.keyspace.insert(POSITION_KEY, encode_position(HERE)).unwrap();
        open.database.persist(PersistMode::SyncAll).unwrap();
        drop((open, checkpoint));

        let error = FjallCheckpoint::open(&scratch.path()).unwrap_err();
        assert!(matches!(error, StoreError::DamagedValue { .. }), "{error}");
    }

    #[test]
    fn an_open_database_cannot_be_opened_again() {
        let scratch = Scratch::new();
        let mut held = scratch.open();
        held.apply(CheckpointBatch::new(HERE)).unwrap();

        assert!(matches!(FjallCheckpoint::open(&scratch.path()), Err(StoreError::InUse { .. })));
    }

    #[test]
    fn a_first_start_makes_no_database() {
        let scratch = Scratch::new();
        scratch.open();
        assert!(!scratch.path().exists());
    }

    #[test]
    fn a_half_made_database_is_made_anew() {
        let scratch = Scratch::new();
        let draft = scratch.path().with_extension("new");
        fs::create_dir_all(&draft).unwrap();
        fs::write(draft.join("0.jnl"), "").unwrap();

        exercise(&mut scratch.open());

        assert_eq!(scratch.open().position(), Some(THERE));
    }
}
