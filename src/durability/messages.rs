//! Messages out of the log: many at once, in the order of the disk.
//!
//! Invariants:
//! * A message is handed out only if its checksum fits and it names the place it is wanted for. All else
//!   is damage, reported with file and offset.
//! * A record is read once, and its message is one `Arc`, however many queues share it.
//! * At most one read of [`limits::RECOVERY_READ`], or one message, is in memory besides the messages.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::record::{Place, Put, read_message};
use super::slot::Location;
use crate::broker::change;
use crate::broker::delivery::{Position, QueueId};
use crate::broker::message::Message;
use crate::limits;
use crate::store::{Damage, LogReader, StoreError, segment_name};

/// An entry whose message is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    // First, because the order of the disk is the order of reading.
    pub(super) location: Location,
    pub(super) queue: QueueId,
    pub(super) position: Position,
}

/// Takes the messages as they are found, each with what its queue put down about it.
type Found<'a> = dyn FnMut(QueueId, change::Put) + 'a;

/// Reads the messages of `wanted`, which is sorted. Returns what was damaged.
pub(super) fn read_messages(
    reader: &dyn LogReader,
    wanted: &[Wanted],
    found: &mut Found<'_>,
) -> Vec<Damage> {
    let mut reading = Reading { reader, found, damages: Vec::new(), blobs: Blobs::default() };
    let mut rest = wanted;
    while let Some(first) = rest.first() {
        let length = first.location.stretch(rest);
        let (together, behind) = rest.split_at(length);
        reading.read_stretch(together);
        rest = behind;
    }
    reading.damages
}

impl Location {
    fn end(self) -> u64 {
        u64::from(self.at.offset) + u64::from(self.length)
    }

    /// How many of the first `wanted`, of which this is the first, are worth one read.
    fn stretch(self, wanted: &[Wanted]) -> usize {
        let mut end = self.end();
        let near = wanted.iter().take_while(|next| {
            let next = next.location;
            let start = u64::from(next.at.offset);
            let is_near = next.at.generation == self.at.generation
                && start <= end + u64::from(limits::RECOVERY_GAP)
                && next.end() - u64::from(self.at.offset) <= u64::from(limits::RECOVERY_READ);
            end = end.max(next.end());
            is_near || next == self
        });
        near.count()
    }
}

struct Reading<'a> {
    reader: &'a dyn LogReader,
    found: &'a mut Found<'a>,
    damages: Vec<Damage>,
    blobs: Blobs,
}

impl Reading<'_> {
    /// Reads all of `together` at once; if that fails, each message by itself.
    fn read_stretch(&mut self, together: &[Wanted]) {
        let (Some(first), Some(last)) = (together.first(), together.last()) else { return };
        let start = first.location.at;
        let length = u32::try_from(last.location.end() - u64::from(start.offset));
        let bytes = length.ok().and_then(|length| self.reader.read(start, length).ok());
        for shared in together.chunk_by(|one, next| one.location == next.location) {
            let Some(Wanted { location, .. }) = shared.first().copied() else { continue };
            let from = (location.at.offset - start.offset) as usize;
            let record = bytes.as_ref().map_or_else(
                || self.reader.read(location.at, location.length),
                |bytes| Ok(bytes.slice(from..from + location.length as usize)),
            );
            match record {
                Ok(record) => self.hand_out(&record, shared),
                Err(error) => self.damages.push(damage(location, error)),
            }
        }
    }

    fn hand_out(&mut self, record: &[u8], wanted: &[Wanted]) {
        let found = read_message(record).ok().and_then(|mut put| {
            put.places.sort_unstable();
            let places = wanted.iter().map(|one| place_of(&put.places, one));
            let places: Option<Vec<Place>> = places.collect();
            Some((places?, to_message(&put, &mut self.blobs)?))
        });
        let Some((places, message)) = found else {
            return self.damages.extend(wanted.first().map(|one| unreadable(one.location)));
        };
        for Place { queue, position, expires_at_ms } in places {
            let message = Arc::clone(&message);
            (self.found)(queue, change::Put { position, message, expires_at_ms });
        }
    }
}

/// The place that is wanted, if the message has it. `places` are sorted.
fn place_of(places: &[Place], wanted: &Wanted) -> Option<Place> {
    let key = (wanted.queue, wanted.position);
    let at = places.binary_search_by_key(&key, |place| (place.queue, place.position)).ok()?;
    places.get(at).copied()
}

fn to_message(put: &Put<'_>, blobs: &mut Blobs) -> Option<Arc<Message>> {
    let blob = blobs.copy(put.blob);
    Message::new(blob, put.layout, true, put.places.len() > 1).map(Arc::new)
}

/// Copies of what was read: slices of that would keep all of it in memory. Small ones, which were neighbours in the log
/// and leave memory about together, share a chunk, as those do that come from clients.
#[derive(Default)]
struct Blobs {
    chunk: BytesMut,
}

impl Blobs {
    fn copy(&mut self, blob: &[u8]) -> Bytes {
        if blob.len() > limits::ARENA_MESSAGE {
            return Bytes::copy_from_slice(blob);
        }
        if self.chunk.capacity() < blob.len() {
            self.chunk = BytesMut::with_capacity(limits::ARENA_CHUNK);
        }
        self.chunk.extend_from_slice(blob);
        self.chunk.split().freeze()
    }
}

/// What a failed read costs.
pub(super) fn damage(location: Location, error: StoreError) -> Damage {
    if let StoreError::Damaged { file, offset, what } = error {
        return Damage { file, offset, bytes: u64::from(location.length), what };
    }
    tracing::error!(%error, at = %location.at, "a message cannot be read");
    unreadable(location)
}

/// A record that is not what was written.
pub(super) fn unreadable(location: Location) -> Damage {
    Damage {
        file: PathBuf::from(segment_name(location.at.generation)),
        offset: u64::from(location.at.offset),
        bytes: u64::from(location.length),
        what: "it does not hold the message that was written there",
    }
}
