//! The methods of an open channel: what each becomes, and which are refused.

use amq_protocol::protocol::{access, confirm, exchange, queue, tx};

use super::*;
use crate::amqp::protocol::command::{Outcome, Settle};

#[track_caller]
fn becomes(class: &AMQPClass, command: Command) {
    PeerUnderTest::with_channel().sends(method(1, class)).expects(command);
}

#[track_caller]
fn refused(sent: Sent, text: &str, culprit: (u16, u16)) {
    let then = PeerUnderTest::with_channel().sends(sent).closes_connection(text, culprit);
    assert_eq!(then, Ending::AwaitCloseOk);
}

fn settle(tag: u64, multiple: bool, outcome: Outcome) -> Command {
    Command::Settle(Settle { tag, multiple, outcome })
}

#[test]
fn acknowledgements_name_tag_reach_and_outcome() {
    use basic::AMQPMethod::{Ack, Nack, Reject};
    let tag = 7;
    for flag in [false, true] {
        becomes(
            &AMQPClass::Basic(Ack(basic::Ack { delivery_tag: tag, multiple: flag })),
            settle(tag, flag, Outcome::Ack),
        );
        becomes(
            &AMQPClass::Basic(Nack(basic::Nack {
                delivery_tag: tag,
                multiple: !flag,
                requeue: flag,
            })),
            settle(tag, !flag, Outcome::Nack { requeue: flag }),
        );
        becomes(
            &AMQPClass::Basic(Reject(basic::Reject { delivery_tag: tag, requeue: flag })),
            settle(tag, false, Outcome::Reject { requeue: flag }),
        );
    }
}

#[test]
fn methods_without_arguments_become_their_command() {
    becomes(&AMQPClass::Tx(tx::AMQPMethod::Select(tx::Select {})), Command::TxSelect);
    becomes(&AMQPClass::Tx(tx::AMQPMethod::Commit(tx::Commit {})), Command::TxCommit);
    becomes(&AMQPClass::Tx(tx::AMQPMethod::Rollback(tx::Rollback {})), Command::TxRollback);
    let request = access::Request::default();
    becomes(&AMQPClass::Access(access::AMQPMethod::Request(request)), Command::AccessRequest);
    let select = confirm::Select { nowait: true };
    becomes(
        &AMQPClass::Confirm(confirm::AMQPMethod::Select(select)),
        Command::ConfirmSelect { nowait: true },
    );
}

#[test]
fn consumer_methods_keep_their_arguments() {
    use basic::AMQPMethod as Basic;
    let consume = basic::Consume { queue: "q".into(), no_ack: true, ..Default::default() };
    let cancel = basic::Cancel { consumer_tag: "c".into(), nowait: true };
    let cancelled = basic::CancelOk { consumer_tag: "c".into() };
    let get = basic::Get { queue: "q".into(), no_ack: true };
    let qos = basic::Qos { prefetch_count: 9, global: true };

    becomes(
        &AMQPClass::Basic(Basic::Consume(consume.clone())),
        Command::Consume(Box::new(consume)),
    );
    becomes(&AMQPClass::Basic(Basic::Cancel(cancel.clone())), Command::Cancel(cancel));
    becomes(&AMQPClass::Basic(Basic::CancelOk(cancelled.clone())), Command::CancelOk(cancelled));
    becomes(&AMQPClass::Basic(Basic::Get(get.clone())), Command::Get(get));
    becomes(&AMQPClass::Basic(Basic::Qos(qos.clone())), Command::Qos(qos));
}

#[test]
fn names_lose_line_ends_when_declared_deleted_or_bound_and_keys_do_not() {
    use queue::AMQPMethod as Queue;
    let bind = |queue: &str, exchange: &str| queue::Bind {
        queue: queue.into(),
        exchange: exchange.into(),
        routing_key: "k\r\n".into(),
        ..Default::default()
    };
    let unbind = |queue: &str, exchange: &str| queue::Unbind {
        queue: queue.into(),
        exchange: exchange.into(),
        ..Default::default()
    };
    let declare = |queue: &str| queue::Declare { queue: queue.into(), ..Default::default() };
    let delete = |queue: &str| queue::Delete { queue: queue.into(), ..Default::default() };

    becomes(
        &AMQPClass::Queue(Queue::Bind(bind("a\nb", "x\r"))),
        Command::BindQueue(Box::new(bind("ab", "x"))),
    );
    becomes(
        &AMQPClass::Queue(Queue::Unbind(unbind("a\nb", "x\r"))),
        Command::UnbindQueue(Box::new(unbind("ab", "x"))),
    );
    becomes(
        &AMQPClass::Queue(Queue::Declare(declare("\r\nq"))),
        Command::DeclareQueue(Box::new(declare("q"))),
    );
    becomes(
        &AMQPClass::Queue(Queue::Delete(delete("q\n"))),
        Command::DeleteQueue(Box::new(delete("q"))),
    );
}

