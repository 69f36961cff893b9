//! Policies, limits and default types of a virtual host: in force at once, and left for the log.

use std::sync::Arc;

use amq_protocol::types::{AMQPValue, FieldTable};

use super::definitions::word;
use super::support::{NO_PROPERTIES, bodies, broker, created, durable, host, message, turn};
use crate::broker::exchange::{Exchange, ExchangeKind};
use crate::broker::options::{ExchangeOptions, Overflow, QueueOptions, QueueType};
use crate::broker::policy::{Policy, PolicyKind, PolicySource};
use crate::broker::queue::Queue;
use crate::broker::settings::QueueSettings;
use crate::broker::vhost::{ConfiguredVHost, Declared, VHostLimits, VHostMetadata};
use crate::broker::{Broker, Configuration};

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn int(value: i64) -> AMQPValue {
    AMQPValue::LongLongInt(value)
}

fn policy(name: &str, pattern: &str, fields: &[(&str, AMQPValue)]) -> Policy {
    let mut definition = FieldTable::default();
    for (key, value) in fields {
        definition.insert((*key).into(), value.clone());
    }
    let source = PolicySource {
        name: name.to_owned(),
        pattern: pattern.to_owned(),
        apply_to: "all".to_owned(),
        priority: 0,
        definition,
    };
    Policy::new(PolicyKind::User, source).unwrap()
}

fn set(broker: &Broker, policy: Policy) {
    turn(broker, |turn| host(broker).set_policy(policy, turn));
}

fn clear(broker: &Broker, name: &str) -> bool {
    turn(broker, |turn| host(broker).clear_policy(PolicyKind::User, name, turn))
}

fn queue(broker: &Broker, name: &str) -> Arc<Queue> {
    created(host(broker).declare_queue(name, QueueOptions::default(), None))
}

fn exchange(broker: &Broker, name: &str) -> Arc<Exchange> {
    let options = ExchangeOptions::new(ExchangeKind::Fanout);
    created(host(broker).declare_exchange(name, options))
}

/// The names of the queues that a message to an exchange reaches.
fn reached(broker: &Broker, exchange: &Arc<Exchange>) -> Vec<String> {
    let route = host(broker).route(exchange, &["spilled"], NO_PROPERTIES);
    route.queues.iter().map(|queue| queue.name.to_string()).collect()
}

fn collected(broker: &Broker) -> Vec<String> {
    host(broker).collect().iter().map(word).collect()
}

#[test]
fn an_alternate_exchange_by_policy_is_in_force_at_once_and_until_it_is_cleared() {
    let broker = broker();
    queue(&broker, "spilled");
    let before = exchange(&broker, "before");
    let generation = host(&broker).generation();
    // The default exchange leads to the queue that the key names.
    set(&broker, policy("spill", "^(before|after)$", &[("alternate-exchange", text(""))]));
    let after = exchange(&broker, "after");

    assert_eq!(reached(&broker, &before), ["spilled"]);
    assert_eq!(reached(&broker, &after), ["spilled"]);
    assert_ne!(host(&broker).generation(), generation);

    let generation = host(&broker).generation();
    assert!(clear(&broker, "spill"));
    assert!(reached(&broker, &before).is_empty());
    assert_ne!(host(&broker).generation(), generation);
}

#[test]
fn an_exchanges_own_alternate_wins_over_its_policys() {
    let broker = broker();
    queue(&broker, "spilled");
    let mut arguments = FieldTable::default();
    arguments.insert("alternate-exchange".into(), text("nobody"));
    let options = ExchangeOptions::new(ExchangeKind::Fanout).with_arguments(arguments);
    let own = created(host(&broker).declare_exchange("own", options));

    set(&broker, policy("spill", "", &[("alternate-exchange", text(""))]));

    assert!(reached(&broker, &own).is_empty());
}

#[test]
fn the_default_exchange_has_no_policy() {
    let broker = broker();
    queue(&broker, "q");
    set(&broker, policy("spill", "", &[("alternate-exchange", text("amq.fanout"))]));
    let default = host(&broker).exchange("").unwrap();

    assert_eq!(default.alternate_exchange(), None);
    let fanout = host(&broker).exchange("amq.fanout").unwrap();
    assert_eq!(fanout.alternate_exchange().as_deref(), Some("amq.fanout"));
}

