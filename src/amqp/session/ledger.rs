//! What a channel was handed and has not settled: delivery tag -> entry.
//!
//! Invariants:
//! * Tags rise by one with every delivery, settled at once or not.
//! * Slots lie in rising order of their tags. A settled one stays as a hole until it is at either end, or until
//!   holes outnumber what is outstanding: memory follows what is outstanding, however long the oldest of it is.

use std::collections::VecDeque;

use crate::broker::delivery::{Absent, Entry};

/// Holes that are not worth looking for.
pub(super) const HOLES_TOLERATED: usize = 1024;

/// What is kept of a delivery.
#[derive(Debug)]
pub(super) enum Lent {
    /// The entry with its message.
    Whole(Entry),
    /// Only what its queue needs to find the message again.
    Absent(Absent),
}

impl Lent {
    /// It survives a restart.
    pub(super) fn is_durable(&self) -> bool {
        match self {
            Self::Whole(entry) => entry.durable,
            Self::Absent(_) => true,
        }
    }
}

/// A delivery that is not settled yet.
#[derive(Debug)]
pub(super) struct Unsettled {
    /// What was handed over.
    pub(super) lent: Lent,
    /// Where from: an index into the outbox's sources.
    pub(super) source: u32,
}

/// The tag is not outstanding: never given, settled already, or settled on delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnknownTag;

#[derive(Debug)]
struct Slot {
    tag: u64,
    /// `None`: settled.
    unsettled: Option<Unsettled>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    slots: VecDeque<Slot>,
    last_tag: u64,
    outstanding: usize,
}

impl Ledger {
    /// The tag for a delivery that needs no acknowledgement.
    pub(super) fn pass(&mut self) -> u64 {
        self.last_tag += 1;
        self.last_tag
    }

    /// Notes a delivery that needs one, and returns its tag.
    pub(super) fn note(&mut self, unsettled: Unsettled) -> u64 {
        let tag = self.pass();
        self.slots.push_back(Slot { tag, unsettled: Some(unsettled) });
        self.outstanding += 1;
        tag
    }

    /// Takes out what `tag` settles, in the order of tags.
    ///
    /// RabbitMQ: tag 0 with `multiple` means everything outstanding, and is no error if nothing is; any
    /// other tag must itself be outstanding.
    pub(super) fn take(
        &mut self,
        tag: u64,
        multiple: bool,
        into: &mut Vec<(u64, Unsettled)>,
    ) -> Result<(), UnknownTag> {
        if tag == 0 && multiple {
            self.take_up_to(self.last_tag, into);
            return Ok(());
        }
        let slot = self.slot_of(tag).and_then(|at| self.slots.get_mut(at)).ok_or(UnknownTag)?;
        if multiple && slot.unsettled.is_some() {
            self.take_up_to(tag, into);
            return Ok(());
        }
        let unsettled = slot.unsettled.take().ok_or(UnknownTag)?;
        self.outstanding -= 1;
        into.push((tag, unsettled));
        self.trim();
        Ok(())
    }

    /// Puts back what a transaction had taken and then rolled back.
    pub(super) fn put_back(&mut self, taken: Vec<(u64, Unsettled)>) {
        self.outstanding += taken.len();
        let mut slots = std::mem::take(&mut self.slots);
        slots.retain(|slot| slot.unsettled.is_some());
        slots.extend(taken.into_iter().map(|(tag, one)| Slot { tag, unsettled: Some(one) }));
        slots.make_contiguous().sort_by_key(|slot| slot.tag);
        self.slots = slots;
    }

    /// The tag was given and is not settled.
    pub(super) fn is_outstanding(&self, tag: u64) -> bool {
        let slot = self.slot_of(tag).and_then(|at| self.slots.get(at));
        slot.is_some_and(|slot| slot.unsettled.is_some())
    }

