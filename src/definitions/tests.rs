//! What RabbitMQ exports comes in, whole or not at all, and what is there stays.

use std::sync::Arc;

use amq_protocol::types::{AMQPValue, FieldTable};

use super::*;
use crate::amqp::wire::properties::PropertiesView;
use crate::amqp::wire::table_codec::encode_table;
use crate::auth::{
    Access, Credential, Password, Pattern, Permission, TopicPermission, UserDefinition, UserLimits,
    Users,
};
use crate::broker::Broker;
use crate::broker::exchange::ExchangeKind;
use crate::broker::options::{ExchangeOptions, QueueOptions, QueueType};
use crate::broker::policy::PolicyKind;
use crate::broker::vhost::{VHost, VHostLimits, VHostMetadata};
use crate::clock::Clock;

/// As `rabbitmqctl export_definitions` of RabbitMQ 3.10.8 wrote it, one object a line.
const EXPORT: &str = include_str!("tests/rabbitmq-3.10.8.json");

fn broker() -> Broker {
    Broker::new(["/"], 1, Arc::new(Clock::manual()))
}

fn parse(text: &str) -> Definitions {
    Definitions::parse("d.json", text).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(text: &str) -> String {
    let refused = Definitions::parse("d.json", text).and_then(|it| it.import(&broker()));
    refused.unwrap_err().to_string()
}

fn imported(broker: &Broker) -> Arc<VHost> {
    let imported = parse(EXPORT).import(broker).unwrap();
    assert_eq!(imported, Imported { exchanges: 3, queues: 4 });
    broker.vhost("v1").unwrap()
}

/// Where a message without headers goes.
fn reached(vhost: &VHost, exchange: &str, headers: Option<&FieldTable>) -> Vec<String> {
    let exchange = vhost.exchange(exchange).unwrap();
    let mut header = Vec::new();
    if let Some(headers) = headers {
        // The flag that there are headers.
        header.extend([0x20, 0]);
        encode_table(headers, &mut header);
    }
    let route = vhost.route(&exchange, &["any"], PropertiesView::assume_checked(&header));
    route.queues.iter().map(|queue| queue.name.to_string()).collect()
}

fn header(key: &str, value: AMQPValue) -> FieldTable {
    let mut headers = FieldTable::default();
    headers.insert(key.into(), value);
    headers
}

fn configured(name: &str) -> UserDefinition {
    UserDefinition {
        name: name.to_owned(),
        credential: Credential::Password(Password::new("configured")),
        tags: Vec::new(),
        permissions: vec![Permission::all("/")],
        topic_permissions: Vec::new(),
        limits: UserLimits::default(),
    }
}

#[test]
fn queues_and_exchanges_of_an_export_are_declared_as_they_were() {
    let broker = broker();
    let vhost = imported(&broker);

    let orders = vhost.queue("orders").unwrap();
    assert!(orders.options.durable);
    assert_eq!(orders.options.max_priority, Some(5));
    assert_eq!(orders.options.message_ttl_ms, Some(1000));
    assert_eq!(vhost.queue("orders.q").unwrap().options.queue_type, QueueType::Quorum);
    let temporary = vhost.queue("temp").unwrap();
    assert!(temporary.options.auto_delete && !temporary.options.durable);
    let headers = vhost.exchange("in").unwrap();
    assert_eq!(headers.options.kind, ExchangeKind::Headers);
    assert_eq!(headers.options.alternate_exchange.as_deref(), Some("dead"));
    assert!(!vhost.exchange("gone").unwrap().options.durable);
}

#[test]
fn bindings_of_an_export_lead_where_they_led() {
    let broker = broker();
    let vhost = imported(&broker);

    let number = AMQPValue::LongLongInt(3_000_000_000);
    // The binding without arguments leads on to the other exchange, for every message.
    assert_eq!(reached(&vhost, "in", Some(&header("h", number))), ["orders", "dead"]);
    assert_eq!(reached(&vhost, "in", None), ["dead"]);
}

#[test]
fn policies_limits_and_descriptions_of_an_export_are_taken_over() {
    let broker = broker();
    let vhost = imported(&broker);

    let applied = vhost.applied_to_queue(&vhost.queue("orders").unwrap());
    let policy = applied.user.unwrap();
    assert_eq!((&*policy.name, policy.priority), ("limit", 3));
    assert_eq!(policy.definition.max_length, Some(100));
    let operator = applied.operator.unwrap();
    assert_eq!(operator.definition.message_ttl_ms, Some(60_000));
    assert_eq!(
        vhost.limits(),
        VHostLimits { max_connections: Some(5), max_queues: Some(10), max_exchanges: None }
    );
    let metadata = vhost.metadata();
    assert_eq!(metadata.description, "a vhost");
    assert_eq!(metadata.tags, ["qa", "production"]);
}

#[test]
fn users_of_an_export_log_in_with_their_old_passwords() {
    let definitions = parse(EXPORT).users_beside(Vec::new()).unwrap();
    let users = Users::new(definitions, []).unwrap();

    let ada = users.authenticate("ada", b"lovelace", false).unwrap();
    assert_eq!(ada.tags(), ["monitoring", "management"]);
    assert!(ada.may("v1", Access::Configure, "ada.1"));
    assert!(!ada.may("v1", Access::Read, "ada.1"));
    assert!(ada.may_with_key("v1", Access::Write, "amq.topic", "a.1"));
    assert!(!ada.may_with_key("v1", Access::Write, "amq.topic", "b.1"));
    assert!(ada.may_with_key("v1", Access::Read, "amq.topic", "b.1"));
    assert!(!ada.may_enter("/"));
    let _channels = [ada.open_channel().unwrap(), ada.open_channel().unwrap()];
    assert_eq!(ada.open_channel().unwrap_err(), 2);
    assert!(users.authenticate("guest", b"guest", false).is_ok());
    assert!(users.get("nopass").is_none());
}

#[test]
fn what_is_left_out_is_told() {
    assert_eq!(parse(EXPORT).left_out, ["d.json: users[0]: has no password, cannot log in"]);
    let reserved = r#"{"global_parameters": [{"name": "cluster_name"}], "exchanges": [{"name": "amq.x", "vhost": "/", "type": "direct"}],
        "queues": [{"name": "amq.gen-1", "vhost": "/"}],
        "parameters": [{"component": "shovel", "name": "s", "vhost": "/", "value": {}}]}"#;
    assert_eq!(
        parse(reserved).left_out,
        [
            "global_parameters: means nothing here",
            "d.json: parameters[0]: parameters of shovel mean nothing here",
            "d.json: exchanges[0]: the name of exchange 'amq.x' is reserved",
            "d.json: queues[0]: the name of queue 'amq.gen-1' is reserved",
        ]
    );
}

