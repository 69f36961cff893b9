//! Where the live entries of one queue lie in the log, in chunks of positions.
//!
//! Invariants:
//! * A chunk holds the positions that share all but their low bits, see [`limits::INDEX_CHUNK`], and has
//!   at least one live entry. What a chunk amounts to is always in memory, its slots only while it is warm.
//! * A chunk that differs from the checkpoint is in `changed`. A chunk that was filled and emptied between
//!   two checkpoints never gets there: consumers that keep up cost the checkpoint nothing.
//! * A page, see [`limits::INDEX_PAGE`], is written whenever one of its chunks is, in the same batch. So the
//!   summaries in the checkpoint are always those of the chunks there.
//! * After an error the index may have performed a part of what it was asked for, and must not be used;
//!   except by [`Index::contains`] and [`Index::locate`], which change nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::chunk::{Chunk, live};
use super::codec::{Reader, RecordError, put_varint};
use super::keys::{CHUNK_KEYS, PAGE_KEYS, queue_part_key};
use super::pool::Pool;
use super::record::Run;
use super::slot::{IndexEntry, Location, Slot};
use super::summary::Summary;
use super::topology::VALUE_VERSION;
use crate::broker::delivery::{Position, QueueId};
use crate::limits;
use crate::store::StoreError;

/// See the module.
#[derive(Debug)]
pub(super) struct Index {
    queue: QueueId,
    chunks: BTreeMap<u64, Chunk>,
    changed: BTreeSet<u64>,
    /// Pages the checkpoint has a value for.
    pages: BTreeSet<u64>,
    live: usize,
}

/// A live entry and where its message lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// Its place in the queue.
    pub position: Position,
    /// The place of its record.
    pub location: Location,
}

impl Located {
    fn new(chunk: u64, slot: &Slot) -> Self {
        Self { position: join(chunk, slot.low), location: slot.location() }
    }
}

impl Index {
    pub(super) fn new(queue: QueueId) -> Self {
        let (chunks, changed, pages) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { queue, chunks, changed, pages, live: 0 }
    }

    /// How many entries live.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// The chunks, and what each amounts to.
    pub(super) fn summaries(&self) -> impl Iterator<Item = (u64, &Summary)> {
        self.summaries_from(0)
    }

    /// The chunks from one on.
    pub(super) fn summaries_from(&self, first: u64) -> impl Iterator<Item = (u64, &Summary)> {
        self.chunks.range(first..).map(|(&number, chunk)| (number, chunk.summary()))
    }

    /// There is an entry.
    pub(super) fn contains(
        &mut self,
        position: Position,
        pool: &mut Pool,
    ) -> Result<bool, StoreError> {
        let (number, low) = split(position);
        let Some(chunk) = self.chunks.get_mut(&number) else { return Ok(false) };
        chunk.warm(|| chunk_key(self.queue, number), pool)?;
        Ok(chunk.contains(low))
    }

    /// Where an entry lies, if it lives.
    pub(super) fn location(
        &mut self,
        position: Position,
        pool: &mut Pool,
    ) -> Result<Option<Location>, StoreError> {
        let (number, low) = split(position);
        let Some(chunk) = self.chunks.get_mut(&number) else { return Ok(None) };
        chunk.warm(|| chunk_key(self.queue, number), pool)?;
        Ok(chunk.location(low))
    }

    /// Adds an entry. Takes the place of what was there.
    pub(super) fn insert(
        &mut self,
        position: Position,
        entry: (IndexEntry, Option<u64>),
        pool: &mut Pool,
    ) -> Result<(), StoreError> {
        let (number, low) = split(position);
        let emptied = || Chunk::new(self.changed.contains(&number));
        let chunk = self.chunks.entry(number).or_insert_with(emptied);
        chunk.warm(|| chunk_key(self.queue, number), pool)?;
        let (before, was_changed) = (chunk.summary().live(), chunk.is_changed);
        pool.change(chunk, |chunk, segments| chunk.insert(low, entry, segments));
        self.live += chunk.summary().live() - before;
        if !was_changed {
            self.changed.insert(number);
        }
        Ok(())
    }

