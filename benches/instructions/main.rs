//! How many instructions the hot path takes, counted by callgrind and compared with what was recorded.
//!
//! Times tell nothing on a busy machine; counts are the same wherever the compiler is. What they do not tell: cache
//! misses, contention, system calls. `cargo bench --bench instructions` runs it; `benches/README.md` explains it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

#[path = "../shared/bindings.rs"]
mod bindings;
mod callgrind;
#[path = "../shared/decode.rs"]
mod decode;
#[path = "../shared/encode.rs"]
mod encode;
#[path = "../shared/frames.rs"]
mod frames;
mod link;
#[path = "../shared/offer.rs"]
mod offer;
mod record;
mod scenarios;
mod server;
#[path = "../shared/stage.rs"]
mod stage;
mod verdict;

use std::process::ExitCode;

use clap::Parser;

use self::record::{Environment, Record};
use self::scenarios::{ROUNDS, Scenario, WARM_UP};
use self::verdict::Verdict;

/// The allocator that is shipped.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Why nothing could be counted, for people.
type Failure = Box<dyn std::error::Error>;

/// Counts the instructions of fixed scenarios under valgrind and compares them with the record.
#[derive(Debug, Parser)]
#[command(name = "instructions")]
struct Options {
    /// Write the counts down instead of comparing them
    #[arg(long)]
    record: bool,
    /// Only scenarios whose name contains this
    #[arg(value_name = "NAME", default_value = "")]
    name: String,
    /// Show the scenarios
    #[arg(long)]
    list: bool,
    /// Run this scenario, uncounted: what callgrind is given
    #[arg(long, value_name = "NAME", hide = true)]
    run: Option<String>,
    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match execute(&Options::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("instructions: {failure}");
            ExitCode::from(2)
        }
    }
}

fn execute(options: &Options) -> Result<ExitCode, Failure> {
    if let Some(name) = &options.run {
        let scenario = scenarios::all().find(|scenario| scenario.name == name);
        run(scenario.ok_or("no such scenario")?);
        return Ok(ExitCode::SUCCESS);
    }
    let chosen: Vec<_> =
        scenarios::all().filter(|scenario| scenario.name.contains(&options.name)).collect();
    if options.list {
        for scenario in chosen {
            println!("{:26} {}", scenario.name, scenario.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if chosen.is_empty() {
        return Err(format!("no scenario is called like {:?}", options.name).into());
    }
    if options.record && !options.name.is_empty() {
        return Err("a record is of all scenarios".into());
    }
    let counted = count(&chosen)?;
    if options.record {
        counted.write()?;
    }
    let recorded = Record::read()?;
    let verdict = Verdict::new(&recorded, &counted, options.name.is_empty());
    print!("{verdict}");
    Ok(if verdict.is_failure() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn count(scenarios: &[&Scenario]) -> Result<Record, Failure> {
    let environment = Environment::of_this_machine()?;
    let counts = scenarios.iter().map(|scenario| {
        let count = callgrind::count(scenario.name)?;
        // As it is written down: one decimal.
        Ok((scenario.name.to_owned(), (count * 10.0).round() / 10.0))
    });
    Ok(Record { environment, instructions: counts.collect::<Result<_, Failure>>()? })
}

/// Prepares a scenario, warms it up, and does it as often as is counted.
fn run(scenario: &Scenario) {
    let mut round = (scenario.prepare)();
    for _ in 0..WARM_UP {
        (round.work)();
    }
    counted_rounds(&mut *round.work);
    println!("{}", round.units * ROUNDS);
}

/// Callgrind counts from when this is entered until it is left; it finds it by its name.
#[inline(never)]
fn counted_rounds(work: &mut dyn FnMut()) {
    for _ in 0..ROUNDS {
        work();
    }
}
