//! Where each message may be, by what its clients know, held against where it is found after a restart.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::clients::Knowledge;
use super::{JOBS, PAUSE, RIDERS, RING, SHORT, STEP, WAIT};
use crate::kill::clients::number;
use crate::support::{Delivery, Field, Table};

/// A message, by its first queue and its number.
type Name = (&'static str, u64);

/// What is known of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// Sent; whether it arrived is open.
    Sent,
    /// It is in its queue, or where that queue's dead letters go.
    Somewhere,
    /// Acknowledged; whether that arrived is open.
    Acknowledged,
    /// Confirmed and rejected; whether the latter arrived is open.
    Rejected,
    /// Rejected before its confirm came; whether either arrived is open.
    RejectedEarly,
    /// It is where dead letters go.
    Dead,
}

/// A message as it was found, with its history.
#[derive(Debug)]
pub struct Found {
    pub number: u64,
    deaths: Vec<Death>,
}

#[derive(Clone, Debug, PartialEq)]
struct Death {
    queue: String,
    reason: String,
    count: i64,
}

impl From<&Delivery> for Found {
    fn from(delivery: &Delivery) -> Self {
        Self { number: number(&delivery.body), deaths: deaths(&delivery.properties) }
    }
}

impl Found {
    fn count(&self, queue: &str, reason: &str) -> i64 {
        let mut deaths = self.deaths.iter();
        let death = deaths.find(|death| (&*death.queue, &*death.reason) == (queue, reason));
        death.map_or(0, |death| death.count)
    }

    /// Where it died, if it did so once, for the reason that messages die there.
    fn died_once(&self) -> Option<Name> {
        let [Death { queue, reason, count: 1 }] = &self.deaths[..] else { return None };
        let usual = [(WAIT, "expired"), (SHORT, "maxlen"), (JOBS, "rejected"), (STEP, "rejected")];
        let (queue, _) = usual.into_iter().find(|usual| *usual == (queue, reason))?;
        Some((queue, self.number))
    }
}

/// The `x-death` of a message whose properties begin with its headers.
fn deaths(properties: &[u8]) -> Vec<Death> {
    const HEADERS_FIRST: u8 = 0b001;
    if properties[0] >> 5 != HEADERS_FIRST {
        return Vec::new();
    }
    let headers = Table::decode(&mut &properties[2..]);
    let Some(Field::Array(deaths)) = headers.get("x-death") else { return Vec::new() };
    deaths.iter().map(death).collect()
}

fn death(field: &Field) -> Death {
    let Field::Nested(death) = field else { panic!("x-death holds {field:?}") };
    let text = |key| match death.get(key) {
        Some(Field::Text(text)) => text.clone(),
        other => panic!("{key} in x-death is {other:?}"),
    };
    let count = match death.get("count") {
        Some(Field::I64(count)) => *count,
        other => panic!("count in x-death is {other:?}"),
    };
    Death { queue: text("queue"), reason: text("reason"), count }
}

#[derive(Debug, Default)]
pub struct Whereabouts {
    /// Of those that may still be there.
    fates: HashMap<Name, Fate>,
    /// Those that must not come back.
    gone: HashSet<Name>,
    /// Steps below it are dead and swept.
    steps_swept: u64,
    /// The last that was taken for sure.
    step: u64,
    /// How often each rider was rejected when it was seen last.
    rides: BTreeMap<u64, i64>,
    confirmed: u64,
    turns: u64,
    settled: u64,
    /// How many died where.
    dead: BTreeMap<&'static str, u64>,
    lost: Vec<String>,
    doubled: Vec<String>,
    misplaced: Vec<String>,
    resurrected: Vec<String>,
}

impl Whereabouts {
    pub fn learn(&mut self, knowledge: Knowledge) {
        self.confirmed += knowledge.confirmed.len() as u64;
        self.turns += knowledge.turns;
        self.settled += knowledge.acked_for_sure.len() as u64;
        self.step = self.step.max(knowledge.step);
        *self.dead.entry(JOBS).or_default() += knowledge.rejected_for_sure.len() as u64;
        for (names, fate) in [
            (knowledge.sent, Fate::Sent),
            (knowledge.confirmed, Fate::Somewhere),
            (knowledge.acked, Fate::Acknowledged),
            (knowledge.rejected, Fate::Rejected),
            (knowledge.rejected_for_sure, Fate::Dead),
        ] {
            for name in names {
                self.now(name, fate);
            }
        }
        for name in knowledge.acked_for_sure {
            self.fates.remove(&name);
            self.gone.insert(name);
        }
    }

