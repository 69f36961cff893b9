//! A broker nobody serves, messages by name, and a client as queues see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::time::Duration;

use bytes::Bytes;

use crate::amqp::wire::properties::PropertiesView;
use crate::broker::Broker;
use crate::broker::commit_inbox::{Awaiting, CommitInbox, Work};
use crate::broker::delivery::{ConnectionId, ConsumerSlot, DeliverySink, Entry, Position, Refusal};
use crate::broker::error::BrokerError;
use crate::broker::message::{Layout, Message};
use crate::broker::options::QueueOptions;
use crate::broker::queue::{Consumer, ConsumerId, Outcome, Queue};
use crate::broker::retry::Return;
use crate::broker::turn::Turn;
use crate::broker::vhost::{Declared, VHost};
use crate::clock::Clock;
use crate::sync::{RankedMutex, rank};

/// The properties of a message that has none.
pub(in crate::broker) const NO_PROPERTIES: PropertiesView<'static> =
    PropertiesView::assume_checked(&[0, 0]);

/// A broker with the virtual host `/`.
pub(in crate::broker) fn broker() -> Broker {
    Broker::new(["/"], 1, Arc::new(Clock::manual()))
}

pub(in crate::broker) fn host(broker: &Broker) -> Arc<VHost> {
    broker.vhost("/").unwrap()
}

/// One turn, from beginning to end.
pub(in crate::broker) fn turn<R>(broker: &Broker, work: impl FnOnce(&mut Turn) -> R) -> R {
    let mut turn = broker.begin_turn();
    let result = work(&mut turn);
    turn.finish(broker);
    result
}

/// What the committer would find now.
pub(in crate::broker) fn work(inbox: &CommitInbox) -> Work {
    inbox.wait(Duration::ZERO, Duration::ZERO)
}

pub(in crate::broker) fn created<T>(declared: Declared<T>) -> Arc<T> {
    match declared {
        Declared::Created(new) => new,
        Declared::Existing(_) => panic!("it was there already"),
        Declared::Full { limit } => panic!("there are {limit} already"),
    }
}

pub(in crate::broker) fn durable() -> QueueOptions {
    QueueOptions { durable: true, ..QueueOptions::default() }
}

/// A message that has nothing but a body.
pub(in crate::broker) fn message(body: &str, persistent: bool) -> Arc<Message> {
    let layout = Layout { exchange: 0, routing_key: 0, header: 0 };
    let blob = Bytes::copy_from_slice(body.as_bytes());
    Arc::new(Message::new(blob, layout, persistent, false).unwrap())
}

/// What a test says of a message beside its body.
#[derive(Clone, Copy, Default)]
pub(in crate::broker) struct Properties<'a> {
    pub(in crate::broker) persistent: bool,
    pub(in crate::broker) priority: Option<u8>,
    pub(in crate::broker) expiration: Option<&'a str>,
}

/// A message with these properties, published to the default exchange.
pub(in crate::broker) fn message_with(body: &str, properties: Properties<'_>) -> Arc<Message> {
    let mut flags = 0_u16;
    let mut values = Vec::new();
    if properties.persistent {
        flags |= 1 << 12;
        values.push(2);
    }
    if let Some(priority) = properties.priority {
        flags |= 1 << 11;
        values.push(priority);
    }
    if let Some(expiration) = properties.expiration {
        flags |= 1 << 8;
        values.push(u8::try_from(expiration.len()).unwrap());
        values.extend(expiration.as_bytes());
    }
    let header = u32::try_from(2 + values.len()).unwrap();
    let blob = [&flags.to_be_bytes(), values.as_slice(), body.as_bytes()].concat();
    let layout = Layout { exchange: 0, routing_key: 0, header };
    Arc::new(Message::new(Bytes::from(blob), layout, properties.persistent, false).unwrap())
}

