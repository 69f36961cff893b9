//! From checkpoint and log to a broker.
//!
//! The checkpoint's state is brought up to date with the frames behind it; then the messages of all live
//! entries are read, and queues, exchanges and bindings are put back. What cannot be read is reported and
//! left where it is: it is never delivered, and its segment is kept.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::contents::read_content;
use super::keys::{BEHIND_CHUNK_KEYS, CHUNK_KEYS};
use super::loader::StateLoader;
use super::options::{exchange_options, queue_options};
use super::progress::Progress;
use super::record::{PlacedRecord, Record, RecordError, records};
use super::salvage::salvage;
use super::segments::SegmentUse;
use super::state::LogState;
use super::stored_queue::StoredQueue;
use crate::broker::Broker;
use crate::broker::change::{BindingDefinition, DestinationName, PolicyRecord, QueueDefinition};
use crate::broker::exchange::Destination;
use crate::broker::policy::Policy;
use crate::broker::queue::QueueIdentity;
use crate::broker::vhost::{BindingRequest, VHost};
use crate::clock::Clock;
use crate::store::{
    Checkpoint, Condition, Damage, Log, LogPosition, LogReader, ScannedFrame, StoreError,
    StoredLog, TornTail, segment_name,
};

/// What a restart found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Durable queues.
    pub queues: usize,
    /// Durable exchanges, the pre-declared ones not counted.
    pub exchanges: usize,
    /// Bindings between durable ends.
    pub bindings: usize,
    /// Messages, counted in each queue they are in.
    pub messages: usize,
    /// What is lost. Someone may have been told that it is safe.
    pub damages: Vec<Damage>,
    /// A write that the stop cut short. Nobody was told that it is safe.
    pub torn_tail: Option<TornTail>,
    /// How long it took.
    pub took: Duration,
}

/// A broker as it was, with what [`Durability`](super::Durability) needs to go on.
pub struct Recovered {
    /// The broker.
    pub broker: Broker,
    /// The log, ready to be continued.
    pub log: Box<dyn Log>,
    /// What the log stands for.
    pub state: LogState,
    /// For the operator.
    pub report: RecoveryReport,
}

/// Why there is no broker.
#[derive(Debug)]
pub enum RecoveryError {
    /// The store cannot be read.
    Store(StoreError),
    /// A frame is intact, but this program does not understand it.
    Frame {
        /// Where its payload begins.
        at: LogPosition,
        /// Why.
        error: RecordError,
    },
    /// The same of a pair of the checkpoint.
    Checkpoint {
        /// Why.
        error: RecordError,
    },
}

impl fmt::Display for RecoveryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(formatter),
            Self::Frame { at, error } => {
                let name = segment_name(at.generation);
                write!(formatter, "log segment {name} at {}: {error}", at.offset)
            }
            Self::Checkpoint { error } => write!(formatter, "checkpoint: {error}"),
        }
    }
}

impl Error for RecoveryError {}

impl From<StoreError> for RecoveryError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Puts back the broker that `checkpoint` and `log` stand for. It has the virtual hosts `vhosts` and those
/// in which something durable was found.
pub fn recover(
    log: Box<dyn StoredLog>,
    checkpoint: &dyn Checkpoint,
    vhosts: &[String],
    clock: Arc<Clock>,
) -> Result<Recovered, RecoveryError> {
    let start = clock.now();
    let mut report = RecoveryReport::default();
    let Condition { damages, lost } = checkpoint.condition();
    let (mut state, log) = match lost {
        None => {
            let mut state = load(checkpoint)?;
            let progress = Progress::new(&clock, "replaying the log");
            let from = checkpoint.position();
            let log = replay(log, from, &mut state, &mut report, progress)?;
            (state, log)
        }
        Some(lost) => {
            let progress = Progress::new(&clock, "reading all of the log");
            salvage(log, checkpoint.reader(), lost, &mut report, progress)?
        }
    };
    report.damages.extend(damages);
    let broker = rebuild(&mut state, &*log.reader(), vhosts, clock, &mut report)?;
    report.damages.extend(missing_segments(&state, &*log));
    for damage in &report.damages {
        tracing::error!(%damage, "damage in the store; what it held is not delivered");
    }
    report.took = broker.clock().now().saturating_duration_since(start);
    Ok(Recovered { broker, log, state, report })
}

