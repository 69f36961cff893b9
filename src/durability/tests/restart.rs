//! What is there after an orderly restart, and what it took to keep it.

use amq_protocol::types::AMQPValue;

use super::*;
use crate::amqp::wire::properties::PropertiesView;
use crate::broker::change::DestinationName;
use crate::broker::exchange::{Destination, ExchangeKind};
use crate::broker::options::{ExchangeOptions, QueueType};
use crate::broker::policy::{Policy, PolicyKind, PolicySource};
use crate::broker::vhost::{BindingRequest, VHostLimits, VHostMetadata};
use crate::durability::RecoveryError;
use crate::store::{DataDirectory, Flush, FrameBuffer, Survives};

fn durable_exchange() -> ExchangeOptions {
    ExchangeOptions { durable: true, ..ExchangeOptions::new(ExchangeKind::Direct) }
}

fn request<'a>(
    source: &'a str,
    queue: &Arc<Queue>,
    arguments: &'a FieldTable,
) -> BindingRequest<'a> {
    BindingRequest {
        source,
        destination: Destination::Queue(Arc::clone(queue)),
        key: "key",
        arguments,
    }
}

fn bind(node: &Node, request: BindingRequest<'_>) {
    let mut turn = node.broker.begin_turn();
    node.vhost().bind(request, &mut turn).unwrap();
    turn.finish(&node.broker);
}

/// Declares, publishes and settles a little of everything.
fn use_a_little(node: &mut Node) {
    let arguments = no_arguments();
    let (kept, emptied) = (node.declare("kept"), node.declare("emptied"));
    node.vhost().declare_exchange("events", durable_exchange());
    bind(node, request("events", &kept, &arguments));
    bind(node, request("amq.direct", &emptied, &arguments));
    for body in ["a", "b", "c"] {
        node.publish(&[&kept, &emptied], body);
    }
    node.commit_marked();
    node.take_first(&kept);
    (0..3).for_each(|_| node.take_first(&emptied));
    node.vhost().unbind(&request("amq.direct", &emptied, &arguments));
    node.commit_marked();
}

fn check_what_was_used(node: &Node) {
    assert_eq!(node.report.damages, []);
    let RecoveryReport { queues: queue_count, exchanges, bindings, messages, .. } = node.report;
    assert_eq!((queue_count, exchanges, bindings, messages), (2, 1, 1, 2));
    let bindings = node.vhost().exchange("events").unwrap().bindings();
    assert_eq!(bindings.len(), 1);
    assert_eq!(bindings[0].0.name(), DestinationName::Queue(Arc::from("kept")));
    assert_eq!(node.bodies(), queues(&[("emptied", &[]), ("kept", &["b", "c"])]));
}

#[test]
fn what_was_changed_is_there_after_a_restart() {
    let store = MemoryStore::new();
    use_a_little(&mut Node::on(&store));
    check_what_was_used(&Node::on(&store.crash(Survives::Synced)));
}

#[test]
fn what_was_checkpointed_is_there_after_a_restart() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    use_a_little(&mut node);
    node.checkpoint();
    check_what_was_used(&Node::on(&store.crash(Survives::Synced)));
}

#[test]
fn what_was_changed_is_on_a_real_disk_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let node = || {
        let data = DataDirectory::open(place.path()).unwrap();
        let node = Node::recovered(data.log(), data.checkpoint().unwrap(), &|log| log);
        (node, data)
    };
    let (mut first, data) = node();
    use_a_little(&mut first);
    drop((first, data));

    let (mut second, data) = node();
    second.checkpoint();
    drop((second, data));

    check_what_was_used(&node().0);
}

#[test]
fn every_kind_of_exchange_is_there_after_a_restart() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let mut arguments = no_arguments();
    arguments.insert("hash-property".into(), AMQPValue::LongString("message_id".into()));
    for kind in ExchangeKind::ALL {
        let options = ExchangeOptions::durable(kind).with_arguments(arguments.clone());
        node.vhost().declare_exchange(kind.name(), options);
    }
    node.commit_marked();

    let restarted = Node::on(&store);

    for kind in ExchangeKind::ALL {
        let before = node.vhost().exchange(kind.name()).unwrap();
        let after = restarted.vhost().exchange(kind.name()).unwrap();
        assert_eq!((after.options.kind, after.varies), (kind, before.varies));
        assert_eq!(after.options.arguments, arguments);
    }
}

/// Names of the queues that messages with a hundred keys go to.
fn routes(node: &Node, exchange: &str) -> Vec<Arc<str>> {
    let exchange = node.vhost().exchange(exchange).unwrap();
    let no_properties = PropertiesView::assume_checked(&[0, 0]);
    let route = |n| node.vhost().route(&exchange, &[&format!("key {n}")], no_properties);
    (0..100).flat_map(|n| route(n).queues).map(|queue| Arc::clone(&queue.name)).collect()
}

