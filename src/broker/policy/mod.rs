//! Policies: settings for queues and exchanges from outside, by name.
//!
//! A user's policy gives what a declaration leaves open; an operator's policy caps what users may ask for. Of each
//! kind, one policy at most applies to an object: the one with the highest priority among those that match. User
//! policies are never merged with one another.
//!
//! * [`pattern`] matches names;
//! * [`definition`] holds what a policy sets, `checks` says in RabbitMQ's words what it may set;
//! * [`set`] finds the policies of an object;
//! * `merge` makes an object's settings of its arguments and its policies.
//!
//! Everything here is a plain value. A virtual host keeps a [`PolicySet`] and applies it.

mod checks;
pub mod definition;
mod merge;
pub mod pattern;
pub mod set;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use amq_protocol::types::FieldTable;

pub use self::definition::PolicyDefinition;
pub use self::merge::alternate_exchange;
pub use self::pattern::NamePattern;
pub use self::set::{Applied, PolicySet, Subject};
use super::options::QueueType;

/// A policy, valid and ready for use.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Whose it is.
    pub kind: PolicyKind,
    /// Its name, unique among the policies of its kind in a virtual host.
    pub name: Arc<str>,
    /// The names it applies to.
    pub pattern: NamePattern,
    /// The things it applies to.
    pub apply_to: ApplyTo,
    /// Of several that match, the highest counts.
    pub priority: i64,
    /// What it sets.
    pub definition: PolicyDefinition,
}

/// A policy as somebody wrote it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicySource {
    /// Its name.
    pub name: String,
    /// A regular expression.
    pub pattern: String,
    /// See [`ApplyTo::from_name`].
    pub apply_to: String,
    /// Of several that match, the highest counts.
    pub priority: i64,
    /// Keys and values.
    pub definition: FieldTable,
}

impl Policy {
    /// Checks a policy, in RabbitMQ's order and words.
    pub fn new(kind: PolicyKind, source: PolicySource) -> Result<Policy, PolicyError> {
        let PolicySource { name, pattern, apply_to, priority, definition } = source;
        let pattern = NamePattern::parse(&pattern)?;
        let apply_to = ApplyTo::from_name(&apply_to).ok_or_else(|| {
            PolicyError(format!(
                "apply-to '{apply_to}' unrecognised; should be one of: 'queues', 'classic_queues',  \
                 'quorum_queues', 'streams', 'exchanges', or 'all'"
            ))
        })?;
        let definition = PolicyDefinition::parse(kind, definition)?;
        Ok(Policy { kind, name: Arc::from(name), pattern, apply_to, priority, definition })
    }

    /// The policy as it was written.
    pub fn source(&self) -> PolicySource {
        PolicySource {
            name: self.name.to_string(),
            pattern: self.pattern.as_str().to_owned(),
            apply_to: self.apply_to.name().to_owned(),
            priority: self.priority,
            definition: self.definition.table.clone(),
        }
    }

    /// It is for this object.
    pub fn matches(&self, subject: Subject<'_>) -> bool {
        self.apply_to.covers(subject)
            && self.definition.suits(subject)
            && self.pattern.matches(subject.name())
    }
}

/// Whose a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyKind {
    /// Anyone's who may set policies.
    User,
    /// The operator's: a cap on what users set.
    Operator,
}

/// The things a policy applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyTo {
    /// Exchanges and queues.
    All,
    /// Exchanges.
    Exchanges,
    /// Queues of every type.
    Queues,
    /// Queues of one type.
    QueuesOf(QueueType),
}

impl ApplyTo {
    /// What a policy's `apply-to` calls `name`.
    pub fn from_name(name: &str) -> Option<ApplyTo> {
        match name {
            "all" => Some(ApplyTo::All),
            "exchanges" => Some(ApplyTo::Exchanges),
            "queues" => Some(ApplyTo::Queues),
            "classic_queues" => Some(ApplyTo::QueuesOf(QueueType::Classic)),
            "quorum_queues" => Some(ApplyTo::QueuesOf(QueueType::Quorum)),
            "streams" => Some(ApplyTo::QueuesOf(QueueType::Stream)),
            _ => None,
        }
    }

    /// The name in `apply-to`.
    pub fn name(self) -> &'static str {
        match self {
            ApplyTo::All => "all",
            ApplyTo::Exchanges => "exchanges",
            ApplyTo::Queues => "queues",
            ApplyTo::QueuesOf(QueueType::Classic) => "classic_queues",
            ApplyTo::QueuesOf(QueueType::Quorum) => "quorum_queues",
            ApplyTo::QueuesOf(QueueType::Stream) => "streams",
        }
    }

    fn covers(self, subject: Subject<'_>) -> bool {
        match (self, subject) {
            (ApplyTo::All, _)
            | (ApplyTo::Exchanges, Subject::Exchange(_))
            | (ApplyTo::Queues, Subject::Queue(..)) => true,
            (ApplyTo::QueuesOf(own), Subject::Queue(_, queue_type)) => own == queue_type,
            _ => false,
        }
    }
}

/// Why a policy cannot be set. RabbitMQ's words, without the `Validation failed` in front of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError(pub(super) String);

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PolicyError {}
