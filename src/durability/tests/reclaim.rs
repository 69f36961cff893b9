//! Sparse segments are emptied: the disk stays in its bound, and no cut, damage or full disk makes it cost a message.

use std::path::Path;

mod cuts;

use super::*;
use crate::broker::delivery::{Position, QueueId, Run};
use crate::broker::turn::Turn;
use crate::durability::messages::{Wanted, read_messages};
use crate::durability::reclaim::{DiskUse, Reclaimer, Step};
use crate::durability::tail::{Offer, Shared};
use crate::durability::{Durability, Location, OnFatal};
use crate::limits;
use crate::store::{Disk, LogReader, SegmentFiles, SimulatedDisk, StoreError};
use crate::sync::{RankedMutex, rank};

const SEGMENT: u64 = 64 * 1024;
const SLACK: u64 = 6 * SEGMENT;

fn log_on(disk: &SimulatedDisk, segment: u64) -> Box<dyn StoredLog> {
    let files = SegmentFiles::new(Arc::new(disk.clone()), Path::new("log").to_owned());
    Box::new(files.with_segment_size(segment))
}

/// A node whose reclaimer moves only when told to.
pub(super) struct Yard {
    pub(super) node: Node,
    reclaimer: Reclaimer,
    pub(super) reader: Arc<dyn LogReader>,
}

type Wrap<'a> = &'a dyn Fn(Box<dyn Log>) -> Box<dyn Log>;
type WrapReader<'a> = &'a dyn Fn(Arc<dyn LogReader>) -> Arc<dyn LogReader>;

impl Yard {
    pub(super) fn on(disk: &SimulatedDisk, memory: &MemoryStore) -> Self {
        Self::wrapped(log_on(disk, SEGMENT), memory, SLACK, (&|log| log, &|reader| reader))
    }

    fn wrapped(
        log: Box<dyn StoredLog>,
        memory: &MemoryStore,
        slack: u64,
        (wrap, wrap_reader): (Wrap<'_>, WrapReader<'_>),
    ) -> Self {
        let reader = RankedMutex::<{ rank::LEAF }, _>::new(None);
        let node = Node::recovered(log, memory.checkpoint(), &|log| {
            *reader.lock() = Some(log.reader());
            wrap(log)
        });
        let reader = wrap_reader(reader.lock().take().unwrap());
        let options = DurabilityOptions {
            reclaim_slack: slack,
            disk_free_limit: 10 * SEGMENT,
            ..DurabilityOptions::default()
        };
        let (shared, inbox) = (Arc::clone(&node.stepped.shared), Arc::clone(node.broker.inbox()));
        let reclaimer = Reclaimer::new(shared, inbox, Arc::clone(&reader), options);
        Self { node, reclaimer, reader }
    }

    fn shared(&self) -> &Shared {
        &self.node.stepped.shared
    }

    /// Empties what should be emptied; returns how many portions that took.
    pub(super) fn reclaim(&mut self) -> usize {
        self.reclaimer.begin_round();
        let mut portions = 0;
        while self.reclaimer.step() == Step::Offered {
            self.node.commit();
            portions += 1;
            assert!(portions < 1000, "it comes to an end");
        }
        portions
    }

    fn disk_use(&self) -> DiskUse {
        DiskUse::of(&self.shared().tail.lock())
    }

    /// What the checkpoint thread does when one is due.
    fn checkpoint(&mut self) {
        self.reclaim();
        self.node.checkpoint();
    }

    /// Ten messages that are consumed at once, and one that is not.
    fn traffic(&mut self, slow: &Arc<Queue>, fast: &Arc<Queue>, body: &str) {
        self.node.publish(&[slow], body);
        for _ in 0..10 {
            self.node.publish(&[fast], &"x".repeat(2000));
        }
        self.node.commit();
        for _ in 0..10 {
            self.node.take_first(fast);
        }
        self.node.commit();
    }

    /// Many sparse segments, and a checkpoint behind them. Returns the slow queue and what it holds.
    pub(super) fn with_sparse_segments(&mut self) -> (Arc<Queue>, Vec<String>) {
        let (slow, fast) = (self.node.declare("slow"), self.node.declare("fast"));
        let bodies: Vec<_> = (0..60).map(|number| numbered(number, 1000)).collect();
        for body in &bodies {
            self.traffic(&slow, &fast, body);
        }
        self.node.checkpoint();
        (slow, bodies)
    }

    /// Where a message lies.
    fn location(&self, queue: &Arc<Queue>, position: u64) -> Option<Location> {
        let run = Run { first: Position(position), last: Position(position) };
        let located = self.shared().tail.lock().state.locate(queue.id, None, &[run]).unwrap();
        located.first().map(|entry| entry.location)
    }

