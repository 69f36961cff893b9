//! Dialogues with a peer: what it sends, and what that comes to.

mod channels;
mod content;
mod handshake;
mod methods;
mod random;

use std::sync::Arc;

use amq_protocol::frame::WriteContext;
use amq_protocol::protocol::{AMQPClass, basic, channel, connection, gen_class};
use amq_protocol::types::FieldTable;

use super::arena::Arena;
use super::command::Command;
use super::content::Publish;
use super::error::{AmqpError, Ending, Scope};
use super::handshake::{Mechanism, Offer};
use super::peer::{Peer, Received};
use crate::amqp::wire::frame::{ChannelId, Frame, FrameKind};
use crate::limits;

/// A frame with octets of its own.
#[derive(Clone, Debug)]
struct Sent {
    kind: FrameKind,
    channel: ChannelId,
    payload: Vec<u8>,
}

fn frame(kind: FrameKind, channel: ChannelId, payload: &[u8]) -> Sent {
    Sent { kind, channel, payload: payload.to_vec() }
}

fn method(channel: ChannelId, class: &AMQPClass) -> Sent {
    let payload = gen_class(class)(WriteContext::from(Vec::new())).unwrap().write;
    Sent { kind: FrameKind::Method, channel, payload }
}

fn raw_method(channel: ChannelId, class: u16, method: u16, fields: &[u8]) -> Sent {
    let payload = [&class.to_be_bytes(), &method.to_be_bytes(), fields].concat();
    Sent { kind: FrameKind::Method, channel, payload }
}

/// A content header with the given properties, flags first.
fn header(channel: ChannelId, body_size: u64, properties: &[u8]) -> Sent {
    header_of_class(channel, 60, 0, body_size, properties)
}

fn header_of_class(
    channel: ChannelId,
    class: u16,
    weight: u16,
    body_size: u64,
    properties: &[u8],
) -> Sent {
    let fixed = [class.to_be_bytes(), weight.to_be_bytes()].concat();
    let payload = [&fixed[..], &body_size.to_be_bytes(), properties].concat();
    Sent { kind: FrameKind::Header, channel, payload }
}

fn body(channel: ChannelId, octets: &[u8]) -> Sent {
    frame(FrameKind::Body, channel, octets)
}

fn heartbeat(channel: ChannelId, octets: &[u8]) -> Sent {
    frame(FrameKind::Heartbeat, channel, octets)
}

fn publish(channel: ChannelId, exchange: &str, routing_key: &str) -> Sent {
    publish_with(channel, exchange, routing_key, |_| {})
}

fn publish_with(
    channel: ChannelId,
    exchange: &str,
    routing_key: &str,
    change: impl FnOnce(&mut basic::Publish),
) -> Sent {
    let mut publish = basic::Publish {
        exchange: exchange.into(),
        routing_key: routing_key.into(),
        mandatory: false,
        immediate: false,
    };
    change(&mut publish);
    method(channel, &AMQPClass::Basic(basic::AMQPMethod::Publish(publish)))
}

fn open_channel(channel: ChannelId) -> Sent {
    method(channel, &AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {})))
}

fn close_channel(channel: ChannelId) -> Sent {
    let close =
        channel::Close { reply_code: 200, reply_text: "bye".into(), class_id: 0, method_id: 0 };
    method(channel, &AMQPClass::Channel(channel::AMQPMethod::Close(close)))
}

fn close_channel_ok(channel: ChannelId) -> Sent {
    method(channel, &AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {})))
}

fn flow(channel: ChannelId, active: bool) -> Sent {
    method(channel, &AMQPClass::Channel(channel::AMQPMethod::Flow(channel::Flow { active })))
}

fn on_connection(method_of_connection: connection::AMQPMethod) -> Sent {
    method(0, &AMQPClass::Connection(method_of_connection))
}

fn open_vhost(name: &str) -> Sent {
    on_connection(connection::AMQPMethod::Open(connection::Open { virtual_host: name.into() }))
}

fn tune_ok(channel_max: u16, frame_max: u32, heartbeat: u16) -> Sent {
    let answer = connection::TuneOk { channel_max, frame_max, heartbeat };
    on_connection(connection::AMQPMethod::TuneOk(answer))
}

fn close_connection() -> Sent {
    on_connection(connection::AMQPMethod::Close(connection::Close {
        reply_code: 200,
        reply_text: "bye".into(),
        class_id: 0,
        method_id: 0,
    }))
}

fn close_connection_ok() -> Sent {
    on_connection(connection::AMQPMethod::CloseOk(connection::CloseOk {}))
}

