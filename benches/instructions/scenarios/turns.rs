//! Whole turns of the broker, from octets to octets; see [`Server`] for what is missing.

use std::ops::Range;

use super::{Round, Scenario};
use crate::frames::{frame, publish};
use crate::link::Link;
use crate::server::{Server, bind, confirm, consume, declare, declare_exchange, prefetch};

/// Messages of a round.
const BATCH: usize = 256;
/// Deliveries for which one acknowledgement is sent.
const ACKNOWLEDGED: usize = 64;
/// Octets of a deliver that are not body, at least.
const AROUND: usize = 50;
/// Octets of an acknowledgement, and where its tag is.
const ACK: usize = 21;
const TAG: Range<usize> = 11..19;
const TRANSIENT: &[u8] = &[0x10, 0, 1];
const PERSISTENT: &[u8] = &[0x10, 0, 2];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "turn-auto-ack",
        what: "16 B, transient, auto-ack (W1)",
        prepare: || auto_ack(16),
    },
    Scenario {
        name: "turn-auto-ack-1k",
        what: "1 KiB, transient, auto-ack (W2)",
        prepare: || auto_ack(1024),
    },
    Scenario {
        name: "turn-ack",
        what: "16 B, transient, each acknowledged by itself",
        prepare: acknowledged,
    },
    Scenario {
        name: "turn-confirm",
        what: "16 B, transient, auto-ack, confirms",
        prepare: confirmed,
    },
    Scenario {
        name: "turn-persistent",
        what: "1 KiB, persistent, confirms, acknowledged in 64s, a commit for 256 (W4)",
        prepare: persistent,
    },
    Scenario {
        name: "turn-fanout",
        what: "100 B to 10 queues, auto-ack; one delivery (W7)",
        prepare: fanout,
    },
    Scenario {
        name: "turn-topic",
        what: "100 B by 1,000 topic bindings and as many keys, auto-ack (W8)",
        prepare: topic,
    },
];

/// A publisher, a consumer, and the queue `jobs` between them.
struct Scene {
    server: Server,
    publisher: Link,
    consumer: Link,
}

impl Scene {
    fn new(durable: bool, no_ack: bool) -> Self {
        let mut server = Server::start();
        let (mut publisher, mut consumer) = (server.link(), server.link());
        publisher.ask(&declare("jobs", durable));
        server.commit();
        publisher.hear();
        consumer.ask(&prefetch(1_000));
        consumer.ask(&consume("jobs", no_ack));
        Self { server, publisher, consumer }
    }

    fn is_idle(&self) -> bool {
        self.server.ready("jobs") == 0
    }
}

fn auto_ack(size: usize) -> Round {
    let mut scene = Scene::new(false, true);
    let octets = publish("", "jobs", TRANSIENT, size).repeat(BATCH);
    Round::new(BATCH, move || {
        scene.publisher.say(&octets);
        assert!(scene.consumer.hear() > BATCH * (AROUND + size));
        assert!(scene.is_idle());
    })
}

fn acknowledged() -> Round {
    let mut scene = Scene::new(false, false);
    let octets = publish("", "jobs", TRANSIENT, 16).repeat(BATCH);
    let mut acks = ack(0, false).repeat(BATCH);
    let mut tags = 1..;
    Round::new(BATCH, move || {
        scene.publisher.say(&octets);
        assert!(scene.consumer.hear() > BATCH * (AROUND + 16));
        for (ack, tag) in acks.chunks_exact_mut(ACK).zip(&mut tags) {
            ack[TAG].copy_from_slice(&u64::to_be_bytes(tag));
        }
        scene.consumer.say(&acks);
        assert!(scene.is_idle());
    })
}

fn confirmed() -> Round {
    let mut scene = Scene::new(false, true);
    scene.publisher.ask(&confirm());
    let octets = publish("", "jobs", TRANSIENT, 16).repeat(BATCH);
    Round::new(BATCH, move || {
        scene.publisher.say(&octets);
        assert!(scene.consumer.hear() > BATCH * (AROUND + 16));
        assert!(scene.publisher.hear() > 0, "it is confirmed");
    })
}

fn persistent() -> Round {
    let mut scene = Scene::new(true, false);
    scene.publisher.ask(&confirm());
    let octets = publish("", "jobs", PERSISTENT, 1024).repeat(BATCH);
    let mut tags = (1..).map(|n| n * ACKNOWLEDGED as u64);
    Round::new(BATCH, move || {
        scene.publisher.say(&octets);
        assert_eq!(scene.publisher.hear(), 0, "nothing is confirmed before it is durable");
        scene.server.commit();
        assert!(scene.publisher.hear() > 0, "it is confirmed");
        assert!(scene.consumer.hear() > BATCH * (AROUND + 1024));
        for tag in tags.by_ref().take(BATCH / ACKNOWLEDGED) {
            scene.consumer.say(&ack(tag, true));
        }
        assert!(scene.is_idle());
    })
}

fn fanout() -> Round {
    let server = Server::start();
    let (mut publisher, mut consumer) = (server.link(), server.link());
    publisher.ask(&declare_exchange("news", "fanout"));
    for n in 0..10 {
        let queue = format!("reader{n}");
        consumer.ask(&declare(&queue, false));
        consumer.ask(&bind(&queue, "news", ""));
        consumer.ask(&consume(&queue, true));
    }
    let octets = publish("news", "", TRANSIENT, 100).repeat(BATCH / 10);
    Round::new(BATCH / 10 * 10, move || {
        publisher.say(&octets);
        assert!(consumer.hear() > BATCH / 10 * 10 * (AROUND + 100));
    })
}

fn topic() -> Round {
    let mut scene = Scene::new(false, true);
    scene.publisher.ask(&declare_exchange("events", "topic"));
    for n in 0..1_000 {
        scene.publisher.ask(&bind("jobs", "events", &format!("shop.region{n}.*.created")));
    }
    let key = |n| format!("shop.region{n}.order.created");
    let octets: Vec<u8> =
        (0..1_000).flat_map(|n| publish("events", &key(n), TRANSIENT, 100)).collect();
    Round::new(1_000, move || {
        scene.publisher.say(&octets);
        assert!(scene.consumer.hear() > 1_000 * (AROUND + 100));
        assert!(scene.is_idle());
    })
}

/// basic.ack.
fn ack(tag: u64, multiple: bool) -> Vec<u8> {
    frame(1, &[&[0, 60, 0, 80][..], &tag.to_be_bytes(), &[u8::from(multiple)]].concat())
}
