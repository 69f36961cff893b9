//! Direct reply-to, without sockets.

use super::frames::*;
use super::*;
use crate::amqp::wire::properties::PropertiesView;
use crate::limits;

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// A client that consumes replies as `me`.
fn requester(broker: &BrokerUnderTest) -> ClientUnderTest {
    let mut client = broker.client();
    client.says([declare("work", ""), consume_with(REPLY_TO, "me", "no-ack")]);
    assert_eq!(client.hears(), ["1 declare-ok work 0 0", "1 consume-ok me"]);
    client
}

/// Where the request that lies in `work` wants its answer.
fn answer_address(broker: &BrokerUnderTest) -> String {
    let mut turn = broker.broker().begin_turn();
    let (entry, _) = broker.queue("work").unwrap().get(true, &mut turn).message().unwrap();
    turn.finish(broker.broker());
    let properties = PropertiesView::assume_checked(entry.message.header());
    String::from_utf8(properties.reply_to().unwrap().to_vec()).unwrap()
}

/// The requester asks; returns where the answer must go.
fn asks(broker: &BrokerUnderTest, client: &mut ClientUnderTest) -> String {
    client.says([request("work", REPLY_TO, "question")]);
    answer_address(broker)
}

#[test]
fn an_answer_goes_straight_to_the_requester() {
    let broker = BrokerUnderTest::new();
    let (mut client, mut responder) = (requester(&broker), broker.client());
    let address = asks(&broker, &mut client);
    assert!(address.starts_with("amq.rabbitmq.reply-to.") && address.len() > REPLY_TO.len() + 20);

    responder.says([publish(&address, "one"), publish(&address, "two")]);

    assert_eq!(client.hears(), ["1 reply 1 to me: one", "1 reply 2 to me: two"]);
}

#[test]
fn another_channel_may_not_ask_for_replies_here() {
    let broker = BrokerUnderTest::new();
    let mut client = requester(&broker);
    client.says([open_channel().on(2), request("work", REPLY_TO, "question").on(2)]);

    let refused = "2 close 406 PRECONDITION_FAILED - fast reply consumer does not exist";
    assert_eq!(client.hears(), ["2 open-ok", refused]);
}

#[test]
fn a_cancelled_reply_consumer_neither_asks_nor_hears() {
    let broker = BrokerUnderTest::new();
    let (mut client, mut responder) = (requester(&broker), broker.client());
    let address = asks(&broker, &mut client);
    client.says([cancel("me")]);
    responder.says([publish_to("", &address, "late", "mandatory")]);
    assert_eq!(responder.hears(), ["1 return late"]);

    client.says([request("work", REPLY_TO, "question")]);

    let refused = "1 close 406 PRECONDITION_FAILED - fast reply consumer does not exist";
    assert_eq!(client.hears(), ["1 cancel-ok me", refused]);
}

#[test]
fn the_way_to_a_requester_is_not_remembered() {
    let broker = BrokerUnderTest::new();
    let (mut client, mut responder) = (requester(&broker), broker.client());
    let address = asks(&broker, &mut client);
    responder.says([publish(&address, "in time")]);
    client.says([cancel("me")]);

    responder.says([publish_to("", &address, "late", "mandatory")]);

    assert_eq!(responder.hears(), ["1 return late"]);
    assert_eq!(client.hears(), ["1 reply 1 to me: in time", "1 cancel-ok me"]);
}

#[test]
fn who_replaces_a_requester_does_not_get_its_answers() {
    let broker = BrokerUnderTest::new();
    let (mut client, mut responder) = (requester(&broker), broker.client());
    let address = asks(&broker, &mut client);
    responder.says([tx_select(), publish(&address, "late")]);
    client.says([close_channel(), open_channel(), consume_with(REPLY_TO, "me", "no-ack")]);

    responder.says([tx_commit()]);

    assert_eq!(client.hears(), ["1 close-ok", "1 open-ok", "1 consume-ok me"]);
}

