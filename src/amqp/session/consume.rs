//! basic.consume, basic.cancel, basic.get, basic.qos.

use std::sync::Arc;
use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, basic};

use super::books::{Acknowledged, BookId, Subscription};
use super::outgoing::Outgoing;
use super::settle::settle_groups;
use super::{Session, Status, arguments, names};
use crate::amqp::protocol::command::Command;
use crate::amqp::protocol::error::AmqpError;
use crate::amqp::wire::frame::ChannelId;
use crate::auth::Access;
use crate::broker::delivery::{ConnectionId, DeliverySink};
use crate::broker::options::QueueType;
use crate::broker::queue::{Consumer, ConsumerId, Got, Outcome, Queue};
use crate::broker::reply_consumers::REPLY_TO;
use crate::broker::turn::Turn;

/// What basic.consume says beside the subscription.
#[derive(Clone, Copy)]
struct Wanted {
    priority: i64,
    exclusive: bool,
    reply: bool,
}

impl Session {
    pub(super) fn connection(&self) -> ConnectionId {
        self.outbox.connection()
    }

    pub(super) fn qos(&mut self, id: ChannelId, qos: &basic::Qos, turn: &mut Turn) {
        let Some(channel) = self.channels.get_mut(id) else { return };
        let book = channel.book;
        // RabbitMQ: global=false is for consumers that start later and lifts the limit of the channel, global=true
        // is for the whole channel at once.
        if !qos.global {
            channel.prefetch = qos.prefetch_count;
        }
        let limit = if qos.global { qos.prefetch_count } else { 0 };
        self.reply(id, AMQPClass::Basic(basic::AMQPMethod::QosOk(basic::QosOk {})), turn);
        settle_groups(self.outbox.limit(book, limit), Outcome::Settled, turn);
    }

    pub(super) fn consume(
        &mut self,
        id: ChannelId,
        consume: &basic::Consume,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        if consume.queue.as_str() == REPLY_TO {
            return self.consume_replies(id, consume, turn);
        }
        let login = self.login()?;
        let refusals = login.refusals(id, (60, 20));
        let name = self.named_queue(id, consume.queue.as_str(), &refusals)?;
        let Some(channel) = self.channels.get_mut(id) else { return Ok(()) };
        let (book, prefetch) = (channel.book, channel.prefetch);
        let tag = names::consumer_tag(&consume.consumer_tag);
        if self.outbox.has_consumer(book, &tag) {
            return Err(refusals.tag_in_use(&tag));
        }
        login.queue(Access::Read, &name, &refusals)?;
        let queue = login.usable_queue(&name, self.connection(), &refusals)?;
        let checked = arguments::consumer_arguments(
            &name,
            &login.vhost.name,
            &queue.options,
            &consume.arguments,
        );
        let options = checked.map_err(|refused| refusals.refused(refused))?;
        let no_ack = consume.no_ack;
        let timeout = self.timeout(options.timeout_ms, &queue);
        let subscription =
            Subscription { tag: tag.clone(), queue: Arc::clone(&queue), no_ack, prefetch, timeout };
        let wanted = Wanted {
            priority: options.priority,
            exclusive: consume.exclusive,
            reply: !consume.nowait,
        };
        let started = self.start_consumer(id, book, subscription, wanted, turn);
        if let Err(error) = started {
            self.outbox.unsubscribe(book, &tag);
            return Err(refusals.broker(&error));
        }
        self.tell_consumer_created(id, &tag, &name, consume, prefetch);
        Ok(())
    }

    /// How long deliveries of a queue may stay unacknowledged: what the consumer says goes before what the queue
    /// says, and that before what is configured. Settled when the consumer starts.
    fn timeout(&self, consumer_ms: Option<u64>, queue: &Queue) -> Option<Duration> {
        let asked = consumer_ms.or_else(|| queue.consumer_timeout_ms()).map(Duration::from_millis);
        asked.or(self.shared.consumer_timeout)
    }

    fn start_consumer(
        &mut self,
        id: ChannelId,
        book: BookId,
        subscription: Subscription,
        wanted: Wanted,
        turn: &mut Turn,
    ) -> Result<(), crate::broker::error::BrokerError> {
        let (tag, queue) = (subscription.tag.clone(), Arc::clone(&subscription.queue));
        let no_ack = subscription.no_ack;
        let slot = self.outbox.subscribe(id, book, subscription);
        let consumer = Consumer {
            id: ConsumerId { connection: self.connection(), slot },
            sink: Arc::clone(&self.outbox) as Arc<dyn DeliverySink>,
            no_ack,
            exclusive: wanted.exclusive,
            priority: wanted.priority,
        };
        let outbox = Arc::clone(&self.outbox);
        queue.consume(consumer, turn, move |turn| {
            if wanted.reply {
                let done =
                    basic::AMQPMethod::ConsumeOk(basic::ConsumeOk { consumer_tag: tag.into() });
                outbox.push(Outgoing::Method(id, Box::new(AMQPClass::Basic(done))), turn);
            }
        })
    }

    pub(super) fn cancel(&mut self, id: ChannelId, cancel: basic::Cancel, turn: &mut Turn) {
        let Some(channel) = self.channels.get_mut(id) else { return };
        // RabbitMQ answers cancel-ok also for a tag it does not know.
        let tag = cancel.consumer_tag.as_str();
        if let Some((queue, consumer)) = self.outbox.unsubscribe(channel.book, tag) {
            queue.cancel(consumer, turn);
            self.tell_consumer_deleted(id, tag, &queue.name);
        } else if self.outbox.end_replies(channel.book, tag) {
            channel.reply_to = None;
        }
        if !cancel.nowait {
            let done = basic::CancelOk { consumer_tag: cancel.consumer_tag };
            self.reply(id, AMQPClass::Basic(basic::AMQPMethod::CancelOk(done)), turn);
        }
    }

    pub(super) fn get(
        &mut self,
        id: ChannelId,
        get: &basic::Get,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let login = self.login()?;
        let refusals = login.refusals(id, (60, 70));
        let name = self.named_queue(id, get.queue.as_str(), &refusals)?;
        login.queue(Access::Read, &name, &refusals)?;
        let queue: Arc<Queue> = login.usable_queue(&name, self.connection(), &refusals)?;
        let is_quorum = queue.options.queue_type == QueueType::Quorum;
        if is_quorum && queue.options.single_active_consumer {
            return Err(refusals.no_get_beside_single_active(&name));
        }
        let Some(channel) = self.channels.get_mut(id) else { return Ok(()) };
        let book = channel.book;
        let acknowledged = if get.no_ack {
            Acknowledged::Already
        } else {
            Acknowledged::Within { timeout: self.timeout(None, &queue), now: turn.now() }
        };
        match queue.get(get.no_ack, turn) {
            Got::Message(entry, left) => {
                self.outbox.got(book, &queue, (entry, left), acknowledged, turn);
            }
            Got::Empty => {
                let empty = basic::AMQPMethod::GetEmpty(basic::GetEmpty {});
                self.reply(id, AMQPClass::Basic(empty), turn);
            }
            Got::Stored => {
                self.paging = Some(queue);
                self.stalled = Some((id, Command::Get(get.clone())));
                self.status = Status::Paging;
            }
        }
        Ok(())
    }
}
