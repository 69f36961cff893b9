//! What of a backlog is spilled, and what comes back of that.

use std::sync::Arc;

use super::level::Spill;
use super::{Backlog, Priority, Wanted};
use crate::broker::delivery::{Deadline, Entry, Position};
use crate::broker::paging::{Resident, Spilled};

/// Neighbours of one level that may leave memory together. They stay where they are until they were written.
#[derive(Debug)]
pub(in crate::broker::queue) struct ToSpill {
    level: Priority,
    /// Positions rise.
    pub(in crate::broker::queue) entries: Vec<Entry>,
}

/// What there is to be spilled.
#[derive(Debug)]
pub(in crate::broker::queue) enum SpillStep {
    /// This.
    Write(ToSpill),
    /// Perhaps something, when asked again.
    Again,
    /// Nothing.
    Nothing,
}

impl Backlog {
    /// What is to be written next so that it can leave memory, lowest priority first.
    pub(in crate::broker::queue) fn offer_to_spill(&mut self, how: Spill) -> SpillStep {
        if self.resident.transient == 0 {
            return SpillStep::Nothing;
        }
        for (level, of) in self.levels_up_mut() {
            if let Some(entries) = of.to_spill(how) {
                return SpillStep::Write(ToSpill { level, entries });
            }
        }
        let is_any = self.levels_up_mut().any(|(_, of)| of.make_spillable(how));
        if is_any { SpillStep::Again } else { SpillStep::Nothing }
    }

    /// It was written; hands out what left memory, to be freed. Nothing if it has changed meanwhile.
    pub(in crate::broker::queue) fn spilled(
        &mut self,
        written: &ToSpill,
        handle: Arc<dyn Spilled>,
    ) -> Option<Vec<Entry>> {
        let freed = self.level_if_any(written.level)?.spilled(&written.entries, handle)?;
        for entry in &freed {
            self.resident.subtract(entry);
        }
        Some(freed)
    }

    /// Takes in what was read of what was spilled, positions rising, but for what is `gone`; all that is missing is lost.
    /// Returns how many these are, and where and when the first of the others in its stretch expires. `None` if it is
    /// not wanted any more.
    pub(in crate::broker::queue) fn read_back(
        &mut self,
        wanted: &Wanted,
        entries: Vec<Entry>,
        gone: &[Entry],
    ) -> Option<(usize, Option<(Position, Deadline)>)> {
        let mut found = Resident::default();
        for entry in &entries {
            found.add(entry);
        }
        let spilled = wanted.spilled.as_ref()?;
        let level = self.level_if_any(wanted.level)?;
        let read = level.read_back(spilled, entries, wanted.is_front)?;
        self.bytes = self.bytes.saturating_sub(read.bytes);
        self.resident.join(found);
        if wanted.level > 0 {
            self.above -= read.lost;
        }
        Some((read.lost.saturating_sub(gone.len()), read.next))
    }
}