fn start_ok(mechanism: &str, response: &[u8], client_properties: FieldTable) -> Sent {
    on_connection(connection::AMQPMethod::StartOk(connection::StartOk {
        client_properties,
        mechanism: mechanism.into(),
        response: response.into(),
        locale: "en_US".into(),
    }))
}

fn offer() -> Offer {
    Offer {
        server_properties: FieldTable::default(),
        mechanisms: vec![Mechanism::Plain, Mechanism::AmqPlain],
        channel_max: limits::CHANNEL_MAX_DEFAULT,
        frame_max: limits::FRAME_MAX_DEFAULT,
        heartbeat: limits::HEARTBEAT_DEFAULT_SECONDS,
        max_message_size: 1_000_000,
    }
}

/// A peer and the memory for its messages.
struct PeerUnderTest {
    peer: Peer,
    arena: Arena,
}

impl PeerUnderTest {
    /// Nothing has been sent yet.
    fn connected() -> Self {
        Self::connected_to(offer())
    }

    fn connected_to(offer: Offer) -> Self {
        Self { peer: Peer::new(Arc::new(offer)), arena: Arena::new() }
    }

    /// Logged in; tune-ok is due.
    fn logged_in() -> Self {
        let mut peer = Self::connected();
        peer.logs_in();
        peer
    }

    /// The connection is open and has no channel.
    fn running() -> Self {
        Self::running_with_channel_max(offer().channel_max)
    }

    fn running_with_channel_max(channel_max: u16) -> Self {
        let mut peer = Self::logged_in();
        peer.sends(tune_ok(channel_max, limits::FRAME_MAX_DEFAULT, 60)).0.unwrap();
        peer.sends(open_vhost("/")).expects(Command::OpenVhost("/".into()));
        peer.peer.opened();
        peer
    }

    /// The connection is open, and channel 1 too.
    fn with_channel() -> Self {
        let mut peer = Self::running();
        peer.sends(open_channel(1)).expects(Command::OpenChannel);
        peer
    }

    /// Channel 1 is open and a content header is due on it.
    fn publishing() -> Self {
        let mut peer = Self::with_channel();
        peer.sends(publish(1, "", "q")).expects_nothing();
        peer
    }

    /// The broker has closed channel 1.
    fn with_closing_channel() -> Self {
        let mut peer = Self::with_channel();
        peer.peer.channel_failed(1);
        peer
    }

    fn logs_in(&mut self) {
        self.sends(start_ok("PLAIN", b"\0guest\0guest", FieldTable::default())).0.unwrap();
        self.peer.authenticated();
    }

    fn sends(&mut self, sent: Sent) -> Answer {
        let Sent { kind, channel, payload } = sent;
        let received =
            self.peer.receive(Frame { kind, channel, payload: &payload }, &mut self.arena);
        Answer(received)
    }

    /// Sends a frame given in hexadecimal, with its frame header and end.
    fn sends_hex(&mut self, digits: &str) -> Answer {
        let octets: Vec<u8> = (0..digits.len() / 2)
            .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let kind = FrameKind::from_octet(octets[0]).unwrap();
        let channel = u16::from_be_bytes([octets[1], octets[2]]);
        self.sends(frame(kind, channel, &octets[7..octets.len() - 1]))
    }
}

/// What a frame came to.
#[must_use]
struct Answer(Received);

impl Answer {
    #[track_caller]
    fn expects_nothing(self) {
        assert_eq!(self.0, Ok(None));
    }

    #[track_caller]
    fn expects(self, command: Command) {
        assert_eq!(self.0, Ok(Some(command)));
    }

    #[track_caller]
    fn expects_message(self) -> Publish {
        match self.0 {
            Ok(Some(Command::Publish(message))) => message,
            other => panic!("no message: {other:?}"),
        }
    }

    /// An error of the connection: its number and text, and the method it names.
    #[track_caller]
    fn closes_connection(self, expected: &str, culprit: (u16, u16)) -> Ending {
        let error = self.0.expect_err("a connection error");
        assert_eq!(error.scope, Scope::Connection);
        assert_eq!(Self::told(&error), (expected.to_owned(), culprit));
        error.then
    }

    #[track_caller]
    fn closes_channel(self, channel: ChannelId, expected: &str, culprit: (u16, u16)) {
        let error = self.0.expect_err("a channel error");
        assert_eq!(error.scope, Scope::Channel(channel));
        assert_eq!(Self::told(&error), (expected.to_owned(), culprit));
    }

    fn told(error: &AmqpError) -> (String, (u16, u16)) {
        (format!("{} {}", error.code.number(), error.text), (error.class, error.method))
    }
}
