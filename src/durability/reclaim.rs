//! Which segments are emptied, and when: so that a queue that is never read costs its own messages, and not the
//! segments it shares with queues that are.
//!
//! # The rule
//!
//! The segments shall not take up more than twice what lives in them and the slack. Before they do, at half the slack,
//! the sparsest old segment is emptied: its live messages are appended to the log again, and the next checkpoint gives
//! it up. Once that has begun it goes on down to 1.75 times what lives and a quarter of the slack, and a portion is as large
//! as what the commit thread writes by itself. So much is moved at once, and lies together: mixed thinly with messages
//! that will soon be gone, it would have to be moved again.
//!
//! * Old is what lies wholly before the last durable checkpoint. What is younger is about to be emptied by its
//!   consumers.
//! * A segment that is more than half alive is left alone: moving it costs more than it gains. If all old ones are, the
//!   bound holds but for what came since the checkpoint, and that is what the slack is for.
//! * Segments without live entries do not count: the next checkpoint gives them up. Nor do those with damage.
//! * Bytes that live are counted for each queue; a message that many share counts many times.
//!
//! # Why it is safe
//!
//! The move is a put like any other, of the same queues and positions, and it is the commit thread that writes it:
//!
//! * It is the only one that appends and its state is exact when it does, so only entries move that live and lie where
//!   they were read. The record of whatever takes one away later lies behind the move. So a restart, wherever it
//!   replays from, finds put, move and gone in this order, and the last word is right.
//! * The old place stays readable until no restart can want it: the segment is released by a durable checkpoint of
//!   a state without entries in it, by the rule in `checkpointer`. That state has the moves, and it was synced before.
//!   A cut before finds the message in its old place, or in both, and replay puts one in the place of the other.
//! * An entry that is settled, or whose queue is deleted, while its message is on the way is not in the state any more
//!   and does not move.
//! * A record that cannot be read or verified is not moved. Its segment is reported, once, and kept for whoever can
//!   repair it, as at a restart.
//! * It is never what fills the disk: near the disk alarm's limit one segment is emptied at a time, and only if there
//!   is room for more than it needs. If the disk is full all the same, the portion is dropped and nothing is lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::DurabilityOptions;
use super::forward::{Emptying, Portion};
use super::messages::unreadable;
use super::segments::SegmentUse;
use super::slot::Location;
use super::tail::{Offer, Shared, Tail};
use crate::broker::commit_inbox::CommitInbox;
use crate::limits;
use crate::store::{Damage, LogPosition, LogReader, SegmentInfo, StoreError};

/// See the module.
pub(super) struct Reclaimer {
    shared: Arc<Shared>,
    inbox: Arc<CommitInbox>,
    reader: Arc<dyn LogReader>,
    slack: u64,
    disk_free_limit: u64,
    /// The bound was passed, and the lower one is not reached yet.
    is_behind: bool,
    emptying: Option<Emptying>,
    /// Live bytes of the segments this round has begun to empty.
    moving: u64,
    /// Segments with damage. They are left as they are.
    kept: BTreeSet<u64>,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The commit thread has a portion to append.
    Offered,
    /// A checkpoint should come first, or there is nothing to do.
    Done,
}

/// What the log takes up, and what for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// Bytes of all segments, without those kept ready to be written.
    pub segments: u64,
    /// Bytes of the live messages in them, each counted for every queue it is in.
    pub live: u64,
}

impl DiskUse {
    pub(super) fn of(tail: &Tail) -> Self {
        let segments = tail.segments.iter().map(|segment| segment.bytes).sum();
        let live = tail.state.segment_use().values().map(|live| live.bytes).sum();
        Self { segments, live }
    }
}

impl Reclaimer {
    pub(super) fn new(
        shared: Arc<Shared>,
        inbox: Arc<CommitInbox>,
        reader: Arc<dyn LogReader>,
        options: DurabilityOptions,
    ) -> Self {
        Self {
            shared,
            inbox,
            reader,
            slack: options.reclaim_slack,
            disk_free_limit: options.disk_free_limit,
            is_behind: false,
            emptying: None,
            moving: 0,
            kept: BTreeSet::new(),
        }
    }

    /// Empties segments until there are enough for one checkpoint. True if another round should follow that.
    pub(super) fn round(&mut self) -> bool {
        self.begin_round();
        while self.step() == Step::Offered {
            if !self.wait_for_answer() {
                return false;
            }
        }
        self.is_behind && self.moving > 0
    }

    /// A checkpoint was taken since the last step.
    pub(super) fn begin_round(&mut self) {
        self.moving = 0;
    }

