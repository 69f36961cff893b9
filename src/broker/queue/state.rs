//! A queue's state machine: what happens on each verb. A plain value; its lock is in the parent.
//!
//! Invariants:
//! * ready + unacked + settled = enqueued.
//! * An entry is in the backlog or with a consumer, never both, and keeps its position for good.
//! * `delivered` is never behind the last durable entry that a consumer was handed.

use std::sync::Arc;

use super::backlog::Backlog;
use super::consumers::{Consumer, ConsumerId, Consumers};
use super::length::{Admission, Limit};
use super::unsaved::Unsaved;
use crate::broker::change::QueueChanges;
use crate::broker::delivery::{Entry, Position, QueueId};
use crate::broker::message::Message;
use crate::broker::turn::Turn;
use crate::limits;

/// How the dispatch of a burst ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dispatched {
    /// No more can be done now.
    All,
    /// The burst is over; there may be more to do.
    Burst,
}

/// See the module.
#[derive(Default)]
pub(super) struct QueueState {
    pub(super) backlog: Backlog,
    pub(super) consumers: Consumers,
    unsaved: Unsaved,
    next_position: u64,
    unacked: usize,
    seen: Seen,
    /// Gone from the virtual host; nothing is kept any more.
    pub(super) deleted: bool,
    /// On the committer's dirty list.
    pub(super) raised: bool,
}

/// How far consumers have seen the durable entries.
#[derive(Debug, Default)]
struct Seen {
    up_to: Option<Position>,
    recorded: Option<Position>,
}

impl Seen {
    fn note(&mut self, entry: &Entry) {
        if entry.durable {
            self.up_to = self.up_to.max(Some(entry.position));
        }
    }
}

impl QueueState {
    /// A queue as it was before a restart.
    pub(super) fn restored(
        entries: impl IntoIterator<Item = Entry>,
        next_position: u64,
        delivered: Option<Position>,
    ) -> Self {
        let mut state = Self { next_position, ..Self::default() };
        state.seen = Seen { up_to: delivered, recorded: delivered };
        for entry in entries {
            state.backlog.push(entry);
        }
        state
    }

    pub(super) fn unsaved_bytes(&self) -> usize {
        self.unsaved.bytes()
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.unsaved.is_empty() || self.seen.up_to != self.seen.recorded
    }

    /// Adds a message at the end. `keeps` says that the queue is durable.
    pub(super) fn enqueue(&mut self, message: Arc<Message>, keeps: bool) {
        let position = Position(self.next_position);
        self.next_position += 1;
        let durable = keeps && message.is_persistent();
        if durable {
            self.unsaved.put(position, &message, None);
        }
        self.backlog.push(Entry { position, message, redelivered: false, durable });
    }

    /// Adds a message at the end unless `limit` is exceeded by it even after consumers had their chance.
    pub(super) fn admit(
        &mut self,
        message: Arc<Message>,
        keeps: bool,
        limit: &Limit,
        turn: &mut Turn,
    ) -> Admission {
        if limit.has_room_for(&self.backlog, &message) {
            self.enqueue(message, keeps);
            return Admission::Accepted;
        }
        if self.consumers.first().is_none() {
            return Admission::Refused;
        }
        self.enqueue(message, keeps);
        self.dispatch(turn);
        if !limit.is_exceeded(&self.backlog) {
            return Admission::Accepted;
        }
        self.withdraw_last();
        Admission::Refused
    }

    /// Undoes the last enqueue. Nobody has seen the entry: it is the last one ready.
    fn withdraw_last(&mut self) {
        let Some(entry) = self.backlog.pop_last() else { return };
        self.next_position = entry.position.0;
        if entry.durable {
            self.unsaved.withdraw(entry.position);
        }
    }

    /// Moves the oldest ready messages to `dropped` until `limit` is no longer exceeded. They are gone.
    pub(super) fn drop_head(&mut self, limit: &Limit, dropped: &mut Vec<Entry>) {
        while limit.is_exceeded(&self.backlog) {
            let Some(entry) = self.backlog.pop() else { return };
            if entry.durable {
                self.unsaved.settle(entry.position);
            }
            dropped.push(entry);
        }
    }

