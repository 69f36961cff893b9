//! How many file descriptors connections may take.
//!
//! Every connection is one. If they took the last, the log could not begin its next segment, and a broker whose log
//! fails stops. So some are left to the store, and whoever comes when the others are taken waits to be accepted.

use std::fs;

use crate::limits;

/// As many of `wanted` connections as there are descriptors for.
pub(super) fn room_for_connections(wanted: usize) -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let Some(files) = soft_limit(&limits) else { return wanted };
    let room = room(files);
    if room < wanted {
        tracing::warn!(
            files,
            connections = room,
            "fewer connections than configured: there are not enough file descriptors (ulimit -n)"
        );
    }
    wanted.min(room)
}

/// Where descriptors are few, the store gets half of them.
fn room(files: usize) -> usize {
    files - limits::FILES_RESERVED.min(files.div_ceil(2))
}

/// `Max open files            1024                 524288               files`
fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_how_many_there_are() {
        let limits = "Limit      Soft Limit   Hard Limit   Units\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(soft_limit(limits), Some(1024));
        assert_eq!(soft_limit("Max open files   unlimited  unlimited  files\n"), None);
        assert!(soft_limit(&fs::read_to_string("/proc/self/limits").unwrap()).is_some());
    }

    #[test]
    fn the_store_has_its_share_however_few_there_are() {
        assert_eq!(room(20_000), 20_000 - limits::FILES_RESERVED);
        assert_eq!(room(64), 32);
        assert_eq!(room(1), 0);
    }
}
