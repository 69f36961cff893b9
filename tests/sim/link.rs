//! One connection without a socket: octets in, turns, octets out, as the server's reader and writer do it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Buf;
use leveret::amqp::session::encode::{ConsumerNames, encode};
use leveret::amqp::session::outbox::{Drained, Outbox};
use leveret::amqp::session::outgoing::Outgoing;
use leveret::amqp::session::{Origin, Session, Shared, Status};
use leveret::amqp::wire::decoder::{Decoder, HeaderCheck};
use leveret::amqp::wire::write_buffer::WriteBuffer;
use leveret::broker::{Broker, Turn};
use leveret::limits;

use super::support::{Field, Method, Table, method};

/// What the client hears: a method, with its content if it has one.
#[derive(Clone, Debug)]
pub struct Heard {
    pub channel: u16,
    pub method: Method,
    pub headers: Table,
    pub body: Vec<u8>,
}

pub struct Link {
    broker: Arc<Broker>,
    session: Session,
    outbox: Arc<Outbox>,
    decoder: Decoder,
    names: ConsumerNames,
    buffer: WriteBuffer,
    /// On its way to the broker.
    unread: Vec<u8>,
}

impl Link {
    /// Connected, logged in and in the virtual host.
    pub fn open(shared: &Arc<Shared>) -> Self {
        let broker = Arc::clone(&shared.broker);
        let outbox = Arc::new(Outbox::new(broker.next_connection()));
        let address = SocketAddr::from(([127, 0, 0, 1], 5672));
        let origin = Origin { name: Arc::from("client -> broker"), peer: address, local: address };
        let session = Session::new(Arc::clone(shared), Arc::clone(&outbox), origin);
        let mut link = Self {
            broker,
            session,
            outbox,
            decoder: Decoder::new(limits::FRAME_MAX_BEFORE_TUNE),
            names: ConsumerNames::default(),
            buffer: WriteBuffer::new(limits::FRAME_MIN),
            unread: b"AMQP\x00\x00\x09\x01".to_vec(),
        };
        link.fill();
        assert_eq!(link.decoder.protocol_header(), Some(HeaderCheck::Accepted));
        link.in_turn(Session::start);
        link.log_in();
        link
    }

    fn log_in(&mut self) {
        let capabilities = table! {
            "capabilities" => table! {
                "basic.nack" => true,
                "consumer_cancel_notify" => true,
                "publisher_confirms" => true,
            },
        };
        let start_ok = method("connection.start-ok").set("client_properties", capabilities);
        let start_ok = start_ok.set("mechanism", "PLAIN").set("response", "\0guest\0guest");
        let tune_ok = method("connection.tune-ok").set("channel_max", 100);
        self.say(&frame(1, 0, &start_ok.set("locale", "en_US").encode()));
        self.say(&frame(1, 0, &tune_ok.set("frame_max", 131_072).encode()));
        self.say(&frame(1, 0, &method("connection.open").set("vhost", "/").encode()));
        self.take_turns();
        let heard: Vec<_> = self.hear().iter().map(|heard| heard.method.name).collect();
        assert_eq!(heard, ["connection.start", "connection.tune", "connection.open-ok"]);
    }

    /// Sends octets; the broker reads them in [`Link::take_turns`].
    pub fn say(&mut self, octets: &[u8]) {
        self.unread.extend(octets);
    }

    /// Lets the broker read until it has read everything, or will not read on.
    pub fn take_turns(&mut self) {
        while self.session.status() == Status::Running {
            let count = self.fill();
            self.session.take_turn(&mut self.decoder, count);
            if count == 0 {
                return;
            }
        }
    }

    pub fn is_stalled(&self) -> bool {
        self.session.status() == Status::Stalled
    }

    /// Goes on after a stall, if what it waited for is durable. True if it did.
    pub fn resume(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        if !self.is_stalled() || self.outbox.poll_committed(&mut context).is_pending() {
            return false;
        }
        self.in_turn(|session, turn| {
            session.resume(turn);
            session.end_turn(turn);
        });
        self.take_turns();
        true
    }

