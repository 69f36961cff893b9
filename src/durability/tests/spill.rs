//! Messages that need not survive, and are too much for memory.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::broker::retry::Return;
use crate::limits;
use crate::store::{Disk, Fault, FaultyDisk, Operation, SimulatedDisk, SpillArea};

const DIRECTORY: &str = "spill";

/// A broker that may keep no transient message but those at hand, and where it puts them.
struct Spilling {
    node: Node,
    area: SpillArea,
    queue: Arc<Queue>,
}

impl Spilling {
    fn to(disk: impl Disk + 'static) -> Self {
        let area = SpillArea::empty(Arc::new(disk), DIRECTORY.into(), 0).unwrap();
        let node = Node::on(&MemoryStore::new());
        let stepped = node.stepped.spilling_to(area.clone());
        let node = Node { stepped, ..node };
        node.broker.paging().set_transient_budget(0);
        let vhost = node.vhost();
        let queue = vhost.declare_queue("q", QueueOptions::default(), None).thing().unwrap();
        Self { node, area, queue }
    }

    fn publishes(&self, bodies: std::ops::Range<usize>) {
        for body in bodies {
            self.node.publish(&[&self.queue], &text(body));
        }
    }

    /// Lets messages leave memory until no more can.
    fn spills(&self) {
        for _ in 0..1000 {
            let before = self.in_memory();
            self.node.stepped.page().unwrap();
            if self.in_memory() == before {
                return;
            }
        }
        panic!("there is no end to it");
    }

    fn in_memory(&self) -> usize {
        self.node.broker.paging().resident().transient
    }

    fn ready(&self) -> usize {
        self.queue.counts().ready
    }

    fn takes(&self) -> Option<String> {
        let entry = self.node.get(&self.queue)?;
        let body = body(&entry);
        self.node.settle(&self.queue, entry, Outcome::Settled);
        Some(body)
    }

    fn takes_all(&self) -> Vec<String> {
        std::iter::from_fn(|| self.takes()).collect()
    }
}

fn text(body: usize) -> String {
    format!("{body:01000}")
}

fn texts(bodies: std::ops::Range<usize>) -> Vec<String> {
    bodies.map(text).collect()
}

fn files(disk: &SimulatedDisk) -> Vec<(String, u64)> {
    disk.list(Path::new(DIRECTORY)).unwrap()
}

#[test]
fn transient_messages_leave_memory_and_come_back_in_order() {
    let disk = SimulatedDisk::new();
    let spilling = Spilling::to(disk.clone());
    spilling.publishes(0..5000);

    spilling.spills();

    assert_eq!((spilling.in_memory(), spilling.ready()), (0, 5000));
    assert!(files(&disk).iter().map(|(_, bytes)| bytes).sum::<u64>() >= 5_000_000);
    spilling.publishes(5000..5100);
    assert!(spilling.takes_all() == texts(0..5100));
    spilling.node.stepped.page().unwrap();
    assert_eq!(spilling.area.sizes().0, 0);
}

#[test]
fn what_is_spilled_while_it_is_taken_comes_in_order() {
    let spilling = Spilling::to(SimulatedDisk::new());
    let mut taken = Vec::new();
    for round in 0..40 {
        spilling.publishes(round * 100..(round + 1) * 100);
        spilling.node.stepped.page().unwrap();
        taken.extend((0..70).map_while(|_| spilling.takes()));
    }
    taken.extend(spilling.takes_all());
    assert!(taken == texts(0..4000));
}

#[test]
fn what_comes_back_goes_to_its_place_among_what_was_spilled() {
    let spilling = Spilling::to(SimulatedDisk::new());
    spilling.publishes(0..3000);
    let first: Vec<_> = (0..50).map(|_| spilling.node.get(&spilling.queue).unwrap()).collect();
    spilling.spills();
    for entry in first {
        spilling.node.settle(&spilling.queue, entry, Outcome::Requeued(Return::Returned));
        spilling.spills();
    }

    assert!(spilling.takes_all() == texts(0..3000));
}

#[test]
fn a_full_disk_leaves_messages_in_memory_until_there_is_space() {
    let disk = SimulatedDisk::new();
    let spilling = Spilling::to(disk.clone());
    spilling.publishes(0..3000);
    let all = spilling.in_memory();
    disk.set_capacity(Some(1000));

    spilling.spills();
    assert_eq!(spilling.in_memory(), all);
    disk.set_capacity(None);
    spilling.node.broker.clock().advance(limits::DISK_FULL_RETRY);
    spilling.spills();

    assert_eq!(spilling.in_memory(), 0);
    assert!(spilling.takes_all() == texts(0..3000));
}

