//! What a policy sets, as given and as read.

use std::sync::Arc;

use amq_protocol::types::FieldTable;

use super::checks;
use super::set::Subject;
use super::{PolicyError, PolicyKind};
use crate::broker::options::{self, DeadLetterStrategy, Overflow, QueueType};
use crate::broker::retry::RetryTerms;

/// A policy's keys and values. What it leaves out it leaves as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyDefinition {
    /// As given, which is what listings show and the log keeps.
    pub table: FieldTable,
    /// `message-ttl`, milliseconds.
    pub message_ttl_ms: Option<u64>,
    /// `expires`, milliseconds. Never 0.
    pub expires_ms: Option<u64>,
    /// `dead-letter-exchange`; the empty name is the default exchange.
    pub dead_letter_exchange: Option<Arc<str>>,
    /// `dead-letter-routing-key`
    pub dead_letter_routing_key: Option<Arc<str>>,
    /// `dead-letter-strategy`
    pub dead_letter_strategy: Option<DeadLetterStrategy>,
    /// `max-length`
    pub max_length: Option<u64>,
    /// `max-length-bytes`
    pub max_length_bytes: Option<u64>,
    /// `overflow`
    pub overflow: Option<Overflow>,
    /// `delivery-limit`; negative is none.
    pub delivery_limit: Option<i64>,
    /// `consumer-timeout`, milliseconds.
    pub consumer_timeout_ms: Option<u64>,
    /// `delayed-retry-...`
    pub delayed_retry: RetryTerms,
    /// `alternate-exchange`
    pub alternate_exchange: Option<Arc<str>>,
}

impl PolicyDefinition {
    /// Reads what a policy of this kind sets, if it may.
    pub fn parse(kind: PolicyKind, table: FieldTable) -> Result<PolicyDefinition, PolicyError> {
        checks::check(kind, &table)?;
        let count =
            |key| options::integer(&table, key).and_then(|number| u64::try_from(number).ok());
        let name = |key| options::name(&table, key).map(Arc::from);
        let text = |key| options::text(&table, key);
        Ok(PolicyDefinition {
            message_ttl_ms: count("message-ttl"),
            expires_ms: count("expires"),
            dead_letter_exchange: name("dead-letter-exchange"),
            dead_letter_routing_key: name("dead-letter-routing-key"),
            dead_letter_strategy: text("dead-letter-strategy")
                .and_then(DeadLetterStrategy::from_name),
            max_length: count("max-length"),
            max_length_bytes: count("max-length-bytes"),
            overflow: text("overflow").and_then(Overflow::from_name),
            delivery_limit: options::integer(&table, "delivery-limit"),
            consumer_timeout_ms: count("consumer-timeout"),
            delayed_retry: RetryTerms::of_policy(&table),
            alternate_exchange: name("alternate-exchange"),
            table,
        })
    }

    /// RabbitMQ: a policy with a key that queues of a type do not understand is not for queues of this type.
    pub(super) fn suits(&self, subject: Subject<'_>) -> bool {
        let Subject::Queue(_, queue_type) = subject else { return true };
        let strange = match queue_type {
            QueueType::Classic => NOT_FOR_CLASSIC,
            QueueType::Quorum => NOT_FOR_QUORUM,
            QueueType::Stream => NOT_FOR_STREAMS,
        };
        !strange.iter().any(|key| self.table.contains_key(key))
    }
}

/// RabbitMQ's `unsupported_policies` of classic queues.
const NOT_FOR_CLASSIC: &[&str] = &[
    "max-age",
    "stream-max-segment-size-bytes",
    "initial-cluster-size",
    "delivery-limit",
    "dead-letter-strategy",
    "max-in-memory-length",
    "max-in-memory-bytes",
    "target-group-size",
];

/// The same of quorum queues.
const NOT_FOR_QUORUM: &[&str] = &[
    "queue-mode",
    "ha-mode",
    "ha-params",
    "ha-sync-mode",
    "ha-promote-on-shutdown",
    "ha-promote-on-failure",
    "queue-master-locator",
    "max-age",
    "stream-max-segment-size-bytes",
    "initial-cluster-size",
];

/// The same of streams.
const NOT_FOR_STREAMS: &[&str] = &[
    "expires",
    "message-ttl",
    "dead-letter-exchange",
    "dead-letter-routing-key",
    "max-length",
    "max-in-memory-length",
    "max-in-memory-bytes",
    "overflow",
    "queue-mode",
    "delivery-limit",
    "ha-mode",
    "ha-params",
    "ha-sync-mode",
    "ha-promote-on-shutdown",
    "ha-promote-on-failure",
    "queue-master-locator",
    "dead-letter-strategy",
    "target-group-size",
];
