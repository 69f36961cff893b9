//! A state without a checkpoint: from the definitions that were kept beside it, and all of the log.
//!
//! # Why nothing is lost
//!
//! * A segment is given up when no live entry lies in it. So the put of every live entry is in the log, and a full
//!   scan finds it, wherever it was moved to: the last place counts.
//! * What is gone is known from `Gone` records. Those in segments that were given up are missing, so messages
//!   that were settled may come back: twice rather than never. All are marked as redelivered, for nobody knows
//!   any more which were.
//! * Definitions are changed by records, too, and those in segments that were given up are missing. Therefore the
//!   checkpoint keeps a [`Snapshot`] of them outside of itself whenever they changed, before anything is given
//!   up on its word. Records before the snapshot's position are in it; to replay them would bring back queues
//!   that were deleted since. Puts into a queue that no longer exists are dropped, as always.
//!
//! A power cut in between only means that it is done again: until the next checkpoint is applied, the store says
//! that the last one is lost.

use std::sync::Arc;

use super::codec::{Reader, RecordError, put_varint};
use super::definition::{put_definition, read_definition};
use super::progress::Progress;
use super::record::{PlacedRecord, Record};
use super::recovery::{Recovered, RecoveryError, RecoveryReport, apply_records, recover};
use super::state::LogState;
use crate::broker::change::Definition;
use crate::broker::delivery::{Position, QueueId};
use crate::clock::Clock;
use crate::store::{
    Checkpoint, CheckpointReader, DataDirectory, Log, LogPosition, Lost, StoreError, StoredLog,
};

const VERSION: u8 = 1;

/// The definitions as of a place in the log.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Snapshot {
    position: LogPosition,
    next_queue_id: u64,
    definitions: Vec<Definition>,
}

impl Default for Snapshot {
    fn default() -> Self {
        let position = LogPosition::START;
        Self { position, next_queue_id: 1, definitions: Vec::new() }
    }
}

impl Snapshot {
    pub(super) fn of(state: &LogState) -> Self {
        let vhosts = state.vhosts().cloned().map(Definition::VHostDeclared);
        let policies = state.policies().cloned().map(Definition::PolicySet);
        let exchanges = state.exchanges().cloned().map(Definition::ExchangeDeclared);
        let queues = state.queues().map(|queue| queue.definition().clone());
        let queues = queues.map(Definition::QueueDeclared);
        let bindings = state.bindings().cloned().map(Definition::Bound);
        Self {
            position: state.position(),
            next_queue_id: state.next_queue_id(),
            definitions: vhosts
                .chain(policies)
                .chain(exchanges)
                .chain(queues)
                .chain(bindings)
                .collect(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put_varint(&mut bytes, self.position.generation);
        put_varint(&mut bytes, u64::from(self.position.offset));
        put_varint(&mut bytes, self.next_queue_id);
        put_varint(&mut bytes, self.definitions.len() as u64);
        for definition in &self.definitions {
            put_definition(&mut bytes, definition);
        }
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes);
        reader.version("snapshot", VERSION)?;
        let position = LogPosition { generation: reader.varint()?, offset: reader.number()? };
        let next_queue_id = reader.varint()?;
        let count = reader.varint()?;
        let definitions =
            (0..count).map(|_| read_definition(&mut reader)).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Self { position, next_queue_id, definitions })
    }

    /// Whether a record may change the state that the snapshot began.
    fn lets_through(&self, placed: &PlacedRecord<'_>, payload: LogPosition) -> bool {
        let offset = payload.offset.saturating_add(placed.offset);
        let is_known = LogPosition { offset, ..payload } < self.position;
        !(is_known && matches!(placed.record, Record::Definition(_)))
    }
}

