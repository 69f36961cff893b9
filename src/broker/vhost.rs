//! A virtual host: its exchanges, queues and bindings, and what of their changes is not yet saved.
//!
//! Invariants:
//! * Every change of a definition is made under the definitions lock, which orders it for the log too.
//! * `bound` knows every binding from its far end, so that what a deleted queue was bound to is found
//!   without a search.
//! * `generation` rises after every change that could alter a route.

mod limits;
mod policies;
mod waiting_rooms;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use amq_protocol::types::FieldTable;

use super::change::{BindingDefinition, Definition, QueueDefinition};
use super::delayed::waiting_room_of;
use super::delivery::{ConnectionId, QueueId};
use super::error::BrokerError;
use super::events::{self, Events};
use super::exchange::{Destination, Exchange, ExchangeKind, same_arguments};
use super::message::Message;
use super::options::{ExchangeOptions, QueueOptions, QueueType};
use super::policy::PolicySet;
use super::queue::{DeleteIf, Queue, QueueContent, QueueIdentity, Surroundings};
use super::registry::Registry;
use super::replay::replay;
use super::reply_consumers::ReplyConsumers;
use super::route::{self, Route};
use super::turn::Turn;
use crate::amqp::wire::properties::PropertiesView;
use crate::sync::{Places, RankedGuard, RankedMutex, rank};

pub use self::limits::VHostLimits;
pub use self::policies::{ConfiguredVHost, VHostMetadata};

/// See the module.
pub struct VHost {
    /// Its name.
    pub name: Arc<str>,
    exchanges: Registry<Exchange>,
    queues: Registry<Queue>,
    /// By the name of their exchange.
    waiting_rooms: Registry<Queue>,
    reply_consumers: Arc<ReplyConsumers>,
    definitions: RankedMutex<{ rank::DEFINITIONS }, Definitions>,
    generation: AtomicU64,
    traced: AtomicBool,
    events: OnceLock<Arc<Events>>,
    surroundings: Surroundings,
    queue_ids: Arc<AtomicU64>,
    connections: Places,
}

#[derive(Default)]
struct Definitions {
    unsaved: Vec<Definition>,
    bound: HashMap<Destination, Vec<Bound>>,
    policies: PolicySet,
    limits: VHostLimits,
    metadata: VHostMetadata,
    /// Of the whole broker.
    inherited_queue_type: Option<QueueType>,
}

/// A binding, seen from its destination.
#[derive(Clone)]
struct Bound {
    source: Arc<Exchange>,
    key: String,
    arguments: FieldTable,
}

/// A binding as a client names it.
pub struct BindingRequest<'a> {
    /// The exchange it starts from.
    pub source: &'a str,
    /// The queue or exchange it leads to.
    pub destination: Destination,
    /// The binding key.
    pub key: &'a str,
    /// Part of its identity.
    pub arguments: &'a FieldTable,
}

/// What a declaration found.
pub enum Declared<T> {
    /// It is new.
    Created(Arc<T>),
    /// It was there; the caller compares.
    Existing(Arc<T>),
    /// The virtual host has as many already as it may.
    Full {
        /// How many.
        limit: u64,
    },
}

impl<T> Declared<T> {
    /// What has the name now, new or not.
    pub fn thing(self) -> Option<Arc<T>> {
        match self {
            Declared::Created(thing) | Declared::Existing(thing) => Some(thing),
            Declared::Full { .. } => None,
        }
    }
}

type Locked<'a> = RankedGuard<'a, { rank::DEFINITIONS }, Definitions>;

