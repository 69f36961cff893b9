//! Blocks of bytes that mean nothing after a restart, for what memory has no room for.
//!
//! Invariants:
//! * A block is written with one write, and handed out only if its checksum, which is in memory, fits.
//! * What its owner drops is free at once: a file goes when none of its blocks lives, or is written from its start
//!   again. Dropping touches no file; [`SpillArea::tidy`] does.
//! * The files take up at most twice what lives in them and [`limits::SPILL_SLACK`], once they were tidied.
//! * A failed write changes nothing, for it ends where the next one begins.
//!
//! Nothing is ever synced.

mod area;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::area::Area;
use super::disk::Disk;
use super::error::StoreError;
use crate::sync::{RankedMutex, rank};

/// See the module. Clones are the same area.
#[derive(Clone)]
pub struct SpillArea {
    area: Arc<RankedMutex<{ rank::SPILL }, Area>>,
}

/// A block in the area; dropped, it is free.
#[derive(Debug)]
pub struct SpillBlock {
    place: RankedMutex<{ rank::LEAF }, Place>,
}

/// Where a block lies.
#[derive(Clone, Debug)]
struct Place {
    file: Arc<Usage>,
    offset: u64,
    length: u64,
    crc: u32,
}

/// What lives in a file.
#[derive(Debug)]
struct Usage {
    number: u64,
    live: AtomicU64,
}

impl Usage {
    // Relaxed: who reads it holds the area's lock, and acts on zero only, from which it never rises without that lock.
    fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: u64) {
        self.live.fetch_add(bytes, Ordering::Relaxed);
    }

    fn subtract(&self, bytes: u64) {
        self.live.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for SpillBlock {
    fn drop(&mut self) {
        let place = self.place.lock();
        place.file.subtract(place.length);
    }
}

impl SpillArea {
    /// The area in `directory`, which exists, without what an earlier run left there. It is not written to while
    /// less than `reserve` bytes would be left free.
    pub fn empty(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        reserve: u64,
    ) -> Result<Self, StoreError> {
        let area = Area::empty(disk, directory, reserve)?;
        Ok(Self { area: Arc::new(RankedMutex::new(area)) })
    }

    /// Writes a block. After an error all is as it was.
    pub fn write(&self, bytes: &[u8]) -> Result<Arc<SpillBlock>, StoreError> {
        self.area.lock().write(bytes)
    }

    /// What was written. [`StoreError::Damaged`] if it is not there.
    pub fn read(&self, block: &SpillBlock) -> Result<Vec<u8>, StoreError> {
        let place = block.place.lock().clone();
        self.area.lock().read(&place)
    }

    /// Removes files in which nothing lives, and moves blocks of sparse ones together, a portion of them. True if
    /// there is more to do.
    pub fn tidy(&self) -> Result<bool, StoreError> {
        self.area.lock().tidy()
    }

    /// Bytes of the blocks that live, and of the files.
    pub fn sizes(&self) -> (u64, u64) {
        self.area.lock().sizes()
    }
}

impl fmt::Debug for SpillArea {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SpillArea").finish_non_exhaustive()
    }
}
