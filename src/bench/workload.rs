//! What a workload is made of; [`table`](crate::bench::table) holds them all.
//!
//! A workload is a number of *lanes*. A lane is one producer connection, one consumer connection and the queues
//! between them; lanes share nothing, so two lanes show how a broker uses a second core.
//!
//! Invariant: every queue has exactly one consumer, so the order seen on a queue is the order the broker kept.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::bench::deal::Deal;

/// What is published, through what, and how it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Workload {
    /// Name used on the command line and in results.
    pub(crate) name: &'static str,
    /// One line for people.
    pub(crate) summary: &'static str,
    /// Size of each body in bytes, at least `message::STAMP_BYTES`.
    pub(crate) body_bytes: usize,
    /// How bodies and queues are kept by the broker.
    pub(crate) durability: Durability,
    /// Publisher confirms: how many messages may be unconfirmed; none = confirms off.
    pub(crate) confirm_window: Option<NonZeroU32>,
    /// How the consumer settles deliveries.
    pub(crate) settle: Settle,
    /// Independent producer/consumer pairs.
    pub(crate) lanes: usize,
    /// How a lane's messages reach its queues.
    pub(crate) route: Route,
    /// What the queues are declared with.
    pub(crate) feature: Feature,
    /// Messages a second of all lanes together, each due at its time; none = as fast as the broker takes them.
    pub(crate) rate: Option<NonZeroU32>,
    /// What is done.
    pub(crate) work: Work,
    /// What else goes on at the same time, as noise.
    pub(crate) beside: Option<&'static Workload>,
    /// Length of a run, unless the command line says otherwise.
    pub(crate) length: Duration,
}

/// What the clients of a workload do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Publish and consume for as long as the run takes.
    Stream,
    /// Come for one message and go, again and again.
    Churn,
}

/// Whether messages are published with delivery mode 2 to a durable queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// No delivery mode, queue declared with durable = 0.
    Transient,
    /// Delivery mode 2, queue declared with durable = 1.
    Persistent,
}

/// How a consumer settles what it received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settle {
    /// basic.consume with no-ack = 1.
    Automatic,
    /// basic.ack with multiple = 1 after every `every` deliveries, under a prefetch limit.
    Manual {
        /// Deliveries covered by one ack.
        every: u32,
        /// basic.qos prefetch-count.
        prefetch: u16,
    },
    /// Not at all, and without a prefetch limit.
    Never,
}

/// An argument of the queues, and what it asks of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feature {
    /// None.
    Plain,
    /// `x-message-ttl` of a minute: nothing expires in a run, but the broker has to keep book.
    TimeToLive,
    /// `x-max-priority` of 10, and all messages of priority 5, so that their order stays the same.
    Priority,
    /// `x-max-length` of a million, which is never reached.
    Length,
    /// `x-queue-type` of quorum.
    Quorum,
}

/// The value of a queue's argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArgumentValue {
    Number(u32),
    Text(&'static str),
}

impl Feature {
    /// The argument and its value, unless the queues are plain.
    pub(crate) fn argument(self) -> Option<(&'static str, ArgumentValue)> {
        match self {
            Self::Plain => None,
            Self::TimeToLive => Some(("x-message-ttl", ArgumentValue::Number(60_000))),
            Self::Priority => Some(("x-max-priority", ArgumentValue::Number(10))),
            Self::Length => Some(("x-max-length", ArgumentValue::Number(1_000_000))),
            Self::Quorum => Some(("x-queue-type", ArgumentValue::Text("quorum"))),
        }
    }

    /// The priority property of the messages.
    pub(crate) fn priority(self) -> Option<u8> {
        (self == Self::Priority).then_some(5)
    }
}

/// How a lane's messages reach its queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// The default exchange and so many queues, each with messages of its own.
    Direct(usize),
    /// An own fanout exchange with so many queues bound.
    Fanout(usize),
    /// An own topic exchange; message after message matches binding after binding.
    Topic {
        /// Queues, to which the bindings are dealt.
        queues: usize,
        /// Distinct bindings of all queues together, a multiple of the queues.
        bindings: usize,
    },
}

impl Route {
    /// Queues in one lane.
    pub(crate) fn queues(self) -> usize {
        match self {
            Self::Direct(queues) | Self::Fanout(queues) | Self::Topic { queues, .. } => queues,
        }
    }

    /// Distinct bindings in one lane, where they make a difference.
    pub(crate) fn bindings(self) -> Option<usize> {
        match self {
            Self::Topic { bindings, .. } => Some(bindings),
            Self::Direct(_) | Self::Fanout(_) => None,
        }
    }

    /// Which queues get which of the lane's messages.
    pub(crate) fn deal(self) -> Deal {
        let queues = self.queues() as u64;
        match self {
            Self::Fanout(_) => Deal::ToEach(queues),
            Self::Direct(_) | Self::Topic { .. } => Deal::InTurn(queues),
        }
    }
}

impl Workload {
    /// The largest difference between published and received messages of a lane, counted in deliveries.
    ///
    /// Keeps a transient producer from filling the broker's memory. Wide enough (tens of milliseconds of work
    /// for the fastest broker on this kind of machine) that it never slows a broker whose consumer keeps up.
    pub(crate) fn default_in_flight(&self) -> u64 {
        const MOST_MESSAGES: u64 = 200_000;
        const MOST_BYTES: u64 = 64 << 20;
        MOST_MESSAGES.min(MOST_BYTES / self.body_bytes as u64)
    }
}