    /// Goes on until the commit thread has something to do.
    pub(super) fn step(&mut self) -> Step {
        while !self.shared.is_stopping() {
            match self.take_answer() {
                Offer::Made(_) | Offer::Taken => return Step::Offered,
                Offer::Refused => {
                    tracing::debug!("no space to empty sparse segments");
                    self.emptying = None;
                    self.is_behind = false;
                    return Step::Done;
                }
                Offer::None => {}
            }
            let begun = self.emptying.take().or_else(|| self.choose());
            let Some(mut emptying) = begun else { return Step::Done };
            if let Err(error) = self.gather(&mut emptying) {
                tracing::error!(%error, "a sparse segment cannot be emptied");
                self.kept.insert(emptying.generation);
                continue;
            }
            let portion = self.portion();
            match emptying.read(&*self.reader, portion) {
                Ok(Some(portion)) => {
                    self.emptying = Some(emptying);
                    self.offer(portion);
                    return Step::Offered;
                }
                Ok(None) => self.finish(emptying.generation),
                Err(damage) => self.keep(emptying.generation, &damage),
            }
        }
        Step::Done
    }

    fn gather(&self, emptying: &mut Emptying) -> Result<(), StoreError> {
        while emptying.gather(&self.shared.tail.lock().state)? {}
        Ok(())
    }

    /// How many bytes may move in one cycle.
    fn portion(&self) -> u64 {
        let cycle = self.shared.tail.lock().bytes_of_cycle;
        cycle.clamp(limits::FORWARD_PORTION, limits::FORWARD_PORTION_MOST)
    }

    /// False if none will come.
    fn wait_for_answer(&self) -> bool {
        let mut tail = self.shared.tail.lock();
        while matches!(tail.offer, Offer::Made(_) | Offer::Taken) {
            if tail.is_final {
                return false;
            }
            tail.wait(&self.shared.news);
        }
        true
    }

    /// What became of the last portion; the commit thread's refusal is heard once.
    fn take_answer(&self) -> Offer {
        let mut tail = self.shared.tail.lock();
        match tail.offer {
            Offer::Made(_) | Offer::Taken => Offer::Taken,
            Offer::Refused | Offer::None => std::mem::take(&mut tail.offer),
        }
    }

    fn offer(&self, portion: Portion) {
        self.shared.tail.lock().offer = Offer::Made(portion);
        self.inbox.nudge();
    }

    /// The segment to empty next, if the rule wants one and there is room.
    fn choose(&mut self) -> Option<Emptying> {
        let (survey, free, is_due) = {
            let tail = self.shared.tail.lock();
            let is_due = tail.state.has_many_changes();
            (Survey::of(&tail, &self.kept), tail.free_space, is_due)
        };
        let (quarter, slack) = (survey.live / 4, self.slack);
        self.is_behind = if self.is_behind {
            survey.bytes > 7 * quarter + slack / 4
        } else {
            survey.bytes > 2 * survey.live + slack / 2
        };
        let sparsest = survey.sparsest.filter(|_| self.is_behind);
        let Some(Sparse { generation, size, live }) = sparsest else {
            self.is_behind = false;
            return None;
        };
        // What is moved may begin a segment.
        let needed = self.moving + live + size;
        let spare = free.saturating_sub(self.disk_free_limit);
        let is_first = self.moving == 0;
        let may_begin = if is_first {
            needed <= free
        } else {
            !is_due && needed <= spare && self.moving + live <= limits::CHECKPOINT_BYTES
        };
        if !may_begin {
            return None;
        }
        self.moving += live.max(1);
        tracing::debug!(generation, live, bytes = size, "a sparse segment is emptied");
        Some(Emptying::new(generation))
    }

    /// All that could be read was moved.
    fn finish(&mut self, generation: u64) {
        let left = self.shared.tail.lock().state.segment_use().get(&generation).copied();
        let Some(SegmentUse { entries, bytes }) = left else { return };
        tracing::error!(entries, "entries lie where no record names them");
        let at = LogPosition { generation, offset: 0 };
        let length = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.keep(generation, &unreadable(Location { at, length }));
    }

    fn keep(&mut self, generation: u64, damage: &Damage) {
        self.kept.insert(generation);
        tracing::error!(%damage, "damage in the store; its segment is kept and not emptied");
    }
}

/// An old segment that is at most half alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sparse {
    generation: u64,
    size: u64,
    live: u64,
}

impl Sparse {
    fn is_sparser_than(self, other: Self) -> bool {
        let weigh = |live: u64, size: u64| u128::from(live) * u128::from(size);
        weigh(self.live, other.size) < weigh(other.live, self.size)
    }
}

/// The log as the rule sees it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Survey {
    bytes: u64,
    live: u64,
    sparsest: Option<Sparse>,
}

impl Survey {
    fn of(tail: &Tail, kept: &BTreeSet<u64>) -> Self {
        let mut survey = Self::default();
        let first_young = tail.durable.map_or(0, |durable| durable.generation);
        for &SegmentInfo { generation, bytes: size } in &tail.segments {
            let used = tail.state.segment_use().get(&generation);
            let is_old = generation < first_young;
            let is_dead = is_old && used.is_none();
            if is_dead || kept.contains(&generation) {
                continue;
            }
            let live = used.map_or(0, |used| used.bytes).min(size);
            survey.bytes += size;
            survey.live += live;
            if is_old && live <= size / 2 {
                survey.consider(Sparse { generation, size, live });
            }
        }
        survey
    }

    fn consider(&mut self, sparse: Sparse) {
        if self.sparsest.is_none_or(|sparsest| sparse.is_sparser_than(sparsest)) {
            self.sparsest = Some(sparse);
        }
    }
}
