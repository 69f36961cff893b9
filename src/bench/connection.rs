//! A blocking AMQP connection: handshake, simple calls, orderly close.
//!
//! Used to set the stage and to take it down; while a run is under way the producer and the consumer work on
//! [`Connection::stream`] and [`Connection::inbound`] themselves.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::bench::wire::{Fields, Frame, HEARTBEAT, MethodId, MethodWriter, length_u32, method};
use crate::bench::{Failure, Result};

/// How long the broker may take to answer, to accept a write, or to make any progress at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const PROTOCOL_HEADER: &[u8] = b"AMQP\0\0\x09\x01";
const READ_BUFFER_BYTES: usize = 256 << 10;
const MOST_FRAME_BYTES: u32 = 128 << 10;
// AMQP 0-9-1 frame-min-size.
const LEAST_FRAME_BYTES: u32 = 4096;

/// Where the broker is and who we are to it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: String,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) vhost: String,
}

/// Bytes read but not yet consumed, always in one piece.
#[derive(Debug)]
pub(crate) struct Inbound {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbound {
    pub(crate) fn new() -> Self {
        Self::with_room(READ_BUFFER_BYTES)
    }

    fn with_room(bytes: usize) -> Self {
        Self { buffer: vec![0; bytes], start: 0, end: 0 }
    }

    /// Holds nothing and has room for nothing, to stand in while the real one is borrowed.
    pub(crate) fn empty() -> Self {
        Self { buffer: Vec::new(), start: 0, end: 0 }
    }

    /// What was read and not yet consumed.
    #[inline]
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Gives up the first `count` unread bytes.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end, "only what was read can be consumed");
    }

    /// Reads once. Fails at the end of the stream, and with `WouldBlock` when the read timeout passes.
    pub(crate) fn fill(&mut self, stream: &mut impl Read) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let count = stream.read(&mut self.buffer[self.end..])?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the broker hung up"));
        }
        self.end += count;
        RECEIVED_BYTES.fetch_add(count as u64, Ordering::Relaxed);
        Ok(())
    }
}

static RECEIVED_BYTES: AtomicU64 = AtomicU64::new(0);

/// Bytes read so far from all connections together.
pub(crate) fn received_bytes() -> u64 {
    RECEIVED_BYTES.load(Ordering::Relaxed)
}

/// One open AMQP connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) inbound: Inbound,
    /// The largest frame the broker accepts and sends, in bytes.
    pub(crate) frame_max: usize,
}

impl Connection {
    /// Connects, logs in, opens the vhost; heartbeats are off.
    pub(crate) fn open(target: &Target) -> Result<Self> {
        Self::open_with(target, READ_BUFFER_BYTES)
    }

    /// The same with a read buffer of `room` bytes, for a connection that reads little.
    pub(crate) fn open_with(target: &Target, room: usize) -> Result<Self> {
        let stream = TcpStream::connect(&target.address)
            .map_err(|error| format!("cannot connect to {}: {error}", target.address))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut connection = Self { stream, inbound: Inbound::with_room(room), frame_max: 0 };

        connection.call(PROTOCOL_HEADER, method::CONNECTION_START)?;
        let tune = connection.call(&start_ok(target), method::CONNECTION_TUNE)?;
        let (channel_max, frame_max) = parse_tune(&tune).ok_or("connection.tune is too short")?;
        connection.frame_max = frame_max as usize;
        connection.stream.write_all(
            &MethodWriter::new(0, method::CONNECTION_TUNE_OK)
                .u16(channel_max)
                .u32(frame_max)
                .u16(0)
                .finish(),
        )?;
        let open = MethodWriter::new(0, method::CONNECTION_OPEN)
            .short_string(&target.vhost)
            .short_string("")
            .u8(0);
        connection.call(&open.finish(), method::CONNECTION_OPEN_OK)?;
        Ok(connection)
    }

    /// Opens a channel.
    pub(crate) fn open_channel(&mut self, channel: u16) -> Result<()> {
        let open = MethodWriter::new(channel, method::CHANNEL_OPEN).short_string("");
        self.call(&open.finish(), method::CHANNEL_OPEN_OK).map(drop)
    }

