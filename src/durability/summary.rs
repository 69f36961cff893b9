//! What a chunk of the index amounts to. It is known while the chunk's slots are not in memory.
//!
//! Invariants:
//! * Levels and segments rise, and each has a live entry. The counts of the levels, and those of the segments,
//!   add up to the live entries.
//! * An expiry is a bound: no live entry of its level expires before. It stays when the entry it came from goes.
//!
//! In the checkpoint, integers are varints: count of levels, (level, entries, bytes, expiry or 0)...; count of
//! segments, (distance of the generation from the one before, entries, bytes)...

use std::num::NonZeroU64;

use smallvec::SmallVec;

use super::codec::{Reader, RecordError, put_varint};
use super::segments::{SegmentUse, Segments};
use super::slot::IndexEntry;
use crate::limits;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    live: u32,
    levels: SmallVec<[LevelUse; 1]>,
    segments: SmallVec<[SegmentShare; 1]>,
}

/// The live entries of a level of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LevelUse {
    pub(super) level: u8,
    pub(super) entries: u32,
    /// Bytes of their bodies.
    pub(super) bytes: u64,
    /// None of them expires before, in milliseconds since the Unix epoch. `None`: never.
    pub(super) expires_at_ms: Option<NonZeroU64>,
}

/// The live entries in a segment of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SegmentShare {
    generation: u64,
    entries: u32,
    /// Bytes of their records.
    bytes: u64,
}

impl Summary {
    pub(super) fn live(&self) -> usize {
        self.live as usize
    }

    pub(super) fn levels(&self) -> &[LevelUse] {
        &self.levels
    }

    pub(super) fn has_level(&self, level: u8) -> bool {
        self.levels.iter().any(|one| one.level == level)
    }

    pub(super) fn has_segment(&self, generation: u64) -> bool {
        self.segments.binary_search_by_key(&generation, |share| share.generation).is_ok()
    }

    /// An entry came.
    pub(super) fn add(&mut self, entry: IndexEntry, expires_at_ms: Option<u64>) {
        self.live += 1;
        let expiry = expires_at_ms.and_then(NonZeroU64::new);
        let bytes = u64::from(entry.body_bytes);
        match self.levels.binary_search_by_key(&entry.level, |level| level.level) {
            Ok(at) => {
                let level = &mut self.levels[at];
                level.entries += 1;
                level.bytes += bytes;
                level.expires_at_ms = soonest(level.expires_at_ms, expiry);
            }
            Err(at) => {
                let level = entry.level;
                self.levels
                    .insert(at, LevelUse { level, entries: 1, bytes, expires_at_ms: expiry });
            }
        }
        let (generation, bytes) = (entry.location.at.generation, u64::from(entry.location.length));
        match self.segments.binary_search_by_key(&generation, |share| share.generation) {
            Ok(at) => {
                self.segments[at].entries += 1;
                self.segments[at].bytes += bytes;
            }
            Err(at) => self.segments.insert(at, SegmentShare { generation, entries: 1, bytes }),
        }
    }

    /// An entry that was added is gone.
    pub(super) fn remove(&mut self, entry: IndexEntry) {
        self.live -= 1;
        if let Ok(at) = self.levels.binary_search_by_key(&entry.level, |level| level.level) {
            let level = &mut self.levels[at];
            level.entries -= 1;
            level.bytes -= u64::from(entry.body_bytes);
            if level.entries == 0 {
                self.levels.remove(at);
            }
        }
        let generation = entry.location.at.generation;
        if let Ok(at) = self.segments.binary_search_by_key(&generation, |share| share.generation) {
            let share = &mut self.segments[at];
            share.entries -= 1;
            share.bytes -= u64::from(entry.location.length);
            if share.entries == 0 {
                self.segments.remove(at);
            }
        }
    }

    /// Counts its entries among those that live.
    pub(super) fn add_to(&self, segments: &mut Segments) {
        self.segments.iter().for_each(|share| segments.add(share.generation, share.as_use()));
    }

    /// Takes all of them out again.
    pub(super) fn remove_from(&self, segments: &mut Segments) {
        self.segments.iter().for_each(|share| segments.remove(share.generation, share.as_use()));
    }

