//! Takes the events of a history in their order, and keeps what is needed to judge the next one.
//!
//! Invariants:
//! * A message in a queue has a record, or is gone, or was never published there.
//! * What is gone stays gone: a settlement that was answered, or an absence that somebody saw, is final.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::message::{Record, Seen, Standing, place};
use super::{ClientId, Event, How, MessageId, Verdict};

/// A message in a queue.
type Place = (String, MessageId);

/// See the module.
#[derive(Debug, Default)]
pub struct Checker {
    verdict: Verdict,
    /// How many events there were.
    now: u64,
    records: HashMap<String, BTreeMap<MessageId, Record>>,
    gone: HashMap<String, HashSet<MessageId>>,
    /// Where and when messages were sent that are not confirmed.
    unconfirmed: HashMap<MessageId, (u64, Vec<String>)>,
    clients: HashMap<ClientId, Client>,
    transactions: BTreeMap<(ClientId, u64), Transaction>,
    /// Everything that happened before is on disk.
    safe_up_to: u64,
    /// Since the last fault: what was seen, of which that was not sure before.
    recent: Vec<(u64, Place)>,
    /// The last first delivery of a publisher, by queue and consumer.
    latest: HashMap<(String, ClientId, ClientId), u64>,
    /// What the last look at each queue has found, since the last fault.
    looks: HashMap<String, BTreeSet<MessageId>>,
    /// Settled otherwise than by the transaction it belongs to, since the last round.
    touched: HashSet<Place>,
}

/// What a connection has going on.
#[derive(Debug, Default)]
struct Client {
    held: BTreeSet<Place>,
    /// Settlements that were sent, and when.
    settled: Vec<(u64, Place)>,
    asked: BTreeMap<u64, u64>,
    /// The queues it is looking at.
    looking: HashMap<String, BTreeSet<MessageId>>,
}

#[derive(Debug, Default)]
struct Transaction {
    puts: Vec<Place>,
    settled: Vec<Place>,
    /// When tx.commit was sent.
    commit_at: Option<u64>,
    is_committed: bool,
}

