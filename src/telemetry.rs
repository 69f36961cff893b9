//! Where log lines go: one compact line of text each, to standard error.

use std::fmt;
use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogSettings};

/// Starts logging for the whole process as `settings` ask.
///
/// Fails if the process logs already, or if the level is no filter.
pub fn init(settings: &LogSettings) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder()
        .parse(&settings.level)
        .map_err(|_| TelemetryError::Filter(settings.level.clone()))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        // Colours are for people; a file or a collector gets plain text.
        .with_ansi(stderr().is_terminal())
        // A line that cannot be written would be complained of on standard error as well, by a macro that panics.
        .log_internal_errors(false);
    match settings.format {
        LogFormat::Text => subscriber.compact().try_init(),
    }
    .map_err(|_| TelemetryError::AlreadyLogging)
}

/// Why logging did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TelemetryError {
    /// The level is neither a level nor a list of targets with levels.
    Filter(String),
    /// Somebody set up logging before.
    AlreadyLogging,
}

impl fmt::Display for TelemetryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(filter) => write!(f, "log.level: '{filter}' is not a filter"),
            Self::AlreadyLogging => f.write_str("logging was set up already"),
        }
    }
}

impl std::error::Error for TelemetryError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(level: &str) -> LogSettings {
        LogSettings { level: level.to_owned(), format: LogFormat::Text }
    }

    #[test]
    fn logging_starts_only_once() {
        // Whether the first call succeeds depends on the other tests of this process.
        let _may_be_second = init(&at("off"));
        assert_eq!(init(&at("off")), Err(TelemetryError::AlreadyLogging));
    }

    #[test]
    fn a_level_that_is_no_filter_is_refused() {
        let refused = Err(TelemetryError::Filter("leveret=loud".to_owned()));
        assert_eq!(init(&at("leveret=loud")), refused);
    }
}
