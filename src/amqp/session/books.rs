//! Who may be handed what: consumers, their credit, and the ledgers of the channels.
//!
//! Invariants:
//! * A source lives while it consumes or has unsettled deliveries.
//! * A parked consumer is on exactly one list: its channel's if it lacks credit, `full` if the outbox had
//!   no room.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;
use smallvec::SmallVec;

use super::deadlines::Deadlines;
use super::ledger::{Ledger, Lent, UnknownTag, Unsettled};
use super::outgoing::Reply;
use super::reply_to::ReplyConsumer;
use crate::amqp::wire::frame::ChannelId;
use crate::broker::delivery::{Absent, ConnectionId, ConsumerSlot, Entry, Refusal};
use crate::broker::message::Message;
use crate::broker::queue::{ConsumerId, Queue};
use crate::limits;

/// A channel's book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BookId(pub(super) usize);

/// Entries of one queue that are to be settled or returned, and its consumers that may go on.
pub(super) struct Group {
    pub(super) queue: Arc<Queue>,
    pub(super) entries: Vec<Entry>,
    /// More of these, whose messages are not at hand.
    pub(super) absents: Vec<Absent>,
    pub(super) resumed: SmallVec<[ConsumerId; 2]>,
}

/// Groups, one a queue.
pub(super) type Groups = SmallVec<[Group; 1]>;

/// Deliveries taken out of a ledger, with their tags.
pub(super) type Taken = Vec<(u64, Unsettled)>;

/// A consumer at its queue, to be cancelled or resumed there.
pub(super) type AtQueue = (Arc<Queue>, ConsumerId);

/// A consumer as basic.consume asked for it.
pub(super) struct Subscription {
    pub(super) tag: String,
    pub(super) queue: Arc<Queue>,
    pub(super) no_ack: bool,
    /// basic.qos when it began; 0 is no limit.
    pub(super) prefetch: u16,
    /// How long its deliveries may stay unacknowledged.
    pub(super) timeout: Option<Duration>,
}

/// Whether and by when basic.get's message is to be acknowledged.
#[derive(Clone, Copy)]
pub(super) enum Acknowledged {
    /// It was asked for with `no_ack`.
    Already,
    /// Within this time from now, if there is a timeout.
    Within { timeout: Option<Duration>, now: Instant },
}

/// A consumer that ends with its channel.
pub(super) struct Leaving {
    pub(super) queue: Arc<Queue>,
    pub(super) consumer: ConsumerId,
    pub(super) tag: String,
}

/// What a closed channel leaves behind.
#[derive(Default)]
pub(super) struct Leftovers {
    /// Consumers to cancel at their queues.
    pub(super) consumers: Vec<Leaving>,
    /// Deliveries to take back.
    pub(super) groups: Groups,
}

/// Where messages come from: a consumer's queue, or a queue that is polled.
struct Source {
    queue: Arc<Queue>,
    book: usize,
    role: Role,
    unsettled: usize,
    parked: bool,
    /// Only if its deliveries have a timeout.
    deadlines: Option<Box<Deadlines>>,
}

enum Role {
    Consumer {
        tag: String,
        no_ack: bool,
        prefetch: u16,
    },
    /// basic.get.
    Poll,
    /// A consumer that was cancelled; kept for its unsettled deliveries.
    Cancelled,
}

/// One channel.
struct Book {
    channel: ChannelId,
    ledger: Ledger,
    consumers: HashMap<String, usize>,
    /// basic.qos with global=true; 0 is no limit.
    limit: u16,
    unsettled: usize,
    /// Bytes of the messages that its ledger keeps.
    lent: usize,
    /// It keeps all of them.
    keeps_all: bool,
    parked: Vec<usize>,
    replies: Option<ReplyConsumer>,
}

/// See the module.
pub(super) struct Books {
    connection: ConnectionId,
    sources: Slab<Source>,
    open: Slab<Book>,
    full: VecDeque<usize>,
    /// Channels that await replies, by the name of the requester.
    requesters: HashMap<Arc<str>, usize>,
}

/// A delivery that may be handed over: its tag, and whether the ledger keeps the entry.
pub(super) struct Tagged {
    pub(super) tag: u64,
    pub(super) message: Arc<Message>,
    pub(super) redelivered: bool,
    pub(super) returns: u32,
}

