//! Everything a peer can ask for, already validated.
//!
//! What is rare and large is boxed, so that publishes and acknowledgements, which are neither, move cheaply.
//! The generated method structs are the payload where they say it well enough; their names of exchanges and
//! queues have lost carriage returns and line feeds on the way, as in RabbitMQ.

use std::fmt::{self, Debug, Formatter};

use amq_protocol::protocol::{basic, exchange, queue};
use amq_protocol::types::ShortString;

use super::content::Publish;
use super::handshake::{Mechanism, Tuning};

/// One request of a peer.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// connection.start-ok: check who this is, then call `authenticated` or send `login_refused`.
    Authenticate(Box<Login>),
    /// connection.tune-ok: the limits now in force.
    Tuned(Tuning),
    /// connection.open: enter a virtual host, then call `opened`.
    OpenVhost(ShortString),
    /// connection.update-secret: a new password or token for the same user.
    UpdateSecret(Box<NewSecret>),
    /// connection.close: give everything back, then answer. Nothing the peer sends is looked at any more.
    CloseConnection(Box<CloseReason>),
    /// connection.close-ok to our close: hang up.
    CloseConnectionOk,
    /// A heartbeat. That something arrived is all it says.
    Heartbeat,

    /// channel.open: answer.
    OpenChannel,
    /// channel.close: give the channel's things back, then answer. The channel is no longer open.
    CloseChannel(Box<CloseReason>),
    /// channel.close-ok to our close: the number is free again.
    CloseChannelOk,
    /// channel.close or, on channel 0, connection.close that crossed our own: answer with close-ok, nothing else;
    /// the close-ok to ours is still to come.
    CrossingClose,
    /// channel.flow with active = true, the only one there is: answer the same.
    Flow,
    /// access.request, a relic: answer with ticket 1.
    AccessRequest,

    /// exchange.declare.
    DeclareExchange(Box<exchange::Declare>),
    /// exchange.delete.
    DeleteExchange(Box<exchange::Delete>),
    /// exchange.bind.
    BindExchange(Box<exchange::Bind>),
    /// exchange.unbind.
    UnbindExchange(Box<exchange::Unbind>),
    /// queue.declare.
    DeclareQueue(Box<queue::Declare>),
    /// queue.bind.
    BindQueue(Box<queue::Bind>),
    /// queue.unbind.
    UnbindQueue(Box<queue::Unbind>),
    /// queue.purge.
    PurgeQueue(Box<queue::Purge>),
    /// queue.delete.
    DeleteQueue(Box<queue::Delete>),

    /// basic.qos without `prefetch_size`. A count of 0 means no limit.
    Qos(basic::Qos),
    /// basic.consume.
    Consume(Box<basic::Consume>),
    /// basic.cancel.
    Cancel(basic::Cancel),
    /// basic.cancel-ok to the broker's own basic.cancel; nothing to be done.
    CancelOk(basic::CancelOk),
    /// basic.get.
    Get(basic::Get),
    /// basic.publish with all of its content.
    Publish(Publish),
    /// basic.ack, basic.nack or basic.reject.
    Settle(Settle),
    /// basic.recover and basic.recover-async with requeue = true, the only one there is.
    Recover {
        /// Whether it is to be answered: recover-async is not.
        reply: bool,
    },

    /// confirm.select.
    ConfirmSelect {
        /// Whether to leave out the answer.
        nowait: bool,
    },
    /// tx.select.
    TxSelect,
    /// tx.commit.
    TxCommit,
    /// tx.rollback.
    TxRollback,
}

/// What a consumer says about one delivery, or about all up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settle {
    /// The delivery tag; 0 with `multiple` means all outstanding.
    pub tag: u64,
    /// Whether every delivery up to `tag` is meant.
    pub multiple: bool,
    /// What is to become of them.
    pub outcome: Outcome,
}

/// What becomes of a settled delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// basic.ack: done with.
    Ack,
    /// basic.nack: failed.
    Nack {
        /// Back to its queue, or else dead-lettered or dropped.
        requeue: bool,
    },
    /// basic.reject: failed; counted differently from nack by some queues, and named so in error texts.
    Reject {
        /// Back to its queue, or else dead-lettered or dropped.
        requeue: bool,
    },
}

/// Who a client says it is, and the proof.
#[derive(Debug, PartialEq, Eq)]
pub struct Login {
    /// How it was said.
    pub mechanism: Mechanism,
    /// The user's name.
    pub user: String,
    /// The proof.
    pub password: Secret,
}

/// connection.update-secret.
#[derive(Debug, PartialEq, Eq)]
pub struct NewSecret {
    /// The new password or token.
    pub secret: Secret,
    /// Why, in the client's words.
    pub reason: String,
}

/// Why a peer closes a channel or the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseReason {
    /// Any number; 200 when nothing went wrong.
    pub code: u16,
    /// The client's words.
    pub text: String,
    /// Class of the method it complains about, or 0.
    pub class: u16,
    /// The method it complains about, or 0.
    pub method: u16,
}

/// Octets that must not show up in logs. Overwritten when dropped; copies in buffers they came through are not.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes a copy.
    #[must_use]
    pub fn new(octets: &[u8]) -> Self {
        Self(octets.to_vec())
    }

    /// The octets, for the one who checks them.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl Debug for Secret {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // Keeps the compiler from leaving out a store to memory that is about to be freed.
        std::hint::black_box(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_moves_in_a_cache_line_and_a_bit() {
        assert!(size_of::<Command>() <= 72, "{}", size_of::<Command>());
    }

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        let login = Login {
            mechanism: Mechanism::Plain,
            user: "guest".to_owned(),
            password: Secret::new(b"hunter2"),
        };
        let shown = format!("{login:?}");
        assert!(shown.contains("guest") && !shown.contains("hunter2") && !shown.contains("104"));
    }
}
