//! Durability without threads: it commits and takes checkpoints when it is told to, and at no other moment.
//!
//! For simulations, which choose every moment from a seed, and for tests that look between two steps. A broker that
//! serves clients has [`Durability`](super::Durability), which runs the same steps on threads of its own.

use std::sync::Arc;
use std::time::Duration;

use super::checkpointer::Checkpointer;
use super::committer::{Committer, Next, Stop};
use super::pager::Pager;
use super::reclaim::{Reclaimer, Step};
use super::tail::Shared;
use super::{DurabilityOptions, Store};
use crate::broker::Broker;
use crate::broker::commit_inbox::CommitInbox;
use crate::store::{LogPosition, SpillArea, StoreError};

/// See the module.
pub struct Stepped {
    inbox: Arc<CommitInbox>,
    pub(super) committer: Committer,
    pub(super) checkpointer: Checkpointer,
    pub(super) pager: Pager,
    reclaimer: Reclaimer,
    pub(super) shared: Arc<Shared>,
}

/// Whether a checkpoint was possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpointed {
    /// The checkpoint stands for all of the log.
    Done,
    /// Some of the log is not synced, and no checkpoint may refer to it; see [`Stepped::sync`].
    NotSynced,
}

impl Stepped {
    /// Makes the changes of `broker` durable, step by step.
    pub fn new(broker: &Arc<Broker>, store: Store, options: DurabilityOptions) -> Self {
        let Store { log, checkpoint, state } = store;
        // Nothing is known to be synced until a step has done so.
        let shared = Arc::new(Shared::new(state, LogPosition::START));
        let pager = Pager::new(Arc::clone(broker), Arc::clone(&shared), log.reader());
        let inbox = Arc::clone(broker.inbox());
        let reclaimer =
            Reclaimer::new(Arc::clone(&shared), Arc::clone(&inbox), log.reader(), options);
        let committer = Committer::new(broker, log, Arc::clone(&shared), options);
        let checkpointer =
            Checkpointer::new(Arc::clone(&shared), checkpoint, options.checkpoint_interval);
        Self { inbox, committer, checkpointer, pager, reclaimer, shared }
    }

    /// The same, with a place for messages that need not survive and are too much for memory.
    #[must_use]
    pub fn spilling_to(self, area: SpillArea) -> Self {
        Self { pager: self.pager.spilling_to(area), ..self }
    }

    /// One cycle of the committer: writes what changed, syncs if somebody waits for it or if there was nothing to
    /// write, and tells those who wait. Returns how many bytes it wrote. After an error nothing more may be done.
    pub fn commit(&mut self) -> Result<u64, Stop> {
        let before = self.written();
        let work = self.inbox.wait(Duration::ZERO, Duration::ZERO);
        let next = self.committer.commit(work)?;
        debug_assert_eq!(next, Next::Cycle, "nobody stops what has no threads");
        Ok(self.written() - before)
    }

    /// Commits until everything is written and synced.
    pub fn sync(&mut self) -> Result<(), Stop> {
        while self.commit()? > 0 {}
        // A cycle that finds nothing to do syncs; the last one may have found changes that cancelled each other.
        self.commit().map(|_| ())
    }

    /// Takes a checkpoint of the log. The next commit gives up the segments that it makes superfluous.
    pub fn checkpoint(&mut self) -> Result<Checkpointed, StoreError> {
        let is_synced = {
            let tail = self.shared.tail.lock();
            tail.synced >= tail.state.position()
        };
        if !is_synced {
            return Ok(Checkpointed::NotSynced);
        }
        self.checkpointer.checkpoint().map(|()| Checkpointed::Done)
    }

    /// Takes some messages out of a sparse segment, for the next commit to append. False if there is nothing to move
    /// now; after the next checkpoint there may be.
    pub fn reclaim(&mut self) -> bool {
        let is_offered = self.reclaimer.step() == Step::Offered;
        if !is_offered {
            self.reclaimer.begin_round();
        }
        is_offered
    }

    /// Reads what queues want that is in the log, and lets messages leave memory if there is too much. Returns
    /// whether any queue wanted anything; if so there may be more.
    pub fn page(&self) -> Result<bool, StoreError> {
        let work = self.pager.work_at_hand();
        let is_wanted = !work.queues.is_empty();
        self.pager.work(work)?;
        Ok(is_wanted)
    }

    fn written(&self) -> u64 {
        self.shared.tail.lock().bytes_since_checkpoint
    }
}
