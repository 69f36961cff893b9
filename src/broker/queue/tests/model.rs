//! Random verbs against sets of positions.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::broker::change::Put;
use crate::broker::tests::support::FakeConsumer;

#[derive(Clone, Debug)]
enum Verb {
    Enqueue { count: usize, persistent: bool },
    Get { no_ack: bool },
    Consume { prefetch: usize, priority: i64 },
    ConsumeUnlimited { no_ack: bool, priority: i64 },
    Cancel(prop::sample::Index),
    Settle { pick: prop::sample::Index, count: usize, requeue: bool },
    SettleGot { requeue: bool },
    Purge,
    Collect,
}

fn verb() -> impl Strategy<Value = Verb> {
    let pick = any::<prop::sample::Index>;
    prop_oneof![
        6 => (1..6_usize, any::<bool>())
            .prop_map(|(count, persistent)| Verb::Enqueue { count, persistent }),
        2 => any::<bool>().prop_map(|no_ack| Verb::Get { no_ack }),
        2 => (1..4_usize, -1..3_i64)
            .prop_map(|(prefetch, priority)| Verb::Consume { prefetch, priority }),
        1 => (any::<bool>(), -1..3_i64)
            .prop_map(|(no_ack, priority)| Verb::ConsumeUnlimited { no_ack, priority }),
        3 => pick().prop_map(Verb::Cancel),
        8 => (pick(), 1..4_usize, any::<bool>())
            .prop_map(|(pick, count, requeue)| Verb::Settle { pick, count, requeue }),
        2 => any::<bool>().prop_map(|requeue| Verb::SettleGot { requeue }),
        1 => Just(Verb::Purge),
        4 => Just(Verb::Collect),
    ]
}

/// What must be true of a durable queue, by position.
#[derive(Default)]
struct Model {
    enqueued: u64,
    persistent: BTreeSet<u64>,
    settled: BTreeSet<u64>,
    seen: BTreeSet<u64>,
    /// Puts that were not collected.
    pending: BTreeMap<u64, usize>,
    disk: BTreeSet<u64>,
    disk_delivered: Option<u64>,
}

impl Model {
    fn settles(&mut self, position: u64) {
        assert!(self.settled.insert(position), "{position} was settled twice");
        self.pending.remove(&position);
    }

    /// Entries that came to a consumer in one verb.
    fn sees(&mut self, entry: &Entry, no_ack: bool) {
        let position = entry.position.0;
        assert_eq!(entry.redelivered, self.seen.contains(&position), "redelivered {position}");
        assert_eq!(entry.durable, self.persistent.contains(&position), "durable {position}");
        self.seen.insert(position);
        if no_ack {
            self.settles(position);
        }
    }

    fn collects(&mut self, changes: &QueueChanges) {
        for Put { position, .. } in &changes.puts {
            assert!(self.pending.remove(&position.0).is_some(), "{position:?} was not pending");
            assert!(self.disk.insert(position.0), "{position:?} was put twice");
        }
        assert!(self.pending.is_empty(), "not collected: {:?}", self.pending);
        for position in &changes.gone {
            assert!(self.disk.remove(&position.0), "{position:?} is gone but was never put");
        }
        self.disk_delivered = self.disk_delivered.max(changes.delivered.map(|to| to.0));
        let live: BTreeSet<u64> = self.persistent.difference(&self.settled).copied().collect();
        assert_eq!(self.disk, live, "the disk has what lives");
        let seen = live.intersection(&self.seen).max().copied();
        assert!(seen <= self.disk_delivered, "{seen:?} was seen and that is not recorded");
    }
}

/// A consumer and how it was started.
struct Client<'a> {
    consumer: FakeConsumer<'a>,
    no_ack: bool,
    priority: i64,
}

/// The queue, its clients and the model beside it.
struct Trial<'a> {
    queue: &'a QueueUnderTest,
    /// In the order in which they came.
    consumers: Vec<Client<'a>>,
    /// Cancelled consumers that still have something.
    retired: Vec<FakeConsumer<'a>>,
    got: Vec<Entry>,
    model: Model,
}

