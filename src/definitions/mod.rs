//! RabbitMQ's definitions: virtual hosts, users, permissions, policies, exchanges, queues and bindings in one JSON
//! document, as `rabbitmqctl export_definitions` and the management plugin write it.
//!
//! * `json` finds things in a document, and says where what is wrong stands;
//! * `document` reads a document into plain values;
//! * `import` compares them with a broker and brings them in.
//!
//! Invariants:
//! * A document is brought in whole or not at all: nothing changes before everything is found to fit.
//! * What is there stays: an exchange, a queue or a binding of the same name is left as it is, as RabbitMQ does.
//!   Policies, limits and what is said about virtual hosts are replaced.
//!
//! Nothing here reads files or knows where a document comes from; `name` in an error is what the caller calls it.

mod document;
mod import;
mod json;
#[cfg(test)]
mod tests;

pub use self::document::{BindingEntry, Definitions, Entry, ExchangeEntry, QueueEntry};
pub use self::import::Imported;
pub use self::json::DefinitionsError;