impl Books {
    pub(super) fn new(connection: ConnectionId) -> Self {
        let (sources, open, full) = (Slab::new(), Slab::new(), VecDeque::new());
        Self { connection, sources, open, full, requesters: HashMap::new() }
    }

    pub(super) fn open(&mut self, channel: ChannelId) -> BookId {
        BookId(self.open.insert(Book {
            channel,
            ledger: Ledger::default(),
            consumers: HashMap::new(),
            limit: 0,
            unsettled: 0,
            lent: 0,
            keeps_all: false,
            parked: Vec::new(),
            replies: None,
        }))
    }

    /// Ends a channel. `taken` is what its transaction had taken.
    pub(super) fn close(&mut self, book: BookId, mut taken: Taken) -> Leftovers {
        let Some(mut closed) = self.open.try_remove(book.0) else { return Leftovers::default() };
        let everything = closed.ledger.take(0, true, &mut taken);
        debug_assert!(everything.is_ok(), "everything can always be taken");
        if let Some(replies) = closed.replies {
            self.requesters.remove(replies.registration.name());
        }
        let mut leftovers = Leftovers::default();
        for (_, unsettled) in taken {
            self.group(unsettled, &mut leftovers.groups);
        }
        let slots: Vec<usize> = self.slots_of(book).collect();
        for slot in slots {
            let source = self.sources.remove(slot);
            self.full.retain(|one| *one != slot);
            if let Role::Consumer { tag, .. } = source.role {
                let (queue, consumer) = (source.queue, self.consumer(slot));
                leftovers.consumers.push(Leaving { queue, consumer, tag });
            }
        }
        leftovers
    }

    /// Ends all channels.
    pub(super) fn close_all(&mut self) -> Vec<Leftovers> {
        let books: Vec<usize> = self.open.iter().map(|(book, _)| book).collect();
        books.into_iter().map(|book| self.close(BookId(book), Taken::new())).collect()
    }

    /// The channel has a consumer of this tag.
    pub(super) fn has_consumer(&self, book: BookId, tag: &str) -> bool {
        self.open.get(book.0).is_some_and(|book| {
            let replies = book.replies.as_ref().is_some_and(|consumer| &*consumer.tag == tag);
            replies || book.consumers.contains_key(tag)
        })
    }

    /// The channel takes replies from now on.
    pub(super) fn await_replies(&mut self, book: BookId, consumer: ReplyConsumer) {
        let Some(open) = self.open.get_mut(book.0) else { return };
        self.requesters.insert(Arc::clone(consumer.registration.name()), book.0);
        open.replies = Some(consumer);
    }

    /// Ends the channel's reply consumer, if this is its tag.
    pub(super) fn end_replies(&mut self, book: BookId, tag: &str) -> bool {
        let Some(open) = self.open.get_mut(book.0) else { return false };
        let Some(consumer) = open.replies.take_if(|consumer| &*consumer.tag == tag) else {
            return false;
        };
        self.requesters.remove(consumer.registration.name());
        true
    }

    /// Notes a reply to this requester, if it still waits. RabbitMQ: settled on delivery, always.
    pub(super) fn replied(&mut self, requester: &str, message: &Arc<Message>) -> Option<Reply> {
        let open = self.open.get_mut(*self.requesters.get(requester)?)?;
        let consumer_tag = Arc::clone(&open.replies.as_ref()?.tag);
        let (channel, tag) = (open.channel, open.ledger.pass());
        Some(Reply { channel, consumer_tag, message: Arc::clone(message), tag })
    }

    /// Starts a consumer.
    pub(super) fn subscribe(&mut self, book: BookId, subscription: Subscription) -> ConsumerSlot {
        let Subscription { tag, queue, no_ack, prefetch, timeout } = subscription;
        let role = Role::Consumer { tag: tag.clone(), no_ack, prefetch };
        let deadlines = timeout.filter(|_| !no_ack).map(Deadlines::new).map(Box::new);
        let source = Source { queue, book: book.0, role, unsettled: 0, parked: false, deadlines };
        let slot = self.sources.insert(source);
        if let Some(open) = self.open.get_mut(book.0) {
            open.consumers.insert(tag, slot);
        }
        slot_number(slot)
    }

