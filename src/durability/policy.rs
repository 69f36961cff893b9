//! Virtual hosts and policies as bytes, alike in the log and in the checkpoint.

use std::sync::Arc;

use super::codec::{Reader, RecordError, put_bytes, put_signed, put_varint};
use super::table::{put_table, read_table};
use crate::broker::change::{PolicyRecord, VHostDefinition};
use crate::broker::options::QueueType;
use crate::broker::policy::{PolicyKind, PolicySource};
use crate::broker::vhost::{VHostLimits, VHostMetadata};

/// Appends a virtual host.
pub(super) fn put_vhost(into: &mut Vec<u8>, vhost: &VHostDefinition) {
    let VHostDefinition { name, metadata, limits } = vhost;
    let VHostMetadata { description, tags, default_queue_type } = metadata;
    let VHostLimits { max_connections, max_queues, max_exchanges } = limits;
    put_bytes(into, name.as_bytes());
    put_bytes(into, description.as_bytes());
    put_varint(into, tags.len() as u64);
    for tag in tags {
        put_bytes(into, tag.as_bytes());
    }
    put_bytes(into, default_queue_type.map_or("", QueueType::name).as_bytes());
    for limit in [max_connections, max_queues, max_exchanges] {
        put_varint(into, limit.map_or(0, |limit| limit.saturating_add(1)));
    }
}

/// Takes a virtual host.
pub(super) fn read_vhost(reader: &mut Reader<'_>) -> Result<VHostDefinition, RecordError> {
    let name = reader.name()?;
    let description = reader.text()?.to_owned();
    let mut tags = Vec::new();
    for _ in 0..reader.varint()? {
        tags.push(reader.text()?.to_owned());
    }
    let default_queue_type = match reader.text()? {
        "" => None,
        name => Some(
            QueueType::from_name(name)
                .ok_or(RecordError::Malformed("a queue type nobody knows"))?,
        ),
    };
    let mut limit = || Ok(reader.varint()?.checked_sub(1));
    let limits =
        VHostLimits { max_connections: limit()?, max_queues: limit()?, max_exchanges: limit()? };
    let metadata = VHostMetadata { description, tags, default_queue_type };
    Ok(VHostDefinition { name, metadata, limits })
}

/// Appends a policy; what identifies it comes first, see [`put_policy_key`].
pub(super) fn put_policy(into: &mut Vec<u8>, policy: &PolicyRecord) {
    let PolicySource { name, pattern, apply_to, priority, definition } = &policy.source;
    put_policy_key(into, &policy.vhost, policy.kind, name);
    put_bytes(into, pattern.as_bytes());
    put_bytes(into, apply_to.as_bytes());
    put_signed(into, *priority);
    put_table(into, definition);
}

/// Appends what identifies a policy.
pub(super) fn put_policy_key(into: &mut Vec<u8>, vhost: &str, kind: PolicyKind, name: &str) {
    put_bytes(into, vhost.as_bytes());
    into.push(match kind {
        PolicyKind::User => OF_USERS,
        PolicyKind::Operator => OF_OPERATORS,
    });
    put_bytes(into, name.as_bytes());
}

/// Takes what identifies a policy.
pub(super) fn read_policy_key(
    reader: &mut Reader<'_>,
) -> Result<(Arc<str>, PolicyKind, String), RecordError> {
    let vhost = reader.name()?;
    let kind = match reader.octet()? {
        OF_USERS => PolicyKind::User,
        OF_OPERATORS => PolicyKind::Operator,
        found => return Err(RecordError::UnknownKind { of: "policy", found }),
    };
    Ok((vhost, kind, reader.text()?.to_owned()))
}

/// Takes a policy.
pub(super) fn read_policy(reader: &mut Reader<'_>) -> Result<PolicyRecord, RecordError> {
    let (vhost, kind, name) = read_policy_key(reader)?;
    let source = PolicySource {
        name,
        pattern: reader.text()?.to_owned(),
        apply_to: reader.text()?.to_owned(),
        priority: reader.signed()?,
        definition: read_table(reader)?,
    };
    Ok(PolicyRecord { vhost, kind, source })
}

const OF_USERS: u8 = 0;
const OF_OPERATORS: u8 = 1;

#[cfg(test)]
pub(super) mod tests {
    use amq_protocol::types::FieldTable;
    use proptest::prelude::*;

    use super::*;
    use crate::broker::change::Definition;

    fn any_vhost() -> impl Strategy<Value = VHostDefinition> {
        let queue_type = prop::option::of(prop_oneof![
            Just(QueueType::Classic),
            Just(QueueType::Quorum),
            Just(QueueType::Stream)
        ]);
        let limit = || prop::option::of(0..u64::MAX);
        let metadata = (".{0,5}", prop::collection::vec("[a-z]{0,3}", 0..3), queue_type);
        ("[ab]", metadata, limit(), limit(), limit()).prop_map(
            |(name, metadata, max_connections, max_queues, max_exchanges)| {
                let (description, tags, default_queue_type) = metadata;
                VHostDefinition {
                    name: Arc::from(name),
                    metadata: VHostMetadata { description, tags, default_queue_type },
                    limits: VHostLimits { max_connections, max_queues, max_exchanges },
                }
            },
        )
    }

    fn any_key() -> impl Strategy<Value = (Arc<str>, PolicyKind, String)> {
        let kind = prop_oneof![Just(PolicyKind::User), Just(PolicyKind::Operator)];
        ("[ab]".prop_map(Arc::from), kind, "[pq]?")
    }

    /// Changes of few virtual hosts and policies.
    pub(in crate::durability) fn any_policy_change(
        definition: BoxedStrategy<FieldTable>,
    ) -> impl Strategy<Value = Definition> {
        let policy = (any_key(), ".{0,5}", "[a-z]{0,5}", any::<i64>(), definition).prop_map(
            |((vhost, kind, name), pattern, apply_to, priority, definition)| {
                let source = PolicySource { name, pattern, apply_to, priority, definition };
                Definition::PolicySet(PolicyRecord { vhost, kind, source })
            },
        );
        prop_oneof![
            2 => policy,
            1 => any_key().prop_map(|(vhost, kind, name)| {
                Definition::PolicyCleared { vhost, kind, name }
            }),
            1 => any_vhost().prop_map(Definition::VHostDeclared),
        ]
    }
}
