//! What the broker refuses, and why. `amqp::session::replies` puts it into AMQP's words.

use std::sync::Arc;

/// A refusal of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerError {
    /// No such exchange in the virtual host.
    NoExchange(Arc<str>),
    /// No such queue in the virtual host.
    NoQueue(Arc<str>),
    /// An exclusive consumer has the queue, or wants it while others consume.
    InExclusiveUse(Arc<str>),
    /// A queue with consumers was to be deleted only if unused.
    QueueInUse(Arc<str>),
    /// A queue with messages was to be deleted only if empty.
    QueueNotEmpty(Arc<str>),
    /// An exchange with bindings was to be deleted only if unused.
    ExchangeInUse(Arc<str>),
}