#[test]
fn a_queues_policies_are_told_by_name() {
    let broker = broker();
    let queue = queue(&broker, "orders");
    set(&broker, policy("limit", "^orders", &[("max-length", int(1))]));

    let applied = host(&broker).applied_to_queue(&queue);
    assert_eq!(applied.user.map(|policy| policy.name.to_string()), Some("limit".to_owned()));
    assert_eq!(applied.operator, None);
}

#[test]
fn policies_are_left_for_the_log_when_they_change() {
    let broker = broker();
    set(&broker, policy("p", "", &[("max-length", int(1))]));
    set(&broker, policy("p", "", &[("max-length", int(1))]));
    set(&broker, policy("p", "", &[("max-length", int(2))]));
    assert!(clear(&broker, "p"));
    assert!(!clear(&broker, "p"));

    assert_eq!(collected(&broker), ["+ policy p", "+ policy p", "- policy p"]);
}

#[test]
fn no_more_queues_are_declared_than_the_limit_allows() {
    let broker = broker();
    queue(&broker, "a");
    let limits = VHostLimits { max_queues: Some(1), ..VHostLimits::default() };
    host(&broker).set_limits(limits);

    let refused = host(&broker).declare_queue("b", durable(), None);
    assert!(matches!(refused, Declared::Full { limit: 1 }));
    let there = host(&broker).declare_queue("a", QueueOptions::default(), None);
    assert!(matches!(there, Declared::Existing(_)));

    host(&broker).set_limits(VHostLimits::default());
    queue(&broker, "b");
    assert_eq!(collected(&broker), ["+ vhost /", "+ vhost /"]);
}

#[test]
fn exchanges_that_are_always_there_do_not_count_for_their_limit() {
    let broker = broker();
    let limits = VHostLimits { max_exchanges: Some(1), ..VHostLimits::default() };
    host(&broker).set_limits(limits);

    exchange(&broker, "one");
    let options = ExchangeOptions::new(ExchangeKind::Fanout);
    let refused = host(&broker).declare_exchange("two", options);
    assert!(matches!(refused, Declared::Full { limit: 1 }));
}

#[test]
fn no_more_connections_are_admitted_than_the_limit_allows() {
    let broker = broker();
    let first = host(&broker).admit().unwrap();
    let limits = VHostLimits { max_connections: Some(1), ..VHostLimits::default() };
    host(&broker).set_limits(limits);

    assert_eq!(host(&broker).admit().unwrap_err(), 1);
    drop(first);
    assert!(host(&broker).admit().is_ok());
}

#[test]
fn a_virtual_host_is_made_while_the_broker_runs() {
    let broker = broker();
    let metadata = VHostMetadata { description: "new".to_owned(), ..VHostMetadata::default() };
    let vhost = broker.add_vhost("new", metadata.clone());
    assert!(Arc::ptr_eq(&broker.add_vhost("new", metadata), &vhost));

    assert!(Arc::ptr_eq(&broker.vhost("new").unwrap(), &vhost));
    let names: Vec<_> = broker.vhosts().iter().map(|vhost| vhost.name.to_string()).collect();
    assert_eq!(names, ["/", "new"]);
    let saved: Vec<_> = vhost.collect().iter().map(word).collect();
    assert_eq!(saved, ["+ vhost new"]);
}

#[test]
fn a_virtual_hosts_default_queue_type_comes_before_the_brokers() {
    let broker = broker();
    assert_eq!(host(&broker).default_queue_type(), None);

    let own = ConfiguredVHost {
        default_queue_type: Some(QueueType::Classic),
        ..ConfiguredVHost::default()
    };
    let configuration = Configuration {
        default_queue_type: Some(QueueType::Quorum),
        vhosts: [("own".to_owned(), own)].into(),
    };
    broker.configure(&configuration);
    turn(&broker, |turn| broker.apply_policies(turn));

    let default_of = |name: &str| broker.vhost(name).unwrap().default_queue_type();
    assert_eq!(default_of("own"), Some(QueueType::Classic));
    assert_eq!(default_of("/"), Some(QueueType::Quorum));
    broker.add_vhost("later", VHostMetadata::default());
    assert_eq!(default_of("later"), Some(QueueType::Quorum));
}

