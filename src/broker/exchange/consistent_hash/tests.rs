//! What `x-consistent-hash` promises.

use proptest::prelude::*;

use super::*;

const NO_PROPERTIES: &[u8] = &[0, 0];

fn bound(weights: &[(u8, &str)]) -> ConsistentHash<u8> {
    let mut hash = ConsistentHash::new(HashOn::RoutingKey);
    for (destination, weight) in weights {
        hash.add(weight, &FieldTable::default(), *destination);
    }
    hash
}

fn unbind(hash: &mut ConsistentHash<u8>, destination: u8, weight: &str) {
    hash.remove(weight, &FieldTable::default(), &destination);
}

fn chosen(hash: &ConsistentHash<u8>) -> Vec<u8> {
    let properties = PropertiesView::assume_checked(NO_PROPERTIES);
    (0..10_000).filter_map(|n| hash.choose(&[&format!("key {n}")], properties)).copied().collect()
}

fn share(chosen: &[u8], destination: u8) -> usize {
    chosen.iter().filter(|one| [destination].contains(one)).count()
}

#[test]
fn shares_are_in_proportion_to_weights() {
    let chosen = chosen(&bound(&[(1, "1"), (2, "2"), (3, "2"), (4, "5")]));
    assert_eq!(chosen.len(), 10_000, "every message goes to one destination");
    for (destination, expected) in [(1, 1000), (2, 2000), (3, 2000), (4, 5000)] {
        let share = share(&chosen, destination);
        assert!(share.abs_diff(expected) < 200, "{share} instead of {expected}");
    }
}

#[test]
fn a_new_destination_only_takes_its_share() {
    let before = chosen(&bound(&[(1, "1"), (2, "3"), (3, "1")]));
    let after = chosen(&bound(&[(1, "1"), (2, "3"), (3, "1"), (4, "5")]));
    let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
    assert!(moved.clone().all(|(_, after)| *after == 4));
    assert!(moved.count().abs_diff(5000) < 200);
}

#[test]
fn a_destination_that_goes_only_gives_its_share_away() {
    let mut hash = bound(&[(1, "1"), (2, "2"), (3, "1")]);
    let before = chosen(&hash);
    hash.remove_destination(&2);
    let after = chosen(&hash);
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after || *before == 2);
    }
    assert_eq!(share(&after, 2), 0);
}

#[test]
fn the_same_key_goes_to_the_same_place_in_every_release() {
    // A change of these numbers moves the messages of everybody who updates.
    let hash = bound(&[(1, "1"), (2, "2"), (3, "1")]);
    assert_eq!(chosen(&hash)[..12], [2, 2, 1, 2, 2, 2, 2, 2, 1, 1, 1, 2]);
}

#[test]
fn the_first_binding_of_a_destination_weighs_it() {
    let mut hash = bound(&[(1, "1"), (2, "1"), (1, "30")]);
    assert_eq!(chosen(&hash), chosen(&bound(&[(1, "1"), (2, "1")])));
    unbind(&mut hash, 1, "1");
    assert_eq!(chosen(&hash), chosen(&bound(&[(1, "30"), (2, "1")])));
    unbind(&mut hash, 1, "30");
    assert_eq!(share(&chosen(&hash), 2), 10_000);
    unbind(&mut hash, 2, "1");
    assert!(chosen(&hash).is_empty());
}

#[test]
fn a_binding_that_waits_may_go_unnoticed() {
    let mut hash = bound(&[(1, "1"), (2, "1"), (1, "30")]);
    unbind(&mut hash, 1, "30");
    assert_eq!(chosen(&hash), chosen(&bound(&[(1, "1"), (2, "1")])));
}

#[test]
fn weights_are_whole_numbers_above_zero() {
    for (key, weight) in [("1", 1), ("+1", 1), ("007", 7), ("4294967296", u32::MAX)] {
        assert_eq!(Weight::parse(key), Ok(Weight(weight)), "{key}");
    }
    for key in ["0", "-1", "-0", "+0", "000"] {
        assert_eq!(Weight::parse(key), Err(WeightError::NotPositive), "{key}");
    }
    for key in ["", "abc", "1.5", " 1", "1 ", "+", "--1", "0x5", "\u{661}"] {
        assert_eq!(Weight::parse(key), Err(WeightError::NotAnInteger), "{key}");
    }
}

