//! Clients that work until the broker is gone, and note what they do and what they are told.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{BACKLOG, BARRIER, PAIR, TOKEN};
use crate::checker::{ClientId, Event, History, How, MessageId};
use crate::support::{Method, PATIENCE, Properties, RawPeer, Read, TestBroker, method};

/// Queues with publishers and consumers.
pub const WORK: [&str; 4] = ["work-0", "work-1", "work-2", "work-3"];
/// Publishes a publisher has open at a time.
const WINDOW: u64 = 8;
/// Acknowledgements between two barriers.
const BARRIER_EVERY: u64 = 7;

/// The body of a message: its number, and filling to make sizes differ.
pub fn body(number: u64) -> String {
    let filling = usize::try_from(number % 13).unwrap() * 40;
    format!("{number:016x}{}", "x".repeat(filling))
}

/// The number in a body, if the body is one of ours from end to end.
pub fn number_in(found: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(found.get(..16)?).ok()?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (found == body(number).as_bytes()).then_some(number)
}

/// # Panics
/// When the body is not one of ours from end to end.
pub fn number(found: &[u8]) -> u64 {
    number_in(found).expect("the body is as it was sent")
}

/// What stands in the body of this message.
pub fn number_of(message: MessageId) -> u64 {
    u64::from(message.publisher) << 32 | message.sequence
}

/// The message with this number.
pub fn message_of(number: u64) -> MessageId {
    let publisher = ClientId::try_from(number >> 32).unwrap();
    MessageId { publisher, sequence: number & u64::from(u32::MAX) }
}

/// What a publisher and a consumer can hear.
pub enum Heard {
    Confirm { tag: u64, multiple: bool },
    Delivery { tag: u64, consumer: String, redelivered: bool, body: Vec<u8> },
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
            let is_pushed = method.name == "basic.deliver";
            let consumer = if is_pushed { method.text("consumer_tag") } else { "" };
            Ok(Heard::Delivery {
                tag: method.number("delivery_tag"),
                consumer: consumer.to_owned(),
                redelivered: method.bit("redelivered"),
                body: content(peer)?,
            })
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

/// Takes out what a confirm confirms.
pub fn take_confirmed<T>(open: &mut BTreeMap<u64, T>, tag: u64, multiple: bool) -> Vec<T> {
    if !multiple {
        return open.remove(&tag).into_iter().collect();
    }
    let later = open.split_off(&(tag + 1));
    std::mem::replace(open, later).into_values().collect()
}

/// Notes what one client does.
pub struct Notes {
    history: History,
    client: ClientId,
}

impl Notes {
    pub fn new(history: &History) -> Self {
        Self { client: history.next_client(), history: history.clone() }
    }

    pub fn note(&self, event: Event) {
        self.history.note(event);
    }

    pub fn message(&self, sequence: u64) -> MessageId {
        MessageId { publisher: self.client, sequence }
    }

    pub fn publishes(&self, queue: &str, message: MessageId, transaction: Option<u64>) {
        self.note(Event::Publish { message, queue: queue.to_owned(), transaction });
    }

    /// The message that was delivered. A body that is not ours is noted as damaged, and its number is anybody's.
    pub fn delivered(&self, queue: &str, redelivered: bool, body: &[u8]) -> MessageId {
        let number = number_in(body);
        let (message, is_intact) = (message_of(number.unwrap_or(0)), number.is_some());
        let (client, queue) = (self.client, queue.to_owned());
        self.note(Event::Deliver { client, queue, message, redelivered, is_intact });
        message
    }

    pub fn settles(&self, queue: &str, message: MessageId, how: How, transaction: Option<u64>) {
        let (client, queue) = (self.client, queue.to_owned());
        self.note(Event::Settle { client, queue, message, how, transaction });
    }

    pub fn asks(&self, number: u64) {
        self.note(Event::Ask { client: self.client, number });
    }

    pub fn is_answered(&self, number: u64) {
        self.note(Event::Answer { client: self.client, number });
    }

    pub fn looks(&self, queue: &str) {
        self.note(Event::Look { client: self.client, queue: queue.to_owned() });
    }

    pub fn has_looked(&self, queue: &str) {
        self.note(Event::Looked { client: self.client, queue: queue.to_owned() });
    }

    pub fn ends(&self) {
        self.note(Event::End { client: self.client });
    }
}

/// Publishes with confirms, to every queue in turn.
pub struct Publisher {
    peer: RawPeer,
    notes: Notes,
    sequence: u64,
    open: BTreeMap<u64, MessageId>,
}

impl Publisher {
    pub fn new(broker: &TestBroker, history: &History) -> Self {
        let mut peer = RawPeer::connect(broker);
        peer.selects_confirms(1);
        Self { peer, notes: Notes::new(history), sequence: 0, open: BTreeMap::new() }
    }

    pub fn run(mut self) {
        while self.step().is_ok() {}
        self.notes.ends();
    }

