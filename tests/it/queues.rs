//! Queues: declaring, owning, counting, purging and deleting.

use crate::support::{Field, Method, RawPeer, Table, TestBroker, method, unique};

fn peer() -> RawPeer {
    RawPeer::connect(&TestBroker::start())
}

fn declare(queue: &str) -> Method {
    method("queue.declare").set("queue", queue)
}

fn declare_with(queue: &str, arguments: Table) -> Method {
    declare(queue).on("exclusive").set("arguments", arguments)
}

fn locked(queue: &str) -> String {
    format!(
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. It could be \
         originally declared on another connection or the exclusive property value does not match that of the \
         original declaration."
    )
}

#[test]
fn an_empty_name_is_filled_in_by_the_broker() {
    let mut peer = peer();
    let ok = peer.asks(1, &declare("").on("exclusive"), "queue.declare-ok");
    let name = ok.text("queue");
    assert!(name.starts_with("amq.gen-") && name.len() == 30, "{name}");
}

#[test]
fn an_empty_name_means_the_last_declared_queue() {
    let mut peer = peer();
    let ok = peer.asks(1, &declare("").on("exclusive"), "queue.declare-ok");
    let queue = ok.text("queue").to_owned();
    peer.asks(1, &method("queue.bind").set("exchange", "amq.direct"), "queue.bind-ok");
    peer.publishes_to(1, "amq.direct", &queue, "m");
    assert_eq!(peer.gets(1, "").unwrap().text(), "m");
    peer.asks(1, &method("queue.purge"), "queue.purge-ok");
    peer.consumes(1, "", "c");
    assert_eq!(peer.counts(1, &queue), (0, 1));
    peer.asks(1, &method("basic.cancel").set("consumer_tag", "c"), "basic.cancel-ok");
    peer.asks(1, &method("queue.delete"), "queue.delete-ok");
}

#[test]
fn without_a_last_declared_queue_an_empty_name_is_not_found() {
    let broker = TestBroker::start();
    for name in ["basic.get", "basic.consume", "queue.purge", "queue.delete", "queue.bind"] {
        let mut peer = RawPeer::connect(&broker);
        peer.sends(1, &method(name));
        peer.is_refused(1, name, 404, "NOT_FOUND - no previously declared queue");
    }
}

#[test]
fn declare_ok_counts_ready_messages_and_consumers() {
    let mut peer = peer();
    let queue = unique("counted");
    peer.has_queue(1, &queue);
    for body in ["a", "b", "c"] {
        peer.publishes(1, &queue, body);
    }
    peer.gets(1, &queue);
    assert_eq!(peer.counts(1, &queue), (2, 0));
    peer.prefetches(1, 1);
    peer.consumes(1, &queue, "c");
    peer.receives(1, &["b"]);
    assert_eq!(peer.counts(1, &queue), (1, 1));
}

#[test]
fn a_declaration_may_be_repeated_with_unknown_arguments_and_other_widths() {
    let mut peer = peer();
    let queue = unique("twice");
    peer.asks(1, &declare_with(&queue, table! { "x-max-length" => 100 }), "queue.declare-ok");
    let again = table! { "x-max-length" => 100_i64, "x-whatever" => true };
    peer.asks(1, &declare_with(&queue, again), "queue.declare-ok");
    let again = table! { "x-max-length" => Field::U8(100) };
    peer.asks(1, &declare_with(&queue, again), "queue.declare-ok");
}

