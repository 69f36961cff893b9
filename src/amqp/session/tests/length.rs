//! Queues that refuse publishes.

use super::frames::*;
use super::*;

/// A client with the durable queues `jobs` and, with room for one message, `full`.
fn client(broker: &BrokerUnderTest) -> ClientUnderTest {
    let mut client = broker.client_of(["jobs"]);
    client.says([declare_rejecting("full", "durable", 1)]);
    broker.commits();
    client.hears();
    client
}

fn publisher(broker: &BrokerUnderTest) -> ClientUnderTest {
    let mut client = client(broker);
    client.says([confirm_select()]);
    client.hears();
    client
}

#[test]
fn a_refused_publish_is_answered_in_its_place() {
    let broker = BrokerUnderTest::new();
    let mut client = publisher(&broker);

    client.says([
        publish("jobs", "a"),
        publish("full", "b"),
        publish("full", "c"),
        publish("jobs", "d"),
        publish("jobs", "e"),
    ]);

    assert_eq!(client.hears(), ["1 confirm up to 2", "1 refuse 3", "1 confirm up to 5"]);
    assert_eq!((broker.ready("jobs"), broker.ready("full")), (3, 1));
}

#[test]
fn a_refusal_waits_behind_a_publish_that_waits_for_the_disk() {
    let broker = BrokerUnderTest::new();
    let mut client = publisher(&broker);
    client.says([keep("full", "a")]);
    client.says([keep("full", "b")]);
    assert!(client.hears().is_empty());

    assert_eq!(broker.commits().kept(), ["a"]);

    assert_eq!(client.hears(), ["1 confirm 1", "1 refuse 2"]);
}

#[test]
fn a_refusal_does_not_wait_for_the_disk_by_itself() {
    let broker = BrokerUnderTest::new();
    let mut client = publisher(&broker);
    client.says([publish("full", "a"), keep("full", "b")]);
    assert_eq!(client.hears(), ["1 confirm 1", "1 refuse 2"]);
}

#[test]
fn one_queue_that_refuses_makes_it_a_refusal_and_the_others_keep_the_message() {
    let broker = BrokerUnderTest::new();
    let mut client = publisher(&broker);
    client.says([
        bind("full", "amq.direct", "key"),
        bind("jobs", "amq.direct", "key"),
        publish("full", "there already"),
    ]);
    broker.commits();
    client.hears();

    client.says([publish_to("amq.direct", "key", "b", "")]);

    assert_eq!(client.hears(), ["1 refuse 2"]);
    assert_eq!((broker.ready("jobs"), broker.ready("full")), (1, 1));
}

#[test]
fn without_confirms_a_refused_publish_is_dropped_silently() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    client.says([publish("full", "a"), publish_to("", "full", "b", "mandatory")]);
    assert!(client.hears().is_empty());
    assert_eq!(broker.ready("full"), 1);
}

#[test]
fn publishes_to_a_queue_that_rejects_do_not_overtake_others() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    client.says([bind("jobs", "amq.direct", "key"), bind("full", "amq.direct", "key")]);
    broker.commits();
    client.hears();

    client.says([
        publish("jobs", "a"),
        publish_to("amq.direct", "key", "b", ""),
        publish("jobs", "c"),
        consume("jobs", "worker"),
    ]);

    let heard = client.hears();
    let delivered =
        ["1 deliver 1 to worker: a", "1 deliver 2 to worker: b", "1 deliver 3 to worker: c"];
    assert_eq!(heard[heard.len() - 3..], delivered);
}

#[test]
fn a_commit_with_more_than_a_queue_takes_applies_nothing() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    client.says([publish("jobs", "there already"), tx_select(), get("jobs"), ack(1)]);
    client.says([publish("jobs", "a"), publish("full", "b"), publish("full", "c")]);
    client.says([publish_to("", "nowhere", "d", "mandatory")]);
    client.hears();

    client.says([tx_commit()]);

    assert_eq!(client.hears(), ["1 close 406 PRECONDITION_FAILED - partial tx completion"]);
    assert_eq!(broker.ready("full"), 0);
    // The acknowledged one came back when the channel closed.
    assert_eq!(broker.ready("jobs"), 1);
}

#[test]
fn a_commit_of_as_much_as_a_queue_takes_succeeds() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    client.says([tx_select(), publish("jobs", "a"), publish("full", "b"), tx_commit()]);
    assert_eq!(client.hears(), ["1 tx-select-ok", "1 commit-ok"]);
    assert_eq!((broker.ready("jobs"), broker.ready("full")), (1, 1));
}
