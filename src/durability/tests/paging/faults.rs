//! What is not in the log yet, not there any more, damaged, or under way when the queue is emptied.

use std::path::Path;

use super::super::reclaim::Yard;
use super::*;
use crate::broker::change::Put;
use crate::broker::delivery::Position;
use crate::broker::queue::Found;
use crate::durability::pager::Pager;
use crate::store::{Disk, LogReader, SegmentFiles, SimulatedDisk};

fn log_on(disk: &SimulatedDisk) -> Box<dyn StoredLog> {
    let files = SegmentFiles::new(Arc::new(disk.clone()), Path::new("log").to_owned());
    Box::new(files.with_segment_size(64 * 1024))
}

#[test]
fn what_is_not_written_yet_is_not_asked_of_the_log() {
    let mut node = Node::on(&MemoryStore::new());
    let queue = node.declare("q");
    node.commit_marked();
    publish_all(&node, &queue, &numbers(0..3));
    let had = take(&node, &queue, 3);
    settle_absent(&node, &queue, &had, BACK);

    for _ in 0..3 {
        assert!(matches!(get_once(&node, &queue), Got::Stored));
        assert!(matches!(next_page(&node, &queue), Page::NotYet));
        node.page().unwrap();
    }

    node.commit();
    assert_eq!(node.bodies()["q"], numbers(0..3));
    assert_eq!(node.pager.damages(), []);
}

#[test]
fn what_a_full_disk_does_not_take_is_asked_of_the_log_when_there_is_space() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut node = Node::recovered(log_on(&disk), memory.checkpoint(), &|log| log);
    let queue = node.declare("q");
    node.commit_marked();
    disk.set_capacity(Some(0));
    let all: Vec<_> = (0..20).map(|number| format!("{number}{}", "x".repeat(8000))).collect();
    publish_all(&node, &queue, &all);
    let had = take(&node, &queue, 20);
    settle_absent(&node, &queue, &had, BACK);
    assert!(matches!(get_once(&node, &queue), Got::Stored));
    let broker = Arc::clone(&node.broker);

    let commit = std::thread::spawn(move || {
        node.commit();
        node
    });
    // Collected, so the queue knows nothing of it as unsaved any more; but the cycle is not over.
    let asked = || {
        let mut turn = broker.begin_turn();
        let page = queue.next_page(&mut turn);
        turn.finish(&broker);
        page
    };
    for _ in 0..200 {
        assert!(matches!(asked(), Page::NotYet));
        std::thread::park_timeout(Duration::from_millis(1));
    }
    disk.set_capacity(None);
    commit.thread().unpark();
    let node = commit.join().unwrap();

    assert!(matches!(asked(), Page::In(_)));
    assert_eq!(node.bodies()["q"], all);
}

/// Lets something happen before the first read.
struct Interrupted {
    reader: Arc<dyn LogReader>,
    before: RankedMutex<{ rank::LEAF }, Option<Box<dyn FnOnce() + Send>>>,
}

impl LogReader for Interrupted {
    fn read(&self, at: LogPosition, length: u32) -> Result<Bytes, StoreError> {
        let before = self.before.lock().take();
        if let Some(before) = before {
            before();
        }
        self.reader.read(at, length)
    }
}

#[test]
fn a_record_that_moves_between_the_index_and_the_log_is_found_where_it_is_now() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut yard = Yard::on(&disk, &memory);
    let (queue, bodies) = yard.with_sparse_segments();
    yard.node.commit_marked();
    yard.node.page().unwrap();
    let broker = Arc::clone(&yard.node.broker);
    let shared = Arc::clone(&yard.node.shared);
    let reader = Arc::clone(&yard.reader);
    let moves = Box::new(move || {
        assert!(yard.reclaim() > 0, "there is something to move");
        yard.node.checkpoint();
        yard.node.commit();
    });
    let reader = Interrupted { reader, before: RankedMutex::new(Some(moves)) };
    let pager = Pager::new(Arc::clone(&broker), shared, Arc::new(reader));

    let mut found = Vec::new();
    while found.len() < bodies.len() {
        let mut turn = broker.begin_turn();
        let got = queue.get(true, &mut turn);
        turn.finish(&broker);
        match got {
            Got::Message(entry, _) => found.push(body(&entry)),
            Got::Empty => break,
            Got::Stored => drop(pager.work(pager.work_at_hand()).unwrap()),
        }
    }

    assert_eq!(found, bodies);
    assert_eq!(pager.damages(), [], "nobody is told of damage that is none");
}

#[test]
fn a_damaged_record_costs_only_itself() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut node = Node::recovered(log_on(&disk), memory.checkpoint(), &|log| log);
    let (queue, mut all) = (node.declare("q"), numbers(0..20));
    all[7] = "the one that is damaged".to_owned();
    publish_all(&node, &queue, &all);
    node.commit_marked();
    node.checkpoint();
    drop((node, queue));
    let damaged = all.remove(7);
    flip_in(&disk, damaged.as_bytes());

    let node = Node::recovered(log_on(&disk), memory.checkpoint(), &|log| log);
    let queue = node.queue("q");
    node.publish(&[&queue], "new");
    all.push("new".to_owned());

    assert_eq!(node.bodies()["q"], all);
    assert_eq!(node.pager.damages().len(), 1);
    assert_eq!((queue.counts().ready, queue.ready_bytes()), (0, 0));
}

fn flip_in(disk: &SimulatedDisk, needle: &[u8]) {
    for (name, _) in disk.list(Path::new("log")).unwrap() {
        let path = Path::new("log").join(name);
        let mut bytes = disk.contents(&path).unwrap();
        if let Some(at) = bytes.windows(needle.len()).position(|window| window == needle) {
            bytes[at] ^= 1;
            return disk.overwrite(&path, bytes);
        }
    }
    panic!("it is in no file");
}

#[test]
fn what_is_purged_while_it_is_read_does_not_come_back_in_the_place_of_others() {
    let mut node = Node::on(&MemoryStore::new());
    let queue = node.declare("q");
    publish_all(&node, &queue, &["old".to_owned(), "older".to_owned()]);
    leave_memory(&mut node, &queue);
    let consumer = consume(&node, &queue, 1, &Taker::of(0));
    let Page::In(page) = next_page(&node, &queue) else { panic!("it is in the log") };

    let mut turn = node.broker.begin_turn();
    queue.cancel(consumer, &mut turn);
    turn.finish(&node.broker);
    purge(&node, &queue);
    publish_all(&node, &queue, &["new".to_owned(), "newer".to_owned()]);
    leave_memory(&mut node, &queue);
    let put = |(position, body): (u64, &str)| Put {
        position: Position(position),
        message: message(body, false),
        expires_at_ms: None,
    };
    let puts = [(0, "old"), (1, "older")].map(put).to_vec();
    let mut turn = node.broker.begin_turn();
    queue.paged_in(&page, Found { puts, count: 2, up_to: None }, &mut turn);
    turn.finish(&node.broker);

    assert_eq!(node.bodies()["q"], ["new", "newer"]);
}
