//! Leveret, an AMQP 0-9-1 message broker.
//!
//! The map of the house; each folder is a layer, and arrows point one way (`tests/tidy.rs` checks them):
//!
//! > **[`amqp`] speaks, [`broker`] routes and queues, [`durability`] writes down, [`store`] keeps,
//! > [`server`] moves bytes.**
//!
//! * [`amqp::wire`] turns bytes into frames, [`amqp::protocol`] frames into commands, and
//!   [`amqp::session`] executes commands on the broker.
//! * [`broker`] decides everything about exchanges, queues and consumers. It is synchronous and knows
//!   neither frames nor disks: it hands deliveries to a `DeliverySink` and leaves its changes for the
//!   committer to collect.
//! * [`durability`] is the one place that says "this is durable"; it appends to [`store`]'s segment log
//!   and keeps a checkpoint of it.
//! * [`server`] is the only layer that knows tokio.
//! * [`definitions`] reads what RabbitMQ exports and brings it in.
//! * [`config`] and [`cli`] hold what the operator asked for; [`auth`] who may do what.
//! * [`mod@bench`] measures any broker from outside, and knows nothing of this one.
//! * [`limits`], [`sync`] and [`clock`] are small things everybody may use.

pub mod amqp;
pub mod auth;
pub mod bench;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod definitions;
pub mod durability;
pub mod limits;
pub mod server;
pub mod store;
pub mod sync;
pub mod telemetry;
