//! The slots of a chunk of the index, and their form in the checkpoint.
//!
//! The value of a chunk: count, then for each live entry its position, generation and offset as distances from
//! the entry before, the length of its record, its level, and how much shorter its body is than its record.

use super::codec::{Reader, RecordError, put_signed, put_varint};
use crate::limits;
use crate::store::LogPosition;

/// Where a message's record lies in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Its first byte.
    pub at: LogPosition,
    /// Its bytes.
    pub length: u32,
}

/// What the index knows of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexEntry {
    pub(super) location: Location,
    /// The level of its queue it belongs to.
    pub(super) level: u8,
    pub(super) body_bytes: u32,
}

/// An entry, its location taken apart to save memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    generation: u64,
    offset: u32,
    length: u32,
    body_bytes: u32,
    /// Its place in the chunk.
    pub(super) low: u16,
    pub(super) level: u8,
    pub(super) is_live: bool,
}

impl Slot {
    pub(super) fn new(low: u16, entry: IndexEntry) -> Self {
        let IndexEntry { location, level, body_bytes } = entry;
        let Location { at: LogPosition { generation, offset }, length } = location;
        Self { generation, offset, length, body_bytes, low, level, is_live: true }
    }

    pub(super) fn location(&self) -> Location {
        let at = LogPosition { generation: self.generation, offset: self.offset };
        Location { at, length: self.length }
    }

    pub(super) fn entry(&self) -> IndexEntry {
        let (level, body_bytes) = (self.level, self.body_bytes);
        IndexEntry { location: self.location(), level, body_bytes }
    }
}

/// Appends the live ones among `slots`, which are `live`.
pub(super) fn put_slots(into: &mut Vec<u8>, slots: &[Slot], live: usize) {
    into.reserve(16 + live * 10);
    put_varint(into, live as u64);
    let (mut low, mut behind) = (0, Behind::default());
    for slot in slots.iter().filter(|slot| slot.is_live) {
        put_varint(into, u64::from(slot.low - low));
        behind.put(into, slot.location());
        into.push(slot.level);
        put_signed(into, i64::from(slot.length) - i64::from(slot.body_bytes));
        low = slot.low;
    }
}

/// Takes what [`put_slots`] wrote.
pub(super) fn read_slots(value: &mut Reader<'_>) -> Result<Vec<Slot>, RecordError> {
    const UNORDERED: RecordError = RecordError::Malformed("a chunk's positions do not rise");
    const BODY: RecordError = RecordError::Malformed("a body's size does not fit 32 bits");
    let count = value.varint()?;
    if count > limits::INDEX_CHUNK {
        return Err(RecordError::Malformed("a chunk has too many entries"));
    }
    let mut slots: Vec<Slot> = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
    let (mut low, mut behind) = (0_u64, Behind::default());
    for _ in 0..count {
        let distance = value.varint()?;
        let rises = slots.is_empty() || distance > 0;
        let next = low.checked_add(distance).filter(|&next| next < limits::INDEX_CHUNK && rises);
        low = next.ok_or(UNORDERED)?;
        let location = behind.read(value)?;
        let level = value.octet()?;
        let body = i64::from(location.length).checked_sub(value.signed()?);
        let body_bytes = body.and_then(|body| u32::try_from(body).ok()).ok_or(BODY)?;
        let entry = IndexEntry { location, level, body_bytes };
        slots.push(Slot::new(u16::try_from(low).map_err(|_| UNORDERED)?, entry));
    }
    Ok(slots)
}

/// The end of the record before: where the next one begins if they were written together.
#[derive(Default)]
struct Behind {
    generation: i64,
    offset: i64,
}

impl Behind {
    fn put(&mut self, into: &mut Vec<u8>, location: Location) {
        let (generation, offset) =
            (location.at.generation.cast_signed(), i64::from(location.at.offset));
        put_signed(into, generation.wrapping_sub(self.generation));
        put_signed(into, offset - self.offset);
        put_varint(into, u64::from(location.length));
        *self = Self { generation, offset: offset + i64::from(location.length) };
    }

    fn read(&mut self, from: &mut Reader<'_>) -> Result<Location, RecordError> {
        let generation = self.generation.wrapping_add(from.signed()?);
        let offset = self.offset.checked_add(from.signed()?);
        let offset = offset.and_then(|offset| u32::try_from(offset).ok());
        let offset = offset.ok_or(RecordError::Malformed("an offset does not fit a segment"))?;
        let length: u32 = from.number()?;
        *self = Self { generation, offset: i64::from(offset) + i64::from(length) };
        let at = LogPosition { generation: generation.cast_unsigned(), offset };
        Ok(Location { at, length })
    }
}
