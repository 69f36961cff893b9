//! What the guard believes, and what becomes of the rest.

use super::*;
use crate::store::{MemoryStore, SimulatedDisk, Survives};

const DATA: &str = "/data";

fn at(offset: u32) -> LogPosition {
    LogPosition { generation: 3, offset }
}

/// A checkpoint in memory with its guard on a disk.
#[derive(Clone)]
struct Guarded {
    disk: SimulatedDisk,
    memory: MemoryStore,
}

impl Guarded {
    fn new() -> Self {
        Self { disk: SimulatedDisk::new(), memory: MemoryStore::new() }
    }

    fn try_open(&self) -> Result<GuardedCheckpoint, StoreError> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        GuardedCheckpoint::open(&disk, Path::new(DATA), &self.memory)
    }

    fn open(&self) -> GuardedCheckpoint {
        self.try_open().unwrap()
    }

    /// Two checkpoints, and the memory as it was after the first.
    fn with_two() -> (Self, MemoryStore) {
        let guarded = Self::new();
        let mut checkpoint = guarded.open();
        apply(&mut checkpoint, 1, &[("aa", "old"), ("ii", "bulk")]);
        let before = guarded.memory.crash(Survives::Everything);
        apply(&mut checkpoint, 2, &[("aa", "new"), ("kk", "more")]);
        (guarded, before)
    }

    fn what(&self) -> &'static str {
        let condition = self.open().condition();
        assert!(condition.lost.is_some());
        condition.damages[0].what
    }
}

fn apply(checkpoint: &mut dyn Checkpoint, offset: u32, pairs: &[(&str, &str)]) {
    let mut batch = CheckpointBatch::new(at(offset));
    for &(key, value) in pairs {
        batch.put(key, value);
    }
    if checkpoint.wants_snapshot() {
        batch.keep(b"snapshot".to_vec());
    }
    checkpoint.apply(batch).unwrap();
}

#[test]
fn what_was_applied_last_is_believed() {
    let (guarded, _) = Guarded::with_two();

    let checkpoint = guarded.open();

    assert_eq!(checkpoint.condition(), Condition::default());
    assert_eq!(checkpoint.position(), Some(at(2)));
    let mut keys = Vec::new();
    let mut visit = |key: &[u8], _: &[u8]| {
        keys.push(key.to_vec());
        Ok(())
    };
    checkpoint.load(&mut visit).unwrap();
    assert_eq!(keys, [b"aa", b"ii", b"kk"], "the digest is nobody's business");
}

#[test]
fn an_older_checkpoint_is_lost() {
    let (mut guarded, before) = Guarded::with_two();
    guarded.memory = before;

    let checkpoint = guarded.open();

    let lost = checkpoint.condition().lost;
    assert_eq!(lost, Some(Lost { snapshot: Some(Bytes::from("snapshot")) }));
    assert_eq!(checkpoint.position(), None);
}

#[test]
fn a_missing_checkpoint_is_lost() {
    let (mut guarded, _) = Guarded::with_two();
    guarded.memory = MemoryStore::new();
    assert_eq!(guarded.what(), "the checkpoint is missing");
}

#[test]
fn a_value_that_is_not_the_last_is_found() {
    let (guarded, before) = Guarded::with_two();
    let mut stale = CheckpointBatch::new(at(2));
    let value = before.checkpoint().get(b"aa").unwrap().unwrap();
    stale.put("aa", value.to_vec());
    guarded.memory.checkpoint().apply(stale).unwrap();

    assert_eq!(guarded.what(), "the checkpoint does not hold what was applied to it");
}

#[test]
fn until_another_is_applied_every_start_says_that_it_was_lost() {
    let (mut guarded, before) = Guarded::with_two();
    guarded.memory = before;
    for _ in 0..3 {
        assert!(guarded.open().condition().lost.is_some());
    }

    apply(&mut guarded.open(), 5, &[("aa", "again")]);

    assert_eq!(guarded.open().condition(), Condition::default());
}

#[test]
fn a_cut_between_the_checkpoint_and_its_mark_loses_neither() {
    let (guarded, _) = Guarded::with_two();
    let disk = guarded.disk.snapshot();
    apply(&mut guarded.open(), 3, &[("aa", "newest")]);

    let after = Guarded { disk, ..guarded };

    assert_eq!(after.open().condition(), Condition::default());
    assert_eq!(after.open().position(), Some(at(3)));
}

#[test]
fn a_checkpoint_that_is_distrusted_is_lost_at_the_next_start_and_not_at_the_one_after() {
    let (guarded, _) = Guarded::with_two();
    guarded.open().reader().distrust();

    let mut checkpoint = guarded.open();
    assert!(checkpoint.condition().lost.is_some());
    apply(&mut checkpoint, 5, &[("aa", "again")]);

    assert_eq!(guarded.open().condition(), Condition::default());
}

#[test]
fn without_a_snapshot_a_lost_checkpoint_is_not_replaced() {
    let (mut guarded, before) = Guarded::with_two();
    let path = Path::new(DATA).join("definitions");
    guarded.disk.overwrite(&path, b"garbage".to_vec());
    assert_eq!(guarded.open().condition().damages.len(), 1, "alone it is only reported");
    assert!(guarded.open().wants_snapshot());
    guarded.memory = before;

    let error = guarded.try_open().unwrap_err().to_string();

    assert!(error.contains("/data/definitions"), "{error}");
}

#[test]
fn the_database_set_aside_is_kept() {
    let scratch = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(crate::store::RealDisk);
    let place = FjallPlace(scratch.path().join("meta"));
    let open = || GuardedCheckpoint::open(&disk, scratch.path(), &place).unwrap();
    for number in 1..4 {
        let mut checkpoint = open();
        apply(&mut checkpoint, number, &[("aa", "value")]);
        checkpoint.reader().distrust();
        drop(checkpoint);
        assert!(open().condition().lost.is_some());
        assert!(scratch.path().join(format!("meta.damaged-{number}")).is_dir());
    }
}
