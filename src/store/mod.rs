//! Bytes that survive: an append-only log of frames, and a checkpoint of what the log amounted to.
//!
//! What the layer promises:
//! * A batch is atomic: whatever cuts the writing short, recovery sees all of its frames or none.
//! * What was appended before a sync returned is still there after a power cut.
//! * A torn tail is cut. Damage that intact frames follow is never cut and never handed out: it is
//!   skipped, and reported with file and offset.
//! * A full disk is [`StoreError::Full`] and changes nothing; the same call may be made again. After
//!   any other failed write or sync nobody knows what the disk holds, so the log refuses to go on.
//!
//! It knows nothing of messages: frames and keys are opaque, and `durability` gives them meaning. All of
//! it blocks; callers have threads of their own.
//!
//! ```text
//! data/lock  data/format      directory.rs    one process, one format
//! data/log/<generation>.seg   log/            segment files on a Disk (disk.rs, simulated_disk.rs,
//!                                             faulty_disk.rs)
//! data/meta/                  checkpoint.rs   fjall; every value behind a checksum (sealed.rs)
//! data/checkpoint             mark.rs         which checkpoint is the last, for guard.rs
//! data/definitions            kept.rs         what a lost checkpoint cannot be replaced without
//! data/spill/<number>.spill   spill.rs        blocks that are gone with the process
//! nothing on disk             memory.rs       the same traits in memory
//! ```

mod backup;
mod checkpoint;
mod directory;
mod disk;
mod error;
mod faulty_disk;
mod guard;
mod kept;
mod log;
mod mark;
mod memory;
mod read_only_disk;
mod sealed;
mod simulated_disk;
mod spill;
mod stored;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

pub use self::backup::{Backup, BackupError, BackupWriter, Cancelled, Restoring};
pub use self::checkpoint::FjallCheckpoint;
pub use self::directory::DataDirectory;
pub use self::disk::{Disk, DiskFile, RealDisk};
pub use self::error::StoreError;
pub use self::faulty_disk::{Fault, FaultyDisk, Operation};
pub use self::guard::{CheckpointPlace, GuardedCheckpoint};
pub use self::log::{
    DamageVisitor, FRAME_OVERHEAD, FrameBuffer, Inspected, LogInspection, SEGMENT_HEADER_AREA,
    SegmentFiles, SegmentLog, segment_name,
};
pub use self::memory::{MemoryStore, Survives};
pub use self::read_only_disk::ReadOnlyDisk;
pub use self::simulated_disk::{SimulatedDisk, Split};
pub use self::spill::{SpillArea, SpillBlock};
pub use self::stored::{CopiedCheckpoint, Probe, StoredData, probe_checkpoint};

/// A place in the log. Places are ordered as the log was written and are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    /// Number of the segment; rises with every segment and is never reused.
    pub generation: u64,
    /// Bytes from the start of the segment's file.
    pub offset: u32,
}

impl LogPosition {
    /// Before everything that was ever appended.
    pub const START: Self = Self { generation: 0, offset: 0 };
}

impl fmt::Display for LogPosition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:x}:{}", self.generation, self.offset)
    }
}

/// What must be true when [`Log::append`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// The batch was handed to the operating system: it survives the process, not the machine.
    Buffered,
    /// This batch and everything appended before it survive a power cut.
    Synced,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where the batch begins. It lies in one segment, in one piece.
    pub start: LogPosition,
    /// Where the next frame goes.
    pub end: LogPosition,
}

impl Appended {
    /// The place of what was encoded when [`FrameBuffer::here`] said `here`.
    pub fn position(&self, here: usize) -> LogPosition {
        // A batch that was appended fits a segment, so the sum fits; see SegmentLog::append.
        let here = u32::try_from(here).unwrap_or(u32::MAX);
        LogPosition { offset: self.start.offset.saturating_add(here), ..self.start }
    }
}

/// One intact frame, as a scan finds it.
#[derive(Clone, Copy, Debug)]
pub struct ScannedFrame<'a> {
    /// Where the payload begins: a record `n` bytes into it is at `position.offset + n`.
    pub position: LogPosition,
    /// Number of the frame; rises along the log, by as much as the frame before it is long.
    pub lsn: u64,
    /// What was appended.
    pub payload: &'a [u8],
    /// Nothing of the batch it belongs to is lost. Behind damage nobody knows where a batch began, so the
    /// first one there is taken for incomplete.
    pub is_batch_whole: bool,
}

