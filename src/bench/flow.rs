//! What the producer and the consumer of a lane tell each other while a run is under way.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::bench::Result;
use crate::bench::connection::PATIENCE;

/// How long a producer rests when it is too far ahead. At 10 million messages/s this is 5,000 messages, a small
/// part of what may be in flight, so a fast broker never runs dry meanwhile.
const REST: Duration = Duration::from_micros(500);
const NOT_YET: u64 = u64::MAX;

/// Shared by the two threads of a lane. Padded so that lanes do not share a cache line.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Flow {
    received: AtomicU64,
    dealt: AtomicU64,
    failed: AtomicBool,
    /// Messages written so far, for who watches; on a cache line of its own.
    sent: Padded,
}

#[derive(Debug)]
#[repr(align(128))]
struct Padded(AtomicU64);

impl Flow {
    pub(crate) fn new() -> Self {
        Self {
            received: AtomicU64::new(0),
            dealt: AtomicU64::new(NOT_YET),
            sent: Padded(AtomicU64::new(0)),
            failed: AtomicBool::new(false),
        }
    }

    /// Adds deliveries. Called once a read, not once a message.
    #[inline]
    pub(crate) fn add_received(&self, count: u64) {
        self.received.fetch_add(count, Ordering::Relaxed);
    }

    /// Deliveries so far.
    #[inline]
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Says how many messages were written so far. Called once a write.
    #[inline]
    pub(crate) fn set_sent(&self, count: u64) {
        self.sent.0.store(count, Ordering::Relaxed);
    }

    /// Messages written so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.0.load(Ordering::Relaxed)
    }

    /// Says that publishing is over, and how many messages were dealt to the queues.
    pub(crate) fn finish_publishing(&self, published: u64) {
        self.dealt.store(published, Ordering::Release);
    }

    /// How many messages were dealt to the queues; none while that is open.
    pub(crate) fn published(&self) -> Option<u64> {
        Some(self.dealt.load(Ordering::Acquire)).filter(|count| *count != NOT_YET)
    }

    /// Says that one side cannot go on, so that the other does not wait for it.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Waits until fewer than `most` deliveries are missing of the `expected` ones.
    #[inline]
    pub(crate) fn wait_for_room(&self, expected: u64, most: u64) -> Result<()> {
        if expected.saturating_sub(self.received()) < most {
            return Ok(());
        }
        self.wait_slowly(expected, most)
    }

    #[cold]
    fn wait_slowly(&self, expected: u64, most: u64) -> Result<()> {
        let (mut seen, mut since) = (self.received(), Instant::now());
        while expected.saturating_sub(self.received()) >= most {
            if self.has_failed() {
                return Err("the consumer failed".into());
            }
            if seen != self.received() {
                (seen, since) = (self.received(), Instant::now());
            } else if since.elapsed() > PATIENCE {
                return Err(format!("nothing delivered for {} s", PATIENCE.as_secs()).into());
            }
            std::thread::sleep(REST);
        }
        Ok(())
    }
}
