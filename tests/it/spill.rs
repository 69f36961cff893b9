//! Transient messages beyond memory: on disk while the broker runs, and gone with it.

use std::path::Path;

use crate::support::{PATIENCE, RawPeer, TestBroker, eventually, properties};

const MESSAGES: usize = 4000;

/// A broker that keeps next to no transient messages in memory.
fn broker() -> TestBroker {
    TestBroker::with_config("transient_bytes = 65536\ndisk_free_limit = 0")
}

fn body(number: usize) -> String {
    format!("{number:01000}")
}

/// Publishes to a queue that goes with the broker, and waits until most of it is on disk.
fn fills(broker: &TestBroker, peer: &mut RawPeer, queue: &str) {
    peer.has_queue(1, queue);
    peer.selects_confirms(1);
    for number in 0..MESSAGES {
        peer.publishes_with(1, queue, &properties(), body(number).as_bytes());
    }
    peer.is_confirmed_up_to(1, MESSAGES as u64);
    eventually(PATIENCE, "messages are on disk", || spilled(&broker.data_dir()) > 2_000_000);
}

/// Bytes in the files of spilled messages.
fn spilled(data_dir: &Path) -> u64 {
    let files = std::fs::read_dir(data_dir.join("spill")).unwrap();
    files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
}

#[test]
fn transient_messages_beyond_memory_come_back_in_order() {
    let broker = broker();
    let mut peer = RawPeer::connect(&broker);
    fills(&broker, &mut peer, "q");

    assert_eq!(peer.counts(1, "q").0, MESSAGES as u64);
    assert!(peer.drains(1, "q") == (0..MESSAGES).map(body).collect::<Vec<_>>());
}

#[test]
fn a_consumer_gets_what_was_spilled_in_order() {
    let broker = broker();
    let mut peer = RawPeer::connect(&broker);
    fills(&broker, &mut peer, "q");

    peer.opens(2);
    peer.prefetches(2, 100);
    peer.consumes(2, "q", "c");
    for number in 0..MESSAGES {
        let delivery = peer.delivery(2);
        assert_eq!(delivery.text(), body(number));
        peer.acks(2, delivery.tag());
    }
}

#[test]
fn what_was_spilled_is_gone_after_a_kill() {
    let mut broker = broker();
    let mut peer = RawPeer::connect(&broker);
    fills(&broker, &mut peer, "q");

    broker.crash();

    assert_eq!(spilled(&broker.data_dir()), 0);
    assert!(!RawPeer::connect(&broker).sees_queue("q"));
}
