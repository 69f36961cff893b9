//! The promises of a queue, in its own words.

mod consumers;
mod dead_letters;
mod deliveries;
mod durable;
mod expiry;
mod length;
mod model;
mod priorities;
mod quorum;
mod retry;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::broker::Broker;
use crate::broker::tests::support::{
    self, ConsumerToBe, Properties, bodies, broker, created, host, message, message_with, turn,
    work,
};

/// A queue of its own broker. Messages go by the names that are their bodies.
struct QueueUnderTest {
    broker: Broker,
    queue: Arc<Queue>,
}

impl QueueUnderTest {
    fn new(options: QueueOptions) -> Self {
        let broker = broker();
        let queue = created(host(&broker).declare_queue("queue", options, None));
        Self { broker, queue }
    }

    /// A queue that does not survive a restart, with these messages.
    fn with_messages<const N: usize>(names: [&str; N]) -> Self {
        let queue = Self::new(QueueOptions::default());
        queue.enqueues(names);
        queue
    }

    /// An empty durable queue.
    fn durable() -> Self {
        Self::new(support::durable())
    }

    /// A durable queue as it is after a restart: positions from 0, seen up to `delivered`.
    fn restored(names: &[&str], delivered: Option<u64>) -> Self {
        let entries = (0..).zip(names).map(|(at, name)| restored_entry(at, message(name, true)));
        Self::restored_with(broker(), entries.collect(), delivered.map(Position))
    }

    /// The same with these entries, whose positions are the first there are.
    fn restored_with(
        broker: Broker,
        entries: Vec<RestoredEntry>,
        delivered: Option<Position>,
    ) -> Self {
        let next_position = entries.len() as u64;
        let content = QueueContent { entries, next_position, delivered, ..QueueContent::default() };
        let identity = QueueIdentity {
            id: QueueId(7),
            name: Arc::from("queue"),
            vhost: Arc::from("/"),
            options: support::durable(),
            owner: None,
        };
        host(&broker).restore_queue(identity, content);
        let queue = host(&broker).queue("queue").unwrap();
        Self { broker, queue }
    }

    /// Enqueues one message with properties.
    fn takes_one(&self, name: &str, properties: Properties<'_>) {
        let mut messages = vec![message_with(name, properties)];
        turn(&self.broker, |turn| self.queue.enqueue(&mut messages, turn));
    }

    /// Enqueues a message that expires after so many milliseconds.
    fn takes_for(&self, expiration: &str, name: &str) {
        self.takes_one(name, Properties { expiration: Some(expiration), ..Properties::default() });
    }

    /// Time passes, and the timer does its work.
    fn after_ms(&self, ms: u64) {
        self.broker.clock().advance(Duration::from_millis(ms));
        while turn(&self.broker, |turn| self.broker.look_at_due(turn)) {}
    }

    fn enqueues<const N: usize>(&self, names: [&str; N]) {
        self.takes_in(&names, false);
    }

    /// Enqueues persistent messages.
    fn keeps<const N: usize>(&self, names: [&str; N]) {
        self.takes_in(&names, true);
    }

    fn takes_in(&self, names: &[&str], persistent: bool) {
        let mut messages = names.iter().map(|name| message(name, persistent)).collect();
        turn(&self.broker, |turn| self.queue.enqueue(&mut messages, turn));
        assert!(messages.is_empty());
    }

    fn consumer(&self) -> ConsumerToBe<'_> {
        ConsumerToBe::of(&self.broker, &self.queue)
    }

    fn get(&self, no_ack: bool) -> Option<(Entry, usize)> {
        turn(&self.broker, |turn| self.queue.get(no_ack, turn).message())
    }

    fn settle(&self, entries: Vec<Entry>, outcome: Outcome) {
        turn(&self.broker, |turn| self.queue.settle(entries, outcome, &[], turn));
    }

    fn purge(&self) -> usize {
        turn(&self.broker, |turn| self.queue.purge(turn))
    }

    fn deletes(&self, condition: DeleteIf) -> Result<usize, BrokerError> {
        turn(&self.broker, |turn| host(&self.broker).delete_queue(&self.queue, condition, turn))
    }

    /// Takes out everything that is ready, and says what it was.
    fn ready(&self) -> Vec<String> {
        let entries: Vec<Entry> =
            std::iter::from_fn(|| self.get(true)).map(|(entry, _)| entry).collect();
        bodies(&entries)
    }

    fn counts(&self) -> (usize, usize) {
        let QueueCounts { ready, consumers } = self.queue.counts();
        (ready, consumers)
    }

    /// How many hands the queue has raised since the last look.
    fn hands(&self) -> usize {
        work(self.broker.inbox()).queues.len()
    }

    fn collects(&self) -> Collected {
        let QueueChanges { queue, puts, gone, delivered, .. } = self.queue.collect();
        assert_eq!(queue, self.queue.id);
        Collected {
            puts: puts.iter().map(|put| support::body(&put.message)).collect(),
            gone: gone.iter().map(|position| position.0).collect(),
            delivered: delivered.map(|position| position.0),
        }
    }
}

/// An entry of a restored queue that does not expire and never came back.
fn restored_entry(position: u64, message: Arc<Message>) -> RestoredEntry {
    let retries = Retries::default();
    RestoredEntry { position: Position(position), message, expires_at_ms: None, retries }
}

/// What the committer would write: messages by name, the rest by position.
#[derive(Debug, Default, PartialEq, Eq)]
struct Collected {
    puts: Vec<String>,
    gone: Vec<u64>,
    delivered: Option<u64>,
}

fn puts<const N: usize>(names: [&str; N]) -> Collected {
    Collected { puts: names.map(str::to_owned).to_vec(), ..Collected::default() }
}
