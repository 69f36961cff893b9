//! A broker with one queue: no protocol, no disk, a sink that only keeps what it is handed.

use std::sync::Arc;

use bytes::Bytes;
use leveret::broker::Broker;
use leveret::broker::delivery::{ConnectionId, ConsumerSlot, DeliverySink, Entry, Refusal};
use leveret::broker::message::{Layout, Message};
use leveret::broker::options::QueueOptions;
use leveret::broker::queue::{Consumer, ConsumerId, Outcome, Queue};
use leveret::broker::turn::Turn;
use leveret::clock::Clock;
use leveret::sync::{RankedMutex, rank};

/// Keeps what it is handed.
#[derive(Default)]
pub(crate) struct Keeper {
    entries: RankedMutex<{ rank::OUTBOX }, Vec<Entry>>,
}

impl Keeper {
    pub(crate) fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut *self.entries.lock())
    }
}

impl DeliverySink for Keeper {
    fn deliver(
        &self,
        _: ConsumerSlot,
        offers: &mut dyn Iterator<Item = Entry>,
        _: &mut Turn,
    ) -> Result<(), Refusal> {
        self.entries.lock().extend(offers);
        Ok(())
    }

    fn cancelled(&self, _: ConsumerSlot, _: &mut Turn) {}
}

/// A broker with one queue.
pub(crate) struct Stage {
    pub(crate) broker: Broker,
    pub(crate) queue: Arc<Queue>,
}

impl Stage {
    pub(crate) fn new(durable: bool) -> Self {
        let broker = Broker::new(["/"], 1, Arc::new(Clock::manual()));
        let options = QueueOptions { durable, ..QueueOptions::default() };
        let host = broker.vhost("/").expect("it was just made");
        let queue = host.declare_queue("queue", options, None).thing().expect("it has no limit");
        Self { broker, queue }
    }

    pub(crate) fn with_backlog(backlog: usize) -> Self {
        let stage = Self::new(false);
        stage.turn(|turn| stage.queue.enqueue(&mut messages(backlog, false), turn));
        stage
    }

    pub(crate) fn turn<R>(&self, work: impl FnOnce(&mut Turn) -> R) -> R {
        let mut turn = self.broker.begin_turn();
        let result = work(&mut turn);
        turn.finish(&self.broker);
        result
    }

    pub(crate) fn consumer(&self) -> Arc<Keeper> {
        let keeper = Arc::new(Keeper::default());
        let consumer = Consumer {
            id: ConsumerId { connection: ConnectionId(1), slot: ConsumerSlot(0) },
            sink: Arc::clone(&keeper) as Arc<dyn DeliverySink>,
            no_ack: false,
            exclusive: false,
            priority: 0,
        };
        let accepted = self.turn(|turn| self.queue.consume(consumer, turn, |_| {}));
        assert!(accepted.is_ok());
        keeper
    }

    pub(crate) fn get(&self, count: usize) -> Vec<Entry> {
        self.turn(|turn| {
            (0..count)
                .filter_map(|_| self.queue.get(false, turn).message())
                .map(|(entry, _)| entry)
                .collect()
        })
    }

    pub(crate) fn settle(&self, entries: Vec<Entry>, outcome: Outcome) {
        self.turn(|turn| self.queue.settle(entries, outcome, &[], turn));
    }
}

pub(crate) fn messages(count: usize, persistent: bool) -> Vec<Arc<Message>> {
    let layout = Layout { exchange: 0, routing_key: 5, header: 2 };
    let blob = Bytes::from_static(b"queue\0\0sixteen octets..");
    let message =
        || Message::new(blob.clone(), layout, persistent, false).expect("it is long enough");
    (0..count).map(|_| Arc::new(message())).collect()
}
