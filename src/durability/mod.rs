//! Turns the broker's changes into frames of the log, and back.
//!
//! # The promise
//!
//! A released mark means: every change that its turn made before it left the mark is on disk, and the disk
//! said so (`fdatasync` returned). That is what a publisher's confirm, a declare-ok of something durable and
//! a commit-ok wait for. This layer is the only one that says "durable".
//!
//! * What was confirmed and not settled is there after a kill, a crash or a power cut. What was settled
//!   may come back, marked as redelivered, if the cut came before the next sync.
//! * What one hold of the broker's collection gate changed, in however many queues, is there whole or not
//!   at all.
//! * A message settled before it was collected is never written.
//! * A full disk stops confirms and publishers until there is space, and loses nothing. Any other error of a
//!   write or sync ends the process: nobody knows what the disk holds then, so nobody is told anything.
//! * Damage is found by checksum, reported with file and offset, never delivered and never cut away.
//!
//! # Who runs where
//!
//! ```text
//! tokio tasks ── change queues, leave marks ──► CommitInbox
//!                                                   │ work
//! thread `commit`       committer.rs    collection.rs, record.rs ──► Log: one write, one sync
//!        │ state, synced position (tail.rs)                    └───► marks released
//!        ▼                                          ▲ segments to reuse
//! thread `checkpoint`   checkpointer.rs state.rs ───┴──────────────► Checkpoint
//!        └───► reclaim.rs, forward.rs: live messages of sparse segments, for the commit thread to append again
//!
//! thread `page`         pager.rs, messages.rs ◄─────────────────── LogReader: messages that left memory
//!        └───► spill.rs ◄────────────────────────────────────────► SpillArea: those that are in no log
//!
//! at start              recovery.rs     checkpoint + tail of the log ──► Broker
//! ```
//!
//! The log belongs to the commit thread and the checkpoint to the checkpoint thread; both block, and
//! neither ever runs on a tokio worker. The state keeps a small part of the index in memory; whoever has it may
//! read the checkpoint for the rest.

mod backup;
mod check;
mod checkpointer;
mod chunk;
mod codec;
mod collection;
mod committer;
mod contents;
mod definition;
mod forward;
mod index;
mod keys;
mod loader;
mod messages;
mod options;
mod pager;
mod policy;
mod pool;
mod progress;
mod reclaim;
pub mod record;
mod recovery;
mod returns;
mod salvage;
mod segments;
mod slot;
mod spill;
mod state;
mod stepped;
mod stored_queue;
mod summary;
mod table;
mod tail;
#[cfg(test)]
mod tests;
mod topology;
mod transient;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use self::backup::{BackedUp, Backups, back_up_stopped, restore};
pub use self::check::{CheckListener, CheckStep, CheckSummary, Finding, Severity, Workshop, check};
pub use self::committer::{OnFatal, Stop};
pub use self::index::Located;
pub use self::loader::StateLoader;
pub use self::reclaim::DiskUse;
pub use self::recovery::{Recovered, RecoveryError, RecoveryReport, apply_frame, load, recover};
pub use self::salvage::recover_directory;
pub use self::segments::SegmentUse;
pub use self::slot::Location;
pub use self::state::{LogState, NewEntry};
pub use self::stepped::{Checkpointed, Stepped};
pub use self::stored_queue::{StoredQueue, StoredStretch};
pub use self::tail::Written;

use self::checkpointer::Checkpointer;
use self::committer::Committer;
use self::pager::Pager;
use self::reclaim::Reclaimer;
use self::tail::Shared;
use crate::broker::Broker;
use crate::broker::commit_inbox::CommitInbox;
use crate::broker::paging::Paging;
use crate::limits;
use crate::store::{Checkpoint, Log, LogPosition, SpillArea};

/// The exit code of a process whose store can no longer be trusted (`EX_SOFTWARE` of sysexits.h).
pub const EXIT_STORE: i32 = 70;

/// The threads that make the broker's changes durable. Stop it, or nothing is sure of the last changes.
#[must_use = "the threads must be stopped and joined"]
pub struct Durability {
    inbox: Arc<CommitInbox>,
    shared: Arc<Shared>,
    commit: JoinHandle<()>,
    checkpoint: Option<JoinHandle<()>>,
    page: Option<JoinHandle<()>>,
    paging: Arc<Paging>,
}

/// What an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurabilityOptions {
    /// How long changes nobody waits for may stay uncollected; see [`limits::LINGER`].
    pub linger: Duration,
    /// Time after which a checkpoint is due if anything changed; see [`limits::CHECKPOINT_INTERVAL`].
    pub checkpoint_interval: Duration,
    /// Bytes of free space below which the disk alarm is raised; see [`limits::DISK_FREE_LIMIT`].
    pub disk_free_limit: u64,
    /// Bytes the segments may take up beyond twice what lives in them; see [`limits::RECLAIM_SLACK`].
    pub reclaim_slack: u64,
}

