//! What a user may do with which names: RabbitMQ's configure, write and read patterns, one set for each
//! virtual host the user may enter.
//!
//! Patterns are regular expressions that are searched for anywhere in the name, octet by octet and without
//! Unicode classes, as RabbitMQ's are. They run in linear time, so what needs back-tracking
//! (look-around, back-references) is refused when it is set.
//!
//! What they say about routing keys is in [`super::topics`].

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use crate::limits;

/// What a client wants to do with an exchange or a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Create or delete it.
    Configure,
    /// Put messages into it.
    Write,
    /// Take messages from it.
    Read,
}

impl fmt::Display for Access {
    /// RabbitMQ's word for it, as it stands in the text of a refusal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configure => "configure",
            Self::Write => "write",
            Self::Read => "read",
        })
    }
}

/// A user's rights in one virtual host. To have one, even one that allows nothing, is to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The virtual host's name.
    pub vhost: String,
    /// Names the user may create and delete.
    pub configure: Pattern,
    /// Names the user may write to.
    pub write: Pattern,
    /// Names the user may read from.
    pub read: Pattern,
}

impl Permission {
    /// Every right in `vhost`.
    pub fn all(vhost: impl Into<String>) -> Self {
        Self {
            vhost: vhost.into(),
            configure: Pattern::any(),
            write: Pattern::any(),
            read: Pattern::any(),
        }
    }

    /// True if `access` to `name` is allowed. The default exchange goes by the name `amq.default`.
    pub fn allows(&self, access: Access, name: &str) -> bool {
        let pattern = match access {
            Access::Configure => &self.configure,
            Access::Write => &self.write,
            Access::Read => &self.read,
        };
        pattern.matches(name)
    }
}

/// A compiled permission pattern, equal to another if it was written the same way.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    /// `.*`, by far the most common one. Matches without looking.
    Any,
    Regex(Regex),
}

impl Pattern {
    /// The pattern `.*`.
    pub fn any() -> Self {
        Self { text: ".*".to_owned(), kind: Kind::Any }
    }

    /// Compiles `text`. Fails if it is no regular expression, needs back-tracking, or would take more memory
    /// than [`limits::PERMISSION_PATTERN_BYTES`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text == ".*" {
            return Ok(Self::any());
        }
        // RabbitMQ: the empty pattern means `^$`; as a search it would otherwise match every name.
        Self::parse_as(text, if text.is_empty() { "^$" } else { text })
    }

    /// Compiles `effective`, which is what `text` means.
    pub(super) fn parse_as(text: &str, effective: &str) -> Result<Self, PatternError> {
        let regex = RegexBuilder::new(effective)
            .unicode(false)
            .size_limit(limits::PERMISSION_PATTERN_BYTES)
            .dfa_size_limit(limits::PERMISSION_PATTERN_BYTES)
            .build()
            .map_err(|error| PatternError::new(text, &error))?;
        Ok(Self { text: text.to_owned(), kind: Kind::Regex(regex) })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True if the pattern is found anywhere in `name`.
    pub fn matches(&self, name: &str) -> bool {
        match &self.kind {
            Kind::Any => true,
            Kind::Regex(regex) => regex.is_match(name.as_bytes()),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    pattern: String,
    problem: String,
}

impl PatternError {
    fn new(pattern: &str, error: &regex::Error) -> Self {
        let problem = if let regex::Error::CompiledTooBig(limit) = error {
            format!("needs more than {limit} bytes")
        } else {
            // The last of several lines says what is wrong; those before it draw where.
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        };
        Self { pattern: pattern.to_owned(), problem }
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is not a usable regular expression: {}", self.pattern, self.problem)
    }
}

impl std::error::Error for PatternError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn a_pattern_is_searched_for_anywhere_in_the_name() {
        assert!(matches("order", "new-orders"));
        assert!(!matches("^order", "new-orders"));
        assert!(!matches("orders$", "orders-new"));
    }

    #[test]
    fn the_empty_pattern_matches_the_empty_name_only() {
        assert!(matches("", ""));
        assert!(!matches("", "a"));
    }

    #[test]
    fn dot_star_matches_every_name() {
        assert!(matches(".*", ""));
        assert!(matches(".*", "amq.default"));
        assert!(matches(".*", "two\nlines"));
    }

    #[test]
    fn word_classes_are_ascii_as_in_rabbitmq() {
        assert!(matches(r"^\w+$", "cafe"));
        assert!(!matches(r"^\w+$", "café"));
        assert!(matches("^café$", "café"));
    }

    #[test]
    fn what_needs_back_tracking_is_refused() {
        let error = Pattern::parse("^(?!amq)").unwrap_err();
        assert_eq!(
            error.to_string(),
            "'^(?!amq)' is not a usable regular expression: look-around, including look-ahead and \
             look-behind, is not supported"
        );
        assert!(Pattern::parse(r"(a)\1").is_err());
    }

    #[test]
    fn a_pattern_that_grows_too_large_is_refused() {
        let error = Pattern::parse("((a{1000}){1000}){1000}").unwrap_err();
        assert_eq!(error.problem, "needs more than 1048576 bytes");
    }

    #[test]
    fn each_access_asks_its_own_pattern() {
        let permission = Permission {
            vhost: "/".to_owned(),
            configure: Pattern::parse("^mine").unwrap(),
            write: Pattern::parse("^out").unwrap(),
            read: Pattern::parse("").unwrap(),
        };
        assert!(permission.allows(Access::Configure, "mine.q"));
        assert!(!permission.allows(Access::Write, "mine.q"));
        assert!(permission.allows(Access::Write, "out"));
        assert!(!permission.allows(Access::Read, "out"));
    }

    #[test]
    fn patterns_are_equal_if_written_the_same_way() {
        assert_eq!(Pattern::parse(".*").unwrap(), Pattern::any());
        assert_ne!(Pattern::parse("").unwrap(), Pattern::parse("^$").unwrap());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn an_escaped_text_is_found_exactly_where_it_occurs(
            needle in "[a-c.*]{1,3}", name in "[a-c.*]{0,8}"
        ) {
            prop_assert_eq!(matches(&regex::escape(&needle), &name), name.contains(&needle));
        }

        #[test]
        fn no_text_makes_compiling_panic(text in any::<String>()) {
            let _refused_or_read = Pattern::parse(&text);
        }
    }
}
