//! Assembles basic.publish, its content header and its body frames into one message.
//!
//! Invariants:
//! * What is kept lies in one buffer: exchange, routing key, properties as received, body.
//! * A message in one body frame is copied once into the read batch's arena; what precedes the body waits in a
//!   small buffer the channel keeps. A message in several frames grows in that buffer instead.
//! * Memory follows what arrived; a header alone reserves nothing, the first piece of a body at most
//!   [`limits::BODY_RESERVE`].
//! * Of a large body frame the part that has come is taken at once and the rest is read into that buffer; the frame
//!   then ends with an empty piece.
//! * Content of a channel that is closing is followed frame by frame and dropped.
//!
//! Nothing here knows whether the channel is open; errors that end only the channel are still errors to the caller,
//! which closes it.

use std::fmt::Display;

use bytes::Bytes;

use super::arena::Arena;
use super::error::{AmqpError, ReplyCode};
use super::shelf::Shelf;
use crate::amqp::wire::frame::{CLASS_BASIC, ChannelId, ContentHeader, Frame};
use crate::amqp::wire::method::PublishMethod;
use crate::amqp::wire::properties::PropertiesView;
use crate::limits;

/// Method number of basic.publish.
const PUBLISH: u16 = 40;
/// Size above which a channel does not keep its buffer from one message to the next.
const HEAD_KEPT: usize = 1024;

/// An error in one word, so that "nothing yet" costs nothing to return.
type Fault = Box<AmqpError>;

/// A complete basic.publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Exchange, routing key, properties and body, one behind the other.
    pub blob: Bytes,
    /// Octets of the properties: flags and values as received.
    pub header_len: u32,
    /// Octets of the exchange's name.
    pub exchange_len: u8,
    /// Octets of the routing key.
    pub key_len: u8,
    /// Return the message if it meets no queue.
    pub mandatory: bool,
}

impl Publish {
    /// The exchange's name.
    #[must_use]
    pub fn exchange(&self) -> &str {
        text(self.part(0, self.exchange_len.into()))
    }

    /// The routing key.
    #[must_use]
    pub fn routing_key(&self) -> &str {
        text(self.part(self.exchange_len.into(), self.names_len()))
    }

    /// Exchange and routing key in one piece, to compare a route by; their lengths tell them apart.
    #[must_use]
    pub fn names(&self) -> &[u8] {
        self.part(0, self.names_len())
    }

    /// Property flags and values as received.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        self.part(self.names_len(), self.body_at())
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.part(self.body_at(), self.blob.len())
    }

    /// Octets of the body.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.blob.len().saturating_sub(self.body_at())
    }

    fn names_len(&self) -> usize {
        usize::from(self.exchange_len) + usize::from(self.key_len)
    }

    fn body_at(&self) -> usize {
        self.names_len() + self.header_len as usize
    }

    fn part(&self, from: usize, to: usize) -> &[u8] {
        self.blob.get(from..to).unwrap_or_default()
    }
}

/// The names were checked when the method was decoded.
fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap_or_default()
}

/// What a channel is in the middle of receiving.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// Exchange, routing key and properties; then the body too, if it comes in pieces.
    head: Vec<u8>,
    /// Octets of the body still to come.
    remaining: u64,
    header_len: u32,
    exchange_len: u8,
    key_len: u8,
    mandatory: bool,
    immediate: bool,
    /// Follow the frames but keep nothing.
    discard: bool,
    due: Due,
}

/// The frame a channel must send next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Due {
    #[default]
    Method,
    Header,
    Body,
}

