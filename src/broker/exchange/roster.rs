//! Which bindings an exchange has: who is bound with which key and which arguments.
//!
//! The roster decides whether a binding is new, and how new, so that a matcher can keep each of its
//! entries once without searching for it. It does not route.
//!
//! Every verb costs a hash and a tree search; removing a destination costs its own bindings, not
//! everybody's.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use amq_protocol::types::{AMQPValue, FieldTable};

/// The bindings of one exchange, by destination.
#[derive(Debug)]
pub(super) struct Roster<D> {
    destinations: HashMap<D, BTreeSet<Entry>>,
    len: usize,
}

/// How much a binding adds to what is there, or takes with it when it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// The binding exists already, or does not exist.
    Nothing,
    /// The only one with these arguments; the destination has the key with others.
    Arguments,
    /// The destination's only one with this key.
    Key,
    /// The destination's only one.
    Destination,
}

impl Step {
    /// Whether anything changed.
    pub(super) fn changed(self) -> bool {
        self >= Step::Arguments
    }

    /// Whether the pair of destination and key came or went.
    pub(super) fn changes_key(self) -> bool {
        self >= Step::Key
    }

    /// Whether the destination came or went.
    pub(super) fn changes_destination(self) -> bool {
        self == Step::Destination
    }
}

/// The bindings of a destination that has left the roster.
pub(super) struct Removed(BTreeSet<Entry>);

impl Removed {
    /// Its keys, each once.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let mut last = None;
        self.0.iter().map(|entry| &*entry.key).filter(move |&key| last.replace(key) != Some(key))
    }

    /// How many bindings it had.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<D> Default for Roster<D> {
    fn default() -> Self {
        Roster { destinations: HashMap::new(), len: 0 }
    }
}

impl<D: Eq + Hash> Roster<D> {
    pub(super) fn add(&mut self, key: &str, arguments: &FieldTable, destination: D) -> Step {
        let entries = self.destinations.entry(destination).or_default();
        let step = step_beside(entries, key);
        if !entries.insert(Entry::new(key, arguments)) {
            return Step::Nothing;
        }
        self.len += 1;
        step
    }

    pub(super) fn remove(&mut self, key: &str, arguments: &FieldTable, destination: &D) -> Step {
        let Some(entries) = self.destinations.get_mut(destination) else {
            return Step::Nothing;
        };
        if !entries.remove(&Entry::new(key, arguments)) {
            return Step::Nothing;
        }
        self.len -= 1;
        let step = step_beside(entries, key);
        if step == Step::Destination {
            self.destinations.remove(destination);
        }
        step
    }

    pub(super) fn remove_destination(&mut self, destination: &D) -> Removed {
        let entries = self.destinations.remove(destination).unwrap_or_default();
        self.len -= entries.len();
        Removed(entries)
    }

