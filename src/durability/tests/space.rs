//! Full disks, failing disks, damaged disks, and a log that gives back what it no longer needs.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::task::Context;

use super::*;
use crate::durability::committer::Stop;
use crate::limits;
use crate::store::{
    Appended, CheckpointBatch, CheckpointReader, Disk, Flush, FrameBuffer, LogReader, PairVisitor,
    SEGMENT_HEADER_AREA, SegmentFiles, SegmentInfo, SimulatedDisk, StoreError,
};

const SEGMENT: u64 = 64 * 1024;

fn log_path() -> &'static Path {
    Path::new("log")
}

/// A node with small segments on a disk that obeys; the checkpoint is in memory.
fn node_on(disk: &SimulatedDisk, memory: &MemoryStore) -> Node {
    Node::recovered(small_segments(disk), memory.checkpoint(), &|log| log)
}

fn small_segments(disk: &SimulatedDisk) -> Box<dyn StoredLog> {
    let files = SegmentFiles::new(Arc::new(disk.clone()), log_path().to_owned());
    Box::new(files.with_segment_size(SEGMENT))
}

fn segment_files(disk: &SimulatedDisk) -> Vec<(String, u64)> {
    let mut files = disk.list(log_path()).unwrap();
    files.sort_unstable();
    files
}

#[test]
fn the_log_stays_small_while_messages_come_and_go() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut node = node_on(&disk, &memory);
    let queue = node.declare("q");
    let body = "x".repeat(8000);
    for round in 0..100 {
        node.publish(&[&queue], &body);
        node.commit();
        node.take_first(&queue);
        node.commit();
        if round % 10 == 0 {
            node.checkpoint();
        }
    }

    // 800,000 bytes went through; a few segments and the pool are left.
    let bytes: u64 = segment_files(&disk).iter().map(|(_, bytes)| bytes).sum();
    assert!(bytes <= SEGMENT * (4 + limits::SEGMENT_POOL as u64), "{bytes} bytes are left");
    assert_eq!(node_on(&disk, &memory).report.messages, 0);
}

#[test]
fn a_message_that_stays_keeps_its_segment_and_no_other() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut node = node_on(&disk, &memory);
    let (slow, fast) = (node.declare("slow"), node.declare("fast"));
    node.publish(&[&slow], "stays");
    node.commit();
    for round in 0..60 {
        node.publish(&[&fast], &"x".repeat(8000));
        node.commit();
        node.take_first(&fast);
        node.commit();
        if round % 10 == 0 {
            node.checkpoint();
        }
    }
    node.checkpoint();
    node.commit_marked();

    let named = |file: &&(String, u64)| !file.0.starts_with("pool");
    assert!(segment_files(&disk).iter().filter(named).count() <= 3);
    let restarted = node_on(&disk, &memory);
    assert_eq!(restarted.report.damages, []);
    assert_eq!(restarted.bodies(), queues(&[("fast", &[]), ("slow", &["stays"])]));
}

/// Counts how often the log found the disk full.
struct Counting {
    log: Box<dyn Log>,
    full: Arc<AtomicU64>,
}

impl Log for Counting {
    fn append(&mut self, batch: &mut FrameBuffer, flush: Flush) -> Result<Appended, StoreError> {
        let appended = self.log.append(batch, flush);
        let is_full = matches!(appended, Err(StoreError::Full { .. }));
        self.full.fetch_add(u64::from(is_full), Ordering::SeqCst);
        appended
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.log.sync()
    }

    fn end(&self) -> LogPosition {
        self.log.end()
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        self.log.reader()
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        self.log.segments()
    }

    fn release(&mut self, before: u64, live: &dyn Fn(u64) -> bool) -> Result<Vec<u64>, StoreError> {
        self.log.release(before, live)
    }
}

fn publishers_wait(node: &Node) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    node.broker.alarms().poll_clear(&mut context).is_pending()
}

#[test]
fn a_disk_that_is_nearly_full_holds_publishers_back_until_acknowledgements_make_space() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    disk.set_capacity(Some(limits::DISK_FREE_LIMIT + 6 * SEGMENT));
    let mut node = node_on(&disk, &memory);
    let queue = node.declare("q");
    let mut published = 0;
    while !publishers_wait(&node) {
        node.publish(&[&queue], &"x".repeat(8000));
        node.commit_marked();
        published += 1;
        assert!(published < 100, "the disk takes no more than 50");
    }
    assert!(published > 10, "held back after {published}");

    // What is under way already still fits, and so do acknowledgements.
    node.publish(&[&queue], "under way");
    node.commit_marked();
    for _ in 0..=published {
        node.take_first(&queue);
    }
    node.commit_marked();
    assert!(publishers_wait(&node), "nothing was released yet");
    node.checkpoint();
    node.broker.clock().advance(limits::SPACE_INTERVAL);
    node.commit();

    assert!(!publishers_wait(&node));
}

