//! Large bodies go past the read buffer: the rest of their frame is read into the message itself.
//!
//! Invariants:
//! * While a payload passes by, the buffer is empty. When all of it has come, the buffer begins with the header of a
//!   frame without payload, so that what looks for frames need not know of this.
//! * What was read beyond the payload lies behind that header, at most [`limits::BYPASS_LOOKAHEAD`] octets.
//! * Octets of it that are read into the buffer all the same, because nobody wants the message any more, are
//!   dropped.

use bytes::BufMut;

use super::decoder::{Decoder, HEADER, parse_header, widen};
use super::frame::{ChannelId, FrameKind};
use super::frame_error::{FrameError, FrameFault};
use crate::limits;

/// The beginning of a body frame of which much is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargeBody<'a> {
    /// Whose it is.
    pub channel: ChannelId,
    /// What has come of its payload.
    pub begun: &'a [u8],
    /// Octets of the payload still to come.
    pub missing: usize,
}

/// A body frame whose payload does not come through the buffer.
#[derive(Debug)]
pub(super) struct Bypass {
    channel: ChannelId,
    missing: usize,
    /// What to answer if the frame does not end as it should, but for the octet there.
    refusal: FrameError,
}

impl Decoder {
    /// The frame at the front, if it is a body worth reading past the buffer. To be asked when there is no whole
    /// frame; the caller who takes what has begun calls [`Decoder::begin_bypass`].
    #[must_use]
    pub fn large_body(&self) -> Option<LargeBody<'_>> {
        let (header, begun) = self.unread().split_first_chunk::<HEADER>()?;
        let (octet, channel, size) = parse_header(*header);
        let missing = widen(size).checked_sub(begun.len())?;
        let is_worth_it = missing >= limits::BYPASS_LEAST && begun.len() >= limits::BYPASS_BEGUN;
        let is_body = FrameKind::from_octet(octet) == Some(FrameKind::Body);
        let is_taken = is_body && is_worth_it && size <= self.frame_max;
        is_taken.then_some(LargeBody { channel, begun, missing })
    }

    /// What [`Decoder::large_body`] has shown was taken; the rest is read with [`Decoder::missing_from`].
    pub fn begin_bypass(&mut self) {
        let Some(LargeBody { channel, begun, missing }) = self.large_body() else { return };
        let (kind, fault) = (FrameKind::Body.octet(), FrameFault::EndMarker(0));
        let refusal = FrameError::new(kind, channel, begun, fault);
        self.bypass = Some(Bypass { channel, missing, refusal });
        self.start = self.end;
    }

    /// Whose body passes by, and how many octets of its frame's payload are still to come; at least one.
    #[must_use]
    pub fn bypassing(&self) -> Option<(ChannelId, usize)> {
        let bypass = self.bypass.as_ref().filter(|bypass| bypass.missing > 0)?;
        Some((bypass.channel, bypass.missing))
    }

    /// Where the rest of the payload is read to: behind `body`, as far as that has room, with a little of what
    /// follows. [`Decoder::passed`] must be told.
    pub fn missing_from<'a>(&self, body: &'a mut Vec<u8>) -> impl BufMut + use<'a> {
        let missing = self.bypass.as_ref().map_or(0, |bypass| bypass.missing);
        let room = body.capacity() - body.len();
        body.limit(room.min(missing + limits::BYPASS_LOOKAHEAD))
    }

    /// `count` octets were read into [`Decoder::missing_from`]. Takes back what is not the payload's; says how
    /// much that is.
    pub fn passed(&mut self, body: &mut Vec<u8>, count: usize) -> usize {
        let Some(bypass) = &mut self.bypass else { return 0 };
        let excess = count.saturating_sub(bypass.missing);
        bypass.missing -= count - excess;
        let is_over = bypass.missing == 0;
        let follows = body.len() - excess;
        if is_over {
            self.end_bypass(body.get(follows..).unwrap_or_default());
        }
        body.truncate(follows);
        excess
    }

    /// What was read into the buffer while a payload passes by, which nobody wants any more.
    #[cold]
    pub(super) fn drop_passed(&mut self) {
        let Some(bypass) = &mut self.bypass else { return };
        let dropped = bypass.missing.min(self.end - self.start);
        bypass.missing -= dropped;
        self.start += dropped;
        if bypass.missing == 0 {
            let follows = self.unread().to_vec();
            self.start = self.end;
            self.end_bypass(&follows);
        }
    }

    /// All of the payload has come: puts the header of a frame without one, and what follows, into the buffer.
    fn end_bypass(&mut self, follows: &[u8]) {
        debug_assert!(self.start == self.end, "something was read beside a body that passes by");
        let Some([c1, c2]) = self.bypass.as_ref().map(|bypass| bypass.channel.to_be_bytes()) else {
            return;
        };
        let header: [u8; HEADER] = [FrameKind::Body.octet(), c1, c2, 0, 0, 0, 0];
        (self.start, self.end) = (0, HEADER + follows.len());
        if self.buffer.len() < self.end {
            self.grow(self.end.max(limits::READ_BUFFER_IDLE));
        }
        if let Some((place, rest)) = self.buffer.split_first_chunk_mut::<HEADER>() {
            *place = header;
            rest.iter_mut().zip(follows).for_each(|(place, octet)| *place = *octet);
        }
    }

    /// The error for the frame at the front, if that had a payload that passed by: in the words for the whole of it.
    #[cold]
    pub(super) fn as_it_came(&self, mut error: FrameError) -> FrameError {
        if let Some(bypass) = self.bypass.as_ref().filter(|_| self.start == 0) {
            let fault = error.fault;
            error = bypass.refusal;
            error.fault = fault;
        }
        error
    }

    /// To be called before anything else comes to the front of the buffer.
    pub(super) fn forget_bypass(&mut self) {
        self.bypass.take_if(|bypass| bypass.missing == 0);
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut as _;
    use proptest::prelude::*;

    use super::super::frame::FRAME_END;
    use super::*;

    /// A socket that has these octets, and what was made of them.
    struct Reading {
        decoder: Decoder,
        unread: Vec<u8>,
        body: Vec<u8>,
    }

    impl Reading {
        fn of(unread: Vec<u8>) -> Self {
            let decoder = Decoder::new(limits::FRAME_MAX_DEFAULT);
            Self { decoder, unread, body: Vec::new() }
        }

        /// One read of at most `most` octets, into the message if one is on its way there. How much it was.
        fn reads(&mut self, most: usize) -> usize {
            let most = most.min(self.unread.len());
            if self.decoder.bypassing().is_some() {
                self.body.reserve(1);
                let count = {
                    let mut place = self.decoder.missing_from(&mut self.body);
                    let count = place.remaining_mut().min(most);
                    place.put_slice(&self.unread[..count]);
                    count
                };
                self.decoder.passed(&mut self.body, count);
                self.unread.drain(..count);
                return count;
            }
            self.reads_into_the_buffer(most)
        }

        fn reads_into_the_buffer(&mut self, most: usize) -> usize {
            let space = self.decoder.space();
            let count = space.len().min(most).min(self.unread.len());
            space[..count].copy_from_slice(&self.unread[..count]);
            self.decoder.filled(count);
            self.unread.drain(..count);
            count
        }

        fn begins_a_bypass(&mut self) -> bool {
            let Some(large) = self.decoder.large_body() else { return false };
            self.body.extend_from_slice(large.begun);
            self.decoder.begin_bypass();
            true
        }

        /// Frames as they are handed out, with what has passed by in its place.
        fn frames(&mut self, wanted: bool, into: &mut Vec<(u16, Vec<u8>)>) {
            while let Some(frame) = self.decoder.next_frame().unwrap() {
                let payload = [&std::mem::take(&mut self.body)[..], frame.payload].concat();
                into.push((frame.channel, payload));
            }
            if wanted {
                self.begins_a_bypass();
            }
        }
    }

    fn body(channel: u16, payload: &[u8]) -> Vec<u8> {
        let size = u32::try_from(payload.len()).unwrap();
        let head = [&[3][..], &channel.to_be_bytes(), &size.to_be_bytes()].concat();
        [&head, payload, &[FRAME_END]].concat()
    }

    fn begun(payload: usize) -> Reading {
        let mut reading = Reading::of(body(7, &vec![5; payload]));
        reading.reads(2000);
        assert_eq!(reading.decoder.next_frame(), Ok(None));
        reading
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn frames_are_the_same_whichever_way_they_come(
            sizes in prop::collection::vec(prop_oneof![0..600_usize, 30_000..131_000_usize], 1..12),
            reads in prop::collection::vec((1..150_000_usize, any::<bool>()), 1..20),
        ) {
            let octet = |at: usize| u8::try_from(at % 251).unwrap();
            let payload = |seed: usize, size| (0..size).map(|at| octet(at + seed)).collect();
            let expected: Vec<(u16, Vec<u8>)> = sizes
                .iter()
                .enumerate()
                .map(|(at, &size)| (u16::try_from(at).unwrap(), payload(at, size)))
                .collect();
            let stream = expected.iter().flat_map(|(channel, payload)| body(*channel, payload));
            let mut reading = Reading::of(stream.collect());
            let mut frames = Vec::new();
            for (most, wanted) in reads.into_iter().cycle() {
                if reading.unread.is_empty() {
                    break;
                }
                prop_assert!(reading.reads(most) > 0, "there was no room");
                reading.frames(wanted, &mut frames);
            }
            prop_assert_eq!(frames, expected);
        }
    }

    #[test]
    fn only_a_body_that_has_begun_and_lacks_much_goes_past_the_buffer() {
        let large = limits::BYPASS_LEAST + 2000;
        assert!(begun(large).decoder.large_body().is_some());
        assert_eq!(begun(large - 100).decoder.large_body(), None);

        let mut header_only = Reading::of(body(7, &vec![5; large]));
        header_only.reads(HEADER + limits::BYPASS_BEGUN - 1);
        assert_eq!(header_only.decoder.large_body(), None);

        let mut method = Reading::of([&[1][..], &body(7, &vec![5; large])[1..]].concat());
        method.reads(2000);
        assert_eq!(method.decoder.large_body(), None);

        let mut refused = Reading::of(body(7, &vec![5; 200_000]));
        refused.reads(2000);
        assert_eq!(refused.decoder.large_body(), None);
    }

    #[test]
    fn the_buffer_does_not_grow_with_what_passes_by() {
        let mut reading = begun(131_000);
        assert!(reading.begins_a_bypass());
        while !reading.unread.is_empty() {
            reading.reads(usize::MAX);
        }
        assert_eq!(reading.decoder.capacity(), limits::READ_BUFFER_IDLE);
    }

    #[test]
    fn what_nobody_wants_any_more_is_dropped_up_to_the_next_frame() {
        let mut reading = begun(100_000);
        reading.unread.extend(body(8, b"next"));
        assert!(reading.begins_a_bypass());
        let mut frames = Vec::new();
        while !reading.unread.is_empty() {
            reading.reads_into_the_buffer(usize::MAX);
            reading.body.clear();
            reading.frames(false, &mut frames);
        }
        assert_eq!(frames, [(7, Vec::new()), (8, b"next".to_vec())]);
    }

    #[test]
    fn a_wrong_end_is_refused_in_the_same_words_as_in_the_buffer() {
        let mut octets = body(7, &vec![b'x'; 100_000]);
        *octets.last_mut().unwrap() = 1;
        let mut reading = Reading::of(octets);
        reading.reads(2000);
        assert!(reading.begins_a_bypass());
        while !reading.unread.is_empty() {
            reading.reads(usize::MAX);
        }
        let error = reading.decoder.next_frame().unwrap_err();
        let text =
            r#"type 3, first 16 octets = <<"xxxxxxxxxxxxxxxx">>: {invalid_frame_end_marker,1}"#;
        assert_eq!((error.to_string().as_str(), error.stream_is_lost()), (text, true));
        assert_eq!(reading.decoder.next_frame(), Err(error));
    }
}
