//! The promises of argument checking, in RabbitMQ's words.

mod exchange;

use amq_protocol::protocol::queue;
use amq_protocol::types::{ByteArray, ShortString};

use super::*;
use crate::broker::options::{ConsumerOptions, QueueOptions, QueueType};

type Fields<'a> = &'a [(&'a str, AMQPValue)];

fn table(fields: Fields<'_>) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in fields {
        table.insert((*name).into(), value.clone());
    }
    table
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn int(value: i32) -> AMQPValue {
    AMQPValue::LongInt(value)
}

fn long(value: i64) -> AMQPValue {
    AMQPValue::LongLongInt(value)
}

fn of_type<'a>(queue_type: &str, fields: Fields<'a>) -> Vec<(&'a str, AMQPValue)> {
    let mut all = vec![("x-queue-type", text(queue_type))];
    all.extend_from_slice(fields);
    all
}

fn declare(fields: Fields<'_>) -> queue::Declare {
    queue::Declare {
        queue: ShortString::from("q"),
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        nowait: false,
        arguments: table(fields),
    }
}

fn options(fields: Fields<'_>) -> Result<QueueOptions, Refused> {
    queue_options("q", "/", &declare(fields))
}

/// The text of a 406.
fn refusal<T: std::fmt::Debug>(result: Result<T, Refused>) -> String {
    let refused = result.unwrap_err();
    assert_eq!(refused.code, ReplyCode::PreconditionFailed);
    refused.text
}

#[test]
fn wrong_queue_arguments_are_refused_in_rabbitmqs_words() {
    let not_integer = r#""expected integer, got longstr""#;
    let classic = [
        ("x-message-ttl", text("1"), not_integer),
        ("x-message-ttl", AMQPValue::Double(1.0), r#""expected integer, got double""#),
        ("x-message-ttl", AMQPValue::Boolean(true), r#""expected integer, got bool""#),
        ("x-message-ttl", AMQPValue::Void, r#""expected integer, got void""#),
        ("x-message-ttl", AMQPValue::Timestamp(1), r#""expected integer, got timestamp""#),
        ("x-message-ttl", int(-1), "{value_negative,-1}"),
        ("x-message-ttl", long(315_360_000_001), "{value_too_large,315360000001}"),
        ("x-expires", text("1"), not_integer),
        ("x-expires", int(0), "{value_zero,0}"),
        ("x-expires", int(-1), "{value_negative,-1}"),
        ("x-expires", long(315_360_000_001), "{value_too_large,315360000001}"),
        ("x-max-length", text("1"), not_integer),
        ("x-max-length", int(-1), "{value_negative,-1}"),
        ("x-max-length-bytes", text("1"), not_integer),
        ("x-max-length-bytes", int(-1), "{value_negative,-1}"),
        ("x-max-priority", text("1"), not_integer),
        ("x-max-priority", int(256), "{max_value_exceeded,256}"),
        ("x-max-priority", int(-1), "{value_negative,-1}"),
        ("x-dead-letter-routing-key", text("k"), "routing_key_but_no_dlx_defined"),
        ("x-dead-letter-routing-key", int(1), "{unacceptable_type,signedint}"),
        ("x-overflow", text("bogus"), "invalid_overflow"),
        ("x-overflow", int(1), "{unacceptable_type,signedint}"),
        ("x-single-active-consumer", text("true"), "{unacceptable_type,longstr}"),
        ("x-queue-version", int(3), r#""unsupported queue version '3'""#),
        ("x-queue-version", text("2"), not_integer),
        ("x-queue-type", text("bogus"), r#""unsupported queue type 'bogus'""#),
        ("x-queue-type", text(""), r#""unsupported queue type ''""#),
        ("x-queue-type", text("a\"b"), r#""unsupported queue type 'a\"b'""#),
        ("x-queue-type", int(1), "{unacceptable_type,signedint}"),
        ("x-queue-leader-locator", text("bogus"), "invalid_queue_locator_arg"),
        ("x-queue-leader-locator", int(1), "{unacceptable_type,signedint}"),
        ("x-consumer-timeout", text("1"), not_integer),
        ("x-consumer-timeout", int(-1), "{value_negative,-1}"),
        ("x-delayed-retry-type", text("bogus"), "invalid_delayed_retry_type"),
        ("x-delayed-retry-type", int(1), "{unacceptable_type,signedint}"),
        (
            "x-delayed-retry-type",
            text("failed"),
            r#""x-delayed-retry-min is required when x-delayed-retry-type is failed""#,
        ),
        ("x-delayed-retry-min", int(0), "{value_zero,0}"),
        ("x-delayed-retry-min", text("1"), not_integer),
        ("x-delayed-retry-max", int(-1), "{value_negative,-1}"),
        ("x-delayed-retry-max", long(315_360_000_001), "{value_too_large,315360000001}"),
        ("x-delayed-retry-backoff", text("bogus"), "invalid_delayed_retry_backoff"),
        ("x-delayed-retry-backoff", int(1), "{unacceptable_type,signedint}"),
        ("x-delayed-retry-multiplier", AMQPValue::Double(0.5), "{value_below_one,0.5}"),
        ("x-delayed-retry-multiplier", int(0), "{value_below_one,0}"),
        ("x-delayed-retry-multiplier", text("2"), r#""expected number, got longstr""#),
        ("x-delayed-retry-jitter", int(-1), "{value_negative,-1}"),
        ("x-delayed-retry-jitter", text("1"), not_integer),
    ];
    for (key, value, tail) in classic {
        let expected = format!("invalid arg '{key}' for queue 'q' in vhost '/': {tail}");
        assert_eq!(refusal(options(&[(key, value)])), expected);
    }
}

#[test]
fn wrong_arguments_of_quorum_queues_and_streams_are_refused_in_rabbitmqs_words() {
    let not_integer = r#""expected integer, got longstr""#;
    let typed = [
        ("quorum", "x-dead-letter-strategy", text("bogus"), "invalid_dlx_strategy"),
        ("quorum", "x-dead-letter-strategy", int(1), "{unacceptable_type,signedint}"),
        ("quorum", "x-quorum-initial-group-size", int(0), "{value_zero,0}"),
        ("quorum", "x-quorum-initial-group-size", int(-1), "{value_negative,-1}"),
        ("quorum", "x-max-in-memory-length", int(-1), "{value_negative,-1}"),
        ("quorum", "x-max-in-memory-bytes", text("1"), not_integer),
        ("quorum", "x-consumer-timeout", int(-1), "{value_negative,-1}"),
        ("quorum", "x-consumer-disconnected-timeout", text("1"), not_integer),
        ("quorum", "x-member-placement-tag", text(""), "invalid_member_placement_tag_arg"),
        ("stream", "x-initial-cluster-size", int(0), "{value_zero,0}"),
        ("stream", "x-max-age", text("5"), "invalid_max_age"),
        ("stream", "x-max-age", text("0D"), "invalid_max_age"),
        ("stream", "x-max-age", text("D"), "invalid_max_age"),
        ("stream", "x-max-age", text(" 5D"), "invalid_max_age"),
        ("stream", "x-max-age", int(5), "{unacceptable_type,signedint}"),
        ("stream", "x-stream-max-segment-size-bytes", int(-1), "{value_negative,-1}"),
        ("stream", "x-stream-filter-size-bytes", text("16"), not_integer),
    ];
    for (queue_type, key, value, tail) in typed {
        let expected = format!("invalid arg '{key}' for queue 'q' in vhost '/': {tail}");
        assert_eq!(refusal(options(&of_type(queue_type, &[(key, value)]))), expected);
    }
}

#[test]
fn the_delays_of_retries_are_in_order() {
    for queue_type in ["classic", "quorum"] {
        let delays = [("x-delayed-retry-min", int(5)), ("x-delayed-retry-max", int(4))];
        assert_eq!(
            refusal(options(&of_type(queue_type, &delays))),
            "invalid arg 'x-delayed-retry-max' for queue 'q' in vhost '/': \
             \"x-delayed-retry-max (4) must not be smaller than x-delayed-retry-min (5)\""
        );
    }
}

#[test]
fn delayed_retry_is_for_classic_and_quorum_queues_and_compared_when_they_are_declared_again() {
    let fields = [
        ("x-delayed-retry-type", text("all")),
        ("x-delayed-retry-min", int(5)),
        ("x-delayed-retry-max", int(5)),
        ("x-delayed-retry-backoff", text("exponential")),
        ("x-delayed-retry-multiplier", AMQPValue::Float(1.5)),
        ("x-delayed-retry-jitter", int(0)),
    ];
    for queue_type in ["classic", "quorum"] {
        let fields = of_type(queue_type, &fields);
        assert!(options(&fields).unwrap().delayed_retry.in_force().is_some());
        for without in 1..fields.len() {
            let mut fewer = fields.clone();
            let (key, _) = fewer.remove(without);
            assert!(redeclare_arguments(&fields, &fewer).is_err(), "{key}");
        }
    }
    for field in fields {
        assert!(refusal(options(&of_type("stream", &[field]))).ends_with("rabbit_stream_queue"));
    }
}

#[test]
fn a_dead_letter_exchange_of_the_wrong_type_is_told_before_all_else() {
    let fields = [("x-dead-letter-exchange", int(1)), ("x-queue-type", text("bogus"))];
    assert_eq!(
        refusal(options(&fields)),
        "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'"
    );
}

#[test]
fn the_first_wrong_argument_in_rabbitmqs_order_is_the_one_told() {
    let wrong = |keys: &[&'static str]| {
        let fields: Vec<_> = keys.iter().map(|key| (*key, int(-1))).collect();
        refusal(options(&fields))
    };
    let of = |key: &str| format!("invalid arg '{key}' for queue 'q' in vhost '/'");
    let told = wrong(&["x-max-length", "x-message-ttl", "x-queue-type"]);
    assert!(told.starts_with(&of("x-queue-type")), "{told}");
    let told = wrong(&["x-max-length", "x-message-ttl", "x-expires"]);
    assert!(told.starts_with(&of("x-expires")), "{told}");
    let told = wrong(&["x-max-length", "x-delivery-limit"]);
    assert!(told.starts_with(&of("x-max-length")), "{told}");
    let told = wrong(&["x-overflow", "x-max-priority"]);
    assert!(told.starts_with(&of("x-max-priority")), "{told}");
}

#[test]
fn the_limits_of_every_argument_are_taken() {
    let fitting = [
        ("x-message-ttl", int(0)),
        ("x-message-ttl", long(315_360_000_000)),
        ("x-expires", AMQPValue::ShortShortUInt(1)),
        ("x-max-length", AMQPValue::ShortInt(0)),
        ("x-max-length-bytes", AMQPValue::LongUInt(0)),
        ("x-max-priority", AMQPValue::ShortShortInt(0)),
        ("x-max-priority", AMQPValue::ShortUInt(255)),
        ("x-dead-letter-exchange", text("")),
        ("x-overflow", text("drop-head")),
        ("x-overflow", text("reject-publish")),
        ("x-overflow", text("reject-publish-dlx")),
        ("x-single-active-consumer", AMQPValue::Boolean(false)),
        ("x-queue-mode", text("anything")),
        ("x-queue-master-locator", text("anything")),
        ("x-queue-version", int(1)),
        ("x-queue-version", int(2)),
        ("x-queue-type", text("classic")),
        ("x-queue-type", text("undefined")),
        ("x-queue-leader-locator", text("balanced")),
        ("x-consumer-timeout", int(0)),
        ("x-of-mine", AMQPValue::Void),
    ];
    for (key, value) in fitting {
        let taken = options(&[(key, value.clone())]);
        assert_eq!(
            taken.map(|options| options.queue_type),
            Ok(QueueType::Classic),
            "{key} {value:?}"
        );
    }
    let quorum = [
        ("x-delivery-limit", text("any")),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-delayed-retry-type", text("disabled")),
        ("x-quorum-initial-group-size", int(1)),
    ];
    for field in quorum {
        let taken = options(&of_type("quorum", &[field]));
        assert_eq!(taken.map(|options| options.queue_type), Ok(QueueType::Quorum));
    }
}

#[test]
fn a_name_no_short_string_can_carry_is_refused() {
    let at = |key| format!("invalid arg '{key}' for queue 'q' in vhost '/': ");
    let long = options(&[("x-dead-letter-exchange", text(&"x".repeat(256)))]);
    assert_eq!(refusal(long), at("x-dead-letter-exchange") + "{value_too_large,256}");
    let broken = options(&[
        ("x-dead-letter-exchange", text("dlx")),
        ("x-dead-letter-routing-key", AMQPValue::LongString(vec![0xFF].into())),
    ]);
    assert_eq!(refusal(broken), at("x-dead-letter-routing-key") + "invalid_utf8");
}

#[test]
fn arguments_of_another_queue_type_are_refused() {
    let others = [
        ("classic", "x-delivery-limit", "rabbit_classic_queue"),
        ("classic", "x-max-age", "rabbit_classic_queue"),
        ("classic", "x-quorum-initial-group-size", "rabbit_classic_queue"),
        ("quorum", "x-max-priority", "rabbit_quorum_queue"),
        ("quorum", "x-queue-mode", "rabbit_quorum_queue"),
        ("stream", "x-message-ttl", "rabbit_stream_queue"),
    ];
    for (queue_type, key, module) in others {
        let expected =
            format!("invalid arg '{key}' for queue 'q' in vhost '/' of queue type {module}");
        assert_eq!(refusal(options(&of_type(queue_type, &[(key, int(1))]))), expected);
    }
}

#[test]
fn quorum_queues_and_streams_are_durable_and_shared() {
    let flags = [
        (false, true, true, "auto-delete"),
        (true, true, false, "exclusive-owner"),
        (false, false, false, "non-durable"),
    ];
    for queue_type in ["quorum", "stream"] {
        for (durable, exclusive, auto_delete, wrong) in flags {
            let declare = queue::Declare {
                durable,
                exclusive,
                auto_delete,
                ..declare(&of_type(queue_type, &[]))
            };
            assert_eq!(
                refusal(queue_options("q", "/", &declare)),
                format!("invalid property '{wrong}' for queue 'q' in vhost '/'")
            );
        }
    }
}

#[test]
fn a_stream_that_could_be_is_not_supported() {
    let sized = |key, size| refusal(options(&of_type("stream", &[(key, long(size))])));
    assert_eq!(
        sized("x-stream-max-segment-size-bytes", 3_000_000_001),
        "Exceeded max value for x-stream-max-segment-size-bytes"
    );
    for size in [15, 256] {
        assert_eq!(
            sized("x-stream-filter-size-bytes", size),
            "Invalid value for x-stream-filter-size-bytes"
        );
    }
    let refused = options(&of_type("stream", &[("x-max-age", text("7D"))])).unwrap_err();
    assert_eq!(refused.code, ReplyCode::NotImplemented);
    assert_eq!(refused.text, "queue type stream is not supported");
}

fn redeclare(existing: &queue::Declare, again: &queue::Declare) -> Result<(), Refused> {
    queue_equivalence("q1", "/", &declared_queue(existing), &declared_queue(again))
}

fn redeclare_arguments(existing: Fields<'_>, again: Fields<'_>) -> Result<(), Refused> {
    redeclare(&declare(existing), &declare(again))
}

#[test]
fn other_flags_on_redeclare_are_told_durable_first() {
    let existing = queue::Declare { durable: false, ..declare(&[]) };
    let again = queue::Declare { auto_delete: true, ..declare(&[("x-expires", int(1))]) };
    assert_eq!(
        refusal(redeclare(&existing, &again)),
        "inequivalent arg 'durable' for queue 'q1' in vhost '/': received 'true' but current is 'false'"
    );
    assert_eq!(
        refusal(redeclare(&declare(&[]), &again)),
        "inequivalent arg 'auto_delete' for queue 'q1' in vhost '/': received 'true' but current is 'false'"
    );
}

#[test]
fn durable_makes_no_difference_to_an_exclusive_queue() {
    let durable = queue::Declare { exclusive: true, ..declare(&[]) };
    let transient = queue::Declare { durable: false, ..durable.clone() };
    assert_eq!(redeclare(&durable, &transient), Ok(()));
}

#[test]
fn other_arguments_on_redeclare_are_told_with_both_values() {
    let ttl = |value| [("x-message-ttl", value)];
    let told = |existing: Fields<'_>, again: Fields<'_>| {
        let text = refusal(redeclare_arguments(existing, again));
        let tail =
            text.strip_prefix("inequivalent arg 'x-message-ttl' for queue 'q1' in vhost '/': ");
        tail.map(str::to_owned).expect(&text)
    };
    assert_eq!(
        told(&[], &ttl(int(100))),
        "received the value '100' of type 'signedint' but current is none"
    );
    assert_eq!(
        told(&ttl(int(100)), &[]),
        "received none but current is the value '100' of type 'signedint'"
    );
    assert_eq!(told(&ttl(int(100)), &ttl(int(200))), "received '200' but current is '100'");
    assert_eq!(told(&ttl(int(100)), &ttl(text("100"))), "received '100' but current is '100'");
}

#[test]
fn equal_arguments_may_differ_in_width_and_unknown_ones_in_anything() {
    let existing = [("x-message-ttl", int(100)), ("x-of-mine", int(1))];
    assert_eq!(redeclare_arguments(&existing, &[("x-message-ttl", long(100))]), Ok(()));
}

#[test]
fn a_default_that_is_spelt_out_differs_from_none() {
    for field in [("x-overflow", text("drop-head")), ("x-queue-mode", text("lazy"))] {
        assert!(redeclare_arguments(&[], &[field]).is_err());
    }
}

#[test]
fn a_queue_without_a_type_is_classic() {
    let typed = |name| [("x-queue-type", text(name))];
    for name in ["classic", "undefined", ""] {
        assert_eq!(redeclare_arguments(&[], &typed(name)), Ok(()));
        assert_eq!(redeclare_arguments(&typed(name), &[]), Ok(()));
    }
    assert_eq!(
        refusal(redeclare_arguments(&[], &typed("quorum"))),
        "inequivalent arg 'x-queue-type' for queue 'q1' in vhost '/': \
         received 'quorum' but current is 'classic'"
    );
    assert_eq!(
        refusal(redeclare_arguments(&typed("quorum"), &[])),
        "inequivalent arg 'x-queue-type' for queue 'q1' in vhost '/': \
         received 'classic' but current is 'quorum'"
    );
}

#[test]
fn the_server_names_classic_queues_only_and_keeps_no_prefix() {
    let prefix = |fields: Fields<'_>| generated_name_prefix(&table(fields));
    assert_eq!(prefix(&[]).unwrap(), "amq.gen-");
    assert_eq!(prefix(&[("x-name-prefix", text(""))]).unwrap(), "amq.gen-");
    assert_eq!(prefix(&[("x-name-prefix", text("mine\r\n"))]).unwrap(), "mine-");
    let long = "p".repeat(65);
    assert_eq!(
        refusal(prefix(&[("x-name-prefix", text(&long))])),
        format!("Queue name prefix '{long}' exceeds the 64-byte limit")
    );
    assert_eq!(
        refusal(prefix(&of_type("quorum", &[]))),
        "Cannot declare a server-named queue for type rabbit_quorum_queue"
    );
    let kept = options(&[("x-name-prefix", text("mine"))]).unwrap();
    assert_eq!(kept.arguments, FieldTable::default());
}

fn consume(queue_type: QueueType, fields: Fields<'_>) -> Result<ConsumerOptions, Refused> {
    let queue = QueueOptions { queue_type, ..QueueOptions::default() };
    consumer_arguments("q1", "/", &queue, &table(fields))
}

#[test]
fn consumers_may_have_a_priority_and_a_timeout() {
    for queue_type in [QueueType::Classic, QueueType::Quorum] {
        let fields = [("x-priority", AMQPValue::ShortInt(-5)), ("x-consumer-timeout", int(1000))];
        let expected = ConsumerOptions { priority: -5, timeout_ms: Some(1000) };
        assert_eq!(consume(queue_type, &fields), Ok(expected));
        let ignored =
            [("x-cancel-on-ha-failover", AMQPValue::Boolean(true)), ("x-of-mine", int(1))];
        assert_eq!(consume(queue_type, &ignored), Ok(ConsumerOptions::default()));
    }
}

#[test]
fn wrong_consumer_arguments_are_refused_in_rabbitmqs_words() {
    let at = "invalid arg 'x-priority' for queue 'q1' in vhost '/'";
    assert_eq!(
        refusal(consume(QueueType::Classic, &[("x-priority", text("1"))])),
        format!(r#"{at}: "expected integer, got longstr""#)
    );
    assert_eq!(
        refusal(consume(QueueType::Stream, &[("x-priority", int(1))])),
        format!("{at} of queue type rabbit_stream_queue")
    );
    assert_eq!(
        refusal(consume(QueueType::Classic, &[("x-stream-offset", text("first"))])),
        "invalid arg 'x-stream-offset' for queue 'q1' in vhost '/' of queue type rabbit_classic_queue"
    );
    assert_eq!(
        refusal(consume(QueueType::Stream, &[("x-stream-offset", text("99999"))])),
        "invalid arg 'x-stream-offset' for queue 'q1' in vhost '/': \
         {invalid_stream_offset_arg,{longstr,<<\"99999\">>}}"
    );
}

#[test]
fn a_stream_is_read_from_a_place_an_age_an_offset_or_a_time() {
    let places =
        [text("first"), text("last"), text("next"), text("1h"), long(5), AMQPValue::Timestamp(5)];
    for place in places {
        let consumed = consume(QueueType::Stream, &[("x-stream-offset", place)]);
        assert_eq!(consumed, Ok(ConsumerOptions::default()));
    }
}
