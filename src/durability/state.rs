//! The state a prefix of the log stands for, and what of it a checkpoint has to write.
//!
//! Invariants:
//! * State = what all records before `position` say, in the order of the log. A record at a place before
//!   `position` is known already and changes nothing, so a stretch may be replayed twice.
//! * Records that name an unknown queue change nothing: the queue was deleted.
//! * Only live entries have returns.
//! * A segment's use counts the live entries that lie in it, and their bytes.
//!
//! The keys of the checkpoint; integers in them are big-endian, every value begins with a version octet:
//!
//! ```text
//! c/                     next queue id
//! i | queue | chunk      where the live entries of a chunk of positions lie, see `index`
//! r | queue | chunk      how live entries of a chunk of positions came back, see `returns`
//! q | queue              next position, delivered + 1 or 0
//! t/q | queue            queue            t/x | vhost | name   exchange
//! t/b | number           binding          t/v | vhost          virtual host
//! t/p | vhost | kind | name               policy
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::codec::{Reader, RecordError, put_varint};
use super::definition::{put_queue, read_binding, read_exchange, read_queue};
use super::index::{Index, Location};
use super::policy::{read_policy, read_vhost};
use super::record::{Place, PlacedRecord, Record, Run};
use super::returns::Returns;
use super::topology::{Topology, VALUE_VERSION};
use crate::broker::change::{
    BindingDefinition, Definition, DestinationName, ExchangeDefinition, PolicyRecord,
    QueueDefinition, Retries, VHostDefinition,
};
use crate::broker::delivery::{Position, QueueId};
use crate::store::{CheckpointBatch, LogPosition};

/// See the module.
#[derive(Clone, Debug)]
pub struct LogState {
    position: LogPosition,
    /// What `position` was when the last checkpoint was taken.
    checkpointed: Option<LogPosition>,
    next_queue_id: u64,
    queues: BTreeMap<QueueId, StoredQueue>,
    topology: Topology,
    segments: SegmentUse,
    changed: BTreeSet<QueueId>,
    /// Keys of deleted queues that the checkpoint has to delete.
    deleted: Vec<Vec<u8>>,
}

/// A durable queue, as the log knows it.
#[derive(Clone, Debug)]
pub struct StoredQueue {
    definition: QueueDefinition,
    standing: Standing,
    /// What the checkpoint has for `standing`, if anything.
    stored: Option<Standing>,
    index: Index,
    returns: Returns,
    is_changed: bool,
}

/// How far a queue has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    next_position: u64,
    delivered: Option<Position>,
}

impl StoredQueue {
    fn new(definition: QueueDefinition) -> Self {
        Self {
            definition,
            standing: Standing::default(),
            stored: None,
            index: Index::default(),
            returns: Returns::default(),
            is_changed: false,
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

    /// Its messages, by position.
    pub fn entries(&self) -> impl Iterator<Item = (Position, Location)> + '_ {
        self.index.entries()
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

    fn passed(&mut self, position: Position) {
        let behind = position.0.saturating_add(1);
        self.standing.next_position = self.standing.next_position.max(behind);
    }
}

/// What a segment is still needed for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Live entries that lie in it.
    pub entries: u64,
    /// Bytes of their records. One that several queues share counts once for each.
    pub bytes: u64,
}

/// Live entries in each segment that has any.
#[derive(Clone, Debug, Default)]
struct SegmentUse {
    live: BTreeMap<u64, Use>,
}

impl SegmentUse {
    fn add(&mut self, location: Location) {
        let live = self.live.entry(location.at.generation).or_default();
        live.entries += 1;
        live.bytes += u64::from(location.length);
    }

    fn remove(&mut self, location: Location) {
        let generation = location.at.generation;
        let Some(live) = self.live.get_mut(&generation) else { return };
        live.entries -= 1;
        live.bytes -= u64::from(location.length);
        if live.entries == 0 {
            self.live.remove(&generation);
        }
    }
}

impl Default for LogState {
    fn default() -> Self {
        Self {
            position: LogPosition { generation: 0, offset: 0 },
            checkpointed: None,
            next_queue_id: 1,
            queues: BTreeMap::new(),
            topology: Topology::default(),
            segments: SegmentUse::default(),
            changed: BTreeSet::new(),
            deleted: Vec::new(),
        }
    }
}

impl LogState {
    /// Everything before this place is in.
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// The number the next queue may get.
    pub fn next_queue_id(&self) -> u64 {
        self.next_queue_id
    }

    /// All durable queues.
    pub fn queues(&self) -> impl Iterator<Item = &StoredQueue> {
        self.queues.values()
    }

