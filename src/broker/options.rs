//! What a queue or an exchange was declared with, read and ready for use.
//!
//! Plain values: they are read once, when a client declares or the broker recovers; everybody later takes
//! them as they are. The arguments stay beside them as the client gave them, because listings show them,
//! declaring again compares them, and the log keeps nothing else.
//!
//! Reading refuses nothing: an argument of the wrong type, or out of its range, counts as absent. Clients meet
//! the rules before that, in the session.
//!
//! Durations are milliseconds, sizes octets of message bodies.

use std::sync::Arc;

use amq_protocol::types::{AMQPValue, FieldTable};

use super::delayed::delayed_type;
use super::exchange::ExchangeKind;
use super::retry::RetryTerms;
use crate::limits;

/// Deliveries after which a quorum queue gives a message up unless told otherwise (RabbitMQ 4.x).
pub const DELIVERY_LIMIT_DEFAULT: u64 = 20;

/// How a queue behaves.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "they are queue.declare's own flags")]
pub struct QueueOptions {
    /// Survives a restart. Never true for an exclusive queue: it ends with its connection.
    pub durable: bool,
    /// Only its own connection may use it.
    pub exclusive: bool,
    /// Goes when its last consumer goes.
    pub auto_delete: bool,
    /// The arguments as declared.
    pub arguments: FieldTable,
    /// `x-queue-type`
    pub queue_type: QueueType,
    /// `x-message-ttl`: how long a message may wait.
    pub message_ttl_ms: Option<u64>,
    /// `x-expires`: how long the queue may go unused. Never 0.
    pub expires_ms: Option<u64>,
    /// `x-dead-letter-exchange`; the empty name is the default exchange.
    pub dead_letter_exchange: Option<String>,
    /// `x-dead-letter-routing-key`; without it messages keep their own.
    pub dead_letter_routing_key: Option<String>,
    /// `x-dead-letter-strategy`
    pub dead_letter_strategy: DeadLetterStrategy,
    /// `x-max-length`: ready messages.
    pub max_length: Option<u64>,
    /// `x-max-length-bytes`: bodies of ready messages.
    pub max_length_bytes: Option<u64>,
    /// `x-overflow`: what gives way when the queue is full.
    pub overflow: Overflow,
    /// `x-max-priority`: the highest level. `None` is a queue without priorities; 0 has one level.
    pub max_priority: Option<u8>,
    /// `x-single-active-consumer`
    pub single_active_consumer: bool,
    /// `x-delivery-limit`: returns after which a message is given up; `None` is never. Quorum only.
    pub delivery_limit: Option<u64>,
    /// `x-consumer-timeout`: how long a delivery may stay unacknowledged.
    pub consumer_timeout_ms: Option<u64>,
    /// `x-delayed-retry-...`: how long messages wait that came back.
    pub delayed_retry: RetryTerms,
    /// The exchange whose delayed messages wait here. No client can ask for that.
    pub waiting_room_of: Option<Arc<str>>,
}

impl QueueOptions {
    /// What a queue with these flags and arguments is.
    pub fn read(
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        arguments: FieldTable,
    ) -> QueueOptions {
        let table = &arguments;
        let queue_type = text(table, "x-queue-type").and_then(QueueType::from_name);
        let queue_type = queue_type.unwrap_or_default();
        let overflow = text(table, "x-overflow").and_then(Overflow::from_name);
        let strategy =
            text(table, "x-dead-letter-strategy").and_then(DeadLetterStrategy::from_name);
        QueueOptions {
            durable: durable && !exclusive,
            exclusive,
            auto_delete,
            queue_type,
            message_ttl_ms: count(table, "x-message-ttl"),
            expires_ms: count(table, "x-expires").filter(|&expires| expires > 0),
            dead_letter_exchange: name(table, "x-dead-letter-exchange"),
            dead_letter_routing_key: name(table, "x-dead-letter-routing-key"),
            dead_letter_strategy: strategy.unwrap_or_default(),
            max_length: count(table, "x-max-length"),
            max_length_bytes: count(table, "x-max-length-bytes"),
            overflow: overflow.unwrap_or_default(),
            max_priority: count(table, "x-max-priority").and_then(|max| u8::try_from(max).ok()),
            single_active_consumer: flag(table, "x-single-active-consumer"),
            delivery_limit: delivery_limit(queue_type, table),
            consumer_timeout_ms: count(table, "x-consumer-timeout"),
            delayed_retry: RetryTerms::of_arguments(table),
            waiting_room_of: None,
            arguments,
        }
    }
}

