//! Publisher confirms.

use super::frames::*;
use super::*;

/// A client in confirm mode, and the durable queue `jobs`.
fn publisher(broker: &BrokerUnderTest) -> ClientUnderTest {
    let mut client = broker.client_of(["jobs"]);
    client.says([confirm_select()]);
    assert_eq!(client.hears(), ["1 confirm-select-ok"]);
    client
}

#[test]
fn a_transient_publish_is_confirmed_when_its_turn_ends() {
    let broker = BrokerUnderTest::new();
    let mut client = publisher(&broker);

    client.says([publish("jobs", "a")]);

    assert_eq!(client.hears(), ["1 confirm 1"]);
    assert_eq!(broker.ready("jobs"), 1);
}

#[test]
fn publishes_of_one_turn_are_confirmed_together() {
    let broker = BrokerUnderTest::new();
    let mut client = publisher(&broker);

    client.says([publish("jobs", "a"), publish("jobs", "b"), publish("jobs", "c")]);
    client.says([publish("jobs", "d")]);

    assert_eq!(client.hears(), ["1 confirm up to 3", "1 confirm 4"]);
}

#[test]
fn a_persistent_publish_is_confirmed_only_when_it_is_on_disk() {
    let broker = BrokerUnderTest::new();
    let mut client = publisher(&broker);
    client.says([keep("jobs", "a")]);
    assert!(client.hears().is_empty());

    assert_eq!(broker.commits().kept(), ["a"]);

    assert_eq!(client.hears(), ["1 confirm 1"]);
}

#[test]
fn a_publish_after_the_committer_took_its_work_is_not_confirmed_by_that_cycle() {
    let broker = BrokerUnderTest::new();
    let mut client = publisher(&broker);
    client.says([keep("jobs", "a")]);

    let first = broker.commits_with(|| {
        client.says([keep("jobs", "b")]);
    });

    assert_eq!(first.kept(), ["a", "b"], "collected already");
    assert_eq!(client.hears(), ["1 confirm 1"], "but not vouched for");
    broker.commits();
    assert_eq!(client.hears(), ["1 confirm 2"]);
}

#[test]
fn a_transient_publish_never_overtakes_a_persistent_one() {
    let broker = BrokerUnderTest::new();
    let mut client = publisher(&broker);
    client.says([keep("jobs", "a")]);
    client.says([publish("jobs", "b")]);
    assert!(client.hears().is_empty());

    broker.commits();

    assert_eq!(client.hears(), ["1 confirm 1", "1 confirm 2"]);
}

#[test]
fn channels_are_confirmed_independently() {
    let broker = BrokerUnderTest::new();
    let mut client = publisher(&broker);
    client.says([open_channel().on(2), confirm_select().on(2)]);
    client.hears();

    client.says([keep("jobs", "a"), publish("jobs", "b").on(2)]);

    assert_eq!(client.hears(), ["2 confirm 1"]);
    broker.commits();
    assert_eq!(client.hears(), ["1 confirm 1"]);
}

#[test]
fn a_persistent_publish_that_no_durable_queue_keeps_is_confirmed_at_once() {
    let broker = BrokerUnderTest::new();
    let mut client = publisher(&broker);
    client.says([declare("notes", "")]);
    client.hears();

    client.says([keep("notes", "a"), keep("nowhere", "b")]);

    assert_eq!(client.hears(), ["1 confirm 1", "1 confirm 2"]);
}

#[test]
fn a_message_acknowledged_before_the_commit_is_confirmed_and_never_written() {
    let broker = BrokerUnderTest::new();
    let mut client = publisher(&broker);
    let mut worker = broker.client();
    worker.says([consume("jobs", "worker")]);
    client.says([keep("jobs", "a")]);
    worker.says([ack(1)]);

    assert!(broker.commits().kept().is_empty());

    assert_eq!(client.hears(), ["1 confirm 1"]);
}

#[test]
fn a_mandatory_message_without_a_queue_is_returned_before_its_confirm() {
    let broker = BrokerUnderTest::new();
    let mut client = publisher(&broker);

    client.says([publish_to("", "nowhere", "a", "mandatory persistent")]);

    assert_eq!(client.hears(), ["1 return a", "1 confirm 1"]);
}

#[test]
fn a_returned_message_is_not_confirmed_before_those_in_front_of_it() {
    let broker = BrokerUnderTest::new();
    let mut client = publisher(&broker);

    client.says([keep("jobs", "a"), publish_to("", "nowhere", "b", "mandatory")]);

    assert_eq!(client.hears(), ["1 return b"]);
    broker.commits();
    assert_eq!(client.hears(), ["1 confirm 1", "1 confirm 2"]);
}

#[test]
fn a_channel_counts_from_one_again_after_it_was_closed() {
    let broker = BrokerUnderTest::new();
    let mut client = publisher(&broker);
    client.says([publish("jobs", "a"), close_channel()]);
    client.hears();

    client.says([open_channel(), confirm_select(), publish("jobs", "b")]);

    assert_eq!(client.hears(), ["1 open-ok", "1 confirm-select-ok", "1 confirm 1"]);
}

#[test]
fn confirms_of_a_closed_channel_are_not_sent_to_its_successor() {
    let broker = BrokerUnderTest::new();
    let mut client = publisher(&broker);
    client.says([keep("jobs", "a")]);
    client.says([declare("nowhere", "passive")]);
    client.says([close_channel_ok(), open_channel(), confirm_select()]);
    assert_eq!(client.hears().len(), 3);

    broker.commits();

    assert!(client.hears().is_empty());
}

#[test]
fn confirm_mode_and_transactions_exclude_each_other() {
    let broker = BrokerUnderTest::new();
    let mut client = publisher(&broker);

    client.says([tx_select()]);

    let text = "1 close 406 PRECONDITION_FAILED - cannot switch from confirm to tx mode";
    assert_eq!(client.hears(), [text]);
}
