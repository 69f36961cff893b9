//! Opening and closing channels, and what may come on which.

use amq_protocol::protocol::queue::{self, Declare};

use super::*;

const NOT_OPEN: &str = "504 CHANNEL_ERROR - expected 'channel.open'";
const SECOND_OPEN: &str = "504 CHANNEL_ERROR - second 'channel.open' seen";

fn declare(channel: ChannelId) -> Sent {
    method(channel, &AMQPClass::Queue(queue::AMQPMethod::Declare(Declare::default())))
}

#[test]
fn a_method_on_a_channel_that_is_not_open_is_refused() {
    let cases = [
        (declare(1), (50, 10)),
        (publish(1, "", "q"), (60, 40)),
        (close_channel(1), (20, 40)),
        (close_channel_ok(1), (20, 41)),
        (method(1, &connection_close_class()), (10, 50)),
    ];
    for (sent, culprit) in cases {
        let _ = PeerUnderTest::running().sends(sent).closes_connection(NOT_OPEN, culprit);
    }
}

fn connection_close_class() -> AMQPClass {
    AMQPClass::Connection(connection::AMQPMethod::Close(connection::Close::default()))
}

#[test]
fn content_on_a_channel_that_is_not_open_is_refused() {
    for sent in [header(1, 0, &[0, 0]), body(1, b"x")] {
        let _ = PeerUnderTest::running().sends(sent).closes_connection(
            "505 UNEXPECTED_FRAME - expected method frame, got non method frame instead",
            (0, 0),
        );
    }
}

#[test]
fn a_second_open_is_refused_on_an_open_and_on_a_closing_channel() {
    for mut peer in [PeerUnderTest::with_channel(), PeerUnderTest::with_closing_channel()] {
        let _ = peer.sends(open_channel(1)).closes_connection(SECOND_OPEN, (20, 10));
    }
}

#[test]
fn channel_max_limits_how_many_are_open_and_not_their_numbers() {
    let mut peer = PeerUnderTest::running_with_channel_max(3);
    for id in [65535, 10, 1] {
        peer.sends(open_channel(id)).expects(Command::OpenChannel);
    }
    let _ = peer.sends(open_channel(2)).closes_connection(
        "530 NOT_ALLOWED - number of channels opened (3) has reached the negotiated channel_max (3)",
        (0, 0),
    );
}

#[test]
fn a_closed_channel_makes_room_for_another() {
    let mut peer = PeerUnderTest::running_with_channel_max(1);
    peer.sends(open_channel(1)).expects(Command::OpenChannel);
    assert!(matches!(peer.sends(close_channel(1)).0, Ok(Some(Command::CloseChannel(_)))));
    assert_eq!(peer.peer.channel_count(), 0);
    peer.sends(open_channel(2)).expects(Command::OpenChannel);
}

#[test]
fn after_its_close_a_channel_must_be_opened_again() {
    let mut peer = PeerUnderTest::with_channel();
    assert!(peer.sends(close_channel(1)).0.is_ok());
    let _ = peer.sends(declare(1)).closes_connection(NOT_OPEN, (50, 10));
}

#[test]
fn after_our_close_everything_on_the_channel_is_dropped_until_close_ok() {
    let mut peer = PeerUnderTest::with_closing_channel();
    peer.sends(declare(1)).expects_nothing();
    peer.sends(raw_method(1, 60, 80, &[0; 9])).expects_nothing();
    peer.sends(raw_method(1, 99, 99, b"")).expects_nothing();
    peer.sends(raw_method(1, 50, 11, &[0; 9])).expects_nothing();
    peer.sends(method(1, &connection_close_class())).expects_nothing();
    peer.sends(publish(1, "", "q")).expects_nothing();
    peer.sends(header(1, 3, &[0, 0])).expects_nothing();
    peer.sends(body(1, b"abc")).expects_nothing();

    peer.sends(close_channel_ok(1)).expects(Command::CloseChannelOk);
    peer.sends(open_channel(1)).expects(Command::OpenChannel);
    peer.sends(publish(1, "", "q")).expects_nothing();
    peer.sends(header(1, 3, &[0, 0])).expects_nothing();
    assert_eq!(peer.sends(body(1, b"abc")).expects_message().body(), b"abc");
}

