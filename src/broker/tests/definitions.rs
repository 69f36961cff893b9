//! Declaring, binding and deleting, and what of it is left for the log.

use amq_protocol::types::AMQPValue;

use super::*;
use crate::broker::change::{Definition, DestinationName};
use crate::broker::delivery::QueueId;
use crate::broker::queue::{QueueContent, QueueIdentity};
use crate::broker::tests::support::ConsumerToBe;

/// What the committer would write, in words.
fn collected(host: &HostUnderTest) -> Vec<String> {
    let definitions = support::host(&host.broker).collect();
    definitions.iter().map(word).collect()
}

pub(super) fn word(definition: &Definition) -> String {
    match definition {
        Definition::VHostDeclared(vhost) => format!("+ vhost {}", vhost.name),
        Definition::PolicySet(policy) => format!("+ policy {}", policy.source.name),
        Definition::PolicyCleared { name, .. } => format!("- policy {name}"),
        Definition::ExchangeDeclared(exchange) => format!("+ exchange {}", exchange.name),
        Definition::ExchangeDeleted { name, .. } => format!("- exchange {name}"),
        Definition::QueueDeclared(queue) => format!("+ queue {} {}", queue.id.0, queue.name),
        Definition::QueueDeleted { id } => format!("- queue {}", id.0),
        Definition::Bound(binding) => format!(
            "+ {} {} {}",
            binding.source,
            binding.routing_key,
            destination(&binding.destination)
        ),
        Definition::Unbound(binding) => format!(
            "- {} {} {}",
            binding.source,
            binding.routing_key,
            destination(&binding.destination)
        ),
    }
}

fn destination(name: &DestinationName) -> &str {
    match name {
        DestinationName::Queue(name) | DestinationName::Exchange(name) => name,
    }
}

#[test]
fn durable_things_are_recorded_in_the_order_in_which_they_happened() {
    let host = HostUnderTest::new();
    let queue = host.durable_queue("q");
    let exchange = host.exchange_of("x", ExchangeOptions::durable(ExchangeKind::Direct));
    host.bind("x", "k", to_queue(&queue));
    host.bind("amq.fanout", "", to_exchange(&exchange));
    host.unbind("x", "k", to_queue(&queue));
    host.delete(&queue);
    support::host(&host.broker).delete_exchange("x", false).unwrap();

    assert_eq!(
        collected(&host),
        [
            "+ queue 1 q",
            "+ exchange x",
            "+ x k q",
            "+ amq.fanout  x",
            "- x k q",
            "- queue 1",
            "- exchange x"
        ]
    );
    assert!(collected(&host).is_empty());
}

#[test]
fn what_does_not_survive_a_restart_is_not_recorded() {
    let host = HostUnderTest::new();
    let queue = host.queue("q");
    let durable = host.durable_queue("d");
    collected(&host);
    host.exchange("x", ExchangeKind::Fanout);

    host.bind("amq.fanout", "", to_queue(&queue));
    host.bind("x", "", to_queue(&durable));
    host.unbind("x", "", to_queue(&durable));
    host.delete(&queue);
    support::host(&host.broker).delete_exchange("x", false).unwrap();

    assert!(collected(&host).is_empty());
}

#[test]
fn a_virtual_host_raises_its_hand_once_until_it_is_collected() {
    let host = HostUnderTest::new();
    let hands = || work(host.broker.inbox()).vhosts.len();
    host.durable_queue("a");
    host.durable_queue("b");
    assert_eq!(hands(), 1);
    host.durable_queue("c");
    assert_eq!(hands(), 0);
    collected(&host);

    host.durable_queue("d");

    assert_eq!(hands(), 1);
}

#[test]
fn declaring_twice_finds_what_is_there() {
    let host = HostUnderTest::new();
    let queue = host.durable_queue("q");
    collected(&host);

    let again = support::host(&host.broker).declare_queue("q", QueueOptions::default(), None);

    assert!(matches!(again, Declared::Existing(found) if Arc::ptr_eq(&found, &queue)));
    assert!(collected(&host).is_empty());
}

#[test]
fn queue_numbers_are_never_used_twice() {
    let host = HostUnderTest::new();
    let first = host.queue("q");
    host.delete(&first);

    assert!(host.queue("q").id > first.id);
    assert_eq!(host.broker.next_queue_id(), 3);
}

