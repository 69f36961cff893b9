//! Clients that work until the broker is gone, and remember what they did and what they were told.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{BARRIER, Numbers, PAIR, TOKEN};
use crate::support::{Method, PATIENCE, Properties, RawPeer, Read, TestBroker, method};

/// Queues with publishers and consumers.
pub const WORK: [&str; 4] = ["work-0", "work-1", "work-2", "work-3"];
/// Publishes a publisher has open at a time.
const WINDOW: u64 = 8;
/// Acknowledgements between two barriers.
const BARRIER_EVERY: usize = 7;

/// What one client did and saw, in order.
#[derive(Debug, Default)]
pub struct Events {
    /// Before the octets left.
    pub sent: Numbers,
    pub confirmed: Numbers,
    pub delivered: Numbers,
    /// Before the octets left.
    pub acked: Numbers,
    /// Acknowledged before a publish whose confirm came.
    pub settled: Numbers,
    /// Transactions with a commit-ok.
    pub committed: Vec<u64>,
}

/// The body of a message: its number, and filling to make sizes differ.
pub fn body(number: u64) -> String {
    let filling = usize::try_from(number % 13).unwrap() * 40;
    format!("{number:016x}{}", "x".repeat(filling))
}

/// # Panics
/// When the body is not one of ours from end to end.
pub fn number(found: &[u8]) -> u64 {
    let digits = std::str::from_utf8(&found[..16]).unwrap();
    let number = u64::from_str_radix(digits, 16).unwrap();
    assert_eq!(found, body(number).as_bytes(), "the body is damaged");
    number
}

/// What a publisher and a consumer can hear.
pub enum Heard {
    Confirm { tag: u64, multiple: bool },
    Delivery { tag: u64, body: Vec<u8> },
    Answer(Method),
    Nothing,
}

/// The broker is gone.
pub struct Gone;

/// What comes next, within `patience`.
///
/// # Panics
/// When the broker complains.
pub fn hear(peer: &mut RawPeer, patience: Duration) -> Result<Heard, Gone> {
    let payload = match peer.reads(patience) {
        Read::Frame(frame) if frame.kind == 1 => frame.payload,
        Read::Frame(frame) => panic!("a method was due, not {frame:?}"),
        Read::Silence => return Ok(Heard::Nothing),
        Read::Ended => return Err(Gone),
    };
    let method = Method::decode(&payload);
    match method.name {
        "basic.ack" => Ok(Heard::Confirm {
            tag: method.number("delivery_tag"),
            multiple: method.bit("multiple"),
        }),
        "basic.deliver" | "basic.get-ok" => {
            Ok(Heard::Delivery { tag: method.number("delivery_tag"), body: content(peer)? })
        }
        "basic.nack" | "channel.close" | "connection.close" => panic!("the broker sent {method:?}"),
        _ => Ok(Heard::Answer(method)),
    }
}

fn content(peer: &mut RawPeer) -> Result<Vec<u8>, Gone> {
    let mut payload = Vec::new();
    for _header_then_body in 0..2 {
        match peer.reads(PATIENCE) {
            Read::Frame(frame) => payload = frame.payload,
            Read::Ended => return Err(Gone),
            Read::Silence => panic!("half a message, and then silence"),
        }
    }
    Ok(payload)
}

/// Whether it was sent.
pub fn send(sent: bool) -> Result<(), Gone> {
    if sent { Ok(()) } else { Err(Gone) }
}

/// A persistent message, through the default exchange.
pub fn publish(peer: &mut RawPeer, queue: &str, number: u64) -> Result<(), Gone> {
    let publish = method("basic.publish").set("routing_key", queue);
    send(peer.sends_content(1, &publish, &Properties::persistent(), body(number).as_bytes()))
}

/// Publishes with confirms, to every queue in turn.
pub struct Publisher {
    peer: RawPeer,
    next: u64,
    sequence: u64,
    open: BTreeMap<u64, (&'static str, u64)>,
    events: Events,
}

impl Publisher {
    /// Numbers its messages from `base`.
    pub fn new(broker: &TestBroker, base: u64) -> Self {
        let mut peer = RawPeer::connect(broker);
        peer.selects_confirms(1);
        let (open, events) = (BTreeMap::new(), Events::default());
        Self { peer, next: base, sequence: 0, open, events }
    }

    pub fn run(mut self) -> Events {
        while self.step().is_ok() {}
        self.events
    }

