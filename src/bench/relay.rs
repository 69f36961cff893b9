//! A stand-in for a broker: turns publishes into deliveries and does nothing else.
//!
//! It shows two things: how fast the generator and loopback are on a machine when no broker is in the way, and
//! (with a [`Fault`]) that verification notices what it promises to notice.
//!
//! Knows no prefetch, keeps no message, believes every client; only for traffic from this generator.

#![allow(clippy::disallowed_types, reason = "a benchmark shares no code with the crate")]

use std::collections::HashMap;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bench::connection::Inbound;
use crate::bench::topic;
use crate::bench::wire::{
    FRAME_OVERHEAD, Fields, Frame, HEADER, METHOD, MethodId, MethodWriter, method,
};
use crate::bench::{Failure, Result, complain, print};

/// One message of so many is treated badly.
const FAULT_EVERY: u64 = 1000;
const MOST_FRAME_BYTES: u32 = 128 << 10;
const PROTOCOL_HEADER_BYTES: usize = 8;

/// What the relay does wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Fault {
    /// Does not deliver a message.
    Lose,
    /// Delivers a message twice.
    Double,
    /// Delivers a message after its successor.
    Swap,
    /// Changes a byte in the middle of each body.
    Damage,
}

/// Serves connections on `address` until the process is ended.
pub(crate) fn serve(address: &str, fault: Option<Fault>) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    print(&format!("relay: listening on {}", listener.local_addr()?));
    let routes = Arc::new(Routes::default());
    for stream in listener.incoming() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        let routes = Arc::clone(&routes);
        std::thread::spawn(move || {
            // A client that goes away without goodbye ends its own connection only.
            if let Err(error) = Peer::new(stream, routes, fault).serve() {
                complain(&format!("relay: {error}"));
            }
        });
    }
    Ok(())
}

/// Who consumes what, for all connections.
#[derive(Debug, Default)]
struct Routes {
    subscribers: Mutex<HashMap<String, Arc<Subscriber>>>,
    /// Patterns and queues by exchange.
    bindings: Mutex<HashMap<String, Vec<(String, String)>>>,
}

type Subscribers = Arc<[Arc<Subscriber>]>;

#[derive(Debug)]
struct Subscriber {
    channel: u16,
    consumer_tag: String,
    outbox: Arc<Outbox>,
}

/// What goes to one connection that consumes, written when a read has been handled.
#[derive(Debug)]
struct Outbox {
    stream: Arc<TcpStream>,
    sending: Mutex<Sending>,
}

#[derive(Debug, Default)]
struct Sending {
    bytes: Vec<u8>,
    /// The last delivery tag of each channel.
    tags: Vec<u64>,
}

/// One connection to the relay.
struct Peer {
    stream: Arc<TcpStream>,
    inbound: Inbound,
    outbox: Arc<Outbox>,
    routes: Arc<Routes>,
    fault: Option<Fault>,
    /// Who is on which route, by the arguments of basic.publish.
    known: HashMap<Vec<u8>, Subscribers>,
    /// The route of the last publish.
    target: Option<(Vec<u8>, Subscribers)>,
    /// Where something is to be written.
    filled: Vec<Arc<Outbox>>,
    published: u64,
    confirmed: Option<u64>,
    held_back: Vec<u8>,
}

impl Peer {
    fn new(stream: TcpStream, routes: Arc<Routes>, fault: Option<Fault>) -> Self {
        let stream = Arc::new(stream);
        let outbox = Outbox { stream: Arc::clone(&stream), sending: Mutex::default() };
        Self {
            stream,
            inbound: Inbound::new(),
            outbox: Arc::new(outbox),
            routes,
            fault,
            known: HashMap::new(),
            target: None,
            filled: Vec::new(),
            published: 0,
            confirmed: None,
            held_back: Vec::new(),
        }
    }

    fn serve(mut self) -> Result<()> {
        while self.inbound.unread().len() < PROTOCOL_HEADER_BYTES {
            self.fill()?;
        }
        self.inbound.consume(PROTOCOL_HEADER_BYTES);
        self.send(&start())?;
        loop {
            self.fill()?;
            let inbound = std::mem::replace(&mut self.inbound, Inbound::empty());
            let used = self.handle(inbound.unread());
            self.inbound = inbound;
            let (used, open) = used?;
            self.inbound.consume(used);
            self.flush()?;
            if !open {
                return Ok(());
            }
        }
    }

    fn fill(&mut self) -> Result<()> {
        Ok(self.inbound.fill(&mut &*self.stream)?)
    }

    fn send(&self, bytes: &[u8]) -> Result<()> {
        Ok((&*self.stream).write_all(bytes)?)
    }

