//! What is bound to one exchange, and who gets a message because of it.
//!
//! [`Bindings`] is the whole of an exchange's routing: a roster of what is bound, which knows identities,
//! and a matcher (`direct`, `fanout`, `topic`, `headers`), which knows how to find destinations fast.
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

mod direct;
mod entity;
mod fanout;
mod headers;
mod roster;
mod topic;

use std::fmt;
use std::hash::Hash;

use amq_protocol::types::FieldTable;

use self::direct::Direct;
use self::fanout::Fanout;
use self::headers::Headers;
use self::roster::Roster;
pub(super) use self::roster::same_arguments;
use self::topic::Topic;

pub use self::entity::{Destination, Exchange};
pub use self::headers::{HeadersMatch, HeadersMatchError, same_value};

/// How to get at a message's headers. Asked at most once for a message, and only by a headers exchange that
/// has a binding with something to compare; a message without headers answers `None`.
pub type HeadersSource<'a> = &'a dyn Fn() -> Option<FieldTable>;

/// The exchange types of AMQP 0-9-1 section 3.1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExchangeKind {
    /// The routing key equals the binding key.
    Direct,
    /// Every binding.
    Fanout,
    /// The routing key's words fit the binding key's pattern.
    Topic,
    /// The message's headers fit the binding's arguments.
    Headers,
}

impl ExchangeKind {
    /// The kind that `exchange.declare` calls `name`, if we have it. Names are case-sensitive.
    pub fn from_name(name: &str) -> Option<ExchangeKind> {
        match name {
            "direct" => Some(ExchangeKind::Direct),
            "fanout" => Some(ExchangeKind::Fanout),
            "topic" => Some(ExchangeKind::Topic),
            "headers" => Some(ExchangeKind::Headers),
            _ => None,
        }
    }

    /// The name in `exchange.declare`.
    pub fn name(self) -> &'static str {
        match self {
            ExchangeKind::Direct => "direct",
            ExchangeKind::Fanout => "fanout",
            ExchangeKind::Topic => "topic",
            ExchangeKind::Headers => "headers",
        }
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Everything bound to one exchange. `D` is a cheap handle to a queue or an exchange.
#[derive(Debug)]
pub struct Bindings<D> {
    roster: Roster<D>,
    matcher: Matcher<D>,
}

#[derive(Debug)]
enum Matcher<D> {
    Direct(Direct<D>),
    Fanout(Fanout<D>),
    Topic(Topic<D>),
    Headers(Headers<D>),
}

impl<D: Clone + Eq + Hash> Bindings<D> {
    /// No bindings yet, for an exchange of this kind.
    pub fn new(kind: ExchangeKind) -> Bindings<D> {
        let matcher = match kind {
            ExchangeKind::Direct => Matcher::Direct(Direct::default()),
            ExchangeKind::Fanout => Matcher::Fanout(Fanout::default()),
            ExchangeKind::Topic => Matcher::Topic(Topic::default()),
            ExchangeKind::Headers => Matcher::Headers(Headers::default()),
        };
        Bindings { roster: Roster::default(), matcher }
    }

    /// The kind these bindings are matched by.
    pub fn kind(&self) -> ExchangeKind {
        match self.matcher {
            Matcher::Direct(_) => ExchangeKind::Direct,
            Matcher::Fanout(_) => ExchangeKind::Fanout,
            Matcher::Topic(_) => ExchangeKind::Topic,
            Matcher::Headers(_) => ExchangeKind::Headers,
        }
    }

    /// Adds a binding; false if it was there already.
    ///
    /// Arguments are not refused here: an `x-match` that [`HeadersMatch::parse`] refuses means `all`, as
    /// it does in RabbitMQ for bindings that came in by another door.
    pub fn bind(&mut self, key: &str, arguments: &FieldTable, destination: D) -> bool {
        let added = self.roster.add(key, arguments, destination.clone());
        match &mut self.matcher {
            Matcher::Direct(direct) if added.changes_key() => direct.add(key, destination),
            Matcher::Fanout(fanout) if added.changes_destination() => fanout.add(destination),
            Matcher::Topic(topic) if added.changes_key() => topic.add(key, destination),
            Matcher::Headers(headers) if added.changed() => headers.add(arguments, destination),
            Matcher::Direct(_) | Matcher::Fanout(_) | Matcher::Topic(_) | Matcher::Headers(_) => {}
        }
        added.changed()
    }

    /// Takes a binding away; false if there is none with this key and these very arguments.
    pub fn unbind(&mut self, key: &str, arguments: &FieldTable, destination: &D) -> bool {
        let removed = self.roster.remove(key, arguments, destination);
        match &mut self.matcher {
            Matcher::Direct(direct) if removed.changes_key() => direct.remove(key, destination),
            Matcher::Fanout(fanout) if removed.changes_destination() => fanout.remove(destination),
            Matcher::Topic(topic) if removed.changes_key() => topic.remove(key, destination),
            Matcher::Headers(headers) if removed.changed() => {
                headers.remove(arguments, destination);
            }
            Matcher::Direct(_) | Matcher::Fanout(_) | Matcher::Topic(_) | Matcher::Headers(_) => {}
        }
        removed.changed()
    }

    /// Takes away every binding of a destination that is going away; how many there were.
    pub fn remove_destination(&mut self, destination: &D) -> usize {
        let bindings = self.roster.remove_destination(destination);
        match &mut self.matcher {
            Matcher::Fanout(fanout) => fanout.remove(destination),
            Matcher::Headers(headers) => headers.remove_destination(destination),
            Matcher::Direct(direct) => {
                bindings.keys().for_each(|key| direct.remove(key, destination));
            }
            Matcher::Topic(topic) => {
                bindings.keys().for_each(|key| topic.remove(key, destination));
            }
        }
        bindings.len()
    }

    /// Shows `visit` every destination of a message with this routing key and these headers, some
    /// perhaps more than once.
    pub fn route(&self, routing_key: &str, headers: HeadersSource<'_>, mut visit: impl FnMut(&D)) {
        match &self.matcher {
            Matcher::Direct(direct) => direct.route(routing_key, &mut visit),
            Matcher::Fanout(fanout) => fanout.route(&mut visit),
            Matcher::Topic(topic) => topic.route(routing_key, &mut visit),
            Matcher::Headers(matcher) => matcher.route(headers, &mut visit),
        }
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
