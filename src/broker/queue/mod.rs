//! A queue: identity, options, one lock, and the verbs everybody uses.
//!
//! **Invariant:** nobody outside this folder sees the state; every verb takes the lock once, lets go of
//! it between bursts of deliveries, and never holds it while it calls anything of a lower rank. When a verb is
//! over and consumers took what they could, nothing that has expired is ready, and a queue that drops its
//! head is within its limit.

mod backlog;
mod consumers;
mod delayed;
mod expiries;
mod length;
mod offers;
mod pages;
mod parting;
mod priorities;
mod requeue;
mod spill;
mod state;
#[cfg(test)]
mod tests;
mod unsaved;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) use self::backlog::footprint;
pub use self::backlog::{Members, add_member};
pub use self::consumers::{Consumer, ConsumerId};
pub use self::length::Admission;
use self::length::Limit;
pub use self::pages::{Found, Page, PageIn};
pub(super) use self::parting::{Dead, Role};
pub use self::priorities::Priorities;
pub use self::spill::{SpillBatch, SpillOffer};
pub(super) use self::state::Lost;
use self::state::{Dispatched, QueueState, Restored};
use super::change::{QueueChanges, Retries};
use super::commit_inbox::CommitInbox;
use super::delivery::{ConnectionId, Deadline, Entry, Position, QueueId};
use super::error::BrokerError;
use super::interned::Interned;
use super::message::Message;
use super::options::{QueueOptions, QueueType};
use super::paging::{Paging, Resident};
use super::retry::Return;
use super::settings::QueueSettings;
use super::timetable::Timetable;
use super::turn::Turn;
use crate::sync::{RankedGuard, RankedMutex, rank};

type Guard<'a> = RankedGuard<'a, { rank::QUEUE }, QueueState>;

/// What becomes of messages that were handed to a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done with.
    Settled,
    /// Refused for good: dead-lettered, if the queue does that.
    Rejected,
    /// Back to their old places, marked as redelivered; after a delay, if the queue has one for such a return.
    Requeued(Return),
}

/// What came of a basic.get.
#[derive(Debug)]
pub enum Got {
    /// The first ready message, and how many are left.
    Message(Entry, usize),
    /// There is none.
    Empty,
    /// It is being read: wait with [`Queue::poll_at_hand`] and ask again.
    Stored,
}

impl Got {
    /// The message and how many are left, if there is one at hand.
    pub fn message(self) -> Option<(Entry, usize)> {
        match self {
            Self::Message(entry, left) => Some((entry, left)),
            Self::Empty | Self::Stored => None,
        }
    }
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
    /// Only without messages that are ready, or will be after a delay.
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
    pub options: Arc<QueueOptions>,
    /// The connection that has it for itself.
    pub owner: Option<ConnectionId>,
    surroundings: Surroundings,
    /// What the state's limit says, for whoever chooses how to enqueue.
    rejects: AtomicBool,
    /// The same of a delay for what comes back.
    delays: AtomicBool,
    state: RankedMutex<{ rank::QUEUE }, QueueState>,
}

/// Whom a queue tells of its changes.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// Hears that there is something to save.
    pub inbox: Arc<CommitInbox>,
    /// Hears when the queue must be looked at.
    pub timetable: Arc<Timetable>,
    /// Hears what it wants read, and what it has in memory.
    pub paging: Arc<Paging>,
    /// Declared options and settings, which many queues have in common.
    pub(super) alike: Arc<Alike>,
}

/// What many queues have in common.
#[derive(Default)]
pub struct Alike {
    options: Interned<QueueOptions>,
    settings: Interned<QueueSettings>,
}

/// What the rest of the broker counts of a queue.
#[derive(Clone, Copy, Default)]
struct Footprint {
    unsaved: usize,
    resident: Resident,
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
    /// Messages that are in memory already, positions rising.
    pub entries: Vec<RestoredEntry>,
    /// Those that are in the log only, behind the ones in memory, positions rising in each level.
    pub stretches: Vec<StoredStretch>,
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
    /// How it came back from consumers, in a queue that counts it.
    pub retries: Retries,
}