/// The state that the log stands for as far as it can tell. `reader` is the checkpoint's that takes the lost one's
/// place.
pub(super) fn salvage(
    log: Box<dyn StoredLog>,
    reader: Arc<dyn CheckpointReader>,
    lost: Lost,
    report: &mut RecoveryReport,
    mut progress: Progress,
) -> Result<(LogState, Box<dyn Log>), RecoveryError> {
    let unreadable = |error| RecoveryError::Checkpoint { error };
    let snapshot = lost.snapshot.map(|bytes| Snapshot::read(&bytes).map_err(unreadable));
    let snapshot = snapshot.transpose()?.unwrap_or_default();
    let mut state = LogState::default();
    state.read_from(reader);
    state.next_queue_id = snapshot.next_queue_id;
    for definition in &snapshot.definitions {
        state.define(definition.clone());
    }
    let mut failed = Ok(());
    let mut bytes = 0;
    let (log, scanned) = log.open(None, &mut |frame| {
        if failed.is_ok() {
            bytes += frame.payload.len() as u64;
            progress.note(bytes, "bytes");
            let wanted = |placed: &PlacedRecord<'_>| snapshot.lets_through(placed, frame.position);
            failed = apply_records(&mut state, frame, wanted);
        }
        Ok(())
    })?;
    failed?;
    mark_all_delivered(&mut state);
    report.torn_tail = scanned.torn_tail;
    report.damages = scanned.damages;
    tracing::warn!(
        frames = scanned.frames,
        queues = state.queues().count(),
        messages = state.queues().map(super::StoredQueue::len).sum::<usize>(),
        "salvaged from the log; messages that were settled may come again"
    );
    Ok((state, log))
}

fn mark_all_delivered(state: &mut LogState) {
    let last = |next: u64| next.checked_sub(1).map(Position);
    let ends = state
        .queues()
        .filter_map(|queue| Some((queue.definition().id, last(queue.next_position())?)));
    let ends: Vec<(QueueId, Position)> = ends.collect();
    for (queue, end) in ends {
        state.delivered(queue, end);
    }
}

/// As [`recover`], from a data directory. A checkpoint that turns out to be damaged on the way is set aside.
pub fn recover_directory(
    directory: &DataDirectory,
    vhosts: &[String],
    clock: &Arc<Clock>,
) -> Result<(Recovered, Box<dyn Checkpoint>), RecoveryError> {
    recover_from(&|| directory.log(), &|| directory.checkpoint(), vhosts, clock)
}

/// The same from what these open.
pub(super) fn recover_from(
    log: &dyn Fn() -> Box<dyn StoredLog>,
    checkpoint: &dyn Fn() -> Result<Box<dyn Checkpoint>, StoreError>,
    vhosts: &[String],
    clock: &Arc<Clock>,
) -> Result<(Recovered, Box<dyn Checkpoint>), RecoveryError> {
    let first = checkpoint()?;
    match recover(log(), &*first, vhosts, Arc::clone(clock)) {
        Err(RecoveryError::Store(
            error @ (StoreError::DamagedValue { .. } | StoreError::Checkpoint { .. }),
        )) if first.condition().lost.is_none() => {
            tracing::error!(%error, "the checkpoint is damaged");
            first.reader().distrust();
        }
        recovered => return Ok((recovered?, first)),
    }
    drop(first);
    let second = checkpoint()?;
    let recovered = recover(log(), &*second, vhosts, Arc::clone(clock))?;
    Ok((recovered, second))
}

#[cfg(test)]
mod tests {
    use amq_protocol::types::FieldTable;

    use super::*;
    use crate::broker::change::{ExchangeDefinition, QueueDefinition};

    fn queue(id: u64) -> Definition {
        Definition::QueueDeclared(QueueDefinition {
            id: QueueId(id),
            vhost: "/".into(),
            name: format!("q{id}").into(),
            auto_delete: false,
            arguments: FieldTable::default(),
        })
    }

    #[test]
    fn a_snapshot_is_read_back() {
        let mut state = LogState::default();
        state.define(queue(7));
        state.define(Definition::ExchangeDeclared(ExchangeDefinition {
            vhost: "/".into(),
            name: "x".into(),
            kind: "fanout".into(),
            auto_delete: false,
            internal: false,
            arguments: FieldTable::default(),
        }));
        state.advance(LogPosition { generation: 3, offset: 9000 });
        let snapshot = Snapshot::of(&state);

        assert_eq!(Snapshot::read(&snapshot.encode()), Ok(snapshot.clone()));
        assert_eq!((snapshot.next_queue_id, snapshot.definitions.len()), (8, 2));
    }

    #[test]
    fn a_snapshot_of_another_release_is_refused() {
        let mut bytes = Snapshot::default().encode();
        bytes[0] = 9;
        assert!(Snapshot::read(&bytes).is_err());
    }
}
