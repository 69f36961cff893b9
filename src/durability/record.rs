//! Changes as records of the log, and back.
//!
//! ```text
//! frame        version octet, records to the end
//! put          1, exchange octets, key octets, header octets, places: count, (queue, position)...,
//!              blob with its count, CRC32C of all that (4 octets, little-endian)
//! gone         2, queue, runs: count, (gap, length)...
//! delivered    3, queue, position
//! definition   4, see `definition`
//! expiring put 5, as a put, but its places are (queue, position, expiry)...
//! returned     6, queue, retries: count, (gap, how often, until when it waits)...
//! ```
//! Integers are varints. A gap counts the positions between the end of a run, or one position, and the
//! next; the first one counts from zero. Times are in milliseconds since the Unix epoch; an expiry of 0 is never, and
//! who waits until 0 does not wait.
//!
//! A put is an expiring one if it expires at any of its places. A put is also read alone, by its place in the log, when a message is loaded. Therefore it has a checksum
//! of its own and names its places, and a put of another form must get a kind octet of its own; all else is
//! covered by the frame's version and checksum.

use std::iter::FusedIterator;

pub use super::codec::RecordError;
use super::codec::{Reader, put_bytes, put_varint};
use super::definition::{put_definition, read_definition};
use crate::broker::change::{Definition, Retries};
pub use crate::broker::delivery::Run;
use crate::broker::delivery::{Position, QueueId};
use crate::broker::message::{Layout, Message};

const FRAME_VERSION: u8 = 1;

const PUT: u8 = 1;
const GONE: u8 = 2;
const DELIVERED: u8 = 3;
const DEFINITION: u8 = 4;
const EXPIRING_PUT: u8 = 5;
const RETURNED: u8 = 6;

const CHECKSUM: usize = 4;

/// The expiry of what does not expire.
const NEVER: u64 = 0;

/// Until when waits what does not wait.
const AT_ONCE: u64 = 0;

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
    /// Entries of a queue came back from consumers.
    Returned {
        /// Whose.
        queue: QueueId,
        /// Which, rising, and what was known of them then.
        retries: Vec<(Position, Retries)>,
    },
}

/// A message as the log keeps it. It is persistent, or it would not be there.
#[derive(Debug, PartialEq)]
pub struct Put<'a> {
    /// Where its parts lie in `blob`.
    pub layout: Layout,
    /// Where it is queued. More than one: the queues share it.
    pub places: Vec<Place>,
    /// `exchange | routing key | header | body`.
    pub blob: &'a [u8],
}

/// Where a message is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// In which queue.
    pub queue: QueueId,
    /// Where there.
    pub position: Position,
    /// When it expires there, in milliseconds since the Unix epoch. `None`: never.
    pub expires_at_ms: Option<u64>,
}

/// Starts the payload of a frame.
pub fn begin_payload(into: &mut Vec<u8>) {
    into.push(FRAME_VERSION);
}

/// Appends a message with the places it has in queues.
pub fn put_message(into: &mut Vec<u8>, message: &Message, places: &[Place]) {
    put_blob(into, message.layout(), message.blob(), places);
}

/// Appends a message as the log keeps it, with the places it has in queues.
pub(super) fn put_blob(into: &mut Vec<u8>, layout: Layout, blob: &[u8], places: &[Place]) {
    let start = into.len();
    let is_expiring = places.iter().any(|place| place.expires_at_ms.is_some());
    let kind = if is_expiring { EXPIRING_PUT } else { PUT };
    into.extend([kind, layout.exchange, layout.routing_key]);
    put_varint(into, u64::from(layout.header));
    put_varint(into, places.len() as u64);
    for place in places {
        put_varint(into, place.queue.0);
        put_varint(into, place.position.0);
        if is_expiring {
            // What expired when the epoch began expired a millisecond later as well, and is not kept for good.
            put_varint(into, place.expires_at_ms.map_or(NEVER, |at| at.max(NEVER + 1)));
        }
    }
    put_bytes(into, blob);
    let checksum = crc32c::crc32c(&into[start..]);
    into.extend(checksum.to_le_bytes());
}

/// Appends the entries that are gone. `positions` are rising.
pub fn put_gone(into: &mut Vec<u8>, queue: QueueId, positions: &[Position]) {
    put_gone_runs(into, queue, runs(positions));
}

