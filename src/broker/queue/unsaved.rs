//! Changes of durable entries since the committer last came by.
//!
//! Invariants:
//! * Puts lie in rising position, a cancelled one as a hole until it is collected or at the front.
//! * An entry that is settled while its put is still here cancels it: neither reaches the disk.
//! * An entry that is settled is not among the returned.
//!
//! Nothing here touches the disk; see `durability::committer` for who collects.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::broker::change::{Put, QueueChanges, Retries};
use crate::broker::delivery::{Position, QueueId, Run};
use crate::broker::message::Message;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    puts: VecDeque<Slot>,
    gone: Vec<Position>,
    purged: Vec<Run>,
    /// What is known of entries that came back, as far as nobody wrote it down.
    returned: BTreeMap<Position, Retries>,
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    position: Position,
    expires_at_ms: Option<u64>,
    /// `None`: cancelled.
    message: Option<Arc<Message>>,
}

impl Slot {
    fn into_put(self) -> Option<Put> {
        let Self { position, expires_at_ms, message } = self;
        Some(Put { position, message: message?, expires_at_ms })
    }
}

impl Unsaved {
    /// A durable entry was enqueued at the end of the queue. It expires there at that time, in milliseconds
    /// since the Unix epoch, or never.
    pub(super) fn put(
        &mut self,
        position: Position,
        message: &Arc<Message>,
        expires_at_ms: Option<u64>,
    ) {
        debug_assert!(self.puts.back().is_none_or(|last| last.position < position));
        self.bytes += message.size();
        self.puts.push_back(Slot { position, expires_at_ms, message: Some(Arc::clone(message)) });
    }

    /// A durable entry came back from a consumer.
    pub(super) fn returned(&mut self, position: Position, retries: Retries) {
        self.returned.insert(position, retries);
    }

    /// A durable entry left the queue for good. Returns the bytes that no longer need saving.
    pub(super) fn settle(&mut self, position: Position) -> usize {
        self.returned.remove(&position);
        let Some(message) = self.cancel(position) else {
            self.gone.push(position);
            return 0;
        };
        while self.puts.front().is_some_and(|slot| slot.message.is_none()) {
            self.puts.pop_front();
        }
        self.bytes -= message.size();
        message.size()
    }

    /// Durable entries that were collected left the queue for good, without their messages.
    pub(super) fn purge(&mut self, runs: Vec<Run>) {
        if !self.returned.is_empty() {
            let is_gone = |at: Position| runs.iter().any(|run| run.first <= at && at <= run.last);
            self.returned.retain(|position, _| !is_gone(*position));
        }
        self.purged.extend(runs);
    }

    fn cancel(&mut self, position: Position) -> Option<Arc<Message>> {
        if self.puts.front().is_none_or(|first| first.position > position) {
            return None;
        }
        let at = self.puts.binary_search_by_key(&position, |slot| slot.position).ok()?;
        self.puts.get_mut(at)?.message.take()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.puts.is_empty()
            && self.gone.is_empty()
            && self.purged.is_empty()
            && self.returned.is_empty()
    }