    /// Hands ready messages to consumers, at most a burst of them.
    pub(super) fn dispatch(&mut self, turn: &mut Turn) -> Dispatched {
        let mut left = limits::DISPATCH_BURST;
        while !self.backlog.is_empty() {
            let Some(consumer) = self.consumers.first() else { return Dispatched::All };
            let share = if self.consumers.is_first_alone() { left } else { 1 };
            let mut offers = Offers {
                backlog: &mut self.backlog,
                unsaved: &mut self.unsaved,
                unacked: &mut self.unacked,
                seen: &mut self.seen,
                no_ack: consumer.no_ack,
                left: share,
            };
            let refused = consumer.sink.deliver(consumer.id.slot, &mut offers, turn).is_err();
            left -= share - offers.left;
            if refused {
                self.consumers.park_first();
            } else {
                self.consumers.rotate();
            }
            if left == 0 {
                return Dispatched::Burst;
            }
        }
        Dispatched::All
    }

    /// Takes one ready message for a basic.get.
    pub(super) fn take(&mut self, no_ack: bool) -> Option<Entry> {
        let mut offers = Offers {
            backlog: &mut self.backlog,
            unsaved: &mut self.unsaved,
            unacked: &mut self.unacked,
            seen: &mut self.seen,
            no_ack,
            left: 1,
        };
        offers.next()
    }

    /// Entries that were handed out are settled for good.
    pub(super) fn acknowledge(&mut self, entries: &[Entry]) {
        self.unacked = self.unacked.saturating_sub(entries.len());
        for entry in entries.iter().filter(|entry| entry.durable) {
            self.unsaved.settle(entry.position);
        }
    }

    /// Entries that were handed out come back to their places.
    pub(super) fn requeue(&mut self, mut entries: Vec<Entry>) {
        self.unacked = self.unacked.saturating_sub(entries.len());
        entries.sort_unstable_by_key(|entry| entry.position);
        for entry in &mut entries {
            entry.redelivered = true;
        }
        self.backlog.put_back(entries);
    }

    /// Drops all ready messages. Returns how many there were.
    pub(super) fn purge(&mut self) -> usize {
        let purged = self.backlog.take_all();
        for entry in purged.iter().filter(|entry| entry.durable) {
            self.unsaved.settle(entry.position);
        }
        purged.len()
    }

    /// The queue is gone. Returns its ready messages' number and the consumers it had.
    pub(super) fn delete(&mut self) -> (usize, Vec<Consumer>) {
        self.deleted = true;
        self.unsaved = Unsaved::default();
        self.seen = Seen::default();
        (self.backlog.take_all().len(), self.consumers.take_all().collect())
    }

    pub(super) fn resume(&mut self, consumers: &[ConsumerId]) {
        for &id in consumers {
            self.consumers.resume(id);
        }
    }

    /// Takes out what the committer must write.
    pub(super) fn collect(&mut self, queue: QueueId) -> QueueChanges {
        self.raised = false;
        let delivered = self.delivered_to_record();
        self.seen.recorded = self.seen.up_to;
        self.unsaved.collect(queue, delivered)
    }

    /// How far entries were seen, if any that was seen may still come back.
    fn delivered_to_record(&self) -> Option<Position> {
        let up_to = self.seen.up_to.filter(|_| self.seen.up_to != self.seen.recorded)?;
        let returned = self.backlog.first().is_some_and(|first| first.position <= up_to);
        (self.unacked > 0 || returned).then_some(up_to)
    }
}

/// The ready messages, as a consumer takes them.
struct Offers<'a> {
    backlog: &'a mut Backlog,
    unsaved: &'a mut Unsaved,
    unacked: &'a mut usize,
    seen: &'a mut Seen,
    no_ack: bool,
    left: usize,
}

impl Iterator for Offers<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if self.left == 0 {
            return None;
        }
        let entry = self.backlog.pop()?;
        self.left -= 1;
        if !self.no_ack {
            *self.unacked += 1;
            self.seen.note(&entry);
        } else if entry.durable {
            self.unsaved.settle(entry.position);
        }
        Some(entry)
    }
}
