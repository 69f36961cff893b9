//! The rarer methods of an open channel, turned into commands: which a client may send, and which values are
//! not supported.
//!
//! Publish, qos, ack, nack and reject are decoded by hand and do not come this way; see [`super::peer`].

use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::access::AMQPMethod as AccessMethod;
use amq_protocol::protocol::basic::{self, AMQPMethod as BasicMethod};
use amq_protocol::protocol::channel::AMQPMethod as ChannelMethod;
use amq_protocol::protocol::confirm::AMQPMethod as ConfirmMethod;
use amq_protocol::protocol::exchange::AMQPMethod as ExchangeMethod;
use amq_protocol::protocol::queue::AMQPMethod as QueueMethod;
use amq_protocol::protocol::tx::AMQPMethod as TxMethod;
use amq_protocol::types::ShortString;

use super::command::{CloseReason, Command};
use super::error::{AmqpError, ReplyCode};
use crate::amqp::wire::method::Method;

const SECOND_OPEN: &str = "second 'channel.open' seen";

/// What is wrong with a method, before its class and number are added.
type Refused = (ReplyCode, String);

/// The command an open channel's method stands for. `payload` is the whole of its frame.
///
/// # Errors
/// 503 for methods that only the broker may send and for connection methods, 504 for a second channel.open, 540
/// for what RabbitMQ does not implement either. All of them close the connection.
pub(super) fn command(method: Method<'_>, payload: &[u8]) -> Result<Command, AmqpError> {
    let command = match method {
        Method::Qos { prefetch_size, prefetch_count, global } => {
            qos(prefetch_size, basic::Qos { prefetch_count, global })
        }
        Method::Other(class) => from_class(class),
        Method::Publish(_) | Method::Ack { .. } | Method::Nack { .. } | Method::Reject { .. } => {
            not_for_clients()
        }
    };
    command.map_err(|(code, text)| {
        let (class, method) = ids(payload);
        AmqpError::connection(code, text).caused_by(class, method)
    })
}

/// channel.open on a channel that is open or closing.
#[cold]
pub(super) fn second_open() -> AmqpError {
    AmqpError::connection(ReplyCode::ChannelError, SECOND_OPEN).caused_by(20, 10)
}

/// Class and method of a method frame's payload.
pub(super) fn ids(payload: &[u8]) -> (u16, u16) {
    match payload {
        [a, b, c, d, ..] => (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])),
        _ => (0, 0),
    }
}

fn from_class(class: AMQPClass) -> Result<Command, Refused> {
    match class {
        AMQPClass::Channel(method) => channel(method),
        AMQPClass::Exchange(method) => exchange(method),
        AMQPClass::Queue(method) => queue(method),
        AMQPClass::Basic(method) => basic(method),
        AMQPClass::Tx(method) => transaction(&method),
        AMQPClass::Access(AccessMethod::Request(_)) => Ok(Command::AccessRequest),
        AMQPClass::Confirm(ConfirmMethod::Select(select)) => {
            Ok(Command::ConfirmSelect { nowait: select.nowait })
        }
        AMQPClass::Connection(_)
        | AMQPClass::Access(AccessMethod::RequestOk(_))
        | AMQPClass::Confirm(ConfirmMethod::SelectOk(_)) => not_for_clients(),
    }
}

fn not_for_clients() -> Result<Command, Refused> {
    Err((ReplyCode::CommandInvalid, "unimplemented method".to_owned()))
}

fn unsupported(what: String) -> Result<Command, Refused> {
    Err((ReplyCode::NotImplemented, what))
}

fn channel(method: ChannelMethod) -> Result<Command, Refused> {
    match method {
        ChannelMethod::Open(_) => Err((ReplyCode::ChannelError, SECOND_OPEN.to_owned())),
        ChannelMethod::Flow(flow) if flow.active => Ok(Command::Flow),
        ChannelMethod::Flow(_) => unsupported("active=false".to_owned()),
        ChannelMethod::Close(close) => Ok(Command::CloseChannel(Box::new(CloseReason {
            code: close.reply_code,
            text: close.reply_text.into(),
            class: close.class_id,
            method: close.method_id,
        }))),
        ChannelMethod::OpenOk(_) | ChannelMethod::FlowOk(_) | ChannelMethod::CloseOk(_) => {
            not_for_clients()
        }
    }
}