/// Neighbours of one level as of a restart, in the log only.
#[derive(Clone, Debug)]
pub struct StoredStretch {
    /// Their priority in the queue.
    pub level: u8,
    /// Between which positions they lie; no other entry of their level does.
    pub members: Vec<Members>,
    /// How many there are.
    pub entries: usize,
    /// Bytes of their bodies.
    pub bytes: usize,
    /// When the first of them expires.
    pub expires_at: Option<Deadline>,
}

impl RestoredEntry {
    /// The entry, and until when it is delayed. Entries up to `delivered` may have been seen by a consumer.
    fn restored(self, delivered: Option<Position>) -> (Entry, Option<Deadline>) {
        let Retries { count, ready_at_ms } = self.retries;
        let seen = delivered.is_some_and(|up_to| self.position <= up_to);
        let entry = Entry {
            position: self.position,
            message: self.message,
            expires_at: self.expires_at_ms.map(Deadline::at_ms),
            returns: count,
            redelivered: count > 0 || seen,
            durable: true,
        };
        (entry, ready_at_ms.map(Deadline::at_ms))
    }
}

impl Queue {
    /// An empty queue.
    pub fn new(identity: QueueIdentity, surroundings: Surroundings) -> Self {
        Self::restored(identity, QueueContent::default(), surroundings)
    }

    /// A queue as it was before a restart.
    pub fn restored(
        identity: QueueIdentity,
        content: QueueContent,
        surroundings: Surroundings,
    ) -> Self {
        let delivered = content.delivered;
        let entries = content.entries.into_iter().map(|entry| entry.restored(delivered));
        let QueueIdentity { id, name, vhost, options, owner } = identity;
        let (stretches, next) = (content.stretches, content.next_position);
        let options = surroundings.alike.options.share(options);
        let settings = surroundings.alike.settings.share(QueueSettings::of(&options));
        let restored = Restored { entries, stretches, next_position: next, delivered };
        let state = QueueState::restored(&options, settings, restored);
        surroundings.paging.note(Resident::default(), state.backlog.resident());
        let rejects = AtomicBool::new(state.limit.is_some_and(|limit| limit.rejects()));
        let delays = AtomicBool::new(state.settings.delayed_retry.is_some());
        let state = RankedMutex::new(state);
        Self { id, name, vhost, options, owner, surroundings, rejects, delays, state }
    }

    /// The same queue, before anybody knows it, with what its policies make of its settings.
    #[must_use]
    pub fn with_settings(self, settings: QueueSettings) -> Self {
        let mut state = self.state.lock();
        state.set(self.surroundings.alike.settings.share(settings));
        self.note_settings(&state);
        drop(state);
        self
    }

    /// Adds messages at the end, in order, and empties `messages`. A deleted queue drops them, which is no
    /// refusal.
    pub fn enqueue(
        self: &Arc<Self>,
        messages: &mut Vec<Arc<Message>>,
        turn: &mut Turn,
    ) -> Admission {
        self.change(turn, |state, turn| {
            let mut admission = Admission::Accepted;
            if state.deleted {
                messages.clear();
            }
            let Some(limit) = state.limit.filter(Limit::rejects) else {
                state.enqueue_all(messages, turn.unix_now());
                return admission;
            };
            for message in messages.drain(..) {
                if state.admit(message, &limit, turn) == Admission::Refused {
                    admission = Admission::Refused;
                }
            }
            admission
        })
    }

    /// The same, but even a full queue refuses nothing: it was asked before, with [`Queue::has_room`].
    pub fn enqueue_regardless(self: &Arc<Self>, messages: &mut Vec<Arc<Message>>, turn: &mut Turn) {
        self.change(turn, |state, turn| {
            if state.deleted {
                messages.clear();
            }
            state.enqueue_all(messages, turn.unix_now());
        });
    }

    /// It may refuse messages.
    pub fn rejects(&self) -> bool {
        self.rejects.load(Ordering::Relaxed)
    }

    /// It would take this many messages now whose bodies have this many bytes, even if no consumer did.
    pub fn has_room(&self, messages: usize, bytes: usize) -> bool {
        let state = self.state.lock();
        let Some(limit) = state.limit.filter(Limit::rejects) else { return true };
        state.deleted || limit.has_room(state.load(), messages, bytes)
    }

    /// What is in force for it now.
    pub fn settings(&self) -> QueueSettings {
        QueueSettings::clone(&self.state.lock().settings)
    }