    /// Whether `other`, which knows no expiries, counts the same entries.
    pub(super) fn agrees_with(&self, other: &Summary) -> bool {
        let counted = |level: &LevelUse| (level.level, level.entries, level.bytes);
        self.segments == other.segments
            && self.levels.iter().map(counted).eq(other.levels.iter().map(counted))
    }

    /// Gives back memory it does not need while nothing changes.
    pub(super) fn shrink(&mut self) {
        self.levels.shrink_to_fit();
        self.segments.shrink_to_fit();
    }

    /// Bytes it has outside of itself.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        let levels = if self.levels.spilled() { self.levels.capacity() } else { 0 };
        let segments = if self.segments.spilled() { self.segments.capacity() } else { 0 };
        levels * size_of::<LevelUse>() + segments * size_of::<SegmentShare>()
    }

    pub(super) fn put(&self, into: &mut Vec<u8>) {
        put_varint(into, self.levels.len() as u64);
        for LevelUse { level, entries, bytes, expires_at_ms } in &self.levels {
            into.push(*level);
            put_varint(into, u64::from(*entries));
            put_varint(into, *bytes);
            put_varint(into, expires_at_ms.map_or(0, NonZeroU64::get));
        }
        put_varint(into, self.segments.len() as u64);
        let mut before = 0;
        for SegmentShare { generation, entries, bytes } in &self.segments {
            put_varint(into, generation - before);
            put_varint(into, u64::from(*entries));
            put_varint(into, *bytes);
            before = *generation;
        }
    }

    pub(super) fn read(value: &mut Reader<'_>) -> Result<Self, RecordError> {
        let (levels, live) = read_levels(value)?;
        let segments = read_segments(value)?;
        let in_segments: u64 = segments.iter().map(|share| u64::from(share.entries)).sum();
        if live == 0 || live > limits::INDEX_CHUNK || in_segments != live {
            return Err(RecordError::Malformed("a chunk's counts do not add up"));
        }
        let live = u32::try_from(live).map_err(|_| UNORDERED)?;
        Ok(Self { live, levels, segments })
    }
}

impl SegmentShare {
    fn as_use(self) -> SegmentUse {
        SegmentUse { entries: u64::from(self.entries), bytes: self.bytes }
    }
}

const UNORDERED: RecordError = RecordError::Malformed("a chunk's levels or segments do not rise");
const EMPTY: RecordError = RecordError::Malformed("a chunk's level or segment is empty");

fn read_levels(value: &mut Reader<'_>) -> Result<(SmallVec<[LevelUse; 1]>, u64), RecordError> {
    let mut levels: SmallVec<[LevelUse; 1]> = SmallVec::new();
    let mut live = 0_u64;
    for _ in 0..value.varint()? {
        let level = value.octet()?;
        let (entries, bytes, expiry): (u32, _, _) =
            (value.number()?, value.varint()?, value.varint()?);
        if levels.last().is_some_and(|last| last.level >= level) {
            return Err(UNORDERED);
        }
        if entries == 0 {
            return Err(EMPTY);
        }
        live += u64::from(entries);
        let expires_at_ms = NonZeroU64::new(expiry);
        levels.push(LevelUse { level, entries, bytes, expires_at_ms });
    }
    levels.shrink_to_fit();
    Ok((levels, live))
}

fn read_segments(value: &mut Reader<'_>) -> Result<SmallVec<[SegmentShare; 1]>, RecordError> {
    let mut segments: SmallVec<[SegmentShare; 1]> = SmallVec::new();
    let mut before = None::<u64>;
    for _ in 0..value.varint()? {
        let distance = value.varint()?;
        if before.is_some() && distance == 0 {
            return Err(UNORDERED);
        }
        let generation = before.unwrap_or(0).checked_add(distance).ok_or(UNORDERED)?;
        let (entries, bytes): (u32, _) = (value.number()?, value.varint()?);
        if entries == 0 {
            return Err(EMPTY);
        }
        before = Some(generation);
        segments.push(SegmentShare { generation, entries, bytes });
    }
    segments.shrink_to_fit();
    Ok(segments)
}

fn soonest(one: Option<NonZeroU64>, other: Option<NonZeroU64>) -> Option<NonZeroU64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
