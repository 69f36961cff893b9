//! A frame as it lies in the read buffer. AMQP 0-9-1 section 4.2.3: type, channel, size, payload, 0xCE.

use super::reader::Reader;

/// A channel's number; 0 is the connection itself.
pub type ChannelId = u16;

/// The octet that ends every frame.
pub const FRAME_END: u8 = 0xCE;

/// The class whose methods carry content: basic, the only one left in AMQP 0-9-1.
pub const CLASS_BASIC: u16 = 60;

/// Octets of a content header before its property flags: class, weight, body size.
const CONTENT_HEADER_MIN: usize = 12;
/// Octets of a method before its fields: class and method.
const METHOD_MIN: usize = 4;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Type 1: class, method and arguments.
    Method,
    /// Type 2: class, weight, body size and properties.
    Header,
    /// Type 3: a piece of a message body.
    Body,
    /// Type 8.
    Heartbeat,
}

impl FrameKind {
    /// The type octet on the wire.
    #[must_use]
    pub const fn octet(self) -> u8 {
        match self {
            FrameKind::Method => 1,
            FrameKind::Header => 2,
            FrameKind::Body => 3,
            FrameKind::Heartbeat => 8,
        }
    }

    /// The kind a type octet stands for, if there is one.
    #[inline]
    #[must_use]
    pub const fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            1 => Some(FrameKind::Method),
            2 => Some(FrameKind::Header),
            3 => Some(FrameKind::Body),
            8 => Some(FrameKind::Heartbeat),
            _ => None,
        }
    }

    /// Whether a payload of this size can be of this kind. RabbitMQ calls any other frame unknown.
    #[inline]
    pub(super) const fn admits(self, payload: usize) -> bool {
        match self {
            FrameKind::Method => payload >= METHOD_MIN,
            FrameKind::Header => payload >= CONTENT_HEADER_MIN,
            FrameKind::Body => true,
            FrameKind::Heartbeat => payload == 0,
        }
    }
}

/// One frame, borrowed from the read buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it carries.
    pub kind: FrameKind,
    /// Whose it is.
    pub channel: ChannelId,
    /// Everything between the size and the end octet.
    pub payload: &'a [u8],
}

/// The payload of a header frame, cut into its parts. AMQP 0-9-1 section 4.2.6.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    /// Must be the class of the method before it.
    pub class: u16,
    /// Must be 0.
    pub weight: u16,
    /// Octets of the body frames that follow, together.
    pub body_size: u64,
    /// Property flags and values as received; see [`PropertiesView`](super::properties::PropertiesView).
    pub properties: &'a [u8],
}

impl<'a> ContentHeader<'a> {
    /// Cuts a header frame's payload. `None` only below twelve octets, which the decoder never lets through.
    #[inline]
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        Some(Self {
            class: reader.u16()?,
            weight: reader.u16()?,
            body_size: reader.u64()?,
            properties: reader.rest(),
        })
    }
}
