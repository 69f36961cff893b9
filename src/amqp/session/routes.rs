//! Where a channel's publishes went lately, so that the exchange graph is walked once for many.
//!
//! **Invariant:** a remembered route is used only while the virtual host's generation is the one it was
//! found under, and never if it varies between messages with the same names.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::amqp::protocol::content::Publish;
use crate::broker::exchange::Exchange;
use crate::broker::message::Message;
use crate::broker::reply_consumers::Requester;
use crate::broker::route::{Queues, Route};
use crate::broker::turn::Turn;
use crate::limits;

/// The queues of one exchange and routing key, after all checks that depend on these two alone.
pub(super) struct Target {
    pub(super) queues: Queues,
    /// Exchanges that remember what goes this way.
    remembers: SmallVec<[Arc<Exchange>; 1]>,
    /// One of the queues survives a restart.
    pub(super) keeps: bool,
    /// One of the queues may refuse messages.
    pub(super) rejects: bool,
    /// Who gets it as a reply, without a queue. Such a target is never remembered.
    pub(super) requesters: Vec<Arc<Requester>>,
    /// The virtual host was traced when the target was found; switching that makes routes look old.
    pub(super) traced: bool,
}

impl Target {
    pub(super) fn new(route: Route, requesters: Vec<Arc<Requester>>, traced: bool) -> Arc<Self> {
        let Route { queues, remembers, .. } = route;
        let keeps = queues.iter().any(|queue| queue.options.durable);
        let rejects = queues.iter().any(|queue| queue.rejects());
        Arc::new(Self { queues, remembers, keeps, rejects, requesters, traced })
    }

    /// Some exchange remembers what goes this way.
    pub(super) fn is_remembered(&self) -> bool {
        !self.remembers.is_empty()
    }

    /// Tells those exchanges of a message.
    pub(super) fn remember(&self, message: &Arc<Message>) {
        self.remembers.iter().for_each(|exchange| exchange.remember(message));
    }

    /// What RabbitMQ calls unroutable. A requester counts, whether or not it can take the reply.
    pub(super) fn leads_nowhere(&self) -> bool {
        self.queues.is_empty() && self.requesters.is_empty()
    }

    /// The same as things are now: its queues may have been deleted since it was found.
    pub(super) fn leads_nowhere_by_now(&self) -> bool {
        self.requesters.is_empty() && self.queues.iter().all(|queue| queue.is_deleted())
    }

    /// Hands the message to everybody who waits for it as a reply. The caller holds no lock.
    pub(super) fn reply(&self, message: &Arc<Message>, turn: &mut Turn) {
        for requester in &self.requesters {
            requester.reply(message, turn);
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct RouteCache {
    generation: u64,
    last: Option<(Key, Arc<Target>)>,
    targets: HashMap<Key, Arc<Target>>,
}

/// Exchange and routing key in one piece; the first octet is the exchange's length.
type Key = Box<[u8]>;

impl RouteCache {
    /// The remembered target of a publish, if it is still good.
    pub(super) fn find(&mut self, publish: &Publish, generation: u64) -> Option<Arc<Target>> {
        if self.generation != generation {
            self.last = None;
            self.targets.clear();
            self.generation = generation;
            return None;
        }
        let names = publish.names();
        if let Some((key, target)) = &self.last
            && key.first() == Some(&publish.exchange_len)
            && key.get(1..) == Some(names)
        {
            return Some(Arc::clone(target));
        }
        if self.targets.is_empty() {
            return None;
        }
        let key = key_of(publish);
        let target = Arc::clone(self.targets.get(&key)?);
        self.last = Some((key, Arc::clone(&target)));
        Some(target)
    }

    /// Remembers a target that was found under `generation`.
    pub(super) fn remember(&mut self, publish: &Publish, target: &Arc<Target>, generation: u64) {
        if self.generation != generation {
            return;
        }
        if self.targets.len() >= limits::ROUTE_CACHE {
            self.targets.clear();
        }
        let key = key_of(publish);
        self.targets.insert(key.clone(), Arc::clone(target));
        self.last = Some((key, Arc::clone(target)));
    }
}

fn key_of(publish: &Publish) -> Key {
    let names = publish.names();
    let mut key = Vec::with_capacity(names.len() + 1);
    key.push(publish.exchange_len);
    key.extend_from_slice(names);
    key.into_boxed_slice()
}
