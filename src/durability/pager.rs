//! The page thread: messages out of memory, and back from the log.
//!
//! Invariants:
//! * Nothing is written here: what leaves memory is in the log already.
//! * A message is lost only if what lies at its place is not what was written there, and that is still its place:
//!   records move while they are read, when their segment is given up.
//! * At most a read of [`limits::PAGE_IN_BYTES`], or one message, is in memory besides the messages.

use std::sync::Arc;
use std::time::Duration;

use super::index::Located;
use super::messages::{Wanted, read_messages};
use super::tail::Shared;
use crate::broker::Broker;
use crate::broker::change::Put;
use crate::broker::delivery::{Position, Run};
use crate::broker::paging::{Paging, PagingWork};
use crate::broker::queue::{Found, Page, PageIn, Queue};
use crate::limits;
use crate::store::{Damage, LogReader, StoreError};
use crate::sync::{RankedMutex, rank};

/// See the module.
pub(super) struct Pager {
    broker: Arc<Broker>,
    paging: Arc<Paging>,
    shared: Arc<Shared>,
    reader: Arc<dyn LogReader>,
    damages: RankedMutex<{ rank::LEAF }, Vec<Damage>>,
}

/// Whether there was something to do about too much in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relief {
    /// There was, or there was not too much.
    Found,
    /// All of it is still on its way to the log.
    None,
}

impl Pager {
    pub(super) fn new(
        broker: Arc<Broker>,
        shared: Arc<Shared>,
        reader: Arc<dyn LogReader>,
    ) -> Self {
        let paging = Arc::clone(broker.paging());
        paging.open();
        Self { broker, paging, shared, reader, damages: RankedMutex::default() }
    }

    /// What was found damaged so far; the first of it, if it is much.
    #[cfg(test)]
    pub(super) fn damages(&self) -> Vec<Damage> {
        self.damages.lock().clone()
    }

    /// The thread's whole life.
    pub(super) fn run(&self, on_fatal: &(dyn Fn() + Send + Sync)) {
        let mut is_helpless = false;
        loop {
            let patience =
                if is_helpless { limits::PAGE_OUT_PAUSE } else { limits::COMMIT_PATIENCE };
            let work = self.paging.wait(patience, is_helpless);
            let is_last = work.last;
            match self.work(work) {
                Ok(Relief::Found) => is_helpless = false,
                Ok(Relief::None) => is_helpless = true,
                Err(error) => {
                    tracing::error!(%error, "stopping; nothing that was confirmed is lost");
                    return on_fatal();
                }
            }
            if is_last {
                return;
            }
        }
    }

    /// What there is to do now.
    pub(super) fn work_at_hand(&self) -> PagingWork {
        self.paging.wait(Duration::ZERO, false)
    }

    /// One round.
    pub(super) fn work(&self, work: PagingWork) -> Result<Relief, StoreError> {
        for queue in work.queues {
            self.page_in(queue)?;
        }
        if work.is_over_budget { Ok(self.page_out()) } else { Ok(Relief::Found) }
    }

    fn page_in(&self, queue: Arc<Queue>) -> Result<(), StoreError> {
        let cycles = self.broker.inbox().cycles();
        let mut turn = self.broker.begin_turn();
        match queue.next_page(&mut turn) {
            Page::Nothing => {}
            Page::NotYet => self.paging.want_later(queue, cycles),
            Page::In(page) => {
                let found = self.read(&queue, &page)?;
                queue.paged_in(&page, found, &mut turn);
            }
        }
        turn.finish(&self.broker);
        Ok(())
    }

    /// Reads the first of what is wanted, as much as may be read at once.
    fn read(&self, queue: &Queue, page: &PageIn) -> Result<Found, StoreError> {
        let runs: Vec<Run> = page.members.iter().map(|members| members.run).collect();
        let (mut wanted, is_all) = self.locate(queue, page.level, &runs)?;
        let mut found = Found { count: wanted.len(), ..Found::default() };
        if !is_all {
            found.up_to = wanted.last().map(|last| last.position);
        }
        found.puts = self.read_located(&mut wanted);
        if found.puts.len() < found.count {
            // Those that moved meanwhile are elsewhere now; the others are damaged.
            let missing = missing(&runs, &found);
            let (mut wanted, _) = self.locate(queue, page.level, &missing)?;
            found.puts.extend(self.read_located(&mut wanted));
            found.puts.sort_unstable_by_key(|put| put.position);
        }
        Ok(found)
    }

    /// Where the first of these lie, and whether these are all. In the order of their positions.
    fn locate(
        &self,
        queue: &Queue,
        level: Option<u8>,
        runs: &[Run],
    ) -> Result<(Vec<Wanted>, bool), StoreError> {
        let located = self.shared.tail.lock().state.locate(queue.id, level, runs)?;
        let mut bytes = 0;
        let mut wanted = Vec::with_capacity(located.len());
        let total = located.len();
        for Located { position, location } in located {
            bytes += u64::from(location.length);
            if bytes > limits::PAGE_IN_BYTES && !wanted.is_empty() {
                break;
            }
            wanted.push(Wanted { location, queue: queue.id, position });
        }
        let is_all = wanted.len() == total;
        Ok((wanted, is_all))
    }

    fn read_located(&self, wanted: &mut [Wanted]) -> Vec<Put> {
        wanted.sort_unstable();
        let mut puts: Vec<Put> = Vec::with_capacity(wanted.len());
        let damages = read_messages(&*self.reader, wanted, &mut |_, put| puts.push(put));
        self.note_damages(damages);
        puts.sort_unstable_by_key(|put| put.position);
        puts
    }

    fn note_damages(&self, damages: Vec<Damage>) {
        for damage in damages {
            let mut known = self.damages.lock();
            // What is looked at twice because it may have moved is told once.
            if !known.contains(&damage) {
                tracing::error!(%damage, "damage in the store; what it held is not delivered");
                if known.len() < limits::DAMAGES_KEPT {
                    known.push(damage);
                }
            }
        }
    }

    /// Lets messages leave memory until there is room again, from where there are most.
    fn page_out(&self) -> Relief {
        let mut relief = Relief::None;
        for whole in [false, true] {
            let mut queues = self.queues();
            queues.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
            for (_, queue) in &queues {
                while self.paging.excess() > 0 && queue.page_out(whole) > 0 {
                    relief = Relief::Found;
                }
            }
            if self.paging.excess() == 0 {
                break;
            }
        }
        relief
    }

    /// Queues with messages that may leave memory, and how many bytes these have.
    fn queues(&self) -> Vec<(usize, Arc<Queue>)> {
        let vhosts = self.broker.vhosts().into_iter();
        let queues =
            vhosts.flat_map(|vhost| vhost.queues().into_iter().chain(vhost.waiting_rooms()));
        queues
            .map(|queue| (queue.resident_bytes(), queue))
            .filter(|(bytes, _)| *bytes > 0)
            .collect()
    }
}

/// What of `runs`, up to what was looked at, was not found.
fn missing(runs: &[Run], found: &Found) -> Vec<Run> {
    let mut missing = Vec::new();
    let mut positions = found.puts.iter().map(|put| put.position).peekable();
    for run in runs {
        let last = found.up_to.map_or(run.last, |up_to| run.last.min(up_to));
        let mut first = run.first;
        while let Some(position) = positions.next_if(|position| *position <= last) {
            if first < position {
                missing.push(Run { first, last: Position(position.0 - 1) });
            }
            first = Position(position.0.saturating_add(1));
        }
        if first <= last {
            missing.push(Run { first, last });
        }
    }
    missing
}