    fn forwarded(&self) -> u64 {
        self.shared().counters.read().forwarded
    }

    /// Segments with live entries.
    fn in_use(&self) -> BTreeSet<u64> {
        self.shared().tail.lock().state.live_segments()
    }
}

/// Bytes of all files of the log.
fn used(disk: &SimulatedDisk) -> u64 {
    disk.list(Path::new("log")).unwrap().iter().map(|(_, bytes)| bytes).sum()
}

/// What a restart finds: bodies in each queue, in order. None of them is damaged; of what was not synced the log may
/// have lost something.
fn found_on(
    disk: &SimulatedDisk,
    memory: &MemoryStore,
    segment: u64,
) -> BTreeMap<String, Vec<String>> {
    let clock = Arc::new(Clock::manual());
    let checkpoint = memory.checkpoint();
    let recovered = recover(log_on(disk, segment), &*checkpoint, &[], clock).unwrap();
    let Recovered { log, state, .. } = recovered;
    let mut wanted: Vec<Wanted> = state.entries().map(|entry| entry.map(wanted).unwrap()).collect();
    wanted.sort_unstable();
    let mut found: BTreeMap<QueueId, BTreeMap<Position, String>> = BTreeMap::new();
    let damages = read_messages(&*log.reader(), &wanted, &mut |queue, put| {
        let body = String::from_utf8(put.message.body().to_vec()).unwrap();
        found.entry(queue).or_default().insert(put.position, body);
    });
    assert_eq!(damages, []);
    let named = state.queues().map(|queue| {
        let bodies = found.remove(&queue.definition().id).unwrap_or_default();
        (queue.definition().name.to_string(), bodies.into_values().collect())
    });
    named.collect()
}

fn wanted((queue, Located { position, location }): (QueueId, Located)) -> Wanted {
    Wanted { location, queue, position }
}

fn numbered(number: usize, length: usize) -> String {
    format!("{number:06}{}", "s".repeat(length))
}

#[test]
fn a_queue_that_is_never_read_costs_twice_its_messages_and_a_constant() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut yard = Yard::on(&disk, &memory);
    let (slow, fast) = (yard.node.declare("slow"), yard.node.declare("fast"));
    let bodies: Vec<_> = (0..300).map(|number| numbered(number, 2000)).collect();
    for (round, body) in bodies.iter().enumerate() {
        yard.traffic(&slow, &fast, body);
        if round % 2 == 0 {
            yard.checkpoint();
            let DiskUse { segments, live } = yard.disk_use();
            assert!(segments <= 2 * live + SLACK, "{segments} bytes for {live} in round {round}");
            let pool = limits::SEGMENT_POOL as u64 * SEGMENT;
            let taken = used(&disk);
            assert!(taken <= 2 * live + SLACK + pool, "{taken} bytes for {live} in round {round}");
        }
    }
    yard.node.commit_marked();

    let found = found_on(&disk.power_cut(&mut || false), &memory, SEGMENT);
    assert_eq!(found["slow"], bodies);
}

#[test]
fn moving_writes_less_than_was_published_even_if_a_tenth_stays() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut yard = Yard::on(&disk, &memory);
    let (slow, fast) = (yard.node.declare("slow"), yard.node.declare("fast"));
    for round in 0..300 {
        yard.traffic(&slow, &fast, &numbered(round, 2000));
        if round % 2 == 0 {
            yard.checkpoint();
        }
    }

    let written = yard.shared().counters.read();
    assert!(written.forwarded > 0);
    assert!(written.log * 10 < written.payload * 14, "{written:?}");
}

#[test]
fn a_log_within_its_bound_is_left_alone() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut yard = Yard::on(&disk, &memory);
    let queue = yard.node.declare("q");
    for number in 0..60 {
        yard.node.publish(&[&queue], &numbered(number, 10_000));
        yard.node.commit();
    }
    yard.node.checkpoint();

    assert_eq!(yard.reclaim(), 0);
}

#[test]
fn a_message_that_queues_share_moves_once_and_stays_shared() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut yard = Yard::on(&disk, &memory);
    let queues = ["a", "b", "c"].map(|name| yard.node.declare(name));
    yard.node.publish(&[&queues[0], &queues[1], &queues[2]], &numbered(0, 100));
    let fast = yard.node.declare("fast");
    for _ in 0..3 {
        yard.node.publish(&[&fast], &"x".repeat(20_000));
        yard.node.commit();
        yard.node.take_first(&fast);
    }
    yard.with_sparse_segments();
    yard.node.take_first(&queues[1]);
    yard.node.commit();
    let places =
        |yard: &Yard| queues.iter().map(|queue| yard.location(queue, 0)).collect::<Vec<_>>();
    let before = places(&yard);
    yard.checkpoint();
    let after = places(&yard);

    assert!(before[0] == before[2] && before[0] != after[0]);
    assert!(after[0].is_some() && after[0] == after[2]);
    assert_eq!(after[1], None);
    yard.node.commit_marked();
    let found = found_on(&disk.power_cut(&mut || false), &memory, SEGMENT);
    assert_eq!([&found["a"], &found["b"], &found["c"]].map(Vec::len), [1, 0, 1]);
}

