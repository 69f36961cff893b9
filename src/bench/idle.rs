//! Connections that are open and do nothing, to see what they cost.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::bench::Result;
use crate::bench::connection::{Connection, Target};

/// Large enough for what a broker says when a connection is opened.
const READ_BUFFER_BYTES: usize = 16 << 10;
/// Descriptors that the rest of the generator needs.
const OTHER_FILES: u64 = 256;

/// Connections held open.
#[derive(Debug)]
pub(crate) struct IdleConnections(Vec<Connection>);

impl IdleConnections {
    /// Opens `count` connections, one after the other.
    pub(crate) fn open(target: &Target, count: u32) -> Result<Self> {
        allow_files(u64::from(count) + OTHER_FILES)?;
        let open = |_| Connection::open_with(target, READ_BUFFER_BYTES);
        Ok(Self((0..count).map(open).collect::<Result<_>>()?))
    }

    /// Closes all; fails when one is no longer open.
    pub(crate) fn close(self) -> Result<()> {
        self.0.into_iter().try_for_each(Connection::close)
    }
}

/// Sees to it that this process may have `count` files open.
fn allow_files(count: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    if let Some(maximum) = limit.maximum.filter(|maximum| *maximum < count) {
        return Err(format!(
            "this process may have {maximum} files open, and {count} are needed; raise the hard limit (ulimit -Hn)"
        )
        .into());
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum: limit.maximum })?;
    Ok(())
}
