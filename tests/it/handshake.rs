//! From the first octet to connection.open-ok, and the heartbeats agreed on the way.

use std::time::{Duration, Instant};

use crate::support::{Field, Login, PATIENCE, RawPeer, Read, Table, TestBroker, method};

const REFUSED_LOGIN: &str = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. \
                             For details see the broker logfile.";

fn login_as(response: &str) -> Login {
    Login { response: response.to_owned(), ..Login::default() }
}

#[test]
fn another_protocol_is_answered_with_the_header_of_0_9_1() {
    let broker = TestBroker::start();
    let headers: [&[u8]; 7] = [
        b"AMQP\x00\x00\x09\x00",
        b"AMQP\x00\x00\x0a\x00",
        b"AMQP\x00\x00\x08\x00",
        b"AMQP\x00\x01\x00\x00",
        b"AMQP\x03\x01\x00\x00",
        b"HTTP/1.1",
        b"GET / HT",
    ];
    for header in headers {
        let mut peer = RawPeer::dial(&broker);
        peer.sends_bytes(header);
        assert_eq!(peer.rest(), b"AMQP\x00\x00\x09\x01", "{header:?}");
    }
}

#[test]
fn the_header_of_0_9_is_taken_as_0_9_1() {
    let mut peer = RawPeer::dial(&TestBroker::start());
    peer.sends_bytes(b"AMQP\x01\x01\x00\x09");
    peer.takes(0, "connection.start");
}

#[test]
fn start_names_version_mechanisms_and_locale() {
    let broker = TestBroker::start();
    let start = RawPeer::dial(&broker).greets();
    assert_eq!((start.number("major"), start.number("minor")), (0, 9));
    let mechanisms: Vec<&str> = start.text("mechanisms").split(' ').collect();
    assert!(mechanisms.contains(&"PLAIN") && mechanisms.contains(&"AMQPLAIN"), "{mechanisms:?}");
    assert_eq!(start.text("locales"), "en_US");
}

#[test]
fn start_declares_the_capabilities_clients_look_for() {
    let broker = TestBroker::start();
    let start = RawPeer::dial(&broker).greets();
    let properties = start.table("server_properties");
    let Some(Field::Nested(capabilities)) = properties.get("capabilities") else {
        panic!("no capabilities in {properties:?}");
    };
    for name in [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
    ] {
        assert_eq!(capabilities.get(name), Some(&Field::Bool(true)), "{name}");
    }
}

#[test]
fn start_names_product_and_version_as_long_strings() {
    let broker = TestBroker::start();
    let start = RawPeer::dial(&broker).greets();
    for name in ["product", "version", "platform", "information", "cluster_name"] {
        let property = start.table("server_properties").get(name);
        assert!(matches!(property, Some(Field::Text(_))), "{name}: {property:?}");
    }
}

#[test]
fn product_and_version_are_configurable() {
    let broker = TestBroker::with_config("product = \"Burrow\"\nversion = \"9.8.7\"\n");
    let start = RawPeer::dial(&broker).greets();
    let properties = start.table("server_properties");
    assert_eq!(properties.get("product"), Some(&Field::from("Burrow")));
    assert_eq!(properties.get("version"), Some(&Field::from("9.8.7")));
}

#[test]
fn tune_offers_the_limits_of_rabbitmq() {
    let mut peer = RawPeer::dial(&TestBroker::start());
    peer.greets();
    peer.authenticates(&Login::default());
    let offer = peer.tunes(&Login::default());
    let expected = method("connection.tune")
        .set("channel_max", 2047)
        .set("frame_max", 131_072)
        .set("heartbeat", 60);
    assert_eq!(offer, expected);
}

#[test]
fn amqplain_logs_in() {
    let login = Login {
        mechanism: "AMQPLAIN",
        response: "\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x05guest".to_owned(),
        ..Login::default()
    };
    RawPeer::connect_with(&TestBroker::start(), &login).leaves();
}

#[test]
fn the_authorisation_id_of_plain_is_ignored() {
    // RFC 4616 allows it; RabbitMQ 3.10 hangs up.
    let login = login_as("somebody\0guest\0guest");
    RawPeer::connect_with(&TestBroker::own(), &login).leaves();
}

