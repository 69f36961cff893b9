//! Live messages of one segment, on their way to the end of the log.
//!
//! The checkpoint thread gathers where they lie, reads them and verifies them; the commit thread appends them
//! again. Why a segment is emptied, and why that is safe: see `reclaim`.
//!
//! Invariants:
//! * A record is read once, in the order of the disk, and moved with all places it still has, however many queues
//!   share it.
//! * A record that fails its checksum is never moved: it stays where somebody may repair it.
//! * At most two portions, of [`limits::FORWARD_PORTION_MOST`] or one message, are in memory: one that is read and one
//!   that is appended.

use bytes::Bytes;

use super::collection::Batch;
use super::messages::{damage, unreadable};
use super::record::{Place, read_message};
use super::slot::Location;
use super::state::LogState;
use crate::broker::delivery::QueueId;
use crate::broker::message::Layout;
use crate::limits;
use crate::store::{Damage, LogPosition, LogReader, StoreError};

/// A message's record as the log has it.
#[derive(Debug)]
pub(super) struct LiveRecord {
    location: Location,
    pub(super) layout: Layout,
    /// All it had when it was written.
    places: Vec<Place>,
    pub(super) blob: Bytes,
}

/// Records that move together.
#[derive(Debug, Default)]
pub(super) struct Portion {
    records: Vec<LiveRecord>,
}

impl Portion {
    /// Encodes each record with the places at which `state` knows it, and none that has no such place.
    pub(super) fn encode(&self, state: &mut LogState, batch: &mut Batch) -> Result<(), StoreError> {
        for record in &self.records {
            let places = state.places_of(record.location, &record.places)?;
            if !places.is_empty() {
                batch.put_again(record, &places);
            }
        }
        batch.end_frame();
        Ok(())
    }
}

/// Where a record lies in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    offset: u32,
    length: u32,
}

impl Span {
    fn end(self) -> u64 {
        u64::from(self.offset) + u64::from(self.length)
    }
}

/// One segment that is being emptied.
#[derive(Debug)]
pub(super) struct Emptying {
    pub(super) generation: u64,
    /// In the order of the disk once everything is gathered.
    spans: Vec<Span>,
    /// Where gathering goes on; `None` if it is done.
    from: Option<(QueueId, u64)>,
    /// How many spans were read.
    read: usize,
}

impl Emptying {
    pub(super) fn new(generation: u64) -> Self {
        let from = Some((QueueId(0), 0));
        Self { generation, spans: Vec::new(), from, read: 0 }
    }

    /// Looks for some more of the live entries. False when all were found.
    ///
    /// Between two calls entries may go, which is found out later; none comes, since nothing is written to an old
    /// segment.
    pub(super) fn gather(&mut self, state: &LogState) -> Result<bool, StoreError> {
        let Some(from) = self.from else { return Ok(false) };
        let spans = &mut self.spans;
        self.from = state.some_entries_in(self.generation, from, &mut |entry| {
            let Location { at, length } = entry.location;
            spans.push(Span { offset: at.offset, length });
        })?;
        if self.from.is_none() {
            self.spans.sort_unstable();
            self.spans.dedup();
        }
        Ok(self.from.is_some())
    }

    /// Reads the next records, `most` bytes or one; `None` when there are no more. The first damage ends it.
    pub(super) fn read(
        &mut self,
        reader: &dyn LogReader,
        most: u64,
    ) -> Result<Option<Portion>, Damage> {
        let mut bytes = 0;
        let rest = self.spans.get(self.read..).unwrap_or_default();
        let fits = |span: &&Span| {
            bytes += u64::from(span.length);
            bytes <= most || bytes == u64::from(span.length)
        };
        let count = rest.iter().take_while(fits).count();
        let mut portion = Portion::default();
        let mut left = rest.get(..count).unwrap_or_default();
        while !left.is_empty() {
            let (together, behind) = left.split_at(stretch(left));
            self.read_stretch(reader, together, &mut portion.records)?;
            left = behind;
        }
        self.read += count;
        Ok((count > 0).then_some(portion))
    }

    fn read_stretch(
        &self,
        reader: &dyn LogReader,
        together: &[Span],
        records: &mut Vec<LiveRecord>,
    ) -> Result<(), Damage> {
        let (Some(first), Some(last)) = (together.first(), together.last()) else { return Ok(()) };
        let length = last.end() - u64::from(first.offset);
        let bytes = self.read_at(reader, first.offset, u32::try_from(length).unwrap_or(u32::MAX));
        for &span in together {
            let from = (span.offset - first.offset) as usize;
            let within =
                bytes.as_ref().ok().map(|bytes| bytes.slice(from..from + span.length as usize));
            let record = match within {
                Some(record) => record,
                // Somewhere in the stretch it fails; here it may not.
                None => self.read_at(reader, span.offset, span.length)?,
            };
            records.push(self.verify(span, &record)?);
        }
        Ok(())
    }

    fn read_at(&self, reader: &dyn LogReader, offset: u32, length: u32) -> Result<Bytes, Damage> {
        let at = LogPosition { generation: self.generation, offset };
        reader.read(at, length).map_err(|error| damage(Location { at, length }, error))
    }

    fn verify(&self, span: Span, record: &[u8]) -> Result<LiveRecord, Damage> {
        let at = LogPosition { generation: self.generation, offset: span.offset };
        let location = Location { at, length: span.length };
        let put = read_message(record).map_err(|_| unreadable(location))?;
        // A copy: a slice would keep all of what was read in memory.
        let blob = Bytes::copy_from_slice(put.blob);
        Ok(LiveRecord { location, layout: put.layout, places: put.places, blob })
    }
}

/// How many of the first `spans` are worth one read.
fn stretch(spans: &[Span]) -> usize {
    let Some(first) = spans.first() else { return 0 };
    let mut end = first.end();
    let near = spans.iter().take_while(|span| {
        let is_near = u64::from(span.offset) <= end + u64::from(limits::RECOVERY_GAP)
            && span.end() - u64::from(first.offset) <= u64::from(limits::RECOVERY_READ);
        end = end.max(span.end());
        is_near || *span == first
    });
    near.count()
}
