//! The other end of a connection, as far as the protocol goes: a frame in, a command out.
//!
//! Invariants:
//! * A method is only turned into a command in a state in which AMQP 0-9-1 and RabbitMQ allow it; anything else is
//!   an [`AmqpError`] of the right scope, or ignored while a close is under way.
//! * An error this returns has been taken note of: its channel or the connection is closing from then on.
//!
//! It sends nothing. Answers, also to a close that crosses ours, are the caller's.

use std::sync::Arc;

use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::channel::AMQPMethod as ChannelMethod;
use amq_protocol::protocol::connection::{self, AMQPMethod as ConnectionMethod};

use super::arena::Arena;
use super::channel::Channels;
use super::command::{CloseReason, Command, NewSecret, Outcome, Secret, Settle};
use super::content::no_method;
use super::error::{AmqpError, Ending, ReplyCode, Scope};
use super::handshake::{Client, Offer, Tuning};
use super::request::{self, ids, second_open};
use crate::amqp::wire::frame::{ChannelId, Frame, FrameKind};
use crate::amqp::wire::method::{self, Method, MethodError};
use crate::limits;

/// What a frame came to: nothing yet, a command on the frame's channel, or an error that closes something.
pub type Received = Result<Option<Command>, AmqpError>;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// start-ok is due.
    Starting,
    /// The caller checks a login.
    Authenticating,
    /// tune-ok is due.
    Tuning,
    /// open is due.
    Opening,
    /// The caller looks for a virtual host.
    Admitting,
    /// Open.
    Running,
    /// One side has sent connection.close.
    Closing,
    /// close-ok has come.
    Closed,
}

impl Stage {
    /// RabbitMQ's name of it, which is part of error texts.
    const fn name(self) -> &'static str {
        match self {
            Self::Starting | Self::Authenticating => "starting",
            Self::Tuning => "tuning",
            Self::Opening | Self::Admitting => "opening",
            Self::Running => "running",
            Self::Closing => "closing",
            Self::Closed => "closed",
        }
    }
}

/// The other end of a connection.
#[derive(Debug)]
pub struct Peer {
    channels: Channels,
    stage: Stage,
    max_message_size: u64,
    tuning: Tuning,
    offer: Arc<Offer>,
    client: Client,
}

impl Peer {
    /// A peer that has sent the protocol header and is to be sent [`Offer::start`].
    #[must_use]
    pub fn new(offer: Arc<Offer>) -> Self {
        Self {
            channels: Channels::default(),
            stage: Stage::Starting,
            max_message_size: offer.max_message_size,
            tuning: Tuning::BEFORE_TUNE,
            offer,
            client: Client::default(),
        }
    }

    /// Takes one frame.
    ///
    /// # Errors
    /// What the peer did wrong, to be sent to it; see [`Scope`] and [`Ending`].
    #[inline]
    pub fn receive(&mut self, frame: Frame<'_>, arena: &mut Arena) -> Received {
        if self.stage != Stage::Running || frame.channel == 0 {
            return self.on_connection(frame).map_err(|error| self.note(error));
        }
        match frame.kind {
            FrameKind::Method => self.on_method(frame),
            FrameKind::Header => self.on_header(frame, arena),
            FrameKind::Body => self.on_body(frame, arena),
            FrameKind::Heartbeat => Err(self.note(misplaced_heartbeat(frame))),
        }
    }

    /// Takes the beginning of a body frame of which `missing` octets will be read into [`Peer::room`]; an empty body
    /// frame ends it. `false` if that is not to be, and the frame must come as a whole.
    pub fn begin_piece(
        &mut self,
        channel: ChannelId,
        begun: &[u8],
        missing: usize,
        arena: &Arena,
    ) -> bool {
        self.stage == Stage::Running
            && self
                .channels
                .find(channel)
                .is_some_and(|channel| channel.content.begin_piece(begun, missing, arena.shelf()))
    }

