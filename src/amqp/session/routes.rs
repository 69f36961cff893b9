//! Where a connection's publishes went lately, so that the exchange graph is walked once for many.
//!
//! **Invariant:** a remembered route is used only while the virtual host's generation is the one it was
//! found under, and never if it varies between messages with the same names.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};
use smallvec::SmallVec;

use crate::amqp::protocol::content::Publish;
use crate::broker::exchange::Exchange;
use crate::broker::message::Message;
use crate::broker::reply_consumers::Requester;
use crate::broker::route::{Queues, Route};
use crate::broker::turn::Turn;
use crate::limits;

/// Memory of a remembered route without its names, about: its place, its target, and the one queue most have.
const ROUTE_OVERHEAD: usize = size_of::<Found>() + size_of::<Target>() + 4 * size_of::<usize>();

/// The queues of one exchange and routing key, after all checks that depend on these two alone.
#[expect(clippy::struct_excessive_bools, reason = "each answers what is asked of every publish")]
pub(super) struct Target {
    pub(super) queues: Queues,
    /// Exchanges that remember what goes this way.
    remembers: SmallVec<[Arc<Exchange>; 1]>,
    /// Queues take what goes this way, whatever it is, and nobody else asks for it.
    pub(super) plain: bool,
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
        let special = rejects || traced || !remembers.is_empty() || !requesters.is_empty();
        let plain = !(special || queues.is_empty());
        Arc::new(Self { queues, remembers, plain, keeps, rejects, requesters, traced })
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

/// See the module. One a connection: what a user may do is the same on all its channels.
#[derive(Default)]
pub(super) struct RouteCache {
    generation: u64,
    /// Places in `found`, by exchange and routing key.
    places: HashTable<usize>,
    found: Vec<Found>,
    /// Where the last one was found: publishes come in runs.
    last: usize,
    bytes: usize,
    hasher: DefaultHashBuilder,
}

/// A remembered route.
struct Found {
    names: Box<[u8]>,
    exchange_len: u8,
    target: Arc<Target>,
}

impl Found {
    fn is_of(&self, publish: &Publish) -> bool {
        self.exchange_len == publish.exchange_len && *self.names == *publish.names()
    }
}

impl RouteCache {
    /// The remembered target of a publish, if it is still good.
    #[inline]
    pub(super) fn find(&mut self, publish: &Publish, generation: u64) -> Option<&Arc<Target>> {
        if self.generation != generation {
            self.forget(generation);
            return None;
        }
        if !self.found.get(self.last).is_some_and(|last| last.is_of(publish)) {
            self.last = self.place_of(publish)?;
        }
        self.found.get(self.last).map(|found| &found.target)
    }

    fn place_of(&self, publish: &Publish) -> Option<usize> {
        let is_it = |place: &usize| self.found.get(*place).is_some_and(|it| it.is_of(publish));
        let hash = self.hasher.hash_one((publish.names(), publish.exchange_len));
        self.places.find(hash, is_it).copied()
    }

    /// Remembers a target that was found under `generation`.
    pub(super) fn remember(&mut self, publish: &Publish, target: &Arc<Target>, generation: u64) {
        if self.generation != generation {
            return;
        }
        let names = Box::<[u8]>::from(publish.names());
        self.bytes += names.len() + ROUTE_OVERHEAD;
        if self.bytes > limits::ROUTE_CACHE {
            self.forget(generation);
            self.bytes = names.len() + ROUTE_OVERHEAD;
        }
        let exchange_len = publish.exchange_len;
        self.last = self.found.len();
        self.found.push(Found { names, exchange_len, target: Arc::clone(target) });
        let Self { places, found, hasher, last, .. } = self;
        let hash_of = |place: &usize| {
            let names = found.get(*place).map(|found| (&*found.names, found.exchange_len));
            hasher.hash_one(names.unwrap_or_default())
        };
        places.insert_unique(hash_of(last), *last, hash_of);
    }

    fn forget(&mut self, generation: u64) {
        *self = Self { generation, hasher: self.hasher.clone(), ..Self::default() };
    }
}