#[test]
fn messages_chosen_for_by_hash_go_to_the_same_queues_after_a_restart() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let arguments = no_arguments();
    let kinds = [ExchangeKind::ConsistentHash, ExchangeKind::ModulusHash];
    for kind in kinds {
        node.vhost().declare_exchange(kind.name(), ExchangeOptions::durable(kind));
    }
    for (queue, keys) in [("z", &["2"][..]), ("gone", &["1"]), ("a", &["5", "1"]), ("m", &["1"])] {
        let queue = node.declare(queue);
        for (kind, key) in kinds.iter().flat_map(|kind| keys.iter().map(move |key| (kind, key))) {
            bind(&node, BindingRequest { key, ..request(kind.name(), &queue, &arguments) });
        }
    }
    node.delete(&node.queue("gone"));
    node.commit_marked();
    let before = kinds.map(|kind| routes(&node, kind.name()));

    assert_eq!(kinds.map(|kind| routes(&Node::on(&store), kind.name())), before);
    node.checkpoint();
    assert_eq!(kinds.map(|kind| routes(&Node::on(&store), kind.name())), before);
}

#[test]
fn a_queue_that_comes_again_does_not_inherit() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let arguments = no_arguments();
    let queue = node.declare("q");
    bind(&node, request("amq.direct", &queue, &arguments));
    node.publish(&[&queue], "old");
    node.commit_marked();
    node.delete(&queue);
    let again = node.declare("q");
    node.publish(&[&again], "new");
    node.commit_marked();

    let restarted = Node::on(&store);

    assert_eq!(restarted.report.bindings, 0);
    assert_eq!(restarted.bodies(), queues(&[("q", &["new"])]));
}

#[test]
fn numbers_of_queues_are_not_used_again_after_a_restart() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let first = node.declare("first");
    node.delete(&first);
    node.commit_marked();
    node.checkpoint();

    let next = Node::on(&store).declare("next");

    assert!(next.id > first.id);
}

#[test]
fn a_queue_declared_and_filled_while_a_cycle_collects_is_declared_before_its_messages() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    // The virtual host is in the work of the cycle, the queue is not: both come after it was taken.
    node.declare("first");
    let work = node.broker.inbox().wait(Duration::ZERO, Duration::ZERO);
    let queue = node.declare("second");
    node.publish(&[&queue], "body");
    node.committer.commit(work).unwrap();
    node.commit_marked();

    assert_eq!(bodies_after_restart(&store)["second"], ["body"]);
}

#[test]
fn a_message_taken_before_it_was_collected_is_never_written() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let queue = node.declare("q");
    node.commit_marked();
    for _ in 0..100 {
        node.publish(&[&queue], "short-lived");
        node.take_first(&queue);
    }

    assert_eq!(node.commit(), 0);
}

#[test]
fn a_message_for_many_queues_is_stored_once() {
    let mut node = Node::on(&MemoryStore::new());
    let all: Vec<_> = (0..20).map(|number| node.declare(&format!("q{number}"))).collect();
    node.commit();
    let body = "x".repeat(10_000);
    node.publish(&all.iter().collect::<Vec<_>>(), &body);

    let bytes = node.commit();

    assert!(bytes < 11_000, "{bytes} bytes for one body of 10,000");
}

#[test]
fn a_message_that_was_handed_out_is_redelivered_after_a_restart() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let queue = node.declare("q");
    for body in ["a", "b", "c"] {
        node.publish(&[&queue], body);
    }
    node.get(&queue).unwrap();
    node.get(&queue).unwrap();
    node.commit_marked();
    node.checkpoint();

    for store in [store.clone(), store.crash(Survives::Synced)] {
        let all = drain(&Node::on(&store));
        let flags: Vec<_> = all["q"].iter().map(|entry| entry.redelivered).collect();
        assert_eq!(flags, [true, true, false]);
    }
}

#[test]
fn positions_go_on_after_a_restart() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let queue = node.declare("q");
    node.publish(&[&queue], "a");
    node.publish(&[&queue], "b");
    node.commit_marked();
    let last = node.get(&queue).and_then(|_| node.get(&queue)).unwrap();
    node.settle(&queue, last, Outcome::Settled);
    node.commit_marked();
    node.checkpoint();

    let restarted = Node::on(&store);
    let queue = restarted.queue("q");
    restarted.publish(&[&queue], "c");

    let positions: Vec<_> = drain(&restarted)["q"].iter().map(|entry| entry.position.0).collect();
    assert_eq!(positions, [0, 2]);
}