#[test]
fn a_declaration_with_other_attributes_is_refused() {
    let broker = TestBroker::start();
    for (original, other, problem) in [
        (
            declare(""),
            declare("").on("durable"),
            "'durable'…received 'true' but current is 'false'",
        ),
        (
            declare("").on("durable"),
            declare(""),
            "'durable'…received 'false' but current is 'true'",
        ),
        (
            declare(""),
            declare("").on("auto_delete"),
            "'auto_delete'…received 'true' but current is 'false'",
        ),
        (
            declare(""),
            declare("").set("arguments", table! { "x-max-length" => 5 }),
            "'x-max-length'…received the value '5' of type 'signedint' but current is none",
        ),
        (
            declare("").set("arguments", table! { "x-max-length" => 5 }),
            declare(""),
            "'x-max-length'…received none but current is the value '5' of type 'signedint'",
        ),
        (
            declare("").set("arguments", table! { "x-max-length" => 5 }),
            declare("").set("arguments", table! { "x-max-length" => 6 }),
            "'x-max-length'…received '6' but current is '5'",
        ),
    ] {
        let mut peer = RawPeer::connect(&broker);
        let queue = unique("same");
        peer.asks(1, &original.set("queue", &queue), "queue.declare-ok");
        peer.sends(1, &other.set("queue", &queue));
        let problem = problem.replace('…', &format!(" for queue '{queue}' in vhost '/': "));
        let text = format!("PRECONDITION_FAILED - inequivalent arg {problem}");
        peer.is_refused(1, "queue.declare", 406, &text);
        peer.opens(1);
        peer.asks(1, &method("queue.delete").set("queue", &queue), "queue.delete-ok");
    }
}

#[test]
fn exclusive_outweighs_durable() {
    let mut peer = peer();
    let queue = unique("mine");
    peer.has_queue(1, &queue);
    peer.asks(1, &declare(&queue).on("exclusive").on("durable"), "queue.declare-ok");
}

#[test]
fn reserved_names_cannot_be_declared() {
    let mut peer = peer();
    peer.sends(1, &declare("amq.foo"));
    let text = "ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'";
    peer.is_refused(1, "queue.declare", 403, text);
}

#[test]
fn passive_looks_at_the_name_only() {
    let mut peer = peer();
    let queue = unique("looked-at");
    peer.has_queue(1, &queue);
    let other = declare_with(&queue, table! { "x-max-length" => 5 }).on("durable").on("passive");
    peer.asks(1, &other, "queue.declare-ok");
    peer.sends(1, &declare("").on("passive"));
    peer.is_refused(1, "queue.declare", 404, "NOT_FOUND - no queue '' in vhost '/'");
}

#[test]
fn line_breaks_are_stripped_from_names() {
    let mut peer = peer();
    let queue = unique("lines");
    let ok = peer.asks(1, &declare(&format!("{queue}\r\n")).on("exclusive"), "queue.declare-ok");
    assert_eq!(ok.text("queue"), queue);
}

#[test]
fn arguments_are_checked() {
    let broker = TestBroker::start();
    for (argument, value, problem) in [
        ("x-message-ttl", Field::from("5"), "\"expected integer, got longstr\""),
        ("x-message-ttl", Field::from(-1), "{value_negative,-1}"),
        ("x-expires", Field::from(0), "{value_zero,0}"),
        ("x-max-length", Field::from(-1), "{value_negative,-1}"),
        ("x-max-length-bytes", Field::Bool(true), "\"expected integer, got bool\""),
        ("x-max-priority", Field::from(256), "{max_value_exceeded,256}"),
        ("x-dead-letter-routing-key", Field::from("k"), "routing_key_but_no_dlx_defined"),
        ("x-overflow", Field::from("spill"), "invalid_overflow"),
        ("x-overflow", Field::from(5), "{unacceptable_type,signedint}"),
        ("x-single-active-consumer", Field::from("yes"), "{unacceptable_type,longstr}"),
        ("x-queue-type", Field::from("bogus"), "\"unsupported queue type 'bogus'\""),
    ] {
        let mut peer = RawPeer::connect(&broker);
        let queue = unique("checked");
        let arguments = Table(vec![(argument.to_owned(), value)]);
        peer.sends(1, &declare_with(&queue, arguments));
        let text = format!(
            "PRECONDITION_FAILED - invalid arg '{argument}' for queue '{queue}' in vhost '/': {problem}"
        );
        peer.is_refused(1, "queue.declare", 406, &text);
    }
}

