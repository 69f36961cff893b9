//! What a queue costs by itself: no protocol, no disk, a sink that only keeps what it is handed.

#[path = "shared/stage.rs"]
mod stage;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use leveret::broker::queue::Outcome;
use leveret::broker::retry::Return;

use self::stage::{Stage, messages};

const BATCH: usize = 100;
const REQUEUED: usize = 1_000;
/// Ready messages behind those that a bench touches.
const BACKLOG: usize = 10_000;

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
    let stage = Stage::with_backlog(BACKLOG);
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
    let stage = Stage::with_backlog(BACKLOG);
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
