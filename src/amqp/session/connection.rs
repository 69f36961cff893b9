//! Handshake, channels, and how both end.

use std::sync::Arc;

use amq_protocol::protocol::{AMQPClass, access, channel, connection};

use super::channel::Channel;
use super::outgoing::Outgoing;
use super::{Login, Session, Status};
use crate::amqp::protocol::command;
use crate::amqp::protocol::error::{AmqpError, Ending, ReplyCode, Scope};
use crate::amqp::wire::frame::ChannelId;
use crate::auth::is_loopback;
use crate::broker::firehose::Tap;
use crate::broker::turn::Turn;

const OPEN: (u16, u16) = (10, 40);

impl Session {
    /// Sends connection.start: the first thing after the protocol header.
    pub fn start(&mut self, turn: &mut Turn) {
        let start = connection::AMQPMethod::Start(self.shared.offer.start());
        self.outbox.push(on_connection(start), turn);
    }

    /// connection.update-secret: users do not change while the broker runs, so there is nothing to check.
    pub(super) fn secret_updated(&mut self, turn: &mut Turn) {
        let done = connection::AMQPMethod::UpdateSecretOk(connection::UpdateSecretOk {});
        self.outbox.push(on_connection(done), turn);
    }

    /// The client published under an alarm and is not read until it is cleared. RabbitMQ tells only clients
    /// that have the capability, and once.
    pub fn block(&mut self, reason: &str, turn: &mut Turn) {
        if std::mem::replace(&mut self.blocked, true) || !self.wants_blocked() {
            return;
        }
        let blocked = connection::Blocked { reason: reason.into() };
        self.outbox.push(on_connection(connection::AMQPMethod::Blocked(blocked)), turn);
    }

    /// No alarm is raised any more.
    pub fn unblock(&mut self, turn: &mut Turn) {
        if std::mem::replace(&mut self.blocked, false) && self.wants_blocked() {
            let unblocked = connection::AMQPMethod::Unblocked(connection::Unblocked {});
            self.outbox.push(on_connection(unblocked), turn);
        }
    }

    fn wants_blocked(&self) -> bool {
        self.peer.client().capabilities.connection_blocked
    }

    /// connection.close: everything is given back before the answer, as in RabbitMQ.
    pub(super) fn connection_closed(&mut self, turn: &mut Turn) {
        self.end_quietly(turn);
        let done = connection::AMQPMethod::CloseOk(connection::CloseOk {});
        self.outbox.push(on_connection(done), turn);
        self.status = Status::Closing(Ending::AwaitHangUp);
    }

    /// connection.close-ok: nothing more is to be said.
    pub(super) fn close_confirmed(&mut self) {
        self.status = Status::Done;
        self.outbox.finish();
    }

    pub(super) fn open_channel(&mut self, id: ChannelId, turn: &mut Turn) -> Result<(), AmqpError> {
        let login = self.login()?;
        let place = login.user.open_channel().map_err(|limit| {
            let user = login.user.name();
            let text = format_args!(
                "number of channels opened for user '{user}' has reached the maximum allowed user \
                 limit of ({limit})"
            );
            AmqpError::connection(ReplyCode::NotAllowed, text)
        })?;
        let book = self.outbox.open_book(id);
        self.channels.insert(Channel::new(id, book, place));
        self.tell_channel_created(id);
        let done = channel::AMQPMethod::OpenOk(channel::OpenOk {});
        self.reply(id, AMQPClass::Channel(done), turn);
        Ok(())
    }

    pub(super) fn channel_closed(&mut self, id: ChannelId, turn: &mut Turn) {
        self.close_channel(id, turn);
        self.reply(id, channel_close_ok(), turn);
    }

    /// A close that crossed ours.
    pub(super) fn close_crossed(&mut self, id: ChannelId, turn: &mut Turn) {
        if id == 0 {
            let done = connection::AMQPMethod::CloseOk(connection::CloseOk {});
            self.outbox.push(on_connection(done), turn);
        } else {
            self.reply(id, channel_close_ok(), turn);
        }
    }

    pub(super) fn flow(&mut self, id: ChannelId, turn: &mut Turn) {
        let done = channel::AMQPMethod::FlowOk(channel::FlowOk { active: true });
        self.reply(id, AMQPClass::Channel(done), turn);
    }

    pub(super) fn access_request(&mut self, id: ChannelId, turn: &mut Turn) {
        let done = access::AMQPMethod::RequestOk(access::RequestOk {});
        self.reply(id, AMQPClass::Access(done), turn);
    }

    pub(super) fn authenticate(
        &mut self,
        login: &command::Login,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let password = login.password.reveal();
        self.mechanism = login.mechanism.name();
        let is_loopback = is_loopback(self.origin.peer.ip());
        let outcome = self.shared.users.authenticate(&login.user, password, is_loopback);
        self.tell_login(&login.user, outcome.is_ok());
        match outcome {
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

    /// RabbitMQ: the virtual host's existence is checked before its limit, that before the user's, and all
    /// before the user's access.
    pub(super) fn open_vhost(&mut self, name: &str, turn: &mut Turn) -> Result<(), AmqpError> {
        let refuse = |text: String| {
            AmqpError::connection(ReplyCode::NotAllowed, text).caused_by(OPEN.0, OPEN.1)
        };
        let Some(vhost) = self.broker.vhost(name) else {
            return Err(refuse(format!("vhost {name} not found")));
        };
        let user = self.user.clone().ok_or_else(AmqpError::internal)?;
        let in_vhost = vhost.admit().map_err(|limit| {
            refuse(format!(
                "access to vhost '{name}' refused for user '{}': connection limit ({limit}) is reached",
                user.name()
            ))
        })?;
        let of_user = user.connect().map_err(|limit| {
            refuse(format!(
                "connection refused for user '{}': user connection limit ({limit}) is reached",
                user.name()
            ))
        })?;
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
        let tap = Tap::new(Arc::clone(&vhost), Arc::clone(&self.origin.name), user.name());
        self.outbox.watch(Arc::clone(&tap));
        let places = [in_vhost, of_user];
        let is_restricted_by_topic = user.is_restricted_by_topic(name);
        let login = Login { user, is_restricted_by_topic, vhost, tap, _places: places };
        self.login = Some(Arc::new(login));
        self.peer.opened();
        let opened = connection::AMQPMethod::OpenOk(connection::OpenOk {});
        self.outbox.push(on_connection(opened), turn);
        self.tell_connection_created(name);
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
}

fn on_connection(method: connection::AMQPMethod) -> Outgoing {
    Outgoing::Method(0, Box::new(AMQPClass::Connection(method)))
}

fn channel_close_ok() -> AMQPClass {
    AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {}))
}
