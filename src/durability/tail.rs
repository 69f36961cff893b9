//! What the commit thread and the checkpoint thread know together.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Condvar;

use super::state::LogState;
use crate::limits;
use crate::store::LogPosition;
use crate::sync::{RankedMutex, rank};

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) tail: RankedMutex<{ rank::TAIL }, Tail>,
    /// The checkpoint thread waits here: for bytes, for a sync, for the end.
    pub(super) news: Condvar,
    stopping: AtomicBool,
}

/// The end of the log as both threads see it.
#[derive(Debug)]
pub(super) struct Tail {
    /// What everything appended amounts to.
    pub(super) state: LogState,
    /// Everything before this place survives a power cut.
    pub(super) synced: LogPosition,
    /// The checkpoint thread waits for `synced` to rise.
    pub(super) is_sync_awaited: bool,
    /// Bytes appended since the last checkpoint was taken.
    pub(super) bytes_since_checkpoint: u64,
    /// Segments the checkpoint thread has no more use for.
    pub(super) release: Option<Release>,
    /// The commit thread has ended; nothing changes any more.
    pub(super) is_final: bool,
}

/// Permission to reuse segments: a durable checkpoint stands for everything before generation `before`,
/// and refers only to `live` ones among these.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) before: u64,
    pub(super) live: BTreeSet<u64>,
}

impl Tail {
    /// So much happened since the last checkpoint that the next one should not wait.
    pub(super) fn is_checkpoint_due(&self) -> bool {
        let is_much = self.bytes_since_checkpoint >= limits::CHECKPOINT_BYTES;
        self.state.is_ahead_of_checkpoint() && (is_much || self.state.has_many_changes())
    }
}

impl Shared {
    pub(super) fn new(state: LogState, synced: LogPosition) -> Self {
        let tail = Tail {
            state,
            synced,
            is_sync_awaited: false,
            bytes_since_checkpoint: 0,
            release: None,
            is_final: false,
        };
        Self {
            tail: RankedMutex::new(tail),
            news: Condvar::new(),
            stopping: AtomicBool::new(false),
        }
    }

    /// The broker stops: whoever waits for better times gives up.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}