impl VHost {
    /// A virtual host with its pre-declared exchanges. `queue_ids` counts for the whole broker.
    pub fn new(name: Arc<str>, surroundings: Surroundings, queue_ids: Arc<AtomicU64>) -> Self {
        let host = Self {
            name,
            exchanges: Registry::new(),
            queues: Registry::new(),
            waiting_rooms: Registry::new(),
            reply_consumers: ReplyConsumers::new(),
            definitions: RankedMutex::default(),
            generation: AtomicU64::new(0),
            traced: AtomicBool::new(false),
            events: OnceLock::new(),
            surroundings,
            queue_ids,
            connections: Places::default(),
        };
        for (name, kind, internal) in PREDECLARED {
            let options = ExchangeOptions {
                durable: true,
                internal: *internal,
                ..ExchangeOptions::durable(*kind)
            };
            let name: Arc<str> = Arc::from(*name);
            host.exchanges.insert(Arc::clone(&name), Arc::new(Exchange::new(name, options)));
        }
        host
    }

    /// Changes whenever a route might.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Switches the [firehose](super::firehose) on or off.
    pub fn set_traced(&self, traced: bool) {
        self.traced.store(traced, Ordering::Relaxed);
        // Publishers remember it with their routes.
        self.routes_changed();
    }

    /// The firehose is on.
    pub fn is_traced(&self) -> bool {
        self.traced.load(Ordering::Relaxed)
    }

    /// What happens here is told there from now on.
    pub(super) fn report_to(&self, events: &Arc<Events>) {
        self.events.get_or_init(|| Arc::clone(events));
    }

    /// Where events are noted, if they are published.
    pub fn events(&self) -> Option<&Arc<Events>> {
        self.events.get()
    }

    /// The exchange of this name.
    pub fn exchange(&self, name: &str) -> Option<Arc<Exchange>> {
        self.exchanges.get(name)
    }

    /// The queue of this name.
    pub fn queue(&self, name: &str) -> Option<Arc<Queue>> {
        self.queues.get(name)
    }

    /// All queues, in no order.
    pub fn queues(&self) -> Vec<Arc<Queue>> {
        self.queues.all()
    }

    /// Who waits for replies without a queue.
    pub fn reply_consumers(&self) -> &Arc<ReplyConsumers> {
        &self.reply_consumers
    }

    /// How many queues there are.
    pub fn queue_count(&self) -> usize {
        self.queues.len()
    }

    /// How many exchanges there are besides those that are always there.
    pub fn exchange_count(&self) -> usize {
        self.exchanges.len().saturating_sub(PREDECLARED.len())
    }

    /// Where a message published to `exchange` goes; see [`Route`]. `keys` are its routing key and those of its
    /// CC and BCC.
    pub fn route(
        &self,
        exchange: &Arc<Exchange>,
        keys: &[&str],
        properties: PropertiesView<'_>,
    ) -> Route {
        route::route(self, exchange, keys, properties)
    }

    /// Where a message goes that was published before, by its own routing key, CC and BCC.
    pub fn route_again(&self, exchange: &Arc<Exchange>, message: &Message) -> Route {
        route::route_again(self, exchange, message)
    }

    /// Declares an exchange.
    pub fn declare_exchange(
        self: &Arc<Self>,
        name: &str,
        options: ExchangeOptions,
    ) -> Declared<Exchange> {
        let mut locked = self.definitions.lock();
        if let Some(existing) = self.exchanges.get(name) {
            return Declared::Existing(existing);
        }
        if let Some(limit) = limits::reached(locked.limits.max_exchanges, self.exchange_count()) {
            return Declared::Full { limit };
        }
        let exchange = Arc::new(Exchange::new(Arc::from(name), options));
        exchange.apply_policy(locked.applied_to_exchange(&exchange).definition());
        self.open_waiting_room(&mut locked, &exchange);
        self.exchanges.insert(Arc::clone(&exchange.name), Arc::clone(&exchange));
        if exchange.options.durable {
            self.save(&mut locked, Definition::ExchangeDeclared(exchange.definition(&self.name)));
        }
        self.routes_changed();
        self.tell_exchange("exchange.created", &exchange);
        Declared::Created(exchange)
    }

