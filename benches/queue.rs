//! What a queue costs by itself: no protocol, no disk, a sink that only keeps what it is handed.

use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use leveret::broker::Broker;
use leveret::broker::delivery::{ConnectionId, ConsumerSlot, DeliverySink, Entry, Refusal};
use leveret::broker::message::{Layout, Message};
use leveret::broker::options::QueueOptions;
use leveret::broker::queue::{Consumer, ConsumerId, Outcome, Queue};
use leveret::broker::retry::Return;
use leveret::broker::turn::Turn;
use leveret::clock::Clock;
use leveret::sync::{RankedMutex, rank};

const BATCH: usize = 100;
const REQUEUED: usize = 1_000;
/// Ready messages behind those that a bench touches.
const BACKLOG: usize = 10_000;

/// Keeps what it is handed.
#[derive(Default)]
struct Keeper {
    entries: RankedMutex<{ rank::OUTBOX }, Vec<Entry>>,
}

impl Keeper {
    fn take(&self) -> Vec<Entry> {
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
struct Stage {
    broker: Broker,
    queue: Arc<Queue>,
}

impl Stage {
    fn new(durable: bool) -> Self {
        let broker = Broker::new(["/"], 1, Arc::new(Clock::manual()));
        let options = QueueOptions { durable, ..QueueOptions::default() };
        let host = broker.vhost("/").expect("it was just made");
        let queue = host.declare_queue("queue", options, None).thing().expect("it has no limit");
        Self { broker, queue }
    }

    fn with_backlog() -> Self {
        let stage = Self::new(false);
        stage.turn(|turn| stage.queue.enqueue(&mut messages(BACKLOG, false), turn));
        stage
    }

    fn turn<R>(&self, work: impl FnOnce(&mut Turn) -> R) -> R {
        let mut turn = self.broker.begin_turn();
        let result = work(&mut turn);
        turn.finish(&self.broker);
        result
    }

    fn consumer(&self) -> Arc<Keeper> {
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

    fn get(&self, count: usize) -> Vec<Entry> {
        self.turn(|turn| {
            (0..count)
                .filter_map(|_| self.queue.get(false, turn).message())
                .map(|(entry, _)| entry)
                .collect()
        })
    }

    fn settle(&self, entries: Vec<Entry>, outcome: Outcome) {
        self.turn(|turn| self.queue.settle(entries, outcome, &[], turn));
    }
}

fn messages(count: usize, persistent: bool) -> Vec<Arc<Message>> {
    let layout = Layout { exchange: 0, routing_key: 5, header: 2 };
    let blob = Bytes::from_static(b"queue\0\0sixteen octets..");
    let message =
        || Message::new(blob.clone(), layout, persistent, false).expect("it is long enough");
    (0..count).map(|_| Arc::new(message())).collect()
}

/// A batch goes through a queue that a consumer keeps empty.
fn passing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, persistent) in [("deliver and ack, transient", false), ("annihilate unsaved", true)]
    {
        let stage = Stage::new(persistent);
        let keeper = stage.consumer();
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || messages(BATCH, persistent),
                |batch| {
                    stage.turn(|turn| stage.queue.enqueue(batch, turn));
                    stage.settle(keeper.take(), Outcome::Settled);
                },
                BatchSize::SmallInput,
            );
        });
        assert_eq!(stage.broker.inbox().unsaved_bytes(), 0);
    }
    group.finish();
}

/// A batch joins a backlog, and as many leave it at the other end.
fn polling(criterion: &mut Criterion) {
    let stage = Stage::with_backlog();
    let mut group = criterion.benchmark_group("queue");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("enqueue into a backlog and get", |bencher| {
        bencher.iter_batched_ref(
            || messages(BATCH, false),
            |batch| {
                stage.turn(|turn| stage.queue.enqueue(batch, turn));
                stage.settle(stage.get(BATCH), Outcome::Settled);
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// Messages come back to a backlog: all of them to its front, or every other one between those that were
/// kept back and came before.
fn requeueing(criterion: &mut Criterion) {
    let stage = Stage::with_backlog();
    let mut group = criterion.benchmark_group("queue");
    group.throughput(Throughput::Elements(REQUEUED as u64));
    group.bench_function("requeue 1000 in front", |bencher| {
        bencher.iter_batched(
            || stage.get(REQUEUED),
            |entries| stage.settle(entries, Outcome::Requeued(Return::Failed)),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("requeue 1000 in between", |bencher| {
        bencher.iter_batched(
            || {
                let mut back = Vec::with_capacity(REQUEUED);
                let mut ahead = Vec::with_capacity(REQUEUED);
                for (at, entry) in stage.get(2 * REQUEUED).into_iter().enumerate() {
                    if at % 2 == 0 { ahead.push(entry) } else { back.push(entry) }
                }
                stage.settle(ahead, Outcome::Requeued(Return::Failed));
                back
            },
            |entries| stage.settle(entries, Outcome::Requeued(Return::Failed)),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, passing, polling, requeueing);
criterion_main!(benches);
