//! What can go wrong with bytes on disk: which file, what, and what the operator can do.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An error of the store. [`StoreError::Full`] passes when space is freed; every other error of a
/// write or sync is a reason to stop, because nobody knows what the disk holds afterwards.
#[derive(Debug)]
pub enum StoreError {
    /// No space left. Nothing was changed; the same call may be made again.
    Full {
        /// The file or directory that could not grow.
        path: PathBuf,
    },
    /// Another process has the data directory open.
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// The data directory is none, or not one of this version.
    Unusable {
        /// The directory or file in question.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// A file does not hold what was written to it.
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A value of the checkpoint is missing, or is not what was stored.
    DamagedValue {
        /// Its key.
        key: Vec<u8>,
        /// What is wrong.
        what: String,
    },
    /// More than a file of the log can hold.
    TooLarge {
        /// Size of the batch.
        bytes: u64,
        /// What would have fitted.
        limit: u64,
    },
    /// The operating system refused.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was being done: "write", "sync".
        what: &'static str,
        /// Its reason.
        source: io::Error,
    },
    /// The checkpoint database refused.
    Checkpoint {
        /// Its directory.
        path: PathBuf,
        /// What was being done: "open", "apply".
        what: &'static str,
        /// Its reason.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The log refused to go on after an earlier error.
    Stopped {
        /// The log's directory.
        path: PathBuf,
    },
}

impl StoreError {
    /// For `map_err`: the error of doing `what` to `path`, a full disk told apart.
    pub(super) fn io(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            if is_full(&source) {
                return Self::Full { path: path.to_owned() };
            }
            Self::fatal(path, what)(source)
        }
    }

    /// For `map_err`: the error of doing `what` to `path`, where even a full disk is final.
    pub(super) fn fatal(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), what, source }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { path } => {
                write!(formatter, "store: no space left for {}", path.display())
            }
            Self::InUse { path } => write!(
                formatter,
                "store: {} is in use by another process; stop it, or choose another data directory",
                path.display()
            ),
            Self::Unusable { path, what } => {
                write!(formatter, "store: {} cannot be used: {what}", path.display())
            }
            Self::Damaged { file, offset, what } => {
                write!(formatter, "store: {} is damaged at {offset}: {what}", file.display())
            }
            Self::DamagedValue { key, what } => write!(
                formatter,
                "store: the checkpoint's value of key '{}' cannot be used: {what}",
                key.escape_ascii()
            ),
            Self::TooLarge { bytes, limit } => {
                write!(formatter, "store: a batch of {bytes} bytes does not fit a file of {limit}")
            }
            Self::Io { path, what, source } => {
                write!(formatter, "store: {what} failed on {} ({source})", path.display())
            }
            Self::Checkpoint { path, what, source } => {
                write!(
                    formatter,
                    "store: checkpoint {what} failed in {} ({source})",
                    path.display()
                )
            }
            Self::Stopped { path } => write!(
                formatter,
                "store: the log in {} stopped after an earlier error; restart to recover it",
                path.display()
            ),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Checkpoint { source, .. } => Some(source.as_ref()),
            Self::Full { .. }
            | Self::InUse { .. }
            | Self::Unusable { .. }
            | Self::Damaged { .. }
            | Self::DamagedValue { .. }
            | Self::TooLarge { .. }
            | Self::Stopped { .. } => None,
        }
    }
}

/// Whether an error says that there is no space, on the disk or for this user.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
