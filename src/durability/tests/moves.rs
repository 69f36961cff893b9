//! A message that moves from queue to queue, as a dead letter does, is at one end or at the other.

use std::path::Path;

use proptest::prelude::*;

use super::crash::watched;
use super::*;
use crate::limits;
use crate::store::{Disk, SEGMENT_HEADER_AREA, SegmentFiles, SimulatedDisk};

/// Small, so that disks are copied quickly.
const SEGMENT: u64 = 64 * 1024;
/// Room for all large messages and their moves.
const LARGE_SEGMENT: u64 = 8 * 1024 * 1024;

/// Bodies in each queue, in order.
type Bodies = BTreeMap<String, Vec<String>>;

const NAMES: [&str; 4] = ["source", "retry", "dead", "copy"];

#[derive(Clone, Debug)]
enum Operation {
    Publish(usize),
    /// The first message of one queue goes into others, perhaps into the same again.
    Move(usize, Vec<usize>),
    /// The same, after a commit cycle took its work and before it collects.
    MoveIntoCycle(usize, Vec<usize>),
    Mark,
    Commit,
    Checkpoint,
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let queue = || 0..NAMES.len();
    let targets = || prop::sample::subsequence((0..NAMES.len()).collect::<Vec<_>>(), 1..3);
    prop_oneof![
        3 => queue().prop_map(Operation::Publish),
        4 => (queue(), targets()).prop_map(|(from, to)| Operation::Move(from, to)),
        1 => (queue(), targets()).prop_map(|(from, to)| Operation::MoveIntoCycle(from, to)),
        2 => Just(Operation::Mark),
        3 => Just(Operation::Commit),
        1 => Just(Operation::Checkpoint),
    ]
}

struct Mover {
    node: Node,
    queues: Vec<Arc<Queue>>,
    now: Bodies,
    /// What the queues held after each operation; the first is before all.
    history: Vec<Bodies>,
    /// How many of them there were as of each mark.
    marks: Vec<usize>,
    number: u32,
}

impl Mover {
    fn new(mut node: Node) -> Self {
        let queues = NAMES.iter().map(|name| node.declare(name)).collect();
        node.commit_marked();
        let now: Bodies = NAMES.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
        // As of the first mark, which is released, and before it.
        let (history, marks) = (vec![now.clone()], vec![0, 0]);
        Self { node, queues, now, history, marks, number: 0 }
    }

    fn perform(&mut self, operation: &Operation) {
        match operation {
            Operation::Publish(queue) => {
                self.number += 1;
                self.publish(*queue, &format!("m{}", self.number));
            }
            Operation::Move(from, to) => self.move_first(*from, to),
            Operation::MoveIntoCycle(from, to) => {
                let work = self.node.broker.inbox().wait(Duration::ZERO, Duration::ZERO);
                self.move_first(*from, to);
                self.node.committer.commit(work).unwrap();
            }
            Operation::Mark => {
                self.node.mark();
                self.marks.push(self.history.len() - 1);
            }
            Operation::Commit => drop(self.node.commit()),
            Operation::Checkpoint => self.node.checkpoint(),
        }
    }

    fn publish(&mut self, queue: usize, body: &str) {
        self.node.publish(&[&self.queues[queue]], body);
        self.held(queue).push(body.to_owned());
        self.history.push(self.now.clone());
    }

    /// What one hold of the gate changes is one move.
    fn move_first(&mut self, from: usize, to: &[usize]) {
        let Some(entry) = self.node.get(&self.queues[from]) else { return };
        let (name, message) = (body(&entry), message(&body(&entry), to.len() > 1));
        let mut turn = self.node.broker.begin_turn();
        {
            let _whole = self.node.broker.inbox().gate().share();
            for &target in to {
                self.queues[target].enqueue(&mut vec![Arc::clone(&message)], &mut turn);
            }
            self.queues[from].settle(vec![entry], Outcome::Settled, &[], &mut turn);
        }
        turn.finish(&self.node.broker);
        self.held(from).remove(0);
        for &target in to {
            self.held(target).push(name.clone());
        }
        self.history.push(self.now.clone());
    }

    fn held(&mut self, queue: usize) -> &mut Vec<String> {
        self.now.get_mut(NAMES[queue]).unwrap()
    }

    /// Some moment's content is there, and none before the last that was released: no half of a move.
    fn check(&self, found: &Bodies, committed: u64) {
        let released = self.marks[usize::try_from(committed).unwrap()];
        assert!(self.history[released..].contains(found), "it never was so: {found:?}");
    }
}

fn log_path() -> &'static Path {
    Path::new("log")
}

fn node_on(disk: &SimulatedDisk, segment: u64) -> Node {
    let files = SegmentFiles::new(Arc::new(disk.clone()), log_path().to_owned());
    let log = Box::new(files.with_segment_size(segment));
    Node::recovered(log, MemoryStore::new().checkpoint(), &|log| log)
}

