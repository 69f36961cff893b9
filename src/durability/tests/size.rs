//! Ten million messages: what the state holds of them, what a restart reads, and what needs more.

use amq_protocol::types::AMQPValue;

use super::*;
use crate::broker::change::{Definition, QueueDefinition};
use crate::broker::delivery::Position;
use crate::durability::codec::put_varint;
use crate::durability::committer::Stop;
use crate::durability::keys::{CHUNK_KEYS, PAGE_KEYS, STANDING_KEYS, queue_key, queue_part_key};
use crate::durability::record::Run;
use crate::durability::tail::Shared;
use crate::durability::{Location, NewEntry, RecoveryError, StoredQueue, load};
use crate::limits;
use crate::store::{CheckpointBatch, FjallCheckpoint};

const QUEUE: QueueId = QueueId(1);
/// Entries of a page, and pages that are ten million.
const PAGE: u64 = limits::INDEX_PAGE * limits::INDEX_CHUNK;
const PAGES: u64 = 39;
/// Pages whose chunks can be read.
const READABLE: u64 = 4;
const MEMORY: usize = 16 * 1024 * 1024;

/// A state with one queue, and the checkpoint it is written to.
struct Large {
    checkpoint: Box<dyn Checkpoint>,
    state: LogState,
    levels: u8,
    largest: usize,
}

impl Large {
    fn new(checkpoint: Box<dyn Checkpoint>, levels: u8) -> Self {
        let mut state = load(&*checkpoint).unwrap();
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-priority".into(), AMQPValue::LongInt(i32::from(levels) - 1));
        let (vhost, name) = (Arc::from("/"), Arc::from("q"));
        let declared = QueueDefinition { id: QUEUE, vhost, name, auto_delete: false, arguments };
        state.define(Definition::QueueDeclared(declared));
        Self { checkpoint, state, levels, largest: 0 }
    }

    /// Pages of messages of 1 KiB, of all levels in turn, and checkpoints when they are due.
    fn fill(&mut self, pages: std::ops::Range<u64>) {
        for position in pages.start * PAGE..pages.end * PAGE {
            let offset = u32::try_from(position % 32_768 * 1024).unwrap();
            let at = LogPosition { generation: 1 + position / 32_768, offset };
            let new = NewEntry {
                position: Position(position),
                location: Location { at, length: 1024 },
                priority: u8::try_from(position % u64::from(self.levels)).ok(),
                body_bytes: 1000,
                expires_at_ms: None,
            };
            self.state.put(QUEUE, new).unwrap();
            if self.state.has_many_changes() {
                self.checkpoint();
            }
        }
        self.checkpoint();
    }

    fn checkpoint(&mut self) {
        self.largest = self.largest.max(self.state.memory());
        self.checkpoint.apply(self.state.checkpoint_batch()).unwrap();
        self.state.checkpoint_applied();
    }

    /// Repeats the second page until there are ten million entries. Only the first pages have chunks: whoever
    /// reads another one fails.
    fn grow(&mut self) {
        let mut batch = CheckpointBatch::new(self.checkpoint.position().unwrap());
        let get = |key: Vec<u8>| self.checkpoint.get(&key).unwrap().unwrap().to_vec();
        let page = get(queue_part_key(PAGE_KEYS, QUEUE, 1));
        for number in 2..PAGES {
            batch.put(queue_part_key(PAGE_KEYS, QUEUE, number), page.clone());
        }
        for number in 2 * limits::INDEX_PAGE..READABLE * limits::INDEX_PAGE {
            let twin = limits::INDEX_PAGE + number % limits::INDEX_PAGE;
            let value = get(queue_part_key(CHUNK_KEYS, QUEUE, twin));
            batch.put(queue_part_key(CHUNK_KEYS, QUEUE, number), value);
        }
        let mut standing = vec![1];
        for number in [PAGES * PAGE, 0, PAGES * PAGE] {
            put_varint(&mut standing, number);
        }
        batch.put(queue_key(STANDING_KEYS, QUEUE), standing);
        self.checkpoint.apply(batch).unwrap();
    }
}