impl Default for DurabilityOptions {
    fn default() -> Self {
        Self {
            linger: limits::LINGER,
            checkpoint_interval: limits::CHECKPOINT_INTERVAL,
            disk_free_limit: limits::DISK_FREE_LIMIT,
            reclaim_slack: limits::RECLAIM_SLACK,
        }
    }
}

/// The store, as recovery left it.
pub struct Store {
    /// The log to continue.
    pub log: Box<dyn Log>,
    /// The checkpoint to keep up.
    pub checkpoint: Box<dyn Checkpoint>,
    /// What the log stands for.
    pub state: LogState,
}

impl Durability {
    /// Starts making the changes of `broker` durable. `on_fatal` is called once, on a thread of ours, if
    /// the store can no longer be trusted; nothing is confirmed after that. See [`exit_process`].
    pub fn start(
        broker: &Arc<Broker>,
        store: Store,
        options: DurabilityOptions,
        on_fatal: OnFatal,
    ) -> std::io::Result<Self> {
        Self::start_with(broker, store, None, options, on_fatal)
    }

    /// The same, with a place for messages that need not survive and are too much for memory.
    pub fn start_with(
        broker: &Arc<Broker>,
        store: Store,
        spill: Option<SpillArea>,
        options: DurabilityOptions,
        on_fatal: OnFatal,
    ) -> std::io::Result<Self> {
        let Store { log, checkpoint, state } = store;
        let inbox = Arc::clone(broker.inbox());
        // Nothing is known to be synced until the commit thread has done so.
        let shared = Arc::new(Shared::new(state, LogPosition::START));

        let reader = log.reader();
        let reclaimer = Reclaimer::new(Arc::clone(&shared), Arc::clone(&inbox), reader, options);
        let mut pager = Pager::new(Arc::clone(broker), Arc::clone(&shared), log.reader());
        if let Some(area) = spill {
            pager = pager.spilling_to(area);
        }
        let mut committer = Committer::new(broker, log, Arc::clone(&shared), options);
        // Before the first client comes.
        committer.watch_space();
        let commit = {
            let on_fatal = Arc::clone(&on_fatal);
            spawn("commit", Arc::clone(&on_fatal), move || committer.run(&*on_fatal))?
        };
        let checkpointer =
            Checkpointer::new(Arc::clone(&shared), checkpoint, options.checkpoint_interval);
        let checkpoint =
            spawn("checkpoint", Arc::clone(&on_fatal), move || checkpointer.run(reclaimer))?;
        let page = {
            let fatal = Arc::clone(&on_fatal);
            spawn("page", on_fatal, move || pager.run(&*fatal))?
        };
        let (checkpoint, page) = (Some(checkpoint), Some(page));
        Ok(Self { inbox, shared, commit, checkpoint, page, paging: Arc::clone(broker.paging()) })
    }

    /// Keeps nothing: changes are dropped as they come, and those who wait are told at once.
    pub fn transient(broker: &Broker) -> std::io::Result<Self> {
        let inbox = Arc::clone(broker.inbox());
        let shared = Arc::new(Shared::new(LogState::default(), LogPosition::START));
        let work_from = Arc::clone(&inbox);
        let commit = spawn("commit", exit_process(), move || transient::run(&work_from))?;
        let paging = Arc::clone(broker.paging());
        Ok(Self { inbox, shared, commit, checkpoint: None, page: None, paging })
    }

    /// What was written since the start.
    pub fn written(&self) -> Written {
        self.shared.counters.read()
    }

    /// What the log takes up now.
    pub fn disk_use(&self) -> DiskUse {
        DiskUse::of(&self.shared.tail.lock())
    }

    /// A handle that makes backups of the data directory `data_dir`, whose store this is, and leaves `reserve`
    /// bytes of its disk free.
    pub fn backups(&self, data_dir: PathBuf, reserve: u64) -> Backups {
        Backups::new(Arc::clone(&self.shared), data_dir, reserve)
    }

    /// Writes and syncs what there is, takes a last checkpoint, and joins the threads. Whoever changes the
    /// broker must have stopped. False if a thread ended before its time; the log says why.
    pub fn stop(self) -> bool {
        self.shared.stop();
        self.inbox.stop();
        self.paging.stop();
        // It may be waiting for space on a full disk.
        self.commit.thread().unpark();
        let threads = std::iter::once(self.commit).chain(self.checkpoint).chain(self.page);
        // Both are joined, whatever became of the first.
        threads.filter_map(|thread| thread.join().err()).count() == 0
    }
}

/// Stops the process with [`EXIT_STORE`]: what to do when the store can no longer be trusted.
pub fn exit_process() -> OnFatal {
    Arc::new(|| std::process::exit(EXIT_STORE))
}

/// A thread whose panic counts as fatal: without it nothing would ever be confirmed again.
fn spawn(
    name: &str,
    on_fatal: OnFatal,
    run: impl FnOnce() + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let supervised = move || {
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            tracing::error!("a panic on a thread of the store; stopping to restart from disk");
            on_fatal();
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(supervised)
}
