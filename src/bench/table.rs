//! The workloads, as a table of plain parameters.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::bench::workload::{Durability, Feature, Route, Settle, Work, Workload};

const ONE_PAIR: Workload = Workload {
    name: "",
    summary: "",
    body_bytes: 16,
    durability: Durability::Transient,
    confirm_window: None,
    settle: Settle::Automatic,
    lanes: 1,
    route: Route::Direct(1),
    feature: Feature::Plain,
    rate: None,
    work: Work::Stream,
    beside: None,
    length: Duration::from_secs(5),
};

const HUNDRED_BYTE_PAIR: Workload = Workload { body_bytes: 100, ..ONE_PAIR };

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
        route: Route::Fanout(10),
        ..HUNDRED_BYTE_PAIR
    },
    Workload {
        name: "W8",
        summary: "topic exchange, 1,000 bindings of 10 queues, one matches each message, 100 B, auto-ack",
        route: Route::Topic { queues: 10, bindings: 1000 },
        ..HUNDRED_BYTE_PAIR
    },
    Workload {
        name: "W11T",
        summary: "5,000/s of 100 B, transient, auto-ack: latency of deliveries",
        rate: NonZeroU32::new(5000),
        ..HUNDRED_BYTE_PAIR
    },
    Workload {
        name: "W11P",
        summary: "2,000/s of 1 KiB persistent, acks one by one: latency of confirms and deliveries",
        rate: NonZeroU32::new(2000),
        settle: Settle::Manual { every: 1, prefetch: 1000 },
        ..DURABLE_PAIR
    },
    Workload {
        name: "W12",
        summary: "connect, open a channel, declare, publish, get, close: cycles a second",
        work: Work::Churn,
        ..HUNDRED_BYTE_PAIR
    },
    Workload {
        name: "W14",
        summary: "W4 through a quorum queue",
        feature: Feature::Quorum,
        ..DURABLE_PAIR
    },
    Workload {
        name: "W15",
        summary: "W11T beside a pair that does W2: latency of the former",
        rate: NonZeroU32::new(5000),
        beside: Some(&Workload { name: "W15 beside", ..KIBIBYTE_PAIR }),
        ..HUNDRED_BYTE_PAIR
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
