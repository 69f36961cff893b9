//! What the kernel says about a process: CPU time used, memory resident, bytes written; and about a directory: its size.

use std::fs;
use std::ops::Sub;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::bench::Result;
use crate::bench::connection::received_bytes;

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

/// Bytes that a server has written, counted in three ways of which none is perfect.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Given to write calls on files: `wchar` without what came to us, as sockets are served by write calls too.
    /// Too low for a server that uses send for sockets, as the kernel does not count those.
    pub(crate) files: i64,
    /// `write_bytes`. Too high where the page cache has large folios: a write makes all of a folio dirty in this
    /// count, though only its blocks go to the disk.
    pub(crate) pages: i64,
    /// Written to the device of the data directory, by everybody.
    pub(crate) device: Option<i64>,
}

impl Sub for Written {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            files: self.files - before.files,
            pages: self.pages - before.pages,
            device: self.device.zip(before.device).map(|(now, before)| now - before),
        }
    }
}

impl Written {
    /// Each count under its name in results, for each byte of `payload_bytes`.
    pub(crate) fn per_payload(self, payload_bytes: f64) -> [(&'static str, Option<f64>); 3] {
        let each = |bytes: i64| bytes as f64 / payload_bytes;
        [
            ("file_bytes_per_payload", Some(each(self.files))),
            ("page_bytes_per_payload", Some(each(self.pages))),
            ("device_bytes_per_payload", self.device.map(each)),
        ]
    }
}

/// What the processes, all together, and the device of `data_dir` have written so far.
pub(crate) fn written(pids: &[u32], data_dir: Option<&Path>) -> Result<Written> {
    let mut all = Written {
        files: -i64::try_from(received_bytes())?,
        pages: 0,
        device: data_dir.and_then(|directory| device_written(directory).ok()),
    };
    for pid in pids {
        let path = format!("/proc/{pid}/io");
        let io = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        all.files += io_field(&io, "wchar: ")?;
        all.pages += io_field(&io, "write_bytes: ")?;
    }
    Ok(all)
}

fn device_written(directory: &Path) -> Result<i64> {
    const SECTOR_BYTES: i64 = 512;
    let device = fs::metadata(directory)?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat"))?;
    // The seventh field is sectors written, of 512 bytes whatever the device's own are.
    let sectors = stat.split_whitespace().nth(6).ok_or("a block device's stat is too short")?;
    Ok(sectors.parse::<i64>()? * SECTOR_BYTES)
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

fn io_field(io: &str, name: &str) -> Result<i64> {
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
