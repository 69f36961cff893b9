//! Options of restored queues and exchanges, rebuilt from what was declared.

use amq_protocol::types::AMQPValue;

use crate::broker::change::{ExchangeDefinition, QueueDefinition};
use crate::broker::exchange::ExchangeKind;
use crate::broker::options::{ExchangeOptions, QueueOptions};

/// A durable queue's options.
pub(super) fn queue_options(queue: &QueueDefinition) -> QueueOptions {
    QueueOptions {
        durable: true,
        auto_delete: queue.auto_delete,
        arguments: queue.arguments.clone(),
        ..QueueOptions::default()
    }
}

/// A durable exchange's options; none if its type is unknown.
pub(super) fn exchange_options(exchange: &ExchangeDefinition) -> Option<ExchangeOptions> {
    let alternate = exchange.arguments.inner().get("alternate-exchange");
    let alternate_exchange = alternate.and_then(|value| match value {
        AMQPValue::LongString(name) => Some(name.to_string()),
        _ => None,
    });
    Some(ExchangeOptions {
        durable: true,
        auto_delete: exchange.auto_delete,
        internal: exchange.internal,
        alternate_exchange,
        arguments: exchange.arguments.clone(),
        ..ExchangeOptions::durable(exchange_kind(&exchange.kind)?)
    })
}

fn exchange_kind(name: &str) -> Option<ExchangeKind> {
    Some(match name {
        "direct" => ExchangeKind::Direct,
        "fanout" => ExchangeKind::Fanout,
        "topic" => ExchangeKind::Topic,
        "headers" => ExchangeKind::Headers,
        _ => return None,
    })
}
