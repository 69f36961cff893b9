//! The types of exchange, by the names clients declare them with.

use std::fmt;

/// How an exchange routes: the types of AMQP 0-9-1 section 3.1.3, and those of RabbitMQ's plugins.
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
    /// One destination, the same for the same key, header or property; binding keys are weights.
    ConsistentHash,
    /// One binding, the same for the same routing keys while bindings stay the same.
    ModulusHash,
    /// One binding, by chance.
    Random,
    /// The same among queues of this node, which is all of them here.
    LocalRandom,
    /// Every binding; who is bound later gets the last messages as well.
    RecentHistory,
    /// Like another type, after the delay that a message asks for.
    DelayedMessage,
}

impl ExchangeKind {
    /// Every kind there is.
    pub const ALL: [ExchangeKind; 10] = [
        ExchangeKind::Direct,
        ExchangeKind::Fanout,
        ExchangeKind::Topic,
        ExchangeKind::Headers,
        ExchangeKind::ConsistentHash,
        ExchangeKind::ModulusHash,
        ExchangeKind::Random,
        ExchangeKind::LocalRandom,
        ExchangeKind::RecentHistory,
        ExchangeKind::DelayedMessage,
    ];

    /// The kind that `exchange.declare` calls `name`, if we have it. Names are case-sensitive.
    pub fn from_name(name: &str) -> Option<ExchangeKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name in `exchange.declare`.
    pub fn name(self) -> &'static str {
        match self {
            ExchangeKind::Direct => "direct",
            ExchangeKind::Fanout => "fanout",
            ExchangeKind::Topic => "topic",
            ExchangeKind::Headers => "headers",
            ExchangeKind::ConsistentHash => "x-consistent-hash",
            ExchangeKind::ModulusHash => "x-modulus-hash",
            ExchangeKind::Random => "x-random",
            ExchangeKind::LocalRandom => "x-local-random",
            ExchangeKind::RecentHistory => "x-recent-history",
            ExchangeKind::DelayedMessage => "x-delayed-message",
        }
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
