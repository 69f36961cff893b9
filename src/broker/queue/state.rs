//! A queue's state machine: what happens on each verb. A plain value; its lock is in the parent.
//!
//! Invariants:
//! * ready + delayed + unacked + lost + settled = enqueued.
//! * An entry is in the backlog, delayed, with a consumer or lost, never two of these, and keeps its position for good.
//! * `delivered` is never behind the last durable entry that a consumer was handed.
//! * What is lost (expired, rejected, too much) is on disk until it is settled: at once, or when its dead
//!   letter lies in other queues.

use std::sync::Arc;

use super::QueueOptions;
use super::StoredStretch;
use super::backlog::Backlog;
use super::consumers::{Consumer, ConsumerId, Consumers};
use super::delayed::Delayed;
use super::expiries::Expiries;
use super::length::{Admission, Limit, Load};
use super::offers::{Offers, Seen};
use super::pages::Pages;
use super::priorities::Priorities;
use super::unsaved::Unsaved;
use crate::amqp::wire::properties::PropertiesView;
use crate::broker::change::QueueChanges;
use crate::broker::dead_letter::Reason;
use crate::broker::delayed::delay_ms;
use crate::broker::delivery::{Deadline, Entry, Position, QueueId};
use crate::broker::message::Message;
use crate::broker::options::QueueType;
use crate::broker::settings::QueueSettings;
use crate::broker::turn::Turn;
use crate::limits;

/// An entry that the queue gave up.
#[derive(Debug)]
pub(in crate::broker) struct Lost {
    pub(in crate::broker) entry: Entry,
    pub(in crate::broker) reason: Reason,
}

/// What a queue had before a restart.
pub(super) struct Restored<E> {
    /// Entries in memory, and until when each waits.
    pub(super) entries: E,
    pub(super) stretches: Vec<StoredStretch>,
    pub(super) next_position: u64,
    pub(super) delivered: Option<Position>,
}

/// How the dispatch of a burst ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dispatched {
    /// No more can be done now.
    All,
    /// The burst is over; there may be more to do.
    Burst,
}

/// See the module.
#[expect(clippy::struct_excessive_bools, reason = "none of them says anything about another")]
pub(super) struct QueueState {
    pub(super) backlog: Backlog,
    pub(super) delayed: Delayed,
    pub(super) consumers: Consumers,
    pub(super) settings: Arc<QueueSettings>,
    pub(super) limit: Option<Limit>,
    /// What was given up and is not parted with yet.
    pub(super) lost: Vec<Lost>,
    /// Dead letters that found no place, kept until they do, and when to try again.
    pub(super) kept: Vec<Lost>,
    pub(super) retry_at: Option<Deadline>,
    /// What was given up and still counts, until its dead letters lie in other queues.
    pub(super) awaited: Load,
    /// The entry of this queue in the broker's timetable.
    pub(super) scheduled: Option<Deadline>,
    /// When somebody used the queue last, if that matters.
    pub(super) last_used: Option<Deadline>,
    pub(super) expiries: Expiries,
    pub(super) priorities: Priorities,
    pub(super) pages: Pages,
    queue_type: QueueType,
    /// Messages wait here until their delay is over.
    pub(super) is_waiting_room: bool,
    durable: bool,
    pub(super) unsaved: Unsaved,
    next_position: u64,
    pub(super) unacked: usize,
    seen: Seen,
    /// Gone from the virtual host; nothing is kept any more.
    pub(super) deleted: bool,
    /// On the committer's dirty list.
    pub(super) raised: bool,
}

impl QueueState {
    /// A queue as it was before a restart. An entry with a deadline waits until then.
    pub(super) fn restored<E>(
        options: &QueueOptions,
        settings: Arc<QueueSettings>,
        restored: Restored<E>,
    ) -> Self
    where
        E: IntoIterator<Item = (Entry, Option<Deadline>)>,
    {
        let Restored { entries, stretches, next_position, delivered } = restored;
        let mut state = Self {
            backlog: Backlog::default(),
            delayed: Delayed::default(),
            consumers: Consumers::default(),
            limit: Limit::of(&settings, options.queue_type),
            settings,
            lost: Vec::new(),
            kept: Vec::new(),
            retry_at: None,
            awaited: Load::default(),
            scheduled: None,
            last_used: None,
            expiries: Expiries::default(),
            priorities: Priorities::of(options),
            pages: Pages::restored(Position(next_position)),
            queue_type: options.queue_type,
            is_waiting_room: options.waiting_room_of.is_some(),
            durable: options.durable,
            unsaved: Unsaved::default(),
            next_position,
            unacked: 0,
            seen: Seen { up_to: delivered, recorded: delivered },
            deleted: false,
            raised: false,
        };
        for (entry, ready_at) in entries {
            match ready_at {
                Some(ready_at) => state.delayed.add(entry, ready_at),
                None => state.add(entry),
            }
        }
        for stretch in stretches {
            state.restore(stretch);
        }
        state
    }