    /// Deletes an exchange with its bindings; one that is not there counts as deleted.
    pub fn delete_exchange(
        self: &Arc<Self>,
        name: &str,
        if_unused: bool,
    ) -> Result<(), BrokerError> {
        let mut locked = self.definitions.lock();
        let Some(exchange) = self.exchanges.get(name) else { return Ok(()) };
        if if_unused && !exchange.is_unused() {
            return Err(BrokerError::ExchangeInUse(Arc::clone(&exchange.name)));
        }
        self.remove_exchange(&mut locked, exchange);
        Ok(())
    }

    /// Declares a queue.
    pub fn declare_queue(
        self: &Arc<Self>,
        name: &str,
        options: QueueOptions,
        owner: Option<ConnectionId>,
    ) -> Declared<Queue> {
        let mut locked = self.definitions.lock();
        if let Some(existing) = self.queues.get(name) {
            return Declared::Existing(existing);
        }
        if let Some(limit) = limits::reached(locked.limits.max_queues, self.queues.len()) {
            return Declared::Full { limit };
        }
        let id = QueueId(self.queue_ids.fetch_add(1, Ordering::Relaxed));
        let (name, vhost) = (Arc::from(name), Arc::clone(&self.name));
        let settings = locked.queue_settings(&name, &options);
        let identity = QueueIdentity { id, name, vhost, options, owner };
        let queue = Queue::new(identity, self.surroundings.clone()).with_settings(settings);
        let queue = Arc::new(queue);
        self.queues.insert(Arc::clone(&queue.name), Arc::clone(&queue));
        if queue.options.durable {
            self.save(&mut locked, Definition::QueueDeclared(self.queue_definition(&queue)));
        }
        self.routes_changed();
        self.tell_queue("queue.created", &queue);
        Declared::Created(queue)
    }

    /// Deletes a queue with its bindings and messages. Returns its number of ready messages.
    pub fn delete_queue(
        self: &Arc<Self>,
        queue: &Arc<Queue>,
        condition: DeleteIf,
        turn: &mut Turn,
    ) -> Result<usize, BrokerError> {
        let mut locked = self.definitions.lock();
        let current = self.queues.get(&queue.name);
        if !current.is_some_and(|current| Arc::ptr_eq(&current, queue)) {
            return Ok(0);
        }
        let ready = queue.delete(condition, turn)?;
        self.queues.remove(&queue.name);
        self.unbind_all(&mut locked, &Destination::Queue(Arc::clone(queue)));
        if queue.options.durable {
            self.save(&mut locked, Definition::QueueDeleted { id: queue.id });
        }
        self.tell_queue("queue.deleted", queue);
        self.routes_changed();
        Ok(ready)
    }

    /// Binds a queue or an exchange to an exchange; a binding that is there already is fine. Whatever the
    /// exchange remembers goes through a new binding at once.
    pub fn bind(
        self: &Arc<Self>,
        request: BindingRequest<'_>,
        turn: &mut Turn,
    ) -> Result<(), BrokerError> {
        let destination = request.destination.clone();
        if let Some(source) = self.add_binding(request)? {
            replay(self, &source, &destination, turn);
        }
        Ok(())
    }

    /// The source of the binding, if the binding is new.
    fn add_binding(
        self: &Arc<Self>,
        request: BindingRequest<'_>,
    ) -> Result<Option<Arc<Exchange>>, BrokerError> {
        let mut locked = self.definitions.lock();
        let source = self.ends(&request)?;
        if !source.bind(request.key, request.arguments, request.destination.clone()) {
            return Ok(None);
        }
        if source.options.durable && request.destination.is_durable() {
            self.save(&mut locked, Definition::Bound(self.binding_definition(&request)));
        }
        let what = (request.key, request.arguments);
        self.tell_binding("binding.created", request.source, &request.destination, what);
        let key = request.key.to_owned();
        let bound =
            Bound { source: Arc::clone(&source), key, arguments: request.arguments.clone() };
        locked.bound.entry(request.destination).or_default().push(bound);
        self.routes_changed();
        Ok(Some(source))
    }