#[test]
fn what_is_settled_while_its_message_is_on_the_way_does_not_come_back() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut yard = Yard::on(&disk, &memory);
    let (slow, bodies) = yard.with_sparse_segments();
    assert_eq!(yard.reclaimer.step(), Step::Offered);
    // The portion holds the first messages; they go in the cycle that appends it.
    for _ in 0..10 {
        yard.node.take_first(&slow);
    }
    yard.node.commit_marked();
    yard.checkpoint();
    yard.node.commit_marked();

    for survives in [false, true] {
        let found = found_on(&disk.power_cut(&mut || survives), &memory, SEGMENT);
        assert_eq!(found["slow"], bodies[10..]);
    }
}

#[test]
fn what_is_settled_right_after_its_move_does_not_come_back() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut yard = Yard::on(&disk, &memory);
    let (slow, bodies) = yard.with_sparse_segments();
    assert_eq!(yard.reclaimer.step(), Step::Offered);
    yard.node.commit();
    for _ in 0..10 {
        yard.node.take_first(&slow);
    }
    yard.node.commit_marked();

    let found = found_on(&disk.power_cut(&mut || false), &memory, SEGMENT);
    assert_eq!(found["slow"], bodies[10..]);
}

#[test]
fn a_queue_that_is_deleted_while_its_messages_are_on_the_way_stays_deleted() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut yard = Yard::on(&disk, &memory);
    let (slow, _) = yard.with_sparse_segments();
    assert_eq!(yard.reclaimer.step(), Step::Offered);
    yard.node.delete(&slow);
    yard.node.commit_marked();
    assert_eq!(yard.forwarded(), 0);
    yard.checkpoint();
    yard.node.commit_marked();

    let found = found_on(&disk.power_cut(&mut || false), &memory, SEGMENT);
    assert_eq!(found, queues(&[("fast", &[])]));
}

/// Reads one byte wrong, and counts the reads of its segment.
struct Rotten {
    reader: Arc<dyn LogReader>,
    at: LogPosition,
    reads: Arc<AtomicU64>,
}

impl LogReader for Rotten {
    fn read(&self, at: LogPosition, length: u32) -> Result<Bytes, StoreError> {
        let mut bytes = self.reader.read(at, length)?.to_vec();
        if at.generation == self.at.generation {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let byte = self.at.offset.checked_sub(at.offset);
            if let Some(byte) = byte.and_then(|byte| bytes.get_mut(byte as usize)) {
                *byte ^= 1;
            }
        }
        Ok(bytes.into())
    }
}

#[test]
fn a_damaged_message_keeps_its_segment_and_is_not_moved() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let (slow, place) = {
        let mut yard = Yard::on(&disk, &memory);
        let (slow, _) = yard.with_sparse_segments();
        yard.node.commit_marked();
        let place = yard.location(&slow, 5).unwrap();
        (slow, place)
    };
    let reads = Arc::new(AtomicU64::new(0));
    let offset = place.at.offset + place.length / 2;
    let at = LogPosition { offset, ..place.at };
    let rotten = |reader| -> Arc<dyn LogReader> {
        Arc::new(Rotten { reader, at, reads: Arc::clone(&reads) })
    };
    let mut yard = Yard::wrapped(log_on(&disk, SEGMENT), &memory, SLACK, (&|log| log, &rotten));

    yard.checkpoint();
    let reads_once = reads.load(Ordering::SeqCst);
    yard.checkpoint();

    assert!(reads_once > 0, "the damage was seen");
    assert_eq!(reads.load(Ordering::SeqCst), reads_once, "and the segment not looked at again");
    assert!(yard.forwarded() > 0, "others were emptied");
    assert_eq!(yard.location(&slow, 5), Some(place));
    let file = format!("log/{:016x}.seg", at.generation);
    assert!(disk.contents(Path::new(&file)).is_some(), "the evidence is left alone");
}

