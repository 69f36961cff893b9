//! The firehose as it is switched, and where it could go round in circles.

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
fn a_queue_of_copies_that_is_durable_keeps_none_of_them() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client_of(["watch"]);
    client.says([bind("watch", "amq.rabbitmq.trace", "#")]);
    switch(&broker, true);

    client.says([keep("nowhere", "a")]);

    assert_eq!(broker.ready("watch"), 1);
    assert!(broker.commits().kept().is_empty());
}
