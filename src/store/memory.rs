//! A log and a checkpoint in memory: for a broker without a disk, and for tests that need to say "the
//! power goes now".
//!
//! Invariants:
//! * [`MemoryStore::crash`] leaves the store alone and returns what a restart would find, so that a test
//!   can look at every instant of one run.
//! * A batch is there or not, as on a disk; which of the batches that were not synced is the test's choice.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::error::StoreError;
use super::sealed::{seal, unseal};
use super::{
    Appended, Checkpoint, CheckpointBatch, CheckpointPlace, CheckpointReader, Flush, FrameBuffer,
    FrameVisitor, Log, LogPosition, LogReader, PairVisitor, ScanReport, ScannedFrame, SegmentInfo,
    StoredLog,
};
use crate::limits;
use crate::sync::{RankedMutex, rank};

/// What outlives a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survives {
    /// Everything: the process died, the machine did not.
    Everything,
    /// What was synced: the power failed.
    Synced,
    /// What was synced, and this many of the batches appended after that.
    SyncedAnd(usize),
}

/// The memory that stands in for a data directory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    log: Shared<LogState>,
    checkpoint: Shared<CheckpointState>,
}

type Shared<T> = Arc<RankedMutex<{ rank::LEAF }, T>>;

#[derive(Clone, Debug)]
struct LogState {
    /// By the place of their first frame.
    batches: BTreeMap<LogPosition, Batch>,
    end: LogPosition,
    lsn: u64,
    /// Everything before this place was synced.
    synced: LogPosition,
}

#[derive(Clone, Debug)]
struct Batch {
    bytes: Bytes,
    /// Where the payloads lie in `bytes`.
    payloads: Vec<(u32, u32)>,
    lsn: u64,
}

impl Default for LogState {
    fn default() -> Self {
        let start = LogPosition { generation: 1, offset: 0 };
        Self { batches: BTreeMap::new(), end: start, lsn: 0, synced: start }
    }
}

#[derive(Clone, Debug, Default)]
struct CheckpointState {
    /// Values with their checksums, so that a test may damage them as a disk would.
    pairs: BTreeMap<Vec<u8>, Bytes>,
    position: Option<LogPosition>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its log, to be opened.
    pub fn log(&self) -> Box<dyn StoredLog> {
        Box::new(MemoryLog { state: Arc::clone(&self.log) })
    }

    /// Its checkpoint.
    pub fn checkpoint(&self) -> Box<dyn Checkpoint> {
        Box::new(MemoryCheckpoint { state: Arc::clone(&self.checkpoint) })
    }

    /// Keys of the checkpoint, each with how many bits are stored there.
    #[cfg(test)]
    pub(crate) fn checkpoint_bits(&self) -> Vec<(Vec<u8>, usize)> {
        let state = self.checkpoint.lock();
        state.pairs.iter().map(|(key, stored)| (key.clone(), 8 * stored.len())).collect()
    }

    /// Flips a bit of what is stored under a key of the checkpoint.
    #[cfg(test)]
    pub(crate) fn flip_checkpoint_bit(&self, key: &[u8], bit: usize) {
        if let Some(stored) = self.checkpoint.lock().pairs.get_mut(key) {
            let mut bytes = stored.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            *stored = Bytes::from(bytes);
        }
    }

    /// What a restart would find if the crash came now. Who uses this store goes on undisturbed.
    #[must_use]
    pub fn crash(&self, survives: Survives) -> Self {
        let mut log = self.log.lock().clone();
        let checkpoint = self.checkpoint.lock().clone();
        let kept = match survives {
            Survives::Everything => usize::MAX,
            Survives::Synced => 0,
            Survives::SyncedAnd(batches) => batches,
        };
        let synced = log.synced;
        let lost: Vec<_> = log.batches.range(synced..).map(|(&at, _)| at).skip(kept).collect();
        for at in &lost {
            log.batches.remove(at);
        }
        if let Some(&first) = lost.first() {
            log.end = first;
        }
        log.synced = log.end;
        Self {
            log: Arc::new(RankedMutex::new(log)),
            checkpoint: Arc::new(RankedMutex::new(checkpoint)),
        }
    }
}

/// A log that is gone with the process.
#[derive(Debug)]
struct MemoryLog {
    state: Shared<LogState>,
}