    /// How long a delivery may stay unacknowledged, of what is in force.
    pub fn consumer_timeout_ms(&self) -> Option<u64> {
        self.state.lock().settings.consumer_timeout_ms
    }

    /// Works by these settings from now on: policies have changed.
    pub fn apply_settings(self: &Arc<Self>, settings: QueueSettings, turn: &mut Turn) {
        self.change(turn, |state, turn| {
            if !state.deleted {
                let settings = self.surroundings.alike.settings.share(settings);
                state.apply(settings, turn.unix_now());
                self.note_settings(state);
            }
        });
    }

    fn note_settings(&self, state: &QueueState) {
        self.delays.store(state.settings.delayed_retry.is_some(), Ordering::Relaxed);
        let rejects = state.limit.is_some_and(|limit| limit.rejects());
        self.rejects.store(rejects, Ordering::Relaxed);
    }

    /// Somebody declared it. RabbitMQ: that counts as use (`x-expires`), except for quorum queues that are there
    /// already.
    pub fn declared(self: &Arc<Self>, is_new: bool, turn: &mut Turn) {
        if is_new || self.options.queue_type != QueueType::Quorum {
            self.change(turn, |state, turn| state.note_use(turn.unix_now()));
        }
    }

    /// Its time in the timetable has come.
    pub(super) fn look_again(self: &Arc<Self>, turn: &mut Turn) {
        self.change(turn, |state, turn| {
            let now = turn.unix_now();
            state.scheduled = None;
            if state.last_used.is_none() {
                state.note_use(now);
            }
            if state.unused_until().is_some_and(|until| until <= now) {
                turn.queue_unused(Arc::clone(self));
                // If it is in use again by then, it has as long again.
                state.note_use(now);
            }
            state.retry_kept(now);
        });
    }

    /// Adds a consumer. `accepted` runs before anything is delivered to it.
    pub fn consume(
        self: &Arc<Self>,
        mut consumer: Consumer,
        turn: &mut Turn,
        accepted: impl FnOnce(&mut Turn),
    ) -> Result<(), BrokerError> {
        self.change(turn, |state, turn| {
            if state.deleted {
                return Err(BrokerError::NoQueue(Arc::clone(&self.name)));
            }
            let single = self.options.single_active_consumer;
            // RabbitMQ: a queue with a single active consumer has no exclusive ones, and quorum queues do not
            // know what that is.
            consumer.exclusive &= !state.is_quorum();
            let alone = consumer.exclusive && (single || !state.consumers.is_empty());
            if alone || state.consumers.is_exclusive() {
                return Err(BrokerError::InExclusiveUse(Arc::clone(&self.name)));
            }
            accepted(turn);
            state.note_use(turn.unix_now());
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
            state.note_use(turn.unix_now());
            if removed && self.options.auto_delete && state.consumers.is_empty() {
                turn.queue_unused(Arc::clone(self));
            }
        });
    }