    /// Handles all complete frames and messages; returns the bytes used and whether the connection stays.
    fn handle(&mut self, bytes: &[u8]) -> Result<(usize, bool)> {
        let mut at = 0;
        while let Some((frame, length)) = Frame::first(&bytes[at..])? {
            match frame.method() {
                Some((method::BASIC_PUBLISH, _)) => {
                    let Some(content) = content_length(&bytes[at + length..])? else { break };
                    let content = &bytes[at + length..at + length + content];
                    self.publish(frame.payload, content)?;
                    at += content.len();
                }
                Some((method::CONNECTION_CLOSE, _)) => {
                    self.send(&MethodWriter::new(0, method::CONNECTION_CLOSE_OK).finish())?;
                    return Ok((at + length, false));
                }
                Some((id, fields)) => self.answer(frame.channel, id, fields)?,
                None => return Err("a content frame without basic.publish".into()),
            }
            at += length;
        }
        Ok((at, true))
    }

    fn publish(&mut self, arguments: &[u8], content: &[u8]) -> Result<()> {
        self.published += 1;
        let subscribers = self.target(arguments)?;
        let due = self.published.is_multiple_of(FAULT_EVERY);
        match self.fault {
            Some(Fault::Lose) if due => return Ok(()),
            Some(Fault::Double) if due => self.deliver(&subscribers, content),
            Some(Fault::Swap) if due => {
                self.held_back = content.to_vec();
                return Ok(());
            }
            Some(Fault::Damage) => {
                let mut damaged = content.to_vec();
                // The header frame is shorter than 40 bytes, the stamp and the last byte are left alone.
                damaged[content.len() / 2 + 20] ^= 1;
                self.deliver(&subscribers, &damaged);
                return Ok(());
            }
            _ => {}
        }
        self.deliver(&subscribers, content);
        if !self.held_back.is_empty() {
            let held_back = std::mem::take(&mut self.held_back);
            self.deliver(&subscribers, &held_back);
        }
        Ok(())
    }

    /// Who a publish with these `arguments` reaches. The last answer is at hand, others are looked up once.
    fn target(&mut self, arguments: &[u8]) -> Result<Subscribers> {
        if let Some((route, subscribers)) = &self.target
            && route == arguments
        {
            return Ok(Arc::clone(subscribers));
        }
        let subscribers = if let Some(known) = self.known.get(arguments) {
            Arc::clone(known)
        } else {
            let found: Subscribers = self.routes.of(arguments)?.into();
            self.known.insert(arguments.to_vec(), Arc::clone(&found));
            found
        };
        self.target = Some((arguments.to_vec(), Arc::clone(&subscribers)));
        Ok(subscribers)
    }

    fn deliver(&mut self, subscribers: &[Arc<Subscriber>], content: &[u8]) {
        for subscriber in subscribers {
            let mut sending = lock(&subscriber.outbox.sending);
            if sending.bytes.is_empty() {
                self.filled.push(Arc::clone(&subscriber.outbox));
            }
            push_delivery(&mut sending, subscriber, content);
        }
    }

    /// Writes what the last read has caused: deliveries, then one confirm for all publishes.
    fn flush(&mut self) -> Result<()> {
        for outbox in self.filled.drain(..) {
            let mut sending = lock(&outbox.sending);
            (&*outbox.stream).write_all(&sending.bytes)?;
            sending.bytes.clear();
        }
        if self.confirmed.is_some_and(|confirmed| confirmed < self.published) {
            self.confirmed = Some(self.published);
            let ack = MethodWriter::new(1, method::BASIC_ACK).u64(self.published).u8(1);
            self.send(&ack.finish())?;
        }
        Ok(())
    }

    fn answer(&mut self, channel: u16, id: MethodId, mut fields: Fields) -> Result<()> {
        let reply = |reply| MethodWriter::new(channel, reply);
        let reply = match id {
            method::CONNECTION_START_OK => {
                reply(method::CONNECTION_TUNE).u16(2047).u32(MOST_FRAME_BYTES).u16(0)
            }
            method::CONNECTION_TUNE_OK | method::BASIC_ACK => return Ok(()),
            method::CONNECTION_OPEN => reply(method::CONNECTION_OPEN_OK).short_string(""),
            method::CHANNEL_OPEN => reply(method::CHANNEL_OPEN_OK).long_string(b""),
            method::EXCHANGE_DECLARE => reply(method::EXCHANGE_DECLARE_OK),
            method::EXCHANGE_DELETE => {
                lock(&self.routes.bindings).remove(&ticket_and_name(&mut fields)?);
                reply(method::EXCHANGE_DELETE_OK)
            }
            method::QUEUE_DECLARE => {
                let queue = ticket_and_name(&mut fields)?;
                reply(method::QUEUE_DECLARE_OK).short_string(&queue).u32(0).u32(0)
            }
            method::QUEUE_BIND => {
                let queue = ticket_and_name(&mut fields)?;
                let exchange = name(&mut fields)?;
                let pattern = name(&mut fields)?;
                lock(&self.routes.bindings).entry(exchange).or_default().push((pattern, queue));
                reply(method::QUEUE_BIND_OK)
            }
            method::QUEUE_DELETE => {
                let queue = ticket_and_name(&mut fields)?;
                lock(&self.routes.subscribers).remove(&queue);
                reply(method::QUEUE_DELETE_OK).u32(0)
            }
            method::BASIC_QOS => reply(method::BASIC_QOS_OK),
            method::BASIC_CONSUME => {
                let queue = ticket_and_name(&mut fields)?;
                let consumer_tag = name(&mut fields)?;
                let reply = reply(method::BASIC_CONSUME_OK).short_string(&consumer_tag);
                let outbox = Arc::clone(&self.outbox);
                self.routes.subscribe(queue, Subscriber { channel, consumer_tag, outbox });
                reply
            }
            method::CONFIRM_SELECT => {
                self.confirmed = Some(0);
                reply(method::CONFIRM_SELECT_OK)
            }
            _ => return Err(format!("unknown method {}.{}", id >> 16, id & 0xFFFF).into()),
        };
        self.send(&reply.finish())
    }
}