pub(in crate::broker) fn body(message: &Message) -> String {
    String::from_utf8(message.body().to_vec()).unwrap()
}

pub(in crate::broker) fn bodies<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<String> {
    entries.into_iter().map(|entry| body(&entry.message)).collect()
}

/// Counts how often it was woken.
#[derive(Default)]
pub(in crate::broker) struct Bell(AtomicUsize);

impl Bell {
    pub(in crate::broker) fn rung(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Remembers up to where its changes are durable.
#[derive(Default)]
pub(in crate::broker) struct Listener(AtomicUsize);

impl Listener {
    pub(in crate::broker) fn heard(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Awaiting for Listener {
    fn committed(&self, sequence: u64, _: &mut Vec<std::task::Waker>) {
        self.0.fetch_max(usize::try_from(sequence).unwrap(), Ordering::AcqRel);
    }
}

/// A client as a queue sees it: takes what is offered while it has credit, room and life.
#[derive(Default)]
pub(in crate::broker) struct FakeSink {
    state: RankedMutex<{ rank::OUTBOX }, SinkState>,
}

#[derive(Default)]
struct SinkState {
    no_ack: bool,
    prefetch: Option<usize>,
    refusal: Option<Refusal>,
    arrived: Vec<Entry>,
    unsettled: Vec<Entry>,
    offered: usize,
    cancelled: bool,
}

impl FakeSink {
    pub(in crate::broker) fn new(no_ack: bool, prefetch: Option<usize>) -> Arc<Self> {
        let state = SinkState { no_ack, prefetch, ..SinkState::default() };
        Arc::new(Self { state: RankedMutex::new(state) })
    }

    /// What came since the last look.
    pub(in crate::broker) fn arrived(&self) -> Vec<Entry> {
        std::mem::take(&mut self.state.lock().arrived)
    }

    /// Refuses everything for this reason, or nothing but for lack of credit.
    pub(in crate::broker) fn refuse(&self, refusal: Option<Refusal>) {
        self.state.lock().refusal = refusal;
    }

    pub(in crate::broker) fn has_credit(&self) -> bool {
        self.state.lock().has_credit()
    }

    /// How often the queue came to it.
    pub(in crate::broker) fn offered(&self) -> usize {
        self.state.lock().offered
    }

    /// The queue said that it is gone.
    pub(in crate::broker) fn was_cancelled(&self) -> bool {
        self.state.lock().cancelled
    }

    pub(in crate::broker) fn unsettled(&self) -> Vec<Position> {
        self.state.lock().unsettled.iter().map(|entry| entry.position).collect()
    }

    /// Takes the deliveries of which `which` is true out of what is unsettled.
    pub(in crate::broker) fn take(&self, which: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        self.state.lock().unsettled.extract_if(.., |entry| which(entry)).collect()
    }
}

impl SinkState {
    fn has_credit(&self) -> bool {
        self.prefetch.is_none_or(|prefetch| self.unsettled.len() < prefetch)
    }
}

impl DeliverySink for FakeSink {
    fn deliver(
        &self,
        _: ConsumerSlot,
        offers: &mut dyn Iterator<Item = Entry>,
        _: &mut Turn,
    ) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        state.offered += 1;
        loop {
            if let Some(refusal) = state.refusal {
                return Err(refusal);
            }
            if !state.has_credit() {
                return Err(Refusal::NoCredit);
            }
            let Some(entry) = offers.next() else { return Ok(()) };
            if !state.no_ack {
                state.unsettled.push(entry.clone());
            }
            state.arrived.push(entry);
        }
    }

    fn cancelled(&self, _: ConsumerSlot, _: &mut Turn) {
        self.state.lock().cancelled = true;
    }
}

/// Says how a consumer shall be before it starts.
pub(in crate::broker) struct ConsumerToBe<'a> {
    broker: &'a Broker,
    queue: Arc<Queue>,
    no_ack: bool,
    exclusive: bool,
    priority: i64,
    prefetch: Option<usize>,
}

impl<'a> ConsumerToBe<'a> {
    pub(in crate::broker) fn of(broker: &'a Broker, queue: &Arc<Queue>) -> Self {
        let queue = Arc::clone(queue);
        Self { broker, queue, no_ack: false, exclusive: false, priority: 0, prefetch: None }
    }

    pub(in crate::broker) fn prefetch(self, limit: usize) -> Self {
        Self { prefetch: Some(limit), ..self }
    }

    pub(in crate::broker) fn no_ack(self) -> Self {
        Self { no_ack: true, ..self }
    }

    pub(in crate::broker) fn exclusive(self) -> Self {
        Self { exclusive: true, ..self }
    }

    pub(in crate::broker) fn priority(self, priority: i64) -> Self {
        Self { priority, ..self }
    }

    #[track_caller]
    pub(in crate::broker) fn starts(self) -> FakeConsumer<'a> {
        self.tries().unwrap()
    }

    pub(in crate::broker) fn tries(self) -> Result<FakeConsumer<'a>, BrokerError> {
        let sink = FakeSink::new(self.no_ack, self.prefetch);
        let id = ConsumerId { connection: self.broker.next_connection(), slot: ConsumerSlot(0) };
        let consumer = Consumer {
            id,
            sink: Arc::clone(&sink) as Arc<dyn DeliverySink>,
            no_ack: self.no_ack,
            exclusive: self.exclusive,
            priority: self.priority,
        };
        turn(self.broker, |turn| {
            self.queue.consume(consumer, turn, |_| {
                assert_eq!(sink.offered(), 0, "a delivery overtook the acceptance");
            })
        })?;
        Ok(FakeConsumer { broker: self.broker, queue: self.queue, id, sink })
    }
}

