//! queue.declare, queue.purge, queue.delete.

use std::sync::Arc;

use amq_protocol::protocol::{AMQPClass, queue};

use super::exchanges::RESERVED;
use super::replies::Refusals;
use super::{Login, Session, arguments, names};
use crate::amqp::protocol::error::AmqpError;
use crate::amqp::wire::frame::ChannelId;
use crate::auth::Access;
use crate::broker::delivery::ConnectionId;
use crate::broker::options::QueueOptions;
use crate::broker::queue::{DeleteIf, Queue};
use crate::broker::reply_consumers::is_reply_to;
use crate::broker::turn::Turn;
use crate::broker::vhost::Declared;

impl Session {
    pub(super) fn declare_queue(
        &mut self,
        id: ChannelId,
        declare: &queue::Declare,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let login = self.login()?;
        let refusals = login.refusals(id, (50, 10));
        if is_reply_to(declare.queue.as_str()) {
            return self.declare_reply_to(id, declare, &refusals, turn);
        }
        let queue = if declare.passive {
            let queue =
                login.passive_queue(declare.queue.as_str(), self.connection(), &refusals)?;
            queue.declared(false, turn);
            queue
        } else {
            let declare = arguments::with_default_type(declare, login.vhost.default_queue_type());
            self.declare_actively(&login, &declare, &refusals, turn)?
        };
        if let Some(channel) = self.channels.get_mut(id) {
            channel.last_queue = Some(Arc::clone(&queue.name));
        }
        if !declare.nowait {
            let counts = queue.counts();
            let done = queue::AMQPMethod::DeclareOk(queue::DeclareOk {
                queue: queue.name.to_string().into(),
                message_count: u32::try_from(counts.ready).unwrap_or(u32::MAX),
                consumer_count: u32::try_from(counts.consumers).unwrap_or(u32::MAX),
            });
            // Also if it was there: the one who made it may still be waiting for the disk.
            let durable = !declare.passive && queue.options.durable;
            self.reply_when(durable, id, AMQPClass::Queue(done), turn);
        }
        Ok(())
    }

    /// Declares a queue, or compares it with the one that is there.
    fn declare_actively(
        &mut self,
        login: &Login,
        declare: &queue::Declare,
        refusals: &Refusals<'_>,
        turn: &mut Turn,
    ) -> Result<Arc<Queue>, AmqpError> {
        let given = declare.queue.as_str();
        if given.starts_with(RESERVED) {
            return Err(refusals.reserved("queue", given));
        }
        let name = if given.is_empty() {
            let prefix = arguments::generated_name_prefix(&declare.arguments);
            names::generate(&prefix.map_err(|refused| refusals.refused(refused))?)
        } else {
            given.to_owned()
        };
        login.queue(Access::Configure, &name, refusals)?;
        if let Some(existing) = login.vhost.queue(&name) {
            self.compare_queue(login, &existing, declare, refusals)?;
            existing.declared(false, turn);
            return Ok(existing);
        }
        let options = arguments::queue_options(&name, &login.vhost.name, declare);
        let options = options.map_err(|refused| refusals.refused(refused))?;
        login.dead_letter_access(&name, &options, refusals)?;
        let owner = options.exclusive.then(|| self.connection());
        match login.vhost.declare_queue(&name, options, owner) {
            Declared::Created(queue) => {
                queue.declared(true, turn);
                if owner.is_some() {
                    self.note_exclusive(login, &queue);
                }
                Ok(queue)
            }
            Declared::Existing(existing) => {
                self.compare_queue(login, &existing, declare, refusals)?;
                Ok(existing)
            }
            Declared::Full { limit } => Err(refusals.queues_full(&name, limit)),
        }
    }

    /// Notes a queue that ends with the connection. Auto-delete queues go without a word to the session, so
    /// those that are gone are sorted out before the list grows.
    fn note_exclusive(&mut self, login: &Login, queue: &Arc<Queue>) {
        if self.exclusive.len() == self.exclusive.capacity() {
            let current = |one: &Arc<Queue>| login.vhost.queue(&one.name);
            self.exclusive.retain(|one| current(one).is_some_and(|it| Arc::ptr_eq(&it, one)));
        }
        self.exclusive.push(Arc::clone(queue));
    }