#[test]
fn every_change_that_could_alter_a_route_raises_the_generation() {
    let host = HostUnderTest::new();
    let mut last = support::host(&host.broker).generation();
    let mut raised = || {
        let now = support::host(&host.broker).generation();
        now > std::mem::replace(&mut last, now)
    };
    let queue = host.queue("q");
    assert!(raised(), "declare queue");
    let exchange = host.exchange("x", ExchangeKind::Fanout);
    assert!(raised(), "declare exchange");
    host.bind("x", "", to_queue(&queue));
    assert!(raised(), "bind");
    host.bind("x", "", to_queue(&queue));
    host.unbind("x", "other", to_queue(&queue));
    assert!(!raised(), "nothing happened");
    host.unbind("x", "", to_queue(&queue));
    assert!(raised(), "unbind");
    host.bind("amq.fanout", "", to_exchange(&exchange));
    assert!(raised(), "bind an exchange");
    support::host(&host.broker).delete_exchange("x", false).unwrap();
    assert!(raised(), "delete exchange");
    host.delete(&queue);
    assert!(raised(), "delete queue");
}

#[test]
fn deleting_a_queue_removes_its_bindings() {
    let host = HostUnderTest::new();
    let (gone, stays) = (host.queue("gone"), host.queue("stays"));
    for queue in [&gone, &stays] {
        host.bind("amq.direct", "a", to_queue(queue));
        host.bind("amq.direct", "b", to_queue(queue));
        host.bind("amq.fanout", "", to_queue(queue));
    }

    host.delete(&gone);

    assert_eq!(host.route("amq.direct", &["a", "b"]), ["stays"]);
    assert_eq!(host.route("amq.fanout", &[""]), ["stays"]);
}

#[test]
fn a_new_queue_of_an_old_name_has_none_of_its_bindings() {
    let host = HostUnderTest::new();
    let old = host.queue("q");
    host.bind("amq.fanout", "", to_queue(&old));
    host.delete(&old);
    host.queue("q");

    assert!(host.route("amq.fanout", &[""]).is_empty());
}

#[test]
fn a_deleted_queue_cannot_be_bound_or_deleted_again() {
    let host = HostUnderTest::new();
    let old = host.queue("q");
    host.delete(&old);
    let new = host.queue("q");
    let arguments = FieldTable::default();
    let request = BindingRequest {
        source: "amq.fanout",
        destination: to_queue(&old),
        key: "",
        arguments: &arguments,
    };

    let bound = turn(&host.broker, |turn| support::host(&host.broker).bind(request, turn));
    host.delete(&old);

    assert_eq!(bound, Err(BrokerError::NoQueue(Arc::from("q"))));
    assert!(support::host(&host.broker).queue("q").is_some_and(|found| Arc::ptr_eq(&found, &new)));
}

#[test]
fn an_auto_delete_exchange_goes_with_its_last_binding() {
    let host = HostUnderTest::new();
    let (a, b) = (host.queue("a"), host.queue("b"));
    host.exchange_of("x", auto_delete(ExchangeKind::Fanout));
    assert!(host.has_exchange("x"), "it never had one");
    host.bind("x", "", to_queue(&a));
    host.bind("x", "", to_queue(&b));
    host.unbind("x", "", to_queue(&a));
    assert!(host.has_exchange("x"));

    host.delete(&b);

    assert!(!host.has_exchange("x"));
}

#[test]
fn auto_delete_exchanges_go_one_after_the_other() {
    let host = HostUnderTest::new();
    let queue = host.queue("q");
    let names = ["x0", "x1", "x2"];
    let exchanges = names.map(|name| host.exchange_of(name, auto_delete(ExchangeKind::Fanout)));
    host.bind("x0", "", to_exchange(&exchanges[1]));
    host.bind("x1", "", to_exchange(&exchanges[2]));
    host.bind("x2", "", to_queue(&queue));
    // A detour that ends with the others.
    host.bind("x0", "again", to_exchange(&exchanges[2]));

    host.delete(&queue);

    assert!(names.iter().all(|name| !host.has_exchange(name)));
}

#[test]
fn a_durable_auto_delete_exchange_that_goes_is_recorded_after_what_it_followed() {
    let host = HostUnderTest::new();
    let queue = host.durable_queue("q");
    let options =
        ExchangeOptions { auto_delete: true, ..ExchangeOptions::durable(ExchangeKind::Fanout) };
    host.exchange_of("x", options);
    host.bind("x", "", to_queue(&queue));
    collected(&host);

    host.unbind("x", "", to_queue(&queue));

    assert_eq!(collected(&host), ["- x  q", "- exchange x"]);
}

