//! Definitions meet a broker: first everything is compared, then everything is brought in.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{BindingEntry, Definitions, Entry};
use super::json::{DefinitionsError, Read};
use crate::amqp::session::arguments;
use crate::auth::UserDefinition;
use crate::broker::Broker;
use crate::broker::exchange::{Destination, ExchangeKind};
use crate::broker::options::{ExchangeOptions, QueueOptions, QueueType};
use crate::broker::vhost::{self, BindingRequest, Declared, VHost};

/// How much was new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Exchanges that were not there.
    pub exchanges: usize,
    /// Queues that were not there.
    pub queues: usize,
}

/// What is to be declared, checked.
struct Plan {
    exchanges: Vec<(String, String, ExchangeOptions)>,
    queues: Vec<(String, String, QueueOptions)>,
}

impl Definitions {
    /// Brings everything in but users. Policies are noted and come into force with
    /// [`VHost::apply_policies`](crate::broker::vhost::VHost::apply_policies), so that whoever calls may first
    /// set what matters more.
    pub fn import(self, broker: &Broker) -> Result<Imported, DefinitionsError> {
        let plan = self.plan(broker)?;
        for Entry { value: (name, metadata), .. } in self.vhosts {
            broker.add_vhost(&name, metadata);
        }
        for Entry { value: (vhost, policy), .. } in self.policies {
            if let Some(vhost) = broker.vhost(&vhost) {
                vhost.note_policy(policy);
            }
        }
        let mut imported = Imported::default();
        for (vhost, name, options) in plan.exchanges {
            let Some(vhost) = broker.vhost(&vhost) else { continue };
            let declared = vhost.declare_exchange(&name, options);
            imported.exchanges += usize::from(matches!(declared, Declared::Created(_)));
        }
        for (vhost, name, options) in plan.queues {
            let Some(vhost) = broker.vhost(&vhost) else { continue };
            let declared = vhost.declare_queue(&name, options, None);
            imported.queues += usize::from(matches!(declared, Declared::Created(_)));
        }
        for Entry { value: binding, .. } in self.bindings {
            bind(broker, &binding);
        }
        // Last, as in RabbitMQ: what a document holds may be more than its own limits allow.
        for Entry { value: (vhost, limits), .. } in self.limits {
            if let Some(vhost) = broker.vhost(&vhost) {
                vhost.set_limits(limits);
            }
        }
        Ok(imported)
    }

    /// The users of these definitions beside those who are configured. Of a user who is both, what is configured
    /// counts, with permissions for further virtual hosts and topic permissions for further exchanges from here.
    pub fn users_beside(
        &self,
        configured: Vec<UserDefinition>,
    ) -> Result<Vec<UserDefinition>, DefinitionsError> {
        let mut users = configured;
        for Entry { value: user, .. } in &self.users {
            if !users.iter().any(|other| other.name == user.name) {
                users.push(user.clone());
            }
        }
        for Entry { place, value: (name, permission) } in &self.permissions {
            let Some(user) = self.named(&mut users, place, name)? else { continue };
            if !user.permissions.iter().any(|other| other.vhost == permission.vhost) {
                user.permissions.push(permission.clone());
            }
        }
        for Entry { place, value: (name, topic) } in &self.topic_permissions {
            let Some(user) = self.named(&mut users, place, name)? else { continue };
            let mut others = user.topic_permissions.iter();
            if !others.any(|other| other.is_for(&topic.vhost, &topic.exchange)) {
                user.topic_permissions.push(topic.clone());
            }
        }
        Ok(users)
    }

