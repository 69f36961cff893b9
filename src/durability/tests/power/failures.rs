//! Full disks, errors of every operation in turn, and disks that take their time.
//!
//! One story is told again and again, and each time the next operation of the disk goes wrong.

use std::io::ErrorKind;
use std::path::Path;

use super::super::*;
use super::model::Model;
use super::world::{Cut, Trouble, World};
use super::{Dice, Tally, perform};
use crate::store::{Fault, Operation, SimulatedDisk};

const STEPS: usize = 60;

/// What became of one telling.
struct Told {
    tally: Tally,
    is_dead: bool,
    /// Whether the trouble came at all.
    is_over: bool,
}

/// Tells the story with this trouble, cuts the power at its end, and judges.
fn tell(
    mut trouble: impl FnMut(Operation, &Path, &SimulatedDisk) -> (bool, Option<Fault>) + Send + 'static,
) -> Told {
    let mut dice = Dice(4711);
    let mut world = World::new(&mut dice, 0);
    let mut model = Model::new(&mut world);
    let came = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&came);
    let trouble: Trouble = Box::new(move |operation, path, disk| {
        let (comes, fault) = trouble(operation, path, disk);
        seen.fetch_add(u64::from(comes), Ordering::SeqCst);
        fault
    });
    world.set_trouble(Some(trouble));
    for _ in 0..STEPS {
        // One process: what follows a restart is the other test's.
        let before = dice.clone();
        if dice.below(100) < 96 {
            dice = before;
            perform(&mut model, &mut world, &mut dice);
        }
    }
    model.mark(&mut world);
    world.commit();
    let is_dead = world.is_dead();
    assert!(is_dead || world.committed() == world.node().marks, "everything was confirmed");
    world.set_trouble(None);
    for _ in 0..5 {
        world.add_cut();
    }
    let tally = model.judge(&world.take_cuts());
    Told { tally, is_dead, is_over: came.load(Ordering::SeqCst) > 0 }
}

/// Counts the operations that `are_meant`; true from the `first` of them on, for `times`.
fn nth(
    first: u64,
    times: u64,
    are_meant: impl Fn(Operation) -> bool + Send,
) -> impl FnMut(Operation) -> bool + Send {
    let mut seen = 0;
    move |operation| {
        let meant = are_meant(operation);
        seen += u64::from(meant);
        meant && (first..first + times).contains(&seen)
    }
}

/// Nobody sleeps until the committer looks again.
fn skip_the_wait() {
    std::thread::current().unpark();
}

#[test]
fn a_disk_that_is_full_at_any_operation_loses_nothing_and_work_resumes_by_itself() {
    let mut all = Tally::default();
    let mut points = 0;
    for (times, torn) in [(1, None), (3, None), (1, Some(1)), (2, Some(700))] {
        for first in 1.. {
            let mut comes = nth(first, times, Operation::takes_space);
            let told = tell(move |operation, _, _| {
                let is_full = comes(operation);
                let fault = is_full.then(|| {
                    skip_the_wait();
                    match torn {
                        Some(bytes) if operation == Operation::Write => {
                            Fault::Torn(bytes, ErrorKind::StorageFull)
                        }
                        _ => Fault::Fail(ErrorKind::StorageFull),
                    }
                });
                (is_full, fault)
            });
            if !told.is_over {
                break;
            }
            assert!(!told.is_dead, "full at {first} for {times} ended the process");
            assert!(told.tally.is_clean(), "full at {first} for {times}: {:?}", told.tally);
            all.add(told.tally);
            points += 1;
        }
    }
    println!("disk full at {points} operations: {all:?}");
    assert!(points > 100 && all.confirmed > 0);
}

#[test]
fn an_error_of_any_operation_confirms_nothing_that_is_not_there() {
    let mut all = Tally::default();
    let (mut points, mut deaths) = (0, 0);
    for first in 1.. {
        // Reading is not part of this story's life.
        let mut comes = nth(first, 1, |operation| operation != Operation::FreeSpace);
        let told = tell(move |operation, path, disk| {
            let fails = comes(operation);
            if fails && operation == Operation::Sync {
                // The kernel drops the pages, and the next sync succeeds.
                disk.forget_unsynced(path);
            }
            let bytes = usize::try_from(first * 37 % 600).unwrap();
            let torn = Fault::Torn(bytes, ErrorKind::Other);
            let fault =
                if operation == Operation::Write { torn } else { Fault::Fail(ErrorKind::Other) };
            (fails, fails.then_some(fault))
        });
        if !told.is_over {
            break;
        }
        assert!(told.tally.is_clean(), "an error at {first}: {:?}", told.tally);
        all.add(told.tally);
        points += 1;
        deaths += u64::from(told.is_dead);
    }
    println!("errors at {points} operations, {deaths} of them final, wrongly confirmed 0: {all:?}");
    assert!(deaths > 40 && all.confirmed > 0);
}

/// What the story leaves when nothing goes wrong.
fn after_the_story() -> Cut {
    let mut dice = Dice(4711);
    let mut world = World::new(&mut dice, 0);
    let mut model = Model::new(&mut world);
    for _ in 0..STEPS {
        model.publish(&mut world, &mut dice);
        world.commit();
    }
    model.mark(&mut world);
    world.commit();
    world.checkpoint();
    model.publish(&mut world, &mut dice);
    model.mark(&mut world);
    world.commit();
    world.add_cut();
    world.take_cuts().pop().unwrap()
}

#[test]
fn reads_that_give_less_than_asked_hide_nothing() {
    let stored = after_the_story().stored;
    let whole = stored.recover_with(|_| None).unwrap();
    for most in [1, 7, 512] {
        let short = stored.recover_with(move |operation| {
            (operation == Operation::Read).then_some(Fault::Short(most))
        });
        assert_eq!(short.unwrap().messages, whole.messages, "{most} bytes at a time");
    }
}

#[test]
fn an_error_of_any_operation_of_a_start_is_told_and_costs_nothing() {
    let stored = after_the_story().stored;
    let whole = stored.recover_with(|_| None).unwrap();
    assert!(whole.messages > 0);
    let mut points = 0;
    loop {
        let seen = AtomicU64::new(0);
        let first = points;
        let came = Arc::new(AtomicU64::new(0));
        let noted = Arc::clone(&came);
        let start = stored.recover_with(move |_| {
            let fails = seen.fetch_add(1, Ordering::SeqCst) == first;
            noted.fetch_add(u64::from(fails), Ordering::SeqCst);
            fails.then_some(Fault::Fail(ErrorKind::Other))
        });
        if came.load(Ordering::SeqCst) == 0 {
            break;
        }
        // It is refused, or all is there.
        if let Ok(report) = start {
            let is_whole = report.messages == whole.messages;
            assert!(is_whole || !report.damages.is_empty(), "operation {first}");
        }
        assert_eq!(stored.recover_with(|_| None).unwrap().messages, whole.messages);
        points += 1;
    }
    println!("errors at {points} operations of a start");
    assert!(points > 10);
}

#[test]
fn an_error_of_a_sync_is_final_although_the_next_would_succeed() {
    for first in 1..10 {
        let mut comes = nth(first, 1, |operation| operation == Operation::Sync);
        let told = tell(move |operation, path, disk| {
            let is_log = path.extension().is_some_and(|extension| extension == "seg");
            let fails = is_log && comes(operation);
            if fails {
                disk.forget_unsynced(path);
            }
            (fails, fails.then_some(Fault::Fail(ErrorKind::Other)))
        });
        assert!(told.is_dead && told.tally.is_clean(), "sync {first}: {:?}", told.tally);
    }
}
