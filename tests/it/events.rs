//! The event exchange: what happens in the broker, as messages.

use amq_protocol::types::{AMQPValue, FieldTable};
use leveret::amqp::wire::properties::PropertiesView;
use leveret::amqp::wire::table::{get_bool, get_int, get_str};

use crate::support::{Login, Method, RawPeer, TestBroker, method};

/// Somebody who sees all events from now on, and the broker.
fn watched() -> (RawPeer, TestBroker) {
    let broker = TestBroker::with_config("event_exchange = \"/\"\n");
    let mut watcher = RawPeer::connect(&broker);
    watcher.has_queue(1, "watch");
    let consume = method("basic.consume").set("queue", "watch").on("no_ack");
    watcher.asks(1, &consume, "basic.consume-ok");
    watcher.binds(1, "watch", "amq.rabbitmq.event", "#");
    is_told(&mut watcher, "binding.created");
    (watcher, broker)
}

/// A watcher, and a connection with channel 1 whose own events have been seen.
fn watched_peer() -> (RawPeer, RawPeer) {
    let (mut watcher, broker) = watched();
    let peer = RawPeer::connect(&broker);
    for key in ["user.authentication.success", "connection.created", "channel.created"] {
        is_told(&mut watcher, key);
    }
    (watcher, peer)
}

/// The next event has this key; its headers.
#[track_caller]
fn is_told(watcher: &mut RawPeer, key: &str) -> FieldTable {
    let event = watcher.delivery(1);
    assert_eq!(event.method.text("routing_key"), key);
    assert_eq!(event.method.text("exchange"), "amq.rabbitmq.event");
    assert!(event.body.is_empty());
    let view = PropertiesView::check(&event.properties).unwrap();
    let headers = view.headers().unwrap().to_table().unwrap();
    let in_ms = get_int(&headers, "timestamp_in_ms").unwrap();
    let in_seconds = i64::try_from(view.timestamp().unwrap()).unwrap();
    assert_eq!((view.delivery_mode(), in_seconds), (Some(2), in_ms / 1000));
    headers
}

/// These headers are texts.
#[track_caller]
fn says(headers: &FieldTable, texts: &[(&str, &str)]) {
    for (name, text) in texts {
        assert_eq!(get_str(headers, name), Some(*text), "{name} of {headers:?}");
    }
}

fn names(headers: &FieldTable) -> Vec<String> {
    headers.inner().keys().map(ToString::to_string).collect()
}

fn list(headers: &FieldTable, name: &str) -> Vec<String> {
    let Some(AMQPValue::FieldArray(array)) = headers.inner().get(name) else {
        panic!("{name} is no array: {headers:?}")
    };
    let texts = array.as_slice().iter().map(|value| value.as_long_string().unwrap().to_string());
    texts.collect()
}

fn does(peer: &mut RawPeer, asked: &Method) {
    let answer = format!("{}-ok", asked.name);
    peer.asks(1, asked, &answer);
}

#[test]
fn queues_exchanges_and_bindings_are_told_as_rabbitmq_does() {
    let (mut watcher, mut peer) = watched_peer();
    let arguments = table! { "x-max-length" => 5 };
    does(&mut peer, &method("queue.declare").set("queue", "q").set("arguments", arguments));
    let told = is_told(&mut watcher, "queue.created");
    says(&told, &[("name", "q"), ("vhost", "/"), ("user_who_performed_action", "guest")]);
    assert_eq!(list(&told, "arguments"), ["{<<\"x-max-length\">>,signedint,5}"]);
    assert_eq!(get_bool(&told, "durable"), Some(false));
    assert_eq!(
        names(&told),
        [
            "arguments",
            "auto_delete",
            "durable",
            "exclusive",
            "name",
            "owner_pid",
            "timestamp_in_ms",
            "user_who_performed_action",
            "vhost"
        ]
    );

    does(&mut peer, &method("exchange.declare").set("exchange", "x").set("type", "topic"));
    let told = is_told(&mut watcher, "exchange.created");
    says(&told, &[("name", "x"), ("type", "topic"), ("vhost", "/"), ("policy", "")]);

    let bind = method("queue.bind").set("queue", "q").set("exchange", "x");
    does(&mut peer, &bind.set("routing_key", "k.*"));
    let told = is_told(&mut watcher, "binding.created");
    says(&told, &[("source_name", "x"), ("source_kind", "exchange"), ("routing_key", "k.*")]);
    says(&told, &[("destination_name", "q"), ("destination_kind", "queue"), ("vhost", "/")]);
    assert!(list(&told, "arguments").is_empty());

    does(&mut peer, &method("queue.delete").set("queue", "q"));
    says(&is_told(&mut watcher, "binding.deleted"), &[("destination_name", "q")]);
    let told = is_told(&mut watcher, "queue.deleted");
    says(&told, &[("name", "q"), ("vhost", "/"), ("user_who_performed_action", "guest")]);

    does(&mut peer, &method("exchange.delete").set("exchange", "x"));
    says(&is_told(&mut watcher, "exchange.deleted"), &[("name", "x"), ("vhost", "/")]);
}

