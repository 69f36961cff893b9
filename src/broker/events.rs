//! The event exchange: what happens in the broker, as messages for whoever binds to `amq.rabbitmq.event`. RabbitMQ's
//! plugin `rabbitmq_event_exchange`.
//!
//! An event's routing key says what happened (`queue.created`), its headers to what; it has no body.
//!
//! Invariants:
//! * Nothing is built while nothing is bound to the exchange.
//! * Events are noted where they happen, under whatever locks, and are published without any: at the end of a
//!   turn, in the order in which they happened, by one thread at a time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use amq_protocol::types::{AMQPValue, FieldArray, FieldTable};

use super::exchange::{Destination, Exchange, ExchangeKind};
use super::firehose::NODE;
use super::notice::Notice;
use super::options::ExchangeOptions;
use super::queue::Queue;
use super::turn::Turn;
use super::vhost::{Declared, VHost};
use crate::amqp::wire::erlang;
use crate::clock::Clock;
use crate::limits;
use crate::sync::{RankedMutex, rank};

/// Where events go.
const EXCHANGE: &str = "amq.rabbitmq.event";
/// Who acts when no user does.
const INTERNAL: &str = "rmq-internal";

/// See the module.
pub struct Events {
    vhost: Weak<VHost>,
    exchange: Arc<Exchange>,
    clock: Arc<Clock>,
    has_pending: AtomicBool,
    pending: RankedMutex<{ rank::LEAF }, Pending>,
}

#[derive(Default)]
struct Pending {
    events: VecDeque<Event>,
    /// Somebody publishes them, and will see what is added meanwhile.
    publishing: bool,
}

struct Event {
    key: &'static str,
    fields: Fields,
    at_ms: u64,
}

impl Events {
    /// Events for the exchange of this virtual host, which gets one if it has none. Nothing if it may not have
    /// any more exchanges.
    pub(super) fn new(vhost: &Arc<VHost>, clock: Arc<Clock>) -> Option<Arc<Self>> {
        let options =
            ExchangeOptions { internal: true, ..ExchangeOptions::durable(ExchangeKind::Topic) };
        let exchange = match vhost.declare_exchange(EXCHANGE, options) {
            Declared::Created(exchange) | Declared::Existing(exchange) => exchange,
            Declared::Full { .. } => return None,
        };
        let vhost = Arc::downgrade(vhost);
        let (has_pending, pending) = (AtomicBool::new(false), RankedMutex::default());
        Some(Arc::new(Self { vhost, exchange, clock, has_pending, pending }))
    }

    /// Notes an event; `fill` says what its headers are. May be called under locks.
    pub fn emit(&self, key: &'static str, fill: impl FnOnce(&mut Fields)) {
        if self.exchange.is_unused() {
            return;
        }
        let mut fields = Fields(FieldTable::default());
        fill(&mut fields);
        let event = Event { key, fields, at_ms: self.clock.unix_ms(self.clock.now()) };
        let mut pending = self.pending.lock();
        // Every turn takes away what there is, so only a broker that makes no turns gets here.
        if pending.events.len() < limits::EVENTS_PENDING {
            pending.events.push_back(event);
            self.has_pending.store(true, Ordering::Release);
        }
    }

    /// Something waits to be published.
    pub(super) fn has_pending(&self) -> bool {
        self.has_pending.load(Ordering::Acquire)
    }

    /// Publishes what waits, unless somebody else does already. The caller holds no lock.
    pub(super) fn publish(&self, turn: &mut Turn) {
        let Some(vhost) = self.vhost.upgrade() else { return };
        let mut resumes = false;
        while let Some(event) = self.next(resumes) {
            resumes = true;
            event.publish(&vhost, &self.exchange, turn);
        }
    }

    /// The next event to be published, if this thread is the one who does it.
    fn next(&self, resumes: bool) -> Option<Event> {
        let mut pending = self.pending.lock();
        if pending.publishing && !resumes {
            return None;
        }
        let next = pending.events.pop_front();
        pending.publishing = next.is_some();
        if next.is_none() {
            self.has_pending.store(false, Ordering::Release);
        }
        next
    }
}

impl Event {
    fn publish(self, vhost: &VHost, exchange: &Arc<Exchange>, turn: &mut Turn) {
        let Self { key, mut fields, at_ms } = self;
        fields.number("timestamp_in_ms", at_ms);
        let kept_at = Some(at_ms / 1000);
        Notice { key: key.to_owned(), headers: fields.0, body: &[], kept_at }
            .publish(vhost, exchange, turn);
    }
}