#[test]
fn damage_costs_what_was_written_there_and_no_more() {
    let disk = SimulatedDisk::new();
    let spilling = Spilling::to(disk.clone());
    spilling.publishes(0..3000);
    spilling.spills();
    let path = Path::new(DIRECTORY).join(&files(&disk)[0].0);
    let mut bytes = disk.contents(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // In place: the area has it open.
    disk.open(&path).unwrap().write_at(&bytes, 0).unwrap();

    let taken = spilling.takes_all();

    assert!(taken.len() < 3000 && taken.len() >= 1900, "{} are left", taken.len());
    assert!(taken.is_sorted());
    assert_eq!((spilling.ready(), spilling.queue.ready_bytes()), (0, 0));
}

#[test]
fn a_file_that_cannot_be_opened_now_is_read_later() {
    let refuses = Arc::new(AtomicBool::new(false));
    let is_refused = Arc::clone(&refuses);
    let disk = FaultyDisk::new(Arc::new(SimulatedDisk::new()), move |operation, _| {
        let is_refused = operation == Operation::Open && is_refused.load(Ordering::SeqCst);
        is_refused.then_some(Fault::Fail(ErrorKind::Other))
    });
    let mut spilling = Spilling::to(disk);
    let body = "x".repeat(1_000_000);
    for _ in 0..100 {
        spilling.node.publish(&[&spilling.queue], &body);
    }
    spilling.spills();
    refuses.store(true, Ordering::SeqCst);
    let mut turn = spilling.node.broker.begin_turn();
    assert!(matches!(spilling.queue.get(false, &mut turn), Got::Stored));
    turn.finish(&spilling.node.broker);
    assert!(spilling.node.stepped.page().unwrap());
    assert_eq!(spilling.ready(), 100);

    refuses.store(false, Ordering::SeqCst);
    spilling.node.commit();

    assert_eq!(spilling.takes_all().len(), 100);
}

#[test]
fn a_purge_gives_the_space_back() {
    let disk = SimulatedDisk::new();
    let spilling = Spilling::to(disk.clone());
    spilling.publishes(0..3000);
    spilling.spills();
    assert!(spilling.area.sizes().0 > 0);

    let mut turn = spilling.node.broker.begin_turn();
    assert_eq!(spilling.queue.purge(&mut turn), 3000);
    turn.finish(&spilling.node.broker);
    spilling.node.stepped.page().unwrap();

    assert_eq!(spilling.area.sizes().0, 0);
}

#[test]
fn a_queue_that_is_deleted_gives_the_space_back() {
    let spilling = Spilling::to(SimulatedDisk::new());
    spilling.publishes(0..3000);
    spilling.spills();

    spilling.node.delete(&spilling.queue);
    spilling.node.stepped.page().unwrap();

    assert_eq!(spilling.area.sizes().0, 0);
}

#[test]
fn what_was_spilled_expires_at_its_time() {
    let spilling = Spilling::to(SimulatedDisk::new());
    let arguments = QueueOptions { message_ttl_ms: Some(60_000), ..QueueOptions::default() };
    let vhost = spilling.node.vhost();
    let queue = vhost.declare_queue("ttl", arguments, None).thing().unwrap();
    let spilling = Spilling { queue, ..spilling };
    spilling.publishes(0..3000);
    spilling.spills();
    assert_eq!(spilling.in_memory(), 0);

    spilling.node.broker.clock().advance(Duration::from_mins(1));
    for _ in 0..100 {
        spilling.node.broker.look_at_all();
        spilling.node.stepped.page().unwrap();
    }

    assert_eq!((spilling.ready(), spilling.in_memory()), (0, 0));
}

#[test]
fn durable_and_transient_messages_of_a_queue_keep_their_order() {
    let spilling = Spilling::to(SimulatedDisk::new());
    let mut spilling = Spilling { queue: spilling.node.declare("mixed"), ..spilling };
    let transient = |at: usize| {
        let layout = Layout { exchange: 2, routing_key: 3, header: 2 };
        let blob = Bytes::from([b"exkey\0\0", text(at).as_bytes()].concat());
        Arc::new(Message::new(blob, layout, false, false).unwrap())
    };
    for at in 0..3000 {
        if at % 3 == 0 {
            spilling.publishes(at..at + 1);
        } else {
            publish(&spilling.node.broker, &[&spilling.queue], &transient(at));
        }
    }
    spilling.node.stepped.sync().unwrap();

    spilling.spills();

    assert_eq!(spilling.node.broker.paging().resident().durable, 0);
    assert_eq!(spilling.in_memory(), 0);
    assert!(spilling.takes_all() == texts(0..3000));
}