#[test]
fn a_full_disk_holds_confirms_back_until_there_is_space() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let full = Arc::new(AtomicU64::new(0));
    let mut node = Node::recovered(small_segments(&disk), memory.checkpoint(), &|log| {
        Box::new(Counting { log, full: Arc::clone(&full) })
    });
    let queue = node.declare("q");
    node.commit_marked();
    disk.set_capacity(Some(0));
    for number in 0..20 {
        node.publish(&[&queue], &format!("{number}{}", "x".repeat(8000)));
    }
    let mark = node.mark();
    let (collector, broker) = (Arc::clone(&node.collector), Arc::clone(&node.broker));
    let unsaved = broker.inbox().unsaved_bytes();

    let commit = std::thread::spawn(move || {
        node.commit();
    });
    eventually(|| full.load(Ordering::SeqCst) > 0);
    // The batch was collected, and counts as unsaved still: publishers are held back.
    assert_eq!(broker.inbox().unsaved_bytes(), unsaved);
    assert!(collector.committed() < mark);
    disk.set_capacity(None);
    commit.thread().unpark();
    commit.join().unwrap();

    assert_eq!(collector.committed(), mark);
    assert_eq!(broker.inbox().unsaved_bytes(), 0);
    let after = node_on(&disk.power_cut(&mut || false), &memory);
    assert_eq!(after.report.messages, 20);
}

#[test]
fn a_broker_that_stops_on_a_full_disk_confirms_nothing() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut node = node_on(&disk, &memory);
    let queue = node.declare("q");
    node.commit_marked();
    disk.set_capacity(Some(0));
    node.publish(&[&queue], &"x".repeat(100_000));
    let mark = node.mark();
    node.shared.stop();

    let work = node.broker.inbox().wait(Duration::ZERO, Duration::ZERO);
    let stopped = node.committer.commit(work);

    assert!(matches!(stopped, Err(Stop::Full)));
    assert!(node.collector.committed() < mark);
}

#[test]
fn after_a_failed_sync_nothing_is_confirmed() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut node = node_on(&disk, &memory);
    let queue = node.declare("q");
    node.commit_marked();
    let before = node.collector.committed();
    disk.fail_next_sync(ErrorKind::Other);
    node.publish(&[&queue], "body");
    for _ in 0..2 {
        node.mark();
        let work = node.broker.inbox().wait(Duration::ZERO, Duration::ZERO);
        let stopped = node.committer.commit(work);
        assert!(matches!(stopped, Err(Stop::Fatal(_))));
    }

    assert_eq!(node.collector.committed(), before);
}

/// A node with one message in a segment that only the checkpoint knows, and that segment's file.
fn node_with_an_old_message(disk: &SimulatedDisk, memory: &MemoryStore) -> PathBuf {
    let mut node = node_on(disk, memory);
    let queue = node.declare("q");
    node.publish(&[&queue], "first");
    node.publish(&[&queue], "second");
    node.commit_marked();
    let filler = node.declare("filler");
    node.publish(&[&filler], &"x".repeat(100_000));
    node.commit_marked();
    node.checkpoint();
    log_path().join(&segment_files(disk)[0].0)
}

#[test]
fn a_damaged_message_is_reported_and_not_delivered() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let file = node_with_an_old_message(&disk, &memory);
    let mut contents = disk.contents(&file).unwrap();
    let at = contents.windows(5).position(|bytes| bytes == b"first").unwrap();
    contents[at] ^= 1;
    disk.overwrite(&file, contents.clone());

    let restarted = node_on(&disk, &memory);

    assert_eq!(restarted.bodies()["q"], ["second"]);
    let damages = restarted.pager.damages();
    let [damage] = damages.as_slice() else { panic!("one damage") };
    assert_eq!(file.file_name(), damage.file.file_name());
    assert!((damage.offset..damage.offset + damage.bytes).contains(&(at as u64)));
    assert_eq!(disk.contents(&file).unwrap(), contents, "the evidence is left alone");
}

