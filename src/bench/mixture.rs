//! Messages for many queues that are consumed and one that is not, in a fixed rotation.
//!
//! Of ten messages nine go to the consumed queues in turn and the tenth to the neglected one. Every queue numbers
//! its messages from 0. The rotation ends where both come back to the first queue, so it is encoded once.

use crate::bench::message::{Address, Messages, encode};
use crate::bench::workload::Workload;

/// One message of so many is for the neglected queue.
pub(crate) const NEGLECTED_SHARE: u64 = 10;

/// The frames of one rotation; only the numbers change from one to the next.
#[derive(Debug)]
pub(crate) struct Mixture {
    bytes: Vec<u8>,
    places: Vec<Place>,
    consumed_queues: u64,
}

/// Where a message of the rotation lies in its bytes.
#[derive(Debug)]
struct Place {
    start: usize,
    stamp: usize,
    end: usize,
}

impl Mixture {
    /// Messages of `producer` to the queues named, through the default exchange.
    pub(crate) fn new(
        workload: &Workload,
        consumed: &[String],
        neglected: &str,
        producer: u64,
        frame_max: usize,
    ) -> Self {
        let mut mixture =
            Self { bytes: Vec::new(), places: Vec::new(), consumed_queues: consumed.len() as u64 };
        for number in 0..mixture.rotation() {
            let queue = match mixture.place_of(number) {
                (Some(queue), _) => &consumed[queue as usize],
                (None, _) => neglected,
            };
            let address = Address { exchange: String::new(), routing_key: queue.to_owned() };
            let (message, stamp) = encode(workload, &address, producer, frame_max);
            let start = mixture.bytes.len();
            let (stamp, end) = (start + stamp, start + message.len());
            mixture.places.push(Place { start, stamp, end });
            mixture.bytes.extend(message);
        }
        mixture
    }

    /// Messages until both the queues and the share begin anew.
    pub(crate) fn rotation(&self) -> u64 {
        self.consumed_queues * NEGLECTED_SHARE
    }

    /// The consumed queue of message `number`, none for the neglected one, and its number there.
    fn place_of(&self, number: u64) -> (Option<u64>, u64) {
        let (round, turn) = (number / NEGLECTED_SHARE, number % NEGLECTED_SHARE);
        if turn == NEGLECTED_SHARE - 1 {
            return (None, round);
        }
        let among_consumed = round * (NEGLECTED_SHARE - 1) + turn;
        (Some(among_consumed % self.consumed_queues), among_consumed / self.consumed_queues)
    }
}

impl Messages for Mixture {
    fn room_after(&self, published: u64) -> u64 {
        self.rotation() - published % self.rotation()
    }

    fn numbered(&mut self, first: u64, count: u64) -> &[u8] {
        let from = (first % self.rotation()) as usize;
        let until = (from + count as usize).min(self.places.len());
        for (index, number) in (from..until).zip(first..) {
            let (_, number_there) = self.place_of(number);
            let stamp = self.places[index].stamp;
            self.bytes[stamp..stamp + 8].copy_from_slice(&number_there.to_be_bytes());
        }
        match self.places.get(from..until) {
            Some([first, .., last]) => &self.bytes[first.start..last.end],
            Some([only]) => &self.bytes[only.start..only.end],
            _ => &[],
        }
    }

    fn deliveries(&self, published: u64) -> u64 {
        // Counted from below, so that a message on its way to the neglected queue is waited for by nobody.
        published / NEGLECTED_SHARE * (NEGLECTED_SHARE - 1)
    }

    fn dealt(&self, published: u64) -> u64 {
        let (rounds, rest) = (published / NEGLECTED_SHARE, published % NEGLECTED_SHARE);
        rounds * (NEGLECTED_SHARE - 1) + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::table::DURABLE_PAIR;

    fn mixture() -> Mixture {
        let consumed = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        Mixture::new(&DURABLE_PAIR, &consumed, "neglected", 7, 128 << 10)
    }

    #[test]
    fn each_queue_numbers_its_messages_without_a_gap() {
        let mixture = mixture();
        let mut next = [0; 4];

        for number in 0..5 * mixture.rotation() {
            let (queue, number_there) = mixture.place_of(number);
            let next = &mut next[queue.map_or(3, |queue| queue as usize)];
            assert_eq!(number_there, *next);
            *next += 1;
        }
        assert_eq!(next, [45, 45, 45, 15]);
    }

    #[test]
    fn writes_of_any_length_are_the_same_bytes_as_whole_rotations() {
        let mut mixture = mixture();
        let rotation = mixture.rotation();
        let whole =
            [mixture.numbered(0, rotation).to_vec(), mixture.numbered(rotation, rotation).to_vec()];
        let (mut pieces, mut first) = (Vec::new(), 0);
        while first < 2 * rotation {
            let count = mixture.room_after(first).min(7);
            pieces.extend_from_slice(mixture.numbered(first, count));
            first += count;
        }

        assert!(pieces == whole.concat());
    }
}