#[test]
fn a_virtual_host_that_is_no_longer_configured_is_kept() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    node.declare("q");
    node.commit_marked();

    let clock = Arc::new(Clock::manual());
    let recovered =
        recover(store.log(), &*store.checkpoint(), &["other".to_owned()], clock).unwrap();

    let names: Vec<_> =
        recovered.broker.vhosts().iter().map(|vhost| vhost.name.to_string()).collect();
    assert_eq!(names, ["/", "other"]);
}

#[test]
fn what_arguments_ask_for_holds_after_a_restart() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let argument = |key: &str, value: AMQPValue| {
        let mut arguments = no_arguments();
        arguments.insert(key.into(), value);
        arguments
    };
    let limited = argument("x-max-length", AMQPValue::LongInt(3));
    let queue = QueueOptions::read(true, false, true, limited);
    let spilling = argument("alternate-exchange", AMQPValue::LongString("spill".into()));
    let exchange =
        ExchangeOptions { internal: true, ..durable_exchange() }.with_arguments(spilling);
    node.vhost().declare_queue("q", queue.clone(), None);
    node.vhost().declare_exchange("events", exchange.clone());
    node.commit_marked();

    let restarted = Node::on(&store);

    assert_eq!(*restarted.queue("q").options, queue);
    assert_eq!(restarted.vhost().exchange("events").unwrap().options, exchange);
}

#[test]
fn a_frame_of_a_newer_release_refuses_the_start() {
    let store = MemoryStore::new();
    let (mut log, _) = store.log().open(None, &mut |_| Ok(())).unwrap();
    let mut batch = FrameBuffer::new();
    batch.begin_frame();
    batch.buffer().push(9);
    batch.end_frame();
    log.append(&mut batch, Flush::Synced).unwrap();

    let clock = Arc::new(Clock::manual());
    let refused = recover(store.log(), &*store.checkpoint(), &[], clock).err().unwrap();

    assert!(matches!(refused, RecoveryError::Frame { .. }));
    let text = refused.to_string();
    assert!(text.contains("frame of version 9 is unknown"), "{text}");
}

fn policy(name: &str, key: &str, value: AMQPValue) -> Policy {
    let mut definition = no_arguments();
    definition.insert(key.into(), value);
    let source = PolicySource {
        name: name.to_owned(),
        pattern: "^(q|x)$".to_owned(),
        apply_to: "all".to_owned(),
        priority: -3,
        definition,
    };
    Policy::new(PolicyKind::User, source).unwrap()
}

fn set(node: &Node, policy: Policy) {
    let mut turn = node.broker.begin_turn();
    node.vhost().set_policy(policy, &mut turn);
    turn.finish(&node.broker);
}

#[test]
fn policies_are_in_force_after_a_restart_with_and_without_a_checkpoint() {
    for with_checkpoint in [false, true] {
        let store = MemoryStore::new();
        let mut node = Node::on(&store);
        node.vhost().declare_exchange("x", durable_exchange());
        set(&node, policy("gone", "message-ttl", AMQPValue::LongLongInt(1)));
        set(&node, policy("spill", "alternate-exchange", AMQPValue::LongString("ae".into())));
        let mut turn = node.broker.begin_turn();
        assert!(node.vhost().clear_policy(PolicyKind::User, "gone", &mut turn));
        turn.finish(&node.broker);
        node.commit_marked();
        if with_checkpoint {
            node.checkpoint();
        }

        let restarted = Node::on(&store);

        let policies = restarted.vhost().policies();
        let names: Vec<_> = policies.of_kind(PolicyKind::User).keys().cloned().collect();
        assert_eq!(names, ["spill".into()]);
        let spill = policies.get(PolicyKind::User, "spill").unwrap();
        assert_eq!(
            **spill,
            policy("spill", "alternate-exchange", AMQPValue::LongString("ae".into()))
        );
        let exchange = restarted.vhost().exchange("x").unwrap();
        assert_eq!(exchange.alternate_exchange().as_deref(), Some("ae"));
    }
}

#[test]
fn a_virtual_host_made_at_runtime_survives_with_its_limits_and_what_is_said_about_it() {
    for with_checkpoint in [false, true] {
        let store = MemoryStore::new();
        let mut node = Node::on(&store);
        let metadata = VHostMetadata {
            description: "made later".to_owned(),
            tags: vec!["a".to_owned(), "b".to_owned()],
            default_queue_type: Some(QueueType::Quorum),
        };
        let limits =
            VHostLimits { max_queues: Some(0), max_connections: Some(7), max_exchanges: None };
        node.broker.add_vhost("later", metadata.clone()).set_limits(limits);
        node.commit_marked();
        if with_checkpoint {
            node.checkpoint();
        }

        let restarted = Node::on(&store);

        let later = restarted.broker.vhost("later").unwrap();
        assert_eq!(later.metadata(), metadata);
        assert_eq!(later.limits(), limits);
    }
}
