//! The backlog against a sorted map.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::broker::message::{Layout, Message};

fn entry(position: u64) -> Entry {
    let layout = Layout { exchange: 0, routing_key: 0, header: 0 };
    let message = Message::new(Bytes::from_static(b"x"), layout, false, false).unwrap();
    Entry::new(Position(position), Arc::new(message))
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
                    let removed = backlog.remove(Position(position), level(position));
                    prop_assert_eq!(removed.map(|entry| entry.position.0), Some(position));
                    model.remove(&place(position));
                    prop_assert!(backlog.remove(Position(position), level(position)).is_none());
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
