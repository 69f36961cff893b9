//! Memory and disk alarms: what is short, and who waits for it.
//!
//! RabbitMQ's rules: while any alarm is raised, connections that publish are not read any more; all others
//! are. Whoever finds out raises and clears; nothing here looks at memory or disks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use super::events::Events;
use crate::sync::{RankedMutex, rank};

/// What a broker can run short of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// Memory is above its high watermark.
    Memory,
    /// Free disk space is below its limit.
    Disk,
}

/// See the module.
#[derive(Default)]
pub struct Alarms {
    memory: AtomicBool,
    disk: AtomicBool,
    waiting: RankedMutex<{ rank::LEAF }, Vec<Waker>>,
    events: OnceLock<Arc<Events>>,
}

impl Alarms {
    /// Raises or clears an alarm. Returns whether it was raised before.
    pub fn set(&self, alarm: Alarm, raised: bool) -> bool {
        let before = self.flag(alarm).swap(raised, Ordering::AcqRel);
        if before && self.reason().is_none() {
            let waiting = std::mem::take(&mut *self.waiting.lock());
            waiting.into_iter().for_each(Waker::wake);
        }
        if let Some(events) = self.events.get().filter(|_| before != raised) {
            let key = if raised { "alarm.set" } else { "alarm.cleared" };
            let source = match alarm {
                Alarm::Memory => "memory",
                Alarm::Disk => "disk",
            };
            events.emit(key, |fields| {
                fields.node().text("source", source);
            });
        }
        before
    }

    /// Alarms are told there from now on.
    pub(super) fn report_to(&self, events: &Arc<Events>) {
        self.events.get_or_init(|| Arc::clone(events));
    }

    /// Why publishers wait, in the words of RabbitMQ's connection.blocked; nothing if they need not.
    pub fn reason(&self) -> Option<&'static str> {
        let raised = |alarm| self.flag(alarm).load(Ordering::Acquire);
        match (raised(Alarm::Disk), raised(Alarm::Memory)) {
            (false, false) => None,
            (false, true) => Some("low on memory"),
            (true, false) => Some("low on disk"),
            (true, true) => Some("low on disk & memory"),
        }
    }

    /// Ready when no alarm is raised; else the task is woken when the last one is cleared.
    pub fn poll_clear(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.reason().is_none() {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock();
        // Looked at again under the lock: `set` takes the waiting ones under it.
        if self.reason().is_none() {
            return Poll::Ready(());
        }
        waiting.push(context.waker().clone());
        Poll::Pending
    }

    fn flag(&self, alarm: Alarm) -> &AtomicBool {
        match alarm {
            Alarm::Memory => &self.memory,
            Alarm::Disk => &self.disk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_rabbitmqs() {
        let alarms = Alarms::default();
        assert_eq!(alarms.reason(), None);
        alarms.set(Alarm::Memory, true);
        assert_eq!(alarms.reason(), Some("low on memory"));
        alarms.set(Alarm::Disk, true);
        assert_eq!(alarms.reason(), Some("low on disk & memory"));
        alarms.set(Alarm::Memory, false);
        assert_eq!(alarms.reason(), Some("low on disk"));
    }

    #[test]
    fn publishers_wait_until_the_last_alarm_is_cleared() {
        let alarms = Alarms::default();
        let mut context = Context::from_waker(Waker::noop());
        alarms.set(Alarm::Memory, true);
        alarms.set(Alarm::Disk, true);
        alarms.set(Alarm::Memory, false);
        assert_eq!(alarms.poll_clear(&mut context), Poll::Pending);
        alarms.set(Alarm::Disk, false);
        assert_eq!(alarms.poll_clear(&mut context), Poll::Ready(()));
    }
}
