//! Direct reply-to: a client consumes `amq.rabbitmq.reply-to`, publishes requests that name it, and gets the
//! replies straight from whoever publishes them, without a queue.
//!
//! The name a responder sees is made up for the channel; see `broker::reply_consumers`.

use std::sync::{Arc, Weak};

use amq_protocol::protocol::{AMQPClass, basic, queue};
use bytes::Bytes;

use super::replies::Refusals;
use super::{Login, Session, names};
use crate::amqp::protocol::content::Publish;
use crate::amqp::protocol::error::{AmqpError, ReplyCode};
use crate::amqp::wire::frame::ChannelId;
use crate::amqp::wire::properties::{PropertiesView, with_reply_to};
use crate::broker::message::Message;
use crate::broker::reply_consumers::{REPLY_TO, ReplySink, Requester, is_reply_to};
use crate::broker::turn::Turn;

/// A channel's consumer of replies.
pub(super) struct ReplyConsumer {
    pub(super) tag: Arc<str>,
    pub(super) registration: crate::broker::reply_consumers::Registration,
}

impl Session {
    /// basic.consume of the pseudo-queue. RabbitMQ asks for no permission here: who publishes a request hands
    /// out the right to answer it.
    pub(super) fn consume_replies(
        &mut self,
        id: ChannelId,
        consume: &basic::Consume,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let login = self.login()?;
        let refusals = login.refusals(id, (60, 20));
        let Some(channel) = self.channels.get_mut(id) else { return Ok(()) };
        let tag = names::consumer_tag(&consume.consumer_tag);
        if self.outbox.has_consumer(channel.book, &tag) {
            return Err(refusals.tag_in_use(&tag));
        }
        if !consume.no_ack {
            let text = "reply consumer cannot acknowledge";
            return Err(refusals.with(ReplyCode::PreconditionFailed, text));
        }
        if channel.reply_to.is_some() {
            let text = "reply consumer already set";
            return Err(refusals.with(ReplyCode::PreconditionFailed, text));
        }
        let name: Arc<str> = names::secret(REPLY_TO).ok_or_else(AmqpError::internal)?.into();
        let sink: Weak<dyn ReplySink> = Arc::<super::Outbox>::downgrade(&self.outbox);
        let registration = login.vhost.reply_consumers().register(Arc::clone(&name), sink);
        let consumer = ReplyConsumer { tag: Arc::from(&*tag), registration };
        self.outbox.await_replies(channel.book, consumer);
        channel.reply_to = Some(name);
        if !consume.nowait {
            let done = basic::ConsumeOk { consumer_tag: tag.into() };
            self.reply(id, AMQPClass::Basic(basic::AMQPMethod::ConsumeOk(done)), turn);
        }
        Ok(())
    }

    /// queue.declare of a pseudo-queue, active or passive: RabbitMQ tells responders by it whether somebody
    /// still waits.
    pub(super) fn declare_reply_to(
        &mut self,
        id: ChannelId,
        declare: &queue::Declare,
        refusals: &Refusals<'_>,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let name = declare.queue.as_str();
        let login = self.login()?;
        if name != REPLY_TO && login.vhost.reply_consumers().find(name).is_none() {
            return Err(refusals.no_queue(name));
        }
        if let Some(channel) = self.channels.get_mut(id) {
            channel.last_queue = Some(Arc::from(name));
        }
        if !declare.nowait {
            let done = queue::DeclareOk {
                queue: declare.queue.clone(),
                message_count: 0,
                consumer_count: 1,
            };
            self.reply(id, AMQPClass::Queue(queue::AMQPMethod::DeclareOk(done)), turn);
        }
        Ok(())
    }
}

impl Login {
    /// Those among the routing keys of the default exchange that wait for replies.
    pub(super) fn requesters(&self, keys: &[&str]) -> Vec<Arc<Requester>> {
        let mut names: Vec<&str> = keys.iter().copied().filter(|key| is_reply_to(key)).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().filter_map(|name| self.vhost.reply_consumers().find(name)).collect()
    }
}

/// The publisher wants replies to its channel's reply consumer.
pub(super) fn asks_for_replies(properties: &PropertiesView<'_>) -> bool {
    properties.reply_to() == Some(REPLY_TO.as_bytes())
}

/// The same publish, with a `reply_to` that leads to the channel's reply consumer.
pub(super) fn with_requester(
    publish: &Publish,
    requester: Option<&Arc<str>>,
    refusals: &Refusals<'_>,
) -> Result<Publish, AmqpError> {
    let requester = requester.ok_or_else(|| {
        refusals.with(ReplyCode::PreconditionFailed, "fast reply consumer does not exist")
    })?;
    let header = with_reply_to(publish.header(), requester);
    Ok(publish_with(publish, &header))
}

/// The same publish with other properties.
pub(super) fn publish_with(publish: &Publish, header: &[u8]) -> Publish {
    let mut blob = Vec::with_capacity(publish.blob.len() + header.len());
    blob.extend_from_slice(publish.names());
    blob.extend_from_slice(header);
    blob.extend_from_slice(publish.body());
    let header_len = u32::try_from(header.len()).unwrap_or(publish.header_len);
    Publish { blob: Bytes::from(blob), header_len, ..*publish }
}

impl ReplySink for super::Outbox {
    fn reply(&self, requester: &str, message: &Arc<Message>, turn: &mut Turn) -> bool {
        self.take_reply(requester, message, turn)
    }
}
