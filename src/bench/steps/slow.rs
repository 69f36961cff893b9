//! `slow`: whether a consumer that takes one message a second holds up those who publish.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::bench::Result;
use crate::bench::connection::Connection;
use crate::bench::consumer::{Consumer, READ_TIMEOUT};
use crate::bench::flow::Flow;
use crate::bench::producer::Published;
use crate::bench::run::rate;
use crate::bench::stage::Stage;
use crate::bench::steps::Task;
use crate::bench::steps::backlog::{consumer, publish, receive};
use crate::bench::steps::report::Report;
use crate::bench::steps::watch::{peak_resident, watched};
use crate::bench::workload::{Settle, Workload};

/// How long the consumer works on each message.
const WORK: Duration = Duration::from_secs(1);

/// Fills a queue alone, beside a slow consumer, and alone again; then receives what the slow one left.
pub(super) fn run(task: &Task) -> Result<Report> {
    let workload = task.workload("slow");
    let (before, cpu_before) = alone(task, &workload)?;

    let mut stage = Stage::set(&task.target, &workload)?;
    let names = stage.lanes()[0].clone();
    let slow = Workload { settle: Settle::Manual { every: 1, prefetch: 1 }, ..workload };
    let (flow, enough) = (Flow::new(), AtomicBool::new(false));
    let sluggard = consumer(task, &slow, &names, 0, &flow)?;
    let cpu = task.server.cpu_seconds();
    let beside = || -> Result<(Published, u64)> {
        thread::scope(|scope| {
            let working = scope.spawn(|| dawdle(sluggard, &enough));
            let published = publish(task, &workload, &names);
            // A fast fill is over before the consumer is; it must have had something to do.
            thread::sleep(2 * WORK);
            enough.store(true, Ordering::Relaxed);
            let taken = working.join().map_err(|_| "a thread of the generator panicked")?;
            Ok((published?, taken?))
        })
    };
    let ((published, taken), samples) = watched(&task.server, || None, beside)?;
    let cpu = task.server.cpu_per_million(cpu, task.messages);
    stage.wait_until_ready(task.messages - taken)?;
    let settled = task.server.settled_mib();

    let rest = receive(task, &workload, &names, taken)?;
    let mut report = Report::default();
    report.verdict = rest.verdict;
    report.verdict.refused = published.refused;
    report.verdict.left_behind = stage.take_down()?;
    let (after, cpu_after) = alone(task, &workload)?;

    let alone = f64::midpoint(before, after);
    let beside = rate(published.messages, published.elapsed);
    report.add("messages", task.messages as f64);
    report.add("taken_by_slow_consumer", taken as f64);
    report.add("alone_before_per_second", before);
    report.add("alone_after_per_second", after);
    report.add("published_per_second", beside);
    report.add("rate_kept", beside / alone);
    report.add_known("alone_cpu_seconds_per_million", mean(cpu_before, cpu_after));
    report.add_known("cpu_seconds_per_million", cpu);
    report.add_known("rss_peak_mib", peak_resident(&samples));
    report.add_known("rss_after_mib", settled);
    report.add("rest_received_per_second", rate(rest.messages, rest.elapsed));
    Ok(report)
}

/// Messages a second into a queue without consumers, which is then deleted, and CPU seconds for each million.
fn alone(task: &Task, workload: &Workload) -> Result<(f64, Option<f64>)> {
    let stage = Stage::set(&task.target, workload)?;
    let cpu = task.server.cpu_seconds();
    let published = publish(task, workload, &stage.lanes()[0])?;
    let cpu = task.server.cpu_per_million(cpu, published.messages);
    let left_behind = stage.take_down()?;
    if left_behind != task.messages {
        return Err(format!("{left_behind} of {} messages in the queue", task.messages).into());
    }
    Ok((rate(published.messages, published.elapsed), cpu))
}

fn mean(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    Some(f64::midpoint(one?, other?))
}

/// Takes one message after the other, each for as long as [`WORK`], until `enough`; returns how many.
fn dawdle(mut consumer: Consumer, enough: &AtomicBool) -> Result<u64> {
    consumer.connection.stream.set_read_timeout(Some(READ_TIMEOUT))?;
    let (mut taken, mut acks) = (0, Vec::new());
    while !enough.load(Ordering::Relaxed) {
        consumer.read()?;
        match consumer.deliveries.take_received() {
            0 => continue,
            1 => taken += 1,
            more => return Err(format!("{more} deliveries with a prefetch limit of 1").into()),
        }
        thread::sleep(WORK);
        consumer.deliveries.take_acks(true, &mut acks);
        consumer.connection.stream.write_all(&acks)?;
        acks.clear();
    }
    let verdict = consumer.deliveries.verdict(taken);
    if !verdict.is_clean() {
        return Err(format!("the slow consumer saw {verdict:?}").into());
    }
    let Consumer { connection, .. } = consumer;
    Connection::close(connection)?;
    Ok(taken)
}
