//! A queue's consumers: who is served next.
//!
//! Invariants:
//! * A consumer is either ready (in the ring) or parked; parked ones are never looked at.
//! * The ring turns by one with every message, in the order in which consumers came.

use std::collections::VecDeque;
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
}

/// See the module.
#[derive(Default)]
pub(super) struct Consumers {
    ready: VecDeque<Consumer>,
    parked: Vec<Consumer>,
}

impl Consumers {
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.parked.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.parked.is_empty()
    }

    /// One of them is exclusive.
    pub(super) fn is_exclusive(&self) -> bool {
        self.ready.iter().chain(&self.parked).any(|consumer| consumer.exclusive)
    }

    pub(super) fn add(&mut self, consumer: Consumer) {
        self.ready.push_back(consumer);
    }

    pub(super) fn remove(&mut self, id: ConsumerId) -> Option<Consumer> {
        if let Some(at) = self.ready.iter().position(|consumer| consumer.id == id) {
            return self.ready.remove(at);
        }
        let at = self.parked.iter().position(|consumer| consumer.id == id)?;
        Some(self.parked.remove(at))
    }

    /// The consumer to be served now.
    pub(super) fn first(&self) -> Option<&Consumer> {
        self.ready.front()
    }

    /// Nobody else could be served now.
    pub(super) fn is_first_alone(&self) -> bool {
        self.ready.len() == 1
    }

    /// The consumer in front was served; the next one is in front now.
    pub(super) fn rotate(&mut self) {
        if self.ready.len() > 1 {
            self.ready.rotate_left(1);
        }
    }

    /// The consumer in front can take no more for now.
    pub(super) fn park_first(&mut self) {
        self.parked.extend(self.ready.pop_front());
    }

    /// The consumer can take more again.
    pub(super) fn resume(&mut self, id: ConsumerId) {
        if let Some(at) = self.parked.iter().position(|consumer| consumer.id == id) {
            let consumer = self.parked.remove(at);
            self.ready.push_back(consumer);
        }
    }

    /// Takes everybody out.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Consumer> {
        std::mem::take(&mut self.ready).into_iter().chain(std::mem::take(&mut self.parked))
    }
}
