//! A queue's consumers: who is served next.
//!
//! Invariants:
//! * A consumer is ready (in the ring of its priority), parked, or waits for the single active one to go;
//!   only ready ones are looked at, and of them only the one in front.
//! * A ring turns by one with every message, in the order in which consumers came.
//! * Somebody waits only while somebody else is ready or parked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::broker::delivery::{ConnectionId, ConsumerSlot, DeliverySink};

/// A consumer's identity: its connection, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerId {
    /// The connection.
    pub connection: ConnectionId,
    /// The consumer's number in that connection's sink.
    pub slot: ConsumerSlot,
}

/// Somebody who takes messages from a queue as they come.
#[derive(Clone)]
pub struct Consumer {
    /// Who.
    pub id: ConsumerId,
    /// Where its messages go.
    pub sink: Arc<dyn DeliverySink>,
    /// Messages count as settled when they are handed over.
    pub no_ack: bool,
    /// Nobody else may consume beside it.
    pub exclusive: bool,
    /// Higher ones are served first (RabbitMQ's `x-priority`); 0 unless it asked for another.
    pub priority: i64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Consumers {
    ready: Rings,
    parked: Vec<Consumer>,
    waiting: VecDeque<Consumer>,
}

impl Consumers {
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.parked.len() + self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.top.is_empty() && self.parked.is_empty()
    }

    /// One of them is exclusive.
    pub(super) fn is_exclusive(&self) -> bool {
        self.ready.iter().chain(&self.parked).any(|consumer| consumer.exclusive)
    }

    /// Adds a consumer that is served beside the others.
    pub(super) fn add(&mut self, consumer: Consumer) {
        self.ready.put(consumer);
    }

    /// Adds a consumer that is served when the one who is served now is gone. RabbitMQ: the highest priority is
    /// next, and of equals who came first; nobody is pushed aside.
    pub(super) fn line_up(&mut self, consumer: Consumer) {
        if self.is_empty() {
            self.ready.put(consumer);
        } else {
            self.waiting.push_back(consumer);
        }
    }

    /// Takes a consumer out. If it was the single active one, the next one is active now.
    pub(super) fn remove(&mut self, id: ConsumerId) -> Option<Consumer> {
        if let Some(waiting) = take(&mut self.waiting, id) {
            return Some(waiting);
        }
        let removed = self.ready.remove(id).or_else(|| self.unpark(id))?;
        if self.is_empty()
            && let Some(next) = self.next_waiting()
        {
            self.ready.put(next);
        }
        Some(removed)
    }

    fn next_waiting(&mut self) -> Option<Consumer> {
        let highest = self.waiting.iter().map(|consumer| consumer.priority).max()?;
        let at = self.waiting.iter().position(|consumer| consumer.priority == highest)?;
        self.waiting.remove(at)
    }

    /// The consumer to be served now.
    pub(super) fn first(&self) -> Option<&Consumer> {
        self.ready.top.front()
    }

    /// Nobody takes turns with the first; those of lower priorities have to wait until it is parked.
    pub(super) fn is_first_alone(&self) -> bool {
        self.ready.top.len() == 1
    }

    /// The consumer in front was served; the next one of its priority is in front now.
    pub(super) fn rotate(&mut self) {
        if self.ready.top.len() > 1 {
            self.ready.top.rotate_left(1);
        }
    }

    /// The consumer in front can take no more for now.
    pub(super) fn park_first(&mut self) {
        self.parked.extend(self.ready.take_first());
    }

    /// The consumer can take more again.
    pub(super) fn resume(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.unpark(id) {
            self.ready.put(consumer);
        }
    }

    /// Takes everybody out.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Consumer> {
        let Self { ready, parked, waiting } = std::mem::take(self);
        ready.into_consumers().chain(parked).chain(waiting)
    }

    fn unpark(&mut self, id: ConsumerId) -> Option<Consumer> {
        let at = self.parked.iter().position(|consumer| consumer.id == id)?;
        Some(self.parked.remove(at))
    }
}

/// Ready consumers, a ring for each priority. The highest ring that has somebody is at hand, so that
/// queues without priorities never look any further.
///
/// Invariants: the rings in `lower` have lower priorities than `top` and are never empty; `top` is empty
/// only if nobody is ready.
#[derive(Default)]
struct Rings {
    priority: i64,
    top: VecDeque<Consumer>,
    lower: BTreeMap<i64, VecDeque<Consumer>>,
}

impl Rings {
    fn len(&self) -> usize {
        self.top.len() + self.lower.values().map(VecDeque::len).sum::<usize>()
    }

    fn iter(&self) -> impl Iterator<Item = &Consumer> {
        self.top.iter().chain(self.lower.values().flatten())
    }

    /// Adds a consumer at the end of its ring.
    fn put(&mut self, consumer: Consumer) {
        let priority = consumer.priority;
        if self.top.is_empty() {
            self.priority = priority;
        } else if priority > self.priority {
            let beaten = std::mem::take(&mut self.top);
            self.lower.insert(self.priority, beaten);
            self.priority = priority;
        }
        let is_top = priority == self.priority;
        let ring = if is_top { &mut self.top } else { self.lower.entry(priority).or_default() };
        ring.push_back(consumer);
    }

    fn take_first(&mut self) -> Option<Consumer> {
        let first = self.top.pop_front();
        self.refill_top();
        first
    }

    fn remove(&mut self, id: ConsumerId) -> Option<Consumer> {
        if let Some(consumer) = take(&mut self.top, id) {
            self.refill_top();
            return Some(consumer);
        }
        let consumer = self.lower.values_mut().find_map(|ring| take(ring, id))?;
        self.lower.retain(|_, ring| !ring.is_empty());
        Some(consumer)
    }

    fn refill_top(&mut self) {
        if self.top.is_empty()
            && let Some((priority, ring)) = self.lower.pop_last()
        {
            (self.priority, self.top) = (priority, ring);
        }
    }

    fn into_consumers(self) -> impl Iterator<Item = Consumer> {
        self.top.into_iter().chain(self.lower.into_values().flatten())
    }
}

fn take(consumers: &mut VecDeque<Consumer>, id: ConsumerId) -> Option<Consumer> {
    let at = consumers.iter().position(|consumer| consumer.id == id)?;
    consumers.remove(at)
}
