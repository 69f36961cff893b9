//! The backlog against a sorted map.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::broker::message::{Layout, Message};
use crate::broker::paging::Unread;

/// When all of them expire.
fn expiry() -> Deadline {
    Deadline::at_ms(1000)
}

fn entry(position: u64) -> Entry {
    let layout = Layout { exchange: 0, routing_key: 0, header: 0 };
    let message = Message::new(Bytes::from_static(b"x"), layout, false, false).unwrap();
    let expires_at = Some(expiry());
    Entry { expires_at, ..Entry::new(Position(position), Arc::new(message)) }
}

/// What the test calls the priority of an entry.
fn priority(position: u64) -> Priority {
    [0, 3, 0, 9, 1, 255][usize::try_from(position % 6).unwrap()]
}

/// The model's order: highest priority first, then the oldest.
fn rank(position: u64) -> (std::cmp::Reverse<Priority>, u64) {
    (std::cmp::Reverse(priority(position)), position)
}

type Model = BTreeMap<(std::cmp::Reverse<Priority>, u64), u64>;

fn check(backlog: &Backlog, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(backlog.len(), model.len());
    prop_assert_eq!(backlog.is_empty(), model.is_empty());
    prop_assert_eq!(backlog.bytes(), model.len());
    let oldest = model.values().min().copied();
    for position in [oldest, oldest.and_then(|oldest| oldest.checked_sub(1))].into_iter().flatten()
    {
        let reaches = model.values().any(|&one| one <= position);
        prop_assert_eq!(backlog.reaches_back_to(Position(position)), reaches);
    }
    let seen: Vec<u64> = backlog.places().map(|(position, ..)| position.0).collect();
    prop_assert_eq!(seen.len(), model.len());
    prop_assert!(backlog.places().all(|(position, level, _)| priority(position.0) == level));
    Ok(())
}

proptest! {
    /// Whatever is taken, removed and given back, the backlog stays what a sorted list would be.
    #[test]
    fn entries_leave_by_priority_and_age(
        operations in prop::collection::vec((0_u8..6, any::<prop::sample::Index>()), 1..200),
        with_priorities: bool,
    ) {
        let level = |position| if with_priorities { priority(position) } else { 0 };
        let place = |position| if with_priorities { rank(position) } else { (std::cmp::Reverse(0), position) };
        let (mut backlog, mut model, mut out) = (Backlog::default(), Model::new(), Vec::new());
        for (next, (operation, pick)) in operations.into_iter().enumerate() {
            let next = next as u64;
            let picked = (!model.is_empty()).then(|| *model.values().nth(pick.index(model.len())).unwrap());
            match operation {
                0 | 1 => {
                    backlog.push(entry(next), level(next));
                    model.insert(place(next), next);
                }
                2 => {
                    let popped = backlog.pop().map(|entry| entry.position.0);
                    prop_assert_eq!(popped, model.pop_first().map(|(_, position)| position));
                    out.extend(popped);
                }
                3 => {
                    let least = model.iter().max_by_key(|((priority, _), position)| (*priority, std::cmp::Reverse(**position)));
                    let least = least.map(|(key, _)| *key);
                    let expected = least.and_then(|key| model.remove(&key));
                    prop_assert_eq!(backlog.pop_least().map(|entry| entry.position.0), expected);
                }
                4 => if let Some(position) = picked {
                    let removed = backlog.remove(Position(position), level(position), expiry());
                    prop_assert_eq!(removed.map(|entry| entry.position.0), Some(position));
                    model.remove(&place(position));
                    prop_assert!(backlog.remove(Position(position), level(position), expiry()).is_none());
                },
                _ if !out.is_empty() => {
                    let mut back: Vec<u64> = out.drain(..=pick.index(out.len())).collect();
                    back.sort_unstable();
                    backlog.put_back(back.iter().copied().map(entry).collect(), |entry| level(entry.position.0));
                    model.extend(back.into_iter().map(|position| (place(position), position)));
                }
                _ => {}
            }
            if with_priorities {
                check(&backlog, &model)?;
            }
            prop_assert_eq!(backlog.len(), model.len());
        }
        let left: Vec<u64> = backlog.take_all().0.map(|entry| entry.position.0).collect();
        prop_assert_eq!(left, model.into_values().collect::<Vec<_>>());
        prop_assert!(backlog.is_empty());
    }
}

fn durable(position: u64) -> Entry {
    Entry { durable: true, ..entry(position) }
}

/// Messages that were spilled, where nothing happens to them.
#[derive(Debug)]
struct Elsewhere(Vec<Entry>);

impl Spilled for Elsewhere {
    fn read(&self) -> Result<Vec<Entry>, Unread> {
        Ok(self.0.clone())
    }
}

