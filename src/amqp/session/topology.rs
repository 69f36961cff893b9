//! exchange.* and queue.*

use std::sync::Arc;

use amq_protocol::protocol::{AMQPClass, exchange, queue};
use amq_protocol::types::FieldTable;

use super::replies::Refusals;
use super::{Login, Session, arguments, names};
use crate::amqp::protocol::error::{AmqpError, ReplyCode};
use crate::amqp::wire::frame::ChannelId;
use crate::auth::Access;
use crate::broker::delivery::ConnectionId;
use crate::broker::exchange::{Destination, ExchangeKind};
use crate::broker::options::{ExchangeOptions, QueueOptions};
use crate::broker::queue::{DeleteIf, Queue};
use crate::broker::turn::Turn;
use crate::broker::vhost::{BindingRequest, Declared};

const RESERVED: &str = "amq.";

/// A binding of either class, as a client names it.
struct Binding<'a> {
    source: &'a str,
    key: &'a str,
    arguments: &'a FieldTable,
}

impl Session {
    pub(super) fn declare_exchange(
        &mut self,
        id: ChannelId,
        declare: &exchange::Declare,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let login = self.login()?;
        let refusals = login.refusals(id, (40, 10));
        let name = declare.exchange.as_str();
        let kind = if declare.passive {
            None
        } else {
            Some(arguments::exchange_kind(declare.kind.as_str()).map_err(|e| refusals.refused(e))?)
        };
        if name.is_empty() {
            return Err(refusals.default_exchange());
        }
        let durable = if let Some(kind) = kind {
            login.exchange(Access::Configure, name, &refusals)?;
            login.declare_exchange(kind, declare, &refusals)?
        } else {
            login.any("exchange", name, &refusals)?;
            login.vhost.exchange(name).ok_or_else(|| refusals.no_exchange(name))?;
            false
        };
        if !declare.nowait {
            let done = exchange::AMQPMethod::DeclareOk(exchange::DeclareOk {});
            self.reply_when(durable, id, AMQPClass::Exchange(done), turn);
        }
        Ok(())
    }

    pub(super) fn delete_exchange(
        &mut self,
        id: ChannelId,
        delete: &exchange::Delete,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let login = self.login()?;
        let refusals = login.refusals(id, (40, 20));
        let name = delete.exchange.as_str();
        if name.is_empty() {
            return Err(refusals.default_exchange());
        }
        if name.starts_with(RESERVED) {
            let vhost = &login.vhost.name;
            let text =
                format_args!("deletion of system exchange '{name}' in vhost '{vhost}' not allowed");
            return Err(refusals.with(ReplyCode::AccessRefused, text));
        }
        login.exchange(Access::Configure, name, &refusals)?;
        let durable = login.vhost.exchange(name).is_some_and(|exchange| exchange.options.durable);
        let deleted = login.vhost.delete_exchange(name, delete.if_unused);
        deleted.map_err(|error| refusals.broker(&error))?;
        if !delete.nowait {
            let done = exchange::AMQPMethod::DeleteOk(exchange::DeleteOk {});
            self.reply_when(durable, id, AMQPClass::Exchange(done), turn);
        }
        Ok(())
    }

    pub(super) fn bind_exchange(
        &mut self,
        id: ChannelId,
        bind: &exchange::Bind,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let login = self.login()?;
        let refusals = login.refusals(id, (40, 30));
        let (source, destination) = (bind.source.as_str(), bind.destination.as_str());
        login.exchange(Access::Write, destination, &refusals)?;
        login.exchange(Access::Read, source, &refusals)?;
        if source.is_empty() || destination.is_empty() {
            return Err(refusals.default_exchange());
        }
        // Both missing: RabbitMQ names the source.
        login.vhost.exchange(source).ok_or_else(|| refusals.no_exchange(source))?;
        let found = login.vhost.exchange(destination);
        let destination = found.ok_or_else(|| refusals.no_exchange(destination))?;
        let binding =
            Binding { source, key: bind.routing_key.as_str(), arguments: &bind.arguments };
        let durable = login.bind(Destination::Exchange(destination), &binding, &refusals)?;
        if !bind.nowait {
            let done = exchange::AMQPMethod::BindOk(exchange::BindOk {});
            self.reply_when(durable, id, AMQPClass::Exchange(done), turn);
        }
        Ok(())
    }

