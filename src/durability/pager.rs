//! The page thread: messages out of memory, and back from the log.
//!
//! Invariants:
//! * Nothing durable is written here: what leaves memory is in the log already, or is spilled to where only this run
//!   finds it.
//! * A message is lost only if what lies at its place is not what was written there, and that is still its place:
//!   records move while they are read, when their segment is given up.
//! * At most a read of [`limits::PAGE_IN_BYTES`], or one message, is in memory besides the messages. What stays in
//!   memory is read in portions that shrink as more queues read.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use super::index::Located;
use super::messages::{Wanted, read_messages};
use super::spill::Spiller;
use super::tail::Shared;
use crate::broker::Broker;
use crate::broker::change::Put;
use crate::broker::delivery::{Deadline, Position, Run};
use crate::broker::paging::{Paging, PagingWork, Unread};
use crate::broker::queue::{Found, Page, PageIn, Queue};
use crate::broker::turn::Turn;
use crate::limits;
use crate::store::{Damage, LogReader, SpillArea, StoreError};
use crate::sync::{RankedMutex, rank};

/// See the module.
pub(super) struct Pager {
    broker: Arc<Broker>,
    paging: Arc<Paging>,
    shared: Arc<Shared>,
    reader: Arc<dyn LogReader>,
    spiller: Option<Spiller>,
    damages: RankedMutex<{ rank::LEAF }, Vec<Damage>>,
}

/// Whether there was something to do about too much in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Relief {
    /// There was, or there was not too much.
    Found,
    /// Nothing may leave now: it is still on its way to the log, or cannot be written.
    None,
    /// There was, and there is more.
    Some,
}

impl Pager {
    pub(super) fn new(
        broker: Arc<Broker>,
        shared: Arc<Shared>,
        reader: Arc<dyn LogReader>,
    ) -> Self {
        let paging = Arc::clone(broker.paging());
        paging.open();
        Self { broker, paging, shared, reader, spiller: None, damages: RankedMutex::default() }
    }

    /// The same, with a place for messages that are in no log.
    pub(super) fn spilling_to(self, area: SpillArea) -> Self {
        self.paging.open_spill();
        Self { spiller: Some(Spiller::new(area)), ..self }
    }

    /// What was found damaged so far; the first of it, if it is much.
    #[cfg(test)]
    pub(super) fn damages(&self) -> Vec<Damage> {
        self.damages.lock().clone()
    }

