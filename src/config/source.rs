//! Where a setting was written, to name the culprit of an error.
//!
//! A setting is named by its path: its keys from the outside in, joined by dots; elements of a list by their
//! position, from 0 (`users.1.name`).

use std::fmt;

use super::document::Document;

/// A setting that cannot be used: where it stands, its key, and what is allowed, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    place: String,
    key: Option<String>,
    problem: String,
}

impl ConfigError {
    /// An error at `place` (a file, a line of a file, a variable, an argument).
    pub(super) fn at(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), key: None, problem: problem.into() }
    }

    /// The same, about the setting at `path`; of no setting in particular if that is empty.
    pub(super) fn about(self, path: &str) -> Self {
        let keys: Vec<_> = path.split('.').filter(|key| !is_position(key)).collect();
        Self { key: Some(keys.join(".")).filter(|key| !key.is_empty()), ..self }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{}: {key}: {}", self.place, self.problem),
            None => write!(f, "{}: {}", self.place, self.problem),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Who wrote a layer of settings.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    File(&'a Document<'a>),
    Environment,
    Arguments,
}

impl Source<'_> {
    /// The error that the setting at `path` is no good.
    pub(super) fn refuse(self, path: &str, problem: impl Into<String>) -> ConfigError {
        match self {
            Self::File(document) => document.refuse(path, problem),
            Self::Environment => ConfigError::at(variable_name(path), problem),
            Self::Arguments => ConfigError::at(argument_name(path), problem),
        }
    }
}

/// The environment variable that sets `path`, which may name an element of the setting.
pub(super) fn variable_name(path: &str) -> String {
    let keys = path.split('.').filter(|key| !is_position(key));
    keys.fold("LEVERET".to_owned(), |name, key| name + "_" + &key.to_uppercase())
}

/// The argument that sets `path`.
fn argument_name(path: &str) -> String {
    let key = path.split('.').next().unwrap_or_default();
    format!("--{}", key.replace('_', "-"))
}

fn is_position(key: &str) -> bool {
    key.bytes().all(|octet| octet.is_ascii_digit())
}
