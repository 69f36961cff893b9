//! A virtual host's policies, limits and default queue type: set, cleared, and in force at once.
//!
//! **Invariant:** what is in force for a queue or an exchange follows from its declaration and the policies as
//! they are, because whoever changes either holds the definitions lock until the other is told.

use std::sync::Arc;

use super::{Definitions, Locked, VHost, VHostLimits};
use crate::broker::change::{Definition, PolicyRecord, VHostDefinition};
use crate::broker::exchange::Exchange;
use crate::broker::options::{QueueOptions, QueueType};
use crate::broker::policy::{Applied, Policy, PolicyKind, PolicySet, Subject};
use crate::broker::queue::Queue;
use crate::broker::settings::QueueSettings;
use crate::broker::turn::Turn;

/// What is said about a virtual host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VHostMetadata {
    /// For people.
    pub description: String,
    /// Any words.
    pub tags: Vec<String>,
    /// The type of queues that name none.
    pub default_queue_type: Option<QueueType>,
}

/// What the configuration says about a virtual host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfiguredVHost {
    /// The type of queues that name none.
    pub default_queue_type: Option<QueueType>,
    /// In place of the limits that were set before, each that is there.
    pub limits: VHostLimits,
    /// In place of those of the same kind and name.
    pub policies: Vec<Policy>,
}

impl VHost {
    /// Sets a policy, in place of one of its kind and name.
    pub fn set_policy(self: &Arc<Self>, policy: Policy, turn: &mut Turn) {
        let (kind, source) = (policy.kind, policy.source());
        let mut locked = self.definitions.lock();
        if locked.policies.set(Arc::new(policy)) {
            let vhost = Arc::clone(&self.name);
            self.save(&mut locked, Definition::PolicySet(PolicyRecord { vhost, kind, source }));
            self.apply(&locked, turn);
        }
    }

    /// Sets a policy that comes into force with [`VHost::apply_policies`] only, together with others.
    pub fn note_policy(self: &Arc<Self>, policy: Policy) {
        let (kind, source) = (policy.kind, policy.source());
        let mut locked = self.definitions.lock();
        if locked.policies.set(Arc::new(policy)) {
            let vhost = Arc::clone(&self.name);
            self.save(&mut locked, Definition::PolicySet(PolicyRecord { vhost, kind, source }));
        }
    }

    /// Removes a policy. False if there is none of this kind and name.
    pub fn clear_policy(self: &Arc<Self>, kind: PolicyKind, name: &str, turn: &mut Turn) -> bool {
        let mut locked = self.definitions.lock();
        if !locked.policies.clear(kind, name) {
            return false;
        }
        let (vhost, name) = (Arc::clone(&self.name), name.to_owned());
        self.save(&mut locked, Definition::PolicyCleared { vhost, kind, name });
        self.apply(&locked, turn);
        true
    }

    /// All policies as they are now.
    pub fn policies(&self) -> PolicySet {
        self.definitions.lock().policies.clone()
    }

    /// The policies in force for a queue.
    pub fn applied_to_queue(&self, queue: &Queue) -> Applied {
        self.definitions.lock().applied_to_queue(&queue.name, &queue.options)
    }

    /// The policies in force for an exchange.
    pub fn applied_to_exchange(&self, exchange: &Exchange) -> Applied {
        self.definitions.lock().applied_to_exchange(exchange)
    }

    /// Sets what it may hold. What it holds already stays.
    pub fn set_limits(self: &Arc<Self>, limits: VHostLimits) {
        let mut locked = self.definitions.lock();
        if locked.limits != limits {
            locked.limits = limits;
            self.save_self(&mut locked);
        }
    }

    /// What it may hold.
    pub fn limits(&self) -> VHostLimits {
        self.definitions.lock().limits
    }

    /// What is said about it.
    pub fn metadata(&self) -> VHostMetadata {
        self.definitions.lock().metadata.clone()
    }

    /// The type of a queue that names none, if somebody has said so.
    pub fn default_queue_type(&self) -> Option<QueueType> {
        let locked = self.definitions.lock();
        locked.metadata.default_queue_type.or(locked.inherited_queue_type)
    }

    /// Says something else about it. One that is new is saved in any case.
    pub(in crate::broker) fn describe(self: &Arc<Self>, metadata: VHostMetadata, is_new: bool) {
        let mut locked = self.definitions.lock();
        if is_new || locked.metadata != metadata {
            locked.metadata = metadata;
            self.save_self(&mut locked);
        }
    }

    /// The default type of queues of the whole broker.
    pub(in crate::broker) fn inherit_queue_type(&self, queue_type: Option<QueueType>) {
        self.definitions.lock().inherited_queue_type = queue_type;
    }

    /// Takes over what the configuration says, without saving it. [`VHost::apply_policies`] puts policies in force.
    pub(in crate::broker) fn configure(&self, configured: ConfiguredVHost) {
        let ConfiguredVHost { default_queue_type, limits, policies } = configured;
        let mut locked = self.definitions.lock();
        let before = locked.limits;
        locked.limits = VHostLimits {
            max_connections: limits.max_connections.or(before.max_connections),
            max_queues: limits.max_queues.or(before.max_queues),
            max_exchanges: limits.max_exchanges.or(before.max_exchanges),
        };
        if default_queue_type.is_some() {
            locked.metadata.default_queue_type = default_queue_type;
        }
        for policy in policies {
            locked.policies.set(Arc::new(policy));
        }
    }

    /// Puts the policies in force everywhere, as they are now.
    pub fn apply_policies(&self, turn: &mut Turn) {
        let locked = self.definitions.lock();
        self.apply(&locked, turn);
    }

    /// Puts back a policy from before a restart. Queues and exchanges must come after it.
    pub fn restore_policy(&self, policy: Policy) {
        self.definitions.lock().policies.set(Arc::new(policy));
    }

    /// Puts back limits and metadata from before a restart.
    pub fn restore_self(&self, definition: &VHostDefinition) {
        let mut locked = self.definitions.lock();
        locked.limits = definition.limits;
        locked.metadata = definition.metadata.clone();
    }

    fn apply(&self, locked: &Locked<'_>, turn: &mut Turn) {
        for exchange in self.exchanges.all() {
            exchange.apply_policy(locked.applied_to_exchange(&exchange).definition());
        }
        for queue in self.queues.all() {
            queue.apply_settings(locked.queue_settings(&queue.name, &queue.options), turn);
        }
        self.routes_changed();
    }

    fn save_self(self: &Arc<Self>, locked: &mut Locked<'_>) {
        let definition = VHostDefinition {
            name: Arc::clone(&self.name),
            metadata: locked.metadata.clone(),
            limits: locked.limits,
        };
        self.save(locked, Definition::VHostDeclared(definition));
    }
}

impl Definitions {
    /// What is in force for a queue of this name and declaration.
    pub(super) fn queue_settings(&self, name: &str, options: &QueueOptions) -> QueueSettings {
        if self.policies.is_empty() {
            return QueueSettings::of(options);
        }
        let applied = self.applied_to_queue(name, options);
        QueueSettings::resolve(options, applied.definition(), applied.operator_definition())
    }

    pub(super) fn applied_to_exchange(&self, exchange: &Exchange) -> Applied {
        // RabbitMQ: the default exchange has no policy.
        if exchange.name.is_empty() {
            return Applied::default();
        }
        self.policies.applied(Subject::Exchange(&exchange.name))
    }

    fn applied_to_queue(&self, name: &str, options: &QueueOptions) -> Applied {
        self.policies.applied(Subject::Queue(name, options.queue_type))
    }
}
