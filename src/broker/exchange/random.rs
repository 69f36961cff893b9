//! Routing by chance: every binding is as likely as every other, whatever its key.
//!
//! A destination with three bindings is here three times, as in RabbitMQ, and so gets three shares.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use super::stable_hash::mix;

/// A destination for each binding, in no order.
#[derive(Debug)]
pub(super) struct Random<D> {
    destinations: Vec<D>,
    state: Cell<u64>,
}

/// The step of `SplitMix64`: odd, so that every state is met before one comes again.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl<D> Default for Random<D> {
    fn default() -> Self {
        // Exchanges of one process must not choose alike; nobody is harmed if somebody guesses the choice.
        Random { destinations: Vec::new(), state: Cell::new(RandomState::new().hash_one(STEP)) }
    }
}

impl<D: Eq> Random<D> {
    pub(super) fn add(&mut self, destination: D) {
        self.destinations.push(destination);
    }

    /// Takes one binding of this destination away. Costs the number of bindings.
    pub(super) fn remove(&mut self, destination: &D) {
        if let Some(place) = self.destinations.iter().position(|other| other == destination) {
            self.destinations.swap_remove(place);
        }
    }

    pub(super) fn remove_destination(&mut self, destination: &D) {
        self.destinations.retain(|other| other != destination);
    }

    /// One of them; another time perhaps another.
    pub(super) fn choose(&self) -> Option<&D> {
        let state = self.state.get().wrapping_add(STEP);
        self.state.set(state);
        let scaled = u128::from(mix(state)) * self.destinations.len() as u128;
        self.destinations.get(usize::try_from(scaled >> u64::BITS).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(random: &Random<usize>, of: usize) -> Vec<usize> {
        let mut shares = vec![0; of];
        (0..10_000).filter_map(|_| random.choose()).for_each(|chosen| shares[*chosen] += 1);
        shares
    }

    fn random(destinations: &[usize]) -> Random<usize> {
        Random { destinations: destinations.to_vec(), state: Cell::new(1) }
    }

    #[test]
    fn every_binding_gets_its_share() {
        for share in shares(&random(&[0, 1, 2, 3]), 4) {
            assert!((2300..2700).contains(&share), "{share} of 10000 for one of four");
        }
        let [three, one] = shares(&random(&[0, 0, 0, 1]), 2)[..] else { panic!("two shares") };
        assert!((7300..7700).contains(&three), "{three} of 10000 for three bindings of four");
        assert_eq!(three + one, 10_000);
    }

    #[test]
    fn one_binding_less_is_one_share_less() {
        let mut random = random(&[0, 0, 1]);
        random.remove(&0);
        assert!(shares(&random, 2)[0] > 0);
        random.remove(&0);
        assert_eq!(shares(&random, 2), [0, 10_000]);
        random.remove(&1);
        assert_eq!(random.choose(), None);
    }

    #[test]
    fn two_exchanges_do_not_choose_alike() {
        let one: Random<()> = Random::default();
        let other: Random<()> = Random::default();
        assert_ne!(one.state, other.state);
    }
}