impl Checker {
    pub fn see(&mut self, event: &Event) {
        self.now += 1;
        match event {
            Event::Publish { message, queue, transaction } => {
                self.publish(*message, queue, *transaction);
            }
            Event::Confirm { message } => self.confirm(*message),
            Event::Refuse { message } => drop(self.unconfirmed.remove(message)),
            Event::Return { message } => {
                let (_, queues) = self.unconfirmed.get(message).cloned().unwrap_or_default();
                for queue in queues {
                    self.end(&queue, *message);
                }
            }
            Event::Deliver { client, queue, message, redelivered, is_intact } => {
                if !is_intact {
                    self.verdict.corrupt.push(place(queue, message));
                }
                self.deliver(*client, queue, *message, *redelivered);
            }
            Event::Settle { client, queue, message, how, transaction } => {
                self.settle(*client, (queue.clone(), *message), *how, *transaction);
            }
            Event::Ask { client, number } => {
                let now = self.now;
                self.client(*client).asked.insert(*number, now);
            }
            Event::Answer { client, number } => self.answer(*client, *number),
            Event::Commit { client, transaction } => {
                let now = self.now;
                self.transactions.entry((*client, *transaction)).or_default().commit_at = Some(now);
            }
            Event::Committed { client, transaction } => self.committed(*client, *transaction),
            Event::End { client } => self.leave(*client),
            Event::Fault { .. } => self.fault(),
            Event::Look { client, queue } => {
                self.client(*client).looking.insert(queue.clone(), BTreeSet::new());
            }
            Event::Looked { client, queue } => self.looked(*client, queue),
            Event::Round => self.round(),
            Event::Purge { queue } => {
                let records = self.records.entry(queue.clone()).or_default();
                for record in records.values_mut() {
                    record.may_vanish = true;
                }
            }
        }
    }

    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The verdict on a whole history.
    pub fn judge<'a>(events: impl IntoIterator<Item = &'a Event>) -> Verdict {
        let mut checker = Self::default();
        events.into_iter().for_each(|event| checker.see(event));
        checker.verdict
    }

    fn client(&mut self, client: ClientId) -> &mut Client {
        self.clients.entry(client).or_default()
    }

    fn record(&mut self, queue: &str, message: MessageId) -> Option<&mut Record> {
        self.records.get_mut(queue)?.get_mut(&message)
    }

    fn publish(&mut self, message: MessageId, queue: &str, transaction: Option<u64>) {
        self.records.entry(queue.to_owned()).or_default().insert(message, Record::new());
        if let Some(number) = transaction {
            let transaction = self.transactions.entry((message.publisher, number)).or_default();
            transaction.puts.push((queue.to_owned(), message));
            return;
        }
        let (_, queues) = self.unconfirmed.entry(message).or_insert((self.now, Vec::new()));
        queues.push(queue.to_owned());
    }

    fn confirm(&mut self, message: MessageId) {
        let Some((sent_at, queues)) = self.unconfirmed.remove(&message) else { return };
        self.verdict.confirmed += 1;
        self.safe_up_to = self.safe_up_to.max(sent_at);
        for queue in queues {
            self.promise(&queue, message);
        }
    }

    fn promise(&mut self, queue: &str, message: MessageId) {
        if let Some(record) = self.record(queue, message) {
            record.standing = Standing::Promised;
        }
    }

    fn deliver(&mut self, client: ClientId, queue: &str, message: MessageId, redelivered: bool) {
        let now = self.now;
        let Some(record) = self.record(queue, message) else {
            let is_back = self.gone.get(queue).is_some_and(|gone| gone.contains(&message));
            let list =
                if is_back { &mut self.verdict.resurrected } else { &mut self.verdict.unexpected };
            return list.push(place(queue, message));
        };
        let holder = record.holder.replace(client);
        let was_sure = std::mem::replace(&mut record.seen, Seen::Surely) == Seen::Surely;
        record.deliveries += 1;
        let is_duplicate = record.deliveries > 1;
        self.verdict.duplicates += u64::from(is_duplicate);
        if let Some(holder) = holder {
            let what = format!("{}, which {holder} has", place(queue, message));
            self.verdict.doubled.push(what);
        } else if was_sure && !redelivered {
            self.verdict.unmarked.push(place(queue, message));
        }
        if !redelivered {
            self.check_order(client, queue, message);
        }
        let here = (queue.to_owned(), message);
        if !was_sure {
            self.recent.push((now, here.clone()));
        }
        let client = self.client(client);
        client.held.insert(here);
        if let Some(look) = client.looking.get_mut(queue) {
            look.insert(message);
        }
    }

    fn check_order(&mut self, client: ClientId, queue: &str, message: MessageId) {
        let MessageId { publisher, sequence } = message;
        let latest = self.latest.entry((queue.to_owned(), publisher, client)).or_default();
        if sequence < *latest {
            let after = MessageId { publisher, sequence: *latest };
            self.verdict.disorder.push(format!("{} after {after}", place(queue, message)));
        }
        *latest = sequence.max(*latest);
    }

    fn settle(&mut self, client: ClientId, here: Place, how: How, transaction: Option<u64>) {
        let now = self.now;
        self.client(client).held.remove(&here);
        if let Some(record) = self.record(&here.0, here.1) {
            record.holder = None;
            record.is_settling |= how != How::Requeue;
        }
        match transaction {
            _ if how == How::Requeue => {}
            Some(number) => {
                if self.is_put_of_another(&here, (client, number)) {
                    self.touched.insert(here.clone());
                }
                self.transactions.entry((client, number)).or_default().settled.push(here);
            }
            None => {
                // Once it was looked at, it is known what there was.
                if !self.looks.contains_key(&here.0) {
                    self.touched.insert(here.clone());
                }
                self.client(client).settled.push((now, here));
            }
        }
    }

    /// An open transaction has put it there. Once it is settled, its absence says nothing of that one.
    fn is_put_of_another(&self, here: &Place, this: (ClientId, u64)) -> bool {
        let mut others = self.transactions.iter().filter(|(key, _)| **key != this);
        others.any(|(_, transaction)| transaction.puts.contains(here))
    }

    /// What the client settled before it asked is settled for good.
    fn answer(&mut self, client: ClientId, number: u64) {
        let open = self.client(client);
        let Some(asked_at) = open.asked.remove(&number) else { return };
        let (answered, rest) = std::mem::take(&mut open.settled)
            .into_iter()
            .partition::<Vec<_>, _>(|(at, _)| *at < asked_at);
        open.settled = rest;
        self.safe_up_to = self.safe_up_to.max(asked_at);
        self.verdict.settled += answered.len() as u64;
        for (_, (queue, message)) in answered {
            self.end(&queue, message);
        }
    }

    fn committed(&mut self, client: ClientId, number: u64) {
        let Some(transaction) = self.transactions.get_mut(&(client, number)) else { return };
        transaction.is_committed = true;
        let (puts, settled) = (transaction.puts.clone(), transaction.settled.clone());
        self.safe_up_to = self.safe_up_to.max(transaction.commit_at.unwrap_or_default());
        self.verdict.transactions += 1;
        self.verdict.settled += settled.len() as u64;
        for (queue, message) in puts {
            self.promise(&queue, message);
        }
        for (queue, message) in settled {
            self.end(&queue, message);
        }
    }

    /// It must not be seen there again.
    fn end(&mut self, queue: &str, message: MessageId) {
        if let Some(records) = self.records.get_mut(queue) {
            records.remove(&message);
        }
        self.gone.entry(queue.to_owned()).or_default().insert(message);
    }

    fn leave(&mut self, client: ClientId) {
        let left = self.clients.remove(&client).unwrap_or_default();
        for (queue, message) in left.held {
            if let Some(record) = self.record(&queue, message) {
                record.holder = None;
            }
        }
        self.unconfirmed.retain(|message, _| message.publisher != client);
        self.latest.retain(|(_, _, consumer), _| *consumer != client);
        let open = self.transactions.iter().filter(|((owner, _), transaction)| {
            *owner == client && transaction.commit_at.is_none()
        });
        let open: Vec<_> = open.map(|(key, _)| *key).collect();
        for key in open {
            self.roll_back(key);
        }
    }

    /// Nothing of it ever was.
    fn roll_back(&mut self, key: (ClientId, u64)) {
        let Some(transaction) = self.transactions.remove(&key) else { return };
        for (queue, message) in transaction.puts {
            self.end(&queue, message);
        }
        for (queue, message) in transaction.settled {
            if let Some(record) = self.record(&queue, message) {
                record.is_settling = false;
            }
        }
    }

    /// Who saw what shortly before may be forgotten.
    fn fault(&mut self) {
        for (at, (queue, message)) in std::mem::take(&mut self.recent) {
            let safe_up_to = self.safe_up_to;
            if let Some(record) = self.record(&queue, message).filter(|_| at > safe_up_to) {
                record.seen = Seen::Perhaps;
            }
        }
        self.looks.clear();
    }

    fn looked(&mut self, client: ClientId, queue: &str) {
        let Some(found) = self.client(client).looking.remove(queue) else { return };
        let records = self.records.entry(queue.to_owned()).or_default();
        let mut missing = Vec::new();
        for (message, record) in records.iter_mut() {
            if found.contains(message) {
                record.found();
            } else {
                missing.push((*message, record.must_be_there()));
            }
        }
        for (message, is_lost) in missing {
            if is_lost {
                self.verdict.lost.push(place(queue, message));
            }
            self.end(queue, message);
        }
        self.looks.insert(queue.to_owned(), found);
    }

    /// Transactions whose commit was sent are whole or absent.
    fn round(&mut self) {
        for ((client, number), transaction) in std::mem::take(&mut self.transactions) {
            let Transaction { puts, settled, is_committed, .. } = &transaction;
            let put = puts.iter().filter_map(|here| self.is_found(here));
            let done = settled.iter().filter_map(|here| self.is_found(here).map(|found| !found));
            let done: Vec<bool> = put.chain(done).collect();
            let is_half = done.contains(&true) && done.contains(&false);
            if is_half || *is_committed && done.contains(&false) {
                self.verdict.half.push(format!("{number} of {client}: {transaction:?}, {done:?}"));
            }
        }
        self.touched.clear();
        self.looks.clear();
    }

    /// Whether the last look has found it; nothing if that says nothing.
    fn is_found(&self, here: &Place) -> Option<bool> {
        let look = self.looks.get(&here.0).filter(|_| !self.touched.contains(here))?;
        Some(look.contains(&here.1))
    }
}
