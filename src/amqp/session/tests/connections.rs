//! How connections end, and what they leave behind.

use amq_protocol::types::AMQPValue;

use super::frames::*;
use super::*;
use crate::amqp::session::clean_up;

#[test]
fn an_exclusive_queue_ends_with_its_connection() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("mine", "exclusive"), declare("ours", "")]);

    client.says([close_connection()]);

    assert_eq!(client.hears().last().unwrap(), "0 close-ok");
    assert!(broker.queue("mine").is_none());
    assert!(broker.queue("ours").is_some());
}

#[test]
fn an_exclusive_queue_ends_with_a_vanished_client_too() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("mine", "exclusive"), bind("mine", "amq.fanout", "")]);

    client.vanishes();

    assert!(broker.queue("mine").is_none());
    let exchange = broker.broker().vhost("/").unwrap().exchange("amq.fanout").unwrap();
    assert!(exchange.is_unused());
}

#[test]
fn an_exclusive_queue_is_locked_for_others() {
    let broker = BrokerUnderTest::new();
    let (mut owner, mut other) = (broker.client(), broker.client());
    owner.says([declare("mine", "exclusive")]);

    other.says([consume("mine", "thief")]);

    let heard = other.hears();
    assert!(heard[0].starts_with("1 close 405 RESOURCE_LOCKED - cannot obtain exclusive access"));
}

#[test]
fn what_a_vanished_client_had_does_not_go_through_its_other_channels_first() {
    for (first, second) in [(1, 2), (2, 1)] {
        let broker = BrokerUnderTest::new();
        let mut client = broker.client();
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(1));
        client.says([open_channel().on(2), declare_with("jobs", "durable", arguments)]);
        broker.commits();
        client.says([consume("jobs", "one").on(first), keep("jobs", "a")]);
        client.says([consume("jobs", "two").on(second)]);

        client.vanishes();

        assert_eq!(broker.ready("jobs"), 1, "it came back once, as often as it may");
    }
}

#[test]
fn a_vanished_client_gives_back_what_it_had_on_all_channels() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client_of(["jobs"]);
    client.says([keep("jobs", "a"), keep("jobs", "b"), open_channel().on(2)]);
    client.says([get("jobs"), qos(1, false).on(2), consume("jobs", "worker").on(2)]);
    assert_eq!(broker.ready("jobs"), 0);

    client.vanishes();
    client.vanishes();

    assert_eq!(broker.ready("jobs"), 2);
    assert_eq!(broker.queue("jobs").unwrap().counts().consumers, 0);
}

#[test]
fn what_was_published_before_the_socket_went_is_not_lost() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client_of(["jobs"]);
    let mut turn = client.broker.begin_turn();
    for (kind, payload) in keep("jobs", "a").frames {
        client.session.receive(Frame { kind, channel: 1, payload: &payload }, &mut turn);
    }
    turn.finish(&client.broker);

    client.vanishes();

    assert_eq!(broker.commits().kept(), ["a"]);
}

#[test]
fn an_auto_delete_queue_goes_when_its_consumers_connection_ends() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("temporary", "auto-delete"), consume("temporary", "reader")]);
    client.says([publish("temporary", "a")]);

    client.vanishes();

    assert!(broker.queue("temporary").is_none());
}

#[test]
fn a_commit_after_the_connection_is_gone_is_heard_by_nobody() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("jobs", "durable")]);
    client.vanishes();

    assert_eq!(broker.commits().definitions.len(), 1);

    assert!(client.hears().is_empty());
}

#[test]
fn a_connection_error_gives_back_what_the_connection_had() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("q", ""), publish("q", "a"), get("q")]);
    client.hears();

    let status = client.says([open_channel()]);

    assert!(matches!(status, Status::Closing(_)));
    assert_eq!(broker.ready("q"), 1);
    assert!(client.hears()[0].starts_with("0 close 504 CHANNEL_ERROR"));
}

#[test]
fn a_forced_close_says_why_and_answers_nothing_more() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.turn(|session, turn| session.force_close("maintenance", turn));
    client.says([declare("q", "")]);

    assert_eq!(client.hears(), ["0 close 320 CONNECTION_FORCED - maintenance"]);
    assert!(broker.queue("q").is_none());
}

#[test]
fn what_a_lost_session_had_is_given_back() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("q", ""), publish("q", "a"), publish("q", "b"), get("q")]);
    client.says([declare("mine", "exclusive"), consume("q", "worker")]);

    let mut turn = client.broker.begin_turn();
    clean_up(&client.outbox, &client.broker, &mut turn);
    turn.finish(&client.broker);

    assert!(broker.queue("mine").is_none());
    let counts = broker.queue("q").unwrap().counts();
    assert_eq!((counts.ready, counts.consumers), (2, 0));
}

#[test]
fn exclusive_queues_that_went_before_their_connection_do_not_gather() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    let mut queues = Vec::new();
    for _ in 0..100 {
        client.says([declare("reply", "exclusive auto-delete"), consume("reply", "reader")]);
        queues.push(Arc::downgrade(&broker.queue("reply").unwrap()));
        client.says([cancel("reader")]);
        assert!(broker.queue("reply").is_none());
    }

    let held = queues.iter().filter(|queue| queue.upgrade().is_some()).count();

    assert!(held < 10, "the connection holds on to {held}");
}
