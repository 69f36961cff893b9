//! Where queues raise a hand and turns leave marks. It only holds them; the committer waits here.
//!
//! Invariants:
//! * A mark is left only after everything it vouches for lies in some queue's or virtual host's unsaved
//!   changes, and marks are taken out *before* those are collected. So what a mark waits for is either
//!   collected by the cycle that took it, or on disk already.
//! * A cycle collects, under the closed gate, all queues that are dirty by then, so that what changed under
//!   one hold of the gate is collected together.
//! * A queue is on the dirty list exactly while it has unsaved changes that no cycle has collected.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Condvar;

use super::queue::Queue;
use super::vhost::VHost;
use crate::limits;
use crate::sync::{Gate, RankedMutex, rank};

/// Somebody who must hear when changes are durable.
pub trait Awaiting: Send + Sync {
    /// Everything this listener numbered up to `sequence` is on disk. Wake-ups go to `wakers`.
    fn committed(&self, sequence: u64, wakers: &mut Vec<Waker>);
}

/// "Tell me when all I changed so far is durable."
pub struct Mark {
    /// Whom to tell.
    pub who: Arc<dyn Awaiting>,
    /// What: the listener's own numbering.
    pub sequence: u64,
}

/// What a commit cycle starts with.
#[derive(Default)]
pub struct Work {
    /// Who waits. Empty: nobody, the write need not be synced.
    pub marks: Vec<Mark>,
    /// Queues with changes.
    pub queues: Vec<Arc<Queue>>,
    /// Virtual hosts with changed definitions.
    pub vhosts: Vec<Arc<VHost>>,
    /// The broker is stopping; this is the last cycle.
    pub last: bool,
}

impl Work {
    fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.queues.is_empty() && self.vhosts.is_empty()
    }
}

#[derive(Default)]
struct Inner {
    work: Work,
    /// The committer sleeps; a raised hand must wake it.
    idle: bool,
    /// It shall not fall asleep before it has looked around once more.
    is_nudged: bool,
    /// Publishers that wait for the unsaved bytes to fall.
    crowd: Vec<Waker>,
}

/// See the module.
#[derive(Default)]
pub struct CommitInbox {
    inner: RankedMutex<{ rank::LEAF }, Inner>,
    arrived: Condvar,
    unsaved_bytes: AtomicUsize,
    cycles: AtomicU64,
    gate: Gate,
}

impl CommitInbox {
    /// The queue has unsaved changes now and had none before. Called under the queue's lock; the committer is woken at
    /// the end of the turn, by its marks or by [`CommitInbox::wake`]. Woken now it would often have to wait for these
    /// marks, and be woken again.
    pub fn raise_hand(&self, queue: Arc<Queue>) {
        self.inner.lock().work.queues.push(queue);
    }

    /// A turn is over in which a hand was raised and no mark was left.
    pub fn wake(&self) {
        self.wake_if_idle(&mut self.inner.lock());
    }

    /// The virtual host has changed definitions now and had none before.
    pub fn definitions_changed(&self, vhost: Arc<VHost>) {
        let mut inner = self.inner.lock();
        inner.work.vhosts.push(vhost);
        self.wake_if_idle(&mut inner);
    }

    /// Leaves the marks of a turn.
    pub fn leave_marks(&self, marks: impl Iterator<Item = Mark>) {
        let mut inner = self.inner.lock();
        let first = inner.work.marks.is_empty();
        inner.work.marks.extend(marks);
        if first {
            inner.idle = false;
            self.arrived.notify_one();
        }
    }

    /// Ends the committer's sleep: there is something for it that is not the broker's.
    pub fn nudge(&self) {
        let mut inner = self.inner.lock();
        inner.is_nudged = true;
        self.wake_if_idle(&mut inner);
    }

    /// Asks for one more cycle and then none.
    pub fn stop(&self) {
        let mut inner = self.inner.lock();
        inner.work.last = true;
        self.arrived.notify_one();
    }

