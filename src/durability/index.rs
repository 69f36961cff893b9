//! Where the live entries of one queue lie in the log, in chunks of positions.
//!
//! Invariants:
//! * A chunk holds the positions that share all but their low bits, see [`limits::INDEX_CHUNK`], and has
//!   at least one live entry.
//! * A chunk that differs from the checkpoint is in `changed`. A chunk that was filled and emptied between
//!   two checkpoints never gets there: consumers that keep up cost the checkpoint nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::codec::{Reader, RecordError, put_signed, put_varint};
use super::record::Run;
use crate::broker::delivery::Position;
use crate::limits;
use crate::store::LogPosition;

/// Where a message's record lies in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Its first byte.
    pub at: LogPosition,
    /// Its bytes.
    pub length: u32,
}

/// Removed entries stay in their chunk as dead slots until they outnumber the live ones by this many, so
/// that removing from the front, as acknowledgements do, moves each slot once on average.
const DEAD_TOLERATED: usize = 32;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    chunks: BTreeMap<u64, Chunk>,
    changed: BTreeSet<u64>,
    live: usize,
}

#[derive(Clone, Debug, Default)]
struct Chunk {
    /// By position, some of them dead.
    slots: Vec<Slot>,
    live: usize,
    /// In `changed`.
    is_changed: bool,
    /// There is a value for it in the checkpoint.
    is_stored: bool,
}

/// An entry, its location taken apart to save a quarter of the memory.
#[derive(Clone, Copy, Debug)]
struct Slot {
    generation: u64,
    offset: u32,
    length: u32,
    low: u16,
    is_live: bool,
}

impl Slot {
    fn new(low: u16, location: Location) -> Self {
        let Location { at: LogPosition { generation, offset }, length } = location;
        Self { generation, offset, length, low, is_live: true }
    }

    fn location(&self) -> Location {
        let at = LogPosition { generation: self.generation, offset: self.offset };
        Location { at, length: self.length }
    }
}

impl Index {
    /// How many entries live.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// There is an entry.
    pub(super) fn contains(&self, position: Position) -> bool {
        let (number, low) = split(position);
        self.chunks.get(&number).is_some_and(|chunk| chunk.contains(low))
    }

    /// Where an entry lies.
    pub(super) fn location(&self, position: Position) -> Option<Location> {
        let (number, low) = split(position);
        let chunk = self.chunks.get(&number)?;
        let at = chunk.slots.binary_search_by_key(&low, |slot| slot.low).ok()?;
        chunk.slots.get(at).filter(|slot| slot.is_live).map(Slot::location)
    }

    /// Adds an entry. Returns what was at its place.
    pub(super) fn insert(&mut self, position: Position, location: Location) -> Option<Location> {
        let (number, low) = split(position);
        let chunk = self.chunks.entry(number).or_insert_with(|| Chunk {
            // A chunk that was emptied since the checkpoint comes back: its value is still there.
            is_stored: self.changed.contains(&number),
            is_changed: self.changed.contains(&number),
            ..Chunk::default()
        });
        let replaced = chunk.insert(low, location);
        self.live += usize::from(replaced.is_none());
        if !chunk.is_changed {
            chunk.is_changed = true;
            self.changed.insert(number);
        }
        replaced
    }

    /// Removes the entries of a run, as far as they live, and hands out where they were.
    pub(super) fn remove(&mut self, run: Run, removed: &mut dyn FnMut(Location)) {
        let (first, first_low) = split(run.first);
        let (last, last_low) = split(run.last);
        let mut emptied = Vec::new();
        for (&number, chunk) in self.chunks.range_mut(first..=last) {
            let from = if number == first { first_low } else { 0 };
            let to = if number == last { last_low } else { u16::MAX };
            let gone = chunk.remove(from, to, removed);
            self.live -= gone;
            if gone > 0 && !chunk.is_changed {
                chunk.is_changed = true;
                self.changed.insert(number);
            }
            if chunk.live == 0 {
                emptied.push((number, chunk.is_stored));
            }
        }
        for (number, is_stored) in emptied {
            self.chunks.remove(&number);
            if !is_stored {
                self.changed.remove(&number);
            }
        }
    }