/// The kinds of queue RabbitMQ knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum QueueType {
    /// What a queue is that names no type.
    #[default]
    Classic,
    /// Durable, shared, with a delivery limit.
    Quorum,
    /// An append-only log. Known, to refuse it by name.
    Stream,
}

impl QueueType {
    /// The type that `x-queue-type` calls `name`.
    pub fn from_name(name: &str) -> Option<QueueType> {
        match name {
            "classic" => Some(QueueType::Classic),
            "quorum" => Some(QueueType::Quorum),
            "stream" => Some(QueueType::Stream),
            _ => None,
        }
    }

    /// The name in `x-queue-type`.
    pub fn name(self) -> &'static str {
        match self {
            QueueType::Classic => "classic",
            QueueType::Quorum => "quorum",
            QueueType::Stream => "stream",
        }
    }
}

/// What a full queue does with one message more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Takes it and drops the oldest, or dead-letters it.
    #[default]
    DropHead,
    /// Refuses it; the publisher's confirm is a nack.
    RejectPublish,
    /// Refuses it as well, and dead-letters it.
    RejectPublishDlx,
}

impl Overflow {
    /// The behaviour that `x-overflow` calls `name`.
    pub fn from_name(name: &str) -> Option<Overflow> {
        match name {
            "drop-head" => Some(Overflow::DropHead),
            "reject-publish" => Some(Overflow::RejectPublish),
            "reject-publish-dlx" => Some(Overflow::RejectPublishDlx),
            _ => None,
        }
    }

    /// The name in `x-overflow`.
    pub fn name(self) -> &'static str {
        match self {
            Overflow::DropHead => "drop-head",
            Overflow::RejectPublish => "reject-publish",
            Overflow::RejectPublishDlx => "reject-publish-dlx",
        }
    }
}

/// What a queue promises about the messages it dead-letters. Quorum only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeadLetterStrategy {
    /// They are gone from the queue at once.
    #[default]
    AtMostOnce,
    /// They stay until every target has them.
    AtLeastOnce,
}

impl DeadLetterStrategy {
    /// The promise that `x-dead-letter-strategy` calls `name`.
    pub fn from_name(name: &str) -> Option<DeadLetterStrategy> {
        match name {
            "at-most-once" => Some(DeadLetterStrategy::AtMostOnce),
            "at-least-once" => Some(DeadLetterStrategy::AtLeastOnce),
            _ => None,
        }
    }
}

/// How an exchange behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeOptions {
    /// How it routes.
    pub kind: ExchangeKind,
    /// Survives a restart.
    pub durable: bool,
    /// Goes when the last binding that starts from it goes.
    pub auto_delete: bool,
    /// Takes messages from other exchanges only.
    pub internal: bool,
    /// `alternate-exchange`: who gets the messages that it routes nowhere.
    pub alternate_exchange: Option<String>,
    /// The arguments as declared.
    pub arguments: FieldTable,
}

impl ExchangeOptions {
    /// A transient exchange with nothing else to it.
    pub fn new(kind: ExchangeKind) -> ExchangeOptions {
        ExchangeOptions {
            kind,
            durable: false,
            auto_delete: false,
            internal: false,
            alternate_exchange: None,
            arguments: FieldTable::default(),
        }
    }

    /// A durable exchange with nothing else to it, like the ones every vhost starts with.
    pub fn durable(kind: ExchangeKind) -> ExchangeOptions {
        ExchangeOptions { durable: true, ..ExchangeOptions::new(kind) }
    }

    /// How it routes in the end: an exchange that delays, as the type it delays for.
    pub fn routing_kind(&self) -> ExchangeKind {
        let delays = self.kind == ExchangeKind::DelayedMessage;
        if delays { delayed_type(&self.arguments) } else { self.kind }
    }

