//! Machines whose clock is wrong after a restart, and disks that take seconds for a sync.

use std::path::Path;
use std::task::Context;

use amq_protocol::types::AMQPValue;

use super::*;
use crate::broker::retry::{self, Return};
use crate::store::{Disk, FaultyDisk, Operation, SegmentFiles, SimulatedDisk, Survives};
use crate::sync::{RankedMutex, rank};

const START_MS: u64 = 1_700_000_000_000;
const DAY_MS: i64 = 86_400_000;
const JUMPS: [i64; 6] = [-3 * DAY_MS, -3_600_000, -1, 1, 3_600_000, 3 * DAY_MS];

/// How long a message may wait, or has to wait, in its queue.
const SPAN_MS: u64 = 60_000;
/// How much of that is over when the broker is killed.
const OVER_MS: u64 = 10_000;
const LEFT_MS: u64 = SPAN_MS - OVER_MS;

fn node_at(store: &MemoryStore, unix_ms: u64) -> Node {
    let clock = Arc::new(Clock::manual_since(unix_ms));
    Node::recovered_at(store.log(), store.checkpoint(), clock, &|log| log)
}

fn declare_with(node: &Node, arguments: &[(&str, AMQPValue)]) -> Arc<Queue> {
    let mut table = no_arguments();
    for (name, value) in arguments {
        table.insert((*name).into(), value.clone());
    }
    let options = QueueOptions::read(true, false, false, table);
    node.vhost().declare_queue("q", options, None).thing().unwrap()
}

/// The same queue in another run, a while later by the machine's clock, which has jumped.
fn after_restart(store: &MemoryStore, jump: i64) -> Node {
    let node =
        node_at(&store.crash(Survives::Synced), (START_MS + OVER_MS).saturating_add_signed(jump));
    node.broker.look_at_all();
    node
}

/// Lets time pass and does what is due.
fn pass(node: &Node, milliseconds: u64) {
    node.broker.clock().advance(Duration::from_millis(milliseconds));
    // What is due may have to be read first, and is looked at again then.
    for _ in 0..3 {
        let mut turn = node.broker.begin_turn();
        while node.broker.look_at_due(&mut turn) {}
        turn.finish(&node.broker);
        node.page().unwrap();
    }
}

fn ready(node: &Node) -> usize {
    node.queue("q").counts().ready
}

#[test]
fn a_message_expires_early_or_late_by_no_more_than_the_clock_jumped() {
    for jump in JUMPS {
        let store = MemoryStore::new();
        let mut node = node_at(&store, START_MS);
        let ttl = AMQPValue::LongLongInt(SPAN_MS.try_into().unwrap());
        let queue = declare_with(&node, &[("x-message-ttl", ttl)]);
        node.publish(&[&queue], "body");
        node.commit_marked();
        node.broker.clock().advance(Duration::from_millis(OVER_MS));

        let node = after_restart(&store, jump);
        let early = u64::try_from(jump.max(0)).unwrap();
        let late = u64::try_from(-jump.min(0)).unwrap();
        if let Some(sure) = LEFT_MS.checked_sub(early + 1) {
            pass(&node, sure);
            assert_eq!(ready(&node), 1, "a jump by {jump} ms: too early");
        }
        pass(&node, LEFT_MS + late + early + 1);
        assert_eq!(ready(&node), 0, "a jump by {jump} ms: too late");
    }
}

#[test]
fn a_message_that_waits_for_another_try_comes_whatever_the_clock_does() {
    for jump in JUMPS {
        let store = MemoryStore::new();
        let mut node = node_at(&store, START_MS);
        let span = AMQPValue::LongLongInt(SPAN_MS.try_into().unwrap());
        let arguments = [
            (retry::TYPE, AMQPValue::LongString("all".into())),
            (retry::MIN, span.clone()),
            (retry::MAX, span),
        ];
        let queue = declare_with(&node, &arguments);
        node.publish(&[&queue], "body");
        node.commit_marked();
        let entry = node.get(&queue).unwrap();
        node.settle(&queue, entry, Outcome::Requeued(Return::Failed));
        node.commit_marked();
        node.broker.clock().advance(Duration::from_millis(OVER_MS));

        let node = after_restart(&store, jump);
        pass(&node, LEFT_MS + u64::try_from(-jump.min(0)).unwrap() + 1);

        let entry = node.get(&node.queue("q"));
        assert_eq!(entry.as_ref().map(body).as_deref(), Some("body"), "a jump by {jump} ms");
    }
}

