//! Towards one socket: what is to be sent, what may only be sent when it is durable, and (in `books`)
//! what was handed over and is not settled.
//!
//! Invariants:
//! * Delivery tags are taken while the outbox is locked: they rise in the order frames leave.
//! * A consumer that is refused is parked under the lock that a later acknowledgement or drain takes, so
//!   its resumption is never missed.
//! * Held items leave in the order in which they were held, when their sequence is committed.
//! * After `Outbox::close` nothing is taken any more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use amq_protocol::protocol::{AMQPClass, basic};

use super::books::{
    Acknowledged, AtQueue, BookId, Books, Groups, Leftovers, Subscription, Tagged, Taken,
};
use super::ledger::UnknownTag;
use super::outgoing::{ConsumerName, Got, Outgoing};
use super::reply_to::ReplyConsumer;
use crate::amqp::wire::frame::ChannelId;
use crate::broker::Broker;
use crate::broker::commit_inbox::Awaiting;
use crate::broker::delivery::{ConnectionId, ConsumerSlot, DeliverySink, Entry, Refusal};
use crate::broker::firehose::Tap;
use crate::broker::message::Message;
use crate::broker::queue::Queue;
use crate::broker::turn::Turn;
use crate::clock::Clock;
use crate::limits;
use crate::sync::{RankedMutex, rank};

/// How a drain ended.
pub enum Drained {
    /// Items were handed over. Once they are written, call [`Outbox::resume`].
    Items,
    /// Nothing is left, and nothing will come.
    Finished,
}

struct Inner {
    mail: Mail,
    books: Books,
    /// A channel that deletes a queue, and the notices of its own consumers' end.
    deferred: Option<(BookId, Vec<Outgoing>)>,
    /// Known after connection.open.
    tap: Option<Arc<Tap>>,
}

/// What is to be sent, now or when it is durable.
#[derive(Default)]
struct Mail {
    items: Vec<Outgoing>,
    bytes: usize,
    writer: Option<Waker>,
    reader: Option<Waker>,
    held: VecDeque<Held>,
    sequence: u64,
    committed: u64,
    finished: bool,
    closed: bool,
}

/// Something that waits for its changes to be durable.
struct Held {
    sequence: u64,
    book: BookId,
    item: Outgoing,
}

/// See the module.
pub struct Outbox {
    connection: ConnectionId,
    notify_cancel: AtomicBool,
    /// Some deliveries have had a timeout.
    has_timeouts: AtomicBool,
    inner: RankedMutex<{ rank::OUTBOX }, Inner>,
}

/// The writer's side.
impl Outbox {
    /// Takes everything that is to be sent into `into`, which is empty, or waits for something. Only the
    /// connection's writer calls this.
    pub fn poll_drain(&self, context: &mut Context<'_>, into: &mut Vec<Outgoing>) -> Poll<Drained> {
        let mut inner = self.inner.lock();
        if inner.mail.items.is_empty() {
            if inner.mail.finished {
                return Poll::Ready(Drained::Finished);
            }
            inner.mail.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        std::mem::swap(&mut inner.mail.items, into);
        inner.mail.bytes = 0;
        let reader = inner.mail.reader.take();
        drop(inner);
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Drained::Items)
    }

    /// Consumers that were parked for want of room go on, those that wait longest first, until there is none again.
    /// Resuming all of many, of which few find room, would cost each of them a look at its queue.
    pub fn resume(&self, broker: &Broker) {
        let Some((queue, consumer)) = self.unpark_next() else { return };
        let mut turn = broker.begin_turn();
        queue.resume(consumer, &mut turn);
        while let Some((queue, consumer)) = self.unpark_next() {
            queue.resume(consumer, &mut turn);
        }
        turn.finish(broker);
    }

    fn unpark_next(&self) -> Option<AtQueue> {
        let mut inner = self.inner.lock();
        if inner.mail.is_full() { None } else { inner.books.unpark_next() }
    }

    /// Nothing more will be pushed: the writer ends when it has sent what is there.
    pub fn finish(&self) {
        let waker = {
            let mut inner = self.inner.lock();
            inner.mail.finished = true;
            [inner.mail.writer.take(), inner.mail.reader.take()]
        };
        waker.into_iter().flatten().for_each(Waker::wake);
    }

    /// The socket is dead: drops what was to be sent and ends the writer.
    pub fn abandon(&self) {
        let items = std::mem::take(&mut self.inner.lock().mail.items);
        drop(items);
        self.finish();
    }
}

