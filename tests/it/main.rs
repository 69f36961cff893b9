//! The broker as its clients meet it: one file a feature, over TCP, against the real binary.
//!
//! `TEST_AMQP=127.0.0.1:5672 cargo test --test it` sends the same dialogues to another broker, which is how the
//! expected values were checked against RabbitMQ. Tests that start, stop or configure the broker always use ours.
#![allow(unreachable_pub, reason = "one binary; pub here means: for the test files")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what is wrong by failing"
)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests wait for real processes, by the real clock, and have no lock order to keep"
)]

#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../checker/mod.rs"]
mod checker;
#[macro_use]
mod support;

mod alarms;
mod backlog;
mod backup;
mod bench;
mod channels;
mod check;
mod consume;
mod consumer_timeout;
mod delayed;
mod durability;
mod events;
mod exchange_types;
mod exchanges;
mod firehose;
mod framing;
mod handshake;
mod kill;
mod lapin;
mod permissions;
mod policies;
mod properties;
mod publish;
mod queues;
mod reply_to;
mod retry;
mod settle;
mod shutdown;
mod spill;
mod startup;
mod transactions;
