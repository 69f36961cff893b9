//! A layer of settings as written: everything is optional, nothing is checked but the type.
//!
//! [`KEYS`] says the same a second time, as data, for those who must name keys: error messages and environment
//! variables. A test keeps the two the same.

use std::path::PathBuf;

use serde::Deserialize;

/// What may stand in the file. Numbers are wide so that one out of range can be named in an error.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: Option<Vec<String>>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) transient: Option<bool>,
    pub(super) vhosts: Option<Vec<String>>,
    pub(super) trace: Option<Vec<String>>,
    pub(super) event_exchange: Option<String>,
    pub(super) users: Option<Vec<UserTable>>,
    pub(super) default_queue_type: Option<String>,
    pub(super) vhost_settings: Option<Vec<VHostTable>>,
    pub(super) policies: Option<Vec<PolicyTable>>,
    pub(super) operator_policies: Option<Vec<PolicyTable>>,
    pub(super) load_definitions: Option<PathBuf>,
    pub(super) loopback_users: Option<Vec<String>>,
    pub(super) product: Option<String>,
    pub(super) version: Option<String>,
    pub(super) platform: Option<String>,
    pub(super) information: Option<String>,
    pub(super) cluster_name: Option<String>,
    pub(super) frame_max: Option<i64>,
    pub(super) channel_max: Option<i64>,
    pub(super) heartbeat: Option<i64>,
    pub(super) handshake_timeout_ms: Option<i64>,
    pub(super) max_message_size: Option<i64>,
    pub(super) consumer_timeout_ms: Option<i64>,
    pub(super) max_connections: Option<i64>,
    pub(super) worker_threads: Option<i64>,
    pub(super) unsaved_bytes: Option<i64>,
    pub(super) resident_bytes: Option<i64>,
    pub(super) transient_bytes: Option<i64>,
    pub(super) memory_high_watermark: Option<i64>,
    pub(super) disk_free_limit: Option<i64>,
    pub(super) linger_ms: Option<i64>,
    pub(super) checkpoint_interval_ms: Option<i64>,
    pub(super) log: Option<LogTable>,
}

/// `[log]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogTable {
    pub(super) level: Option<String>,
    pub(super) format: Option<String>,
}

/// `[[users]]`. Holds a secret, so it has no `Debug`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserTable {
    pub(super) name: Option<String>,
    pub(super) password: Option<String>,
    pub(super) password_hash: Option<String>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) permissions: Option<Vec<PermissionTable>>,
    pub(super) topic_permissions: Option<Vec<TopicPermissionTable>>,
    pub(super) max_connections: Option<i64>,
    pub(super) max_channels: Option<i64>,
}

/// One element of `permissions` of a user.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PermissionTable {
    pub(super) vhost: Option<String>,
    pub(super) configure: Option<String>,
    pub(super) write: Option<String>,
    pub(super) read: Option<String>,
}

/// One element of `topic_permissions` of a user.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopicPermissionTable {
    pub(super) vhost: Option<String>,
    pub(super) exchange: Option<String>,
    pub(super) write: Option<String>,
    pub(super) read: Option<String>,
}

/// `[[vhost_settings]]`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VHostTable {
    pub(super) vhost: Option<String>,
    pub(super) default_queue_type: Option<String>,
    pub(super) max_connections: Option<i64>,
    pub(super) max_queues: Option<i64>,
    pub(super) max_exchanges: Option<i64>,
}

/// `[[policies]]` and `[[operator_policies]]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyTable {
    pub(super) vhost: Option<String>,
    pub(super) name: Option<String>,
    pub(super) pattern: Option<String>,
    pub(super) apply_to: Option<String>,
    pub(super) priority: Option<i64>,
    pub(super) definition: Option<toml::Table>,
}