#[test]
fn names_of_exchanges_lose_line_ends_too() {
    use exchange::AMQPMethod as Exchange;
    let declare =
        |exchange: &str| exchange::Declare { exchange: exchange.into(), ..Default::default() };
    let delete =
        |exchange: &str| exchange::Delete { exchange: exchange.into(), ..Default::default() };
    let bind = |destination: &str, source: &str| exchange::Bind {
        destination: destination.into(),
        source: source.into(),
        ..Default::default()
    };
    let unbind = |destination: &str, source: &str| exchange::Unbind {
        destination: destination.into(),
        source: source.into(),
        ..Default::default()
    };

    becomes(
        &AMQPClass::Exchange(Exchange::Declare(declare("x\n"))),
        Command::DeclareExchange(Box::new(declare("x"))),
    );
    becomes(
        &AMQPClass::Exchange(Exchange::Delete(delete("x\n"))),
        Command::DeleteExchange(Box::new(delete("x"))),
    );
    becomes(
        &AMQPClass::Exchange(Exchange::Bind(bind("d\r", "s\n"))),
        Command::BindExchange(Box::new(bind("d", "s"))),
    );
    becomes(
        &AMQPClass::Exchange(Exchange::Unbind(unbind("d\r", "s\n"))),
        Command::UnbindExchange(Box::new(unbind("d", "s"))),
    );
}

#[test]
fn a_queue_to_purge_is_named_as_sent() {
    let purge = queue::Purge { queue: "q".into(), nowait: true };
    becomes(
        &AMQPClass::Queue(queue::AMQPMethod::Purge(purge.clone())),
        Command::PurgeQueue(Box::new(purge)),
    );
}

#[test]
fn what_rabbitmq_does_not_implement_is_refused_in_its_words() {
    refused(flow(1, false), "540 NOT_IMPLEMENTED - active=false", (20, 20));
    refused(
        raw_method(1, 60, 10, &[0, 0, 0, 10, 0, 1, 0]),
        "540 NOT_IMPLEMENTED - prefetch_size!=0 (10)",
        (60, 10),
    );
    refused(raw_method(1, 60, 110, &[0]), "540 NOT_IMPLEMENTED - requeue=false", (60, 110));
    refused(raw_method(1, 60, 100, &[0]), "540 NOT_IMPLEMENTED - requeue=false", (60, 100));
}

#[test]
fn recover_is_answered_and_recover_async_is_not() {
    let mut peer = PeerUnderTest::with_channel();
    peer.sends(raw_method(1, 60, 110, &[1])).expects(Command::Recover { reply: true });
    peer.sends(raw_method(1, 60, 100, &[1])).expects(Command::Recover { reply: false });
}

#[test]
fn methods_only_the_broker_may_send_are_refused() {
    let empty_declare_ok = [0; 9];
    let empty_deliver = [0; 12];
    let empty_return = [0; 5];
    for (class, number, fields) in [
        (50, 11, &empty_declare_ok[..]),
        (60, 60, &empty_deliver),
        (60, 50, &empty_return),
        (60, 72, &[0]),
        (20, 11, &[0; 4]),
        (20, 21, &[1]),
        (20, 41, &[]),
        (30, 11, &[0, 1]),
        (40, 51, &[]),
        (85, 11, &[]),
        (90, 21, &[]),
    ] {
        refused(
            raw_method(1, class, number, fields),
            "503 COMMAND_INVALID - unimplemented method",
            (class, number),
        );
    }
}

#[test]
fn unknown_methods_are_refused_with_their_numbers() {
    refused(raw_method(1, 50, 99, b""), "540 NOT_IMPLEMENTED - unknown method 50.99", (50, 99));
    refused(raw_method(1, 99, 1, b""), "540 NOT_IMPLEMENTED - unknown method 99.1", (99, 1));
    refused(raw_method(0, 10, 99, b""), "540 NOT_IMPLEMENTED - unknown method 10.99", (10, 99));
}

#[test]
fn fields_that_are_truncated_or_followed_by_more_are_refused() {
    refused(
        raw_method(1, 50, 30, &[0, 0, 5, 97, 98]),
        "501 FRAME_ERROR - cannot decode <<0,0,5,97,98>>",
        (50, 30),
    );
    refused(
        raw_method(1, 60, 40, &[0, 0, 0, 0, 0, 7]),
        "501 FRAME_ERROR - cannot decode <<0,0,0,0,0,7>>",
        (60, 40),
    );
}

#[test]
fn a_name_that_is_not_utf_8_is_refused_without_naming_the_method() {
    let text = "501 FRAME_ERROR - Malformed UTF-8 in shortstr";
    refused(raw_method(1, 50, 30, &[0, 0, 1, 0xFF, 0]), text, (0, 0));
    refused(raw_method(1, 60, 40, &[0, 0, 0, 1, 0xFF, 0]), text, (0, 0));
}

#[test]
fn a_table_with_a_field_of_unknown_type_is_refused() {
    let fields = [&[0, 0, 1, b'q', 0][..], &[0, 0, 0, 3], &[1, b'k', b'?']].concat();
    let error = PeerUnderTest::with_channel().sends(raw_method(1, 50, 10, &fields)).0.unwrap_err();
    assert_eq!((error.code.number(), error.class, error.method), (502, 50, 10), "{error}");
}
