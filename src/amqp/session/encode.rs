//! Outgoing items to bytes. The writer calls this, outside of every lock.

use std::borrow::Cow;

use super::outgoing::Outgoing;
use crate::amqp::wire::encoder::{Content, Deliver, GetOk, Return};
use crate::amqp::wire::frame::ChannelId;
use crate::amqp::wire::properties::{with_long_header, without_header};
use crate::amqp::wire::write_buffer::WriteBuffer;
use crate::broker::message::{BCC, Message};

/// RabbitMQ sends the bare name, unlike in every other reply text.
const NO_ROUTE: (u16, &[u8]) = (312, b"NO_ROUTE");

/// The writer's knowledge of consumers: channel and tag by slot.
#[derive(Default)]
pub struct ConsumerNames {
    by_slot: Vec<(ChannelId, Vec<u8>)>,
}

impl ConsumerNames {
    fn set(&mut self, slot: usize, channel: ChannelId, tag: String) {
        if self.by_slot.len() <= slot {
            self.by_slot.resize_with(slot + 1, Default::default);
        }
        if let Some(name) = self.by_slot.get_mut(slot) {
            *name = (channel, tag.into_bytes());
        }
    }
}

/// Writes one item. Frames of one message lie together.
pub fn encode(item: Outgoing, names: &mut ConsumerNames, into: &mut WriteBuffer) {
    match item {
        Outgoing::Deliver { message, tag, slot, redelivered, returns } => {
            let Some((channel, consumer_tag)) = names.by_slot.get(slot.0 as usize) else { return };
            let deliver = Deliver {
                consumer_tag,
                delivery_tag: tag,
                redelivered,
                exchange: message.exchange(),
                routing_key: message.routing_key(),
            };
            with_content(&message, returns, |content| into.deliver(*channel, &deliver, content));
        }
        Outgoing::Consumer(name) => names.set(name.slot.0 as usize, name.channel, name.tag),
        Outgoing::Got(got) => {
            let method = GetOk {
                delivery_tag: got.tag,
                redelivered: got.redelivered,
                exchange: got.message.exchange(),
                routing_key: got.message.routing_key(),
                message_count: got.remaining,
            };
            with_content(&got.message, got.returns, |content| {
                into.get_ok(got.channel, &method, content);
            });
        }
        Outgoing::Reply(reply) => {
            let deliver = Deliver {
                consumer_tag: reply.consumer_tag.as_bytes(),
                delivery_tag: reply.tag,
                redelivered: false,
                exchange: reply.message.exchange(),
                routing_key: reply.message.routing_key(),
            };
            let channel = reply.channel;
            with_content(&reply.message, 0, |content| into.deliver(channel, &deliver, content));
        }
        Outgoing::Returned(channel, message) => {
            let method = Return {
                reply_code: NO_ROUTE.0,
                reply_text: NO_ROUTE.1,
                exchange: message.exchange(),
                routing_key: message.routing_key(),
            };
            with_content(&message, 0, |content| into.return_(channel, &method, content));
        }
        Outgoing::Confirm { channel, sequence, multiple } => into.ack(channel, sequence, multiple),
        Outgoing::Refused { channel, sequence } => into.nack(channel, sequence, false),
        Outgoing::Tuned(tuning) => into.set_frame_max(tuning.frame_max),
        Outgoing::Method(channel, method) => into.method(channel, &method),
    }
}

/// The message as a client gets it: without hidden keys. RabbitMQ 4: what came back to a quorum queue says how
/// often.
#[inline]
fn with_content(message: &Message, returns: u32, write: impl FnOnce(&Content<'_>)) {
    if returns == 0 && !message.hides_keys() {
        return write(&content(message));
    }
    let mut header = Cow::Borrowed(message.header());
    if message.hides_keys() {
        header = Cow::Owned(without_header(&header, BCC));
    }
    if returns > 0 {
        header = Cow::Owned(with_long_header(&header, "x-delivery-count", returns.into()));
    }
    write(&Content { header: &header, ..content(message) });
}

fn content(message: &Message) -> Content<'_> {
    Content { header: message.header(), body: message.body(), blob: message.blob() }
}
