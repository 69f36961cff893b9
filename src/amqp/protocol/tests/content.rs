//! Messages, put together from a method, a header and bodies.

use super::*;
use crate::amqp::protocol::content::Content;
use crate::amqp::protocol::shelf::Shelf;
use crate::amqp::wire::method::PublishMethod;

const NO_PROPERTIES: &[u8] = &[0, 0];
const WRONG_HEADER: &str = "505 UNEXPECTED_FRAME - expected content header for class 60, \
                            got non content header frame instead";
const WRONG_BODY: &str =
    "505 UNEXPECTED_FRAME - expected content body, got non content body frame instead";

#[test]
fn a_message_keeps_names_properties_and_body_as_they_came() {
    let mut peer = PeerUnderTest::with_channel();
    peer.sends_hex("0100010000000a003c0028000000017101ce").expects_nothing();
    peer.sends_hex(
        "02000100000020003c000000000000000000053100000000070161490000000102053630303030ce",
    )
    .expects_nothing();
    let message = peer.sends_hex("0300010000000568656c6c6fce").expects_message();

    assert_eq!((message.exchange(), message.routing_key()), ("", "q"));
    assert_eq!(message.names(), b"q");
    assert_eq!(message.header(), b"\x31\0\0\0\0\x07\x01aI\0\0\0\x01\x02\x0560000");
    assert_eq!((message.body(), message.body_len()), (&b"hello"[..], 5));
    assert!(message.mandatory);
}

#[test]
fn a_message_without_body_is_complete_with_its_header() {
    let mut peer = PeerUnderTest::with_channel();
    peer.sends(publish(1, "x", "key")).expects_nothing();
    let message = peer.sends(header(1, 0, NO_PROPERTIES)).expects_message();

    assert_eq!((message.exchange(), message.routing_key()), ("x", "key"));
    assert_eq!((message.header(), message.body()), (NO_PROPERTIES, &b""[..]));
    assert!(!message.mandatory);
}

#[test]
fn a_body_may_come_in_pieces_and_empty_ones_are_ignored() {
    let mut peer = PeerUnderTest::publishing();
    peer.sends(header(1, 6, NO_PROPERTIES)).expects_nothing();
    for piece in [&b""[..], b"ab", b"", b"cde", b""] {
        peer.sends(body(1, piece)).expects_nothing();
    }
    assert_eq!(peer.sends(body(1, b"f")).expects_message().body(), b"abcdef");
}

#[test]
fn content_of_several_channels_may_interleave() {
    let mut peer = PeerUnderTest::with_channel();
    peer.sends(open_channel(2)).expects(Command::OpenChannel);
    peer.sends(publish(1, "", "one")).expects_nothing();
    peer.sends(publish(2, "", "two")).expects_nothing();
    peer.sends(header(2, 2, NO_PROPERTIES)).expects_nothing();
    peer.sends(header(1, 2, NO_PROPERTIES)).expects_nothing();
    peer.sends(body(1, b"1")).expects_nothing();
    let second = peer.sends(body(2, b"22")).expects_message();
    let first = peer.sends(body(1, b"1")).expects_message();

    assert_eq!((first.routing_key(), first.body()), ("one", &b"11"[..]));
    assert_eq!((second.routing_key(), second.body()), ("two", &b"22"[..]));
}

#[test]
fn one_message_leaves_nothing_behind_for_the_next() {
    let mut peer = PeerUnderTest::with_channel();
    peer.sends(publish_with(1, "exchange", "key", |it| it.mandatory = true)).expects_nothing();
    peer.sends(header(1, 4, &[0x10, 0, 2])).expects_nothing();
    peer.sends(body(1, b"long")).expects_message();
    peer.sends(publish(1, "", "k")).expects_nothing();
    peer.sends(header(1, 1, NO_PROPERTIES)).expects_nothing();
    let message = peer.sends(body(1, b"s")).expects_message();

    assert_eq!(message.blob.as_ref(), b"k\0\0s");
    assert!(!message.mandatory);
}

#[test]
fn a_large_body_ends_in_a_buffer_of_exactly_its_size() {
    let mut peer = PeerUnderTest::publishing();
    let pieces = 300_usize;
    let piece = [7; 1000];
    peer.sends(header(1, 300_000, NO_PROPERTIES)).expects_nothing();
    for _ in 1..pieces {
        peer.sends(body(1, &piece)).expects_nothing();
    }
    let message = peer.sends(body(1, &piece)).expects_message();

    assert_eq!(message.body_len(), 300_000);
    assert!(message.body().iter().all(|&octet| octet == 7));
    let buffer = Vec::from(message.blob);
    assert_eq!(buffer.capacity(), buffer.len());
}

