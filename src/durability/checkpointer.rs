//! The checkpoint thread: the state as of a log position into the checkpoint, and segments back to the log.
//!
//! A checkpoint is due after [`crate::limits::CHECKPOINT_BYTES`] of log, after so many changes of the index that
//! memory should be rid of them ([`crate::limits::INDEX_CHANGED_SLOTS`]), or after the checkpoint interval, if
//! anything changed. Before it, sparse segments are emptied (see `reclaim`), and given up with it. Its content is
//! taken under the lock together with its position X, then the lock is
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

use super::backup::{Dump, Dumped};
use super::reclaim::{DiskUse, Reclaimer};
use super::tail::{Counters, Release, Shared, Tail};
use crate::store::{
    BackupError, BackupWriter, Checkpoint, CheckpointBatch, LogPosition, StoreError,
};

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
    /// A backup wants to begin.
    Backup,
    Final,
}

impl Checkpointer {
    pub(super) fn new(
        shared: Arc<Shared>,
        checkpoint: Box<dyn Checkpoint>,
        interval: Duration,
    ) -> Self {
        shared.tail.lock().durable = checkpoint.position();
        Self { shared, checkpoint, interval, pending: None }
    }

    /// The thread's whole life.
    pub(super) fn run(mut self, mut reclaimer: Reclaimer) {
        let mut is_failing = false;
        let mut is_behind = false;
        loop {
            let wait = if is_behind { self.look() } else { self.wait_until_due() };
            if wait == Wait::Backup {
                self.dump();
                continue;
            }
            // Without a checkpoint nothing is given up, and what was moved would only be there twice.
            is_behind = wait == Wait::Due && self.pending.is_none() && reclaimer.round();
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

    fn look(&self) -> Wait {
        let tail = self.shared.tail.lock();
        match (tail.is_final, &tail.dump) {
            (true, _) => Wait::Final,
            (false, Dump::Wanted(_)) => Wait::Backup,
            (false, _) => Wait::Due,
        }
    }

    fn wait_until_due(&self) -> Wait {
        let mut tail = self.shared.tail.lock();
        loop {
            if tail.is_final {
                return Wait::Final;
            }
            if matches!(tail.dump, Dump::Wanted(_)) {
                return Wait::Backup;
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
        Some(self.take_from(&mut tail))
    }

    fn take_from(&self, tail: &mut Tail) -> Pending {
        tail.bytes_since_checkpoint = 0;
        let position = tail.state.position();
        if self.checkpoint.wants_snapshot() {
            tail.state.keep_definitions();
        }
        let batch = tail.state.checkpoint_batch();
        let release = Release { before: position.generation, live: tail.state.live_segments() };
        Pending { batch, position, release }
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
        let counters = &self.shared.counters;
        Counters::add(&counters.checkpoint, pending.batch.bytes());
        let DiskUse { segments, live } = {
            let mut tail = self.shared.tail.lock();
            tail.durable = Some(pending.position);
            tail.release = Some(pending.release);
            // There is never more than one batch on its way.
            tail.state.checkpoint_applied();
            DiskUse::of(&tail)
        };
        let (position, keys) = (pending.position, pending.batch.len());
        tracing::debug!(%position, keys, segments, live, written = ?counters.read(), "checkpoint");
        Ok(())
    }

    /// Takes a checkpoint, whether or not one is due, and writes it down for a backup.
    fn dump(&mut self) {
        let wanted = std::mem::replace(&mut self.shared.tail.lock().dump, Dump::Busy);
        let Dump::Wanted(writer) = wanted else {
            self.shared.tail.lock().dump = wanted;
            return;
        };
        let dumped = self.dump_into(*writer);
        self.shared.tail.lock().dump = Dump::Done(Box::new(dumped));
        self.shared.news.notify_all();
    }

    fn dump_into(&mut self, mut writer: BackupWriter) -> Result<Dumped, BackupError> {
        let failed = |error: StoreError| BackupError::NoCheckpoint(error.to_string());
        if let Some(pending) = self.pending.take() {
            self.apply(pending).map_err(failed)?;
        }
        let pending = self.take_from(&mut self.shared.tail.lock());
        let (position, release) = (pending.position, pending.release.clone());
        self.apply(pending).map_err(failed)?;
        if self.checkpoint.position() != Some(position) {
            return Err(BackupError::Cancelled);
        }
        // Before the first batch there is nothing, and no place to go on from.
        let position = Some(position).filter(|position| position.generation > 0);
        if let Some(position) = position {
            writer.checkpoint(&*self.checkpoint, position)?;
        }
        Ok(Dumped { writer, position, release })
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