    /// All virtual hosts that were made or changed while the broker ran.
    pub fn vhosts(&self) -> impl Iterator<Item = &VHostDefinition> {
        self.topology.vhosts()
    }

    /// All policies that were set while the broker ran.
    pub fn policies(&self) -> impl Iterator<Item = &PolicyRecord> {
        self.topology.policies()
    }

    /// All durable exchanges that were declared.
    pub fn exchanges(&self) -> impl Iterator<Item = &ExchangeDefinition> {
        self.topology.exchanges()
    }

    /// All bindings between durable ends.
    pub fn bindings(&self) -> impl Iterator<Item = &BindingDefinition> {
        self.topology.bindings()
    }

    /// Generations of the segments in which live entries lie.
    pub fn live_segments(&self) -> BTreeSet<u64> {
        self.segments.live.keys().copied().collect()
    }

    /// What each segment in which live entries lie is needed for, by generation.
    pub fn segment_use(&self) -> &BTreeMap<u64, Use> {
        &self.segments.live
    }

    /// Where an entry's message lies, if it lives.
    pub fn location(&self, queue: QueueId, position: Position) -> Option<Location> {
        self.queues.get(&queue)?.index.location(position)
    }

    /// Hands out where the live entries lie that a segment has from the place `from` on, but looks at no more
    /// than `patience` entries. Returns where to go on, if there may be more.
    pub(super) fn entries_in(
        &self,
        generation: u64,
        from: (QueueId, Position),
        mut patience: usize,
        found: &mut dyn FnMut(Location),
    ) -> Option<(QueueId, Position)> {
        for (&queue, stored) in self.queues.range(from.0..) {
            let first = if queue == from.0 { from.1 } else { Position(0) };
            for (position, location) in stored.index.entries_from(first) {
                if patience == 0 {
                    return Some((queue, position));
                }
                patience -= 1;
                if location.at.generation == generation {
                    found(location);
                }
            }
            // A queue without entries is looked at as well.
            patience = patience.saturating_sub(1);
        }
        None
    }

    /// There is more than the last checkpoint knows.
    pub fn is_ahead_of_checkpoint(&self) -> bool {
        self.checkpointed != Some(self.position)
    }

    /// Replays a record of the frame whose payload begins at `payload`, unless it is in already.
    pub fn apply(&mut self, placed: PlacedRecord<'_>, payload: LogPosition) {
        let offset = payload.offset.saturating_add(placed.offset);
        let at = LogPosition { offset, ..payload };
        if at < self.position {
            return;
        }
        match placed.record {
            Record::Put(put) => {
                let location = Location { at, length: placed.length };
                for Place { queue, position, .. } in put.places {
                    self.put(queue, position, location);
                }
            }
            Record::Gone { queue, runs } => self.gone(queue, runs),
            Record::Delivered { queue, up_to } => self.delivered(queue, up_to),
            Record::Returned { queue, retries } => self.returned(queue, retries),
            Record::Definition(definition) => self.define(definition),
        }
    }

    /// Everything before `position` is in now.
    pub fn advance(&mut self, position: LogPosition) {
        self.position = self.position.max(position);
    }

    /// A queue has a message.
    pub fn put(&mut self, queue: QueueId, position: Position, location: Location) {
        let Some(stored) = touch(&mut self.queues, &mut self.changed, queue) else { return };
        stored.passed(position);
        self.segments.add(location);
        if let Some(replaced) = stored.index.insert(position, location) {
            self.segments.remove(replaced);
        }
    }

    /// A queue has these entries no more.
    pub fn gone(&mut self, queue: QueueId, runs: impl IntoIterator<Item = Run>) {
        let Some(stored) = touch(&mut self.queues, &mut self.changed, queue) else { return };
        for run in runs {
            stored.returns.remove(run);
            stored.index.remove(run, &mut |location| self.segments.remove(location));
        }
    }

    /// Consumers may have seen a queue's entries up to here.
    pub fn delivered(&mut self, queue: QueueId, up_to: Position) {
        let Some(stored) = touch(&mut self.queues, &mut self.changed, queue) else { return };
        stored.passed(up_to);
        stored.standing.delivered = stored.standing.delivered.max(Some(up_to));
    }

    /// Entries of a queue came back.
    pub fn returned(
        &mut self,
        queue: QueueId,
        entries: impl IntoIterator<Item = (Position, Retries)>,
    ) {
        let Some(stored) = touch(&mut self.queues, &mut self.changed, queue) else { return };
        for (position, retries) in entries {
            // Its message may be in a part of the log that is damaged.
            if stored.index.contains(position) {
                stored.returns.set(position, retries);
            }
        }
    }

