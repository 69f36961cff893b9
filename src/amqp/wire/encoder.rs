//! What the broker says, as frames in a [`WriteBuffer`].
//!
//! By hand what is said per message; everything else through `amq_protocol`. Bodies below
//! [`limits::VECTORED_BODY`] are copied, larger ones are written from the message they belong to.
//!
//! Names longer than a short string cannot come out of the decoder; should one come from elsewhere, it is cut.

use amq_protocol::frame::WriteContext;
use amq_protocol::protocol::{AMQPClass, gen_class};
use bytes::Bytes;

use super::frame::{CLASS_BASIC, ChannelId, FRAME_END, FrameKind};
use super::write_buffer::WriteBuffer;
use crate::limits;

const METHOD: u8 = FrameKind::Method.octet();
const HEADER: u8 = FrameKind::Header.octet();
const BODY: u8 = FrameKind::Body.octet();
/// A heartbeat: channel 0, no payload.
const HEARTBEAT: [u8; 8] = [FrameKind::Heartbeat.octet(), 0, 0, 0, 0, 0, 0, FRAME_END];
/// The version we speak, as the answer to any other.
const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

/// basic.deliver
#[derive(Clone, Copy, Debug)]
pub struct Deliver<'a> {
    /// Which consumer it is for.
    pub consumer_tag: &'a [u8],
    /// Counts deliveries on the channel.
    pub delivery_tag: u64,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// As published.
    pub exchange: &'a [u8],
    /// As published.
    pub routing_key: &'a [u8],
}

/// basic.get-ok
#[derive(Clone, Copy, Debug)]
pub struct GetOk<'a> {
    /// Counts deliveries on the channel.
    pub delivery_tag: u64,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// As published.
    pub exchange: &'a [u8],
    /// As published.
    pub routing_key: &'a [u8],
    /// Messages left in the queue.
    pub message_count: u32,
}

/// basic.return
#[derive(Clone, Copy, Debug)]
pub struct Return<'a> {
    /// 312 `NO_ROUTE` is the only one RabbitMQ sends.
    pub reply_code: u16,
    /// Just the code's name.
    pub reply_text: &'a [u8],
    /// As published.
    pub exchange: &'a [u8],
    /// As published.
    pub routing_key: &'a [u8],
}

/// What follows deliver, get-ok and return.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// Property flags and values as received.
    pub header: &'a [u8],
    /// The whole body.
    pub body: &'a [u8],
    /// What the body is a part of; a large body is shared with it. A body that lies elsewhere is copied.
    pub blob: &'a Bytes,
}