/// Takes the frames of a scan, in the order of the log. An error ends the scan.
pub type FrameVisitor<'a> = dyn FnMut(ScannedFrame<'_>) -> Result<(), StoreError> + 'a;

/// A stretch of a file that cannot be what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file, to look at or to restore.
    pub file: PathBuf,
    /// Where in the file the damage begins.
    pub offset: u64,
    /// How many bytes are lost.
    pub bytes: u64,
    /// What is wrong.
    pub what: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, bytes, what } = self;
        write!(formatter, "{}: {bytes} bytes at {offset} are lost: {what}", file.display())
    }
}

/// The remains of a batch that was being written when the process or the machine stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The newest segment.
    pub file: PathBuf,
    /// Where the last complete batch ends, and the file was cut.
    pub offset: u64,
}

/// What a scan found besides the frames it handed out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanReport {
    /// Frames handed out.
    pub frames: u64,
    /// Batches whose last frame was handed out.
    pub batches: u64,
    /// Bytes of all payloads handed out.
    pub bytes: u64,
    /// An unfinished batch at the very end, which was cut. Nobody was told that it is safe.
    pub torn_tail: Option<TornTail>,
    /// Stretches that were skipped. Someone may have been told that what lay there is safe.
    pub damages: Vec<Damage>,
}

/// One segment, as reclaiming sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number.
    pub generation: u64,
    /// What it takes up on the disk.
    pub bytes: u64,
}

/// A log nobody writes to yet.
pub trait StoredLog: Send {
    /// Hands out what the log holds from `from` on (everything for `None`), cuts a torn tail, and makes
    /// the log ready to be continued behind the last complete batch, or behind `from` if that is later.
    ///
    /// Only whole batches are handed out, except that a batch with damage inside loses just the
    /// damaged frames.
    fn open(
        self: Box<Self>,
        from: Option<LogPosition>,
        visit: &mut FrameVisitor<'_>,
    ) -> Result<(Box<dyn Log>, ScanReport), StoreError>;
}

/// An append-only log of frames, written in batches by one thread.
pub trait Log: Send {
    /// Appends `batch`, which is atomic, with one write. An empty batch is allowed.
    ///
    /// The batch stays in the buffer, so that after [`StoreError::Full`] it can be appended again; any
    /// other error is final. A batch lies in one segment: keep batches well below
    /// [`limits::SEGMENT`](crate::limits::SEGMENT), larger ones get a file of their own.
    fn append(&mut self, batch: &mut FrameBuffer, flush: Flush) -> Result<Appended, StoreError>;

    /// Makes everything appended so far survive a power cut. Costs nothing if it already does.
    fn sync(&mut self) -> Result<(), StoreError>;

    /// Where the next frame goes: what a checkpoint of all that was appended records.
    fn end(&self) -> LogPosition;

    /// A handle that reads what was appended, for other threads.
    fn reader(&self) -> Arc<dyn LogReader>;

    /// The segments there are, oldest first. The last one is being written.
    fn segments(&self) -> Vec<SegmentInfo>;

    /// Bytes that can still be appended, as far as anybody can tell; a log in memory has no end of them.
    fn free_space(&self) -> Result<u64, StoreError> {
        Ok(u64::MAX)
    }

    /// Gives up every segment that is older than `before` and not `live`, for reuse; returns their
    /// generations. A durable checkpoint must already stand for everything before `before`, and nobody
    /// may read from these segments any more.
    fn release(&mut self, before: u64, live: &dyn Fn(u64) -> bool) -> Result<Vec<u64>, StoreError>;
}

/// Reads by position.
pub trait LogReader: Send + Sync {
    /// The `length` bytes at `at`. They are as the disk gives them: the frame's checksum covers the
    /// whole frame, so a part of one must carry its own. [`StoreError::Damaged`] if the segment is gone
    /// or ends too early.
    fn read(&self, at: LogPosition, length: u32) -> Result<Bytes, StoreError>;
}

/// Takes the pairs of a checkpoint: key, value. An error ends the loading.
pub type PairVisitor<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError> + 'a;

