//! Watches the process's memory, raises the memory alarm above the high watermark, and lets go of what is not needed.

use std::fs;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::stopped;
use crate::amqp::protocol::shelf::Shelf;
use crate::broker::Broker;
use crate::broker::alarms::Alarm;
use crate::limits;

/// The high watermark, and whom to tell.
pub(super) struct MemoryWatch {
    broker: Arc<Broker>,
    shelf: Arc<Shelf>,
    mark: u64,
}

impl MemoryWatch {
    /// Looks for the first time, so that no client comes before the alarm. `percent` of what the machine or
    /// the container has is the high watermark; 0 keeps the alarm raised, as in RabbitMQ.
    pub(super) fn begin(broker: Arc<Broker>, shelf: Arc<Shelf>, percent: u64) -> Self {
        let total = total_memory().unwrap_or_else(|| {
            tracing::warn!("the machine's memory is unknown, so there is no memory alarm");
            u64::MAX
        });
        let watch = Self { broker, shelf, mark: total / 100 * percent };
        watch.look();
        watch
    }

    /// Looks until the broker stops.
    pub(super) async fn run(self, mut stopping: watch::Receiver<bool>) {
        let mut ticks = interval(limits::MEMORY_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopped(&mut stopping) => return,
                _ = ticks.tick() => {
                    self.look();
                    let is_short = self.broker.alarms().reason().is_some();
                    self.shelf.tidy(is_short);
                    if is_short {
                        give_back().await;
                    }
                    // Alarms are raised here and by the committer, who makes no turns.
                    self.broker.publish_pending_events();
                }
            }
        }
    }

    fn look(&self) {
        let Some(used) = resident_memory() else { return };
        let mark = self.mark;
        let is_high = used >= mark;
        match (self.broker.alarms().set(Alarm::Memory, is_high), is_high) {
            (false, true) => tracing::error!(
                used,
                mark,
                "memory is above its high watermark; publishers wait, consumers go on"
            ),
            (true, false) => tracing::info!(used, mark, "memory is below its high watermark again"),
            (false, false) | (true, true) => {}
        }
    }
}

/// Makes the allocator return to the system what is free.
///
/// mimalloc does so some time after, but only when a thread asks for memory or ends; and while publishers wait, it may be
/// that none does, so that an alarm would last although the messages that raised it are gone.
async fn give_back() {
    let thread = std::thread::Builder::new().name("give-back".to_owned());
    // It must have had memory of its own to end in the allocator's eyes.
    let ended = thread.spawn(|| drop(std::hint::black_box(Box::new(0_u8))));
    let ended = tokio::task::spawn_blocking(|| ended.map(std::thread::JoinHandle::join)).await;
    if !matches!(ended, Ok(Ok(Ok(())))) {
        tracing::debug!("memory that is free was not given back: no thread");
    }
}

/// Bytes the process occupies.
fn resident_memory() -> Option<u64> {
    labelled(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// Bytes there are: the machine's, or the container's if that is less.
fn total_memory() -> Option<u64> {
    let machine = labelled(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")?;
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    // A missing file or the word "max" is no limit.
    let limit = |path| fs::read_to_string(path).ok()?.trim().parse().ok();
    Some(limits.into_iter().filter_map(limit).fold(machine, u64::min))
}

/// Bytes on the line with this label; the kernel writes kibibytes.
fn labelled(text: &str, label: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_how_much_it_has() {
        let meminfo = "MemTotal:       24654320 kB\nMemFree:        20000000 kB\n";
        assert_eq!(labelled(meminfo, "MemTotal:"), Some(24_654_320 * 1024));
        assert_eq!(labelled(meminfo, "MemSpare:"), None);
    }

    #[test]
    fn this_process_occupies_less_than_there_is() {
        let (used, total) = (resident_memory().unwrap(), total_memory().unwrap());
        assert!(0 < used && used < total, "{used} of {total}");
    }
}