    /// Removes a binding; one that is not there counts as removed.
    pub fn unbind(self: &Arc<Self>, request: &BindingRequest<'_>) {
        let mut locked = self.definitions.lock();
        let Some(source) = self.exchanges.get(request.source) else { return };
        if !source.unbind(request.key, request.arguments, &request.destination) {
            return;
        }
        if let Some(bound) = locked.bound.get_mut(&request.destination) {
            bound.retain(|one| !one.is(&source, request));
        }
        if source.options.durable && request.destination.is_durable() {
            self.save(&mut locked, Definition::Unbound(self.binding_definition(request)));
        }
        let what = (request.key, request.arguments);
        self.tell_binding("binding.deleted", request.source, &request.destination, what);
        self.routes_changed();
        self.remove_if_done(&mut locked, source);
    }

    /// Takes out what the committer must write; only the committer calls this.
    pub fn collect(&self) -> Vec<Definition> {
        std::mem::take(&mut self.definitions.lock().unsaved)
    }

    /// Puts back a queue from before a restart, when exchanges are back already. Only recovery calls the `restore`
    /// verbs.
    pub fn restore_queue(&self, mut identity: QueueIdentity, content: QueueContent) {
        // Clients can make such names, with `x-name-prefix`.
        let delays = |name: &Arc<str>| {
            self.exchange(name).is_some_and(|it| it.options.kind == ExchangeKind::DelayedMessage)
        };
        if let Some(exchange) = waiting_room_of(&identity.name).filter(delays) {
            identity.options.waiting_room_of = Some(Arc::clone(&exchange));
            let queue = Queue::restored(identity, content, self.surroundings.clone());
            self.waiting_rooms.insert(exchange, Arc::new(queue));
            return;
        }
        let settings = self.definitions.lock().queue_settings(&identity.name, &identity.options);
        let queue = Queue::restored(identity, content, self.surroundings.clone());
        let queue = Arc::new(queue.with_settings(settings));
        self.queues.insert(Arc::clone(&queue.name), queue);
    }

    /// Puts back an exchange from before a restart.
    pub fn restore_exchange(&self, name: Arc<str>, options: ExchangeOptions) {
        let exchange = Arc::new(Exchange::new(Arc::clone(&name), options));
        let applied = self.definitions.lock().applied_to_exchange(&exchange);
        exchange.apply_policy(applied.definition());
        self.exchanges.insert(name, exchange);
    }

    /// Puts back a binding from before a restart. False if one of its ends is missing.
    pub fn restore_binding(&self, request: BindingRequest<'_>) -> bool {
        let mut locked = self.definitions.lock();
        let Ok(source) = self.ends(&request) else { return false };
        source.bind(request.key, request.arguments, request.destination.clone());
        let key = request.key.to_owned();
        let bound = Bound { source, key, arguments: request.arguments.clone() };
        locked.bound.entry(request.destination).or_default().push(bound);
        true
    }

    /// The source of a binding, if both of its ends are still there.
    fn ends(&self, request: &BindingRequest<'_>) -> Result<Arc<Exchange>, BrokerError> {
        let source = self
            .exchanges
            .get(request.source)
            .ok_or_else(|| BrokerError::NoExchange(Arc::from(request.source)))?;
        let there = match &request.destination {
            Destination::Queue(queue) => self.queues.get(&queue.name).map(Destination::Queue),
            Destination::Exchange(exchange) => {
                self.exchanges.get(&exchange.name).map(Destination::Exchange)
            }
        };
        if there.as_ref() == Some(&request.destination) {
            return Ok(source);
        }
        Err(match &request.destination {
            Destination::Queue(queue) => BrokerError::NoQueue(Arc::clone(&queue.name)),
            Destination::Exchange(exchange) => BrokerError::NoExchange(Arc::clone(&exchange.name)),
        })
    }