    /// The user called `name`, or none if that one cannot log in.
    fn named<'a>(
        &self,
        users: &'a mut [UserDefinition],
        place: &str,
        name: &String,
    ) -> Read<Option<&'a mut UserDefinition>> {
        let found = users.iter_mut().find(|user| user.name == *name);
        if found.is_none() && !self.without_password.contains(name) {
            return Err(DefinitionsError::at(place, format!("no user '{name}'")));
        }
        Ok(found)
    }

    fn plan(&self, broker: &Broker) -> Read<Plan> {
        self.check_vhosts(broker)?;
        let types = self.queue_types();
        let mut plan = Plan { exchanges: Vec::new(), queues: Vec::new() };
        for Entry { place, value } in &self.exchanges {
            let (vhost, declare) = (&value.vhost, &value.declare);
            let name = declare.exchange.as_str();
            let options = arguments::exchange_kind(declare.kind.as_str())
                .and_then(|kind| arguments::exchange_options(name, vhost, kind, declare))
                .map_err(|refused| DefinitionsError::at(place.as_str(), refused.text))?;
            plan.exchanges.push((vhost.clone(), name.to_owned(), options));
        }
        for Entry { place, value } in &self.queues {
            let (vhost, name) = (&value.vhost, value.declare.queue.as_str());
            let own = types.get(vhost.as_str()).copied();
            let there = || broker.vhost(vhost).and_then(|vhost| vhost.default_queue_type());
            let declare = arguments::with_default_type(&value.declare, own.or_else(there));
            let options = arguments::queue_options(name, vhost, &declare)
                .map_err(|refused| DefinitionsError::at(place.as_str(), refused.text))?;
            plan.queues.push((vhost.clone(), name.to_owned(), options));
        }
        self.check_bindings(broker, &plan)?;
        check_limits(broker, &plan)?;
        Ok(plan)
    }

    /// Virtual hosts that have a default type of their own.
    fn queue_types(&self) -> BTreeMap<&str, QueueType> {
        let own = self.vhosts.iter().map(|entry| &entry.value);
        own.filter_map(|(name, metadata)| Some((name.as_str(), metadata.default_queue_type?)))
            .collect()
    }

    /// Everything lies in a virtual host that is there or comes with the definitions.
    fn check_vhosts(&self, broker: &Broker) -> Read<()> {
        let own: BTreeSet<&str> = self.vhosts.iter().map(|entry| entry.value.0.as_str()).collect();
        let named = (self.permissions.iter().map(|it| (&it.place, &it.value.1.vhost)))
            .chain(self.topic_permissions.iter().map(|it| (&it.place, &it.value.1.vhost)))
            .chain(self.limits.iter().map(|it| (&it.place, &it.value.0)))
            .chain(self.policies.iter().map(|it| (&it.place, &it.value.0)))
            .chain(self.exchanges.iter().map(|it| (&it.place, &it.value.vhost)))
            .chain(self.queues.iter().map(|it| (&it.place, &it.value.vhost)))
            .chain(self.bindings.iter().map(|it| (&it.place, &it.value.vhost)));
        for (place, vhost) in named {
            if !own.contains(vhost.as_str()) && broker.vhost(vhost).is_none() {
                let problem = format!(
                    "Please create virtual host \"{vhost}\" prior to importing definitions."
                );
                return Err(DefinitionsError::at(place.as_str(), problem));
            }
        }
        Ok(())
    }

    /// Both ends of each binding are there, or come with the definitions.
    fn check_bindings(&self, broker: &Broker, plan: &Plan) -> Read<()> {
        let queues: BTreeSet<(&str, &str)> =
            plan.queues.iter().map(|(vhost, name, _)| (vhost.as_str(), name.as_str())).collect();
        let kinds: BTreeMap<(&str, &str), ExchangeKind> = (plan.exchanges.iter())
            .map(|(vhost, name, options)| ((vhost.as_str(), name.as_str()), options.routing_kind()))
            .collect();
        let exchange = |vhost: &str, name: &str| {
            let there = broker.vhost(vhost).and_then(|vhost| vhost.exchange(name));
            let always = vhost::predeclared(name);
            there
                .map(|it| it.options.routing_kind())
                .or(always)
                .or_else(|| kinds.get(&(vhost, name)).copied())
        };
        for Entry { place, value: binding } in &self.bindings {
            let refuse = |problem: String| Err(DefinitionsError::at(place.as_str(), problem));
            let BindingEntry { vhost, source, destination, to_queue, routing_key, arguments } =
                binding;
            if source.is_empty() || (!to_queue && destination.is_empty()) {
                return refuse("operation not permitted on the default exchange".to_owned());
            }
            let Some(kind) = exchange(vhost, source) else {
                return refuse(format!("no exchange '{source}' in vhost '{vhost}'"));
            };
            if *to_queue {
                let there =
                    || broker.vhost(vhost).is_some_and(|it| it.queue(destination).is_some());
                if !queues.contains(&(vhost.as_str(), destination.as_str())) && !there() {
                    return refuse(format!("no queue '{destination}' in vhost '{vhost}'"));
                }
            } else if exchange(vhost, destination).is_none() {
                return refuse(format!("no exchange '{destination}' in vhost '{vhost}'"));
            }
            arguments::binding(kind, routing_key, arguments, None)
                .map_err(|refused| DefinitionsError::at(place.as_str(), refused.text))?;
        }
        Ok(())
    }
}

/// RabbitMQ: the limits count that were in force before.
fn check_limits(broker: &Broker, plan: &Plan) -> Read<()> {
    for vhost in broker.vhosts() {
        let limits = vhost.limits();
        let queues = plan.queues.iter().map(|(host, name, _)| (host, name));
        let queues = queues.filter(|(_, name)| vhost.queue(name).is_none());
        check_limit("queue", &vhost, queues, vhost.queue_count(), limits.max_queues)?;
        let exchanges = plan.exchanges.iter().map(|(host, name, _)| (host, name));
        let exchanges = exchanges.filter(|(_, name)| vhost.exchange(name).is_none());
        let there = vhost.exchange_count();
        check_limit("exchange", &vhost, exchanges, there, limits.max_exchanges)?;
    }
    Ok(())
}

fn check_limit<'a>(
    kind: &str,
    vhost: &VHost,
    new: impl Iterator<Item = (&'a String, &'a String)>,
    there: usize,
    limit: Option<u64>,
) -> Read<()> {
    let Some(limit) = limit else { return Ok(()) };
    let own = new.filter(|(host, _)| **host == *vhost.name).map(|(_, name)| name);
    let added = own.collect::<BTreeSet<_>>().len();
    if added == 0 || u64::try_from(there + added).is_ok_and(|all| all <= limit) {
        return Ok(());
    }
    let problem = format!(
        "Adding {added} {kind}(s) to virtual host \"{}\" would exceed the limit of {limit} {kind}(s). \
         This virtual host currently has {there} {kind}(s) defined. Import aborted!",
        vhost.name
    );
    Err(DefinitionsError::at(format!("{kind}s"), problem))
}

fn bind(broker: &Broker, binding: &BindingEntry) {
    let BindingEntry { vhost, source, destination, to_queue, routing_key, arguments } = binding;
    let Some(vhost) = broker.vhost(vhost) else { return };
    let to = if *to_queue {
        vhost.queue(destination).map(Destination::Queue)
    } else {
        vhost.exchange(destination).map(Destination::Exchange)
    };
    let Some(destination) = to else { return };
    // Both ends were found; who takes one away meanwhile takes its bindings, too.
    let request = BindingRequest { source, destination, key: routing_key, arguments };
    let mut turn = broker.begin_turn();
    if let Err(error) = vhost.bind(request, &mut turn) {
        tracing::warn!(exchange = source, ?error, "a binding of the definitions is left out");
    }
    turn.finish(broker);
}
