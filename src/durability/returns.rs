//! What is known of the entries of one queue that came back from consumers, in chunks of positions.
//!
//! Invariants:
//! * Only entries that came back and were counted are here, so a queue that does not count costs nothing.
//! * A chunk, see [`crate::limits::INDEX_CHUNK`], that may differ from the checkpoint is in `changed`; a chunk with
//!   a value there is in `stored`. A checkpoint writes the chunks that changed, however many there are.

use std::collections::{BTreeMap, BTreeSet};

use super::codec::{Reader, RecordError};
use super::index::{LAST_LOW, join, split};
use super::record::{Run, put_retries, read_retries};
use crate::broker::change::Retries;
use crate::broker::delivery::Position;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Returns {
    known: BTreeMap<Position, Retries>,
    changed: BTreeSet<u64>,
    stored: BTreeSet<u64>,
}

impl Returns {
    /// What is known of that entry.
    pub(super) fn of(&self, position: Position) -> Retries {
        self.known.get(&position).copied().unwrap_or_default()
    }

    /// All that is known, by position.
    pub(super) fn all(&self) -> impl Iterator<Item = (Position, Retries)> + '_ {
        self.known.iter().map(|(&position, &retries)| (position, retries))
    }

    /// An entry came back.
    pub(super) fn set(&mut self, position: Position, retries: Retries) {
        let before = match retries.count {
            0 => self.known.remove(&position),
            _ => self.known.insert(position, retries),
        };
        if before.unwrap_or_default() != retries {
            self.changed.insert(chunk_of(position));
        }
    }

    /// These entries are gone.
    pub(super) fn remove(&mut self, run: Run) {
        let gone: Vec<Position> =
            self.known.range(run.first..=run.last).map(|(&position, _)| position).collect();
        for position in gone {
            self.known.remove(&position);
            self.changed.insert(chunk_of(position));
        }
    }

    /// Hands out the chunks that changed since the last call, and what the checkpoint has to keep of each;
    /// nothing, if it has to delete it.
    pub(super) fn take_changes(&mut self, change: &mut dyn FnMut(u64, Option<Vec<u8>>)) {
        for chunk in std::mem::take(&mut self.changed) {
            let known = self.known.range(join(chunk, 0)..=join(chunk, LAST_LOW));
            let known: Vec<_> = known.map(|(&at, &retries)| (at, retries)).collect();
            if !known.is_empty() {
                let mut value = Vec::with_capacity(2 + known.len() * 4);
                put_retries(&mut value, &known);
                self.stored.insert(chunk);
                change(chunk, Some(value));
            } else if self.stored.remove(&chunk) {
                change(chunk, None);
            }
        }
    }

    /// Chunks the checkpoint has a value for.
    pub(super) fn stored_chunks(&self) -> impl Iterator<Item = u64> + '_ {
        self.stored.iter().copied()
    }

    /// Takes a chunk from the checkpoint.
    pub(super) fn load(&mut self, chunk: u64, value: &mut Reader<'_>) -> Result<(), RecordError> {
        for (position, retries) in read_retries(value)? {
            if chunk_of(position) != chunk {
                return Err(RecordError::Malformed("a count is in the wrong chunk"));
            }
            self.known.insert(position, retries);
        }
        self.stored.insert(chunk);
        Ok(())
    }
}

fn chunk_of(position: Position) -> u64 {
    split(position).0
}