#[test]
fn content_without_a_publish_is_refused() {
    for sent in [header(1, 0, NO_PROPERTIES), body(1, b"x"), body(1, b"")] {
        let _ = PeerUnderTest::with_channel().sends(sent).closes_connection(
            "505 UNEXPECTED_FRAME - expected method frame, got non method frame instead",
            (0, 0),
        );
    }
}

#[test]
fn anything_but_a_header_after_a_publish_is_refused() {
    for sent in [body(1, b"x"), flow(1, true), publish(1, "", "q"), close_channel(1)] {
        let _ = PeerUnderTest::publishing().sends(sent).closes_connection(WRONG_HEADER, (60, 40));
    }
}

#[test]
fn a_header_of_another_class_is_refused() {
    let _ = PeerUnderTest::publishing()
        .sends(header_of_class(1, 50, 0, 5, NO_PROPERTIES))
        .closes_connection(
            "505 UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
            (60, 40),
        );
}

#[test]
fn a_header_with_a_weight_is_no_header() {
    let _ = PeerUnderTest::publishing()
        .sends(header_of_class(1, 60, 1, 5, NO_PROPERTIES))
        .closes_connection(WRONG_HEADER, (60, 40));
}

#[test]
fn a_header_that_is_too_short_is_an_unknown_frame() {
    let _ =
        PeerUnderTest::publishing().sends(frame(FrameKind::Header, 1, &[0, 60])).closes_connection(
            "501 FRAME_ERROR - type 2, all octets = <<0,60>>: unknown_frame",
            (0, 0),
        );
}

#[test]
fn anything_but_a_body_after_a_header_is_refused() {
    for sent in [header(1, 5, NO_PROPERTIES), flow(1, true), publish(1, "", "q")] {
        let mut peer = PeerUnderTest::publishing();
        peer.sends(header(1, 5, NO_PROPERTIES)).expects_nothing();
        let _ = peer.sends(sent).closes_connection(WRONG_BODY, (60, 40));
    }
}

#[test]
fn a_body_longer_than_announced_is_refused() {
    for pieces in [&[&b"abcdef"[..]][..], &[b"abc", b"def"]] {
        let mut peer = PeerUnderTest::publishing();
        peer.sends(header(1, 5, NO_PROPERTIES)).expects_nothing();
        let (last, first) = pieces.split_last().unwrap();
        for piece in first {
            peer.sends(body(1, piece)).expects_nothing();
        }
        let _ = peer.sends(body(1, last)).closes_connection(
            "501 FRAME_ERROR - content body frame exceeds remaining content size",
            (60, 40),
        );
    }
}

#[test]
fn malformed_properties_are_refused() {
    // Truncated flags, a missing value, octets behind the last value, the continuation bit.
    for properties in [&[0][..], &[0x10, 0], &[0x10, 0, 2, 9], &[0, 1, 0, 0]] {
        let error = PeerUnderTest::publishing().sends(header(1, 0, properties)).0.unwrap_err();
        assert_eq!((error.scope, error.code.number()), (Scope::Connection, 502), "{error}");
        assert_eq!((error.class, error.method), (60, 40));
        assert!(error.text.starts_with("SYNTAX_ERROR - "), "{error}");
    }
}

#[test]
fn a_message_above_the_limit_closes_the_channel_and_its_body_is_dropped() {
    let mut peer = PeerUnderTest::publishing();
    peer.sends(header(1, 1_000_001, NO_PROPERTIES)).closes_channel(
        1,
        "406 PRECONDITION_FAILED - message size 1000001 is larger than configured max size 1000000",
        (60, 40),
    );
    for _ in 0..1000 {
        peer.sends(body(1, &[0; 1000])).expects_nothing();
    }
    peer.sends(body(1, b"x")).expects_nothing();
    peer.sends(close_channel_ok(1)).expects(Command::CloseChannelOk);
}

#[test]
fn a_message_of_the_limit_is_taken() {
    let mut peer = PeerUnderTest::publishing();
    peer.sends(header(1, 1_000_000, NO_PROPERTIES)).expects_nothing();
    assert_eq!(peer.sends(body(1, &vec![0; 1_000_000])).expects_message().body_len(), 1_000_000);
}

#[test]
fn a_message_above_the_ceiling_closes_the_connection() {
    for size in [limits::MESSAGE_SIZE_CEILING + 1, u64::MAX] {
        let _ = PeerUnderTest::publishing().sends(header(1, size, NO_PROPERTIES)).closes_connection(
            &format!("501 FRAME_ERROR - content body size {size} exceeds maximum allowed size 536870912"),
            (60, 40),
        );
    }
}

