//! One run of one workload, from an empty stage to a verdict.

use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::bench::confirms::Confirms;
use crate::bench::connection::Target;
use crate::bench::consumer::{Consumer, Received};
use crate::bench::deliveries::Deliveries;
use crate::bench::flow::Flow;
use crate::bench::idle::IdleConnections;
use crate::bench::message::{Batch, Messages};
use crate::bench::options::Server;
use crate::bench::outcome::{Meter, Outcome};
use crate::bench::pace::Pace;
use crate::bench::producer::{Bound, Producer, Published};
use crate::bench::stage::{self, LaneNames, Stage};
use crate::bench::watcher::{Counts, Watcher};
use crate::bench::workload::{Work, Workload};
use crate::bench::{Failure, Options, Result, churn};

pub(crate) use crate::bench::outcome::rate;

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
    /// Connections that are open meanwhile and do nothing.
    pub(crate) idle_connections: u32,
    /// What is known of the server.
    pub(crate) server: Server,
}

impl Plan {
    /// The plan that `options` ask for.
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            target: options.target(),
            messages: options.messages,
            seconds: options.seconds,
            in_flight: options.in_flight,
            idle_connections: options.overrides.idle_connections,
            server: options.server.clone(),
        }
    }

    /// When a producer of `workload` stops.
    pub(crate) fn bound(&self, workload: &Workload) -> Bound {
        Bound {
            messages: self.messages.unwrap_or(u64::MAX),
            time: self.length(workload).unwrap_or(Duration::MAX),
        }
    }

    /// How long a run publishes. A number of messages alone is a bound too, as a standstill ends the run.
    pub(crate) fn length(&self, workload: &Workload) -> Option<Duration> {
        self.seconds.or_else(|| self.messages.is_none().then_some(workload.length))
    }
}

/// Runs `workload` once.
pub(crate) fn run(plan: &Plan, workload: &Workload) -> Result<Outcome> {
    let idle = IdleConnections::open(&plan.target, plan.idle_connections)?;
    let outcome = match workload.work {
        Work::Stream => stream(plan, workload),
        Work::Churn => churn::run(plan, workload),
    }?;
    idle.close()?;
    Ok(outcome)
}

fn stream(plan: &Plan, workload: &Workload) -> Result<Outcome> {
    let set = |workload: &Workload| Stage::set(&plan.target, workload);
    let stage = set(workload)?;
    let beside = workload.beside.map(|beside| set(beside).map(|stage| (beside, stage)));
    let beside = beside.transpose()?;
    let names = beside.as_ref().map(|(beside, stage)| (*beside, stage.lanes()));
    let outcome = measure(plan, (workload, stage.lanes()), names);
    // The stage is taken down after a failure too; the failure is what matters then.
    let mut left_behind = stage.take_down();
    if let Some((_, stage)) = beside {
        let left_beside = stage.take_down();
        left_behind = left_behind.and_then(|count| Ok(count + left_beside?));
    }
    let mut outcome = outcome?;
    outcome.verdict.left_behind = left_behind?;
    Ok(outcome)
}

fn measure(
    plan: &Plan,
    (workload, names): (&Workload, &[LaneNames]),
    beside: Option<(&Workload, &[LaneNames])>,
) -> Result<Outcome> {
    let own = names.iter().map(|names| (workload, names));
    let others = beside.iter().flat_map(|(beside, all)| all.iter().map(|names| (*beside, names)));
    let roles: Vec<_> = own.enumerate().chain(others.enumerate()).collect();
    let flows: Vec<Flow> = roles.iter().map(|_| Flow::new()).collect();
    let lanes = roles.iter().zip(&flows).zip(producer_ids()..).map(
        |(((lane, (workload, names)), flow), producer)| {
            let pace = workload.rate.map(|rate| Pace::new(rate, *lane, workload.lanes));
            open_lane(plan, workload, names, Lane { flow, producer, pace })
        },
    );
    let lanes: Vec<_> = lanes.collect::<Result<_>>()?;

    let counts = || count(&roles, &flows);
    let pids = &plan.server.pid;
    let watcher = Watcher::new(pids, workload.name.to_owned(), plan.length(workload), &counts);
    let meter = Meter::start(&plan.server)?;
    let (sides, peak_mib) = perform(lanes, &watcher)?;
    let mut outcome = Outcome::default();
    meter.read(peak_mib, &mut outcome)?;
    let (own, others) = sides.split_at(names.len());
    outcome.add_all(own);
    outcome.payload_bytes = outcome.published * workload.body_bytes as u64;
    if let Some((beside, _)) = beside {
        let mut noise = Outcome::default();
        noise.add_all(others);
        outcome.beside = Some((noise.received, noise.received_per_second));
        outcome.payload_bytes += noise.published * beside.body_bytes as u64;
        outcome.verdict.add(noise.verdict);
    }
    Ok(outcome)
}

