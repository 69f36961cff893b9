//! What the broker should do, in plain maps and without a line of its code.
//!
//! * `kinds` — which queues there may be.
//! * `queue` — what a queue holds, what goes before what, and how messages die.
//! * `channel` — what a client has open, and what it waits for.
//! * `commands` — what a client may say, and what it changes.
//! * `hearing` — what a client hears, held against what it should hear.
//! * `restart` — what a crash may leave.
//!
//! Nobody tells the model which consumer a message goes to, or which of two messages comes first that two channels
//! published in one turn. It takes what it hears if that is one of the things it may hear.

pub mod channel;
pub mod commands;
mod hearing;
pub mod kinds;
pub mod queue;
pub mod restart;

use std::collections::{BTreeMap, BTreeSet};

use self::channel::Channel;
use self::kinds::KINDS;
use self::queue::{Entry, Queue};
use super::link::died_in;
use super::support::Table;

pub type ClientId = u32;
/// A consumer's tag.
pub type Tag = String;

/// Which copy of which message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub message: u64,
    /// The queue it died in last.
    pub died_in: Option<&'static str>,
}

/// What a client has open.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub channels: BTreeMap<u16, Channel>,
    /// It has said connection.close.
    pub is_closing: bool,
    /// Channels that the broker closes because of an error, and its code, before the client has heard of it.
    pub failing: BTreeMap<u16, u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Model {
    /// Milliseconds since the beginning.
    pub now: u64,
    /// Counts what happens.
    pub turn: u64,
    pub queues: BTreeMap<&'static str, Queue>,
    /// The exchange is there.
    pub fan: bool,
    pub bindings: BTreeSet<&'static str>,
    pub clients: BTreeMap<ClientId, Client>,
    /// On the way to the dead letters in this turn.
    dead: Vec<(&'static str, Entry)>,
    next_queue: u64,
    pub figures: Figures,
}

/// What happened, to see that enough did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub published: u64,
    pub confirmed: u64,
    pub delivered: u64,
    pub settled: u64,
    pub died: u64,
    pub transactions: u64,
    pub crashes: u64,
    pub damaged: u64,
    /// Portions of sparse segments.
    pub moved: u64,
}

impl Figures {
    pub fn add(&mut self, other: &Self) {
        self.published += other.published;
        self.confirmed += other.confirmed;
        self.delivered += other.delivered;
        self.settled += other.settled;
        self.died += other.died;
        self.transactions += other.transactions;
        self.crashes += other.crashes;
        self.damaged += other.damaged;
        self.moved += other.moved;
    }
}

impl Model {
    pub fn channel(&mut self, client: ClientId, channel: u16) -> &mut Channel {
        let client = self.clients.get_mut(&client).expect("a client");
        client.channels.get_mut(&channel).expect("an open channel")
    }

    pub fn channels(&self) -> impl Iterator<Item = (ClientId, u16, &Channel)> {
        let clients = self.clients.iter();
        clients.flat_map(|(client, it)| {
            it.channels.iter().map(|(number, channel)| (*client, *number, channel))
        })
    }

    /// Somebody waits to hear that something is on disk.
    pub fn is_promise_awaited(&self) -> bool {
        self.channels().any(|(_, _, channel)| channel.awaits_disk())
    }

    /// A commit succeeded: what was promised before may be heard from now on.
    pub fn release(&mut self) {
        for client in self.clients.values_mut() {
            client.channels.values_mut().for_each(Channel::release);
        }
    }
}

/// The body of a message: its number, a checksum, and filling to make sizes differ.
pub fn body(message: u64) -> Vec<u8> {
    let filling = usize::try_from(message * 7919 % 331).unwrap();
    let text = format!("{message:08x} {}", "x".repeat(filling));
    format!("{:08x} {text}", checksum(text.as_bytes())).into_bytes()
}

/// The number in a body, if the body is one of ours from end to end.
pub fn message_in(found: &[u8]) -> Result<u64, String> {
    let text = String::from_utf8_lossy(found);
    let number = text.get(9..17).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    match number {
        Some(number) if body(number) == found => Ok(number),
        _ => Err(format!("a body is damaged: {text}")),
    }
}

/// Which message it is, by its body and what is said of its deaths.
pub fn key_of(body: &[u8], headers: &Table) -> Result<Key, String> {
    let died_in = died_in(headers);
    let kind = died_in.and_then(|name| KINDS.iter().find(|kind| kind.name == name));
    Ok(Key { message: message_in(body)?, died_in: kind.map(|kind| kind.name) })
}

/// FNV-1a.
fn checksum(octets: &[u8]) -> u32 {
    octets
        .iter()
        .fold(0x811c_9dc5, |hash, octet| (hash ^ u32::from(*octet)).wrapping_mul(0x0100_0193))
}
