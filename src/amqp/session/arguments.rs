//! To be replaced.
use crate::amqp::protocol::error::ReplyCode;
use crate::broker::exchange::ExchangeKind;
use crate::broker::options::{ExchangeOptions, QueueOptions};
use amq_protocol::protocol::{exchange, queue};
use amq_protocol::types::FieldTable;
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: ReplyCode,
    pub(super) text: String,
}
pub(super) fn exchange_kind(n: &str) -> Result<ExchangeKind, Refused> {
    ExchangeKind::from_name(n).ok_or_else(|| Refused {
        code: ReplyCode::PreconditionFailed,
        text: format!("unknown exchange type '{n}'"),
    })
}
pub(super) fn exchange_options(
    _: &str,
    _: &str,
    kind: ExchangeKind,
    d: &exchange::Declare,
) -> Result<ExchangeOptions, Refused> {
    Ok(ExchangeOptions {
        kind,
        durable: d.durable,
        auto_delete: d.auto_delete,
        internal: d.internal,
        alternate_exchange: None,
        arguments: d.arguments.clone(),
    })
}
pub(super) fn queue_options(_: &str, _: &str, d: &queue::Declare) -> Result<QueueOptions, Refused> {
    Ok(QueueOptions {
        durable: d.durable && !d.exclusive,
        exclusive: d.exclusive,
        auto_delete: d.auto_delete,
        arguments: d.arguments.clone(),
        ..QueueOptions::default()
    })
}
pub(super) fn queue_equivalence(
    _: &str,
    _: &str,
    _: &QueueOptions,
    _: &QueueOptions,
) -> Result<(), Refused> {
    Ok(())
}
pub(super) fn exchange_equivalence(
    _: &str,
    _: &str,
    _: &ExchangeOptions,
    _: &ExchangeOptions,
) -> Result<(), Refused> {
    Ok(())
}
pub(super) fn binding_arguments(_: ExchangeKind, _: &FieldTable) -> Result<(), Refused> {
    Ok(())
}
pub(super) fn consumer_arguments(
    _: &str,
    _: &str,
    _: &QueueOptions,
    _: &FieldTable,
) -> Result<(), Refused> {
    Ok(())
}
