//! The text of a configuration file, and where in it things stand.
//!
//! Keys and types are checked here, before serde sees the text, so that an error says in our words which line
//! is meant and what is allowed there.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::file::{File, KEYS, Key, Kind, closest};
use super::source::ConfigError;

/// A parsed configuration file.
pub(super) struct Document<'t> {
    name: &'t str,
    text: &'t str,
    root: DeTable<'t>,
}

impl<'t> Document<'t> {
    /// Parses `text`; errors will call it `name`.
    pub(super) fn parse(name: &'t str, text: &'t str) -> Result<Self, ConfigError> {
        match DeTable::parse(text) {
            Ok(root) => Ok(Self { name, text, root: root.into_inner() }),
            Err(error) => Err(syntax_error(name, text, &error)),
        }
    }

    /// The settings it holds, if every key is known and has a value of its type.
    pub(super) fn file(&self) -> Result<File, ConfigError> {
        self.check_table("", &self.root, KEYS)?;
        toml::from_str(self.text).map_err(|error| syntax_error(self.name, self.text, &error))
    }

    /// The error that the setting at `path` is no good, with its line, or that of the table it is missing from.
    pub(super) fn refuse(&self, path: &str, problem: impl Into<String>) -> ConfigError {
        let place = match self.find(path) {
            Some(span) => place(self.name, self.text, &span),
            None => self.name.to_owned(),
        };
        ConfigError::at(place, problem).about(path)
    }

    /// Where the setting at `path` stands, or the innermost thing around it that does.
    fn find(&self, path: &str) -> Option<Range<usize>> {
        let mut steps = path.split('.');
        let (first_key, mut value) = self.root.get_key_value(steps.next()?)?;
        let mut found = first_key.span();
        for step in steps {
            let Some(inner) = inside(value.get_ref(), step) else { break };
            (found, value) = inner;
        }
        Some(found)
    }

    fn check_table(&self, path: &str, table: &DeTable, keys: &[Key]) -> Result<(), ConfigError> {
        // The table is sorted by key; whoever reads the error reads the file from its top.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in entries {
            let Some(key) = keys.iter().find(|key| key.name == name.get_ref()) else {
                let place = place(self.name, self.text, &name.span());
                return Err(ConfigError::at(place, unknown_key(name.get_ref(), keys)).about(path));
            };
            self.check_value(&join(path, key.name), value.get_ref(), key.kind)?;
        }
        Ok(())
    }

    fn check_value(&self, path: &str, value: &DeValue, kind: Kind) -> Result<(), ConfigError> {
        match (kind, value) {
            (Kind::Switch, DeValue::Boolean(_))
            | (Kind::Text, DeValue::String(_))
            | (Kind::Free, DeValue::Table(_)) => Ok(()),
            (Kind::Whole, DeValue::Integer(number)) => self.check_whole(path, number),
            (Kind::Texts, DeValue::Array(list)) => self.check_list(path, list, Kind::Text),
            (Kind::Table(keys), DeValue::Table(table)) => self.check_table(path, table, keys),
            (Kind::Tables(keys), DeValue::Array(list)) => {
                self.check_list(path, list, Kind::Table(keys))
            }
            _ => {
                let problem = format!("expected {}, found {}", expected(kind), found(value));
                Err(self.refuse(path, problem))
            }
        }
    }

    fn check_list(
        &self,
        path: &str,
        list: &[Spanned<DeValue>],
        kind: Kind,
    ) -> Result<(), ConfigError> {
        for (position, value) in list.iter().enumerate() {
            self.check_value(&join(path, &position.to_string()), value.get_ref(), kind)?;
        }
        Ok(())
    }

    fn check_whole(&self, path: &str, number: &DeInteger) -> Result<(), ConfigError> {
        match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.refuse(path, format!("{} is too large", number.as_str()))),
        }
    }
}

/// The value at the key or position `step` of `outer`, and where it stands.
fn inside<'v, 't>(
    outer: &'v DeValue<'t>,
    step: &str,
) -> Option<(Range<usize>, &'v Spanned<DeValue<'t>>)> {
    if let Some(table) = outer.as_table() {
        return table.get_key_value(step).map(|(key, value)| (key.span(), value));
    }
    let value = outer.as_array()?.get(step.parse::<usize>().ok()?)?;
    Some((value.span(), value))
}

/// `key` inside `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn unknown_key(name: &str, keys: &[Key]) -> String {
    let names: Vec<_> = keys.iter().map(|key| key.name).collect();
    let meant = closest(name, names.iter().copied()).unwrap_or_default();
    let allowed = names.join(", ");
    format!("unknown key '{name}'; did you mean '{meant}'? (allowed here: {allowed})")
}

fn syntax_error(name: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let place = error.span().map_or_else(|| name.to_owned(), |span| place(name, text, &span));
    ConfigError::at(place, format!("not TOML: {}", error.message().replace('\n', ", ")))
}

fn place(name: &str, text: &str, span: &Range<usize>) -> String {
    let before = text.as_bytes().iter().take(span.start);
    format!("{name} line {}", before.filter(|octet| **octet == b'\n').count() + 1)
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Switch => "true or false",
        Kind::Whole => "a whole number",
        Kind::Text => "a text in quotes",
        Kind::Texts => "a list of texts in brackets",
        Kind::Table(_) | Kind::Free => "a table",
        Kind::Tables(_) => "a list of tables",
    }
}

/// The value is not shown: it may be a password in the wrong place.
fn found(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
