//! What an outbox hands to the writer, in words: `1 deliver 3 to worker: body`.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "methods that no dialogue asks for are shown as they are"
)]

use std::collections::HashMap;

use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection, exchange, queue, tx};

use crate::amqp::session::outgoing::Outgoing;
use crate::broker::message::Message;

/// Consumer tags by slot, as the writer learns them.
#[derive(Default)]
pub(super) struct Names(HashMap<u32, (u16, String)>);

impl Names {
    /// The item in words, or nothing if it sends nothing.
    pub(super) fn word(&mut self, item: Outgoing) -> Option<String> {
        Some(match item {
            Outgoing::Consumer(name) => {
                self.0.insert(name.slot.0, (name.channel, name.tag));
                return None;
            }
            Outgoing::Tuned(_) => return None,
            Outgoing::Deliver { message, tag, slot, redelivered, .. } => {
                let (channel, consumer) = &self.0[&slot.0];
                let again = if redelivered { " again" } else { "" };
                format!("{channel} deliver {tag} to {consumer}{again}: {}", body(&message))
            }
            Outgoing::Reply(reply) => {
                let (channel, tag, consumer) = (reply.channel, reply.tag, &reply.consumer_tag);
                format!("{channel} reply {tag} to {consumer}: {}", body(&reply.message))
            }
            Outgoing::Got(got) => {
                let again = if got.redelivered { " again" } else { "" };
                let (channel, tag, left) = (got.channel, got.tag, got.remaining);
                format!("{channel} get-ok {tag}{again}: {}, {left} left", body(&got.message))
            }
            Outgoing::Returned(channel, message) => format!("{channel} return {}", body(&message)),
            Outgoing::Confirm { channel, sequence, multiple: false } => {
                format!("{channel} confirm {sequence}")
            }
            Outgoing::Confirm { channel, sequence, multiple: true } => {
                format!("{channel} confirm up to {sequence}")
            }
            Outgoing::Refused { channel, sequence } => format!("{channel} refuse {sequence}"),
            Outgoing::Method(channel, method) => format!("{channel} {}", method_word(&method)),
        })
    }
}

fn body(message: &Message) -> String {
    String::from_utf8_lossy(message.body()).into_owned()
}

fn method_word(method: &AMQPClass) -> String {
    match method {
        AMQPClass::Connection(method) => on_connection(method),
        AMQPClass::Channel(method) => on_channel(method),
        AMQPClass::Queue(method) => on_queue(method),
        AMQPClass::Exchange(method) => on_exchange(method),
        AMQPClass::Basic(method) => on_basic(method),
        AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(_)) => "confirm-select-ok".to_owned(),
        AMQPClass::Tx(tx::AMQPMethod::SelectOk(_)) => "tx-select-ok".to_owned(),
        AMQPClass::Tx(tx::AMQPMethod::CommitOk(_)) => "commit-ok".to_owned(),
        AMQPClass::Tx(tx::AMQPMethod::RollbackOk(_)) => "rollback-ok".to_owned(),
        other => format!("{other:?}"),
    }
}

fn on_connection(method: &connection::AMQPMethod) -> String {
    match method {
        connection::AMQPMethod::Start(_) => "start".to_owned(),
        connection::AMQPMethod::Tune(_) => "tune".to_owned(),
        connection::AMQPMethod::OpenOk(_) => "open-ok".to_owned(),
        connection::AMQPMethod::CloseOk(_) => "close-ok".to_owned(),
        connection::AMQPMethod::Close(close) => {
            format!("close {} {}", close.reply_code, close.reply_text)
        }
        other => format!("{other:?}"),
    }
}

fn on_channel(method: &channel::AMQPMethod) -> String {
    match method {
        channel::AMQPMethod::OpenOk(_) => "open-ok".to_owned(),
        channel::AMQPMethod::CloseOk(_) => "close-ok".to_owned(),
        channel::AMQPMethod::Close(close) => {
            format!("close {} {}", close.reply_code, close.reply_text)
        }
        other => format!("{other:?}"),
    }
}

fn on_queue(method: &queue::AMQPMethod) -> String {
    match method {
        queue::AMQPMethod::DeclareOk(ok) => {
            let (queue, messages, consumers) = (&ok.queue, ok.message_count, ok.consumer_count);
            format!("declare-ok {queue} {messages} {consumers}")
        }
        queue::AMQPMethod::DeleteOk(ok) => format!("delete-ok {}", ok.message_count),
        queue::AMQPMethod::PurgeOk(ok) => format!("purge-ok {}", ok.message_count),
        queue::AMQPMethod::BindOk(_) => "bind-ok".to_owned(),
        queue::AMQPMethod::UnbindOk(_) => "unbind-ok".to_owned(),
        other => format!("{other:?}"),
    }
}

fn on_exchange(method: &exchange::AMQPMethod) -> String {
    match method {
        exchange::AMQPMethod::DeclareOk(_) => "exchange-declare-ok".to_owned(),
        exchange::AMQPMethod::DeleteOk(_) => "exchange-delete-ok".to_owned(),
        other => format!("{other:?}"),
    }
}

fn on_basic(method: &basic::AMQPMethod) -> String {
    match method {
        basic::AMQPMethod::ConsumeOk(ok) => format!("consume-ok {}", ok.consumer_tag),
        basic::AMQPMethod::CancelOk(ok) => format!("cancel-ok {}", ok.consumer_tag),
        basic::AMQPMethod::Cancel(cancel) => format!("cancel {}", cancel.consumer_tag),
        basic::AMQPMethod::GetEmpty(_) => "get-empty".to_owned(),
        basic::AMQPMethod::QosOk(_) => "qos-ok".to_owned(),
        basic::AMQPMethod::RecoverOk(_) => "recover-ok".to_owned(),
        other => format!("{other:?}"),
    }
}
