//! The promises about exchanges.

use std::sync::Arc;

use amq_protocol::protocol::exchange::Declare;
use amq_protocol::types::DecimalValue;

use super::super::exchange::ALTERNATE_EXCHANGE;
use super::*;
use crate::broker::exchange::{Destination, Exchange, ExchangeKind};
use crate::broker::options::ExchangeOptions;

fn declare_exchange(fields: Fields<'_>) -> Declare {
    Declare {
        exchange: ShortString::from("x1"),
        kind: ShortString::from("direct"),
        passive: false,
        durable: true,
        auto_delete: false,
        internal: false,
        nowait: false,
        arguments: table(fields),
    }
}

#[test]
fn exchange_types_we_do_not_have_are_refused() {
    assert_eq!(exchange_kind("topic"), Ok(ExchangeKind::Topic));
    assert_eq!(refusal(exchange_kind("bogus")), "unknown exchange type 'bogus'");
    assert_eq!(refusal(exchange_kind("")), "invalid exchange type ''");
}

#[test]
fn an_alternate_exchange_is_a_name() {
    let options = |value| {
        let declare = declare_exchange(&[(ALTERNATE_EXCHANGE, value)]);
        exchange_options("x1", "/", ExchangeKind::Direct, &declare)
    };
    assert_eq!(options(text("spill")).unwrap().alternate_exchange.as_deref(), Some("spill"));
    assert_eq!(
        refusal(options(int(1))),
        "invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x1' in vhost '/'"
    );
    assert_eq!(
        refusal(options(text(&"x".repeat(300)))),
        "invalid arg 'alternate-exchange' for exchange 'x1' in vhost '/': {value_too_large,300}"
    );
}

#[test]
fn an_exchange_is_declared_again_as_it_is() {
    let existing = ExchangeOptions::durable(ExchangeKind::Direct);
    let told = |received: &ExchangeOptions| {
        let text = refusal(exchange_equivalence("x1", "/", &existing, received));
        let tail = text.strip_prefix("inequivalent arg ").expect(&text);
        tail.replace(" for exchange 'x1' in vhost '/': received", "")
    };
    let mut received = ExchangeOptions {
        kind: ExchangeKind::Fanout,
        durable: false,
        auto_delete: true,
        internal: true,
        ..existing.clone()
    }
    .with_arguments(table(&[(ALTERNATE_EXCHANGE, text("foo"))]));
    assert_eq!(told(&received), "'type' 'fanout' but current is 'direct'");
    received.kind = ExchangeKind::Direct;
    assert_eq!(told(&received), "'durable' 'false' but current is 'true'");
    received.durable = true;
    assert_eq!(told(&received), "'auto_delete' 'true' but current is 'false'");
    received.auto_delete = false;
    assert_eq!(told(&received), "'internal' 'true' but current is 'false'");
    received.internal = false;
    assert_eq!(
        told(&received),
        "'alternate-exchange' the value 'foo' of type 'longstr' but current is none"
    );
    let received = declared_exchange(ExchangeKind::Direct, &declare_exchange(&[("x-any", int(1))]));
    assert_eq!(exchange_equivalence("x1", "/", &existing, &received), Ok(()));
}

/// A binding that leads to an exchange.
fn bind(kind: ExchangeKind, key: &str, fields: Fields<'_>) -> Result<(), Refused> {
    let options = ExchangeOptions::new(ExchangeKind::Fanout);
    let destination = Destination::Exchange(Arc::new(Exchange::new(Arc::from("x2"), options)));
    binding(kind, key, &table(fields), Some(&destination))
}

#[test]
fn bindings_to_headers_exchanges_have_a_known_x_match() {
    let with = |kind, value| bind(kind, "", &[("x-match", value)]);
    for known in ["all", "any", "all-with-x", "any-with-x"] {
        assert_eq!(with(ExchangeKind::Headers, text(known)), Ok(()));
    }
    assert_eq!(bind(ExchangeKind::Headers, "", &[]), Ok(()));
    assert_eq!(with(ExchangeKind::Topic, text("foo")), Ok(()));
    assert_eq!(
        refusal(with(ExchangeKind::Headers, text("foo"))),
        r#"Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x"#
    );
    assert_eq!(
        refusal(with(ExchangeKind::Headers, int(5))),
        "Invalid x-match field type signedint (value 5); expected longstr"
    );
    assert_eq!(
        refusal(with(ExchangeKind::Headers, AMQPValue::ByteArray(ByteArray::from(&b"any"[..])))),
        r#"Invalid x-match field type binary (value <<"any">>); expected longstr"#
    );
}