    /// All live entries, by position.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Position, Location)> + '_ {
        self.chunks.iter().flat_map(|(&number, chunk)| {
            chunk.live().map(move |slot| (join(number, slot.low), slot.location()))
        })
    }

    /// Live entries from a position on.
    pub(super) fn entries_from(
        &self,
        first: Position,
    ) -> impl Iterator<Item = (Position, Location)> + '_ {
        let chunks = self.chunks.range(split(first).0..);
        let entries = chunks.flat_map(|(&number, chunk)| {
            chunk.live().map(move |slot| (join(number, slot.low), slot.location()))
        });
        entries.skip_while(move |&(position, _)| position < first)
    }

    /// Hands out what changed since the last time: a chunk's number, and its value unless it is gone.
    pub(super) fn take_changes(&mut self, visit: &mut dyn FnMut(u64, Option<Vec<u8>>)) {
        for number in std::mem::take(&mut self.changed) {
            let value = self.chunks.get_mut(&number).map(|chunk| {
                chunk.is_changed = false;
                chunk.is_stored = true;
                chunk.encode()
            });
            visit(number, value);
        }
    }

    /// Chunks for which the checkpoint has a value.
    pub(super) fn stored_chunks(&self) -> impl Iterator<Item = u64> + '_ {
        let stored = self.chunks.iter().filter(|(_, chunk)| chunk.is_stored);
        // Those that were emptied since are only in `changed`.
        let emptied = self.changed.iter().filter(|number| !self.chunks.contains_key(number));
        stored.map(|(&number, _)| number).chain(emptied.copied())
    }

    /// Puts back a chunk as [`Index::take_changes`] handed it out, and hands out its entries' places.
    pub(super) fn load(
        &mut self,
        number: u64,
        value: &mut Reader<'_>,
        loaded: &mut dyn FnMut(Location),
    ) -> Result<(), RecordError> {
        let slots = decode(value)?;
        for slot in &slots {
            loaded(slot.location());
        }
        self.live += slots.len();
        let live = slots.len();
        self.chunks.insert(number, Chunk { slots, live, is_changed: false, is_stored: true });
        Ok(())
    }
}

impl Chunk {
    fn contains(&self, low: u16) -> bool {
        let found = self.slots.binary_search_by_key(&low, |slot| slot.low);
        found.is_ok_and(|at| self.slots[at].is_live)
    }

    fn insert(&mut self, low: u16, location: Location) -> Option<Location> {
        let slot = Slot::new(low, location);
        if self.slots.last().is_none_or(|last| last.low < low) {
            self.slots.push(slot);
            self.live += 1;
            return None;
        }
        match self.slots.binary_search_by_key(&low, |slot| slot.low) {
            Ok(at) => {
                let old = std::mem::replace(&mut self.slots[at], slot);
                self.live += usize::from(!old.is_live);
                old.is_live.then(|| old.location())
            }
            Err(at) => {
                self.slots.insert(at, slot);
                self.live += 1;
                None
            }
        }
    }

    fn remove(&mut self, from: u16, to: u16, removed: &mut dyn FnMut(Location)) -> usize {
        let start = self.slots.partition_point(|slot| slot.low < from);
        let in_run = self.slots[start..].iter_mut().take_while(|slot| slot.low <= to);
        let mut gone = 0;
        for slot in in_run.filter(|slot| slot.is_live) {
            slot.is_live = false;
            removed(slot.location());
            gone += 1;
        }
        self.live -= gone;
        let dead = self.slots.len() - self.live;
        if dead > self.live + DEAD_TOLERATED {
            self.slots.retain(|slot| slot.is_live);
        }
        gone
    }

    fn live(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.is_live)
    }

    /// Count, then for each entry: position, generation and offset as distances from the entry before.
    fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(16 + self.live * 8);
        put_varint(&mut value, self.live as u64);
        let (mut low, mut behind) = (0, Behind::default());
        for slot in self.live() {
            put_varint(&mut value, u64::from(slot.low - low));
            behind.put(&mut value, slot.location());
            low = slot.low;
        }
        value
    }
}

fn decode(value: &mut Reader<'_>) -> Result<Vec<Slot>, RecordError> {
    const UNORDERED: RecordError = RecordError::Malformed("a chunk's positions do not rise");
    let count = value.varint()?;
    if count > limits::INDEX_CHUNK {
        return Err(RecordError::Malformed("a chunk has too many entries"));
    }
    let mut slots: Vec<Slot> = Vec::new();
    let (mut low, mut behind) = (0_u64, Behind::default());
    for _ in 0..count {
        let distance = value.varint()?;
        let rises = slots.is_empty() || distance > 0;
        let next = low.checked_add(distance).filter(|&next| next < limits::INDEX_CHUNK && rises);
        low = next.ok_or(UNORDERED)?;
        let location = behind.read(value)?;
        slots.push(Slot::new(u16::try_from(low).map_err(|_| UNORDERED)?, location));
    }
    Ok(slots)
}

/// The end of the record before: where the next one begins if they were written together.
#[derive(Default)]
struct Behind {
    generation: i64,
    offset: i64,
}