    /// The committer sleeps.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.inner.lock().idle
    }

    fn wake_if_idle(&self, inner: &mut Inner) {
        if std::mem::take(&mut inner.idle) {
            self.arrived.notify_one();
        }
    }

    /// Waits for work and takes all of it. Work nobody waits for lingers a little, so that inserts and
    /// acknowledgements meet and cancel. Empty after `patience` without any.
    pub fn wait(&self, linger: Duration, patience: Duration) -> Work {
        let mut inner = self.inner.lock();
        let is_nudged = std::mem::take(&mut inner.is_nudged);
        if inner.work.is_empty() && !inner.work.last && !is_nudged {
            inner.idle = true;
            let timed_out = inner.wait_for(&self.arrived, patience);
            inner.idle = false;
            inner.is_nudged = false;
            if timed_out && inner.work.is_empty() {
                return Work { last: inner.work.last, ..Work::default() };
            }
        }
        if inner.work.marks.is_empty()
            && !inner.work.last
            && self.unsaved_bytes() < limits::LINGER_BYTES
        {
            inner.wait_for(&self.arrived, linger);
        }
        let last = inner.work.last;
        let work = std::mem::take(&mut inner.work);
        inner.work.last = last;
        work
    }

    /// Adds the queues that raised a hand since [`CommitInbox::wait`] took `work` out. Called while the gate
    /// is closed: a transaction that came in between may have changed one queue of `work` and one that
    /// is not in it, and must be collected whole.
    pub fn late_queues(&self, work: &mut Work) {
        work.queues.append(&mut self.inner.lock().work.queues);
    }

    /// The same for virtual hosts. Called after queues were collected, so that no queue among them is without
    /// its definition.
    pub fn late_vhosts(&self, work: &mut Work) {
        work.vhosts.append(&mut self.inner.lock().work.vhosts);
    }

    /// How many cycles are over: what they collected is in the log, and the log's state knows it.
    pub fn cycles(&self) -> u64 {
        self.cycles.load(Ordering::Acquire)
    }

    /// The number of the cycle that collects now.
    pub(super) fn cycle(&self) -> u64 {
        self.cycles() + 1
    }

    /// A cycle is over.
    pub fn end_cycle(&self) {
        self.cycles.fetch_add(1, Ordering::Release);
    }

    /// Bytes of messages that lie in queues' unsaved changes.
    pub fn unsaved_bytes(&self) -> usize {
        self.unsaved_bytes.load(Ordering::Relaxed)
    }

    /// Counts bytes that became unsaved.
    pub fn add_unsaved(&self, bytes: usize) {
        let before = self.unsaved_bytes.fetch_add(bytes, Ordering::Relaxed);
        // A linger ends early when much has gathered.
        if before < limits::LINGER_BYTES && before + bytes >= limits::LINGER_BYTES {
            self.arrived.notify_one();
        }
    }

    /// Counts bytes that were collected or cancelled.
    pub fn subtract_unsaved(&self, bytes: usize) {
        self.unsaved_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Ready when publishers may go on; else the task is woken by [`CommitInbox::let_in`].
    pub fn poll_room(&self, context: &mut Context<'_>, bound: usize) -> Poll<()> {
        if self.unsaved_bytes() < bound {
            return Poll::Ready(());
        }
        let mut inner = self.inner.lock();
        // Checked again under the lock: `let_in` takes the crowd under it.
        if self.unsaved_bytes() < bound {
            return Poll::Ready(());
        }
        inner.crowd.push(context.waker().clone());
        Poll::Pending
    }

    /// Wakes the publishers that waited for room.
    pub fn let_in(&self) {
        let crowd = std::mem::take(&mut self.inner.lock().crowd);
        for waker in crowd {
            waker.wake();
        }
    }

    /// Held shared by whoever changes several queues as one, exclusively while they are collected.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }
}
