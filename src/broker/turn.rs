//! What one turn of work owes the rest of the broker once its locks are gone.
//!
//! Code under a lock never calls out; it writes here. A turn holds no lock and is never kept across an
//! await.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use smallvec::SmallVec;

use super::Broker;
use super::commit_inbox::Mark;
use super::firehose::Trace;
use super::queue::Queue;

/// Collects wake-ups, marks and follow-up work; see [`Turn::finish`].
#[must_use = "an unfinished turn loses wake-ups"]
pub struct Turn {
    now: Instant,
    wakers: SmallVec<[Waker; 8]>,
    marks: SmallVec<[Mark; 4]>,
    unused: SmallVec<[Arc<Queue>; 2]>,
    traces: Vec<Trace>,
    /// Copies for the firehose are being published; what they set off is not traced.
    quiet: bool,
}

impl Turn {
    /// Starts a turn at `now`.
    pub fn begin(now: Instant) -> Self {
        Self {
            now,
            wakers: SmallVec::new(),
            marks: SmallVec::new(),
            unused: SmallVec::new(),
            traces: Vec::new(),
            quiet: false,
        }
    }

    /// When this turn began; the only clock its work looks at.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Wake this task when the locks are gone.
    pub fn wake(&mut self, waker: Waker) {
        self.wakers.push(waker);
    }

    /// Tell the committer who waits for what this turn changed.
    pub fn leave_mark(&mut self, mark: Mark) {
        self.marks.push(mark);
    }

    /// An auto-delete queue lost its last consumer.
    pub fn queue_unused(&mut self, queue: Arc<Queue>) {
        self.unused.push(queue);
    }

    /// The firehose gets a copy of this when the locks are gone.
    pub(super) fn trace(&mut self, trace: Trace) {
        if !self.quiet {
            self.traces.push(trace);
        }
    }

    /// Settles what is owed. Takes locks of its own, so the caller must hold none.
    pub fn finish(mut self, broker: &Broker) {
        if !self.traces.is_empty() {
            self.publish_traces();
        }
        // Deleting a queue may cancel consumers, whose wake-ups join this turn's.
        while let Some(queue) = self.unused.pop() {
            broker.delete_unused(&queue, &mut self);
        }
        if !self.marks.is_empty() {
            broker.inbox().leave_marks(self.marks.drain(..));
        }
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
    }

    fn publish_traces(&mut self) {
        self.quiet = true;
        for trace in std::mem::take(&mut self.traces) {
            trace.publish(self);
        }
    }
}
