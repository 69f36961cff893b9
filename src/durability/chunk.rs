//! A chunk of the index of one queue: a summary, and slots while it is warm.
//!
//! Invariants:
//! * The summary is that of the live slots; a chunk that is warmed is checked against it.
//! * A cold chunk is stored and not changed.
//! * Warming that fails changes nothing.

use std::borrow::Cow;

use super::codec::{Reader, RecordError};
use super::pool::Pool;
use super::segments::{SegmentUse, Segments};
use super::slot::{IndexEntry, Location, Slot, put_slots, read_slots};
use super::summary::Summary;
use super::topology::VALUE_VERSION;
use crate::store::StoreError;

/// Removed entries stay in their chunk as dead slots until they outnumber the live ones by this many, so
/// that removing from the front, as acknowledgements do, moves each slot once on average.
const DEAD_TOLERATED: usize = 32;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    summary: Summary,
    /// By position, some of them dead; `None` if the chunk is cold.
    slots: Option<Vec<Slot>>,
    /// It may differ from the batch that has it.
    pub(super) is_changed: bool,
    /// There is a value for it in the checkpoint, or in a batch that was taken.
    pub(super) is_stored: bool,
    /// Checksum of the value that was written last.
    check: u32,
    /// The batch that has it.
    batch: u64,
    /// When it was used last, see [`Pool::next_use`].
    used: u64,
}

/// Memory for slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) warm: usize,
    /// In chunks that a checkpoint has to write.
    pub(super) changed: usize,
}

impl Chunk {
    /// A chunk without entries. If its last one went since the last checkpoint, its value is still there.
    pub(super) fn new(is_stored: bool) -> Self {
        Self {
            summary: Summary::default(),
            slots: Some(Vec::new()),
            is_changed: is_stored,
            is_stored,
            check: 0,
            batch: 0,
            used: 0,
        }
    }

    /// A chunk whose value is in the checkpoint.
    pub(super) fn cold(summary: Summary, check: u32) -> Self {
        let (is_changed, is_stored) = (false, true);
        Self { summary, slots: None, is_changed, is_stored, check, batch: 0, used: 0 }
    }

    /// Checksum of the value that was written last. A value may be whole, and be an older one.
    pub(super) fn check(&self) -> u32 {
        self.check
    }

    pub(super) fn summary(&self) -> &Summary {
        &self.summary
    }

    pub(super) fn weight(&self) -> Weight {
        let warm = self.slots.as_ref().map_or(0, Vec::capacity);
        Weight { warm, changed: if self.is_changed { warm } else { 0 } }
    }

    /// Brings its slots into memory, for use.
    pub(super) fn warm(
        &mut self,
        key: impl FnOnce() -> Vec<u8>,
        pool: &mut Pool,
    ) -> Result<(), StoreError> {
        self.used = pool.next_use();
        if self.slots.is_none() {
            let slots = self.read(&key(), pool)?;
            pool.change(self, |chunk, _| chunk.slots = Some(slots));
        }
        Ok(())
    }