    fn step(&mut self) -> Result<(), Gone> {
        while (self.open.len() as u64) < WINDOW {
            let queue = WORK[usize::try_from(self.next * 7 / 3 % 4).unwrap()];
            self.next += 1;
            self.sequence += 1;
            self.open.insert(self.sequence, (queue, self.next));
            self.events.sent.push((queue, self.next));
            publish(&mut self.peer, queue, self.next)?;
        }
        match hear(&mut self.peer, PATIENCE)? {
            Heard::Confirm { tag, multiple } => {
                self.events.confirmed.extend(take_confirmed(&mut self.open, tag, multiple));
                Ok(())
            }
            Heard::Nothing => panic!("a publish is not confirmed"),
            _ => panic!("a confirm was due"),
        }
    }
}

/// Takes out what a confirm confirms.
pub fn take_confirmed<T>(open: &mut BTreeMap<u64, T>, tag: u64, multiple: bool) -> Vec<T> {
    if !multiple {
        return open.remove(&tag).into_iter().collect();
    }
    let later = open.split_off(&(tag + 1));
    std::mem::replace(open, later).into_values().collect()
}

/// Takes messages and acknowledges them, with a barrier now and then.
pub struct Consumer {
    peer: RawPeer,
    /// Which queue a consumer tag stands for is told by the number of the delivery's queue.
    queues: &'static [&'static str],
    sequence: u64,
    unvouched: Numbers,
    barriers: BTreeMap<u64, Numbers>,
    events: Events,
}

impl Consumer {
    pub fn new(broker: &TestBroker, queues: &'static [&'static str]) -> Self {
        let mut peer = RawPeer::connect(broker);
        peer.selects_confirms(1);
        let (unvouched, barriers, events) = (Vec::new(), BTreeMap::new(), Events::default());
        Self { peer, queues, sequence: 0, unvouched, barriers, events }
    }

    pub fn run(mut self) -> Events {
        let started = self.start();
        while started.is_ok() && self.step().is_ok() {}
        self.events
    }

    fn start(&mut self) -> Result<(), Gone> {
        send(self.peer.sends(1, &method("basic.qos").set("prefetch_count", 50)))?;
        for queue in self.queues {
            let consume = method("basic.consume").set("queue", *queue).set("consumer_tag", *queue);
            send(self.peer.sends(1, &consume.on("nowait")))?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), Gone> {
        match hear(&mut self.peer, Duration::from_millis(50))? {
            Heard::Delivery { tag, body } => self.settle(tag, number(&body)),
            Heard::Confirm { tag, multiple } => {
                let vouched = take_confirmed(&mut self.barriers, tag, multiple);
                self.events.settled.extend(vouched.into_iter().flatten());
                Ok(())
            }
            Heard::Answer(_) | Heard::Nothing => Ok(()),
        }
    }

    /// Leaves every eleventh message unsettled, so that some are always in flight at the kill.
    fn settle(&mut self, tag: u64, number: u64) -> Result<(), Gone> {
        let queue = WORK[usize::try_from((number - 1) * 7 / 3 % 4).unwrap()];
        self.events.delivered.push((queue, number));
        if number.is_multiple_of(11) {
            return Ok(());
        }
        self.events.acked.push((queue, number));
        self.unvouched.push((queue, number));
        send(self.peer.acks(1, tag))?;
        if self.unvouched.len() < BARRIER_EVERY {
            return Ok(());
        }
        self.sequence += 1;
        self.barriers.insert(self.sequence, std::mem::take(&mut self.unvouched));
        publish(&mut self.peer, BARRIER, 0)
    }
}

/// One transaction after the other: the same number to both queues of the pair, and, three times of four, the token
/// replaced by it.
pub struct Transactor {
    peer: RawPeer,
    next: u64,
    events: Events,
}

impl Transactor {
    pub fn new(broker: &TestBroker, base: u64) -> Self {
        let mut peer = RawPeer::connect(broker);
        peer.asks(1, &method("tx.select"), "tx.select-ok");
        Self { peer, next: base, events: Events::default() }
    }

    pub fn run(mut self) -> Events {
        while self.step().is_ok() {}
        self.events
    }

    fn step(&mut self) -> Result<(), Gone> {
        self.next += 1;
        let token = if takes_token(self.next) { Some(self.take_token()?) } else { None };
        for queue in PAIR {
            publish(&mut self.peer, queue, self.next)?;
        }
        if let Some(tag) = token {
            publish(&mut self.peer, TOKEN, self.next)?;
            send(self.peer.acks(1, tag))?;
        }
        send(self.peer.sends(1, &method("tx.commit")))?;
        let answer = self.answer()?;
        assert_eq!(answer.name, "tx.commit-ok");
        self.events.committed.push(self.next);
        Ok(())
    }

    fn take_token(&mut self) -> Result<u64, Gone> {
        send(self.peer.sends(1, &method("basic.get").set("queue", TOKEN)))?;
        match hear(&mut self.peer, PATIENCE)? {
            Heard::Delivery { tag, .. } => Ok(tag),
            _ => panic!("there is no token"),
        }
    }

    fn answer(&mut self) -> Result<Method, Gone> {
        match hear(&mut self.peer, PATIENCE)? {
            Heard::Answer(method) => Ok(method),
            _ => panic!("an answer was due"),
        }
    }
}

/// Whether the transaction of this number replaces the token.
pub fn takes_token(transaction: u64) -> bool {
    !transaction.is_multiple_of(4)
}