/// The session's side: sending.
impl Outbox {
    /// An empty outbox.
    pub fn new(connection: ConnectionId) -> Self {
        let books = Books::new(connection);
        let inner = Inner { mail: Mail::default(), books, deferred: None, tap: None };
        let [notify_cancel, has_timeouts] = [false, false].map(AtomicBool::new);
        Self { connection, notify_cancel, has_timeouts, inner: RankedMutex::new(inner) }
    }

    /// The connection it belongs to.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// The client wants to hear when the broker cancels a consumer (`consumer_cancel_notify`).
    pub(super) fn notify_cancel(&self, wanted: bool) {
        self.notify_cancel.store(wanted, Ordering::Relaxed);
    }

    /// Deliveries are reported there while it is open.
    pub(super) fn watch(&self, tap: Arc<Tap>) {
        self.inner.lock().tap = Some(tap);
    }

    /// Sends an item.
    pub fn push(&self, item: Outgoing, turn: &mut Turn) {
        self.inner.lock().mail.push(item, turn);
    }

    /// Sends a reply of a channel, behind those that wait for the disk.
    pub(super) fn reply(&self, book: BookId, item: Outgoing, turn: &mut Turn) {
        let mail = &mut self.inner.lock().mail;
        if mail.is_holding(book) {
            let sequence = mail.sequence;
            mail.held.push_back(Held { sequence, book, item });
        } else {
            mail.push(item, turn);
        }
    }

    /// Keeps back what this channel's consumers are told of their end, until [`Outbox::tell_deferred`]. Clients
    /// that delete a queue they consume from expect the answer first; py-amqp raises on the other order.
    pub(super) fn defer_cancels(&self, book: BookId) {
        self.inner.lock().deferred = Some((book, Vec::new()));
    }

    /// Sends what was kept back, behind the channel's replies.
    pub(super) fn tell_deferred(&self, turn: &mut Turn) {
        let deferred = self.inner.lock().deferred.take();
        let Some((book, cancels)) = deferred else { return };
        for cancel in cancels {
            self.reply(book, cancel, turn);
        }
    }

    /// Sends an item once everything changed so far in this turn is durable. The caller leaves a mark
    /// with what [`Outbox::next_sequence`] returns at the end of the turn.
    pub(super) fn hold(&self, book: BookId, item: Outgoing) {
        let mail = &mut self.inner.lock().mail;
        let sequence = mail.sequence + 1;
        mail.held.push_back(Held { sequence, book, item });
    }

    /// Numbers the turn that held something.
    pub(super) fn next_sequence(&self) -> u64 {
        let mail = &mut self.inner.lock().mail;
        mail.sequence += 1;
        mail.sequence
    }

    /// Something of this channel waits for the disk.
    pub(super) fn is_holding(&self, book: BookId) -> bool {
        self.inner.lock().mail.is_holding(book)
    }

    /// Ready when nothing waits for the disk any more.
    pub fn poll_committed(&self, context: &mut Context<'_>) -> Poll<()> {
        let mail = &mut self.inner.lock().mail;
        if mail.committed >= mail.sequence || mail.closed {
            return Poll::Ready(());
        }
        mail.reader = Some(context.waker().clone());
        Poll::Pending
    }

    /// Ready when there is room for replies to what would be read next.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let mail = &mut self.inner.lock().mail;
        if !mail.is_overfull() || mail.closed || mail.finished {
            return Poll::Ready(());
        }
        mail.reader = Some(context.waker().clone());
        Poll::Pending
    }

    /// Refuses everything from now on; the connection is ending.
    pub(super) fn close(&self) {
        let (held, reader) = {
            let mail = &mut self.inner.lock().mail;
            mail.closed = true;
            (std::mem::take(&mut mail.held), mail.reader.take())
        };
        drop(held);
        reader.into_iter().for_each(Waker::wake);
    }
}

/// The session's side: channels and consumers.
impl Outbox {
    pub(super) fn open_book(&self, channel: ChannelId) -> BookId {
        self.inner.lock().books.open(channel)
    }

    /// Ends a channel: nothing is delivered to it any more, and its held items are never sent.
    pub(super) fn close_book(&self, book: BookId, taken: Taken) -> Leftovers {
        let mut inner = self.inner.lock();
        inner.mail.held.retain(|held| held.book != book);
        inner.books.close(book, taken)
    }

    /// Ends all channels, whatever their transactions had taken: that is lost with the session.
    pub(super) fn close_books(&self) -> Vec<Leftovers> {
        let mut inner = self.inner.lock();
        inner.mail.held.clear();
        inner.books.close_all()
    }