    /// How many deliveries are not settled.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding
    }

    fn slot_of(&self, tag: u64) -> Option<usize> {
        // Without gaps a tag's place follows from the first one's.
        let first = self.slots.front()?.tag;
        let near = usize::try_from(tag.checked_sub(first)?).ok();
        let is_near = |at: &usize| self.slots.get(*at).is_some_and(|slot| slot.tag == tag);
        near.filter(is_near).or_else(|| self.slots.binary_search_by_key(&tag, |one| one.tag).ok())
    }

    fn take_up_to(&mut self, tag: u64, into: &mut Vec<(u64, Unsettled)>) {
        while let Some(slot) = self.slots.pop_front_if(|slot| slot.tag <= tag) {
            if let Some(unsettled) = slot.unsettled {
                self.outstanding -= 1;
                into.push((slot.tag, unsettled));
            }
        }
        self.trim();
    }

    fn trim(&mut self) {
        while self.slots.pop_front_if(|slot| slot.unsettled.is_none()).is_some() {}
        while self.slots.pop_back_if(|slot| slot.unsettled.is_none()).is_some() {}
        if self.slots.len() > 2 * self.outstanding + HOLES_TOLERATED {
            self.slots.retain(|slot| slot.unsettled.is_some());
            self.slots.shrink_to(2 * self.outstanding + HOLES_TOLERATED);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::broker::delivery::Position;
    use crate::broker::message::{Layout, Message};

    fn unsettled(position: u64) -> Unsettled {
        let layout = Layout { exchange: 0, routing_key: 0, header: 0 };
        let message = Arc::new(Message::new(Bytes::new(), layout, false, false).unwrap());
        let position = Position(position);
        Unsettled { lent: Lent::Whole(Entry::new(position, message)), source: 0 }
    }

    fn taken(ledger: &mut Ledger, tag: u64, multiple: bool) -> Result<Vec<u64>, UnknownTag> {
        let mut into = Vec::new();
        ledger.take(tag, multiple, &mut into)?;
        Ok(into.into_iter().map(|(tag, _)| tag).collect())
    }

    #[test]
    fn tag_zero_with_multiple_takes_everything_and_never_fails() {
        let mut ledger = Ledger::default();
        assert_eq!(taken(&mut ledger, 0, true), Ok(vec![]));
        ledger.note(unsettled(1));
        ledger.note(unsettled(2));
        assert_eq!(taken(&mut ledger, 0, true), Ok(vec![1, 2]));
    }

    #[test]
    fn a_tag_settled_on_delivery_is_unknown() {
        let mut ledger = Ledger::default();
        let tag = ledger.pass();
        assert_eq!(taken(&mut ledger, tag, false), Err(UnknownTag));
    }

    #[test]
    fn multiple_up_to_a_settled_tag_is_unknown() {
        let mut ledger = Ledger::default();
        for position in 0..3 {
            ledger.note(unsettled(position));
        }
        assert_eq!(taken(&mut ledger, 2, false), Ok(vec![2]));
        assert_eq!(taken(&mut ledger, 2, true), Err(UnknownTag));
        assert_eq!(taken(&mut ledger, 3, true), Ok(vec![1, 3]));
    }

    #[test]
    fn a_delivery_that_is_not_settled_holds_back_nothing_behind_it() {
        let mut ledger = Ledger::default();
        let stuck = ledger.note(unsettled(0));
        for position in 1..100_000 {
            let tag = ledger.note(unsettled(position));
            ledger.pass();
            assert_eq!(taken(&mut ledger, tag, false), Ok(vec![tag]));
            ledger.note(unsettled(position));
            assert_eq!(taken(&mut ledger, tag + 2, false), Ok(vec![tag + 2]));
        }
        assert!(ledger.slots.capacity() < 10_000, "{}", ledger.slots.capacity());
        let next = ledger.note(unsettled(1));
        assert_eq!(taken(&mut ledger, next, true), Ok(vec![stuck, next]));
    }

    proptest! {
        #[test]
        fn a_ledger_is_an_ordered_map(steps in prop::collection::vec((0_u8..6, any::<u64>()), 1..200)) {
            let (mut ledger, mut model, mut last) = (Ledger::default(), BTreeSet::new(), 0_u64);
            for (step, pick) in steps {
                let tag = pick % (last + 2);
                match step {
                    0 => { last += 1; prop_assert_eq!(ledger.pass(), last); }
                    1 | 2 => {
                        last += 1;
                        prop_assert_eq!(ledger.note(unsettled(last)), last);
                        model.insert(last);
                    }
                    3 => {
                        let known = model.remove(&tag);
                        prop_assert_eq!(taken(&mut ledger, tag, false).is_ok(), known);
                    }
                    4 => {
                        let expected: Vec<u64> = if tag == 0 { model.iter().copied().collect() }
                            else { model.range(..=tag).copied().collect() };
                        let known = tag == 0 || model.contains(&tag);
                        let result = taken(&mut ledger, tag, true);
                        prop_assert_eq!(result.is_ok(), known);
                        if known {
                            prop_assert_eq!(result.unwrap(), expected.clone());
                            model.retain(|tag| !expected.contains(tag));
                        }
                    }
                    _ => {
                        let mut into = Vec::new();
                        if ledger.take(tag, false, &mut into).is_ok() { ledger.put_back(into); }
                    }
                }
                prop_assert_eq!(ledger.outstanding(), model.len());
            }
        }
    }
}
