//! Permission checks, one function an operation. Checked before existence, so that nobody can probe names.

use super::Login;
use super::replies::Refusals;
use crate::amqp::protocol::error::{AmqpError, ReplyCode};
use crate::auth::Access;
use crate::broker::exchange::{Exchange, ExchangeKind};

/// RabbitMQ checks the default exchange under this name.
const DEFAULT_EXCHANGE: &str = "amq.default";

impl Login {
    /// The user may do `access` to this queue.
    pub(super) fn queue(
        &self,
        access: Access,
        name: &str,
        refusals: &Refusals<'_>,
    ) -> Result<(), AmqpError> {
        self.resource(access, "queue", name, refusals)
    }

    /// The user may do `access` to this exchange.
    pub(super) fn exchange(
        &self,
        access: Access,
        name: &str,
        refusals: &Refusals<'_>,
    ) -> Result<(), AmqpError> {
        let name = if name.is_empty() { DEFAULT_EXCHANGE } else { name };
        self.resource(access, "exchange", name, refusals)
    }

    /// The user may do `access` with this routing key, if the exchange is one whose keys are looked at.
    pub(super) fn topic(
        &self,
        access: Access,
        exchange: &Exchange,
        routing_key: &str,
        refusals: &Refusals<'_>,
    ) -> Result<(), AmqpError> {
        if !self.is_restricted_by_topic || exchange.options.kind != ExchangeKind::Topic {
            return Ok(());
        }
        let (vhost, name) = (&self.vhost.name, &exchange.name);
        if self.user.may_with_key(vhost, access, name, routing_key) {
            return Ok(());
        }
        let what = format!("topic '{routing_key}' in exchange");
        Err(self.refused(access, &what, name, refusals))
    }

    fn resource(
        &self,
        access: Access,
        kind: &str,
        name: &str,
        refusals: &Refusals<'_>,
    ) -> Result<(), AmqpError> {
        if self.user.may(&self.vhost.name, access, name) {
            return Ok(());
        }
        Err(self.refused(access, kind, name, refusals))
    }

    fn refused(
        &self,
        access: Access,
        kind: &str,
        name: &str,
        refusals: &Refusals<'_>,
    ) -> AmqpError {
        let (vhost, user) = (&self.vhost.name, self.user.name());
        let verb = match access {
            Access::Configure => "configure",
            Access::Write => "write",
            Access::Read => "read",
        };
        // The permission's name is in front since RabbitMQ 4.
        refusals.with(
            ReplyCode::AccessRefused,
            format_args!(
                "{verb} access to {kind} '{name}' in vhost '{vhost}' refused for user '{user}'"
            ),
        )
    }

    /// The user may do any of the three to this resource: what RabbitMQ 4.3 asks of a passive declare.
    pub(super) fn any(
        &self,
        kind: &str,
        name: &str,
        refusals: &Refusals<'_>,
    ) -> Result<(), AmqpError> {
        let may = |access| self.user.may(&self.vhost.name, access, name);
        if may(Access::Read) || may(Access::Write) || may(Access::Configure) {
            return Ok(());
        }
        self.resource(Access::Configure, kind, name, refusals)
    }
}
