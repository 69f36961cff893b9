//! Routing by a hash that hardly notices when destinations come and go: `x-consistent-hash`.
//!
//! Every message goes to exactly one destination. Which one depends on what is hashed (the routing key unless
//! the exchange says otherwise) and on the destinations' names and weights, and on nothing else: not on the order
//! in which they were bound, nor on who was bound before. So a restart changes nothing, a new destination only
//! takes its share from the others, and one that goes only gives its own share away.
//!
//! RabbitMQ has the same promises but the last, by jumping over numbered buckets; there, everything behind a
//! destination that goes moves up. Here every destination draws a number from the hash and its name, and the best
//! number wins (weighted rendezvous hashing). The price is a look at every destination for each message; a
//! thousand of them cost two microseconds.
//!
//! Invariants:
//! * The binding that was made first says how much a destination weighs, as in RabbitMQ; the others wait.
//! * Each bound destination is in exactly one group, that of its weight.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use amq_protocol::types::{AMQPValue, FieldTable};

use super::Endpoint;
use super::roster::same_arguments;
use super::stable_hash::{hash_all, mix};
use crate::amqp::wire::properties::PropertiesView;

/// What of a message is hashed: the exchange's arguments `hash-header` and `hash-property`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HashOn {
    /// The routing key.
    #[default]
    RoutingKey,
    /// The header of this name, type and value.
    Header(Vec<u8>),
    /// The property `message_id`.
    MessageId,
    /// The property `correlation_id`.
    CorrelationId,
    /// The property `timestamp`.
    Timestamp,
}

/// Why the arguments of an `x-consistent-hash` exchange cannot be used.
#[derive(Clone, Debug, PartialEq)]
pub enum HashOnError {
    /// This argument is no string.
    WrongType(&'static str, AMQPValue),
    /// Both arguments are there.
    Both,
    /// A property that cannot be hashed.
    UnsupportedProperty(Vec<u8>),
}

impl fmt::Display for HashOnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HashOnError::WrongType(argument, _) => write!(f, "{argument} is not a string"),
            HashOnError::Both => {
                f.write_str("hash-header and hash-property are mutually exclusive")
            }
            HashOnError::UnsupportedProperty(name) => {
                write!(f, "Unsupported property: {}", String::from_utf8_lossy(name))
            }
        }
    }
}

impl std::error::Error for HashOnError {}

impl HashOn {
    /// Reads the arguments of an exchange.
    pub fn parse(arguments: &FieldTable) -> Result<HashOn, HashOnError> {
        let header = octets(arguments, "hash-header")?;
        let property = octets(arguments, "hash-property")?;
        match (header, property) {
            (None, None) => Ok(HashOn::RoutingKey),
            (Some(_), Some(_)) => Err(HashOnError::Both),
            (Some(header), None) => Ok(HashOn::Header(header.to_vec())),
            (None, Some(b"message_id")) => Ok(HashOn::MessageId),
            (None, Some(b"correlation_id")) => Ok(HashOn::CorrelationId),
            (None, Some(b"timestamp")) => Ok(HashOn::Timestamp),
            (None, Some(other)) => Err(HashOnError::UnsupportedProperty(other.to_vec())),
        }
    }

    /// The same, where nobody can be refused any more: what cannot be used counts as absent.
    pub(super) fn read(arguments: &FieldTable) -> HashOn {
        HashOn::parse(arguments).unwrap_or_default()
    }

    /// The hash of a message. Those that lack what is hashed share one, as in RabbitMQ.
    fn of(&self, keys: &[&str], properties: PropertiesView<'_>) -> u64 {
        let number;
        let value = match self {
            HashOn::RoutingKey => keys.first().map(|key| key.as_bytes()),
            HashOn::MessageId => properties.message_id(),
            HashOn::CorrelationId => properties.correlation_id(),
            HashOn::Timestamp => {
                number = properties.timestamp().map(u64::to_be_bytes);
                number.as_ref().map(<[u8; 8]>::as_slice)
            }
            HashOn::Header(name) => {
                let mut fields = properties.headers().into_iter().flat_map(|table| table.fields());
                let Some((_, value)) = fields.find(|(other, _)| other == name) else {
                    return hash_all([]);
                };
                // RabbitMQ tells 5 from "5", and one width of a number from another.
                return hash_all([&[value.tag()], value.data()]);
            }
        };
        hash_all(value)
    }
}

fn octets<'a>(
    arguments: &'a FieldTable,
    argument: &'static str,
) -> Result<Option<&'a [u8]>, HashOnError> {
    match arguments.inner().get(argument) {
        None => Ok(None),
        Some(AMQPValue::LongString(text)) => Ok(Some(text.as_bytes())),
        Some(other) => Err(HashOnError::WrongType(argument, other.clone())),
    }
}

/// How many shares of the messages a destination gets: the binding key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u32);

/// Why a binding key is no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightError {
    /// It is no whole number.
    NotAnInteger,
    /// It is zero or less.
    NotPositive,
}