#[test]
fn a_user_who_is_configured_stays_and_gets_permissions_for_more_virtual_hosts() {
    let permission = |vhost: &str| {
        format!(
            r#"{{"user": "ada", "vhost": "{vhost}", "configure": "", "write": "", "read": "x"}}"#
        )
    };
    let text = format!(
        r#"{{"users": [{{"name": "ada", "password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"}}],
            "vhosts": [{{"name": "app"}}],
            "permissions": [{}, {}]}}"#,
        permission("/"),
        permission("app")
    );
    let users = parse(&text).users_beside(vec![configured("ada")]).unwrap();

    let users = Users::new(users, []).unwrap();
    let ada = users.authenticate("ada", b"configured", false).unwrap();
    assert!(ada.may("/", Access::Configure, "anything"));
    assert!(ada.may("app", Access::Read, "x") && !ada.may("app", Access::Write, "x"));
}

#[test]
fn topic_permissions_know_their_user_and_what_is_configured_counts() {
    let topic = |exchange: &str, write: &str| {
        format!(
            r#"{{"user": "ada", "vhost": "/", "exchange": "{exchange}", "write": "{write}", "read": ""}}"#
        )
    };
    let text = format!(
        r#"{{"topic_permissions": [{}, {}]}}"#,
        topic("mine", "x"),
        topic("more", "^{username}$")
    );
    let mine = TopicPermission {
        vhost: "/".to_owned(),
        exchange: "mine".to_owned(),
        write: Pattern::any(),
        read: Pattern::any(),
    };
    let ada = UserDefinition { topic_permissions: vec![mine], ..configured("ada") };

    let users = Users::new(parse(&text).users_beside(vec![ada]).unwrap(), []).unwrap();

    let ada = users.get("ada").unwrap();
    assert!(ada.may_with_key("/", Access::Write, "mine", "anything"));
    assert!(ada.may_with_key("/", Access::Write, "more", "ada"));
    assert!(!ada.may_with_key("/", Access::Write, "more", "bob"));
}