impl<'a> Trial<'a> {
    fn of(queue: &'a QueueUnderTest) -> Self {
        let model = Model::default();
        Self { queue, consumers: Vec::new(), retired: Vec::new(), got: Vec::new(), model }
    }

    fn perform(&mut self, verb: &Verb) {
        match verb {
            Verb::Enqueue { count, persistent } => self.enqueue(*count, *persistent),
            Verb::Get { no_ack } => {
                if let Some((entry, left)) = self.queue.get(*no_ack) {
                    assert_eq!(left, self.queue.counts().0);
                    self.model.sees(&entry, *no_ack);
                    self.got.extend((!no_ack).then_some(entry));
                }
            }
            Verb::Consume { prefetch, priority } => {
                let consumer = self.queue.consumer().prefetch(*prefetch);
                self.consume(consumer, false, *priority);
            }
            Verb::ConsumeUnlimited { no_ack: true, priority } => {
                self.consume(self.queue.consumer().no_ack(), true, *priority);
            }
            Verb::ConsumeUnlimited { no_ack: false, priority } => {
                self.consume(self.queue.consumer(), false, *priority);
            }
            Verb::Cancel(pick) => self.cancel(*pick),
            Verb::Settle { pick, count, requeue } => self.settle(*pick, *count, *requeue),
            Verb::SettleGot { requeue } => {
                let got = std::mem::take(&mut self.got);
                self.note_settled(&got, *requeue);
                self.queue.settle(got, outcome(*requeue));
            }
            Verb::Purge => self.purge(),
            Verb::Collect => self.collect(),
        }
        self.check();
    }

