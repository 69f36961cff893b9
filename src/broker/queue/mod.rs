//! A queue: identity, options, one lock, and the verbs everybody uses.
//!
//! **Invariant:** nobody outside this folder sees the state; every verb takes the lock once, lets go of
//! it between bursts of deliveries, and never holds it while it calls anything of a lower rank. When a verb is
//! over and consumers took what they could, a queue that drops its head is within its limit.

mod backlog;
mod consumers;
mod length;
mod state;
#[cfg(test)]
mod tests;
mod unsaved;

use std::sync::Arc;

pub use self::consumers::{Consumer, ConsumerId};
pub use self::length::Admission;
use self::length::Limit;
use self::state::{Dispatched, QueueState};
use super::change::QueueChanges;
use super::commit_inbox::CommitInbox;
use super::delivery::{ConnectionId, Entry, Position, QueueId};
use super::error::BrokerError;
use super::message::Message;
use super::options::QueueOptions;
use super::settings::QueueSettings;
use super::turn::Turn;
use crate::sync::{RankedGuard, RankedMutex, rank};

type Guard<'a> = RankedGuard<'a, { rank::QUEUE }, QueueState>;

/// What becomes of messages that were handed to a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done with: acknowledged, or rejected for good.
    Settled,
    /// Back to their old places, marked as redelivered.
    Requeued,
}

/// A queue's numbers, as queue.declare-ok shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Messages that could be delivered now; those with consumers do not count.
    pub ready: usize,
    /// Consumers.
    pub consumers: usize,
}

/// When queue.delete may delete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeleteIf {
    /// Only without consumers.
    pub unused: bool,
    /// Only without ready messages.
    pub empty: bool,
}

/// See the module.
pub struct Queue {
    /// Its number in the log.
    pub id: QueueId,
    /// Its name, unique in the virtual host.
    pub name: Arc<str>,
    /// The virtual host it lives in.
    pub vhost: Arc<str>,
    /// As declared.
    pub options: QueueOptions,
    /// The connection that has it for itself.
    pub owner: Option<ConnectionId>,
    limit: Option<Limit>,
    inbox: Arc<CommitInbox>,
    state: RankedMutex<{ rank::QUEUE }, QueueState>,
}

/// What makes a queue, see [`Queue`]'s fields.
pub struct QueueIdentity {
    /// Its number in the log.
    pub id: QueueId,
    /// Its name.
    pub name: Arc<str>,
    /// Its virtual host.
    pub vhost: Arc<str>,
    /// As declared.
    pub options: QueueOptions,
    /// The connection that has it for itself.
    pub owner: Option<ConnectionId>,
}

/// A durable queue's content as of a restart.
#[derive(Default)]
pub struct QueueContent {
    /// Its messages, positions rising.
    pub entries: Vec<RestoredEntry>,
    /// The position its next message gets.
    pub next_position: u64,
    /// Entries up to here may have been seen by a consumer.
    pub delivered: Option<Position>,
}

/// An entry as of a restart.
#[derive(Clone, Debug)]
pub struct RestoredEntry {
    /// Its place.
    pub position: Position,
    /// What was published.
    pub message: Arc<Message>,
    /// When it expires in this queue, in milliseconds since the Unix epoch. `None`: never.
    pub expires_at_ms: Option<u64>,
    /// How often it came back from consumers, in a queue that counts it.
    pub returns: u32,
}

impl Queue {
    /// An empty queue.
    pub fn new(identity: QueueIdentity, inbox: Arc<CommitInbox>) -> Self {
        Self::restored(identity, QueueContent::default(), inbox)
    }

    /// A queue as it was before a restart.
    pub fn restored(
        identity: QueueIdentity,
        content: QueueContent,
        inbox: Arc<CommitInbox>,
    ) -> Self {
        let delivered = content.delivered;
        let entries = content.entries.into_iter().map(|restored| Entry {
            position: restored.position,
            message: restored.message,
            redelivered: restored.returns > 0
                || delivered.is_some_and(|up_to| restored.position <= up_to),
            durable: true,
        });
        let state = QueueState::restored(entries, content.next_position, delivered);
        let QueueIdentity { id, name, vhost, options, owner } = identity;
        let limit = Limit::of(&options);
        Self { id, name, vhost, options, owner, limit, inbox, state: RankedMutex::new(state) }
    }