    /// Bytes of the messages that are to be saved.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes everything out, leaving nothing unsaved.
    pub(super) fn collect(&mut self, queue: QueueId, delivered: Option<Position>) -> QueueChanges {
        self.bytes = 0;
        QueueChanges {
            queue,
            puts: self.puts.drain(..).filter_map(Slot::into_put).collect(),
            gone: std::mem::take(&mut self.gone),
            purged: std::mem::take(&mut self.purged),
            delivered,
            returned: std::mem::take(&mut self.returned).into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::broker::message::Layout;

    fn message(size: usize) -> Arc<Message> {
        let layout = Layout { exchange: 0, routing_key: 0, header: 0 };
        Arc::new(Message::new(Bytes::from(vec![0; size]), layout, true, false).unwrap())
    }

    fn retries(count: u32) -> Retries {
        Retries { count, ready_at_ms: count.is_multiple_of(2).then_some(u64::from(count)) }
    }

    fn put_positions(changes: &QueueChanges) -> Vec<u64> {
        changes.puts.iter().map(|put| put.position.0).collect()
    }

    #[test]
    fn an_entry_settled_before_it_was_collected_never_reaches_the_disk() {
        let mut unsaved = Unsaved::default();
        unsaved.put(Position(1), &message(10), None);
        unsaved.put(Position(2), &message(10), None);

        assert_eq!(unsaved.settle(Position(1)), 10);

        let changes = unsaved.collect(QueueId(1), None);
        assert_eq!(put_positions(&changes), [2]);
        assert!(changes.gone.is_empty());
    }

    #[test]
    fn an_entry_settled_after_it_was_collected_is_recorded_as_gone() {
        let mut unsaved = Unsaved::default();
        unsaved.put(Position(1), &message(10), None);
        unsaved.collect(QueueId(1), None);

        assert_eq!(unsaved.settle(Position(1)), 0);

        assert_eq!(unsaved.collect(QueueId(1), None).gone, [Position(1)]);
    }

    #[test]
    fn an_entry_says_when_it_expires() {
        let mut unsaved = Unsaved::default();
        unsaved.put(Position(1), &message(10), Some(1000));
        unsaved.put(Position(2), &message(10), None);

        let changes = unsaved.collect(QueueId(1), None);

        let expiries: Vec<_> = changes.puts.iter().map(|put| put.expires_at_ms).collect();
        assert_eq!(expiries, [Some(1000), None]);
    }

    #[test]
    fn an_entry_that_came_back_before_it_was_collected_is_collected_with_its_count() {
        let mut unsaved = Unsaved::default();
        unsaved.put(Position(1), &message(10), None);
        unsaved.returned(Position(1), retries(1));
        unsaved.returned(Position(1), retries(2));

        let changes = unsaved.collect(QueueId(1), None);

        assert_eq!(put_positions(&changes), [1]);
        assert_eq!(changes.returned, [(Position(1), retries(2))]);
        assert!(unsaved.is_empty());
    }

    #[test]
    fn a_count_alone_is_a_change() {
        let mut unsaved = Unsaved::default();
        unsaved.put(Position(1), &message(10), None);
        unsaved.collect(QueueId(1), None);

        unsaved.returned(Position(1), retries(1));

        assert!(!unsaved.is_empty());
    }

    #[test]
    fn an_entry_that_came_back_and_was_settled_has_no_count() {
        let mut unsaved = Unsaved::default();
        unsaved.put(Position(1), &message(10), None);
        unsaved.collect(QueueId(1), None);
        unsaved.put(Position(2), &message(10), None);
        for position in [Position(1), Position(2)] {
            unsaved.returned(position, retries(1));
            unsaved.settle(position);
        }

        let changes = unsaved.collect(QueueId(1), None);

        assert_eq!(
            (changes.puts.len(), changes.gone, changes.returned),
            (0, vec![Position(1)], vec![])
        );
    }

    /// Entries as a disk would have them: when they expire, and how they came back.
    #[derive(Debug, Default, PartialEq)]
    struct Disk(BTreeMap<u64, (Option<u64>, Retries)>);

    impl Disk {
        /// Fails if what is gone or came back was never put, or is collected out of order.
        fn apply(&mut self, changes: &QueueChanges) {
            for put in &changes.puts {
                let old = self.0.insert(put.position.0, (put.expires_at_ms, Retries::default()));
                assert_eq!(old, None, "{:?} was put twice", put.position);
            }
            for gone in &changes.gone {
                assert!(self.0.remove(&gone.0).is_some(), "{gone:?} was never put");
            }
            assert!(changes.returned.is_sorted_by(|one, next| one.0 < next.0));
            for (position, retries) in &changes.returned {
                self.0.get_mut(&position.0).unwrap().1 = *retries;
            }
        }
    }

    proptest! {
        /// Replaying what was collected gives the same live entries as applying every operation.
        #[test]
        fn collections_replay_to_the_same_entries(operations in prop::collection::vec(0_u8..5, 1..200)) {
            let (mut unsaved, mut live, mut disk) =
                (Unsaved::default(), Disk::default(), Disk::default());
            for (step, operation) in (0_u64..).zip(&operations) {
                let pick = live.0.keys().nth(usize::try_from(step).unwrap() % live.0.len().max(1)).copied();
                match (operation, pick) {
                    (0 | 1, _) => {
                        let expires_at_ms = Some(step).filter(|step| step % 3 == 0);
                        unsaved.put(Position(step), &message(1), expires_at_ms);
                        live.0.insert(step, (expires_at_ms, Retries::default()));
                    }
                    (2, Some(pick)) => {
                        unsaved.settle(Position(pick));
                        live.0.remove(&pick);
                    }
                    (3, Some(pick)) => {
                        let known = &mut live.0.get_mut(&pick).unwrap().1;
                        *known = retries(known.count + 1);
                        unsaved.returned(Position(pick), *known);
                    }
                    _ => disk.apply(&unsaved.collect(QueueId(1), None)),
                }
            }
            disk.apply(&unsaved.collect(QueueId(1), None));
            prop_assert_eq!(disk, live);
            prop_assert_eq!(unsaved.bytes(), 0);
        }
    }
}