/// The state of a checkpoint. Where its entries lie is not read, however many there are: the state reads that
/// when it is needed.
pub fn load(checkpoint: &dyn Checkpoint) -> Result<LogState, RecoveryError> {
    let unreadable = |error| RecoveryError::Checkpoint { error };
    let mut loader = StateLoader::default();
    let mut failed = Ok(());
    let mut add = |key: &[u8], value: &[u8]| {
        // The rest is of no use, but the loading itself did not fail.
        if failed.is_ok() {
            failed = loader.add(key, value);
        }
        Ok(())
    };
    checkpoint.load_range(&[], Some(CHUNK_KEYS), &mut add)?;
    checkpoint.load_range(BEHIND_CHUNK_KEYS, None, &mut add)?;
    failed.map_err(unreadable)?;
    let mut state = loader.finish(checkpoint.position()).map_err(unreadable)?;
    state.read_from(checkpoint.reader());
    Ok(state)
}

/// Segments in which messages lie, and that are not there.
fn missing_segments(state: &LogState, log: &dyn Log) -> Vec<Damage> {
    let there: BTreeSet<u64> = log.segments().iter().map(|segment| segment.generation).collect();
    let missing = state.segment_use().iter().filter(|(generation, _)| !there.contains(generation));
    let damage = |(generation, used): (&u64, &SegmentUse)| Damage {
        file: PathBuf::from(segment_name(*generation)),
        offset: 0,
        bytes: used.bytes,
        what: "the segment is missing",
    };
    missing.map(damage).collect()
}

fn replay(
    log: Box<dyn StoredLog>,
    from: Option<LogPosition>,
    state: &mut LogState,
    report: &mut RecoveryReport,
    mut progress: Progress,
) -> Result<Box<dyn Log>, RecoveryError> {
    let mut failed = Ok(());
    let mut bytes = 0;
    let (log, scanned) = log.open(from, &mut |frame| {
        if failed.is_ok() {
            bytes += frame.payload.len() as u64;
            progress.note(bytes, "bytes");
            failed = apply_frame(state, frame);
        }
        Ok(())
    })?;
    failed?;
    report.torn_tail = scanned.torn_tail;
    report.damages = scanned.damages;
    Ok(log)
}

/// Replays the records of a frame. If part of its batch is lost, nothing is gone by it: what was taken out of
/// one queue may have gone into another, by a put in the part that is lost. Better twice than never.
pub fn apply_frame(state: &mut LogState, frame: ScannedFrame<'_>) -> Result<(), RecoveryError> {
    apply_records(state, frame, |_| true)
}

