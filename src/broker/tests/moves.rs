//! Several threads move messages between queues: by expiry, rejection and limits, in transactions, while settings
//! change and time passes. Every message is somewhere once, at every commit and in the end. A debug build checks the
//! order of locks on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::threads::Disk;
use super::*;
use crate::broker::delivery::Entry;
use crate::broker::options::{Overflow, QueueType};
use crate::broker::queue::{Admission, Outcome};
use crate::broker::retry::Return;
use crate::broker::settings::QueueSettings;
use crate::broker::tests::support::{ConsumerToBe, Properties, body, message_with};
use crate::broker::turn::Turn;

const WORKERS: u64 = 8;
/// What each worker does, in steps. `MOVES` in the environment says otherwise.
const STEPS: u64 = 400;

/// Queues that give messages up: by name, where to, and how.
fn sources() -> Vec<(&'static str, QueueOptions)> {
    let to = |next: &str| QueueOptions {
        dead_letter_exchange: Some(String::new()),
        dead_letter_routing_key: Some(next.to_owned()),
        ..durable()
    };
    vec![
        ("short-lived", QueueOptions { message_ttl_ms: Some(3), ..to("dead") }),
        (
            "short",
            QueueOptions { max_length: Some(10), max_priority: Some(5), ..to("short-lived") },
        ),
        (
            "quorum",
            QueueOptions { queue_type: QueueType::Quorum, delivery_limit: Some(2), ..to("dead") },
        ),
        ("transient", QueueOptions { durable: false, max_length: Some(5), ..to("dead") }),
        ("changing", to("short")),
    ]
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn of<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[usize::try_from(self.below(things.len() as u64)).unwrap()]
    }
}

/// One of several that do whatever is legal.
struct Worker<'a> {
    broker: &'a Broker,
    queues: &'a [Arc<Queue>],
    number: u64,
    next: u64,
    random: Random,
    /// In a queue, as far as this worker knows.
    accepted: Vec<String>,
    /// Acknowledged.
    done: Vec<String>,
}

impl Worker<'_> {
    fn run(mut self, steps: u64) -> Self {
        for _ in 0..steps {
            let queue = Arc::clone(self.random.of(self.queues));
            match self.random.below(8) {
                0..3 => self.publish(&queue),
                3 => self.get(&queue),
                4 | 5 => self.consume(&queue),
                6 => self.transact(&queue),
                _ => self.change_settings(),
            }
        }
        self
    }

    fn message(&mut self) -> (String, Arc<crate::broker::message::Message>) {
        self.next += 1;
        let name = format!("{}.{}", self.number, self.next);
        let expiration = self.random.below(4).to_string();
        let properties = Properties {
            persistent: self.random.below(4) > 0,
            priority: Some(u8::try_from(self.random.below(7)).unwrap()),
            expiration: (self.random.below(4) == 0).then_some(expiration.as_str()),
        };
        let message = message_with(&name, properties);
        (name, message)
    }

    fn publish(&mut self, queue: &Arc<Queue>) {
        for _ in 0..self.random.below(20) {
            let (name, message) = self.message();
            let admission = turn(self.broker, |turn| queue.enqueue(&mut vec![message], turn));
            if admission == Admission::Accepted {
                self.accepted.push(name);
            }
        }
    }

    fn settle(&mut self, entry: &Entry) -> Outcome {
        match self.random.below(3) {
            0 => {
                self.done.push(body(&entry.message));
                Outcome::Settled
            }
            1 => Outcome::Rejected,
            _ => Outcome::Requeued(Return::Failed),
        }
    }

    fn get(&mut self, queue: &Arc<Queue>) {
        let no_ack = self.random.below(4) == 0;
        let Some((entry, _)) = turn(self.broker, |turn| queue.get(no_ack, turn).message()) else {
            return;
        };
        if no_ack {
            self.done.push(body(&entry.message));
            return;
        }
        let outcome = self.settle(&entry);
        turn(self.broker, |turn| queue.settle(vec![entry], outcome, &[], turn));
    }

    fn consume(&mut self, queue: &Arc<Queue>) {
        let prefetch = 1 + usize::try_from(self.random.below(5)).unwrap();
        let consumer = ConsumerToBe::of(self.broker, queue).prefetch(prefetch).starts();
        for _ in 0..self.random.below(6) {
            for entry in consumer.sink.take(|_| true) {
                let outcome = self.settle(&entry);
                consumer.settle(vec![entry], outcome);
            }
        }
        consumer.cancels();
        consumer.settle(consumer.sink.take(|_| true), Outcome::Requeued(Return::Failed));
    }

    /// Rejects a message and publishes one, as tx.commit does.
    fn transact(&mut self, queue: &Arc<Queue>) {
        let Some((entry, _)) = turn(self.broker, |turn| queue.get(false, turn).message()) else {
            return;
        };
        let (name, message) = self.message();
        let other = Arc::clone(self.random.of(self.queues));
        turn(self.broker, |turn| {
            let _whole = self.broker.inbox().gate().share();
            other.enqueue_regardless(&mut vec![message], turn);
            queue.settle(vec![entry], Outcome::Rejected, &[], turn);
            self.broker.place_dead_letters(turn);
        });
        self.accepted.push(name);
    }

    /// As policies do.
    fn change_settings(&mut self) {
        let queue = self.queues.last().unwrap();
        let overflow = *self.random.of(&[
            Overflow::DropHead,
            Overflow::RejectPublish,
            Overflow::RejectPublishDlx,
        ]);
        let settings = QueueSettings {
            message_ttl_ms: Some(self.random.below(5)).filter(|ms| *ms > 0),
            max_length: Some(self.random.below(20)).filter(|length| *length > 2),
            overflow,
            ..QueueSettings::of(&queue.options)
        };
        turn(self.broker, |turn| queue.apply_settings(settings, turn));
    }
}

