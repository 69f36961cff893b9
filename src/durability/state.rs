//! The state a prefix of the log stands for, and what of it a checkpoint has to write.
//!
//! Invariants:
//! * State = what all records before `position` say, in the order of the log. A record at a place before
//!   `position` is known already and changes nothing, so a stretch may be replayed twice.
//! * Records that name an unknown queue change nothing: the queue was deleted.
//! * Only live entries have returns.
//! * A segment's use is that of the live entries that lie in it.
//! * Where entries lie need not be in memory: at most [`limits::INDEX_WARM_SLOTS`] slots stay, apart from those
//!   that no checkpoint has yet. What changes a chunk, or asks for its entries, brings them back; it fails if
//!   the checkpoint cannot be read. A change that failed may be half performed: no checkpoint of that state is
//!   taken any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::codec::put_varint;
use super::index::Located;
use super::keys::COUNTERS_KEY;
use super::pool::Pool;
use super::record::{Place, PlacedRecord, Record, Run};
use super::salvage::Snapshot;
use super::segments::SegmentUse;
use super::slot::{IndexEntry, Location};
use super::stored_queue::StoredQueue;
use super::topology::{Topology, VALUE_VERSION};
use crate::broker::change::{
    BindingDefinition, Definition, DestinationName, ExchangeDefinition, PolicyRecord,
    QueueDefinition, Retries, VHostDefinition,
};
use crate::broker::delivery::{Position, QueueId};
use crate::limits;
use crate::store::{CheckpointBatch, CheckpointReader, LogPosition, StoreError};

/// See the module.
#[derive(Debug)]
pub struct LogState {
    pub(super) position: LogPosition,
    /// What `position` was when the last checkpoint was taken.
    pub(super) checkpointed: Option<LogPosition>,
    pub(super) next_queue_id: u64,
    pub(super) queues: BTreeMap<QueueId, Box<StoredQueue>>,
    pub(super) topology: Topology,
    pub(super) pool: Pool,
    changed: BTreeSet<QueueId>,
    /// Keys of deleted queues that the checkpoint has to delete.
    deleted: Vec<Vec<u8>>,
    /// A change failed.
    is_spoiled: bool,
    /// The next checkpoint has to keep a snapshot of them.
    are_definitions_changed: bool,
}

/// A message a queue has from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// Its place in the queue.
    pub position: Position,
    /// The place of its record.
    pub location: Location,
    /// The `priority` property.
    pub priority: Option<u8>,
    /// Octets of its body.
    pub body_bytes: u32,
    /// When it expires in this queue, in milliseconds since the Unix epoch. `None`: never.
    pub expires_at_ms: Option<u64>,
}

impl Default for LogState {
    fn default() -> Self {
        Self {
            position: LogPosition::START,
            checkpointed: None,
            next_queue_id: 1,
            queues: BTreeMap::new(),
            topology: Topology::default(),
            pool: Pool::default(),
            changed: BTreeSet::new(),
            deleted: Vec::new(),
            is_spoiled: false,
            are_definitions_changed: false,
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
        self.queues.values().map(Box::as_ref)
    }

    /// A durable queue.
    pub fn queue(&self, id: QueueId) -> Option<&StoredQueue> {
        self.queues.get(&id).map(Box::as_ref)
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
        self.segment_use().keys().copied().collect()
    }

    /// How much of each segment in which live entries lie is needed.
    pub fn segment_use(&self) -> &BTreeMap<u64, SegmentUse> {
        self.pool.segments.live()
    }

    /// All live entries, by queue and position. What is not in memory is read a chunk at a time and let go again.
    pub fn entries(&self) -> impl Iterator<Item = Result<(QueueId, Located), StoreError>> + '_ {
        self.queues.iter().flat_map(|(&id, queue)| {
            let entries = queue.index.entries(&self.pool);
            entries.map(move |entry| entry.map(|located| (id, located)))
        })
    }

    /// The live entries of a queue in `runs`, which rise, by position; only those of `level`, if one is given. None if
    /// the queue is deleted.
    pub fn locate(
        &mut self,
        queue: QueueId,
        level: Option<u8>,
        runs: &[Run],
    ) -> Result<Vec<Located>, StoreError> {
        let mut located = Vec::new();
        for &run in runs {
            let Some(stored) = self.queues.get_mut(&queue) else { break };
            stored.index.locate(level, run, &mut self.pool, &mut located)?;
            self.cool();
        }
        Ok(located)
    }

