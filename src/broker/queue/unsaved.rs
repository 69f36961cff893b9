//! Changes of durable entries since the committer last came by.
//!
//! Invariants:
//! * Puts lie in rising position, a cancelled one as a hole until it is collected or at the front.
//! * An entry that is settled while its put is still here cancels it: neither reaches the disk.
//!
//! Nothing here touches the disk; see `durability::committer` for who collects.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::broker::change::QueueChanges;
use crate::broker::delivery::{Position, QueueId};
use crate::broker::message::Message;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    puts: VecDeque<(Position, Option<Arc<Message>>)>,
    gone: Vec<Position>,
    bytes: usize,
}

impl Unsaved {
    /// A durable entry was enqueued at the end of the queue.
    pub(super) fn put(&mut self, position: Position, message: &Arc<Message>) {
        debug_assert!(self.puts.back().is_none_or(|(last, _)| *last < position));
        self.bytes += message.size();
        self.puts.push_back((position, Some(Arc::clone(message))));
    }

    /// A durable entry left the queue for good. Returns the bytes that no longer need saving.
    pub(super) fn settle(&mut self, position: Position) -> usize {
        let Some(message) = self.cancel(position) else {
            self.gone.push(position);
            return 0;
        };
        while self.puts.front().is_some_and(|(_, message)| message.is_none()) {
            self.puts.pop_front();
        }
        self.bytes -= message.size();
        message.size()
    }

    /// The entry that was put last was not enqueued after all, and was not collected either.
    pub(super) fn withdraw(&mut self, position: Position) {
        debug_assert!(self.puts.back().is_some_and(|(last, _)| *last == position));
        if let Some((_, Some(message))) = self.puts.pop_back() {
            self.bytes -= message.size();
        }
    }

    fn cancel(&mut self, position: Position) -> Option<Arc<Message>> {
        if self.puts.front().is_none_or(|(first, _)| *first > position) {
            return None;
        }
        let at = self.puts.binary_search_by_key(&position, |(one, _)| *one).ok()?;
        self.puts.get_mut(at)?.1.take()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.gone.is_empty()
    }

    /// Bytes of the messages that are to be saved.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes everything out, leaving nothing unsaved.
    pub(super) fn collect(&mut self, queue: QueueId, delivered: Option<Position>) -> QueueChanges {
        self.bytes = 0;
        let puts = self.puts.drain(..).filter_map(|(at, message)| Some((at, message?))).collect();
        QueueChanges { queue, puts, gone: std::mem::take(&mut self.gone), delivered }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::broker::message::Layout;

    fn message(size: usize) -> Arc<Message> {
        let layout = Layout { exchange: 0, routing_key: 0, header: 0 };
        Arc::new(Message::new(Bytes::from(vec![0; size]), layout, true, false).unwrap())
    }

    fn put_positions(changes: &QueueChanges) -> Vec<u64> {
        changes.puts.iter().map(|(at, _)| at.0).collect()
    }

    #[test]
    fn an_entry_settled_before_it_was_collected_never_reaches_the_disk() {
        let mut unsaved = Unsaved::default();
        unsaved.put(Position(1), &message(10));
        unsaved.put(Position(2), &message(10));

        assert_eq!(unsaved.settle(Position(1)), 10);

        let changes = unsaved.collect(QueueId(1), None);
        assert_eq!(put_positions(&changes), [2]);
        assert!(changes.gone.is_empty());
    }

    #[test]
    fn an_entry_settled_after_it_was_collected_is_recorded_as_gone() {
        let mut unsaved = Unsaved::default();
        unsaved.put(Position(1), &message(10));
        unsaved.collect(QueueId(1), None);

        assert_eq!(unsaved.settle(Position(1)), 0);

        assert_eq!(unsaved.collect(QueueId(1), None).gone, [Position(1)]);
    }

    proptest! {
        /// Replaying what was collected gives the same live entries as applying every operation.
        #[test]
        fn collections_replay_to_the_same_entries(operations in prop::collection::vec(0_u8..4, 1..200)) {
            let (mut unsaved, mut live, mut disk) = (Unsaved::default(), Vec::new(), BTreeSet::new());
            let mut next = 0;
            for (step, operation) in operations.iter().enumerate() {
                match operation {
                    0 | 1 => {
                        unsaved.put(Position(next), &message(1));
                        live.push(next);
                        next += 1;
                    }
                    2 if !live.is_empty() => {
                        unsaved.settle(Position(live.remove(step % live.len())));
                    }
                    _ => {
                        let changes = unsaved.collect(QueueId(1), None);
                        disk.extend(put_positions(&changes));
                        for gone in &changes.gone {
                            prop_assert!(disk.remove(&gone.0));
                        }
                    }
                }
            }
            let changes = unsaved.collect(QueueId(1), None);
            disk.extend(put_positions(&changes));
            changes.gone.iter().for_each(|gone| { disk.remove(&gone.0); });
            prop_assert_eq!(disk, live.into_iter().collect::<BTreeSet<_>>());
            prop_assert_eq!(unsaved.bytes(), 0);
        }
    }
}
