//! One connection without a socket: octets in, turns, octets out, as the server's reader and writer do it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use amq_protocol::protocol::{AMQPClass, channel, connection};
use amq_protocol::types::FieldTable;
use bytes::Buf;
use leveret::amqp::session::encode::{ConsumerNames, encode};
use leveret::amqp::session::outbox::{Drained, Outbox};
use leveret::amqp::session::outgoing::Outgoing;
use leveret::amqp::session::{Origin, Session, Shared, Status};
use leveret::amqp::wire::decoder::{Decoder, HeaderCheck};
use leveret::amqp::wire::write_buffer::WriteBuffer;
use leveret::broker::Broker;
use leveret::limits;

/// See the module.
pub(crate) struct Link {
    broker: Arc<Broker>,
    session: Session,
    outbox: Arc<Outbox>,
    decoder: Decoder,
    names: ConsumerNames,
    items: Vec<Outgoing>,
    buffer: WriteBuffer,
}

impl Link {
    /// Logged in, in the virtual host `/`, with channel 1.
    pub(crate) fn open(shared: &Arc<Shared>) -> Self {
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
            items: Vec::new(),
            buffer: WriteBuffer::new(limits::FRAME_MIN),
        };
        link.greet();
        link.log_in();
        link.ask(&AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {})));
        link
    }

    fn greet(&mut self) {
        let header = b"AMQP\x00\x00\x09\x01";
        self.decoder.space()[..header.len()].copy_from_slice(header);
        self.decoder.filled(header.len());
        assert_eq!(self.decoder.protocol_header(), Some(HeaderCheck::Accepted));
        let mut turn = self.broker.begin_turn();
        self.session.start(&mut turn);
        turn.finish(&self.broker);
    }

    fn log_in(&mut self) {
        let start_ok = connection::StartOk {
            client_properties: FieldTable::default(),
            mechanism: "PLAIN".into(),
            response: b"\0guest\0guest".as_slice().into(),
            locale: "en_US".into(),
        };
        let tune_ok = connection::TuneOk { channel_max: 100, frame_max: 131_072, heartbeat: 0 };
        let open = connection::Open { virtual_host: "/".into() };
        self.send(0, &AMQPClass::Connection(connection::AMQPMethod::StartOk(start_ok)));
        self.send(0, &AMQPClass::Connection(connection::AMQPMethod::TuneOk(tune_ok)));
        self.send(0, &AMQPClass::Connection(connection::AMQPMethod::Open(open)));
        assert_eq!(self.session.identity(), Some(("guest", "/")));
        self.hear();
    }

    /// Calls a method on channel 1. What it changes is durable only when the broker has committed.
    pub(crate) fn ask(&mut self, method: &AMQPClass) {
        self.send(1, method);
        self.hear();
    }

    fn send(&mut self, channel: u16, method: &AMQPClass) {
        let mut said = WriteBuffer::new(limits::FRAME_MIN);
        said.method(channel, method);
        let octets = said.copy_to_bytes(said.remaining());
        self.say(&octets);
    }

    /// Sends octets, and lets the broker read all of them.
    pub(crate) fn say(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() {
            let space = self.decoder.space();
            let (now, later) = rest.split_at(space.len().min(rest.len()));
            space[..now.len()].copy_from_slice(now);
            self.decoder.filled(now.len());
            rest = later;
            self.session.take_turn(&mut self.decoder, now.len());
        }
        assert_eq!(self.session.status(), Status::Running);
    }

    /// Encodes everything the client is to hear by now. Returns how many octets it was.
    pub(crate) fn hear(&mut self) -> usize {
        let mut context = Context::from_waker(Waker::noop());
        let mut octets = 0;
        while let Poll::Ready(Drained::Items) =
            self.outbox.poll_drain(&mut context, &mut self.items)
        {
            for item in self.items.drain(..) {
                encode(item, &mut self.names, &mut self.buffer);
                if self.buffer.len() >= limits::WRITE_BATCH {
                    octets += written(&mut self.buffer);
                }
            }
            octets += written(&mut self.buffer);
            self.outbox.resume(&self.broker);
        }
        octets
    }
}

/// As if the socket had taken everything.
fn written(buffer: &mut WriteBuffer) -> usize {
    let octets = buffer.len();
    buffer.advance(octets);
    octets
}
