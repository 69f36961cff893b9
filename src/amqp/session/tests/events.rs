//! The event exchange without sockets: alarms, order, and who listens.

use super::frames::*;
use super::*;
use crate::broker::alarms::Alarm;

const EXCHANGE: &str = "amq.rabbitmq.event";

fn broker() -> BrokerUnderTest {
    let broker = BrokerUnderTest::new();
    broker.broker().publish_events(&broker.broker().vhost("/").unwrap());
    broker
}

/// The routing keys of the messages in `watch`, which are taken.
fn told(broker: &BrokerUnderTest) -> Vec<String> {
    let queue = broker.queue("watch").unwrap();
    let mut turn = broker.broker().begin_turn();
    let events = std::iter::from_fn(|| queue.get(true, &mut turn).message());
    let keys = events.map(|(entry, _)| entry.message.routing_key().to_vec());
    let told = keys.map(|key| String::from_utf8(key).unwrap()).collect();
    turn.finish(broker.broker());
    told
}

#[test]
fn alarms_are_told_without_anybodys_turn() {
    let broker = broker();
    let mut client = broker.client();
    client.says([declare("watch", ""), bind("watch", EXCHANGE, "alarm.*")]);
    for raised in [true, true, false] {
        broker.broker().alarms().set(Alarm::Disk, raised);
    }

    broker.broker().publish_pending_events();

    assert_eq!(broker.ready("watch"), 2, "an alarm that is raised already is no news");
    assert_eq!(told(&broker), ["alarm.set", "alarm.cleared"]);
}

#[test]
fn what_happened_before_somebody_listens_is_not_told() {
    let broker = broker();
    let mut client = broker.client();
    client.says([declare("before", ""), declare("watch", ""), bind("watch", EXCHANGE, "queue.*")]);

    client.says([declare("after", "")]);

    assert_eq!(told(&broker), ["queue.created"]);
}

#[test]
fn events_of_a_turn_are_told_in_the_order_in_which_they_happened() {
    let broker = broker();
    let mut client = broker.client();
    client.says([declare("watch", ""), bind("watch", EXCHANGE, "#")]);

    client.says([
        declare("q", ""),
        bind("q", "amq.fanout", ""),
        unbind("q", "amq.fanout", ""),
        delete("q"),
    ]);

    let expected =
        ["binding.created", "queue.created", "binding.created", "binding.deleted", "queue.deleted"];
    assert_eq!(told(&broker), expected);
}

#[test]
fn the_end_of_a_connection_is_told_once() {
    let broker = broker();
    let mut client = broker.client();
    client.says([declare("watch", ""), bind("watch", EXCHANGE, "connection.*")]);
    let mut other = broker.client();

    other.says([close_connection()]);
    other.vanishes();
    other.vanishes();

    assert_eq!(told(&broker), ["connection.created", "connection.closed"]);
}
