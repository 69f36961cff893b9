//! Who waits for replies without a queue: RabbitMQ's direct reply-to.
//!
//! Invariants:
//! * A requester's name is a capability: whoever knows it may reply, and nobody can guess it. It is good in its
//!   own virtual host alone, and never given twice.
//! * Nothing is kept for a requester: its sink takes a reply at once, or the reply is gone.
//! * A requester can be found while its [`Registration`] lives.

use std::sync::{Arc, Weak};

use super::message::Message;
use super::registry::Registry;
use super::turn::Turn;

/// What a client consumes, and what it names in `reply_to`, to get replies without a queue.
pub const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// The name is that of the pseudo-queue, or made like that of a requester.
pub fn is_reply_to(name: &str) -> bool {
    name.strip_prefix(REPLY_TO).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Takes replies for the requesters of one connection. Called without locks of the broker.
pub trait ReplySink: Send + Sync {
    /// Takes a reply for the requester of this name. False if it is gone or has no room.
    fn reply(&self, requester: &str, message: &Arc<Message>, turn: &mut Turn) -> bool;
}

/// Somebody who can be replied to.
pub struct Requester {
    name: Arc<str>,
    sink: Weak<dyn ReplySink>,
}

impl Requester {
    /// Hands it a reply. One that it cannot take is dropped, as in RabbitMQ.
    pub fn reply(&self, message: &Arc<Message>, turn: &mut Turn) {
        let taken = self.sink.upgrade().is_some_and(|sink| sink.reply(&self.name, message, turn));
        if !taken {
            tracing::debug!("a reply was dropped: the requester is gone or does not read");
        }
    }
}

/// The requesters of a virtual host.
pub struct ReplyConsumers {
    by_name: Registry<Requester>,
}

impl ReplyConsumers {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { by_name: Registry::new() })
    }

    /// Makes a requester known by `name`, which must be unguessable and new.
    pub fn register(self: &Arc<Self>, name: Arc<str>, sink: Weak<dyn ReplySink>) -> Registration {
        let requester = Requester { name: Arc::clone(&name), sink };
        self.by_name.insert(Arc::clone(&name), Arc::new(requester));
        Registration { consumers: Arc::clone(self), name }
    }

    /// The requester of this name, if it still waits.
    pub fn find(&self, name: &str) -> Option<Arc<Requester>> {
        self.by_name.get(name)
    }
}

/// Keeps a requester known; dropping it ends that.
pub struct Registration {
    consumers: Arc<ReplyConsumers>,
    name: Arc<str>,
}

impl Registration {
    /// The requester's name: what `reply_to` becomes, and the routing key of its replies.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.consumers.by_name.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;

    use super::*;
    use crate::broker::delivery::Deadline;
    use crate::broker::message::Layout;
    use crate::clock::Clock;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl ReplySink for Counter {
        fn reply(&self, _: &str, _: &Arc<Message>, _: &mut Turn) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed);
            true
        }
    }

    fn message() -> Arc<Message> {
        let layout = Layout { exchange: 0, routing_key: 0, header: 0 };
        Arc::new(Message::new(Bytes::new(), layout, false, false).unwrap())
    }

    fn sink(counter: &Arc<Counter>) -> Weak<dyn ReplySink> {
        let sink: Arc<dyn ReplySink> = Arc::<Counter>::clone(counter);
        Arc::downgrade(&sink)
    }

    #[test]
    fn a_requester_is_found_by_its_name_until_its_registration_ends() {
        let (consumers, counter) = (ReplyConsumers::new(), Arc::new(Counter::default()));
        let registration = consumers.register(Arc::from("one"), sink(&counter));
        let found = consumers.find("one").unwrap();
        found.reply(&message(), &mut Turn::begin(Clock::manual().now(), Deadline::at_ms(1)));
        assert_eq!(counter.0.load(Ordering::Relaxed), 1);
        assert!(consumers.find("other").is_none());

        drop(registration);

        assert!(consumers.find("one").is_none());
    }

    #[test]
    fn a_reply_to_a_connection_that_is_gone_is_dropped() {
        let (consumers, counter) = (ReplyConsumers::new(), Arc::new(Counter::default()));
        let _registration = consumers.register(Arc::from("one"), sink(&counter));
        let found = consumers.find("one").unwrap();

        drop(counter);

        found.reply(&message(), &mut Turn::begin(Clock::manual().now(), Deadline::at_ms(1)));
    }

    #[test]
    fn only_the_pseudo_queue_and_names_below_it_are_reply_to_names() {
        assert!(is_reply_to("amq.rabbitmq.reply-to"));
        assert!(is_reply_to("amq.rabbitmq.reply-to.token"));
        assert!(!is_reply_to("amq.rabbitmq.reply-too"));
        assert!(!is_reply_to("replies"));
    }
}
