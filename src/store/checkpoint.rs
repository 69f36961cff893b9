//! The checkpoint on disk: one ordered map in fjall, the only place that names it.
//!
//! Invariants:
//! * The position lies in the same batch as the changes it stands for, and a batch is durable when
//!   `apply` returns.
//! * Everything is in one keyspace, so no idle one can pin the journal, and no prefix is ever scanned
//!   except by `load` at the start.
//! * fjall refuses everything after a failed write. The next `apply` then opens it again, which finds the
//!   last whole batch; until then the log keeps what the checkpoint lacks.
//! * The database is made by the first `apply`: that takes some thirty syncs, and a first start should
//!   not wait for them. It is made under another name, because fjall cannot open a half-made one.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fjall::config::{CompressionPolicy, PinningPolicy};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::error::{StoreError, is_full};
use super::{Checkpoint, CheckpointBatch, LogPosition, PairVisitor};
use crate::limits;

const KEYSPACE: &str = "state";
/// The key of the position. Callers' keys are longer; it sorts before all of them that start with 0.
const POSITION_KEY: [u8; 1] = [0];

/// A checkpoint in a fjall database.
pub struct FjallCheckpoint {
    path: PathBuf,
    position: Option<LogPosition>,
    state: State,
}

enum State {
    /// Nothing was ever applied.
    Absent,
    /// A write failed; the database must be opened again.
    Failed,
    Open(Open),
}

struct Open {
    keyspace: Keyspace,
    database: Database,
}

impl fmt::Debug for FjallCheckpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("FjallCheckpoint");
        shown.field("path", &self.path).field("position", &self.position).finish_non_exhaustive()
    }
}

impl FjallCheckpoint {
    /// Opens the database in the directory `path`. If there is none, the first `apply` makes it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut checkpoint = Self { path: path.to_owned(), position: None, state: State::Absent };
        if path.exists() {
            checkpoint.reopen()?;
            checkpoint.position = checkpoint.read_position()?;
        }
        Ok(checkpoint)
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        let open = open_database(&self.path).map_err(failed(&self.path, "open"))?;
        self.state = State::Open(open);
        Ok(())
    }

    fn read_position(&self) -> Result<Option<LogPosition>, StoreError> {
        let Some(value) = self.get(&POSITION_KEY)? else { return Ok(None) };
        let damaged = || StoreError::Damaged {
            file: self.path.clone(),
            offset: 0,
            what: "the checkpoint's position cannot be read",
        };
        decode_position(&value).ok_or_else(damaged).map(Some)
    }

    /// The database, `None` if there is none yet.
    fn database(&self) -> Result<Option<&Open>, StoreError> {
        match &self.state {
            State::Open(open) => Ok(Some(open)),
            State::Absent => Ok(None),
            State::Failed => Err(StoreError::Stopped { path: self.path.clone() }),
        }
    }

    fn commit(&self, open: &Open, batch: CheckpointBatch) -> Result<(), StoreError> {
        let Open { database, keyspace } = open;
        // fdatasync, also of the journal's length: only then may segments of the log be given up.
        let mut writes = database.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in batch.changes {
            match value {
                Some(value) => writes.insert(keyspace, key, value),
                None => writes.remove(keyspace, key),
            }
        }
        writes.insert(keyspace, POSITION_KEY, encode_position(batch.position));
        writes.commit().map_err(failed(&self.path, "apply"))
    }
}

impl Checkpoint for FjallCheckpoint {
    fn position(&self) -> Option<LogPosition> {
        self.position
    }

    fn load(&self, visit: &mut PairVisitor<'_>) -> Result<(), StoreError> {
        let Some(Open { keyspace, .. }) = self.database()? else { return Ok(()) };
        for pair in keyspace.iter() {
            let (key, value) = pair.into_inner().map_err(failed(&self.path, "load"))?;
            if *key != POSITION_KEY {
                visit(&key, &value)?;
            }
        }
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let Some(Open { keyspace, .. }) = self.database()? else { return Ok(None) };
        let value = keyspace.get(key).map_err(failed(&self.path, "read"))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn apply(&mut self, batch: CheckpointBatch) -> Result<(), StoreError> {
        if matches!(self.state, State::Absent) {
            create_database(&self.path)?;
        }
        if !matches!(self.state, State::Open(_)) {
            self.reopen()?;
        }
        let position = batch.position;
        if let State::Open(open) = &self.state
            && let Err(error) = self.commit(open, batch)
        {
            self.state = State::Failed;
            return Err(error);
        }
        self.position = Some(position);
        Ok(())
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

/// For `map_err`: the error of doing `what`, a full disk told apart.
fn failed(path: &Path, what: &'static str) -> impl FnOnce(fjall::Error) -> StoreError {
    move |error| {
        let path = path.to_owned();
        if matches!(&error, fjall::Error::Io(error) if is_full(error)) {
            return StoreError::Full { path };
        }
        if matches!(error, fjall::Error::Locked) {
            return StoreError::InUse { path };
        }
        StoreError::Checkpoint { path, what, source: Box::new(error) }
    }
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

    fn pairs(checkpoint: &dyn Checkpoint) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut pairs = Vec::new();
        let mut visit = |key: &[u8], value: &[u8]| {
            pairs.push((key.to_vec(), value.to_vec()));
            Ok(())
        };
        checkpoint.load(&mut visit).unwrap();
        pairs
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
        checkpoint.state = State::Failed;

        assert!(matches!(checkpoint.get(b"q1"), Err(StoreError::Stopped { .. })));
        checkpoint.apply(CheckpointBatch::new(HERE)).unwrap();

        assert_eq!(checkpoint.get(b"q1").unwrap().as_deref(), Some(b"uno".as_slice()));
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
