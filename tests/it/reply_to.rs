//! Direct reply-to: requests and answers without a reply queue.

use crate::support::{Delivery, Field, Login, RawPeer, TestBroker, method, properties, unique};

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// Consumes replies as `me` on channel 1.
fn awaits_replies(peer: &mut RawPeer) {
    let consume = method("basic.consume").set("queue", REPLY_TO).set("consumer_tag", "me");
    peer.asks(1, &consume.on("no_ack"), "basic.consume-ok");
}

/// A requester, and the address that its question to a queue carries.
fn requester_and_address(broker: &TestBroker) -> (RawPeer, String) {
    let mut peer = RawPeer::connect(broker);
    awaits_replies(&mut peer);
    let address = asks(&mut peer);
    (peer, address)
}

/// Sends a question; the address it carries when it arrives.
fn asks(peer: &mut RawPeer) -> String {
    let queue = unique("work");
    peer.has_queue(1, &queue);
    let with = properties().content_type("text/plain").correlation_id("7").reply_to(REPLY_TO);
    peer.publishes_with(1, &queue, &with, b"question");
    let question = peer.gets(1, &queue).unwrap();
    address_in(&question)
}

/// The `reply_to` of a message that has content type, correlation id and `reply_to`.
fn address_in(question: &Delivery) -> String {
    let mut rest = &question.properties[2..];
    let mut texts = Vec::new();
    while let Some((length, values)) = rest.split_first() {
        let (text, after) = values.split_at(usize::from(*length));
        texts.push(String::from_utf8(text.to_vec()).unwrap());
        rest = after;
    }
    assert_eq!(texts[..2], ["text/plain", "7"], "the other properties are untouched");
    texts.swap_remove(2)
}

#[test]
fn an_answer_arrives_as_a_delivery_from_the_default_exchange() {
    let broker = TestBroker::start();
    let (mut peer, address) = requester_and_address(&broker);
    let mut responder = RawPeer::connect(&broker);

    let with = properties().correlation_id("7");
    responder.publishes_with(1, &address, &with, b"answer");

    let answer = peer.delivery(1);
    let expected = method("basic.deliver").set("consumer_tag", "me").set("routing_key", &address);
    assert_eq!(answer.method, expected.set("delivery_tag", answer.tag()));
    assert_eq!((answer.text(), &answer.properties), ("answer", &with.encode()));
}

#[test]
fn the_address_tells_nothing_and_is_another_for_every_consumer() {
    let broker = TestBroker::start();
    let (_one, address) = requester_and_address(&broker);
    let (_other, another) = requester_and_address(&broker);

    let token = address.strip_prefix("amq.rabbitmq.reply-to.").unwrap();
    assert!(token.len() >= 22, "128 bits need 22 characters: {token}");
    assert_ne!(address, another);
}

#[test]
fn hidden_routing_keys_are_hidden_from_the_requester() {
    let broker = TestBroker::start();
    let (mut peer, address) = requester_and_address(&broker);
    let mut responder = RawPeer::connect(&broker);
    let keys = Field::Array(vec!["elsewhere".into()]);

    let with = properties().headers(&table! { "BCC" => keys }).correlation_id("7");
    responder.publishes_with(1, &address, &with, b"answer");

    let without = properties().headers(&table! {}).correlation_id("7");
    assert_eq!(peer.delivery(1).properties, without.encode());
}

#[test]
fn an_answer_may_be_a_copy_for_a_queue_too_even_one_that_is_full() {
    let broker = TestBroker::start();
    let (mut peer, address) = requester_and_address(&broker);
    let mut responder = RawPeer::connect(&broker);
    let full = unique("full");
    let arguments = table! { "x-max-length" => 0, "x-overflow" => "reject-publish" };
    let declare = method("queue.declare").set("queue", &full).set("arguments", arguments);
    responder.asks(1, &declare.on("exclusive"), "queue.declare-ok");
    let keys = Field::Array(vec![address.as_str().into()]);

    let with = properties().headers(&table! { "CC" => keys });
    responder.publishes_with(1, &full, &with, b"answer");

    assert_eq!(peer.delivery(1).text(), "answer");
}

#[test]
fn an_answer_of_many_frames_arrives_whole() {
    let broker = TestBroker::start();
    let (mut peer, address) = requester_and_address(&broker);
    let mut responder = RawPeer::connect(&broker);

    responder.publishes(1, &address, &"x".repeat(500_000));

    assert_eq!(peer.delivery(1).body.len(), 500_000);
}

#[test]
fn answers_are_confirmed() {
    let broker = TestBroker::start();
    let (mut peer, address) = requester_and_address(&broker);
    let mut responder = RawPeer::connect(&broker);
    responder.selects_confirms(1);

    responder.publishes(1, &address, "answer");

    responder.is_confirmed(1, 1);
    assert_eq!(peer.delivery(1).text(), "answer");
}

/// RabbitMQ 4: an answer is a message like others. 3.10 sends it when it is published.
#[test]
fn an_answer_in_a_transaction_comes_with_its_commit() {
    let broker = TestBroker::own();
    let (mut peer, address) = requester_and_address(&broker);
    let mut responder = RawPeer::connect(&broker);
    responder.asks(1, &method("tx.select"), "tx.select-ok");
    responder.publishes(1, &address, "in the transaction");
    responder.asks(1, &method("basic.qos"), "basic.qos-ok");

    responder.opens(2);
    responder.publishes(2, &address, "beside it");
    assert_eq!(peer.delivery(1).text(), "beside it");

    responder.asks(1, &method("tx.commit"), "tx.commit-ok");
    assert_eq!(peer.delivery(1).text(), "in the transaction");
}

