//! What one turn of work owes the rest of the broker once its locks are gone.
//!
//! Code under a lock never calls out; it writes here. A turn holds no lock and is never kept across an
//! await.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use smallvec::SmallVec;

use super::Broker;
use super::commit_inbox::Mark;
use super::delivery::Deadline;
use super::firehose::Trace;
use super::queue::{Dead, Queue};

/// Collects wake-ups, marks and follow-up work; see [`Turn::finish`].
#[must_use = "an unfinished turn loses wake-ups and dead letters"]
pub struct Turn {
    now: Instant,
    unix_now: Deadline,
    wakers: SmallVec<[Waker; 8]>,
    marks: SmallVec<[Mark; 4]>,
    raised: bool,
    unused: SmallVec<[Arc<Queue>; 2]>,
    dead: VecDeque<Dead>,
    given_up: usize,
    traces: Vec<Trace>,
}

impl Turn {
    /// Starts a turn at `now`, which the wall clock calls `unix_now`.
    pub fn begin(now: Instant, unix_now: Deadline) -> Self {
        Self {
            now,
            unix_now,
            wakers: SmallVec::new(),
            marks: SmallVec::new(),
            raised: false,
            unused: SmallVec::new(),
            dead: VecDeque::new(),
            given_up: 0,
            traces: Vec::new(),
        }
    }

    /// When this turn began; the only clock its work looks at.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The same moment since the Unix epoch.
    pub fn unix_now(&self) -> Deadline {
        self.unix_now
    }

    /// Wake this task when the locks are gone.
    pub fn wake(&mut self, waker: Waker) {
        self.wakers.push(waker);
    }

    /// Tell the committer who waits for what this turn changed.
    pub fn leave_mark(&mut self, mark: Mark) {
        self.marks.push(mark);
    }

    /// A queue has raised its hand for the committer.
    pub(super) fn raised_hand(&mut self) {
        self.raised = true;
    }

    /// A queue gave up so many messages, wherever they go.
    pub(super) fn gave_up(&mut self, messages: usize) {
        self.given_up += messages;
    }

    /// How many messages queues gave up in this turn.
    pub(super) fn given_up(&self) -> usize {
        self.given_up
    }

    /// A queue gave up messages that go to its dead letter exchange.
    pub(super) fn dead_letter(&mut self, dead: Dead) {
        self.dead.push_back(dead);
    }

    /// What is still to be dead-lettered.
    pub(super) fn next_dead(&mut self) -> Option<Dead> {
        self.dead.pop_front()
    }

    /// A queue that goes when it is unused lost its last consumer, or nobody used it for too long.
    pub fn queue_unused(&mut self, queue: Arc<Queue>) {
        self.unused.push(queue);
    }

    /// The firehose gets a copy of this when the locks are gone.
    pub(super) fn trace(&mut self, trace: Trace) {
        self.traces.push(trace);
    }

    /// Settles what is owed. Takes locks of its own, so the caller must hold none.
    pub fn finish(mut self, broker: &Broker) {
        self.follow_up(broker);
        if let Some(events) = broker.events().filter(|events| events.has_pending()) {
            events.publish(&mut self);
            self.follow_up(broker);
        }
        if !self.traces.is_empty() {
            self.publish_traces();
            self.follow_up(broker);
        }
        if !self.marks.is_empty() {
            broker.inbox().leave_marks(self.marks.drain(..));
        } else if self.raised {
            broker.inbox().wake();
        }
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
    }

    /// Dead letters and unused queues; both may leave wake-ups and more work of either kind.
    fn follow_up(&mut self, broker: &Broker) {
        while !self.dead.is_empty() || !self.unused.is_empty() {
            while let Some(dead) = self.next_dead() {
                // Not for all of them: the committer and transactions get in between.
                let _whole = broker.inbox().gate().share();
                broker.place(dead, self);
            }
            if let Some(queue) = self.unused.pop() {
                broker.delete_unused(&queue, self);
            }
        }
    }

    /// What copies set off, such as dead letters, is traced as well but not copied: it goes with the turn. Else a
    /// queue of copies that dead-letters could feed itself for ever.
    fn publish_traces(&mut self) {
        for trace in std::mem::take(&mut self.traces) {
            trace.publish(self);
        }
    }
}
