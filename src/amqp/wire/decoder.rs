//! The read buffer of one connection, and the frames in it.
//!
//! Invariants:
//! * `start <= end <= buffer.len()`; the octets between are received and not yet taken.
//! * The buffer is [`limits::READ_BUFFER_IDLE`] long at first, [`limits::READ_BUFFER`] when reads fill it, and
//!   longer only if one frame needs it: then that frame and [`limits::READ_BUFFER_IDLE`] in front of it, until
//!   the connection is idle.
//! * A frame above `frame_max` is refused from its seven-octet header, before any more of it is kept.
//!
//! The socket is read by the server: into [`Decoder::space`], then [`Decoder::filled`]. The rest of a large body is
//! read past the buffer, see [`bypass`](super::bypass).

use super::bypass::Bypass;
use super::frame::{ChannelId, FRAME_END, Frame, FrameKind};
use super::frame_error::{FrameError, FrameFault};
use crate::limits;

/// Type, channel and size.
pub(super) const HEADER: usize = 7;
/// Header and end octet.
const OVERHEAD: usize = HEADER + 1;
/// Received octets that are moved to the front before any read, because a longer read is worth more.
const CHEAP_TO_MOVE: usize = 1024;

/// What a client may open with: AMQP 0-9-1, and 0-9, which RabbitMQ takes as the same.
const PROTOCOL_HEADERS: [[u8; 8]; 2] = [*b"AMQP\x00\x00\x09\x01", *b"AMQP\x01\x01\x00\x09"];

/// Whether the peer speaks our protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderCheck {
    /// It does; frames follow.
    Accepted,
    /// It does not, or not this version; the answer is our own header and a closed socket.
    Rejected,
}

/// Octets in, frames out.
#[derive(Debug)]
pub struct Decoder {
    pub(super) buffer: Vec<u8>,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) frame_max: u32,
    pub(super) bypass: Option<Bypass>,
    /// The buffer's length from the next [`Decoder::space`] on, unless a frame needs more.
    goal: usize,
    largest_read: usize,
}

impl Decoder {
    /// An empty buffer that takes frames up to `frame_max` octets; see [`Decoder::set_frame_max`].
    #[must_use]
    pub fn new(frame_max: u32) -> Self {
        let mut decoder = Self {
            buffer: Vec::new(),
            start: 0,
            end: 0,
            frame_max: 0,
            bypass: None,
            goal: limits::READ_BUFFER_IDLE,
            largest_read: 0,
        };
        decoder.set_frame_max(frame_max);
        decoder
    }

    /// Sets what was negotiated. Values below [`limits::FRAME_MIN`] (0, "no limit", among them) count as that:
    /// a server without a limit has no bound on memory, so there is none.
    pub fn set_frame_max(&mut self, frame_max: u32) {
        self.frame_max = frame_max.max(limits::FRAME_MIN);
    }

