//! What must survive a restart, as the broker says it and the log keeps it.

use std::sync::Arc;

use amq_protocol::types::FieldTable;

use super::delivery::{Position, QueueId, Run};
use super::message::Message;
use super::policy::{PolicyKind, PolicySource};
use super::vhost::{VHostLimits, VHostMetadata};

/// What one queue changed since it was last collected, in an order in which it may be replayed.
#[derive(Debug)]
pub struct QueueChanges {
    /// Whose.
    pub queue: QueueId,
    /// Messages to keep, positions rising.
    pub puts: Vec<Put>,
    /// Entries that were put by an earlier collection and are gone.
    pub gone: Vec<Position>,
    /// More of these, in runs; apart, in no order.
    pub purged: Vec<Run>,
    /// Every entry up to here may have been seen by a consumer.
    pub delivered: Option<Position>,
    /// Entries that came back from consumers, positions rising.
    pub returned: Vec<(Position, Retries)>,
}

/// What is known of an entry that came back from consumers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retries {
    /// How often it did by now.
    pub count: u32,
    /// Until when it waits since the last time, in milliseconds since the Unix epoch. `None`: it did not wait.
    pub ready_at_ms: Option<u64>,
}

/// An entry to keep.
#[derive(Clone, Debug)]
pub struct Put {
    /// Its place in the queue.
    pub position: Position,
    /// What was published.
    pub message: Arc<Message>,
    /// When it expires in this queue, in milliseconds since the Unix epoch. `None`: never.
    pub expires_at_ms: Option<u64>,
}

/// One change of a virtual host's definitions.
#[derive(Clone, Debug, PartialEq)]
pub enum Definition {
    /// A durable exchange was declared.
    ExchangeDeclared(ExchangeDefinition),
    /// It was deleted, and its bindings with it.
    ExchangeDeleted {
        /// The virtual host.
        vhost: Arc<str>,
        /// The exchange's name.
        name: Arc<str>,
    },
    /// A durable queue was declared.
    QueueDeclared(QueueDefinition),
    /// It was deleted, and its bindings and messages with it.
    QueueDeleted {
        /// The queue's number.
        id: QueueId,
    },
    /// A virtual host is like this now.
    VHostDeclared(VHostDefinition),
    /// A policy is like this now.
    PolicySet(PolicyRecord),
    /// A policy is no more.
    PolicyCleared {
        /// The virtual host.
        vhost: Arc<str>,
        /// Of which of its policies.
        kind: PolicyKind,
        /// Its name.
        name: String,
    },
    /// A durable destination was bound to a durable exchange.
    Bound(BindingDefinition),
    /// It was unbound.
    Unbound(BindingDefinition),
}

/// A virtual host that was made, or changed, while the broker ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VHostDefinition {
    /// Its name.
    pub name: Arc<str>,
    /// What is said about it.
    pub metadata: VHostMetadata,
    /// What it may hold.
    pub limits: VHostLimits,
}

/// A policy.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyRecord {
    /// The virtual host.
    pub vhost: Arc<str>,
    /// Whose it is.
    pub kind: PolicyKind,
    /// As written.
    pub source: PolicySource,
}

/// A durable exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeDefinition {
    /// The virtual host.
    pub vhost: Arc<str>,
    /// Its name, unique among the host's exchanges.
    pub name: Arc<str>,
    /// `direct`, `fanout`, ...
    pub kind: String,
    /// Deleted with its last binding.
    pub auto_delete: bool,
    /// Clients may not publish to it.
    pub internal: bool,
    /// As declared.
    pub arguments: FieldTable,
}

/// A durable queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueDefinition {
    /// Its number.
    pub id: QueueId,
    /// The virtual host.
    pub vhost: Arc<str>,
    /// Its name, unique among the host's queues.
    pub name: Arc<str>,
    /// Deleted with its last consumer.
    pub auto_delete: bool,
    /// As declared.
    pub arguments: FieldTable,
}

/// What a binding leads to, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DestinationName {
    /// A queue.
    Queue(Arc<str>),
    /// Another exchange.
    Exchange(Arc<str>),
}

/// A binding between durable ends.
#[derive(Clone, Debug, PartialEq)]
pub struct BindingDefinition {
    /// The virtual host.
    pub vhost: Arc<str>,
    /// The exchange it starts from.
    pub source: Arc<str>,
    /// Where it leads.
    pub destination: DestinationName,
    /// The binding key.
    pub routing_key: String,
    /// As given; part of the binding's identity.
    pub arguments: FieldTable,
}
