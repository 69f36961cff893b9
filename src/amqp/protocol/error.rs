//! Errors a client is told about: reply codes, whom they close, and RabbitMQ's texts.
//!
//! This is the only error of the layer. What the layer below reports is translated here, in one place. Texts
//! are what RabbitMQ sends, because client libraries match on them.

use std::fmt::{self, Display, Formatter, Write as _};

use super::handshake::ClientCapabilities;
use crate::amqp::wire::erlang;
use crate::amqp::wire::frame::{ChannelId, Frame};
use crate::amqp::wire::frame_error::FrameError;
use crate::amqp::wire::method::MethodError;
use crate::limits;

/// A reply code of AMQP 0-9-1 section 1.7.2.6 that the broker can send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplyCode {
    /// 311: the message is larger than its receiver takes.
    ContentTooLarge,
    /// 312: a mandatory message met no queue (basic.return).
    NoRoute,
    /// 313: an immediate message met no consumer (basic.return; never sent by this broker).
    NoConsumers,
    /// 320: an operator closed the connection.
    ConnectionForced,
    /// 402: unknown virtual host, in the words of the specification; RabbitMQ uses 530.
    InvalidPath,
    /// 403: a permission is missing, or the name is reserved.
    AccessRefused,
    /// 404: no such exchange or queue.
    NotFound,
    /// 405: the queue is exclusive to another connection.
    ResourceLocked,
    /// 406: the request contradicts what is there.
    PreconditionFailed,
    /// 501: octets that are no frame, or no such method's fields.
    FrameError,
    /// 502: fields that cannot be.
    SyntaxError,
    /// 503: a method that clients may not send.
    CommandInvalid,
    /// 504: the channel is not in a state for this.
    ChannelError,
    /// 505: a frame of another kind was due.
    UnexpectedFrame,
    /// 506: out of something.
    ResourceError,
    /// 530: refused whatever the permissions are.
    NotAllowed,
    /// 540: not supported by this broker.
    NotImplemented,
    /// 541: the broker's own fault.
    InternalError,
}

impl ReplyCode {
    /// All of them, by number.
    pub const ALL: [Self; 18] = [
        Self::ContentTooLarge,
        Self::NoRoute,
        Self::NoConsumers,
        Self::ConnectionForced,
        Self::InvalidPath,
        Self::AccessRefused,
        Self::NotFound,
        Self::ResourceLocked,
        Self::PreconditionFailed,
        Self::FrameError,
        Self::SyntaxError,
        Self::CommandInvalid,
        Self::ChannelError,
        Self::UnexpectedFrame,
        Self::ResourceError,
        Self::NotAllowed,
        Self::NotImplemented,
        Self::InternalError,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::ContentTooLarge => 311,
            Self::NoRoute => 312,
            Self::NoConsumers => 313,
            Self::ConnectionForced => 320,
            Self::InvalidPath => 402,
            Self::AccessRefused => 403,
            Self::NotFound => 404,
            Self::ResourceLocked => 405,
            Self::PreconditionFailed => 406,
            Self::FrameError => 501,
            Self::SyntaxError => 502,
            Self::CommandInvalid => 503,
            Self::ChannelError => 504,
            Self::UnexpectedFrame => 505,
            Self::ResourceError => 506,
            Self::NotAllowed => 530,
            Self::NotImplemented => 540,
            Self::InternalError => 541,
        }
    }

    /// The name every reply text begins with.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContentTooLarge => "CONTENT_TOO_LARGE",
            Self::NoRoute => "NO_ROUTE",
            Self::NoConsumers => "NO_CONSUMERS",
            Self::ConnectionForced => "CONNECTION_FORCED",
            Self::InvalidPath => "INVALID_PATH",
            Self::AccessRefused => "ACCESS_REFUSED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceLocked => "RESOURCE_LOCKED",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::FrameError => "FRAME_ERROR",
            Self::SyntaxError => "SYNTAX_ERROR",
            Self::CommandInvalid => "COMMAND_INVALID",
            Self::ChannelError => "CHANNEL_ERROR",
            Self::UnexpectedFrame => "UNEXPECTED_FRAME",
            Self::ResourceError => "RESOURCE_ERROR",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// Whether it closes the connection by nature ("hard" in the specification) and not just a channel.
    #[must_use]
    pub const fn closes_connection(self) -> bool {
        match self {
            Self::ContentTooLarge
            | Self::NoRoute
            | Self::NoConsumers
            | Self::AccessRefused
            | Self::NotFound
            | Self::ResourceLocked
            | Self::PreconditionFailed => false,
            Self::ConnectionForced
            | Self::InvalidPath
            | Self::FrameError
            | Self::SyntaxError
            | Self::CommandInvalid
            | Self::ChannelError
            | Self::UnexpectedFrame
            | Self::ResourceError
            | Self::NotAllowed
            | Self::NotImplemented
            | Self::InternalError => true,
        }
    }
}

