//! What the operator asked for.
//!
//! * `file` is a layer of settings as written, `document` finds things in its text;
//! * `environment` is the same layer from environment variables;
//! * `resolve` checks a layer and writes it over the [`Settings`], `users` does so for users and `vhosts` for
//!   policies and limits;
//! * `load` puts the layers in order: defaults, file, environment, arguments.
//!
//! Invariant: a [`Settings`] is valid. Whoever gets one need not check it again.
//!
//! `config.toml` at the top of the repository is the manual; tests keep it, the schema and the defaults
//! the same.

mod document;
mod environment;
mod file;
mod load;
mod resolve;
mod source;
mod users;
mod vhosts;

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::auth::{Credential, Password, Permission, UserDefinition, UserLimits};
use crate::broker::Configuration;
use crate::limits;

pub use load::load;
pub use source::ConfigError;

/// Everything that can be set, checked and ready for use.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Addresses to accept AMQP connections on; at least one. Port 0 is any free port.
    pub listen: Vec<SocketAddr>,
    /// Where messages and definitions are kept.
    pub data_dir: PathBuf,
    /// Nothing is written to disk; everything is gone when the broker stops.
    pub transient: bool,
    /// Virtual hosts that exist from the first start; at least one.
    pub vhosts: Vec<String>,
    /// Those of them whose messages are copied to `amq.rabbitmq.trace`.
    pub trace: Vec<String>,
    /// The one with the event exchange, if events are published.
    pub event_exchange: Option<String>,
    /// What is said about them: limits, default types of queues, policies.
    pub virtual_hosts: Configuration,
    /// A file of RabbitMQ's definitions, brought in at every start.
    pub load_definitions: Option<PathBuf>,
    /// Users who may log in.
    pub users: Vec<UserDefinition>,
    /// Nobody was written down, so `users` is guest alone.
    pub only_guest: bool,
    /// Names of users who may log in from this machine only.
    pub loopback_users: Vec<String>,

    /// `product` in the server properties of connection.start. Clients branch on it.
    pub product: String,
    /// `version` in the server properties. Clients branch on it.
    pub version: String,
    /// `platform` in the server properties.
    pub platform: String,
    /// `information` in the server properties.
    pub information: String,
    /// `cluster_name` in the server properties.
    pub cluster_name: String,

    /// Largest frame offered in connection.tune, bytes with the frame's overhead.
    pub frame_max: u32,
    /// Open channels one connection may have.
    pub channel_max: u16,
    /// Heartbeat offered in connection.tune, seconds; 0 offers none.
    pub heartbeat: u16,
    /// From accept to connection.open.
    pub handshake_timeout: Duration,
    /// Largest message body, bytes.
    pub max_message_size: u64,
    /// How long a delivery may stay unacknowledged unless its consumer or queue says otherwise.
    pub consumer_timeout: Option<Duration>,
    /// Connections at a time, over all addresses.
    pub max_connections: usize,

    /// Threads that serve connections; at least one.
    pub worker_threads: usize,
    /// Bytes of messages not yet written to disk above which publishers wait.
    pub unsaved_bytes: usize,
    /// Bytes of messages in queues that stay in memory although they are on disk.
    pub resident_bytes: usize,
    /// Bytes of messages in queues that stay in memory and are in no log.
    pub transient_bytes: usize,
    /// Memory above which publishers wait, percent of what the machine or the container has.
    pub memory_high_watermark: u64,
    /// Bytes of free disk space below which publishers wait.
    pub disk_free_limit: u64,
    /// How long changes nobody waits for may stay unwritten.
    pub linger: Duration,
    /// Time after which a checkpoint is due if anything changed.
    pub checkpoint_interval: Duration,

    /// What is logged, and how.
    pub log: LogSettings,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// A level, or targets with levels, as in `info,leveret::server=debug`.
    pub level: String,
    /// The form of a line.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One compact line for people.
    Text,
}

impl Default for Settings {
    fn default() -> Self {
        let vhosts = vec!["/".to_owned()];
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 5672))],
            data_dir: PathBuf::from("./data"),
            transient: false,
            users: default_users(&vhosts),
            only_guest: true,
            vhosts,
            trace: Vec::new(),
            event_exchange: None,
            virtual_hosts: Configuration::default(),
            load_definitions: None,
            loopback_users: vec!["guest".to_owned()],
            // Clients branch on product and version: kombu (Celery) asks for basic.qos with global=true
            // only if the product is RabbitMQ and 3.3 <= version < 4.0, others switch features by version.
            // The last 3.x is what this broker behaves like.
            product: "RabbitMQ".to_owned(),
            version: "3.13.7".to_owned(),
            platform: "Leveret".to_owned(),
            information: "Leveret, a broker for RabbitMQ's clients".to_owned(),
            cluster_name: "leveret".to_owned(),
            frame_max: limits::FRAME_MAX_DEFAULT,
            channel_max: limits::CHANNEL_MAX_DEFAULT,
            heartbeat: limits::HEARTBEAT_DEFAULT_SECONDS,
            handshake_timeout: limits::HANDSHAKE_TIMEOUT,
            max_message_size: limits::MESSAGE_SIZE_DEFAULT,
            consumer_timeout: None,
            max_connections: limits::CONNECTIONS_DEFAULT,
            worker_threads: cores(),
            unsaved_bytes: limits::UNSAVED_BYTES,
            resident_bytes: limits::RESIDENT_BYTES,
            transient_bytes: limits::TRANSIENT_BYTES,
            memory_high_watermark: limits::MEMORY_HIGH_WATERMARK_PERCENT,
            disk_free_limit: limits::DISK_FREE_LIMIT,
            linger: limits::LINGER,
            checkpoint_interval: limits::CHECKPOINT_INTERVAL,
            log: LogSettings { level: "info".to_owned(), format: LogFormat::Text },
        }
    }
}

/// RabbitMQ's first user: guest with password guest, administrator, every right in every virtual host.
fn default_users(vhosts: &[String]) -> Vec<UserDefinition> {
    vec![UserDefinition {
        name: "guest".to_owned(),
        credential: Credential::Password(Password::new("guest")),
        tags: vec!["administrator".to_owned()],
        permissions: vhosts.iter().map(|vhost| Permission::all(vhost.as_str())).collect(),
        topic_permissions: Vec::new(),
        limits: UserLimits::default(),
    }]
}

/// Processors this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