/// The same of positions that nobody has counted. The runs are rising and apart.
pub fn put_gone_runs(into: &mut Vec<u8>, queue: QueueId, runs: impl Iterator<Item = Run> + Clone) {
    into.push(GONE);
    put_varint(into, queue.0);
    put_varint(into, runs.clone().count() as u64);
    let mut behind = 0;
    for run in runs {
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

/// Appends that entries came back. Their positions are rising.
pub fn put_returned(into: &mut Vec<u8>, queue: QueueId, retries: &[(Position, Retries)]) {
    into.push(RETURNED);
    put_varint(into, queue.0);
    put_retries(into, retries);
}

/// Appends what is known of entries that came back. Their positions are rising.
pub(super) fn put_retries(into: &mut Vec<u8>, retries: &[(Position, Retries)]) {
    put_varint(into, retries.len() as u64);
    let mut behind = 0;
    for (position, Retries { count, ready_at_ms }) in retries {
        put_varint(into, position.0 - behind);
        put_varint(into, u64::from(*count));
        put_varint(into, ready_at_ms.unwrap_or(AT_ONCE));
        behind = position.0.saturating_add(1);
    }
}

/// Appends a changed definition.
pub fn put_definition_record(into: &mut Vec<u8>, definition: &Definition) {
    into.push(DEFINITION);
    put_definition(into, definition);
}

/// Rising positions as runs.
pub fn runs(positions: &[Position]) -> impl Iterator<Item = Run> + Clone + '_ {
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
    let read_place = match reader.octet()? {
        PUT => read_lasting_place,
        EXPIRING_PUT => read_expiring_place,
        found => return Err(RecordError::UnknownKind { of: "message", found }),
    };
    let (put, checksum) = read_put(&mut reader, read_place)?;
    reader.end()?;
    let covered = bytes.len() - CHECKSUM;
    if crc32c::crc32c(&bytes[..covered]) != checksum {
        return Err(RecordError::Checksum);
    }
    Ok(put)
}

fn read_record<'a>(reader: &mut Reader<'a>) -> Result<Record<'a>, RecordError> {
    Ok(match reader.octet()? {
        PUT => Record::Put(read_put(reader, read_lasting_place)?.0),
        EXPIRING_PUT => Record::Put(read_put(reader, read_expiring_place)?.0),
        GONE => Record::Gone { queue: QueueId(reader.varint()?), runs: read_runs(reader)? },
        DELIVERED => Record::Delivered {
            queue: QueueId(reader.varint()?),
            up_to: Position(reader.varint()?),
        },
        DEFINITION => Record::Definition(read_definition(reader)?),
        RETURNED => {
            Record::Returned { queue: QueueId(reader.varint()?), retries: read_retries(reader)? }
        }
        found => return Err(RecordError::UnknownKind { of: "record", found }),
    })
}

/// Takes one of a put's places; the kind of the put says how.
type ReadPlace = fn(&mut Reader<'_>) -> Result<Place, RecordError>;

fn read_lasting_place(reader: &mut Reader<'_>) -> Result<Place, RecordError> {
    let (queue, position) = (QueueId(reader.varint()?), Position(reader.varint()?));
    Ok(Place { queue, position, expires_at_ms: None })
}

fn read_expiring_place(reader: &mut Reader<'_>) -> Result<Place, RecordError> {
    let place = read_lasting_place(reader)?;
    let expires_at_ms = Some(reader.varint()?).filter(|&at| at != NEVER);
    Ok(Place { expires_at_ms, ..place })
}

/// Takes a put behind its kind octet, and its checksum.
fn read_put<'a>(
    reader: &mut Reader<'a>,
    read_place: ReadPlace,
) -> Result<(Put<'a>, u32), RecordError> {
    let layout = Layout {
        exchange: reader.octet()?,
        routing_key: reader.octet()?,
        header: reader.number()?,
    };
    let mut places = Vec::with_capacity(1);
    for _ in 0..reader.varint()? {
        places.push(read_place(reader)?);
    }
    let blob = reader.bytes()?;
    let checksum = u32::from_le_bytes(reader.array()?);
    Ok((Put { layout, places, blob }, checksum))
}

const OVERFLOW: RecordError = RecordError::Malformed("a position does not fit 64 bits");

fn read_runs(reader: &mut Reader<'_>) -> Result<Vec<Run>, RecordError> {
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

/// Takes what [`put_retries`] wrote.
pub(super) fn read_retries(
    reader: &mut Reader<'_>,
) -> Result<Vec<(Position, Retries)>, RecordError> {
    let mut retries = Vec::new();
    let mut behind = Some(0_u64);
    for _ in 0..reader.varint()? {
        let gap = reader.varint()?;
        let position = behind.and_then(|behind| behind.checked_add(gap)).ok_or(OVERFLOW)?;
        let count = reader.number()?;
        let ready_at_ms = Some(reader.varint()?).filter(|&at| at != AT_ONCE);
        retries.push((Position(position), Retries { count, ready_at_ms }));
        behind = position.checked_add(1);
    }
    Ok(retries)
}

#[cfg(test)]
mod tests;
