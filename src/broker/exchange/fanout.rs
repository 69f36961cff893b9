//! Routing to everybody.
//!
//! Each destination is here once, however many bindings it has.

/// All destinations, in the order they were bound.
#[derive(Debug)]
pub(super) struct Fanout<D> {
    destinations: Vec<D>,
}

impl<D> Default for Fanout<D> {
    fn default() -> Self {
        Fanout { destinations: Vec::new() }
    }
}

impl<D: Eq> Fanout<D> {
    /// Adds a destination that is not here yet.
    pub(super) fn add(&mut self, destination: D) {
        self.destinations.push(destination);
    }

    /// Takes a destination away. Costs the number of destinations.
    pub(super) fn remove(&mut self, destination: &D) {
        self.destinations.retain(|other| other != destination);
    }

    /// Shows every destination.
    pub(super) fn route(&self, visit: &mut impl FnMut(&D)) {
        self.destinations.iter().for_each(visit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_gets_the_message_until_they_are_taken_away() {
        let mut fanout = Fanout::default();
        for destination in [1, 2, 3] {
            fanout.add(destination);
        }
        fanout.remove(&2);
        let mut found = Vec::new();
        fanout.route(&mut |destination| found.push(*destination));
        assert_eq!(found, [1, 3]);
    }
}