/// Reads what is wanted, as the pager would: at most so many.
fn read(wanted: &Wanted, model: &BTreeSet<u64>, at_most: usize) -> Portion {
    let runs = wanted.members.iter().map(|members| members.run.first.0..=members.run.last.0);
    let there: Vec<u64> = runs.flat_map(|run| model.range(run).copied()).collect();
    let some: Vec<u64> = there.iter().copied().take(at_most).collect();
    let up_to = (some.len() < there.len()).then(|| Position(*some.last().unwrap()));
    let entries: Vec<Entry> = some.into_iter().map(durable).collect();
    let count = entries.len();
    wanted.portion(entries, count, up_to)
}

/// A backlog whose messages leave memory and come back.
#[derive(Default)]
struct Paged {
    backlog: Backlog,
    /// By level, highest first, and position.
    model: Model,
    /// Taken and not given back.
    out: Vec<u64>,
    with_priorities: bool,
    /// Some of them are in no log.
    with_transient: bool,
    /// What was asked for and read, and did not arrive yet.
    under_way: Option<(Wanted, Portion)>,
}

impl Paged {
    fn is_durable(&self, position: u64) -> bool {
        !self.with_transient || position % 7 < 3
    }

    fn entry(&self, position: u64) -> Entry {
        Entry { durable: self.is_durable(position), ..entry(position) }
    }

    /// What is to be spilled next is written, and `meanwhile` happens.
    fn spill(&mut self, how: Spill, meanwhile: impl FnOnce(&mut Self)) {
        loop {
            let batch = match self.backlog.offer_to_spill(how) {
                SpillStep::Write(batch) => batch,
                SpillStep::Again => continue,
                SpillStep::Nothing => return meanwhile(self),
            };
            assert!(batch.entries.iter().all(|entry| !entry.durable), "these are not in the log");
            let written = Elsewhere(batch.entries.clone());
            meanwhile(self);
            self.backlog.spilled(&batch, Arc::new(written));
            return;
        }
    }

    /// Some that are out come back, and perhaps one is taken.
    fn meddle(&mut self, amount: usize) {
        let transient = self.out.iter().copied().filter(|at| !self.is_durable(*at));
        let back: Vec<u64> = transient.take(amount % 3).collect();
        self.out.retain(|at| !back.contains(at));
        self.give_back(back, false);
        if let Some(entry) = amount.is_multiple_of(5).then(|| self.backlog.pop()).flatten() {
            self.model.retain(|_, at| *at != entry.position.0);
            self.out.push(entry.position.0);
        }
    }

    /// Takes an entry out because it expired, reading it first if it was spilled.
    fn remove(&mut self, position: u64, level: Priority) -> Option<Entry> {
        loop {
            let removed = self.backlog.remove(Position(position), level, expiry());
            if removed.is_some() || self.is_durable(position) {
                return removed;
            }
            let wanted = self.backlog.due(expiry())?;
            if !self.read_back(&wanted) {
                return None;
            }
        }
    }

    fn read_back(&mut self, wanted: &Wanted) -> bool {
        let Some((_, spilled)) = &wanted.spilled else { return false };
        let lost = self.backlog.read_back(wanted, spilled.read().unwrap(), &[]);
        assert_eq!(lost.map(|(lost, _)| lost), Some(0), "it is where it was");
        true
    }

    fn take_in(&mut self, wanted: &Wanted, portion: Portion) -> Option<usize> {
        if wanted.spilled.is_some() {
            let read = self.backlog.read_back(wanted, portion.entries, &[]);
            return read.map(|(lost, _)| lost);
        }
        self.backlog.page_in(wanted, portion).map(|(lost, _)| lost)
    }

    fn level(&self, position: u64) -> Priority {
        if self.with_priorities { priority(position) } else { 0 }
    }

    fn place(&self, position: u64) -> (std::cmp::Reverse<Priority>, u64) {
        (std::cmp::Reverse(self.level(position)), position)
    }

    fn asks(&self, least: bool, at_most: usize) -> Option<(Wanted, Portion)> {
        let wanted = self.backlog.wanted(least, limits::AT_HAND_BYTES)?;
        if let Some((_, spilled)) = &wanted.spilled {
            let entries = spilled.read().unwrap();
            let portion = Portion { count: entries.len(), entries, up_to: None };
            return Some((wanted, portion));
        }
        let of_level = self.model.iter().filter(|((level, _), _)| level.0 == wanted.level);
        let there: BTreeSet<u64> = of_level.map(|(_, &position)| position).collect();
        let portion = read(&wanted, &there, at_most);
        Some((wanted, portion))
    }

