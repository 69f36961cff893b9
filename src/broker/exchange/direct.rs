//! Routing by equality of keys.
//!
//! Each pair of key and destination is here once, so a destination is reported at most once for a message.

use std::collections::HashMap;

/// Destinations by binding key.
#[derive(Debug)]
pub(super) struct Direct<D> {
    keys: HashMap<Box<str>, Vec<D>>,
}

impl<D> Default for Direct<D> {
    fn default() -> Self {
        Direct { keys: HashMap::new() }
    }
}

impl<D: Eq> Direct<D> {
    /// Adds a pair that is not here yet.
    pub(super) fn add(&mut self, key: &str, destination: D) {
        match self.keys.get_mut(key) {
            Some(destinations) => destinations.push(destination),
            None => drop(self.keys.insert(key.into(), vec![destination])),
        }
    }

    /// Takes a pair away. Costs the number of destinations of this key.
    pub(super) fn remove(&mut self, key: &str, destination: &D) {
        let Some(destinations) = self.keys.get_mut(key) else { return };
        destinations.retain(|other| other != destination);
        if destinations.is_empty() {
            self.keys.remove(key);
        }
    }

    /// Shows every destination bound with exactly this key, in the order they were bound.
    pub(super) fn route(&self, routing_key: &str, visit: &mut impl FnMut(&D)) {
        if let Some(destinations) = self.keys.get(routing_key) {
            destinations.iter().for_each(visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(direct: &Direct<u32>, key: &str) -> Vec<u32> {
        let mut found = Vec::new();
        direct.route(key, &mut |destination| found.push(*destination));
        found
    }

    #[test]
    fn a_message_goes_where_the_key_is_equal_and_nowhere_else() {
        let mut direct = Direct::default();
        direct.add("invoices", 1);
        direct.add("invoices", 2);
        direct.add("orders", 3);
        assert_eq!(routed(&direct, "invoices"), [1, 2]);
        assert!(routed(&direct, "Invoices").is_empty());
        assert!(routed(&direct, "").is_empty());
    }

    #[test]
    fn the_empty_key_is_a_key_like_any_other() {
        let mut direct = Direct::default();
        direct.add("", 1);
        assert_eq!(routed(&direct, ""), [1]);
    }

    #[test]
    fn a_key_without_destinations_takes_no_room() {
        let mut direct = Direct::default();
        direct.add("a", 1);
        direct.add("a", 2);
        direct.remove("a", &1);
        assert_eq!(routed(&direct, "a"), [2]);
        direct.remove("a", &2);
        assert!(direct.keys.is_empty());
    }
}