    /// Takes the first ready message.
    pub fn get(self: &Arc<Self>, no_ack: bool, turn: &mut Turn) -> Got {
        self.change(turn, |state, turn| {
            state.note_use(turn.unix_now());
            let got = match state.take(no_ack, turn.unix_now()) {
                Some(entry) => Got::Message(entry, state.backlog.len()),
                None if state.backlog.is_empty() => Got::Empty,
                None => Got::Stored,
            };
            // Else what is read for it could leave memory before it comes back.
            state.pages.is_asked = matches!(got, Got::Stored);
            got
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
        let _settled = self.change(turn, |state, turn| {
            state.resume(resumed);
            if state.deleted {
                return entries;
            }
            match outcome {
                Outcome::Settled => {
                    state.acknowledge(&entries);
                    entries
                }
                Outcome::Rejected => {
                    state.reject(entries);
                    Vec::new()
                }
                Outcome::Requeued(how) => {
                    state.requeue(entries, how, turn.unix_now());
                    Vec::new()
                }
            }
        });
    }

    /// A consumer's sink has room again.
    pub fn resume(self: &Arc<Self>, consumer: ConsumerId, turn: &mut Turn) {
        self.change(turn, |state, _| state.resume(&[consumer]));
    }

    /// Drops all messages that no consumer has, delayed ones too. Returns how many were ready.
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
            // RabbitMQ: a queue that is both is not empty first.
            if condition.empty && !(state.backlog.is_empty() && state.delayed.is_empty()) {
                return Err(BrokerError::QueueNotEmpty(Arc::clone(&self.name)));
            }
            if condition.unused && !state.consumers.is_empty() {
                return Err(BrokerError::QueueInUse(Arc::clone(&self.name)));
            }
            let (ready, consumers) = state.delete();
            state.pages.wake(turn);
            let scheduled = state.scheduled.take();
            self.surroundings.timetable.forget(self, scheduled);
            // Under the lock: until a client has cancelled its consumer here it does not give the slot to
            // another, so this cannot meet a consumer of another queue.
            for consumer in consumers {
                consumer.sink.cancelled(consumer.id.slot, turn);
            }
            Ok(ready)
        })
    }

    /// It is gone from its virtual host.
    pub fn is_deleted(&self) -> bool {
        self.state.lock().deleted
    }

    /// Ends a queue that has no consumers and that nobody else can find any more.
    pub(super) fn discard(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let before = state.footprint();
        let scheduled = state.scheduled.take();
        let (_, consumers) = state.delete();
        debug_assert!(consumers.is_empty(), "nobody consumes from a waiting room");
        self.surroundings.inbox.subtract_unsaved(before.unsaved);
        self.surroundings.paging.note(before.resident, Resident::default());
        state.note_reader(&self.surroundings.paging);
        self.surroundings.timetable.forget(self, scheduled);
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

    /// Takes out what the committer must write; only the committer calls this.
    pub fn collect(&self) -> QueueChanges {
        let mut state = self.state.lock();
        let freed = state.unsaved_bytes();
        let changes = state.collect(self.id, self.surroundings.inbox.cycle());
        self.surroundings.inbox.subtract_unsaved(freed);
        changes
    }

    /// Runs a verb under the lock, then dispatches, then parts with what is too old or too much, then tells
    /// the committer and the timetable if there is news for them.
    fn change<R>(
        self: &Arc<Self>,
        turn: &mut Turn,
        verb: impl FnOnce(&mut QueueState, &mut Turn) -> R,
    ) -> R {
        // Declared before the guard: freed after the lock is gone.
        let mut freed = Vec::new();
        let mut state = self.state.lock();
        let before = state.footprint();
        state.expire(turn.unix_now().just_before());
        state.release_delayed(turn.unix_now());
        let result = verb(&mut state, turn);
        let mut dispatched = state.dispatch(turn);
        self.wind_up(&mut state, dispatched, before, &mut freed, turn);
        while dispatched == Dispatched::Burst {
            drop(state);
            state = self.state.lock();
            let before = state.footprint();
            dispatched = state.dispatch(turn);
            self.wind_up(&mut state, dispatched, before, &mut freed, turn);
        }
        result
    }

    /// What may not wait any longer goes once consumers had their chance.
    #[inline]
    fn wind_up(
        self: &Arc<Self>,
        state: &mut Guard<'_>,
        dispatched: Dispatched,
        before: Footprint,
        freed: &mut Vec<Lost>,
        turn: &mut Turn,
    ) {
        if dispatched == Dispatched::All {
            state.expire(turn.unix_now());
            state.drop_excess();
        }
        if !state.lost.is_empty() {
            self.part_with_lost(state, freed, turn);
        }
        self.report(state, before, turn);
    }

    fn report(self: &Arc<Self>, state: &mut Guard<'_>, before: Footprint, turn: &mut Turn) {
        let Surroundings { inbox, timetable, paging, .. } = &self.surroundings;
        let now = state.footprint();
        if now.unsaved > before.unsaved {
            inbox.add_unsaved(now.unsaved - before.unsaved);
        } else if now.unsaved < before.unsaved {
            inbox.subtract_unsaved(before.unsaved - now.unsaved);
        }
        paging.note(before.resident, now.resident);
        state.note_reader(paging);
        if state.wants_page(paging) {
            state.pages.is_wanted = true;
            paging.want(Arc::clone(self));
        }
        if !state.raised && state.has_changes() {
            state.raised = true;
            inbox.raise_hand(Arc::clone(self));
            turn.raised_hand();
        }
        let Some(next) = state.next_deadline() else { return };
        state.tidy_expiries();
        if state.scheduled.is_none_or(|scheduled| next < scheduled) {
            timetable.reschedule(self, state.scheduled, next, turn);
            state.scheduled = Some(next);
        }
    }
}