    /// Ends the channel's consumer of this tag; its unsettled deliveries stay with the channel.
    pub(super) fn unsubscribe(&mut self, book: BookId, tag: &str) -> Option<AtQueue> {
        let slot = *self.open.get(book.0)?.consumers.get(tag)?;
        let queue = Arc::clone(&self.sources.get(slot)?.queue);
        self.end(slot);
        Some((queue, self.consumer(slot)))
    }

    /// The queue of the consumer in `slot` is gone. Returns the consumer's channel and tag.
    pub(super) fn lose(&mut self, slot: ConsumerSlot) -> Option<(BookId, ChannelId, String)> {
        let slot = slot.0 as usize;
        let source = self.sources.get(slot)?;
        let Role::Consumer { tag, .. } = &source.role else { return None };
        let book = source.book;
        let lost = (BookId(book), self.open.get(book)?.channel, tag.clone());
        self.end(slot);
        Some(lost)
    }

    fn end(&mut self, slot: usize) {
        let Some(source) = self.sources.get_mut(slot) else { return };
        source.parked = false;
        let book = source.book;
        let role = std::mem::replace(&mut source.role, Role::Cancelled);
        if let (Role::Consumer { tag, .. }, Some(open)) = (role, self.open.get_mut(book)) {
            open.consumers.remove(&tag);
            open.parked.retain(|one| *one != slot);
        }
        self.full.retain(|one| *one != slot);
        self.forget_if_done(slot);
    }

    /// The channel keeps the messages it is handed from now on: a transaction that rejects them dead-letters them
    /// when it commits, and cannot wait until they are read.
    pub(super) fn keep_all(&mut self, book: BookId) {
        if let Some(open) = self.open.get_mut(book.0) {
            open.keeps_all = true;
        }
    }

    /// basic.qos with global=true.
    pub(super) fn limit(&mut self, book: BookId, limit: u16) -> Groups {
        let mut groups = Groups::new();
        if let Some(open) = self.open.get_mut(book.0) {
            open.limit = limit;
        }
        self.resume_parked(book, &mut groups);
        groups
    }

    /// Takes one of `offers` for the consumer in `slot`, if there is one and the consumer has credit.
    pub(super) fn offer(
        &mut self,
        slot: ConsumerSlot,
        offers: &mut dyn Iterator<Item = Entry>,
        now: Instant,
    ) -> Result<Option<Tagged>, Refusal> {
        let slot = slot.0 as usize;
        let source = self.sources.get_mut(slot).ok_or(Refusal::Closed)?;
        let book = self.open.get_mut(source.book).ok_or(Refusal::Closed)?;
        let Role::Consumer { no_ack, prefetch, .. } = source.role else {
            return Err(Refusal::Closed);
        };
        if no_ack {
            return Ok(offers.next().map(|entry| Tagged {
                tag: book.ledger.pass(),
                message: entry.message,
                redelivered: entry.redelivered,
                returns: entry.returns,
            }));
        }
        let has_credit = prefetch == 0 || source.unsettled < usize::from(prefetch);
        if !has_credit || !book.has_credit() {
            source.parked = true;
            book.parked.push(slot);
            return Err(Refusal::NoCredit);
        }
        let Some(entry) = offers.next() else { return Ok(None) };
        source.unsettled += 1;
        book.unsettled += 1;
        let (redelivered, returns) = (entry.redelivered, entry.returns);
        let message = Arc::clone(&entry.message);
        let lent = book.lend(entry, &source.queue);
        let tag = book.ledger.note(Unsettled { lent, source: slot_number(slot).0 });
        if let Some(deadlines) = &mut source.deadlines {
            deadlines.note(tag, &book.ledger, now);
        }
        Ok(Some(Tagged { tag, message, redelivered, returns }))
    }

    /// The channel and the queue of the consumer in `slot`.
    pub(super) fn source(&self, slot: ConsumerSlot) -> Option<(ChannelId, &Arc<Queue>)> {
        let source = self.sources.get(slot.0 as usize)?;
        Some((self.open.get(source.book)?.channel, &source.queue))
    }

    /// The outbox has no room for the consumer in `slot`.
    pub(super) fn park_full(&mut self, slot: ConsumerSlot) {
        if let Some(source) = self.sources.get_mut(slot.0 as usize) {
            source.parked = true;
            self.full.push_back(slot.0 as usize);
        }
    }

    /// There is room again for the consumer that has waited longest.
    pub(super) fn unpark_next(&mut self) -> Option<AtQueue> {
        while let Some(slot) = self.full.pop_front() {
            if let Some(unparked) = self.unpark(slot) {
                return Some(unparked);
            }
        }
        None
    }