    fn enqueue(&mut self, count: usize, persistent: bool) {
        let names: Vec<String> = (0..count).map(|n| "x".repeat(n + 1)).collect();
        for name in &names {
            if persistent {
                self.model.persistent.insert(self.model.enqueued);
                self.model.pending.insert(self.model.enqueued, name.len());
            }
            self.model.enqueued += 1;
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.queue.takes_in(&names, persistent);
    }

    fn consume(&mut self, consumer: ConsumerToBe<'a>, no_ack: bool, priority: i64) {
        let consumer = consumer.priority(priority).starts();
        self.consumers.push(Client { consumer, no_ack, priority });
    }

    fn cancel(&mut self, pick: prop::sample::Index) {
        if self.consumers.is_empty() {
            return;
        }
        let at = pick.index(self.consumers.len());
        let Client { consumer, .. } = self.consumers.remove(at);
        consumer.cancels();
        self.retired.push(consumer);
        if at == 0 && self.queue.queue.options.single_active_consumer {
            self.next_in_front();
        }
    }

    /// Of those who wait for the single active one to go, the first of the highest priority is next.
    fn next_in_front(&mut self) {
        let Some(highest) = self.consumers.iter().map(|client| client.priority).max() else {
            return;
        };
        let next = self.consumers.iter().position(|client| client.priority == highest).unwrap();
        let next = self.consumers.remove(next);
        self.consumers.insert(0, next);
    }

    fn settle(&mut self, pick: prop::sample::Index, count: usize, requeue: bool) {
        let active = self.consumers.iter().map(|client| &client.consumer);
        let busy: Vec<_> = active
            .chain(&self.retired)
            .filter(|consumer| !consumer.sink.unsettled().is_empty())
            .collect();
        if busy.is_empty() {
            return;
        }
        let consumer = busy[pick.index(busy.len())];
        let unsettled = consumer.sink.unsettled();
        let start = pick.index(unsettled.len());
        let chosen: Vec<_> = unsettled.into_iter().skip(start).take(count).collect();
        let entries = consumer.sink.take(|entry| chosen.contains(&entry.position));
        consumer.settle(entries.clone(), outcome(requeue));
        self.note_settled(&entries, requeue);
    }

    fn note_settled(&mut self, entries: &[Entry], requeue: bool) {
        for entry in entries.iter().filter(|_| !requeue) {
            self.model.settles(entry.position.0);
        }
    }

    fn purge(&mut self) {
        let ready = self.ready();
        assert_eq!(self.queue.purge(), ready.len());
        for position in ready {
            self.model.settles(position);
        }
    }

    fn collect(&mut self) {
        let hands = self.queue.hands();
        let changes = self.queue.queue.collect();
        let nothing =
            changes.puts.is_empty() && changes.gone.is_empty() && changes.delivered.is_none();
        assert!(hands == 1 || (hands == 0 && nothing), "{hands} hands for {changes:?}");
        self.model.collects(&changes);
    }

    /// Positions that are neither settled nor with a client.
    fn ready(&self) -> BTreeSet<u64> {
        let unacked = self.unacked();
        (0..self.model.enqueued)
            .filter(|position| !self.model.settled.contains(position))
            .filter(|position| !unacked.contains(position))
            .collect()
    }

    fn unacked(&self) -> BTreeSet<u64> {
        let active = self.consumers.iter().map(|client| &client.consumer);
        let consumed = active.chain(&self.retired).flat_map(|one| one.sink.unsettled());
        consumed.chain(self.got.iter().map(|entry| entry.position)).map(|at| at.0).collect()
    }

    fn check(&mut self) {
        let mut arrived = Vec::new();
        let mut served = vec![false; self.consumers.len()];
        for (client, served) in self.consumers.iter().zip(&mut served) {
            for entry in client.consumer.sink.arrived() {
                self.model.sees(&entry, client.no_ack);
                arrived.push(entry.position.0);
                *served = true;
            }
        }
        self.check_turns(&served);
        let ready = self.ready();
        assert_eq!(self.queue.counts(), (ready.len(), self.consumers.len()));
        let first = ready.first().copied().unwrap_or(u64::MAX);
        assert!(arrived.iter().all(|position| *position < first), "overtaken: {first}");
        let idle = self.candidates().iter().any(|client| client.consumer.sink.has_credit());
        assert!(ready.is_empty() || !idle, "a consumer waits while {ready:?} are ready");
        let pending: usize = self.model.pending.values().sum();
        assert_eq!(self.queue.broker.inbox().unsaved_bytes(), pending);
    }

    /// Those who may be served: all, or the first if there is to be a single one.
    fn candidates(&self) -> &[Client<'a>] {
        let single = self.queue.queue.options.single_active_consumer;
        let count = if single { self.consumers.len().min(1) } else { self.consumers.len() };
        &self.consumers[..count]
    }

    /// Credit only falls while messages are handed out: who has some left was not passed over.
    fn check_turns(&self, served: &[bool]) {
        let candidates = self.candidates();
        let idle = candidates.iter().filter(|client| client.consumer.sink.has_credit());
        let highest = idle.map(|client| client.priority).max();
        for (at, _) in served.iter().enumerate().filter(|(_, served)| **served) {
            assert!(at < candidates.len(), "consumer {at} was served before its time");
            assert!(Some(candidates[at].priority) >= highest, "{highest:?} was passed over");
        }
    }
}

fn outcome(requeue: bool) -> Outcome {
    if requeue { Outcome::Requeued(Return::Failed) } else { Outcome::Settled }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Ready, unacked and settled are all that was enqueued; order is position; nobody is passed over; and
    /// what the committer collected is what would be found after a restart.
    #[test]
    fn a_queue_is_three_sets_of_positions(
        verbs in prop::collection::vec(verb(), 1..80),
        single_active_consumer: bool,
    ) {
        let queue = QueueUnderTest::new(QueueOptions { single_active_consumer, ..support::durable() });
        let mut trial = Trial::of(&queue);
        for verb in &verbs {
            trial.perform(verb);
        }
        trial.collect();
        let left = trial.ready();
        // The last first, so that nobody moves up.
        for client in trial.consumers.drain(..).rev() {
            client.consumer.cancels();
        }
        let rest: Vec<u64> =
            std::iter::from_fn(|| queue.get(true)).map(|(entry, _)| entry.position.0).collect();
        prop_assert_eq!(rest, left.into_iter().collect::<Vec<_>>());
    }
}
