//! Octets that are no frames, and frames that come at the wrong time. All of it ends the connection, and only that.

use crate::support::{
    Field, Login, RawPeer, TestBroker, content_header, frame, method, properties,
};

const HEADER_DUE: &str =
    "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead";
const BODY_DUE: &str =
    "UNEXPECTED_FRAME - expected content body, got non content body frame instead";
const METHOD_DUE: &str = "UNEXPECTED_FRAME - expected method frame, got non method frame instead";

fn peer() -> RawPeer {
    RawPeer::connect(&TestBroker::start())
}

/// Channel 1 has said basic.publish and owes a content header.
fn peer_that_owes_a_header() -> RawPeer {
    let mut peer = peer();
    peer.sends(1, &method("basic.publish").set("exchange", "amq.fanout"));
    peer
}

/// Channel 1 owes ten octets of body.
fn peer_that_owes_a_body() -> RawPeer {
    let mut peer = peer_that_owes_a_header();
    peer.sends_frame(2, 1, &content_header(10, &properties()));
    peer
}

#[test]
fn a_frame_type_that_does_not_exist_is_unknown() {
    for kind in [4, 9] {
        let mut peer = peer();
        peer.sends_frame(kind, 1, b"abc");
        let text = format!("FRAME_ERROR - type {kind}, all octets = <<\"abc\">>: unknown_frame");
        peer.is_cut_off("", 501, &text);
    }
}

#[test]
fn a_long_unknown_frame_is_quoted_by_its_first_sixteen_octets() {
    let mut peer = peer();
    peer.sends_frame(9, 1, b"abcdefghijklmnopqrstuvwxyz");
    let text = "FRAME_ERROR - type 9, first 16 octets = <<\"abcdefghijklmnop\">>: unknown_frame";
    peer.is_cut_off("", 501, text);
}

#[test]
fn a_method_frame_too_short_for_its_number_is_unknown() {
    let mut peer = peer();
    peer.sends_frame(1, 1, &[0, 10]);
    peer.is_cut_off("", 501, "FRAME_ERROR - type 1, all octets = <<0,10>>: unknown_frame");
}

#[test]
fn a_heartbeat_has_no_payload() {
    let mut peer = peer();
    peer.sends_frame(8, 0, b"x");
    peer.is_cut_off("", 501, "FRAME_ERROR - type 8, all octets = <<\"x\">>: unknown_frame");
}

#[test]
fn a_heartbeat_belongs_to_channel_0() {
    let mut peer = peer();
    peer.sends_frame(8, 1, b"");
    peer.is_cut_off("", 505, "UNEXPECTED_FRAME - type 8, all octets = <<>>");
}

#[test]
fn a_wrong_end_octet_is_named() {
    let mut peer = peer();
    peer.sends_bytes(&[1, 0, 1, 0, 0, 0, 4, 0, 20, 0, 10, 0]);
    let text = "FRAME_ERROR - type 1, all octets = <<0,20,0,10>>: {invalid_frame_end_marker,0}";
    peer.is_cut_off("", 501, text);
}

#[test]
fn a_frame_above_frame_max_is_refused_by_its_announced_size() {
    let mut peer = peer_that_owes_a_body();
    peer.sends_bytes(&[3, 0, 1]);
    peer.sends_bytes(&131_073_u32.to_be_bytes());
    let text = "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,131073,131064}";
    peer.is_cut_off("", 501, text);
}

#[test]
fn a_payload_may_be_eight_octets_larger_than_agreed() {
    let broker = TestBroker::start();
    let mut peer = RawPeer::connect_with(&broker, &Login { frame_max: 4096, ..Login::default() });
    peer.opens(1);
    peer.has_queue(1, "");
    let name = peer.asks(1, &method("queue.declare").on("exclusive"), "queue.declare-ok");
    let queue = name.text("queue").to_owned();
    peer.sends(1, &method("basic.publish").set("routing_key", &queue));
    peer.sends_frame(2, 1, &content_header(4096, &properties()));
    peer.sends_frame(3, 1, &[7; 4096]);
    assert_eq!(peer.gets(1, &queue).unwrap().body, [7; 4096]);
}

#[test]
fn a_body_without_a_publish_is_unexpected() {
    let mut peer = peer();
    peer.sends_frame(3, 1, b"lost");
    peer.is_cut_off("", 505, METHOD_DUE);
}