/// The hash of a message with this content header.
fn hashed(hash_on: &HashOn, header: &[u8]) -> u64 {
    hash_on.of(&["key"], PropertiesView::check(header).unwrap())
}

#[test]
fn each_property_is_looked_at_where_it_is_asked_for() {
    let message = b"\x04\x80\x01c\x01m";
    let other = b"\x04\x80\x01d\x01n";
    let (stamped, later) = (b"\x00\x40\0\0\0\0\0\0\0\x01", b"\x00\x40\0\0\0\0\0\0\0\x02");
    for (hash_on, one, other) in [
        (HashOn::MessageId, &message[..], &other[..]),
        (HashOn::CorrelationId, message, other),
        (HashOn::Timestamp, stamped, later),
    ] {
        assert_ne!(hashed(&hash_on, one), hashed(&hash_on, other), "{hash_on:?}");
        assert_ne!(hashed(&hash_on, one), hashed(&hash_on, NO_PROPERTIES), "{hash_on:?}");
    }
    assert_eq!(hashed(&HashOn::RoutingKey, message), hashed(&HashOn::RoutingKey, other));
}

#[test]
fn a_header_counts_with_its_type_and_a_missing_one_is_like_another() {
    let on = HashOn::Header(b"h".to_vec());
    let text = b"\x20\x00\0\0\0\x08\x01hS\0\0\0\x015";
    let number = b"\x20\x00\0\0\0\x04\x01hb\x35";
    let other = b"\x20\x00\0\0\0\x04\x01gb\x35";
    assert_ne!(hashed(&on, text), hashed(&on, number));
    assert_eq!(hashed(&on, other), hashed(&on, NO_PROPERTIES));
    assert_ne!(hashed(&on, number), hashed(&on, NO_PROPERTIES));
}

#[test]
fn arguments_name_a_header_or_one_of_three_properties() {
    let table = |fields: &[(&str, AMQPValue)]| {
        let mut table = FieldTable::default();
        for (name, value) in fields {
            table.insert((*name).into(), value.clone());
        }
        table
    };
    let text = |text: &str| AMQPValue::LongString(text.into());
    let parse = |fields: &[_]| HashOn::parse(&table(fields));
    assert_eq!(parse(&[]), Ok(HashOn::RoutingKey));
    assert_eq!(parse(&[("hash-header", text("h"))]), Ok(HashOn::Header(b"h".to_vec())));
    for (name, hash_on) in [
        ("message_id", HashOn::MessageId),
        ("correlation_id", HashOn::CorrelationId),
        ("timestamp", HashOn::Timestamp),
    ] {
        assert_eq!(parse(&[("hash-property", text(name))]), Ok(hash_on));
    }
    let unsupported = HashOnError::UnsupportedProperty(b"app_id".to_vec());
    assert_eq!(parse(&[("hash-property", text("app_id"))]), Err(unsupported));
    let both = [("hash-header", text("h")), ("hash-property", text("bad"))];
    assert_eq!(parse(&both), Err(HashOnError::Both));
    let number = AMQPValue::LongInt(5);
    let wrong = HashOnError::WrongType("hash-header", number.clone());
    assert_eq!(parse(&[("hash-header", number)]), Err(wrong));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Only names and weights count, whatever came, went and in which order.
    #[test]
    fn history_moves_no_message(changes in prop::collection::vec((0..6_u8, 1..4_u8, any::<bool>()), 0..30)) {
        let mut hash = bound(&[]);
        let mut model: Vec<(u8, u8)> = Vec::new();
        for (destination, weight, bind) in changes {
            let place = model.iter().position(|one| *one == (destination, weight));
            match (bind, place) {
                (true, None) => {
                    hash.add(&weight.to_string(), &FieldTable::default(), destination);
                    model.push((destination, weight));
                }
                (false, Some(place)) => {
                    unbind(&mut hash, destination, &weight.to_string());
                    model.remove(place);
                }
                (true, Some(_)) | (false, None) => {}
            }
        }
        let mut fresh = bound(&[]);
        // Stable: of one destination the oldest binding still comes first.
        model.sort_by_key(|(destination, _)| *destination);
        for (destination, weight) in model {
            fresh.add(&weight.to_string(), &FieldTable::default(), destination);
        }
        let properties = PropertiesView::assume_checked(NO_PROPERTIES);
        for n in 0..100 {
            let key = format!("key {n}");
            prop_assert_eq!(hash.choose(&[&key], properties), fresh.choose(&[&key], properties));
        }
    }
}
