//! Messages that leave memory: they come back where they were, as they were, and nothing else does.

mod faults;
mod limited;
mod restarts;
mod returned;

use amq_protocol::types::AMQPValue;

use super::*;
use crate::broker::delivery::{Absent, ConnectionId, ConsumerSlot, DeliverySink, Refusal};
use crate::broker::queue::{Consumer, ConsumerId, Page};
use crate::broker::retry::Return;
use crate::broker::turn::Turn;
use crate::limits;
use crate::sync::{RankedMutex, rank};

const BACK: Outcome = Outcome::Requeued(Return::Returned);

/// Arguments of a queue.
type Arguments<'a> = &'a [(&'a str, AMQPValue)];

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

/// What is given up in a queue with these goes to the queue `dead`.
fn to_dead() -> [(&'static str, AMQPValue); 2] {
    [("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text("dead"))]
}

fn declare_with(node: &Node, name: &str, arguments: Arguments<'_>) -> Arc<Queue> {
    let mut table = no_arguments();
    for (key, value) in arguments {
        table.insert((*key).into(), value.clone());
    }
    let options = QueueOptions::read(true, false, false, table);
    node.vhost().declare_queue(name, options, None).thing().unwrap()
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn publish_all(node: &Node, queue: &Arc<Queue>, bodies: &[String]) {
    for body in bodies {
        node.publish(&[queue], body);
    }
}

/// A message with a priority, and nothing else but its body.
fn important(body: &str, priority: u8) -> Arc<Message> {
    let layout = Layout { exchange: 0, routing_key: 0, header: 3 };
    let blob = [&[1 << 3, 0, priority][..], body.as_bytes()].concat();
    Arc::new(Message::new(Bytes::from(blob), layout, true, false).unwrap())
}

/// All of the queue is on disk, and nothing of it in memory.
fn leave_memory(node: &mut Node, queue: &Arc<Queue>) {
    node.commit_marked();
    node.page().unwrap();
    assert_eq!(queue.resident_bytes(), 0);
}

/// The timer and the pager work until there is nothing left to do.
fn settle_down(node: &Node) {
    for _ in 0..1000 {
        let mut turn = node.broker.begin_turn();
        let is_more = node.broker.look_at_due(&mut turn);
        turn.finish(&node.broker);
        if !node.page().unwrap() && !is_more {
            return;
        }
    }
    panic!("it never comes to rest");
}

fn take(node: &Node, queue: &Arc<Queue>, count: usize) -> Vec<Entry> {
    (0..count).map(|_| node.get(queue).unwrap()).collect()
}

/// Settles entries of which nobody has kept the messages.
fn settle_absent(node: &Node, queue: &Arc<Queue>, entries: &[Entry], outcome: Outcome) {
    let mut turn = node.broker.begin_turn();
    queue.settle_absent(entries.iter().map(Absent::of).collect(), outcome, &mut turn);
    turn.finish(&node.broker);
}

fn purge(node: &Node, queue: &Arc<Queue>) -> usize {
    let mut turn = node.broker.begin_turn();
    let purged = queue.purge(&mut turn);
    turn.finish(&node.broker);
    purged
}

fn next_page(node: &Node, queue: &Arc<Queue>) -> Page {
    let mut turn = node.broker.begin_turn();
    let page = queue.next_page(&mut turn);
    turn.finish(&node.broker);
    page
}

fn get_once(node: &Node, queue: &Arc<Queue>) -> Got {
    let mut turn = node.broker.begin_turn();
    let got = queue.get(false, &mut turn);
    turn.finish(&node.broker);
    got
}

/// A client that takes so many messages and no more.
struct Taker {
    left: AtomicU64,
    taken: RankedMutex<{ rank::OUTBOX }, Vec<Entry>>,
}

impl Taker {
    fn of(count: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(count), taken: RankedMutex::default() })
    }

    fn bodies(&self) -> Vec<String> {
        self.taken.lock().iter().map(body).collect()
    }
}

impl DeliverySink for Taker {
    fn deliver(
        &self,
        _: ConsumerSlot,
        offers: &mut dyn Iterator<Item = Entry>,
        _: &mut Turn,
    ) -> Result<(), Refusal> {
        while self.left.load(Ordering::SeqCst) > 0 {
            let Some(entry) = offers.next() else { return Ok(()) };
            self.left.fetch_sub(1, Ordering::SeqCst);
            self.taken.lock().push(entry);
        }
        Err(Refusal::NoCredit)
    }

    fn cancelled(&self, _: ConsumerSlot, _: &mut Turn) {}
}

fn consume(node: &Node, queue: &Arc<Queue>, number: u64, taker: &Arc<Taker>) -> ConsumerId {
    let mut turn = node.broker.begin_turn();
    let (connection, slot) = (ConnectionId(number), ConsumerSlot(0));
    let sink: Arc<dyn DeliverySink> = Arc::clone(taker) as _;
    let id = ConsumerId { connection, slot };
    let consumer = Consumer { id, sink, no_ack: false, exclusive: false, priority: 0 };
    queue.consume(consumer, &mut turn, |_| {}).unwrap();
    turn.finish(&node.broker);
    id
}

#[test]
fn a_backlog_that_left_memory_is_counted_and_comes_back_in_order() {
    let mut node = Node::on(&MemoryStore::new());
    let (queue, all) = (node.declare("q"), numbers(0..3000));
    publish_all(&node, &queue, &all);
    leave_memory(&mut node, &queue);

    assert_eq!(queue.counts().ready, 3000);
    assert_eq!(queue.ready_bytes(), all.iter().map(String::len).sum::<usize>());
    assert_eq!(node.bodies()["q"], all);
    assert_eq!(queue.ready_bytes(), 0);
}

#[test]
fn what_is_published_while_others_are_stored_comes_behind_them() {
    let mut node = Node::on(&MemoryStore::new());
    let (queue, all) = (node.declare("q"), numbers(0..60));
    for some in all.chunks(20) {
        publish_all(&node, &queue, some);
        leave_memory(&mut node, &queue);
        assert_eq!(take(&node, &queue, 5).len(), 5);
    }
    node.publish(&[&queue], "last");

    let expected: Vec<_> = all[15..].iter().cloned().chain(["last".to_owned()]).collect();
    assert_eq!(node.bodies()["q"], expected);
}

#[test]
fn consumers_get_what_is_stored_without_asking() {
    let mut node = Node::on(&MemoryStore::new());
    let (queue, all) = (node.declare("q"), numbers(0..2000));
    publish_all(&node, &queue, &all);
    leave_memory(&mut node, &queue);
    let (first, second) = (Taker::of(500), Taker::of(u64::MAX));
    consume(&node, &queue, 1, &first);
    settle_down(&node);
    assert_eq!(first.bodies(), all[..500]);

    consume(&node, &queue, 2, &second);
    settle_down(&node);

    assert_eq!(second.bodies(), all[500..]);
    assert_eq!(node.broker.paging().resident().durable, 0);
}

#[test]
fn what_many_queues_read_ahead_stays_within_what_may_be_in_memory() {
    const BUDGET: usize = 1024 * 1024;
    let mut node = Node::on(&MemoryStore::new());
    let queues: Vec<_> = (0..32).map(|number| node.declare(&format!("q{number}"))).collect();
    let bodies = vec!["x".repeat(1000); 100];
    for queue in &queues {
        publish_all(&node, queue, &bodies);
    }
    node.commit_marked();
    node.page().unwrap();
    node.broker.paging().set_budget(BUDGET);
    let taken: Vec<_> = queues.iter().map(|_| Taker::of(1)).collect();
    for ((queue, taker), number) in queues.iter().zip(&taken).zip(1..) {
        consume(&node, queue, number, taker);
    }
    settle_down(&node);

    assert!(taken.iter().all(|taker| taker.bodies().len() == 1));
    let resident = node.broker.paging().resident().durable;
    assert!((BUDGET / 4..=BUDGET).contains(&resident), "{resident} bytes are in memory");
    assert_eq!(node.broker.paging().at_hand_bytes(), BUDGET / 2 / queues.len());

    // Who has nothing stored any more leaves the others more.
    for queue in &queues[1..] {
        purge(&node, queue);
    }
    assert_eq!(node.broker.paging().at_hand_bytes(), BUDGET / 2);
    node.delete(&queues[0]);
    node.broker.paging().set_budget(usize::MAX);
    assert_eq!(node.broker.paging().at_hand_bytes(), limits::AT_HAND_BYTES);
}
