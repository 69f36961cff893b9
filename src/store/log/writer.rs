//! Appends to the newest segment, syncs, and rolls to the next.
//!
//! Invariants:
//! * Only the newest segment has bytes that are not synced: a segment is synced before the next exists.
//! * `current.end` is the end of the last complete batch; what a failed write left behind it is erased
//!   before anything else is written.
//! * After a failed sync, or a write that failed for anything but lack of space, nothing is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::FrameBuffer;
use super::reader::SegmentReader;
use super::recover::End;
use super::segment::{SEGMENT_HEADER_AREA, Segment, SegmentDirectory};
use crate::store::error::StoreError;
use crate::store::{Appended, Flush, Log, LogPosition, LogReader, SegmentInfo};

/// A log in segment files. Made by [`SegmentFiles`](super::SegmentFiles).
#[derive(Debug)]
pub struct SegmentLog {
    directory: SegmentDirectory,
    reader: Arc<SegmentReader>,
    /// The segment being written. The first one is created by the first append.
    current: Option<Current>,
    /// Generation and size of all other segments.
    sealed: BTreeMap<u64, u64>,
    next_generation: u64,
    /// The number of the next segment's first byte, if there is no current one.
    next_lsn: u64,
    /// Whether bytes were written since the last sync.
    is_dirty: bool,
    /// Whether an error left unknown what the disk holds.
    is_stopped: bool,
}

/// The segment being written.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) segment: Segment,
    /// Where the next frame goes.
    pub(super) end: u64,
    /// How far the segment may be filled.
    pub(super) size: u64,
    /// Up to here it was synced, as far as this process knows.
    pub(super) synced: u64,
}

impl Current {
    fn has_room(&self, bytes: u64) -> bool {
        self.end + bytes <= self.size
    }
}

impl SegmentLog {
    pub(super) fn new(
        directory: SegmentDirectory,
        mut segments: BTreeMap<u64, u64>,
        end: End,
    ) -> Self {
        if let Some(current) = &end.current {
            segments.remove(&current.segment.header.generation);
        }
        let reader = SegmentReader::new(Arc::clone(&directory.disk), directory.path.clone());
        Self {
            directory,
            reader: Arc::new(reader),
            // What the process before left in the page cache was not necessarily synced.
            is_dirty: end.current.is_some(),
            current: end.current,
            sealed: segments,
            next_generation: end.generation,
            next_lsn: end.lsn,
            is_stopped: false,
        }
    }

    /// The segment that has room for `bytes`, new if need be.
    fn make_room(&mut self, bytes: u64) -> Result<&mut Current, StoreError> {
        if !self.current.as_ref().is_some_and(|current| current.has_room(bytes)) {
            self.roll(bytes)?;
        }
        self.current
            .as_mut()
            .ok_or_else(|| StoreError::Stopped { path: self.directory.path.clone() })
    }

    /// Seals the current segment and goes on in a new one. Without space the current one stays.
    fn roll(&mut self, bytes: u64) -> Result<(), StoreError> {
        self.sync_current()?;
        let header_area = u64::from(SEGMENT_HEADER_AREA);
        let size = self.directory.segment_size.max(header_area + bytes);
        if size > u64::from(u32::MAX) {
            return Err(StoreError::TooLarge { bytes, limit: u64::from(u32::MAX) - header_area });
        }
        let lsn = match &self.current {
            Some(current) => current.segment.lsn(current.end),
            None => self.next_lsn,
        };
        let segment = self.directory.create(self.next_generation, lsn, size)?;
        self.reader.keep_open(segment.header.generation, Arc::clone(&segment.file));
        self.next_generation += 1;
        let current = Current { segment, end: header_area, size, synced: header_area };
        if let Some(sealed) = self.current.replace(current) {
            self.sealed.insert(sealed.segment.header.generation, sealed.size);
        }
        Ok(())
    }

    fn write(&mut self, batch: &mut FrameBuffer) -> Result<Appended, StoreError> {
        let length = batch.len() as u64;
        let current = self.make_room(length)?;
        let segment = &current.segment;
        let synced = segment.lsn(current.synced);
        let bytes = batch.seal(segment.seed, segment.lsn(current.end), synced);
        if let Err(error) = segment.file.write_at(bytes, current.end) {
            let error = StoreError::io(&segment.path, "write")(error);
            if matches!(error, StoreError::Full { .. }) {
                segment.cut(current.end, current.size)?;
            }
            return Err(error);
        }
        let start = current.end;
        current.end += length;
        self.is_dirty = true;
        let end = self.end();
        Ok(Appended { start: LogPosition { offset: offset(start), ..end }, end })
    }

    fn sync_current(&mut self) -> Result<(), StoreError> {
        if !self.is_dirty {
            return Ok(());
        }
        if let Some(Current { segment, end, synced, .. }) = &mut self.current {
            segment.file.sync().map_err(StoreError::fatal(&segment.path, "sync"))?;
            *synced = *end;
        }
        self.is_dirty = false;
        Ok(())
    }

    /// Does `work` unless the log stopped, and stops it if the error is one that leaves doubt.
    fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.is_stopped {
            return Err(StoreError::Stopped { path: self.directory.path.clone() });
        }
        let result = work(self);
        self.is_stopped = match &result {
            Ok(_) | Err(StoreError::Full { .. } | StoreError::TooLarge { .. }) => false,
            Err(_) => true,
        };
        result
    }
}

impl Log for SegmentLog {
    fn append(&mut self, batch: &mut FrameBuffer, flush: Flush) -> Result<Appended, StoreError> {
        self.guarded(|log| {
            let appended = if batch.is_empty() {
                Appended { start: log.end(), end: log.end() }
            } else {
                log.write(batch)?
            };
            if flush == Flush::Synced {
                log.sync_current()?;
            }
            Ok(appended)
        })
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.guarded(Self::sync_current)
    }

    fn end(&self) -> LogPosition {
        match &self.current {
            Some(current) => LogPosition {
                generation: current.segment.header.generation,
                offset: offset(current.end),
            },
            None => LogPosition { generation: self.next_generation, offset: SEGMENT_HEADER_AREA },
        }
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        let reader: Arc<SegmentReader> = Arc::clone(&self.reader);
        reader
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        let current = self.current.iter();
        let current = current.map(|current| (current.segment.header.generation, current.size));
        let sealed = self.sealed.iter().map(|(&generation, &bytes)| (generation, bytes));
        let all = sealed.chain(current);
        all.map(|(generation, bytes)| SegmentInfo { generation, bytes }).collect()
    }

    fn free_space(&self) -> Result<u64, StoreError> {
        let room = self.current.as_ref().map_or(0, |current| current.size - current.end);
        Ok(self.directory.free_space()?.saturating_add(room))
    }

    fn release(&mut self, before: u64, live: &dyn Fn(u64) -> bool) -> Result<Vec<u64>, StoreError> {
        let old = self.sealed.range(..before);
        let dead: Vec<_> = old.filter(|&(&generation, _)| !live(generation)).collect();
        let dead: Vec<(u64, u64)> =
            dead.into_iter().map(|(&number, &size)| (number, size)).collect();
        let mut released = Vec::with_capacity(dead.len());
        for (generation, size) in dead {
            self.directory.recycle(generation, size)?;
            self.reader.forget(generation);
            self.sealed.remove(&generation);
            released.push(generation);
        }
        Ok(released)
    }
}

/// An offset in a segment; no segment is larger than `u32::MAX`, see [`SegmentLog::roll`].
fn offset(offset: u64) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
