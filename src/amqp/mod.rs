//! AMQP 0-9-1, in three floors. Each may call the one below it, never the one above:
//!
//! * [`session`] executes commands on the broker and owns what a connection holds there;
//! * [`protocol`] is the peer as a state machine: frames in, validated commands out;
//! * [`wire`] is bytes and frames, pure functions and buffers.

pub mod protocol;
pub mod session;
pub mod wire;
