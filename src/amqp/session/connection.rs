//! Handshake, channels, and how both end.

use amq_protocol::protocol::{AMQPClass, access, channel, connection};

use super::outgoing::Outgoing;
use super::{Login, Session, Status};
use crate::amqp::protocol::command::{self, Command};
use crate::amqp::protocol::error::{AmqpError, Ending, ReplyCode, Scope};
use crate::amqp::wire::frame::ChannelId;
use crate::broker::turn::Turn;
use std::sync::Arc;

const OPEN: (u16, u16) = (10, 40);

impl Session {
    /// Sends connection.start: the first thing after the protocol header.
    pub fn start(&mut self, turn: &mut Turn) {
        let start = connection::AMQPMethod::Start(self.shared.offer.start());
        self.outbox.push(on_connection(start), turn);
    }

    /// What is about the connection or a channel itself.
    pub(super) fn on_connection(
        &mut self,
        id: ChannelId,
        command: Command,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        match command {
            Command::Authenticate(login) => self.authenticate(&login, turn)?,
            Command::Tuned(tuning) => self.outbox.push(Outgoing::Tuned(tuning), turn),
            Command::OpenVhost(name) => self.open_vhost(name.as_str(), turn)?,
            Command::UpdateSecret(_) => {
                let done = connection::AMQPMethod::UpdateSecretOk(connection::UpdateSecretOk {});
                self.outbox.push(on_connection(done), turn);
            }
            Command::CloseConnection(_) => {
                self.end_quietly(turn);
                let done = connection::AMQPMethod::CloseOk(connection::CloseOk {});
                self.last_word(on_connection(done), turn);
            }
            Command::CloseConnectionOk => {
                self.status = Status::Done;
                self.outbox.finish();
            }
            Command::OpenChannel => {
                self.open_channel(id);
                let done = channel::AMQPMethod::OpenOk(channel::OpenOk {});
                self.reply(id, AMQPClass::Channel(done), turn);
            }
            Command::CloseChannel(_) => {
                self.close_channel(id, turn);
                self.reply(id, channel_close_ok(), turn);
            }
            Command::CrossingClose if id == 0 => {
                let done = connection::AMQPMethod::CloseOk(connection::CloseOk {});
                self.outbox.push(on_connection(done), turn);
            }
            Command::CrossingClose => self.reply(id, channel_close_ok(), turn),
            Command::Flow => {
                let done = channel::AMQPMethod::FlowOk(channel::FlowOk { active: true });
                self.reply(id, AMQPClass::Channel(done), turn);
            }
            Command::AccessRequest => {
                let done = access::AMQPMethod::RequestOk(access::RequestOk {});
                self.reply(id, AMQPClass::Access(done), turn);
            }
            // What is left asks for nothing; everything else is executed by the caller.
            _ => {}
        }
        Ok(())
    }

    fn authenticate(&mut self, login: &command::Login, turn: &mut Turn) -> Result<(), AmqpError> {
        let password = login.password.reveal();
        match self.shared.users.authenticate(&login.user, password, self.from_loopback) {
            Ok(user) => {
                self.user = Some(user);
                let tune = self.peer.authenticated();
                self.outbox.push(on_connection(connection::AMQPMethod::Tune(tune)), turn);
                Ok(())
            }
            Err(refused) => {
                tracing::warn!(user = login.user, %refused, "login refused");
                let capabilities = self.peer.client().capabilities;
                Err(AmqpError::login_refused(login.mechanism.name(), capabilities))
            }
        }
    }

    /// RabbitMQ: the virtual host's existence is checked before the user's access to it.
    fn open_vhost(&mut self, name: &str, turn: &mut Turn) -> Result<(), AmqpError> {
        let refuse = |text: String| {
            AmqpError::connection(ReplyCode::NotAllowed, text).caused_by(OPEN.0, OPEN.1)
        };
        let Some(vhost) = self.broker.vhost(name).cloned() else {
            return Err(refuse(format!("vhost {name} not found")));
        };
        let user = self.user.clone().ok_or_else(AmqpError::internal)?;
        if !user.may_enter(name) {
            let text = format!("access to vhost '{name}' refused for user '{}'", user.name());
            return Err(refuse(text));
        }
        let client = self.peer.client();
        tracing::info!(
            user = user.name(),
            vhost = name,
            client = client.connection_name.as_deref().unwrap_or_default(),
            "connection opened"
        );
        self.outbox.notify_cancel(client.capabilities.consumer_cancel_notify);
        self.login = Some(Arc::new(Login { user, vhost }));
        self.peer.opened();
        let opened = connection::AMQPMethod::OpenOk(connection::OpenOk {});
        self.outbox.push(on_connection(opened), turn);
        Ok(())
    }

    /// Closes what an error closes, and says so.
    pub(super) fn fail(&mut self, error: AmqpError, turn: &mut Turn) {
        tracing::debug!(%error, "refused");
        match error.scope {
            Scope::Channel(id) => {
                self.close_channel(id, turn);
                let close = channel::Close {
                    reply_code: error.code.number(),
                    reply_text: error.text.into(),
                    class_id: error.class,
                    method_id: error.method,
                };
                let close = AMQPClass::Channel(channel::AMQPMethod::Close(close));
                self.outbox.push(Outgoing::Method(id, Box::new(close)), turn);
            }
            Scope::Connection => self.fail_connection(error, turn),
        }
    }

    fn fail_connection(&mut self, error: AmqpError, turn: &mut Turn) {
        if matches!(self.status, Status::Closing(_) | Status::Done) {
            return;
        }
        tracing::warn!(error = %error.text, "connection closed by the broker");
        self.end_quietly(turn);
        self.status = Status::Closing(error.then);
        if error.then == Ending::HangUp {
            return;
        }
        let close = connection::Close {
            reply_code: error.code.number(),
            reply_text: error.text.into(),
            class_id: error.class,
            method_id: error.method,
        };
        self.outbox.push(on_connection(connection::AMQPMethod::Close(close)), turn);
    }

    /// Gives everything back while the outbox still takes the last words.
    fn end_quietly(&mut self, turn: &mut Turn) {
        self.stalled = None;
        self.batch.enqueue(&self.broker, turn);
        self.give_everything_back(turn);
    }

    fn last_word(&mut self, item: Outgoing, turn: &mut Turn) {
        self.outbox.push(item, turn);
        self.status = Status::Done;
        self.outbox.finish();
    }
}

fn on_connection(method: connection::AMQPMethod) -> Outgoing {
    Outgoing::Method(0, Box::new(AMQPClass::Connection(method)))
}

fn channel_close_ok() -> AMQPClass {
    AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {}))
}