    pub(super) fn unbind_exchange(
        &mut self,
        id: ChannelId,
        unbind: &exchange::Unbind,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let login = self.login()?;
        let refusals = login.refusals(id, (40, 40));
        let (source, destination) = (unbind.source.as_str(), unbind.destination.as_str());
        login.exchange(Access::Write, destination, &refusals)?;
        login.exchange(Access::Read, source, &refusals)?;
        if source.is_empty() || destination.is_empty() {
            return Err(refusals.default_exchange());
        }
        let binding =
            Binding { source, key: unbind.routing_key.as_str(), arguments: &unbind.arguments };
        let found = login.vhost.exchange(destination).map(Destination::Exchange);
        let durable = found.is_some_and(|destination| login.unbind(destination, &binding));
        if !unbind.nowait {
            let done = exchange::AMQPMethod::UnbindOk(exchange::UnbindOk {});
            self.reply_when(durable, id, AMQPClass::Exchange(done), turn);
        }
        Ok(())
    }

    pub(super) fn declare_queue(
        &mut self,
        id: ChannelId,
        declare: &queue::Declare,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let login = self.login()?;
        let refusals = login.refusals(id, (50, 10));
        let (queue, created) = if declare.passive {
            (login.passive_queue(declare.queue.as_str(), self.connection(), &refusals)?, false)
        } else {
            self.declare_actively(&login, declare, &refusals)?
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
            let durable = created && queue.options.durable;
            self.reply_when(durable, id, AMQPClass::Queue(done), turn);
        }
        Ok(())
    }

    /// Declares a queue; the second value says that it is new.
    fn declare_actively(
        &mut self,
        login: &Login,
        declare: &queue::Declare,
        refusals: &Refusals<'_>,
    ) -> Result<(Arc<Queue>, bool), AmqpError> {
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
            return Ok((existing, false));
        }
        let options = arguments::queue_options(&name, &login.vhost.name, declare);
        let options = options.map_err(|refused| refusals.refused(refused))?;
        login.dead_letter_access(&name, &options, refusals)?;
        let owner = options.exclusive.then(|| self.connection());
        match login.vhost.declare_queue(&name, options, owner) {
            Declared::Created(queue) => {
                self.exclusive.extend(owner.map(|_| Arc::clone(&queue)));
                Ok((queue, true))
            }
            Declared::Existing(existing) => {
                self.compare_queue(login, &existing, declare, refusals)?;
                Ok((existing, false))
            }
        }
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

    pub(super) fn bind_queue(
        &mut self,
        id: ChannelId,
        bind: &queue::Bind,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let login = self.login()?;
        let refusals = login.refusals(id, (50, 20));
        let (name, key) = self.binding_names(id, &bind.queue, &bind.routing_key, &refusals)?;
        let source = bind.exchange.as_str();
        login.queue(Access::Write, &name, &refusals)?;
        login.exchange(Access::Read, source, &refusals)?;
        if source.is_empty() {
            return Err(refusals.default_exchange());
        }
        // Both missing: RabbitMQ names the exchange.
        login.vhost.exchange(source).ok_or_else(|| refusals.no_exchange(source))?;
        let queue = login.usable_queue(&name, self.connection(), &refusals)?;
        let binding = Binding { source, key: &key, arguments: &bind.arguments };
        let durable = login.bind(Destination::Queue(queue), &binding, &refusals)?;
        if !bind.nowait {
            let done = queue::AMQPMethod::BindOk(queue::BindOk {});
            self.reply_when(durable, id, AMQPClass::Queue(done), turn);
        }
        Ok(())
    }