    /// Its slots, which stay where they are.
    pub(super) fn peek(
        &self,
        key: impl FnOnce() -> Vec<u8>,
        pool: &Pool,
    ) -> Result<Cow<'_, [Slot]>, StoreError> {
        match &self.slots {
            Some(slots) => Ok(Cow::Borrowed(slots)),
            None => self.read(&key(), pool).map(Cow::Owned),
        }
    }

    fn read(&self, key: &[u8], pool: &Pool) -> Result<Vec<Slot>, StoreError> {
        let value = pool.read(key)?;
        if crc32c::crc32c(&value) != self.check {
            return Err(pool.distrusted(key, "it is not the one that was written last"));
        }
        let slots = read_value(&value).map_err(|error| pool.distrusted(key, error.to_string()))?;
        let mut counted = Summary::default();
        for slot in &slots {
            counted.add(slot.entry(), None);
        }
        if self.summary.agrees_with(&counted) {
            return Ok(slots);
        }
        Err(pool.distrusted(key, "its entries are not those that were counted when it was written"))
    }

    /// When it was used last, if its slots may go.
    pub(super) fn coolable(&self, pool: &Pool) -> Option<u64> {
        let is_stored = self.is_stored && !self.is_changed && pool.has_applied(self.batch);
        (is_stored && self.slots.is_some()).then_some(self.used)
    }

    /// Lets its slots go.
    pub(super) fn cool(&mut self) {
        debug_assert!(self.is_stored && !self.is_changed, "the checkpoint has it");
        self.slots = None;
        self.summary.shrink();
    }

    /// There is a live entry at that place. For this and all below, it must be warm.
    pub(super) fn contains(&self, low: u16) -> bool {
        let slots = self.slots();
        let found = slots.binary_search_by_key(&low, |slot| slot.low);
        found.is_ok_and(|at| slots[at].is_live)
    }

    /// Where the live entry at that place lies, if there is one.
    pub(super) fn location(&self, low: u16) -> Option<Location> {
        live(self.slots(), low, low).next().map(Slot::location)
    }

    /// Puts an entry at a place, and takes away what was there.
    pub(super) fn insert(
        &mut self,
        low: u16,
        (entry, expires_at_ms): (IndexEntry, Option<u64>),
        segments: &mut Segments,
    ) {
        self.is_changed = true;
        let slot = Slot::new(low, entry);
        let slots = self.slots.get_or_insert_default();
        let mut replaced = None;
        if slots.last().is_none_or(|last| last.low < low) {
            slots.push(slot);
        } else {
            match slots.binary_search_by_key(&low, |slot| slot.low) {
                Ok(at) => replaced = Some(std::mem::replace(&mut slots[at], slot)),
                Err(at) => slots.insert(at, slot),
            }
        }
        self.count(entry, expires_at_ms, segments);
        if let Some(replaced) = replaced.filter(|slot| slot.is_live) {
            self.discount(replaced.entry(), segments);
        }
    }

    /// Removes what lives from one place to another.
    pub(super) fn remove(&mut self, from: u16, to: u16, segments: &mut Segments) {
        let mut slots = self.slots.take().unwrap_or_default();
        let start = slots.partition_point(|slot| slot.low < from);
        let in_run = slots[start..].iter_mut().take_while(|slot| slot.low <= to);
        for slot in in_run.filter(|slot| slot.is_live) {
            slot.is_live = false;
            self.is_changed = true;
            self.discount(slot.entry(), segments);
        }
        let live = self.summary.live();
        if slots.len() - live > live + DEAD_TOLERATED {
            slots.retain(|slot| slot.is_live);
            slots.shrink_to(2 * live);
        }
        self.slots = Some(slots);
    }

    /// Removes all there is, warm or cold.
    pub(super) fn remove_all(&mut self, segments: &mut Segments) {
        self.is_changed = true;
        self.slots = Some(Vec::new());
        std::mem::take(&mut self.summary).remove_from(segments);
    }

    /// Its value for the checkpoint, which has it from `batch` on.
    pub(super) fn take(&mut self, batch: u64) -> Vec<u8> {
        (self.is_changed, self.is_stored, self.batch) = (false, true, batch);
        let mut value = vec![VALUE_VERSION];
        put_slots(&mut value, self.slots(), self.summary.live());
        self.check = crc32c::crc32c(&value);
        value
    }

    fn slots(&self) -> &[Slot] {
        debug_assert!(self.slots.is_some(), "it is warm");
        self.slots.as_deref().unwrap_or_default()
    }

    fn count(&mut self, entry: IndexEntry, expires_at_ms: Option<u64>, segments: &mut Segments) {
        self.summary.add(entry, expires_at_ms);
        let Location { at, length } = entry.location;
        segments.add(at.generation, SegmentUse::of_one(length));
    }

    fn discount(&mut self, entry: IndexEntry, segments: &mut Segments) {
        self.summary.remove(entry);
        let Location { at, length } = entry.location;
        segments.remove(at.generation, SegmentUse::of_one(length));
    }
}

/// The live ones among slots from one place of their chunk to another.
pub(super) fn live(slots: &[Slot], from: u16, to: u16) -> impl Iterator<Item = &Slot> {
    let start = slots.partition_point(|slot| slot.low < from);
    slots[start..].iter().take_while(move |slot| slot.low <= to).filter(|slot| slot.is_live)
}

/// The slots in the value of a chunk.
pub(super) fn read_value(value: &[u8]) -> Result<Vec<Slot>, RecordError> {
    let mut value = Reader::new(value);
    value.version("checkpoint value", VALUE_VERSION)?;
    let slots = read_slots(&mut value)?;
    value.end()?;
    Ok(slots)
}
