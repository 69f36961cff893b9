//! A client that speaks frames and nothing more: it sends what it is told, legal or not, and hands back what comes.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{Method, PATIENCE, Table, TestBroker, method};

pub const PROTOCOL_HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

/// How to log in.
#[derive(Clone, Debug)]
pub struct Login {
    pub mechanism: &'static str,
    pub response: String,
    pub vhost: &'static str,
    pub channel_max: u16,
    pub frame_max: u32,
    pub heartbeat: u16,
    /// Those the client declares.
    pub capabilities: &'static [&'static str],
}

impl Default for Login {
    /// guest, with the broker's own offers, without heartbeats, with every capability.
    fn default() -> Self {
        Self {
            mechanism: "PLAIN",
            response: "\0guest\0guest".to_owned(),
            vhost: "/",
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat: 0,
            capabilities: &[
                "authentication_failure_close",
                "basic.nack",
                "connection.blocked",
                "consumer_cancel_notify",
                "publisher_confirms",
            ],
        }
    }
}

/// One frame as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub kind: u8,
    pub channel: u16,
    pub payload: Vec<u8>,
}

/// What reading brought.
#[derive(Debug, PartialEq)]
pub enum Read {
    Frame(Frame),
    /// The broker closed the socket.
    Ended,
    /// Nothing within the time.
    Silence,
}

/// One TCP connection.
#[derive(Debug)]
pub struct RawPeer {
    stream: TcpStream,
    /// Keeps the broker running; none for a peer that does not mind.
    _host: Option<TestBroker>,
    input: Vec<u8>,
    inbox: VecDeque<Frame>,
    /// Bodies are cut to it.
    pub frame_max: u32,
}

impl RawPeer {
    /// Connected, and nothing said yet.
    pub fn dial(broker: &TestBroker) -> Self {
        let peer = Self::try_dial(broker.address()).expect("the broker accepts connections");
        Self { _host: Some(broker.clone()), ..peer }
    }

    pub fn try_dial(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let (input, inbox) = (Vec::new(), VecDeque::new());
        Ok(Self { stream, _host: None, input, inbox, frame_max: 131_072 })
    }

    /// Logged in as guest, channel 1 open.
    pub fn connect(broker: &TestBroker) -> Self {
        let mut peer = Self::connect_with(broker, &Login::default());
        peer.opens(1);
        peer
    }

    /// Logged in, no channel open.
    pub fn connect_with(broker: &TestBroker, login: &Login) -> Self {
        let mut peer = Self::dial(broker);
        peer.logs_in(login);
        peer
    }

    /// From the protocol header to connection.open-ok.
    pub fn logs_in(&mut self, login: &Login) {
        self.greets();
        self.authenticates(login);
        self.tunes(login);
        self.enters(login.vhost);
        self.takes(0, "connection.open-ok");
    }

    /// Sends the protocol header; connection.start comes back.
    pub fn greets(&mut self) -> Method {
        self.sends_bytes(PROTOCOL_HEADER);
        self.takes(0, "connection.start")
    }

    pub fn authenticates(&mut self, login: &Login) {
        let capabilities = Table(
            login.capabilities.iter().map(|name| ((*name).to_owned(), true.into())).collect(),
        );
        let start_ok = method("connection.start-ok")
            .set("client_properties", table! { "capabilities" => capabilities })
            .set("mechanism", login.mechanism)
            .set("response", &login.response)
            .set("locale", "en_US");
        self.sends(0, &start_ok);
    }

    /// Takes the broker's tune and answers with its own; the offer comes back.
    pub fn tunes(&mut self, login: &Login) -> Method {
        let offer = self.takes(0, "connection.tune");
        let tune_ok = method("connection.tune-ok")
            .set("channel_max", u64::from(login.channel_max))
            .set("frame_max", u64::from(login.frame_max))
            .set("heartbeat", u64::from(login.heartbeat));
        self.frame_max = login.frame_max;
        self.sends(0, &tune_ok);
        offer
    }

    /// Asks for a virtual host.
    pub fn enters(&mut self, vhost: &str) {
        self.sends(0, &method("connection.open").set("vhost", vhost));
    }

    /// Opens a channel.
    pub fn opens(&mut self, channel: u16) {
        self.asks(channel, &method("channel.open"), "channel.open-ok");
    }