#[test]
fn a_full_disk_refuses_a_portion_and_nothing_else() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut yard = Yard::on(&disk, &memory);
    let (slow, mut bodies) = yard.with_sparse_segments();
    let end = |yard: &Yard| yard.shared().tail.lock().state.position();
    // Fills the segment that is written, but for a little.
    let room = SEGMENT - u64::from(end(&yard).offset);
    bodies.push(numbered(98, usize::try_from(room).unwrap() - 1500));
    yard.node.publish(&[&slow], bodies.last().unwrap());
    yard.node.commit_marked();
    let before = end(&yard);
    assert_eq!(yard.reclaimer.step(), Step::Offered);
    disk.set_capacity(Some(used(&disk)));
    yard.node.commit();

    assert_eq!(yard.reclaimer.step(), Step::Done);
    assert_eq!((end(&yard), yard.forwarded()), (before, 0));
    // What somebody waits for still fits.
    bodies.push(numbered(99, 100));
    yard.node.publish(&[&slow], bodies.last().unwrap());
    yard.node.commit_marked();
    let found = found_on(&disk.power_cut(&mut || false), &memory, SEGMENT);
    assert_eq!(found["slow"], bodies);

    disk.set_capacity(None);
    yard.checkpoint();
    assert!(yard.forwarded() > 0);
}

#[test]
fn near_the_disk_alarm_one_segment_is_emptied_before_each_checkpoint() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut yard = Yard::on(&disk, &memory);
    yard.with_sparse_segments();
    let used = used(&disk);
    let set_free = |yard: &mut Yard, free: u64| {
        disk.set_capacity(Some(used + free));
        yard.node.broker.clock().advance(limits::SPACE_INTERVAL);
        yard.node.commit();
    };
    set_free(&mut yard, 0);
    let before = yard.in_use();
    let room_left = yard.shared().tail.lock().free_space;
    assert!(room_left < SEGMENT);
    assert_eq!(yard.reclaim(), 0, "there is no room for what it needs");

    set_free(&mut yard, 2 * SEGMENT);
    yard.reclaim();
    assert_eq!(before.difference(&yard.in_use()).count(), 1);

    set_free(&mut yard, 100 * SEGMENT);
    yard.reclaim();
    assert!(before.difference(&yard.in_use()).count() > 2);
}

#[test]
fn a_committer_that_waits_for_space_keeps_no_checkpoint_waiting() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let mut yard = Yard::on(&disk, &memory);
    let (slow, _) = yard.with_sparse_segments();
    assert_eq!(yard.reclaimer.step(), Step::Offered);
    disk.set_capacity(Some(0));
    yard.node.publish(&[&slow], &numbered(99, 100_000));
    yard.node.mark();
    yard.shared().stop();
    let work = yard.node.broker.inbox().wait(Duration::ZERO, Duration::ZERO);
    yard.node.stepped.committer.commit(work).unwrap_err();

    let tail = yard.shared().tail.lock();
    assert!(matches!(tail.offer, Offer::Refused));
}

#[test]
fn the_threads_keep_the_bound_by_themselves_and_stop_when_told_to() {
    let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
    let checkpoint = memory.checkpoint();
    let clock = Arc::new(Clock::real());
    let vhosts = ["/".to_owned()];
    let recovered = recover(log_on(&disk, SEGMENT), &*checkpoint, &vhosts, clock).unwrap();
    let Recovered { broker, log, state, .. } = recovered;
    let broker = Arc::new(broker);
    let options = DurabilityOptions {
        reclaim_slack: SLACK,
        disk_free_limit: 0,
        checkpoint_interval: Duration::from_millis(5),
        ..DurabilityOptions::default()
    };
    let store = Store { log, checkpoint, state };
    let on_fatal: OnFatal = Arc::new(|| panic!("the store is fine"));
    let durability = Durability::start(&broker, store, options, on_fatal).unwrap();
    let (slow, fast) = (declare(&broker, "slow"), declare(&broker, "fast"));
    let collector = Arc::default();
    let bodies: Vec<_> = (0..60).map(|number| numbered(number, 1000)).collect();
    for (body, sequence) in bodies.iter().zip(1..) {
        publish(&broker, &[&slow], &message(body, false));
        for _ in 0..10 {
            publish(&broker, &[&fast], &message(&"x".repeat(2000), false));
        }
        leave_mark(&broker, &collector, sequence);
        until(|| collector.committed() == sequence);
        let mut turn = broker.begin_turn();
        let next = || queue_get(&fast, &mut turn);
        let entries = std::iter::from_fn(next).collect();
        fast.settle(entries, Outcome::Settled, &[], &mut turn);
        turn.finish(&broker);
    }

    until(|| {
        let DiskUse { segments, live } = durability.disk_use();
        segments <= 2 * live + SLACK
    });
    assert!(durability.written().forwarded > 0);
    assert!(durability.stop());
    assert_eq!(found_on(&disk.power_cut(&mut || false), &memory, SEGMENT)["slow"], bodies);
}

fn queue_get(queue: &Arc<Queue>, turn: &mut Turn) -> Option<Entry> {
    queue.get(false, turn).message().map(|(entry, _)| entry)
}

fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..4000 {
        if is_so() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    panic!("it never came to be");
}