    /// Works by these settings from now on. Messages keep the expiry that they have.
    pub(super) fn apply(&mut self, settings: Arc<QueueSettings>, now: Deadline) {
        if settings.expires_ms != self.settings.expires_ms {
            self.last_used = Some(now);
        }
        self.set(settings);
    }

    /// The same for a queue that nobody has used yet.
    pub(super) fn set(&mut self, settings: Arc<QueueSettings>) {
        self.limit = Limit::of(&settings, self.queue_type);
        self.settings = settings;
    }

    pub(super) fn unsaved_bytes(&self) -> usize {
        self.unsaved.bytes()
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.unsaved.is_empty() || self.seen.up_to != self.seen.recorded
    }

    pub(super) fn is_quorum(&self) -> bool {
        self.queue_type == QueueType::Quorum
    }

    /// Somebody uses the queue; that matters only if it goes when nobody does.
    #[inline]
    pub(super) fn note_use(&mut self, now: Deadline) {
        if self.settings.expires_ms.is_some() {
            self.last_used = Some(now);
        }
    }

    /// Forgets expiries of messages that left, if they are too many.
    #[inline]
    pub(super) fn tidy_expiries(&mut self) {
        self.expiries.tidy(&self.backlog);
    }

    /// Adds messages at the end, in order, and empties `messages`.
    pub(super) fn enqueue_all(&mut self, messages: &mut Vec<Arc<Message>>, now: Deadline) {
        for message in messages.drain(..) {
            self.enqueue(message, now);
        }
    }

    /// Adds a message at the end.
    fn enqueue(&mut self, message: Arc<Message>, now: Deadline) {
        let position = Position(self.next_position);
        self.next_position += 1;
        let durable = self.durable && message.is_persistent();
        let expires_at = self.deadline_of(&message, now);
        if durable {
            self.unsaved.put(position, &message, expires_at.map(Deadline::as_ms));
        }
        self.add(Entry { expires_at, durable, ..Entry::new(position, message) });
    }

    /// RabbitMQ: the shorter of the queue's time to live and the message's own.
    #[inline]
    fn deadline_of(&self, message: &Message, now: Deadline) -> Option<Deadline> {
        if self.is_waiting_room {
            let properties = PropertiesView::assume_checked(message.header());
            return Some(now.after_ms(delay_ms(properties).unwrap_or(0)));
        }
        let ttl = match (self.settings.message_ttl_ms, message.expiration_ms()) {
            (Some(queue), Some(message)) => queue.min(message),
            (queue, message) => queue.or(message)?,
        };
        Some(now.after_ms(ttl))
    }