    fn page_in(&mut self, least: bool, at_most: usize) -> bool {
        // One read at a time, as of a queue.
        if self.under_way.is_some() {
            self.arrive();
            return true;
        }
        let Some((wanted, portion)) = self.asks(least, at_most) else { return false };
        let lost = self.take_in(&wanted, portion);
        assert_eq!(lost, Some(0), "the stretch is as it was");
        true
    }

    /// What was read some operations ago arrives: it is taken in as it should be, or not at all.
    fn arrive(&mut self) {
        if let Some((wanted, portion)) = self.under_way.take() {
            let lost = self.take_in(&wanted, portion);
            assert_eq!(lost.unwrap_or(0), 0, "nothing was damaged");
        }
    }

    fn purge(&mut self) {
        let (entries, runs) = self.backlog.take_all();
        let absent = runs.iter().map(|run| run.first.0..=run.last.0);
        let mut purged: Vec<u64> = entries.map(|entry| entry.position.0).collect();
        purged.extend(absent.flatten());
        purged.sort_unstable();
        let mut ready: Vec<u64> = std::mem::take(&mut self.model).into_values().collect();
        // What was spilled is gone without a word.
        ready.retain(|at| self.is_durable(*at) || purged.contains(at));
        ready.sort_unstable();
        assert_eq!(purged, ready);
    }

    fn pop(&mut self) -> Option<u64> {
        loop {
            if let Some(entry) = self.backlog.pop() {
                return Some(entry.position.0);
            }
            if !self.page_in(false, 3) {
                return None;
            }
        }
    }