#[test]
fn a_dead_letter_exchange_is_named_by_a_string() {
    let mut peer = peer();
    let queue = unique("dlx");
    peer.sends(1, &declare_with(&queue, table! { "x-dead-letter-exchange" => 5 }));
    let text = format!(
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue '{queue}' in vhost '/'"
    );
    peer.is_refused(1, "queue.declare", 406, &text);
}

#[test]
fn an_exclusive_queue_is_closed_to_other_connections() {
    let broker = TestBroker::start();
    let mut owner = RawPeer::connect(&broker);
    let queue = unique("owned");
    owner.has_queue(1, &queue);
    for operation in [
        method("queue.declare"),
        method("queue.declare").on("exclusive"),
        method("queue.declare").on("passive"),
        method("basic.consume"),
        method("basic.get"),
        method("queue.purge"),
        method("queue.delete"),
        method("queue.bind").set("exchange", "amq.fanout"),
    ] {
        let mut other = RawPeer::connect(&broker);
        other.sends(1, &operation.clone().set("queue", &queue));
        other.is_refused(1, operation.name, 405, &locked(&queue));
    }
}

#[test]
fn anyone_may_publish_to_an_exclusive_queue() {
    let broker = TestBroker::start();
    let mut owner = RawPeer::connect(&broker);
    let queue = unique("owned");
    owner.has_queue(1, &queue);
    let mut other = RawPeer::connect(&broker);
    other.selects_confirms(1);
    other.publishes(1, &queue, "hello");
    other.is_confirmed_up_to(1, 1);
    assert_eq!(owner.drains(1, &queue), ["hello"]);
}

#[test]
fn exclusiveness_cannot_be_changed() {
    let mut peer = peer();
    let queue = unique("owned");
    peer.has_queue(1, &queue);
    peer.sends(1, &declare(&queue));
    peer.is_refused(1, "queue.declare", 405, &locked(&queue));
}

#[test]
fn an_exclusive_queue_is_gone_when_close_is_answered() {
    let broker = TestBroker::start();
    let mut owner = RawPeer::connect(&broker);
    let queue = unique("owned");
    owner.has_queue(1, &queue);
    owner.leaves();
    assert!(!RawPeer::connect(&broker).sees_queue(&queue));
}

#[test]
fn an_exclusive_queue_goes_when_the_connection_is_lost() {
    let broker = TestBroker::start();
    let mut owner = RawPeer::connect(&broker);
    let queue = unique("owned");
    owner.has_queue(1, &queue);
    drop(owner);
    let mut other = RawPeer::connect(&broker);
    // Until then the queue is there and locked, which is a refusal too.
    crate::support::eventually(crate::support::PATIENCE, "the queue is gone", || {
        other.opens(2);
        other.sends(2, &declare(&queue).on("passive"));
        let code = other.takes(2, "channel.close").number("code");
        other.sends(2, &method("channel.close-ok"));
        code == 404
    });
}

#[test]
fn an_auto_delete_queue_goes_with_its_last_consumer() {
    let mut peer = peer();
    let queue = unique("auto");
    peer.asks(1, &declare(&queue).on("auto_delete"), "queue.declare-ok");
    peer.publishes(1, &queue, "a");
    peer.gets(1, &queue);
    assert!(peer.sees_queue(&queue), "basic.get is no consumer");
    peer.consumes(1, &queue, "one");
    peer.consumes(1, &queue, "two");
    peer.asks(1, &method("basic.cancel").set("consumer_tag", "one"), "basic.cancel-ok");
    assert!(peer.sees_queue(&queue));
    peer.asks(1, &method("basic.cancel").set("consumer_tag", "two"), "basic.cancel-ok");
    assert!(!peer.sees_queue(&queue));
}

#[test]
fn an_auto_delete_queue_goes_with_the_channel_of_its_consumer() {
    let mut peer = peer();
    let queue = unique("auto");
    peer.asks(1, &declare(&queue).on("auto_delete"), "queue.declare-ok");
    peer.opens(2);
    peer.consumes(2, &queue, "c");
    peer.asks(2, &method("channel.close").set("code", 200), "channel.close-ok");
    assert!(!peer.sees_queue(&queue));
}

