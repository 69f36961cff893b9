//! How much of each segment of the log is still needed.
//!
//! Invariant: a segment is here exactly while live entries lie in it.
//!
//! A message of several queues counts once for each of them.

use std::collections::BTreeMap;

/// The live entries in one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentUse {
    /// How many.
    pub entries: u64,
    /// Bytes of their records.
    pub bytes: u64,
}

impl SegmentUse {
    /// One entry, whose record has this many bytes.
    pub(super) fn of_one(length: u32) -> Self {
        Self { entries: 1, bytes: u64::from(length) }
    }
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Segments {
    live: BTreeMap<u64, SegmentUse>,
}

impl Segments {
    pub(super) fn live(&self) -> &BTreeMap<u64, SegmentUse> {
        &self.live
    }

    pub(super) fn add(&mut self, generation: u64, SegmentUse { entries, bytes }: SegmentUse) {
        let segment = self.live.entry(generation).or_default();
        segment.entries += entries;
        segment.bytes = segment.bytes.saturating_add(bytes);
    }

    pub(super) fn remove(&mut self, generation: u64, SegmentUse { entries, bytes }: SegmentUse) {
        let Some(segment) = self.live.get_mut(&generation) else { return };
        segment.entries = segment.entries.saturating_sub(entries);
        segment.bytes = segment.bytes.saturating_sub(bytes);
        if segment.entries == 0 {
            self.live.remove(&generation);
        }
    }
}
