//! Power cuts by the thousand: whatever the disk forgets, what was confirmed is there.
//!
//! A run performs random operations on a broker whose log lies on a simulated disk with tiny segments. Before
//! any operation of that disk the power may be cut: a copy of the disk is kept as the cut leaves it. After the
//! run a broker is started on every copy and judged by what had been confirmed at that instant. Now and then
//! the run itself goes on from a copy, or from a process that was killed.
//!
//! ```text
//! CUTS=10000 cargo test --release --lib power_cuts -- --nocapture
//! CUT_SEED=<seed of a failure> CUTS=1 cargo test --lib power_cuts -- --nocapture
//! ```

mod failures;
mod model;
mod world;

use self::model::Model;
use self::world::World;

/// Cuts of one run of the test suite; a debug build makes some 2000 a second.
const CUTS: u64 = 10_000;
/// Operations of one run.
const STEPS: usize = 200;
/// How many of a hundred operations of the disk are preceded by a cut.
const CUT_CHANCE: u64 = 25;

/// Small random numbers from a seed (`SplitMix64`).
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.next() % 100 < chance
    }
}

/// What all cuts came to.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    cuts: u64,
    confirmed: u64,
    lost: u64,
    halves: u64,
    resurrected: u64,
    disorder: u64,
    corrupt: u64,
    unmarked: u64,
    /// Restarts that had to do without the checkpoint, and what came again there.
    salvaged: u64,
    doubled: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.cuts += other.cuts;
        self.confirmed += other.confirmed;
        self.lost += other.lost;
        self.halves += other.halves;
        self.resurrected += other.resurrected;
        self.disorder += other.disorder;
        self.corrupt += other.corrupt;
        self.unmarked += other.unmarked;
        self.salvaged += other.salvaged;
        self.doubled += other.doubled;
    }

    fn is_clean(&self) -> bool {
        let Self { lost, halves, resurrected, disorder, corrupt, unmarked, .. } = *self;
        lost + halves + resurrected + disorder + corrupt + unmarked == 0
    }
}

pub(super) fn number_from(variable: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number"))
}

fn perform(model: &mut Model, world: &mut World, dice: &mut Dice) {
    match dice.below(100) {
        0..30 => model.publish(world, dice),
        30..50 => model.settle(world, dice),
        50..60 => model.commit_transaction(world, dice),
        60..63 => model.hand_out(world, dice),
        63..66 => model.declare(world),
        66..68 => model.delete(world, dice),
        68..69 => model.purge(world, dice),
        69..80 => model.mark(world),
        80..90 => world.commit(),
        90..96 => world.checkpoint(),
        96..98 => model.kill(world),
        _ => model.cut_power(world, dice),
    }
}

/// One run with everything that a seed decides.
fn run(seed: u64) -> Tally {
    let mut dice = Dice(seed);
    let mut world = World::new(&mut dice, CUT_CHANCE);
    let mut model = Model::new(&mut world);
    for _ in 0..STEPS {
        perform(&mut model, &mut world, &mut dice);
    }
    model.judge(&world.take_cuts())
}

#[test]
fn ten_thousand_power_cuts_lose_nothing_that_was_confirmed() {
    let (wanted, first) = (number_from("CUTS", CUTS), number_from("CUT_SEED", 1));
    let mut all = Tally::default();
    for seed in first.. {
        let tally = run(seed);
        assert!(tally.is_clean(), "CUT_SEED={seed} CUTS=1: {tally:?}");
        all.add(tally);
        if all.cuts >= wanted {
            break;
        }
    }
    println!("power cuts from seed {first}: {all:?}");
    assert!(all.confirmed > all.cuts, "there was something to lose");
}
