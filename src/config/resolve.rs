//! From what was written to what is meant: checks a layer and writes it over the settings.
//!
//! Users are in `users`, policies and what else is said about virtual hosts in `vhosts`: they depend on the
//! other settings.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::file::{File, LogTable};
use super::source::{ConfigError, Source};
use super::{LogFormat, LogSettings, Settings};
use crate::broker::options::QueueType;
use crate::limits;

const MIB: i64 = 1024 * 1024;
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Writes what `file` sets over `settings`, but for the users.
pub(super) fn apply(file: File, source: Source<'_>, to: &mut Settings) -> Result<(), ConfigError> {
    let check = Check { source };
    check.numbers(&file, to)?;
    // Every field is named, so that none can be forgotten.
    #[rustfmt::skip]
    let File {
        listen, data_dir, transient, vhosts, trace, event_exchange, users: _, loopback_users, load_definitions,
        default_queue_type, vhost_settings: _, policies: _, operator_policies: _,
        product, version, platform, information, cluster_name, log,
        frame_max: _, channel_max: _, heartbeat: _, handshake_timeout_ms: _, max_message_size: _, consumer_timeout_ms: _,
        max_connections: _, worker_threads: _, unsaved_bytes: _, resident_bytes: _, transient_bytes: _, memory_high_watermark: _, disk_free_limit: _, linger_ms: _, checkpoint_interval_ms: _,
    } = file;
    set(check.listen(listen)?, &mut to.listen);
    set(check.data_dir(data_dir)?, &mut to.data_dir);
    set(transient, &mut to.transient);
    set(check.vhosts(vhosts)?, &mut to.vhosts);
    set(trace, &mut to.trace);
    set(event_exchange.map(|vhost| (!vhost.is_empty()).then_some(vhost)), &mut to.event_exchange);
    set(loopback_users, &mut to.loopback_users);
    if let Some(path) = load_definitions {
        to.load_definitions = Some(path).filter(|path| !path.as_os_str().is_empty());
    }
    if let Some(name) = default_queue_type {
        to.virtual_hosts.default_queue_type =
            queue_type(&name).map_err(|problem| source.refuse("default_queue_type", problem))?;
    }
    set(check.property("product", product)?, &mut to.product);
    set(check.property("version", version)?, &mut to.version);
    set(check.property("platform", platform)?, &mut to.platform);
    set(check.property("information", information)?, &mut to.information);
    set(check.property("cluster_name", cluster_name)?, &mut to.cluster_name);
    check.log(log.unwrap_or_default(), &mut to.log)
}

/// A name that AMQP 0-9-1 sends as a short string.
pub(super) fn check_name(source: Source<'_>, path: &str, name: &str) -> Result<(), ConfigError> {
    if name.is_empty() {
        return Err(source.refuse(path, "must not be empty"));
    }
    check_short(source, path, name)
}

/// The type of queue called `name`; the empty name is none.
pub(super) fn queue_type(name: &str) -> Result<Option<QueueType>, String> {
    match QueueType::from_name(name) {
        Some(QueueType::Stream) => Err("queue type stream is not supported".to_owned()),
        None if !name.is_empty() => {
            Err(format!("'{name}' is not a type of queue (allowed: classic, quorum)"))
        }
        queue_type => Ok(queue_type),
    }
}

fn check_short(source: Source<'_>, path: &str, text: &str) -> Result<(), ConfigError> {
    if text.len() > limits::SHORT_STRING_MAX {
        let problem = format!("longer than {} bytes", limits::SHORT_STRING_MAX);
        return Err(source.refuse(path, problem));
    }
    Ok(())
}

fn set<T>(value: Option<T>, to: &mut T) {
    if let Some(value) = value {
        *to = value;
    }
}

/// Checks single settings of one layer.
struct Check<'a> {
    source: Source<'a>,
}

