//! How much may lie ready in a queue: `x-max-length`, `x-max-length-bytes`, `x-overflow`.
//!
//! Only ready messages count, and only their bodies, as in RabbitMQ, and with them (RabbitMQ 4.3) what will be ready
//! after a delay. This says what is too much; the state next door drops and refuses.
//!
//! What is delayed is never dropped: it was a consumer's already, and its turn comes.

use super::backlog::Backlog;
use super::delayed::Delayed;
use crate::broker::message::Message;
use crate::broker::options::{Overflow, QueueType};
use crate::broker::settings::QueueSettings;

/// What became of messages at a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The queue took them all. A later one may still push them out.
    Accepted,
    /// The queue is full and refused at least one of them.
    Refused,
}

/// What counts against a limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    messages: usize,
    bytes: usize,
}

impl Held {
    pub(super) fn by(backlog: &Backlog, delayed: &Delayed) -> Self {
        Self { messages: backlog.len() + delayed.len(), bytes: backlog.bytes() + delayed.bytes() }
    }
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    messages: usize,
    bytes: usize,
    rejects: bool,
    dead_letters_refused: bool,
}

impl Limit {
    /// The limit of a queue, if it has one.
    pub(super) fn of(settings: &QueueSettings, queue_type: QueueType) -> Option<Self> {
        if settings.max_length.is_none() && settings.max_length_bytes.is_none() {
            return None;
        }
        let rejects = match settings.overflow {
            Overflow::DropHead => false,
            Overflow::RejectPublish => true,
            // RabbitMQ: quorum queues take the argument and drop the head all the same.
            Overflow::RejectPublishDlx => queue_type != QueueType::Quorum,
        };
        Some(Self {
            messages: bound(settings.max_length),
            bytes: bound(settings.max_length_bytes),
            rejects,
            dead_letters_refused: rejects && settings.overflow == Overflow::RejectPublishDlx,
        })
    }

    /// What is refused is dead-lettered nevertheless.
    pub(super) fn dead_letters_refused(&self) -> bool {
        self.dead_letters_refused
    }

    /// A full queue refuses what is new rather than dropping what is old.
    pub(super) fn rejects(&self) -> bool {
        self.rejects
    }

    /// There is more than may be.
    pub(super) fn is_exceeded(&self, held: Held) -> bool {
        held.messages > self.messages || held.bytes > self.bytes
    }

    /// This many more messages with bodies of this many bytes would not exceed it.
    pub(super) fn has_room(&self, held: Held, messages: usize, bytes: usize) -> bool {
        held.messages.saturating_add(messages) <= self.messages
            && held.bytes.saturating_add(bytes) <= self.bytes
    }

    /// One more message would not exceed it.
    pub(super) fn has_room_for(&self, held: Held, message: &Message) -> bool {
        self.has_room(held, 1, message.body_size())
    }
}

fn bound(limit: Option<u64>) -> usize {
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}
