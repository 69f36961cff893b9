//! `unacked`: what a message costs that was handed over and not settled, and how fast it all comes back.

use std::thread;
use std::time::Instant;

use crate::bench::Result;
use crate::bench::flow::Flow;
use crate::bench::run::rate;
use crate::bench::stage::Stage;
use crate::bench::steps::backlog::{consumer, publish, receive};
use crate::bench::steps::report::Report;
use crate::bench::steps::{Task, bytes_each};
use crate::bench::workload::{Settle, Workload};

/// Fills a queue, receives all of it without acknowledging, closes, and receives it again.
pub(super) fn run(task: &Task) -> Result<Report> {
    let workload = task.workload("unacked");
    let mut stage = Stage::set(&task.target, &workload)?;
    let names = stage.lanes()[0].clone();
    let server = &task.server;
    let mut report = Report::default();

    let empty = server.settled_mib();
    let published = publish(task, &workload, &names)?;
    stage.wait_until_ready(task.messages)?;
    let filled = server.settled_mib();

    let unsettled = Workload { settle: Settle::Never, ..workload };
    let flow = Flow::new();
    flow.finish_publishing(task.messages);
    let mut holder = consumer(task, &unsettled, &names, 0, &flow)?;
    let held = holder.receive_all().map_err(|error| holder.connection.explain(error))?;
    stage.wait_until_ready(0)?;
    let unacked = server.settled_mib();

    let closed = Instant::now();
    // The broker may answer only after everything is back, so somebody else asks meanwhile.
    let returned = thread::scope(|scope| -> Result<_> {
        let closing = scope.spawn(|| holder.connection.close());
        stage.wait_until_ready(task.messages)?;
        let returned = closed.elapsed();
        closing.join().map_err(|_| "a thread of the generator panicked")??;
        Ok(returned)
    })?;

    let again = receive(task, &workload, &names, 0)?;
    report.verdict = held.verdict;
    report.verdict.add(again.verdict);
    report.verdict.refused += published.refused;
    report.verdict.unmarked = again.messages.saturating_sub(again.redelivered);
    report.verdict.left_behind = stage.take_down()?;

    let over = |base| bytes_each(base, unacked, task.messages as f64);
    report.add("messages", task.messages as f64);
    report.add("body_bytes", task.body_bytes as f64);
    report.add("handed_over_per_second", rate(held.messages, held.elapsed));
    report.add_known("rss_empty_mib", empty);
    report.add_known("rss_filled_mib", filled);
    report.add_known("rss_unacked_mib", unacked);
    report.add_known("rss_per_unacked_bytes", over(empty));
    report.add_known("rss_added_by_handover_bytes", over(filled));
    report.add("requeue_seconds", returned.as_secs_f64());
    report.add("received_again_per_second", rate(again.messages, again.elapsed));
    Ok(report)
}