fn exchange(method: ExchangeMethod) -> Result<Command, Refused> {
    Ok(match method {
        ExchangeMethod::Declare(mut declare) => {
            strip(&mut declare.exchange);
            Command::DeclareExchange(Box::new(declare))
        }
        ExchangeMethod::Delete(mut delete) => {
            strip(&mut delete.exchange);
            Command::DeleteExchange(Box::new(delete))
        }
        ExchangeMethod::Bind(mut bind) => {
            strip(&mut bind.destination);
            strip(&mut bind.source);
            Command::BindExchange(Box::new(bind))
        }
        ExchangeMethod::Unbind(mut unbind) => {
            strip(&mut unbind.destination);
            strip(&mut unbind.source);
            Command::UnbindExchange(Box::new(unbind))
        }
        ExchangeMethod::DeclareOk(_)
        | ExchangeMethod::DeleteOk(_)
        | ExchangeMethod::BindOk(_)
        | ExchangeMethod::UnbindOk(_) => {
            return not_for_clients();
        }
    })
}

fn queue(method: QueueMethod) -> Result<Command, Refused> {
    Ok(match method {
        QueueMethod::Declare(mut declare) => {
            strip(&mut declare.queue);
            Command::DeclareQueue(Box::new(declare))
        }
        QueueMethod::Bind(mut bind) => {
            strip(&mut bind.queue);
            strip(&mut bind.exchange);
            Command::BindQueue(Box::new(bind))
        }
        QueueMethod::Unbind(mut unbind) => {
            strip(&mut unbind.queue);
            strip(&mut unbind.exchange);
            Command::UnbindQueue(Box::new(unbind))
        }
        QueueMethod::Delete(mut delete) => {
            strip(&mut delete.queue);
            Command::DeleteQueue(Box::new(delete))
        }
        QueueMethod::Purge(purge) => Command::PurgeQueue(Box::new(purge)),
        QueueMethod::DeclareOk(_)
        | QueueMethod::BindOk(_)
        | QueueMethod::UnbindOk(_)
        | QueueMethod::DeleteOk(_)
        | QueueMethod::PurgeOk(_) => return not_for_clients(),
    })
}

fn qos(prefetch_size: u32, qos: basic::Qos) -> Result<Command, Refused> {
    match prefetch_size {
        0 => Ok(Command::Qos(qos)),
        size => unsupported(format!("prefetch_size!=0 ({size})")),
    }
}

fn basic(method: BasicMethod) -> Result<Command, Refused> {
    match method {
        BasicMethod::Consume(consume) => Ok(Command::Consume(Box::new(consume))),
        BasicMethod::Cancel(cancel) => Ok(Command::Cancel(cancel)),
        BasicMethod::CancelOk(cancelled) => Ok(Command::CancelOk(cancelled)),
        BasicMethod::Get(get) => Ok(Command::Get(get)),
        BasicMethod::Recover(recover) => recover_all(recover.requeue, true),
        BasicMethod::RecoverAsync(recover) => recover_all(recover.requeue, false),
        BasicMethod::Qos(_)
        | BasicMethod::Publish(_)
        | BasicMethod::Ack(_)
        | BasicMethod::Nack(_)
        | BasicMethod::Reject(_)
        | BasicMethod::QosOk(_)
        | BasicMethod::ConsumeOk(_)
        | BasicMethod::Return(_)
        | BasicMethod::Deliver(_)
        | BasicMethod::GetOk(_)
        | BasicMethod::GetEmpty(_)
        | BasicMethod::RecoverOk(_) => not_for_clients(),
    }
}

fn recover_all(requeue: bool, reply: bool) -> Result<Command, Refused> {
    if requeue { Ok(Command::Recover { reply }) } else { unsupported("requeue=false".to_owned()) }
}

fn transaction(method: &TxMethod) -> Result<Command, Refused> {
    match method {
        TxMethod::Select(_) => Ok(Command::TxSelect),
        TxMethod::Commit(_) => Ok(Command::TxCommit),
        TxMethod::Rollback(_) => Ok(Command::TxRollback),
        TxMethod::SelectOk(_) | TxMethod::CommitOk(_) | TxMethod::RollbackOk(_) => {
            not_for_clients()
        }
    }
}

/// RabbitMQ strips carriage returns and line feeds from names that are declared, deleted or bound.
fn strip(name: &mut ShortString) {
    if name.as_str().contains(['\r', '\n']) {
        *name = name.as_str().replace(['\r', '\n'], "").into();
    }
}