impl WriteBuffer {
    /// A method without content, by the crate's generator.
    pub fn method(&mut self, channel: ChannelId, class: &AMQPClass) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        match gen_class(class)(WriteContext::from(scratch)) {
            Ok(WriteContext { write: payload, .. }) => {
                self.run.extend_from_slice(&frame_head(METHOD, channel, payload.len()));
                self.run.extend_from_slice(&payload);
                self.run.push(FRAME_END);
                self.scratch = payload;
            }
            // Writing to memory does not fail.
            Err(error) => debug_assert!(false, "a method could not be encoded: {error}"),
        }
    }

    /// basic.deliver with its content.
    #[inline]
    pub fn deliver(&mut self, channel: ChannelId, deliver: &Deliver<'_>, content: &Content<'_>) {
        let (tag_length, consumer_tag) = short(deliver.consumer_tag);
        let (exchange_length, exchange) = short(deliver.exchange);
        let (key_length, routing_key) = short(deliver.routing_key);
        let size = 4 + 9 + 3 + consumer_tag.len() + exchange.len() + routing_key.len();
        self.reserve_for(size, content);

        let head: [u8; 12] = joined(method_head(channel, 60, size), [tag_length]);
        self.run.extend_from_slice(&head);
        self.run.extend_from_slice(consumer_tag);
        let tag = tagged(deliver.delivery_tag, u8::from(deliver.redelivered));
        let tag: [u8; 10] = joined(tag, [exchange_length]);
        self.run.extend_from_slice(&tag);
        self.run.extend_from_slice(exchange);
        self.run.push(key_length);
        self.run.extend_from_slice(routing_key);
        self.content(channel, content);
    }

    /// basic.get-ok with its content.
    pub fn get_ok(&mut self, channel: ChannelId, get_ok: &GetOk<'_>, content: &Content<'_>) {
        let (exchange_length, exchange) = short(get_ok.exchange);
        let (key_length, routing_key) = short(get_ok.routing_key);
        let size = 4 + 9 + 2 + exchange.len() + routing_key.len() + 4;
        self.reserve_for(size, content);

        self.run.extend_from_slice(&method_head(channel, 71, size));
        self.run.extend_from_slice(&tagged(get_ok.delivery_tag, u8::from(get_ok.redelivered)));
        self.run.push(exchange_length);
        self.run.extend_from_slice(exchange);
        self.run.push(key_length);
        self.run.extend_from_slice(routing_key);
        self.run.extend_from_slice(&get_ok.message_count.to_be_bytes());
        self.content(channel, content);
    }

    /// basic.return with its content.
    pub fn return_(&mut self, channel: ChannelId, returned: &Return<'_>, content: &Content<'_>) {
        let texts = [returned.reply_text, returned.exchange, returned.routing_key].map(short);
        let size = 4 + 2 + texts.iter().map(|(_, text)| 1 + text.len()).sum::<usize>();
        self.reserve_for(size, content);

        self.run.extend_from_slice(&method_head(channel, 50, size));
        self.run.extend_from_slice(&returned.reply_code.to_be_bytes());
        for (length, text) in texts {
            self.run.push(length);
            self.run.extend_from_slice(text);
        }
        self.content(channel, content);
    }

    /// basic.ack, as a publisher confirm.
    #[inline]
    pub fn ack(&mut self, channel: ChannelId, tag: u64, multiple: bool) {
        self.settle(channel, 80, tag, u8::from(multiple));
    }

    /// basic.nack, as a publisher confirm. RabbitMQ sets `requeue` in it, though it means nothing there.
    #[inline]
    pub fn nack(&mut self, channel: ChannelId, tag: u64, multiple: bool) {
        self.settle(channel, 120, tag, u8::from(multiple) | 0b10);
    }

    /// A heartbeat.
    pub fn heartbeat(&mut self) {
        self.run.extend_from_slice(&HEARTBEAT);
    }

    /// The protocol header, in answer to one we do not speak. AMQP 0-9-1 section 4.2.2.
    pub fn protocol_header(&mut self) {
        self.run.extend_from_slice(&PROTOCOL_HEADER);
    }

    #[inline]
    fn settle(&mut self, channel: ChannelId, method: u16, tag: u64, bits: u8) {
        self.run.extend_from_slice(&method_head(channel, method, 4 + 9));
        self.run.extend_from_slice(&tagged(tag, bits));
        self.run.push(FRAME_END);
    }

    /// One allocation at most for a message, and none once the buffer has grown to its batch.
    #[inline]
    fn reserve_for(&mut self, method: usize, content: &Content<'_>) {
        const OVERHEAD: usize = 8;
        let body = if content.is_spliced() { 0 } else { content.body.len() + 4 * OVERHEAD };
        self.run.reserve(method + content.header.len() + body + 4 * OVERHEAD);
    }

    /// Ends the method's frame and appends the header and body frames.
    #[inline]
    fn content(&mut self, channel: ChannelId, content: &Content<'_>) {
        let body_size = u64::try_from(content.body.len()).unwrap_or(u64::MAX);
        let head = frame_head(HEADER, channel, 12 + content.header.len());
        let head: [u8; 8] = joined([FRAME_END], head);
        let head: [u8; 20] = joined(head, header_fields(body_size));
        self.run.extend_from_slice(&head);
        self.run.extend_from_slice(content.header);
        self.run.push(FRAME_END);
        match content.shared_body() {
            Some(body) => self.splice_body(channel, &body),
            None => self.copy_body(channel, content.body),
        }
    }

    /// An empty body is no frame at all.
    #[inline]
    fn copy_body(&mut self, channel: ChannelId, body: &[u8]) {
        for piece in body.chunks(self.body_max) {
            self.run.extend_from_slice(&frame_head(BODY, channel, piece.len()));
            self.run.extend_from_slice(piece);
            self.run.push(FRAME_END);
        }
    }

    fn splice_body(&mut self, channel: ChannelId, body: &Bytes) {
        let mut rest = body.clone();
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(self.body_max));
            self.run.extend_from_slice(&frame_head(BODY, channel, piece.len()));
            self.splice(piece);
            self.run.push(FRAME_END);
        }
    }
}