impl Routes {
    /// Queues bound to `exchange` with a pattern that matches `key`. All bindings of a fanout have the empty one.
    fn bound(&self, exchange: &str, key: &str) -> Vec<String> {
        let bindings = lock(&self.bindings);
        let all = bindings.get(exchange).into_iter().flatten();
        let matching = all.filter(|(pattern, _)| topic::matches(pattern, key));
        matching.map(|(_, queue)| queue.clone()).collect()
    }

    fn subscribe(&self, queue: String, subscriber: Subscriber) {
        lock(&self.subscribers).insert(queue, Arc::new(subscriber));
    }

    /// The subscribers that a publish with these `arguments` (with the method's number before them) reaches.
    fn of(&self, arguments: &[u8]) -> Result<Vec<Arc<Subscriber>>> {
        let mut fields = Fields(&arguments[4..]);
        let exchange = ticket_and_name(&mut fields)?;
        let key = name(&mut fields)?;
        let queues = if exchange.is_empty() { vec![key] } else { self.bound(&exchange, &key) };
        let subscribers = lock(&self.subscribers);
        Ok(queues.iter().filter_map(|queue| subscribers.get(queue).map(Arc::clone)).collect())
    }
}

/// Length of the content (header frame and body frames) at the start of `bytes`; none while it is incomplete.
fn content_length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some((header, mut end)) = Frame::first(bytes)? else { return Ok(None) };
    let size = header.payload.get(4..12).and_then(|size| Fields(size).u64());
    let mut left = size.filter(|_| header.kind == HEADER).ok_or("no content header")?;
    while left > 0 {
        let Some((piece, length)) = Frame::first(&bytes[end..])? else { return Ok(None) };
        left = left.saturating_sub(piece.payload.len() as u64);
        end += length;
    }
    Ok(Some(end))
}

fn push_delivery(sending: &mut Sending, subscriber: &Subscriber, mut content: &[u8]) {
    let channel = usize::from(subscriber.channel);
    if sending.tags.len() <= channel {
        sending.tags.resize(channel + 1, 0);
    }
    sending.tags[channel] += 1;
    let (tag, bytes) = (sending.tags[channel].to_be_bytes(), &mut sending.bytes);
    let consumer_tag = subscriber.consumer_tag.as_bytes();
    // Class and method, consumer tag, delivery tag, redelivered; exchange and routing key are left empty, as nobody
    // looks at them.
    let size = 4 + 1 + consumer_tag.len() + 8 + 3;
    let channel = subscriber.channel.to_be_bytes();
    bytes.extend([METHOD, channel[0], channel[1], 0, 0, 0, size as u8]);
    bytes.extend([0, 60, 0, 60, consumer_tag.len() as u8]);
    bytes.extend_from_slice(consumer_tag);
    bytes.extend(tag);
    bytes.extend([0, 0, 0, crate::bench::wire::FRAME_END]);
    while let Ok(Some((frame, length))) = Frame::first(content) {
        let start = bytes.len();
        bytes.extend_from_slice(&content[..frame.payload.len() + FRAME_OVERHEAD]);
        bytes[start + 1..start + 3].copy_from_slice(&channel);
        content = &content[length..];
    }
}

fn start() -> Vec<u8> {
    MethodWriter::new(0, method::CONNECTION_START)
        .u8(0)
        .u8(9)
        .u32(0)
        .long_string(b"PLAIN")
        .long_string(b"en_US")
        .finish()
}

fn ticket_and_name(fields: &mut Fields) -> Result<String> {
    fields.u16();
    name(fields)
}

fn name(fields: &mut Fields) -> Result<String> {
    let bytes = fields.short_string().ok_or_else(|| Failure::from("a method is too short"))?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
