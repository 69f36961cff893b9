//! What the kernel says about a process: CPU time used, memory resident, bytes written; and about a directory: its size.

use std::fs;
use std::ops::Sub;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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

/// Bytes that processes have written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// `write_bytes`: pages made dirty, in bytes. What went to the page cache and must reach the disk.
    pub(crate) storage: u64,
    /// `wchar`: bytes given to write calls, those on sockets among them unless they were sent with send.
    pub(crate) calls: u64,
}

impl Sub for Written {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { storage: self.storage - before.storage, calls: self.calls - before.calls }
    }
}

/// What the processes have written so far, all together.
pub(crate) fn written(pids: &[u32]) -> Result<Written> {
    let mut all = Written::default();
    for pid in pids {
        let path = format!("/proc/{pid}/io");
        let io = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        all.storage += io_field(&io, "write_bytes: ")?;
        all.calls += io_field(&io, "wchar: ")?;
    }
    Ok(all)
}

/// Bytes of disk that the files under `directory` take, holes and names not counted.
pub(crate) fn disk_bytes(directory: &Path) -> Result<u64> {
    const BLOCK_BYTES: u64 = 512;
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // A file may be deleted between the two calls; it takes nothing then.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() {
            disk_bytes(&entry.path()).unwrap_or(0)
        } else {
            metadata.blocks() * BLOCK_BYTES
        };
    }
    Ok(bytes)
}

fn io_field(io: &str, name: &str) -> Result<u64> {
    let value = io.lines().find_map(|line| line.strip_prefix(name));
    Ok(value.ok_or_else(|| format!("/proc/PID/io without {name}"))?.parse()?)
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