#[test]
fn a_lost_segment_is_reported_and_the_rest_is_delivered() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let file = node_with_an_old_message(&disk, &memory);
    disk.remove(&file).unwrap();

    let restarted = node_on(&disk, &memory);

    let [damage] = restarted.report.damages.as_slice() else { panic!("one segment") };
    assert_eq!(file.file_name(), damage.file.file_name());
    let bodies = restarted.bodies();
    assert_eq!((bodies["q"].len(), bodies["filler"].len()), (0, 1));
}

#[test]
fn a_damaged_frame_costs_only_what_it_held() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut node = node_on(&disk, &memory);
    let queue = node.declare("q");
    node.commit_marked();
    for body in ["first", "second", "third"] {
        node.publish(&[&queue], body);
        node.commit_marked();
    }
    drop(node);
    let file = log_path().join(&segment_files(&disk)[0].0);
    let mut contents = disk.contents(&file).unwrap();
    let at = contents.windows(6).position(|bytes| bytes == b"second").unwrap();
    contents[at] ^= 1;
    disk.overwrite(&file, contents);

    let restarted = node_on(&disk, &memory);

    let [damage] = restarted.report.damages.as_slice() else { panic!("one damage") };
    assert!(damage.offset >= u64::from(SEGMENT_HEADER_AREA));
    assert_eq!(restarted.bodies()["q"], ["first", "third"]);
}

/// A checkpoint that fails when told to.
struct Failing {
    checkpoint: Box<dyn Checkpoint>,
    fails: Arc<AtomicU64>,
}

impl Checkpoint for Failing {
    fn position(&self) -> Option<LogPosition> {
        self.checkpoint.position()
    }

    fn load_range(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut PairVisitor<'_>,
    ) -> Result<(), StoreError> {
        self.checkpoint.load_range(from, to, visit)
    }

    fn reader(&self) -> Arc<dyn CheckpointReader> {
        self.checkpoint.reader()
    }

    fn apply(&mut self, batch: CheckpointBatch) -> Result<(), StoreError> {
        let left = self.fails.load(Ordering::SeqCst);
        if left > 0 {
            self.fails.store(left - 1, Ordering::SeqCst);
            return Err(StoreError::Full { path: PathBuf::from("meta") });
        }
        self.checkpoint.apply(batch)
    }
}

#[test]
fn a_checkpoint_that_failed_is_made_up_for() {
    let memory = MemoryStore::new();
    let fails = Arc::new(AtomicU64::new(2));
    let checkpoint = Failing { checkpoint: memory.checkpoint(), fails: Arc::clone(&fails) };
    let mut node = Node::recovered(memory.log(), Box::new(checkpoint), &|log| log);
    let queue = node.declare("q");
    for body in ["a", "b", "c"] {
        node.publish(&[&queue], body);
        node.commit_marked();
        assert_eq!(node.checkpointer.checkpoint().is_ok(), body == "c");
    }

    let known = super::super::load(&*memory.checkpoint()).unwrap();

    assert_eq!(live(&known), node.live());
    assert_eq!(live(&known).len(), 3);
}

#[test]
fn a_segment_is_kept_while_the_last_durable_checkpoint_refers_to_it() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let fails = Arc::new(AtomicU64::new(1));
    let checkpoint = Failing { checkpoint: memory.checkpoint(), fails };
    let mut node = Node::recovered(small_segments(&disk), Box::new(checkpoint), &|log| log);
    let (queue, filler) = (node.declare("q"), node.declare("filler"));
    node.publish(&[&queue], "kept");
    node.commit_marked();
    node.publish(&[&filler], &"x".repeat(100_000));
    node.commit_marked();
    node.checkpointer.checkpoint().unwrap_err();
    // From now on memory knows the message as gone. The disk does not: the record is not synced, and the
    // checkpoint that comes through at last was taken before.
    node.take_first(&queue);
    node.commit();
    let oldest = segment_files(&disk)[0].clone();
    node.shared.tail.lock().is_final = true;
    node.checkpointer.checkpoint().unwrap();
    node.publish(&[&filler], "more");
    node.commit();

    assert_eq!(segment_files(&disk)[0], oldest);
    let restarted = node_on(&disk.power_cut(&mut || false), &memory);
    assert_eq!(restarted.report.damages, []);
    assert_eq!(restarted.bodies()["q"], ["kept"]);
}

fn eventually(mut is_so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    panic!("it never came to be");
}