    /// Sends `request` and waits for the method `reply`; returns its arguments.
    pub(crate) fn call(&mut self, request: &[u8], reply: MethodId) -> Result<Vec<u8>> {
        self.stream.write_all(request)?;
        loop {
            while let Some((frame, length)) = Frame::first(self.inbound.unread())? {
                let answer = match frame.method() {
                    Some((id, arguments)) if id == reply => Some(arguments.0.to_vec()),
                    _ if frame.kind == HEARTBEAT => None,
                    _ => return Err(unexpected(&frame)),
                };
                self.inbound.consume(length);
                if let Some(arguments) = answer {
                    return Ok(arguments);
                }
            }
            self.inbound.fill(&mut self.stream)?;
        }
    }

    /// Says goodbye and waits for the answer, so that the broker has handled everything sent before.
    pub(crate) fn close(mut self) -> Result<()> {
        let close =
            MethodWriter::new(0, method::CONNECTION_CLOSE).u16(200).short_string("").u16(0).u16(0);
        self.stream.set_read_timeout(Some(PATIENCE))?;
        self.stream.write_all(&close.finish())?;
        self.read_until(method::CONNECTION_CLOSE_OK, PATIENCE)?
            .map_or_else(|| Err("no connection.close-ok".into()), |_| Ok(()))
    }

    /// What the broker said when it closed the connection, or `error` when it said nothing.
    pub(crate) fn explain(&mut self, error: Failure) -> Failure {
        let brief = Duration::from_millis(300);
        if self.stream.set_read_timeout(Some(brief)).is_err() {
            return error;
        }
        match self.read_until(method::CONNECTION_CLOSE, brief) {
            Ok(Some(arguments)) => close_reason(Fields(&arguments)).into(),
            Ok(None) | Err(_) => error,
        }
    }

    /// Reads and drops frames up to the method `wanted`; none when it does not come in time.
    fn read_until(&mut self, wanted: MethodId, patience: Duration) -> Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            while let Some((frame, length)) = Frame::first(self.inbound.unread())? {
                if let Some((id, arguments)) = frame.method()
                    && id == wanted
                {
                    return Ok(Some(arguments.0.to_vec()));
                }
                self.inbound.consume(length);
            }
            self.inbound.fill(&mut self.stream)?;
        }
        Ok(None)
    }
}

/// The failure that a frame nobody asked for stands for.
#[cold]
pub(crate) fn unexpected(frame: &Frame) -> Failure {
    match frame.method() {
        Some((method::CONNECTION_CLOSE | method::CHANNEL_CLOSE, fields)) => {
            close_reason(fields).into()
        }
        Some((id, _)) => {
            format!("unexpected method {}.{} on channel {}", id >> 16, id & 0xFFFF, frame.channel)
                .into()
        }
        None => {
            format!("unexpected frame of type {} on channel {}", frame.kind, frame.channel).into()
        }
    }
}

fn close_reason(mut fields: Fields) -> String {
    let code = fields.u16().unwrap_or(0);
    let text = fields.short_string().unwrap_or_default();
    format!("closed by the broker: {code} {}", String::from_utf8_lossy(text))
}

fn start_ok(target: &Target) -> Vec<u8> {
    let login = format!("\0{}\0{}", target.user, target.password);
    MethodWriter::new(0, method::CONNECTION_START_OK)
        .long_string(&client_properties())
        .short_string("PLAIN")
        .long_string(login.as_bytes())
        .short_string("en_US")
        .finish()
}

/// A field table without its length: who we are, and that we want to be told when a login is refused.
fn client_properties() -> Vec<u8> {
    const CAPABILITIES: &[u8] = b"\x1cauthentication_failure_closet\x01";
    let mut table = b"\x07productS\0\0\0\x0dleveret bench\x0ccapabilitiesF".to_vec();
    table.extend(length_u32(CAPABILITIES.len()).to_be_bytes());
    table.extend(CAPABILITIES);
    table
}

/// Channel-max and frame-max to answer: what the broker offers, within what we can handle.
fn parse_tune(arguments: &[u8]) -> Option<(u16, u32)> {
    let mut fields = Fields(arguments);
    let (channel_max, frame_max) = (fields.u16()?, fields.u32()?);
    // AMQP 0-9-1 connection.tune: a frame-max of 0 means no limit.
    let frame_max =
        if frame_max == 0 { MOST_FRAME_BYTES } else { frame_max.max(LEAST_FRAME_BYTES) };
    Some((channel_max, frame_max.min(MOST_FRAME_BYTES)))
}
