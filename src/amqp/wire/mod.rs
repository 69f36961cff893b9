//! Bytes and frames: pure functions and buffers. No socket, no clock, no channel state.
//!
//! Reading: [`decoder::Decoder`] owns the read buffer and lends [`frame::Frame`]s out of it;
//! [`method::decode`] reads a method, [`frame::ContentHeader`] a content header, and
//! [`properties::PropertiesView`] the message properties, all without copying what the hot path needs.
//!
//! Writing: [`encoder`] turns what the broker says into octets of a [`write_buffer::WriteBuffer`].
//!
//! Invariants:
//! * Any octets may arrive. Nothing here panics on them, recurses deeper than
//!   [`limits::TABLE_DEPTH_MAX`](crate::limits::TABLE_DEPTH_MAX), or holds more than one frame of them.
//! * Nothing is allocated and nothing reference-counted per frame on the way of a publish or a deliver.
//! * Texts a client can see are RabbitMQ's, without the leading code name.
#![deny(clippy::indexing_slicing, clippy::expect_used)]

pub mod bypass;
pub mod decoder;
pub mod encoder;
pub mod erlang;
pub mod frame;
pub mod frame_error;
mod layout;
pub mod method;
pub mod properties;
mod reader;
pub mod table;
pub mod table_codec;
pub mod table_view;
pub mod write_buffer;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
