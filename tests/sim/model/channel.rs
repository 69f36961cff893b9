//! What one channel has: consumers, deliveries it has not settled, publishes that are not confirmed, and the answers it
//! waits for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::commands::Publish;
use super::{Key, Tag};

#[derive(Clone, Debug)]
pub struct Consumer {
    pub queue: &'static str,
    pub no_ack: bool,
    /// 0 is no limit.
    pub prefetch: u64,
}

/// A delivery that is not settled.
#[derive(Clone, Debug)]
pub struct Held {
    pub queue: &'static str,
    pub queue_id: u64,
    pub key: Key,
    pub is_durable: bool,
    /// None for what basic.get took.
    pub consumer: Option<Tag>,
}

/// An answer that must come. Answers come in the order of what they answer.
#[derive(Clone, Debug)]
pub struct Expected {
    pub what: Answer,
    /// It must not come before a commit.
    pub is_promise: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A method without anything to look at.
    Plain(&'static str),
    Declared {
        queue: &'static str,
        ready: usize,
        consumers: usize,
    },
    /// purge-ok and delete-ok.
    Counted(&'static str, usize),
    /// consume-ok and cancel-ok.
    Tagged(&'static str, Tag),
    Got {
        queue: &'static str,
        no_ack: bool,
    },
}

/// A publish that is not confirmed.
#[derive(Clone, Copy, Debug)]
pub struct Unconfirmed {
    pub is_refused: bool,
    pub is_promise: bool,
}

#[derive(Clone, Debug, Default)]
pub enum Mode {
    #[default]
    Plain,
    Confirm,
    Transaction(Transaction),
}

/// What a transaction holds back.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    /// With the queues that were found when it was published.
    pub publishes: Vec<(Publish, Vec<(&'static str, u64)>)>,
    pub settled: Vec<(Vec<(u64, Held)>, How)>,
}

/// How deliveries are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Ack,
    /// Put back, by basic.nack.
    Requeue,
    /// For good, by basic.reject.
    Reject,
}

#[derive(Clone, Debug, Default)]
pub struct Channel {
    pub mode: Mode,
    /// For consumers to come.
    pub prefetch: u64,
    /// For all of the channel.
    pub limit: u64,
    pub consumers: BTreeMap<Tag, Consumer>,
    pub held: BTreeMap<u64, Held>,
    pub last_tag: u64,
    pub expected: VecDeque<Expected>,
    pub published: u64,
    pub unconfirmed: BTreeMap<u64, Unconfirmed>,
    /// Consumers that the broker must say are cancelled.
    pub cancelled: BTreeSet<Tag>,
    /// Messages that must come back.
    pub returned: BTreeSet<u64>,
}

impl Channel {
    pub fn expect(&mut self, what: Answer, is_promise: bool) {
        self.expected.push_back(Expected { what, is_promise });
    }

    /// channel.close was sent, and not answered yet.
    pub fn is_closing(&self) -> bool {
        self.expected.front().is_some_and(|it| it.what == Answer::Plain("channel.close-ok"))
    }

    pub fn awaits_disk(&self) -> bool {
        self.expected.iter().any(|expected| expected.is_promise)
            || self.unconfirmed.values().any(|publish| publish.is_promise)
    }

    pub fn release(&mut self) {
        self.expected.iter_mut().for_each(|expected| expected.is_promise = false);
        self.unconfirmed.values_mut().for_each(|publish| publish.is_promise = false);
    }

    /// Everything was heard that is due.
    pub fn is_content(&self) -> bool {
        self.expected.is_empty()
            && self.unconfirmed.is_empty()
            && self.cancelled.is_empty()
            && self.returned.is_empty()
    }

    /// Deliveries of a consumer that are not settled. Those that a transaction has taken still count.
    pub fn held_by(&self, consumer: &str) -> u64 {
        self.all_held().filter(|held| held.consumer.as_deref() == Some(consumer)).count() as u64
    }

    /// The consumer may be handed one more.
    pub fn has_credit(&self, consumer: &str) -> bool {
        let Some(Consumer { no_ack, prefetch, .. }) = self.consumers.get(consumer) else {
            return false;
        };
        let of_consumers = self.all_held().filter(|held| held.consumer.is_some()).count() as u64;
        *no_ack
            || (*prefetch == 0 || self.held_by(consumer) < *prefetch)
                && (self.limit == 0 || of_consumers < self.limit)
    }

    fn all_held(&self) -> impl Iterator<Item = &Held> {
        let taken = match &self.mode {
            Mode::Transaction(transaction) => &transaction.settled[..],
            Mode::Plain | Mode::Confirm => &[],
        };
        let taken = taken.iter().flat_map(|(taken, _)| taken.iter().map(|(_, held)| held));
        self.held.values().chain(taken)
    }
}
