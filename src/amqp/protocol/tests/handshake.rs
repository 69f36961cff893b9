//! From start-ok to open, and closing a connection.

use std::time::Duration;

use amq_protocol::protocol::connection::{AMQPMethod, SecureOk, UpdateSecret};
use amq_protocol::types::AMQPValue;

use super::*;
use crate::amqp::protocol::command::{CloseReason, Login, NewSecret, Secret};
use crate::amqp::protocol::heartbeat::Heartbeat;

const LOGIN_REFUSED: &str = "403 ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. \
                             For details see the broker logfile.";

fn login(mechanism: Mechanism, user: &str, password: &[u8]) -> Command {
    Command::Authenticate(Box::new(Login {
        mechanism,
        user: user.to_owned(),
        password: Secret::new(password),
    }))
}

fn properties_with_capability(name: &str) -> FieldTable {
    let mut capabilities = FieldTable::default();
    capabilities.insert(name.into(), AMQPValue::Boolean(true));
    let mut properties = FieldTable::default();
    properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    properties
}

fn farewell() -> Command {
    Command::CloseConnection(Box::new(CloseReason {
        code: 200,
        text: "bye".to_owned(),
        class: 0,
        method: 0,
    }))
}

#[test]
fn a_client_logs_in_tunes_and_opens_with_the_frames_real_clients_send() {
    let mut peer = PeerUnderTest::connected();
    peer.sends_hex(
        "01000000000051000a000b0000002d0770726f647563745300000001700c6361706162696c69746965734600\
         00000d0a62617369632e6e61636b740105504c41494e0000000c00677565737400677565737405656e5f5553ce",
    )
    .expects(login(Mechanism::Plain, "guest", b"guest"));
    assert!(peer.peer.client().capabilities.basic_nack);

    assert_eq!(peer.peer.authenticated(), offer().tune());
    let Ok(Some(Command::Tuned(tuning))) = peer.sends(tune_ok(100, 4096, 10)).0 else {
        panic!("tune-ok was not taken");
    };
    assert_eq!((tuning.channel_max, tuning.frame_max), (100, 4096));
    assert_eq!(tuning.heartbeat.unwrap().send_after(), Duration::from_secs(5));

    peer.sends_hex("01000000000008000a0028012f0000ce").expects(Command::OpenVhost("/".into()));
    peer.peer.opened();
    peer.sends_hex("010001000000050014000a00ce").expects(Command::OpenChannel);
}

#[test]
fn start_offers_version_mechanisms_and_locale() {
    let start = offer().start();
    assert_eq!((start.version_major, start.version_minor), (0, 9));
    assert_eq!(start.mechanisms.as_bytes(), b"PLAIN AMQPLAIN");
    assert_eq!(start.locales.as_bytes(), b"en_US");
}

#[test]
fn amqplain_logs_in_too() {
    let response = b"\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x06secret";
    PeerUnderTest::connected()
        .sends(start_ok("AMQPLAIN", response, FieldTable::default()))
        .expects(login(Mechanism::AmqPlain, "guest", b"secret"));
}

#[test]
fn a_malformed_response_is_a_refused_login_and_silent_to_clients_that_did_not_ask() {
    let then = PeerUnderTest::connected()
        .sends(start_ok("PLAIN", b"guest", FieldTable::default()))
        .closes_connection(LOGIN_REFUSED, (0, 0));
    assert_eq!(then, Ending::HangUp);
}

#[test]
fn a_malformed_response_is_told_to_clients_that_asked_and_close_ok_is_not_awaited() {
    let properties = properties_with_capability("authentication_failure_close");
    let then = PeerUnderTest::connected()
        .sends(start_ok("PLAIN", b"guest", properties))
        .closes_connection(LOGIN_REFUSED, (0, 0));
    assert_eq!(then, Ending::LingerThenHangUp);
}

#[test]
fn a_mechanism_that_was_not_offered_is_refused() {
    let only_plain = Offer { mechanisms: vec![Mechanism::Plain], ..offer() };
    let _ = PeerUnderTest::connected_to(only_plain)
        .sends(start_ok("AMQPLAIN", b"", FieldTable::default()))
        .closes_connection(&LOGIN_REFUSED.replace("PLAIN", "AMQPLAIN"), (0, 0));
}

#[test]
fn tune_ok_may_lower_channel_max_to_1_and_frame_max_to_4096() {
    let answer = PeerUnderTest::logged_in().sends(tune_ok(1, 4096, 0)).0;
    let Ok(Some(Command::Tuned(tuning))) = answer else { panic!("{answer:?}") };
    assert_eq!((tuning.channel_max, tuning.frame_max, tuning.heartbeat), (1, 4096, None));
}

#[test]
fn the_heartbeat_is_the_clients_to_choose() {
    let mut peer = PeerUnderTest::logged_in();
    peer.sends(tune_ok(1, 4096, 600)).0.unwrap();
    assert_eq!(peer.peer.tuning().heartbeat, Heartbeat::new(600));
}

#[test]
fn tune_ok_below_the_minimum_or_above_the_offer_is_refused() {
    for (channel_max, frame_max, text) in [
        (9, 4095, "frame_max = 4095 is lower than the minimum allowed value (4096)"),
        (9, 131_073, "frame_max = 131073 is higher than the maximum allowed value (131072)"),
        (9, 0, "frame_max = 0 (no limit) is higher than the maximum allowed value (131072)"),
        (2048, 4096, "channel_max = 2048 is higher than the maximum allowed value (2047)"),
        (0, 4096, "channel_max = 0 (no limit) is higher than the maximum allowed value (2047)"),
    ] {
        let then = PeerUnderTest::logged_in()
            .sends(tune_ok(channel_max, frame_max, 0))
            .closes_connection(&format!("530 NOT_ALLOWED - negotiated {text}"), (10, 30));
        assert_eq!(then, Ending::AwaitCloseOk);
    }
}

