//! A load generator for AMQP 0-9-1 brokers over raw sockets: `leveret bench`.
//!
//! Two operating-system threads a lane (one publishes, one receives), frames encoded in advance, deliveries
//! parsed in place: it must never be what limits the broker. Every message is numbered, and a run fails unless
//! each one arrives once and in order.
//!
//! Invariant: it shares no code with the broker it measures, so that a mistake there is not repeated here.
//!
//! `benches/README.md` explains the figures.

#![allow(clippy::disallowed_methods, reason = "measuring time and resting are its work")]
#![allow(clippy::cast_precision_loss, reason = "figures for people need no 53 bits")]
#![allow(clippy::cast_possible_truncation, reason = "64-bit only: u64 and usize are the same")]

mod churn;
mod confirms;
mod connection;
mod consumer;
mod deal;
mod deliveries;
mod flow;
mod histogram;
mod idle;
mod message;
mod mixture;
mod options;
mod outcome;
mod overrides;
mod pace;
mod process;
mod producer;
mod relay;
mod report;
mod run;
mod sequence;
mod stage;
mod steps;
mod table;
mod topic;
mod watcher;
mod wire;
mod workload;

use std::io::{Write as _, stderr, stdout};

pub use self::options::Options;
use self::outcome::Outcome;
use self::run::Plan;
use self::table::WORKLOADS;

/// Why a run could not be finished, for people.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

/// Does what `options` ask for; false when a broker lost, doubled, reordered or damaged a message.
///
/// Results go to standard output as they come up.
pub fn run(options: &Options) -> Result<bool> {
    if options.list {
        list();
        return Ok(true);
    }
    match (&options.relay.relay, options.steps.step) {
        (Some(address), _) => relay::serve(address, options.relay.relay_fault).map(|()| true),
        (None, Some(step)) => run_step(step, options),
        (None, None) => run_workloads(options),
    }
}

fn list() {
    for workload in WORKLOADS {
        print(&format!("{:4} {}", workload.name, workload.summary));
    }
}

fn run_step(step: steps::Step, options: &Options) -> Result<bool> {
    let report = steps::run(step, options).map_err(|error| format!("{}: {error}", step.name()))?;
    let text = if options.json { report.json(step.name()) } else { report.text(step.name()) };
    print(&text);
    Ok(report.verdict.is_clean())
}

fn run_workloads(options: &Options) -> Result<bool> {
    let plan = Plan::new(options);
    let workloads = options.workloads()?;
    let mut clean = true;
    let mut outcomes: Vec<Vec<Outcome>> = workloads.iter().map(|_| Vec::new()).collect();
    for number in 1..=options.runs {
        for (workload, outcomes) in workloads.iter().zip(&mut outcomes) {
            let outcome = run::run(&plan, workload)
                .map_err(|error| format!("{} run {number}: {error}", workload.name))?;
            clean &= outcome.verdict.is_clean();
            let text = if options.json {
                report::json(workload, &plan, number, &outcome)
            } else {
                report::line(workload, number, &outcome)
            };
            print(&text);
            outcomes.push(outcome);
        }
    }
    if options.runs > 1 && !options.json {
        for (workload, outcomes) in workloads.iter().zip(&outcomes) {
            print(&report::median_line(workload, outcomes));
        }
    }
    Ok(clean)
}

fn print(text: &str) {
    // Who closed the other end has seen enough; the exit code remains.
    let _ = writeln!(stdout(), "{text}");
}

/// For whoever watches a relay at work.
fn complain(text: &str) {
    // If nobody can read it there is nobody else to tell.
    let _ = writeln!(stderr(), "{text}");
}
