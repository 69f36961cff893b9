//! exchange.declare and exchange.delete.

use amq_protocol::protocol::{AMQPClass, exchange};

use super::replies::Refusals;
use super::{Login, Session, arguments};
use crate::amqp::protocol::error::{AmqpError, ReplyCode};
use crate::amqp::wire::frame::ChannelId;
use crate::auth::Access;
use crate::broker::exchange::ExchangeKind;
use crate::broker::options::ExchangeOptions;
use crate::broker::turn::Turn;
use crate::broker::vhost::Declared;

/// Names that begin so are the broker's own.
pub(super) const RESERVED: &str = "amq.";

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
}

impl Login {
    /// Declares an exchange, or compares it with the one that is there; true if it survives a restart.
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
                    Declared::Full { limit } => return Err(refusals.exchanges_full(name, limit)),
                }
            }
        };
        let received = arguments::declared_exchange(kind, declare);
        arguments::exchange_equivalence(name, vhost, &existing.options, &received)
            .map_err(|refused| refusals.refused(refused))?;
        // The one who made it may still be waiting for the disk.
        Ok(existing.options.durable)
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
}
