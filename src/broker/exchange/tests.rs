//! Bindings of every kind of exchange.

use std::collections::HashSet;

use amq_protocol::types::AMQPValue;
use proptest::prelude::*;

use super::*;

const KINDS: [ExchangeKind; 4] =
    [ExchangeKind::Direct, ExchangeKind::Fanout, ExchangeKind::Topic, ExchangeKind::Headers];

fn table(field: Option<i32>) -> FieldTable {
    let mut table = FieldTable::default();
    if let Some(number) = field {
        table.insert("n".into(), AMQPValue::LongInt(number));
    }
    table
}

fn routed(bindings: &Bindings<u8>, key: &str, headers: &FieldTable) -> HashSet<u8> {
    let mut found = HashSet::new();
    bindings.route(key, &|| Some(headers.clone()), |destination| {
        found.insert(*destination);
    });
    found
}

#[test]
fn kinds_are_known_by_the_names_of_the_specification() {
    for kind in KINDS {
        assert_eq!(ExchangeKind::from_name(kind.name()), Some(kind));
        assert_eq!(Bindings::<u8>::new(kind).kind(), kind);
    }
    assert_eq!(ExchangeKind::from_name("Direct"), None);
    assert_eq!(ExchangeKind::from_name(""), None);
}

#[test]
fn the_same_binding_twice_is_one_binding() {
    for kind in KINDS {
        let mut bindings = Bindings::new(kind);
        assert!(bindings.bind("a", &table(None), 1));
        assert!(!bindings.bind("a", &table(None), 1));
        assert_eq!(bindings.len(), 1);
        assert!(bindings.unbind("a", &table(None), &1));
        assert!(!bindings.unbind("a", &table(None), &1));
        assert!(bindings.is_empty());
    }
}

#[test]
fn unbind_wants_the_very_arguments_of_the_bind() {
    for kind in KINDS {
        let mut bindings = Bindings::new(kind);
        bindings.bind("a", &table(Some(1)), 1);
        bindings.bind("a", &table(Some(2)), 1);
        assert!(!bindings.unbind("a", &table(None), &1));
        assert!(bindings.unbind("a", &table(Some(1)), &1));
        assert!(routed(&bindings, "a", &table(Some(2))).contains(&1), "{kind} still routes");
        assert!(bindings.unbind("a", &table(Some(2)), &1));
        assert!(routed(&bindings, "a", &table(Some(2))).is_empty(), "{kind} routes no more");
    }
}

#[test]
fn two_bindings_with_one_key_report_a_destination_once() {
    for kind in [ExchangeKind::Direct, ExchangeKind::Fanout, ExchangeKind::Topic] {
        let mut bindings = Bindings::new(kind);
        bindings.bind("a", &table(Some(1)), 1);
        bindings.bind("a", &table(Some(2)), 1);
        let mut reports = 0;
        bindings.route("a", &|| None, |_| reports += 1);
        assert_eq!(reports, 1, "{kind}");
    }
}

#[test]
fn a_destination_that_leaves_takes_its_bindings_and_no_others() {
    for kind in KINDS {
        let mut bindings = Bindings::new(kind);
        for destination in [1, 2] {
            bindings.bind("a", &table(None), destination);
            bindings.bind("#", &table(None), destination);
            bindings.bind("a", &table(Some(1)), destination);
        }
        assert_eq!(bindings.remove_destination(&1), 3);
        assert_eq!(bindings.remove_destination(&1), 0);
        assert_eq!(bindings.len(), 3);
        assert_eq!(routed(&bindings, "a", &table(Some(1))), HashSet::from([2]));
    }
}

#[test]
fn every_binding_can_be_listed() {
    let mut bindings = Bindings::new(ExchangeKind::Topic);
    bindings.bind("b", &table(None), 1);
    bindings.bind("a", &table(Some(1)), 1);
    bindings.bind("a", &table(None), 2);
    let mut listed: Vec<_> =
        bindings.iter().map(|(d, key, arguments)| (*d, key, arguments.clone())).collect();
    listed.sort_by_key(|(destination, ..)| *destination);
    assert_eq!(listed, [(1, "a", table(Some(1))), (1, "b", table(None)), (2, "a", table(None))]);
    assert_eq!(bindings.of_destination(&2).collect::<Vec<_>>(), [("a", &table(None))]);
    assert!(bindings.contains("b", &table(None), &1));
    assert!(!bindings.contains("b", &table(None), &2));
}

#[test]
fn a_message_is_asked_for_its_headers_by_no_other_kind() {
    for kind in [ExchangeKind::Direct, ExchangeKind::Fanout, ExchangeKind::Topic] {
        let mut bindings = Bindings::new(kind);
        bindings.bind("a", &table(Some(1)), 1);
        bindings.route("a", &|| panic!("headers were asked for"), |_| ());
    }
}

type Binding = (&'static str, Option<i32>, u8);

fn binding() -> impl Strategy<Value = Binding> {
    let keys = vec!["", "a", "b", "a.b", "*", "#", "a.#", "#.b"];
    (prop::sample::select(keys), prop::option::of(0..2), 0..4_u8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever came and went, the exchange routes as one that never knew the bindings that are gone.
    #[test]
    fn history_leaves_no_trace(
        kind in prop::sample::select(KINDS.to_vec()),
        changes in prop::collection::vec((0..8_u8, binding()), 0..60),
    ) {
        let mut bindings = Bindings::new(kind);
        let mut model = HashSet::new();
        for (verb, (key, field, destination)) in changes {
            match verb {
                0 => {
                    let before = model.len();
                    model.retain(|&(_, _, other)| other != destination);
                    prop_assert_eq!(bindings.remove_destination(&destination), before - model.len());
                }
                1..=3 => prop_assert_eq!(
                    bindings.unbind(key, &table(field), &destination),
                    model.remove(&(key, field, destination))
                ),
                _ => prop_assert_eq!(
                    bindings.bind(key, &table(field), destination),
                    model.insert((key, field, destination))
                ),
            }
        }
        let mut fresh = Bindings::new(kind);
        for &(key, field, destination) in &model {
            fresh.bind(key, &table(field), destination);
        }
        prop_assert_eq!(bindings.len(), model.len());
        for key in ["", "a", "b", "a.b", "b.b", "c"] {
            for field in [None, Some(0), Some(1)] {
                let headers = table(field);
                prop_assert_eq!(routed(&bindings, key, &headers), routed(&fresh, key, &headers));
            }
        }
    }
}
