//! A sliding view of a segment for the scan: 64 KiB, or a batch if that is longer.

use super::segment::Segment;
use crate::store::disk::read_fully;
use crate::store::error::StoreError;

/// What is read at once. Larger gains nothing from the page cache and costs resident memory.
const STRIDE: u64 = 64 * 1024;

/// Reads a segment forward. Bytes stay in view until [`Window::forget_before`] lets go of them.
#[derive(Debug)]
pub(super) struct Window<'a> {
    segment: &'a Segment,
    /// Where the readable part of the segment ends.
    limit: u64,
    /// Where in the segment `bytes` begins.
    start: u64,
    bytes: Vec<u8>,
    /// What lies before is no longer needed.
    floor: u64,
}

impl<'a> Window<'a> {
    pub(super) fn new(segment: &'a Segment, start: u64, limit: u64) -> Self {
        Self { segment, limit, start, bytes: Vec::new(), floor: start }
    }

    /// The bytes from `from` up to `to`; `None` if the segment ends before `to`.
    pub(super) fn get(&mut self, from: u64, to: u64) -> Result<Option<&[u8]>, StoreError> {
        debug_assert!(from >= self.floor, "the bytes are still in view");
        if to > self.limit {
            return Ok(None);
        }
        if to > self.end() {
            self.extend(to)?;
        }
        Ok(self.bytes.get(index(from - self.start)..index(to - self.start)))
    }

    /// All bytes in view from `from` on, at least `least` of them; fewer only at the end of the segment.
    pub(super) fn rest(&mut self, from: u64, least: u64) -> Result<&[u8], StoreError> {
        let to = (from + least).min(self.limit);
        if to > self.end() {
            self.extend(to)?;
        }
        Ok(self.bytes.get(index(from - self.start)..).unwrap_or_default())
    }

    /// Lets go of what lies before `floor`.
    pub(super) fn forget_before(&mut self, floor: u64) {
        self.floor = floor;
    }

    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn extend(&mut self, to: u64) -> Result<(), StoreError> {
        // Bytes move once a stride, not once a frame.
        if self.floor >= self.end() {
            self.bytes.clear();
        } else {
            self.bytes.drain(..index(self.floor - self.start));
        }
        self.start = self.floor;
        let end = self.end();
        let want = (to - end).max(STRIDE).min(self.limit - end);
        let old = self.bytes.len();
        self.bytes.resize(old + index(want), 0);
        let read = read_fully(&*self.segment.file, &mut self.bytes[old..], end);
        let read = read.map_err(StoreError::io(&self.segment.path, "read"))?;
        self.bytes.truncate(old + read);
        // Shorter than a moment ago: someone cut the file under us. What is missing fails its checksum.
        if (read as u64) < want {
            self.limit = self.end();
        }
        Ok(())
    }
}

/// A distance inside the window, which is in memory and so fits.
fn index(distance: u64) -> usize {
    usize::try_from(distance).unwrap_or(usize::MAX)
}