    /// The channel has a consumer of this tag.
    pub(super) fn has_consumer(&self, book: BookId, tag: &str) -> bool {
        self.inner.lock().books.has_consumer(book, tag)
    }

    /// Starts a consumer, before its queue knows it.
    pub(super) fn subscribe(
        &self,
        channel: ChannelId,
        book: BookId,
        subscription: Subscription,
    ) -> ConsumerSlot {
        let tag = subscription.tag.clone();
        self.note_timeout(subscription.timeout);
        let mut inner = self.inner.lock();
        let slot = inner.books.subscribe(book, subscription);
        // The writer learns the name before the first delivery; nobody needs waking for it.
        let name = ConsumerName { slot, channel, tag };
        inner.mail.items.push(Outgoing::Consumer(Box::new(name)));
        slot
    }

    /// Ends a consumer; its unsettled deliveries stay with the channel.
    pub(super) fn unsubscribe(&self, book: BookId, tag: &str) -> Option<AtQueue> {
        self.inner.lock().books.unsubscribe(book, tag)
    }

    /// The channel takes replies from now on.
    pub(super) fn await_replies(&self, book: BookId, consumer: ReplyConsumer) {
        self.inner.lock().books.await_replies(book, consumer);
    }

    /// Ends the channel's reply consumer, if this is its tag.
    pub(super) fn end_replies(&self, book: BookId, tag: &str) -> bool {
        self.inner.lock().books.end_replies(book, tag)
    }

    /// Takes a reply for this requester. Nobody could hold it back, so what finds no room is refused.
    pub(super) fn take_reply(
        &self,
        requester: &str,
        message: &Arc<Message>,
        turn: &mut Turn,
    ) -> bool {
        let mut guard = self.inner.lock();
        let Inner { mail, books, .. } = &mut *guard;
        if mail.closed || mail.is_overfull() {
            return false;
        }
        let Some(reply) = books.replied(requester, message) else { return false };
        mail.push(Outgoing::Reply(Box::new(reply)), turn);
        true
    }

    /// The channel keeps all messages that it is handed from now on.
    pub(super) fn keep_all(&self, book: BookId) {
        self.inner.lock().books.keep_all(book);
    }

    /// basic.qos with global=true. Consumers that may go on are in the result.
    pub(super) fn limit(&self, book: BookId, limit: u16) -> Groups {
        self.inner.lock().books.limit(book, limit)
    }

    /// Notes what basic.get took from `queue`, and sends it.
    pub(super) fn got(
        &self,
        book: BookId,
        queue: &Arc<Queue>,
        (entry, remaining): (Entry, usize),
        acknowledged: Acknowledged,
        turn: &mut Turn,
    ) {
        if let Acknowledged::Within { timeout, .. } = acknowledged {
            self.note_timeout(timeout);
        }
        let (redelivered, returns) = (entry.redelivered, entry.returns);
        let message = Arc::clone(&entry.message);
        let mut inner = self.inner.lock();
        let Some((channel, tag)) = inner.books.got(book, queue, entry, acknowledged) else {
            return;
        };
        let remaining = u32::try_from(remaining).unwrap_or(u32::MAX);
        if let Some(tap) = inner.open_tap() {
            tap.delivered(channel, &message, &queue.name, redelivered, turn);
        }
        let got = Got { channel, message, tag, redelivered, returns, remaining };
        inner.mail.push(Outgoing::Got(Box::new(got)), turn);
    }

    /// Settles deliveries: what is to be told to which queue.
    pub(super) fn settle(
        &self,
        book: BookId,
        tag: u64,
        multiple: bool,
    ) -> Result<Groups, UnknownTag> {
        let mut inner = self.inner.lock();
        let mut taken = Taken::new();
        inner.books.take(book, tag, multiple, &mut taken)?;
        Ok(inner.books.release(book, &mut taken))
    }

    /// Takes tags out for a transaction; they still count until it commits.
    pub(super) fn take(
        &self,
        book: BookId,
        tag: u64,
        multiple: bool,
        into: &mut Taken,
    ) -> Result<(), UnknownTag> {
        self.inner.lock().books.take(book, tag, multiple, into)
    }

    /// The transaction committed: what it took is settled.
    pub(super) fn release(&self, book: BookId, taken: &mut Taken) -> Groups {
        self.inner.lock().books.release(book, taken)
    }