/// Bytes that may be unsaved before publishers wait.
const BOUND: usize = 256 * 1024;
const BODY: usize = 8 * 1024;

/// Publishes until it is told to wait. Returns how many.
fn publish_until_told(broker: &Broker, queue: &Arc<Queue>) -> usize {
    let mut context = Context::from_waker(Waker::noop());
    let mut published = 0;
    while broker.inbox().poll_room(&mut context, BOUND).is_ready() {
        publish(broker, &[queue], &message(&"x".repeat(BODY), false));
        published += 1;
        assert!(published <= BOUND / BODY + 1, "nobody said wait");
    }
    published
}

#[test]
fn while_a_disk_takes_seconds_for_a_sync_memory_is_bounded_and_confirms_are_only_late() {
    type Publisher = Option<(Arc<Broker>, Arc<Queue>)>;
    let publisher: Arc<RankedMutex<{ rank::LEAF }, Publisher>> = Arc::default();
    let (published, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let disk = SimulatedDisk::new();
    let slow: Arc<dyn Disk> = {
        let (publisher, published) = (Arc::clone(&publisher), Arc::clone(&published));
        let most = Arc::clone(&most);
        Arc::new(FaultyDisk::new(Arc::new(disk.clone()), move |operation, _| {
            let at_work = publisher.lock().clone();
            let (broker, queue) = at_work.filter(|_| operation == Operation::Sync)?;
            // Meanwhile the world goes on.
            let count = publish_until_told(&broker, &queue) as u64;
            let seconds = 1 + published.fetch_add(count, Ordering::SeqCst) % 5;
            most.fetch_max(broker.inbox().unsaved_bytes() as u64, Ordering::SeqCst);
            broker.clock().advance(Duration::from_secs(seconds));
            None
        }))
    };
    let log = |disk: &Arc<dyn Disk>| {
        Box::new(SegmentFiles::new(Arc::clone(disk), Path::new("/log").to_owned()))
    };
    let memory = MemoryStore::new();
    let mut node = Node::recovered(log(&slow), memory.checkpoint(), &|log| log);
    let queue = node.declare("q");
    node.commit_marked();
    *publisher.lock() = Some((Arc::clone(&node.broker), Arc::clone(&queue)));
    let start = node.broker.clock().now();
    for _ in 0..30 {
        let before = node.broker.clock().now();
        node.publish(&[&queue], &"x".repeat(BODY));
        published.fetch_add(1, Ordering::SeqCst);
        node.commit_marked();
        assert!(node.broker.clock().now() > before, "the confirm came after the sync");
    }
    *publisher.lock() = None;
    node.commit_marked();

    let (published, most) = (published.load(Ordering::SeqCst), most.load(Ordering::SeqCst));
    let took = node.broker.clock().now().saturating_duration_since(start);
    println!("{published} confirmed in {took:?} of syncs, {most} bytes unsaved at most, lost 0");
    assert!(published > (10 * BOUND / BODY) as u64, "others published meanwhile");
    assert!(most <= 2 * (BOUND + 2 * BODY) as u64, "{most} bytes were unsaved");
    assert_eq!(node.broker.inbox().unsaved_bytes(), 0);
    let after: Arc<dyn Disk> = Arc::new(disk.power_cut(&mut || false));
    let restarted = Node::recovered(log(&after), memory.checkpoint(), &|log| log);
    assert_eq!(restarted.queue("q").counts().ready as u64, published);
}
