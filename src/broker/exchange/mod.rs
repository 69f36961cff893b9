//! What is bound to one exchange, and who gets a message because of it.
//!
//! [`Bindings`] is the whole of an exchange's routing: a roster of what is bound, which knows identities,
//! and a matcher (`direct`, `topic`, `consistent_hash`, ...), which knows how to find destinations fast.
//!
//! Invariants:
//! * A binding is its destination, its key and its arguments, all three compared exactly (AMQP 0-9-1
//!   has only destination and key; RabbitMQ adds the arguments, and clients rely on it).
//! * The matcher holds exactly what the roster's bindings call for; every change goes through both.
//!
//! A destination may be reported more than once for one message: by two topic keys or two sets of headers
//! that both match. The caller, who follows bindings between exchanges as well, keeps each queue once.
//!
//! Nothing here knows queues, locks or alternate exchanges.

mod consistent_hash;
mod direct;
mod entity;
mod fanout;
mod headers;
mod history;
mod kind;
mod matcher;
mod modulus_hash;
mod random;
mod roster;
mod stable_hash;
mod topic;

use std::hash::Hash;

use amq_protocol::types::FieldTable;

use self::matcher::Matcher;
use self::roster::Roster;
pub(super) use self::roster::same_arguments;
use crate::amqp::wire::properties::PropertiesView;

pub use self::consistent_hash::{HashOn, HashOnError, Weight, WeightError};
pub use self::entity::{Destination, Exchange};
pub use self::headers::{HeadersMatch, HeadersMatchError, same_value};
pub use self::history::{HistoryLengthError, history_length};
pub use self::kind::ExchangeKind;

/// What a binding leads to: a cheap handle to a queue or an exchange.
pub trait Endpoint: Clone + Eq + Hash {
    /// A number for its name: the same in every process, another for another name. Exchanges that choose by
    /// hash choose by it, so that they choose alike after a restart.
    fn fingerprint(&self) -> u64;
}

/// Everything bound to one exchange.
#[derive(Debug)]
pub struct Bindings<D> {
    kind: ExchangeKind,
    roster: Roster<D>,
    matcher: Matcher<D>,
}

impl<D: Endpoint> Bindings<D> {
    /// No bindings yet, for an exchange of this kind that was declared with these arguments.
    pub fn new(kind: ExchangeKind, arguments: &FieldTable) -> Bindings<D> {
        Bindings { kind, roster: Roster::default(), matcher: Matcher::new(kind, arguments) }
    }

    /// The kind these bindings are matched by.
    pub fn kind(&self) -> ExchangeKind {
        self.kind
    }

    /// More than a message's routing keys has a say, so that the next one with the same may go elsewhere.
    pub fn vary(&self) -> bool {
        self.matcher.varies()
    }

    /// Adds a binding; false if it was there already.
    ///
    /// Keys and arguments are not refused here. What [`HeadersMatch::parse`] or [`Weight::parse`] refuses means
    /// `all`, or weighs 1.
    pub fn bind(&mut self, key: &str, arguments: &FieldTable, destination: D) -> bool {
        let added = self.roster.add(key, arguments, destination.clone());
        self.matcher.add(key, arguments, destination, added);
        added.changed()
    }

    /// Takes a binding away; false if there is none with this key and these very arguments.
    pub fn unbind(&mut self, key: &str, arguments: &FieldTable, destination: &D) -> bool {
        let removed = self.roster.remove(key, arguments, destination);
        self.matcher.remove(key, arguments, destination, removed);
        removed.changed()
    }

    /// Takes away every binding of a destination that is going away; how many there were.
    pub fn remove_destination(&mut self, destination: &D) -> usize {
        let bindings = self.roster.remove_destination(destination);
        self.matcher.remove_destination(destination, &bindings);
        bindings.len()
    }

    /// Shows `visit` every destination of a message, some perhaps more than once. `keys` are its routing key and
    /// the keys of its CC and BCC.
    pub fn route(&self, keys: &[&str], properties: PropertiesView<'_>, mut visit: impl FnMut(&D)) {
        self.matcher.route(keys, properties, &mut visit);
    }

    /// Whether this very binding exists.
    pub fn contains(&self, key: &str, arguments: &FieldTable, destination: &D) -> bool {
        self.roster.contains(key, arguments, destination)
    }

    /// Every binding as destination, key and arguments. Destinations come in no order; the bindings of one
    /// destination are sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&D, &str, &FieldTable)> {
        self.roster.iter()
    }

    /// The bindings of one destination as key and arguments, sorted by key.
    pub fn of_destination(&self, destination: &D) -> impl Iterator<Item = (&str, &FieldTable)> {
        self.roster.of_destination(destination)
    }

    /// How many bindings there are.
    pub fn len(&self) -> usize {
        self.roster.len()
    }

    /// Whether nothing is bound; an auto-delete exchange goes when its last binding does.
    pub fn is_empty(&self) -> bool {
        self.roster.len() == 0
    }
}

#[cfg(test)]
mod tests;
