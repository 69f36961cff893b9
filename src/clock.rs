//! Time as the broker sees it: read once a turn, settable in tests.
//!
//! Monotonic time orders timeouts inside a run; wall time is only ever shown or stored.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The process's source of time.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    wall_start_ms: u64,
    /// In a test: nanoseconds since `start`, moved by hand. `u64::MAX` means real time.
    manual: AtomicU64,
}

const REAL: u64 = u64::MAX;

impl Clock {
    /// The machine's clock.
    pub fn real() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        #[expect(clippy::disallowed_methods, reason = "the clock is where time comes from")]
        let start = Instant::now();
        Self { start, wall_start_ms: millis(wall), manual: AtomicU64::new(REAL) }
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn manual() -> Self {
        let clock = Self::real();
        clock.manual.store(0, Ordering::Relaxed);
        clock
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

    /// Wall time in milliseconds since 1970, derived from the monotonic clock so that it never jumps.
    pub fn wall_ms(&self) -> u64 {
        self.wall_start_ms + millis(self.now().saturating_duration_since(self.start))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