/// What an error closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The connection with all its channels: connection.close is sent.
    Connection,
    /// One channel: channel.close is sent.
    Channel(ChannelId),
}

/// What happens to the connection after the close frame. Of an error, only looked at when its scope is the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Send close, ignore everything else until close-ok, at most [`limits::CLOSE_OK_TIMEOUT`].
    AwaitCloseOk,
    /// Send close, read nothing more, hang up after [`limits::SILENT_CLOSE`]: the stream cannot be read any
    /// further, or the client has not proved who it is.
    LingerThenHangUp,
    /// Send nothing at all and hang up after [`limits::SILENT_CLOSE`].
    HangUp,
    /// The client has closed, and close-ok was sent: ignore everything but another close until the client hangs up, at
    /// most [`limits::HANG_UP_PATIENCE`], or a heartbeat interval if that is less.
    AwaitHangUp,
}

/// Why a channel or the connection is closed, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmqpError {
    /// What it closes.
    pub scope: Scope,
    /// The reply code.
    pub code: ReplyCode,
    /// The whole reply text, code name first; at most 255 octets.
    pub text: String,
    /// Class of the method that failed, or 0.
    pub class: u16,
    /// The method that failed, or 0.
    pub method: u16,
    /// How the connection ends.
    pub then: Ending,
}

impl AmqpError {
    /// An error of the connection. `explanation` goes behind the code's name.
    #[cold]
    pub fn connection(code: ReplyCode, explanation: impl Display) -> Self {
        let text = reply_text(code, &explanation);
        Self {
            scope: Scope::Connection,
            code,
            text,
            class: 0,
            method: 0,
            then: Ending::AwaitCloseOk,
        }
    }

    /// An error on a channel. It closes the connection nevertheless if the code does so by nature, or if
    /// `channel` is 0.
    #[cold]
    pub fn channel(channel: ChannelId, code: ReplyCode, explanation: impl Display) -> Self {
        let error = Self::connection(code, explanation);
        if channel == 0 || code.closes_connection() {
            return error;
        }
        Self { scope: Scope::Channel(channel), ..error }
    }

    /// The broker's own fault. RabbitMQ sends the bare name.
    #[cold]
    #[must_use]
    pub fn internal() -> Self {
        let code = ReplyCode::InternalError;
        Self { text: code.name().to_owned(), ..Self::connection(code, "") }
    }

    /// A login that failed, in RabbitMQ's words. A client that has not declared
    /// `authentication_failure_close` is not told, only hung up on.
    #[cold]
    #[must_use]
    pub fn login_refused(mechanism: &str, client: ClientCapabilities) -> Self {
        let then = if client.authentication_failure_close {
            Ending::LingerThenHangUp
        } else {
            Ending::HangUp
        };
        Self::connection(
            ReplyCode::AccessRefused,
            format_args!(
                "Login was refused using authentication mechanism {mechanism}. \
                 For details see the broker logfile."
            ),
        )
        .ending(then)
    }

    /// Names the method that failed.
    #[must_use]
    pub fn caused_by(mut self, class: u16, method: u16) -> Self {
        (self.class, self.method) = (class, method);
        self
    }

    /// Ends the connection otherwise than by awaiting close-ok.
    #[must_use]
    pub fn ending(mut self, then: Ending) -> Self {
        self.then = then;
        self
    }

    /// A frame of a kind that cannot be on its channel. RabbitMQ: `unexpected_frame`.
    pub(super) fn unexpected_frame(frame: Frame<'_>) -> Self {
        let (kind, shown) = (frame.kind.octet(), erlang::snippet(frame.payload));
        Self::connection(ReplyCode::UnexpectedFrame, format_args!("type {kind}, {shown}"))
    }

    /// A frame the decoder lets through but that has too few octets for its kind, or too many.
    pub(super) fn unknown_frame(frame: Frame<'_>) -> Self {
        let (kind, shown) = (frame.kind.octet(), erlang::snippet(frame.payload));
        Self::connection(ReplyCode::FrameError, format_args!("type {kind}, {shown}: unknown_frame"))
    }
}

impl Display for AmqpError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code.number(), self.text)?;
        match self.scope {
            Scope::Connection => f.write_str(", closes the connection"),
            Scope::Channel(channel) => write!(f, ", closes channel {channel}"),
        }
    }
}

impl std::error::Error for AmqpError {}

