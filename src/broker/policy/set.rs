//! The policies of a virtual host, and which of them an object has.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Policy, PolicyDefinition, PolicyKind};
use crate::broker::options::QueueType;

/// What a policy may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A queue, by its name and type.
    Queue(&'a str, QueueType),
    /// An exchange, by its name.
    Exchange(&'a str),
}

impl<'a> Subject<'a> {
    /// The object's name.
    pub fn name(self) -> &'a str {
        match self {
            Subject::Queue(name, _) | Subject::Exchange(name) => name,
        }
    }
}

/// The policies in force for an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// The users' policy.
    pub user: Option<Arc<Policy>>,
    /// The operator's.
    pub operator: Option<Arc<Policy>>,
}

impl Applied {
    /// What the users' policy sets.
    pub fn definition(&self) -> Option<&PolicyDefinition> {
        self.user.as_deref().map(|policy| &policy.definition)
    }

    /// What the operator's policy sets.
    pub fn operator_definition(&self) -> Option<&PolicyDefinition> {
        self.operator.as_deref().map(|policy| &policy.definition)
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    user: BTreeMap<Arc<str>, Arc<Policy>>,
    operator: BTreeMap<Arc<str>, Arc<Policy>>,
}

impl PolicySet {
    /// Adds a policy, in place of one of its kind and name. False if that was the same.
    pub fn set(&mut self, policy: Arc<Policy>) -> bool {
        let before = self.get(policy.kind, &policy.name);
        let is_new = before.is_none_or(|before| *before != policy);
        self.of_kind_mut(policy.kind).insert(Arc::clone(&policy.name), policy);
        is_new
    }

    /// Removes a policy. False if there is none of this kind and name.
    pub fn clear(&mut self, kind: PolicyKind, name: &str) -> bool {
        self.of_kind_mut(kind).remove(name).is_some()
    }

    /// The policy of this kind and name.
    pub fn get(&self, kind: PolicyKind, name: &str) -> Option<&Arc<Policy>> {
        self.of_kind(kind).get(name)
    }

    /// All policies of a kind, by name.
    pub fn of_kind(&self, kind: PolicyKind) -> &BTreeMap<Arc<str>, Arc<Policy>> {
        match kind {
            PolicyKind::User => &self.user,
            PolicyKind::Operator => &self.operator,
        }
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.user.is_empty() && self.operator.is_empty()
    }

    /// The policies in force for an object.
    pub fn applied(&self, subject: Subject<'_>) -> Applied {
        Applied {
            user: best(self.user.values(), subject),
            operator: best(self.operator.values(), subject),
        }
    }

    fn of_kind_mut(&mut self, kind: PolicyKind) -> &mut BTreeMap<Arc<str>, Arc<Policy>> {
        match kind {
            PolicyKind::User => &mut self.user,
            PolicyKind::Operator => &mut self.operator,
        }
    }
}

/// The highest priority wins; of equals the first by name, so that every start decides alike.
fn best<'a>(
    policies: impl Iterator<Item = &'a Arc<Policy>>,
    subject: Subject<'_>,
) -> Option<Arc<Policy>> {
    let mut best: Option<&Arc<Policy>> = None;
    for policy in policies {
        let is_better = best.is_none_or(|best| policy.priority > best.priority);
        if is_better && policy.matches(subject) {
            best = Some(policy);
        }
    }
    best.cloned()
}