#[test]
fn a_content_header_without_a_publish_is_unexpected() {
    let mut peer = peer();
    peer.sends_frame(2, 1, &content_header(0, &properties()));
    peer.is_cut_off("", 505, METHOD_DUE);
}

#[test]
fn a_method_instead_of_a_content_header_is_unexpected() {
    let mut peer = peer_that_owes_a_header();
    peer.sends(1, &method("basic.qos"));
    peer.is_cut_off("basic.publish", 505, HEADER_DUE);
}

#[test]
fn a_body_instead_of_a_content_header_is_unexpected() {
    let mut peer = peer_that_owes_a_header();
    peer.sends_frame(3, 1, b"early");
    peer.is_cut_off("basic.publish", 505, HEADER_DUE);
}

#[test]
fn a_content_header_of_another_class_is_unexpected() {
    let mut peer = peer_that_owes_a_header();
    let mut header = content_header(0, &properties());
    header[1] = 50;
    peer.sends_frame(2, 1, &header);
    let text =
        "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead";
    peer.is_cut_off("basic.publish", 505, text);
}

#[test]
fn a_content_header_has_weight_0() {
    let mut peer = peer_that_owes_a_header();
    let mut header = content_header(0, &properties());
    header[3] = 1;
    peer.sends_frame(2, 1, &header);
    peer.is_cut_off("basic.publish", 505, HEADER_DUE);
}

#[test]
fn a_method_instead_of_a_body_is_unexpected() {
    let mut peer = peer_that_owes_a_body();
    peer.sends(1, &method("basic.qos"));
    peer.is_cut_off("basic.publish", 505, BODY_DUE);
}

#[test]
fn a_second_content_header_instead_of_a_body_is_unexpected() {
    let mut peer = peer_that_owes_a_body();
    peer.sends_frame(2, 1, &content_header(10, &properties()));
    peer.is_cut_off("basic.publish", 505, BODY_DUE);
}

#[test]
fn a_body_longer_than_announced_is_refused() {
    // RabbitMQ 3.10 says nothing and keeps the message; this is 4.x.
    let mut peer = RawPeer::connect(&TestBroker::own());
    peer.sends(1, &method("basic.publish").set("exchange", "amq.fanout"));
    peer.sends_frame(2, 1, &content_header(3, &properties()));
    peer.sends_frame(3, 1, b"four");
    let text = "FRAME_ERROR - content body frame exceeds remaining content size";
    peer.is_cut_off("basic.publish", 501, text);
}

#[test]
fn content_on_channel_0_is_unexpected() {
    let mut peer = peer();
    peer.sends_frame(3, 0, b"abcdefghijklmnopqrst");
    let text = "UNEXPECTED_FRAME - type 3, first 16 octets = <<\"abcdefghijklmnop\">>";
    peer.is_cut_off("", 505, text);
}

#[test]
fn channel_0_is_for_the_connection_only() {
    let mut peer = peer();
    peer.sends(0, &method("queue.declare").set("queue", "q"));
    let text = "CHANNEL_ERROR - unexpected method in connection state running";
    peer.is_cut_off("queue.declare", 504, text);
}

#[test]
fn the_connection_opens_once() {
    let text = "CHANNEL_ERROR - unexpected method in connection state running";
    let mut peer = peer();
    peer.enters("/");
    peer.is_cut_off("connection.open", 504, text);

    let mut peer = self::peer();
    let tune_ok = method("connection.tune-ok").set("channel_max", 9).set("frame_max", 8192);
    peer.sends(0, &tune_ok);
    peer.is_cut_off("connection.tune-ok", 504, text);
}

#[test]
fn methods_of_the_connection_are_not_for_channels() {
    let mut peer = peer();
    peer.sends(1, &method("connection.open").set("vhost", "/"));
    peer.is_cut_off("connection.open", 503, "COMMAND_INVALID - unimplemented method");
}

#[test]
fn methods_only_the_broker_sends_are_invalid() {
    let mut peer = peer();
    peer.sends(1, &method("queue.declare-ok").set("queue", "q"));
    peer.is_cut_off("queue.declare-ok", 503, "COMMAND_INVALID - unimplemented method");
}

#[test]
fn an_unknown_method_is_refused_with_a_text() {
    // RabbitMQ hangs up without a frame.
    let mut peer = RawPeer::connect(&TestBroker::own());
    peer.sends_frame(1, 1, &[0, 60, 0, 99]);
    let close = peer.takes(0, "connection.close");
    assert!([503, 540].contains(&close.number("code")), "{close:?}");
    assert_eq!((close.number("class"), close.number("method")), (60, 99));
}

