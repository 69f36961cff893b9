//! `connections`: how long many connections take to open, and how much memory each needs that does nothing.

use std::time::Instant;

use crate::bench::Result;
use crate::bench::idle::IdleConnections;
use crate::bench::steps::report::Report;
use crate::bench::steps::{Task, bytes_each};

/// Opens the connections, one after the other, and closes them.
pub(super) fn run(task: &Task) -> Result<Report> {
    let server = &task.server;
    let before = server.settled_mib();
    let start = Instant::now();
    let connections = IdleConnections::open(&task.target, task.connections)?;
    let opening = start.elapsed();
    let after = server.settled_mib();
    let start = Instant::now();
    connections.close()?;
    let closing = start.elapsed();

    let mut report = Report::default();
    let per_connection = bytes_each(before, after, f64::from(task.connections));
    report.add("connections", f64::from(task.connections));
    report.add("open_seconds", opening.as_secs_f64());
    report.add("close_seconds", closing.as_secs_f64());
    report.add_known("rss_before_mib", before);
    report.add_known("rss_after_mib", after);
    report.add_known("rss_per_connection_bytes", per_connection);
    report.add_known("rss_closed_mib", server.settled_mib());
    Ok(report)
}