    fn step(&mut self) -> Result<(), Gone> {
        while (self.open.len() as u64) < WINDOW {
            self.sequence += 1;
            let message = self.notes.message(self.sequence);
            let queue = match self.sequence % 9 {
                0 => BACKLOG,
                turn => WORK[usize::try_from(turn * 7 / 3 % 4).unwrap()],
            };
            self.open.insert(self.sequence, message);
            self.notes.publishes(queue, message, None);
            publish(&mut self.peer, queue, number_of(message))?;
        }
        match hear(&mut self.peer, PATIENCE)? {
            Heard::Confirm { tag, multiple } => {
                for message in take_confirmed(&mut self.open, tag, multiple) {
                    self.notes.note(Event::Confirm { message });
                }
                Ok(())
            }
            Heard::Nothing => panic!("a publish is not confirmed"),
            _ => panic!("a confirm was due"),
        }
    }
}

/// Takes messages and acknowledges them, with a barrier now and then.
pub struct Consumer {
    peer: RawPeer,
    notes: Notes,
    queues: &'static [&'static str],
    unvouched: u64,
    barriers: BTreeMap<u64, u64>,
    sequence: u64,
}

impl Consumer {
    pub fn new(broker: &TestBroker, history: &History, queues: &'static [&'static str]) -> Self {
        let mut peer = RawPeer::connect(broker);
        peer.selects_confirms(1);
        let (notes, barriers) = (Notes::new(history), BTreeMap::new());
        Self { peer, notes, queues, unvouched: 0, barriers, sequence: 0 }
    }

    pub fn run(mut self) {
        let started = self.start();
        while started.is_ok() && self.step().is_ok() {}
        self.notes.ends();
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
            Heard::Delivery { tag, consumer, redelivered, body } => {
                let message = self.notes.delivered(&consumer, redelivered, &body);
                self.settle(tag, &consumer, message, redelivered)
            }
            Heard::Confirm { tag, multiple } => {
                for barrier in take_confirmed(&mut self.barriers, tag, multiple) {
                    self.notes.is_answered(barrier);
                }
                Ok(())
            }
            Heard::Answer(_) | Heard::Nothing => Ok(()),
        }
    }

    /// Leaves every eleventh message unsettled, so that some are always in flight at the kill, and puts some back once.
    fn settle(
        &mut self,
        tag: u64,
        queue: &str,
        message: MessageId,
        redelivered: bool,
    ) -> Result<(), Gone> {
        match message.sequence % 11 {
            0 => return Ok(()),
            1 if !redelivered => {
                self.notes.settles(queue, message, How::Requeue, None);
                let nack = method("basic.nack").set("delivery_tag", tag).on("requeue");
                return send(self.peer.sends(1, &nack));
            }
            _ => {}
        }
        self.notes.settles(queue, message, How::Ack, None);
        send(self.peer.acks(1, tag))?;
        self.unvouched += 1;
        if self.unvouched < BARRIER_EVERY {
            return Ok(());
        }
        self.unvouched = 0;
        self.sequence += 1;
        self.barriers.insert(self.sequence, self.sequence);
        self.notes.asks(self.sequence);
        publish(&mut self.peer, BARRIER, 0)
    }
}

/// One transaction after the other: the same number to both queues of the pair, and, three times of four, the token
/// replaced by it.
pub struct Transactor {
    peer: RawPeer,
    notes: Notes,
    next: u64,
}

impl Transactor {
    pub fn new(broker: &TestBroker, history: &History) -> Self {
        let mut peer = RawPeer::connect(broker);
        peer.asks(1, &method("tx.select"), "tx.select-ok");
        Self { peer, notes: Notes::new(history), next: 0 }
    }

    pub fn run(mut self) {
        while self.step().is_ok() {}
        self.notes.ends();
    }

    fn step(&mut self) -> Result<(), Gone> {
        self.next += 1;
        let transaction = self.next;
        let takes_token = !transaction.is_multiple_of(4);
        let token = if takes_token { Some(self.take_token()?) } else { None };
        for queue in PAIR {
            self.publish(queue)?;
        }
        if let Some((tag, message)) = token {
            self.publish(TOKEN)?;
            self.notes.settles(TOKEN, message, How::Ack, Some(transaction));
            send(self.peer.acks(1, tag))?;
        }
        let client = self.notes.client;
        self.notes.note(Event::Commit { client, transaction });
        send(self.peer.sends(1, &method("tx.commit")))?;
        match hear(&mut self.peer, PATIENCE)? {
            Heard::Answer(method) => assert_eq!(method.name, "tx.commit-ok"),
            _ => panic!("an answer was due"),
        }
        self.notes.note(Event::Committed { client, transaction });
        Ok(())
    }

    fn publish(&mut self, queue: &str) -> Result<(), Gone> {
        let message = self.notes.message(self.next);
        self.notes.publishes(queue, message, Some(self.next));
        publish(&mut self.peer, queue, number_of(message))
    }

    fn take_token(&mut self) -> Result<(u64, MessageId), Gone> {
        send(self.peer.sends(1, &method("basic.get").set("queue", TOKEN)))?;
        match hear(&mut self.peer, PATIENCE)? {
            Heard::Delivery { tag, redelivered, body, .. } => {
                Ok((tag, self.notes.delivered(TOKEN, redelivered, &body)))
            }
            _ => panic!("there is no token"),
        }
    }
}