/// What is a lane's own.
#[derive(Clone, Copy)]
struct Lane<'a> {
    flow: &'a Flow,
    producer: u64,
    pace: Option<Pace>,
}

fn open_lane<'a>(
    plan: &Plan,
    workload: &Workload,
    names: &LaneNames,
    lane: Lane<'a>,
) -> Result<(Producer<'a, Batch>, Consumer<'a>)> {
    let Lane { flow, producer, pace } = lane;
    let consuming = stage::open_consumer(&plan.target, workload, &names.queues)?;
    let publishing = stage::open_producer(&plan.target, workload)?;
    let batch = Batch::new(workload, &names.addresses, producer, publishing.frame_max);
    // Below one batch a producer could never write.
    let least = batch.deliveries(batch.room_after(0)) + 1;
    let in_flight = plan.in_flight.unwrap_or_else(|| workload.default_in_flight()).max(least);
    let start = Instant::now();
    let consumer = Consumer {
        connection: consuming,
        deliveries: Deliveries::new(workload, producer).paced(pace),
        flow,
        start,
    };
    let producer = Producer {
        connection: publishing,
        batch,
        confirms: workload.confirm_window.map(Confirms::new),
        bound: plan.bound(workload),
        pace,
        in_flight,
        flow,
        start,
    };
    Ok((producer, consumer))
}

/// How far all lanes together are.
fn count(roles: &[(usize, (&Workload, &LaneNames))], flows: &[Flow]) -> Counts {
    let mut counts = Counts::default();
    for ((_, (workload, _)), flow) in roles.iter().zip(flows) {
        counts.published += flow.sent();
        counts.due += workload.route.deal().deliveries(flow.sent());
        counts.received += flow.received();
    }
    counts
}

/// What the two sides of each lane report.
pub(crate) type Sides = Vec<(Published, Received)>;

/// Lets all lanes run to their end, and has them watched; also the server's largest resident memory in MiB.
pub(crate) fn perform<M: Messages + Send>(
    lanes: Vec<(Producer<M>, Consumer)>,
    watcher: &Watcher,
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
        let peak_mib =
            watcher.watch(|| handles.iter().all(|(_, receiving)| receiving.is_finished()));
        let sides = handles.into_iter().map(|(publishing, receiving)| {
            match (joined(publishing), joined(receiving)) {
                (Ok(published), Ok(received)) => Ok((published, received)),
                (published, received) => Err(both_failures(published.err(), received.err())),
            }
        });
        Ok((sides.collect::<Result<_>>()?, peak_mib))
    })
}

/// What a thread of the generator returned.
pub(crate) fn joined<T>(handle: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle.join().map_err(|_| "a thread of the generator panicked")?
}

fn both_failures(producer: Option<Failure>, consumer: Option<Failure>) -> Failure {
    let side = |name, failure: Option<Failure>| failure.map(|why| format!("{name}: {why}"));
    let texts = [side("producer", producer), side("consumer", consumer)];
    texts.into_iter().flatten().collect::<Vec<_>>().join("; ").into()
}

/// Numbers for the producers of this run, so that leftovers of an earlier one are recognised.
pub(crate) fn producer_ids() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(0) << 8
}