impl StoredLog for MemoryLog {
    fn open(
        self: Box<Self>,
        from: Option<LogPosition>,
        visit: &mut FrameVisitor<'_>,
    ) -> Result<(Box<dyn Log>, ScanReport), StoreError> {
        let batches: Vec<_> = {
            let mut state = self.state.lock();
            state.end = state.end.max(from.unwrap_or(state.end));
            let from = from.unwrap_or(LogPosition::START);
            state.batches.range(from..).map(|(&at, batch)| (at, batch.clone())).collect()
        };
        let mut report = ScanReport { batches: batches.len() as u64, ..ScanReport::default() };
        for (at, batch) in batches {
            for &(offset, length) in &batch.payloads {
                let range = offset as usize..offset as usize + length as usize;
                let payload = &batch.bytes[range];
                report.frames += 1;
                report.bytes += u64::from(length);
                let position = LogPosition { offset: at.offset + offset, ..at };
                let lsn = batch.lsn + u64::from(offset);
                visit(ScannedFrame { position, lsn, payload, is_batch_whole: true })?;
            }
        }
        Ok((self, report))
    }
}

impl Log for MemoryLog {
    fn append(&mut self, batch: &mut FrameBuffer, flush: Flush) -> Result<Appended, StoreError> {
        let mut state = self.state.lock();
        let appended = state.append(batch)?;
        if flush == Flush::Synced {
            state.synced = state.end;
        }
        Ok(appended)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        state.synced = state.end;
        Ok(())
    }

    fn end(&self) -> LogPosition {
        self.state.lock().end
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::new(MemoryReader { state: Arc::clone(&self.state) })
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        let state = self.state.lock();
        let mut segments = BTreeMap::from([(state.end.generation, 0)]);
        for (at, batch) in &state.batches {
            *segments.entry(at.generation).or_default() += batch.bytes.len() as u64;
        }
        let segments = segments.into_iter();
        segments.map(|(generation, bytes)| SegmentInfo { generation, bytes }).collect()
    }

    fn release(&mut self, before: u64, live: &dyn Fn(u64) -> bool) -> Result<Vec<u64>, StoreError> {
        let current = self.end().generation;
        let generations = self.segments().into_iter().map(|segment| segment.generation);
        let dead: Vec<_> = generations
            .filter(|&generation| generation < before.min(current) && !live(generation))
            .collect();
        self.state.lock().batches.retain(|at, _| !dead.contains(&at.generation));
        Ok(dead)
    }
}

impl LogState {
    fn append(&mut self, batch: &FrameBuffer) -> Result<Appended, StoreError> {
        let limit = u64::from(u32::MAX);
        let bytes = batch.len() as u64;
        let length = u32::try_from(bytes).map_err(|_| StoreError::TooLarge { bytes, limit })?;
        let is_full = u64::from(self.end.offset) + bytes > limits::SEGMENT;
        if is_full && self.end.offset > 0 {
            self.end = LogPosition { generation: self.end.generation + 1, offset: 0 };
        }
        let start = self.end;
        if !batch.is_empty() {
            self.batches.insert(start, Batch::of(batch, self.lsn));
            self.end.offset += length;
            self.lsn += bytes;
        }
        Ok(Appended { start, end: self.end })
    }
}

impl Batch {
    fn of(batch: &FrameBuffer, lsn: u64) -> Self {
        let mut payloads = Vec::with_capacity(batch.frames());
        for (offset, payload) in batch.payloads() {
            // The whole batch fits, see LogState::append.
            let fits = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
            payloads.push((fits(offset), fits(payload.len())));
        }
        Self { bytes: Bytes::copy_from_slice(batch.unsealed()), payloads, lsn }
    }
}

struct MemoryReader {
    state: Shared<LogState>,
}

impl LogReader for MemoryReader {
    fn read(&self, at: LogPosition, length: u32) -> Result<Bytes, StoreError> {
        let state = self.state.lock();
        let found = state.batches.range(..=at).next_back();
        let found = found.filter(|(start, _)| start.generation == at.generation);
        let bytes = found.and_then(|(start, batch)| {
            let from = (at.offset - start.offset) as usize;
            let to = from + length as usize;
            (to <= batch.bytes.len()).then(|| batch.bytes.slice(from..to))
        });
        bytes.ok_or_else(|| StoreError::Damaged {
            file: PathBuf::from(format!("memory-{:x}", at.generation)),
            offset: u64::from(at.offset),
            what: "nothing was appended there, or it was released",
        })
    }
}

impl CheckpointPlace for MemoryStore {
    fn path(&self) -> PathBuf {
        PathBuf::from("memory")
    }

