//! The firehose: while a virtual host is traced, `amq.rabbitmq.trace` gets a copy of every message that is
//! published or delivered there, with headers that say how. RabbitMQ's `rabbitmqctl trace_on`.
//!
//! Invariants:
//! * Copies are made when the turn is over, without locks, and only if something is bound to the exchange.
//! * Neither a copy's own delivery nor what the making of copies sets off is traced, so that nothing goes round
//!   in circles.

use std::collections::BTreeMap;
use std::sync::Arc;

use amq_protocol::types::{AMQPValue, FieldArray, FieldTable};

use super::delivery::ConnectionId;
use super::events::process;
use super::message::{BCC, CC, Message};
use super::notice::Notice;
use super::queue::Queue;
use super::turn::Turn;
use super::vhost::VHost;
use crate::amqp::wire::properties::PropertiesView;
use crate::amqp::wire::table_view::ValueView;

/// Where the copies go.
const EXCHANGE: &str = "amq.rabbitmq.trace";
/// What stands for this broker where RabbitMQ names a node of its cluster.
pub(super) const NODE: &str = "leveret@localhost";

/// A connection, as the firehose shows it.
pub struct Tap {
    vhost: Arc<VHost>,
    connection: Arc<str>,
    user: Arc<str>,
}

/// A copy to be made.
pub(super) struct Trace {
    tap: Arc<Tap>,
    channel: u16,
    message: Arc<Message>,
    what: What,
}

enum What {
    Published { queues: Vec<Arc<str>> },
    Delivered { queue: Arc<str>, redelivered: bool },
}

impl Tap {
    /// A connection of this user to this virtual host.
    pub fn new(vhost: Arc<VHost>, connection: Arc<str>, user: &str) -> Arc<Self> {
        Arc::new(Self { vhost, connection, user: Arc::from(user) })
    }

    /// Deliveries are to be reported. Who publishes knows from its target instead.
    pub fn is_open(&self) -> bool {
        self.vhost.is_traced()
    }

    /// A message was published and goes to these queues.
    pub fn published(
        self: &Arc<Self>,
        channel: u16,
        message: &Arc<Message>,
        queues: &[Arc<Queue>],
        turn: &mut Turn,
    ) {
        let queues = queues.iter().map(|queue| Arc::clone(&queue.name)).collect();
        self.report(channel, message, What::Published { queues }, turn);
    }

    /// A message was handed out, by basic.deliver or basic.get. May be called under locks.
    pub fn delivered(
        self: &Arc<Self>,
        channel: u16,
        message: &Arc<Message>,
        queue: &Arc<str>,
        redelivered: bool,
        turn: &mut Turn,
    ) {
        if message.exchange() != EXCHANGE.as_bytes() {
            let queue = Arc::clone(queue);
            self.report(channel, message, What::Delivered { queue, redelivered }, turn);
        }
    }

    /// A consumer of this connection ended with its queue. An event, not a trace; may be called under locks.
    pub fn consumer_lost(&self, connection: ConnectionId, channel: u16, tag: &str, queue: &str) {
        let Some(events) = self.vhost.events() else { return };
        events.emit("consumer.deleted", |fields| {
            fields
                .text("user_who_performed_action", &self.user)
                .text("consumer_tag", tag)
                .text("channel", &process(connection.0, channel))
                .text("queue", queue)
                .text("vhost", &self.vhost.name);
        });
    }

    fn report(self: &Arc<Self>, channel: u16, message: &Arc<Message>, what: What, turn: &mut Turn) {
        let (tap, message) = (Arc::clone(self), Arc::clone(message));
        turn.trace(Trace { tap, channel, message, what });
    }
}

impl Trace {
    /// Makes the copy and publishes it. The caller holds no lock.
    pub(super) fn publish(&self, turn: &mut Turn) {
        let vhost = &self.tap.vhost;
        let Some(exchange) = vhost.exchange(EXCHANGE).filter(|exchange| !exchange.is_unused())
        else {
            return;
        };
        let key = match &self.what {
            What::Published { .. } => format!("publish.{}", text(self.message.exchange())),
            What::Delivered { queue, .. } => format!("deliver.{queue}"),
        };
        let body = self.message.body();
        Notice { key, headers: self.headers(), body, kept_at: None }
            .publish(vhost, &exchange, turn);
    }