    /// Removes the entries of a run, as far as they live. A chunk that lies in it whole is not warmed.
    pub(super) fn remove(&mut self, run: Run, pool: &mut Pool) -> Result<(), StoreError> {
        let mut emptied = Vec::new();
        for (&number, chunk) in self.chunks.range_mut(chunks_of(run)) {
            let (from, to) = within(run, number);
            let (before, was_changed) = (chunk.summary().live(), chunk.is_changed);
            if (from, to) == (0, LAST_LOW) {
                pool.change(chunk, Chunk::remove_all);
            } else {
                chunk.warm(|| chunk_key(self.queue, number), pool)?;
                pool.change(chunk, |chunk, segments| chunk.remove(from, to, segments));
            }
            let live = chunk.summary().live();
            self.live -= before - live;
            if chunk.is_changed && !was_changed {
                self.changed.insert(number);
            }
            if live == 0 {
                pool.change(chunk, Chunk::remove_all);
                emptied.push((number, chunk.is_stored));
            }
        }
        for (number, is_stored) in emptied {
            self.chunks.remove(&number);
            if !is_stored {
                self.changed.remove(&number);
            }
        }
        Ok(())
    }

    /// Removes everything. What the checkpoint has of it remains to be deleted, see [`Index::stored_keys`].
    pub(super) fn clear(&mut self, pool: &mut Pool) {
        for chunk in self.chunks.values_mut() {
            pool.change(chunk, Chunk::remove_all);
        }
    }

    /// The live entries in a run, positions rising; only those of `level`, if one is given. Once enough slots are in
    /// memory, chunks stay cold.
    pub(super) fn locate(
        &mut self,
        level: Option<u8>,
        run: Run,
        pool: &mut Pool,
        located: &mut Vec<Located>,
    ) -> Result<(), StoreError> {
        for (&number, chunk) in self.chunks.range_mut(chunks_of(run)) {
            if level.is_some_and(|level| !chunk.summary().has_level(level)) {
                continue;
            }
            let key = || chunk_key(self.queue, number);
            if !pool.is_over() {
                chunk.warm(key, pool)?;
            }
            let slots = chunk.peek(key, pool)?;
            let (from, to) = within(run, number);
            let is_wanted = |slot: &&Slot| level.is_none_or(|level| slot.level == level);
            let of_level = live(&slots, from, to).filter(is_wanted);
            located.extend(of_level.map(|slot| Located::new(number, slot)));
        }
        Ok(())
    }

    /// All live entries, by position. Cold chunks are read one at a time, and stay cold.
    pub(super) fn entries<'a>(
        &'a self,
        pool: &'a Pool,
    ) -> impl Iterator<Item = Result<Located, StoreError>> + 'a {
        self.chunks.iter().flat_map(move |(&number, chunk)| {
            match self.live_of(number, chunk, pool) {
                Ok(entries) => entries.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }
        })
    }

    /// The live entries of one chunk, likewise.
    pub(super) fn entries_of(&self, number: u64, pool: &Pool) -> Result<Vec<Located>, StoreError> {
        let chunk = self.chunks.get(&number);
        chunk.map_or_else(|| Ok(Vec::new()), |chunk| self.live_of(number, chunk, pool))
    }

    fn live_of(&self, number: u64, chunk: &Chunk, pool: &Pool) -> Result<Vec<Located>, StoreError> {
        let slots = chunk.peek(|| chunk_key(self.queue, number), pool)?;
        Ok(live(&slots, 0, LAST_LOW).map(|slot| Located::new(number, slot)).collect())
    }

    /// Hands out what changed since the last time: a key, and its value unless it is gone.
    pub(super) fn take_changes(
        &mut self,
        pool: &mut Pool,
        visit: &mut dyn FnMut(Vec<u8>, Option<Vec<u8>>),
    ) {
        let batch = pool.taken();
        let changed = std::mem::take(&mut self.changed);
        let mut pages: Vec<u64> =
            changed.iter().map(|number| number / limits::INDEX_PAGE).collect();
        pages.dedup();
        for number in changed {
            let chunk = self.chunks.get_mut(&number);
            let value = chunk.map(|chunk| pool.change(chunk, |chunk, _| chunk.take(batch)));
            visit(chunk_key(self.queue, number), value);
        }
        for page in pages {
            let value = self.page(page);
            let had_one = match value {
                Some(_) => !self.pages.insert(page),
                None => self.pages.remove(&page),
            };
            if value.is_some() || had_one {
                visit(page_key(self.queue, page), value);
            }
        }
    }

    /// Keys for which the checkpoint has a value, or a batch that was taken.
    pub(super) fn stored_keys(&self) -> impl Iterator<Item = Vec<u8>> {
        let stored = self.chunks.iter().filter(|(_, chunk)| chunk.is_stored);
        // Those that were emptied since are only in `changed`.
        let emptied = self.changed.iter().filter(|number| !self.chunks.contains_key(number));
        let chunks = stored.map(|(&number, _)| number).chain(emptied.copied());
        let pages = self.pages.iter().map(|&page| page_key(self.queue, page));
        chunks.map(|number| chunk_key(self.queue, number)).chain(pages)
    }

    /// Takes the chunks of a page from the checkpoint, cold.
    pub(super) fn load_page(
        &mut self,
        page: u64,
        value: &mut Reader<'_>,
        pool: &mut Pool,
    ) -> Result<(), RecordError> {
        for (number, summary, check) in read_page(page, value)? {
            summary.add_to(&mut pool.segments);
            self.live += summary.live();
            self.chunks.insert(number, Chunk::cold(summary, check));
        }
        self.pages.insert(page);
        Ok(())
    }

    /// Chunks whose slots may go: when each was used last, and its number.
    pub(super) fn coolable<'a>(&'a self, pool: &'a Pool) -> impl Iterator<Item = (u64, u64)> + 'a {
        let chunks = self.chunks.iter();
        chunks.filter_map(|(&number, chunk)| Some((chunk.coolable(pool)?, number)))
    }

    /// Lets the slots of a chunk go.
    pub(super) fn cool(&mut self, number: u64, pool: &mut Pool) {
        if let Some(chunk) = self.chunks.get_mut(&number) {
            pool.change(chunk, |chunk, _| chunk.cool());
        }
    }

    /// Count of the chunks, then for each the distance from the one before, its summary, and the checksum of
    /// its value.
    fn page(&self, page: u64) -> Option<Vec<u8>> {
        let first = page * limits::INDEX_PAGE;
        let chunks = self.chunks.range(first..=first.saturating_add(limits::INDEX_PAGE - 1));
        let count = chunks.clone().count();
        if count == 0 {
            return None;
        }
        let mut value = vec![VALUE_VERSION];
        put_varint(&mut value, count as u64);
        let mut before = first;
        for (&number, chunk) in chunks {
            put_varint(&mut value, number - before);
            chunk.summary().put(&mut value);
            value.extend(chunk.check().to_le_bytes());
            before = number;
        }
        Some(value)
    }

    /// Bytes in memory, as far as they grow with the entries.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        // A map of keys that came in rising order is a little more than half full.
        let in_map = 2 * (size_of::<u64>() + size_of::<Chunk>()) * self.chunks.len();
        let slots = self.chunks.values().map(|chunk| chunk.weight().warm).sum::<usize>();
        let heap = self.chunks.values().map(|chunk| chunk.summary().heap_bytes()).sum::<usize>();
        let sets = 2 * size_of::<u64>() * (self.changed.len() + self.pages.len());
        in_map + slots * size_of::<Slot>() + heap + sets
    }
}