    /// Removes an exchange, and every auto-delete exchange that loses its last binding by that.
    fn remove_exchange(self: &Arc<Self>, locked: &mut Locked<'_>, exchange: Arc<Exchange>) {
        self.exchanges.remove(&exchange.name);
        if exchange.options.durable {
            let (vhost, name) = (Arc::clone(&self.name), Arc::clone(&exchange.name));
            self.save(locked, Definition::ExchangeDeleted { vhost, name });
        }
        self.close_waiting_room(locked, &exchange);
        self.tell_exchange("exchange.deleted", &exchange);
        for (destination, key, arguments) in exchange.bindings() {
            let what = (&*key, &arguments);
            self.tell_binding("binding.deleted", &exchange.name, &destination, what);
            exchange.unbind(&key, &arguments, &destination);
            if let Some(bound) = locked.bound.get_mut(&destination) {
                bound.retain(|one| !Arc::ptr_eq(&one.source, &exchange));
            }
        }
        self.unbind_all(locked, &Destination::Exchange(exchange));
        self.routes_changed();
    }

    /// Removes every binding that leads to `destination`. The log needs no word of it: a deleted
    /// destination takes its bindings with it there too.
    fn unbind_all(self: &Arc<Self>, locked: &mut Locked<'_>, destination: &Destination) {
        // RabbitMQ: nobody asked for the end of these, so events name nobody.
        let _acting = events::act_internally();
        for bound in locked.bound.remove(destination).unwrap_or_default() {
            bound.source.unbind(&bound.key, &bound.arguments, destination);
            let what = (&*bound.key, &bound.arguments);
            self.tell_binding("binding.deleted", &bound.source.name, destination, what);
            self.remove_if_done(locked, bound.source);
        }
    }

    /// An auto-delete exchange goes with its last binding.
    fn remove_if_done(self: &Arc<Self>, locked: &mut Locked<'_>, exchange: Arc<Exchange>) {
        let current = self.exchanges.get(&exchange.name);
        let there = current.is_some_and(|current| Arc::ptr_eq(&current, &exchange));
        if there && exchange.options.auto_delete && exchange.is_unused() {
            self.remove_exchange(locked, exchange);
        }
    }

    fn queue_definition(&self, queue: &Queue) -> QueueDefinition {
        QueueDefinition {
            id: queue.id,
            vhost: Arc::clone(&self.name),
            name: Arc::clone(&queue.name),
            auto_delete: queue.options.auto_delete,
            arguments: queue.options.arguments.clone(),
        }
    }

    fn binding_definition(&self, request: &BindingRequest<'_>) -> BindingDefinition {
        BindingDefinition {
            vhost: Arc::clone(&self.name),
            source: Arc::from(request.source),
            destination: request.destination.name(),
            routing_key: request.key.to_owned(),
            arguments: request.arguments.clone(),
        }
    }

    fn save(self: &Arc<Self>, locked: &mut Locked<'_>, definition: Definition) {
        if locked.unsaved.is_empty() {
            self.surroundings.inbox.definitions_changed(Arc::clone(self));
        }
        locked.unsaved.push(definition);
    }

    fn routes_changed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl Bound {
    fn is(&self, source: &Arc<Exchange>, request: &BindingRequest<'_>) -> bool {
        Arc::ptr_eq(&self.source, source)
            && self.key == request.key
            && same_arguments(&self.arguments, request.arguments)
    }
}

/// The kind of an exchange that every virtual host has.
pub fn predeclared(name: &str) -> Option<ExchangeKind> {
    PREDECLARED.iter().find(|(own, ..)| *own == name).map(|(_, kind, _)| *kind)
}

/// The exchanges every virtual host has, and which of them clients may not publish to.
const PREDECLARED: &[(&str, ExchangeKind, bool)] = &[
    ("", ExchangeKind::Direct, false),
    ("amq.direct", ExchangeKind::Direct, false),
    ("amq.fanout", ExchangeKind::Fanout, false),
    ("amq.topic", ExchangeKind::Topic, false),
    ("amq.headers", ExchangeKind::Headers, false),
    ("amq.match", ExchangeKind::Headers, false),
    ("amq.rabbitmq.trace", ExchangeKind::Topic, true),
];