    /// So much of the index changed that a checkpoint should let it go from memory.
    pub fn has_many_changes(&self) -> bool {
        self.pool.changed() >= limits::INDEX_CHANGED_SLOTS
    }

    /// Some of the live entries whose records lie in one segment, beginning with a chunk of a queue. Returns the
    /// chunk to go on with, if there may be more: so many are looked at, and so few read, that nobody waits long
    /// for the state meanwhile. What is cold stays cold.
    pub(super) fn some_entries_in(
        &self,
        generation: u64,
        from: (QueueId, u64),
        found: &mut dyn FnMut(Located),
    ) -> Result<Option<(QueueId, u64)>, StoreError> {
        let (mut looks, mut reads) = (limits::FORWARD_LOOKS, limits::FORWARD_READS);
        for (&id, queue) in self.queues.range(from.0..) {
            let first = if id == from.0 { from.1 } else { 0 };
            if looks == 0 {
                return Ok(Some((id, first)));
            }
            looks -= 1;
            for (number, summary) in queue.index.summaries_from(first) {
                if looks == 0 || reads == 0 {
                    return Ok(Some((id, number)));
                }
                looks -= 1;
                if summary.has_segment(generation) {
                    reads -= 1;
                    let entries = queue.index.entries_of(number, &self.pool)?.into_iter();
                    let there = |entry: &Located| entry.location.at.generation == generation;
                    entries.filter(there).for_each(&mut *found);
                }
            }
        }
        Ok(None)
    }

    /// Those of a record's places at which it is what the queue has there. Their chunks become warm: they are about to
    /// change.
    pub(super) fn places_of(
        &mut self,
        location: Location,
        places: &[Place],
    ) -> Result<Vec<Place>, StoreError> {
        let mut there = Vec::with_capacity(places.len());
        for &place in places {
            let Some(stored) = self.queues.get_mut(&place.queue) else { continue };
            if stored.index.location(place.position, &mut self.pool)? == Some(location) {
                there.push(place);
            }
        }
        Ok(there)
    }

    /// There is more than the last checkpoint knows, and it may be written.
    pub fn is_ahead_of_checkpoint(&self) -> bool {
        self.checkpointed != Some(self.position) && !self.is_spoiled
    }

    /// Replays a record of the frame whose payload begins at `payload`, unless it is in already.
    pub fn apply(
        &mut self,
        placed: PlacedRecord<'_>,
        payload: LogPosition,
    ) -> Result<(), StoreError> {
        let offset = payload.offset.saturating_add(placed.offset);
        let at = LogPosition { offset, ..payload };
        if at < self.position {
            return Ok(());
        }
        match placed.record {
            Record::Put(put) => {
                let location = Location { at, length: placed.length };
                let priority = put.layout.priority_in(put.blob);
                let body_bytes = put.layout.body_size_in(put.blob).try_into().unwrap_or(u32::MAX);
                for Place { queue, position, expires_at_ms } in put.places {
                    let entry =
                        NewEntry { position, location, priority, body_bytes, expires_at_ms };
                    self.put(queue, entry)?;
                }
            }
            Record::Gone { queue, runs } => self.gone(queue, runs)?,
            Record::Delivered { queue, up_to } => self.delivered(queue, up_to),
            Record::Returned { queue, retries } => self.returned(queue, retries)?,
            Record::Definition(definition) => self.define(definition),
        }
        Ok(())
    }

    /// Everything before `position` is in now.
    pub fn advance(&mut self, position: LogPosition) {
        self.position = self.position.max(position);
    }

    /// A queue has a message.
    pub fn put(&mut self, queue: QueueId, new: NewEntry) -> Result<(), StoreError> {
        let Some(stored) = touch(&mut self.queues, &mut self.changed, queue) else { return Ok(()) };
        let NewEntry { position, location, priority, body_bytes, expires_at_ms } = new;
        stored.passed(position);
        let entry = IndexEntry { location, level: stored.priorities.level(priority), body_bytes };
        let inserted = stored.index.insert(position, (entry, expires_at_ms), &mut self.pool);
        self.is_spoiled |= inserted.is_err();
        inserted
    }

    /// A queue has these entries no more.
    pub fn gone(
        &mut self,
        queue: QueueId,
        runs: impl IntoIterator<Item = Run>,
    ) -> Result<(), StoreError> {
        let Some(stored) = touch(&mut self.queues, &mut self.changed, queue) else { return Ok(()) };
        let removed = runs.into_iter().try_for_each(|run| {
            stored.returns.remove(run);
            stored.index.remove(run, &mut self.pool)
        });
        self.is_spoiled |= removed.is_err();
        self.cool();
        removed
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
    ) -> Result<(), StoreError> {
        let Some(stored) = touch(&mut self.queues, &mut self.changed, queue) else { return Ok(()) };
        let set = entries.into_iter().try_for_each(|(position, retries)| {
            // Its message may be in a part of the log that is damaged.
            if stored.index.contains(position, &mut self.pool)? {
                stored.returns.set(position, retries);
            }
            Ok(())
        });
        self.is_spoiled |= set.is_err();
        self.cool();
        set
    }