fn read_page(page: u64, value: &mut Reader<'_>) -> Result<Vec<(u64, Summary, u32)>, RecordError> {
    const UNORDERED: RecordError = RecordError::Malformed("a page's chunks do not rise");
    let first = page.checked_mul(limits::INDEX_PAGE).ok_or(UNORDERED)?;
    let count = value.varint()?;
    if count == 0 || count > limits::INDEX_PAGE {
        return Err(RecordError::Malformed("a page has no chunks, or too many"));
    }
    let mut chunks: Vec<(u64, Summary, u32)> = Vec::new();
    let mut before = first;
    for _ in 0..count {
        let distance = value.varint()?;
        let rises = chunks.is_empty() || distance > 0;
        let number = before.checked_add(distance).ok_or(UNORDERED)?;
        if !rises || number - first >= limits::INDEX_PAGE || number > LAST_CHUNK {
            return Err(UNORDERED);
        }
        chunks.push((number, Summary::read(value)?, u32::from_le_bytes(value.array()?)));
        before = number;
    }
    Ok(chunks)
}

fn chunk_key(queue: QueueId, number: u64) -> Vec<u8> {
    queue_part_key(CHUNK_KEYS, queue, number)
}

fn page_key(queue: QueueId, page: u64) -> Vec<u8> {
    queue_part_key(PAGE_KEYS, queue, page)
}

/// The last place in a chunk.
#[expect(clippy::cast_possible_truncation, reason = "a chunk has at most 65,536 places")]
pub(super) const LAST_LOW: u16 = (limits::INDEX_CHUNK - 1) as u16;

/// The last chunk there can be.
const LAST_CHUNK: u64 = u64::MAX / limits::INDEX_CHUNK;

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

fn chunks_of(run: Run) -> std::ops::RangeInclusive<u64> {
    split(run.first).0..=split(run.last.max(run.first)).0
}

/// The first and the last place of a chunk that a run has.
fn within(run: Run, number: u64) -> (u16, u16) {
    let ((first, first_low), (last, last_low)) = (split(run.first), split(run.last));
    let from = if number == first { first_low } else { 0 };
    let to = if number == last { last_low } else { LAST_LOW };
    (from, to)
}

#[cfg(test)]
mod tests;
