//! What the commit thread and the checkpoint thread know together.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Condvar;

use super::backup::Dump;
use super::forward::Portion;
use super::state::LogState;
use crate::limits;
use crate::store::{LogPosition, SegmentInfo};
use crate::sync::{RankedMutex, rank};

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) tail: RankedMutex<{ rank::TAIL }, Tail>,
    /// The checkpoint thread waits here: for bytes, for a sync, for the end.
    pub(super) news: Condvar,
    pub(super) counters: Counters,
    stopping: AtomicBool,
}

/// The end of the log as both threads see it.
#[derive(Debug)]
pub(super) struct Tail {
    /// What everything appended amounts to.
    pub(super) state: LogState,
    /// Everything before this place survives a power cut.
    pub(super) synced: LogPosition,
    /// How often that was noted.
    pub(super) syncs: u64,
    /// Somebody waits for `synced` to rise.
    pub(super) is_sync_awaited: bool,
    /// Bytes appended since the last checkpoint was taken.
    pub(super) bytes_since_checkpoint: u64,
    /// Bytes that the last commit cycle with something to write appended, without what it moved.
    pub(super) bytes_of_cycle: u64,
    /// What the last durable checkpoint stands for.
    pub(super) durable: Option<LogPosition>,
    /// Segments the checkpoint thread has no more use for.
    pub(super) release: Option<Release>,
    /// Messages on their way out of a sparse segment.
    pub(super) offer: Offer,
    /// The segments there are, as of the last time one came or went.
    pub(super) segments: Vec<SegmentInfo>,
    /// Bytes that can still be appended, as far as anybody can tell.
    pub(super) free_space: u64,
    /// While there are any, segments are kept whatever `release` says.
    pub(super) pins: usize,
    /// A backup wants a checkpoint of its own.
    pub(super) dump: Dump,
    /// The commit thread has ended; nothing changes any more.
    pub(super) is_final: bool,
}

/// Permission to reuse segments: a durable checkpoint stands for everything before generation `before`,
/// and refers only to `live` ones among these.
#[derive(Clone, Debug)]
pub(super) struct Release {
    pub(super) before: u64,
    pub(super) live: BTreeSet<u64>,
}

/// What the checkpoint thread asks the commit thread to append.
#[derive(Debug, Default)]
pub(super) enum Offer {
    /// Nothing, or it is done.
    #[default]
    None,
    /// This, at the end of a cycle.
    Made(Portion),
    /// The commit thread is at it.
    Taken,
    /// There is no space for it now.
    Refused,
}

/// Bytes written since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) payload: AtomicU64,
    pub(super) log: AtomicU64,
    pub(super) forwarded: AtomicU64,
    pub(super) checkpoint: AtomicU64,
}

/// What was written since the start, in bytes. `log` and `checkpoint` over `payload` is how often a message's
/// bytes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Messages that were collected, each once however many queues share it.
    pub payload: u64,
    /// Frames appended to the log.
    pub log: u64,
    /// The part of them that was in the log already and was moved out of a sparse segment.
    pub forwarded: u64,
    /// Keys and values handed to the checkpoint. What its database makes of them is not known.
    pub checkpoint: u64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, bytes: u64) {
        counter.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Written {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Written {
            payload: read(&self.payload),
            log: read(&self.log),
            forwarded: read(&self.forwarded),
            checkpoint: read(&self.checkpoint),
        }
    }
}

impl Tail {
    /// What may be reused now.
    pub(super) fn take_release(&mut self) -> Option<Release> {
        if self.pins > 0 { None } else { self.release.take() }
    }

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
            syncs: 0,
            is_sync_awaited: false,
            bytes_since_checkpoint: 0,
            bytes_of_cycle: 0,
            durable: None,
            release: None,
            offer: Offer::None,
            segments: Vec::new(),
            free_space: u64::MAX,
            pins: 0,
            dump: Dump::None,
            is_final: false,
        };
        Self {
            tail: RankedMutex::new(tail),
            news: Condvar::new(),
            counters: Counters::default(),
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
