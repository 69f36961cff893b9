//! Arguments of declarations, bindings and consumers: which are refused, and in what words.
//!
//! Reading them is the broker's (`broker::options`); here they meet RabbitMQ's rules, in RabbitMQ's order,
//! and its texts, which clients match on. RabbitMQ applies the rules only to what is new: what exists already is
//! compared with what it was declared with, and an argument that could never be says only that it differs.
//!
//! Unknown arguments are kept and mean nothing, as AMQP 0-9-1 allows and RabbitMQ does.

mod checks;
mod consumer;
mod queue;

use std::fmt::Display;

use amq_protocol::protocol::exchange::Declare;
use amq_protocol::types::{AMQPValue, FieldTable};

pub use self::consumer::consumer_arguments;
pub use self::queue::{
    declared_queue, generated_name_prefix, queue_equivalence, queue_options, with_default_type,
};
use crate::amqp::protocol::error::ReplyCode;
use crate::amqp::wire::erlang::{self, Term};
use crate::amqp::wire::table::{inequivalence, type_name};
use crate::broker::exchange::{ExchangeKind, HeadersMatch, HeadersMatchError};
use crate::broker::options::ExchangeOptions;

const ALTERNATE_EXCHANGE: &str = "alternate-exchange";

/// Why a method's arguments cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The reply code.
    pub code: ReplyCode,
    /// The text after the code's name.
    pub text: String,
}

impl Refused {
    fn precondition(text: impl Into<String>) -> Refused {
        Refused { code: ReplyCode::PreconditionFailed, text: text.into() }
    }
}

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

/// Whether a binding from an exchange of this kind may have these arguments.
pub fn binding_arguments(kind: ExchangeKind, arguments: &FieldTable) -> Result<(), Refused> {
    if kind != ExchangeKind::Headers {
        return Ok(());
    }
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

/// A queue or an exchange as texts name it.
#[derive(Clone, Copy)]
struct Resource<'a> {
    kind: &'static str,
    name: &'a str,
    vhost: &'a str,
}

impl<'a> Resource<'a> {
    fn exchange(name: &'a str, vhost: &'a str) -> Self {
        Resource { kind: "exchange", name, vhost }
    }

    fn queue(name: &'a str, vhost: &'a str) -> Self {
        Resource { kind: "queue", name, vhost }
    }

    /// Passes on what a check says about an argument.
    fn accepts(&self, key: &str, checked: Result<(), String>) -> Result<(), Refused> {
        checked
            .map_err(|why| Refused::precondition(format!("invalid arg '{key}' for {self}: {why}")))
    }

    /// RabbitMQ tries arguments that name an exchange before all others, in words of their own.
    fn wants_name(&self, key: &str, value: &AMQPValue) -> Result<(), Refused> {
        if matches!(value, AMQPValue::LongString(_)) {
            return Ok(());
        }
        let found = type_name(value);
        Err(Refused::precondition(format!("invalid type '{found}' for arg '{key}' in {self}")))
    }

    fn same<T: PartialEq + Display + Copy>(
        &self,
        key: &str,
        received: T,
        current: T,
    ) -> Result<(), Refused> {
        if received == current {
            return Ok(());
        }
        self.differs(key, &format!("received '{received}' but current is '{current}'"))
    }

    fn same_argument(
        &self,
        key: &str,
        received: &FieldTable,
        current: &FieldTable,
    ) -> Result<(), Refused> {
        match inequivalence(received.inner().get(key), current.inner().get(key)) {
            Some(difference) => self.differs(key, &difference),
            None => Ok(()),
        }
    }

    fn differs(&self, key: &str, difference: &str) -> Result<(), Refused> {
        Err(Refused::precondition(format!("inequivalent arg '{key}' for {self}: {difference}")))
    }
}

impl Display for Resource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} '{}' in vhost '{}'", self.kind, self.name, self.vhost)
    }
}

#[cfg(test)]
mod tests;