    /// Where the rest of that frame is read to, unless the message is not wanted any more.
    pub fn room(
        &mut self,
        channel: ChannelId,
        missing: usize,
        arena: &Arena,
    ) -> Option<&mut Vec<u8>> {
        self.channels.find(channel)?.content.room(missing, arena.shelf())
    }

    /// The login was right. The returned connection.tune is to be sent.
    pub fn authenticated(&mut self) -> connection::Tune {
        if self.stage == Stage::Authenticating {
            self.stage = Stage::Tuning;
        }
        self.offer.tune()
    }

    /// The virtual host is entered; connection.open-ok is to be sent.
    pub fn opened(&mut self) {
        if self.stage == Stage::Admitting {
            self.stage = Stage::Running;
        }
    }

    /// The broker sends channel.close: what comes on that channel is ignored until close-ok.
    pub fn channel_failed(&mut self, channel: ChannelId) {
        if let Some(channel) = self.channels.find(channel) {
            channel.fail();
        }
    }

    /// Either side sends connection.close: everything but close and close-ok is ignored from now on.
    pub fn connection_closing(&mut self) {
        if self.stage != Stage::Closed {
            self.stage = Stage::Closing;
        }
        self.channels.clear();
    }

    /// Octets a frame may have in either direction, header and end included.
    #[must_use]
    pub fn frame_max(&self) -> u32 {
        self.tuning.frame_max
    }

    /// The limits in force.
    #[must_use]
    pub fn tuning(&self) -> Tuning {
        self.tuning
    }

    /// What the client says about itself; empty before start-ok.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Channels that are open or closing.
    #[must_use]
    pub fn channel_count(&self) -> usize {
        self.channels.len()
    }

    #[inline]
    fn on_header(&mut self, frame: Frame<'_>, arena: &mut Arena) -> Received {
        let Some(channel) = self.channels.find(frame.channel) else {
            return Err(self.note(no_method()));
        };
        match channel.content.header(frame, self.max_message_size) {
            Ok(false) => Ok(None),
            Ok(true) => Ok(Some(Command::Publish(channel.content.message(&[], arena)))),
            Err(error) => Err(self.note(*error)),
        }
    }

    #[inline]
    fn on_body(&mut self, frame: Frame<'_>, arena: &mut Arena) -> Received {
        let Some(channel) = self.channels.find(frame.channel) else {
            return Err(self.note(no_method()));
        };
        match channel.content.body(frame.payload) {
            Ok(true) => Ok(Some(Command::Publish(channel.content.message(frame.payload, arena)))),
            Ok(false) => self.bound_partial_bodies(),
            Err(error) => Err(self.note(*error)),
        }
    }

    /// A body goes on in another frame. RabbitMQ has no such bound.
    #[inline(never)]
    fn bound_partial_bodies(&mut self) -> Received {
        let bound = self.max_message_size.saturating_add(limits::PARTIAL_BODIES);
        if self.channels.reserved() <= bound {
            return Ok(None);
        }
        let text = format_args!("messages received in part hold more than {bound} bytes");
        let error = AmqpError::connection(ReplyCode::ResourceError, text);
        Err(self.note(error.caused_by(60, 40)))
    }

    #[inline]
    fn on_method(&mut self, frame: Frame<'_>) -> Received {
        let Some(channel) = self.channels.find(frame.channel) else {
            return self.on_unopened(frame).map_err(|error| self.note(error));
        };
        if !channel.content.is_idle() {
            let error = channel.content.interrupted();
            return Err(self.note(error));
        }
        if let Some(publish) = method::decode_publish(frame.payload) {
            channel.content.begin(&publish);
            return Ok(None);
        }
        let is_open = !channel.is_closing();
        let (tag, multiple, outcome) = match method::decode(frame.payload) {
            Ok(Method::Ack { tag, multiple }) if is_open => (tag, multiple, Outcome::Ack),
            Ok(Method::Nack { tag, multiple, requeue }) if is_open => {
                (tag, multiple, Outcome::Nack { requeue })
            }
            Ok(Method::Reject { tag, requeue }) if is_open => {
                (tag, false, Outcome::Reject { requeue })
            }
            other => {
                let received = if is_open {
                    self.on_request(frame, other)
                } else {
                    self.while_channel_closes(frame, other)
                };
                return received.map_err(|error| self.note(error));
            }
        };
        Ok(Some(Command::Settle(Settle { tag, multiple, outcome })))
    }

