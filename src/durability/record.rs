//! Changes as records of the log, and back.
//!
//! ```text
//! frame      version octet, records to the end
//! put        1, exchange octets, key octets, header octets, places: count, (queue, position)...,
//!            blob with its count, CRC32C of all that (4 octets, little-endian)
//! gone       2, queue, runs: count, (gap, length)...
//! delivered  3, queue, position
//! definition 4, see `definition`
//! ```
//! Integers are varints. A gap counts the positions between the end of a run and the next; the first one
//! counts from zero.
//!
//! A put is also read alone, by its place in the log, when a message is loaded. Therefore it has a checksum
//! of its own and names its places, and a put of another form must get a kind octet of its own; all else is
//! covered by the frame's version and checksum.

use std::iter::FusedIterator;

pub use super::codec::RecordError;
use super::codec::{Reader, put_bytes, put_varint};
use super::definition::{put_definition, read_definition};
use crate::broker::change::Definition;
use crate::broker::delivery::{Position, QueueId};
use crate::broker::message::{Layout, Message};

const FRAME_VERSION: u8 = 1;

const PUT: u8 = 1;
const GONE: u8 = 2;
const DELIVERED: u8 = 3;
const DEFINITION: u8 = 4;

const CHECKSUM: usize = 4;

/// A change, as the log keeps it.
#[derive(Debug, PartialEq)]
pub enum Record<'a> {
    /// A message to keep, for one queue or several.
    Put(Put<'a>),
    /// Entries of a queue are gone.
    Gone {
        /// Whose.
        queue: QueueId,
        /// Which, rising and apart.
        runs: Vec<Run>,
    },
    /// Entries of a queue up to here may have been seen by a consumer.
    Delivered {
        /// Whose.
        queue: QueueId,
        /// The last of them.
        up_to: Position,
    },
    /// A definition changed.
    Definition(Definition),
}

/// A message as the log keeps it. It is persistent, or it would not be there.
#[derive(Debug, PartialEq)]
pub struct Put<'a> {
    /// Where its parts lie in `blob`.
    pub layout: Layout,
    /// Where it is queued. More than one: the queues share it.
    pub places: Vec<(QueueId, Position)>,
    /// `exchange | routing key | header | body`.
    pub blob: &'a [u8],
}

/// Positions without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first of them.
    pub first: Position,
    /// The last of them.
    pub last: Position,
}

/// Starts the payload of a frame.
pub fn begin_payload(into: &mut Vec<u8>) {
    into.push(FRAME_VERSION);
}

/// Appends a message with the places it has in queues.
pub fn put_message(into: &mut Vec<u8>, message: &Message, places: &[(QueueId, Position)]) {
    let start = into.len();
    let layout = message.layout();
    into.extend([PUT, layout.exchange, layout.routing_key]);
    put_varint(into, u64::from(layout.header));
    put_varint(into, places.len() as u64);
    for (queue, position) in places {
        put_varint(into, queue.0);
        put_varint(into, position.0);
    }
    put_bytes(into, message.blob());
    let checksum = crc32c::crc32c(&into[start..]);
    into.extend(checksum.to_le_bytes());
}

/// Appends the entries that are gone. `positions` are rising.
pub fn put_gone(into: &mut Vec<u8>, queue: QueueId, positions: &[Position]) {
    into.push(GONE);
    put_varint(into, queue.0);
    put_varint(into, runs(positions).count() as u64);
    let mut behind = 0;
    for run in runs(positions) {
        put_varint(into, run.first.0 - behind);
        put_varint(into, run.last.0 - run.first.0);
        behind = run.last.0.saturating_add(1);
    }
}

/// Appends how far entries were seen.
pub fn put_delivered(into: &mut Vec<u8>, queue: QueueId, up_to: Position) {
    into.push(DELIVERED);
    put_varint(into, queue.0);
    put_varint(into, up_to.0);
}

/// Appends a changed definition.
pub fn put_definition_record(into: &mut Vec<u8>, definition: &Definition) {
    into.push(DEFINITION);
    put_definition(into, definition);
}

/// Rising positions as runs.
pub fn runs(positions: &[Position]) -> impl Iterator<Item = Run> + '_ {
    let neighbours = |one: &Position, next: &Position| one.0.checked_add(1) == Some(next.0);
    positions.chunk_by(neighbours).filter_map(|run| {
        let (&first, &last) = (run.first()?, run.last()?);
        Some(Run { first, last })
    })
}

/// A record and where in its frame's payload it lies.
#[derive(Debug, PartialEq)]
pub struct PlacedRecord<'a> {
    /// What was recorded.
    pub record: Record<'a>,
    /// Where it begins.
    pub offset: u32,
    /// How long it is.
    pub length: u32,
}