#[test]
fn the_key_of_a_consistent_hash_binding_is_a_weight() {
    let weigh = |key| bind(ExchangeKind::ConsistentHash, key, &[]);
    for key in ["1", "+1", "01", "100000", "99999999999999999999"] {
        assert_eq!(weigh(key), Ok(()), "{key}");
    }
    for key in ["0", "-1", "-0"] {
        assert_eq!(refusal(weigh(key)), "The binding key must be greater than 0");
    }
    for (key, shown) in [
        ("abc", r#"<<"abc">>"#),
        ("", "<<>>"),
        ("1.5", r#"<<"1.5">>"#),
        ("a\"b\\", r#"<<"a\"b\\">>"#),
        ("a\u{1}b", "<<97,1,98>>"),
    ] {
        let text = format!("The binding key must be an integer: {shown}");
        assert_eq!(refusal(weigh(key)), text);
    }
}

#[test]
fn local_random_bindings_lead_to_queues_without_a_key() {
    assert_eq!(
        refusal(bind(ExchangeKind::LocalRandom, "k", &[])),
        "Non empty binding 'k' key not permitted"
    );
    assert_eq!(refusal(bind(ExchangeKind::LocalRandom, "", &[])), "Destination not found");
}

#[test]
fn every_other_kind_takes_any_key() {
    for kind in ExchangeKind::ALL {
        let picky = [ExchangeKind::ConsistentHash, ExchangeKind::LocalRandom].contains(&kind);
        assert_eq!(bind(kind, "any", &[]).is_err(), picky, "{kind}");
    }
}

fn declared(kind: ExchangeKind, fields: Fields<'_>) -> Result<ExchangeOptions, Refused> {
    exchange_options("x1", "/", kind, &declare_exchange(fields))
}

#[test]
fn a_consistent_hash_exchange_hashes_a_header_or_one_of_three_properties() {
    let declared = |fields: Fields<'_>| declared(ExchangeKind::ConsistentHash, fields);
    for property in ["message_id", "correlation_id", "timestamp"] {
        assert!(declared(&[("hash-property", text(property))]).is_ok());
    }
    assert!(declared(&[("hash-header", text(""))]).is_ok());
    assert_eq!(
        refusal(declared(&[("hash-property", text("app_id"))])),
        "Unsupported property: app_id"
    );
    assert_eq!(
        refusal(declared(&[("hash-header", text("h")), ("hash-property", text("bad"))])),
        "hash-header and hash-property are mutually exclusive"
    );
    assert_eq!(
        refusal(declared(&[("hash-header", int(5))])),
        "invalid type 'signedint' for arg 'hash-header' in exchange 'x1' in vhost '/'"
    );
    assert_eq!(
        refusal(declared(&[("hash-header", text("h")), (ALTERNATE_EXCHANGE, int(5))])),
        "invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x1' in vhost '/'"
    );
}

#[test]
fn the_length_of_a_history_is_a_positive_integer() {
    let declared =
        |value| declared(ExchangeKind::RecentHistory, &[("x-recent-history-length", value)]);
    assert!(declared(int(1)).is_ok());
    assert!(declared(long(1 << 40)).is_ok());
    for (value, shown) in [
        (int(0), "0"),
        (int(-1), "-1"),
        (text("abc"), r#"<<"abc">>"#),
        (AMQPValue::ByteArray(ByteArray::from(&b"ab"[..])), r#"<<"ab">>"#),
        (AMQPValue::Boolean(true), "true"),
        (AMQPValue::Void, "undefined"),
        (AMQPValue::Double(2.0), "2.0"),
        (AMQPValue::LongUInt(5), "5"),
        (AMQPValue::Timestamp(7), "7"),
        (AMQPValue::DecimalValue(DecimalValue { scale: 0, value: 5 }), "{0,5}"),
        (AMQPValue::FieldTable(table(&[("a", int(1))])), r#"[{<<"a">>,signedint,1}]"#),
    ] {
        let text = format!(
            "Invalid argument {shown}, 'x-recent-history-length' must be a positive integer"
        );
        assert_eq!(refusal(declared(value)), text);
    }
}

#[test]
fn arguments_of_other_kinds_mean_nothing() {
    let fields = [("hash-header", int(5)), ("x-recent-history-length", int(0))];
    for kind in [ExchangeKind::Fanout, ExchangeKind::ModulusHash, ExchangeKind::Random] {
        assert!(declared(kind, &fields).is_ok());
    }
}