#[test]
fn an_answer_to_a_requester_that_has_left_comes_back_if_it_is_mandatory() {
    let broker = TestBroker::start();
    let (peer, address) = requester_and_address(&broker);
    let mut responder = RawPeer::connect(&broker);
    peer.leaves();

    let late = method("basic.publish").set("routing_key", &address).on("mandatory");
    responder.sends_content(1, &late, &properties(), b"late");

    let back = responder.takes(1, "basic.return");
    assert_eq!(responder.content(1, back).text(), "late");
}

#[test]
fn a_mandatory_answer_to_a_requester_that_waits_does_not_come_back() {
    let broker = TestBroker::own();
    let (mut peer, address) = requester_and_address(&broker);
    let mut responder = RawPeer::connect(&broker);
    responder.selects_confirms(1);

    let answer = method("basic.publish").set("routing_key", &address).on("mandatory");
    responder.sends_content(1, &answer, &properties(), b"answer");

    responder.is_confirmed(1, 1);
    assert_eq!(peer.delivery(1).text(), "answer");
}

#[test]
fn a_declare_tells_whether_the_requester_still_waits() {
    let broker = TestBroker::start();
    let (mut peer, address) = requester_and_address(&broker);
    let mut responder = RawPeer::connect(&broker);
    assert_eq!(responder.counts(1, REPLY_TO), (0, 1));
    assert_eq!(responder.counts(1, &address), (0, 1));

    let cancel = method("basic.cancel").set("consumer_tag", "me");
    peer.asks(1, &cancel, "basic.cancel-ok");

    assert!(!responder.sees_queue(&address));
}

#[test]
fn requests_need_a_reply_consumer_on_their_own_channel() {
    let broker = TestBroker::start();
    let (mut peer, _) = requester_and_address(&broker);
    peer.opens(2);
    peer.publishes_with(2, "nowhere", &properties().reply_to(REPLY_TO), b"");
    let text = "PRECONDITION_FAILED - fast reply consumer does not exist";
    peer.is_refused(2, "basic.publish", 406, text);

    let cancel = method("basic.cancel").set("consumer_tag", "me");
    peer.asks(1, &cancel, "basic.cancel-ok");
    peer.publishes_with(1, "nowhere", &properties().reply_to(REPLY_TO), b"");
    peer.is_refused(1, "basic.publish", 406, text);
}

#[test]
fn a_cancelled_reply_consumer_can_be_followed_by_another() {
    let broker = TestBroker::start();
    let (mut peer, address) = requester_and_address(&broker);
    let cancel = method("basic.cancel").set("consumer_tag", "me");
    peer.asks(1, &cancel, "basic.cancel-ok");
    awaits_replies(&mut peer);
    let another = asks(&mut peer);

    peer.publishes(1, &address, "to the first");
    peer.publishes(1, &another, "to the second");

    assert_eq!(peer.delivery(1).text(), "to the second");
}

#[test]
fn reply_consumers_acknowledge_nothing_and_are_alone_on_their_channel() {
    let broker = TestBroker::start();
    let mut peer = RawPeer::connect(&broker);
    let consume = method("basic.consume").set("queue", REPLY_TO);
    peer.sends(1, &consume);
    let text = "PRECONDITION_FAILED - reply consumer cannot acknowledge";
    peer.is_refused(1, "basic.consume", 406, text);

    peer.opens(1);
    awaits_replies(&mut peer);
    peer.sends(1, &consume.on("no_ack"));
    peer.is_refused(1, "basic.consume", 406, "PRECONDITION_FAILED - reply consumer already set");
}

#[test]
fn the_pseudo_queue_is_no_queue() {
    let broker = TestBroker::start();
    let mut peer = RawPeer::connect(&broker);
    let deleted = peer.asks(1, &method("queue.delete").set("queue", REPLY_TO), "queue.delete-ok");
    assert_eq!(deleted.number("message_count"), 0);
    peer.sends(1, &method("basic.get").set("queue", REPLY_TO));
    let text = format!("NOT_FOUND - no queue '{REPLY_TO}' in vhost '/'");
    peer.is_refused(1, "basic.get", 404, &text);
}

#[test]
fn the_pseudo_queue_cannot_be_bound() {
    let mut peer = RawPeer::connect(&TestBroker::own());
    let bind = method("queue.bind").set("queue", REPLY_TO).set("exchange", "amq.direct");
    peer.sends(1, &bind);
    let text = "ACCESS_REFUSED - cannot bind or unbind to a volatile (direct reply-to) queue";
    peer.is_refused(1, "queue.bind", 403, text);
}

#[test]
fn an_address_of_another_virtual_host_is_unknown() {
    let broker = TestBroker::with_config("vhosts = [\"/\", \"other\"]\n");
    let (mut peer, address) = requester_and_address(&broker);
    let mut stranger =
        RawPeer::connect_with(&broker, &Login { vhost: "other", ..Login::default() });
    stranger.opens(1);
    assert!(!stranger.sees_queue(&address));
    stranger.publishes(1, &address, "from elsewhere");
    stranger.asks(1, &method("basic.qos"), "basic.qos-ok");

    peer.publishes(1, &address, "from here");

    assert_eq!(peer.delivery(1).text(), "from here");
}
