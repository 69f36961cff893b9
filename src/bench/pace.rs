//! Open loop: when each message is due, whatever the broker does meanwhile.
//!
//! Latencies of paced messages count from here, not from the write: a broker that makes the producer wait makes it late
//! for all that follow, and an average that leaves those out would flatter it (coordinated omission).

#![expect(clippy::cast_sign_loss, reason = "times are not negative")]

use std::num::NonZeroU32;

const NANOS: f64 = 1e9;
/// Above five thousand messages a second of a lane they are written together, at most once in this time: a
/// generator that wakes up for each would take the cores from the broker.
const TICK: u64 = 200_000;

/// When a lane's messages are due, in nanoseconds since the start of the run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    /// Nanoseconds from a message of any lane to the next.
    interval: f64,
    lane: u64,
    lanes: u64,
}

impl Pace {
    /// The pace of one of so many `lanes` that take turns, together `rate` messages a second.
    pub(crate) fn new(rate: NonZeroU32, lane: usize, lanes: usize) -> Self {
        Self { interval: NANOS / f64::from(rate.get()), lane: lane as u64, lanes: lanes as u64 }
    }

    /// When message `number` is due.
    #[inline]
    pub(crate) fn due_at(&self, number: u64) -> u64 {
        ((number * self.lanes + self.lane) as f64 * self.interval) as u64
    }

    /// When to write message `number`.
    pub(crate) fn write_at(&self, number: u64) -> u64 {
        self.due_at(number).next_multiple_of(self.tick())
    }

    /// How many messages are to be written at `now`, those before included.
    pub(crate) fn written_by(&self, now: u64) -> u64 {
        let tick = now - now % self.tick();
        let due_of_all_lanes = (tick as f64 / self.interval) as u64 + 1;
        (due_of_all_lanes + self.lanes - 1 - self.lane) / self.lanes
    }

    /// The times of writes are multiples of this.
    fn tick(&self) -> u64 {
        if self.interval * (self.lanes as f64) < TICK as f64 { TICK } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate: u32, lane: usize, lanes: usize) -> Pace {
        Pace::new(NonZeroU32::new(rate).unwrap(), lane, lanes)
    }

    #[test]
    fn lanes_take_turns() {
        let due = |lane| [0, 1].map(|number| pace(1000, lane, 2).due_at(number));

        assert_eq!((due(0), due(1)), ([0, 2_000_000], [1_000_000, 3_000_000]));
    }

    #[test]
    fn a_message_is_due_at_its_time_and_not_before() {
        for lane in 0..3 {
            let pace = pace(1000, lane, 3);
            for number in 0..100 {
                let due_at = pace.due_at(number);
                assert_eq!(pace.written_by(due_at), number + 1);
                if due_at > 0 {
                    assert_eq!(pace.written_by(due_at - 1), number);
                }
            }
        }
    }

    #[test]
    fn only_a_fast_pace_is_written_in_ticks() {
        assert_eq!(pace(5000, 0, 1).write_at(3), 600_000);
        assert_eq!(pace(1_000_000, 0, 1).write_at(3), TICK);
        assert_eq!(pace(1_000_000, 0, 1).written_by(TICK), 201);
        assert_eq!(pace(1_000_000, 0, 1).written_by(2 * TICK - 1), 201);
    }
}
