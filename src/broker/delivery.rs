//! What passes between a queue and whoever takes its messages.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::message::Message;
use super::turn::Turn;

/// A queue's number: from a counter, never reused, so that the log may name a queue by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u64);

/// A message's place in its queue: rises with every enqueue, kept on requeue, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// Positions without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first of them.
    pub first: Position,
    /// The last of them.
    pub last: Position,
}

/// A connection's number, unique in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// A consumer as its sink numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerSlot(pub u32);

/// A point in time, in milliseconds since the Unix epoch; see [`Clock`](crate::clock::Clock).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(NonZeroU64);

impl Deadline {
    /// So many milliseconds since the epoch. The first one counts as the second.
    pub fn at_ms(ms: u64) -> Self {
        Self(NonZeroU64::new(ms).unwrap_or(NonZeroU64::MIN))
    }

    /// Milliseconds since the epoch.
    pub fn as_ms(self) -> u64 {
        self.0.get()
    }

    /// The moment before.
    #[must_use]
    pub fn just_before(self) -> Self {
        Self::at_ms(self.0.get() - 1)
    }

    /// So many milliseconds later.
    #[must_use]
    pub fn after_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// A message in one queue.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place.
    pub position: Position,
    /// What was published.
    pub message: Arc<Message>,
    /// When it is given up here unless somebody takes it before.
    pub expires_at: Option<Deadline>,
    /// How often it came back, in queues that count that (RabbitMQ's `x-delivery-count`).
    pub returns: u32,
    /// It was handed to somebody before.
    pub redelivered: bool,
    /// It must survive a restart: a persistent message in a durable queue.
    pub durable: bool,
}

impl Entry {
    /// A message that is new at this place and need not survive a restart.
    pub fn new(position: Position, message: Arc<Message>) -> Self {
        Self { position, message, expires_at: None, returns: 0, redelivered: false, durable: false }
    }
}

/// A durable entry without its message, which is in the log, or will be with the next commit.
#[derive(Clone, Copy, Debug)]
pub struct Absent {
    /// Its place.
    pub position: Position,
    /// When it is given up here unless somebody takes it before.
    pub expires_at: Option<Deadline>,
    /// Bytes of its body.
    pub body_size: usize,
    /// How often it came back, in queues that count that.
    pub returns: u32,
    /// The message's `priority` property.
    pub priority: Option<u8>,
    /// It was handed to somebody before.
    pub redelivered: bool,
}

impl Absent {
    /// The same entry without its message.
    pub fn of(entry: &Entry) -> Self {
        Self {
            position: entry.position,
            expires_at: entry.expires_at,
            body_size: entry.message.body_size(),
            returns: entry.returns,
            priority: entry.message.priority(),
            redelivered: entry.redelivered,
        }
    }

    /// The entry, with its message.
    pub fn with(self, message: Arc<Message>) -> Entry {
        let Self { position, expires_at, returns, redelivered, .. } = self;
        Entry { position, message, expires_at, returns, redelivered, durable: true }
    }
}

/// Why a sink took no (further) message. The message stays with the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The way to the client is full; the sink resumes the consumer when there is room.
    Full,
    /// The consumer's or its channel's prefetch is used up; an acknowledgement resumes it.
    NoCredit,
    /// The client is gone; its consumers are about to be cancelled.
    Closed,
}

/// Where a queue puts messages after it has chosen a consumer. AMQP's outbox is one; a test's vector
/// is another. Called under the queue's lock.
pub trait DeliverySink: Send + Sync {
    /// Takes messages out of `offers` for the consumer in `slot` until there are none, or returns why it
    /// stopped. Nothing may be taken out that is not kept.
    fn deliver(
        &self,
        slot: ConsumerSlot,
        offers: &mut dyn Iterator<Item = Entry>,
        turn: &mut Turn,
    ) -> Result<(), Refusal>;

    /// The queue is gone, and the consumer in `slot` with it.
    fn cancelled(&self, slot: ConsumerSlot, turn: &mut Turn);
}