    /// The thread's whole life.
    pub(super) fn run(&self, on_fatal: &(dyn Fn() + Send + Sync)) {
        let mut relief = Relief::Found;
        loop {
            let patience = match relief {
                Relief::Found => limits::COMMIT_PATIENCE,
                Relief::None => limits::PAGE_OUT_PAUSE,
                Relief::Some => Duration::ZERO,
            };
            let work = self.paging.wait(patience, relief == Relief::None);
            let is_last = work.last;
            match self.work(work) {
                Ok(found) => relief = found,
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
        let mut relief = if work.is_over_budget { self.page_out() } else { Relief::Found };
        if let Some(spiller) = &self.spiller {
            if work.is_over_transient {
                relief = relief.max(self.spill(spiller));
            }
            relief = relief.max(spiller.tidy());
        }
        Ok(relief)
    }

    fn page_in(&self, queue: Arc<Queue>) -> Result<(), StoreError> {
        let cycles = self.broker.inbox().cycles();
        let mut turn = self.broker.begin_turn();
        match queue.next_page(&mut turn) {
            Page::Nothing => {}
            Page::NotYet => self.paging.want_later(queue, cycles),
            Page::In(page) if page.spilled().is_some() => {
                self.read_back(queue, &page, cycles, &mut turn);
            }
            Page::In(page) => {
                let found = self.read(&queue, &page)?;
                queue.paged_in(&page, found, &mut turn);
            }
        }
        turn.finish(&self.broker);
        Ok(())
    }

    /// Reads what was spilled.
    fn read_back(&self, queue: Arc<Queue>, page: &PageIn, cycles: u64, turn: &mut Turn) {
        match page.spilled().map_or(Ok(Vec::new()), |spilled| spilled.read()) {
            Ok(entries) => queue.read_back(page, entries, turn),
            Err(Unread::Lost) => queue.read_back(page, Vec::new(), turn),
            // Something happens at least as often as the committer looks for housekeeping.
            Err(Unread::NotNow) => self.paging.want_later(queue, cycles),
        }
    }

    /// Reads the first of what is wanted, as much as may be read at once.
    fn read(&self, queue: &Queue, page: &PageIn) -> Result<Found, StoreError> {
        let runs: Vec<Run> = page.members().iter().map(|members| members.run).collect();
        let (mut wanted, is_all) = self.locate(queue, page, &runs)?;
        let mut found = Found { count: wanted.len(), ..Found::default() };
        if !is_all {
            found.up_to = wanted.last().map(|last| last.position);
        }
        let (puts, _) = self.read_located(&mut wanted);
        found.puts = puts;
        if found.puts.len() < found.count {
            // Those that moved meanwhile are elsewhere now; the others are damaged.
            let missing = missing(&runs, &found);
            let (mut wanted, _) = self.locate(queue, page, &missing)?;
            let (puts, damages) = self.read_located(&mut wanted);
            self.note_damages(damages);
            found.puts.extend(puts);
            found.puts.sort_unstable_by_key(|put| put.position);
        }
        Ok(found)
    }

    /// Where the first of these lie, and whether these are all. In the order of their positions.
    fn locate(
        &self,
        queue: &Queue,
        page: &PageIn,
        runs: &[Run],
    ) -> Result<(Vec<Wanted>, bool), StoreError> {
        let located = self.shared.tail.lock().state.locate(queue.id, page.level(), runs)?;
        let mut bytes = 0;
        let mut wanted = Vec::with_capacity(located.len());
        let total = located.len();
        for Located { position, location } in located {
            bytes += u64::from(location.length);
            if bytes > page.at_most && !wanted.is_empty() {
                break;
            }
            wanted.push(Wanted { location, queue: queue.id, position });
        }
        let is_all = wanted.len() == total;
        Ok((wanted, is_all))
    }

    /// What lies there, and what of it cannot be read.
    fn read_located(&self, wanted: &mut [Wanted]) -> (Vec<Put>, Vec<Damage>) {
        wanted.sort_unstable();
        let mut puts: Vec<Put> = Vec::with_capacity(wanted.len());
        let damages = read_messages(&*self.reader, wanted, &mut |_, put| puts.push(put));
        puts.sort_unstable_by_key(|put| put.position);
        (puts, damages)
    }

    fn note_damages(&self, damages: Vec<Damage>) {
        for damage in damages {
            let mut known = self.damages.lock();
            // What more than one queue has is told once.
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
            for queue in &self.queues(Queue::resident_bytes) {
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

    /// Writes messages that are in no log, from where there are most.
    fn spill(&self, spiller: &Spiller) -> Relief {
        let clock = self.broker.clock();
        let now = Deadline::at_ms(clock.unix_ms(clock.now()));
        if spiller.is_pausing(now) {
            return Relief::None;
        }
        spiller.spill(&self.paging, &self.queues(Queue::transient_bytes), now)
    }

    /// Queues with messages of that kind in memory, those with the most bytes first.
    fn queues(&self, bytes_of: impl Fn(&Queue) -> usize) -> Vec<Arc<Queue>> {
        let vhosts = self.broker.vhosts().into_iter();
        let queues =
            vhosts.flat_map(|vhost| vhost.queues().into_iter().chain(vhost.waiting_rooms()));
        let sized = queues.map(|queue| (bytes_of(&queue), queue));
        let mut sized: Vec<_> = sized.filter(|(bytes, _)| *bytes > 0).collect();
        sized.sort_by_key(|(bytes, _)| Reverse(*bytes));
        sized.into_iter().map(|(_, queue)| queue).collect()
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