/// A key that may be written.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What may stand behind a key.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Whole,
    /// A text.
    Text,
    /// A list of texts.
    Texts,
    /// A table.
    Table(&'static [Key]),
    /// A list of tables.
    Tables(&'static [Key]),
    /// A table whose keys somebody else knows.
    Free,
}

/// Every key of [`File`].
pub(super) const KEYS: &[Key] = &[
    key("listen", Kind::Texts),
    key("data_dir", Kind::Text),
    key("transient", Kind::Switch),
    key("vhosts", Kind::Texts),
    key("trace", Kind::Texts),
    key("event_exchange", Kind::Text),
    key("users", Kind::Tables(USER_KEYS)),
    key("default_queue_type", Kind::Text),
    key("vhost_settings", Kind::Tables(VHOST_KEYS)),
    key("policies", Kind::Tables(POLICY_KEYS)),
    key("operator_policies", Kind::Tables(POLICY_KEYS)),
    key("load_definitions", Kind::Text),
    key("loopback_users", Kind::Texts),
    key("product", Kind::Text),
    key("version", Kind::Text),
    key("platform", Kind::Text),
    key("information", Kind::Text),
    key("cluster_name", Kind::Text),
    key("frame_max", Kind::Whole),
    key("channel_max", Kind::Whole),
    key("heartbeat", Kind::Whole),
    key("handshake_timeout_ms", Kind::Whole),
    key("max_message_size", Kind::Whole),
    key("consumer_timeout_ms", Kind::Whole),
    key("max_connections", Kind::Whole),
    key("worker_threads", Kind::Whole),
    key("unsaved_bytes", Kind::Whole),
    key("resident_bytes", Kind::Whole),
    key("transient_bytes", Kind::Whole),
    key("memory_high_watermark", Kind::Whole),
    key("disk_free_limit", Kind::Whole),
    key("linger_ms", Kind::Whole),
    key("checkpoint_interval_ms", Kind::Whole),
    key("log", Kind::Table(LOG_KEYS)),
];

/// Every key of [`LogTable`].
pub(super) const LOG_KEYS: &[Key] = &[key("level", Kind::Text), key("format", Kind::Text)];

/// Every key of [`UserTable`].
pub(super) const USER_KEYS: &[Key] = &[
    key("name", Kind::Text),
    key("password", Kind::Text),
    key("password_hash", Kind::Text),
    key("tags", Kind::Texts),
    key("permissions", Kind::Tables(PERMISSION_KEYS)),
    key("topic_permissions", Kind::Tables(TOPIC_PERMISSION_KEYS)),
    key("max_connections", Kind::Whole),
    key("max_channels", Kind::Whole),
];

/// Every key of [`VHostTable`].
pub(super) const VHOST_KEYS: &[Key] = &[
    key("vhost", Kind::Text),
    key("default_queue_type", Kind::Text),
    key("max_connections", Kind::Whole),
    key("max_queues", Kind::Whole),
    key("max_exchanges", Kind::Whole),
];

/// Every key of [`PolicyTable`].
pub(super) const POLICY_KEYS: &[Key] = &[
    key("vhost", Kind::Text),
    key("name", Kind::Text),
    key("pattern", Kind::Text),
    key("apply_to", Kind::Text),
    key("priority", Kind::Whole),
    key("definition", Kind::Free),
];

/// Every key of [`PermissionTable`].
pub(super) const PERMISSION_KEYS: &[Key] = &[
    key("vhost", Kind::Text),
    key("configure", Kind::Text),
    key("write", Kind::Text),
    key("read", Kind::Text),
];

/// Every key of [`TopicPermissionTable`].
pub(super) const TOPIC_PERMISSION_KEYS: &[Key] = &[
    key("vhost", Kind::Text),
    key("exchange", Kind::Text),
    key("write", Kind::Text),
    key("read", Kind::Text),
];

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind }
}

/// The known name that `name` was most likely meant to be.
pub(super) fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |known: &&str| strsim::jaro_winkler(name, known);
    known.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}
