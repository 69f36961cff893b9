//! Arguments of exchanges, and what each type of exchange takes for a binding.

use amq_protocol::protocol::exchange::Declare;
use amq_protocol::types::{ByteArray, FieldTable, LongString};

use super::{Refused, Resource, checks};
use crate::amqp::wire::erlang::{self, Term};
use crate::amqp::wire::table::{get_str, type_name};
use crate::broker::delayed::DELAYED_TYPE;
use crate::broker::exchange::{
    Destination, ExchangeKind, HashOn, HashOnError, HeadersMatch, HeadersMatchError,
    HistoryLengthError, Weight, WeightError, history_length,
};
use crate::broker::options::{ExchangeOptions, QueueType};

pub(super) const ALTERNATE_EXCHANGE: &str = "alternate-exchange";

/// The exchange type a client names. RabbitMQ 4.x: 406 for one we do not have.
pub fn exchange_kind(name: &str) -> Result<ExchangeKind, Refused> {
    ExchangeKind::from_name(name).ok_or_else(|| {
        let doubt = if name.is_empty() { "invalid" } else { "unknown" };
        Refused::precondition(format!("{doubt} exchange type '{name}'"))
    })
}

/// The options of a new exchange.
pub fn exchange_options(
    name: &str,
    vhost: &str,
    kind: ExchangeKind,
    declare: &Declare,
) -> Result<ExchangeOptions, Refused> {
    let exchange = Resource::exchange(name, vhost);
    if let Some(alternate) = declare.arguments.inner().get(ALTERNATE_EXCHANGE) {
        exchange.wants_name(ALTERNATE_EXCHANGE, alternate)?;
        exchange.accepts(ALTERNATE_EXCHANGE, checks::short_string(alternate))?;
    }
    match kind {
        ExchangeKind::ConsistentHash => hash_arguments(&exchange, &declare.arguments)?,
        ExchangeKind::RecentHistory => history_arguments(&declare.arguments)?,
        ExchangeKind::DelayedMessage => delayed_arguments(&declare.arguments)?,
        ExchangeKind::Direct
        | ExchangeKind::Fanout
        | ExchangeKind::Topic
        | ExchangeKind::Headers
        | ExchangeKind::ModulusHash
        | ExchangeKind::Random
        | ExchangeKind::LocalRandom => {}
    }
    Ok(declared_exchange(kind, declare))
}

/// An exchange as it is declared, with nothing checked; enough for [`exchange_equivalence`].
pub fn declared_exchange(kind: ExchangeKind, declare: &Declare) -> ExchangeOptions {
    let flags = ExchangeOptions {
        durable: declare.durable,
        auto_delete: declare.auto_delete,
        internal: declare.internal,
        ..ExchangeOptions::new(kind)
    };
    flags.with_arguments(declare.arguments.clone())
}

/// Whether an exchange may be declared again like this. Of the arguments, only the alternate exchange is
/// looked at.
pub fn exchange_equivalence(
    name: &str,
    vhost: &str,
    existing: &ExchangeOptions,
    received: &ExchangeOptions,
) -> Result<(), Refused> {
    let exchange = Resource::exchange(name, vhost);
    exchange.same("type", received.kind, existing.kind)?;
    exchange.same("durable", received.durable, existing.durable)?;
    exchange.same("auto_delete", received.auto_delete, existing.auto_delete)?;
    exchange.same("internal", received.internal, existing.internal)?;
    exchange.same_argument(ALTERNATE_EXCHANGE, &received.arguments, &existing.arguments)
}

/// Whether an exchange that routes like this kind may be bound to `destination` like this. A destination that is yet to be
/// made counts as one that may.
pub fn binding(
    kind: ExchangeKind,
    key: &str,
    arguments: &FieldTable,
    destination: Option<&Destination>,
) -> Result<(), Refused> {
    match kind {
        ExchangeKind::Headers => headers_binding(arguments),
        ExchangeKind::ConsistentHash => weight(key),
        ExchangeKind::LocalRandom => local_binding(key, destination),
        ExchangeKind::Direct
        | ExchangeKind::Fanout
        | ExchangeKind::Topic
        | ExchangeKind::ModulusHash
        | ExchangeKind::Random
        | ExchangeKind::RecentHistory
        | ExchangeKind::DelayedMessage => Ok(()),
    }
}