#[test]
fn what_is_there_stays_and_policies_are_replaced() {
    let broker = broker();
    let text = |length: u32| {
        format!(
            r#"{{"queues": [{{"name": "q", "vhost": "/", "arguments": {{"x-max-length": {length}}}}}],
                "exchanges": [{{"name": "x", "vhost": "/", "type": "fanout"}}],
                "policies": [{{"name": "p", "vhost": "/", "pattern": "", "definition": {{"max-length": {length}}}}}]}}"#
        )
    };
    parse(&text(1)).import(&broker).unwrap();
    let vhost = broker.vhost("/").unwrap();
    let queue = vhost.queue("q").unwrap();
    let again = parse(&text(2)).import(&broker).unwrap();

    assert_eq!(again, Imported::default());
    assert!(Arc::ptr_eq(&vhost.queue("q").unwrap(), &queue));
    assert_eq!(queue.options.max_length, Some(1));
    let policies = vhost.policies();
    let policy = policies.get(PolicyKind::User, "p").unwrap();
    assert_eq!(policy.definition.max_length, Some(2));
}

#[test]
fn one_mistake_refuses_the_whole_with_its_place() {
    let broker = broker();
    let text = r#"{"vhosts": [{"name": "new"}],
        "queues": [{"name": "good", "vhost": "/"}, {"name": "bad", "vhost": "/", "arguments": {"x-expires": 0}}]}"#;

    let refused = parse(text).import(&broker).unwrap_err();

    assert_eq!(
        refused.to_string(),
        "d.json: queues[1]: invalid arg 'x-expires' for queue 'bad' in vhost '/': {value_zero,0}"
    );
    assert!(broker.vhost("new").is_none());
    assert!(broker.vhost("/").unwrap().queue("good").is_none());
}