    /// RabbitMQ's headers. All routing keys are among them, also those hidden from consumers.
    fn headers(&self) -> FieldTable {
        let message = &self.message;
        let properties = PropertiesView::assume_checked(message.header());
        let mut headers = FieldTable::default();
        let mut set = |name: &str, value| {
            headers.insert(name.into(), value);
        };
        set("exchange_name", octets(message.exchange()));
        set("routing_keys", routing_keys(message, &properties));
        set("properties", AMQPValue::FieldTable(table_of(&properties)));
        set("node", octets(NODE.as_bytes()));
        set("vhost", octets(self.tap.vhost.name.as_bytes()));
        set("connection", octets(self.tap.connection.as_bytes()));
        set("channel", AMQPValue::LongInt(self.channel.into()));
        set("user", octets(self.tap.user.as_bytes()));
        match &self.what {
            What::Published { queues } => {
                let queues: Vec<_> = queues.iter().map(|name| octets(name.as_bytes())).collect();
                set("routed_queues", AMQPValue::FieldArray(FieldArray::from(queues)));
            }
            What::Delivered { redelivered, .. } => {
                set("redelivered", AMQPValue::LongInt((*redelivered).into()));
            }
        }
        headers
    }
}

fn routing_keys(message: &Message, properties: &PropertiesView<'_>) -> AMQPValue {
    let mut keys = vec![octets(message.routing_key())];
    for more in [CC, BCC] {
        keys.extend(properties.header(more).into_iter().flat_map(ValueView::texts).map(octets));
    }
    AMQPValue::FieldArray(FieldArray::from(keys))
}

/// The properties that are set, by RabbitMQ's names.
fn table_of(properties: &PropertiesView<'_>) -> FieldTable {
    let texts = [
        ("content_type", properties.content_type()),
        ("content_encoding", properties.content_encoding()),
        ("correlation_id", properties.correlation_id()),
        ("reply_to", properties.reply_to()),
        ("expiration", properties.expiration()),
        ("message_id", properties.message_id()),
        ("type", properties.kind()),
        ("user_id", properties.user_id()),
        ("app_id", properties.app_id()),
        ("cluster_id", properties.cluster_id()),
    ];
    let mut table = FieldTable::default();
    for (name, value) in texts {
        if let Some(value) = value {
            table.insert(name.into(), octets(value));
        }
    }
    let numbers =
        [("delivery_mode", properties.delivery_mode()), ("priority", properties.priority())];
    for (name, value) in numbers {
        if let Some(value) = value {
            table.insert(name.into(), AMQPValue::LongInt(value.into()));
        }
    }
    if let Some(timestamp) = properties.timestamp() {
        table.insert("timestamp".into(), number(timestamp));
    }
    // Headers whose names are no text cannot be shown.
    if let Some(headers) = properties.headers().and_then(|headers| headers.to_table().ok()) {
        let shown = headers.into_iter().filter(|(name, _)| name.as_str() != BCC);
        let shown = shown.map(|(name, value)| (name.clone(), value.clone()));
        let shown = FieldTable::from(shown.collect::<BTreeMap<_, _>>());
        table.insert("headers".into(), AMQPValue::FieldTable(shown));
    }
    table
}

/// RabbitMQ calls every number a signed one of 32 bits; what does not fit is cut there, and longer here.
fn number(value: u64) -> AMQPValue {
    i32::try_from(value).map_or_else(
        |_| AMQPValue::LongLongInt(i64::try_from(value).unwrap_or(i64::MAX)),
        AMQPValue::LongInt,
    )
}

fn octets(octets: &[u8]) -> AMQPValue {
    AMQPValue::LongString(octets.into())
}

fn text(octets: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(octets)
}
