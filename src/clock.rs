//! Time as the broker sees it: read once a turn, settable in tests.
//!
//! Monotonic: it orders timeouts inside a run. Wall time is read once, at the start, and follows the
//! monotonic clock from there, so a wall clock that jumps moves no deadline. What is stored with it means
//! the same in the next run, as far as the machine's clock was right at both starts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The process's source of time.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    /// Milliseconds since the Unix epoch at `start`.
    start_unix_ms: u64,
    /// In a test: nanoseconds since `start`, moved by hand. `u64::MAX` means real time.
    manual: AtomicU64,
}

const REAL: u64 = u64::MAX;

/// When manual clocks start unless they are told otherwise: a day in November 2023.
const MANUAL_START_UNIX_MS: u64 = 1_700_000_000_000;

impl Clock {
    /// The machine's clock.
    pub fn real() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the clock is where time comes from")]
        let start = Instant::now();
        // A machine whose clock stands before 1970 counts from there.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start, start_unix_ms: milliseconds(unix), manual: AtomicU64::new(REAL) }
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn manual() -> Self {
        Self::manual_since(MANUAL_START_UNIX_MS)
    }

    /// A manual clock whose first moment is that many milliseconds after the Unix epoch, as for a broker
    /// that starts again after a while.
    pub fn manual_since(start_unix_ms: u64) -> Self {
        Self { start_unix_ms, manual: AtomicU64::new(0), ..Self::real() }
    }

    /// Moves a manual clock forward.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.manual.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Now, on the monotonic clock.
    pub fn now(&self) -> Instant {
        match self.manual.load(Ordering::Relaxed) {
            REAL => {
                #[expect(clippy::disallowed_methods, reason = "the clock is where time comes from")]
                let now = Instant::now();
                now
            }
            nanos => self.start + Duration::from_nanos(nanos),
        }
    }
    /// Milliseconds since the Unix epoch at that moment, as the wall clock of the start counts them.
    pub fn unix_ms(&self, at: Instant) -> u64 {
        if let Some(after) = at.checked_duration_since(self.start) {
            return self.start_unix_ms.saturating_add(milliseconds(after));
        }
        let before = self.start.saturating_duration_since(at);
        self.start_unix_ms.saturating_sub(milliseconds(before))
    }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_follows_the_monotonic_one() {
        let clock = Clock::manual();
        let start = clock.now();
        let before = clock.unix_ms(start);

        clock.advance(Duration::from_millis(1500));

        assert_eq!(clock.unix_ms(clock.now()), before + 1500);
        assert_eq!(clock.unix_ms(start), before);
    }

    #[test]
    fn moments_before_the_start_have_their_time() {
        let clock = Clock::manual_since(5000);
        let before = clock.now().checked_sub(Duration::from_secs(2)).unwrap();

        assert_eq!(clock.unix_ms(before), 3000);
    }

    #[test]
    fn the_real_clock_starts_at_the_wall_clocks_time() {
        let since_epoch = || milliseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
        let before = since_epoch();

        let clock = Clock::real();

        assert!((before..=since_epoch()).contains(&clock.unix_ms(clock.start)));
    }
}