#[test]
fn no_limit_can_be_agreed_on_if_none_is_offered() {
    let mut peer = PeerUnderTest::connected_to(Offer { channel_max: 0, frame_max: 0, ..offer() });
    peer.logs_in();
    peer.sends(tune_ok(0, 0, 0)).0.unwrap();
    assert_eq!((peer.peer.tuning().channel_max, peer.peer.frame_max()), (u16::MAX, u32::MAX));
}

#[test]
fn the_frame_limit_is_small_until_tune_ok() {
    let mut peer = PeerUnderTest::logged_in();
    assert_eq!(peer.peer.frame_max(), limits::FRAME_MAX_BEFORE_TUNE);
    peer.sends(tune_ok(10, 100_000, 0)).0.unwrap();
    assert_eq!(peer.peer.frame_max(), 100_000);
}

#[test]
fn methods_out_of_turn_are_refused_in_the_words_of_the_stage() {
    let unexpected =
        |stage| format!("504 CHANNEL_ERROR - unexpected method in connection state {stage}");

    let then = PeerUnderTest::connected()
        .sends(open_vhost("/"))
        .closes_connection(&unexpected("starting"), (10, 40));
    assert_eq!(then, Ending::LingerThenHangUp);
    let then = PeerUnderTest::logged_in()
        .sends(open_vhost("/"))
        .closes_connection(&unexpected("tuning"), (10, 40));
    assert_eq!(then, Ending::AwaitCloseOk);

    let mut peer = PeerUnderTest::logged_in();
    peer.sends(tune_ok(1, 4096, 0)).0.unwrap();
    let _ = peer
        .sends(on_connection(AMQPMethod::SecureOk(SecureOk { response: "".into() })))
        .closes_connection(&unexpected("opening"), (10, 21));
}

#[test]
fn a_client_cannot_go_on_before_its_login_is_checked() {
    let mut peer = PeerUnderTest::connected();
    peer.sends(start_ok("PLAIN", b"\0a\0b", FieldTable::default())).0.unwrap();
    let then = peer.sends(tune_ok(1, 4096, 0)).closes_connection(
        "504 CHANNEL_ERROR - unexpected method in connection state starting",
        (10, 31),
    );
    assert_eq!(then, Ending::LingerThenHangUp);
}

#[test]
fn a_channel_cannot_be_opened_before_the_connection() {
    let _ = PeerUnderTest::logged_in()
        .sends(open_channel(1))
        .closes_connection("505 UNEXPECTED_FRAME - type 1, all octets = <<0,20,0,10,0>>", (0, 0));
}

#[test]
fn tune_ok_and_open_are_refused_once_running() {
    let text = "504 CHANNEL_ERROR - unexpected method in connection state running";
    let _ = PeerUnderTest::running().sends(open_vhost("/")).closes_connection(text, (10, 40));
    let _ = PeerUnderTest::running().sends(tune_ok(1, 4096, 0)).closes_connection(text, (10, 31));
}

#[test]
fn an_unsolicited_close_ok_is_refused() {
    let text = "504 CHANNEL_ERROR - unexpected method in connection state running";
    let _ = PeerUnderTest::running().sends(close_connection_ok()).closes_connection(text, (10, 51));
}

#[test]
fn a_new_secret_is_passed_on() {
    let update = UpdateSecret { new_secret: "token".into(), reason: "expired".into() };
    PeerUnderTest::running().sends(on_connection(AMQPMethod::UpdateSecret(update))).expects(
        Command::UpdateSecret(Box::new(NewSecret {
            secret: Secret::new(b"token"),
            reason: "expired".to_owned(),
        })),
    );
}

#[test]
fn after_its_close_only_another_close_of_a_peer_is_heard() {
    let mut peer = PeerUnderTest::with_channel();
    peer.sends(close_connection()).expects(farewell());

    peer.sends(publish(1, "", "q")).expects_nothing();
    peer.sends(close_connection()).expects(Command::CrossingClose);
    peer.sends(frame(FrameKind::Method, 0, b"")).expects_nothing();
}

#[test]
fn a_peer_may_close_during_the_handshake() {
    PeerUnderTest::logged_in().sends(close_connection()).expects(farewell());
}

#[test]
fn after_our_close_only_close_and_close_ok_count() {
    let mut peer = PeerUnderTest::with_channel();
    peer.peer.connection_closing();

    peer.sends(publish(1, "", "q")).expects_nothing();
    peer.sends(raw_method(0, 99, 99, b"")).expects_nothing();
    peer.sends(body(0, b"x")).expects_nothing();
    peer.sends(heartbeat(0, b"")).expects_nothing();
    peer.sends(close_connection()).expects(Command::CrossingClose);
    peer.sends(close_connection_ok()).expects(Command::CloseConnectionOk);
    peer.sends(close_connection()).expects_nothing();
}

#[test]
fn an_error_of_the_connection_is_the_beginning_of_our_close() {
    let mut peer = PeerUnderTest::running();
    assert!(peer.sends(body(0, b"x")).0.is_err());

    peer.sends(body(0, b"x")).expects_nothing();
    peer.sends(close_connection_ok()).expects(Command::CloseConnectionOk);
}
