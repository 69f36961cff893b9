//! How much may lie ready in a queue: `x-max-length`, `x-max-length-bytes`, `x-overflow`.
//!
//! Only the bodies of ready messages count, as in RabbitMQ, and (RabbitMQ 4.3) of those that will be ready after a
//! delay; for what is refused also of those whose dead letters somebody must have first. This says what is too much;
//! the state next door drops and refuses. What is delayed it never drops: it was a consumer's already, and its turn
//! comes.

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

/// Messages that count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    messages: usize,
    bytes: usize,
}

impl Load {
    pub(super) fn of(backlog: &Backlog, delayed: &Delayed) -> Self {
        Self { messages: backlog.len() + delayed.len(), bytes: backlog.bytes() + delayed.bytes() }
    }

    pub(super) fn plus(self, other: Load) -> Self {
        let messages = self.messages.saturating_add(other.messages);
        Self { messages, bytes: self.bytes.saturating_add(other.bytes) }
    }

    pub(super) fn minus(self, other: Load) -> Self {
        let messages = self.messages.saturating_sub(other.messages);
        Self { messages, bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

impl<'a> FromIterator<&'a Message> for Load {
    fn from_iter<T: IntoIterator<Item = &'a Message>>(messages: T) -> Self {
        let one = |message: &Message| Self { messages: 1, bytes: message.body_size() };
        messages.into_iter().map(one).fold(Self::default(), Self::plus)
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
    pub(super) fn is_exceeded(&self, load: Load) -> bool {
        load.messages > self.messages || load.bytes > self.bytes
    }

    /// This many more messages with bodies of this many bytes would not exceed it.
    pub(super) fn has_room(&self, load: Load, messages: usize, bytes: usize) -> bool {
        let load = load.plus(Load { messages, bytes });
        load.messages <= self.messages && load.bytes <= self.bytes
    }

    /// One more message would not exceed it.
    pub(super) fn has_room_for(&self, load: Load, message: &Message) -> bool {
        self.has_room(load, 1, message.body_size())
    }
}

fn bound(limit: Option<u64>) -> usize {
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}
