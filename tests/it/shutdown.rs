//! SIGTERM: clients are told, nothing is lost, the exit code is 0.

use std::time::{Duration, Instant};

use crate::support::{RawPeer, TestBroker, method};

const FORCED: &str = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";

#[test]
fn clients_are_told_and_the_broker_ends_well() {
    let broker = TestBroker::own();
    let (mut idle, mut busy) = (RawPeer::connect(&broker), RawPeer::connect(&broker));
    busy.has_queue(1, "q");
    busy.consumes(1, "q", "c");
    broker.terminate();
    idle.is_cut_off("", 320, FORCED);
    busy.is_cut_off("", 320, FORCED);
    let (status, said) = broker.stops();
    assert_eq!(status.code(), Some(0), "{said}");
}

#[test]
fn a_broker_without_clients_stops_too() {
    let (status, said) = TestBroker::own().stop();
    assert_eq!(status.code(), Some(0), "{said}");
}

#[test]
fn a_client_that_does_not_answer_does_not_hold_up_the_stop() {
    let broker = TestBroker::own();
    let _silent = RawPeer::connect(&broker);
    let _half = RawPeer::dial(&broker);
    let mut closed = RawPeer::connect(&broker);
    closed.asks(0, &method("connection.close").set("code", 200), "connection.close-ok");
    let started = Instant::now();
    let (status, said) = broker.stop();
    assert_eq!(status.code(), Some(0), "{said}");
    // Supervisors kill after ten seconds (docker stop), and what a kill leaves behind takes longer to recover.
    assert!(started.elapsed() < Duration::from_secs(8), "it took {:?}", started.elapsed());
}

#[test]
fn what_was_published_before_the_stop_is_there_after_it() {
    let mut broker = TestBroker::own();
    let mut peer = RawPeer::connect(&broker);
    peer.has_durable_queue(1, "q");
    for number in 0..300 {
        peer.publishes_persistent(1, "q", &number.to_string());
    }
    // No confirms: the answer to this question says that all of it has been read.
    assert_eq!(peer.counts(1, "q"), (300, 0));
    drop(peer);
    broker.restart();
    let all: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    assert_eq!(RawPeer::connect(&broker).drains(1, "q"), all);
}

#[test]
fn unsettled_messages_are_back_after_the_stop() {
    let mut broker = TestBroker::own();
    let mut peer = RawPeer::connect(&broker);
    peer.has_durable_queue(1, "q");
    peer.publishes_persistent(1, "q", "held");
    peer.consumes(1, "q", "c");
    peer.receives(1, &["held"]);
    drop(peer);
    broker.restart();
    assert!(RawPeer::connect(&broker).gets(1, "q").unwrap().redelivered());
}

#[test]
fn the_log_says_how_the_broker_came_and_went() {
    let broker = TestBroker::own();
    let address = broker.address().to_owned();
    RawPeer::connect(&broker).asks(
        0,
        &method("connection.close").set("code", 200),
        "connection.close-ok",
    );
    let (_, said) = broker.stop();
    assert!(said.contains(&format!("listening on {address}")), "{said}");
    assert!(!said.contains("ERROR") && !said.contains("panicked"), "{said}");
}
