//! `fill` and `drain`: a backlog goes in, and comes out again, perhaps from another life of the broker.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::bench::Result;
use crate::bench::confirms::Confirms;
use crate::bench::connection::{Connection, Target};
use crate::bench::consumer::{Consumer, Received};
use crate::bench::deliveries::Deliveries;
use crate::bench::flow::Flow;
use crate::bench::message::Batch;
use crate::bench::producer::{Bound, Producer, Published};
use crate::bench::run::rate;
use crate::bench::stage::{self, LaneNames, Stage};
use crate::bench::steps::report::Report;
use crate::bench::steps::watch::{peak_resident, watched};
use crate::bench::steps::{Server, Task};
use crate::bench::workload::Workload;

const NAME: &str = "backlog";
/// How long a broker may take to answer after its start.
const START_PATIENCE: Duration = Duration::from_mins(5);
const TRY_EVERY: Duration = Duration::from_micros(300);

/// Fills a queue and leaves it.
pub(super) fn fill(task: &Task) -> Result<Report> {
    let workload = task.workload(NAME);
    let mut stage = Stage::set(&task.target, &workload)?;
    let empty_mib = task.server.settled_mib();
    let (before, cpu) = (task.server.written(), task.server.cpu_seconds());
    let (published, samples) =
        watched(&task.server, || None, || publish(task, &workload, &stage.lanes()[0]))?;
    let cpu = task.server.cpu_per_million(cpu, published.messages);
    stage.wait_until_ready(task.messages)?;

    let mut report = Report::default();
    report.verdict.refused = published.refused;
    report.add("messages", published.messages as f64);
    report.add("published_per_second", rate(published.messages, published.elapsed));
    report.add_known("cpu_seconds_per_million", cpu);
    let latency = |share| published.latency.as_ref().and_then(|all| all.quantile_ms(share));
    report.add_known("confirm_p50_ms", latency(0.5));
    report.add_known("confirm_p99_ms", latency(0.99));
    report.add_known("rss_before_mib", empty_mib);
    report.add_known("rss_peak_mib", peak_resident(&samples));
    report.add_known("rss_after_mib", task.server.settled_mib());
    add_written(&mut report, &task.server, before, task.payload_bytes());
    report.add_known("disk_mib", task.server.disk_mib());
    Ok(report)
}

/// Receives everything from the queue and deletes it.
pub(super) fn drain(task: &Task) -> Result<Report> {
    let workload = task.workload(NAME);
    let mut report = Report::default();
    if task.awaits_broker {
        await_broker(&task.target)?;
        report.add("answered_at_s", seconds_since_epoch());
    }
    let mut stage = Stage::find(&task.target, &workload)?;
    let ready = stage.ready()?;
    let begun_at = seconds_since_epoch();
    let (before, cpu) = (task.server.written(), task.server.cpu_seconds());
    let (received, samples) =
        watched(&task.server, || None, || receive(task, &workload, &stage.lanes()[0], 0))?;
    let cpu = task.server.cpu_per_million(cpu, received.messages);
    if task.awaits_broker {
        let first = received.first.map(|first| begun_at + first.as_secs_f64());
        report.add_known("first_delivery_at_s", first);
    }
    report.verdict = received.verdict;
    report.add("ready", ready as f64);
    report.add("messages", received.messages as f64);
    report.add("received_per_second", rate(received.messages, received.elapsed));
    report.add_known("cpu_seconds_per_million", cpu);
    report.add("redelivered", received.redelivered as f64);
    report.add_known("rss_peak_mib", peak_resident(&samples));
    add_written(&mut report, &task.server, before, task.payload_bytes());
    report.verdict.left_behind = stage.take_down()?;
    report.add_known("rss_after_mib", task.server.settled_mib());
    report.add_known("disk_after_mib", task.server.disk_mib());
    Ok(report)
}

/// Publishes the task's messages to a queue that nobody empties.
pub(super) fn publish(task: &Task, workload: &Workload, names: &LaneNames) -> Result<Published> {
    let connection = stage::open_producer(&task.target, workload)?;
    let flow = Flow::new();
    let producer = Producer {
        batch: Batch::new(workload, &names.addresses, task.producer, connection.frame_max),
        connection,
        confirms: workload.confirm_window.map(Confirms::new),
        bound: Bound { messages: task.messages, time: Duration::MAX },
        pace: None,
        in_flight: u64::MAX,
        flow: &flow,
        start: Instant::now(),
    };
    producer.run()
}

/// Receives all messages of the task but the first `already`, settles them as `workload` says, and leaves.
pub(super) fn receive(
    task: &Task,
    workload: &Workload,
    names: &LaneNames,
    already: u64,
) -> Result<Received> {
    let flow = Flow::new();
    flow.finish_publishing(task.messages);
    consumer(task, workload, names, already, &flow)?.run()
}

/// A consumer of the task's messages but the first `already`, subscribed; its time counts from before that.
pub(super) fn consumer<'a>(
    task: &Task,
    workload: &Workload,
    names: &LaneNames,
    already: u64,
    flow: &'a Flow,
) -> Result<Consumer<'a>> {
    let start = Instant::now();
    Ok(Consumer {
        connection: stage::open_consumer(&task.target, workload, &names.queues)?,
        deliveries: Deliveries::new(workload, task.producer).after(already),
        flow,
        start,
    })
}

/// Adds what the server wrote since `before`, for each byte of body.
pub(super) fn add_written(
    report: &mut Report,
    server: &Server,
    before: Option<crate::bench::process::Written>,
    payload_bytes: f64,
) {
    let Some((now, before)) = server.written().zip(before) else { return };
    for (name, value) in (now - before).per_payload(payload_bytes) {
        report.add_known(name, value);
    }
}

/// Waits until the broker opens a connection, whatever it does before that.
fn await_broker(target: &Target) -> Result<()> {
    let start = Instant::now();
    loop {
        match Connection::open(target) {
            Ok(connection) => return connection.close(),
            Err(error) if start.elapsed() > START_PATIENCE => return Err(error),
            Err(_) => thread::sleep(TRY_EVERY),
        }
    }
}

fn seconds_since_epoch() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