    /// The same queue with what its policies make of its settings.
    #[must_use]
    pub fn with_settings(self, _settings: QueueSettings) -> Self {
        self
    }

    /// Works by these settings from now on.
    pub fn apply_settings(self: &Arc<Self>, _settings: QueueSettings, _turn: &mut Turn) {}

    /// Adds messages at the end, in order, and empties `messages`. A deleted queue drops them, which is no
    /// refusal.
    pub fn enqueue(
        self: &Arc<Self>,
        messages: &mut Vec<Arc<Message>>,
        turn: &mut Turn,
    ) -> Admission {
        let Some(limit) = self.limit.filter(Limit::rejects) else {
            self.enqueue_regardless(messages, turn);
            return Admission::Accepted;
        };
        self.change(turn, |state, turn| {
            let mut admission = Admission::Accepted;
            if state.deleted {
                messages.clear();
            }
            for message in messages.drain(..) {
                if state.admit(message, self.options.durable, &limit, turn) == Admission::Refused {
                    admission = Admission::Refused;
                }
            }
            admission
        })
    }

    /// The same, but even a full queue refuses nothing: it was asked before, with [`Queue::has_room`].
    pub fn enqueue_regardless(self: &Arc<Self>, messages: &mut Vec<Arc<Message>>, turn: &mut Turn) {
        self.change(turn, |state, _| {
            if state.deleted {
                messages.clear();
            }
            for message in messages.drain(..) {
                state.enqueue(message, self.options.durable);
            }
        });
    }

    /// It may refuse messages.
    pub fn rejects(&self) -> bool {
        self.limit.is_some_and(|limit| limit.rejects())
    }

    /// It would take this many messages now whose bodies have this many bytes, even if no consumer did.
    pub fn has_room(&self, messages: usize, bytes: usize) -> bool {
        let Some(limit) = self.limit.filter(Limit::rejects) else { return true };
        let state = self.state.lock();
        state.deleted || limit.has_room(&state.backlog, messages, bytes)
    }

    /// Adds a consumer. `accepted` runs before anything is delivered to it.
    pub fn consume(
        self: &Arc<Self>,
        consumer: Consumer,
        turn: &mut Turn,
        accepted: impl FnOnce(&mut Turn),
    ) -> Result<(), BrokerError> {
        self.change(turn, |state, turn| {
            if state.deleted {
                return Err(BrokerError::NoQueue(Arc::clone(&self.name)));
            }
            let single = self.options.single_active_consumer;
            // RabbitMQ: a queue with a single active consumer has no exclusive ones.
            let alone = consumer.exclusive && (single || !state.consumers.is_empty());
            if alone || state.consumers.is_exclusive() {
                return Err(BrokerError::InExclusiveUse(Arc::clone(&self.name)));
            }
            accepted(turn);
            if single {
                state.consumers.line_up(consumer);
            } else {
                state.consumers.add(consumer);
            }
            Ok(())
        })
    }

    /// Removes a consumer; its unsettled messages stay with it. An auto-delete queue goes with the last.
    pub fn cancel(self: &Arc<Self>, id: ConsumerId, turn: &mut Turn) {
        self.change(turn, |state, turn| {
            let removed = state.consumers.remove(id).is_some();
            if removed && self.options.auto_delete && state.consumers.is_empty() {
                turn.queue_unused(Arc::clone(self));
            }
        });
    }

    /// Takes the first ready message, and says how many are left.
    pub fn get(self: &Arc<Self>, no_ack: bool, turn: &mut Turn) -> Option<(Entry, usize)> {
        self.change(turn, |state, _| {
            let entry = state.take(no_ack)?;
            Some((entry, state.backlog.len()))
        })
    }

    /// Settles messages that were handed out, and resumes consumers that have credit again.
    pub fn settle(
        self: &Arc<Self>,
        entries: Vec<Entry>,
        outcome: Outcome,
        resumed: &[ConsumerId],
        turn: &mut Turn,
    ) {
        // Messages are freed after the lock is gone.
        let _settled = self.change(turn, |state, _| {
            state.resume(resumed);
            if state.deleted {
                return entries;
            }
            match outcome {
                Outcome::Settled => {
                    state.acknowledge(&entries);
                    entries
                }
                Outcome::Requeued => {
                    state.requeue(entries);
                    Vec::new()
                }
            }
        });
    }

