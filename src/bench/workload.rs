//! The workloads, as a table of plain parameters.
//!
//! A workload is a number of *lanes*. A lane is one producer connection, one consumer connection and the queues
//! between them; lanes share nothing, so two lanes show how a broker uses a second core.
//!
//! Invariant: every queue has exactly one consumer, so the order seen on a queue is the order the broker kept.

use std::num::NonZeroU32;
use std::time::Duration;

/// What is published, through what, and how it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Workload {
    /// Name used on the command line and in results.
    pub(crate) name: &'static str,
    /// One line for people.
    pub(crate) summary: &'static str,
    /// Size of each body in bytes, at least `message::STAMP_BYTES`.
    pub(crate) body_bytes: usize,
    /// How bodies and queues are kept by the broker.
    pub(crate) durability: Durability,
    /// Publisher confirms: how many messages may be unconfirmed; none = confirms off.
    pub(crate) confirm_window: Option<NonZeroU32>,
    /// How the consumer settles deliveries.
    pub(crate) settle: Settle,
    /// Independent producer/consumer pairs.
    pub(crate) lanes: usize,
    /// How a lane's messages reach its queues.
    pub(crate) route: Route,
    /// What the queues are declared with.
    pub(crate) feature: Feature,
    /// Length of a run, unless the command line says otherwise.
    pub(crate) length: Duration,
}

/// Whether messages are published with delivery mode 2 to a durable queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// No delivery mode, queue declared with durable = 0.
    Transient,
    /// Delivery mode 2, queue declared with durable = 1.
    Persistent,
}

/// How a consumer settles what it received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settle {
    /// basic.consume with no-ack = 1.
    Automatic,
    /// basic.ack with multiple = 1 after every `every` deliveries, under a prefetch limit.
    Manual {
        /// Deliveries covered by one ack.
        every: u32,
        /// basic.qos prefetch-count.
        prefetch: u16,
    },
    /// Not at all, and without a prefetch limit.
    Never,
}

/// An argument of the queues, and what it asks of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feature {
    /// None.
    Plain,
    /// `x-message-ttl` of a minute: nothing expires in a run, but the broker has to keep book.
    TimeToLive,
    /// `x-max-priority` of 10, and all messages of priority 5, so that their order stays the same.
    Priority,
    /// `x-max-length` of a million, which is never reached.
    Length,
}

impl Feature {
    /// The argument and its value, unless the queues are plain.
    pub(crate) fn argument(self) -> Option<(&'static str, u32)> {
        match self {
            Self::Plain => None,
            Self::TimeToLive => Some(("x-message-ttl", 60_000)),
            Self::Priority => Some(("x-max-priority", 10)),
            Self::Length => Some(("x-max-length", 1_000_000)),
        }
    }

    /// The priority property of the messages.
    pub(crate) fn priority(self) -> Option<u8> {
        (self == Self::Priority).then_some(5)
    }
}

/// How a lane's messages reach its queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// The default exchange, one queue.
    Direct,
    /// An own fanout exchange with so many queues bound.
    Fanout(usize),
    /// The default exchange and so many queues, each with messages of its own.
    Spread(usize),
}

impl Route {
    /// Queues in one lane.
    pub(crate) fn queues(self) -> usize {
        match self {
            Self::Direct => 1,
            Self::Fanout(queues) | Self::Spread(queues) => queues,
        }
    }
}

impl Workload {
    /// The largest difference between published and received messages of a lane, counted in deliveries.
    ///
    /// Keeps a transient producer from filling the broker's memory. Wide enough (tens of milliseconds of work
    /// for the fastest broker on this kind of machine) that it never slows a broker whose consumer keeps up.
    pub(crate) fn default_in_flight(&self) -> u64 {
        const MOST_MESSAGES: u64 = 200_000;
        const MOST_BYTES: u64 = 64 << 20;
        MOST_MESSAGES.min(MOST_BYTES / self.body_bytes as u64)
    }
}

const ONE_PAIR: Workload = Workload {
    name: "",
    summary: "",
    body_bytes: 16,
    durability: Durability::Transient,
    confirm_window: None,
    settle: Settle::Automatic,
    lanes: 1,
    route: Route::Direct,
    feature: Feature::Plain,
    length: Duration::from_secs(5),
};

const KIBIBYTE_PAIR: Workload = Workload { body_bytes: 1024, ..ONE_PAIR };

/// Persistent messages with confirms through a durable queue: W4, and what the steps are made of.
pub(crate) const DURABLE_PAIR: Workload = Workload {
    body_bytes: 1024,
    durability: Durability::Persistent,
    confirm_window: NonZeroU32::new(1000),
    settle: Settle::Manual { every: 100, prefetch: 1000 },
    ..ONE_PAIR
};

/// Every workload this generator knows, in the order in which they are reported.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload { name: "W1", summary: "16 B, transient, auto-ack", ..ONE_PAIR },
    Workload { name: "W2", summary: "1 KiB, transient, auto-ack", ..KIBIBYTE_PAIR },
    Workload {
        name: "W3",
        summary: "100 KiB, transient, auto-ack",
        body_bytes: 100 * 1024,
        ..ONE_PAIR
    },
    Workload {
        name: "W4",
        summary: "1 KiB persistent, confirm window 1000, ack every 100, prefetch 1000",
        ..DURABLE_PAIR
    },
    Workload {
        name: "W5",
        summary: "W4 with confirm window 1",
        confirm_window: NonZeroU32::new(1),
        ..DURABLE_PAIR
    },
    Workload {
        name: "W6",
        summary: "W4 with 2 producers, 2 consumers, 2 queues",
        lanes: 2,
        ..DURABLE_PAIR
    },
    Workload {
        name: "W7",
        summary: "fan-out 1 -> 10 queues, 100 B, auto-ack",
        body_bytes: 100,
        route: Route::Fanout(10),
        ..ONE_PAIR
    },
    Workload {
        name: "W2T",
        summary: "W2 through a queue with a message TTL",
        feature: Feature::TimeToLive,
        ..KIBIBYTE_PAIR
    },
    Workload {
        name: "W2P",
        summary: "W2 through a queue with priorities",
        feature: Feature::Priority,
        ..KIBIBYTE_PAIR
    },
    Workload {
        name: "W2L",
        summary: "W2 through a queue with a length limit",
        feature: Feature::Length,
        ..KIBIBYTE_PAIR
    },
];

/// The workload called `name`, in any case of letters.
pub(crate) fn find(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name.eq_ignore_ascii_case(name))
}
