//! A broker on a simulated disk, and the cuts that are taken while it works.

use std::path::Path;

use super::super::*;
use super::Dice;
use crate::durability::RecoveryError;
use crate::durability::committer::{Next, Stop};
use crate::store::{
    Disk, Fault, FaultyDisk, GuardedCheckpoint, Operation, SEGMENT_HEADER_AREA, SegmentFiles,
    SimulatedDisk, Split, Survives,
};
use crate::sync::{RankedMutex, rank};

/// Room for a few messages, so that segments roll and are recycled all the time.
const SEGMENT: u64 = SEGMENT_HEADER_AREA as u64 + 2048;
const DATA: &str = "/data";
const LOG: &str = "/data/log";
/// How many portions of messages are moved before a checkpoint, at most.
const PORTIONS: usize = 20;
/// Of how many of a hundred cuts the checkpoint is one of another day.
const LOSS_CHANCE: u64 = 20;

/// What a restart finds.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    disk: SimulatedDisk,
    memory: MemoryStore,
}

impl Stored {
    /// A broker on it that nobody watches.
    pub(super) fn restart(&self) -> Node {
        start_on(&(Arc::new(self.disk.clone()) as Arc<dyn Disk>), &self.memory)
    }

    /// Recovers on a disk with this trouble. Returns how many messages there are, and what was reported.
    pub(super) fn recover_with(
        &self,
        trouble: impl Fn(Operation) -> Option<Fault> + Send + Sync + 'static,
    ) -> Result<RecoveryReport, RecoveryError> {
        let disk = Arc::new(self.copy().disk);
        let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::new(disk, move |it, _| trouble(it)));
        let memory = self.copy().memory;
        let checkpoint = GuardedCheckpoint::open(&disk, Path::new(DATA), &memory)?;
        let log = SegmentFiles::new(disk, Path::new(LOG).to_owned()).with_segment_size(SEGMENT);
        let clock = Arc::new(Clock::manual());
        Ok(recover(Box::new(log), &checkpoint, &["/".to_owned()], clock)?.report)
    }

    fn copy(&self) -> Self {
        Self { disk: self.disk.snapshot(), memory: self.memory.crash(Survives::Everything) }
    }
}

/// What a cut left, and what had been confirmed by then.
pub(super) struct Cut {
    pub(super) stored: Stored,
    /// In which life of the broker it came.
    pub(super) life: usize,
    pub(super) committed: u64,
    /// The checkpoint is not the last that was applied.
    pub(super) is_checkpoint_lost: bool,
}

/// Decides what goes wrong with an operation of the disk.
pub(super) type Trouble = Box<dyn FnMut(Operation, &Path, &SimulatedDisk) -> Option<Fault> + Send>;

/// What the disk's hook knows.
struct Watch {
    stored: Stored,
    life: usize,
    collector: Arc<Collector>,
    dice: Dice,
    /// How many of a hundred changes to the disk are preceded by a cut.
    cut_chance: u64,
    cuts: Vec<Cut>,
    /// Checkpoints of other days.
    old: Vec<MemoryStore>,
    trouble: Option<Trouble>,
}

impl Watch {
    fn before(&mut self, operation: Operation, path: &Path) -> Option<Fault> {
        if operation.changes() && self.dice.percent(self.cut_chance) {
            self.cut();
        }
        let trouble = self.trouble.as_mut()?;
        trouble(operation, path, &self.stored.disk)
    }

    fn power_cut(&mut self) -> Stored {
        let dice = &mut self.dice;
        let split = if dice.percent(50) { Split::Sectors } else { Split::Pages };
        let survival = [0, 10, 50, 90, 100][dice.below(5)];
        let disk = self.stored.disk.power_cut_at(split, &mut || dice.percent(survival));
        Stored { disk, memory: self.stored.memory.crash(Survives::Everything) }
    }

    fn cut(&mut self) {
        let mut stored = self.power_cut();
        let committed = self.collector.committed();
        self.old.push(stored.memory.clone());
        let is_checkpoint_lost = self.dice.percent(LOSS_CHANCE);
        if is_checkpoint_lost {
            let old = &self.old[self.dice.below(self.old.len())];
            stored.memory = old.crash(Survives::Everything);
        }
        self.cuts.push(Cut { stored, life: self.life, committed, is_checkpoint_lost });
    }
}

/// See the module.
pub(super) struct World {
    node: Option<Node>,
    /// The store failed, and the process would have ended.
    is_dead: bool,
    watch: Arc<RankedMutex<{ rank::QUEUE }, Watch>>,
}

