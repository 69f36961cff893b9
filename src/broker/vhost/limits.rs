//! What a virtual host may hold.

use super::VHost;
use crate::sync::Place;

/// Bounds of a virtual host; `None` is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VHostLimits {
    /// Connections at a time.
    pub max_connections: Option<u64>,
    /// Queues.
    pub max_queues: Option<u64>,
    /// Exchanges, those that are always there not counted.
    pub max_exchanges: Option<u64>,
}

impl VHost {
    /// A place for one more connection, or how many there may be if all are taken.
    pub fn admit(&self) -> Result<Place, u64> {
        let limit = self.limits().max_connections;
        self.connections.take(limit)
    }
}

/// The limit, if there are as many already.
pub(super) fn reached(limit: Option<u64>, count: usize) -> Option<u64> {
    limit.filter(|limit| u64::try_from(count).is_ok_and(|count| count >= *limit))
}