impl Content<'_> {
    #[inline]
    fn is_spliced(&self) -> bool {
        self.body.len() >= limits::VECTORED_BODY
    }

    /// The body as a part of its blob, if it is large enough to be worth it.
    #[inline]
    fn shared_body(&self) -> Option<Bytes> {
        if !self.is_spliced() {
            return None;
        }
        let start = self.body.as_ptr().addr().checked_sub(self.blob.as_ptr().addr())?;
        let end = start.checked_add(self.body.len())?;
        (end <= self.blob.len()).then(|| self.blob.slice(start..end))
    }
}

/// Two runs of octets of known lengths as one, which is copied once. `C` is `A + B`.
#[inline]
fn joined<const A: usize, const B: usize, const C: usize>(a: [u8; A], b: [u8; B]) -> [u8; C] {
    const { assert!(A + B == C, "the length of both") };
    let mut both = [0; C];
    both[..A].copy_from_slice(&a);
    both[A..].copy_from_slice(&b);
    both
}

/// A text with its length octet.
#[inline]
fn short(text: &[u8]) -> (u8, &[u8]) {
    debug_assert!(text.len() <= limits::SHORT_STRING_MAX, "longer than a short string");
    let text = text.get(..limits::SHORT_STRING_MAX).unwrap_or(text);
    (u8::try_from(text.len()).unwrap_or(u8::MAX), text)
}

/// A frame up to its payload.
#[inline]
fn frame_head(kind: u8, channel: ChannelId, size: usize) -> [u8; 7] {
    let [c1, c2] = channel.to_be_bytes();
    let [s1, s2, s3, s4] = u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes();
    [kind, c1, c2, s1, s2, s3, s4]
}

/// A method frame of class basic up to the method's fields.
#[inline]
fn method_head(channel: ChannelId, method: u16, size: usize) -> [u8; 11] {
    let [kind, c1, c2, s1, s2, s3, s4] = frame_head(METHOD, channel, size);
    let [k1, k2] = CLASS_BASIC.to_be_bytes();
    let [m1, m2] = method.to_be_bytes();
    [kind, c1, c2, s1, s2, s3, s4, k1, k2, m1, m2]
}

/// A delivery tag and the octet of bits after it.
#[inline]
fn tagged(tag: u64, bits: u8) -> [u8; 9] {
    let [t1, t2, t3, t4, t5, t6, t7, t8] = tag.to_be_bytes();
    [t1, t2, t3, t4, t5, t6, t7, t8, bits]
}

/// Class, weight and body size.
#[inline]
fn header_fields(body_size: u64) -> [u8; 12] {
    let [k1, k2] = CLASS_BASIC.to_be_bytes();
    let [s1, s2, s3, s4, s5, s6, s7, s8] = body_size.to_be_bytes();
    [k1, k2, 0, 0, s1, s2, s3, s4, s5, s6, s7, s8]
}
