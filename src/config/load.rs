//! The layers in their order: defaults < file < environment < arguments.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;

use super::document::Document;
use super::file::{File, LogTable};
use super::resolve::apply;
use super::source::{ConfigError, Source};
use super::vhosts::{self, VHostTables};
use super::{Settings, cores, default_users, environment, users};
use crate::cli::Arguments;

/// Read if it exists and no other file was asked for.
const DEFAULT_FILE: &str = "config.toml";

/// The settings of this run: what `arguments` say, before what the `LEVERET_` variables among `variables` say
/// (pass [`std::env::vars_os`]), before what the file says, before the defaults.
///
/// Fails with one sentence for the operator at the first thing that cannot be used.
pub fn load(
    arguments: &Arguments,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Settings, ConfigError> {
    let (name, text) = read(arguments.config.as_deref(), Path::new(DEFAULT_FILE))?;
    merge(&name, &text, variables, arguments)
}

/// The text of the file `asked` for, else of `default`, else nothing; and the file's name.
pub(super) fn read(asked: Option<&Path>, default: &Path) -> Result<(String, String), ConfigError> {
    let path = asked.unwrap_or(default);
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((name, text)),
        Err(error) if error.kind() == ErrorKind::NotFound && asked.is_none() => {
            Ok((name, String::new()))
        }
        Err(error) => Err(ConfigError::at(name, format!("cannot be read: {error}"))),
    }
}

/// Puts all layers on each other; the file's is `text`, called `name`.
pub(super) fn merge(
    name: &str,
    text: &str,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    arguments: &Arguments,
) -> Result<Settings, ConfigError> {
    let document = Document::parse(name, text)?;
    let source = Source::File(&document);
    let mut settings = Settings::default();

    let mut file = document.file()?;
    let user_tables = file.users.take();
    let vhost_tables = VHostTables {
        settings: file.vhost_settings.take().unwrap_or_default(),
        policies: file.policies.take().unwrap_or_default(),
        operator_policies: file.operator_policies.take().unwrap_or_default(),
    };
    apply(file, source, &mut settings)?;
    apply(environment::layer(variables)?, Source::Environment, &mut settings)?;
    apply(typed(arguments), Source::Arguments, &mut settings)?;

    check_vhosts(source, &settings)?;
    // Users and policies come last: they name virtual hosts, which any layer may set.
    settings.only_guest = user_tables.is_none();
    settings.users = match user_tables {
        Some(tables) => users::resolve(tables, source, &settings.vhosts)?,
        None => default_users(&settings.vhosts),
    };
    settings.virtual_hosts.vhosts = vhosts::resolve(vhost_tables, source, &settings.vhosts)?;
    if settings.worker_threads == 0 {
        settings.worker_threads = cores();
    }
    Ok(settings)
}

/// Like users, these name virtual hosts, which any layer may set.
fn check_vhosts(source: Source<'_>, settings: &Settings) -> Result<(), ConfigError> {
    let check = |path: &str, vhost: &String| {
        if settings.vhosts.contains(vhost) {
            return Ok(());
        }
        let known = settings.vhosts.join(", ");
        Err(source.refuse(path, format!("'{vhost}' is not one of vhosts ({known})")))
    };
    for (position, vhost) in settings.trace.iter().enumerate() {
        check(&format!("trace.{position}"), vhost)?;
    }
    settings.event_exchange.iter().try_for_each(|vhost| check("event_exchange", vhost))
}

/// The command line as a layer.
fn typed(arguments: &Arguments) -> File {
    let Arguments { command: _, config: _, data_dir, listen, transient, log } = arguments.clone();
    File {
        data_dir,
        listen: Some(listen).filter(|listen| !listen.is_empty()),
        transient: Some(transient).filter(|&transient| transient),
        log: log.map(|level| LogTable { level: Some(level), format: None }),
        ..File::default()
    }
}
