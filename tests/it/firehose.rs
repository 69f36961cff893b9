//! The firehose: what an operator sees of messages in a virtual host that is traced.

use leveret::amqp::wire::properties::PropertiesView;
use leveret::amqp::wire::table::{get_int, get_str};

use amq_protocol::types::{AMQPValue, FieldTable};

use crate::support::{Delivery, Properties, RawPeer, TestBroker, method, properties};

/// Somebody who watches, and somebody who is watched.
fn traced() -> (RawPeer, RawPeer) {
    let broker = TestBroker::with_config("trace = [\"/\"]\n");
    let mut watcher = RawPeer::connect(&broker);
    watcher.has_queue(1, "watch");
    watcher.binds(1, "watch", "amq.rabbitmq.trace", "#");
    let consume = method("basic.consume").set("queue", "watch").on("no_ack");
    watcher.asks(1, &consume, "basic.consume-ok");
    (watcher, RawPeer::connect(&broker))
}

/// The key and the headers of the next copy.
fn copy(watcher: &mut RawPeer) -> (String, FieldTable, Delivery) {
    let copy = watcher.delivery(1);
    assert_eq!(copy.method.text("exchange"), "amq.rabbitmq.trace");
    let view = PropertiesView::check(&copy.properties).unwrap();
    let headers = view.headers().unwrap().to_table().unwrap();
    (copy.method.text("routing_key").to_owned(), headers, copy)
}

#[track_caller]
fn is_copy(watcher: &mut RawPeer, key: &str, body: &str) -> FieldTable {
    let (seen, headers, copy) = copy(watcher);
    assert_eq!((&*seen, copy.text()), (key, body));
    headers
}

fn list(headers: &FieldTable, name: &str) -> Vec<String> {
    let Some(AMQPValue::FieldArray(array)) = headers.inner().get(name) else {
        panic!("{name} is no array: {headers:?}")
    };
    let texts = array.as_slice().iter().map(|value| value.as_long_string().unwrap().to_string());
    texts.collect()
}

fn table<'a>(headers: &'a FieldTable, name: &str) -> &'a FieldTable {
    headers.inner().get(name).and_then(AMQPValue::as_field_table).unwrap()
}

#[test]
fn a_publish_is_copied_with_who_sent_it_and_where_it_went() {
    let (mut watcher, mut peer) = traced();
    peer.has_queue(1, "q");
    peer.binds(1, "q", "amq.topic", "a.*");
    peer.opens(7);

    peer.publishes_to(7, "amq.topic", "a.b", "hello");

    let headers = is_copy(&mut watcher, "publish.amq.topic", "hello");
    assert_eq!(get_str(&headers, "exchange_name"), Some("amq.topic"));
    assert_eq!(list(&headers, "routing_keys"), ["a.b"]);
    assert_eq!(list(&headers, "routed_queues"), ["q"]);
    assert_eq!(get_str(&headers, "vhost"), Some("/"));
    assert_eq!(get_str(&headers, "user"), Some("guest"));
    assert_eq!(get_int(&headers, "channel"), Some(7));
    let connection = get_str(&headers, "connection").unwrap();
    assert!(connection.starts_with("127.0.0.1:") && connection.contains(" -> 127.0.0.1:"));
    assert!(get_str(&headers, "node").unwrap().contains('@'));
    assert!(table(&headers, "properties").inner().is_empty());
}

#[test]
fn a_delivery_and_a_get_are_copied_each_time_they_happen() {
    let (mut watcher, mut peer) = traced();
    peer.has_queue(1, "q");
    peer.publishes(1, "q", "a");
    is_copy(&mut watcher, "publish.", "a");

    let first = peer.gets(1, "q").unwrap();
    peer.requeues(1, first.tag());
    peer.consumes(1, "q", "worker");
    peer.delivery(1);

    for again in [0, 1] {
        let headers = is_copy(&mut watcher, "deliver.q", "a");
        assert_eq!(get_int(&headers, "redelivered"), Some(again));
        assert_eq!(get_str(&headers, "exchange_name"), Some(""));
        assert_eq!(list(&headers, "routing_keys"), ["q"]);
        assert_eq!(get_str(&headers, "user"), Some("guest"));
        assert_eq!(get_int(&headers, "channel"), Some(1));
        assert!(headers.inner().get("routed_queues").is_none());
    }
}

#[test]
fn properties_are_shown_by_name() {
    let (mut watcher, mut peer) = traced();
    let with = properties()
        .content_type("text/plain")
        .headers(&table! { "a" => 1 })
        .delivery_mode(2)
        .priority(3)
        .correlation_id("7")
        .reply_to("r")
        .expiration("60000")
        .message_id("m")
        .timestamp(12_345)
        .kind("t")
        .user_id("guest")
        .app_id("app");
    peer.publishes_with(1, "nowhere", &with, b"");

    let headers = is_copy(&mut watcher, "publish.", "");
    let shown = table(&headers, "properties");
    let names: Vec<_> = shown.inner().keys().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "app_id",
            "content_type",
            "correlation_id",
            "delivery_mode",
            "expiration",
            "headers",
            "message_id",
            "priority",
            "reply_to",
            "timestamp",
            "type",
            "user_id"
        ]
    );
    assert_eq!(get_int(shown, "delivery_mode"), Some(2));
    assert_eq!(get_int(shown, "timestamp"), Some(12_345));
    assert_eq!(get_str(shown, "type"), Some("t"));
    assert_eq!(get_int(table(shown, "headers"), "a"), Some(1));
    assert!(list(&headers, "routed_queues").is_empty());
}

#[test]
fn hidden_keys_are_among_the_routing_keys_but_not_among_the_headers() {
    let (mut watcher, mut peer) = traced();
    let keys = |key: &str| crate::support::Field::Array(vec![key.into()]);
    let with = properties().headers(&table! { "CC" => keys("cc"), "BCC" => keys("bcc") });
    peer.publishes_with(1, "nowhere", &with, b"");

    let headers = is_copy(&mut watcher, "publish.", "");

    assert_eq!(list(&headers, "routing_keys"), ["nowhere", "cc", "bcc"]);
    let shown = table(table(&headers, "properties"), "headers");
    assert_eq!(shown.inner().keys().map(ToString::to_string).collect::<Vec<_>>(), ["CC"]);
}

/// RabbitMQ: a publish is traced when it is sent, whatever becomes of the transaction.
#[test]
fn a_publish_in_a_transaction_is_copied_at_once() {
    let (mut watcher, mut peer) = traced();
    peer.asks(1, &method("tx.select"), "tx.select-ok");
    peer.publishes(1, "nowhere", "a");

    is_copy(&mut watcher, "publish.", "a");
    peer.asks(1, &method("tx.rollback"), "tx.rollback-ok");
}

#[test]
fn copies_are_not_copied() {
    let (mut watcher, mut peer) = traced();
    peer.publishes(1, "nowhere", "a");
    peer.publishes(1, "nowhere", "b");

    is_copy(&mut watcher, "publish.", "a");
    is_copy(&mut watcher, "publish.", "b");
    watcher.hears_nothing_more(1, "watch");
}

#[test]
fn a_virtual_host_that_is_not_traced_sends_no_copies() {
    let broker = TestBroker::own();
    let mut peer = RawPeer::connect(&broker);
    peer.has_queue(1, "watch");
    peer.binds(1, "watch", "amq.rabbitmq.trace", "#");
    peer.publishes_with(1, "nowhere", &Properties::default(), b"");
    assert_eq!(peer.counts(1, "watch"), (0, 0));
}