    /// The same exchange with these arguments.
    #[must_use]
    pub fn with_arguments(self, arguments: FieldTable) -> ExchangeOptions {
        let alternate_exchange = name(&arguments, "alternate-exchange");
        ExchangeOptions { alternate_exchange, arguments, ..self }
    }
}

/// How a consumer behaves, as far as `basic.consume`'s arguments say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerOptions {
    /// `x-priority`: higher ones are served first.
    pub priority: i64,
    /// `x-consumer-timeout`: overrides the queue's.
    pub timeout_ms: Option<u64>,
}

impl ConsumerOptions {
    /// What these arguments make of a consumer.
    pub fn read(arguments: &FieldTable) -> ConsumerOptions {
        ConsumerOptions {
            priority: integer(arguments, "x-priority").unwrap_or(0),
            timeout_ms: count(arguments, "x-consumer-timeout"),
        }
    }
}

/// RabbitMQ 4.x: quorum queues have a limit unless they are given a negative one.
fn delivery_limit(queue_type: QueueType, arguments: &FieldTable) -> Option<u64> {
    if queue_type != QueueType::Quorum {
        return None;
    }
    let limit = integer(arguments, "x-delivery-limit").map(u64::try_from);
    limit.unwrap_or(Ok(DELIVERY_LIMIT_DEFAULT)).ok()
}

fn flag(arguments: &FieldTable, key: &str) -> bool {
    arguments.inner().get(key).and_then(AMQPValue::as_bool).unwrap_or(false)
}

/// A number that cannot be negative.
fn count(arguments: &FieldTable, key: &str) -> Option<u64> {
    u64::try_from(integer(arguments, key)?).ok()
}

pub(super) fn integer(arguments: &FieldTable, key: &str) -> Option<i64> {
    as_integer(arguments.inner().get(key)?)
}

/// A number of any of the integer types.
pub(super) fn as_integer(value: &AMQPValue) -> Option<i64> {
    value
        .as_long_int()
        .map(i64::from)
        .or_else(|| value.as_long_long_int())
        .or_else(|| value.as_long_uint().map(i64::from))
        .or_else(|| value.as_short_int().map(i64::from))
        .or_else(|| value.as_short_uint().map(i64::from))
        .or_else(|| value.as_short_short_int().map(i64::from))
        .or_else(|| value.as_short_short_uint().map(i64::from))
}

/// The name of an exchange, or a routing key: nothing that a short string cannot carry.
pub(super) fn name(arguments: &FieldTable, key: &str) -> Option<String> {
    let name = text(arguments, key).filter(|name| name.len() <= limits::SHORT_STRING_MAX)?;
    Some(name.to_owned())
}

pub(super) fn text<'a>(arguments: &'a FieldTable, key: &str) -> Option<&'a str> {
    as_text(arguments.inner().get(key)?)
}