#[test]
fn what_is_configured_is_in_force_and_not_left_for_the_log() {
    let broker = broker();
    queue(&broker, "spilled");
    let existing = exchange(&broker, "x");
    let configured = ConfiguredVHost {
        limits: VHostLimits { max_queues: Some(1), ..VHostLimits::default() },
        policies: vec![policy("spill", "^x$", &[("alternate-exchange", text(""))])],
        ..ConfiguredVHost::default()
    };
    let vhosts = [("/".to_owned(), configured)].into();
    let configuration = Configuration { vhosts, ..Configuration::default() };
    broker.configure(&configuration);
    turn(&broker, |turn| broker.apply_policies(turn));

    assert_eq!(reached(&broker, &existing), ["spilled"]);
    assert_eq!(host(&broker).limits().max_queues, Some(1));
    assert!(collected(&broker).is_empty());
}

fn operator(fields: &[(&str, AMQPValue)]) -> Policy {
    let source = policy("cap", "", fields).source();
    Policy::new(PolicyKind::Operator, source).unwrap()
}

fn publish(broker: &Broker, queue: &Arc<Queue>, bodies: &[&str]) {
    let mut messages = bodies.iter().map(|body| message(body, false)).collect();
    turn(broker, |turn| queue.enqueue(&mut messages, turn));
}

/// Takes all messages; their bodies.
fn drain(broker: &Broker, queue: &Arc<Queue>) -> Vec<String> {
    let entries = turn(broker, |turn| {
        std::iter::from_fn(|| queue.get(true, turn).message().map(|(entry, _)| entry))
            .collect::<Vec<_>>()
    });
    bodies(&entries)
}

#[test]
fn a_length_limit_by_policy_drops_the_head_of_a_queue_that_holds_more() {
    let broker = broker();
    let queue = queue(&broker, "q");
    publish(&broker, &queue, &["a", "b", "c"]);

    set(&broker, policy("limit", "^q$", &[("max-length", int(2))]));
    assert_eq!(queue.counts().ready, 2);

    publish(&broker, &queue, &["d"]);
    assert!(clear(&broker, "limit"));
    publish(&broker, &queue, &["e"]);
    assert_eq!(drain(&broker, &queue), ["c", "d", "e"]);
}

#[test]
fn an_operators_limit_caps_the_users_and_the_arguments() {
    let broker = broker();
    let queue = queue(&broker, "q");
    publish(&broker, &queue, &["a", "b", "c"]);
    set(&broker, policy("limit", "", &[("max-length", int(9)), ("message-ttl", int(7))]));
    set(&broker, operator(&[("max-length", int(1))]));

    assert_eq!(queue.settings().max_length, Some(1));
    assert_eq!(queue.settings().message_ttl_ms, Some(7));
    assert_eq!(drain(&broker, &queue), ["c"]);
}

#[test]
fn a_queue_is_born_with_what_its_policies_make_of_its_settings() {
    let broker = broker();
    let fields = [
        ("expires", int(5)),
        ("message-ttl", int(6)),
        ("dead-letter-exchange", text("dlx")),
        ("dead-letter-routing-key", text("dead")),
        ("consumer-timeout", int(8)),
        ("overflow", text("reject-publish")),
    ];
    set(&broker, policy("all", "^q$", &fields));
    let settings = queue(&broker, "q").settings();

    assert_eq!((settings.expires_ms, settings.message_ttl_ms), (Some(5), Some(6)));
    assert_eq!(settings.dead_letter_exchange.as_deref(), Some("dlx"));
    assert_eq!(settings.dead_letter_routing_key.as_deref(), Some("dead"));
    assert_eq!(settings.consumer_timeout_ms, Some(8));
    assert_eq!(settings.overflow, Overflow::RejectPublish);
    assert_eq!(queue(&broker, "other").settings(), QueueSettings::default());
}

#[test]
fn what_a_policy_drops_goes_to_the_dead_letter_exchange_it_names() {
    let broker = broker();
    let dead = queue(&broker, "dead");
    let queue = queue(&broker, "q");
    publish(&broker, &queue, &["a", "b", "c"]);

    let fields = [
        ("max-length", int(1)),
        ("dead-letter-exchange", text("")),
        ("dead-letter-routing-key", text("dead")),
    ];
    set(&broker, policy("limit", "^q$", &fields));

    assert_eq!(drain(&broker, &dead), ["a", "b"]);
    assert_eq!(drain(&broker, &queue), ["c"]);
}
