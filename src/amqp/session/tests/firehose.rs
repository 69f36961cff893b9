//! The firehose as it is switched, and where it could go round in circles.

use amq_protocol::types::AMQPValue;

use super::frames::*;
use super::*;

/// A client with the queues `q` and `watch`, of which the second gets every copy.
fn client(broker: &BrokerUnderTest) -> ClientUnderTest {
    let mut client = broker.client();
    client.says([declare("q", ""), declare("watch", ""), bind("watch", "amq.rabbitmq.trace", "#")]);
    client.hears();
    client
}

fn switch(broker: &BrokerUnderTest, traced: bool) {
    broker.broker().vhost("/").unwrap().set_traced(traced);
}

#[test]
fn the_switch_holds_for_routes_that_are_remembered_and_consumers_that_are_there() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    client.says([consume_with("q", "c", "no-ack"), publish("q", "before")]);
    assert_eq!(broker.ready("watch"), 0);

    switch(&broker, true);
    client.says([publish("q", "while")]);
    assert_eq!(broker.ready("watch"), 2, "a publish and a delivery");

    switch(&broker, false);
    client.says([publish("q", "after")]);
    assert_eq!(broker.ready("watch"), 2);
}

#[test]
fn who_consumes_copies_as_well_as_messages_gets_each_copy_once() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    switch(&broker, true);
    client.says([consume_with("watch", "w", "no-ack"), consume_with("q", "c", "no-ack")]);
    client.hears();

    client.says([publish("q", "a")]);

    let heard = client.hears();
    assert_eq!(heard, ["1 deliver 1 to c: a", "1 deliver 2 to w: a", "1 deliver 3 to w: a"]);
}

#[test]
fn copies_that_are_consumed_later_are_not_copied() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    switch(&broker, true);
    client.says([publish("nowhere", "a")]);

    client.says([consume_with("watch", "w", "no-ack")]);

    assert_eq!(client.hears(), ["1 consume-ok w", "1 deliver 1 to w: a"]);
}

#[test]
fn a_queue_of_copies_that_dead_letters_does_not_feed_itself() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    let mut watch = FieldTable::default();
    watch.insert("x-max-length".into(), AMQPValue::LongInt(1));
    watch.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("".into()));
    watch.insert("x-dead-letter-routing-key".into(), AMQPValue::LongString("dead".into()));
    client.says([
        declare("dead", ""),
        declare_with("watch", "", watch),
        bind("watch", "amq.rabbitmq.trace", "#"),
        consume_with("dead", "d", "no-ack"),
    ]);
    client.hears();
    switch(&broker, true);

    client.says([publish("nowhere", "a"), publish("nowhere", "b")]);

    assert_eq!(client.hears(), ["1 deliver 1 to d: a"]);
    assert_eq!(broker.ready("watch"), 1);
}

#[test]
fn a_queue_of_copies_that_is_durable_keeps_none_of_them() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client_of(["watch"]);
    client.says([bind("watch", "amq.rabbitmq.trace", "#")]);
    switch(&broker, true);

    client.says([keep("nowhere", "a")]);

    assert_eq!(broker.ready("watch"), 1);
    assert!(broker.commits().kept().is_empty());
}
