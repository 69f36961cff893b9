//! A queue as the model has it: every message it should hold, in the order in which it came.

use std::collections::BTreeMap;

use super::kinds::Kind;
use super::{ClientId, Key, Model, Tag};

/// One after the other in here is one after the other in the queue. Between two lanes of the same turn nobody
/// promises an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lane {
    Channel(ClientId, u16),
    DeadIn(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Ready,
    Held,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Key,
    pub lane: Lane,
    pub turn: u64,
    /// When it became ready last.
    pub ready_since: u64,
    pub place: Place,
    pub persistent: bool,
    pub priority: u8,
    pub expires_at: Option<u64>,
    pub redelivered: bool,
    pub returns: u64,
}

#[derive(Clone, Debug)]
pub struct Queue {
    pub kind: &'static Kind,
    /// Another one of the same name is another number.
    pub id: u64,
    pub entries: BTreeMap<u64, Entry>,
    pub next: u64,
    /// In the order in which they came.
    pub consumers: Vec<(ClientId, u16, Tag)>,
    /// The turn of the newest persistent message that was handed out to be acknowledged.
    pub seen_up_to: Option<u64>,
}

impl Queue {
    pub fn new(kind: &'static Kind, id: u64) -> Self {
        let (entries, consumers) = (BTreeMap::new(), Vec::new());
        Self { kind, id, entries, next: 0, consumers, seen_up_to: None }
    }

    pub fn ready(&self) -> usize {
        self.entries.values().filter(|entry| entry.place == Place::Ready).count()
    }

    pub fn push(&mut self, entry: Entry) {
        self.entries.insert(self.next, entry);
        self.next += 1;
    }

    pub fn find(&self, key: &Key) -> Option<u64> {
        self.entries.iter().find(|(_, entry)| entry.key == *key).map(|(number, _)| *number)
    }

    /// Numbers of the ready messages that expire at `now` or before, in the order in which they do.
    pub fn due(&self, now: u64) -> Vec<u64> {
        let ready = self.entries.iter().filter(|(_, entry)| entry.place == Place::Ready);
        let mut due: Vec<_> =
            ready.filter_map(|(number, entry)| Some((entry.expires_at?, *number))).collect();
        due.retain(|(deadline, _)| *deadline <= now);
        due.sort_unstable();
        due.into_iter().map(|(_, number)| number).collect()
    }

    /// Numbers of the ready messages that are too many, oldest first.
    pub fn excess(&self) -> Vec<u64> {
        let Some(limit) = self.kind.max_length.filter(|_| !self.kind.rejects) else {
            return Vec::new();
        };
        let ready = self.entries.iter().filter(|(_, entry)| entry.place == Place::Ready);
        let ready: Vec<_> = ready.map(|(number, _)| *number).collect();
        ready[..ready.len().saturating_sub(limit)].to_vec()
    }

    /// Whether `one` must be handed out before `other`, if both are ready.
    pub fn goes_before(&self, one: u64, other: u64) -> bool {
        let (first, second) = (&self.entries[&one], &self.entries[&other]);
        first.priority > second.priority
            || first.priority == second.priority && self.came_before(one, other)
    }

    pub fn came_before(&self, one: u64, other: u64) -> bool {
        let (first, second) = (&self.entries[&one], &self.entries[&other]);
        // What died together may have had to be read first, some of it before the rest.
        let is_ordered = first.lane == second.lane && !matches!(first.lane, Lane::DeadIn(_));
        one < other && (first.turn != second.turn || is_ordered)
    }

    /// The queue as a restart would find it, if all of it were on disk.
    pub fn after_restart(&self, turn: u64) -> Option<Self> {
        if !self.kind.durable {
            return None;
        }
        let mut queue = Self { consumers: Vec::new(), ..self.clone() };
        queue.entries.retain(|_, entry| entry.persistent);
        for entry in queue.entries.values_mut() {
            entry.place = Place::Ready;
            entry.ready_since = turn;
        }
        Some(queue)
    }
}

impl Model {
    /// What may go wrong with a message that nobody took: it is given up, or put back.
    pub fn requeue(&mut self, name: &'static str, number: u64) {
        let (turn, now) = (self.turn, self.now);
        let Some(queue) = self.queues.get_mut(name) else { return };
        let entry = queue.entries.get_mut(&number).expect("what is held is there");
        entry.redelivered = true;
        entry.place = Place::Ready;
        entry.ready_since = turn;
        if queue.kind.quorum {
            entry.returns += 1;
        }
        let is_once_too_often =
            queue.kind.delivery_limit.is_some_and(|limit| entry.returns > limit);
        if is_once_too_often || entry.expires_at.is_some_and(|deadline| deadline <= now) {
            self.give_up(name, number);
        }
    }

    /// Out of its queue, and to the dead letters.
    pub fn give_up(&mut self, name: &'static str, number: u64) {
        let Some(queue) = self.queues.get_mut(name) else { return };
        let entry = queue.entries.remove(&number).expect("what is given up was there");
        if queue.kind.dead_letters {
            self.dead.push((name, entry));
        }
    }

    /// At the end of a turn the dead letters go where they go.
    pub fn bury(&mut self) {
        let turn = self.turn;
        for (name, entry) in std::mem::take(&mut self.dead) {
            self.figures.died += 1;
            let Some(queue) = self.queues.get_mut(super::kinds::DEAD) else { continue };
            queue.push(Entry {
                key: Key { died_in: Some(name), ..entry.key },
                lane: Lane::DeadIn(name),
                turn,
                ready_since: turn,
                place: Place::Ready,
                priority: 0,
                expires_at: None,
                redelivered: false,
                returns: 0,
                persistent: entry.persistent,
            });
        }
    }

    /// Messages whose time has come.
    pub fn expire(&mut self) {
        let names: Vec<_> = self.queues.keys().copied().collect();
        for name in names {
            for number in self.queues[name].due(self.now) {
                self.give_up(name, number);
            }
        }
        self.bury();
    }

    /// Messages that are too many.
    pub fn trim(&mut self) {
        let names: Vec<_> = self.queues.keys().copied().collect();
        for name in names {
            for number in self.queues[name].excess() {
                self.give_up(name, number);
            }
        }
        self.bury();
    }
}
