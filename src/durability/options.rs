//! Options of restored queues and exchanges, rebuilt from what was declared.

use crate::broker::change::{ExchangeDefinition, QueueDefinition};
use crate::broker::exchange::ExchangeKind;
use crate::broker::options::{ExchangeOptions, QueueOptions};

/// A durable queue's options.
pub(super) fn queue_options(queue: &QueueDefinition) -> QueueOptions {
    QueueOptions::read(true, false, queue.auto_delete, queue.arguments.clone())
}

/// A durable exchange's options; none if its type is unknown.
pub(super) fn exchange_options(exchange: &ExchangeDefinition) -> Option<ExchangeOptions> {
    let kind = ExchangeKind::from_name(&exchange.kind)?;
    let options = ExchangeOptions {
        auto_delete: exchange.auto_delete,
        internal: exchange.internal,
        ..ExchangeOptions::durable(kind)
    };
    Some(options.with_arguments(exchange.arguments.clone()))
}
