//! A layer of settings from environment variables.
//!
//! One scheme for all: `LEVERET_` and the key's path in capitals, joined by `_`. Lists of texts are
//! separated by commas. What is a list of tables in the file cannot be set here.

use std::ffi::{OsStr, OsString};

use serde::Deserialize as _;
use toml::{Table, Value};

use super::document::join;
use super::file::{File, KEYS, Key, Kind, closest};
use super::source::{ConfigError, variable_name};

const PREFIX: &str = "LEVERET_";

/// The layer that `variables` hold; those not ours are ignored. A variable of ours that sets nothing is
/// an error, because a misspelt setting would otherwise be lost in silence.
pub(super) fn layer(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<File, ConfigError> {
    let settings = settings();
    let mut root = Table::new();
    for (name, value) in variables.into_iter().filter_map(ours) {
        let Some(setting) = settings.iter().find(|setting| setting.variable == name) else {
            return Err(unknown_variable(&name, &settings));
        };
        let value = value.to_str().ok_or_else(|| ConfigError::at(&name, "not valid UTF-8"))?;
        let value = typed(value, setting.kind).map_err(|text| ConfigError::at(&name, text))?;
        insert(&mut root, &setting.path, value);
    }
    File::deserialize(root).map_err(|error| ConfigError::at("environment", error.message()))
}

/// A setting that has a variable.
pub(super) struct Setting {
    pub(super) path: String,
    pub(super) variable: String,
    kind: Kind,
}

/// Every setting that has a variable.
pub(super) fn settings() -> Vec<Setting> {
    let mut settings = Vec::new();
    collect(KEYS, "", &mut settings);
    settings
}

fn collect(keys: &[Key], parent: &str, settings: &mut Vec<Setting>) {
    for key in keys {
        let path = join(parent, key.name);
        match key.kind {
            Kind::Table(inner) => collect(inner, &path, settings),
            Kind::Tables(_) | Kind::Free => {}
            kind @ (Kind::Switch | Kind::Whole | Kind::Text | Kind::Texts) => {
                settings.push(Setting { variable: variable_name(&path), path, kind });
            }
        }
    }
}

fn ours((name, value): (OsString, OsString)) -> Option<(String, OsString)> {
    let name = OsStr::to_string_lossy(&name);
    name.starts_with(PREFIX).then(|| (name.into_owned(), value))
}

fn unknown_variable(name: &str, settings: &[Setting]) -> ConfigError {
    // The prefix is common to all and would make everything look alike.
    let bare = |name: &'_ str| name.get(PREFIX.len()..).unwrap_or_default().to_owned();
    let known: Vec<_> = settings.iter().map(|setting| bare(&setting.variable)).collect();
    let meant = closest(&bare(name), known.iter().map(String::as_str)).unwrap_or_default();
    ConfigError::at(name, format!("sets nothing; did you mean {PREFIX}{meant}?"))
}

fn typed(text: &str, kind: Kind) -> Result<Value, String> {
    match kind {
        Kind::Switch => match text {
            "true" => Ok(Value::Boolean(true)),
            "false" => Ok(Value::Boolean(false)),
            _ => Err(format!("expected true or false, found '{text}'")),
        },
        Kind::Whole => text
            .parse()
            .map(Value::Integer)
            .map_err(|_| format!("expected a whole number, found '{text}'")),
        Kind::Texts => Ok(Value::Array(texts(text))),
        Kind::Text | Kind::Table(_) | Kind::Tables(_) | Kind::Free => {
            Ok(Value::String(text.to_owned()))
        }
    }
}

/// An empty variable is an empty list, not a list of one empty text.
fn texts(text: &str) -> Vec<Value> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    text.split(',').map(|one| Value::String(one.trim().to_owned())).collect()
}

fn insert(root: &mut Table, path: &str, value: Value) {
    let Some((parent, key)) = path.split_once('.') else {
        root.insert(path.to_owned(), value);
        return;
    };
    let inner = root.entry(parent).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(inner) = inner {
        insert(inner, key, value);
    }
}
