//! What a queue or an exchange was declared with, read and ready for use.
//!
//! Plain values: the session reads and checks them once, when the client declares; everybody later takes
//! them as they are. The arguments stay beside them as the client gave them, because listings show them and
//! declaring again compares them.
//!
//! Durations are milliseconds, sizes octets of message bodies.

use amq_protocol::types::FieldTable;

use super::exchange::ExchangeKind;

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
    /// A durable exchange with nothing else to it, like the ones every vhost starts with.
    pub fn durable(kind: ExchangeKind) -> ExchangeOptions {
        ExchangeOptions {
            kind,
            durable: true,
            auto_delete: false,
            internal: false,
            alternate_exchange: None,
            arguments: FieldTable::default(),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