    pub(super) fn contains(&self, key: &str, arguments: &FieldTable, destination: &D) -> bool {
        self.destinations
            .get(destination)
            .is_some_and(|entries| entries.contains(&Entry::new(key, arguments)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&D, &str, &FieldTable)> {
        self.destinations.iter().flat_map(|(destination, entries)| {
            entries.iter().map(move |entry| (destination, &*entry.key, &entry.arguments))
        })
    }

    pub(super) fn of_destination(
        &self,
        destination: &D,
    ) -> impl Iterator<Item = (&str, &FieldTable)> {
        let entries = self.destinations.get(destination).into_iter().flatten();
        entries.map(|entry| (&*entry.key, &entry.arguments))
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// Whether two tables are the same arguments: the same names with values of the same type.
pub(in crate::broker) fn same_arguments(left: &FieldTable, right: &FieldTable) -> bool {
    order_tables(left, right) == Ordering::Equal
}

/// What a binding with `key` is beside these others of its destination.
fn step_beside(others: &BTreeSet<Entry>, key: &str) -> Step {
    if others.is_empty() {
        return Step::Destination;
    }
    // The empty table sorts before all others, so this is where the key's entries begin.
    let first_possible = Entry::new(key, &FieldTable::default());
    match others.range(first_possible..).next() {
        Some(entry) if *entry.key == *key => Step::Arguments,
        _ => Step::Key,
    }
}

/// Key and arguments of one binding, in a total order whose equality is that of RabbitMQ's terms: 1 as a
/// short and 1 as a long are two bindings.
#[derive(Clone, Debug)]
struct Entry {
    key: Box<str>,
    arguments: FieldTable,
}

impl Entry {
    fn new(key: &str, arguments: &FieldTable) -> Entry {
        Entry { key: key.into(), arguments: arguments.clone() }
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key).then_with(|| order_tables(&self.arguments, &other.arguments))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

fn order_tables(left: &FieldTable, right: &FieldTable) -> Ordering {
    let mut right_fields = right.inner().iter();
    for (name, value) in left.inner() {
        let Some((other_name, other_value)) = right_fields.next() else {
            return Ordering::Greater;
        };
        let order = name.cmp(other_name).then_with(|| order_values(value, other_value));
        if order != Ordering::Equal {
            return order;
        }
    }
    right_fields.next().map_or(Ordering::Equal, |_| Ordering::Less)
}

/// First by type, then by value. Floats in their total order, so that a NaN equals itself and a binding
/// that carries one can be found again.
fn order_values(left: &AMQPValue, right: &AMQPValue) -> Ordering {
    match (left, right) {
        (AMQPValue::Boolean(a), AMQPValue::Boolean(b)) => a.cmp(b),
        (AMQPValue::ShortShortInt(a), AMQPValue::ShortShortInt(b)) => a.cmp(b),
        (AMQPValue::ShortShortUInt(a), AMQPValue::ShortShortUInt(b)) => a.cmp(b),
        (AMQPValue::ShortInt(a), AMQPValue::ShortInt(b)) => a.cmp(b),
        (AMQPValue::ShortUInt(a), AMQPValue::ShortUInt(b)) => a.cmp(b),
        (AMQPValue::LongInt(a), AMQPValue::LongInt(b)) => a.cmp(b),
        (AMQPValue::LongUInt(a), AMQPValue::LongUInt(b)) => a.cmp(b),
        (AMQPValue::LongLongInt(a), AMQPValue::LongLongInt(b)) => a.cmp(b),
        (AMQPValue::Float(a), AMQPValue::Float(b)) => a.total_cmp(b),
        (AMQPValue::Double(a), AMQPValue::Double(b)) => a.total_cmp(b),
        (AMQPValue::DecimalValue(a), AMQPValue::DecimalValue(b)) => {
            (a.scale, a.value).cmp(&(b.scale, b.value))
        }
        (AMQPValue::ShortString(a), AMQPValue::ShortString(b)) => a.cmp(b),
        (AMQPValue::LongString(a), AMQPValue::LongString(b)) => a.cmp(b),
        (AMQPValue::Timestamp(a), AMQPValue::Timestamp(b)) => a.cmp(b),
        (AMQPValue::ByteArray(a), AMQPValue::ByteArray(b)) => a.as_slice().cmp(b.as_slice()),
        (AMQPValue::FieldTable(a), AMQPValue::FieldTable(b)) => order_tables(a, b),
        (AMQPValue::FieldArray(a), AMQPValue::FieldArray(b)) => {
            order_arrays(a.as_slice(), b.as_slice())
        }
        _ => left.get_type().get_id().cmp(&right.get_type().get_id()),
    }
}

fn order_arrays(left: &[AMQPValue], right: &[AMQPValue]) -> Ordering {
    left.iter()
        .zip(right)
        .map(|(a, b)| order_values(a, b))
        .find(|order| *order != Ordering::Equal)
        .unwrap_or_else(|| left.len().cmp(&right.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(value: AMQPValue) -> FieldTable {
        let mut table = FieldTable::default();
        table.insert("k".into(), value);
        table
    }

    fn none() -> FieldTable {
        FieldTable::default()
    }

    #[test]
    fn a_binding_is_told_by_how_much_it_adds() {
        let mut roster = Roster::default();
        let other = table(AMQPValue::Boolean(true));
        assert_eq!(roster.add("a", &none(), 1), Step::Destination);
        assert_eq!(roster.add("a", &none(), 1), Step::Nothing);
        assert_eq!(roster.add("a", &other, 1), Step::Arguments);
        assert_eq!(roster.add("b", &other, 1), Step::Key);
        assert_eq!(roster.add("b", &none(), 2), Step::Destination);
        assert_eq!(roster.len(), 4);
    }

    #[test]
    fn a_removal_is_told_by_how_much_goes_with_it() {
        let mut roster = Roster::default();
        let other = table(AMQPValue::Boolean(true));
        roster.add("a", &none(), 1);
        roster.add("a", &other, 1);
        roster.add("b", &none(), 1);
        assert_eq!(roster.remove("a", &none(), &2), Step::Nothing);
        assert_eq!(roster.remove("a", &none(), &1), Step::Arguments);
        assert_eq!(roster.remove("a", &none(), &1), Step::Nothing);
        assert_eq!(roster.remove("a", &other, &1), Step::Key);
        assert_eq!(roster.remove("b", &none(), &1), Step::Destination);
        assert_eq!(roster.len(), 0);
    }

    #[test]
    fn arguments_of_another_width_or_type_are_another_binding() {
        let values = [
            AMQPValue::LongInt(1),
            AMQPValue::LongLongInt(1),
            AMQPValue::ShortShortInt(1),
            AMQPValue::Double(1.0),
            AMQPValue::Boolean(true),
            AMQPValue::LongString("1".into()),
            AMQPValue::ByteArray(b"1".as_slice().into()),
            AMQPValue::Void,
            AMQPValue::FieldTable(none()),
            AMQPValue::FieldArray(vec![AMQPValue::Void].into()),
            AMQPValue::FieldArray(vec![].into()),
        ];
        let mut roster = Roster::default();
        for value in &values {
            assert!(roster.add("", &table(value.clone()), 1).changed(), "{value:?}");
            assert!(!roster.add("", &table(value.clone()), 1).changed(), "{value:?}");
        }
        assert_eq!(roster.len(), values.len());
    }

    #[test]
    fn a_binding_with_a_nan_can_be_taken_away_again() {
        let mut roster = Roster::default();
        let arguments = table(AMQPValue::Double(f64::NAN));
        roster.add("", &arguments, 1);
        assert!(roster.contains("", &arguments, &1));
        assert!(roster.remove("", &arguments, &1).changed());
    }

    #[test]
    fn a_destination_leaves_with_each_of_its_keys_once() {
        let mut roster = Roster::default();
        roster.add("b", &none(), 1);
        roster.add("a", &none(), 1);
        roster.add("a", &table(AMQPValue::Void), 1);
        roster.add("a", &none(), 2);
        let removed = roster.remove_destination(&1);
        assert_eq!(removed.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((removed.len(), roster.len()), (3, 1));
    }
}
