//! From `[[users]]` as written to users as meant.

use super::file::{PermissionTable, TopicPermissionTable, UserTable};
use super::resolve::check_name;
use super::source::{ConfigError, Source};
use crate::auth::{
    Credential, Password, PasswordHash, Pattern, Permission, TopicPermission, TopicVariables,
    UserDefinition, UserLimits,
};

/// The users of a layer. Each permission must be for one of `vhosts`.
pub(super) fn resolve(
    users: Vec<UserTable>,
    source: Source<'_>,
    vhosts: &[String],
) -> Result<Vec<UserDefinition>, ConfigError> {
    let mut definitions: Vec<UserDefinition> = Vec::new();
    for (position, table) in users.into_iter().enumerate() {
        let place = Place { source, path: format!("users.{position}") };
        let user = user(&place, table, vhosts)?;
        if definitions.iter().any(|other| other.name == user.name) {
            let problem = format!("'{}' is there twice", user.name);
            return Err(place.refuse_key("name", problem));
        }
        definitions.push(user);
    }
    Ok(definitions)
}

/// The table that is being read.
pub(super) struct Place<'a> {
    pub(super) source: Source<'a>,
    pub(super) path: String,
}

impl Place<'_> {
    pub(super) fn refuse(&self, problem: impl Into<String>) -> ConfigError {
        self.source.refuse(&self.path, problem)
    }

    pub(super) fn refuse_key(&self, key: &str, problem: impl Into<String>) -> ConfigError {
        self.source.refuse(&format!("{}.{key}", self.path), problem)
    }

    /// It must be one of `vhosts`.
    pub(super) fn check_vhost(&self, name: &String, vhosts: &[String]) -> Result<(), ConfigError> {
        if vhosts.contains(name) {
            return Ok(());
        }
        let problem = format!("'{name}' is not one of vhosts ({})", vhosts.join(", "));
        Err(self.refuse_key("vhost", problem))
    }

    /// RabbitMQ: a negative limit is none.
    pub(super) fn limit(&self, key: &str, value: Option<i64>) -> Result<Option<u64>, ConfigError> {
        match value {
            Some(number) if number < -1 => {
                Err(self.refuse_key(key, format!("{number} is not a limit (0 or more, -1: none)")))
            }
            other => Ok(other.and_then(|number| u64::try_from(number).ok())),
        }
    }
}

fn user(
    place: &Place<'_>,
    table: UserTable,
    vhosts: &[String],
) -> Result<UserDefinition, ConfigError> {
    let UserTable {
        name,
        password,
        password_hash,
        tags,
        permissions,
        topic_permissions,
        max_connections,
        max_channels,
    } = table;
    let name = name.ok_or_else(|| place.refuse("a user needs a name"))?;
    check_name(place.source, &format!("{}.name", place.path), &name)?;
    let credential = match (password, password_hash) {
        (Some(password), None) if password.is_empty() => {
            return Err(place.refuse_key("password", "must not be empty"));
        }
        (Some(password), None) => Credential::Password(Password::new(password)),
        (None, Some(hash)) => PasswordHash::parse(&hash)
            .map(Credential::Hash)
            .map_err(|error| place.refuse_key("password_hash", error.to_string()))?,
        (Some(_), Some(_)) | (None, None) => {
            let problem = format!("user '{name}' needs either password or password_hash");
            return Err(place.refuse(problem));
        }
    };
    let permissions = rights(place, permissions.unwrap_or_default(), vhosts)?;
    let topic_permissions = topics(place, &name, topic_permissions.unwrap_or_default(), vhosts)?;
    let limits = UserLimits {
        max_connections: place.limit("max_connections", max_connections)?,
        max_channels: place.limit("max_channels", max_channels)?,
    };
    let tags = tags.unwrap_or_default();
    Ok(UserDefinition { name, credential, tags, permissions, topic_permissions, limits })
}

fn rights(
    user: &Place<'_>,
    tables: Vec<PermissionTable>,
    vhosts: &[String],
) -> Result<Vec<Permission>, ConfigError> {
    let mut permissions: Vec<Permission> = Vec::new();
    for (position, table) in tables.into_iter().enumerate() {
        let path = format!("{}.permissions.{position}", user.path);
        let place = Place { source: user.source, path };
        let permission = permission(&place, table, vhosts)?;
        if permissions.iter().any(|other| other.vhost == permission.vhost) {
            let problem = format!("'{}' is there twice", permission.vhost);
            return Err(place.refuse_key("vhost", problem));
        }
        permissions.push(permission);
    }
    Ok(permissions)
}

fn permission(
    place: &Place<'_>,
    table: PermissionTable,
    vhosts: &[String],
) -> Result<Permission, ConfigError> {
    let PermissionTable { vhost, configure, write, read } = table;
    let vhost = vhost.ok_or_else(|| place.refuse("a permission needs a vhost"))?;
    place.check_vhost(&vhost, vhosts)?;
    let pattern = |key: &str, text: Option<String>| {
        Pattern::parse(&text.unwrap_or_default())
            .map_err(|error| place.refuse_key(key, error.to_string()))
    };
    Ok(Permission {
        vhost,
        configure: pattern("configure", configure)?,
        write: pattern("write", write)?,
        read: pattern("read", read)?,
    })
}

fn topics(
    user: &Place<'_>,
    username: &str,
    tables: Vec<TopicPermissionTable>,
    vhosts: &[String],
) -> Result<Vec<TopicPermission>, ConfigError> {
    let mut topics: Vec<TopicPermission> = Vec::new();
    for (position, table) in tables.into_iter().enumerate() {
        let path = format!("{}.topic_permissions.{position}", user.path);
        let place = Place { source: user.source, path };
        let topic = topic(&place, username, table, vhosts)?;
        if topics.iter().any(|other| other.is_for(&topic.vhost, &topic.exchange)) {
            let problem = format!("'{}' is there twice", topic.exchange);
            return Err(place.refuse_key("exchange", problem));
        }
        topics.push(topic);
    }
    Ok(topics)
}

fn topic(
    place: &Place<'_>,
    username: &str,
    table: TopicPermissionTable,
    vhosts: &[String],
) -> Result<TopicPermission, ConfigError> {
    let TopicPermissionTable { vhost, exchange, write, read } = table;
    let vhost = vhost.ok_or_else(|| place.refuse("a topic permission needs a vhost"))?;
    place.check_vhost(&vhost, vhosts)?;
    let exchange = exchange.ok_or_else(|| place.refuse("a topic permission needs an exchange"))?;
    check_name(place.source, &format!("{}.exchange", place.path), &exchange)?;
    let variables = TopicVariables { username, vhost: &vhost };
    let pattern = |key: &str, text: Option<String>| {
        let pattern = variables.pattern(&text.unwrap_or_default());
        pattern.map_err(|error| place.refuse_key(key, error.to_string()))
    };
    let (write, read) = (pattern("write", write)?, pattern("read", read)?);
    Ok(TopicPermission { vhost, exchange, write, read })
}
