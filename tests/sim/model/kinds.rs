//! The queues there may be. A name always means the same kind of queue.

use super::super::support::{Method, Table, method};

/// Where dead letters go.
pub const DEAD: &str = "dead";
/// A durable fanout exchange.
pub const FAN: &str = "fan";

/// What a queue of some name is declared with.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "as in queue.declare")]
pub struct Kind {
    pub name: &'static str,
    pub durable: bool,
    pub quorum: bool,
    pub auto_delete: bool,
    pub single_active: bool,
    pub rejects: bool,
    pub dead_letters: bool,
    pub max_priority: u8,
    pub ttl_ms: Option<u64>,
    pub max_length: Option<usize>,
    pub delivery_limit: Option<u64>,
}

const PLAIN: Kind = Kind {
    name: "",
    durable: true,
    quorum: false,
    auto_delete: false,
    single_active: false,
    rejects: false,
    dead_letters: false,
    max_priority: 0,
    ttl_ms: None,
    max_length: None,
    delivery_limit: None,
};

pub static KINDS: [Kind; 11] = [
    Kind { name: "plain-a", ..PLAIN },
    Kind { name: "plain-b", ..PLAIN },
    Kind { name: DEAD, ..PLAIN },
    Kind { name: "transient", durable: false, ..PLAIN },
    Kind { name: "fleeting", durable: false, auto_delete: true, ..PLAIN },
    Kind { name: "old", ttl_ms: Some(400), dead_letters: true, ..PLAIN },
    Kind { name: "short", max_length: Some(4), dead_letters: true, ..PLAIN },
    Kind { name: "full", max_length: Some(4), rejects: true, ..PLAIN },
    Kind { name: "ranked", max_priority: 3, ..PLAIN },
    Kind { name: "single", single_active: true, ..PLAIN },
    Kind {
        name: "quorum",
        quorum: true,
        // RabbitMQ 4.3: without being asked.
        max_priority: 31,
        delivery_limit: Some(2),
        dead_letters: true,
        ..PLAIN
    },
];

pub fn kind(name: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.name == name).expect("a kind of queue")
}

impl Kind {
    /// Something depends on how many messages are ready.
    pub fn is_limited(&self) -> bool {
        self.max_length.is_some()
    }

    pub fn declare(&self) -> Method {
        let mut arguments = Table::default();
        let mut argue = |key: &str, value| arguments.0.push((key.to_owned(), value));
        if self.quorum {
            argue("x-queue-type", "quorum".into());
        }
        if self.single_active {
            argue("x-single-active-consumer", true.into());
        }
        if self.rejects {
            argue("x-overflow", "reject-publish".into());
        }
        if self.dead_letters {
            argue("x-dead-letter-exchange", "".into());
            argue("x-dead-letter-routing-key", DEAD.into());
        }
        if self.max_priority > 0 && !self.quorum {
            argue("x-max-priority", i32::from(self.max_priority).into());
        }
        let numbers = [
            ("x-message-ttl", self.ttl_ms),
            ("x-max-length", self.max_length.map(|limit| limit as u64)),
            ("x-delivery-limit", self.delivery_limit),
        ];
        for (key, number) in numbers {
            if let Some(number) = number {
                argue(key, i64::try_from(number).unwrap().into());
            }
        }
        let declare = method("queue.declare").set("queue", self.name).set("arguments", arguments);
        declare.set("durable", self.durable).set("auto_delete", self.auto_delete)
    }
}