    #[expect(
        clippy::inline_always,
        reason = "see `backlog::level`: an entry must not go through memory"
    )]
    #[inline(always)]
    fn add(&mut self, entry: Entry) {
        let priority = self.priorities.of_message(&entry.message);
        self.expiries.note(&entry, priority);
        self.backlog.push(entry, priority);
    }

    /// Adds a message at the end if there is room for it beside what consumers leave. RabbitMQ: a message for which
    /// there is none even then is refused also if a consumer would take it at once.
    pub(super) fn admit(
        &mut self,
        message: Arc<Message>,
        limit: &Limit,
        turn: &mut Turn,
    ) -> Admission {
        if !limit.has_room_for(self.load(), &message) {
            self.dispatch(turn);
            if !limit.has_room_for(self.load(), &message) {
                return self.refuse(message, limit);
            }
        }
        self.enqueue(message, turn.unix_now());
        Admission::Accepted
    }

    /// What a queue that refuses messages has already.
    #[inline]
    pub(super) fn load(&self) -> Load {
        Load::of(&self.backlog, &self.delayed).plus(self.awaited)
    }

    fn refuse(&mut self, message: Arc<Message>, limit: &Limit) -> Admission {
        if limit.dead_letters_refused() {
            // It was never in the queue, so there is nothing to settle.
            let entry = Entry::new(Position(self.next_position), message);
            self.lost.push(Lost { entry, reason: Reason::MaxLength });
        }
        Admission::Refused
    }

    /// Gives up messages whose time has come, at most a burst of them.
    #[inline]
    pub(super) fn expire(&mut self, now: Deadline) {
        if self.expiries.next().is_some_and(|next| next <= now) {
            self.expire_burst(now);
        }
    }

    fn expire_burst(&mut self, now: Deadline) {
        for _ in 0..limits::EXPIRY_BURST {
            let Some(entry) = self.expiries.take_due(now, &mut self.backlog) else { return };
            self.lost.push(Lost { entry, reason: Reason::Expired });
        }
    }

    /// Gives up the least of the ready messages until there are no more than may be.
    #[inline]
    pub(super) fn drop_excess(&mut self) {
        let Some(limit) = self.limit.filter(|limit| !limit.rejects()) else { return };
        while limit.is_exceeded(Load::of(&self.backlog, &self.delayed)) {
            let Some(entry) = self.backlog.pop_least() else { return };
            self.lost.push(Lost { entry, reason: Reason::MaxLength });
        }
    }

    /// Hands ready messages to consumers, at most a burst of them.
    pub(super) fn dispatch(&mut self, turn: &mut Turn) -> Dispatched {
        let now = turn.unix_now();
        let mut left = limits::DISPATCH_BURST;
        let mut patience = limits::EXPIRY_BURST;
        while self.backlog.has_next() {
            let Some(consumer) = self.consumers.first() else { return Dispatched::All };
            let share = if self.consumers.is_first_alone() { left } else { 1 };
            let mut offers = Offers {
                backlog: &mut self.backlog,
                unsaved: &mut self.unsaved,
                unacked: &mut self.unacked,
                seen: &mut self.seen,
                lost: &mut self.lost,
                no_ack: consumer.no_ack,
                left: share,
                patience,
                now,
            };
            let refused = consumer.sink.deliver(consumer.id.slot, &mut offers, turn).is_err();
            left -= share - offers.left;
            patience = offers.patience;
            if refused {
                self.consumers.park_first();
            } else {
                self.consumers.rotate();
            }
            if patience == 0 {
                // What has expired is the timer's work, which comes back here.
                return Dispatched::All;
            }
            if left == 0 {
                return Dispatched::Burst;
            }
        }
        Dispatched::All
    }

    /// Takes one ready message for a basic.get.
    pub(super) fn take(&mut self, no_ack: bool, now: Deadline) -> Option<Entry> {
        let mut offers = Offers {
            backlog: &mut self.backlog,
            unsaved: &mut self.unsaved,
            unacked: &mut self.unacked,
            seen: &mut self.seen,
            lost: &mut self.lost,
            no_ack,
            left: 1,
            // RabbitMQ: a get finds what has not expired, however far behind.
            patience: usize::MAX,
            now,
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

    /// Entries that were handed out are refused by who had them.
    pub(super) fn reject(&mut self, entries: Vec<Entry>) {
        self.unacked = self.unacked.saturating_sub(entries.len());
        let rejected = |entry| Lost { entry, reason: Reason::Rejected };
        self.lost.extend(entries.into_iter().map(rejected));
    }

    /// Lost entries are gone for good.
    pub(super) fn settle_lost(&mut self, lost: &[Lost]) {
        if self.deleted {
            return;
        }
        for Lost { entry, .. } in lost.iter().filter(|lost| lost.entry.durable) {
            self.unsaved.settle(entry.position);
        }
    }

    /// Drops all messages that no consumer has. Returns how many were ready.
    pub(super) fn purge(&mut self) -> usize {
        let purged = self.backlog.len();
        let (entries, absent) = self.backlog.take_all();
        for entry in entries.filter(|entry| entry.durable) {
            self.unsaved.settle(entry.position);
        }
        self.unsaved.purge(absent);
        for entry in self.delayed.take_all().filter(|entry| entry.durable) {
            self.unsaved.settle(entry.position);
        }
        purged
    }

    /// The queue is gone. Returns its ready messages' number and the consumers it had.
    pub(super) fn delete(&mut self) -> (usize, Vec<Consumer>) {
        self.deleted = true;
        self.unsaved = Unsaved::default();
        self.seen = Seen::default();
        self.expiries = Expiries::default();
        self.settings = Arc::default();
        self.limit = None;
        (self.kept, self.retry_at, self.awaited) = (Vec::new(), None, Load::default());
        self.pages.forget_lost();
        let ready = self.backlog.len();
        (self.backlog, self.delayed) = (Backlog::default(), Delayed::default());
        (ready, self.consumers.take_all().collect())
    }

    /// When somebody should look at the queue again although nobody uses it.
    #[inline]
    pub(super) fn next_deadline(&self) -> Option<Deadline> {
        // What has expired and is being read is looked at when it is there.
        let expiry = self.expiries.next().filter(|_| !self.backlog.has_due());
        if self.retry_at.is_none() && self.settings.expires_ms.is_none() && self.delayed.is_empty()
        {
            return expiry;
        }
        let others = [self.delayed.next(), self.retry_at, self.unused_until()];
        others.into_iter().chain([expiry]).flatten().min()
    }

    /// When the queue goes unless somebody uses it before.
    pub(super) fn unused_until(&self) -> Option<Deadline> {
        let expires_ms = self.settings.expires_ms.filter(|_| self.consumers.is_empty())?;
        Some(self.last_used?.after_ms(expires_ms))
    }

    pub(super) fn resume(&mut self, consumers: &[ConsumerId]) {
        for &id in consumers {
            self.consumers.resume(id);
        }
    }

    /// Takes out what the committer must write.
    pub(super) fn collect(&mut self, queue: QueueId, cycle: u64) -> QueueChanges {
        self.raised = false;
        self.pages.collected(cycle, Position(self.next_position));
        let delivered = self.delivered_to_record();
        self.seen.recorded = self.seen.up_to;
        self.unsaved.collect(queue, delivered)
    }

    /// How far entries were seen, if any that was seen may still come back.
    fn delivered_to_record(&self) -> Option<Position> {
        let up_to = self.seen.up_to.filter(|_| self.seen.up_to != self.seen.recorded)?;
        (self.unacked > 0 || self.backlog.reaches_back_to(up_to)).then_some(up_to)
    }
}
