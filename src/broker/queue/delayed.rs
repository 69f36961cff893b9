//! Messages that came back from consumers and are not ready until their delay is over.
//!
//! Invariants:
//! * They are ordered by when they leave: to the backlog when their delay is over, or for good if they expire
//!   before that. Those of one moment are in the order of their positions.
//! * Nobody takes them before: they are not delivered, not counted as ready, and not dropped to make room.

use std::collections::BTreeMap;

use crate::broker::delivery::{Deadline, Entry, Position};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Delayed {
    waiting: BTreeMap<(Deadline, Position), Waiting>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    entry: Entry,
    ready_at: Deadline,
}

/// What left.
#[derive(Debug)]
pub(super) enum Due {
    /// Its delay is over.
    Ready(Entry),
    /// It expired while it waited.
    Expired(Entry),
}

impl Delayed {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Bytes of the bodies in it.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// An entry waits until then.
    pub(super) fn add(&mut self, entry: Entry, ready_at: Deadline) {
        let leaves_at = entry.expires_at.map_or(ready_at, |expires_at| expires_at.min(ready_at));
        self.bytes += entry.message.body_size();
        self.waiting.insert((leaves_at, entry.position), Waiting { entry, ready_at });
    }

    /// When somebody should look again.
    #[inline]
    pub(super) fn next(&self) -> Option<Deadline> {
        self.waiting.first_key_value().map(|((leaves_at, _), _)| *leaves_at)
    }

    /// Takes an entry whose time has come.
    pub(super) fn take_due(&mut self, now: Deadline) -> Option<Due> {
        let first = self.waiting.first_entry().filter(|first| first.key().0 <= now)?;
        let ((leaves_at, _), Waiting { entry, ready_at }) = first.remove_entry();
        self.bytes -= entry.message.body_size();
        Some(if leaves_at < ready_at { Due::Expired(entry) } else { Due::Ready(entry) })
    }

    /// Takes everything out.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Entry> + use<> {
        std::mem::take(self).waiting.into_values().map(|waiting| waiting.entry)
    }
}