/// A string, if it is UTF-8.
pub(super) fn as_text(value: &AMQPValue) -> Option<&str> {
    std::str::from_utf8(value.as_long_string()?.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(fields: &[(&str, AMQPValue)]) -> FieldTable {
        let mut table = FieldTable::default();
        for (name, value) in fields {
            table.insert((*name).into(), value.clone());
        }
        table
    }

    fn long_string(value: &str) -> AMQPValue {
        AMQPValue::LongString(value.into())
    }

    #[test]
    fn names_lead_back_to_where_they_came_from() {
        for queue_type in [QueueType::Classic, QueueType::Quorum, QueueType::Stream] {
            assert_eq!(QueueType::from_name(queue_type.name()), Some(queue_type));
        }
        for overflow in [Overflow::DropHead, Overflow::RejectPublish, Overflow::RejectPublishDlx] {
            assert_eq!(Overflow::from_name(overflow.name()), Some(overflow));
        }
        assert_eq!(QueueType::from_name("Classic"), None);
        assert_eq!(Overflow::from_name(""), None);
    }

    #[test]
    fn every_argument_of_a_queue_is_read() {
        let arguments = table(&[
            ("x-queue-type", long_string("quorum")),
            ("x-message-ttl", AMQPValue::LongInt(60_000)),
            ("x-expires", AMQPValue::LongLongInt(1)),
            ("x-dead-letter-exchange", long_string("")),
            ("x-dead-letter-routing-key", long_string("dead")),
            ("x-dead-letter-strategy", long_string("at-least-once")),
            ("x-max-length", AMQPValue::ShortShortUInt(0)),
            ("x-max-length-bytes", AMQPValue::LongUInt(u32::MAX)),
            ("x-overflow", long_string("reject-publish")),
            ("x-max-priority", AMQPValue::ShortUInt(255)),
            ("x-single-active-consumer", AMQPValue::Boolean(true)),
            ("x-delivery-limit", AMQPValue::ShortInt(3)),
            ("x-consumer-timeout", AMQPValue::ShortShortInt(100)),
            ("x-delayed-retry-min", AMQPValue::LongInt(7)),
        ]);
        let expected = QueueOptions {
            durable: true,
            exclusive: false,
            auto_delete: true,
            arguments: arguments.clone(),
            queue_type: QueueType::Quorum,
            message_ttl_ms: Some(60_000),
            expires_ms: Some(1),
            dead_letter_exchange: Some(String::new()),
            dead_letter_routing_key: Some("dead".to_owned()),
            dead_letter_strategy: DeadLetterStrategy::AtLeastOnce,
            max_length: Some(0),
            max_length_bytes: Some(u32::MAX.into()),
            overflow: Overflow::RejectPublish,
            max_priority: Some(255),
            single_active_consumer: true,
            delivery_limit: Some(3),
            consumer_timeout_ms: Some(100),
            delayed_retry: RetryTerms { min_ms: Some(7), ..RetryTerms::default() },
            waiting_room_of: None,
        };
        assert_eq!(QueueOptions::read(true, false, true, arguments), expected);
    }

    #[test]
    fn no_arguments_are_the_defaults() {
        let read = QueueOptions::read(false, false, false, FieldTable::default());
        assert_eq!(read, QueueOptions::default());
    }

    #[test]
    fn an_argument_that_cannot_be_counts_as_absent() {
        let arguments = table(&[
            ("x-queue-type", long_string("bogus")),
            ("x-message-ttl", AMQPValue::LongInt(-1)),
            ("x-expires", AMQPValue::LongInt(0)),
            ("x-dead-letter-exchange", long_string(&"x".repeat(256))),
            ("x-max-length", long_string("10")),
            ("x-max-priority", AMQPValue::LongInt(256)),
            ("x-single-active-consumer", AMQPValue::LongInt(1)),
        ]);
        let read = QueueOptions::read(false, false, false, arguments.clone());
        assert_eq!(read, QueueOptions { arguments, ..QueueOptions::default() });
    }

    #[test]
    fn an_exclusive_queue_is_never_durable() {
        let read = QueueOptions::read(true, true, false, FieldTable::default());
        assert!(read.exclusive && !read.durable);
    }

    #[test]
    fn only_quorum_queues_limit_deliveries_and_do_so_unless_told_not_to() {
        let limit = |queue_type, limit| {
            let mut arguments = table(&[("x-queue-type", long_string(queue_type))]);
            if let Some(limit) = limit {
                arguments.insert("x-delivery-limit".into(), limit);
            }
            QueueOptions::read(true, false, false, arguments).delivery_limit
        };
        assert_eq!(limit("quorum", None), Some(DELIVERY_LIMIT_DEFAULT));
        assert_eq!(limit("quorum", Some(long_string("5"))), Some(DELIVERY_LIMIT_DEFAULT));
        assert_eq!(limit("quorum", Some(AMQPValue::LongInt(0))), Some(0));
        assert_eq!(limit("quorum", Some(AMQPValue::LongInt(-1))), None);
        assert_eq!(limit("classic", Some(AMQPValue::LongInt(5))), None);
    }

    #[test]
    fn exchanges_and_consumers_are_read_as_well() {
        let arguments = table(&[("alternate-exchange", long_string("spill"))]);
        let exchange = ExchangeOptions::durable(ExchangeKind::Topic).with_arguments(arguments);
        assert_eq!(exchange.alternate_exchange.as_deref(), Some("spill"));
        assert!(exchange.durable);

        let arguments = table(&[("x-priority", AMQPValue::ShortInt(-3))]);
        let consumer = ConsumerOptions { priority: -3, timeout_ms: None };
        assert_eq!(ConsumerOptions::read(&arguments), consumer);
    }
}
