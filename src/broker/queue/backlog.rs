//! The ready messages of a queue, in the order of their positions.

use std::collections::VecDeque;

use crate::broker::delivery::Entry;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Backlog {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of the bodies in it.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn first(&self) -> Option<&Entry> {
        self.entries.front()
    }

    /// Adds an entry whose position is above all others.
    pub(super) fn push(&mut self, entry: Entry) {
        debug_assert!(self.entries.back().is_none_or(|last| last.position < entry.position));
        self.bytes += entry.message.body_size();
        self.entries.push_back(entry);
    }

    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.message.body_size();
        Some(entry)
    }

    /// Takes the newest entry out.
    pub(super) fn pop_last(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_back()?;
        self.bytes -= entry.message.body_size();
        Some(entry)
    }

    /// Puts entries back where they were. `returned` is in rising position.
    pub(super) fn put_back(&mut self, returned: Vec<Entry>) {
        let Some(last) = returned.last().map(|entry| entry.position) else { return };
        self.bytes += returned.iter().map(|entry| entry.message.body_size()).sum::<usize>();
        if self.entries.front().is_none_or(|first| last < first.position) {
            for entry in returned.into_iter().rev() {
                self.entries.push_front(entry);
            }
            return;
        }
        self.merge(returned, last);
    }

    /// Merges `returned` into the entries up to its `last` position; those behind it stay put.
    fn merge(&mut self, returned: Vec<Entry>, last: crate::broker::delivery::Position) {
        let cut = self.entries.partition_point(|entry| entry.position < last);
        let mut head: Vec<Entry> = self.entries.drain(..cut).collect();
        head.extend(returned);
        // Two sorted runs: the standard sort merges them in linear time.
        head.sort_by_key(|entry| entry.position);
        for entry in head.into_iter().rev() {
            self.entries.push_front(entry);
        }
    }

    /// Takes everything out.
    pub(super) fn take_all(&mut self) -> VecDeque<Entry> {
        self.bytes = 0;
        std::mem::take(&mut self.entries)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::broker::delivery::Position;
    use crate::broker::message::{Layout, Message};

    fn entry(position: u64) -> Entry {
        let layout = Layout { exchange: 0, routing_key: 0, header: 0 };
        let message = Message::new(Bytes::from_static(b"x"), layout, false, false).unwrap();
        Entry {
            position: Position(position),
            message: Arc::new(message),
            redelivered: false,
            durable: false,
        }
    }

    proptest! {
        /// Whatever is taken and given back, the backlog stays what a sorted list would be.
        #[test]
        fn returned_entries_find_their_old_places(
            operations in prop::collection::vec((0_u8..3, any::<prop::sample::Index>()), 1..120)
        ) {
            let (mut backlog, mut model, mut out) = (Backlog::default(), Vec::new(), Vec::new());
            for (next, (operation, pick)) in operations.into_iter().enumerate() {
                match operation {
                    0 => {
                        backlog.push(entry(next as u64));
                        model.push(next as u64);
                    }
                    1 if !model.is_empty() => {
                        prop_assert_eq!(backlog.pop().unwrap().position.0, model[0]);
                        out.push(model.remove(0));
                    }
                    _ if !out.is_empty() => {
                        let mut back: Vec<u64> = out.drain(..=pick.index(out.len())).collect();
                        back.sort_unstable();
                        backlog.put_back(back.iter().copied().map(entry).collect());
                        model.extend(back);
                        model.sort_unstable();
                    }
                    _ => {}
                }
                prop_assert_eq!(backlog.len(), model.len());
                prop_assert_eq!(backlog.bytes(), model.len());
            }
            let left: Vec<u64> = backlog.take_all().iter().map(|entry| entry.position.0).collect();
            prop_assert_eq!(left, model);
        }
    }
}