    /// A definition changed.
    pub fn define(&mut self, definition: Definition) {
        match definition {
            Definition::ExchangeDeclared(exchange) => self.topology.declare_exchange(exchange),
            Definition::ExchangeDeleted { vhost, name } => {
                self.topology.delete_exchange(&vhost, &name);
            }
            Definition::QueueDeclared(queue) => {
                self.next_queue_id = self.next_queue_id.max(queue.id.0.saturating_add(1));
                let id = queue.id;
                self.queues.entry(id).or_insert_with(|| StoredQueue::new(queue));
                touch(&mut self.queues, &mut self.changed, id);
            }
            Definition::QueueDeleted { id } => self.delete_queue(id),
            Definition::Bound(binding) => self.topology.bind(binding),
            Definition::Unbound(binding) => self.topology.unbind(&binding),
            Definition::VHostDeclared(vhost) => self.topology.declare_vhost(vhost),
            Definition::PolicySet(policy) => self.topology.set_policy(policy),
            Definition::PolicyCleared { vhost, kind, name } => {
                self.topology.clear_policy(&vhost, kind, &name);
            }
        }
    }

    fn delete_queue(&mut self, id: QueueId) {
        let Some(queue) = self.queues.remove(&id) else { return };
        self.changed.remove(&id);
        for (_, location) in queue.index.entries() {
            self.segments.remove(location);
        }
        if queue.stored.is_some() {
            self.deleted.extend([queue_key(QUEUE_KEYS, id), queue_key(STANDING_KEYS, id)]);
        }
        self.deleted
            .extend(queue.index.stored_chunks().map(|chunk| chunk_key(CHUNK_KEYS, id, chunk)));
        let returns = queue.returns.stored_chunks();
        self.deleted.extend(returns.map(|chunk| chunk_key(RETURNS_KEYS, id, chunk)));
        let QueueDefinition { vhost, name, .. } = queue.definition;
        self.topology.unbind_all(&vhost, &DestinationName::Queue(name));
    }

    /// What changed since the last call, for a checkpoint of the state as it is now. If it cannot be
    /// applied it must be kept: it is not handed out again.
    pub fn checkpoint_batch(&mut self) -> CheckpointBatch {
        let mut batch = CheckpointBatch::new(self.position);
        self.checkpointed = Some(self.position);
        self.deleted.drain(..).for_each(|key| batch.delete(key));
        for (key, value) in self.topology.take_changes() {
            change(&mut batch, key, value);
        }
        for id in std::mem::take(&mut self.changed) {
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.add_changes(&mut batch);
            }
        }
        let mut next = vec![VALUE_VERSION];
        put_varint(&mut next, self.next_queue_id);
        batch.put(COUNTERS_KEY, next);
        batch
    }
}

/// The queue, marked as one the checkpoint must look at.
fn touch<'a>(
    queues: &'a mut BTreeMap<QueueId, StoredQueue>,
    changed: &mut BTreeSet<QueueId>,
    id: QueueId,
) -> Option<&'a mut StoredQueue> {
    let queue = queues.get_mut(&id)?;
    if !std::mem::replace(&mut queue.is_changed, true) {
        changed.insert(id);
    }
    Some(queue)
}

impl StoredQueue {
    fn add_changes(&mut self, batch: &mut CheckpointBatch) {
        let id = self.definition.id;
        self.is_changed = false;
        if self.stored.is_none() {
            let mut value = vec![VALUE_VERSION];
            put_queue(&mut value, &self.definition);
            batch.put(queue_key(QUEUE_KEYS, id), value);
        }
        if self.stored != Some(self.standing) {
            batch.put(queue_key(STANDING_KEYS, id), self.standing.encode());
            self.stored = Some(self.standing);
        }
        self.index.take_changes(&mut |chunk, value| {
            change(batch, chunk_key(CHUNK_KEYS, id, chunk), value.map(|value| versioned(&value)));
        });
        self.returns.take_changes(&mut |chunk, value| {
            change(batch, chunk_key(RETURNS_KEYS, id, chunk), value.map(|value| versioned(&value)));
        });
    }
}

fn versioned(value: &[u8]) -> Vec<u8> {
    [&[VALUE_VERSION], value].concat()
}

fn change(batch: &mut CheckpointBatch, key: Vec<u8>, value: Option<Vec<u8>>) {
    match value {
        Some(value) => batch.put(key, value),
        None => batch.delete(key),
    }
}