/// Time passes, and the timer does its work.
fn tick(broker: &Broker, ms: u64) {
    broker.clock().advance(Duration::from_millis(ms));
    while turn(broker, |turn| broker.look_at_due(turn)) {}
}

/// Commit cycles until told to stop. After each one, every message is on the disk at most once.
fn commit_until(broker: &Broker, stop: &AtomicBool) -> Disk {
    let mut disk = Disk::default();
    loop {
        let last = stop.load(Ordering::Acquire);
        disk.cycle(broker);
        let mut names: Vec<&str> = disk.names().collect();
        names.sort_unstable();
        assert_eq!(names.windows(2).find(|pair| pair[0] == pair[1]), None, "twice on the disk");
        if last {
            return disk;
        }
    }
}

fn drain(queue: &Arc<Queue>, turn: &mut Turn) -> Vec<Entry> {
    std::iter::from_fn(|| queue.get(false, turn).message()).map(|(entry, _)| entry).collect()
}

#[test]
fn whatever_moves_is_in_one_place() {
    let steps = std::env::var("MOVES").map_or(STEPS, |steps| steps.parse().unwrap());
    let host = HostUnderTest::new();
    let broker = &host.broker;
    let declare =
        |name: &str, options| created(support::host(broker).declare_queue(name, options, None));
    let queues: Vec<_> =
        sources().into_iter().map(|(name, options)| declare(name, options)).collect();
    let dead = declare("dead", durable());
    let (worked, collected) = (AtomicBool::new(false), AtomicBool::new(false));

    let (workers, disk) = std::thread::scope(|scope| {
        let committer = scope.spawn(|| commit_until(broker, &collected));
        let timer = scope.spawn(|| {
            while !worked.load(Ordering::Acquire) {
                tick(broker, 1);
                std::thread::yield_now();
            }
        });
        let workers = (0..WORKERS).map(|number| Worker {
            broker,
            queues: &queues,
            number,
            next: 0,
            random: Random(0x9e37_79b9_7f4a_7c15 ^ (number + 1)),
            accepted: Vec::new(),
            done: Vec::new(),
        });
        let workers: Vec<_> =
            workers.map(|worker| scope.spawn(move || worker.run(steps))).collect();
        let workers: Vec<_> = workers.into_iter().map(|it| it.join().unwrap()).collect();
        worked.store(true, Ordering::Release);
        timer.join().unwrap();
        // What expires in one queue may wait in the next.
        for _ in &queues {
            tick(broker, 1000);
        }
        collected.store(true, Ordering::Release);
        (workers, committer.join().unwrap())
    });

    assert_eq!((broker.timetable().len(), broker.inbox().unsaved_bytes()), (0, 0));
    check(broker, &workers, queues.iter().chain([&dead]), &disk);
}

fn check<'a>(
    broker: &Broker,
    workers: &[Worker<'_>],
    queues: impl Iterator<Item = &'a Arc<Queue>>,
    disk: &Disk,
) {
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    let mut on_disk = 0;
    for queue in queues {
        let entries = turn(broker, |turn| drain(queue, turn));
        let durable = entries.iter().filter(|entry| entry.durable);
        let durable: BTreeSet<String> = durable.map(|entry| body(&entry.message)).collect();
        assert_eq!(disk.of(queue), durable, "{} on the disk", queue.name);
        on_disk += durable.len();
        for entry in &entries {
            *found.entry(body(&entry.message)).or_default() += 1;
        }
    }
    for name in workers.iter().flat_map(|worker| &worker.done) {
        *found.entry(name.clone()).or_default() += 1;
    }
    let twice: Vec<_> = found.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "twice: {twice:?}");
    let accepted = workers.iter().flat_map(|worker| &worker.accepted);
    let lost: Vec<_> = accepted.filter(|name| !found.contains_key(*name)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert!(on_disk > 100, "too little happened to mean anything");
}
