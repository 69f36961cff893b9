//! An exchange: name, options, and where its bindings lead.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use amq_protocol::types::FieldTable;

use super::history::History;
use super::stable_hash::hash_all;
use super::{Bindings, Endpoint, ExchangeKind};
use crate::amqp::wire::properties::PropertiesView;
use crate::broker::change::{DestinationName, ExchangeDefinition};
use crate::broker::message::Message;
use crate::broker::options::ExchangeOptions;
use crate::broker::policy::{PolicyDefinition, alternate_exchange};
use crate::broker::queue::Queue;
use crate::sync::{RankedMutex, rank};

/// See the module.
pub struct Exchange {
    /// Its name, unique in the virtual host; empty for the default exchange.
    pub name: Arc<str>,
    /// As declared.
    pub options: ExchangeOptions,
    /// Where a message goes depends on more than its routing keys.
    pub varies: bool,
    bindings: RankedMutex<{ rank::EXCHANGE }, Bindings<Destination>>,
    history: Option<History>,
    alternate: RankedMutex<{ rank::LEAF }, Option<Arc<str>>>,
}

/// What a binding leads to.
#[derive(Clone)]
pub enum Destination {
    /// A queue.
    Queue(Arc<Queue>),
    /// Another exchange.
    Exchange(Arc<Exchange>),
}

impl Destination {
    /// Its name, for the log.
    pub fn name(&self) -> DestinationName {
        match self {
            Self::Queue(queue) => DestinationName::Queue(Arc::clone(&queue.name)),
            Self::Exchange(exchange) => DestinationName::Exchange(Arc::clone(&exchange.name)),
        }
    }

    /// It survives a restart.
    pub fn is_durable(&self) -> bool {
        match self {
            Self::Queue(queue) => queue.options.durable,
            Self::Exchange(exchange) => exchange.options.durable,
        }
    }

    fn address(&self) -> usize {
        match self {
            Self::Queue(queue) => Arc::as_ptr(queue).addr(),
            Self::Exchange(exchange) => Arc::as_ptr(exchange).addr(),
        }
    }
}

// The same thing, not the same name: a name may be deleted and declared again.
impl PartialEq for Destination {
    fn eq(&self, other: &Self) -> bool {
        self.address() == other.address()
    }
}

impl Eq for Destination {}

impl Hash for Destination {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address().hash(state);
    }
}

impl Endpoint for Destination {
    fn fingerprint(&self) -> u64 {
        match self {
            Self::Queue(queue) => hash_all([b"queue", queue.name.as_bytes()]),
            Self::Exchange(exchange) => hash_all([b"exchange", exchange.name.as_bytes()]),
        }
    }
}

impl Exchange {
    /// An exchange without bindings.
    pub fn new(name: Arc<str>, options: ExchangeOptions) -> Self {
        let bindings = Bindings::new(options.kind, &options.arguments);
        let varies = bindings.vary() || options.kind == ExchangeKind::DelayedMessage;
        let remembers = options.kind == ExchangeKind::RecentHistory;
        let history = remembers.then(|| History::new(&options.arguments));
        let alternate = RankedMutex::new(alternate_exchange(&options, None));
        Self { name, options, varies, bindings: RankedMutex::new(bindings), history, alternate }
    }

    /// Who gets the messages that it routes nowhere, by its arguments or its policy.
    pub fn alternate_exchange(&self) -> Option<Arc<str>> {
        self.alternate.lock().clone()
    }

    /// Its policy is another, or none.
    pub(in crate::broker) fn apply_policy(&self, policy: Option<&PolicyDefinition>) {
        let alternate = alternate_exchange(&self.options, policy);
        *self.alternate.lock() = alternate;
    }

    /// What the log keeps of it.
    pub fn definition(&self, vhost: &Arc<str>) -> ExchangeDefinition {
        ExchangeDefinition {
            vhost: Arc::clone(vhost),
            name: Arc::clone(&self.name),
            kind: self.options.kind.name().to_owned(),
            auto_delete: self.options.auto_delete,
            internal: self.options.internal,
            arguments: self.options.arguments.clone(),
        }
    }

    /// Collects the destinations of a message with these routing keys and properties; may repeat some.
    pub fn route(
        &self,
        keys: &[&str],
        properties: PropertiesView<'_>,
        into: &mut Vec<Destination>,
    ) {
        self.bindings.lock().route(keys, properties, |destination| into.push(destination.clone()));
    }

    /// It wants to [`remember`](Self::remember) what it routes.
    pub fn remembers(&self) -> bool {
        self.history.is_some()
    }

    /// Keeps a message for those who are bound later, if this exchange keeps any and the publisher did not
    /// forbid it.
    pub fn remember(&self, message: &Arc<Message>) {
        if let Some(history) = &self.history {
            history.remember(message);
        }
    }

    /// What it remembers, oldest first.
    pub fn recall(&self) -> Vec<Arc<Message>> {
        self.history.as_ref().map(History::recall).unwrap_or_default()
    }

    /// Adds a binding. False if there is one like it.
    pub(in crate::broker) fn bind(
        &self,
        key: &str,
        arguments: &FieldTable,
        to: Destination,
    ) -> bool {
        self.bindings.lock().bind(key, arguments, to)
    }

    /// Removes a binding. False if there is none like it.
    pub(in crate::broker) fn unbind(
        &self,
        key: &str,
        arguments: &FieldTable,
        to: &Destination,
    ) -> bool {
        self.bindings.lock().unbind(key, arguments, to)
    }

    /// There is this very binding.
    pub fn is_bound(&self, key: &str, arguments: &FieldTable, to: &Destination) -> bool {
        self.bindings.lock().contains(key, arguments, to)
    }

    /// Nothing is bound to it.
    pub fn is_unused(&self) -> bool {
        self.bindings.lock().is_empty()
    }

    /// Every binding that starts here.
    pub fn bindings(&self) -> Vec<(Destination, String, FieldTable)> {
        let bindings = self.bindings.lock();
        bindings
            .iter()
            .map(|(destination, key, arguments)| {
                (destination.clone(), key.to_owned(), arguments.clone())
            })
            .collect()
    }
}
