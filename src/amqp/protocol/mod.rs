//! The peer as a state machine: frames go in, validated [`command::Command`]s come out.
//!
//! No clock, no socket, no broker: whoever drives a [`peer::Peer`] reads the socket, executes what the peer
//! asked for and sends every answer. A read batch begins with [`arena::Arena::begin`]; each frame goes to
//! [`peer::Peer::receive`], which returns nothing (the frame was a piece of something), one command to execute
//! on the frame's channel, or an [`error::AmqpError`] to send. The peer has already taken note of errors it returns itself; errors that
//! executing a command brings up are told to it with [`peer::Peer::channel_failed`] or
//! [`peer::Peer::connection_closing`], so that it ignores what was in flight.
//!
//! ```text
//!           Frame                 Option<Command>
//!  decoder ───────► Peer::receive ─────────────────► session ──► broker
//!                    │  ▲   ▲  │ AmqpError              │
//!                    │  │   │  └──► close is sent ◄─────┤ its own errors
//!            content │  │   └─ authenticated, opened ──┤
//!             Arena ◄┘  └───── channel_failed, ────────┘
//!                              connection_closing
//!
//!  Starting ─start-ok► Authenticating ─authenticated()► Tuning ─tune-ok► Opening ─open► Admitting ─opened()► Running
//!     any ─connection error► Closing ─close-ok► Closed               any ─connection.close► Closed
//! ```
//!
//! Invariants:
//! * Any frames may arrive in any order; nothing here panics or holds more memory than six times what arrived, apart
//!   from [`BODY_RESERVE`](crate::limits::BODY_RESERVE) a channel.
//! * A command is only returned when it is legal now: the session never asks "is this channel open?".
//! * Content framing is followed to the end even on a channel that is closing, as RabbitMQ does.
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod arena;
mod channel;
pub mod command;
pub mod content;
pub mod error;
pub mod handshake;
pub mod heartbeat;
pub mod peer;
mod request;
pub mod shelf;

#[cfg(test)]
mod tests;