    /// Clients are heard one after the other: what a later one says may be older.
    fn now(&mut self, name: Name, fate: Fate) {
        let known = self.fates.get(&name).copied();
        let is_news = !self.gone.contains(&name)
            && match fate {
                Fate::Sent => known.is_none(),
                Fate::Somewhere => known.is_none_or(|known| known == Fate::Sent),
                _ => true,
            };
        let is_early = (known, fate) == (Some(Fate::Sent), Fate::Rejected);
        let fate = if is_early { Fate::RejectedEarly } else { fate };
        if is_news {
            self.fates.insert(name, fate);
        }
    }

    /// What lies where after a restart, when nothing waits any more. From now on it must be there or have moved on,
    /// and the rest must stay away.
    pub fn check(
        &mut self,
        sources: &[(&'static str, Vec<u64>)],
        dead: &[Found],
        copies: &[Found],
    ) {
        let mut places: BTreeMap<Name, (u64, u64)> = BTreeMap::new();
        for (queue, numbers) in sources {
            for number in numbers {
                places.entry((*queue, *number)).or_default().0 += 1;
            }
        }
        for found in dead {
            match found.died_once() {
                Some(name) => places.entry(name).or_default().1 += 1,
                None => self.misplaced.push(format!("a strange death: {found:x?}")),
            }
        }
        self.check_copies(dead, copies);
        self.check_steps(&mut places);
        for name in self.fates.keys() {
            places.entry(*name).or_default();
        }
        for (name, (here, there)) in places {
            self.check_one(name, here, there);
        }
    }

    fn check_one(&mut self, name: Name, here: u64, there: u64) {
        let (fate, (queue, number)) = (self.fates.remove(&name), name);
        if self.gone.contains(&name) && here + there > 0 {
            self.resurrected.push(format!("{queue} {number:x}"));
            return;
        }
        let is_rejected = matches!(fate, Some(Fate::Rejected | Fate::RejectedEarly | Fate::Dead));
        let is_open = matches!(fate, Some(Fate::Sent | Fate::Acknowledged | Fate::RejectedEarly));
        match (here, there) {
            (0, 0) if is_open => {
                self.gone.insert(name);
            }
            (0, 0) => self.lost.push(format!("{queue} {number:x}, {fate:?}")),
            (1, 0) if fate.is_some_and(|fate| fate != Fate::Dead) => {
                self.fates.insert(name, Fate::Somewhere);
            }
            (0, 1) if fate.is_some() && (is_rejected || queue != JOBS) => {
                if fate != Some(Fate::Dead) {
                    *self.dead.entry(queue).or_default() += 1;
                }
                self.fates.insert(name, Fate::Dead);
            }
            (1, 0) | (0, 1) => {
                self.misplaced.push(format!("{queue} {number:x}, {fate:?}: {here}, {there} dead"));
            }
            _ => self.doubled.push(format!("{queue} {number:x}: {here} times, {there} dead")),
        }
    }

    /// A dead letter goes to both queues or to none.
    fn check_copies(&mut self, dead: &[Found], copies: &[Found]) {
        let mut balance: BTreeMap<Option<Name>, i64> = BTreeMap::new();
        for (grave, one) in [(dead, 1), (copies, -1)] {
            for found in grave {
                *balance.entry(found.died_once()).or_default() += one;
            }
        }
        for (name, difference) in balance.into_iter().filter(|(_, difference)| *difference != 0) {
            self.misplaced.push(format!("{name:x?} is in one grave only ({difference})"));
        }
    }

    /// There is one step, and all before it are dead, each once.
    fn check_steps(&mut self, places: &mut BTreeMap<Name, (u64, u64)>) {
        let steps: Vec<_> = places.extract_if(.., |name, _| name.0 == STEP).collect();
        let here: Vec<u64> =
            steps.iter().filter(|(_, (here, _))| *here > 0).map(|((_, step), _)| *step).collect();
        let [now] = here[..] else {
            self.doubled.push(format!("steps {here:?}, not one"));
            return;
        };
        if now < self.step {
            self.lost.push(format!("step {}; back at {now}", self.step));
        }
        self.step = self.step.max(now);
        let expected = (self.steps_swept..now).map(|step| ((STEP, step), (0, 1)));
        let expected: Vec<_> = expected.chain([((STEP, now), (1, 0))]).collect();
        if steps != expected {
            self.doubled.push(format!("steps {steps:?}, not {expected:?}"));
        }
    }

    /// All riders wait where they are rejected, and came there as often as they left.
    pub fn check_riders(&mut self, riders: &[Found]) {
        let numbers: BTreeSet<u64> = riders.iter().map(|rider| rider.number).collect();
        if (numbers.len() as u64, riders.len() as u64) != (RIDERS, RIDERS) {
            self.lost.push(format!("riders {riders:?}"));
        }
        for rider in riders {
            let rejected = rider.count(RING, "rejected");
            let before = self.rides.insert(rider.number, rejected).unwrap_or_default();
            if rejected != rider.count(PAUSE, "expired") || rejected < before {
                self.misplaced.push(format!("a rider was rejected {before} times, then {rider:?}"));
            }
        }
    }

    /// The dead are let go, and jobs that nobody did.
    pub fn swept(&mut self) {
        let is_swept = |name: &Name, fate: &mut Fate| *fate == Fate::Dead || name.0 == JOBS;
        self.gone.extend(self.fates.extract_if(is_swept).map(|(name, _)| name));
        self.steps_swept = self.step;
    }

    /// Messages that moved.
    pub fn moved(&self) -> u64 {
        self.dead.values().sum()
    }

    pub fn summary(&self) -> String {
        let dead = |queue| self.dead.get(queue).copied().unwrap_or_default();
        format!(
            "confirmed {}, expired {}, pushed out {}, rejected {}, acknowledged {}, transactions {}, rides {} of {} \
             rejections, lost {}, doubled {}, misplaced {}, resurrected {}",
            self.confirmed,
            dead(WAIT),
            dead(SHORT),
            dead(JOBS),
            self.settled,
            self.step,
            self.rides.values().sum::<i64>(),
            self.turns,
            self.lost.len(),
            self.doubled.len(),
            self.misplaced.len(),
            self.resurrected.len(),
        )
    }

    pub fn assert_nothing_broken(&self) {
        assert_eq!(self.lost, [""; 0], "confirmed and nowhere");
        assert_eq!(self.doubled, [""; 0], "in two places");
        assert_eq!(self.misplaced, [""; 0], "where it should not be");
        assert_eq!(self.resurrected, [""; 0], "settled and back");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Confirmed, so far.
    fn with(queue: &'static str, numbers: &[u64]) -> Whereabouts {
        let names: Vec<Name> = numbers.iter().map(|number| (queue, *number)).collect();
        let mut whereabouts = Whereabouts::default();
        whereabouts.learn(Knowledge {
            sent: names.clone(),
            confirmed: names,
            ..Knowledge::default()
        });
        whereabouts
    }

    fn dead(queue: &str, reason: &str, numbers: &[u64]) -> Vec<Found> {
        let death = Death { queue: queue.to_owned(), reason: reason.to_owned(), count: 1 };
        numbers.iter().map(|&number| Found { number, deaths: vec![death.clone()] }).collect()
    }

    /// The only step there ever was.
    fn look(whereabouts: &mut Whereabouts, source: (&'static str, &[u64]), dead: &[Found]) {
        let sources = [(source.0, source.1.to_vec()), (STEP, vec![0])];
        whereabouts.check(&sources, dead, dead);
    }

    #[test]
    fn messages_that_stay_or_move_pass() {
        let mut whereabouts = with(SHORT, &[1, 2, 3]);
        look(&mut whereabouts, (SHORT, &[2, 3]), &dead(SHORT, "maxlen", &[1]));
        look(&mut whereabouts, (SHORT, &[3]), &dead(SHORT, "maxlen", &[1, 2]));
        whereabouts.swept();
        look(&mut whereabouts, (SHORT, &[3]), &[]);
        whereabouts.assert_nothing_broken();
    }

    #[test]
    fn a_message_in_no_place_is_noticed() {
        let mut whereabouts = with(SHORT, &[1, 2]);
        look(&mut whereabouts, (SHORT, &[2]), &[]);
        assert_eq!(whereabouts.lost.len(), 1);
    }

    #[test]
    fn a_message_in_both_places_and_one_that_died_twice_are_noticed() {
        let mut whereabouts = with(SHORT, &[1, 2]);
        look(&mut whereabouts, (SHORT, &[1]), &dead(SHORT, "maxlen", &[1, 2, 2]));
        assert_eq!(whereabouts.doubled.len(), 2);
    }

    #[test]
    fn a_message_that_comes_back_from_the_dead_is_noticed() {
        let mut whereabouts = with(SHORT, &[1, 2]);
        look(&mut whereabouts, (SHORT, &[2]), &dead(SHORT, "maxlen", &[1]));
        look(&mut whereabouts, (SHORT, &[1, 2]), &[]);
        assert_eq!(whereabouts.misplaced.len(), 1);
    }

    #[test]
    fn a_swept_message_that_comes_back_is_noticed() {
        let mut whereabouts = with(SHORT, &[1]);
        look(&mut whereabouts, (SHORT, &[]), &dead(SHORT, "maxlen", &[1]));
        whereabouts.swept();
        look(&mut whereabouts, (SHORT, &[1]), &[]);
        assert_eq!(whereabouts.resurrected.len(), 1);
    }

    #[test]
    fn a_job_that_nobody_rejected_may_not_be_dead() {
        let mut whereabouts = with(JOBS, &[1]);
        look(&mut whereabouts, (JOBS, &[]), &dead(JOBS, "rejected", &[1]));
        assert_eq!(whereabouts.misplaced.len(), 1);
    }

    #[test]
    fn a_job_that_was_rejected_must_be_somewhere_once_it_was_confirmed() {
        for (confirmed, lost) in [(vec![(JOBS, 1)], 1), (vec![], 0)] {
            let mut whereabouts = Whereabouts::default();
            let (sent, rejected) = (vec![(JOBS, 1)], vec![(JOBS, 1)]);
            whereabouts.learn(Knowledge { sent, confirmed, rejected, ..Knowledge::default() });
            look(&mut whereabouts, (JOBS, &[]), &[]);
            assert_eq!(whereabouts.lost.len(), lost);
        }
    }

    #[test]
    fn a_death_of_another_kind_is_noticed() {
        let mut whereabouts = with(WAIT, &[1]);
        look(&mut whereabouts, (WAIT, &[]), &dead(WAIT, "rejected", &[1]));
        assert_eq!(whereabouts.misplaced.len(), 1);
    }

    #[test]
    fn a_dead_letter_in_one_grave_only_is_noticed() {
        let mut whereabouts = with(WAIT, &[1]);
        let sources = [(STEP, vec![0])];
        whereabouts.check(&sources, &dead(WAIT, "expired", &[1]), &[]);
        assert_eq!(whereabouts.misplaced.len(), 1);
    }

    #[test]
    fn a_step_without_the_ones_before_is_noticed() {
        let mut whereabouts = Whereabouts::default();
        let steps = dead(STEP, "rejected", &[0]);
        whereabouts.check(&[(STEP, vec![2])], &steps, &steps);
        assert_eq!(whereabouts.doubled.len(), 1);
    }

    #[test]
    fn a_rider_whose_counts_do_not_fit_is_noticed() {
        let mut whereabouts = Whereabouts::default();
        let riders: Vec<Found> =
            (0..RIDERS).flat_map(|rider| dead(RING, "rejected", &[rider])).collect();
        whereabouts.check_riders(&riders);
        assert_eq!(whereabouts.misplaced.len() as u64, RIDERS);
    }
}