#[test]
fn a_wrong_password_is_told_to_a_client_that_asked_for_it() {
    let mut peer = RawPeer::dial(&TestBroker::start());
    peer.greets();
    peer.authenticates(&login_as("\0guest\0wrong"));
    peer.is_cut_off("", 403, REFUSED_LOGIN);
}

#[test]
fn an_unknown_user_hears_the_same_as_a_wrong_password() {
    let mut peer = RawPeer::dial(&TestBroker::start());
    peer.greets();
    peer.authenticates(&login_as("\0nobody\0guest"));
    peer.is_cut_off("", 403, REFUSED_LOGIN);
}

#[test]
fn a_wrong_password_without_the_capability_just_ends_the_connection() {
    let mut peer = RawPeer::dial(&TestBroker::start());
    peer.greets();
    peer.authenticates(&Login { capabilities: &[], ..login_as("\0guest\0wrong") });
    assert_eq!(peer.rest(), b"");
}

#[test]
fn a_mechanism_that_was_not_offered_ends_the_connection() {
    let mut peer = RawPeer::dial(&TestBroker::start());
    peer.greets();
    let unknown = Login { mechanism: "SCRAM-SHA-256", capabilities: &[], ..Login::default() };
    peer.authenticates(&unknown);
    assert_eq!(peer.rest(), b"");
}

#[test]
fn an_unknown_vhost_is_not_found() {
    let mut peer = RawPeer::dial(&TestBroker::start());
    peer.greets();
    peer.authenticates(&Login::default());
    peer.tunes(&Login::default());
    peer.enters("burrow");
    peer.is_cut_off("connection.open", 530, "NOT_ALLOWED - vhost burrow not found");
}

#[test]
fn a_vhost_without_permissions_is_closed_to_the_user() {
    let broker = TestBroker::with_config("[[users]]\nname = \"hare\"\npassword = \"form\"\n");
    let login = login_as("\0hare\0form");
    let mut peer = RawPeer::dial(&broker);
    peer.greets();
    peer.authenticates(&login);
    peer.tunes(&login);
    peer.enters("/");
    let text = "NOT_ALLOWED - access to vhost '/' refused for user 'hare'";
    peer.is_cut_off("connection.open", 530, text);
}

#[test]
fn the_smallest_frame_size_of_the_protocol_is_accepted() {
    // RabbitMQ 4.1 asks for 8192, which broke clients that send 4096.
    let login = Login { frame_max: 4096, ..Login::default() };
    RawPeer::connect_with(&TestBroker::start(), &login).leaves();
}

fn refused_tuning(login: &Login, text: &str) {
    // RabbitMQ 3.10 hangs up without a frame; the texts are those of 4.x.
    let mut peer = RawPeer::dial(&TestBroker::own());
    peer.greets();
    peer.authenticates(login);
    peer.tunes(login);
    peer.enters("/");
    peer.is_cut_off("connection.tune", 530, text);
}

#[test]
fn a_frame_size_below_the_smallest_is_refused() {
    refused_tuning(
        &Login { frame_max: 4095, ..Login::default() },
        "NOT_ALLOWED - negotiated frame_max = 4095 is lower than the minimum allowed value (4096)",
    );
}

#[test]
fn a_frame_size_above_the_offer_is_refused() {
    refused_tuning(
        &Login { frame_max: 131_073, ..Login::default() },
        "NOT_ALLOWED - negotiated frame_max = 131073 is higher than the maximum allowed value (131072)",
    );
}

#[test]
fn no_limit_of_channels_is_more_than_the_offer() {
    refused_tuning(
        &Login { channel_max: 0, ..Login::default() },
        "NOT_ALLOWED - negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)",
    );
}

#[test]
fn a_handshake_that_does_not_get_on_is_cut_off() {
    let broker = TestBroker::with_config("handshake_timeout_ms = 300\n");
    let mut silent = RawPeer::dial(&broker);
    let mut halfway = RawPeer::dial(&broker);
    halfway.greets();
    assert_eq!(silent.rest(), b"");
    assert_eq!(halfway.rest(), b"");
}

#[test]
fn a_trickle_of_octets_does_not_stretch_the_handshake() {
    let broker = TestBroker::with_config("handshake_timeout_ms = 300\n");
    let mut peer = RawPeer::dial(&broker);
    let started = Instant::now();
    peer.sends_bytes(b"AMQP\x00\x00\x09");
    while peer.reads(Duration::from_millis(50)) == Read::Silence {
        assert!(started.elapsed() < PATIENCE, "the broker still waits for the header");
    }
    assert_eq!(peer.reads(PATIENCE), Read::Ended);
}