fn ten_million(levels: u8) {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("meta");
    let mut large = Large::new(Box::new(FjallCheckpoint::open(&path).unwrap()), levels);
    large.fill(0..2);
    large.grow();
    let Large { checkpoint, levels, .. } = large;
    drop(large.state);
    let clock = Clock::real();
    let begin = clock.now();
    let state = load(&*checkpoint).unwrap();
    let took = clock.now().saturating_duration_since(begin);
    let mut large = Large { checkpoint, state, levels, largest: 0 };
    let begun = large.state.memory();

    let queue = large.state.queues().next().unwrap();
    let stretches: Vec<_> = queue.stretches().collect();
    let counted: usize = stretches.iter().map(|stretch| stretch.entries).sum();
    assert_eq!((queue.len() as u64, counted as u64), (PAGES * PAGE, PAGES * PAGE));
    assert_eq!(stretches.last().unwrap().last, Position(PAGES * PAGE - 1));
    assert_eq!(stretches.iter().map(|stretch| stretch.bytes).sum::<u64>(), PAGES * PAGE * 1000);

    let run = Run { first: Position(0), last: Position(READABLE * PAGE - 1) };
    let located = large.state.locate(QUEUE, Some(0), &[run]).unwrap();
    let of_level = stretches.iter().filter(|one| one.level == 0 && one.first <= run.last);
    assert_eq!(located.len(), of_level.map(|stretch| stretch.entries).sum::<usize>());
    let read = large.state.memory();

    large.fill(PAGES..PAGES + 1);
    println!(
        "{levels} levels, {} messages: loaded in {} ms; {} KiB then, {} KiB when much is read, at most {} KiB \
         when more come",
        PAGES * PAGE,
        took.as_millis(),
        begun / 1024,
        read / 1024,
        large.largest / 1024
    );
    assert!(begun < MEMORY && read < MEMORY && large.largest < MEMORY);
}

#[test]
fn ten_million_messages_of_one_level_are_a_few_mebibytes_of_state() {
    ten_million(1);
}

#[test]
fn ten_million_messages_of_ten_levels_are_a_few_mebibytes_of_state() {
    ten_million(10);
}

#[test]
fn ten_million_messages_are_purged_without_reading_where_they_lie() {
    let mut large = Large::new(MemoryStore::new().checkpoint(), 1);
    large.fill(0..2);
    large.grow();
    let mut state = load(&*large.checkpoint).unwrap();

    let last = Position(PAGES * PAGE - 1);
    state.gone(QUEUE, [Run { first: Position(0), last }]).unwrap();

    assert!(state.queues().all(StoredQueue::is_empty));
    assert!(state.segment_use().is_empty());
    // One message by itself needs its chunk, which is not there.
    let mut state = load(&*large.checkpoint).unwrap();
    state.gone(QUEUE, [Run { first: last, last }]).unwrap_err();
}

#[test]
fn many_tiny_messages_make_a_checkpoint_due() {
    let large = Large::new(MemoryStore::new().checkpoint(), 1);
    let nowhere = LogPosition { generation: 0, offset: 0 };
    let shared = Shared::new(large.state, nowhere);
    let mut tail = shared.tail.lock();
    assert!(!tail.is_checkpoint_due());
    for position in 0..limits::INDEX_CHANGED_SLOTS as u64 {
        tail.state.put(QUEUE, tiny(position)).unwrap();
    }
    tail.state.advance(LogPosition { generation: 1, offset: 64 });
    assert!(tail.is_checkpoint_due());

    tail.state.checkpoint_batch();
    assert!(!tail.is_checkpoint_due());
}

fn tiny(position: u64) -> NewEntry {
    NewEntry {
        position: Position(position),
        location: Location { at: LogPosition { generation: 1, offset: 0 }, length: 40 },
        priority: None,
        body_bytes: 1,
        expires_at_ms: None,
    }
}

