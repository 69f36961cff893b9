//! A load generator for AMQP 0-9-1 brokers over raw sockets.
//!
//! Two operating-system threads a lane (one publishes, one receives), frames encoded in advance, deliveries
//! parsed in place: it must never be what limits the broker. Every message is numbered, and a run fails unless
//! each one arrives once and in order. It shares no code with the broker it measures.
//!
//! `cargo bench --bench load -- --help` lists the options; `benches/README.md` explains the figures.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]
#![allow(clippy::disallowed_methods, reason = "measuring time and resting are its work")]
#![allow(clippy::cast_precision_loss, reason = "figures for people need no 53 bits")]
#![allow(clippy::cast_possible_truncation, reason = "64-bit only: u64 and usize are the same")]

mod confirms;
mod connection;
mod consumer;
mod deliveries;
mod flow;
mod histogram;
mod message;
mod mixture;
mod process;
mod producer;
mod relay;
mod report;
mod run;
mod sequence;
mod stage;
mod steps;
mod wire;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::connection::Target;
use crate::run::Plan;
use crate::workload::{WORKLOADS, Workload};

/// Why a run could not be finished, for people.
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

/// Measures an AMQP 0-9-1 broker and checks that it loses, doubles and reorders nothing.
#[derive(Debug, Parser)]
#[command(name = "load", version)]
struct Options {
    /// Where the broker listens
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5672")]
    amqp: String,
    /// Who logs in
    #[arg(long, default_value = "guest")]
    user: String,
    /// The password of that user
    #[arg(long, default_value = "guest")]
    password: String,
    /// The virtual host to work in
    #[arg(long, default_value = "/")]
    vhost: String,
    /// Workloads to run, in this order, such as W1,W4 [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = parse_workload)]
    workload: Vec<&'static Workload>,
    /// Stop publishing after so many messages per producer [default: no limit; in a step a million]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    messages: Option<u64>,
    /// Stop publishing after so many seconds [default: as the workload says, unless --messages is given]
    #[arg(long, value_parser = parse_seconds)]
    seconds: Option<f64>,
    /// Runs of each workload; the workloads take turns
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Messages that may be published but not yet received, per lane [default: as the workload says]
    #[arg(long)]
    in_flight: Option<u64>,
    /// A process of the server, to measure its CPU time and memory; may be given several times
    #[arg(long)]
    pid: Vec<u32>,
    /// Where the server keeps its data: how much is written to that device, and in a step, how much disk is used
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// Print one JSON object a run instead of text
    #[arg(long)]
    json: bool,
    /// Be a relay without queues on this address instead, to see what the generator can do at most
    #[arg(long, value_name = "HOST:PORT")]
    relay: Option<String>,
    /// What the relay does wrong to one message in a thousand, to see that verification notices
    #[arg(long, value_enum, requires = "relay")]
    relay_fault: Option<relay::Fault>,
    /// List the workloads and leave
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    steps: steps::Options,
    /// Passed by `cargo bench`; without meaning here
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn target(&self) -> Target {
        Target {
            address: self.amqp.clone(),
            user: self.user.clone(),
            password: self.password.clone(),
            vhost: self.vhost.clone(),
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        for workload in WORKLOADS {
            println!("{}  {}", workload.name, workload.summary);
        }
        return ExitCode::SUCCESS;
    }
    let finished = match (&options.relay, options.steps.step) {
        (Some(address), _) => relay::serve(address, options.relay_fault).map(|()| true),
        (None, Some(step)) => run_step(step, options),
        (None, None) => run_all(options),
    };
    match finished {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("load: verification failed");
            ExitCode::from(1)
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs one step; false when a broker lost, doubled, reordered or damaged a message.
fn run_step(step: steps::Step, options: Options) -> Result<bool> {
    let json = options.json;
    let target = options.target();
    let watched = (options.pid, options.data_dir);
    let report = steps::run(step, options.steps, target, options.messages, watched)
        .map_err(|error| format!("{}: {error}", step.name()))?;
    let text = if json { report.json(step.name()) } else { report.text(step.name()) };
    println!("{text}");
    Ok(report.verdict.is_clean())
}

/// Runs the workloads asked for; false when a broker lost, doubled, reordered or damaged a message.
fn run_all(options: Options) -> Result<bool> {
    let target = options.target();
    let workloads =
        if options.workload.is_empty() { WORKLOADS.iter().collect() } else { options.workload };
    let plan = Plan {
        target,
        messages: options.messages,
        seconds: options.seconds,
        in_flight: options.in_flight,
        pids: options.pid,
        data_dir: options.data_dir,
    };
    let mut clean = true;
    let mut outcomes: Vec<Vec<run::Outcome>> = workloads.iter().map(|_| Vec::new()).collect();
    for number in 1..=options.runs {
        for (workload, outcomes) in workloads.iter().zip(&mut outcomes) {
            let outcome = run::run(&plan, workload)
                .map_err(|error| format!("{} run {number}: {error}", workload.name))?;
            clean &= outcome.verdict.is_clean();
            let text = if options.json { report::json } else { report::line };
            println!("{}", text(workload, number, &outcome));
            outcomes.push(outcome);
        }
    }
    if options.runs > 1 && !options.json {
        for (workload, outcomes) in workloads.iter().zip(&outcomes) {
            println!("{}", report::median_line(workload, outcomes));
        }
    }
    Ok(clean)
}

fn parse_workload(name: &str) -> std::result::Result<&'static Workload, String> {
    workload::find(name).ok_or_else(|| {
        let names: Vec<_> = WORKLOADS.iter().map(|workload| workload.name).collect();
        format!("known are {}", names.join(", "))
    })
}

fn parse_seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("give a number of seconds up to a day".to_owned()),
    }
}