impl Content {
    /// Whether a method may come now.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.due == Due::Method
    }

    /// basic.publish has come: its content header is due.
    #[inline]
    pub(super) fn begin(&mut self, publish: &PublishMethod<'_>) {
        self.due = Due::Header;
        self.mandatory = publish.mandatory;
        self.immediate = publish.immediate;
        if self.discard {
            return;
        }
        self.forget_head();
        self.exchange_len = self.add_name(publish.exchange);
        self.key_len = self.add_name(publish.routing_key);
    }

    /// Empties the buffer of the message before, and lets go of it if that one was large.
    #[inline]
    fn forget_head(&mut self) {
        if self.head.capacity() <= HEAD_KEPT {
            self.head.clear();
        } else {
            self.head = Vec::new();
        }
    }

    #[inline]
    fn add_name(&mut self, name: &str) -> u8 {
        self.head.extend_from_slice(name.as_bytes());
        // A short string never is longer; the decoder read its length from one octet.
        u8::try_from(name.len()).unwrap_or(u8::MAX)
    }

    /// Octets of memory held for the message.
    pub(super) fn reserved(&self) -> usize {
        self.head.capacity()
    }

    /// From now on nothing is kept: the channel is closing.
    pub(super) fn discard(&mut self) {
        self.discard = true;
        self.head = Vec::new();
    }

    /// A content header has come. Returns whether the message is complete, because it has no body.
    #[inline]
    pub(super) fn header(&mut self, frame: Frame<'_>, size_limit: u64) -> Result<bool, Fault> {
        if self.due != Due::Header {
            return Err(self.interrupted().into());
        }
        let Some(header) = ContentHeader::parse(frame.payload) else {
            return Err(AmqpError::unknown_frame(frame).into());
        };
        if header.class != CLASS_BASIC || header.weight != 0 {
            return Err(wrong_header(&header).into());
        }
        self.remaining = header.body_size;
        self.due = Due::Body;
        if header.body_size > size_limit {
            self.refuse_size(frame.channel, header.body_size, size_limit)?;
        }
        if !self.discard {
            self.add_properties(header.properties)?;
        }
        if header.body_size == 0 { self.complete() } else { Ok(false) }
    }

    #[inline]
    fn add_properties(&mut self, properties: &[u8]) -> Result<(), Fault> {
        if !PropertiesView::is_plain(properties) {
            check_properties(properties)?;
        }
        self.head.extend_from_slice(properties);
        // No larger than the frame it came in.
        self.header_len = u32::try_from(properties.len()).unwrap_or(u32::MAX);
        Ok(())
    }

    /// A body too large to take. Its frames still come, and are dropped.
    #[cold]
    fn refuse_size(&mut self, channel: ChannelId, size: u64, limit: u64) -> Result<(), AmqpError> {
        if size > limits::MESSAGE_SIZE_CEILING {
            let ceiling = limits::MESSAGE_SIZE_CEILING;
            return Err(publish_error(
                ReplyCode::FrameError,
                format_args!("content body size {size} exceeds maximum allowed size {ceiling}"),
            ));
        }
        if self.discard {
            return Ok(());
        }
        self.discard();
        if self.immediate {
            return Err(immediate());
        }
        let text = format_args!("message size {size} is larger than configured max size {limit}");
        let error = AmqpError::channel(channel, ReplyCode::PreconditionFailed, text);
        Err(error.caused_by(CLASS_BASIC, PUBLISH))
    }

    /// A body frame has come. Returns whether it was the last; it is then still to be handed to
    /// [`Content::message`].
    #[inline]
    pub(super) fn body(&mut self, payload: &[u8]) -> Result<bool, Fault> {
        if self.due != Due::Body {
            return Err(self.interrupted().into());
        }
        if payload.len() as u64 == self.remaining {
            return self.complete();
        }
        self.piece(payload)?;
        Ok(false)
    }

    /// One of several body frames, not the last.
    fn piece(&mut self, payload: &[u8]) -> Result<(), AmqpError> {
        let Some(remaining) = self.remaining.checked_sub(payload.len() as u64) else {
            let text = "content body frame exceeds remaining content size";
            return Err(publish_error(ReplyCode::FrameError, text));
        };
        // AMQP 0-9-1 forbids empty body frames; RabbitMQ ignores them, and this does.
        if !self.discard && !payload.is_empty() {
            self.make_room(payload.len(), remaining, None);
            self.head.extend_from_slice(payload);
        }
        self.remaining = remaining;
        Ok(())
    }

    /// The beginning of a body frame of which `missing` octets come later, see [`Content::room`]. `false` if that is
    /// not to be: the frame must come as a whole.
    pub(super) fn begin_piece(&mut self, begun: &[u8], missing: usize, shelf: &Shelf) -> bool {
        let Some(remaining) = self.remaining.checked_sub((begun.len() + missing) as u64) else {
            return false;
        };
        if self.due != Due::Body || self.discard || self.immediate {
            return false;
        }
        self.remaining = remaining;
        let rest = remaining.saturating_add(missing as u64);
        self.make_room(begun.len(), rest, Some(shelf));
        self.head.extend_from_slice(begun);
        true
    }

    /// Where to read the `missing` octets to that the frame in progress lacks: with room for one of them at least.
    /// Nowhere if the message is not kept.
    pub(super) fn room(&mut self, missing: usize, shelf: &Shelf) -> Option<&mut Vec<u8>> {
        if self.discard {
            return None;
        }
        let rest = self.remaining.saturating_add(missing as u64 - 1);
        self.make_room(1, rest, Some(shelf));
        Some(&mut self.head)
    }

    /// Room for `incoming` octets, after which `rest` come. Grows fourfold, or a little more to the end of the message;
    /// never beyond that, but for what is read with the end of a frame that comes in parts.
    fn make_room(&mut self, incoming: usize, rest: u64, shelf: Option<&Shelf>) {
        let needed = self.head.len() + incoming;
        if needed <= self.head.capacity() {
            return;
        }
        let slack = if shelf.is_some() { limits::BYPASS_LOOKAHEAD } else { 0 };
        let rest = usize::try_from(rest).unwrap_or(usize::MAX);
        let whole = needed.saturating_add(rest).saturating_add(slack);
        let next = self.head.capacity().saturating_mul(4).max(limits::BODY_RESERVE);
        let next = if whole - whole / 4 <= next { whole } else { next.max(needed) };
        match shelf {
            Some(shelf) => shelf.enlarge(&mut self.head, next),
            None => self.head.reserve_exact(next - self.head.len()),
        }
    }

    /// The last frame has come. Returns whether there is a message to take.
    #[inline]
    fn complete(&mut self) -> Result<bool, Fault> {
        self.due = Due::Method;
        if self.discard {
            return Ok(false);
        }
        if self.immediate {
            return Err(immediate().into());
        }
        Ok(true)
    }

    /// The complete message, of which `last` is what has not been read yet.
    #[inline]
    pub(super) fn message(&mut self, last: &[u8], arena: &mut Arena) -> Publish {
        let blob = if self.head.len() + last.len() <= limits::ARENA_MESSAGE {
            arena.join(&self.head, last)
        } else {
            self.own_blob(last, arena)
        };
        Publish {
            blob,
            header_len: self.header_len,
            exchange_len: self.exchange_len,
            key_len: self.key_len,
            mandatory: self.mandatory,
        }
    }

    #[cold]
    fn own_blob(&mut self, last: &[u8], arena: &Arena) -> Bytes {
        self.head.reserve_exact(last.len());
        self.head.extend_from_slice(last);
        arena.shelf().lend(std::mem::take(&mut self.head))
    }

    /// The error for a frame when one of another kind was due. RabbitMQ's words.
    #[cold]
    pub(super) fn interrupted(&self) -> AmqpError {
        match self.due {
            Due::Method => no_method(),
            Due::Header => no_header(),
            Due::Body => publish_error(
                ReplyCode::UnexpectedFrame,
                "expected content body, got non content body frame instead",
            ),
        }
    }
}

