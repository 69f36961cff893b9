//! What the kernel says about a process: CPU time used and memory resident.

use std::fs;

use crate::Result;

/// Linux reports CPU times to user space in hundredths of a second, whatever its own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds (user and system) that the processes have used so far, all together.
pub(crate) fn cpu_seconds(pids: &[u32]) -> Result<f64> {
    pids.iter().map(|pid| cpu_of(&pid.to_string())).sum()
}

/// CPU seconds this process has used so far.
pub(crate) fn own_cpu_seconds() -> Result<f64> {
    cpu_of("self")
}

/// Resident memory of the processes in MiB, all together.
pub(crate) fn resident_mib(pids: &[u32]) -> Result<f64> {
    pids.iter().map(|pid| resident_of(*pid)).sum()
}

fn cpu_of(process: &str) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // The name in parentheses may itself hold spaces; utime and stime are fields 14 and 15, the state is 3.
    let ticks = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').skip(11).take(2));
    let ticks = ticks.ok_or("/proc/PID/stat without a name")?;
    let ticks: u64 = ticks.map(str::parse::<u64>).sum::<std::result::Result<_, _>>()?;
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

fn resident_of(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: f64 = kib.ok_or("/proc/PID/status without VmRSS")?.parse()?;
    Ok(kib / 1024.0)
}
