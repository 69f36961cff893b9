//! exchange.bind, exchange.unbind, queue.bind, queue.unbind.

use std::sync::Arc;

use amq_protocol::protocol::{AMQPClass, exchange, queue};
use amq_protocol::types::{FieldTable, ShortString};

use super::replies::Refusals;
use super::{Login, Session, arguments};
use crate::amqp::protocol::error::AmqpError;
use crate::amqp::wire::frame::ChannelId;
use crate::auth::Access;
use crate::broker::exchange::{Destination, Exchange};
use crate::broker::reply_consumers::is_reply_to;
use crate::broker::turn::Turn;
use crate::broker::vhost::BindingRequest;

/// A binding of either class, as a client names it.
struct Binding<'a> {
    source: &'a str,
    key: &'a str,
    arguments: &'a FieldTable,
}

impl Session {
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
        login.binding_key(source, bind.routing_key.as_str(), &refusals)?;
        // Both missing: RabbitMQ names the source.
        login.vhost.exchange(source).ok_or_else(|| refusals.no_exchange(source))?;
        let found = login.vhost.exchange(destination);
        let destination = found.ok_or_else(|| refusals.no_exchange(destination))?;
        let binding =
            Binding { source, key: bind.routing_key.as_str(), arguments: &bind.arguments };
        let durable = login.bind(Destination::Exchange(destination), &binding, &refusals, turn)?;
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
        login.binding_key(source, unbind.routing_key.as_str(), &refusals)?;
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
        login.binding_key(source, &key, &refusals)?;
        // Both missing: RabbitMQ names the exchange.
        login.vhost.exchange(source).ok_or_else(|| refusals.no_exchange(source))?;
        let queue = login.vhost.queue(&name).ok_or_else(|| refusals.no_queue(&name))?;
        let binding = Binding { source, key: &key, arguments: &bind.arguments };
        let destination = Destination::Queue(queue);
        // RabbitMQ: a binding that cannot be is told before whose the queue is.
        login.check(&destination, &binding, &refusals)?;
        login.usable_queue(&name, self.connection(), &refusals)?;
        let durable = login.bind(destination, &binding, &refusals, turn)?;
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
        login.binding_key(source, &key, &refusals)?;
        let binding = Binding { source, key: &key, arguments: &unbind.arguments };
        let mut durable = false;
        if let Some(queue) = login.vhost.queue(&name) {
            let is_anothers = queue.owner.is_some_and(|owner| owner != self.connection());
            let queue = Destination::Queue(queue);
            // RabbitMQ: a binding that is not there is unbound, whosever the queue is.
            if is_anothers && login.is_bound(&queue, &binding) {
                return Err(refusals.locked(&name));
            }
            durable = login.unbind(queue, &binding);
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
        queue: &ShortString,
        key: &ShortString,
        refusals: &Refusals<'_>,
    ) -> Result<(Arc<str>, String), AmqpError> {
        let name = self.named_queue(id, queue.as_str(), refusals)?;
        if is_reply_to(&name) {
            return Err(refusals.volatile_queue());
        }
        let implied = queue.as_str().is_empty() && key.as_str().is_empty();
        let key = if implied { name.to_string() } else { key.to_string() };
        Ok((name, key))
    }
}

impl Login {
    /// The user may bind with this key, and unbind, if the source is there and looks at keys.
    fn binding_key(
        &self,
        source: &str,
        key: &str,
        refusals: &Refusals<'_>,
    ) -> Result<(), AmqpError> {
        let Some(source) = self.vhost.exchange(source) else { return Ok(()) };
        self.topic(Access::Read, &source, key, refusals)
    }

    /// Whether the source takes such a binding.
    fn check(
        &self,
        destination: &Destination,
        binding: &Binding<'_>,
        refusals: &Refusals<'_>,
    ) -> Result<Arc<Exchange>, AmqpError> {
        let source = self.vhost.exchange(binding.source);
        let source = source.ok_or_else(|| refusals.no_exchange(binding.source))?;
        let Binding { key, arguments, .. } = binding;
        arguments::binding(source.options.routing_kind(), key, arguments, Some(destination))
            .map_err(|refused| refusals.refused(refused))?;
        Ok(source)
    }

    /// Binds; true if the binding must survive a restart.
    fn bind(
        &self,
        destination: Destination,
        binding: &Binding<'_>,
        refusals: &Refusals<'_>,
        turn: &mut Turn,
    ) -> Result<bool, AmqpError> {
        let source = self.check(&destination, binding, refusals)?;
        let durable = source.options.durable && destination.is_durable();
        self.vhost
            .bind(Self::request(destination, binding), turn)
            .map_err(|error| refusals.broker(&error))?;
        Ok(durable)
    }

    /// Unbinds; true if that must survive a restart.
    fn unbind(&self, destination: Destination, binding: &Binding<'_>) -> bool {
        let source = self.vhost.exchange(binding.source);
        let durable =
            source.is_some_and(|source| source.options.durable) && destination.is_durable();
        self.vhost.unbind(&Self::request(destination, binding));
        durable
    }

    /// There is this very binding.
    fn is_bound(&self, destination: &Destination, binding: &Binding<'_>) -> bool {
        let source = self.vhost.exchange(binding.source);
        source.is_some_and(|source| source.is_bound(binding.key, binding.arguments, destination))
    }

    fn request<'a>(destination: Destination, binding: &Binding<'a>) -> BindingRequest<'a> {
        BindingRequest {
            source: binding.source,
            destination,
            key: binding.key,
            arguments: binding.arguments,
        }
    }
}
