//! Steps: what a workload cannot show, because messages stay in the broker.
//!
//! Each step prints one set of figures and checks what it received like a workload does. A step leaves nothing
//! behind, except `fill`, which leaves its messages for a `drain`, perhaps after the broker was killed between the two.

mod backlog;
mod connections;
mod declares;
mod neglect;
mod report;
mod slow;
mod unacked;
mod watch;

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::connection::Target;
use crate::bench::options;
use crate::bench::process;
use crate::bench::steps::report::Report;
use crate::bench::table::DURABLE_PAIR;
use crate::bench::workload::Workload;
use crate::bench::{self, Result};

/// The steps by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Step {
    /// Fills a durable queue with persistent messages, confirmed, and leaves them there
    Fill,
    /// Receives what `fill` left and deletes the queue
    Drain,
    /// Declares durable queues, pipelined on one connection
    Declares,
    /// Opens connections that do nothing
    Connections,
    /// Receives a filled queue without acknowledging, closes, and receives everything again
    Unacked,
    /// 20 queues that are consumed and one that is not but gets a tenth of the messages
    Neglect,
    /// Fills a queue whose consumer takes one message a second
    Slow,
}

impl Step {
    /// The name on the command line and in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fill => "fill",
            Self::Drain => "drain",
            Self::Declares => "declares",
            Self::Connections => "connections",
            Self::Unacked => "unacked",
            Self::Neglect => "neglect",
            Self::Slow => "slow",
        }
    }
}

/// What the steps can be told.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Steps: messages that stay")]
pub(crate) struct StepOptions {
    /// Run this step instead of workloads
    #[arg(long, value_enum, conflicts_with_all = ["workload", "relay", "list", "seconds", "runs"])]
    pub(crate) step: Option<Step>,
    /// Connections to open in the step `connections`
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "step")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Number in the messages of a step, by which `drain` tells its own from others
    #[arg(long, default_value_t = 1, requires = "step")]
    producer: u64,
    /// Begin `drain` before the broker does, and try again until it answers
    #[arg(long = "await", requires = "step")]
    awaits_broker: bool,
    /// A file in which the server's process is named later, instead of --pid
    #[arg(long, value_name = "FILE", requires = "step", conflicts_with = "pid")]
    pid_file: Option<PathBuf>,
}

/// A step and everything it needs to know.
#[derive(Debug)]
struct Task {
    target: Target,
    messages: u64,
    body_bytes: usize,
    queues: u32,
    connections: u32,
    producer: u64,
    awaits_broker: bool,
    server: Server,
}

/// What is measured about the server from outside.
#[derive(Debug, Clone)]
struct Server {
    pids: Vec<u32>,
    pid_file: Option<PathBuf>,
    data_dir: Option<PathBuf>,
}

/// Runs `step`.
pub(crate) fn run(step: Step, options: &bench::Options) -> Result<Report> {
    let (own, numbers) = (&options.steps, &options.overrides);
    let options::Server { pid, data_dir } = options.server.clone();
    let task = Task {
        target: options.target(),
        messages: options.messages.unwrap_or(1_000_000),
        body_bytes: numbers.body_bytes.unwrap_or(1024) as usize,
        queues: numbers.queues.unwrap_or(10_000),
        connections: own.connections,
        producer: own.producer,
        awaits_broker: own.awaits_broker,
        server: Server { pids: pid, pid_file: own.pid_file.clone(), data_dir },
    };
    match step {
        Step::Fill => backlog::fill(&task),
        Step::Drain => backlog::drain(&task),
        Step::Declares => declares::run(&task),
        Step::Connections => connections::run(&task),
        Step::Unacked => unacked::run(&task),
        Step::Neglect => neglect::run(&task),
        Step::Slow => slow::run(&task),
    }
}

impl Task {
    /// Messages of this task through one durable queue named after `name`.
    fn workload(&self, name: &'static str) -> Workload {
        Workload { name, body_bytes: self.body_bytes, ..DURABLE_PAIR }
    }

    fn payload_bytes(&self) -> f64 {
        self.messages as f64 * self.body_bytes as f64
    }
}

impl Server {
    /// The server's processes, as far as they are known yet.
    fn pids(&self) -> Vec<u32> {
        let Some(file) = &self.pid_file else { return self.pids.clone() };
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Resident memory in MiB; none while no process is known.
    fn resident_mib(&self) -> Option<f64> {
        let pids = self.pids();
        if pids.is_empty() { None } else { process::resident_mib(&pids).ok() }
    }

    /// Disk taken by the data directory in MiB, if it is known.
    fn disk_mib(&self) -> Option<f64> {
        let bytes = process::disk_bytes(self.data_dir.as_ref()?).ok()?;
        Some(mib(bytes as f64))
    }

    /// What the server has written so far, if the kernel tells.
    fn written(&self) -> Option<process::Written> {
        let pids = self.pids();
        if pids.is_empty() { None } else { process::written(&pids, self.data_dir.as_deref()).ok() }
    }

    /// CPU seconds the server has used so far.
    fn cpu_seconds(&self) -> Option<f64> {
        let pids = self.pids();
        if pids.is_empty() { None } else { process::cpu_seconds(&pids).ok() }
    }

    /// CPU seconds since `before`, for each million of `messages`.
    fn cpu_per_million(&self, before: Option<f64>, messages: u64) -> Option<f64> {
        Some((self.cpu_seconds()? - before?) / (messages as f64 / 1e6))
    }

    /// Resident memory once it has come to rest.
    fn settled_mib(&self) -> Option<f64> {
        settled(|| self.resident_mib(), Duration::from_secs(1))
    }
}

/// The value of `figure` once it has stayed within a half percent for as long as `calm`, or after ten times that.
fn settled(figure: impl Fn() -> Option<f64>, calm: Duration) -> Option<f64> {
    const LOOK_EVERY: Duration = Duration::from_millis(100);
    const TOLERANCE: f64 = 0.005;
    let start = Instant::now();
    let (mut last, mut since) = (figure()?, start);
    while since.elapsed() < calm && start.elapsed() < 10 * calm {
        thread::sleep(LOOK_EVERY);
        let now = figure()?;
        if (now - last).abs() > TOLERANCE * last {
            (last, since) = (now, Instant::now());
        }
    }
    figure()
}

/// What each of `count` things has added, in bytes, if memory or disk was looked at before and after, in MiB.
fn bytes_each(before: Option<f64>, after: Option<f64>, count: f64) -> Option<f64> {
    let grown = after.zip(before).map(|(after, before)| after - before);
    grown.map(|mib| mib * f64::from(1 << 20) / count)
}

fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}
