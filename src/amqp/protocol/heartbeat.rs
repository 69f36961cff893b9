//! Deadlines from the negotiated heartbeat: when to send one, and when the peer is dead.
//!
//! Pure arithmetic; the server owns the clock. Any octet sent or received counts, not only heartbeat frames.

use std::time::Duration;

/// Added to two intervals before a peer is given up. RabbitMQ drops between two and three intervals after the
/// last octet; half a second keeps a client that sends exactly every two intervals alive.
const GRACE: Duration = Duration::from_millis(500);

/// The heartbeat both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    interval: Duration,
}

impl Heartbeat {
    /// From the seconds of tune-ok; 0 switches heartbeats off in both directions.
    #[must_use]
    pub const fn new(seconds: u16) -> Option<Self> {
        match seconds {
            0 => None,
            seconds => Some(Self { interval: Duration::from_secs(seconds as u64) }),
        }
    }

    /// The interval that was agreed on.
    #[must_use]
    pub const fn interval(self) -> Duration {
        self.interval
    }

    /// How long nothing may have been sent before a heartbeat frame is due: half the interval, as RabbitMQ.
    #[must_use]
    pub const fn send_after(self) -> Duration {
        Duration::from_millis(self.millis() / 2)
    }

    /// How long nothing may have been received before the connection is dropped, without a close frame: a little
    /// more than two intervals.
    #[must_use]
    pub const fn give_up_after(self) -> Duration {
        Duration::from_millis(2 * self.millis()).saturating_add(GRACE)
    }

    const fn millis(self) -> u64 {
        self.interval.as_secs() * 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_switches_heartbeats_off() {
        assert_eq!(Heartbeat::new(0), None);
    }

    #[test]
    fn a_heartbeat_is_due_after_half_the_interval() {
        let heartbeat = Heartbeat::new(1).unwrap();
        assert_eq!(heartbeat.send_after(), Duration::from_millis(500));
    }

    #[test]
    fn a_peer_is_given_up_between_two_and_three_intervals_and_within_a_second_of_two() {
        for seconds in [1, 2, 60, u16::MAX] {
            let heartbeat = Heartbeat::new(seconds).unwrap();
            let interval = Duration::from_secs(u64::from(seconds));

            assert!(heartbeat.give_up_after() > interval * 2);
            assert!(heartbeat.give_up_after() <= interval * 3);
            assert!(heartbeat.give_up_after() <= interval * 2 + Duration::from_secs(1));
        }
    }
}
