//! Publishes of one turn that go to the same queues, enqueued under one lock.

use std::sync::Arc;

use super::routes::Target;
use crate::broker::Broker;
use crate::broker::message::Message;
use crate::broker::queue::{Admission, Queue};
use crate::broker::turn::Turn;

/// See the module.
#[derive(Default)]
pub(super) struct Batch {
    target: Option<Arc<Target>>,
    messages: Vec<Arc<Message>>,
}

impl Batch {
    /// Adds a message; what goes elsewhere is enqueued first. No queue of the target rejects.
    pub(super) fn add(
        &mut self,
        target: &Arc<Target>,
        message: Arc<Message>,
        broker: &Broker,
        turn: &mut Turn,
    ) {
        debug_assert!(!target.rejects, "a refusal must be known when the publish is numbered");
        let same = self.target.as_ref().is_some_and(|current| Arc::ptr_eq(current, target));
        if !same {
            self.enqueue(broker, turn);
            self.target = Some(Arc::clone(target));
        }
        self.messages.push(message);
    }

    /// Enqueues what was gathered and then, at once, a message that may be refused.
    pub(super) fn offer(
        &mut self,
        target: &Target,
        message: Arc<Message>,
        broker: &Broker,
        turn: &mut Turn,
    ) -> Admission {
        self.enqueue(broker, turn);
        self.messages.push(message);
        let offer =
            |queue: &Arc<Queue>, messages: &mut _, turn: &mut _| queue.enqueue(messages, turn);
        let admission = enqueue(target, &mut self.messages, broker, turn, offer);
        self.messages.clear();
        admission
    }

    /// Enqueues what was gathered.
    pub(super) fn enqueue(&mut self, broker: &Broker, turn: &mut Turn) {
        if self.messages.is_empty() {
            return;
        }
        if let Some(target) = &self.target {
            // A policy may have made one of the queues refuse since; these were numbered as accepted.
            enqueue(target, &mut self.messages, broker, turn, |queue, messages, turn| {
                queue.enqueue_regardless(messages, turn);
                Admission::Accepted
            });
        }
        self.messages.clear();
    }
}

/// Hands messages to all of a target's queues. Refused if one queue refuses one, whatever the others do.
fn enqueue(
    target: &Target,
    messages: &mut Vec<Arc<Message>>,
    broker: &Broker,
    turn: &mut Turn,
    offer: impl Fn(&Arc<Queue>, &mut Vec<Arc<Message>>, &mut Turn) -> Admission,
) -> Admission {
    let Some((last, others)) = target.queues.split_last() else { return Admission::Accepted };
    if others.is_empty() {
        return offer(last, messages, turn);
    }
    // Collected together or not at all, so that the log keeps one body for all the queues.
    let whole = target.keeps.then(|| broker.inbox().gate().share());
    let mut admission = Admission::Accepted;
    for queue in others {
        let mut copies = messages.clone();
        if offer(queue, &mut copies, turn) == Admission::Refused {
            admission = Admission::Refused;
        }
    }
    if offer(last, messages, turn) == Admission::Refused {
        admission = Admission::Refused;
    }
    drop(whole);
    admission
}

/// Hands one message to all of a target's queues, which were asked for room before. The caller holds the
/// gate if that must be one change.
pub(super) fn enqueue_one(target: &Target, message: &Arc<Message>, turn: &mut Turn) {
    for queue in &target.queues {
        queue.enqueue_regardless(&mut vec![Arc::clone(message)], turn);
    }
}
