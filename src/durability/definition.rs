//! Definitions as bytes, alike in the log and in the checkpoint.

use super::codec::{Reader, RecordError, put_bytes, put_varint};
use super::policy::{
    put_policy, put_policy_key, put_vhost, read_policy, read_policy_key, read_vhost,
};
use super::table::{put_table, read_table};
use crate::broker::change::{
    BindingDefinition, Definition, DestinationName, ExchangeDefinition, QueueDefinition,
};
use crate::broker::delivery::QueueId;

const EXCHANGE_DECLARED: u8 = 1;
const EXCHANGE_DELETED: u8 = 2;
const QUEUE_DECLARED: u8 = 3;
const QUEUE_DELETED: u8 = 4;
const BOUND: u8 = 5;
const UNBOUND: u8 = 6;
const VHOST_DECLARED: u8 = 7;
const POLICY_SET: u8 = 8;
const POLICY_CLEARED: u8 = 9;

const TO_QUEUE: u8 = 0;
const TO_EXCHANGE: u8 = 1;

/// Appends a change of a definition.
pub(super) fn put_definition(into: &mut Vec<u8>, definition: &Definition) {
    match definition {
        Definition::ExchangeDeclared(exchange) => {
            into.push(EXCHANGE_DECLARED);
            put_exchange(into, exchange);
        }
        Definition::ExchangeDeleted { vhost, name } => {
            into.push(EXCHANGE_DELETED);
            put_bytes(into, vhost.as_bytes());
            put_bytes(into, name.as_bytes());
        }
        Definition::QueueDeclared(queue) => {
            into.push(QUEUE_DECLARED);
            put_queue(into, queue);
        }
        Definition::QueueDeleted { id } => {
            into.push(QUEUE_DELETED);
            put_varint(into, id.0);
        }
        Definition::Bound(binding) => {
            into.push(BOUND);
            put_binding(into, binding);
        }
        Definition::Unbound(binding) => {
            into.push(UNBOUND);
            put_binding(into, binding);
        }
        Definition::VHostDeclared(vhost) => {
            into.push(VHOST_DECLARED);
            put_vhost(into, vhost);
        }
        Definition::PolicySet(policy) => {
            into.push(POLICY_SET);
            put_policy(into, policy);
        }
        Definition::PolicyCleared { vhost, kind, name } => {
            into.push(POLICY_CLEARED);
            put_policy_key(into, vhost, *kind, name);
        }
    }
}

/// Takes a change of a definition.
pub(super) fn read_definition(reader: &mut Reader<'_>) -> Result<Definition, RecordError> {
    Ok(match reader.octet()? {
        EXCHANGE_DECLARED => Definition::ExchangeDeclared(read_exchange(reader)?),
        EXCHANGE_DELETED => {
            Definition::ExchangeDeleted { vhost: reader.name()?, name: reader.name()? }
        }
        QUEUE_DECLARED => Definition::QueueDeclared(read_queue(reader)?),
        QUEUE_DELETED => Definition::QueueDeleted { id: QueueId(reader.varint()?) },
        BOUND => Definition::Bound(read_binding(reader)?),
        UNBOUND => Definition::Unbound(read_binding(reader)?),
        VHOST_DECLARED => Definition::VHostDeclared(read_vhost(reader)?),
        POLICY_SET => Definition::PolicySet(read_policy(reader)?),
        POLICY_CLEARED => {
            let (vhost, kind, name) = read_policy_key(reader)?;
            Definition::PolicyCleared { vhost, kind, name }
        }
        found => return Err(RecordError::UnknownKind { of: "definition", found }),
    })
}

/// Appends an exchange.
pub(super) fn put_exchange(into: &mut Vec<u8>, exchange: &ExchangeDefinition) {
    put_bytes(into, exchange.vhost.as_bytes());
    put_bytes(into, exchange.name.as_bytes());
    put_bytes(into, exchange.kind.as_bytes());
    into.push(u8::from(exchange.auto_delete));
    into.push(u8::from(exchange.internal));
    put_table(into, &exchange.arguments);
}

/// Takes an exchange.
pub(super) fn read_exchange(reader: &mut Reader<'_>) -> Result<ExchangeDefinition, RecordError> {
    Ok(ExchangeDefinition {
        vhost: reader.name()?,
        name: reader.name()?,
        kind: reader.text()?.to_owned(),
        auto_delete: reader.flag()?,
        internal: reader.flag()?,
        arguments: read_table(reader)?,
    })
}

/// Appends a queue.
pub(super) fn put_queue(into: &mut Vec<u8>, queue: &QueueDefinition) {
    put_varint(into, queue.id.0);
    put_bytes(into, queue.vhost.as_bytes());
    put_bytes(into, queue.name.as_bytes());
    into.push(u8::from(queue.auto_delete));
    put_table(into, &queue.arguments);
}

