//! Several threads on one broker. A debug build checks the order of locks on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::broker::change::{Put, QueueChanges};
use crate::broker::commit_inbox::{Awaiting, Mark};
use crate::broker::queue::Outcome;
use crate::broker::retry::Return;
use crate::broker::tests::support::{ConsumerToBe, Listener, body};
use crate::broker::turn::Turn;

const PUBLISHERS: u64 = 2;
const ROUNDS: u64 = 150;
const BATCH: u64 = 4;

/// Durable queues that are never deleted; every message goes to both.
const KEPT: [&str; 2] = ["kept.0", "kept.1"];

/// What has been collected from queues, as a disk would have it.
#[derive(Default)]
pub(super) struct Disk {
    entries: BTreeMap<(u64, u64), String>,
}

impl Disk {
    fn apply(&mut self, changes: QueueChanges) {
        let queue = changes.queue.0;
        for Put { position, message, .. } in changes.puts {
            let old = self.entries.insert((queue, position.0), body(&message));
            assert!(old.is_none(), "{position:?} was put twice");
        }
        for position in changes.gone {
            let old = self.entries.remove(&(queue, position.0));
            assert!(old.is_some(), "{position:?} is gone but was never put");
        }
    }

    /// Everything on it.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.values().map(String::as_str)
    }

    pub(super) fn of(&self, queue: &Queue) -> BTreeSet<String> {
        let of_queue = self.entries.iter().filter(|((id, _), _)| *id == queue.id.0);
        of_queue.map(|(_, body)| body.clone()).collect()
    }

    /// Commit cycles until told to stop, and then one more.
    fn commit_until(&mut self, broker: &Broker, stop: &AtomicBool) {
        loop {
            let last = stop.load(Ordering::Acquire);
            self.cycle(broker);
            if last {
                return;
            }
        }
    }

    pub(super) fn cycle(&mut self, broker: &Broker) {
        let inbox = broker.inbox();
        let mut work = work(inbox);
        let changes: Vec<_> = {
            let _whole = inbox.gate().close();
            inbox.late_queues(&mut work);
            let changes = work.queues.iter().map(|queue| queue.collect()).collect();
            inbox.late_vhosts(&mut work);
            work.vhosts.iter().for_each(|host| drop(host.collect()));
            changes
        };
        for changes in changes {
            self.apply(changes);
        }
        let mut wakers = Vec::new();
        for mark in work.marks {
            mark.who.committed(mark.sequence, &mut wakers);
        }
        inbox.let_in();
    }
}

/// Publishes to whatever `events` leads to, leaving a mark with every batch.
fn publish(broker: &Broker, publisher: u64, confirms: &Arc<Listener>) {
    let host = host(broker);
    for round in 0..ROUNDS {
        let bodies = (0..BATCH).map(|n| format!("{publisher}.{}", round * BATCH + n));
        let messages: Vec<_> = bodies.map(|body| message(&body, true)).collect();
        turn(broker, |turn| {
            let exchange = host.exchange("events").unwrap();
            let route = host.route(&exchange, &["key"], NO_PROPERTIES);
            let whole = broker.inbox().gate().share();
            for queue in &route.queues {
                queue.enqueue(&mut messages.clone(), turn);
            }
            drop(whole);
            let who = Arc::clone(confirms) as Arc<dyn Awaiting>;
            turn.leave_mark(Mark { who, sequence: (round + 1) * BATCH });
        });
    }
}

/// Consumes from a kept queue with changing consumers until told to stop. Returns what it acknowledged.
fn consume(broker: &Broker, queue: &Arc<Queue>, stop: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let mut rounds = 0;
    while !stop.load(Ordering::Acquire) {
        let consumer = ConsumerToBe::of(broker, queue).prefetch(7).starts();
        for _ in 0..20 {
            rounds += 1;
            let entries = consumer.sink.take(|entry| (entry.position.0 + rounds) % 5 != 0);
            acknowledged.extend(entries.iter().map(|entry| body(&entry.message)));
            consumer.settle(entries, Outcome::Settled);
            consumer.settle(consumer.sink.take(|_| true), Outcome::Requeued(Return::Failed));
            std::thread::yield_now();
        }
        consumer.cancels();
        consumer.settle(consumer.sink.take(|_| true), Outcome::Requeued(Return::Failed));
    }
    acknowledged
}

