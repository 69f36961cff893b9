//! What the broker refuses, in RabbitMQ's words. Clients match on these texts.

use std::time::Duration;

use super::arguments::Refused;
use crate::amqp::protocol::command::Outcome;
use crate::amqp::protocol::error::{AmqpError, ReplyCode};
use crate::amqp::wire::frame::ChannelId;
use crate::broker::error::BrokerError;
use crate::limits;

/// Class and method a client used.
pub(super) type Cause = (u16, u16);

/// A refusal on a channel.
pub(super) struct Refusals<'a> {
    pub(super) channel: ChannelId,
    pub(super) vhost: &'a str,
    pub(super) cause: Cause,
}

impl Refusals<'_> {
    /// Any code and text, as a reply to this method.
    pub(super) fn with(&self, code: ReplyCode, text: impl std::fmt::Display) -> AmqpError {
        AmqpError::channel(self.channel, code, text).caused_by(self.cause.0, self.cause.1)
    }

    /// What the arguments of a method were refused for.
    pub(super) fn refused(&self, refused: Refused) -> AmqpError {
        self.with(refused.code, refused.text)
    }

    pub(super) fn no_exchange(&self, name: &str) -> AmqpError {
        self.with(
            ReplyCode::NotFound,
            format_args!("no exchange '{name}' in vhost '{}'", self.vhost),
        )
    }

    pub(super) fn no_queue(&self, name: &str) -> AmqpError {
        self.with(ReplyCode::NotFound, format_args!("no queue '{name}' in vhost '{}'", self.vhost))
    }

    pub(super) fn no_previous_queue(&self) -> AmqpError {
        self.with(ReplyCode::NotFound, "no previously declared queue")
    }

    pub(super) fn tag_in_use(&self, tag: &str) -> AmqpError {
        let text = format_args!("attempt to reuse consumer tag '{tag}'");
        self.with(ReplyCode::NotAllowed, text)
    }

    /// RabbitMQ 4: direct reply-to has no queue that could be bound.
    pub(super) fn volatile_queue(&self) -> AmqpError {
        let text = "cannot bind or unbind to a volatile (direct reply-to) queue";
        self.with(ReplyCode::AccessRefused, text)
    }

    pub(super) fn default_exchange(&self) -> AmqpError {
        self.with(ReplyCode::AccessRefused, "operation not permitted on the default exchange")
    }

    pub(super) fn reserved(&self, what: &str, name: &str) -> AmqpError {
        self.with(
            ReplyCode::AccessRefused,
            format_args!("{what} name '{name}' contains reserved prefix 'amq.*'"),
        )
    }

    pub(super) fn queues_full(&self, name: &str, limit: u64) -> AmqpError {
        let vhost = self.vhost;
        let text = format_args!(
            "cannot declare queue '{name}': queue limit in vhost '{vhost}' ({limit}) is reached"
        );
        self.with(ReplyCode::PreconditionFailed, text)
    }

    pub(super) fn exchanges_full(&self, name: &str, limit: u64) -> AmqpError {
        let vhost = self.vhost;
        let text = format_args!(
            "cannot declare exchange '{name}' in vhost '{vhost}': exchange limit of {limit} is reached"
        );
        self.with(ReplyCode::PreconditionFailed, text)
    }

    pub(super) fn locked(&self, name: &str) -> AmqpError {
        self.with(
            ReplyCode::ResourceLocked,
            format_args!(
                "cannot obtain exclusive access to locked queue '{name}' in vhost '{}'. It could be \
                 originally declared on another connection or the exclusive property value does not \
                 match that of the original declaration.",
                self.vhost
            ),
        )
    }

    pub(super) fn no_get_beside_single_active(&self, name: &str) -> AmqpError {
        self.with(
            ReplyCode::ResourceLocked,
            format_args!(
                "cannot obtain access to locked queue '{name}' in vhost '{}'. basic.get operations are \
                 not supported by quorum queues with single active consumer",
                self.vhost
            ),
        )
    }

    /// What the broker refused.
    pub(super) fn broker(&self, error: &BrokerError) -> AmqpError {
        let vhost = self.vhost;
        match error {
            BrokerError::NoExchange(name) => self.no_exchange(name),
            BrokerError::NoQueue(name) => self.no_queue(name),
            BrokerError::InExclusiveUse(name) => self.with(
                ReplyCode::AccessRefused,
                format_args!("queue '{name}' in vhost '{vhost}' in exclusive use"),
            ),
            BrokerError::QueueInUse(name) => self.with(
                ReplyCode::PreconditionFailed,
                format_args!("queue '{name}' in vhost '{vhost}' in use"),
            ),
            BrokerError::QueueNotEmpty(name) => self.with(
                ReplyCode::PreconditionFailed,
                format_args!("queue '{name}' in vhost '{vhost}' not empty"),
            ),
            BrokerError::ExchangeInUse(name) => self.with(
                ReplyCode::PreconditionFailed,
                format_args!("exchange '{name}' in vhost '{vhost}' in use"),
            ),
        }
    }
}

/// An acknowledgement of something that is not outstanding.
pub(super) fn unknown_delivery_tag(channel: ChannelId, tag: u64, outcome: Outcome) -> AmqpError {
    let method = match outcome {
        Outcome::Ack => 80,
        Outcome::Nack { .. } => 120,
        Outcome::Reject { .. } => 90,
    };
    let text = format_args!("unknown delivery tag {tag}");
    AmqpError::channel(channel, ReplyCode::PreconditionFailed, text).caused_by(60, method)
}

/// A delivery that was not acknowledged in time.
pub(super) fn acknowledgement_timed_out(channel: ChannelId, timeout: Duration) -> AmqpError {
    let millis = timeout.as_millis();
    let text = format_args!(
        "delivery acknowledgement on channel {channel} timed out. Timeout value used: {millis} ms. This \
         timeout value can be configured, see consumers doc guide to learn more"
    );
    AmqpError::channel(channel, ReplyCode::PreconditionFailed, text)
}

/// A transaction that would not end. RabbitMQ has no such bound and runs out of memory instead.
pub(super) fn transaction_too_large(channel: ChannelId) -> AmqpError {
    let (bytes, items) = (limits::TRANSACTION_BYTES, limits::TRANSACTION_ITEMS);
    let text = format_args!("transaction holds more than {bytes} bytes or {items} operations");
    AmqpError::channel(channel, ReplyCode::PreconditionFailed, text)
}