/// The same for those records that are `wanted`.
pub(super) fn apply_records(
    state: &mut LogState,
    frame: ScannedFrame<'_>,
    wanted: impl Fn(&PlacedRecord<'_>) -> bool,
) -> Result<(), RecoveryError> {
    let unreadable = |error| RecoveryError::Frame { at: frame.position, error };
    for placed in records(frame.payload).map_err(unreadable)? {
        let placed = placed.map_err(unreadable)?;
        let is_sure = frame.is_batch_whole || !matches!(placed.record, Record::Gone { .. });
        if is_sure && wanted(&placed) {
            state.apply(placed, frame.position)?;
        }
    }
    let length = u32::try_from(frame.payload.len()).unwrap_or(u32::MAX);
    let offset = frame.position.offset.saturating_add(length);
    state.advance(LogPosition { offset, ..frame.position });
    Ok(())
}

fn rebuild(
    state: &mut LogState,
    reader: &dyn LogReader,
    vhosts: &[String],
    clock: Arc<Clock>,
    report: &mut RecoveryReport,
) -> Result<Broker, StoreError> {
    let mut names: BTreeSet<&str> = vhosts.iter().map(String::as_str).collect();
    names.extend(state.queues().map(|queue| &*queue.definition().vhost));
    names.extend(state.exchanges().map(|exchange| &*exchange.vhost));
    names.extend(state.bindings().map(|binding| &*binding.vhost));
    names.extend(state.vhosts().map(|vhost| &*vhost.name));
    names.extend(state.policies().map(|policy| &*policy.vhost));
    let broker = Broker::new(names, state.next_queue_id(), clock);
    // First: queues and exchanges come back with what their policies make of them.
    restore_policies(&broker, state);
    restore_exchanges(&broker, state, report);
    restore_queues(&broker, state, reader, report)?;
    restore_bindings(&broker, state, report);
    Ok(broker)
}

fn restore_policies(broker: &Broker, state: &LogState) {
    for definition in state.vhosts() {
        if let Some(vhost) = broker.vhost(&definition.name) {
            vhost.restore_self(definition);
        }
    }
    for PolicyRecord { vhost, kind, source } in state.policies() {
        let Some(vhost) = broker.vhost(vhost) else { continue };
        match Policy::new(*kind, source.clone()) {
            Ok(policy) => vhost.restore_policy(policy),
            Err(error) => {
                let (vhost, policy) = (&vhost.name, &source.name);
                tracing::error!(%vhost, %policy, %error, "a policy is left out");
            }
        }
    }
}

fn restore_exchanges(broker: &Broker, state: &LogState, report: &mut RecoveryReport) {
    for exchange in state.exchanges() {
        let Some(vhost) = broker.vhost(&exchange.vhost) else { continue };
        let Some(options) = exchange_options(exchange) else {
            let (name, kind) = (&exchange.name, &exchange.kind);
            tracing::error!(exchange = %name, %kind, "an exchange of unknown type is left out");
            continue;
        };
        vhost.restore_exchange(Arc::clone(&exchange.name), options);
        report.exchanges += 1;
    }
}

fn restore_queues(
    broker: &Broker,
    state: &mut LogState,
    reader: &dyn LogReader,
    report: &mut RecoveryReport,
) -> Result<(), StoreError> {
    let mut progress = Progress::new(broker.clock(), "bringing back queues");
    let queues: Vec<QueueDefinition> =
        state.queues().map(|queue| queue.definition().clone()).collect();
    for (done, definition) in (0..).zip(queues) {
        progress.note(done, "queues");
        let Some(vhost) = broker.vhost(&definition.vhost) else { continue };
        let content = read_content(state, definition.id, reader, &mut report.damages)?;
        report.queues += 1;
        report.messages += state.queue(definition.id).map_or(0, StoredQueue::len);
        let identity = QueueIdentity {
            id: definition.id,
            name: Arc::clone(&definition.name),
            vhost: Arc::clone(&definition.vhost),
            options: queue_options(&definition),
            owner: None,
        };
        vhost.restore_queue(identity, content);
    }
    Ok(())
}

fn restore_bindings(broker: &Broker, state: &LogState, report: &mut RecoveryReport) {
    for binding in state.bindings() {
        let Some(vhost) = broker.vhost(&binding.vhost) else { continue };
        if restore_binding(&vhost, binding) {
            report.bindings += 1;
        } else {
            let source = &binding.source;
            tracing::warn!(exchange = %source, "a binding is left out, one of its ends is missing");
        }
    }
}

fn restore_binding(vhost: &VHost, binding: &BindingDefinition) -> bool {
    let destination = match &binding.destination {
        DestinationName::Queue(name) => vhost.queue(name).map(Destination::Queue),
        DestinationName::Exchange(name) => vhost.exchange(name).map(Destination::Exchange),
    };
    destination.is_some_and(|destination| {
        vhost.restore_binding(BindingRequest {
            source: &binding.source,
            destination,
            key: &binding.routing_key,
            arguments: &binding.arguments,
        })
    })
}
