//! Publishes of one turn that go to the same queues, enqueued under one lock.

use std::sync::Arc;

use super::routes::Target;
use crate::broker::Broker;
use crate::broker::message::Message;
use crate::broker::turn::Turn;

/// See the module.
#[derive(Default)]
pub(super) struct Batch {
    target: Option<Arc<Target>>,
    messages: Vec<Arc<Message>>,
}

impl Batch {
    /// Adds a message; what goes elsewhere is enqueued first.
    pub(super) fn add(
        &mut self,
        target: &Arc<Target>,
        message: Arc<Message>,
        broker: &Broker,
        turn: &mut Turn,
    ) {
        let same = self.target.as_ref().is_some_and(|current| Arc::ptr_eq(current, target));
        if !same {
            self.enqueue(broker, turn);
            self.target = Some(Arc::clone(target));
        }
        self.messages.push(message);
    }

    /// Enqueues what was gathered.
    pub(super) fn enqueue(&mut self, broker: &Broker, turn: &mut Turn) {
        if self.messages.is_empty() {
            return;
        }
        if let Some(target) = &self.target {
            enqueue(target, &mut self.messages, broker, turn);
        }
        self.messages.clear();
    }
}

/// Hands messages to all of a target's queues.
fn enqueue(target: &Target, messages: &mut Vec<Arc<Message>>, broker: &Broker, turn: &mut Turn) {
    let Some((last, others)) = target.queues.split_last() else { return };
    if others.is_empty() {
        return last.enqueue(messages, turn);
    }
    // Collected together or not at all, so that the log keeps one body for all the queues.
    let whole = target.keeps.then(|| broker.inbox().gate().share());
    for queue in others {
        let mut copies = messages.clone();
        queue.enqueue(&mut copies, turn);
    }
    last.enqueue(messages, turn);
    drop(whole);
}

/// Hands one message to all of a target's queues. The caller holds the gate if that must be one change.
pub(super) fn enqueue_one(target: &Target, message: &Arc<Message>, turn: &mut Turn) {
    for queue in &target.queues {
        queue.enqueue(&mut vec![Arc::clone(message)], turn);
    }
}
