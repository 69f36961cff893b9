//! The whole broker in one thread, without sockets and without real time, against a model.
//!
//! Clients say real frames to real sessions; commits, checkpoints and the clock move when the course says so; the disk
//! is killed, cut off and made to fail. After every step the broker is compared with the model. All of a course follows
//! from its seed:
//!
//! ```text
//! SIM_RUNS=1000 cargo test --release --test sim        more courses
//! SIM_SEED=4711 SIM_RUNS=1 cargo test --test sim       this one again
//! SIM_STEPS=5000                                       longer ones
//! ```
#![allow(unreachable_pub, reason = "one binary; pub here means: for the other files")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what is wrong by failing"
)]

#[macro_use]
#[allow(dead_code, reason = "tests/it needs more of it")]
mod support;

mod course;
mod link;
mod model;
mod random;
mod storage;
mod world;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use self::course::Course;
use self::model::Figures;
use self::random::Random;
use self::storage::Sabotage;
use self::world::{Next, World};

/// Steps that a failure shows.
const SHOWN: usize = 60;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// One course; or what went wrong, and after which steps.
fn run(seed: u64, steps: u64, sabotage: Sabotage) -> Result<Figures, String> {
    let mut random = Random::new(seed);
    let mut fork = || Random::new(random.below(u64::MAX));
    let (mut course, mut world) = (Course::new(fork()), World::new(fork(), sabotage));
    let mut last = VecDeque::new();
    for number in 0..steps {
        let step = course.next(&world);
        last.push_back(format!("{number:6} {step:?}"));
        if last.len() > SHOWN {
            last.pop_front();
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| world.step(&step)));
        let outcome = outcome.unwrap_or_else(|panic| Err(format!("a panic: {}", text_of(&*panic))));
        match outcome {
            Ok(Next::Step) => {}
            Ok(Next::End) => break,
            Err(wrong) => {
                let mut story = String::new();
                for line in last {
                    writeln!(story, "{line}").unwrap();
                }
                return Err(format!("{story}SIM_SEED={seed}, step {number}: {wrong}"));
            }
        }
    }
    Ok(world.figures())
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "without words".to_owned())
}

#[test]
fn whatever_happens_every_promise_is_kept() {
    let runs = setting("SIM_RUNS").unwrap_or(40);
    let steps = setting("SIM_STEPS").unwrap_or(1500);
    let first = setting("SIM_SEED").unwrap_or(1);
    let mut all = Figures::default();
    for seed in first..first + runs {
        match run(seed, steps, Sabotage::Nothing) {
            Ok(figures) => all.add(&figures),
            Err(story) => panic!("{story}"),
        }
    }
    report(&format!("{runs} courses from SIM_SEED={first}: {all:?}"));
}

/// Also what the broker has written is the same, apart from the random numbers in the headers of segments: figures
/// follow from everything that was heard and found.
#[test]
fn a_seed_is_always_the_same_course() {
    let runs = [(); 2].map(|()| {
        let mut random = Random::new(5);
        let mut fork = || Random::new(random.below(u64::MAX));
        let (mut course, mut world) = (Course::new(fork()), World::new(fork(), Sabotage::Nothing));
        let mut steps = Vec::new();
        for _ in 0..1500 {
            let step = course.next(&world);
            steps.push(format!("{step:?} {:?}", world.figures()));
            if world.step(&step).unwrap() == Next::End {
                break;
            }
        }
        steps
    });
    let [one, other] = &runs;
    let parting = one.iter().zip(other).position(|(one, other)| one != other);
    assert_eq!((parting, one.len()), (None, other.len()));
}

/// Something in the broker is broken; some course must notice.
fn is_noticed(sabotage: Sabotage) {
    let noticed = (1..=40).find_map(|seed| run(seed, 1500, sabotage).err());
    let story = noticed.unwrap_or_else(|| panic!("nobody notices that {sabotage:?}"));
    report(story.lines().last().unwrap_or_default());
}

#[test]
fn a_log_that_forgets_to_sync_is_noticed() {
    is_noticed(Sabotage::SyncForgets);
}

#[test]
fn a_checkpoint_that_forgets_is_noticed() {
    is_noticed(Sabotage::CheckpointForgets);
}

#[test]
fn a_lost_delivery_is_noticed() {
    is_noticed(Sabotage::DeliveryLost);
}

#[test]
fn a_delivery_that_comes_twice_is_noticed() {
    is_noticed(Sabotage::DeliveryDoubled);
}

#[test]
fn a_forgotten_redelivered_flag_is_noticed() {
    is_noticed(Sabotage::RedeliveredForgotten);
}

#[test]
fn an_acknowledgement_that_does_nothing_is_noticed() {
    is_noticed(Sabotage::AckLost);
}

/// Shows figures also when the test passes, which the harness keeps for itself otherwise.
fn report(line: &str) {
    use std::io::Write as _;
    // Nobody reading them is no failure.
    let _ = writeln!(std::io::stderr(), "{line}");
}