#[test]
fn an_exchange_with_bindings_is_not_deleted_if_it_must_be_unused() {
    let host = HostUnderTest::new();
    let queue = host.queue("q");
    host.exchange("x", ExchangeKind::Fanout);
    host.bind("x", "", to_queue(&queue));
    let in_use = Err(BrokerError::ExchangeInUse(Arc::from("x")));
    assert_eq!(support::host(&host.broker).delete_exchange("x", true), in_use);

    host.unbind("x", "", to_queue(&queue));

    assert_eq!(support::host(&host.broker).delete_exchange("x", true), Ok(()));
    assert_eq!(support::host(&host.broker).delete_exchange("x", true), Ok(()));
}

#[test]
fn deleting_an_exchange_removes_what_leads_to_it_and_from_it() {
    let host = HostUnderTest::new();
    let queue = host.queue("q");
    let exchange = host.exchange("x", ExchangeKind::Fanout);
    host.bind("x", "", to_queue(&queue));
    host.bind("amq.fanout", "", to_exchange(&exchange));
    support::host(&host.broker).delete_exchange("x", false).unwrap();

    assert!(host.route("amq.fanout", &[""]).is_empty());
    host.exchange("x", ExchangeKind::Fanout);
    assert!(host.route("x", &[""]).is_empty());
    // The queue has forgotten it too: deleting it later finds nothing to unbind.
    host.delete(&queue);
}

#[test]
fn bindings_that_differ_in_arguments_are_two() {
    let host = HostUnderTest::new();
    let queue = host.queue("q");
    let table = |value| {
        let mut table = FieldTable::default();
        table.insert("n".into(), value);
        table
    };
    let (short, long) = (table(AMQPValue::ShortInt(1)), table(AMQPValue::LongInt(1)));
    host.bind_with("amq.direct", "k", to_queue(&queue), &short);
    host.bind_with("amq.direct", "k", to_queue(&queue), &long);

    host.unbind_with("amq.direct", "k", to_queue(&queue), &short);
    assert_eq!(host.route("amq.direct", &["k"]), ["q"]);

    host.unbind_with("amq.direct", "k", to_queue(&queue), &long);
    assert!(host.route("amq.direct", &["k"]).is_empty());
}

#[test]
fn unbinding_one_of_two_zeros_does_not_hide_the_other_from_the_queues_end() {
    let host = HostUnderTest::new();
    let queue = host.queue("q");
    let table = |value| {
        let mut table = FieldTable::default();
        table.insert("n".into(), AMQPValue::Double(value));
        table
    };
    host.bind_with("amq.direct", "k", to_queue(&queue), &table(0.0));
    host.bind_with("amq.direct", "k", to_queue(&queue), &table(-0.0));
    host.unbind_with("amq.direct", "k", to_queue(&queue), &table(0.0));

    host.delete(&queue);

    assert!(host.route("amq.direct", &["k"]).is_empty(), "it leads to a queue that is gone");
}

#[test]
fn a_queue_that_others_consume_from_is_deleted_for_all_of_them() {
    let host = HostUnderTest::new();
    let queue = host.queue("q");
    let consumer = ConsumerToBe::of(&host.broker, &queue).starts();
    host.delete(&queue);

    assert!(consumer.sink.was_cancelled());
    assert_eq!(support::host(&host.broker).queue_count(), 0);
}

#[test]
fn a_queue_that_is_only_named_like_a_waiting_room_comes_back_as_a_queue() {
    let host = host(&broker());
    let restored = |name: &str| QueueIdentity {
        id: QueueId(7),
        name: Arc::from(name),
        vhost: Arc::from("/"),
        options: durable(),
        owner: None,
    };
    for (name, kind) in [("x", ExchangeKind::DelayedMessage), ("y", ExchangeKind::Fanout)] {
        host.restore_exchange(Arc::from(name), ExchangeOptions::durable(kind));
    }
    for name in ["amq.delayed-x", "amq.delayed-y", "amq.delayed-z"] {
        host.restore_queue(restored(name), QueueContent::default());
    }

    assert!(host.queue("amq.delayed-x").is_none() && host.waiting_room("x").is_some());
    assert!(host.queue("amq.delayed-y").is_some() && host.waiting_room("y").is_none());
    assert!(host.queue("amq.delayed-z").is_some() && host.waiting_room("z").is_none());
}