#[test]
fn an_open_connection_outlives_the_handshake_timeout() {
    let broker = TestBroker::with_config("handshake_timeout_ms = 200\n");
    let mut peer = RawPeer::connect(&broker);
    assert_eq!(peer.reads(Duration::from_millis(600)), Read::Silence);
    peer.opens(2);
}

#[test]
fn heartbeats_come_at_half_the_interval() {
    let login = Login { heartbeat: 1, ..Login::default() };
    let mut peer = RawPeer::connect_with(&TestBroker::start(), &login);
    let started = Instant::now();
    for _ in 0..2 {
        let Read::Frame(frame) = peer.reads(PATIENCE) else { panic!("no heartbeat") };
        assert_eq!((frame.kind, frame.channel, frame.payload), (8, 0, vec![]));
        peer.sends_frame(8, 0, b"");
    }
    assert!(started.elapsed() > Duration::from_millis(600), "two heartbeats came too early");
}

#[test]
fn a_peer_silent_for_three_intervals_is_dropped_without_a_word() {
    let login = Login { heartbeat: 1, ..Login::default() };
    let mut peer = RawPeer::connect_with(&TestBroker::start(), &login);
    let started = Instant::now();
    loop {
        match peer.reads(PATIENCE) {
            Read::Frame(frame) => assert_eq!(frame.kind, 8, "{frame:?}"),
            end => {
                assert_eq!(end, Read::Ended);
                break;
            }
        }
    }
    assert!(started.elapsed() >= Duration::from_millis(1900), "dropped before two intervals");
}

#[test]
fn a_peer_that_sends_heartbeats_stays() {
    let broker = TestBroker::start();
    let login = Login { heartbeat: 1, ..Login::default() };
    let mut peer = RawPeer::connect_with(&broker, &login);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(4) {
        let Read::Frame(frame) = peer.reads(PATIENCE) else { panic!("dropped") };
        assert_eq!(frame.kind, 8);
        peer.sends_frame(8, 0, b"");
    }
    peer.opens(1);
}

#[test]
fn a_new_secret_is_accepted() {
    let mut peer = RawPeer::connect(&TestBroker::start());
    let update = method("connection.update-secret").set("new_secret", "guest").set("reason", "r");
    peer.asks(0, &update, "connection.update-secret-ok");
}

#[test]
fn close_is_answered_whatever_the_code() {
    let mut peer = RawPeer::connect(&TestBroker::start());
    let close = method("connection.close").set("code", 999).set("text", "bye");
    peer.asks(0, &close, "connection.close-ok");
}

/// Threads of one client close, and publish, without knowing of each other. A socket that is closed from here would answer
/// them with a reset, which can overtake close-ok.
#[test]
fn a_client_that_has_closed_is_heard_out_until_it_hangs_up() {
    let mut peer = RawPeer::connect(&TestBroker::start());
    let close = method("connection.close").set("code", 200);
    peer.asks(0, &close, "connection.close-ok");
    for _ in 0..2000 {
        assert!(
            peer.sends(1, &method("basic.publish").set("routing_key", "q")),
            "the broker hung up"
        );
    }
    peer.asks(0, &close, "connection.close-ok");
}

#[test]
fn a_client_that_closes_and_never_hangs_up_is_hung_up_on_after_a_heartbeat_interval() {
    let login = Login { heartbeat: 1, ..Login::default() };
    let mut peer = RawPeer::connect_with(&TestBroker::start(), &login);
    peer.asks(0, &method("connection.close").set("code", 200), "connection.close-ok");
    peer.expects_end_after_heartbeats();
}

#[test]
fn a_client_may_have_no_properties() {
    let mut peer = RawPeer::dial(&TestBroker::start());
    peer.greets();
    let start_ok = method("connection.start-ok")
        .set("client_properties", Table::default())
        .set("mechanism", "PLAIN")
        .set("response", "\0guest\0guest")
        .set("locale", "en_US");
    peer.sends(0, &start_ok);
    peer.takes(0, "connection.tune");
}