#[test]
fn a_close_that_crosses_ours_is_answered_and_ours_stays_open() {
    let mut peer = PeerUnderTest::with_closing_channel();
    peer.sends(close_channel(1)).expects(Command::CrossingClose);
    peer.sends(declare(1)).expects_nothing();
    peer.sends(close_channel_ok(1)).expects(Command::CloseChannelOk);
}

#[test]
fn content_in_flight_when_the_channel_closes_is_dropped() {
    let mut peer = PeerUnderTest::publishing();
    peer.sends(header(1, 6, &[0, 0])).expects_nothing();
    peer.sends(body(1, b"abc")).expects_nothing();
    peer.peer.channel_failed(1);
    peer.sends(body(1, b"def")).expects_nothing();
    peer.sends(close_channel_ok(1)).expects(Command::CloseChannelOk);
}

#[test]
fn malformed_frames_count_on_a_closing_channel_too() {
    let _ = PeerUnderTest::with_closing_channel()
        .sends(raw_method(1, 20, 40, b"\0"))
        .closes_connection("501 FRAME_ERROR - cannot decode <<0>>", (20, 40));
    let _ = PeerUnderTest::with_closing_channel().sends(body(1, b"x")).closes_connection(
        "505 UNEXPECTED_FRAME - expected method frame, got non method frame instead",
        (0, 0),
    );
}

#[test]
fn other_channels_go_on_while_one_closes() {
    let mut peer = PeerUnderTest::with_closing_channel();
    peer.sends(open_channel(2)).expects(Command::OpenChannel);
    peer.sends(flow(2, true)).expects(Command::Flow);
    peer.sends(flow(1, true)).expects_nothing();
}

#[test]
fn a_heartbeat_belongs_on_channel_0_and_is_empty() {
    PeerUnderTest::with_channel().sends(heartbeat(0, b"")).expects(Command::Heartbeat);

    let misplaced = "505 UNEXPECTED_FRAME - type 8, all octets = <<>>";
    let _ =
        PeerUnderTest::with_channel().sends(heartbeat(1, b"")).closes_connection(misplaced, (0, 0));
    let _ =
        PeerUnderTest::with_channel().sends(heartbeat(2, b"")).closes_connection(misplaced, (0, 0));

    let unknown = r#"501 FRAME_ERROR - type 8, all octets = <<"x">>: unknown_frame"#;
    let _ =
        PeerUnderTest::with_channel().sends(heartbeat(0, b"x")).closes_connection(unknown, (0, 0));
    let _ =
        PeerUnderTest::with_channel().sends(heartbeat(1, b"x")).closes_connection(unknown, (0, 0));
}

#[test]
fn content_on_channel_0_is_refused() {
    let _ = PeerUnderTest::running().sends(body(0, b"abcdefghijklmnopq")).closes_connection(
        r#"505 UNEXPECTED_FRAME - type 3, first 16 octets = <<"abcdefghijklmnop">>"#,
        (0, 0),
    );
    let _ = PeerUnderTest::running().sends(header(0, 0, b"")).closes_connection(
        "505 UNEXPECTED_FRAME - type 2, all octets = <<0,60,0,0,0,0,0,0,0,0,0,0>>",
        (0, 0),
    );
}

#[test]
fn methods_of_channels_are_refused_on_channel_0() {
    let text = "504 CHANNEL_ERROR - unexpected method in connection state running";
    for (sent, culprit) in [
        (open_channel(0), (20, 10)),
        (declare(0), (50, 10)),
        (publish(0, "", "q"), (60, 40)),
        (raw_method(0, 60, 80, &[0; 9]), (60, 80)),
    ] {
        let _ = PeerUnderTest::running().sends(sent).closes_connection(text, culprit);
    }
}

#[test]
fn methods_of_the_connection_are_refused_on_channels() {
    let _ = PeerUnderTest::with_channel()
        .sends(method(1, &connection_close_class()))
        .closes_connection("503 COMMAND_INVALID - unimplemented method", (10, 50));
}