    /// A rarer method of an open channel.
    #[inline(never)]
    fn on_request(
        &mut self,
        frame: Frame<'_>,
        decoded: Result<Method<'_>, MethodError>,
    ) -> Received {
        let command = request::command(decoded?, frame.payload)?;
        if matches!(command, Command::CloseChannel(_)) {
            self.channels.remove(frame.channel);
        }
        Ok(Some(command))
    }

    /// Everything is dropped until close-ok, but a close that crosses ours is answered.
    fn while_channel_closes(
        &mut self,
        frame: Frame<'_>,
        decoded: Result<Method<'_>, MethodError>,
    ) -> Received {
        let method = match decoded {
            Ok(Method::Other(AMQPClass::Channel(method))) => method,
            Ok(_) | Err(MethodError::Unknown { .. }) => return Ok(None),
            Err(fault) => return Err(fault.into()),
        };
        match method {
            ChannelMethod::Close(_) => Ok(Some(Command::CrossingClose)),
            ChannelMethod::CloseOk(_) => {
                self.channels.remove(frame.channel);
                Ok(Some(Command::CloseChannelOk))
            }
            ChannelMethod::Open(_) => Err(second_open()),
            ChannelMethod::OpenOk(_) | ChannelMethod::Flow(_) | ChannelMethod::FlowOk(_) => {
                Ok(None)
            }
        }
    }

    /// A method on a channel that is not open: only channel.open will do.
    #[cold]
    fn on_unopened(&mut self, frame: Frame<'_>) -> Received {
        if !matches!(
            method::decode(frame.payload)?,
            Method::Other(AMQPClass::Channel(ChannelMethod::Open(_)))
        ) {
            return Err(channel_error(frame, "expected 'channel.open'"));
        }
        let (open, allowed) = (self.channels.len(), self.tuning.channel_max);
        if open >= usize::from(allowed) {
            return Err(AmqpError::connection(
                ReplyCode::NotAllowed,
                format_args!(
                    "number of channels opened ({open}) has reached the negotiated channel_max ({allowed})"
                ),
            ));
        }
        self.channels.open(frame.channel);
        Ok(Some(Command::OpenChannel))
    }

    /// A frame on channel 0, or before the connection is open, or while it closes.
    fn on_connection(&mut self, frame: Frame<'_>) -> Received {
        match self.stage {
            Stage::Closed => return Ok(None),
            Stage::Closing => return Ok(self.while_connection_closes(frame)),
            Stage::Starting
            | Stage::Authenticating
            | Stage::Tuning
            | Stage::Opening
            | Stage::Admitting
            | Stage::Running => {}
        }
        match (frame.channel, frame.kind) {
            (0, FrameKind::Heartbeat) if frame.payload.is_empty() => Ok(Some(Command::Heartbeat)),
            (_, FrameKind::Heartbeat) => Err(misplaced_heartbeat(frame)),
            (0, FrameKind::Method) => match method::decode(frame.payload)? {
                Method::Other(AMQPClass::Connection(method)) => {
                    let command = self.on_connection_method(frame, method)?;
                    Ok(Some(command))
                }
                Method::Other(_)
                | Method::Publish(_)
                | Method::Qos { .. }
                | Method::Ack { .. }
                | Method::Nack { .. }
                | Method::Reject { .. } => Err(self.unexpected_method(frame)),
            },
            // Channels come after connection.open, and content has none but theirs.
            (_, FrameKind::Header | FrameKind::Body | FrameKind::Method) => {
                Err(AmqpError::unexpected_frame(frame))
            }
        }
    }