/// Disks of a process that was killed when the last segment was written so far and no further.
fn killed_at(
    disk: &SimulatedDisk,
    cuts: impl Iterator<Item = usize>,
) -> impl Iterator<Item = SimulatedDisk> {
    let newest = disk.list(log_path()).unwrap().into_iter().map(|(name, _)| name).max().unwrap();
    let path = log_path().join(newest);
    let contents = disk.contents(&path).unwrap();
    let area = SEGMENT_HEADER_AREA as usize;
    cuts.map(move |cut| {
        let killed = disk.snapshot();
        let mut contents = contents.clone();
        contents[area + cut..].fill(0);
        killed.overwrite(&path, contents);
        killed
    })
}

/// Bytes of frames in the log's only segment.
fn written(node: &Node) -> usize {
    let end = node.shared.tail.lock().state.position();
    assert_eq!(end.generation, 1);
    (end.offset - SEGMENT_HEADER_AREA) as usize
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_move_is_whole_or_absent_at_every_step_of_the_committer(
        operations in prop::collection::vec(any_operation(), 1..40)
    ) {
        let store = MemoryStore::new();
        let (node, cuts) = watched(&store);
        let mut mover = Mover::new(node);
        cuts.take();
        for operation in &operations {
            mover.perform(operation);
        }
        mover.perform(&Operation::Mark);
        mover.perform(&Operation::Commit);
        for cut in cuts.take() {
            mover.check(&bodies_after_restart(&cut.store), cut.committed);
        }
        prop_assert_eq!(bodies_after_restart(&store), mover.now);
    }
}

#[test]
fn a_move_is_whole_or_absent_whichever_byte_was_the_last() {
    let disk = SimulatedDisk::new();
    let mut mover = Mover::new(node_on(&disk, SEGMENT));
    let declared = written(&mover.node);
    for round in [vec![2], vec![1], vec![2, 3], vec![0]] {
        mover.perform(&Operation::Publish(0));
        mover.perform(&Operation::Publish(0));
        mover.perform(&Operation::Commit);
        mover.perform(&Operation::Move(0, round));
        mover.perform(&Operation::Commit);
    }
    let end = written(&mover.node);

    let mut seen = BTreeSet::new();
    for killed in killed_at(&disk, declared..=end) {
        let found = node_on(&killed, SEGMENT).bodies();
        mover.check(&found, 1);
        seen.insert(format!("{found:?}"));
    }

    // Two publishes were one batch each time, and so was a move.
    assert_eq!(seen.len(), 1 + 4 * 2);
}

/// A mover whose source holds three large messages that were confirmed, and how much it wrote until then. What
/// moves them does not fit one frame.
fn with_large_messages(disk: &SimulatedDisk) -> (Mover, usize) {
    let mut mover = Mover::new(node_on(disk, LARGE_SEGMENT));
    for letter in ["a", "b", "c"] {
        mover.publish(0, &letter.repeat(limits::FRAME_TARGET * 2 / 3));
    }
    mover.node.commit_marked();
    let synced = written(&mover.node);
    // The target is collected first, and so what the source loses is written behind what the target gains.
    mover.publish(2, "first");
    let mut turn = mover.node.broker.begin_turn();
    {
        let _whole = mover.node.broker.inbox().gate().share();
        for _ in 0..3 {
            let (entry, _) = mover.queues[0].get(false, &mut turn).message().unwrap();
            let message = message(&body(&entry), false);
            mover.queues[2].enqueue(&mut vec![message], &mut turn);
            mover.queues[0].settle(vec![entry], Outcome::Settled, &[], &mut turn);
        }
    }
    turn.finish(&mover.node.broker);
    mover.node.commit();
    (mover, synced)
}

/// First letters of the bodies in a queue.
fn letters(bodies: &Bodies, queue: &str) -> String {
    bodies[queue].iter().map(|body| &body[..1]).collect()
}

#[test]
fn a_move_of_several_frames_is_whole_or_absent_wherever_a_kill_cuts_it() {
    let disk = SimulatedDisk::new();
    let (mover, synced) = with_large_messages(&disk);

    let end = written(&mover.node);
    let cuts = (synced..end).step_by(100_003).chain([end]);
    for killed in killed_at(&disk, cuts) {
        let found = node_on(&killed, LARGE_SEGMENT).bodies();
        let ends = (letters(&found, "source"), letters(&found, "dead"));
        assert!(
            ends == ("abc".into(), String::new()) || ends == (String::new(), "fabc".into()),
            "{ends:?}"
        );
    }
}

#[test]
fn no_sector_that_a_power_cut_loses_loses_a_message_that_moved() {
    let disk = SimulatedDisk::new();
    let (mover, synced) = with_large_messages(&disk);
    let sectors = (written(&mover.node) - synced) / 512;

    for lost in (0..sectors).step_by(211) {
        let mut number = 0;
        let mut survives = || {
            number += 1;
            number != lost
        };
        let found = node_on(&disk.power_cut(&mut survives), LARGE_SEGMENT).bodies();
        let (source, dead) = (letters(&found, "source"), letters(&found, "dead"));
        let is_there = |letter: char| source.contains(letter) || dead.contains(letter);
        assert!("abc".chars().all(is_there), "sector {lost}: {source:?} and {dead:?} are left");
    }
}