#[test]
fn what_a_durable_checkpoint_has_leaves_memory() {
    let mut node = Node::on(&MemoryStore::new());
    let queue = node.declare("q");
    node.publish(&[&queue], "a");
    node.commit_marked();
    assert!(node.shared.tail.lock().state.pool.warm() > 0);

    node.checkpoint();

    assert_eq!(node.shared.tail.lock().state.pool.warm(), 0);
    assert_eq!(node.live().len(), 1);
}

/// A broker that has three messages in a queue, and nothing of the index in memory.
fn with_a_cold_chunk() -> (MemoryStore, Node) {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let queue = node.declare("q");
    for body in ["a", "b", "c"] {
        node.publish(&[&queue], body);
    }
    node.commit_marked();
    node.checkpoint();
    (store, node)
}

fn damage_chunks(store: &MemoryStore) {
    let chunks = store.checkpoint_bits().into_iter().filter(|(key, _)| key.starts_with(CHUNK_KEYS));
    chunks.for_each(|(key, _)| store.flip_checkpoint_bit(&key, 12));
}

#[test]
fn a_commit_that_needs_a_damaged_chunk_is_fatal_and_no_checkpoint_follows() {
    let (store, mut node) = with_a_cold_chunk();
    damage_chunks(&store);
    let before = store.checkpoint_bits();
    // Something that a checkpoint could take.
    node.declare("other");
    node.commit_marked();
    node.take_first(&node.queue("q"));
    node.mark();

    let work = node.broker.inbox().wait(Duration::ZERO, Duration::ZERO);
    let Err(Stop::Fatal(error)) = node.committer.commit(work) else { panic!("it went well") };

    assert!(error.to_string().contains("key 'i"), "{error}");
    node.shared.tail.lock().synced = LogPosition { generation: u64::MAX, offset: 0 };
    node.checkpointer.checkpoint().unwrap();
    assert_eq!(store.checkpoint_bits(), before);
}

#[test]
fn a_restart_that_needs_a_damaged_chunk_says_so() {
    let (store, mut node) = with_a_cold_chunk();
    // Its record is behind the checkpoint, and takes one of three away.
    node.take_first(&node.queue("q"));
    node.commit_marked();
    damage_chunks(&store);
    let clock = Arc::new(Clock::manual());
    let recovered = recover(store.log(), &*store.checkpoint(), &["/".to_owned()], clock);

    let Err(RecoveryError::Store(error)) = recovered else { panic!("it started") };
    assert!(error.to_string().contains("key 'i"), "{error}");
}

#[test]
fn every_flipped_bit_of_the_checkpoint_is_found() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let queues = [node.declare("one"), node.declare("two")];
    node.publish(&[&queues[0], &queues[1]], "shared");
    node.commit_marked();
    node.checkpoint();
    let mut flips = 0;
    for (key, bits) in store.checkpoint_bits() {
        for bit in 0..bits {
            store.flip_checkpoint_bit(&key, bit);
            let checkpoint = store.checkpoint();
            let found = load(&*checkpoint).map_err(|error| error.to_string());
            let found = found.and_then(|state| {
                let entries: Result<Vec<_>, _> = state.entries().collect();
                entries.map_err(|error| error.to_string())
            });
            let named = format!("key '{}'", key.escape_ascii());
            assert!(found.is_err_and(|error| error.contains(&named)), "{named}, bit {bit}");
            store.flip_checkpoint_bit(&key, bit);
            flips += 1;
        }
    }
    println!("{flips} flips, all found");
    assert!(load(&*store.checkpoint()).is_ok());
}

#[test]
fn a_pair_of_the_checkpoint_that_is_missing_is_found() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let queue = node.declare("q");
    node.publish(&[&queue], "a");
    node.commit_marked();
    node.checkpoint();
    for (key, _) in store.checkpoint_bits() {
        let copy = store.crash(crate::store::Survives::Everything);
        let mut checkpoint = copy.checkpoint();
        let mut batch = CheckpointBatch::new(checkpoint.position().unwrap());
        batch.delete(key.clone());
        checkpoint.apply(batch).unwrap();

        let found = load(&*checkpoint).map(|state| state.entries().all(|entry| entry.is_ok()));
        assert!(!found.unwrap_or(false), "nobody misses key '{}'", key.escape_ascii());
    }
}
