//! What a message looks like, and batches of them ready to be written.
//!
//! Body: sequence number (u64), producer (u64), then filler up to the wanted size; integers big-endian.

use crate::bench::deal::Deal;
use crate::bench::wire::{
    BODY, FRAME_END, FRAME_OVERHEAD, HEADER, MethodWriter, length_u32, method,
};
use crate::bench::workload::{Durability, Workload};

/// Bytes at the start of each body that say which message it is.
pub(crate) const STAMP_BYTES: usize = 16;

const BATCH_BYTES: usize = 64 << 10;
const LEAST_MESSAGES: usize = 2;
const CLASS_BASIC: u16 = 60;
/// Property flag of delivery-mode: bit 12 of the flags word.
const HAS_DELIVERY_MODE: u16 = 1 << 12;
/// Property flag of priority: the bit below.
const HAS_PRIORITY: u16 = 1 << 11;
const DELIVERY_MODE_PERSISTENT: u8 = 2;

/// Where published messages go.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
}

/// Messages in the order in which they are published, ready to be written.
pub(crate) trait Messages {
    /// How many messages one write may carry after the first `published`; never 0.
    fn room_after(&self, published: u64) -> u64;
    /// The frames of `count` messages from the one numbered `first`; `count` is at most the room.
    fn numbered(&mut self, first: u64, count: u64) -> &[u8];
    /// The deliveries that the first `published` messages cause.
    fn deliveries(&self, published: u64) -> u64;
    /// How many of the first `published` messages are dealt to queues that are consumed.
    fn dealt(&self, published: u64) -> u64;
}

/// The messages of a lane, encoded once; only sequence numbers change from write to write.
///
/// They go to one address after the other. As a write may begin at each of them, what one write carries is there once
/// more behind the last.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    message_bytes: usize,
    stamp_at: usize,
    /// Messages in a write.
    capacity: usize,
    addresses: u64,
    deal: Deal,
}

impl Batch {
    /// A batch of `workload`'s messages from `producer` to the addresses in turn, on channel 1.
    pub(crate) fn new(
        workload: &Workload,
        addresses: &[Address],
        producer: u64,
        frame_max: usize,
    ) -> Self {
        let encode = |address| encode(workload, address, producer, frame_max);
        let (first, stamp_at) = encode(&addresses[0]);
        let capacity = (BATCH_BYTES / first.len()).max(LEAST_MESSAGES);
        let mut bytes: Vec<_> = addresses.iter().flat_map(|address| encode(address).0).collect();
        let round_bytes = bytes.len();
        assert_eq!(round_bytes, first.len() * addresses.len(), "addresses have one length");
        let behind = bytes.iter().copied().cycle().take(capacity * first.len());
        let behind: Vec<_> = behind.collect();
        bytes.extend(behind);
        Self {
            bytes,
            message_bytes: first.len(),
            stamp_at,
            capacity,
            addresses: addresses.len() as u64,
            deal: workload.route.deal(),
        }
    }
}

impl Messages for Batch {
    fn room_after(&self, _published: u64) -> u64 {
        self.capacity as u64
    }

    fn numbered(&mut self, first: u64, count: u64) -> &[u8] {
        let count = usize::try_from(count).map_or(self.capacity, |count| count.min(self.capacity));
        let start = (first % self.addresses) as usize * self.message_bytes;
        let bytes = &mut self.bytes[start..start + count * self.message_bytes];
        let stamp = self.stamp_at..self.stamp_at + 8;
        let round = self.deal.round();
        // Counted, not divided: this is done for every message.
        let (mut number, mut turn) = (first / round, first % round);
        for message in bytes.chunks_exact_mut(self.message_bytes) {
            message[stamp.clone()].copy_from_slice(&number.to_be_bytes());
            turn += 1;
            if turn == round {
                (number, turn) = (number + 1, 0);
            }
        }
        bytes
    }

    fn deliveries(&self, published: u64) -> u64 {
        self.deal.deliveries(published)
    }

