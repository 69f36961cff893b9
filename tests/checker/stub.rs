//! A broker of a few lines, that can be made to sin against one message.

use std::collections::{BTreeMap, VecDeque};

use super::checker::{ClientId, Event, History, How, MessageId};

/// What it does wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sin {
    Lose,
    Double,
    Reorder,
    Resurrect,
    Corrupt,
    Tear,
    ForgetFlag,
    Invent,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    id: MessageId,
    redelivered: bool,
    is_intact: bool,
}

/// Ends by taking all of its events.
#[derive(Debug, Default)]
pub struct StubBroker {
    history: History,
    sin: Option<Sin>,
    queues: BTreeMap<&'static str, VecDeque<Message>>,
    held: BTreeMap<ClientId, Vec<(&'static str, Message)>>,
    settled: Vec<(&'static str, Message)>,
    unconfirmed: Vec<MessageId>,
    sequence: u64,
    numbers: u64,
}

impl StubBroker {
    pub fn with(sin: Option<Sin>) -> Self {
        Self { sin, ..Self::default() }
    }

    pub fn events(self) -> Vec<Event> {
        self.history.take()
    }

    pub fn note(&self, event: Event) {
        self.history.note(event);
    }

    pub fn connect(&mut self) -> ClientId {
        let client = self.history.next_client();
        self.held.insert(client, Vec::new());
        client
    }

    pub fn publish(&mut self, publisher: ClientId, queue: &'static str, count: u64) {
        for _ in 0..count {
            let id = self.put(publisher, queue, None);
            self.unconfirmed.push(id);
        }
    }

    pub fn confirm(&mut self, _: ClientId) {
        for message in std::mem::take(&mut self.unconfirmed) {
            self.note(Event::Confirm { message });
        }
    }

    pub fn consume(&mut self, client: ClientId, queue: &'static str, count: usize) {
        if self.sins(Sin::Corrupt) {
            self.queues.get_mut(queue).unwrap()[1].is_intact = false;
        }
        if self.sins(Sin::Reorder) {
            self.queues.get_mut(queue).unwrap().swap(1, 2);
        }
        for _ in 0..count {
            let Some(message) = self.queues.get_mut(queue).and_then(VecDeque::pop_front) else {
                return;
            };
            self.deliver(client, queue, message);
            if self.sins(Sin::Double) {
                self.deliver(client, queue, message);
            }
            if self.sins(Sin::Invent) {
                let id = MessageId { sequence: 999, ..message.id };
                self.deliver(client, queue, Message { id, ..message });
            }
        }
    }

    /// Settles the oldest deliveries of the client.
    pub fn settle_first(&mut self, client: ClientId, queue: &'static str, count: usize, how: How) {
        for _ in 0..count {
            let (_, message) = self.held.get_mut(&client).unwrap().remove(0);
            self.note(Event::Settle {
                client,
                queue: queue.to_owned(),
                message: message.id,
                how,
                transaction: None,
            });
            match how {
                How::Requeue => self.put_back(queue, message),
                How::Ack | How::Reject => self.settled.push((queue, message)),
            }
        }
    }

    pub fn barrier(&mut self, client: ClientId) {
        self.numbers += 1;
        self.note(Event::Ask { client, number: self.numbers });
        self.note(Event::Answer { client, number: self.numbers });
    }

    /// One message to each of these queues, and one of another acknowledged.
    pub fn transact(&mut self, client: ClientId, to: &[&'static str], from: &'static str) {
        self.numbers += 1;
        let transaction = self.numbers;
        let taken = self.queues.get_mut(from).unwrap().pop_front().unwrap();
        self.deliver(client, from, taken);
        let (_, taken) = self.held.get_mut(&client).unwrap().pop().unwrap();
        let is_torn = self.sins(Sin::Tear);
        for queue in to {
            self.put(client, queue, Some(transaction));
        }
        self.note(Event::Settle {
            client,
            queue: from.to_owned(),
            message: taken.id,
            how: How::Ack,
            transaction: Some(transaction),
        });
        self.note(Event::Commit { client, transaction });
        if is_torn {
            // Whoever tears it gives no answer.
            self.queues.get_mut(to[0]).unwrap().pop_back();
        } else {
            self.note(Event::Committed { client, transaction });
        }
    }

    /// It says goodbye, and what it has goes back.
    pub fn leave(&mut self, client: ClientId) {
        self.note(Event::End { client });
        for (queue, message) in self.held.remove(&client).unwrap_or_default().into_iter().rev() {
            self.put_back(queue, message);
        }
    }

    /// Everybody is thrown out. It remembers everything, unless it sins.
    pub fn kill(&mut self) {
        self.note(Event::Fault { what: "kill".to_owned() });
        let clients: Vec<_> = self.held.keys().copied().collect();
        for client in clients {
            self.leave(client);
        }
        if self.sins(Sin::Lose) {
            self.queues.values_mut().next().unwrap().pop_back();
        }
        if self.sins(Sin::Resurrect) {
            let (queue, message) = self.settled[0];
            self.put_back(queue, message);
        }
    }

    pub fn look(&mut self, client: ClientId, queue: &'static str) {
        self.note(Event::Look { client, queue: queue.to_owned() });
        let all = self.queues.get(queue).map_or(0, VecDeque::len);
        self.consume(client, queue, all);
        self.note(Event::Looked { client, queue: queue.to_owned() });
    }

    /// It is time for this sin, and it was not committed yet.
    fn sins(&mut self, sin: Sin) -> bool {
        self.sin.take_if(|it| *it == sin).is_some()
    }

    fn put(
        &mut self,
        publisher: ClientId,
        queue: &'static str,
        transaction: Option<u64>,
    ) -> MessageId {
        self.sequence += 1;
        let id = MessageId { publisher, sequence: self.sequence };
        self.note(Event::Publish { message: id, queue: queue.to_owned(), transaction });
        let message = Message { id, redelivered: false, is_intact: true };
        self.queues.entry(queue).or_default().push_back(message);
        id
    }

    fn put_back(&mut self, queue: &'static str, message: Message) {
        let redelivered = !self.sins(Sin::ForgetFlag);
        self.queues.entry(queue).or_default().push_front(Message { redelivered, ..message });
    }

    fn deliver(&mut self, client: ClientId, queue: &'static str, message: Message) {
        self.note(Event::Deliver {
            client,
            queue: queue.to_owned(),
            message: message.id,
            redelivered: message.redelivered,
            is_intact: message.is_intact,
        });
        self.held.get_mut(&client).unwrap().push((queue, message));
    }
}
