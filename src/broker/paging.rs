//! Messages that leave memory and come back: who wants what read, and how much there is. It only holds that; the
//! pager waits here. Messages that are in no log are spilled: written to where only this run finds them.
//!
//! Invariants:
//! * A queue is on the list at most once: it says so itself, see `Queue::next_page`.
//! * What is counted as resident is what the queues' backlogs have in memory, message by message.
//! * A queue is counted as a reader exactly while it has something stored that is in demand, see `Queue::report`.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Condvar;

use super::delivery::Entry;
use super::queue::{Queue, footprint};
use crate::limits;
use crate::sync::{RankedMutex, rank};

/// Bytes of messages in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// Transient ones, and those of queues that are.
    pub transient: usize,
    /// Those that are in the log as well, or will be.
    pub durable: usize,
}

impl Resident {
    #[inline]
    pub(super) fn add(&mut self, entry: &Entry) {
        *self.of(entry) += footprint(&entry.message);
    }

    #[inline]
    pub(super) fn subtract(&mut self, entry: &Entry) {
        let of = self.of(entry);
        *of = of.saturating_sub(footprint(&entry.message));
    }

    pub(super) fn join(&mut self, other: Self) {
        self.transient += other.transient;
        self.durable += other.durable;
    }

    #[inline]
    fn of(&mut self, entry: &Entry) -> &mut usize {
        if entry.durable { &mut self.durable } else { &mut self.transient }
    }
}

/// Messages that were spilled. Whoever drops the last handle gives up what they take up there, and waits for nothing.
pub trait Spilled: Debug + Send + Sync {
    /// Reads them, positions rising. Blocks.
    fn read(&self) -> Result<Vec<Entry>, Unread>;
}

/// Why spilled messages were not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// They may be read later.
    NotNow,
    /// They are not what was written, and lost.
    Lost,
}

/// What the pager is to do.
#[derive(Default)]
pub struct PagingWork {
    /// Queues that want something read.
    pub queues: Vec<Arc<Queue>>,
    /// There is more in memory than may be of what is in the log.
    pub is_over_budget: bool,
    /// The same of what is not.
    pub is_over_transient: bool,
    /// The broker stops.
    pub last: bool,
}

#[derive(Default)]
struct Inner {
    queues: Vec<Arc<Queue>>,
    /// Queues that want something read which the log does not have yet.
    early: Vec<Arc<Queue>>,
    /// Commit cycles that are over, as far as the committer has said so.
    cycles: u64,
    is_pressed: bool,
    is_stopping: bool,
}

/// See the module.
pub struct Paging {
    inner: RankedMutex<{ rank::LEAF }, Inner>,
    arrived: Condvar,
    is_open: AtomicBool,
    spills: AtomicBool,
    transient_budget: AtomicUsize,
    budget: AtomicUsize,
    durable: AtomicUsize,
    transient: AtomicUsize,
    readers: AtomicUsize,
}

impl Default for Paging {
    fn default() -> Self {
        Self {
            inner: RankedMutex::default(),
            arrived: Condvar::new(),
            is_open: AtomicBool::new(false),
            spills: AtomicBool::new(false),
            transient_budget: AtomicUsize::new(limits::TRANSIENT_BYTES),
            budget: AtomicUsize::new(limits::RESIDENT_BYTES),
            durable: AtomicUsize::new(0),
            transient: AtomicUsize::new(0),
            readers: AtomicUsize::new(0),
        }
    }
}

impl Paging {
    /// How many bytes of messages that are in the log may be in memory as well.
    pub fn set_budget(&self, bytes: usize) {
        self.budget.store(bytes, Ordering::Relaxed);
    }

    /// How many bytes of messages that are in no log may be in memory.
    pub fn set_transient_budget(&self, bytes: usize) {
        self.transient_budget.store(bytes, Ordering::Relaxed);
    }

    /// The pager has a place for messages that are in no log.
    pub fn open_spill(&self) {
        self.spills.store(true, Ordering::Relaxed);
    }

    /// There is a pager now: what leaves memory can come back.
    pub fn open(&self) {
        self.is_open.store(true, Ordering::Relaxed);
    }

    /// See [`Paging::open`].
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// The queue wants something read. Called under its lock.
    pub(super) fn want(&self, queue: Arc<Queue>) {
        self.inner.lock().queues.push(queue);
        self.arrived.notify_one();
    }

