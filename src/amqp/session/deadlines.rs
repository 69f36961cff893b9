//! Until when deliveries of one source must be acknowledged: RabbitMQ's consumer timeout.
//!
//! Invariants:
//! * Deadlines rise: they are noted as time goes by, and all have the same distance.
//! * What is settled before the oldest outstanding delivery is forgotten with the next one that is noted, and all
//!   that is settled when it outnumbers what is outstanding; so this grows no further than the channel's ledger.
//! * A delivery that a transaction took and gave back keeps its first deadline, if that was not forgotten yet.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::ledger::{HOLES_TOLERATED, Ledger};
use crate::limits;

/// See the module.
pub(super) struct Deadlines {
    timeout: Duration,
    pending: VecDeque<(u64, Instant)>,
}

impl Deadlines {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, pending: VecDeque::new() }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Notes a delivery that is in the ledger.
    pub(super) fn note(&mut self, tag: u64, ledger: &Ledger, now: Instant) {
        self.forget_settled(ledger);
        // What does not fit a clock is never.
        if let Some(deadline) = now.checked_add(self.timeout) {
            self.pending.push_back((tag, deadline));
        }
    }

    /// The deadline of the oldest delivery that is outstanding.
    pub(super) fn first(&mut self, ledger: &Ledger) -> Option<Instant> {
        self.forget_settled(ledger);
        self.pending.front().map(|(_, deadline)| *deadline)
    }

    /// The earliest deadline of what may be delivered from now on.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        now.checked_add(self.timeout.max(limits::CONSUMER_TIMEOUT_STEP))
    }

    fn forget_settled(&mut self, ledger: &Ledger) {
        while self.pending.front().is_some_and(|(tag, _)| !ledger.is_outstanding(*tag)) {
            self.pending.pop_front();
        }
        if self.pending.len() > 2 * ledger.outstanding() + HOLES_TOLERATED {
            let mut met = HashSet::new();
            self.pending.retain(|(tag, _)| ledger.is_outstanding(*tag) && met.insert(*tag));
            self.pending.shrink_to(2 * ledger.outstanding() + HOLES_TOLERATED);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::amqp::session::ledger::{Lent, Unsettled};
    use crate::broker::delivery::{Entry, Position};
    use crate::broker::message::{Layout, Message};
    use crate::clock::Clock;

    fn delivery(ledger: &mut Ledger) -> u64 {
        let layout = Layout { exchange: 0, routing_key: 0, header: 0 };
        let message = Arc::new(Message::new(Bytes::new(), layout, false, false).unwrap());
        ledger.note(Unsettled { lent: Lent::Whole(Entry::new(Position(1), message)), source: 0 })
    }

    #[test]
    fn what_is_settled_behind_a_delivery_that_is_not_does_not_pile_up() {
        let (mut ledger, now) = (Ledger::default(), Clock::manual().now());
        let mut deadlines = Deadlines::new(Duration::from_secs(1));
        for _ in 0..100_000 {
            let tag = delivery(&mut ledger);
            deadlines.note(tag, &ledger, now);
            if tag > 1 {
                ledger.take(tag, false, &mut Vec::new()).unwrap();
            }
        }
        assert!(deadlines.pending.capacity() < 10_000, "{}", deadlines.pending.capacity());
        assert_eq!(deadlines.first(&ledger), Some(now + Duration::from_secs(1)));
    }

    #[test]
    fn deliveries_that_transactions_give_back_again_and_again_do_not_pile_up() {
        let (mut ledger, clock) = (Ledger::default(), Clock::manual());
        let mut deadlines = Deadlines::new(Duration::from_secs(1));
        let first = clock.now() + Duration::from_secs(1);
        let tags = [delivery(&mut ledger), delivery(&mut ledger)];
        for tag in tags {
            deadlines.note(tag, &ledger, clock.now());
        }
        for _ in 0..100_000 {
            clock.advance(Duration::from_nanos(1));
            let mut taken = Vec::new();
            ledger.take(tags[1], false, &mut taken).unwrap();
            ledger.put_back(taken);
            deadlines.note(tags[1], &ledger, clock.now());
        }
        assert!(deadlines.pending.capacity() < 10_000, "{}", deadlines.pending.capacity());
        ledger.take(tags[0], false, &mut Vec::new()).unwrap();
        assert_eq!(deadlines.first(&ledger), Some(first), "its time runs from its delivery");
    }
}