    /// A definition changed.
    pub fn define(&mut self, definition: Definition) {
        self.are_definitions_changed = true;
        match definition {
            Definition::ExchangeDeclared(exchange) => self.topology.declare_exchange(exchange),
            Definition::ExchangeDeleted { vhost, name } => {
                self.topology.delete_exchange(&vhost, &name);
            }
            Definition::QueueDeclared(queue) => {
                self.next_queue_id = self.next_queue_id.max(queue.id.0.saturating_add(1));
                let id = queue.id;
                self.queues.entry(id).or_insert_with(|| Box::new(StoredQueue::new(queue)));
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
        let Some(mut queue) = self.queues.remove(&id) else { return };
        self.changed.remove(&id);
        queue.index.clear(&mut self.pool);
        self.deleted.extend(queue.stored_keys());
        let QueueDefinition { vhost, name, .. } = queue.definition;
        self.topology.unbind_all(&vhost, &DestinationName::Queue(name));
    }

    /// What changed since the last call, for a checkpoint of the state as it is now. If it cannot be
    /// applied it must be kept: it is not handed out again. Nothing of it leaves memory before
    /// [`LogState::checkpoint_applied`] is called.
    pub fn checkpoint_batch(&mut self) -> CheckpointBatch {
        let mut batch = CheckpointBatch::new(self.position);
        self.pool.take();
        self.checkpointed = Some(self.position);
        self.deleted.drain(..).for_each(|key| batch.delete(key));
        for (key, value) in self.topology.take_changes() {
            batch.set(key, value);
        }
        for id in std::mem::take(&mut self.changed) {
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.add_changes(&mut self.pool, &mut batch);
            }
        }
        let mut next = vec![VALUE_VERSION];
        put_varint(&mut next, self.next_queue_id);
        put_varint(&mut next, (self.topology.len() + self.queues.len()) as u64);
        batch.put(COUNTERS_KEY, next);
        if std::mem::take(&mut self.are_definitions_changed) {
            batch.keep(Snapshot::of(self).encode());
        }
        batch
    }

    /// The next checkpoint keeps a snapshot of the definitions, changed or not.
    pub(super) fn keep_definitions(&mut self) {
        self.are_definitions_changed = true;
    }

    /// All batches that were taken are in the checkpoint durably: what did not change since may leave memory.
    pub fn checkpoint_applied(&mut self) {
        self.pool.apply();
        self.cool();
    }

    /// What is not in memory is in the checkpoint that this reads.
    pub(super) fn read_from(&mut self, reader: Arc<dyn CheckpointReader>) {
        self.pool.reader = Some(reader);
    }

    /// Bytes in memory, as far as they grow with the entries.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let segments = 2 * size_of::<(u64, SegmentUse)>() * self.segment_use().len();
        segments
            + self.queues.values().map(Box::as_ref).map(|queue| queue.index.memory()).sum::<usize>()
    }

    /// If more of the index is in memory than should be, lets go what was not used for the longest time.
    fn cool(&mut self) {
        if !self.pool.is_over() {
            return;
        }
        let pool = &self.pool;
        let mut coolable: Vec<(u64, QueueId, u64)> = Vec::new();
        for (&id, queue) in &self.queues {
            coolable.extend(queue.index.coolable(pool).map(|(used, number)| (used, id, number)));
        }
        coolable.sort_unstable();
        for (_, id, number) in coolable {
            if self.pool.warm() <= self.pool.target() {
                break;
            }
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.index.cool(number, &mut self.pool);
            }
        }
        self.pool.cooled();
    }
}

/// The queue, marked as one the checkpoint must look at.
fn touch<'a>(
    queues: &'a mut BTreeMap<QueueId, Box<StoredQueue>>,
    changed: &mut BTreeSet<QueueId>,
    id: QueueId,
) -> Option<&'a mut StoredQueue> {
    let queue = queues.get_mut(&id)?;
    if !std::mem::replace(&mut queue.is_changed, true) {
        changed.insert(id);
    }
    Some(queue)
}

#[cfg(test)]
mod tests;