impl From<FrameError> for AmqpError {
    #[cold]
    fn from(fault: FrameError) -> Self {
        let error = Self::connection(ReplyCode::FrameError, fault);
        if fault.stream_is_lost() { error.ending(Ending::LingerThenHangUp) } else { error }
    }
}

impl From<MethodError> for AmqpError {
    #[cold]
    fn from(fault: MethodError) -> Self {
        let (code, class, method) = match fault {
            MethodError::TooShort | MethodError::MalformedUtf8 => (ReplyCode::FrameError, 0, 0),
            MethodError::Malformed { class, method, .. } => (ReplyCode::FrameError, class, method),
            // RabbitMQ drops the connection without a word in these two cases.
            MethodError::Unknown { class, method } => (ReplyCode::NotImplemented, class, method),
            MethodError::Table { class, method, .. } => (ReplyCode::SyntaxError, class, method),
        };
        Self::connection(code, fault).caused_by(class, method)
    }
}

/// What a text ends in that was too long.
const CUT: &str = "...";

/// Writes `NAME - explanation`. RabbitMQ: what a short string cannot hold ends in three dots.
fn reply_text(code: ReplyCode, explanation: &dyn Display) -> String {
    let mut text = String::with_capacity(limits::SHORT_STRING_MAX);
    // Writing into a String cannot fail; an explanation whose Display fails is cut where it failed.
    let _ = write!(text, "{} - {explanation}", code.name());
    if text.len() > limits::SHORT_STRING_MAX {
        text.truncate(text.floor_char_boundary(limits::SHORT_STRING_MAX - CUT.len()));
        text.push_str(CUT);
    }
    text
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn a_text_is_the_name_of_the_code_and_the_explanation() {
        let error = AmqpError::channel(3, ReplyCode::NotFound, "no queue 'x' in vhost '/'")
            .caused_by(50, 10);
        assert_eq!((error.scope, error.class, error.method), (Scope::Channel(3), 50, 10));
        assert_snapshot!(error.text, @"NOT_FOUND - no queue 'x' in vhost '/'");
        assert_snapshot!(error, @"404 NOT_FOUND - no queue 'x' in vhost '/', closes channel 3");
    }

    #[test]
    fn a_soft_error_on_channel_0_closes_the_connection() {
        let error = AmqpError::channel(0, ReplyCode::NotFound, "no such thing");
        assert_eq!(error.scope, Scope::Connection);
    }

    #[test]
    fn a_hard_error_on_a_channel_closes_the_connection() {
        let error =
            AmqpError::channel(1, ReplyCode::NotAllowed, "attempt to reuse consumer tag 'c'");
        assert_eq!((error.scope, error.then), (Scope::Connection, Ending::AwaitCloseOk));
    }

    #[test]
    fn a_long_text_is_cut_to_a_short_string_between_characters() {
        let error = AmqpError::connection(ReplyCode::NotFound, "é".repeat(200));
        assert_eq!(error.text.len(), 255);
        assert!(error.text.ends_with("é..."));
    }

    #[test]
    fn the_brokers_own_fault_is_told_without_an_explanation() {
        assert_snapshot!(AmqpError::internal(), @"541 INTERNAL_ERROR, closes the connection");
    }

    #[test]
    fn a_refused_login_is_told_only_to_clients_that_declared_they_understand() {
        let understands =
            ClientCapabilities { authentication_failure_close: true, ..Default::default() };
        let told = AmqpError::login_refused("PLAIN", understands);
        let silent = AmqpError::login_refused("PLAIN", ClientCapabilities::default());

        assert_eq!((told.then, silent.then), (Ending::LingerThenHangUp, Ending::HangUp));
        assert_snapshot!(told.text, @"ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.");
    }

    #[test]
    fn codes_have_their_number_name_and_scope() {
        let lines = ReplyCode::ALL.map(|code| {
            let scope = if code.closes_connection() { "connection" } else { "channel" };
            format!("{} {} {scope}", code.number(), code.name())
        });
        assert_snapshot!(lines.join("\n"), @r"
        311 CONTENT_TOO_LARGE channel
        312 NO_ROUTE channel
        313 NO_CONSUMERS channel
        320 CONNECTION_FORCED connection
        402 INVALID_PATH connection
        403 ACCESS_REFUSED channel
        404 NOT_FOUND channel
        405 RESOURCE_LOCKED channel
        406 PRECONDITION_FAILED channel
        501 FRAME_ERROR connection
        502 SYNTAX_ERROR connection
        503 COMMAND_INVALID connection
        504 CHANNEL_ERROR connection
        505 UNEXPECTED_FRAME connection
        506 RESOURCE_ERROR connection
        530 NOT_ALLOWED connection
        540 NOT_IMPLEMENTED connection
        541 INTERNAL_ERROR connection
        ");
    }
}