/// The plugin's words. An exchange cannot delay for one that delays.
fn delayed_arguments(arguments: &FieldTable) -> Result<(), Refused> {
    let named = get_str(arguments, DELAYED_TYPE).and_then(ExchangeKind::from_name);
    match named {
        Some(kind) if kind != ExchangeKind::DelayedMessage => Ok(()),
        Some(_) | None => {
            let text =
                format!("Invalid argument, '{DELAYED_TYPE}' must be an existing exchange type");
            Err(Refused::precondition(text))
        }
    }
}

fn headers_binding(arguments: &FieldTable) -> Result<(), Refused> {
    let Err(error) = HeadersMatch::parse(arguments) else { return Ok(()) };
    Err(Refused::precondition(match error {
        HeadersMatchError::UnknownValue(octets) => {
            let value = erlang::binary(&octets);
            format!(
                "Invalid x-match field value {value}; \
                 expected all, any, all-with-x, or any-with-x"
            )
        }
        HeadersMatchError::WrongType(value) => {
            let kind = type_name(&value);
            let octets = value.as_byte_array().map(|octets| erlang::binary(octets.as_slice()));
            let value = octets.unwrap_or_else(|| Term(&value).to_string());
            format!("Invalid x-match field type {kind} (value {value}); expected longstr")
        }
    }))
}

/// RabbitMQ's plugin: the binding key of an `x-consistent-hash` exchange is a weight.
fn weight(key: &str) -> Result<(), Refused> {
    let Err(error) = Weight::parse(key) else { return Ok(()) };
    Err(Refused::precondition(match error {
        WeightError::NotPositive => "The binding key must be greater than 0".to_owned(),
        WeightError::NotAnInteger => {
            format!("The binding key must be an integer: {}", erlang::binary(key.as_bytes()))
        }
    }))
}

/// RabbitMQ 4.x: an `x-local-random` exchange leads to classic queues, with empty keys.
fn local_binding(key: &str, destination: Option<&Destination>) -> Result<(), Refused> {
    if !key.is_empty() {
        return Err(Refused::precondition(format!("Non empty binding '{key}' key not permitted")));
    }
    let queue = match destination {
        None => return Ok(()),
        Some(Destination::Queue(queue)) => queue,
        Some(Destination::Exchange(_)) => {
            return Err(Refused::precondition("Destination not found"));
        }
    };
    let queue_type = queue.options.queue_type;
    if queue_type == QueueType::Classic {
        return Ok(());
    }
    let name = queue_type.name();
    let text = format!("Queue type rabbit_{name}_queue not valid for this exchange type");
    Err(Refused::precondition(text))
}

/// What an `x-consistent-hash` exchange hashes. RabbitMQ's plugin fails over a name of the wrong type, and the
/// connection with it; here that is refused like any other argument that should be a name.
fn hash_arguments(exchange: &Resource<'_>, arguments: &FieldTable) -> Result<(), Refused> {
    match HashOn::parse(arguments) {
        Ok(_) => Ok(()),
        Err(HashOnError::WrongType(argument, value)) => exchange.wants_name(argument, &value),
        Err(error @ (HashOnError::Both | HashOnError::UnsupportedProperty(_))) => {
            Err(Refused::precondition(error.to_string()))
        }
    }
}

fn history_arguments(arguments: &FieldTable) -> Result<(), Refused> {
    let Err(HistoryLengthError(value)) = history_length(arguments) else { return Ok(()) };
    let octets = value.as_long_string().map(LongString::as_bytes);
    let octets = octets.or_else(|| value.as_byte_array().map(ByteArray::as_slice));
    let given = octets.map_or_else(|| Term(&value).to_string(), erlang::binary);
    Err(Refused::precondition(format!(
        "Invalid argument {given}, 'x-recent-history-length' must be a positive integer"
    )))
}
