//! What a client may say, and what it changes.

use std::fmt;

use super::super::link::frame;
use super::super::support::{Method, method, properties};
use super::channel::{Answer, Channel, Consumer, Held, How, Mode, Transaction, Unconfirmed};
use super::kinds::{FAN, kind};
use super::queue::{Entry, Lane, Place, Queue};
use super::{Client, ClientId, Key, Model, Tag, body};

#[derive(Clone, Debug)]
pub struct Publish {
    pub message: u64,
    /// A queue by its name, or the exchange.
    pub to: &'static str,
    pub persistent: bool,
    pub mandatory: bool,
    pub priority: u8,
    pub ttl_ms: Option<u64>,
}

#[derive(Clone, Debug)]
pub enum Act {
    OpenChannel,
    CloseChannel,
    SelectConfirms,
    SelectTransactions,
    DeclareFan,
    Declare(&'static str),
    Delete(&'static str),
    Purge(&'static str),
    Bind(&'static str),
    Unbind(&'static str),
    Publish(Publish),
    Commit,
    Rollback,
    Qos {
        count: u64,
        global: bool,
    },
    Consume {
        queue: &'static str,
        tag: Tag,
        no_ack: bool,
    },
    Cancel(Tag),
    Get {
        queue: &'static str,
        no_ack: bool,
    },
    Settle {
        tag: u64,
        multiple: bool,
        how: How,
    },
    Recover,
    /// Acknowledges what was never delivered.
    Blunder,
    CloseConnection,
}

/// Something a client does on a channel.
#[derive(Clone)]
pub struct Command {
    pub channel: u16,
    pub act: Act,
}

impl fmt::Debug for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "on {}: {:?}", self.channel, self.act)
    }
}

impl Command {
    pub fn encode(&self) -> Vec<u8> {
        let close = |name| method(name).set("code", 200).set("text", "bye");
        let said = match &self.act {
            Act::OpenChannel => method("channel.open"),
            Act::CloseChannel => close("channel.close"),
            Act::SelectConfirms => method("confirm.select"),
            Act::SelectTransactions => method("tx.select"),
            Act::DeclareFan => {
                method("exchange.declare").set("exchange", FAN).set("type", "fanout").on("durable")
            }
            Act::Declare(queue) => kind(queue).declare(),
            Act::Delete(queue) => method("queue.delete").set("queue", *queue),
            Act::Purge(queue) => method("queue.purge").set("queue", *queue),
            Act::Bind(queue) => method("queue.bind").set("queue", *queue).set("exchange", FAN),
            Act::Unbind(queue) => method("queue.unbind").set("queue", *queue).set("exchange", FAN),
            Act::Publish(publish) => return publish.encode(self.channel),
            Act::Commit => method("tx.commit"),
            Act::Rollback => method("tx.rollback"),
            Act::Qos { count, global } => {
                method("basic.qos").set("prefetch_count", *count).set("global", *global)
            }
            Act::Consume { queue, tag, no_ack } => {
                let consume = method("basic.consume").set("queue", *queue);
                consume.set("consumer_tag", tag).set("no_ack", *no_ack)
            }
            Act::Cancel(tag) => method("basic.cancel").set("consumer_tag", tag),
            Act::Get { queue, no_ack } => {
                method("basic.get").set("queue", *queue).set("no_ack", *no_ack)
            }
            Act::Settle { tag, multiple, how } => settle(*tag, *multiple, *how),
            Act::Recover => method("basic.recover").on("requeue"),
            Act::Blunder => method("basic.ack").set("delivery_tag", u64::from(u32::MAX)),
            Act::CloseConnection => close("connection.close"),
        };
        let channel = if matches!(self.act, Act::CloseConnection) { 0 } else { self.channel };
        frame(1, channel, &said.encode())
    }
}

fn settle(tag: u64, multiple: bool, how: How) -> Method {
    let settle = match how {
        How::Ack => method("basic.ack").set("multiple", multiple),
        How::Requeue => method("basic.nack").set("multiple", multiple).on("requeue"),
        How::Reject => method("basic.nack").set("multiple", multiple),
    };
    settle.set("delivery_tag", tag)
}

impl Publish {
    fn encode(&self, channel: u16) -> Vec<u8> {
        let publish = method("basic.publish").set("mandatory", self.mandatory);
        let publish = if self.to == FAN {
            publish.set("exchange", FAN)
        } else {
            publish.set("routing_key", self.to)
        };
        let mode = if self.persistent { 2 } else { 1 };
        let mut said = properties().delivery_mode(mode).priority(self.priority);
        if let Some(ttl) = self.ttl_ms {
            said = said.expiration(&ttl.to_string());
        }
        let body = body(self.message);
        let size = (body.len() as u64).to_be_bytes();
        let header = [&[0, 60, 0, 0][..], &size, &said.encode()].concat();
        let method = frame(1, channel, &publish.encode());
        [method, frame(2, channel, &header), frame(3, channel, &body)].concat()
    }
}

impl Model {
    /// The broker has executed this.
    pub fn apply(&mut self, client: ClientId, command: &Command) {
        let (channel, act) = (command.channel, &command.act);
        match act {
            Act::OpenChannel => {
                let channels = &mut self.clients.get_mut(&client).expect("a client").channels;
                channels.insert(channel, Channel::default());
                self.answer(client, channel, Answer::Plain("channel.open-ok"), false);
            }
            Act::CloseChannel => {
                self.close_channel(client, channel);
                let channels = &mut self.clients.get_mut(&client).expect("a client").channels;
                channels.insert(channel, Channel::closing());
            }
            Act::CloseConnection => {
                self.end_client(client);
                let closing = Client { is_closing: true, ..Client::default() };
                self.clients.insert(client, closing);
            }
            Act::Consume { queue, .. } | Act::Get { queue, .. }
                if !self.queues.contains_key(queue) =>
            {
                self.fail(client, channel, 404);
            }
            Act::Blunder => self.fail(client, channel, 406),
            Act::DeclareFan
            | Act::Declare(_)
            | Act::Delete(_)
            | Act::Purge(_)
            | Act::Bind(_)
            | Act::Unbind(_) => self.define(client, channel, act),
            Act::SelectConfirms
            | Act::SelectTransactions
            | Act::Publish(_)
            | Act::Commit
            | Act::Rollback => self.bring(client, channel, act),
            Act::Qos { .. }
            | Act::Consume { .. }
            | Act::Cancel(_)
            | Act::Get { .. }
            | Act::Settle { .. }
            | Act::Recover => self.fetch(client, channel, act),
        }
        self.bury();
    }

    /// Queues, the exchange, and bindings.
    fn define(&mut self, client: ClientId, channel: u16, act: &Act) {
        let plain = Answer::Plain;
        let (answer, is_promise) = match act {
            Act::DeclareFan => {
                self.fan = true;
                (plain("exchange.declare-ok"), true)
            }
            Act::Declare(queue) => (self.declare(queue), kind(queue).durable),
            Act::Delete(queue) => {
                let ready = self.queues.get(queue).map_or(0, Queue::ready);
                let is_there = self.queues.contains_key(queue);
                self.delete(queue);
                (Answer::Counted("queue.delete-ok", ready), is_there && kind(queue).durable)
            }
            Act::Purge(queue) => {
                (Answer::Counted("queue.purge-ok", self.purge(queue)), kind(queue).durable)
            }
            Act::Bind(queue) => {
                self.bindings.insert(queue);
                (plain("queue.bind-ok"), kind(queue).durable)
            }
            Act::Unbind(queue) => {
                self.bindings.remove(queue);
                (plain("queue.unbind-ok"), kind(queue).durable)
            }
            _ => unreachable!("{act:?} defines nothing"),
        };
        self.answer(client, channel, answer, is_promise);
    }

    /// Publishes, and how they are promised.
    fn bring(&mut self, client: ClientId, channel: u16, act: &Act) {
        match act {
            Act::SelectConfirms => {
                self.channel(client, channel).mode = Mode::Confirm;
                self.answer(client, channel, Answer::Plain("confirm.select-ok"), false);
            }
            Act::SelectTransactions => {
                self.channel(client, channel).mode = Mode::Transaction(Transaction::default());
                self.answer(client, channel, Answer::Plain("tx.select-ok"), false);
            }
            Act::Publish(publish) => self.publish(client, channel, publish),
            Act::Commit => self.commit(client, channel),
            Act::Rollback => {
                let open = self.channel(client, channel);
                let Mode::Transaction(transaction) = &mut open.mode else { return };
                let settled = std::mem::take(transaction).settled;
                open.held.extend(settled.into_iter().flat_map(|(taken, _)| taken));
                self.answer(client, channel, Answer::Plain("tx.rollback-ok"), false);
            }
            _ => unreachable!("{act:?} publishes nothing"),
        }
    }

    /// Consumers, and what becomes of deliveries.
    fn fetch(&mut self, client: ClientId, channel: u16, act: &Act) {
        match act {
            Act::Qos { count, global } => {
                let open = self.channel(client, channel);
                open.prefetch = if *global { open.prefetch } else { *count };
                open.limit = if *global { *count } else { 0 };
                self.answer(client, channel, Answer::Plain("basic.qos-ok"), false);
            }
            Act::Consume { queue, tag, no_ack } => {
                let (queue, no_ack) = (*queue, *no_ack);
                let open = self.channel(client, channel);
                let consumer = Consumer { queue, no_ack, prefetch: open.prefetch };
                open.consumers.insert(tag.clone(), consumer);
                let found = self.queues.get_mut(queue).expect("it is there");
                found.consumers.push((client, channel, tag.clone()));
                let answer = Answer::Tagged("basic.consume-ok", tag.clone());
                self.answer(client, channel, answer, false);
            }
            Act::Cancel(tag) => {
                self.end_consumer(client, channel, tag);
                let answer = Answer::Tagged("basic.cancel-ok", tag.clone());
                self.answer(client, channel, answer, false);
            }
            Act::Get { queue, no_ack } => {
                let (queue, no_ack) = (*queue, *no_ack);
                self.answer(client, channel, Answer::Got { queue, no_ack }, false);
            }
            Act::Settle { tag, multiple, how } => {
                let open = self.channel(client, channel);
                let taken = open.take(*tag, *multiple);
                match &mut open.mode {
                    Mode::Transaction(transaction) => transaction.settled.push((taken, *how)),
                    Mode::Plain | Mode::Confirm => self.settle(&taken, *how),
                }
            }
            Act::Recover => {
                let taken = self.channel(client, channel).take(u64::MAX, true);
                self.settle(&taken, How::Requeue);
                self.answer(client, channel, Answer::Plain("basic.recover-ok"), false);
            }
            _ => unreachable!("{act:?} fetches nothing"),
        }
    }

    /// The client and all it had are gone.
    pub fn end_client(&mut self, client: ClientId) {
        let channels: Vec<_> = self.clients[&client].channels.keys().copied().collect();
        for channel in channels {
            self.close_channel(client, channel);
        }
        self.clients.remove(&client);
        self.bury();
    }

    fn answer(&mut self, client: ClientId, channel: u16, what: Answer, is_promise: bool) {
        self.channel(client, channel).expect(what, is_promise);
    }

    /// The broker closes the channel with this code.
    fn fail(&mut self, client: ClientId, channel: u16, code: u64) {
        self.close_channel(client, channel);
        self.clients.get_mut(&client).expect("a client").failing.insert(channel, code);
    }

    fn declare(&mut self, name: &'static str) -> Answer {
        if !self.queues.contains_key(name) {
            self.next_queue += 1;
            self.queues.insert(name, Queue::new(kind(name), self.next_queue));
        }
        let queue = &self.queues[name];
        Answer::Declared { queue: name, ready: queue.ready(), consumers: queue.consumers.len() }
    }

    fn delete(&mut self, name: &'static str) {
        self.bindings.remove(name);
        let Some(queue) = self.queues.remove(name) else { return };
        for (client, channel, tag) in queue.consumers {
            let open = self.channel(client, channel);
            open.consumers.remove(&tag);
            open.cancelled.insert(tag);
        }
    }

    fn purge(&mut self, name: &'static str) -> usize {
        let queue = self.queues.get_mut(name).expect("one purges what is there");
        let before = queue.entries.len();
        queue.entries.retain(|_, entry| entry.place == Place::Held);
        before - queue.entries.len()
    }

    /// Queues that a message finds.
    fn route(&self, to: &'static str) -> Vec<(&'static str, u64)> {
        let found = self.queues.iter().filter(|(name, _)| {
            if to == FAN { self.bindings.contains(*name) } else { **name == to }
        });
        found.map(|(name, queue)| (*name, queue.id)).collect()
    }

    fn publish(&mut self, client: ClientId, channel: u16, publish: &Publish) {
        self.figures.published += 1;
        let targets = self.route(publish.to);
        if let Mode::Transaction(transaction) = &mut self.channel(client, channel).mode {
            transaction.publishes.push((publish.clone(), targets));
            return;
        }
        let keeps = publish.persistent && targets.iter().any(|(name, _)| kind(name).durable);
        let is_accepted = self.enqueue(client, channel, publish, &targets);
        let open = self.channel(client, channel);
        if targets.is_empty() && publish.mandatory {
            open.returned.insert(publish.message);
        }
        if matches!(open.mode, Mode::Confirm) {
            open.published += 1;
            let is_promise = keeps && is_accepted;
            let publish = Unconfirmed { is_refused: !is_accepted, is_promise };
            open.unconfirmed.insert(open.published, publish);
        }
    }

    /// False if a queue refused it.
    fn enqueue(
        &mut self,
        client: ClientId,
        channel: u16,
        publish: &Publish,
        targets: &[(&'static str, u64)],
    ) -> bool {
        let (turn, now) = (self.turn, self.now);
        let mut is_accepted = true;
        for (name, id) in targets {
            let Some(queue) = self.queues.get_mut(name).filter(|queue| queue.id == *id) else {
                continue;
            };
            let kind = queue.kind;
            if kind.rejects && kind.max_length.is_some_and(|limit| queue.ready() >= limit) {
                is_accepted = false;
                continue;
            }
            let ttl = kind.ttl_ms.into_iter().chain(publish.ttl_ms).min();
            queue.push(Entry {
                key: Key { message: publish.message, died_in: None },
                lane: Lane::Channel(client, channel),
                turn,
                ready_since: turn,
                place: Place::Ready,
                persistent: publish.persistent,
                priority: publish.priority.min(kind.max_priority),
                expires_at: ttl.map(|ttl| now + ttl),
                redelivered: false,
                returns: 0,
            });
        }
        is_accepted
    }

    fn commit(&mut self, client: ClientId, channel: u16) {
        self.figures.transactions += 1;
        let Mode::Transaction(transaction) = &mut self.channel(client, channel).mode else {
            return;
        };
        let Transaction { publishes, settled } = std::mem::take(transaction);
        let publishes_keep = publishes.iter().any(|(publish, targets)| {
            publish.persistent && targets.iter().any(|(name, _)| kind(name).durable)
        });
        let settled_keep = settled.iter().any(|(taken, how)| {
            *how != How::Requeue && taken.iter().any(|(_, held)| held.is_durable)
        });
        for (publish, targets) in &publishes {
            self.enqueue(client, channel, publish, targets);
        }
        for (taken, how) in settled {
            self.settle(&taken, how);
        }
        let is_promise = publishes_keep || settled_keep;
        self.answer(client, channel, Answer::Plain("tx.commit-ok"), is_promise);
    }

    fn settle(&mut self, taken: &[(u64, Held)], how: How) {
        let mut numbers = Vec::new();
        for (_, held) in taken {
            let queue = self.queues.get(held.queue).filter(|queue| queue.id == held.queue_id);
            let Some(number) = queue.and_then(|queue| queue.find(&held.key)) else { continue };
            numbers.push((held.queue, number));
        }
        if how == How::Requeue {
            numbers.sort_unstable();
        }
        for (name, number) in numbers {
            match how {
                How::Ack => {
                    self.figures.settled += 1;
                    let queue = self.queues.get_mut(name).expect("it was there");
                    queue.entries.remove(&number);
                }
                How::Requeue => self.requeue(name, number),
                How::Reject => self.give_up(name, number),
            }
        }
    }

    fn close_channel(&mut self, client: ClientId, number: u16) {
        let channels = &mut self.clients.get_mut(&client).expect("a client").channels;
        let Some(mut channel) = channels.remove(&number) else { return };
        let mut taken = channel.take(u64::MAX, true);
        if let Mode::Transaction(transaction) = channel.mode {
            taken.extend(transaction.settled.into_iter().flat_map(|(taken, _)| taken));
        }
        self.settle(&taken, How::Requeue);
        for (tag, consumer) in channel.consumers {
            self.leave(client, number, &tag, consumer.queue);
        }
    }

    fn end_consumer(&mut self, client: ClientId, channel: u16, tag: &str) {
        let consumer = self.channel(client, channel).consumers.remove(tag);
        self.leave(client, channel, tag, consumer.expect("one cancels what is there").queue);
    }

    fn leave(&mut self, client: ClientId, channel: u16, tag: &str, name: &'static str) {
        let queue = self.queues.get_mut(name).expect("a consumer's queue");
        queue.consumers.retain(|it| *it != (client, channel, tag.to_owned()));
        if queue.kind.auto_delete && queue.consumers.is_empty() {
            self.delete(name);
        }
    }
}

impl Channel {
    /// It has said channel.close.
    fn closing() -> Self {
        let mut channel = Self::default();
        channel.expect(Answer::Plain("channel.close-ok"), false);
        channel
    }

    fn take(&mut self, tag: u64, multiple: bool) -> Vec<(u64, Held)> {
        if !multiple {
            return self.held.remove_entry(&tag).into_iter().collect();
        }
        let later = match tag.checked_add(1) {
            Some(next) => self.held.split_off(&next),
            None => std::collections::BTreeMap::new(),
        };
        std::mem::replace(&mut self.held, later).into_iter().collect()
    }
}