    fn give_back(&mut self, mut back: Vec<u64>, absent: bool) {
        back.sort_unstable();
        let with_priorities = self.with_priorities;
        let level = |position: u64| if with_priorities { priority(position) } else { 0 };
        if absent {
            let absents = back.iter().map(|&position| Absent::of(&durable(position))).collect();
            self.backlog.put_back_absent(absents, |absent| level(absent.position.0));
        } else {
            let entries = back.iter().map(|&position| self.entry(position)).collect();
            self.backlog.put_back(entries, |entry| level(entry.position.0));
        }
        for position in back {
            self.model.insert(self.place(position), position);
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let in_memory = self.backlog.len() - self.backlog.absent();
        let one = footprint(&durable(0).message);
        prop_assert_eq!(self.backlog.len(), self.model.len());
        prop_assert_eq!(self.backlog.bytes(), self.model.len());
        let Resident { transient, durable } = self.backlog.resident();
        prop_assert_eq!(transient + durable, in_memory * one);
        prop_assert!(self.with_transient || transient == 0);
        Ok(())
    }
}

#[test]
fn what_is_given_back_one_by_one_is_read_together() {
    let mut paged = Paged::default();
    for position in 0..3000 {
        paged.backlog.push(durable(position), 0);
        paged.model.insert(paged.place(position), position);
    }
    let had: Vec<u64> = (0..1000).map(|_| paged.pop().unwrap()).collect();
    paged.model.retain(|_, position| *position >= 1000);
    let how = PageOut { kept: 0, saved_before: Position(3000), at_most: usize::MAX };
    paged.backlog.page_out(how);
    for position in had {
        paged.give_back(vec![position], true);
    }

    let (mut reads, mut popped) = (0, 0);
    while paged.page_in(false, usize::MAX) {
        reads += 1;
        while let Some(entry) = paged.backlog.pop() {
            assert_eq!(entry.position.0, popped);
            popped += 1;
        }
    }

    assert_eq!(popped, 3000);
    assert!(reads <= 4, "{reads} reads");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever leaves memory and comes back, in whatever portions, and whatever is given back meanwhile with
    /// or without its message: the backlog stays what a sorted list would be, and knows what it has in memory.
    #[test]
    fn messages_that_left_memory_keep_their_places(
        operations in prop::collection::vec((0_u8..13, any::<prop::sample::Index>(), 0_usize..12), 1..150),
        with_priorities: bool,
        with_transient: bool,
    ) {
        let mut paged = Paged { with_priorities, with_transient, ..Paged::default() };
        for (at, (operation, pick, amount)) in operations.into_iter().enumerate() {
            let next = at as u64;
            match operation {
                0 | 1 => {
                    let (level, place) = (paged.level(next), paged.place(next));
                    paged.backlog.push(paged.entry(next), level);
                    paged.model.insert(place, next);
                }
                2 => {
                    let popped = paged.pop();
                    prop_assert_eq!(popped, paged.model.pop_first().map(|(_, position)| position));
                    paged.out.extend(popped);
                }
                3 => {
                    while paged.page_in(true, amount + 1) && amount % 2 == 0 {}
                    if let Some(entry) = paged.backlog.pop_least() {
                        let position = entry.position.0;
                        let least = paged.model.iter().max_by_key(|((level, _), at)| (*level, std::cmp::Reverse(**at)));
                        prop_assert_eq!(least.map(|(_, at)| *at), Some(position));
                        let place = paged.place(position);
                        paged.model.remove(&place);
                    }
                }
                4 if !paged.model.is_empty() => {
                    let position = *paged.model.values().nth(pick.index(paged.model.len())).unwrap();
                    let (level, place) = (paged.level(position), paged.place(position));
                    if let Some(removed) = paged.remove(position, level) {
                        prop_assert_eq!(removed.position.0, position);
                        paged.model.remove(&place);
                    }
                }
                5 | 6 if !paged.out.is_empty() => {
                    let back: Vec<u64> = paged.out.drain(..=pick.index(paged.out.len())).collect();
                    let (durable, transient): (Vec<u64>, Vec<u64>) = back.into_iter().partition(|at| paged.is_durable(*at));
                    let (some, others) = durable.into_iter().partition(|at| (at + amount as u64).is_multiple_of(3));
                    paged.give_back(some, operation == 5);
                    paged.give_back(others, amount % 2 == 0);
                    paged.give_back(transient, false);
                }
                7 => {
                    let saved_before = Position(pick.index(at + 1) as u64);
                    let how = PageOut { kept: amount / 2, saved_before, at_most: amount + 1 };
                    let out = paged.backlog.page_out(how);
                    let all_saved = out.iter().flat_map(|(_, out)| &out.freed).all(|entry| entry.position < saved_before);
                    prop_assert!(all_saved);
                }
                11 | 12 => {
                    let how = Spill { kept: amount / 2, spares_next: amount % 4 == 0, least: 0, spares_until: Deadline::at_ms(1) };
                    paged.spill(how, |paged| paged.meddle(amount));
                }
                8 => {
                    paged.page_in(false, amount + 1);
                }
                9 if paged.under_way.is_none() => {
                    paged.under_way = paged.asks(false, amount + 1);
                }
                10 if amount == 0 => paged.purge(),
                _ => {}
            }
            paged.check()?;
        }
        let left: Vec<u64> = std::iter::from_fn(|| paged.pop()).collect();
        prop_assert_eq!(left, paged.model.into_values().collect::<Vec<_>>());
    }
}

/// A backlog whose messages are all transient, of which as many as may be were spilled.
fn spilled(count: u64) -> Paged {
    let mut paged = Paged { with_transient: true, ..Paged::default() };
    for position in (0..).filter(|at| at % 7 >= 3).take(usize::try_from(count).unwrap()) {
        paged.backlog.push(paged.entry(position), 0);
        paged.model.insert(paged.place(position), position);
    }
    while paged.backlog.resident().transient > 0 {
        paged.spill(
            Spill { kept: 0, spares_next: false, least: 0, spares_until: Deadline::at_ms(1) },
            |_| (),
        );
    }
    paged
}

#[test]
fn what_was_spilled_and_cannot_be_read_is_no_longer_counted() {
    let mut paged = spilled(2000);
    assert_eq!((paged.backlog.len(), paged.backlog.absent()), (2000, 2000));
    let wanted = paged.backlog.wanted(false, limits::AT_HAND_BYTES).unwrap();
    let (_, handle) = wanted.spilled.clone().unwrap();
    let lost = handle.read().unwrap().len();

    let read = paged.backlog.read_back(&wanted, Vec::new(), &[]);
    assert_eq!(read.map(|(lost, _)| lost), Some(lost));

    assert_eq!((paged.backlog.len(), paged.backlog.bytes()), (2000 - lost, 2000 - lost));
    let left: Vec<u64> = std::iter::from_fn(|| paged.pop()).collect();
    let expected: Vec<u64> = paged.model.into_values().skip(lost).collect();
    assert_eq!(left, expected);
    assert_eq!(paged.backlog.bytes(), 0);
}

#[test]
fn a_purge_gives_up_what_was_spilled() {
    let mut paged = spilled(2000);
    let wanted = paged.backlog.wanted(false, limits::AT_HAND_BYTES).unwrap();
    let (_, handle) = wanted.spilled.clone().unwrap();

    let (entries, runs) = paged.backlog.take_all();
    assert_eq!((entries.count(), runs.len()), (0, 0));

    assert_eq!(paged.backlog.read_back(&wanted, handle.read().unwrap(), &[]), None);
    drop(wanted);
    assert_eq!((paged.backlog.len(), Arc::strong_count(&handle)), (0, 1));
}
