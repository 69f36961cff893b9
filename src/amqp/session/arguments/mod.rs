//! Arguments of declarations, bindings and consumers: which are refused, and in what words.
//!
//! Reading them is the broker's (`broker::options`); here they meet RabbitMQ's rules, in RabbitMQ's order,
//! and its texts, which clients match on. RabbitMQ applies the rules only to what is new: what exists already is
//! compared with what it was declared with, and an argument that could never be says only that it differs.
//!
//! Unknown arguments are kept and mean nothing, as AMQP 0-9-1 allows and RabbitMQ does.

mod checks;
mod consumer;
mod exchange;
mod queue;

use std::fmt::Display;

use amq_protocol::types::{AMQPValue, FieldTable};

pub use self::consumer::consumer_arguments;
pub use self::exchange::{
    binding, declared_exchange, exchange_equivalence, exchange_kind, exchange_options,
};
pub use self::queue::{
    declared_queue, generated_name_prefix, queue_equivalence, queue_options, with_default_type,
};
use crate::amqp::protocol::error::ReplyCode;
use crate::amqp::wire::table::{inequivalence, type_name};

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