impl World {
    pub(super) fn new(dice: &mut Dice, cut_chance: u64) -> Self {
        let stored = Stored { disk: SimulatedDisk::new(), memory: MemoryStore::new() };
        let watch = Watch {
            stored,
            life: 0,
            collector: Arc::default(),
            dice: Dice(dice.next()),
            cut_chance,
            cuts: Vec::new(),
            old: vec![MemoryStore::new()],
            trouble: None,
        };
        let mut world =
            Self { node: None, is_dead: false, watch: Arc::new(RankedMutex::new(watch)) };
        world.start();
        world
    }

    pub(super) fn node(&mut self) -> &mut Node {
        self.node.as_mut().unwrap()
    }

    /// One cycle of the committer, unless it came to its end.
    pub(super) fn commit(&mut self) {
        if self.is_dead {
            return;
        }
        let node = self.node.as_mut().unwrap();
        let work = node.broker.inbox().wait(Duration::ZERO, Duration::ZERO);
        match node.committer.commit(work) {
            Ok(next) => assert_eq!(next, Next::Cycle),
            Err(Stop::Full) => panic!("nobody told it to stop"),
            Err(Stop::Fatal(_)) => self.die(),
        }
    }

    /// The commit thread ends; the process would.
    fn die(&mut self) {
        self.is_dead = true;
        self.node().shared.tail.lock().is_final = true;
    }

    pub(super) fn is_dead(&self) -> bool {
        self.is_dead
    }

    /// A checkpoint, if the disk lets it be.
    pub(super) fn checkpoint(&mut self) {
        // Messages of sparse segments move first. A damaged one would be offered for good.
        for _ in 0..PORTIONS {
            if self.is_dead || !self.node().reclaim() {
                break;
            }
            self.commit();
        }
        // A cycle that finds nothing to do syncs, which a checkpoint waits for.
        self.commit();
        self.commit();
        if !self.is_dead {
            // What fails is tried again with the next one.
            let _made = self.node().checkpointer.checkpoint();
        }
        self.commit();
    }

    pub(super) fn set_trouble(&self, trouble: Option<Trouble>) {
        self.watch.lock().trouble = trouble;
    }

    /// Cuts the power for those who judge, and not for the broker.
    pub(super) fn add_cut(&self) {
        self.watch.lock().cut();
    }

    /// What was confirmed in this life.
    pub(super) fn committed(&self) -> u64 {
        self.watch.lock().collector.committed()
    }

    /// Takes what is there away from the process and starts another; gives a copy of what it found.
    pub(super) fn kill(&mut self) -> Stored {
        self.node = None;
        let found = self.watch.lock().stored.copy();
        self.start();
        found
    }

    /// The same, and what was not synced may be gone.
    pub(super) fn cut_power(&mut self) -> Stored {
        self.node = None;
        let found = {
            let mut watch = self.watch.lock();
            watch.stored = watch.power_cut();
            watch.stored.copy()
        };
        self.start();
        found
    }

    pub(super) fn take_cuts(&self) -> Vec<Cut> {
        std::mem::take(&mut self.watch.lock().cuts)
    }

    /// Starts a broker. Cuts before it has come up belong to the life before.
    fn start(&mut self) {
        let Stored { disk, memory } = self.watch.lock().stored.clone();
        let watch = Arc::clone(&self.watch);
        let disk: Arc<dyn Disk> =
            Arc::new(FaultyDisk::new(Arc::new(disk), move |operation, path| {
                watch.lock().before(operation, path)
            }));
        let node = start_on(&disk, &memory);
        let mut watch = self.watch.lock();
        watch.collector = Arc::clone(&node.collector);
        watch.life += 1;
        drop(watch);
        self.node = Some(node);
    }
}

fn start_on(disk: &Arc<dyn Disk>, memory: &MemoryStore) -> Node {
    let log = SegmentFiles::new(Arc::clone(disk), Path::new(LOG).to_owned());
    let checkpoint = GuardedCheckpoint::open(disk, Path::new(DATA), memory).unwrap();
    let log = Box::new(log.with_segment_size(SEGMENT));
    let options = DurabilityOptions { reclaim_slack: 0, ..DurabilityOptions::default() };
    let clock = Arc::new(Clock::manual());
    Node::recovered_with(log, Box::new(checkpoint), clock, &|log| log, options)
}
