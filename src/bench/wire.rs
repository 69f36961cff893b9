//! The little of AMQP 0-9-1's wire format that a load generator needs: frames, a method writer, a field reader.
//!
//! Written from the specification and independent of the broker under test, so that a mistake there is not
//! repeated here.

/// Frame type of a method.
pub(crate) const METHOD: u8 = 1;
/// Frame type of a content header.
pub(crate) const HEADER: u8 = 2;
/// Frame type of a piece of body.
pub(crate) const BODY: u8 = 3;
/// Frame type of a heartbeat.
pub(crate) const HEARTBEAT: u8 = 8;
/// The octet that ends every frame.
pub(crate) const FRAME_END: u8 = 0xCE;
/// Bytes before a frame's payload: type, channel, size.
pub(crate) const FRAME_HEAD: usize = 7;
/// Bytes of a frame that are not payload.
pub(crate) const FRAME_OVERHEAD: usize = 8;

/// A method's class and number as one value: class in the upper half.
pub(crate) type MethodId = u32;

/// The methods that are sent or expected.
pub(crate) mod method {
    use super::MethodId;

    const fn id(class: u32, number: u32) -> MethodId {
        class << 16 | number
    }

    pub(crate) const CONNECTION_START: MethodId = id(10, 10);
    pub(crate) const CONNECTION_START_OK: MethodId = id(10, 11);
    pub(crate) const CONNECTION_TUNE: MethodId = id(10, 30);
    pub(crate) const CONNECTION_TUNE_OK: MethodId = id(10, 31);
    pub(crate) const CONNECTION_OPEN: MethodId = id(10, 40);
    pub(crate) const CONNECTION_OPEN_OK: MethodId = id(10, 41);
    pub(crate) const CONNECTION_CLOSE: MethodId = id(10, 50);
    pub(crate) const CONNECTION_CLOSE_OK: MethodId = id(10, 51);
    pub(crate) const CHANNEL_OPEN: MethodId = id(20, 10);
    pub(crate) const CHANNEL_OPEN_OK: MethodId = id(20, 11);
    pub(crate) const CHANNEL_CLOSE: MethodId = id(20, 40);
    pub(crate) const EXCHANGE_DECLARE: MethodId = id(40, 10);
    pub(crate) const EXCHANGE_DECLARE_OK: MethodId = id(40, 11);
    pub(crate) const EXCHANGE_DELETE: MethodId = id(40, 20);
    pub(crate) const EXCHANGE_DELETE_OK: MethodId = id(40, 21);
    pub(crate) const QUEUE_DECLARE: MethodId = id(50, 10);
    pub(crate) const QUEUE_DECLARE_OK: MethodId = id(50, 11);
    pub(crate) const QUEUE_BIND: MethodId = id(50, 20);
    pub(crate) const QUEUE_BIND_OK: MethodId = id(50, 21);
    pub(crate) const QUEUE_DELETE: MethodId = id(50, 40);
    pub(crate) const QUEUE_DELETE_OK: MethodId = id(50, 41);
    pub(crate) const BASIC_QOS: MethodId = id(60, 10);
    pub(crate) const BASIC_QOS_OK: MethodId = id(60, 11);
    pub(crate) const BASIC_CONSUME: MethodId = id(60, 20);
    pub(crate) const BASIC_CONSUME_OK: MethodId = id(60, 21);
    pub(crate) const BASIC_PUBLISH: MethodId = id(60, 40);
    pub(crate) const BASIC_DELIVER: MethodId = id(60, 60);
    pub(crate) const BASIC_GET: MethodId = id(60, 70);
    pub(crate) const BASIC_GET_OK: MethodId = id(60, 71);
    pub(crate) const BASIC_GET_EMPTY: MethodId = id(60, 72);
    pub(crate) const BASIC_ACK: MethodId = id(60, 80);
    pub(crate) const BASIC_NACK: MethodId = id(60, 120);
    pub(crate) const CONFIRM_SELECT: MethodId = id(85, 10);
    pub(crate) const CONFIRM_SELECT_OK: MethodId = id(85, 11);
}

