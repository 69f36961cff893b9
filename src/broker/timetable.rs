//! Which queue wants to be looked at when: messages expire there, or the queue itself does.
//!
//! Invariants:
//! * A queue is in here at most once, and knows under which deadline. A million queues with messages that
//!   expire are a million entries of one ordered map, and one timer.
//! * Nothing is called while the timetable is locked.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};

use super::delivery::{Deadline, QueueId};
use super::queue::Queue;
use super::turn::Turn;
use crate::sync::{RankedMutex, rank};

/// See the module.
#[derive(Default)]
pub struct Timetable {
    inner: RankedMutex<{ rank::LEAF }, Inner>,
}

#[derive(Default)]
struct Inner {
    queues: BTreeMap<(Deadline, QueueId), Weak<Queue>>,
    /// Whoever waits for the first of them.
    timer: Option<Waker>,
}

impl Timetable {
    /// Enters a queue, which may be there under another deadline. Called under the queue's lock.
    pub(super) fn reschedule(
        &self,
        queue: &Arc<Queue>,
        from: Option<Deadline>,
        to: Deadline,
        turn: &mut Turn,
    ) {
        let mut inner = self.inner.lock();
        if let Some(from) = from {
            inner.queues.remove(&(from, queue.id));
        }
        let is_first = inner.queues.first_key_value().is_none_or(|((first, _), _)| to < *first);
        inner.queues.insert((to, queue.id), Arc::downgrade(queue));
        if is_first && let Some(timer) = inner.timer.take() {
            turn.wake(timer);
        }
    }

    /// Takes a queue out. Called under the queue's lock.
    pub(super) fn forget(&self, queue: &Queue, from: Option<Deadline>) {
        if let Some(from) = from {
            self.inner.lock().queues.remove(&(from, queue.id));
        }
    }

    /// The first deadline. The task is woken when there is an earlier one.
    pub fn watch(&self, context: &Context<'_>) -> Option<Deadline> {
        let mut inner = self.inner.lock();
        inner.timer = Some(context.waker().clone());
        inner.queues.first_key_value().map(|((first, _), _)| *first)
    }

    /// How many queues are in it.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.inner.lock().queues.len()
    }

    /// Takes out a queue whose time has come.
    pub(super) fn take_due(&self, now: Deadline) -> Option<Arc<Queue>> {
        let mut inner = self.inner.lock();
        while inner.queues.first_key_value().is_some_and(|((first, _), _)| *first <= now) {
            let (_, queue) = inner.queues.pop_first()?;
            if let Some(queue) = queue.upgrade() {
                return Some(queue);
            }
        }
        None
    }
}
