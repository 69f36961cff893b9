//! A document as plain values, each with the place where it stands.

use amq_protocol::protocol::exchange;
use amq_protocol::protocol::queue;
use amq_protocol::types::FieldTable;

use super::json::{DefinitionsError, Place, Read};
use crate::auth::{
    Credential, PasswordHash, Pattern, Permission, TopicPermission, TopicVariables, UserDefinition,
    UserLimits,
};
use crate::broker::options::QueueType;
use crate::broker::policy::{Policy, PolicyKind, PolicySource};
use crate::broker::vhost::{VHostLimits, VHostMetadata};
use crate::limits;

/// Everything a document holds that means something here.
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    /// Users; their permissions come beside them.
    pub users: Vec<Entry<UserDefinition>>,
    /// Permissions, by the user's name.
    pub permissions: Vec<Entry<(String, Permission)>>,
    /// Topic permissions, by the user's name.
    pub topic_permissions: Vec<Entry<(String, TopicPermission)>>,
    /// Virtual hosts.
    pub vhosts: Vec<Entry<(String, VHostMetadata)>>,
    /// What they may hold.
    pub limits: Vec<Entry<(String, VHostLimits)>>,
    /// Policies of both kinds, by virtual host.
    pub policies: Vec<Entry<(String, Policy)>>,
    /// Exchanges.
    pub exchanges: Vec<Entry<ExchangeEntry>>,
    /// Queues.
    pub queues: Vec<Entry<QueueEntry>>,
    /// Bindings.
    pub bindings: Vec<Entry<BindingEntry>>,
    /// Users who cannot log in, because nothing proves who they are.
    pub without_password: Vec<String>,
    /// What is left out, and why.
    pub left_out: Vec<String>,
}

/// Something, and where it stands.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    pub(super) place: String,
    /// It.
    pub value: T,
}

/// An exchange as it is to be declared.
#[derive(Clone, Debug)]
pub struct ExchangeEntry {
    /// The virtual host.
    pub vhost: String,
    /// What a client would send.
    pub declare: exchange::Declare,
}

/// A queue as it is to be declared.
#[derive(Clone, Debug)]
pub struct QueueEntry {
    /// The virtual host.
    pub vhost: String,
    /// What a client would send.
    pub declare: queue::Declare,
}

/// A binding as it is to be made.
#[derive(Clone, Debug)]
pub struct BindingEntry {
    /// The virtual host.
    pub vhost: String,
    /// The exchange it starts from.
    pub source: String,
    /// What it leads to.
    pub destination: String,
    /// That is a queue, not an exchange.
    pub to_queue: bool,
    /// The binding key.
    pub routing_key: String,
    /// Part of its identity.
    pub arguments: FieldTable,
}

/// Sections that say nothing about the broker's content.
const SILENT: [&str; 9] = [
    "rabbit_version",
    "rabbitmq_version",
    "product_name",
    "product_version",
    "rabbitmq_definition_format",
    "original_vhost_name",
    "original_cluster_name",
    "explanation",
    "description",
];
const READ: [&str; 9] = [
    "users",
    "permissions",
    "topic_permissions",
    "vhosts",
    "parameters",
    "policies",
    "exchanges",
    "queues",
    "bindings",
];

impl Definitions {
    /// Reads a document; errors will call it `name`.
    pub fn parse(name: &str, text: &str) -> Result<Definitions, DefinitionsError> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
            let place = format!("{name} line {} column {}", error.line(), error.column());
            DefinitionsError::at(place, format!("not JSON: {error}"))
        })?;
        let root = Place::root(name, &value);
        let mut found = Definitions::default();
        for (key, value) in root.fields()? {
            let is_known = READ.contains(&key.as_str()) || SILENT.contains(&key.as_str());
            let is_empty = value.as_array().is_some_and(Vec::is_empty);
            if !is_known && !is_empty {
                found.left_out.push(format!("{key}: means nothing here"));
            }
        }
        found.read_users(&root)?;
        each(&root, "permissions", &mut found.permissions, permission)?;
        each(&root, "topic_permissions", &mut found.topic_permissions, topic_permission)?;
        each(&root, "vhosts", &mut found.vhosts, vhost)?;
        each(&root, "policies", &mut found.policies, policy)?;
        for parameter in root.list("parameters")? {
            found.read_parameter(&parameter)?;
        }
        each(&root, "exchanges", &mut found.exchanges, exchange)?;
        each(&root, "queues", &mut found.queues, queue)?;
        each(&root, "bindings", &mut found.bindings, binding)?;
        found.leave_out_reserved();
        Ok(found)
    }

    fn read_users(&mut self, root: &Place<'_>) -> Read<()> {
        for place in root.list("users")? {
            if let Some(value) = user(&place)? {
                self.users.push(Entry { place: place.path, value });
                continue;
            }
            self.without_password.push(name_of(&place)?);
            self.left_out.push(format!("{}: has no password, cannot log in", place.path));
        }
        Ok(())
    }

    fn read_parameter(&mut self, place: &Place<'_>) -> Read<()> {
        match place.text_of("component")? {
            "vhost-limits" => {
                let value = place.field("value").ok_or_else(|| place.refuse("needs a value"))?;
                let limits = (vhost_of(place)?, vhost_limits(&value)?);
                self.limits.push(Entry { place: place.path.clone(), value: limits });
            }
            "operator_policy" => {
                let value = place.field("value").ok_or_else(|| place.refuse("needs a value"))?;
                let name = place.text_of("name")?;
                let policy = policy_of(&value, PolicyKind::Operator, name)?;
                let policy = (vhost_of(place)?, policy);
                self.policies.push(Entry { place: place.path.clone(), value: policy });
            }
            other => {
                self.left_out
                    .push(format!("{}: parameters of {other} mean nothing here", place.path));
            }
        }
        Ok(())
    }

    /// RabbitMQ skips what only a broker itself may declare.
    fn leave_out_reserved(&mut self) {
        let left_out = &mut self.left_out;
        let mut keep = |kind: &str, place: &str, name: &str| {
            let is_reserved = name.is_empty() || name.starts_with("amq.");
            if is_reserved {
                left_out.push(format!("{place}: the name of {kind} '{name}' is reserved"));
            }
            !is_reserved
        };
        self.exchanges.retain(|it| keep("exchange", &it.place, it.value.declare.exchange.as_str()));
        self.queues.retain(|it| keep("queue", &it.place, it.value.declare.queue.as_str()));
    }
}