impl Standing {
    fn encode(self) -> Vec<u8> {
        let mut value = vec![VALUE_VERSION];
        put_varint(&mut value, self.next_position);
        put_varint(&mut value, self.delivered.map_or(0, |up_to| up_to.0.saturating_add(1)));
        value
    }

    fn read(value: &mut Reader<'_>) -> Result<Self, RecordError> {
        let next_position = value.varint()?;
        let delivered = value.varint()?.checked_sub(1).map(Position);
        Ok(Self { next_position, delivered })
    }
}

const COUNTERS_KEY: &[u8] = b"c/";
const CHUNK_KEYS: &[u8] = b"i";
const RETURNS_KEYS: &[u8] = b"r";
const STANDING_KEYS: &[u8] = b"q";
const QUEUE_KEYS: &[u8] = b"t/q";

fn queue_key(prefix: &[u8], id: QueueId) -> Vec<u8> {
    [prefix, &id.0.to_be_bytes()].concat()
}

fn chunk_key(prefix: &[u8], id: QueueId, chunk: u64) -> Vec<u8> {
    [prefix, &id.0.to_be_bytes(), &chunk.to_be_bytes()].concat()
}

/// Puts a state together from the pairs of a checkpoint, which come in any order.
#[derive(Debug, Default)]
pub struct StateLoader {
    state: LogState,
    standings: BTreeMap<QueueId, Standing>,
    indexes: BTreeMap<QueueId, Index>,
    returns: BTreeMap<QueueId, Returns>,
}

impl StateLoader {
    /// Takes one pair.
    pub fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), RecordError> {
        let mut value = Reader::new(value);
        value.version("checkpoint value", VALUE_VERSION)?;
        let mut key = Reader::new(key);
        match key.octet()? {
            b'i' => self.add_chunk(key_number(&mut key)?, key_number(&mut key)?, &mut value)?,
            b'r' => {
                let returns = self.returns.entry(QueueId(key_number(&mut key)?)).or_default();
                returns.load(key_number(&mut key)?, &mut value)?;
            }
            b'q' => {
                let standing = Standing::read(&mut value)?;
                self.standings.insert(QueueId(key_number(&mut key)?), standing);
            }
            b'c' => self.state.next_queue_id = value.varint()?,
            b't' => self.add_definition(key, &mut value)?,
            found => return Err(RecordError::UnknownKind { of: "checkpoint key", found }),
        }
        value.end()
    }

    fn add_chunk(
        &mut self,
        queue: u64,
        chunk: u64,
        value: &mut Reader<'_>,
    ) -> Result<(), RecordError> {
        let segments = &mut self.state.segments;
        let index = self.indexes.entry(QueueId(queue)).or_default();
        index.load(chunk, value, &mut |location| segments.add(location))
    }

    fn add_definition(
        &mut self,
        mut key: Reader<'_>,
        value: &mut Reader<'_>,
    ) -> Result<(), RecordError> {
        let topology = &mut self.state.topology;
        let [_slash, kind] = key.array()?;
        match kind {
            b'x' => topology.load_exchange(read_exchange(value)?),
            b'v' => topology.load_vhost(read_vhost(value)?),
            b'p' => topology.load_policy(read_policy(value)?),
            b'b' => topology.load_binding(key_number(&mut key)?, read_binding(value)?),
            b'q' => {
                let queue = StoredQueue::new(read_queue(value)?);
                self.state.queues.insert(queue.definition.id, queue);
            }
            found => return Err(RecordError::UnknownKind { of: "checkpoint key", found }),
        }
        Ok(())
    }

    /// The state, which stands for the log up to `position`; `None` if there was no checkpoint yet.
    pub fn finish(mut self, position: Option<LogPosition>) -> Result<LogState, RecordError> {
        const LOST: RecordError =
            RecordError::Malformed("messages of a queue without a definition");
        for (id, standing) in self.standings {
            let queue = self.state.queues.get_mut(&id).ok_or(LOST)?;
            queue.standing = standing;
            queue.stored = Some(standing);
        }
        for (id, index) in self.indexes {
            self.state.queues.get_mut(&id).ok_or(LOST)?.index = index;
        }
        for (id, returns) in self.returns {
            self.state.queues.get_mut(&id).ok_or(LOST)?.returns = returns;
        }
        self.state.checkpointed = position;
        self.state.position = position.unwrap_or(self.state.position);
        Ok(self.state)
    }
}

fn key_number(key: &mut Reader<'_>) -> Result<u64, RecordError> {
    key.array().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests;