    /// It waits for a message that is not in memory.
    pub fn is_paging(&self) -> bool {
        self.session.status() == Status::Paging
    }

    /// Goes on, now that the message may be there.
    pub fn resume_paging(&mut self) {
        self.in_turn(|session, turn| {
            session.resume(turn);
            session.end_turn(turn);
        });
        self.take_turns();
    }

    /// Everything the broker has written by now.
    pub fn hear(&mut self) -> Vec<Heard> {
        let mut context = Context::from_waker(Waker::noop());
        let mut items = Vec::new();
        while let Poll::Ready(Drained::Items) = self.outbox.poll_drain(&mut context, &mut items) {
            for item in items.drain(..) {
                if let Outgoing::Tuned(tuning) = item {
                    self.buffer.set_frame_max(tuning.frame_max);
                } else {
                    encode(item, &mut self.names, &mut self.buffer);
                }
            }
            self.outbox.resume(&self.broker);
        }
        let octets = self.buffer.copy_to_bytes(self.buffer.remaining());
        understand(&octets)
    }

    /// The socket is gone.
    pub fn vanish(mut self) {
        self.in_turn(Session::end);
    }

    /// One read. How much it was.
    fn fill(&mut self) -> usize {
        let space = self.decoder.space();
        let count = space.len().min(self.unread.len());
        space[..count].copy_from_slice(&self.unread[..count]);
        self.decoder.filled(count);
        self.unread.drain(..count);
        count
    }

    fn in_turn(&mut self, work: impl FnOnce(&mut Session, &mut Turn)) {
        let mut turn = self.broker.begin_turn();
        work(&mut self.session, &mut turn);
        turn.finish(&self.broker);
    }
}

pub fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    let head = [&[kind][..], &channel.to_be_bytes(), &length.to_be_bytes()].concat();
    [&head, payload, &[0xCE]].concat()
}

/// Frames to methods with their contents. The broker sends the frames of one message together.
fn understand(octets: &[u8]) -> Vec<Heard> {
    let mut heard: Vec<Heard> = Vec::new();
    let mut left = octets;
    while !left.is_empty() {
        let channel = u16::from_be_bytes([left[1], left[2]]);
        let length = u32::from_be_bytes(left[3..7].try_into().unwrap()) as usize;
        let (kind, payload) = (left[0], &left[7..7 + length]);
        assert_eq!(left[7 + length], 0xCE, "the end of a frame");
        left = &left[8 + length..];
        match kind {
            1 => {
                let (method, headers) = (Method::decode(payload), Table::default());
                heard.push(Heard { channel, method, headers, body: Vec::new() });
            }
            2 => heard.last_mut().expect("a method before").headers = headers_of(&payload[12..]),
            3 => heard.last_mut().expect("a method before").body.extend(payload),
            other => panic!("a frame of kind {other}"),
        }
    }
    heard
}

/// The headers among properties, flags first; the clients send nothing that stands before them.
pub fn headers_of(properties: &[u8]) -> Table {
    let flags = u16::from_be_bytes([properties[0], properties[1]]);
    assert_eq!(flags & 0xC000, 0, "no content type and no encoding");
    let mut values = &properties[2..];
    if flags & 0x2000 == 0 { Table::default() } else { Table::decode(&mut values) }
}

/// How often a quorum queue says that the message came back.
pub fn returns_of(headers: &Table) -> u64 {
    match headers.get("x-delivery-count") {
        Some(Field::I64(count) | Field::Long(count)) => u64::try_from(*count).unwrap(),
        Some(other) => panic!("x-delivery-count is {other:?}"),
        None => 0,
    }
}

/// The queue in which a dead letter died last.
pub fn died_in(headers: &Table) -> Option<String> {
    let Some(Field::Array(deaths)) = headers.get("x-death") else { return None };
    let Some(Field::Nested(death)) = deaths.first() else { panic!("x-death is {deaths:?}") };
    match death.get("queue") {
        Some(Field::Text(queue)) => Some(queue.clone()),
        other => panic!("it died in {other:?}"),
    }
}
