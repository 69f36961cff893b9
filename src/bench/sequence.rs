//! Exactly-once and order: what arrived on one queue compared with what was published.
//!
//! Each producer numbers its messages 0, 1, 2, ... A queue's [`Ledger`] expects them back in that order.
//! Counts are exact: a number that is skipped and arrives later is *out of order*, one that never arrives is
//! *lost*, one that arrives again is *doubled*.

use std::collections::BTreeMap;

/// What went wrong, in messages.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Published but never received.
    pub(crate) lost: u64,
    /// Received again.
    pub(crate) doubled: u64,
    /// Received after a message that was published later.
    pub(crate) out_of_order: u64,
    /// Of the wrong size or content, or from no producer of this run.
    pub(crate) damaged: u64,
    /// Still in the queue after everything was received and settled.
    pub(crate) left_behind: u64,
    /// Published but refused by the broker (basic.nack).
    pub(crate) refused: u64,
    /// Delivered again but not marked as redelivered.
    pub(crate) unmarked: u64,
}

impl Verdict {
    /// Whether everything arrived once, whole and in order.
    pub(crate) fn is_clean(&self) -> bool {
        *self == Self::default()
    }

    /// Adds another queue's counts.
    pub(crate) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
        self.damaged += other.damaged;
        self.left_behind += other.left_behind;
        self.refused += other.refused;
        self.unmarked += other.unmarked;
    }
}

/// What one queue delivered.
#[derive(Debug)]
pub(crate) struct Ledger {
    producer: u64,
    next: u64,
    /// Numbers skipped so far: first -> one past the last. Empty as long as all is well.
    missing: BTreeMap<u64, u64>,
    doubled: u64,
    out_of_order: u64,
    damaged: u64,
}

impl Ledger {
    /// A ledger that expects the messages of `producer` alone.
    pub(crate) fn new(producer: u64) -> Self {
        Self {
            producer,
            next: 0,
            missing: BTreeMap::new(),
            doubled: 0,
            out_of_order: 0,
            damaged: 0,
        }
    }

    /// Expects nothing of the first `count` messages: they were received before.
    pub(crate) fn skip(&mut self, count: u64) {
        self.next = count;
    }

    /// Enters one received message.
    #[inline]
    pub(crate) fn received(&mut self, producer: u64, sequence: u64) {
        if producer == self.producer && sequence == self.next {
            self.next += 1;
        } else {
            self.unexpected(producer, sequence);
        }
    }

    /// Notes that a message had the wrong size or content; if it said which one it is, it is entered as well.
    pub(crate) fn damaged(&mut self) {
        self.damaged += 1;
    }

    /// Whether each of the first `published` messages has arrived at least once.
    pub(crate) fn is_complete(&self, published: u64) -> bool {
        self.next >= published && self.missing.is_empty()
    }

    /// The counts, given how many messages were published.
    pub(crate) fn verdict(&self, published: u64) -> Verdict {
        let skipped: u64 = self.missing.iter().map(|(first, end)| end - first).sum();
        Verdict {
            lost: skipped + published.saturating_sub(self.next),
            doubled: self.doubled,
            out_of_order: self.out_of_order,
            // A number beyond what was published cannot come from a working broker.
            damaged: self.damaged + self.next.saturating_sub(published),
            ..Verdict::default()
        }
    }

    #[cold]
    fn unexpected(&mut self, producer: u64, sequence: u64) {
        if producer != self.producer {
            self.damaged += 1;
        } else if sequence >= self.next {
            self.missing.insert(self.next, sequence);
            self.next = sequence + 1;
        } else if self.take_missing(sequence) {
            self.out_of_order += 1;
        } else {
            self.doubled += 1;
        }
    }

    /// Takes `sequence` out of the skipped numbers; false when it was not among them.
    fn take_missing(&mut self, sequence: u64) -> bool {
        let Some((&first, &end)) = self.missing.range(..=sequence).next_back() else {
            return false;
        };
        if sequence >= end {
            return false;
        }
        self.missing.remove(&first);
        if first < sequence {
            self.missing.insert(first, sequence);
        }
        if sequence + 1 < end {
            self.missing.insert(sequence + 1, end);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCER: u64 = 7;

    fn after(sequences: &[u64]) -> Ledger {
        let mut ledger = Ledger::new(PRODUCER);
        for sequence in sequences {
            ledger.received(PRODUCER, *sequence);
        }
        ledger
    }

    #[test]
    fn messages_in_order_leave_a_clean_verdict() {
        let ledger = after(&[0, 1, 2]);

        assert!(ledger.is_complete(3));
        assert!(ledger.verdict(3).is_clean());
    }

    #[test]
    fn a_message_that_never_comes_is_lost() {
        let ledger = after(&[0, 2, 3]);

        assert!(!ledger.is_complete(4));
        assert_eq!(ledger.verdict(4), Verdict { lost: 1, ..Verdict::default() });
    }

    #[test]
    fn missing_messages_at_the_end_are_lost() {
        assert_eq!(after(&[0, 1]).verdict(5), Verdict { lost: 3, ..Verdict::default() });
    }

    #[test]
    fn a_message_that_comes_late_is_out_of_order_and_not_lost() {
        let ledger = after(&[0, 3, 4, 2, 1]);

        assert!(ledger.is_complete(5));
        assert_eq!(ledger.verdict(5), Verdict { out_of_order: 2, ..Verdict::default() });
    }

    #[test]
    fn a_message_that_comes_again_is_doubled() {
        let ledger = after(&[0, 1, 1, 2, 0]);

        assert!(ledger.is_complete(3));
        assert_eq!(ledger.verdict(3), Verdict { doubled: 2, ..Verdict::default() });
    }

    #[test]
    fn a_late_message_that_comes_twice_is_out_of_order_once_and_doubled_once() {
        let verdict = after(&[1, 0, 0]).verdict(2);

        assert_eq!(verdict, Verdict { out_of_order: 1, doubled: 1, ..Verdict::default() });
    }

    #[test]
    fn a_message_of_another_run_is_damaged() {
        let mut ledger = after(&[0]);
        ledger.received(PRODUCER + 1, 1);

        assert_eq!(ledger.verdict(1), Verdict { damaged: 1, ..Verdict::default() });
    }
}
