//! The promise, kept: brokers that are stopped, killed and cut off from power, and what is there after.

mod clocks;
mod crash;
mod entries;
mod flips;
mod moves;
mod paging;
mod power;
mod reclaim;
mod restart;
mod size;
mod space;
mod spill;
mod threads;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use amq_protocol::types::FieldTable;
use bytes::Bytes;

use super::{
    Checkpointed, DurabilityOptions, Located, LogState, Recovered, RecoveryReport, Stepped, Store,
    recover,
};
use crate::broker::Broker;
use crate::broker::commit_inbox::{Awaiting, Mark};
use crate::broker::delivery::{Entry, QueueId};
use crate::broker::message::{Layout, Message};
use crate::broker::options::QueueOptions;
use crate::broker::queue::{DeleteIf, Got, Outcome, Queue};
use crate::broker::vhost::VHost;
use crate::clock::Clock;
use crate::store::{Checkpoint, Log, LogPosition, MemoryStore, StoreError, StoredLog};

/// Somebody who waits for changes to be durable, and remembers how far they are.
#[derive(Debug, Default)]
struct Collector {
    committed: AtomicU64,
}

impl Collector {
    fn committed(&self) -> u64 {
        self.committed.load(Ordering::SeqCst)
    }
}

impl Awaiting for Collector {
    fn committed(&self, sequence: u64, _: &mut Vec<Waker>) {
        let before = self.committed.swap(sequence, Ordering::SeqCst);
        assert!(before <= sequence, "marks are released in the order they were left");
    }
}

/// A broker whose committer and checkpointer move only when told to.
struct Node {
    broker: Arc<Broker>,
    stepped: Stepped,
    report: RecoveryReport,
    collector: Arc<Collector>,
    marks: u64,
}

impl Node {
    fn on(store: &MemoryStore) -> Self {
        Self::recovered(store.log(), store.checkpoint(), &|log| log)
    }

    /// `wrap` may put itself between the committer and the log.
    fn recovered(
        log: Box<dyn StoredLog>,
        checkpoint: Box<dyn Checkpoint>,
        wrap: &dyn Fn(Box<dyn Log>) -> Box<dyn Log>,
    ) -> Self {
        Self::recovered_at(log, checkpoint, Arc::new(Clock::manual()), wrap)
    }

    fn recovered_at(
        log: Box<dyn StoredLog>,
        checkpoint: Box<dyn Checkpoint>,
        clock: Arc<Clock>,
        wrap: &dyn Fn(Box<dyn Log>) -> Box<dyn Log>,
    ) -> Self {
        Self::recovered_with(log, checkpoint, clock, wrap, DurabilityOptions::default())
    }

    fn recovered_with(
        log: Box<dyn StoredLog>,
        checkpoint: Box<dyn Checkpoint>,
        clock: Arc<Clock>,
        wrap: &dyn Fn(Box<dyn Log>) -> Box<dyn Log>,
        options: DurabilityOptions,
    ) -> Self {
        let recovered = recover(log, &*checkpoint, &["/".to_owned()], clock).unwrap();
        let Recovered { broker, log, mut state, report } = recovered;
        // What a checkpoint has leaves memory at once.
        state.pool.keep(0);
        let store = Store { log: wrap(log), checkpoint, state };
        let broker = Arc::new(broker);
        broker.paging().set_budget(0);
        let stepped = Stepped::new(&broker, store, options);
        Self { broker, stepped, report, collector: Arc::default(), marks: 0 }
    }

    fn vhost(&self) -> Arc<VHost> {
        self.broker.vhost("/").unwrap()
    }

    fn declare(&self, name: &str) -> Arc<Queue> {
        declare(&self.broker, name)
    }

    fn queue(&self, name: &str) -> Arc<Queue> {
        self.vhost().queue(name).unwrap()
    }

    fn delete(&self, queue: &Arc<Queue>) {
        let mut turn = self.broker.begin_turn();
        self.vhost().delete_queue(queue, DeleteIf::default(), &mut turn).unwrap();
        turn.finish(&self.broker);
    }

    fn publish(&self, queues: &[&Arc<Queue>], body: &str) {
        publish(&self.broker, queues, &message(body, queues.len() > 1));
    }

    /// Takes the first message of a queue, to be settled.
    fn get(&self, queue: &Arc<Queue>) -> Option<Entry> {
        loop {
            let mut turn = self.broker.begin_turn();
            let got = queue.get(false, &mut turn);
            turn.finish(&self.broker);
            match got {
                Got::Message(entry, _) => return Some(entry),
                Got::Empty => return None,
                Got::Stored => assert!(self.stepped.page().unwrap(), "what is next is wanted"),
            }
        }
    }