#[test]
fn what_changes_nothing_is_not_told() {
    let (mut watcher, mut peer) = watched_peer();
    peer.has_queue(1, "q");
    is_told(&mut watcher, "queue.created");

    peer.has_queue(1, "q");
    does(&mut peer, &method("queue.unbind").set("queue", "q").set("exchange", "amq.direct"));
    does(&mut peer, &method("exchange.delete").set("exchange", "missing"));
    peer.binds(1, "q", "amq.direct", "k");
    peer.binds(1, "q", "amq.direct", "k");
    is_told(&mut watcher, "binding.created");

    does(&mut peer, &method("queue.delete").set("queue", "q"));
    is_told(&mut watcher, "binding.deleted");
    is_told(&mut watcher, "queue.deleted");
}

#[test]
fn consumers_are_told_however_they_end() {
    let (mut watcher, mut peer) = watched_peer();
    let declare = method("queue.declare").set("queue", "q").on("auto_delete");
    does(&mut peer, &declare);
    is_told(&mut watcher, "queue.created");

    peer.prefetches(1, 5);
    peer.consumes(1, "q", "tag");
    let told = is_told(&mut watcher, "consumer.created");
    says(&told, &[("consumer_tag", "tag"), ("queue", "q"), ("vhost", "/")]);
    assert_eq!(get_bool(&told, "ack_required"), Some(true));
    assert_eq!(get_int(&told, "prefetch_count"), Some(5));
    let channel = get_str(&told, "channel").unwrap().to_owned();

    does(&mut peer, &method("basic.cancel").set("consumer_tag", "tag"));
    let told = is_told(&mut watcher, "consumer.deleted");
    says(&told, &[("consumer_tag", "tag"), ("queue", "q"), ("channel", &channel)]);
    says(&is_told(&mut watcher, "queue.deleted"), &[("user_who_performed_action", "rmq-internal")]);

    does(&mut peer, &declare);
    peer.consumes(1, "q", "lost");
    is_told(&mut watcher, "queue.created");
    is_told(&mut watcher, "consumer.created");
    peer.sends(1, &method("queue.delete").set("queue", "q"));
    let told = is_told(&mut watcher, "consumer.deleted");
    says(&told, &[("consumer_tag", "lost"), ("user_who_performed_action", "guest")]);
    is_told(&mut watcher, "queue.deleted");
}

#[test]
fn a_connection_is_told_from_its_login_to_its_end() {
    let (mut watcher, broker) = watched();
    let mut peer = RawPeer::connect_with(&broker, &Login::default());
    let told = is_told(&mut watcher, "user.authentication.success");
    says(&told, &[("name", "guest"), ("auth_mechanism", "PLAIN"), ("peer_host", "{127,0,0,1}")]);
    let told = is_told(&mut watcher, "connection.created");
    says(&told, &[("user", "guest"), ("vhost", "/"), ("protocol", "{0,9,1}")]);
    let pid = get_str(&told, "pid").unwrap().to_owned();
    let name = get_str(&told, "name").unwrap().to_owned();
    assert!(name.contains(" -> "), "{name}");

    peer.opens(3);
    let told = is_told(&mut watcher, "channel.created");
    says(&told, &[("connection", &pid), ("name", &format!("{name} (3)")), ("user", "guest")]);
    assert_eq!(get_int(&told, "number"), Some(3));
    let channel = get_str(&told, "pid").unwrap().to_owned();
    peer.has_queue(3, "mine");
    says(&is_told(&mut watcher, "queue.created"), &[("owner_pid", &pid)]);
    peer.consumes(3, "mine", "tag");
    is_told(&mut watcher, "consumer.created");

    peer.leaves();

    says(&is_told(&mut watcher, "consumer.deleted"), &[("channel", &channel)]);
    says(&is_told(&mut watcher, "channel.closed"), &[("pid", &channel)]);
    says(&is_told(&mut watcher, "queue.deleted"), &[("name", "mine")]);
    says(&is_told(&mut watcher, "connection.closed"), &[("pid", &pid), ("name", &name)]);
}

#[test]
fn a_refused_login_is_told() {
    let (mut watcher, broker) = watched();
    let mut peer = RawPeer::dial(&broker);
    peer.greets();
    peer.authenticates(&Login { response: "\0guest\0wrong".to_owned(), ..Login::default() });

    let told = is_told(&mut watcher, "user.authentication.failure");

    says(&told, &[("name", "guest"), ("error", "user 'guest' - invalid credentials")]);
}

#[test]
fn without_the_setting_there_is_no_event_exchange() {
    let mut peer = RawPeer::connect(&TestBroker::own());
    assert!(!peer.sees_exchange("amq.rabbitmq.event"));
}

#[test]
fn a_durable_queue_keeps_its_events_and_its_binding_over_a_restart() {
    let mut broker = TestBroker::with_config("event_exchange = \"/\"\n");
    let mut peer = RawPeer::connect(&broker);
    peer.has_durable_queue(1, "audit");
    peer.binds(1, "audit", "amq.rabbitmq.event", "queue.*");
    peer.has_durable_queue(1, "one");
    peer.leaves();
    broker.restart();

    let mut peer = RawPeer::connect(&broker);
    peer.has_durable_queue(1, "two");

    for name in ["one", "two"] {
        let event = peer.gets(1, "audit").unwrap();
        let view = PropertiesView::check(&event.properties).unwrap();
        says(&view.headers().unwrap().to_table().unwrap(), &[("name", name)]);
    }
}