    fn dealt(&self, published: u64) -> u64 {
        published
    }
}

/// The frames of one message with the number 0, and where in them its number stands.
pub(crate) fn encode(
    workload: &Workload,
    address: &Address,
    producer: u64,
    frame_max: usize,
) -> (Vec<u8>, usize) {
    let mut message = publish_frame(address);
    push_frame(&mut message, HEADER, &header_payload(workload));
    let stamp_at = message.len() + FRAME_OVERHEAD - 1;
    for piece in body(workload.body_bytes, producer).chunks(frame_max - FRAME_OVERHEAD) {
        push_frame(&mut message, BODY, piece);
    }
    (message, stamp_at)
}

/// Sequence number and producer out of the start of a body; none when it is too short.
#[inline]
pub(crate) fn read_stamp(body: &[u8]) -> Option<(u64, u64)> {
    let (sequence, rest) = body.split_first_chunk::<8>()?;
    let producer = rest.first_chunk::<8>()?;
    Some((u64::from_be_bytes(*sequence), u64::from_be_bytes(*producer)))
}

/// What follows the stamp in a body of `body_bytes`.
pub(crate) fn filler(body_bytes: usize) -> Vec<u8> {
    // 251 is a prime, so that no block size of a broker repeats the pattern.
    (0_u8..251).cycle().take(body_bytes - STAMP_BYTES).collect()
}

fn body(body_bytes: usize, producer: u64) -> Vec<u8> {
    let mut body = vec![0; 8];
    body.extend(producer.to_be_bytes());
    body.extend(filler(body_bytes));
    body
}

fn publish_frame(address: &Address) -> Vec<u8> {
    MethodWriter::new(1, method::BASIC_PUBLISH)
        .u16(0)
        .short_string(&address.exchange)
        .short_string(&address.routing_key)
        .u8(0)
        .finish()
}

fn header_payload(workload: &Workload) -> Vec<u8> {
    let mut payload = CLASS_BASIC.to_be_bytes().to_vec();
    payload.extend([0, 0]);
    payload.extend((workload.body_bytes as u64).to_be_bytes());
    let mut flags = 0;
    let mut values = Vec::new();
    if workload.durability == Durability::Persistent {
        flags |= HAS_DELIVERY_MODE;
        values.push(DELIVERY_MODE_PERSISTENT);
    }
    if let Some(priority) = workload.feature.priority() {
        flags |= HAS_PRIORITY;
        values.push(priority);
    }
    payload.extend(flags.to_be_bytes());
    payload.extend(values);
    payload
}

fn push_frame(bytes: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    bytes.push(kind);
    bytes.extend(1_u16.to_be_bytes());
    bytes.extend(length_u32(payload.len()).to_be_bytes());
    bytes.extend(payload);
    bytes.push(FRAME_END);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::table::DURABLE_PAIR;
    use crate::bench::workload::Route;

    #[test]
    fn addresses_and_numbers_go_on_where_the_last_write_ended() {
        let address = |queue: &str| Address { exchange: String::new(), routing_key: queue.into() };
        let addresses = ["a", "b", "c"].map(address);
        let workload = Workload { route: Route::Direct(3), ..DURABLE_PAIR };
        let mut batch = Batch::new(&workload, &addresses, 7, 128 << 10);

        let mut first = 0;
        for count in [1, 4, 2, 58, 3] {
            assert!(count <= batch.room_after(first));
            let length = batch.message_bytes;
            let stamp = batch.stamp_at;
            for (message, number) in batch.numbered(first, count).chunks(length).zip(first..) {
                let (address, there) = (&addresses[(number % 3) as usize], number / 3);
                let (alone, _) = encode(&workload, address, 7, 128 << 10);
                assert_eq!(message[..stamp], alone[..stamp]);
                assert_eq!(read_stamp(&message[stamp..]), Some((there, 7)));
            }
            first += count;
        }
    }
}