#[test]
fn fields_that_are_cut_short_cannot_be_decoded() {
    let mut peer = peer();
    peer.sends_frame(1, 1, &[0, 50, 0, 10, 0, 0, 5, b'a', b'b']);
    peer.is_cut_off("queue.declare", 501, "FRAME_ERROR - cannot decode <<0,0,5,97,98>>");
}

#[test]
fn fields_with_something_behind_them_cannot_be_decoded() {
    let mut peer = peer();
    peer.sends_frame(1, 1, &[0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 1, 0, 9]);
    let text = "FRAME_ERROR - cannot decode <<0,0,0,0,0,0,0,1,0,9>>";
    peer.is_cut_off("basic.ack", 501, text);
}

#[test]
fn short_strings_of_methods_are_utf_8() {
    let mut peer = peer();
    peer.sends_frame(1, 1, &[0, 60, 0, 70, 0, 0, 2, 0xC3, 0x28, 0]);
    peer.is_cut_off("", 501, "FRAME_ERROR - Malformed UTF-8 in shortstr");
}

#[test]
fn properties_cut_short_end_the_connection_with_a_text() {
    // RabbitMQ answers with a bare 541, an unhandled fault of its own.
    let mut peer = RawPeer::connect(&TestBroker::own());
    peer.sends(1, &method("basic.publish").set("exchange", "amq.fanout"));
    peer.sends_frame(2, 1, &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 9, b'x']);
    let close = peer.takes(0, "connection.close");
    assert!([501, 502].contains(&close.number("code")), "{close:?}");
    assert!(close.text("text").contains(" - "), "{close:?}");
}

#[test]
fn an_unknown_tag_in_headers_ends_the_connection_with_a_text() {
    // RabbitMQ answers with a bare 541. Passed on, it would break the consumer.
    let mut peer = RawPeer::connect(&TestBroker::own());
    let queue = crate::support::unique("tag");
    peer.has_queue(1, &queue);
    peer.publishes_with(1, &queue, &properties().raw_headers(b"\x01a?"), b"m");
    let close = peer.takes(0, "connection.close");
    assert!([501, 502].contains(&close.number("code")), "{close:?}");
    assert!(close.text("text").contains(" - "), "{close:?}");
}

#[test]
fn an_unknown_tag_in_arguments_ends_the_connection_with_a_text() {
    // RabbitMQ 3.10 hangs up without a frame.
    let mut peer = RawPeer::connect(&TestBroker::own());
    let declare = [0, 50, 0, 10, 0, 0, 0, 0, 0, 0, 0, 3, 1, b'a', b'?'];
    peer.sends_frame(1, 1, &declare);
    let close = peer.takes(0, "connection.close");
    assert!([501, 502].contains(&close.number("code")), "{close:?}");
}

#[test]
fn tables_nested_without_end_do_not_hurt_the_broker() {
    let broker = TestBroker::own();
    let mut table = Vec::new();
    for _ in 0..15_000 {
        // Key "n", a table, and its length; from the inside out, so turned round at the end.
        let length = u32::try_from(table.len()).unwrap();
        table.extend(length.to_le_bytes());
        table.extend(b"Fn\x01");
    }
    let length = u32::try_from(table.len()).unwrap();
    table.extend(length.to_le_bytes());
    table.reverse();
    let mut peer = RawPeer::connect(&broker);
    let declare = [&[0, 50, 0, 10, 0, 0, 0, 0], table.as_slice()].concat();
    peer.sends_frame(1, 1, &declare);
    peer.takes(0, "connection.close");

    RawPeer::connect(&broker).leaves();
}

#[test]
fn moderately_nested_tables_are_fine() {
    let mut value = Field::from(1);
    for _ in 0..20 {
        value = Field::Nested(table! { "n" => value });
    }
    let mut peer = peer();
    let declare = method("queue.declare").on("exclusive").set("arguments", table! { "x" => value });
    peer.asks(1, &declare, "queue.declare-ok");
}

