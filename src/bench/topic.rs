//! Bindings of a topic exchange and routing keys that match exactly one of them each.
//!
//! A key names a site, a device and what it measured, such as `site03.device00019.temperature`. Devices have numbers
//! of their own, so the patterns are distinct. Of ten bindings of a queue seven spell out the key, and one each has a
//! `*` at its end, a `*` at its beginning and a `#`.

/// As many as the numbers in a key have digits for, so that all keys have one length.
pub(crate) const MOST_BINDINGS: u32 = 100_000;

const SITES: usize = 16;

/// The routing key that matches only binding `number`.
pub(crate) fn routing_key(number: usize) -> String {
    format!("{}.{}.temperature", site(number), device(number))
}

/// The pattern of binding `number`; the bindings are dealt to so many `queues`.
pub(crate) fn pattern(number: usize, queues: usize) -> String {
    match (number / queues) % 10 {
        7 => format!("{}.{}.*", site(number), device(number)),
        8 => format!("*.{}.temperature", device(number)),
        9 => format!("{}.{}.#", site(number), device(number)),
        _ => routing_key(number),
    }
}

/// Whether `pattern` matches `key`, as a topic exchange sees it.
pub(crate) fn matches(pattern: &str, key: &str) -> bool {
    let (patterns, keys): (Vec<_>, Vec<_>) =
        (pattern.split('.').collect(), key.split('.').collect());
    words_match(&patterns, &keys)
}

fn words_match(patterns: &[&str], keys: &[&str]) -> bool {
    match (patterns, keys) {
        ([], []) => true,
        (["#", rest @ ..], _) => {
            (0..=keys.len()).any(|skipped| words_match(rest, &keys[skipped..]))
        }
        ([pattern, patterns @ ..], [key, keys @ ..]) => {
            (*pattern == "*" || pattern == key) && words_match(patterns, keys)
        }
        _ => false,
    }
}

fn site(number: usize) -> String {
    format!("site{:02}", number % SITES)
}

fn device(number: usize) -> String {
    format!("device{number:05}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_matches_its_own_binding_and_no_other() {
        let patterns: Vec<_> = (0..300).map(|number| pattern(number, 10)).collect();

        assert_eq!(patterns.iter().filter(|pattern| pattern.contains(['*', '#'])).count(), 90);
        for number in 0..300 {
            let key = routing_key(number);
            let matching: Vec<_> =
                (0..300).filter(|other| matches(&patterns[*other], &key)).collect();
            assert_eq!(matching, [number]);
        }
    }

    #[test]
    fn all_keys_have_one_length() {
        let lengths = [0, 9, 99_999].map(|number| routing_key(number).len());
        assert_eq!(lengths, [lengths[0]; 3]);
    }

    #[test]
    fn a_hash_stands_for_any_number_of_words() {
        for key in ["a", "a.b", "a.b.c"] {
            assert!(matches("a.#", key));
        }
        assert!(!matches("a.#", "b.a") && !matches("a.*", "a") && !matches("a.*", "a.b.c"));
    }
}