    /// RabbitMQ: the owner is compared first, then what was declared; new arguments are not validated.
    fn compare_queue(
        &self,
        login: &Login,
        existing: &Queue,
        declare: &queue::Declare,
        refusals: &Refusals<'_>,
    ) -> Result<(), AmqpError> {
        let owner = declare.exclusive.then(|| self.connection());
        if existing.owner != owner {
            return Err(refusals.locked(&existing.name));
        }
        let received = arguments::declared_queue(declare);
        let vhost = &login.vhost.name;
        arguments::queue_equivalence(&existing.name, vhost, &existing.options, &received)
            .map_err(|refused| refusals.refused(refused))
    }

    /// The name of a queue, or of the one that was declared last.
    pub(super) fn named_queue(
        &mut self,
        id: ChannelId,
        name: &str,
        refusals: &Refusals<'_>,
    ) -> Result<Arc<str>, AmqpError> {
        let channel = self.channels.get_mut(id);
        let found = channel.and_then(|channel| channel.queue_name(name));
        found.ok_or_else(|| refusals.no_previous_queue())
    }

    pub(super) fn purge_queue(
        &mut self,
        id: ChannelId,
        purge: &queue::Purge,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let login = self.login()?;
        let refusals = login.refusals(id, (50, 30));
        let name = self.named_queue(id, purge.queue.as_str(), &refusals)?;
        login.queue(Access::Read, &name, &refusals)?;
        let queue = login.usable_queue(&name, self.connection(), &refusals)?;
        let purged = queue.purge(turn);
        if !purge.nowait {
            let message_count = u32::try_from(purged).unwrap_or(u32::MAX);
            let done = queue::AMQPMethod::PurgeOk(queue::PurgeOk { message_count });
            self.reply_when(queue.options.durable, id, AMQPClass::Queue(done), turn);
        }
        Ok(())
    }

    pub(super) fn delete_queue(
        &mut self,
        id: ChannelId,
        delete: &queue::Delete,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let Some(channel) = self.channels.get_mut(id) else { return Ok(()) };
        self.outbox.defer_cancels(channel.book);
        let result = self.delete_and_answer(id, delete, turn);
        self.outbox.tell_deferred(turn);
        result
    }

    fn delete_and_answer(
        &mut self,
        id: ChannelId,
        delete: &queue::Delete,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let login = self.login()?;
        let refusals = login.refusals(id, (50, 40));
        let name = self.named_queue(id, delete.queue.as_str(), &refusals)?;
        login.queue(Access::Configure, &name, &refusals)?;
        let (mut deleted, mut durable) = (0, false);
        if let Some(queue) = login.vhost.queue(&name) {
            if queue.owner.is_some_and(|owner| owner != self.connection()) {
                return Err(refusals.locked(&name));
            }
            let condition = DeleteIf { unused: delete.if_unused, empty: delete.if_empty };
            let outcome = login.vhost.delete_queue(&queue, condition, turn);
            deleted = outcome.map_err(|error| refusals.broker(&error))?;
            durable = queue.options.durable;
            self.exclusive.retain(|one| !Arc::ptr_eq(one, &queue));
        }
        if !delete.nowait {
            let message_count = u32::try_from(deleted).unwrap_or(u32::MAX);
            let done = queue::AMQPMethod::DeleteOk(queue::DeleteOk { message_count });
            self.reply_when(durable, id, AMQPClass::Queue(done), turn);
        }
        Ok(())
    }
}

impl Login {
    /// RabbitMQ: dead-lettering needs read on the queue and write on the exchange it goes to.
    fn dead_letter_access(
        &self,
        name: &str,
        options: &QueueOptions,
        refusals: &Refusals<'_>,
    ) -> Result<(), AmqpError> {
        let Some(exchange) = &options.dead_letter_exchange else { return Ok(()) };
        self.queue(Access::Read, name, refusals)?;
        self.exchange(Access::Write, exchange, refusals)
    }

    /// A queue that this connection may use.
    pub(super) fn usable_queue(
        &self,
        name: &str,
        connection: ConnectionId,
        refusals: &Refusals<'_>,
    ) -> Result<Arc<Queue>, AmqpError> {
        let queue = self.vhost.queue(name).ok_or_else(|| refusals.no_queue(name))?;
        if queue.owner.is_some_and(|owner| owner != connection) {
            return Err(refusals.locked(name));
        }
        Ok(queue)
    }

    fn passive_queue(
        &self,
        name: &str,
        connection: ConnectionId,
        refusals: &Refusals<'_>,
    ) -> Result<Arc<Queue>, AmqpError> {
        self.any("queue", name, refusals)?;
        self.usable_queue(name, connection, refusals)
    }
}
