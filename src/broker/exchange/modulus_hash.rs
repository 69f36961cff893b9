//! Routing by the remainder of a hash: the routing keys choose one of the bindings, in a fixed order.
//!
//! The order is that of the destinations' names (by [`Endpoint::fingerprint`]), so it is the same after a
//! restart, whatever order bindings came in. A destination with three bindings is here three times, as in
//! RabbitMQ. One binding more or less moves most keys; who minds wants `x-consistent-hash`.

use super::Endpoint;
use super::stable_hash::hash_all;

/// A destination for each binding, by fingerprint.
#[derive(Debug)]
pub(super) struct ModulusHash<D> {
    places: Vec<(u64, D)>,
}

impl<D> Default for ModulusHash<D> {
    fn default() -> Self {
        ModulusHash { places: Vec::new() }
    }
}

impl<D: Endpoint> ModulusHash<D> {
    /// Costs the number of bindings.
    pub(super) fn add(&mut self, destination: D) {
        let fingerprint = destination.fingerprint();
        let place = self.places.partition_point(|(other, _)| *other < fingerprint);
        self.places.insert(place, (fingerprint, destination));
    }

    /// Takes one binding of this destination away. Costs the number of bindings.
    pub(super) fn remove(&mut self, destination: &D) {
        if let Some(place) = self.places.iter().position(|(_, other)| other == destination) {
            self.places.remove(place);
        }
    }

    pub(super) fn remove_destination(&mut self, destination: &D) {
        self.places.retain(|(_, other)| other != destination);
    }

    /// The one these routing keys choose; CC and BCC have a say, as in RabbitMQ.
    pub(super) fn choose(&self, keys: &[&str]) -> Option<&D> {
        let remainder =
            hash_all(keys.iter().map(|key| key.as_bytes())).checked_rem(self.places.len() as u64)?;
        let (_, destination) = self.places.get(usize::try_from(remainder).ok()?)?;
        Some(destination)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(destinations: impl IntoIterator<Item = u8>) -> ModulusHash<u8> {
        let mut hash = ModulusHash::default();
        destinations.into_iter().for_each(|destination| hash.add(destination));
        hash
    }

    fn chosen(hash: &ModulusHash<u8>) -> Vec<Option<u8>> {
        (0..1000).map(|key| hash.choose(&[&format!("key {key}")]).copied()).collect()
    }

    #[test]
    fn the_order_in_which_bindings_came_makes_no_difference() {
        assert_eq!(chosen(&bound([1, 2, 3, 2])), chosen(&bound([2, 3, 2, 1])));
        let mut shrunk = bound([1, 2, 3]);
        shrunk.remove(&2);
        assert_eq!(chosen(&shrunk), chosen(&bound([3, 1])));
    }

    #[test]
    fn keys_are_spread_over_the_bindings() {
        let chosen = chosen(&bound([1, 2, 2, 3]));
        let share = |of| chosen.iter().filter(|one| **one == Some(of)).count();
        for (destination, expected) in [(1, 200..300), (2, 440..560), (3, 200..300)] {
            assert!(expected.contains(&share(destination)), "{} of 1000", share(destination));
        }
    }

    #[test]
    fn more_keys_than_the_first_have_a_say() {
        let hash = bound(0..50);
        let chosen = |copy: &str| hash.choose(&["key", copy]).copied();
        assert!((0..50).any(|n| chosen(&format!("copy {n}")) != chosen("copy")));
    }

    #[test]
    fn nobody_is_chosen_when_nothing_is_bound() {
        assert_eq!(bound([]).choose(&["key"]), None);
    }
}
