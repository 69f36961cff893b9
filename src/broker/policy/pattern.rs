//! The names a policy is for: a regular expression, searched for anywhere in a name.
//!
//! As in RabbitMQ a pattern is matched octet by octet, and the empty one matches every name. It runs in linear
//! time and in bounded memory, so what needs back-tracking is refused, but for one form: `^(?!this)that`, with
//! which RabbitMQ's users leave out names that begin like the broker's own.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use super::PolicyError;
use crate::limits;

/// See the module. Equal to another if it was written the same way.
#[derive(Clone)]
pub struct NamePattern {
    text: String,
    matching: Regex,
    /// Names that begin so are left out.
    except: Option<Regex>,
}

impl NamePattern {
    /// Compiles `text`.
    pub fn parse(text: &str) -> Result<NamePattern, PolicyError> {
        if text.len() > limits::POLICY_PATTERN_LENGTH {
            let length = limits::POLICY_PATTERN_LENGTH;
            return Err(PolicyError(format!("pattern must not exceed {length} bytes")));
        }
        let (except, rest) = match left_out(text) {
            Some((except, rest)) => (Some(format!("^(?:{except})")), format!("^(?:{rest})")),
            None => (None, text.to_owned()),
        };
        let except = except.map(|except| compile(&except)).transpose()?;
        Ok(NamePattern { text: text.to_owned(), matching: compile(&rest)?, except })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The pattern is found in `name`.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.as_bytes();
        let is_left_out = self.except.as_ref().is_some_and(|except| except.is_match(name));
        !is_left_out && self.matching.is_match(name)
    }
}

impl PartialEq for NamePattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for NamePattern {}

impl fmt::Debug for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamePattern({:?})", self.text)
    }
}

/// The two halves of `^(?!this)that`. Not of `^(?!this)that|other`, where `other` stands alone.
fn left_out(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix("^(?!")?;
    let end = closing(inside)?;
    let (except, rest) = (&inside[..end], &inside[end + 1..]);
    // A quantifier would belong to the look-ahead.
    let is_plain = !rest.contains('|') && !rest.starts_with(['*', '+', '?', '{']);
    is_plain.then_some((except, rest))
}

/// Where the parenthesis is closed that was open before `text`.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut in_class, mut escaped) = (0_usize, false, false);
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b']' => in_class = false,
            b'[' => in_class = true,
            _ if in_class => {}
            b'(' => depth += 1,
            b')' if depth == 0 => return Some(at),
            b')' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn compile(text: &str) -> Result<Regex, PolicyError> {
    RegexBuilder::new(text)
        .unicode(false)
        .size_limit(limits::POLICY_PATTERN_BYTES)
        .dfa_size_limit(limits::POLICY_PATTERN_BYTES)
        .build()
        .map_err(|error| {
            // The last of several lines says what is wrong; those before it draw where.
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            let problem = last.strip_prefix("error: ").unwrap_or(last);
            PolicyError(format!(
                "pattern should be regular expression but is invalid: \"{problem}\""
            ))
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        NamePattern::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn a_pattern_is_searched_for_anywhere_in_the_name() {
        assert!(matches("order", "new-orders"));
        assert!(!matches("^order", "new-orders"));
        assert!(matches("^caf.*$", "café"));
    }

    #[test]
    fn the_empty_pattern_matches_every_name() {
        assert!(matches("", "a"));
        assert!(matches("", ""));
    }

    #[test]
    fn names_that_begin_so_can_be_left_out() {
        let others = r"^(?!amq\.).*";
        assert!(matches(others, "orders"));
        assert!(matches(others, "amqx"));
        assert!(!matches(others, "amq.gen-1"));
        assert!(matches("^(?!(a|b[)])).*x$", "cx"));
        assert!(!matches("^(?!(a|b[)])).*x$", "b)x"));
        assert!(!matches("^(?!a)b", "cb"));
    }

    #[test]
    fn other_look_around_is_refused() {
        for pattern in ["(?!a)", "^(?!a)b|c", "^(?!a)*", "(?<=a)b", "^(?!a"] {
            assert!(NamePattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn what_is_no_regular_expression_is_refused() {
        assert_eq!(
            NamePattern::parse("(a").unwrap_err().to_string(),
            "pattern should be regular expression but is invalid: \"unclosed group\""
        );
        assert!(NamePattern::parse("((a{1000}){1000}){1000}").is_err());
        assert_eq!(
            NamePattern::parse(&"a".repeat(1025)).unwrap_err().to_string(),
            "pattern must not exceed 1024 bytes"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_compiling_panic(text in "[(?!^)a-c|\\[\\]\\\\*]{0,20}", name in ".{0,9}") {
            if let Ok(pattern) = NamePattern::parse(&text) {
                let _either = pattern.matches(&name);
            }
        }
    }
}
