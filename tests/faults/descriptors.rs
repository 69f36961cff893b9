//! Clients that take every file descriptor do not take the store's.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::*;

/// Messages that need more than one segment of 32 MiB together.
const MESSAGES: u64 = 40;
const FILES: u32 = 96;

/// Connects, and says whether the broker answered.
fn greeted(broker: &TestBroker, patience: Duration) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(broker.address()).ok()?;
    stream.write_all(b"AMQP\x00\x00\x09\x01").ok()?;
    stream.set_read_timeout(Some(patience)).unwrap();
    let mut octet = [0];
    (stream.read(&mut octet).ok()? == 1).then_some(stream)
}

#[test]
fn a_broker_without_descriptors_goes_on_confirming() {
    let broker = TestBroker::with_files(FILES, "checkpoint_interval_ms = 100\n");
    let mut peer = RawPeer::connect(&broker);
    peer.has_durable_queue(1, "q");
    peer.selects_confirms(1);
    let mut crowd = Vec::new();
    while let Some(one) = greeted(&broker, Duration::from_secs(2)) {
        crowd.push(one);
        assert!(crowd.len() < FILES as usize, "there are no more descriptors");
    }

    let body = "x".repeat(1024 * 1024);
    for _ in 0..MESSAGES {
        peer.publishes_persistent(1, "q", &body);
    }
    peer.is_confirmed_up_to(1, MESSAGES);

    println!("{} connections with {FILES} descriptors", crowd.len() + 1);
    drop(crowd);
    eventually(PATIENCE, "connections are accepted again", || {
        greeted(&broker, Duration::from_secs(2)).is_some()
    });
    drop(peer);
    let (status, log) = broker.stop();
    assert!(status.success(), "{log}");
    assert!(!log.contains("ERROR"), "{log}");
}