    /// Notes what basic.get took from `queue`. Returns the channel and the delivery's tag.
    pub(super) fn got(
        &mut self,
        book: BookId,
        queue: &Arc<Queue>,
        entry: Entry,
        acknowledged: Acknowledged,
    ) -> Option<(ChannelId, u64)> {
        let Acknowledged::Within { timeout, now } = acknowledged else {
            let open = self.open.get_mut(book.0)?;
            return Some((open.channel, open.ledger.pass()));
        };
        let source = self.poll_source(book, queue, timeout);
        let open = self.open.get_mut(book.0)?;
        let lent = open.lend(entry, queue);
        let tag = open.ledger.note(Unsettled { lent, source });
        let source = self.sources.get_mut(source as usize);
        if let Some(deadlines) = source.and_then(|source| source.deadlines.as_mut()) {
            deadlines.note(tag, &open.ledger, now);
        }
        Some((open.channel, tag))
    }

    fn poll_source(&mut self, book: BookId, queue: &Arc<Queue>, timeout: Option<Duration>) -> u32 {
        let found = self.sources.iter().find(|(_, source)| {
            matches!(source.role, Role::Poll)
                && source.book == book.0
                && Arc::ptr_eq(&source.queue, queue)
        });
        let slot = if let Some((slot, _)) = found {
            slot
        } else {
            let (queue, deadlines) = (Arc::clone(queue), timeout.map(Deadlines::new).map(Box::new));
            let (role, book) = (Role::Poll, book.0);
            self.sources.insert(Source {
                queue,
                book,
                role,
                unsettled: 0,
                parked: false,
                deadlines,
            })
        };
        if let Some(source) = self.sources.get_mut(slot) {
            source.unsettled += 1;
        }
        slot_number(slot).0
    }

    /// Takes deliveries out of the channel's ledger; they count against its credit until released.
    pub(super) fn take(
        &mut self,
        book: BookId,
        tag: u64,
        multiple: bool,
        into: &mut Taken,
    ) -> Result<(), UnknownTag> {
        self.open.get_mut(book.0).ok_or(UnknownTag)?.ledger.take(tag, multiple, into)
    }

    /// Puts deliveries back into the channel's ledger.
    pub(super) fn put_back(&mut self, book: BookId, taken: Taken, now: Instant) {
        let Some(open) = self.open.get_mut(book.0) else { return };
        let tags: Vec<(u64, usize)> =
            taken.iter().map(|(tag, unsettled)| (*tag, unsettled.source as usize)).collect();
        open.ledger.put_back(taken);
        for (tag, source) in tags {
            let source = self.sources.get_mut(source);
            if let Some(deadlines) = source.and_then(|source| source.deadlines.as_mut()) {
                deadlines.note(tag, &open.ledger, now);
            }
        }
    }

    /// When a delivery may be overdue next, of those that are outstanding or to come.
    pub(super) fn next_deadline(&mut self, now: Instant) -> Option<Instant> {
        let mut next = None;
        for (_, source) in &mut self.sources {
            let Some(deadlines) = &mut source.deadlines else { continue };
            let Some(open) = self.open.get(source.book) else { continue };
            let consumes = matches!(source.role, Role::Consumer { .. });
            let to_come = deadlines.next(now).filter(|_| consumes);
            next = [next, deadlines.first(&open.ledger), to_come].into_iter().flatten().min();
        }
        next
    }