    fn open(&self) -> Result<Box<dyn Checkpoint>, StoreError> {
        Ok(self.checkpoint())
    }

    fn set_aside(&self) -> Result<Option<PathBuf>, StoreError> {
        *self.checkpoint.lock() = CheckpointState::default();
        Ok(None)
    }
}

/// A checkpoint that is gone with the process. What is applied survives every simulated crash.
#[derive(Clone, Debug)]
struct MemoryCheckpoint {
    state: Shared<CheckpointState>,
}

impl Checkpoint for MemoryCheckpoint {
    fn position(&self) -> Option<LogPosition> {
        self.state.lock().position
    }

    fn load_range(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut PairVisitor<'_>,
    ) -> Result<(), StoreError> {
        let pairs = self.state.lock().pairs.clone();
        let behind = |key: &[u8]| to.is_some_and(|to| key >= to);
        for (key, stored) in pairs.range(from.to_vec()..).take_while(|(key, _)| !behind(key)) {
            visit(key, unseal(key, stored)?)?;
        }
        Ok(())
    }

    fn reader(&self) -> Arc<dyn CheckpointReader> {
        Arc::new(self.clone())
    }

    fn apply(&mut self, batch: CheckpointBatch) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        for (key, value) in batch.changes {
            match value {
                Some(value) => {
                    let sealed = seal(&key, value);
                    state.pairs.insert(key, Bytes::from(sealed))
                }
                None => state.pairs.remove(&key),
            };
        }
        state.position = Some(batch.position);
        Ok(())
    }
}

impl CheckpointReader for MemoryCheckpoint {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let stored = self.state.lock().pairs.get(key).cloned();
        stored.map(|stored| Ok(stored.slice_ref(unseal(key, &stored)?))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(log: &mut dyn Log, payload: &str, flush: Flush) -> Appended {
        let mut batch = FrameBuffer::new();
        batch.begin_frame();
        batch.buffer().extend_from_slice(payload.as_bytes());
        batch.end_frame();
        log.append(&mut batch, flush).unwrap()
    }

    fn open(store: &MemoryStore) -> (Box<dyn Log>, Vec<(LogPosition, String)>) {
        let mut found = Vec::new();
        let opened = store.log().open(None, &mut |frame| {
            let payload = String::from_utf8(frame.payload.to_vec()).unwrap();
            found.push((frame.position, payload));
            Ok(())
        });
        (opened.unwrap().0, found)
    }

    #[test]
    fn a_crash_leaves_the_running_store_alone() {
        let store = MemoryStore::new();
        let (mut log, _) = open(&store);
        append(&mut *log, "synced", Flush::Synced);
        append(&mut *log, "buffered", Flush::Buffered);

        let (mut after, found) = open(&store.crash(Survives::Synced));
        append(&mut *after, "after the crash", Flush::Synced);

        assert_eq!(found.len(), 1);
        assert_eq!(open(&store).1.len(), 2);
    }

    #[test]
    fn records_are_read_from_the_places_the_scan_tells() {
        let store = MemoryStore::new();
        let (mut log, _) = open(&store);
        append(&mut *log, "first", Flush::Buffered);
        append(&mut *log, "second", Flush::Buffered);

        let reader = log.reader();
        for (position, payload) in open(&store).1 {
            let length = u32::try_from(payload.len()).unwrap();
            assert_eq!(reader.read(position, length).unwrap(), payload);
        }
    }

    #[test]
    fn a_released_segment_cannot_be_read() {
        let store = MemoryStore::new();
        let (mut log, _) = open(&store);
        let place = append(&mut *log, "old", Flush::Buffered).start;
        let mut large = FrameBuffer::new();
        large.begin_frame();
        large.buffer().resize(usize::try_from(limits::SEGMENT).unwrap(), 0);
        large.end_frame();
        log.append(&mut large, Flush::Buffered).unwrap();

        assert_eq!(log.release(9, &|_| false).unwrap(), [place.generation]);

        assert!(log.reader().read(place, 1).is_err());
        assert_eq!(log.segments().len(), 1);
    }

    #[test]
    fn a_checkpoint_survives_every_crash() {
        let store = MemoryStore::new();
        let position = LogPosition { generation: 1, offset: 8 };
        store.checkpoint().apply(CheckpointBatch::new(position)).unwrap();

        assert_eq!(store.crash(Survives::Synced).checkpoint().position(), Some(position));
    }
}