/// An event's headers in the making, in RabbitMQ's types.
pub struct Fields(FieldTable);

impl Fields {
    /// A text.
    pub fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.value(name, AMQPValue::LongString(text.into()))
    }

    /// A number.
    pub fn number(&mut self, name: &str, number: u64) -> &mut Self {
        self.value(name, AMQPValue::LongLongInt(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    /// Yes or no.
    pub fn flag(&mut self, name: &str, flag: bool) -> &mut Self {
        self.value(name, AMQPValue::Boolean(flag))
    }

    /// A table, which RabbitMQ shows as a list of Erlang terms.
    pub fn table(&mut self, name: &str, table: &FieldTable) -> &mut Self {
        let terms = erlang::fields(table).map(|term| AMQPValue::LongString(term.into()));
        self.value(name, AMQPValue::FieldArray(FieldArray::from(terms.collect::<Vec<_>>())))
    }

    /// Who did it.
    pub fn actor(&mut self) -> &mut Self {
        let actor = ACTOR.with_borrow(Clone::clone);
        self.text("user_who_performed_action", actor.as_deref().unwrap_or(INTERNAL))
    }

    /// The node it happened on.
    pub fn node(&mut self) -> &mut Self {
        self.text("node", NODE)
    }

    /// Any value.
    pub fn value(&mut self, name: &str, value: AMQPValue) -> &mut Self {
        self.0.insert(name.into(), value);
        self
    }
}

thread_local! {
    /// Work runs to completion on one thread, so who does it is said once and not handed through every verb.
    static ACTOR: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

/// Until it is dropped, what this thread does is done by a user.
#[must_use = "the user acts while this lives"]
pub struct Acting {
    before: Option<Arc<str>>,
}

/// From now on what this thread does is done by `user`.
pub fn act_as(user: Arc<str>) -> Acting {
    Acting { before: ACTOR.replace(Some(user)) }
}

/// From now on what this thread does is the broker's own doing.
pub(super) fn act_internally() -> Acting {
    Acting { before: ACTOR.take() }
}

impl Drop for Acting {
    fn drop(&mut self) {
        ACTOR.set(self.before.take());
    }
}

/// What a process is called: an opaque word that tells connections and channels apart.
pub fn process(connection: u64, channel: u16) -> String {
    format!("<{NODE}.{connection}.{channel}>")
}

/// What changes in a virtual host's definitions.
impl VHost {
    pub(super) fn tell_exchange(&self, key: &'static str, exchange: &Exchange) {
        let Some(events) = self.events() else { return };
        events.emit(key, |fields| {
            fields.actor().text("name", &exchange.name).text("vhost", &self.name);
            if key == "exchange.created" {
                let options = &exchange.options;
                fields
                    .text("type", options.kind.name())
                    .flag("durable", options.durable)
                    .flag("auto_delete", options.auto_delete)
                    .flag("internal", options.internal)
                    .table("arguments", &options.arguments)
                    .text("policy", "");
            }
        });
    }

    pub(super) fn tell_queue(&self, key: &'static str, queue: &Queue) {
        let Some(events) = self.events() else { return };
        events.emit(key, |fields| {
            fields.actor().text("name", &queue.name).text("vhost", &self.name);
            if key == "queue.created" {
                let owner = queue.owner.map(|owner| process(owner.0, 0)).unwrap_or_default();
                fields
                    .flag("durable", queue.options.durable)
                    .flag("auto_delete", queue.options.auto_delete)
                    .flag("exclusive", queue.options.exclusive)
                    .table("arguments", &queue.options.arguments)
                    .text("owner_pid", &owner);
            }
        });
    }

    pub(super) fn tell_binding(
        &self,
        key: &'static str,
        source: &str,
        destination: &Destination,
        (routing_key, arguments): (&str, &FieldTable),
    ) {
        let Some(events) = self.events() else { return };
        events.emit(key, |fields| {
            let (kind, name) = match destination {
                Destination::Queue(queue) => ("queue", &queue.name),
                Destination::Exchange(exchange) => ("exchange", &exchange.name),
            };
            fields
                .actor()
                .text("source_name", source)
                .text("source_kind", "exchange")
                .text("destination_name", name)
                .text("destination_kind", kind)
                .text("routing_key", routing_key)
                .table("arguments", arguments)
                .text("vhost", &self.name);
        });
    }
}
