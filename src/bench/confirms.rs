//! Publisher confirms: which messages the broker has yet to answer for, and how long it took for the others.
//!
//! Invariant: each publish sequence number is answered exactly once, or [`Confirms::settle`] fails.

use std::num::NonZeroU32;

use crate::bench::histogram::Histogram;

/// The publish sequence numbers of one channel, from 1.
#[derive(Debug)]
pub(crate) struct Confirms {
    window: u64,
    outstanding: u64,
    /// The lowest number not answered.
    oldest: u64,
    /// The number of the next publish.
    next: u64,
    /// When each number from `oldest` to `next` was sent, in nanoseconds, by number modulo length; 0 = answered.
    sent_at: Vec<u64>,
    pub(crate) refused: u64,
    pub(crate) latency: Histogram,
}

impl Confirms {
    pub(crate) fn new(window: NonZeroU32) -> Self {
        // Room for answers out of order: the oldest may stay open while others come and go.
        let slots = window.get().saturating_mul(16).next_power_of_two() as usize;
        Self {
            window: u64::from(window.get()),
            outstanding: 0,
            oldest: 1,
            next: 1,
            sent_at: vec![0; slots],
            refused: 0,
            latency: Histogram::new(),
        }
    }

    /// Messages that may be published now.
    pub(crate) fn room(&self) -> u64 {
        let slots_left = self.sent_at.len() as u64 - (self.next - self.oldest);
        (self.window - self.outstanding).min(slots_left)
    }

    /// How much room is worth a write: a tenth of the window, so that a large window is used in batches.
    pub(crate) fn worthwhile(&self) -> u64 {
        (self.window / 10).max(1)
    }

    /// Messages not answered.
    pub(crate) fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// Enters `count` messages as published, each at the time `at` says (nanoseconds since the start of the run).
    /// Messages are numbered from 0 there.
    pub(crate) fn published(&mut self, count: u64, at: impl Fn(u64) -> u64) {
        for number in self.next..self.next + count {
            let slot = self.slot(number);
            // 0 stands for answered, so the first nanosecond counts as the second.
            self.sent_at[slot] = at(number - 1).max(1);
        }
        self.next += count;
        self.outstanding += count;
    }

    /// Enters the broker's answer for `number`, and for all before it when `multiple`.
    pub(crate) fn settle(&mut self, answer: Answer, now: u64) -> Result<(), String> {
        let Answer { number, multiple, refused } = answer;
        if number < self.oldest || number >= self.next {
            let (oldest, last) = (self.oldest, self.next - 1);
            return Err(format!("confirm of {number}, but only {oldest} to {last} are open"));
        }
        let before = self.outstanding;
        let first = if multiple { self.oldest } else { number };
        for open in first..=number {
            self.answered(open, now);
        }
        let answered = before - self.outstanding;
        if answered == 0 {
            return Err(format!("confirm of {number} twice"));
        }
        if refused {
            self.refused += answered;
        }
        while self.oldest < self.next && self.sent_at[self.slot(self.oldest)] == 0 {
            self.oldest += 1;
        }
        Ok(())
    }

    fn answered(&mut self, number: u64, now: u64) {
        let slot = self.slot(number);
        let sent_at = std::mem::take(&mut self.sent_at[slot]);
        if sent_at != 0 {
            self.latency.record(now.saturating_sub(sent_at));
            self.outstanding -= 1;
        }
    }

    fn slot(&self, number: u64) -> usize {
        // The length is a power of two and fits in usize, so nothing is lost.
        (number & (self.sent_at.len() as u64 - 1)) as usize
    }
}

/// A basic.ack or basic.nack from the broker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) number: u64,
    pub(crate) multiple: bool,
    pub(crate) refused: bool,
}
