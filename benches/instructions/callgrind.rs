//! This program again, under callgrind.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Failure;

/// Where the profiles are left, for `callgrind_annotate`.
pub(crate) const PROFILES: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/instructions");

/// Counts nothing but the rounds, however the linker spells the name.
const COUNTED: &str = "*counted_rounds*";

/// What would otherwise depend on the machine or its mood: large copies, which are one instruction an octet to callgrind
/// where the processor has a fast instruction for them, and memory that is given back after a while.
const STEADY: [(&str, &str); 2] = [
    (
        "GLIBC_TUNABLES",
        "glibc.cpu.x86_rep_movsb_threshold=0x40000000:glibc.cpu.x86_rep_stosb_threshold=0x40000000",
    ),
    ("MIMALLOC_PURGE_DELAY", "-1"),
];

/// Instructions for one unit of a scenario.
pub(crate) fn count(scenario: &str) -> Result<f64, Failure> {
    fs::create_dir_all(PROFILES)?;
    let profile = Path::new(PROFILES).join(format!("{scenario}.callgrind"));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe()?)
        .args(["--run", scenario])
        .envs(STEADY)
        .output()
        .map_err(|error| {
            format!("valgrind cannot be started (apt-get install valgrind): {error}")
        })?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{scenario} under valgrind: {}: {said}", output.status).into());
    }
    let units: f64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    let total = total(&fs::read_to_string(&profile)?).ok_or("callgrind wrote no total")?;
    if total == 0.0 {
        return Err(format!("{scenario}: callgrind never met {COUNTED}").into());
    }
    Ok(total / units)
}

fn total(profile: &str) -> Option<f64> {
    let mut lines = profile.lines().filter_map(|line| line.strip_prefix("totals: "));
    lines.next_back()?.trim().parse().ok()
}
