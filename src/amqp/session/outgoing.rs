//! What waits in an outbox for the writer.

use std::sync::Arc;

use amq_protocol::protocol::AMQPClass;

use crate::amqp::protocol::handshake::Tuning;
use crate::amqp::wire::frame::ChannelId;
use crate::broker::delivery::ConsumerSlot;
use crate::broker::message::Message;

/// One thing to be sent. Small: what is rare is boxed.
#[derive(Debug)]
pub enum Outgoing {
    /// basic.deliver to a consumer that was announced by [`Outgoing::Consumer`].
    Deliver {
        /// What.
        message: Arc<Message>,
        /// Its delivery tag.
        tag: u64,
        /// To whom.
        slot: ConsumerSlot,
        /// It was handed out before.
        redelivered: bool,
        /// How often it came back; sent as `x-delivery-count` unless it is 0.
        returns: u32,
    },
    /// Deliveries for `slot` belong to this channel and consumer tag from now on. Sends nothing.
    Consumer(Box<ConsumerName>),
    /// basic.get-ok.
    Got(Box<Got>),
    /// basic.deliver of a reply that came without a queue.
    Reply(Box<Reply>),
    /// basic.return of what a channel published. Always 312 `NO_ROUTE`: RabbitMQ sends no other.
    Returned(ChannelId, Arc<Message>),
    /// basic.ack of publishes.
    Confirm {
        /// Whose.
        channel: ChannelId,
        /// The (last) publish's number.
        sequence: u64,
        /// All before it too.
        multiple: bool,
    },
    /// basic.nack of one publish: a queue refused it.
    Refused {
        /// Whose.
        channel: ChannelId,
        /// The publish's number.
        sequence: u64,
    },
    /// What was negotiated holds from here on. Sends nothing.
    Tuned(Tuning),
    /// Any other method.
    Method(ChannelId, Box<AMQPClass>),
}

/// See [`Outgoing::Consumer`].
#[derive(Debug)]
pub struct ConsumerName {
    /// The consumer's number.
    pub slot: ConsumerSlot,
    /// Its channel.
    pub channel: ChannelId,
    /// Its consumer tag.
    pub tag: String,
}

/// See [`Outgoing::Got`].
#[derive(Debug)]
pub struct Got {
    /// The channel that asked.
    pub channel: ChannelId,
    /// What.
    pub message: Arc<Message>,
    /// Its delivery tag.
    pub tag: u64,
    /// It was handed out before.
    pub redelivered: bool,
    /// How often it came back.
    pub returns: u32,
    /// Ready messages left.
    pub remaining: u32,
}

/// See [`Outgoing::Reply`].
#[derive(Debug)]
pub struct Reply {
    /// The requester's channel.
    pub channel: ChannelId,
    /// Its reply consumer.
    pub consumer_tag: Arc<str>,
    /// What.
    pub message: Arc<Message>,
    /// Its delivery tag.
    pub tag: u64,
}

impl Outgoing {
    /// Bytes it stands for, for the outbox's bound.
    pub(super) fn size(&self) -> usize {
        const OVERHEAD: usize = 64;
        match self {
            Self::Deliver { message, .. } | Self::Returned(_, message) => OVERHEAD + message.size(),
            Self::Got(got) => OVERHEAD + got.message.size(),
            Self::Reply(reply) => OVERHEAD + reply.message.size(),
            Self::Consumer(_)
            | Self::Confirm { .. }
            | Self::Refused { .. }
            | Self::Tuned(_)
            | Self::Method(..) => OVERHEAD,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outgoing_item_is_small_enough_to_move_by_value() {
        assert!(size_of::<Outgoing>() <= 32);
    }
}
