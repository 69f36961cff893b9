//! Why a frame was refused, in RabbitMQ's words. All of them are 501 `FRAME_ERROR` with class and method 0.

use std::fmt::{self, Display, Formatter};

use super::erlang;
use super::frame::ChannelId;

/// Octets of the payload that are kept: one more than is shown, so that `all` and `first 16` stay apart.
const KEPT: usize = erlang::SNIPPET + 1;

/// A frame that cannot be taken. Its `Display` is RabbitMQ's explanation, without `FRAME_ERROR - `.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameError {
    /// The type octet as received.
    pub kind: u8,
    /// The channel as received.
    pub channel: ChannelId,
    /// What is wrong with it.
    pub fault: FrameFault,
    first: [u8; KEPT],
    kept: u8,
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameFault {
    /// No such type, or a payload that this type cannot have.
    Unknown,
    /// The octet after the payload, which is not 0xCE.
    EndMarker(u8),
    /// More payload than was negotiated.
    TooLarge {
        /// Octets announced.
        size: u32,
        /// Octets a frame of the negotiated size may carry.
        allowed: u32,
    },
}

impl FrameError {
    /// A frame whose start is `payload`; nothing of it for [`FrameFault::TooLarge`].
    #[cold]
    pub(super) fn new(kind: u8, channel: ChannelId, payload: &[u8], fault: FrameFault) -> Self {
        let mut first = [0; KEPT];
        let mut kept = 0;
        for (slot, &octet) in first.iter_mut().zip(payload) {
            *slot = octet;
            kept += 1;
        }
        Self { kind, channel, fault, first, kept }
    }

    /// Whether what follows can no longer be read as frames. RabbitMQ then closes the socket after three
    /// seconds without waiting for a close-ok; otherwise the close is an ordinary one.
    #[must_use]
    pub const fn stream_is_lost(&self) -> bool {
        match self.fault {
            FrameFault::Unknown => false,
            FrameFault::EndMarker(_) | FrameFault::TooLarge { .. } => true,
        }
    }
}

impl Display for FrameError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let payload = self.first.get(..usize::from(self.kept)).unwrap_or_default();
        write!(f, "type {}, {}: ", self.kind, erlang::snippet(payload))?;
        match self.fault {
            FrameFault::Unknown => f.write_str("unknown_frame"),
            FrameFault::EndMarker(octet) => write!(f, "{{invalid_frame_end_marker,{octet}}}"),
            FrameFault::TooLarge { size, allowed } => {
                write!(f, "{{frame_too_large,{size},{allowed}}}")
            }
        }
    }
}

impl std::error::Error for FrameError {}
