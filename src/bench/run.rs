//! One run of one workload, from an empty stage to a verdict.

use std::path::PathBuf;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::bench::confirms::Confirms;
use crate::bench::connection::Target;
use crate::bench::consumer::{Consumer, Received};
use crate::bench::deliveries::Deliveries;
use crate::bench::flow::Flow;
use crate::bench::histogram::Histogram;
use crate::bench::message::{Batch, Messages};
use crate::bench::process::Written;
use crate::bench::producer::{Bound, Producer, Published};
use crate::bench::sequence::Verdict;
use crate::bench::stage::{self, LaneNames, Stage};
use crate::bench::workload::Workload;
use crate::bench::{Options, Result, process};

const MEMORY_SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// What is the same for all runs.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    /// Messages per producer, if limited.
    pub(crate) messages: Option<u64>,
    /// Time to publish, if not the workload's own.
    pub(crate) seconds: Option<Duration>,
    /// Deliveries in flight per lane, if not the workload's own.
    pub(crate) in_flight: Option<u64>,
    /// The server's processes.
    pub(crate) pids: Vec<u32>,
    /// Where the server keeps its data, if that is known.
    pub(crate) data_dir: Option<PathBuf>,
}

/// What one run measured.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) published: u64,
    pub(crate) received: u64,
    pub(crate) published_per_second: f64,
    pub(crate) received_per_second: f64,
    /// CPU seconds of the server, if its processes are known.
    pub(crate) server_cpu_seconds: Option<f64>,
    /// CPU seconds of this generator.
    pub(crate) own_cpu_seconds: f64,
    /// The largest resident memory of the server seen during the run.
    pub(crate) server_peak_mib: Option<f64>,
    /// What the server wrote to files, if its processes are known and the kernel tells.
    pub(crate) server_written: Option<Written>,
    /// Bytes of message bodies that were published.
    pub(crate) payload_bytes: u64,
    /// Confirm latencies of all producers, for workloads with confirms.
    pub(crate) confirm_latency: Option<Histogram>,
    pub(crate) verdict: Verdict,
}

impl Outcome {
    /// CPU seconds of the server for each million messages received.
    pub(crate) fn server_cpu_per_million(&self) -> Option<f64> {
        self.server_cpu_seconds.map(|seconds| seconds / (self.received as f64 / 1e6))
    }

    /// Bytes the server has written for each byte of body published, by the names of the counts.
    pub(crate) fn write_amplification(&self) -> [(&'static str, Option<f64>); 3] {
        let unknown = Written::default().per_payload(1.0).map(|(name, _)| (name, None));
        let payload_bytes = self.payload_bytes as f64;
        self.server_written.map_or(unknown, |written| written.per_payload(payload_bytes))
    }
}

/// Runs `workload` once.
pub(crate) fn run(plan: &Plan, workload: &Workload) -> Result<Outcome> {
    let stage = Stage::set(&plan.target, workload)?;
    let flows: Vec<Flow> = stage.lanes().iter().map(|_| Flow::new()).collect();
    let outcome = measure(plan, workload, stage.lanes(), &flows);
    // The stage is taken down after a failure too; the failure is what matters then.
    let left_behind = stage.take_down();
    let mut outcome = outcome?;
    outcome.verdict.left_behind = left_behind?;
    Ok(outcome)
}

fn measure(
    plan: &Plan,
    workload: &Workload,
    names: &[LaneNames],
    flows: &[Flow],
) -> Result<Outcome> {
    let lanes: Vec<_> = names
        .iter()
        .zip(flows)
        .zip(producer_ids()..)
        .map(|((names, flow), producer)| open_lane(plan, workload, names, flow, producer))
        .collect::<Result<_>>()?;

    let server_before = process::cpu_seconds(&plan.pids)?;
    let own_before = process::own_cpu_seconds()?;
    // Only root may ask about the files of another user's process, so this is allowed to fail.
    let written_before = process::written(&plan.pids, plan.data_dir.as_deref()).ok();
    let (sides, peak_mib) = perform(lanes, &plan.pids)?;
    let server_cpu = process::cpu_seconds(&plan.pids)? - server_before;
    let own_cpu = process::own_cpu_seconds()? - own_before;
    let written = process::written(&plan.pids, plan.data_dir.as_deref()).ok();

    let mut outcome = sum_up(&sides);
    outcome.payload_bytes = outcome.published * workload.body_bytes as u64;
    outcome.own_cpu_seconds = own_cpu;
    if !plan.pids.is_empty() {
        outcome.server_cpu_seconds = Some(server_cpu);
        outcome.server_peak_mib = Some(peak_mib);
        outcome.server_written = written.zip(written_before).map(|(now, before)| now - before);
    }
    Ok(outcome)
}

fn open_lane<'a>(
    plan: &Plan,
    workload: &Workload,
    names: &LaneNames,
    flow: &'a Flow,
    producer: u64,
) -> Result<(Producer<'a, Batch>, Consumer<'a>)> {
    let consuming = stage::open_consumer(&plan.target, workload, &names.queues)?;
    let publishing = stage::open_producer(&plan.target, workload)?;
    let batch = Batch::new(workload, &names.addresses, producer, publishing.frame_max);
    // Below one batch a producer could never write.
    let least = batch.deliveries(batch.room_after(0)) + 1;
    let in_flight = plan.in_flight.unwrap_or_else(|| workload.default_in_flight()).max(least);
    let start = Instant::now();
    let consumer = Consumer {
        connection: consuming,
        deliveries: Deliveries::new(workload, producer),
        flow,
        start,
    };
    let producer = Producer {
        connection: publishing,
        batch,
        confirms: workload.confirm_window.map(Confirms::new),
        bound: plan.bound(workload),
        in_flight,
        flow,
        start,
    };
    Ok((producer, consumer))
}

