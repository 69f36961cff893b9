//! What a channel was handed and has not settled: delivery tag -> entry.
//!
//! Invariants:
//! * Tags rise by one with every delivery, settled at once or not.
//! * The first and the last slot are occupied or there is no slot, so memory follows what is outstanding
//!   (a hole in the middle is a settled tag between two that are not).

use std::collections::VecDeque;

use crate::broker::delivery::Entry;

/// A delivery that is not settled yet.
#[derive(Debug)]
pub(super) struct Unsettled {
    /// What was handed over.
    pub(super) entry: Entry,
    /// Where from: an index into the outbox's sources.
    pub(super) source: u32,
}

/// The tag is not outstanding: never given, settled already, or settled on delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnknownTag;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The tag of the first slot.
    first_tag: u64,
    slots: VecDeque<Option<Unsettled>>,
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
        self.last_tag += 1;
        if self.slots.is_empty() {
            self.first_tag = self.last_tag;
        }
        while self.first_tag + (self.slots.len() as u64) < self.last_tag {
            self.slots.push_back(None);
        }
        self.slots.push_back(Some(unsettled));
        self.outstanding += 1;
        self.last_tag
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
        let at = self.slot_of(tag).ok_or(UnknownTag)?;
        if self.slots.get(at).is_none_or(Option::is_none) {
            return Err(UnknownTag);
        }
        if multiple {
            self.take_up_to(tag, into);
        } else if let Some(unsettled) = self.slots.get_mut(at).and_then(Option::take) {
            self.outstanding -= 1;
            into.push((tag, unsettled));
            self.trim();
        }
        Ok(())
    }

    /// Puts back what a transaction had taken and then rolled back.
    pub(super) fn put_back(&mut self, taken: Vec<(u64, Unsettled)>) {
        let Some(lowest) = taken.iter().map(|(tag, _)| *tag).min() else { return };
        if self.slots.is_empty() {
            self.first_tag = lowest;
        }
        while self.first_tag > lowest {
            self.slots.push_front(None);
            self.first_tag -= 1;
        }
        for (tag, unsettled) in taken {
            while self.first_tag + (self.slots.len() as u64) <= tag {
                self.slots.push_back(None);
            }
            if let Some(slot) = self.slot_of(tag).and_then(|at| self.slots.get_mut(at)) {
                *slot = Some(unsettled);
                self.outstanding += 1;
            }
        }
    }

    /// The tag was given and is not settled.
    pub(super) fn is_outstanding(&self, tag: u64) -> bool {
        self.slot_of(tag).and_then(|at| self.slots.get(at)).is_some_and(Option::is_some)
    }

    fn slot_of(&self, tag: u64) -> Option<usize> {
        usize::try_from(tag.checked_sub(self.first_tag)?).ok()
    }

    fn take_up_to(&mut self, tag: u64, into: &mut Vec<(u64, Unsettled)>) {
        while self.first_tag <= tag {
            let Some(slot) = self.slots.pop_front() else { break };
            if let Some(unsettled) = slot {
                self.outstanding -= 1;
                into.push((self.first_tag, unsettled));
            }
            self.first_tag += 1;
        }
        self.trim();
    }

    fn trim(&mut self) {
        while self.slots.front().is_some_and(Option::is_none) {
            self.slots.pop_front();
            self.first_tag += 1;
        }
        while self.slots.back().is_some_and(Option::is_none) {
            self.slots.pop_back();
        }
    }

    #[cfg(test)]
    fn outstanding(&self) -> usize {
        self.outstanding
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
        Unsettled { entry: Entry::new(position, message), source: 0 }
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
