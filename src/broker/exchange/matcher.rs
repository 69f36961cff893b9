//! The part of an exchange that finds destinations: one matcher for each way of routing.
//!
//! **Invariant:** a matcher learns of a change with the [`Step`] it means to the roster, and keeps what its kind
//! needs: pairs of key and destination, destinations, or every single binding.

use amq_protocol::types::FieldTable;

use super::consistent_hash::{ConsistentHash, HashOn};
use super::direct::Direct;
use super::fanout::Fanout;
use super::headers::Headers;
use super::modulus_hash::ModulusHash;
use super::random::Random;
use super::roster::{Removed, Step};
use super::topic::Topic;
use super::{Endpoint, ExchangeKind};
use crate::amqp::wire::properties::PropertiesView;
use crate::broker::delayed::delayed_type;

/// See the module.
#[derive(Debug)]
pub(super) enum Matcher<D> {
    Direct(Direct<D>),
    Fanout(Fanout<D>),
    Topic(Topic<D>),
    Headers(Headers<D>),
    ConsistentHash(ConsistentHash<D>),
    ModulusHash(ModulusHash<D>),
    Random(Random<D>),
}

impl<D: Endpoint> Matcher<D> {
    /// For an exchange of this kind that was declared with these arguments.
    pub(super) fn new(kind: ExchangeKind, arguments: &FieldTable) -> Matcher<D> {
        match kind {
            ExchangeKind::Direct => Matcher::Direct(Direct::default()),
            ExchangeKind::Fanout | ExchangeKind::RecentHistory => {
                Matcher::Fanout(Fanout::default())
            }
            ExchangeKind::Topic => Matcher::Topic(Topic::default()),
            ExchangeKind::Headers => Matcher::Headers(Headers::default()),
            ExchangeKind::ConsistentHash => {
                Matcher::ConsistentHash(ConsistentHash::new(HashOn::read(arguments)))
            }
            ExchangeKind::ModulusHash => Matcher::ModulusHash(ModulusHash::default()),
            ExchangeKind::Random | ExchangeKind::LocalRandom => Matcher::Random(Random::default()),
            ExchangeKind::DelayedMessage => Matcher::new(delayed_type(arguments), arguments),
        }
    }

    /// More than exchange and routing keys has a say: headers, another property, or chance.
    pub(super) fn varies(&self) -> bool {
        match self {
            Matcher::Direct(_)
            | Matcher::Fanout(_)
            | Matcher::Topic(_)
            | Matcher::ModulusHash(_) => false,
            Matcher::Headers(_) | Matcher::Random(_) => true,
            Matcher::ConsistentHash(hash) => hash.varies(),
        }
    }

    pub(super) fn add(&mut self, key: &str, arguments: &FieldTable, destination: D, added: Step) {
        match self {
            Matcher::Direct(direct) if added.changes_key() => direct.add(key, destination),
            Matcher::Topic(topic) if added.changes_key() => topic.add(key, destination),
            Matcher::Fanout(fanout) if added.changes_destination() => fanout.add(destination),
            Matcher::Headers(headers) if added.changed() => headers.add(arguments, destination),
            Matcher::ConsistentHash(hash) if added.changed() => {
                hash.add(key, arguments, destination);
            }
            Matcher::ModulusHash(hash) if added.changed() => hash.add(destination),
            Matcher::Random(random) if added.changed() => random.add(destination),
            Matcher::Direct(_)
            | Matcher::Fanout(_)
            | Matcher::Topic(_)
            | Matcher::Headers(_)
            | Matcher::ConsistentHash(_)
            | Matcher::ModulusHash(_)
            | Matcher::Random(_) => {}
        }
    }

    pub(super) fn remove(
        &mut self,
        key: &str,
        arguments: &FieldTable,
        destination: &D,
        removed: Step,
    ) {
        match self {
            Matcher::Direct(direct) if removed.changes_key() => direct.remove(key, destination),
            Matcher::Topic(topic) if removed.changes_key() => topic.remove(key, destination),
            Matcher::Fanout(fanout) if removed.changes_destination() => fanout.remove(destination),
            Matcher::Headers(headers) if removed.changed() => {
                headers.remove(arguments, destination);
            }
            Matcher::ConsistentHash(hash) if removed.changed() => {
                hash.remove(key, arguments, destination);
            }
            Matcher::ModulusHash(hash) if removed.changed() => hash.remove(destination),
            Matcher::Random(random) if removed.changed() => random.remove(destination),
            Matcher::Direct(_)
            | Matcher::Fanout(_)
            | Matcher::Topic(_)
            | Matcher::Headers(_)
            | Matcher::ConsistentHash(_)
            | Matcher::ModulusHash(_)
            | Matcher::Random(_) => {}
        }
    }

    /// Forgets a destination, all of whose bindings have left the roster.
    pub(super) fn remove_destination(&mut self, destination: &D, bindings: &Removed) {
        match self {
            Matcher::Direct(direct) => {
                bindings.keys().for_each(|key| direct.remove(key, destination));
            }
            Matcher::Topic(topic) => {
                bindings.keys().for_each(|key| topic.remove(key, destination));
            }
            Matcher::Fanout(fanout) => fanout.remove(destination),
            Matcher::Headers(headers) => headers.remove_destination(destination),
            Matcher::ConsistentHash(hash) => hash.remove_destination(destination),
            Matcher::ModulusHash(hash) => hash.remove_destination(destination),
            Matcher::Random(random) => random.remove_destination(destination),
        }
    }

    /// Shows `visit` every destination, some perhaps more than once.
    pub(super) fn route(
        &self,
        keys: &[&str],
        properties: PropertiesView<'_>,
        visit: &mut impl FnMut(&D),
    ) {
        match self {
            Matcher::Direct(direct) => keys.iter().for_each(|key| direct.route(key, visit)),
            Matcher::Topic(topic) => keys.iter().for_each(|key| topic.route(key, visit)),
            Matcher::Fanout(fanout) => fanout.route(visit),
            Matcher::Headers(headers) => headers.route(properties, visit),
            Matcher::ConsistentHash(hash) => {
                hash.choose(keys, properties).into_iter().for_each(visit);
            }
            Matcher::ModulusHash(hash) => hash.choose(keys).into_iter().for_each(visit),
            Matcher::Random(random) => random.choose().into_iter().for_each(visit),
        }
    }
}
