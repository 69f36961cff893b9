//! A frame as it lies in the read buffer. AMQP 0-9-1 section 4.2.3: type, channel, size, payload, 0xCE.

/// A channel's number; 0 is the connection itself.
pub type ChannelId = u16;

/// The octet that ends every frame.
pub const FRAME_END: u8 = 0xCE;

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