impl Behind {
    fn put(&mut self, into: &mut Vec<u8>, location: Location) {
        let (generation, offset) =
            (location.at.generation.cast_signed(), i64::from(location.at.offset));
        put_signed(into, generation.wrapping_sub(self.generation));
        put_signed(into, offset - self.offset);
        put_varint(into, u64::from(location.length));
        *self = Self { generation, offset: offset + i64::from(location.length) };
    }

    fn read(&mut self, from: &mut Reader<'_>) -> Result<Location, RecordError> {
        let generation = self.generation.wrapping_add(from.signed()?);
        let offset = self.offset.checked_add(from.signed()?);
        let offset = offset.and_then(|offset| u32::try_from(offset).ok());
        let offset = offset.ok_or(RecordError::Malformed("an offset does not fit a segment"))?;
        let length: u32 = from.number()?;
        *self = Self { generation, offset: i64::from(offset) + i64::from(length) };
        let at = LogPosition { generation: generation.cast_unsigned(), offset };
        Ok(Location { at, length })
    }
}

/// The chunk of a position, and its place there.
pub(super) fn split(position: Position) -> (u64, u16) {
    // The remainder is below INDEX_CHUNK, which fits.
    let low = u16::try_from(position.0 % limits::INDEX_CHUNK).unwrap_or(u16::MAX);
    (position.0 / limits::INDEX_CHUNK, low)
}

/// The position at a place of a chunk.
pub(super) fn join(chunk: u64, low: u16) -> Position {
    Position(chunk.saturating_mul(limits::INDEX_CHUNK).saturating_add(u64::from(low)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn location(number: u64) -> Location {
        let offset = u32::try_from(number % 1000).unwrap() * 64;
        Location { at: LogPosition { generation: 1 + number / 1000, offset }, length: 60 }
    }

    fn run(first: u64, last: u64) -> Run {
        Run { first: Position(first), last: Position(last) }
    }

    #[test]
    fn a_chunk_that_came_and_went_between_checkpoints_leaves_no_trace() {
        let mut index = Index::default();
        for position in 0..100 {
            index.insert(Position(position), location(position));
        }
        index.remove(run(0, 99), &mut |_| {});

        index.take_changes(&mut |number, _| panic!("chunk {number} changed"));
    }

    #[test]
    fn removing_all_there_could_be_is_as_cheap_as_what_is_there() {
        let mut index = Index::default();
        index.insert(Position(5), location(5));
        index.insert(Position(u64::MAX), location(6));

        index.remove(run(0, u64::MAX), &mut |_| {});

        assert_eq!(index.len(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// However entries come and go, and whenever a checkpoint takes what changed, a map with these
        /// changes applied is what the index is loaded from.
        #[test]
        fn what_changed_adds_up_to_what_is_there(
            operations in prop::collection::vec((0_u8..8, 0_u64..4000, 0_u64..1500), 1..120)
        ) {
            let mut index = Index::default();
            let mut model = BTreeMap::new();
            let mut stored: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
            for (operation, first, length) in operations {
                match operation {
                    0..4 => for position in first..first + length / 50 {
                        let replaced = index.insert(Position(position), location(position + length));
                        prop_assert_eq!(replaced, model.insert(position, location(position + length)));
                    },
                    4..7 => {
                        let mut removed = Vec::new();
                        index.remove(run(first, first + length), &mut |location| removed.push(location));
                        let gone: Vec<_> = model.range(first..=first + length).map(|(&at, _)| at).collect();
                        let gone: Vec<_> = gone.iter().map(|at| model.remove(at).unwrap()).collect();
                        prop_assert_eq!(removed, gone);
                    }
                    _ => {
                        index.take_changes(&mut |number, value| {
                            match value {
                                Some(value) => stored.insert(number, value),
                                None => stored.remove(&number),
                            };
                        });
                        prop_assert!(index.stored_chunks().eq(stored.keys().copied()));
                    }
                }
                prop_assert_eq!(index.len(), model.len());
            }
            index.take_changes(&mut |number, value| {
                match value {
                    Some(value) => stored.insert(number, value),
                    None => stored.remove(&number),
                };
            });
            let mut loaded = Index::default();
            for (&number, value) in &stored {
                let mut value = Reader::new(value);
                loaded.load(number, &mut value, &mut |_| {}).unwrap();
                prop_assert!(value.is_empty());
            }
            let model: Vec<_> = model.into_iter().map(|(at, location)| (Position(at), location)).collect();
            prop_assert_eq!(loaded.entries().collect::<Vec<_>>(), model);
        }
    }
}