#[test]
fn an_immediate_message_is_refused_once_it_is_complete() {
    let mut peer = PeerUnderTest::with_channel();
    peer.sends(publish_with(1, "", "q", |it| it.immediate = true)).expects_nothing();
    peer.sends(header(1, 1, NO_PROPERTIES)).expects_nothing();
    let _ = peer
        .sends(body(1, b"x"))
        .closes_connection("540 NOT_IMPLEMENTED - immediate=true", (60, 40));
}

#[test]
fn a_header_alone_reserves_no_memory_for_the_body_it_announces() {
    let mut content = content_awaiting(900_000);
    assert!(content.reserved() < 100, "{}", content.reserved());

    assert!(!content.body(b"x").unwrap());
    assert!(content.reserved() <= limits::BODY_RESERVE, "{}", content.reserved());
}

#[test]
fn messages_received_in_part_on_many_channels_are_bounded_together() {
    let mut peer = PeerUnderTest::running();
    let piece = vec![0; 999_999];
    let error = (1..=1000).find_map(|channel| {
        peer.sends(open_channel(channel)).expects(Command::OpenChannel);
        peer.sends(publish(channel, "", "q")).expects_nothing();
        peer.sends(header(channel, 1_000_000, NO_PROPERTIES)).expects_nothing();
        peer.sends(body(channel, &piece)).0.err()
    });
    let error = error.expect("it ends before a gigabyte");
    assert_eq!(error.code.number(), 506);
    assert_eq!(
        error.text,
        "RESOURCE_ERROR - messages received in part hold more than 68108864 bytes"
    );
}

/// A channel that owes a body of this size.
fn content_awaiting(size: u64) -> Content {
    let mut content = Content::default();
    content.begin(&PublishMethod {
        exchange: "",
        routing_key: "q",
        mandatory: false,
        immediate: false,
    });
    let announced = header(1, size, NO_PROPERTIES);
    let frame = Frame { kind: announced.kind, channel: 1, payload: &announced.payload };
    assert!(!content.header(frame, size).unwrap());
    content
}

#[test]
fn a_frame_may_be_taken_in_parts_and_ends_empty() {
    let mut content = content_awaiting(600_000);
    for end in [false, true] {
        assert!(content.begin_piece(&[1; 1000], 299_000, &Shelf::default()));
        let mut missing = 299_000;
        while missing > 0 {
            let room = content.room(missing, &Shelf::default()).unwrap();
            let count = (room.capacity() - room.len()).min(missing);
            room.resize(room.len() + count, 2);
            missing -= count;
        }
        assert_eq!(content.body(b"").unwrap(), end);
    }
    let message = content.message(&[], &mut Arena::new());
    let expected = [vec![1; 1000], vec![2; 299_000]].concat().repeat(2);
    assert_eq!((message.routing_key(), message.body()), ("q", &expected[..]));
}

#[test]
fn a_frame_that_is_not_due_is_not_taken_in_parts() {
    assert!(!Content::default().begin_piece(b"x", 10, &Shelf::default()), "a method is due");
    assert!(
        !content_awaiting(10).begin_piece(b"x", 10, &Shelf::default()),
        "longer than the message"
    );
    let mut discarding = content_awaiting(11);
    discarding.discard();
    assert!(!discarding.begin_piece(b"x", 10, &Shelf::default()), "nothing is kept");
    assert!(content_awaiting(11).begin_piece(b"x", 10, &Shelf::default()));
}

#[test]
fn a_channel_that_closes_within_a_frame_gives_its_memory_back() {
    let mut content = content_awaiting(100_000);
    assert!(content.begin_piece(&[1; 1000], 99_000, &Shelf::default()));
    content.discard();
    assert_eq!(content.room(99_000, &Shelf::default()), None);
    assert_eq!(content.reserved(), 0);
    assert!(!content.body(b"").unwrap());
    assert!(content.is_idle());
}

#[test]
fn what_is_reserved_for_a_frame_in_parts_follows_what_has_come() {
    let mut content = content_awaiting(limits::MESSAGE_SIZE_DEFAULT);
    assert!(content.begin_piece(&[1; 32], 10_000_000, &Shelf::default()));
    assert!(content.reserved() <= limits::BODY_RESERVE, "{}", content.reserved());
    let mut arrived = 32;
    while content.reserved() < 5_000_000 {
        let room = content.room(10_000_000 - arrived, &Shelf::default()).unwrap();
        let filled = room.capacity();
        arrived += filled - room.len();
        room.resize(filled, 1);
        content.room(10_000_000 - arrived, &Shelf::default()).unwrap();
        assert!(content.reserved() <= 6 * filled, "{} after {filled}", content.reserved());
    }
}
