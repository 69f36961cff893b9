//! With which routing keys a user may publish to a topic exchange and bind from it: RabbitMQ's topic permissions.
//!
//! They come on top of what [`super::permissions`] asks of the exchange itself. An exchange for which a user has
//! none is open to the user with every key.
//!
//! Patterns may name `{username}` and `{vhost}`. Both are known when a permission is made and stand for themselves
//! there: a user called `a.b` is not `axb`, as since RabbitMQ 4.3.2. `{client_id}` is MQTT's and nothing but text here.

use super::permissions::{Access, Pattern, PatternError};

/// A user's rights to the routing keys of one exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPermission {
    /// The virtual host's name.
    pub vhost: String,
    /// The exchange's name. Means something while a topic exchange is called so.
    pub exchange: String,
    /// Keys the user may publish with.
    pub write: Pattern,
    /// Keys the user may bind with, and unbind.
    pub read: Pattern,
}

impl TopicPermission {
    /// True if it is about this exchange.
    pub fn is_for(&self, vhost: &str, exchange: &str) -> bool {
        self.vhost == vhost && self.exchange == exchange
    }

    /// True if `access` with `routing_key` is allowed. There is nothing to configure about a key.
    pub fn allows(&self, access: Access, routing_key: &str) -> bool {
        match access {
            Access::Configure => true,
            Access::Write => self.write.matches(routing_key),
            Access::Read => self.read.matches(routing_key),
        }
    }
}

/// What the variables of a pattern stand for.
#[derive(Clone, Copy, Debug)]
pub struct TopicVariables<'a> {
    /// `{username}`
    pub username: &'a str,
    /// `{vhost}`
    pub vhost: &'a str,
}

impl TopicVariables<'_> {
    /// The pattern that `text` is for this user, under the rules of [`Pattern::parse`].
    pub fn pattern(&self, text: &str) -> Result<Pattern, PatternError> {
        if !text.contains('{') {
            return Pattern::parse(text);
        }
        // RabbitMQ's regular expressions take a brace that repeats nothing as a brace, ours refuse it.
        let expanded = text
            .replace("{username}", &regex::escape(self.username))
            .replace("{vhost}", &regex::escape(self.vhost))
            .replace("{client_id}", r"\{client_id\}");
        Pattern::parse_as(text, &expanded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: TopicVariables<'_> = TopicVariables { username: "ada", vhost: "house" };

    fn matches(variables: TopicVariables<'_>, pattern: &str, key: &str) -> bool {
        variables.pattern(pattern).unwrap().matches(key)
    }

    #[test]
    fn write_is_asked_of_publishing_and_read_of_binding() {
        let permission = TopicPermission {
            vhost: "house".to_owned(),
            exchange: "news".to_owned(),
            write: ADA.pattern("^out\\.").unwrap(),
            read: ADA.pattern("").unwrap(),
        };
        assert!(permission.allows(Access::Write, "out.1"));
        assert!(!permission.allows(Access::Write, "in.1"));
        assert!(!permission.allows(Access::Read, "out.1"));
        assert!(permission.allows(Access::Read, ""));
    }

    #[test]
    fn variables_stand_for_the_user_and_the_virtual_host() {
        let pattern = "^{username}\\.{vhost}\\.[a-z]{2}$";
        assert!(matches(ADA, pattern, "ada.house.xy"));
        assert!(!matches(ADA, pattern, "bob.house.xy"));
        assert!(!matches(ADA, pattern, "ada.house.x"));
        assert!(!matches(ADA, pattern, "{username}.{vhost}.xy"));
    }

    #[test]
    fn a_name_is_no_pattern() {
        for name in [".*", "a|.*", "[", "^{vhost}", "(a", "\\"] {
            let variables = TopicVariables { username: name, vhost: "v" };
            assert!(matches(variables, "^{username}$", name), "{name}");
            assert!(!matches(variables, "^{username}$", "anything"), "{name}");
            assert!(!matches(variables, "^{username}$", "v"), "{name}");
        }
    }

    #[test]
    fn a_client_id_is_text() {
        assert!(matches(ADA, "^{client_id}$", "{client_id}"));
        assert!(!matches(ADA, "^{client_id}$", "ada"));
    }

    #[test]
    fn a_pattern_that_cannot_be_used_is_told_as_it_was_written() {
        let error = ADA.pattern("({username}").unwrap_err();
        assert_eq!(
            error.to_string(),
            "'({username}' is not a usable regular expression: unclosed group"
        );
    }
}
