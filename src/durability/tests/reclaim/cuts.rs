//! Power cuts at random steps while messages come, go and move. Every run has a seed, which a failure prints;
//! `LEVERET_RECLAIM_SEED` runs that one alone.

use super::*;
use crate::store::{Appended, Flush, FrameBuffer, SegmentInfo, Survives};

const RUNS: u64 = 24;
const OPERATIONS: u32 = 300;
/// Segments for a few messages, and the slack of as much: something moves most of the time.
const SMALL: u64 = 16 * 1024;

/// The same numbers for the same seed: `SplitMix64`.
#[derive(Clone)]
struct Chance(Arc<AtomicU64>);

impl Chance {
    fn below(&self, bound: u64) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut mixed = self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_in(&self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// What a power cut left, and what had been released by then.
struct Cut {
    disk: SimulatedDisk,
    memory: MemoryStore,
    committed: u64,
}

/// Where and when power is cut.
#[derive(Clone)]
struct Power {
    chance: Chance,
    disk: SimulatedDisk,
    memory: MemoryStore,
    collector: Arc<RankedMutex<{ rank::LEAF }, Arc<Collector>>>,
    cuts: Arc<RankedMutex<{ rank::LEAF }, Vec<Cut>>>,
}

impl Power {
    /// Sometimes; of what was not synced, nothing survives, or everything, or some.
    fn may_fail(&self) {
        if !self.chance.one_in(12) {
            return;
        }
        let survivors = self.chance.below(5);
        let disk = self.disk.power_cut(&mut || self.chance.below(4) < survivors);
        let memory = self.memory.crash(Survives::Everything);
        let committed = self.collector.lock().committed();
        self.cuts.lock().push(Cut { disk, memory, committed });
    }
}

/// A log during whose every step power may be cut.
struct Cutting {
    log: Box<dyn Log>,
    power: Power,
}

impl Log for Cutting {
    fn append(&mut self, batch: &mut FrameBuffer, flush: Flush) -> Result<Appended, StoreError> {
        self.power.may_fail();
        let appended = self.log.append(batch, Flush::Buffered)?;
        self.power.may_fail();
        if flush == Flush::Synced {
            self.sync()?;
        }
        Ok(appended)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.log.sync()?;
        self.power.may_fail();
        Ok(())
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
        self.power.may_fail();
        let released = self.log.release(before, live)?;
        self.power.may_fail();
        Ok(released)
    }
}

/// Names of messages by queue.
type Placed = BTreeSet<(usize, String)>;

#[derive(Clone, Default)]
struct Past {
    published: Placed,
    settled: Placed,
}

struct Run {
    yard: Yard,
    queues: Vec<Arc<Queue>>,
    power: Power,
    now: Past,
    /// What was so as of every mark; the first is before all.
    history: Vec<Past>,
    number: usize,
    checked: usize,
}

impl Run {
    fn new(seed: u64) -> Self {
        let (disk, memory) = (SimulatedDisk::new(), MemoryStore::new());
        let power = Power {
            chance: Chance(Arc::new(AtomicU64::new(seed))),
            disk: disk.clone(),
            memory: memory.clone(),
            collector: Arc::new(RankedMutex::new(Arc::default())),
            cuts: Arc::default(),
        };
        let wrap = |log| -> Box<dyn Log> { Box::new(Cutting { log, power: power.clone() }) };
        let mut yard =
            Yard::wrapped(log_on(&disk, SMALL), &memory, SMALL, (&wrap, &|reader| reader));
        *power.collector.lock() = Arc::clone(&yard.node.collector);
        let queues = (0..3).map(|number| yard.node.declare(&format!("q{number}"))).collect();
        yard.node.commit();
        Self {
            yard,
            queues,
            power,
            now: Past::default(),
            history: vec![Past::default()],
            number: 0,
            checked: 0,
        }
    }

    fn step(&mut self) {
        match self.power.chance.below(20) {
            0..6 => {
                let queue = usize::try_from(self.power.chance.below(3)).unwrap();
                self.publish(&[queue]);
            }
            6 => self.publish(&[0, 1, 2]),
            // The first queue is seldom read.
            7..12 => self.take(1),
            12..15 => self.take(2),
            15 => self.take(0),
            16 => {
                self.yard.node.mark();
                self.history.push(self.now.clone());
            }
            17 => drop(self.yard.node.commit()),
            18 => drop(self.yard.reclaimer.step()),
            _ => self.yard.node.checkpoint(),
        }
        self.power.may_fail();
        let cuts = std::mem::take(&mut *self.power.cuts.lock());
        for cut in cuts {
            self.check(&cut);
            self.checked += 1;
        }
    }

    fn publish(&mut self, to: &[usize]) {
        let length = usize::try_from(self.power.chance.below(3000)).unwrap();
        let body = numbered(self.number, length);
        self.number += 1;
        let queues: Vec<_> = to.iter().map(|&queue| &self.queues[queue]).collect();
        self.yard.node.publish(&queues, &body);
        self.now.published.extend(to.iter().map(|&queue| (queue, body.clone())));
        if self.power.chance.one_in(2) {
            self.yard.node.commit();
        }
    }

    fn take(&mut self, queue: usize) {
        if let Some(entry) = self.yard.node.get(&self.queues[queue]) {
            self.now.settled.insert((queue, body(&entry)));
            self.yard.node.settle(&self.queues[queue], entry, Outcome::Settled);
        }
    }

    fn check(&self, cut: &Cut) {
        let past = &self.history[usize::try_from(cut.committed).unwrap()];
        let mut found = Placed::new();
        for (queue, bodies) in found_on(&cut.disk, &cut.memory, SMALL) {
            assert!(bodies.is_sorted(), "{queue} is out of order");
            let queue: usize = queue[1..].parse().unwrap();
            for body in bodies {
                assert!(found.insert((queue, body)), "it is there once");
            }
        }
        for (queue, lost) in past.published.difference(&self.now.settled) {
            let is_found = found.contains(&(*queue, lost.clone()));
            assert!(is_found, "{} was confirmed for q{queue} and is lost", &lost[..6]);
        }
        let back = found.intersection(&past.settled).next();
        assert_eq!(back, None, "it was settled durably and is back");
        assert!(found.is_subset(&self.now.published));
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("LEVERET_RECLAIM_SEED") {
        Ok(seed) => vec![seed.parse().expect("LEVERET_RECLAIM_SEED is a number")],
        Err(_) => (1..=RUNS).collect(),
    }
}

#[test]
fn a_power_cut_at_any_step_of_a_move_loses_nothing_and_brings_nothing_back() {
    let (mut checked, mut forwarded) = (0, 0);
    for seed in seeds() {
        println!("LEVERET_RECLAIM_SEED={seed}");
        let mut run = Run::new(seed);
        for _ in 0..OPERATIONS {
            run.step();
        }
        checked += run.checked;
        forwarded += run.yard.forwarded();
    }
    println!("{checked} power cuts, {forwarded} bytes moved");
    assert!(checked > 0 && forwarded > 0);
}