    /// Channels with a delivery that should have been acknowledged by now, and how long it had.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<(ChannelId, Duration)> {
        let mut overdue: Vec<(ChannelId, Duration)> = Vec::new();
        for (_, source) in &mut self.sources {
            let Some(deadlines) = &mut source.deadlines else { continue };
            let Some(open) = self.open.get(source.book) else { continue };
            let late = deadlines.first(&open.ledger).is_some_and(|deadline| deadline <= now);
            if late && !overdue.iter().any(|(channel, _)| *channel == open.channel) {
                overdue.push((open.channel, deadlines.timeout()));
            }
        }
        overdue
    }

    /// Deliveries are settled: frees their credit.
    pub(super) fn release(&mut self, book: BookId, taken: &mut Taken) -> Groups {
        let mut groups = Groups::new();
        for (_, unsettled) in taken.drain(..) {
            let slot = unsettled.source as usize;
            if let (Lent::Whole(entry), Some(open)) = (&unsettled.lent, self.open.get_mut(book.0)) {
                open.lent = open.lent.saturating_sub(entry.message.size());
            }
            self.group(unsettled, &mut groups);
            let Some(source) = self.sources.get_mut(slot) else { continue };
            source.unsettled -= 1;
            let counted = !matches!(source.role, Role::Poll);
            if let Some(open) = self.open.get_mut(book.0).filter(|_| counted) {
                open.unsettled -= 1;
            }
            self.forget_if_done(slot);
        }
        self.resume_parked(book, &mut groups);
        groups
    }

    fn group(&self, unsettled: Unsettled, groups: &mut Groups) {
        if let Some(source) = self.sources.get(unsettled.source as usize) {
            let group = group_of(groups, &source.queue);
            match unsettled.lent {
                Lent::Whole(entry) => group.entries.push(entry),
                Lent::Absent(absent) => group.absents.push(absent),
            }
        }
    }

    /// Resumes the channel's parked consumers that have credit again.
    fn resume_parked(&mut self, book: BookId, groups: &mut Groups) {
        let Some(open) = self.open.get_mut(book.0) else { return };
        if open.parked.is_empty() || !open.has_credit() {
            return;
        }
        for slot in std::mem::take(&mut open.parked) {
            if !self.sources.get(slot).is_some_and(Source::has_credit) {
                if let Some(open) = self.open.get_mut(book.0) {
                    open.parked.push(slot);
                }
            } else if let Some((queue, consumer)) = self.unpark(slot) {
                group_of(groups, &queue).resumed.push(consumer);
            }
        }
    }

    fn unpark(&mut self, slot: usize) -> Option<AtQueue> {
        let source = self.sources.get_mut(slot)?;
        let was_parked = std::mem::take(&mut source.parked);
        was_parked.then(|| (Arc::clone(&source.queue), consumer_id(self.connection, slot)))
    }

    fn forget_if_done(&mut self, slot: usize) {
        let done = self.sources.get(slot).is_some_and(|source| {
            source.unsettled == 0 && !matches!(source.role, Role::Consumer { .. })
        });
        if done {
            self.sources.remove(slot);
        }
    }

    fn slots_of(&self, book: BookId) -> impl Iterator<Item = usize> {
        let of_book = move |source: &Source| source.book == book.0;
        self.sources.iter().filter(move |(_, source)| of_book(source)).map(|(slot, _)| slot)
    }

    fn consumer(&self, slot: usize) -> ConsumerId {
        consumer_id(self.connection, slot)
    }
}

impl Source {
    fn has_credit(&self) -> bool {
        match self.role {
            Role::Consumer { no_ack, prefetch, .. } => {
                no_ack || prefetch == 0 || self.unsettled < usize::from(prefetch)
            }
            Role::Poll | Role::Cancelled => false,
        }
    }
}

impl Book {
    /// What the ledger keeps of an entry: without its message, if there are many and the queue has it on disk.
    fn lend(&mut self, entry: Entry, queue: &Queue) -> Lent {
        let size = entry.message.size();
        let is_much = self.lent + size > limits::LENT_BYTES && !self.keeps_all;
        if is_much && entry.durable && queue.takes_back_absent() {
            return Lent::Absent(Absent::of(&entry));
        }
        self.lent += size;
        Lent::Whole(entry)
    }

    fn has_credit(&self) -> bool {
        self.limit == 0 || self.unsettled < usize::from(self.limit)
    }
}

fn group_of<'a>(groups: &'a mut Groups, queue: &Arc<Queue>) -> &'a mut Group {
    let at = groups.iter().position(|group| Arc::ptr_eq(&group.queue, queue));
    let at = at.unwrap_or_else(|| {
        let queue = Arc::clone(queue);
        let (entries, absents, resumed) = (Vec::new(), Vec::new(), SmallVec::new());
        groups.push(Group { queue, entries, absents, resumed });
        groups.len() - 1
    });
    &mut groups[at]
}

fn slot_number(slot: usize) -> ConsumerSlot {
    ConsumerSlot(u32::try_from(slot).unwrap_or(u32::MAX))
}

fn consumer_id(connection: ConnectionId, slot: usize) -> ConsumerId {
    ConsumerId { connection, slot: slot_number(slot) }
}