impl fmt::Display for WeightError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WeightError::NotAnInteger => "a weight is an integer",
            WeightError::NotPositive => "a weight is greater than 0",
        })
    }
}

impl std::error::Error for WeightError {}

impl Weight {
    /// Reads a binding key as Erlang's `list_to_integer` does. What is beyond 32 bits weighs as much as they
    /// can hold: RabbitMQ would run out of memory.
    pub fn parse(key: &str) -> Result<Weight, WeightError> {
        let digits = key.strip_prefix(['+', '-']).unwrap_or(key);
        if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(WeightError::NotAnInteger);
        }
        let significant = digits.trim_start_matches('0');
        if key.starts_with('-') || significant.is_empty() {
            return Err(WeightError::NotPositive);
        }
        Ok(Weight(significant.parse().unwrap_or(u32::MAX)))
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct ConsistentHash<D> {
    hash_on: HashOn,
    /// Each destination's bindings, in the order they were made.
    bindings: HashMap<D, Vec<Binding>>,
    groups: BTreeMap<Weight, Vec<Member<D>>>,
}

#[derive(Debug)]
struct Binding {
    key: Box<str>,
    arguments: FieldTable,
}

impl Binding {
    fn weight(&self) -> Weight {
        // Clients are refused other keys before they come here.
        Weight::parse(&self.key).unwrap_or(Weight(1))
    }
}

#[derive(Debug)]
struct Member<D> {
    fingerprint: u64,
    destination: D,
}

impl<D: Endpoint> ConsistentHash<D> {
    pub(super) fn new(hash_on: HashOn) -> Self {
        ConsistentHash { hash_on, bindings: HashMap::new(), groups: BTreeMap::new() }
    }

    /// More than the routing key is looked at.
    pub(super) fn varies(&self) -> bool {
        self.hash_on != HashOn::RoutingKey
    }

    pub(super) fn add(&mut self, key: &str, arguments: &FieldTable, destination: D) {
        let binding = Binding { key: key.into(), arguments: arguments.clone() };
        let weight = binding.weight();
        let bindings = self.bindings.entry(destination.clone()).or_default();
        bindings.push(binding);
        if bindings.len() == 1 {
            self.join(weight, destination);
        }
    }

    /// Costs the number of destinations of the same weight.
    pub(super) fn remove(&mut self, key: &str, arguments: &FieldTable, destination: &D) {
        let Some(bindings) = self.bindings.get_mut(destination) else { return };
        let is_it = |one: &Binding| *one.key == *key && same_arguments(&one.arguments, arguments);
        let Some(place) = bindings.iter().position(is_it) else { return };
        let removed = bindings.remove(place);
        if place > 0 {
            return;
        }
        let next = bindings.first().map(Binding::weight);
        self.leave(removed.weight(), destination);
        match next {
            Some(weight) => self.join(weight, destination.clone()),
            None => drop(self.bindings.remove(destination)),
        }
    }

    pub(super) fn remove_destination(&mut self, destination: &D) {
        let Some(bindings) = self.bindings.remove(destination) else { return };
        if let Some(first) = bindings.first() {
            self.leave(first.weight(), destination);
        }
    }

    /// The destination of a message.
    pub(super) fn choose(&self, keys: &[&str], properties: PropertiesView<'_>) -> Option<&D> {
        let hash = self.hash_on.of(keys, properties);
        let best = |members: &'_ [Member<D>]| {
            let draws = members.iter().map(|one| (mix(hash ^ one.fingerprint), one.fingerprint));
            draws.enumerate().max_by_key(|(_, draw)| *draw)
        };
        // Among equal weights the highest draw wins; only the winners must be weighed.
        let winners = self.groups.iter().filter_map(|(weight, members)| {
            let (place, (draw, _)) = best(members)?;
            Some((time_of(draw, *weight), &members.get(place)?.destination))
        });
        let first = winners.min_by(|(one, _), (other, _)| one.total_cmp(other));
        first.map(|(_, destination)| destination)
    }

    fn join(&mut self, weight: Weight, destination: D) {
        let fingerprint = destination.fingerprint();
        self.groups.entry(weight).or_default().push(Member { fingerprint, destination });
    }

    fn leave(&mut self, weight: Weight, destination: &D) {
        let Some(members) = self.groups.get_mut(&weight) else { return };
        if let Some(place) = members.iter().position(|one| one.destination == *destination) {
            members.swap_remove(place);
        }
        if members.is_empty() {
            self.groups.remove(&weight);
        }
    }
}

/// When the first event comes whose rate is the weight, if a draw is read as chance. Of several such clocks each
/// is the first with a likelihood in proportion to its weight, which is all that is wanted here.
fn time_of(draw: u64, weight: Weight) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a float exactly")]
    let chance = ((draw >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -chance.ln() / f64::from(weight.0)
}

#[cfg(test)]
mod tests;