/// One frame, borrowed from where it was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) channel: u16,
    pub(crate) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The first frame in `bytes` and its whole length; `None` while it is incomplete.
    pub(crate) fn first(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, String> {
        let Some(head) = bytes.first_chunk::<FRAME_HEAD>() else { return Ok(None) };
        let (kind, channel, size) = parse_head(*head);
        let Some(rest) = bytes.get(FRAME_HEAD..=FRAME_HEAD + size) else { return Ok(None) };
        if rest[size] != FRAME_END {
            return Err(format!("frame of type {kind} ends with {:#04x}, not 0xce", rest[size]));
        }
        Ok(Some((Self { kind, channel, payload: &rest[..size] }, FRAME_OVERHEAD + size)))
    }

    /// The method carried, with a reader over its arguments; `None` when this is no method frame.
    pub(crate) fn method(&self) -> Option<(MethodId, Fields<'a>)> {
        if self.kind != METHOD {
            return None;
        }
        let (id, arguments) = self.payload.split_first_chunk::<4>()?;
        Some((u32::from_be_bytes(*id), Fields(arguments)))
    }
}

/// Type, channel and payload size out of a frame's first seven bytes.
#[inline]
pub(crate) fn parse_head(head: [u8; FRAME_HEAD]) -> (u8, u16, usize) {
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
    (head[0], u16::from_be_bytes([head[1], head[2]]), size as usize)
}

/// Reads fields one after the other; `None` when they end too early.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    pub(crate) fn short_string(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.u8()?);
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (value, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*value)
    }
}

/// Writes one method frame, field by field.
#[derive(Debug)]
pub(crate) struct MethodWriter(Vec<u8>);

impl MethodWriter {
    pub(crate) fn new(channel: u16, method: MethodId) -> Self {
        let mut bytes = vec![METHOD];
        bytes.extend(channel.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(method.to_be_bytes());
        Self(bytes)
    }

    pub(crate) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn short_string(mut self, text: &str) -> Self {
        self.0.push(u8::try_from(text.len()).expect("a short string is at most 255 bytes"));
        self.0.extend(text.as_bytes());
        self
    }

    pub(crate) fn long_string(mut self, text: &[u8]) -> Self {
        self.0.extend(length_u32(text.len()).to_be_bytes());
        self.0.extend(text);
        self
    }

    /// The finished frame.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let size = length_u32(self.0.len() - FRAME_HEAD);
        self.0[3..FRAME_HEAD].copy_from_slice(&size.to_be_bytes());
        self.0.push(FRAME_END);
        self.0
    }
}

/// A length as the wire carries it.
pub(crate) fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("frames of this generator are far below 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_method_matches_the_golden_bytes_of_connection_tune() {
        let tune = MethodWriter::new(0, method::CONNECTION_TUNE).u16(2047).u32(131_072).u16(60);

        let expected = b"\x01\0\0\0\0\0\x0c\0\x0a\0\x1e\x07\xff\0\x02\0\0\0\x3c\xce";
        assert_eq!(tune.finish(), expected);
    }

    #[test]
    fn a_frame_is_incomplete_until_its_last_byte_is_there() {
        let bytes = MethodWriter::new(7, method::BASIC_ACK).u64(3).u8(1).finish();

        for end in 0..bytes.len() {
            assert!(Frame::first(&bytes[..end]).unwrap().is_none());
        }
        let (frame, length) = Frame::first(&bytes).unwrap().unwrap();
        let (id, mut fields) = frame.method().unwrap();
        assert_eq!((frame.channel, length, id), (7, bytes.len(), method::BASIC_ACK));
        assert_eq!((fields.u64(), fields.u8(), fields.u8()), (Some(3), Some(1), None));
    }

    #[test]
    fn a_frame_with_a_wrong_end_is_refused() {
        let mut bytes = MethodWriter::new(1, method::CHANNEL_OPEN).u8(0).finish();
        *bytes.last_mut().unwrap() = 0;

        assert!(Frame::first(&bytes).is_err());
    }
}