impl Plan {
    /// The plan that `options` ask for.
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            target: options.target(),
            messages: options.messages,
            seconds: options.seconds,
            in_flight: options.in_flight,
            pids: options.server.pid.clone(),
            data_dir: options.server.data_dir.clone(),
        }
    }

    fn bound(&self, workload: &Workload) -> Bound {
        // A number of messages alone is a bound too: a standstill ends the run.
        let unlimited = self.messages.map(|_| Duration::MAX);
        Bound {
            messages: self.messages.unwrap_or(u64::MAX),
            time: self.seconds.or(unlimited).unwrap_or(workload.length),
        }
    }
}

/// What the two sides of each lane report.
pub(crate) type Sides = Vec<(Published, Received)>;

/// Lets all lanes run to their end; meanwhile watches the server's memory, whose peak in MiB it returns.
pub(crate) fn perform<M: Messages + Send>(
    lanes: Vec<(Producer<M>, Consumer)>,
    pids: &[u32],
) -> Result<(Sides, f64)> {
    let start = Instant::now();
    thread::scope(|scope| {
        let mut handles = Vec::new();
        for (mut producer, mut consumer) in lanes {
            producer.start = start;
            consumer.start = start;
            let receiving = thread::Builder::new().name("consumer".into());
            let receiving = receiving.spawn_scoped(scope, move || consumer.run())?;
            let publishing = thread::Builder::new().name("producer".into());
            let publishing = publishing.spawn_scoped(scope, move || producer.run())?;
            handles.push((publishing, receiving));
        }
        let mut peak_mib = 0.0_f64;
        while handles.iter().any(|(_, receiving)| !receiving.is_finished()) {
            // A server that has died is reported by the lanes, with a better reason.
            peak_mib = peak_mib.max(process::resident_mib(pids).unwrap_or(0.0));
            thread::sleep(MEMORY_SAMPLE_EVERY);
        }
        let sides = handles.into_iter().map(|(publishing, receiving)| {
            match (joined(publishing), joined(receiving)) {
                (Ok(published), Ok(received)) => Ok((published, received)),
                (published, received) => Err(both_failures(published.err(), received.err())),
            }
        });
        Ok((sides.collect::<Result<_>>()?, peak_mib))
    })
}

fn joined<T>(handle: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle.join().map_err(|_| "a thread of the generator panicked")?
}

fn both_failures(
    producer: Option<crate::bench::Failure>,
    consumer: Option<crate::bench::Failure>,
) -> crate::bench::Failure {
    let side =
        |name, failure: Option<crate::bench::Failure>| failure.map(|why| format!("{name}: {why}"));
    let texts = [side("producer", producer), side("consumer", consumer)];
    texts.into_iter().flatten().collect::<Vec<_>>().join("; ").into()
}

fn sum_up(sides: &[(Published, Received)]) -> Outcome {
    let mut outcome = Outcome {
        published: 0,
        received: 0,
        published_per_second: 0.0,
        received_per_second: 0.0,
        server_cpu_seconds: None,
        own_cpu_seconds: 0.0,
        server_peak_mib: None,
        server_written: None,
        payload_bytes: 0,
        confirm_latency: None,
        verdict: Verdict::default(),
    };
    for (published, received) in sides {
        outcome.published += published.messages;
        outcome.received += received.messages;
        outcome.published_per_second += rate(published.messages, published.elapsed);
        outcome.received_per_second += rate(received.messages, received.elapsed);
        outcome.verdict.add(received.verdict);
        outcome.verdict.refused += published.refused;
        if let Some(latency) = &published.latency {
            outcome.confirm_latency.get_or_insert_with(Histogram::new).add(latency);
        }
    }
    outcome
}

/// Events a second.
pub(crate) fn rate(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(1e-9)
}

/// Numbers for the producers of this run, so that leftovers of an earlier one are recognised.
fn producer_ids() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(0) << 8
}