    /// Whether the socket still took it.
    pub fn sends(&mut self, channel: u16, method: &Method) -> bool {
        self.sends_frame(1, channel, &method.encode())
    }

    pub fn sends_frame(&mut self, kind: u8, channel: u16, payload: &[u8]) -> bool {
        self.sends_bytes(&frame(kind, channel, payload))
    }

    pub fn sends_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends a method and takes the reply of that name.
    pub fn asks(&mut self, channel: u16, question: &Method, answer: &str) -> Method {
        self.sends(channel, question);
        self.takes(channel, answer)
    }

    /// The next method on the channel must be this one.
    #[track_caller]
    pub fn expects(&mut self, channel: u16, expected: &Method) {
        let got = self.next_method(channel);
        assert_eq!(&got, expected, "on channel {channel}");
    }

    /// The next method on the channel must have this name.
    #[track_caller]
    pub fn takes(&mut self, channel: u16, name: &str) -> Method {
        let got = self.next_method(channel);
        assert_eq!(got.name, name, "on channel {channel}: got {got:?}");
        got
    }

    #[track_caller]
    pub fn next_method(&mut self, channel: u16) -> Method {
        let frame = self.next_frame(channel);
        assert_eq!(frame.kind, 1, "a method was due on channel {channel}, not {frame:?}");
        Method::decode(&frame.payload)
    }

    /// The next frame of the channel; others are kept for later.
    ///
    /// # Panics
    /// When the broker hangs up, closes the connection or stays silent instead.
    #[track_caller]
    pub fn next_frame(&mut self, channel: u16) -> Frame {
        if let Some(place) = self.inbox.iter().position(|frame| frame.channel == channel) {
            return self.inbox.remove(place).unwrap();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.reads(deadline.saturating_duration_since(Instant::now())) {
                Read::Frame(frame) if frame.kind == 8 => {}
                Read::Frame(frame) if frame.channel == channel => return frame,
                Read::Frame(frame) if frame.channel == 0 => {
                    panic!(
                        "instead of a frame on channel {channel}: {:?}",
                        Method::decode(&frame.payload)
                    )
                }
                Read::Frame(frame) => self.inbox.push_back(frame),
                other => panic!("instead of a frame on channel {channel}: {other:?}"),
            }
        }
    }

    /// The broker hangs up without another word.
    #[track_caller]
    pub fn expects_end(&mut self) {
        let got = self.reads(PATIENCE);
        assert_eq!(got, Read::Ended);
    }

    /// The broker hangs up with no other word than heartbeats.
    #[track_caller]
    pub fn expects_end_after_heartbeats(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.reads(deadline.saturating_duration_since(Instant::now())) {
                Read::Frame(frame) if frame.kind == 8 => {}
                other => return assert_eq!(other, Read::Ended),
            }
        }
    }

    /// Raw octets until the broker hangs up.
    pub fn rest(&mut self) -> Vec<u8> {
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = std::mem::take(&mut self.input);
        if let Err(error) = self.stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the broker did not hang up");
        }
        rest
    }

    /// Whatever comes first: a frame of any channel, the end, or silence.
    pub fn reads(&mut self, patience: Duration) -> Read {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(frame) = cut(&mut self.input) {
                return Read::Frame(frame);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Read::Silence;
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Read::Ended,
                Ok(length) => self.input.extend(&buffer[..length]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Read::Silence,
                    ErrorKind::Interrupted => {}
                    _ => return Read::Ended,
                },
            }
        }
    }
}

/// A frame in octets.
pub fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    let mut frame = vec![kind];
    frame.extend(channel.to_be_bytes());
    frame.extend(length.to_be_bytes());
    frame.extend(payload);
    frame.push(0xCE);
    frame
}

/// The first whole frame, taken out of the input.
fn cut(input: &mut Vec<u8>) -> Option<Frame> {
    let header = input.get(..7)?;
    let kind = header[0];
    let channel = u16::from_be_bytes([header[1], header[2]]);
    let length = u32::from_be_bytes(header[3..7].try_into().unwrap()) as usize;
    let payload = input.get(7..7 + length)?.to_vec();
    let end = *input.get(7 + length)?;
    assert_eq!(end, 0xCE, "the broker ended a frame with {end:#x}");
    input.drain(..length + 8);
    Some(Frame { kind, channel, payload })
}
