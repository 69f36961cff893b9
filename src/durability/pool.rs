//! What the indexes of all queues have together: the checkpoint their cold chunks are in, how many slots are
//! in memory, and how much of each segment lives.
//!
//! Invariants:
//! * The counts are those of all chunks of all queues: whoever changes a chunk does it through [`Pool::change`].
//! * A chunk loses its slots only while the checkpoint has it as it is, durably: see [`Pool::has_applied`].

use std::sync::Arc;

use bytes::Bytes;

use super::chunk::{Chunk, Weight};
use super::segments::Segments;
use crate::limits;
use crate::store::{CheckpointReader, StoreError};

/// See the module.
#[derive(Debug)]
pub(super) struct Pool {
    /// `None`: nothing is kept elsewhere, so nothing may be cold.
    pub(super) reader: Option<Arc<dyn CheckpointReader>>,
    pub(super) segments: Segments,
    weight: Weight,
    /// Slots that may stay in memory.
    limit: usize,
    /// Slots in memory above which it is worth looking for chunks that may go.
    cool_above: usize,
    /// Rises whenever a chunk is used.
    uses: u64,
    /// Checkpoint batches that were taken so far.
    taken: u64,
    /// Those that the checkpoint has durably.
    applied: u64,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            reader: None,
            segments: Segments::default(),
            weight: Weight::default(),
            limit: limits::INDEX_WARM_SLOTS,
            cool_above: limits::INDEX_WARM_SLOTS,
            uses: 0,
            taken: 0,
            applied: 0,
        }
    }
}

impl Pool {
    /// Changes a chunk.
    pub(super) fn change<T>(
        &mut self,
        chunk: &mut Chunk,
        change: impl FnOnce(&mut Chunk, &mut Segments) -> T,
    ) -> T {
        let before = chunk.weight();
        let result = change(chunk, &mut self.segments);
        let after = chunk.weight();
        self.weight.warm = self.weight.warm - before.warm + after.warm;
        self.weight.changed = self.weight.changed - before.changed + after.changed;
        result
    }

    /// A number for a chunk that is used now, above that of all others.
    pub(super) fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    /// What the checkpoint has under a key that it must have.
    pub(super) fn read(&self, key: &[u8]) -> Result<Bytes, StoreError> {
        let missing = || self.distrusted(key, "it is missing");
        let reader = self.reader.as_ref().ok_or_else(missing)?;
        reader.get(key)?.ok_or_else(missing)
    }

    /// What was read under a key is not what was stored there. The next start does without the checkpoint.
    pub(super) fn distrusted(&self, key: &[u8], what: impl Into<String>) -> StoreError {
        if let Some(reader) = &self.reader {
            reader.distrust();
        }
        StoreError::DamagedValue { key: key.to_vec(), what: what.into() }
    }

    /// Slots in memory.
    pub(super) fn warm(&self) -> usize {
        self.weight.warm
    }

    /// Slots in memory that only a checkpoint lets go.
    pub(super) fn changed(&self) -> usize {
        self.weight.changed
    }

    /// A checkpoint batch is taken. Returns its number.
    pub(super) fn take(&mut self) -> u64 {
        self.taken += 1;
        self.taken
    }

    /// The number of the batch that is being, or was, taken last.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// The checkpoint has all that was taken.
    pub(super) fn apply(&mut self) {
        self.applied = self.taken;
        self.cool_above = self.limit;
    }

    /// The checkpoint has that batch.
    pub(super) fn has_applied(&self, batch: u64) -> bool {
        batch <= self.applied
    }

    /// It is worth looking for chunks that may go.
    pub(super) fn is_over(&self) -> bool {
        self.reader.is_some() && self.weight.warm > self.cool_above
    }

    /// Slots to keep once chunks go. Fewer than may stay, so that it is not looked for them again at once.
    pub(super) fn target(&self) -> usize {
        self.limit - self.limit / 4
    }

    /// Chunks went, as far as they could.
    pub(super) fn cooled(&mut self) {
        self.cool_above = self.limit.max(self.weight.warm + self.limit / 4);
    }

    /// Keeps this many slots, for tests.
    #[cfg(test)]
    pub(super) fn keep(&mut self, slots: usize) {
        (self.limit, self.cool_above) = (slots, slots);
    }
}
