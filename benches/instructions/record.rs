//! What was counted, and on which machine.

use std::collections::BTreeMap;
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

/// What counts depend on besides the sources.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Environment {
    rustc: String,
    /// It has the copy loops.
    libc: String,
    /// It says which of the processor's features the program finds.
    valgrind: String,
    processor: String,
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

/// See the module.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) environment: Environment,
    pub(crate) instructions: BTreeMap<String, f64>,
}

impl Record {
    pub(crate) fn read() -> Result<Self, Failure> {
        let text = fs::read_to_string(PATH).map_err(|error| format!("{PATH}: {error}"))?;
        Ok(toml::from_str(&text)?)
    }

    pub(crate) fn write(&self) -> Result<(), Failure> {
        fs::write(PATH, format!("{HEAD}{}", toml::to_string(self)?))?;
        Ok(())
    }
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
