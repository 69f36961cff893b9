//! From a publish to queues: order, and routes that are remembered.

use super::frames::*;
use super::*;

#[test]
fn publishes_of_one_turn_keep_their_order_across_queues_and_a_get() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("a", ""), declare("b", "")]);
    client.hears();

    client.says([
        publish("a", "1"),
        publish("b", "2"),
        publish("a", "3"),
        get("a"),
        publish("a", "4"),
        get("a"),
        get("a"),
        get("b"),
    ]);

    assert_eq!(
        client.hears(),
        [
            "1 get-ok 1: 1, 1 left",
            "1 get-ok 2: 3, 1 left",
            "1 get-ok 3: 4, 0 left",
            "1 get-ok 4: 2, 0 left"
        ]
    );
}

#[test]
fn publishes_of_several_channels_keep_their_order_in_a_queue() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("q", ""), open_channel().on(2)]);
    client.hears();

    client.says([publish("q", "1"), publish("q", "2").on(2), publish("q", "3"), consume("q", "c")]);

    let heard = client.hears();
    assert_eq!(heard[1..], ["1 deliver 1 to c: 1", "1 deliver 2 to c: 2", "1 deliver 3 to c: 3"]);
}

#[test]
fn a_publish_reaches_another_connections_consumer_in_the_same_turn() {
    let broker = BrokerUnderTest::new();
    let (mut publisher, mut worker) = (broker.client(), broker.client());
    worker.says([declare("q", ""), consume("q", "c")]);
    worker.hears();

    publisher.says([publish("q", "a")]);

    assert_eq!(worker.hears(), ["1 deliver 1 to c: a"]);
}

#[test]
fn a_remembered_route_ends_with_every_change_that_could_alter_it() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("a", ""), declare("b", ""), declare_exchange("x", "direct", false)]);
    client.says([bind("a", "x", "k")]);
    let to_x = || publish_to("x", "k", "m", "");
    let ready = || (broker.ready("a"), broker.queue("b").map(|queue| queue.counts().ready));
    client.says([to_x(), to_x()]);
    assert_eq!(ready(), (2, Some(0)));

    client.says([bind("b", "x", "k"), to_x()]);
    assert_eq!(ready(), (3, Some(1)), "after a bind");

    client.says([unbind("a", "x", "k"), to_x()]);
    assert_eq!(ready(), (3, Some(2)), "after an unbind");

    client.says([delete("b"), to_x()]);
    assert_eq!(ready(), (3, None), "after a delete");

    client.says([declare("b", ""), bind("b", "x", "k"), to_x()]);
    assert_eq!(ready(), (3, Some(1)), "after a new declare");
}

#[test]
fn a_remembered_exchange_that_is_deleted_is_not_found() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare_exchange("x", "fanout", false), publish_to("x", "", "a", "")]);

    client.says([delete_exchange("x"), publish_to("x", "", "b", "")]);

    let text = "1 close 404 NOT_FOUND - no exchange 'x' in vhost '/'";
    assert_eq!(client.hears().last().unwrap(), text);
}

#[test]
fn a_remembered_queue_that_another_connection_deletes_is_not_published_to() {
    let broker = BrokerUnderTest::new();
    let (mut publisher, mut owner) = (broker.client(), broker.client());
    owner.says([declare("q", "")]);
    let mandatory = || publish_to("", "q", "a", "mandatory");
    publisher.says([mandatory()]);
    assert!(publisher.hears().is_empty());

    owner.says([delete("q")]);
    publisher.says([mandatory()]);

    assert_eq!(publisher.hears(), ["1 return a"]);
}

#[test]
fn a_mandatory_message_that_meets_a_queue_is_not_returned() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("q", ""), publish_to("", "q", "a", "mandatory")]);

    assert_eq!(client.hears(), ["1 declare-ok q 0 0"]);
}

#[test]
fn a_fan_out_is_kept_by_every_durable_queue() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client_of(["a", "b"]);
    client.says([bind("a", "amq.fanout", ""), bind("b", "amq.fanout", "")]);
    client.says([declare("c", ""), bind("c", "amq.fanout", "")]);
    broker.commits();

    client.says([publish_to("amq.fanout", "", "m", "persistent")]);

    assert_eq!(broker.commits().kept(), ["m", "m"]);
    assert_eq!(["a", "b", "c"].map(|name| broker.ready(name)), [1, 1, 1]);
}