    pub(super) fn unbind_queue(
        &mut self,
        id: ChannelId,
        unbind: &queue::Unbind,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let login = self.login()?;
        let refusals = login.refusals(id, (50, 50));
        let (name, key) = self.binding_names(id, &unbind.queue, &unbind.routing_key, &refusals)?;
        let source = unbind.exchange.as_str();
        login.queue(Access::Write, &name, &refusals)?;
        login.exchange(Access::Read, source, &refusals)?;
        if source.is_empty() {
            return Err(refusals.default_exchange());
        }
        let binding = Binding { source, key: &key, arguments: &unbind.arguments };
        let mut durable = false;
        if let Some(queue) = login.vhost.queue(&name) {
            if queue.owner.is_some_and(|owner| owner != self.connection()) {
                return Err(refusals.locked(&name));
            }
            durable = login.unbind(Destination::Queue(queue), &binding);
        }
        let done = queue::AMQPMethod::UnbindOk(queue::UnbindOk {});
        self.reply_when(durable, id, AMQPClass::Queue(done), turn);
        Ok(())
    }

    /// Queue and key of a binding. An empty queue name is the queue declared last, and then an empty key
    /// is that queue's name (AMQP 0-9-1 queue.bind).
    fn binding_names(
        &mut self,
        id: ChannelId,
        queue: &amq_protocol::types::ShortString,
        key: &amq_protocol::types::ShortString,
        refusals: &Refusals<'_>,
    ) -> Result<(Arc<str>, String), AmqpError> {
        let name = self.named_queue(id, queue.as_str(), refusals)?;
        let implied = queue.as_str().is_empty() && key.as_str().is_empty();
        let key = if implied { name.to_string() } else { key.to_string() };
        Ok((name, key))
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
    /// Declares an exchange; true if it is new and must survive a restart.
    fn declare_exchange(
        &self,
        kind: ExchangeKind,
        declare: &exchange::Declare,
        refusals: &Refusals<'_>,
    ) -> Result<bool, AmqpError> {
        let (name, vhost) = (declare.exchange.as_str(), &self.vhost.name);
        let existing = match self.vhost.exchange(name) {
            Some(existing) => existing,
            None if name.starts_with(RESERVED) => return Err(refusals.reserved("exchange", name)),
            None => {
                let options = arguments::exchange_options(name, vhost, kind, declare);
                let options = options.map_err(|refused| refusals.refused(refused))?;
                self.alternate_access(name, &options, refusals)?;
                match self.vhost.declare_exchange(name, options) {
                    Declared::Created(exchange) => return Ok(exchange.options.durable),
                    Declared::Existing(existing) => existing,
                }
            }
        };
        let received = arguments::declared_exchange(kind, declare);
        arguments::exchange_equivalence(name, vhost, &existing.options, &received)
            .map_err(|refused| refusals.refused(refused))?;
        Ok(false)
    }

    /// RabbitMQ: an alternate exchange needs read on the exchange and write on the alternate.
    fn alternate_access(
        &self,
        name: &str,
        options: &ExchangeOptions,
        refusals: &Refusals<'_>,
    ) -> Result<(), AmqpError> {
        let Some(alternate) = &options.alternate_exchange else { return Ok(()) };
        self.exchange(Access::Read, name, refusals)?;
        self.exchange(Access::Write, alternate, refusals)
    }

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

    /// Binds; true if the binding must survive a restart.
    fn bind(
        &self,
        destination: Destination,
        binding: &Binding<'_>,
        refusals: &Refusals<'_>,
    ) -> Result<bool, AmqpError> {
        let source = self.vhost.exchange(binding.source);
        let source = source.ok_or_else(|| refusals.no_exchange(binding.source))?;
        arguments::binding_arguments(source.options.kind, binding.arguments)
            .map_err(|refused| refusals.refused(refused))?;
        let durable = source.options.durable && destination.is_durable();
        self.vhost
            .bind(self.request(destination, binding))
            .map_err(|error| refusals.broker(&error))?;
        Ok(durable)
    }

    /// Unbinds; true if that must survive a restart.
    fn unbind(&self, destination: Destination, binding: &Binding<'_>) -> bool {
        let source = self.vhost.exchange(binding.source);
        let durable =
            source.is_some_and(|source| source.options.durable) && destination.is_durable();
        self.vhost.unbind(&self.request(destination, binding));
        durable
    }

    fn request<'a>(&self, destination: Destination, binding: &Binding<'a>) -> BindingRequest<'a> {
        BindingRequest {
            source: binding.source,
            destination,
            key: binding.key,
            arguments: binding.arguments,
        }
    }
}