/// An ordered map whose content stands for the log up to a position.
pub trait Checkpoint: Send {
    /// The position the content stands for; `None` before the first [`Checkpoint::apply`].
    fn position(&self) -> Option<LogPosition>;

    /// Hands out the pairs from key `from` on, up to `to` or the last, in key order, and reads no others.
    fn load_range(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut PairVisitor<'_>,
    ) -> Result<(), StoreError>;

    /// Hands out all pairs in key order.
    fn load(&self, visit: &mut PairVisitor<'_>) -> Result<(), StoreError> {
        self.load_range(&[], None, visit)
    }

    /// The value of one key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.reader().get(key)
    }

    /// A handle that reads what was applied, for other threads.
    fn reader(&self) -> Arc<dyn CheckpointReader>;

    /// Makes all changes and the new position durable, or none of them.
    ///
    /// The log must have been synced up to that position before: the content refers to bytes there.
    /// After an error the checkpoint is as it was, and `apply` may be called again.
    fn apply(&mut self, batch: CheckpointBatch) -> Result<(), StoreError>;

    /// Makes it ready to be read and applied to again after an error.
    fn revive(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// What was found when it was opened.
    fn condition(&self) -> Condition {
        Condition::default()
    }

    /// The next batch should have a snapshot, see [`CheckpointBatch::keep`].
    fn wants_snapshot(&self) -> bool {
        false
    }
}

/// The keys of a checkpoint that are not read when it is opened, because they are so many.
pub const BULK_KEYS: Range<&[u8]> = b"i".as_slice()..b"j".as_slice();

/// What was wrong with a checkpoint when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Files that do not hold what was written to them.
    pub damages: Vec<Damage>,
    /// The checkpoint was set aside, and this one is empty.
    pub lost: Option<Lost>,
}

/// What is left of a checkpoint that is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The last snapshot that was kept; `None` if nothing was ever given up on the word of a checkpoint.
    pub snapshot: Option<Bytes>,
}

/// Reads single values of a checkpoint, from any thread and at any time.
pub trait CheckpointReader: fmt::Debug + Send + Sync {
    /// The value of one key, as of the last batch that was applied. A value that is not what was stored is
    /// [`StoreError::DamagedValue`].
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Something it gave is not what was stored, although its checksum fits: the next start should do without this
    /// checkpoint.
    fn distrust(&self) {}
}

/// Changes that belong together, and the position the checkpoint then stands for.
#[derive(Clone, Debug)]
pub struct CheckpointBatch {
    position: LogPosition,
    /// By key; `None` deletes. One change a key: the store below gives all changes of a batch the same
    /// age, so two of one key would have no order.
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// To be kept beside the checkpoint.
    snapshot: Option<Vec<u8>>,
}

impl CheckpointBatch {
    /// An empty batch that stands for the log up to `position`.
    pub fn new(position: LogPosition) -> Self {
        Self { position, changes: BTreeMap::new(), snapshot: None }
    }

    /// Sets a key of 2 to 65,535 bytes. The last change of a key counts.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.change(key.into(), Some(value.into()));
    }

    /// Deletes a key, whether it exists or not.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.change(key.into(), None);
    }

    /// The same changes, for another position.
    #[must_use]
    pub fn at(self, position: LogPosition) -> Self {
        Self { position, ..self }
    }

    /// Sets a key, or deletes it.
    pub fn set(&mut self, key: impl Into<Vec<u8>>, value: Option<Vec<u8>>) {
        self.change(key.into(), value);
    }

    /// Keeps `snapshot` outside of the checkpoint, in place of the one before: what is needed if the checkpoint
    /// is lost.
    pub fn keep(&mut self, snapshot: Vec<u8>) {
        self.snapshot = Some(snapshot);
    }

    /// How many keys change.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Bytes of all keys and values in it.
    pub fn bytes(&self) -> u64 {
        let value = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        self.changes.iter().map(|(key, change)| (key.len() + value(change)) as u64).sum()
    }

    /// Whether only the position changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn change(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        // The shorter ones are the store's own.
        debug_assert!(key.len() >= 2 && key.len() <= 0xFFFF, "a key has 2 to 65,535 bytes");
        self.changes.insert(key, value);
    }
}
