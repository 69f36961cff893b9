//! A durable queue, as the log knows it.

use std::num::NonZeroU64;

use super::codec::{Reader, RecordError, put_varint};
use super::definition::put_queue;
use super::index::{Index, LAST_LOW, join};
use super::keys::{QUEUE_KEYS, RETURNS_KEYS, STANDING_KEYS, queue_key, queue_part_key};
use super::options::queue_options;
use super::pool::Pool;
use super::returns::Returns;
use super::topology::VALUE_VERSION;
use crate::broker::change::{QueueDefinition, Retries};
use crate::broker::delivery::Position;
use crate::broker::queue::Priorities;
use crate::store::CheckpointBatch;

/// See the module.
#[derive(Debug)]
pub struct StoredQueue {
    pub(super) definition: QueueDefinition,
    pub(super) priorities: Priorities,
    pub(super) standing: Standing,
    /// What the checkpoint has for `standing`, if anything.
    pub(super) stored: Option<Standing>,
    pub(super) index: Index,
    pub(super) returns: Returns,
    pub(super) is_changed: bool,
}

/// How far a queue has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) next_position: u64,
    pub(super) delivered: Option<Position>,
    /// Entries that live. The index knows; this is what a checkpoint's pages must add up to.
    pub(super) entries: u64,
}

/// Entries of one level that lie together in their queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredStretch {
    /// The level of the queue they belong to.
    pub level: u8,
    /// None of them is before.
    pub first: Position,
    /// None of them is behind.
    pub last: Position,
    /// How many live.
    pub entries: usize,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// None of them expires before, in milliseconds since the Unix epoch. `None`: never.
    pub expires_at_ms: Option<u64>,
}

impl StoredQueue {
    pub(super) fn new(definition: QueueDefinition) -> Self {
        Self {
            priorities: Priorities::of(&queue_options(&definition)),
            standing: Standing::default(),
            stored: None,
            index: Index::new(definition.id),
            returns: Returns::default(),
            is_changed: false,
            definition,
        }
    }

    /// As declared.
    pub fn definition(&self) -> &QueueDefinition {
        &self.definition
    }

    /// The position behind every one that was recorded.
    pub fn next_position(&self) -> u64 {
        self.standing.next_position
    }

    /// Entries up to here may have been seen by a consumer.
    pub fn delivered(&self) -> Option<Position> {
        self.standing.delivered
    }

    /// Its entries by chunk and level, positions rising with the chunks. Reads nothing: this is known of entries
    /// whose places are not in memory.
    pub fn stretches(&self) -> impl Iterator<Item = StoredStretch> + '_ {
        let end = Position(self.standing.next_position.saturating_sub(1));
        self.index.summaries().flat_map(move |(number, summary)| {
            let (first, last) = (join(number, 0), join(number, LAST_LOW).min(end));
            summary.levels().iter().map(move |level| StoredStretch {
                level: level.level,
                first,
                last,
                entries: level.entries as usize,
                bytes: level.bytes,
                expires_at_ms: level.expires_at_ms.map(NonZeroU64::get),
            })
        })
    }

    /// Entries that came back from consumers, and how.
    pub fn returns(&self) -> impl Iterator<Item = (Position, Retries)> + '_ {
        self.returns.all()
    }

    /// How an entry came back from consumers.
    pub fn retries(&self, position: Position) -> Retries {
        self.returns.of(position)
    }

    /// How many messages it has.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// It has no messages.
    pub fn is_empty(&self) -> bool {
        self.index.len() == 0
    }

    pub(super) fn passed(&mut self, position: Position) {
        let behind = position.0.saturating_add(1);
        self.standing.next_position = self.standing.next_position.max(behind);
    }

    /// Adds what the checkpoint lacks.
    pub(super) fn add_changes(&mut self, pool: &mut Pool, batch: &mut CheckpointBatch) {
        let id = self.definition.id;
        self.is_changed = false;
        if self.stored.is_none() {
            let mut value = vec![VALUE_VERSION];
            put_queue(&mut value, &self.definition);
            batch.put(queue_key(QUEUE_KEYS, id), value);
        }
        self.standing.entries = self.index.len() as u64;
        if self.stored != Some(self.standing) {
            batch.put(queue_key(STANDING_KEYS, id), self.standing.encode());
            self.stored = Some(self.standing);
        }
        self.index.take_changes(pool, &mut |key, value| batch.set(key, value));
        self.returns.take_changes(&mut |chunk, value| {
            let value = value.map(|value| [&[VALUE_VERSION], value.as_slice()].concat());
            batch.set(queue_part_key(RETURNS_KEYS, id, chunk), value);
        });
    }

    /// Keys of the checkpoint that are to be deleted with it.
    pub(super) fn stored_keys(&self) -> impl Iterator<Item = Vec<u8>> {
        let id = self.definition.id;
        let own = [queue_key(QUEUE_KEYS, id), queue_key(STANDING_KEYS, id)];
        let own = own.into_iter().filter(|_| self.stored.is_some());
        let returns = self.returns.stored_chunks();
        let returns = returns.map(move |chunk| queue_part_key(RETURNS_KEYS, id, chunk));
        own.chain(self.index.stored_keys()).chain(returns)
    }
}

impl Standing {
    fn encode(self) -> Vec<u8> {
        let mut value = vec![VALUE_VERSION];
        put_varint(&mut value, self.next_position);
        put_varint(&mut value, self.delivered.map_or(0, |up_to| up_to.0.saturating_add(1)));
        put_varint(&mut value, self.entries);
        value
    }

    pub(super) fn read(value: &mut Reader<'_>) -> Result<Self, RecordError> {
        let next_position = value.varint()?;
        let delivered = value.varint()?.checked_sub(1).map(Position);
        Ok(Self { next_position, delivered, entries: value.varint()? })
    }
}
