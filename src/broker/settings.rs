//! What is in force for a queue: its arguments, with what its policies say.
//!
//! The queue works by these alone. They may change at any time in its life, as policies do; what a policy
//! cannot say (type, durability, priorities, a single active consumer) stays in [`QueueOptions`].
//!
//! Durations are milliseconds, sizes octets of message bodies.

use std::sync::Arc;

use super::options::{DeadLetterStrategy, Overflow, QueueOptions};
use super::retry::DelayedRetry;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueSettings {
    /// How long a message may wait.
    pub message_ttl_ms: Option<u64>,
    /// How long the queue may go unused. Never 0.
    pub expires_ms: Option<u64>,
    /// Who gets what the queue gives up; the empty name is the default exchange.
    pub dead_letter_exchange: Option<Arc<str>>,
    /// The routing key of what it gives up; without it messages keep their own.
    pub dead_letter_routing_key: Option<Arc<str>>,
    /// What the queue promises about what it gives up. Quorum only.
    pub dead_letter_strategy: DeadLetterStrategy,
    /// Ready messages.
    pub max_length: Option<u64>,
    /// Bodies of ready messages.
    pub max_length_bytes: Option<u64>,
    /// What gives way when the queue is full.
    pub overflow: Overflow,
    /// Returns after which a message is given up; `None` is never. Quorum only.
    pub delivery_limit: Option<u64>,
    /// How long a delivery may stay unacknowledged.
    pub consumer_timeout_ms: Option<u64>,
    /// How long messages wait that came back from consumers; `None` is not at all.
    pub delayed_retry: Option<DelayedRetry>,
}

impl QueueSettings {
    /// What the arguments alone say: the settings of a queue without policies.
    pub fn of(declared: &QueueOptions) -> Self {
        Self {
            message_ttl_ms: declared.message_ttl_ms,
            expires_ms: declared.expires_ms,
            dead_letter_exchange: declared.dead_letter_exchange.as_deref().map(Arc::from),
            dead_letter_routing_key: declared.dead_letter_routing_key.as_deref().map(Arc::from),
            dead_letter_strategy: declared.dead_letter_strategy,
            max_length: declared.max_length,
            max_length_bytes: declared.max_length_bytes,
            overflow: declared.overflow,
            delivery_limit: declared.delivery_limit,
            consumer_timeout_ms: declared.consumer_timeout_ms,
            delayed_retry: declared.delayed_retry.in_force(),
        }
    }
}

#[cfg(test)]
mod tests {
    use amq_protocol::types::{AMQPValue, FieldTable};

    use super::*;

    #[test]
    fn without_policies_the_arguments_are_in_force() {
        let text = |text: &str| AMQPValue::LongString(text.into());
        let mut arguments = FieldTable::default();
        for (key, value) in [
            ("x-queue-type", text("quorum")),
            ("x-message-ttl", AMQPValue::LongInt(1)),
            ("x-expires", AMQPValue::LongInt(2)),
            ("x-dead-letter-exchange", text("")),
            ("x-dead-letter-routing-key", text("dead")),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-max-length", AMQPValue::LongInt(0)),
            ("x-max-length-bytes", AMQPValue::LongInt(4)),
            ("x-overflow", text("reject-publish")),
            ("x-delivery-limit", AMQPValue::LongInt(5)),
            ("x-consumer-timeout", AMQPValue::LongInt(6)),
            ("x-delayed-retry-type", text("all")),
            ("x-delayed-retry-min", AMQPValue::LongInt(7)),
        ] {
            arguments.insert(key.into(), value);
        }

        let options = QueueOptions::read(true, false, false, arguments);
        let settings = QueueSettings::of(&options);

        let expected = QueueSettings {
            message_ttl_ms: Some(1),
            expires_ms: Some(2),
            dead_letter_exchange: Some("".into()),
            dead_letter_routing_key: Some("dead".into()),
            dead_letter_strategy: DeadLetterStrategy::AtLeastOnce,
            max_length: Some(0),
            max_length_bytes: Some(4),
            overflow: Overflow::RejectPublish,
            delivery_limit: Some(5),
            consumer_timeout_ms: Some(6),
            delayed_retry: options.delayed_retry.in_force(),
        };
        assert_eq!(settings, expected);
        assert!(settings.delayed_retry.is_some());
    }

    #[test]
    fn a_queue_that_asks_for_nothing_has_the_defaults() {
        assert_eq!(QueueSettings::of(&QueueOptions::default()), QueueSettings::default());
    }
}
