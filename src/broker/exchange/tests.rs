//! Bindings of every kind of exchange.

use std::collections::HashSet;

use amq_protocol::types::AMQPValue;
use proptest::prelude::*;

use super::*;
use crate::amqp::wire::table_codec::encode_table;

impl Endpoint for u8 {
    fn fingerprint(&self) -> u64 {
        stable_hash::mix(u64::from(*self))
    }
}

/// Those that keep a key and a destination, or a destination, once.
const WITHOUT_REPEATS: [ExchangeKind; 4] =
    [ExchangeKind::Direct, ExchangeKind::Fanout, ExchangeKind::Topic, ExchangeKind::RecentHistory];

fn bindings(kind: ExchangeKind) -> Bindings<u8> {
    Bindings::new(kind, &FieldTable::default())
}

/// A content header with these headers.
fn header_of(headers: &FieldTable) -> Vec<u8> {
    let mut header = vec![0x20, 0];
    encode_table(headers, &mut header);
    header
}

fn table(field: Option<i32>) -> FieldTable {
    let mut table = FieldTable::default();
    if let Some(number) = field {
        table.insert("n".into(), AMQPValue::LongInt(number));
    }
    table
}

fn routed(bindings: &Bindings<u8>, key: &str, headers: &FieldTable) -> HashSet<u8> {
    let mut found = HashSet::new();
    let header = header_of(headers);
    bindings.route(&[key], PropertiesView::assume_checked(&header), |destination| {
        found.insert(*destination);
    });
    found
}

#[test]
fn kinds_are_known_by_the_names_of_the_specification() {
    for kind in ExchangeKind::ALL {
        assert_eq!(ExchangeKind::from_name(kind.name()), Some(kind));
        assert_eq!(bindings(kind).kind(), kind);
    }
    assert_eq!(ExchangeKind::from_name("Direct"), None);
    assert_eq!(ExchangeKind::from_name(""), None);
}

#[test]
fn the_same_binding_twice_is_one_binding() {
    for kind in ExchangeKind::ALL {
        let mut bindings = Bindings::new(kind, &FieldTable::default());
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
    for kind in ExchangeKind::ALL {
        let mut bindings = Bindings::new(kind, &FieldTable::default());
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
    for kind in WITHOUT_REPEATS {
        let mut bindings = bindings(kind);
        bindings.bind("a", &table(Some(1)), 1);
        bindings.bind("a", &table(Some(2)), 1);
        let mut reports = 0;
        bindings.route(&["a"], PropertiesView::assume_checked(&[0, 0]), |_| reports += 1);
        assert_eq!(reports, 1, "{kind}");
    }
}

#[test]
fn a_destination_that_leaves_takes_its_bindings_and_no_others() {
    for kind in ExchangeKind::ALL {
        let mut bindings = Bindings::new(kind, &FieldTable::default());
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
    let mut bindings = Bindings::new(ExchangeKind::Topic, &FieldTable::default());
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
fn what_depends_on_more_than_the_keys_says_so() {
    let varies = |kind| bindings(kind).vary();
    let varying: Vec<_> = ExchangeKind::ALL.into_iter().filter(|kind| varies(*kind)).collect();
    assert_eq!(varying, [ExchangeKind::Headers, ExchangeKind::Random, ExchangeKind::LocalRandom]);
    let mut arguments = FieldTable::default();
    arguments.insert("hash-header".into(), AMQPValue::LongString("h".into()));
    assert!(Bindings::<u8>::new(ExchangeKind::ConsistentHash, &arguments).vary());
}

#[test]
fn of_several_keys_those_that_choose_by_hash_or_chance_make_one_choice() {
    for kind in [
        ExchangeKind::ConsistentHash,
        ExchangeKind::ModulusHash,
        ExchangeKind::Random,
        ExchangeKind::LocalRandom,
    ] {
        let mut bindings = bindings(kind);
        for destination in 0..10 {
            bindings.bind("1", &table(None), destination);
        }
        for round in 0..100 {
            let mut reports = 0;
            let keys = [&*format!("key {round}"), "copy", "another"];
            bindings.route(&keys, PropertiesView::assume_checked(&[0, 0]), |_| reports += 1);
            assert_eq!(reports, 1, "{kind}");
        }
    }
}

/// Those that route a message alike every time, and know no order of bindings.
const REPEATABLE: [ExchangeKind; 6] = [
    ExchangeKind::Direct,
    ExchangeKind::Fanout,
    ExchangeKind::Topic,
    ExchangeKind::Headers,
    ExchangeKind::ModulusHash,
    ExchangeKind::RecentHistory,
];

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
        kind in prop::sample::select(REPEATABLE.to_vec()),
        changes in prop::collection::vec((0..8_u8, binding()), 0..60),
    ) {
        let mut bindings = Bindings::new(kind, &FieldTable::default());
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
        let mut fresh = Bindings::new(kind, &FieldTable::default());
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