/// The records of a frame's payload, up to the first that cannot be read. Checksums of messages are not
/// looked at: the frame was.
pub fn records(payload: &[u8]) -> Result<Records<'_>, RecordError> {
    let mut reader = Reader::new(payload);
    reader.version("frame", FRAME_VERSION)?;
    Ok(Records { reader, failed: false })
}

/// See [`records`].
#[derive(Debug)]
pub struct Records<'a> {
    reader: Reader<'a>,
    failed: bool,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<PlacedRecord<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.reader.is_empty() {
            return None;
        }
        let next = self.read();
        self.failed = next.is_err();
        Some(next)
    }
}

impl FusedIterator for Records<'_> {}

impl<'a> Records<'a> {
    fn read(&mut self) -> Result<PlacedRecord<'a>, RecordError> {
        let start = self.reader.at();
        let record = read_record(&mut self.reader)?;
        let fits = |size: usize| u32::try_from(size);
        let (Ok(offset), Ok(length)) = (fits(start), fits(self.reader.at() - start)) else {
            return Err(RecordError::Malformed("a frame is larger than a segment can be"));
        };
        Ok(PlacedRecord { record, offset, length })
    }
}

/// Reads a put by itself and verifies its checksum.
pub fn read_message(bytes: &[u8]) -> Result<Put<'_>, RecordError> {
    let mut reader = Reader::new(bytes);
    match reader.octet()? {
        PUT => {}
        found => return Err(RecordError::UnknownKind { of: "message", found }),
    }
    let (put, checksum) = read_put(&mut reader)?;
    reader.end()?;
    let covered = bytes.len() - CHECKSUM;
    if crc32c::crc32c(&bytes[..covered]) != checksum {
        return Err(RecordError::Checksum);
    }
    Ok(put)
}

fn read_record<'a>(reader: &mut Reader<'a>) -> Result<Record<'a>, RecordError> {
    Ok(match reader.octet()? {
        PUT => Record::Put(read_put(reader)?.0),
        GONE => Record::Gone { queue: QueueId(reader.varint()?), runs: read_runs(reader)? },
        DELIVERED => Record::Delivered {
            queue: QueueId(reader.varint()?),
            up_to: Position(reader.varint()?),
        },
        DEFINITION => Record::Definition(read_definition(reader)?),
        found => return Err(RecordError::UnknownKind { of: "record", found }),
    })
}

/// Takes a put behind its kind octet, and its checksum.
fn read_put<'a>(reader: &mut Reader<'a>) -> Result<(Put<'a>, u32), RecordError> {
    let layout = Layout {
        exchange: reader.octet()?,
        routing_key: reader.octet()?,
        header: reader.number()?,
    };
    let mut places = Vec::with_capacity(1);
    for _ in 0..reader.varint()? {
        places.push((QueueId(reader.varint()?), Position(reader.varint()?)));
    }
    let blob = reader.bytes()?;
    let checksum = u32::from_le_bytes(reader.array()?);
    Ok((Put { layout, places, blob }, checksum))
}

