//! The virtual hosts, policies, exchanges and bindings a log prefix stands for.
//!
//! Invariants:
//! * A binding has a number, under which the checkpoint keeps it: its identity, which includes arguments
//!   of any size, would not fit a key.
//! * `identities` and `sources` know exactly the bindings in `bindings`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::codec::put_bytes;
use super::definition::{put_binding, put_destination, put_exchange};
use super::policy::{put_policy, put_policy_key, put_vhost};
use crate::broker::change::{
    BindingDefinition, DestinationName, ExchangeDefinition, PolicyRecord, VHostDefinition,
};
use crate::broker::policy::PolicyKind;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Topology {
    vhosts: BTreeMap<Arc<str>, VHostDefinition>,
    /// By the bytes that identify them.
    policies: BTreeMap<Vec<u8>, PolicyRecord>,
    exchanges: BTreeMap<(Arc<str>, Arc<str>), ExchangeDefinition>,
    bindings: BTreeMap<u64, BindingDefinition>,
    /// By the bytes of the whole binding, which begin with the destination.
    identities: BTreeMap<Vec<u8>, u64>,
    /// By virtual host and source.
    sources: BTreeSet<(Arc<str>, Arc<str>, u64)>,
    /// What the checkpoint has to set or to delete, by key.
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Topology {
    /// How many definitions it has.
    pub(super) fn len(&self) -> usize {
        self.vhosts.len() + self.policies.len() + self.exchanges.len() + self.bindings.len()
    }

    pub(super) fn vhosts(&self) -> impl Iterator<Item = &VHostDefinition> {
        self.vhosts.values()
    }

    pub(super) fn policies(&self) -> impl Iterator<Item = &PolicyRecord> {
        self.policies.values()
    }

    pub(super) fn declare_vhost(&mut self, vhost: VHostDefinition) {
        let mut value = vec![VALUE_VERSION];
        put_vhost(&mut value, &vhost);
        let mut key = VHOST_KEYS.to_vec();
        put_bytes(&mut key, vhost.name.as_bytes());
        self.changes.insert(key, Some(value));
        self.load_vhost(vhost);
    }

    pub(super) fn load_vhost(&mut self, vhost: VHostDefinition) {
        self.vhosts.insert(Arc::clone(&vhost.name), vhost);
    }

    pub(super) fn set_policy(&mut self, policy: PolicyRecord) {
        let mut value = vec![VALUE_VERSION];
        put_policy(&mut value, &policy);
        let key = policy_key(&policy.vhost, policy.kind, &policy.source.name);
        self.changes.insert(key, Some(value));
        self.load_policy(policy);
    }

    pub(super) fn load_policy(&mut self, policy: PolicyRecord) {
        let key = policy_key(&policy.vhost, policy.kind, &policy.source.name);
        self.policies.insert(key, policy);
    }

    pub(super) fn clear_policy(&mut self, vhost: &str, kind: PolicyKind, name: &str) {
        let key = policy_key(vhost, kind, name);
        self.policies.remove(&key);
        self.changes.insert(key, None);
    }

    pub(super) fn exchanges(&self) -> impl Iterator<Item = &ExchangeDefinition> {
        self.exchanges.values()
    }

    pub(super) fn bindings(&self) -> impl Iterator<Item = &BindingDefinition> {
        self.bindings.values()
    }

    pub(super) fn declare_exchange(&mut self, exchange: ExchangeDefinition) {
        let mut value = vec![VALUE_VERSION];
        put_exchange(&mut value, &exchange);
        self.changes.insert(exchange_key(&exchange.vhost, &exchange.name), Some(value));
        self.load_exchange(exchange);
    }

    pub(super) fn load_exchange(&mut self, exchange: ExchangeDefinition) {
        let key = (Arc::clone(&exchange.vhost), Arc::clone(&exchange.name));
        self.exchanges.insert(key, exchange);
    }

    /// Removes an exchange, with the bindings at both of its ends.
    pub(super) fn delete_exchange(&mut self, vhost: &Arc<str>, name: &Arc<str>) {
        self.exchanges.remove(&(Arc::clone(vhost), Arc::clone(name)));
        self.changes.insert(exchange_key(vhost, name), None);
        let from_it = (Arc::clone(vhost), Arc::clone(name), 0)..;
        let numbers: Vec<u64> = (self.sources.range(from_it))
            .take_while(|(host, source, _)| host == vhost && source == name)
            .map(|&(_, _, number)| number)
            .collect();
        for number in numbers {
            self.remove_binding(number);
        }
        self.unbind_all(vhost, &DestinationName::Exchange(Arc::clone(name)));
    }

    pub(super) fn bind(&mut self, binding: BindingDefinition) {
        let mut value = vec![VALUE_VERSION];
        put_binding(&mut value, &binding);
        if self.identities.contains_key(&value[1..]) {
            return;
        }
        let number = self.bindings.last_key_value().map_or(0, |(&last, _)| last + 1);
        self.changes.insert(binding_key(number), Some(value));
        self.load_binding(number, binding);
    }

    pub(super) fn load_binding(&mut self, number: u64, binding: BindingDefinition) {
        let source = (Arc::clone(&binding.vhost), Arc::clone(&binding.source), number);
        self.sources.insert(source);
        self.identities.insert(identity(&binding), number);
        self.bindings.insert(number, binding);
    }

    pub(super) fn unbind(&mut self, binding: &BindingDefinition) {
        if let Some(&number) = self.identities.get(&identity(binding)) {
            self.remove_binding(number);
        }
    }

    /// Removes every binding that leads to `destination`.
    pub(super) fn unbind_all(&mut self, vhost: &str, destination: &DestinationName) {
        let mut prefix = Vec::new();
        put_destination(&mut prefix, vhost, destination);
        let numbers: Vec<u64> = (self.identities.range(prefix.clone()..))
            .take_while(|(identity, _)| identity.starts_with(&prefix))
            .map(|(_, &number)| number)
            .collect();
        for number in numbers {
            self.remove_binding(number);
        }
    }

    /// Takes out what the checkpoint has to set or to delete.
    pub(super) fn take_changes(&mut self) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        std::mem::take(&mut self.changes)
    }

    fn remove_binding(&mut self, number: u64) {
        let Some(binding) = self.bindings.remove(&number) else { return };
        self.identities.remove(&identity(&binding));
        self.sources.remove(&(binding.vhost, binding.source, number));
        self.changes.insert(binding_key(number), None);
    }
}

/// The octet in front of every value of the checkpoint.
pub(super) const VALUE_VERSION: u8 = 1;
const EXCHANGE_KEYS: &[u8] = b"t/x";
const BINDING_KEYS: &[u8] = b"t/b";
const VHOST_KEYS: &[u8] = b"t/v";
const POLICY_KEYS: &[u8] = b"t/p";

fn policy_key(vhost: &str, kind: PolicyKind, name: &str) -> Vec<u8> {
    let mut key = POLICY_KEYS.to_vec();
    put_policy_key(&mut key, vhost, kind, name);
    key
}

fn exchange_key(vhost: &str, name: &str) -> Vec<u8> {
    let mut key = EXCHANGE_KEYS.to_vec();
    put_bytes(&mut key, vhost.as_bytes());
    put_bytes(&mut key, name.as_bytes());
    key
}

fn binding_key(number: u64) -> Vec<u8> {
    [BINDING_KEYS, &number.to_be_bytes()].concat()
}

fn identity(binding: &BindingDefinition) -> Vec<u8> {
    let mut identity = Vec::new();
    put_binding(&mut identity, binding);
    identity
}