/// Declares, binds, uses and deletes queues and exchanges beside the kept ones.
fn churn(broker: &Broker, number: u64) {
    let host = host(broker);
    for round in 0..ROUNDS {
        let name = format!("churn.{}", (number + round) % 3);
        let options =
            QueueOptions { durable: round % 2 == 0, auto_delete: true, ..QueueOptions::default() };
        let queue = host.declare_queue(&name, options, None).thing().unwrap();
        let exchange = host.declare_exchange("churn", auto_delete(ExchangeKind::Fanout));
        let exchange = exchange.thing().unwrap();
        // Any of these may be refused: the other thread may have been quicker.
        let _ = try_bind(broker, "events", to_queue(&queue));
        let _ = try_bind(broker, "events", to_exchange(&exchange));
        let _ = try_bind(broker, "churn", to_queue(&queue));
        if let Ok(consumer) = ConsumerToBe::of(broker, &queue).prefetch(3).tries() {
            consumer.settle(consumer.sink.take(|_| true), Outcome::Settled);
            if round % 3 != 0 {
                consumer.cancels();
            }
            consumer.settle(consumer.sink.take(|_| true), Outcome::Requeued(Return::Failed));
        }
        turn(broker, |turn| {
            let condition = DeleteIf { unused: round % 2 == 1, empty: false };
            let _ = host.delete_queue(&queue, condition, turn);
        });
    }
}

fn try_bind(broker: &Broker, source: &str, destination: Destination) -> Result<(), BrokerError> {
    let arguments = FieldTable::default();
    let request = BindingRequest { source, destination, key: "", arguments: &arguments };
    turn(broker, |turn| host(broker).bind(request, turn))
}

fn left(queue: &Arc<Queue>, turn: &mut Turn) -> Vec<String> {
    let entries = std::iter::from_fn(|| queue.get(false, turn).message());
    entries.map(|(entry, _)| body(&entry.message)).collect()
}

#[test]
fn nothing_that_was_confirmed_is_lost_whatever_happens_beside_it() {
    let host = HostUnderTest::new();
    let broker = &host.broker;
    host.exchange("events", ExchangeKind::Fanout);
    let queues = KEPT.map(|name| host.durable_queue(name));
    for queue in &queues {
        host.bind("events", "", to_queue(queue));
    }
    let confirms: Vec<_> = (0..PUBLISHERS).map(|_| Arc::new(Listener::default())).collect();
    let (published, collected) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut disk = Disk::default();

    let acknowledged = std::thread::scope(|scope| {
        let committer = scope.spawn(|| disk.commit_until(broker, &collected));
        let consumers: Vec<_> =
            queues.iter().map(|queue| scope.spawn(|| consume(broker, queue, &published))).collect();
        let mut workers: Vec<_> = (0..2).map(|n| scope.spawn(move || churn(broker, n))).collect();
        for (number, confirms) in (0..).zip(&confirms) {
            workers.push(scope.spawn(move || publish(broker, number, confirms)));
        }
        for worker in workers {
            worker.join().unwrap();
        }
        published.store(true, Ordering::Release);
        let acknowledged: Vec<_> =
            consumers.into_iter().map(|consumer| consumer.join().unwrap()).collect();
        collected.store(true, Ordering::Release);
        committer.join().unwrap();
        acknowledged
    });

    let expected: BTreeSet<String> = (0..PUBLISHERS)
        .flat_map(|publisher| (0..ROUNDS * BATCH).map(move |n| format!("{publisher}.{n}")))
        .collect();
    for listener in &confirms {
        assert_eq!(listener.heard() as u64, ROUNDS * BATCH, "everything was confirmed");
    }
    assert_eq!(broker.inbox().unsaved_bytes(), 0);
    for (queue, acknowledged) in queues.iter().zip(acknowledged) {
        let left = turn(broker, |turn| left(queue, turn));
        assert_eq!(left.iter().cloned().collect::<BTreeSet<_>>(), disk.of(queue));
        let count = left.len() + acknowledged.len();
        let all: BTreeSet<String> = left.into_iter().chain(acknowledged).collect();
        assert_eq!((count, all), (expected.len(), expected.clone()), "each of them once");
    }
}