    /// Room for the next read. Never empty if every whole frame was taken before; otherwise it may be, which
    /// reads like the end of the stream, so that a peer is never given more than the buffer's bound.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            self.forget_bypass();
            self.start = 0;
            self.end = 0;
        }
        let needed = self.pending_size();
        let full = self.start + needed > self.buffer.len() || self.room() < self.buffer.len() / 4;
        if full || self.end - self.start <= CHEAP_TO_MOVE {
            self.move_to_front();
        }
        if self.buffer.len() < self.goal {
            self.grow(self.goal);
        } else if needed > self.buffer.len() && self.room() < CHEAP_TO_MOVE {
            // Only as fast as the frame really arrives. The part in front of it is for the small frames that
            // come before: without it, each large frame would have to be moved to fit.
            self.grow((needed + limits::READ_BUFFER_IDLE).min(self.buffer.len() * 4));
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// The first `count` octets of [`Decoder::space`] have been read into.
    pub fn filled(&mut self, count: usize) {
        debug_assert!(
            count <= self.buffer.len() - self.end,
            "more was read than there was room for"
        );
        self.end = self.buffer.len().min(self.end + count);
        self.largest_read = self.largest_read.max(count);
        if self.end == self.buffer.len() && self.goal < limits::READ_BUFFER {
            self.goal = limits::READ_BUFFER.min(self.goal * 4);
        }
        if self.bypassing().is_some() {
            self.drop_passed();
        }
    }

    /// Takes the eight octets every connection begins with. `None` until they are there; rejected as soon as
    /// they cannot match. Must be asked before the first [`Decoder::next_frame`].
    pub fn protocol_header(&mut self) -> Option<HeaderCheck> {
        let received = self.unread();
        if let Some((header, _)) = received.split_first_chunk::<8>() {
            if !PROTOCOL_HEADERS.contains(header) {
                return Some(HeaderCheck::Rejected);
            }
            self.start += header.len();
            return Some(HeaderCheck::Accepted);
        }
        let possible = PROTOCOL_HEADERS.iter().any(|header| header.starts_with(received));
        if possible { None } else { Some(HeaderCheck::Rejected) }
    }

    /// The next whole frame, or `None` until more is read.
    ///
    /// # Errors
    /// A frame RabbitMQ would answer with 501. After one whose [`FrameError::stream_is_lost`], every further
    /// call fails the same way; any other has been taken, and the frame after it can be read.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let unread = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some((header, rest)) = unread.split_first_chunk::<HEADER>() else { return Ok(None) };
        let (octet, channel, size) = parse_header(*header);
        // RabbitMQ tolerates payloads up to frame_max, eight octets more than a frame of that size can carry.
        if size > self.frame_max {
            let allowed = self.frame_max - limits::FRAME_OVERHEAD;
            return Err(FrameError::new(
                octet,
                channel,
                &[],
                FrameFault::TooLarge { size, allowed },
            ));
        }
        let Some((payload, rest)) = rest.split_at_checked(widen(size)) else { return Ok(None) };
        let Some(&marker) = rest.first() else { return Ok(None) };
        if marker != FRAME_END {
            let error = FrameError::new(octet, channel, payload, FrameFault::EndMarker(marker));
            return Err(self.as_it_came(error));
        }
        self.start += payload.len() + OVERHEAD;
        match FrameKind::from_octet(octet) {
            Some(kind) if kind.admits(payload.len()) => Ok(Some(Frame { kind, channel, payload })),
            Some(_) | None => Err(FrameError::new(octet, channel, payload, FrameFault::Unknown)),
        }
    }

    /// Gives memory back if nothing is pending and no read since the last call needed it. To be called now and
    /// then, as by the heartbeat timer; a busy connection keeps its buffer.
    pub fn shrink_when_idle(&mut self) {
        let enough = match self.largest_read {
            read if read < limits::READ_BUFFER_IDLE => limits::READ_BUFFER_IDLE,
            read if read < limits::READ_BUFFER => limits::READ_BUFFER,
            _ => usize::MAX,
        };
        self.largest_read = 0;
        if self.start == self.end && self.buffer.len() > enough {
            self.buffer = Vec::new();
            self.start = 0;
            self.end = 0;
            self.goal = self.goal.min(enough);
        }
    }

    /// Octets of memory the buffer holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    fn room(&self) -> usize {
        self.buffer.len() - self.end
    }

    pub(super) fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Octets of the frame at the front, as far as they are known. A frame that will be refused needs no room.
    fn pending_size(&self) -> usize {
        match self.unread().first_chunk::<HEADER>() {
            Some(header) => match parse_header(*header) {
                (_, _, size) if size <= self.frame_max => widen(size) + OVERHEAD,
                _ => HEADER,
            },
            None => HEADER,
        }
    }

    fn move_to_front(&mut self) {
        if self.start > 0 {
            self.forget_bypass();
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    pub(super) fn grow(&mut self, length: usize) {
        self.buffer.reserve_exact(length - self.buffer.len());
        self.buffer.resize(length, 0);
    }
}

#[inline]
pub(super) fn parse_header(header: [u8; HEADER]) -> (u8, ChannelId, u32) {
    let [kind, c1, c2, s1, s2, s3, s4] = header;
    (kind, u16::from_be_bytes([c1, c2]), u32::from_be_bytes([s1, s2, s3, s4]))
}

/// A size on the wire as a length in memory; saturates where memory is smaller than that.
#[inline]
pub(super) fn widen(size: u32) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX - OVERHEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME_MAX: u32 = limits::FRAME_MAX_DEFAULT;

    fn decoder_with(octets: &[u8]) -> Decoder {
        let mut decoder = Decoder::new(FRAME_MAX);
        assert_eq!(feed(&mut decoder, octets), octets.len());
        decoder
    }

    /// Reads as a socket would: as much as there is room for.
    fn feed(decoder: &mut Decoder, octets: &[u8]) -> usize {
        let space = decoder.space();
        let count = space.len().min(octets.len());
        space[..count].copy_from_slice(&octets[..count]);
        decoder.filled(count);
        count
    }

    /// Feeds everything and takes every frame as soon as it is whole.
    fn frame_sizes(decoder: &mut Decoder, mut octets: &[u8]) -> Vec<usize> {
        let mut sizes = Vec::new();
        while !octets.is_empty() {
            let count = feed(decoder, octets);
            assert!(count > 0, "there was no room");
            octets = &octets[count..];
            while let Some(frame) = decoder.next_frame().unwrap() {
                sizes.push(frame.payload.len());
            }
        }
        sizes
    }

    fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
        let mut octets = vec![kind];
        octets.extend(channel.to_be_bytes());
        octets.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
        octets.extend(payload);
        octets.push(FRAME_END);
        octets
    }

    fn refusal(octets: &[u8]) -> FrameError {
        decoder_with(octets).next_frame().unwrap_err()
    }

    #[test]
    fn a_frame_is_taken_once_it_is_whole() {
        let octets = frame(3, 7, b"hello");
        let mut decoder = decoder_with(&octets[..octets.len() - 1]);
        assert_eq!(decoder.next_frame(), Ok(None));

        feed(&mut decoder, &octets[octets.len() - 1..]);
        let expected = Frame { kind: FrameKind::Body, channel: 7, payload: b"hello" };
        assert_eq!(decoder.next_frame(), Ok(Some(expected)));
        assert_eq!(decoder.next_frame(), Ok(None));
    }

    #[test]
    fn both_headers_of_amqp_0_9_are_accepted_and_frames_follow() {
        for header in PROTOCOL_HEADERS {
            let mut decoder = decoder_with(&header);
            feed(&mut decoder, &frame(8, 0, b""));
            assert_eq!(decoder.protocol_header(), Some(HeaderCheck::Accepted));
            assert_eq!(decoder.next_frame().unwrap().unwrap().kind, FrameKind::Heartbeat);
        }
    }

    #[test]
    fn a_header_is_rejected_as_soon_as_it_cannot_match() {
        assert_eq!(decoder_with(b"").protocol_header(), None);
        assert_eq!(decoder_with(b"AMQP\x00\x00").protocol_header(), None);
        for wrong in [&b"G"[..], b"AMQP\x03", b"AMQP\x00\x00\x09\x00", b"AMQP\x00\x00\x08"] {
            assert_eq!(decoder_with(wrong).protocol_header(), Some(HeaderCheck::Rejected));
        }
    }

    #[test]
    fn refusals_are_worded_as_rabbitmq_words_them() {
        let cases: [(Vec<u8>, &str); 6] = [
            (frame(9, 1, b"abc"), r#"type 9, all octets = <<"abc">>: unknown_frame"#),
            (frame(1, 1, &[0, 10]), "type 1, all octets = <<0,10>>: unknown_frame"),
            (frame(8, 0, b"x"), r#"type 8, all octets = <<"x">>: unknown_frame"#),
            (
                frame(2, 1, &[0; 11]),
                "type 2, all octets = <<0,0,0,0,0,0,0,0,0,0,0>>: unknown_frame",
            ),
            (
                [&frame(1, 1, &[0, 20, 0, 10])[..11], &[0]].concat(),
                "type 1, all octets = <<0,20,0,10>>: {invalid_frame_end_marker,0}",
            ),
            (
                frame(4, 1, b"abcdefghijklmnopq"),
                r#"type 4, first 16 octets = <<"abcdefghijklmnop">>: unknown_frame"#,
            ),
        ];
        for (octets, text) in cases {
            assert_eq!(refusal(&octets).to_string(), text);
        }
    }

    #[test]
    fn an_oversized_frame_is_refused_from_its_header_alone() {
        let mut decoder = decoder_with(&[3, 0, 1, 0, 2, 0, 1]);
        let error = decoder.next_frame().unwrap_err();
        assert_eq!(error.to_string(), "type 3, all octets = <<>>: {frame_too_large,131073,131064}");
        assert!(error.stream_is_lost());
        assert_eq!(decoder.next_frame(), Err(error));
        assert!(decoder.capacity() <= limits::READ_BUFFER_IDLE);
    }

    #[test]
    fn a_payload_of_frame_max_is_tolerated() {
        let payload = vec![1; widen(FRAME_MAX)];
        let mut decoder = Decoder::new(FRAME_MAX);
        assert_eq!(frame_sizes(&mut decoder, &frame(3, 1, &payload)), [payload.len()]);
    }

    #[test]
    fn an_unknown_frame_leaves_the_next_one_readable() {
        let mut decoder = decoder_with(&[frame(9, 1, b"abc"), frame(8, 0, b"")].concat());
        assert!(!decoder.next_frame().unwrap_err().stream_is_lost());
        assert_eq!(decoder.next_frame().unwrap().unwrap().kind, FrameKind::Heartbeat);
    }

    #[test]
    fn the_buffer_grows_when_reads_fill_it_and_stays_within_its_bound() {
        let mut decoder = Decoder::new(FRAME_MAX);
        let small = frame(3, 1, &[0; 100]).repeat(5000);
        frame_sizes(&mut decoder, &small);
        assert_eq!(decoder.capacity(), limits::READ_BUFFER);

        let large = frame(3, 1, &vec![0; 131_064]);
        let mixed = [&small[..], &large[..], &large[..], &small[..]].concat();
        assert_eq!(frame_sizes(&mut decoder, &mixed).len(), 10_002);
        assert!(decoder.capacity() <= 131_072 + limits::READ_BUFFER_IDLE);
    }

    #[test]
    fn a_large_frame_that_is_only_announced_reserves_nothing() {
        let mut decoder = decoder_with(&[3, 0, 1, 0, 1, 0xFF, 0xF8]);
        assert_eq!(decoder.next_frame(), Ok(None));
        decoder.space();
        assert_eq!(decoder.capacity(), limits::READ_BUFFER_IDLE);
    }

    #[test]
    fn an_idle_connection_gives_its_buffer_back() {
        let mut decoder = Decoder::new(FRAME_MAX);
        frame_sizes(&mut decoder, &frame(3, 1, &vec![0; 131_064]));

        decoder.shrink_when_idle();
        assert!(decoder.capacity() > limits::READ_BUFFER_IDLE, "it was just busy");
        decoder.shrink_when_idle();
        decoder.space();
        assert_eq!(decoder.capacity(), limits::READ_BUFFER_IDLE);
    }

    #[test]
    fn octets_that_wait_are_kept_when_the_connection_is_idle() {
        let octets = frame(3, 1, b"hello");
        let mut decoder = decoder_with(&octets[..9]);
        decoder.shrink_when_idle();
        decoder.shrink_when_idle();
        feed(&mut decoder, &octets[9..]);
        assert_eq!(decoder.next_frame().unwrap().unwrap().payload, b"hello");
    }
}