fn each<T>(
    root: &Place<'_>,
    section: &str,
    into: &mut Vec<Entry<T>>,
    read: impl Fn(&Place<'_>) -> Read<T>,
) -> Read<()> {
    for place in root.list(section)? {
        let value = read(&place)?;
        into.push(Entry { place: place.path, value });
    }
    Ok(())
}

/// RabbitMQ: the definitions of one virtual host alone do not name it and cannot be loaded like this.
fn vhost_of(place: &Place<'_>) -> Read<String> {
    let vhost = place.field("vhost").ok_or_else(|| {
        place.refuse(
            "has no vhost; definitions of a single virtual host cannot be loaded, export all of them",
        )
    })?;
    Ok(vhost.text()?.to_owned())
}

fn short(place: &Place<'_>, key: &str, text: &str) -> Read<String> {
    if text.len() > limits::SHORT_STRING_MAX {
        let most = limits::SHORT_STRING_MAX;
        return Err(place.refuse(format!("{key} is longer than {most} bytes")));
    }
    Ok(text.to_owned())
}

fn name_of(place: &Place<'_>) -> Read<String> {
    short(place, "name", place.text_of("name")?)
}

fn user(place: &Place<'_>) -> Read<Option<UserDefinition>> {
    let name = name_of(place)?;
    let limits = place.field("limits");
    let limit = |key| limits.as_ref().map_or(Ok(None), |limits| limit(limits, key));
    let limits = UserLimits {
        max_connections: limit("max-connections")?,
        max_channels: limit("max-channels")?,
    };
    let tags = tags(place)?;
    let hash = place.text_or("password_hash", "")?;
    if hash.is_empty() {
        return Ok(None);
    }
    let hash = PasswordHash::parse(hash)
        .map_err(|error| place.refuse(format!("password_hash of '{name}': {error}")))?;
    let algorithm = place.text_or("hashing_algorithm", hash.algorithm())?;
    if algorithm != hash.algorithm() {
        let found = hash.algorithm();
        let problem = format!("password_hash of '{name}' is not of {algorithm} but {found}");
        return Err(place.refuse(problem));
    }
    let credential = Credential::Hash(hash);
    let (permissions, topic_permissions) = Default::default();
    Ok(Some(UserDefinition { name, credential, tags, permissions, topic_permissions, limits }))
}

/// A list, or one text with commas.
fn tags(place: &Place<'_>) -> Read<Vec<String>> {
    let Some(tags) = place.field("tags") else { return Ok(Vec::new()) };
    if tags.is_list() {
        return tags.elements()?.iter().map(|tag| tag.text().map(str::to_owned)).collect();
    }
    let tags = tags.text()?.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    Ok(tags.map(str::to_owned).collect())
}

fn permission(place: &Place<'_>) -> Read<(String, Permission)> {
    let pattern = |key| {
        Pattern::parse(place.text_of(key)?).map_err(|error| place.refuse(format!("{key}: {error}")))
    };
    let permission = Permission {
        vhost: vhost_of(place)?,
        configure: pattern("configure")?,
        write: pattern("write")?,
        read: pattern("read")?,
    };
    Ok((place.text_of("user")?.to_owned(), permission))
}

fn topic_permission(place: &Place<'_>) -> Read<(String, TopicPermission)> {
    let (user, vhost) = (place.text_of("user")?.to_owned(), vhost_of(place)?);
    let variables = TopicVariables { username: &user, vhost: &vhost };
    let pattern = |key| {
        let pattern = variables.pattern(place.text_of(key)?);
        pattern.map_err(|error| place.refuse(format!("{key}: {error}")))
    };
    let (write, read) = (pattern("write")?, pattern("read")?);
    let exchange = short(place, "exchange", place.text_of("exchange")?)?;
    Ok((user, TopicPermission { vhost, exchange, write, read }))
}

fn vhost(place: &Place<'_>) -> Read<(String, VHostMetadata)> {
    let name = name_of(place)?;
    if name.is_empty() {
        return Err(place.refuse("name must not be empty"));
    }
    // Older versions write what is said about a virtual host beside its name, newer ones one level deeper.
    let metadata = place.field("metadata").unwrap_or_else(|| place.clone());
    let tags = tags(&metadata)?;
    let description = metadata.text_or("description", "")?.to_owned();
    let default = metadata.text_or("default_queue_type", "")?;
    let default_queue_type = match default {
        "" | "undefined" => None,
        name => Some(known_type(&metadata, name)?),
    };
    Ok((name, VHostMetadata { description, tags, default_queue_type }))
}

fn known_type(place: &Place<'_>, name: &str) -> Read<QueueType> {
    match QueueType::from_name(name) {
        Some(QueueType::Stream) => Err(place.refuse("queue type stream is not supported")),
        Some(queue_type) => Ok(queue_type),
        None => Err(place.refuse(format!("{name} is not a valid queue type"))),
    }
}

/// RabbitMQ: a negative limit is none.
fn limit(place: &Place<'_>, key: &str) -> Read<Option<u64>> {
    for (name, value) in place.pairs()? {
        if name == key {
            return Ok(u64::try_from(value.integer()?).ok());
        }
    }
    Ok(None)
}

fn vhost_limits(place: &Place<'_>) -> Read<VHostLimits> {
    const KNOWN: [&str; 3] = ["max-connections", "max-queues", "max-exchanges"];
    if let Some((key, _)) = place.pairs()?.iter().find(|(key, _)| !KNOWN.contains(&key.as_str())) {
        return Err(place.refuse(format!("'{key}' is not a limit")));
    }
    let [max_connections, max_queues, max_exchanges] = KNOWN.map(|key| limit(place, key));
    Ok(VHostLimits {
        max_connections: max_connections?,
        max_queues: max_queues?,
        max_exchanges: max_exchanges?,
    })
}

fn policy(place: &Place<'_>) -> Read<(String, Policy)> {
    let name = place.text_of("name")?;
    Ok((vhost_of(place)?, policy_of(place, PolicyKind::User, name)?))
}

fn policy_of(place: &Place<'_>, kind: PolicyKind, name: &str) -> Read<Policy> {
    let name = short(place, "name", name)?;
    let definition =
        place.field("definition").ok_or_else(|| place.refuse("needs a definition"))?.table()?;
    let source = PolicySource {
        pattern: place.text_of("pattern")?.to_owned(),
        apply_to: place.text_or("apply-to", "all")?.to_owned(),
        priority: place.field("priority").map_or(Ok(0), |priority| priority.integer())?,
        definition,
        name,
    };
    let name = source.name.clone();
    Policy::new(kind, source).map_err(|error| place.refuse(format!("policy '{name}': {error}")))
}

fn arguments(place: &Place<'_>) -> Read<FieldTable> {
    place.field("arguments").map_or_else(|| Ok(FieldTable::default()), |table| table.table())
}

fn exchange(place: &Place<'_>) -> Read<ExchangeEntry> {
    let declare = exchange::Declare {
        exchange: name_of(place)?.into(),
        kind: short(place, "type", place.text_of("type")?)?.into(),
        passive: false,
        durable: place.flag_or("durable", true)?,
        auto_delete: place.flag_or("auto_delete", false)?,
        internal: place.flag_or("internal", false)?,
        nowait: false,
        arguments: arguments(place)?,
    };
    Ok(ExchangeEntry { vhost: vhost_of(place)?, declare })
}

fn queue(place: &Place<'_>) -> Read<QueueEntry> {
    let declare = queue::Declare {
        queue: name_of(place)?.into(),
        passive: false,
        durable: place.flag_or("durable", true)?,
        exclusive: false,
        auto_delete: place.flag_or("auto_delete", false)?,
        nowait: false,
        arguments: arguments(place)?,
    };
    Ok(QueueEntry { vhost: vhost_of(place)?, declare })
}

fn binding(place: &Place<'_>) -> Read<BindingEntry> {
    let to_queue = match place.text_of("destination_type")? {
        "queue" => true,
        "exchange" => false,
        other => {
            return Err(
                place.refuse(format!("destination_type '{other}' is neither queue nor exchange"))
            );
        }
    };
    Ok(BindingEntry {
        vhost: vhost_of(place)?,
        source: short(place, "source", place.text_of("source")?)?,
        destination: short(place, "destination", place.text_of("destination")?)?,
        to_queue,
        routing_key: short(place, "routing_key", place.text_or("routing_key", "")?)?,
        arguments: arguments(place)?,
    })
}