    /// The transaction rolled back: what it took is outstanding again.
    pub(super) fn put_back(&self, book: BookId, taken: Taken, now: Instant) {
        self.inner.lock().books.put_back(book, taken, now);
    }

    /// Relaxed will do: the reader that asks for deadlines is the one that starts consumers and polls.
    fn note_timeout(&self, timeout: Option<Duration>) {
        if timeout.is_some() {
            self.has_timeouts.store(true, Ordering::Relaxed);
        }
    }

    /// When a delivery may be overdue next.
    pub(super) fn next_deadline(&self, clock: &Clock) -> Option<Instant> {
        let has_timeouts = self.has_timeouts.load(Ordering::Relaxed);
        has_timeouts.then(|| self.inner.lock().books.next_deadline(clock.now())).flatten()
    }

    /// Channels with a delivery that should have been acknowledged by now, and how long it had.
    pub(super) fn overdue(&self, now: Instant) -> Vec<(ChannelId, Duration)> {
        if !self.has_timeouts.load(Ordering::Relaxed) {
            return Vec::new();
        }
        self.inner.lock().books.overdue(now)
    }
}

impl Inner {
    /// Where deliveries are to be reported, if the virtual host is traced now.
    fn open_tap(&self) -> Option<&Arc<Tap>> {
        self.tap.as_ref().filter(|tap| tap.is_open())
    }
}

impl Mail {
    fn push(&mut self, item: Outgoing, turn: &mut Turn) {
        if self.closed {
            return;
        }
        self.bytes += item.size();
        self.items.push(item);
        if let Some(writer) = self.writer.take() {
            turn.wake(writer);
        }
    }

    fn is_full(&self) -> bool {
        self.bytes >= limits::OUTBOX_BYTES || self.items.len() >= limits::OUTBOX_ITEMS
    }

    fn is_overfull(&self) -> bool {
        self.bytes >= limits::OUTBOX_REPLY_BYTES || self.items.len() >= limits::OUTBOX_REPLY_ITEMS
    }

    fn is_holding(&self, book: BookId) -> bool {
        self.held.iter().any(|held| held.book == book)
    }
}

impl DeliverySink for Outbox {
    fn deliver(
        &self,
        slot: ConsumerSlot,
        offers: &mut dyn Iterator<Item = Entry>,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        let mut guard = self.inner.lock();
        let tap = guard.open_tap().cloned();
        let Inner { mail, books, .. } = &mut *guard;
        if mail.closed {
            return Err(Refusal::Closed);
        }
        loop {
            if mail.is_full() {
                books.park_full(slot);
                return Err(Refusal::Full);
            }
            let Some(tagged) = books.offer(slot, offers, turn.now())? else { return Ok(()) };
            let Tagged { tag, message, redelivered, returns } = tagged;
            if let Some(tap) = &tap
                && let Some((channel, queue)) = books.source(slot)
            {
                tap.delivered(channel, &message, &queue.name, redelivered, turn);
            }
            mail.push(Outgoing::Deliver { message, tag, slot, redelivered, returns }, turn);
        }
    }

    fn cancelled(&self, slot: ConsumerSlot, turn: &mut Turn) {
        let mut inner = self.inner.lock();
        let queue = inner.books.source(slot).map(|(_, queue)| Arc::clone(queue));
        let Some((book, channel, tag)) = inner.books.lose(slot) else { return };
        if let (Some(tap), Some(queue)) = (&inner.tap, queue) {
            tap.consumer_lost(self.connection, channel, &tag, &queue.name);
        }
        if !self.notify_cancel.load(Ordering::Relaxed) {
            return;
        }
        let cancel = basic::Cancel { consumer_tag: tag.into(), nowait: true };
        let method = AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel));
        let item = Outgoing::Method(channel, Box::new(method));
        match &mut inner.deferred {
            Some((deleter, cancels)) if *deleter == book => cancels.push(item),
            _ => inner.mail.push(item, turn),
        }
    }
}

impl Awaiting for Outbox {
    fn committed(&self, sequence: u64, wakers: &mut Vec<Waker>) {
        let mail = &mut self.inner.lock().mail;
        mail.committed = mail.committed.max(sequence);
        while mail.held.front().is_some_and(|held| held.sequence <= sequence) {
            let Some(held) = mail.held.pop_front() else { break };
            mail.bytes += held.item.size();
            mail.items.push(held.item);
        }
        if !mail.items.is_empty() {
            wakers.extend(mail.writer.take());
        }
        wakers.extend(mail.reader.take());
    }
}
