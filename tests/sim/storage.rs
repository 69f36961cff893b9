//! The disk under the broker: a log on a simulated disk and a checkpoint in memory, which fail when the course says so.
//!
//! And what is broken on purpose, to see that the simulation notices.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use leveret::store::{
    Appended, Checkpoint, CheckpointBatch, CheckpointReader, Flush, FrameBuffer, Log, LogPosition,
    LogReader, MemoryStore, PairVisitor, SEGMENT_HEADER_AREA, SegmentFiles, SegmentInfo,
    SimulatedDisk, StoreError, StoredLog, Survives,
};

use super::random::Random;

/// Small, so that a course fills many of them.
const SEGMENT: u64 = SEGMENT_HEADER_AREA as u64 + 8 * 1024;

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sabotage {
    #[default]
    Nothing,
    /// The log says that it has synced, and has not.
    SyncForgets,
    /// The checkpoint says that it was applied, and was not.
    CheckpointForgets,
    /// One delivery in fifty does not arrive.
    DeliveryLost,
    /// One delivery in fifty arrives twice.
    DeliveryDoubled,
    /// Nobody is told that a message comes again.
    RedeliveredForgotten,
    /// One acknowledgement in fifty never reaches the broker.
    AckLost,
}

/// What a power cut does to sectors that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The first ones survive, up to somewhere.
    Torn,
    /// Any may survive, whatever became of those before.
    Scattered,
}

/// How the next call for a checkpoint fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Before anything changed.
    Before = 1,
    /// After everything changed.
    After = 2,
}

/// See the module. Clones are the same storage.
#[derive(Clone)]
pub struct Storage {
    disk: SimulatedDisk,
    checkpoint: MemoryStore,
    refusal: Arc<AtomicU8>,
    sabotage: Sabotage,
    /// Bytes of messages that may be in memory: so few that most have to leave it, in some courses all.
    pub resident_bytes: usize,
}

impl Storage {
    pub fn new(sabotage: Sabotage, random: &mut Random) -> Self {
        let (disk, checkpoint) = (SimulatedDisk::new(), MemoryStore::new());
        let resident_bytes = random.pick(&[0, 0, 1024, 4096, 1 << 20]).expect("there are some");
        Self { disk, checkpoint, refusal: Arc::default(), sabotage, resident_bytes }
    }

    pub fn log(&self) -> Box<dyn StoredLog> {
        let disk = Arc::new(self.disk.clone());
        Box::new(SegmentFiles::new(disk, PathBuf::from("/log")).with_segment_size(SEGMENT))
    }

    pub fn checkpoint(&self) -> Box<dyn Checkpoint> {
        let (inner, refusal) = (self.checkpoint.checkpoint(), Arc::clone(&self.refusal));
        Box::new(FickleCheckpoint { inner, refusal, sabotage: self.sabotage })
    }

    /// The log as the committer gets it.
    pub fn broken(&self, log: Box<dyn Log>) -> Box<dyn Log> {
        if self.sabotage == Sabotage::SyncForgets { Box::new(ForgetfulLog(log)) } else { log }
    }

    /// A copy, for a look at what a restart would find.
    pub fn copy(&self) -> Self {
        self.with_disk(self.disk.snapshot())
    }

    pub fn after_power_cut(&self, cut: Cut, random: &mut Random) -> Self {
        let mut survives_next = true;
        let disk = self.disk.power_cut(&mut || {
            match cut {
                Cut::Torn => survives_next &= random.percent(80),
                Cut::Scattered => survives_next = random.percent(60),
            }
            survives_next
        });
        self.with_disk(disk)
    }

    pub fn fail_next_write(&self, after: usize) {
        self.disk.fail_next_write(after, ErrorKind::Other);
    }

    pub fn fail_next_sync(&self) {
        self.disk.fail_next_sync(ErrorKind::Other);
    }

    pub fn refuse_checkpoint(&self, how: Refusal) {
        self.refusal.store(how as u8, Ordering::Relaxed);
    }

    fn with_disk(&self, disk: SimulatedDisk) -> Self {
        let checkpoint = self.checkpoint.crash(Survives::Everything);
        Self { disk, checkpoint, refusal: Arc::default(), ..self.clone() }
    }
}

/// Fails when told to, before or after it has done what it was asked for.
struct FickleCheckpoint {
    inner: Box<dyn Checkpoint>,
    refusal: Arc<AtomicU8>,
    sabotage: Sabotage,
}

impl Checkpoint for FickleCheckpoint {
    fn position(&self) -> Option<LogPosition> {
        self.inner.position()
    }

    fn load_range(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut PairVisitor<'_>,
    ) -> Result<(), StoreError> {
        self.inner.load_range(from, to, visit)
    }

    fn reader(&self) -> Arc<dyn CheckpointReader> {
        self.inner.reader()
    }

    fn apply(&mut self, batch: CheckpointBatch) -> Result<(), StoreError> {
        if self.sabotage == Sabotage::CheckpointForgets {
            return Ok(());
        }
        let refusal = self.refusal.swap(0, Ordering::Relaxed);
        if refusal != Refusal::Before as u8 {
            self.inner.apply(batch)?;
        }
        if refusal == 0 {
            return Ok(());
        }
        Err(StoreError::Checkpoint {
            path: PathBuf::from("/meta"),
            what: "apply",
            source: "the course says so".into(),
        })
    }
}

/// A log that has synced nothing, whatever it says.
struct ForgetfulLog(Box<dyn Log>);

impl Log for ForgetfulLog {
    fn append(&mut self, batch: &mut FrameBuffer, _: Flush) -> Result<Appended, StoreError> {
        self.0.append(batch, Flush::Buffered)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn end(&self) -> LogPosition {
        self.0.end()
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        self.0.reader()
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        self.0.segments()
    }

    fn release(&mut self, before: u64, live: &dyn Fn(u64) -> bool) -> Result<Vec<u64>, StoreError> {
        self.0.release(before, live)
    }
}