    fn settle(&self, queue: &Arc<Queue>, entry: Entry, outcome: Outcome) {
        let mut turn = self.broker.begin_turn();
        queue.settle(vec![entry], outcome, &[], &mut turn);
        turn.finish(&self.broker);
    }

    fn take_first(&self, queue: &Arc<Queue>) {
        let entry = self.get(queue).unwrap();
        self.settle(queue, entry, Outcome::Settled);
    }

    /// Leaves a mark for everything so far. Returns its number.
    fn mark(&mut self) -> u64 {
        self.marks += 1;
        leave_mark(&self.broker, &self.collector, self.marks);
        self.marks
    }

    /// One commit cycle; returns what it wrote to the log.
    fn commit(&mut self) -> u64 {
        self.stepped.commit().unwrap()
    }

    /// A commit cycle somebody waits for.
    fn commit_marked(&mut self) {
        let mark = self.mark();
        self.commit();
        assert_eq!(self.collector.committed(), mark);
    }

    fn checkpoint(&mut self) {
        self.stepped.sync().unwrap();
        assert_eq!(self.stepped.checkpoint().unwrap(), Checkpointed::Done);
        self.commit();
    }

    /// Places of the entries that the log knows.
    fn live(&self) -> BTreeSet<(u64, u64)> {
        live(&self.shared.tail.lock().state)
    }

    /// Bodies in each queue, in order.
    fn bodies(&self) -> BTreeMap<String, Vec<String>> {
        bodies(self)
    }
}

/// Tests that look closely do parts of a step by themselves.
impl Deref for Node {
    type Target = Stepped;

    fn deref(&self) -> &Stepped {
        &self.stepped
    }
}

impl DerefMut for Node {
    fn deref_mut(&mut self) -> &mut Stepped {
        &mut self.stepped
    }
}

fn declare(broker: &Broker, name: &str) -> Arc<Queue> {
    let options = QueueOptions { durable: true, ..QueueOptions::default() };
    broker.vhost("/").unwrap().declare_queue(name, options, None).thing().unwrap()
}

fn message(body: &str, is_shared: bool) -> Arc<Message> {
    let layout = Layout { exchange: 2, routing_key: 3, header: 2 };
    let blob = Bytes::from([b"exkey\0\0", body.as_bytes()].concat());
    Arc::new(Message::new(blob, layout, true, is_shared).unwrap())
}

fn publish(broker: &Broker, queues: &[&Arc<Queue>], message: &Arc<Message>) {
    let mut turn = broker.begin_turn();
    {
        let _together = broker.inbox().gate().share();
        for queue in queues {
            queue.enqueue(&mut vec![Arc::clone(message)], &mut turn);
        }
    }
    turn.finish(broker);
}

fn leave_mark(broker: &Broker, who: &Arc<Collector>, sequence: u64) {
    let mut turn = broker.begin_turn();
    let who: Arc<Collector> = Arc::clone(who);
    turn.leave_mark(Mark { who, sequence });
    turn.finish(broker);
}

/// Takes every message out of every queue, for a broker that is looked at for the last time.
fn drain(node: &Node) -> BTreeMap<String, Vec<Entry>> {
    let queues = node.vhost().queues().into_iter();
    let all = |queue: &Arc<Queue>| std::iter::from_fn(|| node.get(queue)).collect();
    queues.map(|queue| (queue.name.to_string(), all(&queue))).collect()
}

fn body(entry: &Entry) -> String {
    String::from_utf8(entry.message.body().to_vec()).unwrap()
}

fn bodies(node: &Node) -> BTreeMap<String, Vec<String>> {
    let all = drain(node).into_iter();
    all.map(|(queue, entries)| (queue, entries.iter().map(body).collect())).collect()
}

/// What a restart on this store finds: bodies in each queue, in order.
fn bodies_after_restart(store: &MemoryStore) -> BTreeMap<String, Vec<String>> {
    Node::on(store).bodies()
}

fn queues(all: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let owned = |bodies: &[&str]| bodies.iter().map(|&body| body.to_owned()).collect();
    all.iter().map(|&(queue, bodies)| (queue.to_owned(), owned(bodies))).collect()
}

fn no_arguments() -> FieldTable {
    FieldTable::default()
}

/// Positions of the entries in all queues of a state.
fn live(state: &LogState) -> BTreeSet<(u64, u64)> {
    let place = |entry: Result<(QueueId, Located), StoreError>| {
        let (queue, located) = entry.unwrap();
        (queue.0, located.position.0)
    };
    state.entries().map(place).collect()
}