    fn on_connection_method(
        &mut self,
        frame: Frame<'_>,
        method: ConnectionMethod,
    ) -> Result<Command, AmqpError> {
        match (self.stage, method) {
            (Stage::Starting, ConnectionMethod::StartOk(answer)) => self.on_start_ok(answer),
            (Stage::Tuning, ConnectionMethod::TuneOk(answer)) => {
                self.tuning = self.offer.agree(&answer)?;
                self.stage = Stage::Opening;
                Ok(Command::Tuned(self.tuning))
            }
            (Stage::Opening, ConnectionMethod::Open(open)) => {
                self.stage = Stage::Admitting;
                Ok(Command::OpenVhost(open.virtual_host))
            }
            (Stage::Running, ConnectionMethod::UpdateSecret(update)) => {
                Ok(Command::UpdateSecret(Box::new(NewSecret {
                    secret: Secret::new(update.new_secret.as_bytes()),
                    reason: update.reason.into(),
                })))
            }
            // RabbitMQ takes a close only from an open connection; here a client may give up at any time.
            (_, ConnectionMethod::Close(close)) => {
                self.connection_closing();
                Ok(Command::CloseConnection(Box::new(CloseReason {
                    code: close.reply_code,
                    text: close.reply_text.into(),
                    class: close.class_id,
                    method: close.method_id,
                })))
            }
            (_, _) => Err(self.unexpected_method(frame)),
        }
    }

    fn on_start_ok(&mut self, mut answer: connection::StartOk) -> Result<Command, AmqpError> {
        self.client = Client::read(std::mem::take(&mut answer.client_properties));
        let login = self.offer.login(&answer, &self.client)?;
        self.stage = Stage::Authenticating;
        Ok(Command::Authenticate(Box::new(login)))
    }

    /// Only close and close-ok are looked at; whatever else comes was sent before the peer knew.
    fn while_connection_closes(&mut self, frame: Frame<'_>) -> Option<Command> {
        if frame.channel != 0 || frame.kind != FrameKind::Method {
            return None;
        }
        match method::decode(frame.payload) {
            Ok(Method::Other(AMQPClass::Connection(ConnectionMethod::Close(_)))) => {
                Some(Command::CrossingClose)
            }
            Ok(Method::Other(AMQPClass::Connection(ConnectionMethod::CloseOk(_)))) => {
                self.stage = Stage::Closed;
                Some(Command::CloseConnectionOk)
            }
            Ok(_) | Err(_) => None,
        }
    }

    #[cold]
    fn unexpected_method(&self, frame: Frame<'_>) -> AmqpError {
        let stage = self.stage.name();
        channel_error(frame, format_args!("unexpected method in connection state {stage}"))
    }

    /// Puts the culprit into its closing state.
    #[cold]
    fn note(&mut self, mut error: AmqpError) -> AmqpError {
        match error.scope {
            Scope::Channel(channel) => self.channel_failed(channel),
            Scope::Connection => {
                // RabbitMQ does not trust a client that has not logged in with a proper close.
                let unknown = matches!(self.stage, Stage::Starting | Stage::Authenticating);
                if unknown && error.then == Ending::AwaitCloseOk {
                    error.then = Ending::LingerThenHangUp;
                }
                self.connection_closing();
            }
        }
        error
    }
}

#[cold]
fn channel_error(frame: Frame<'_>, explanation: impl std::fmt::Display) -> AmqpError {
    let (class, method) = ids(frame.payload);
    AmqpError::connection(ReplyCode::ChannelError, explanation).caused_by(class, method)
}

/// Heartbeats are the connection's and empty.
#[cold]
fn misplaced_heartbeat(frame: Frame<'_>) -> AmqpError {
    if frame.payload.is_empty() {
        AmqpError::unexpected_frame(frame)
    } else {
        AmqpError::unknown_frame(frame)
    }
}