/// Takes a queue.
pub(super) fn read_queue(reader: &mut Reader<'_>) -> Result<QueueDefinition, RecordError> {
    Ok(QueueDefinition {
        id: QueueId(reader.varint()?),
        vhost: reader.name()?,
        name: reader.name()?,
        auto_delete: reader.flag()?,
        arguments: read_table(reader)?,
    })
}

/// Appends a binding, its destination in front: see [`put_destination`].
pub(super) fn put_binding(into: &mut Vec<u8>, binding: &BindingDefinition) {
    put_destination(into, &binding.vhost, &binding.destination);
    put_bytes(into, binding.source.as_bytes());
    put_bytes(into, binding.routing_key.as_bytes());
    put_table(into, &binding.arguments);
}

/// Appends what all bindings that lead to `destination` begin with, and no others.
pub(super) fn put_destination(into: &mut Vec<u8>, vhost: &str, destination: &DestinationName) {
    put_bytes(into, vhost.as_bytes());
    let (kind, name) = match destination {
        DestinationName::Queue(name) => (TO_QUEUE, name),
        DestinationName::Exchange(name) => (TO_EXCHANGE, name),
    };
    into.push(kind);
    put_bytes(into, name.as_bytes());
}

/// Takes a binding.
pub(super) fn read_binding(reader: &mut Reader<'_>) -> Result<BindingDefinition, RecordError> {
    let vhost = reader.name()?;
    let destination = match reader.octet()? {
        TO_QUEUE => DestinationName::Queue(reader.name()?),
        TO_EXCHANGE => DestinationName::Exchange(reader.name()?),
        found => return Err(RecordError::UnknownKind { of: "destination", found }),
    };
    Ok(BindingDefinition {
        vhost,
        source: reader.name()?,
        destination,
        routing_key: reader.text()?.to_owned(),
        arguments: read_table(reader)?,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use amq_protocol::types::FieldTable;
    use proptest::prelude::*;

    use super::*;
    use crate::durability::policy::tests::any_policy_change;
    use crate::durability::table::tests::any_table;

    fn any_name() -> impl Strategy<Value = Arc<str>> {
        // Few names, so that a test's definitions meet.
        "[ab]".prop_map(Arc::from)
    }

    fn any_binding(
        arguments: BoxedStrategy<FieldTable>,
    ) -> impl Strategy<Value = BindingDefinition> {
        (any_name(), any_name(), any_name(), any::<bool>(), "[kl]?", arguments).prop_map(
            |(vhost, source, to, to_queue, routing_key, arguments)| BindingDefinition {
                vhost,
                source,
                destination: if to_queue {
                    DestinationName::Queue(to)
                } else {
                    DestinationName::Exchange(to)
                },
                routing_key,
                arguments,
            },
        )
    }

    /// Changes of few exchanges, queues and bindings.
    pub(in crate::durability) fn any_definition(
        arguments: BoxedStrategy<FieldTable>,
    ) -> impl Strategy<Value = Definition> {
        let exchange =
            (any_name(), any_name(), "[a-z]{1,9}", any::<(bool, bool)>(), arguments.clone());
        let exchange = exchange.prop_map(|(vhost, name, kind, flags, arguments)| {
            let (auto_delete, internal) = flags;
            Definition::ExchangeDeclared(ExchangeDefinition {
                vhost,
                name,
                kind,
                auto_delete,
                internal,
                arguments,
            })
        });
        let queue = (0_u64..6, any_name(), any::<bool>(), arguments.clone());
        let queue = queue.prop_map(|(id, vhost, auto_delete, arguments)| {
            // A queue's name follows from its number: no two queues have one name at a time.
            let name = Arc::from(format!("q{id}"));
            let id = QueueId(id);
            Definition::QueueDeclared(QueueDefinition { id, vhost, name, auto_delete, arguments })
        });
        prop_oneof![
            3 => exchange,
            1 => (any_name(), any_name())
                .prop_map(|(vhost, name)| Definition::ExchangeDeleted { vhost, name }),
            3 => queue,
            1 => (0_u64..6).prop_map(|id| Definition::QueueDeleted { id: QueueId(id) }),
            3 => any_binding(arguments.clone()).prop_map(Definition::Bound),
            1 => any_binding(arguments.clone()).prop_map(Definition::Unbound),
            2 => any_policy_change(arguments),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn definitions_come_back_as_they_were(definition in any_definition(any_table().boxed())) {
            let mut bytes = Vec::new();
            put_definition(&mut bytes, &definition);

            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(read_definition(&mut reader), Ok(definition));
            prop_assert!(reader.is_empty());
        }
    }
}
