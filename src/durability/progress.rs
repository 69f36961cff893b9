//! What an operator is told while a start takes its time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::limits;

/// Tells of a long piece of work once a second, and of a short one not at all.
pub(super) struct Progress {
    clock: Arc<Clock>,
    doing: &'static str,
    begun: Instant,
    told: Duration,
}

impl Progress {
    /// The work `doing` begins.
    pub(super) fn new(clock: &Arc<Clock>, doing: &'static str) -> Self {
        Self { clock: Arc::clone(clock), doing, begun: clock.now(), told: Duration::ZERO }
    }

    /// So much is done: of what, says `unit`. True if it was told.
    pub(super) fn note(&mut self, done: u64, unit: &'static str) -> bool {
        let taken = self.clock.now().saturating_duration_since(self.begun);
        let is_due = taken >= self.told + limits::PROGRESS_INTERVAL;
        if is_due {
            self.told = taken;
            let doing = self.doing;
            tracing::info!(done, unit, seconds = taken.as_secs(), "recovering: {doing}");
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_work_is_told_of_once_a_second() {
        let clock = Arc::new(Clock::manual());
        let mut progress = Progress::new(&clock, "working");
        let mut told = Vec::new();
        for step in 0..35 {
            told.extend(progress.note(step, "steps").then_some(step));
            clock.advance(Duration::from_millis(100));
        }
        assert_eq!(told, [10, 20, 30]);
    }
}
