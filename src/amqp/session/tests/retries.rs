//! Which returns are failures, for queues that delay one kind or the other.

use amq_protocol::types::AMQPValue;

use super::frames::*;
use super::*;

/// A client that holds the only message of `jobs`, which delays such returns for an hour.
fn client_holding(broker: &BrokerUnderTest, retry_type: &str) -> ClientUnderTest {
    let mut arguments = FieldTable::default();
    arguments.insert("x-delayed-retry-type".into(), AMQPValue::LongString(retry_type.into()));
    arguments.insert("x-delayed-retry-min".into(), AMQPValue::LongInt(3_600_000));
    let mut client = broker.client();
    client.says([declare_with("jobs", "", arguments), publish("jobs", "a"), get("jobs")]);
    assert_eq!(client.hears()[1..], ["1 get-ok 1: a, 0 left"]);
    client
}

/// Who gives the message back like this has failed with it, or has not.
#[track_caller]
fn assert_failure(is_failure: bool, gives_back: impl Fn(&mut ClientUnderTest)) {
    for (retry_type, delayed) in
        [("failed", is_failure), ("returned", !is_failure), ("all", true), ("disabled", false)]
    {
        let broker = BrokerUnderTest::new();
        let mut client = client_holding(&broker, retry_type);
        gives_back(&mut client);
        assert_eq!(broker.ready("jobs"), usize::from(!delayed), "{retry_type}");
    }
}

#[test]
fn to_reject_a_message_is_a_failure() {
    assert_failure(true, |client| {
        client.says([reject(1)]);
    });
}

#[test]
fn to_nack_a_message_is_to_hand_it_back() {
    assert_failure(false, |client| {
        client.says([requeue(1)]);
    });
}

#[test]
fn to_recover_is_to_hand_everything_back() {
    assert_failure(false, |client| {
        client.says([recover()]);
    });
}

#[test]
fn to_close_the_channel_is_a_failure() {
    assert_failure(true, |client| {
        client.says([close_channel()]);
    });
}

#[test]
fn to_be_closed_is_a_failure() {
    assert_failure(true, |client| {
        client.says([ack(99)]);
    });
}

#[test]
fn to_lose_the_connection_is_a_failure() {
    assert_failure(true, ClientUnderTest::vanishes);
}

#[test]
fn a_transaction_remembers_how_each_message_came_back() {
    for (give_back, is_failure) in [(reject as fn(u64) -> Said, true), (requeue, false)] {
        assert_failure(is_failure, |client| {
            client.says([tx_select(), give_back(1), tx_commit()]);
        });
    }
}
