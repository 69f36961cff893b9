//! What was counted, on which machine, and whether it is still so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::Failure;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions/recorded.toml");

const HEAD: &str = "\
# Instructions for one unit of each scenario, written by
#
#     cargo bench --bench instructions -- --record
#
# benches/README.md says when to do that, and what the environment is for.

";

/// How much worse a count may be, in the environment it was recorded in.
const TOLERANCE: f64 = 0.05;
/// The same elsewhere: another compiler or C library does things in another way.
const TOLERANCE_ELSEWHERE: f64 = 0.15;

/// What counts depend on besides the sources.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Environment {
    rustc: String,
    /// It has the copy loops.
    libc: String,
    /// It says which processor's features the program finds.
    valgrind: String,
    processor: String,
}

/// See the module.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    environment: Environment,
    pub(crate) instructions: BTreeMap<String, f64>,
}

/// How two records compare.
pub(crate) struct Verdict {
    pub(crate) report: String,
    pub(crate) is_worse: bool,
}

impl Environment {
    pub(crate) fn of_this_machine() -> Result<Self, Failure> {
        let flags = fs::read_to_string("/proc/cpuinfo")?;
        let has = |name: &str| flags.split_whitespace().any(|flag| flag == name);
        let features: Vec<_> = ["avx", "avx2", "sse4_2"].into_iter().filter(|it| has(it)).collect();
        Ok(Self {
            rustc: said("rustc", "--version")?,
            libc: said("getconf", "GNU_LIBC_VERSION")?,
            valgrind: said("valgrind", "--version")?,
            processor: format!("{} {}", std::env::consts::ARCH, features.join(" ")),
        })
    }
}

impl Record {
    pub(crate) fn new(environment: Environment) -> Self {
        Self { environment, instructions: BTreeMap::new() }
    }

    pub(crate) fn read() -> Result<Self, Failure> {
        let text = fs::read_to_string(PATH).map_err(|error| format!("{PATH}: {error}"))?;
        Ok(toml::from_str(&text)?)
    }

    pub(crate) fn write(&self) -> Result<(), Failure> {
        let rounded = |count: &f64| (count * 10.0).round() / 10.0;
        let instructions = self.instructions.iter();
        let instructions: BTreeMap<_, _> =
            instructions.map(|(name, count)| (name, rounded(count))).collect();
        let body = toml::Table::from_iter([
            ("environment".to_owned(), toml::Value::try_from(&self.environment)?),
            ("instructions".to_owned(), toml::Value::try_from(instructions)?),
        ]);
        fs::write(PATH, format!("{HEAD}{body}"))?;
        Ok(())
    }

    /// Compares what was `counted` now with this record; with all of it, or with what was counted.
    pub(crate) fn compare(&self, counted: &Self, is_whole: bool) -> Verdict {
        let mut report = String::new();
        let tolerance = self.tolerance(counted, &mut report);
        let (mut is_worse, mut is_better) = (false, false);
        for (name, &now) in &counted.instructions {
            let Some(&then) = self.instructions.get(name) else {
                is_worse = true;
                line(&mut report, format_args!("{name:26} {now:10.1}  NOT RECORDED"));
                continue;
            };
            let change = now / then - 1.0;
            let remark = match change {
                change if change > tolerance => "  WORSE",
                change if change < -TOLERANCE => "  better",
                _ => "",
            };
            is_worse |= change > tolerance;
            is_better |= change < -TOLERANCE;
            let percent = change * 100.0;
            line(
                &mut report,
                format_args!("{name:26} {then:10.1} {now:10.1} {percent:+7.1} %{remark}"),
            );
        }
        let gone =
            self.instructions.keys().filter(|name| !counted.instructions.contains_key(*name));
        for name in gone.filter(|_| is_whole) {
            is_worse = true;
            line(&mut report, format_args!("{name:26} RECORDED, BUT NO SCENARIO"));
        }
        if is_worse || is_better {
            line(&mut report, format_args!("{ADVICE}"));
        }
        Verdict { report, is_worse }
    }

    fn tolerance(&self, counted: &Self, report: &mut String) -> f64 {
        if self.environment == counted.environment {
            return TOLERANCE;
        }
        line(
            report,
            format_args!(
                "Recorded in another environment, so {:.0} % worse is tolerated instead of {:.0} %:\n  then {:?}\n  now  {:?}",
                TOLERANCE_ELSEWHERE * 100.0,
                TOLERANCE * 100.0,
                self.environment,
                counted.environment
            ),
        );
        TOLERANCE_ELSEWHERE
    }
}

const ADVICE: &str = "\
If it is meant to be so, record it in the commit that changes it: cargo bench --bench instructions -- --record
Where the instructions go: callgrind_annotate target/tmp/instructions/NAME.callgrind";

fn line(report: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(report, "{text}").expect("a string takes everything");
}

/// The first line of what a program says about itself.
fn said(program: &str, argument: &str) -> Result<String, Failure> {
    let output = Command::new(program)
        .arg(argument)
        .output()
        .map_err(|error| format!("{program} cannot be started: {error}"))?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