/// A consumer of one queue. Says in assertions what it gets, and settles by name.
pub(in crate::broker) struct FakeConsumer<'a> {
    broker: &'a Broker,
    queue: Arc<Queue>,
    id: ConsumerId,
    pub(in crate::broker) sink: Arc<FakeSink>,
}

impl FakeConsumer<'_> {
    pub(in crate::broker) fn connection(&self) -> ConnectionId {
        self.id.connection
    }

    /// These messages have come since the last look, in this order.
    #[track_caller]
    pub(in crate::broker) fn takes<const N: usize>(&self, expected: [&str; N]) {
        assert_eq!(bodies(&self.sink.arrived()), expected);
    }

    /// Which of the messages that came since the last look had been handed out before.
    pub(in crate::broker) fn redelivered(&self) -> Vec<bool> {
        self.sink.arrived().iter().map(|entry| entry.redelivered).collect()
    }

    pub(in crate::broker) fn acks(&self, name: &str) {
        self.settles(name, Outcome::Settled);
    }

    pub(in crate::broker) fn rejects(&self, name: &str) {
        self.settles(name, Outcome::Rejected);
    }

    pub(in crate::broker) fn requeues(&self, name: &str) {
        self.settles(name, Outcome::Requeued(Return::Failed));
    }

    /// Settles all it has whose names are in `names`, a word each.
    fn settles(&self, names: &str, outcome: Outcome) {
        let named = |entry: &Entry| names.split(' ').any(|name| name == body(&entry.message));
        self.settle(self.sink.take(named), outcome);
    }

    pub(in crate::broker) fn settle(&self, entries: Vec<Entry>, outcome: Outcome) {
        turn(self.broker, |turn| self.queue.settle(entries, outcome, &[self.id], turn));
    }

    /// There is room again.
    pub(in crate::broker) fn resumes(&self) {
        self.sink.refuse(None);
        turn(self.broker, |turn| self.queue.resume(self.id, turn));
    }

    pub(in crate::broker) fn cancels(&self) {
        turn(self.broker, |turn| self.queue.cancel(self.id, turn));
    }
}
