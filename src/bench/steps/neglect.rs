//! `neglect`: one queue that nobody consumes gets a tenth of the messages, among twenty whose consumers keep up.
//!
//! Its messages lie between others that are long gone, so this shows what a broker pays for a queue that pins its
//! files: bytes written for each byte of body, and disk used beside what must be kept.

use std::time::{Duration, Instant};

use crate::bench::Result;
use crate::bench::confirms::Confirms;
use crate::bench::consumer::Consumer;
use crate::bench::deliveries::Deliveries;
use crate::bench::flow::Flow;
use crate::bench::mixture::{Mixture, NEGLECTED_SHARE};
use crate::bench::producer::{Bound, Producer};
use crate::bench::run::{Sides, perform, rate};
use crate::bench::stage::{self, Stage};
use crate::bench::steps::backlog::{add_written, receive};
use crate::bench::steps::report::Report;
use crate::bench::steps::watch::{Sample, peak_resident, thinned, watched};
use crate::bench::steps::{Task, mib, settled};
use crate::bench::watcher::{Counts, Watcher};
use crate::bench::workload::{Route, Workload};

const CONSUMED_QUEUES: usize = 20;
/// How long disk use must stay the same before it counts as settled; brokers tidy up every few seconds.
const CALM: Duration = Duration::from_secs(6);
const SAMPLES_SHOWN: usize = 30;

/// Publishes to all queues, consumes twenty, and at last the one that was left.
pub(super) fn run(task: &Task) -> Result<Report> {
    let rotation = CONSUMED_QUEUES as u64 * NEGLECTED_SHARE;
    // Whole rotations, so that every consumed queue gets equally many.
    let messages = task.messages.div_ceil(rotation) * rotation;
    let neglected = task.workload("neglected");
    let consumed = Workload { route: Route::Direct(CONSUMED_QUEUES), ..task.workload("consumed") };
    let mut left = Stage::set(&task.target, &neglected)?;
    let stage = Stage::set(&task.target, &consumed)?;
    let flow = Flow::new();
    let before = task.server.written();

    let kept_mib = || Some(mib(kept(flow.received()) * task.body_bytes as f64));
    let traffic = || {
        let sides = traffic(task, &consumed, [&stage, &left], messages, &flow)?;
        let busy = task.server.written();
        let disk = settled(|| task.server.disk_mib(), CALM);
        Ok((sides, busy, disk))
    };
    let ((sides, busy, disk), samples) = watched(&task.server, kept_mib, traffic)?;

    let mut report = Report::default();
    let payload_bytes = messages as f64 * task.body_bytes as f64;
    report.add("messages", messages as f64);
    for (published, received) in &sides {
        report.add("published_per_second", rate(published.messages, published.elapsed));
        report.add("received_per_second", rate(received.messages, received.elapsed));
        report.verdict.add(received.verdict);
        report.verdict.refused += published.refused;
    }
    let files = busy.zip(before).map(|(busy, before)| (busy - before).files as f64);
    report.add_known("file_bytes_in_traffic_per_payload", files.map(|bytes| bytes / payload_bytes));
    add_written(&mut report, &task.server, before, payload_bytes);
    add_disk(&mut report, &samples, disk);
    report.add_known("rss_peak_mib", peak_resident(&samples));
    report.samples = thinned(&samples, SAMPLES_SHOWN);

    let kept = messages / NEGLECTED_SHARE;
    left.wait_until_ready(kept)?;
    let rest =
        Task { messages: kept, target: task.target.clone(), server: task.server.clone(), ..*task };
    let received = receive(&rest, &neglected, &left.lanes()[0], 0)?;
    report.add("neglected_received_per_second", rate(received.messages, received.elapsed));
    report.verdict.add(received.verdict);
    report.verdict.left_behind = stage.take_down()? + left.take_down()?;
    report.add_known("disk_drained_mib", settled(|| task.server.disk_mib(), CALM));
    Ok(report)
}

/// Publishes and receives until all is through; `stages` are the consumed queues and the neglected one.
fn traffic(
    task: &Task,
    workload: &Workload,
    stages: [&Stage; 2],
    messages: u64,
    flow: &Flow,
) -> Result<Sides> {
    let [consumed, neglected] = stages.map(|stage| stage.lanes()[0].queues.as_slice());
    let receiving = stage::open_consumer(&task.target, workload, consumed)?;
    let publishing = stage::open_producer(&task.target, workload)?;
    let frame_max = publishing.frame_max;
    let start = Instant::now();
    let producer = Producer {
        connection: publishing,
        batch: Mixture::new(workload, consumed, &neglected[0], task.producer, frame_max),
        confirms: workload.confirm_window.map(Confirms::new),
        bound: Bound { messages, time: Duration::MAX },
        pace: None,
        in_flight: workload.default_in_flight(),
        flow,
        start,
    };
    let deliveries = Deliveries::new(workload, task.producer);
    let counts = || {
        let due = flow.sent() / NEGLECTED_SHARE * (NEGLECTED_SHARE - 1);
        Counts { published: flow.sent(), due, received: flow.received() }
    };
    let consumer = Consumer { connection: receiving, deliveries, flow, start };
    let watcher = Watcher::new(&[], "neglect".to_owned(), None, &counts);
    perform(vec![(producer, consumer)], &watcher).map(|(sides, _)| sides)
}

/// Messages in the neglected queue, given how many were received from the others; exact but for a confirm window.
fn kept(received: u64) -> f64 {
    received as f64 / (NEGLECTED_SHARE - 1) as f64
}

fn add_disk(report: &mut Report, samples: &[Sample], settled: Option<f64>) {
    let live = samples.last().and_then(|sample| sample.live_mib);
    let disk = |sample: &Sample| sample.disk_mib;
    // The promise is disk <= 2 x live + a constant; this is the constant that was needed.
    let beyond = |sample: &Sample| Some(sample.disk_mib? - 2.0 * sample.live_mib?);
    report.add_known("live_mib", live);
    report.add_known("disk_peak_mib", samples.iter().filter_map(disk).reduce(f64::max));
    report.add_known("disk_settled_mib", settled);
    report.add_known(
        "disk_beyond_twice_live_mib",
        samples.iter().filter_map(beyond).reduce(f64::max),
    );
    let settled_beyond = settled.zip(live).map(|(disk, live)| disk - 2.0 * live);
    report.add_known("settled_beyond_twice_live_mib", settled_beyond);
}
