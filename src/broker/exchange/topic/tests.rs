//! The topic matcher against a naive one.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn routed(topic: &Topic<usize>, key: &str) -> Vec<usize> {
    let mut found = Vec::new();
    topic.route(key, &mut |destination| found.push(*destination));
    found.sort_unstable();
    found
}

fn matches(pattern: &str, key: &str) -> bool {
    let mut topic = Topic::default();
    topic.add(pattern, 0);
    !routed(&topic, key).is_empty()
}

/// The rules, word by word, without a thought for speed.
fn naive(pattern: &[&str], key: &[&str]) -> bool {
    match (pattern, key) {
        ([], []) => true,
        (["#", rest @ ..], _) => (0..=key.len()).any(|taken| naive(rest, &key[taken..])),
        (["*", pattern @ ..], [_, key @ ..]) => naive(pattern, key),
        ([word, pattern @ ..], [other, key @ ..]) => word == other && naive(pattern, key),
        _ => false,
    }
}

fn naive_words(pattern: &str, key: &str) -> bool {
    naive(&words(pattern).collect::<Vec<_>>(), &words(key).collect::<Vec<_>>())
}

#[test]
fn patterns_match_as_they_do_in_rabbitmq() {
    // key, patterns that match, patterns that do not
    let table: [(&str, &[&str], &[&str]); 8] = [
        ("", &["#", "#.#", ""], &["*", "a"]),
        ("a", &["#", "*", "a", "a.#", "#.#", "*.#", "#.*", "#.a.#"], &["a.*", "*.*"]),
        ("a.b", &["a.*", "a.#", "#.b", "*.b", "a.#.b", "*.*"], &["a.*.b"]),
        ("a.", &["a.", "a.*", "*.*", "a.#"], &["a"]),
        (".", &["*.*", "#"], &["*"]),
        ("a..b", &["a..b", "a.*.b", "a.#.b"], &["a.b"]),
        ("*", &["*", "#"], &["a"]),
        ("#", &["*", "#"], &["a"]),
    ];
    for (key, fitting, others) in table {
        for pattern in fitting {
            assert!(matches(pattern, key), "{pattern:?} fits {key:?}");
        }
        for pattern in others {
            assert!(!matches(pattern, key), "{pattern:?} does not fit {key:?}");
        }
    }
}

#[test]
fn wildcards_inside_a_word_are_letters() {
    assert!(matches("a*.b#", "a*.b#"));
    assert!(!matches("a*.b#", "ab.bc"));
}

#[test]
fn a_binding_is_reported_once_however_many_ways_it_matches() {
    let mut topic = Topic::default();
    topic.add("#.a.#", 1);
    topic.add("#.#", 2);
    topic.add("#.a.#.a.#", 3);
    topic.add("*.#.*", 4);
    assert_eq!(routed(&topic, "a.a.a.a"), [1, 2, 3, 4]);
}

#[test]
fn patterns_full_of_hashes_stay_cheap_on_long_keys() {
    // Trying every way to share 128 words among 60 hashes would not end before the sun does.
    let key = vec!["a"; 128].join(".");
    let mut topic = Topic::default();
    topic.add(&vec!["#"; 128].join("."), 1);
    topic.add(&format!("{}.b", vec!["#.a"; 60].join(".")), 2);
    topic.add(&vec!["#.a"; 60].join("."), 3);
    topic.add(&vec!["#.*"; 60].join("."), 4);
    topic.add(&vec!["*.#"; 60].join("."), 5);
    topic.add(&format!("{}.b", vec!["*.#"; 60].join(".")), 6);
    assert_eq!(routed(&topic, &key), [1, 3, 4, 5]);
}

#[test]
fn an_unbound_tree_is_an_empty_tree() {
    let patterns = ["", "a.b.c", "a.*.c", "a.#", "#.a.#", "#.b.#.c.#", "*", "a.b"];
    let mut topic = Topic::default();
    for pattern in patterns {
        topic.add(pattern, 1);
        topic.add(pattern, 2);
    }
    for pattern in patterns {
        topic.remove(pattern, &1);
    }
    assert_eq!(routed(&topic, "a.b.c"), [2, 2, 2, 2, 2]);
    for pattern in patterns {
        topic.remove(pattern, &2);
        topic.remove(pattern, &2);
    }
    assert!(topic.root.is_bare());
    assert_eq!(topic.marks.bound, 0);
}

fn key() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", ""]), 0..8)
        .prop_map(|words| words.join("."))
}

fn pattern() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "", "*", "#", "#"]), 0..7)
        .prop_map(|words| words.join("."))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_tree_agrees_with_the_naive_matcher(
        patterns in prop::collection::vec((pattern(), any::<bool>()), 0..24),
        keys in prop::collection::vec(key(), 1..8),
    ) {
        let kept: Vec<_> = patterns.iter().map(|(pattern, _)| pattern.as_str()).collect();
        let mut topic = Topic::default();
        for (destination, pattern) in kept.iter().enumerate() {
            topic.add(pattern, destination);
        }
        let mut expected: BTreeSet<_> = (0..kept.len()).collect();
        for (destination, (pattern, leaves)) in patterns.iter().enumerate() {
            if *leaves {
                topic.remove(pattern, &destination);
                expected.remove(&destination);
            }
        }
        for key in &keys {
            let fitting: Vec<_> =
                expected.iter().copied().filter(|&at| naive_words(kept[at], key)).collect();
            prop_assert_eq!(routed(&topic, key), fitting, "key {:?}", key);
        }
    }
}