    /// What the queue wants was not in the log when so many commit cycles were over; it comes up again after the next.
    pub fn want_later(&self, queue: Arc<Queue>, cycles: u64) {
        let mut inner = self.inner.lock();
        if inner.cycles > cycles {
            inner.queues.push(queue);
        } else {
            inner.early.push(queue);
        }
    }

    /// So many commit cycles are over.
    pub fn committed(&self, cycles: u64) {
        let mut inner = self.inner.lock();
        inner.cycles = cycles;
        if !inner.early.is_empty() {
            let mut early = std::mem::take(&mut inner.early);
            inner.queues.append(&mut early);
            self.arrived.notify_one();
        }
    }

    /// A queue's messages in memory were `before` and are `now`.
    #[inline]
    pub(super) fn note(&self, before: Resident, now: Resident) {
        if before != now {
            self.note_change(before, now);
        }
    }

    fn note_change(&self, before: Resident, now: Resident) {
        add(&self.transient, before.transient, now.transient);
        add(&self.durable, before.durable, now.durable);
        let is_over = now.durable > before.durable && self.is_over_budget();
        if is_over || now.transient > before.transient && self.is_over_transient() {
            let mut inner = self.inner.lock();
            if !std::mem::replace(&mut inner.is_pressed, true) {
                self.arrived.notify_one();
            }
        }
    }

    /// Bytes of messages in the backlogs of all queues.
    pub fn resident(&self) -> Resident {
        let transient = self.transient.load(Ordering::Relaxed);
        Resident { transient, durable: self.durable.load(Ordering::Relaxed) }
    }

    /// One more queue reads ahead from now on, or one less.
    pub(super) fn note_reader(&self, reads: bool) {
        if reads {
            self.readers.fetch_add(1, Ordering::Relaxed);
        } else {
            self.readers.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Bytes that a queue should have at hand, and reads at once: half of its share of what may be in memory.
    pub fn at_hand_bytes(&self) -> usize {
        let readers = self.readers.load(Ordering::Relaxed).max(1);
        let share = self.budget.load(Ordering::Relaxed) / readers / 2;
        share.clamp(limits::AT_HAND_LEAST, limits::AT_HAND_BYTES)
    }

    /// There is more than may be.
    pub fn is_over_budget(&self) -> bool {
        self.durable.load(Ordering::Relaxed) > self.budget.load(Ordering::Relaxed)
    }

    /// How much has to go so that it is not as much again at once.
    pub fn excess(&self) -> usize {
        let budget = self.budget.load(Ordering::Relaxed);
        self.durable.load(Ordering::Relaxed).saturating_sub(budget - budget / 4)
    }

    /// There is more than may be of what is in no log, and it could be spilled.
    pub fn is_over_transient(&self) -> bool {
        let budget = self.transient_budget.load(Ordering::Relaxed);
        self.spills.load(Ordering::Relaxed) && self.transient.load(Ordering::Relaxed) > budget
    }

    /// How much of it has to go so that it is not as much again at once.
    pub fn transient_excess(&self) -> usize {
        let budget = self.transient_budget.load(Ordering::Relaxed);
        self.transient.load(Ordering::Relaxed).saturating_sub(budget - budget / 16)
    }

    /// Ends the waiting for good.
    pub fn stop(&self) {
        self.inner.lock().is_stopping = true;
        self.arrived.notify_all();
    }

    /// Waits for something to do, for at most `patience`. That there is more than may be is reason enough only if
    /// something can be done about it: if not, `is_helpless`.
    pub fn wait(&self, patience: Duration, is_helpless: bool) -> PagingWork {
        let mut inner = self.inner.lock();
        let is_pressed = inner.is_pressed && !is_helpless;
        if inner.queues.is_empty() && !is_pressed && !inner.is_stopping {
            inner.wait_for(&self.arrived, patience);
        }
        inner.is_pressed = false;
        PagingWork {
            queues: std::mem::take(&mut inner.queues),
            is_over_budget: self.is_over_budget(),
            is_over_transient: self.is_over_transient(),
            last: inner.is_stopping,
        }
    }
}

fn add(total: &AtomicUsize, before: usize, now: usize) {
    if now > before {
        total.fetch_add(now - before, Ordering::Relaxed);
    } else if now < before {
        total.fetch_sub(before - now, Ordering::Relaxed);
    }
}