fn read_runs(reader: &mut Reader<'_>) -> Result<Vec<Run>, RecordError> {
    const OVERFLOW: RecordError = RecordError::Malformed("a position does not fit 64 bits");
    let mut runs = Vec::new();
    let mut behind = Some(0_u64);
    for _ in 0..reader.varint()? {
        let gap = reader.varint()?;
        let first = behind.and_then(|behind| behind.checked_add(gap)).ok_or(OVERFLOW)?;
        let last = first.checked_add(reader.varint()?).ok_or(OVERFLOW)?;
        runs.push(Run { first: Position(first), last: Position(last) });
        behind = last.checked_add(1);
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::durability::definition::tests::any_definition;
    use crate::durability::table::tests::any_table;

    /// A change, owned.
    #[derive(Clone, Debug)]
    enum Change {
        Put(Vec<u8>, Layout, Vec<(QueueId, Position)>),
        Gone(QueueId, Vec<Position>),
        Delivered(QueueId, Position),
        Definition(Definition),
    }

    fn any_change() -> impl Strategy<Value = Change> {
        let places = prop::collection::vec(any::<(u64, u64)>(), 1..4);
        let put = (prop::collection::vec(any::<u8>(), 0..99), 0_u8..9, 0_u8..9, 0_u32..9, places);
        let put = put.prop_map(|(mut blob, exchange, routing_key, header, places)| {
            blob.extend([0; 27]);
            let places = places.into_iter().map(|(queue, at)| (QueueId(queue), Position(at)));
            Change::Put(blob, Layout { exchange, routing_key, header }, places.collect())
        });
        let position = prop_oneof![4 => 0_u64..40, 1 => any::<u64>()];
        let gone = (any::<u64>(), prop::collection::btree_set(position, 0..40));
        let gone = gone.prop_map(|(queue, positions): (u64, BTreeSet<u64>)| {
            Change::Gone(QueueId(queue), positions.into_iter().map(Position).collect())
        });
        prop_oneof![
            put,
            gone,
            any::<(u64, u64)>()
                .prop_map(|(queue, at)| Change::Delivered(QueueId(queue), Position(at))),
            any_definition(any_table().boxed()).prop_map(Change::Definition),
        ]
    }

    fn write(into: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Put(blob, layout, places) => {
                let blob = Bytes::copy_from_slice(blob);
                let message = Message::new(blob, *layout, true, false).unwrap();
                put_message(into, &message, places);
            }
            Change::Gone(queue, positions) => put_gone(into, *queue, positions),
            Change::Delivered(queue, up_to) => put_delivered(into, *queue, *up_to),
            Change::Definition(definition) => put_definition_record(into, definition),
        }
    }

    fn same(change: &Change, record: &Record<'_>) -> bool {
        match (change, record) {
            (Change::Put(blob, layout, places), Record::Put(put)) => {
                put.blob == blob && put.layout == *layout && put.places == *places
            }
            (Change::Gone(queue, positions), Record::Gone { queue: other, runs }) => {
                let singles = runs.iter().flat_map(|run| run.first.0..=run.last.0);
                queue == other && singles.eq(positions.iter().map(|position| position.0))
            }
            (Change::Delivered(queue, up_to), record) => {
                *record == Record::Delivered { queue: *queue, up_to: *up_to }
            }
            (Change::Definition(definition), Record::Definition(other)) => definition == other,
            _ => false,
        }
    }

    fn message(blob: &'static [u8]) -> Message {
        let layout = Layout { exchange: 1, routing_key: 1, header: 2 };
        Message::new(Bytes::from_static(blob), layout, true, false).unwrap()
    }

    #[test]
    fn acknowledgements_in_order_take_a_few_octets_together() {
        let positions: Vec<_> = (100_000..200_000).map(Position).collect();
        let mut bytes = Vec::new();
        put_gone(&mut bytes, QueueId(3), &positions);

        assert!(bytes.len() < 12, "{} octets", bytes.len());
    }

    #[test]
    fn a_message_is_read_alone_by_its_place() {
        let mut payload = Vec::new();
        begin_payload(&mut payload);
        put_delivered(&mut payload, QueueId(1), Position(1));
        put_message(&mut payload, &message(b"ek--body"), &[(QueueId(1), Position(2))]);

        let placed = records(&payload).unwrap().nth(1).unwrap().unwrap();
        let start = placed.offset as usize;
        let alone = read_message(&payload[start..start + placed.length as usize]).unwrap();

        assert_eq!(alone.blob, b"ek--body");
        assert_eq!(alone.places, [(QueueId(1), Position(2))]);
    }

    #[test]
    fn every_flipped_bit_of_a_message_is_noticed() {
        let mut bytes = Vec::new();
        put_message(&mut bytes, &message(b"ek--body"), &[(QueueId(1), Position(2))]);

        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read_message(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn an_unknown_version_or_kind_is_named() {
        let unknown = records(&[9]).unwrap_err();
        assert_eq!(unknown.to_string(), "frame of version 9 is unknown; a newer release wrote it");

        let unknown = records(&[FRAME_VERSION, 77]).unwrap().next().unwrap().unwrap_err();
        assert_eq!(unknown.to_string(), "record of kind 77 is unknown; a newer release wrote it");

        let definition = [FRAME_VERSION, DEFINITION, 99];
        let unknown = records(&definition).unwrap().next().unwrap().unwrap_err();
        assert_eq!(unknown, RecordError::UnknownKind { of: "definition", found: 99 });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn changes_come_back_as_they_were(changes in prop::collection::vec(any_change(), 0..6)) {
            let mut payload = Vec::new();
            begin_payload(&mut payload);
            for change in &changes {
                write(&mut payload, change);
            }

            let found: Result<Vec<_>, _> = records(&payload).unwrap().collect();
            let found = found.unwrap();

            prop_assert_eq!(found.len(), changes.len());
            for (change, placed) in changes.iter().zip(&found) {
                prop_assert!(same(change, &placed.record), "{:?} became {:?}", change, placed);
            }
        }

        #[test]
        fn garbage_is_an_error_and_no_panic(
            changes in prop::collection::vec(any_change(), 1..4),
            damage in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..4),
            cut: prop::sample::Index,
        ) {
            let mut payload = Vec::new();
            begin_payload(&mut payload);
            for change in &changes {
                write(&mut payload, change);
            }
            for (at, octet) in damage {
                let at = at.index(payload.len());
                payload[at] = octet;
            }
            payload.truncate(cut.index(payload.len() + 1));

            if let Ok(records) = records(&payload) {
                records.for_each(drop);
            }
            read_message(&payload).err();
        }
    }
}
