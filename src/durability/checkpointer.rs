//! The checkpoint thread: the state as of a log position into the checkpoint, and segments back to the log.
//!
//! A checkpoint is due after [`crate::limits::CHECKPOINT_BYTES`] of log, after so many changes of the index that
//! memory should be rid of them ([`crate::limits::INDEX_CHANGED_SLOTS`]), or after the checkpoint interval, if
//! anything changed. Its content is taken under the lock together with its position X, then the lock is
//! gone; the commit thread never waits for the checkpoint's disk.
//!
//! # Which segments may be reused
//!
//! A restart finds checkpoint(X) plus whatever of the log behind X survived. It scans from X on, and reads
//! messages from older segments only for entries that live in the end. So a segment of a generation before
//! X's may go once no restart can find a live entry in it:
//!
//! * Not on the word of the state in memory alone. That state may already know an entry as gone whose
//!   `Gone` record is behind X and not synced; after a power cut checkpoint(X) would still refer to it.
//! * On the word of checkpoint(X), once it is durable. An entry that does not live in state(X) never comes
//!   back: replay from X on only adds entries whose records lie behind X, in X's generation or later.
//!   Therefore the live segments are taken together with the content, under the same lock, and used after
//!   `apply` returned. Whatever memory knows by then is less: it agrees.
//!
//! Entries found damaged at recovery stay live, so that their segment is kept for whoever can repair it.
//!
//! X must be synced before a durable checkpoint refers to it, or a power cut could leave a checkpoint of
//! what the log never had. So `apply` waits for the commit thread's next sync, which is never far.

use std::sync::Arc;
use std::time::Duration;

use super::tail::{Release, Shared};
use crate::store::{Checkpoint, CheckpointBatch, LogPosition, StoreError};

/// See the module.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    checkpoint: Box<dyn Checkpoint>,
    interval: Duration,
    /// Taken out of the state and not yet applied.
    pending: Option<Pending>,
}

struct Pending {
    batch: CheckpointBatch,
    position: LogPosition,
    release: Release,
}

/// Whether the thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Due,
    Final,
}

impl Checkpointer {
    pub(super) fn new(
        shared: Arc<Shared>,
        checkpoint: Box<dyn Checkpoint>,
        interval: Duration,
    ) -> Self {
        Self { shared, checkpoint, interval, pending: None }
    }

    /// The thread's whole life.
    pub(super) fn run(mut self) {
        let mut is_failing = false;
        loop {
            let wait = self.wait_until_due();
            match self.checkpoint() {
                Ok(()) => is_failing = false,
                Err(error) if is_failing => tracing::debug!(%error, "the checkpoint failed again"),
                Err(error) => {
                    is_failing = true;
                    tracing::error!(%error, "no checkpoint; the log grows until one succeeds");
                }
            }
            if wait == Wait::Final {
                return;
            }
        }
    }

    fn wait_until_due(&self) -> Wait {
        let mut tail = self.shared.tail.lock();
        loop {
            if tail.is_final {
                return Wait::Final;
            }
            // What failed is tried again after the interval, not at once.
            if self.pending.is_none() && tail.is_checkpoint_due() {
                return Wait::Due;
            }
            if tail.wait_for(&self.shared.news, self.interval) && !tail.is_final {
                return Wait::Due;
            }
        }
    }

    /// Takes what changed, waits until the log is synced as far as that, applies it, and says which
    /// segments may be reused. What could not be applied is kept for the next time.
    pub(super) fn checkpoint(&mut self) -> Result<(), StoreError> {
        if let Some(pending) = self.pending.take() {
            self.apply(pending)?;
        }
        match self.take() {
            Some(pending) => self.apply(pending),
            None => Ok(()),
        }
    }

    fn take(&self) -> Option<Pending> {
        let mut tail = self.shared.tail.lock();
        if !tail.state.is_ahead_of_checkpoint() {
            return None;
        }
        tail.bytes_since_checkpoint = 0;
        let position = tail.state.position();
        let batch = tail.state.checkpoint_batch();
        let release = Release { before: position.generation, live: tail.state.live_segments() };
        Some(Pending { batch, position, release })
    }

    fn apply(&mut self, pending: Pending) -> Result<(), StoreError> {
        if !self.wait_until_synced(pending.position) {
            tracing::warn!("no last checkpoint: the end of the log could not be synced");
            return Ok(());
        }
        let applied = self.checkpoint.apply(pending.batch.clone());
        if let Err(error) = applied {
            self.pending = Some(pending);
            return Err(error);
        }
        tracing::debug!(position = %pending.position, keys = pending.batch.len(), "checkpoint");
        let mut tail = self.shared.tail.lock();
        tail.release = Some(pending.release);
        // There is never more than one batch on its way.
        tail.state.checkpoint_applied();
        Ok(())
    }

    /// False if the commit thread ended before.
    fn wait_until_synced(&self, position: LogPosition) -> bool {
        let mut tail = self.shared.tail.lock();
        while tail.synced < position {
            if tail.is_final {
                return false;
            }
            tail.is_sync_awaited = true;
            tail.wait(&self.shared.news);
        }
        true
    }
}
