//! Time as the broker sees it: read once a turn, settable in tests.
//!
//! Monotonic: it orders timeouts inside a run. Wall time is for whoever shows or stores it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The process's source of time.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    /// In a test: nanoseconds since `start`, moved by hand. `u64::MAX` means real time.
    manual: AtomicU64,
}

const REAL: u64 = u64::MAX;

impl Clock {
    /// The machine's clock.
    pub fn real() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the clock is where time comes from")]
        let start = Instant::now();
        Self { start, manual: AtomicU64::new(REAL) }
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
}