#[test]
fn a_declared_table_length_beyond_the_frame_is_refused() {
    // RabbitMQ 3.10 hangs up without a frame.
    let mut peer = RawPeer::connect(&TestBroker::own());
    peer.sends_frame(1, 1, &[0, 50, 0, 10, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
    assert_eq!(peer.takes(0, "connection.close").number("code"), 501);
}

#[test]
fn frames_arrive_whole_however_the_octets_are_cut() {
    let mut peer = peer();
    let declare = frame(1, 1, &method("basic.qos").encode());
    for octet in declare {
        peer.sends_bytes(&[octet]);
    }
    peer.takes(1, "basic.qos-ok");
}

#[test]
fn garbage_ends_one_connection_and_no_other() {
    let broker = TestBroker::start();
    let mut bystander = RawPeer::connect(&broker);
    let mut peer = RawPeer::connect(&broker);
    peer.sends_bytes(b"\x77\x13\x37this is no frame at all, is it");
    let close = peer.takes(0, "connection.close");
    assert_eq!(close.number("code"), 501, "{close:?}");
    bystander.opens(2);
}

/// A body of so many octets that tells its places apart.
fn long_body(size: usize, seed: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from((at / 7 + seed) % 251).unwrap()).collect()
}

/// The frames of a message to `queue`, none longer than agreed.
fn publish_frames(channel: u16, queue: &str, payload: &[u8]) -> Vec<Vec<u8>> {
    let publish = method("basic.publish").set("routing_key", queue).encode();
    let header = content_header(payload.len() as u64, &properties());
    let pieces = payload.chunks(131_064).map(|piece| frame(3, channel, piece));
    [frame(1, channel, &publish), frame(2, channel, &header)].into_iter().chain(pieces).collect()
}

#[test]
fn long_bodies_come_whole_in_frames_of_any_length_however_they_arrive() {
    let mut peer = peer();
    peer.has_queue(1, "long");
    let sizes = [100, 20_000, 40_000, 70_000, 100_000, 131_064, 131_065, 300_000, 1_500_000];
    for (seed, size) in sizes.into_iter().enumerate() {
        let body = long_body(size, seed);
        let octets = publish_frames(1, "long", &body).concat();
        // Twice in one go, and once in pieces that end anywhere.
        peer.sends_bytes(&octets.repeat(2));
        for piece in octets.chunks(33_333) {
            peer.sends_bytes(piece);
        }
        for _ in 0..3 {
            let message = peer.gets(1, "long").unwrap();
            assert!(message.body == body, "of {size} octets");
        }
    }
}

#[test]
fn long_bodies_of_two_channels_may_take_turns() {
    let mut peer = peer();
    peer.opens(2);
    peer.has_queue(1, "turns");
    let bodies = [long_body(400_000, 1), long_body(400_000, 2)];
    let [one, two] = [1, 2].map(|id| publish_frames(id, "turns", &bodies[usize::from(id) - 1]));
    for (first, second) in one.iter().zip(&two) {
        peer.sends_bytes(&[&first[..], second].concat());
    }
    for body in &bodies {
        assert!(peer.gets(1, "turns").unwrap().body == *body);
    }
}

#[test]
fn long_bodies_on_a_channel_that_was_closed_are_passed_over() {
    let mut peer = peer();
    let nowhere = method("basic.publish").set("exchange", "nowhere").encode();
    let octets = publish_frames(1, "", &long_body(300_000, 0));
    let lost = [&frame(1, 1, &nowhere)[..], &octets[1..].concat()].concat();
    peer.sends_bytes(&lost.repeat(3));
    peer.takes(1, "channel.close");
    peer.sends(1, &method("channel.close-ok"));

    peer.opens(1);
    peer.has_queue(1, "afterwards");
    let body = long_body(100_000, 3);
    peer.sends_bytes(&publish_frames(1, "afterwards", &body).concat());
    assert!(peer.gets(1, "afterwards").unwrap().body == body);
}

#[test]
fn a_long_body_with_a_wrong_end_is_quoted_by_its_first_sixteen_octets() {
    let mut peer = peer_that_owes_a_header();
    peer.sends_frame(2, 1, &content_header(100_000, &properties()));
    let mut octets = frame(3, 1, &vec![b'x'; 100_000]);
    *octets.last_mut().unwrap() = 7;
    peer.sends_bytes(&octets);
    let text = "FRAME_ERROR - type 3, first 16 octets = <<\"xxxxxxxxxxxxxxxx\">>: \
                {invalid_frame_end_marker,7}";
    peer.is_cut_off("", 501, text);
}