/// Content on a channel that has published nothing.
#[cold]
pub(super) fn no_method() -> AmqpError {
    AmqpError::connection(
        ReplyCode::UnexpectedFrame,
        "expected method frame, got non method frame instead",
    )
}

#[inline(never)]
fn check_properties(properties: &[u8]) -> Result<(), Fault> {
    match PropertiesView::check(properties) {
        Ok(_) => Ok(()),
        Err(fault) => Err(publish_error(ReplyCode::SyntaxError, fault).into()),
    }
}

#[cold]
fn wrong_header(header: &ContentHeader<'_>) -> AmqpError {
    // RabbitMQ takes a weight that is not 0 for no content header at all.
    if header.weight != 0 {
        return no_header();
    }
    let class = header.class;
    publish_error(
        ReplyCode::UnexpectedFrame,
        format_args!("expected content header for class 60, got one for class {class} instead"),
    )
}

#[cold]
fn no_header() -> AmqpError {
    publish_error(
        ReplyCode::UnexpectedFrame,
        "expected content header for class 60, got non content header frame instead",
    )
}

#[cold]
fn immediate() -> AmqpError {
    publish_error(ReplyCode::NotImplemented, "immediate=true")
}

#[cold]
fn publish_error(code: ReplyCode, explanation: impl Display) -> AmqpError {
    AmqpError::connection(code, explanation).caused_by(CLASS_BASIC, PUBLISH)
}