impl Check<'_> {
    // One setting a line.
    #[rustfmt::skip]
    fn numbers(&self, file: &File, to: &mut Settings) -> Result<(), ConfigError> {
        let frame = i64::from(limits::FRAME_MIN)..=1 << 31;
        let message = 1..=i64::try_from(limits::MESSAGE_SIZE_CEILING).unwrap_or(i64::MAX);
        let unsaved = MIB..=65_536 * MIB;
        set(self.whole("frame_max", file.frame_max, frame, "bytes")?, &mut to.frame_max);
        set(self.whole("channel_max", file.channel_max, 1..=65_535, "channels")?, &mut to.channel_max);
        set(self.whole("heartbeat", file.heartbeat, 0..=65_535, "seconds")?, &mut to.heartbeat);
        set(self.whole("max_message_size", file.max_message_size, message, "bytes")?, &mut to.max_message_size);
        set(self.whole("max_connections", file.max_connections, 1..=1_000_000, "connections")?, &mut to.max_connections);
        set(self.whole("worker_threads", file.worker_threads, 0..=1024, "threads")?, &mut to.worker_threads);
        set(self.whole("unsaved_bytes", file.unsaved_bytes, unsaved, "bytes")?, &mut to.unsaved_bytes);
        set(self.whole("resident_bytes", file.resident_bytes, 0..=1 << 40, "bytes")?, &mut to.resident_bytes);
        set(self.whole("transient_bytes", file.transient_bytes, 0..=1 << 40, "bytes")?, &mut to.transient_bytes);
        set(self.whole("memory_high_watermark", file.memory_high_watermark, 0..=100, "percent")?, &mut to.memory_high_watermark);
        set(self.whole("disk_free_limit", file.disk_free_limit, 0..=1 << 50, "bytes")?, &mut to.disk_free_limit);
        set(self.millis("handshake_timeout_ms", file.handshake_timeout_ms, 100..=600_000)?, &mut to.handshake_timeout);
        let timeout = self.millis("consumer_timeout_ms", file.consumer_timeout_ms, 0..=31_536_000_000)?;
        set(timeout.map(|timeout| (!timeout.is_zero()).then_some(timeout)), &mut to.consumer_timeout);
        set(self.millis("linger_ms", file.linger_ms, 0..=10_000)?, &mut to.linger);
        set(self.millis("checkpoint_interval_ms", file.checkpoint_interval_ms, 100..=3_600_000)?, &mut to.checkpoint_interval);
        Ok(())
    }

    fn whole<T: TryFrom<i64>>(
        &self,
        path: &str,
        value: Option<i64>,
        allowed: RangeInclusive<i64>,
        unit: &str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = value else { return Ok(None) };
        if !allowed.contains(&value) {
            let (low, high) = allowed.into_inner();
            let problem = format!("{value} is not within {low}-{high} {unit}");
            return Err(self.source.refuse(path, problem));
        }
        let too_large = |_| self.source.refuse(path, format!("{value} is too large here"));
        T::try_from(value).map(Some).map_err(too_large)
    }

    fn millis(
        &self,
        path: &str,
        value: Option<i64>,
        allowed: RangeInclusive<i64>,
    ) -> Result<Option<Duration>, ConfigError> {
        let millis = self.whole(path, value, allowed, "milliseconds")?;
        Ok(millis.map(Duration::from_millis))
    }

    fn listen(&self, value: Option<Vec<String>>) -> Result<Option<Vec<SocketAddr>>, ConfigError> {
        let Some(texts) = value else { return Ok(None) };
        if texts.is_empty() {
            return Err(self.source.refuse("listen", "needs at least one address"));
        }
        let addresses = texts.iter().enumerate().map(|(position, text)| {
            let path = format!("listen.{position}");
            address(text).map_err(|problem| self.source.refuse(&path, problem))
        });
        addresses.collect::<Result<_, _>>().map(Some)
    }

    fn data_dir(&self, value: Option<PathBuf>) -> Result<Option<PathBuf>, ConfigError> {
        if value.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            return Err(self.source.refuse("data_dir", "must not be empty"));
        }
        Ok(value)
    }

    fn vhosts(&self, value: Option<Vec<String>>) -> Result<Option<Vec<String>>, ConfigError> {
        let Some(vhosts) = &value else { return Ok(None) };
        if vhosts.is_empty() {
            return Err(self.source.refuse("vhosts", "needs at least one virtual host"));
        }
        for (position, vhost) in vhosts.iter().enumerate() {
            let path = format!("vhosts.{position}");
            check_name(self.source, &path, vhost)?;
            if vhosts.iter().take(position).any(|other| other == vhost) {
                return Err(self.source.refuse(&path, format!("'{vhost}' is there twice")));
            }
        }
        Ok(value)
    }

    /// Server properties go into one frame of a size every client can take, so they are kept short.
    fn property(&self, path: &str, value: Option<String>) -> Result<Option<String>, ConfigError> {
        if let Some(text) = &value {
            check_short(self.source, path, text)?;
        }
        Ok(value)
    }

    fn log(&self, log: LogTable, to: &mut LogSettings) -> Result<(), ConfigError> {
        let LogTable { level, format } = log;
        if let Some(level) = &level {
            check_filter(level).map_err(|problem| self.source.refuse("log.level", problem))?;
        }
        set(level, &mut to.level);
        match format.as_deref() {
            None => {}
            Some("text") => to.format = LogFormat::Text,
            Some(other) => {
                let problem = format!("'{other}' is not a format (allowed: text)");
                return Err(self.source.refuse("log.format", problem));
            }
        }
        Ok(())
    }
}

/// Reads an IP address and a port. Names are not looked up: what is listened on must not depend on a
/// server elsewhere.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let example = "such as 127.0.0.1:5672, 0.0.0.0:5672 or [::1]:5672";
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!("'{text}' has no port; expected an address and a port {example}"));
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_number = !port.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit());
    if host.parse::<IpAddr>().is_ok() && port.parse::<u16>().is_err() && is_number {
        let allowed = "(1-65535, or 0 for any free one)";
        return Err(format!("'{text}': {port} does not fit a port {allowed}"));
    }
    Err(format!("'{text}' is not an IP address and a port {example}"))
}

/// A level, or several of `target=level` and a level for the rest, separated by commas. Stricter than
/// the filter that will read it, which would take a misspelt level for the name of a target.
fn check_filter(text: &str) -> Result<(), String> {
    for part in text.split(',') {
        let (target, level) = part.split_once('=').unwrap_or(("leveret", part));
        let is_target = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        if !LEVELS.contains(&level) || target.is_empty() || !target.chars().all(is_target) {
            let allowed = LEVELS.join(", ");
            return Err(format!("'{part}' is not a level (allowed: {allowed}, or target=level)"));
        }
    }
    Ok(())
}