#[test]
fn purge_removes_what_is_ready_and_nothing_else() {
    let mut peer = peer();
    let queue = unique("purged");
    peer.has_queue(1, &queue);
    for body in ["a", "b", "c"] {
        peer.publishes(1, &queue, body);
    }
    let held = peer.gets(1, &queue).unwrap();
    peer.sends(1, &method("queue.purge").set("queue", &queue));
    peer.expects(1, &method("queue.purge-ok").set("message_count", 2));
    peer.requeues(1, held.tag());
    assert_eq!(peer.drains(1, &queue), ["a"]);
}

#[test]
fn purging_a_missing_queue_is_not_found() {
    let mut peer = peer();
    peer.sends(1, &method("queue.purge").set("queue", "nope"));
    peer.is_refused(1, "queue.purge", 404, "NOT_FOUND - no queue 'nope' in vhost '/'");
}

#[test]
fn delete_counts_what_is_ready() {
    let mut peer = peer();
    let queue = unique("deleted");
    peer.has_queue(1, &queue);
    for body in ["a", "b", "c"] {
        peer.publishes(1, &queue, body);
    }
    let held = peer.gets(1, &queue).unwrap();
    peer.sends(1, &method("queue.delete").set("queue", &queue));
    peer.expects(1, &method("queue.delete-ok").set("message_count", 2));
    assert!(!peer.sees_queue(&queue));
    peer.acks(1, held.tag());
    peer.prefetches(1, 0);
}

#[test]
fn a_missing_queue_can_be_deleted() {
    let mut peer = peer();
    peer.sends(1, &method("queue.delete").set("queue", unique("nope")));
    peer.expects(1, &method("queue.delete-ok"));
}

#[test]
fn a_used_queue_is_not_deleted_if_unused() {
    let mut peer = peer();
    let queue = unique("used");
    peer.has_queue(1, &queue);
    peer.consumes(1, &queue, "c");
    peer.sends(1, &method("queue.delete").set("queue", &queue).on("if_unused"));
    let text = format!("PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use");
    peer.is_refused(1, "queue.delete", 406, &text);
}

#[test]
fn a_full_queue_is_not_deleted_if_empty() {
    let mut peer = peer();
    let queue = unique("full");
    peer.has_queue(1, &queue);
    peer.publishes(1, &queue, "a");
    peer.sends(1, &method("queue.delete").set("queue", &queue).on("if_empty"));
    let text = format!("PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty");
    peer.is_refused(1, "queue.delete", 406, &text);
    peer.opens(1);
    peer.drains(1, &queue);
    peer.asks(1, &method("queue.delete").set("queue", &queue).on("if_empty"), "queue.delete-ok");
}

#[test]
fn a_deleted_queue_takes_its_bindings_with_it() {
    let mut peer = peer();
    let (exchange, queue) = (unique("x"), unique("q"));
    peer.asks(
        1,
        &method("exchange.declare").set("exchange", &exchange).set("type", "direct"),
        "exchange.declare-ok",
    );
    peer.has_queue(1, &queue);
    peer.binds(1, &queue, &exchange, "k");
    peer.asks(1, &method("queue.delete").set("queue", &queue), "queue.delete-ok");
    peer.has_queue(1, &queue);
    peer.publishes_to(1, &exchange, "k", "lost");
    assert_eq!(peer.counts(1, &queue), (0, 0));
    peer.asks(1, &method("exchange.delete").set("exchange", &exchange), "exchange.delete-ok");
}

#[test]
fn names_may_be_any_utf_8_of_255_octets() {
    let mut peer = peer();
    let name = format!("{}{}", unique("käfig "), "x".repeat(255));
    let name: String = name.chars().take(250).collect();
    let ok = peer.asks(1, &declare(&name).on("exclusive"), "queue.declare-ok");
    assert_eq!(ok.text("queue"), name);
}
