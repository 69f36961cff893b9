//! Memory and disk alarms: publishers wait and are told, everybody else goes on.

use std::sync::Arc;

use amq_protocol::types::FieldTable;
use leveret::amqp::protocol::handshake::{Mechanism, Offer};
use leveret::amqp::session::Shared;
use leveret::auth::Users;
use leveret::broker::Broker;
use leveret::broker::alarms::Alarm;
use leveret::clock::Clock;
use leveret::config::Settings;
use leveret::durability::Durability;
use leveret::server::{Server, ServerOptions};
use tokio::runtime::Runtime;

use crate::support::*;

/// A broker in this process, whose alarms the test can raise and clear.
struct Inside {
    runtime: Runtime,
    broker: Arc<Broker>,
    server: Option<Server>,
    durability: Option<Durability>,
    address: String,
}

impl Inside {
    fn start() -> Self {
        let settings = Settings::default();
        let broker = Arc::new(Broker::new(["/"], 1, Arc::new(Clock::real())));
        let durability = Durability::transient(&broker).unwrap();
        let users = Users::new(settings.users, settings.loopback_users).unwrap();
        let offer = Offer {
            server_properties: FieldTable::default(),
            mechanisms: vec![Mechanism::Plain],
            channel_max: settings.channel_max,
            frame_max: settings.frame_max,
            heartbeat: settings.heartbeat,
            max_message_size: settings.max_message_size,
        };
        let options = ServerOptions {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            max_connections: 10,
            handshake_timeout: settings.handshake_timeout,
            unsaved_bytes: settings.unsaved_bytes,
            memory_high_watermark: 100,
            control: None,
        };
        let shared = Shared {
            broker: Arc::clone(&broker),
            users,
            offer: Arc::new(offer),
            consumer_timeout: None,
            shelf: Arc::default(),
        };
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Server::start(Arc::new(shared), options)).unwrap();
        let address = server.addresses()[0].to_string();
        Self { runtime, broker, server: Some(server), durability: Some(durability), address }
    }

    fn peer(&self) -> RawPeer {
        let mut peer = RawPeer::try_dial(&self.address).unwrap();
        peer.logs_in(&Login::default());
        peer.opens(1);
        peer
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
        assert!(self.durability.take().is_none_or(Durability::stop));
    }
}

fn without_capabilities() -> Login {
    Login { capabilities: &[], ..Login::default() }
}

#[test]
fn a_publisher_is_told_what_the_broker_is_short_of_and_waits_until_it_is_not() {
    let broker = Inside::start();
    let (mut publisher, mut consumer) = (broker.peer(), broker.peer());
    consumer.has_queue(1, "q");
    consumer.consumes(1, "q", "c");
    broker.broker.alarms().set(Alarm::Memory, true);
    broker.broker.alarms().set(Alarm::Disk, true);

    publisher.publishes(1, "q", "first");
    publisher.expects(0, &method("connection.blocked").set("reason", "low on disk & memory"));
    publisher.publishes(1, "q", "second");
    consumer.hears_nothing_more(1, "q");
    // One of two is no reason to go on.
    broker.broker.alarms().set(Alarm::Memory, false);
    consumer.hears_nothing_more(1, "q");

    broker.broker.alarms().set(Alarm::Disk, false);
    publisher.expects(0, &method("connection.unblocked"));
    consumer.receives(1, &["first", "second"]);
}

#[test]
fn a_publisher_that_hangs_up_while_it_is_held_back_gives_back_what_it_had() {
    let broker = Inside::start();
    let (mut publisher, mut other) = (broker.peer(), broker.peer());
    other.has_durable_queue(1, "q");
    other.publishes(1, "q", "m");
    other.waits_for(1, "q", 1);
    assert_eq!(publisher.gets(1, "q").unwrap().text(), "m");
    broker.broker.alarms().set(Alarm::Disk, true);
    publisher.publishes(1, "q", "n");
    publisher.takes(0, "connection.blocked");

    drop(publisher);

    other.waits_for(1, "q", 1);
    let returned = other.gets(1, "q").unwrap();
    assert_eq!((returned.text(), returned.redelivered()), ("m", true));
}

#[test]
fn a_connection_that_does_not_publish_is_not_blocked() {
    let broker = TestBroker::with_config("memory_high_watermark = 0\n");
    let mut peer = RawPeer::connect(&broker);
    peer.has_queue(1, "q");
    peer.consumes(1, "q", "c");
    peer.hears_nothing_more(1, "q");
}

#[test]
fn memory_above_the_high_watermark_blocks_publishers() {
    let broker = TestBroker::with_config("memory_high_watermark = 0\n");
    let mut peer = RawPeer::connect(&broker);
    peer.has_queue(1, "q");
    peer.publishes(1, "q", "m");
    peer.expects(0, &method("connection.blocked").set("reason", "low on memory"));
}

#[test]
fn too_little_free_disk_space_blocks_publishers() {
    let broker = TestBroker::with_config("disk_free_limit = 1125899906842624\n");
    let mut peer = RawPeer::connect(&broker);
    peer.has_queue(1, "q");
    peer.publishes(1, "q", "m");
    peer.expects(0, &method("connection.blocked").set("reason", "low on disk"));
}

#[test]
fn a_client_that_does_not_know_the_word_is_held_back_without_one() {
    let broker = TestBroker::with_config("memory_high_watermark = 0\n");
    let mut silent = RawPeer::connect_with(&broker, &without_capabilities());
    silent.opens(1);
    silent.has_durable_queue(1, "q");
    silent.publishes(1, "q", "m");
    let mut witness = RawPeer::connect(&broker);
    witness.hears_nothing_more(1, "q");
    assert_eq!(witness.counts(1, "q").0, 0);
}