#[test]
fn every_mistake_is_told_with_its_place() {
    for (text, error) in [
        ("{\n x", " line 2 column 2: not JSON: key must be a string at line 2 column 2"),
        ("[]", ": expected an object, found a list"),
        (r#"{"queues": {}}"#, ": queues: expected a list, found an object"),
        (r#"{"queues": [5]}"#, ": queues[0]: needs a name"),
        (r#"{"queues": [{"name": 5}]}"#, ": queues[0].name: expected a text, found a number"),
        (
            r#"{"queues": [{"name": "q"}]}"#,
            ": queues[0]: has no vhost; definitions of a single virtual host cannot be loaded, \
             export all of them",
        ),
        (
            r#"{"queues": [{"name": "q", "vhost": "no"}]}"#,
            ": queues[0]: Please create virtual host \"no\" prior to importing definitions.",
        ),
        (
            r#"{"queues": [{"name": "q", "vhost": "/", "arguments": {"x": 18446744073709551615}}]}"#,
            ": queues[0].arguments.x: 18446744073709551615 is too large",
        ),
        (
            r#"{"queues": [{"name": "q", "vhost": "/", "arguments": {"x-queue-type": "stream"}}]}"#,
            ": queues[0]: queue type stream is not supported",
        ),
        (
            r#"{"exchanges": [{"name": "x", "vhost": "/", "type": "bogus"}]}"#,
            ": exchanges[0]: unknown exchange type 'bogus'",
        ),
    ] {
        assert_eq!(refusal(text), format!("d.json{error}"), "{text}");
    }
}

#[test]
fn every_mistake_in_policies_and_bindings_is_told_with_its_place() {
    let policy = |rest: &str| format!(r#"{{"policies": [{{"vhost": "/", "name": "p", {rest}}}]}}"#);
    let binding = |rest: &str| {
        format!(
            r#"{{"bindings": [{{"vhost": "/", "routing_key": "", "arguments": {{}}, {rest}}}]}}"#
        )
    };
    for (text, error) in [
        (
            policy(r#""pattern": "", "definition": {"bogus": 5}"#).as_str(),
            ": policies[0]: policy 'p': [{<<\"bogus\">>,5}] are not recognised policy settings",
        ),
        (
            &policy(r#""pattern": "", "definition": {"max-length": 5}, "priority": "x""#),
            ": policies[0].priority: expected a whole number, found a text",
        ),
        (
            &binding(r#""source": "no", "destination": "q", "destination_type": "queue""#),
            ": bindings[0]: no exchange 'no' in vhost '/'",
        ),
        (
            &binding(r#""source": "amq.fanout", "destination": "q", "destination_type": "queue""#),
            ": bindings[0]: no queue 'q' in vhost '/'",
        ),
        (
            &binding(r#""source": "", "destination": "q", "destination_type": "queue""#),
            ": bindings[0]: operation not permitted on the default exchange",
        ),
        (
            &binding(r#""source": "amq.fanout", "destination": "q", "destination_type": "x""#),
            ": bindings[0]: destination_type 'x' is neither queue nor exchange",
        ),
        (
            r#"{"users": [{"name": "a", "password_hash": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}]}"#,
            ": users[0]: password_hash of 'a': RabbitMQ's old MD5 hash, which is not safe; set the \
             password anew",
        ),
        (
            r#"{"parameters": [{"component": "vhost-limits", "vhost": "/", "value": {"x": 1}}]}"#,
            ": parameters[0].value: 'x' is not a limit",
        ),
        (
            r#"{"vhosts": [{"name": "v", "metadata": {"default_queue_type": "x"}}]}"#,
            ": vhosts[0].metadata: x is not a valid queue type",
        ),
    ] {
        assert_eq!(refusal(text), format!("d.json{error}"), "{text}");
    }
}

#[test]
fn a_permission_is_for_a_user_that_exists() {
    let text = r#"{"permissions": [{"user": "eve", "vhost": "/", "configure": "", "write": "", "read": ""}]}"#;
    let refused = parse(text).users_beside(vec![configured("ada")]).unwrap_err();
    assert_eq!(refused.to_string(), "d.json: permissions[0]: no user 'eve'");
}

#[test]
fn limits_that_were_there_hold_and_those_of_the_definitions_come_last() {
    let text = r#"{"queues": [{"name": "a", "vhost": "/"}, {"name": "b", "vhost": "/"}],
        "parameters": [{"component": "vhost-limits", "vhost": "/", "value": [["max-queues", 1]]}]}"#;
    let broker = broker();
    let vhost = broker.vhost("/").unwrap();
    let limits = VHostLimits { max_queues: Some(1), ..VHostLimits::default() };
    vhost.set_limits(limits);
    assert_eq!(
        parse(text).import(&broker).unwrap_err().to_string(),
        "queues: Adding 2 queue(s) to virtual host \"/\" would exceed the limit of 1 queue(s). This \
         virtual host currently has 0 queue(s) defined. Import aborted!"
    );

    vhost.set_limits(VHostLimits::default());
    parse(text).import(&broker).unwrap();
    assert_eq!((vhost.queue_count(), vhost.limits()), (2, limits));
}

#[test]
fn queues_that_name_no_type_have_that_of_their_virtual_host() {
    let broker = broker();
    broker.add_vhost(
        "old",
        VHostMetadata { default_queue_type: Some(QueueType::Quorum), ..VHostMetadata::default() },
    );
    let text = r#"{"vhosts": [{"name": "new", "metadata": {"default_queue_type": "quorum"}}],
        "queues": [{"name": "q", "vhost": "new"}, {"name": "q", "vhost": "old"}, {"name": "q", "vhost": "/"},
                   {"name": "auto", "vhost": "new", "auto_delete": true}]}"#;
    parse(text).import(&broker).unwrap();

    let queue_type = |vhost: &str, queue: &str| {
        let options: QueueOptions =
            QueueOptions::clone(&broker.vhost(vhost).unwrap().queue(queue).unwrap().options);
        options.queue_type
    };
    assert_eq!(queue_type("new", "q"), QueueType::Quorum);
    assert_eq!(queue_type("old", "q"), QueueType::Quorum);
    assert_eq!(queue_type("/", "q"), QueueType::Classic);
    assert_eq!(queue_type("new", "auto"), QueueType::Classic);
}

#[test]
fn a_policy_of_the_definitions_is_in_force_once_all_are_applied() {
    let broker = broker();
    let vhost = broker.vhost("/").unwrap();
    let options = ExchangeOptions::new(ExchangeKind::Fanout);
    let exchange = vhost.declare_exchange("x", options).thing().unwrap();
    let text = r#"{"policies": [{"name": "p", "vhost": "/", "pattern": "^x$", "apply-to": "exchanges",
        "definition": {"alternate-exchange": "ae"}}]}"#;
    parse(text).import(&broker).unwrap();
    assert_eq!(exchange.alternate_exchange(), None);

    let mut turn = broker.begin_turn();
    broker.apply_policies(&mut turn);
    turn.finish(&broker);
    assert_eq!(exchange.alternate_exchange().as_deref(), Some("ae"));
}

#[test]
fn arguments_nested_deeper_than_a_client_may_send_are_refused() {
    let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let queue = |levels| {
        let arguments = nested(levels);
        format!(r#"{{"queues": [{{"name": "q", "vhost": "/", "arguments": {arguments}}}]}}"#)
    };
    parse(&queue(crate::limits::TABLE_DEPTH_MAX)).import(&broker()).unwrap();
    let refused = refusal(&queue(crate::limits::TABLE_DEPTH_MAX + 1));
    assert!(refused.ends_with("is nested deeper than 32"), "{refused}");

    let list = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let text = format!(
        r#"{{"exchanges": [{{"name": "x", "vhost": "/", "type": "fanout", "arguments": {{"a": {list}}}}}]}}"#
    );
    assert!(refusal(&text).ends_with("is nested deeper than 32"));
}

#[test]
fn exchanges_beyond_the_limit_that_was_there_are_refused_as_queues_are() {
    let text = r#"{"exchanges": [{"name": "a", "vhost": "/", "type": "fanout"},
        {"name": "b", "vhost": "/", "type": "fanout"}]}"#;
    let broker = broker();
    let vhost = broker.vhost("/").unwrap();
    vhost.set_limits(VHostLimits { max_exchanges: Some(1), ..VHostLimits::default() });
    assert_eq!(
        parse(text).import(&broker).unwrap_err().to_string(),
        "exchanges: Adding 2 exchange(s) to virtual host \"/\" would exceed the limit of 1 exchange(s). \
         This virtual host currently has 0 exchange(s) defined. Import aborted!"
    );
    assert!(vhost.exchange("a").is_none());
}
