//! Memory and disk of the server while something else happens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::Result;
use crate::bench::steps::Server;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What was seen at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(super) seconds: f64,
    pub(super) resident_mib: Option<f64>,
    pub(super) disk_mib: Option<f64>,
    /// Bodies that the broker must keep at this moment, if the step says so.
    pub(super) live_mib: Option<f64>,
}

impl Sample {
    /// The measured values with their names.
    pub(super) fn values(&self) -> [(&'static str, Option<f64>); 3] {
        [
            ("live_mib", self.live_mib),
            ("disk_mib", self.disk_mib),
            ("resident_mib", self.resident_mib),
        ]
    }
}

/// Does `work` and watches `server` meanwhile; `live_mib` says what the broker has to keep.
pub(super) fn watched<T>(
    server: &Server,
    live_mib: impl Fn() -> Option<f64> + Sync,
    work: impl FnOnce() -> Result<T>,
) -> Result<(T, Vec<Sample>)> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = thread::Builder::new().name("watch".into());
        let watching = watching.spawn_scoped(scope, || watch(server, &live_mib, &over))?;
        let done = work();
        over.store(true, Ordering::Relaxed);
        let samples = watching.join().map_err(|_| "a thread of the generator panicked")?;
        Ok((done?, samples))
    })
}

/// The largest resident memory among `samples`.
pub(super) fn peak_resident(samples: &[Sample]) -> Option<f64> {
    samples.iter().filter_map(|sample| sample.resident_mib).reduce(f64::max)
}

/// At most `count` of the samples that differ from the one before, evenly chosen, the last one among them.
pub(super) fn thinned(samples: &[Sample], count: usize) -> Vec<Sample> {
    let mut samples = samples.to_vec();
    samples.dedup_by_key(|sample| sample.values().map(|(_, value)| value.map(f64::round)));
    let step = samples.len().div_ceil(count.max(1)).max(1);
    let mut few: Vec<_> = samples.iter().rev().step_by(step).copied().collect();
    few.reverse();
    few
}

fn watch(
    server: &Server,
    live_mib: &(impl Fn() -> Option<f64> + Sync),
    over: &AtomicBool,
) -> Vec<Sample> {
    let start = Instant::now();
    let mut samples = Vec::new();
    loop {
        let is_last = over.load(Ordering::Relaxed);
        samples.push(Sample {
            seconds: start.elapsed().as_secs_f64(),
            resident_mib: server.resident_mib(),
            disk_mib: server.disk_mib(),
            live_mib: live_mib(),
        });
        if is_last {
            return samples;
        }
        thread::sleep(LOOK_EVERY);
    }
}
