//! Until when deliveries of one source must be acknowledged: RabbitMQ's consumer timeout.
//!
//! Invariants:
//! * Deadlines rise: they are noted as time goes by, and all have the same distance.
//! * What is settled before the oldest outstanding delivery is forgotten with the next one that is noted, so this
//!   grows no further than the channel's ledger.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::ledger::Ledger;
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
    }
}