    /// A consumer's sink has room again.
    pub fn resume(self: &Arc<Self>, consumer: ConsumerId, turn: &mut Turn) {
        self.change(turn, |state, _| state.resume(&[consumer]));
    }

    /// Drops all ready messages. Returns how many there were.
    pub fn purge(self: &Arc<Self>, turn: &mut Turn) -> usize {
        self.change(turn, |state, _| state.purge())
    }

    /// Ends the queue unless `condition` forbids it; its consumers hear of it. Returns the number of
    /// ready messages. Only its virtual host calls this, after it has taken the name away.
    pub(super) fn delete(
        self: &Arc<Self>,
        condition: DeleteIf,
        turn: &mut Turn,
    ) -> Result<usize, BrokerError> {
        self.change(turn, |state, turn| {
            if condition.unused && !state.consumers.is_empty() {
                return Err(BrokerError::QueueInUse(Arc::clone(&self.name)));
            }
            if condition.empty && !state.backlog.is_empty() {
                return Err(BrokerError::QueueNotEmpty(Arc::clone(&self.name)));
            }
            let (ready, consumers) = state.delete();
            // Under the lock: until a client has cancelled its consumer here it does not give the slot to
            // another, so this cannot meet a consumer of another queue.
            for consumer in consumers {
                consumer.sink.cancelled(consumer.id.slot, turn);
            }
            Ok(ready)
        })
    }

    /// Its numbers now.
    pub fn counts(&self) -> QueueCounts {
        let state = self.state.lock();
        QueueCounts { ready: state.backlog.len(), consumers: state.consumers.len() }
    }

    /// Bytes of ready messages' bodies.
    pub fn ready_bytes(&self) -> usize {
        self.state.lock().backlog.bytes()
    }

    /// Drops what is too much after a restart: messages that consumers had are ready again.
    pub(super) fn drop_excess(self: &Arc<Self>) {
        let mut dropped = Vec::new();
        let mut state = self.state.lock();
        let before = state.unsaved_bytes();
        self.keep_within_limit(&mut state, Dispatched::All, &mut dropped);
        self.report(&mut state, before);
    }

    /// Takes out what the committer must write; only the committer calls this.
    pub fn collect(&self) -> QueueChanges {
        let mut state = self.state.lock();
        let freed = state.unsaved_bytes();
        let changes = state.collect(self.id);
        self.inbox.subtract_unsaved(freed);
        changes
    }

    /// Runs a verb under the lock, then dispatches, then tells the committer if there is news for it.
    fn change<R>(
        self: &Arc<Self>,
        turn: &mut Turn,
        verb: impl FnOnce(&mut QueueState, &mut Turn) -> R,
    ) -> R {
        // Declared before the guard: freed after the lock is gone.
        let mut dropped = Vec::new();
        let mut state = self.state.lock();
        let before = state.unsaved_bytes();
        let result = verb(&mut state, turn);
        let mut dispatched = state.dispatch(turn);
        self.keep_within_limit(&mut state, dispatched, &mut dropped);
        self.report(&mut state, before);
        while dispatched == Dispatched::Burst {
            drop(state);
            state = self.state.lock();
            let before = state.unsaved_bytes();
            dispatched = state.dispatch(turn);
            self.keep_within_limit(&mut state, dispatched, &mut dropped);
            self.report(&mut state, before);
        }
        result
    }

    /// Drops the head if there is too much, once consumers had their chance.
    #[inline]
    fn keep_within_limit(
        &self,
        state: &mut QueueState,
        dispatched: Dispatched,
        dropped: &mut Vec<Entry>,
    ) {
        if let Some(limit) = &self.limit
            && !limit.rejects()
            && dispatched == Dispatched::All
        {
            state.drop_head(limit, dropped);
        }
    }

    fn report(self: &Arc<Self>, state: &mut Guard<'_>, bytes_before: usize) {
        let bytes = state.unsaved_bytes();
        if bytes > bytes_before {
            self.inbox.add_unsaved(bytes - bytes_before);
        } else if bytes < bytes_before {
            self.inbox.subtract_unsaved(bytes_before - bytes);
        }
        if !state.raised && state.has_changes() {
            state.raised = true;
            self.inbox.raise_hand(Arc::clone(self));
        }
    }
}
