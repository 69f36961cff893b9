//! From `[[vhost_settings]]`, `[[policies]]` and `[[operator_policies]]` as written to what is meant.

use std::collections::BTreeMap;

use amq_protocol::types::{AMQPValue, FieldArray, FieldTable, ShortString};
use toml::Value;

use super::file::{PolicyTable, VHostTable};
use super::resolve::{check_name, queue_type};
use super::source::{ConfigError, Source};
use super::users::Place;
use crate::broker::policy::{Policy, PolicyKind, PolicySource};
use crate::broker::vhost::{ConfiguredVHost, VHostLimits};

/// What is written about virtual hosts.
pub(super) struct VHostTables {
    pub(super) settings: Vec<VHostTable>,
    pub(super) policies: Vec<PolicyTable>,
    pub(super) operator_policies: Vec<PolicyTable>,
}

type VHosts = BTreeMap<String, ConfiguredVHost>;

/// What is said about each virtual host, which must be one of `vhosts`.
pub(super) fn resolve(
    tables: VHostTables,
    source: Source<'_>,
    vhosts: &[String],
) -> Result<VHosts, ConfigError> {
    let VHostTables { settings, policies, operator_policies } = tables;
    let mut resolved = VHosts::new();
    let mut said: Vec<String> = Vec::new();
    for (position, table) in settings.into_iter().enumerate() {
        let place = Place { source, path: format!("vhost_settings.{position}") };
        let name = place.vhost(table.vhost.clone(), vhosts)?;
        if said.contains(&name) {
            return Err(place.refuse_key("vhost", format!("'{name}' is there twice")));
        }
        said.push(name.clone());
        resolved.insert(name, vhost(&place, table)?);
    }
    for (key, kind, tables) in [
        ("policies", PolicyKind::User, policies),
        ("operator_policies", PolicyKind::Operator, operator_policies),
    ] {
        for (position, table) in tables.into_iter().enumerate() {
            let place = Place { source, path: format!("{key}.{position}") };
            let name = place.vhost(table.vhost.clone(), vhosts)?;
            let policy = policy(&place, kind, table)?;
            let others = &mut resolved.entry(name).or_default().policies;
            if others.iter().any(|other| other.kind == kind && other.name == policy.name) {
                let problem = format!("'{}' is there twice", policy.name);
                return Err(place.refuse_key("name", problem));
            }
            others.push(policy);
        }
    }
    Ok(resolved)
}

impl Place<'_> {
    /// Without one, `/` is meant.
    fn vhost(&self, name: Option<String>, vhosts: &[String]) -> Result<String, ConfigError> {
        let name = name.unwrap_or_else(|| "/".to_owned());
        self.check_vhost(&name, vhosts)?;
        Ok(name)
    }
}

fn vhost(place: &Place<'_>, table: VHostTable) -> Result<ConfiguredVHost, ConfigError> {
    let VHostTable { vhost: _, default_queue_type, max_connections, max_queues, max_exchanges } =
        table;
    let default_queue_type = queue_type(&default_queue_type.unwrap_or_default())
        .map_err(|problem| place.refuse_key("default_queue_type", problem))?;
    let limits = VHostLimits {
        max_connections: place.limit("max_connections", max_connections)?,
        max_queues: place.limit("max_queues", max_queues)?,
        max_exchanges: place.limit("max_exchanges", max_exchanges)?,
    };
    Ok(ConfiguredVHost { default_queue_type, limits, policies: Vec::new() })
}

fn policy(place: &Place<'_>, kind: PolicyKind, table: PolicyTable) -> Result<Policy, ConfigError> {
    let PolicyTable { vhost: _, name, pattern, apply_to, priority, definition } = table;
    let name = name.ok_or_else(|| place.refuse("a policy needs a name"))?;
    check_name(place.source, &format!("{}.name", place.path), &name)?;
    let pattern = pattern.ok_or_else(|| place.refuse("a policy needs a pattern"))?;
    let definition = definition.ok_or_else(|| place.refuse("a policy needs a definition"))?;
    let definition =
        fields(definition).map_err(|problem| place.refuse_key("definition", problem))?;
    let apply_to = apply_to.unwrap_or_else(|| "all".to_owned());
    let priority = priority.unwrap_or_default();
    let source = PolicySource { name, pattern, apply_to, priority, definition };
    Policy::new(kind, source).map_err(|error| place.refuse(error.to_string()))
}

fn fields(table: toml::Table) -> Result<FieldTable, String> {
    let mut fields = FieldTable::default();
    for (key, value) in table {
        let name = ShortString::try_new(key.as_str());
        let name = name.map_err(|_| format!("'{key}' is too long for a key"))?;
        fields.insert(name, field(value)?);
    }
    Ok(fields)
}

fn field(value: Value) -> Result<AMQPValue, String> {
    Ok(match value {
        Value::String(text) => AMQPValue::LongString(text.into()),
        Value::Integer(number) => AMQPValue::LongLongInt(number),
        Value::Float(number) => AMQPValue::Double(number),
        Value::Boolean(flag) => AMQPValue::Boolean(flag),
        Value::Datetime(time) => return Err(format!("{time} is a date, which no policy sets")),
        Value::Array(values) => {
            let values: Vec<_> = values.into_iter().map(field).collect::<Result<_, _>>()?;
            AMQPValue::FieldArray(FieldArray::from(values))
        }
        Value::Table(table) => AMQPValue::FieldTable(fields(table)?),
    })
}