#[test]
fn an_answer_to_who_has_left_is_unroutable() {
    let broker = BrokerUnderTest::new();
    let (mut client, mut responder) = (requester(&broker), broker.client());
    let address = asks(&broker, &mut client);
    client.vanishes();

    responder.says([confirm_select(), publish_to("", &address, "late", "mandatory")]);

    assert_eq!(responder.hears(), ["1 confirm-select-ok", "1 return late", "1 confirm 1"]);
}

#[test]
fn an_answer_is_routed_and_confirmed_even_if_it_is_dropped() {
    let broker = BrokerUnderTest::new();
    let (mut client, mut responder) = (requester(&broker), broker.client());
    let address = asks(&broker, &mut client);
    responder.says([confirm_select()]);
    responder.hears();

    let count = limits::OUTBOX_REPLY_ITEMS + 100;
    for _ in 0..count {
        responder.says([publish_to("", &address, "answer", "mandatory")]);
    }

    assert_eq!(responder.hears().len(), count, "every one is confirmed, none returned");
    assert_eq!(client.hears().len(), limits::OUTBOX_REPLY_ITEMS);
}

#[test]
fn an_answer_in_a_transaction_is_sent_by_its_commit() {
    let broker = BrokerUnderTest::new();
    let (mut client, mut responder) = (requester(&broker), broker.client());
    let address = asks(&broker, &mut client);

    responder.says([tx_select(), publish(&address, "rolled back"), tx_rollback()]);
    responder.says([publish(&address, "committed")]);
    assert!(client.hears().is_empty());
    responder.says([tx_commit()]);

    assert_eq!(client.hears(), ["1 reply 1 to me: committed"]);
}

#[test]
fn a_responder_can_ask_whether_somebody_still_waits() {
    let broker = BrokerUnderTest::new();
    let (mut client, mut responder) = (requester(&broker), broker.client());
    let address = asks(&broker, &mut client);
    responder.says([declare(REPLY_TO, ""), declare(&address, ""), declare(&address, "passive")]);
    let found = format!("1 declare-ok {address} 0 1");
    assert_eq!(responder.hears(), [&*format!("1 declare-ok {REPLY_TO} 0 1"), &found, &found]);

    client.says([cancel("me")]);
    responder.says([declare(&address, "")]);

    let gone = format!("1 close 404 NOT_FOUND - no queue '{address}' in vhost '/'");
    assert_eq!(responder.hears(), [gone]);
}

#[test]
fn a_reply_consumer_acknowledges_nothing_and_is_alone_on_its_channel() {
    let refused = |said: Said| {
        let broker = BrokerUnderTest::new();
        let mut client = requester(&broker);
        client.says([said]);
        client.hears()
    };
    let close = "1 close 406 PRECONDITION_FAILED - reply consumer";
    assert_eq!(refused(consume(REPLY_TO, "other")), [format!("{close} cannot acknowledge")]);
    let second = consume_with(REPLY_TO, "other", "no-ack");
    assert_eq!(refused(second), [format!("{close} already set")]);
    let reused = "0 close 530 NOT_ALLOWED - attempt to reuse consumer tag 'me'";
    assert_eq!(refused(consume_with("work", "me", "no-ack")), [reused]);
}

#[test]
fn the_pseudo_queue_cannot_be_bound_or_polled_and_counts_as_deleted() {
    let broker = BrokerUnderTest::new();
    let mut client = requester(&broker);
    client.says([delete(REPLY_TO), open_channel().on(2), open_channel().on(3)]);
    client.hears();

    client.says([bind(REPLY_TO, "amq.direct", "").on(2), get(REPLY_TO).on(3)]);

    let cannot = "cannot bind or unbind to a volatile (direct reply-to) queue";
    assert_eq!(
        client.hears(),
        [
            format!("2 close 403 ACCESS_REFUSED - {cannot}"),
            format!("3 close 404 NOT_FOUND - no queue '{REPLY_TO}' in vhost '/'"),
        ]
    );
}

#[test]
fn an_ordinary_reply_to_passes_unchanged() {
    let broker = BrokerUnderTest::new();
    let mut client = requester(&broker);
    client.says([request("work", "replies", "question")]);
    assert_eq!(answer_address(&broker), "replies");
}
