//! The commit thread: collect, encode, append, sync, release.
//!
//! Invariants:
//! * A mark is released only after a sync that covers everything collected up to the cycle that took it.
//!   Marks are taken before queues are collected, so what they wait for is in this cycle's batch or in an
//!   earlier one; `Flush::Synced` covers both.
//! * What was collected is written or the process ends. A full disk is waited out, with the batch and its
//!   marks in hand and its bytes counted as unsaved, so that publishers are held back.
//! * After any other error nothing more is confirmed.
//! * Nobody waits for the state to be brought up to date: marks are released before.
//! * What moves out of sparse segments comes behind all that, in a batch of its own, at most one portion a cycle.

use std::sync::Arc;
use std::time::Instant;

use super::DurabilityOptions;
use super::collection::{Batch, Collection};
use super::tail::{Counters, Offer, Shared, Tail};
use crate::broker::Broker;
use crate::broker::alarms::{Alarm, Alarms};
use crate::broker::commit_inbox::{CommitInbox, Mark, Work};
use crate::broker::paging::Paging;
use crate::clock::Clock;
use crate::limits;
use crate::store::{Appended, Flush, Log, LogPosition, StoreError};

/// What to do when the store can no longer be trusted; see [`exit_process`](super::exit_process).
pub type OnFatal = Arc<dyn Fn() + Send + Sync>;

/// See the module.
pub(super) struct Committer {
    inbox: Arc<CommitInbox>,
    alarms: Arc<Alarms>,
    paging: Arc<Paging>,
    clock: Arc<Clock>,
    log: Box<dyn Log>,
    shared: Arc<Shared>,
    options: DurabilityOptions,
    batch: Batch,
    /// The one written last, as far as the checkpoint thread was told.
    segment: u64,
    /// When the oldest bytes that are not synced were appended.
    unsynced_since: Option<Instant>,
    /// When the free space was looked at last, and the segment that was written then.
    space_seen: Option<(Instant, u64)>,
}

/// Why the committer ends before its last cycle.
#[derive(Debug)]
pub enum Stop {
    /// The disk is full and the broker stops. What is in hand was promised to nobody.
    Full,
    /// Nobody knows what the disk holds.
    Fatal(StoreError),
}

/// Whether there is another cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// There is.
    Cycle,
    /// That was the last.
    End,
}

impl Committer {
    pub(super) fn new(
        broker: &Broker,
        log: Box<dyn Log>,
        shared: Arc<Shared>,
        options: DurabilityOptions,
    ) -> Self {
        let batch = Batch::default();
        let segments = log.segments();
        let segment = segments.last().map_or(0, |last| last.generation);
        shared.tail.lock().segments = segments;
        Self {
            inbox: Arc::clone(broker.inbox()),
            alarms: Arc::clone(broker.alarms()),
            paging: Arc::clone(broker.paging()),
            clock: Arc::clone(broker.clock()),
            log,
            shared,
            options,
            batch,
            segment,
            unsynced_since: None,
            space_seen: None,
        }
    }

    /// The thread's whole life.
    pub(super) fn run(mut self, on_fatal: &(dyn Fn() + Send + Sync)) {
        // Also if this thread panics: the checkpoint thread must not wait for it for good.
        let _final = Final(Arc::clone(&self.shared));
        match self.run_to_end() {
            Ok(()) => tracing::debug!("the last commit is on disk"),
            Err(Stop::Full) => tracing::error!(
                "the disk is still full; stopping without the changes that nobody was told are safe"
            ),
            Err(Stop::Fatal(error)) => {
                tracing::error!(%error, "stopping; nothing that was confirmed is lost");
                on_fatal();
            }
        }
    }

    fn run_to_end(&mut self) -> Result<(), Stop> {
        // What the process before this one left was not necessarily synced.
        self.sync()?;
        loop {
            let patience = match self.unsynced_since {
                Some(_) => limits::SYNC_INTERVAL,
                None => limits::COMMIT_PATIENCE,
            };
            let work = self.inbox.wait(self.options.linger, patience);
            if self.commit(work)? == Next::End {
                return Ok(());
            }
        }
    }

    /// One cycle.
    pub(super) fn commit(&mut self, mut work: Work) -> Result<Next, Stop> {
        let is_idle = work.queues.is_empty() && work.vhosts.is_empty();
        let collection = Collection::take(&self.inbox, &mut work);
        let bytes = collection.bytes;
        // Until they are written, collected bytes count as unsaved still.
        self.inbox.add_unsaved(bytes);
        self.batch.encode(collection);

        let flush = if work.marks.is_empty() { Flush::Buffered } else { Flush::Synced };
        let appended = self.append(flush)?;
        release(work.marks);
        self.inbox.subtract_unsaved(bytes);
        self.watch_space();
        self.inbox.let_in();

        self.bring_up_to_date(appended, flush)?;
        self.inbox.end_cycle();
        self.paging.committed(self.inbox.cycles());
        let is_due = self.unsynced_since.is_some_and(|since| {
            self.clock.now().saturating_duration_since(since) >= limits::SYNC_INTERVAL
        });
        if is_due || is_idle || work.last {
            self.sync()?;
        }
        self.release_segments()?;
        if bytes > 0 {
            self.shared.tail.lock().bytes_of_cycle = bytes as u64;
        }
        if !work.last {
            self.forward()?;
        }
        Ok(if work.last { Next::End } else { Next::Cycle })
    }

    /// Holds publishers back before the disk is full, so that acknowledgements still find space; those are
    /// what makes space again. A new segment is when space is taken, so every one is a reason to look.
    pub(super) fn watch_space(&mut self) {
        let (now, generation) = (self.clock.now(), self.log.end().generation);
        let is_fresh = self.space_seen.is_some_and(|(at, segment)| {
            segment == generation && now.saturating_duration_since(at) < limits::SPACE_INTERVAL
        });
        if is_fresh {
            return;
        }
        self.space_seen = Some((now, generation));
        let free = match self.log.free_space() {
            Ok(free) => free,
            // Not knowing is no reason to stop anybody; the disk itself will say when it is full.
            Err(error) => return tracing::warn!(%error, "cannot tell the free space"),
        };
        self.shared.tail.lock().free_space = free;
        let limit = self.options.disk_free_limit;
        let is_short = free < limit;
        match (self.alarms.set(Alarm::Disk, is_short), is_short) {
            (false, true) => tracing::error!(
                free,
                limit,
                "free disk space is below its limit; publishers wait, consumers go on"
            ),
            (true, false) => {
                tracing::info!(free, limit, "the disk has space again; publishing goes on");
            }
            (false, false) | (true, true) => {}
        }
    }

    /// Appends the batch, however long the disk is full.
    fn append(&mut self, flush: Flush) -> Result<Appended, Stop> {
        let mut is_told = false;
        loop {
            match self.log.append(&mut self.batch.frames, flush) {
                Ok(appended) => {
                    if is_told {
                        tracing::info!("the disk has space again; publishing goes on");
                    }
                    return Ok(appended);
                }
                Err(error @ StoreError::Full { .. }) => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::error!(%error, "confirms and publishers wait until there is space");
                    }
                    self.wait_for_space()?;
                }
                Err(error) => return Err(Stop::Fatal(error)),
            }
        }
    }

    fn wait_for_space(&mut self) -> Result<(), Stop> {
        // A checkpoint may be waiting for this, and segments it then gives up are space.
        self.answer_offer(Offer::Refused);
        self.sync()?;
        self.release_segments()?;
        if self.shared.is_stopping() {
            return Err(Stop::Full);
        }
        std::thread::park_timeout(limits::DISK_FULL_RETRY);
        Ok(())
    }

    /// Tells the checkpoint thread what was appended. If the state cannot be brought up to date, nobody knows
    /// which segments are needed: that is as bad as a failed write.
    fn bring_up_to_date(&mut self, appended: Appended, flush: Flush) -> Result<(), Stop> {
        let bytes = self.batch.frames.len() as u64;
        let counters = &self.shared.counters;
        Counters::add(&counters.log, bytes);
        Counters::add(&counters.payload, self.batch.payload);
        let synced = (flush == Flush::Synced).then(|| self.log.end());
        if flush == Flush::Synced {
            self.unsynced_since = None;
        } else if bytes > 0 {
            self.unsynced_since.get_or_insert(self.clock.now());
        }
        let is_new = std::mem::replace(&mut self.segment, appended.end.generation)
            != appended.end.generation;
        let segments = is_new.then(|| self.log.segments());
        let mut tail = self.shared.tail.lock();
        if let Some(segments) = segments {
            tail.segments = segments;
        }
        let was_due = tail.is_checkpoint_due();
        self.batch.apply(appended, &mut tail.state).map_err(Stop::Fatal)?;
        tail.bytes_since_checkpoint += bytes;
        if !was_due && tail.is_checkpoint_due() {
            self.shared.news.notify_all();
        }
        if let Some(synced) = synced {
            self.note_sync(&mut tail, synced);
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Stop> {
        self.log.sync().map_err(Stop::Fatal)?;
        self.unsynced_since = None;
        let synced = self.log.end();
        let mut tail = self.shared.tail.lock();
        self.note_sync(&mut tail, synced);
        Ok(())
    }

    fn note_sync(&self, tail: &mut Tail, synced: LogPosition) {
        tail.synced = synced;
        tail.syncs += 1;
        if std::mem::take(&mut tail.is_sync_awaited) {
            self.shared.news.notify_all();
        }
    }

    /// Appends what the checkpoint thread moves out of a sparse segment: at the end of a cycle, when its marks
    /// are released and the state is exact, as a batch of its own, which a full disk may refuse without
    /// harm. Nobody waits for it, so it is not synced for its own sake.
    fn forward(&mut self) -> Result<(), Stop> {
        {
            let mut tail = self.shared.tail.lock();
            let tail = &mut *tail;
            let Offer::Made(portion) = &tail.offer else { return Ok(()) };
            portion.encode(&mut tail.state, &mut self.batch).map_err(Stop::Fatal)?;
            tail.offer = Offer::Taken;
        }
        let bytes = self.batch.frames.len() as u64;
        match self.log.append(&mut self.batch.frames, Flush::Buffered) {
            Ok(appended) => {
                self.bring_up_to_date(appended, Flush::Buffered)?;
                Counters::add(&self.shared.counters.forwarded, bytes);
                self.answer_offer(Offer::None);
                Ok(())
            }
            Err(StoreError::Full { .. }) => {
                self.batch.abandon_again();
                self.answer_offer(Offer::Refused);
                Ok(())
            }
            Err(error) => Err(Stop::Fatal(error)),
        }
    }

    fn answer_offer(&self, answer: Offer) {
        let mut tail = self.shared.tail.lock();
        if !matches!(tail.offer, Offer::None) {
            tail.offer = answer;
            self.shared.news.notify_all();
        }
    }

    fn release_segments(&mut self) -> Result<(), Stop> {
        let Some(release) = self.shared.tail.lock().take_release() else { return Ok(()) };
        match self.log.release(release.before, &|generation| release.live.contains(&generation)) {
            Ok(released) => {
                tracing::debug!(segments = released.len(), "segments can be reused");
                let segments = self.log.segments();
                self.shared.tail.lock().segments = segments;
                Ok(())
            }
            // Recycling needs no space to speak of; the next checkpoint asks again.
            Err(StoreError::Full { .. }) => Ok(()),
            Err(error) => Err(Stop::Fatal(error)),
        }
    }
}

/// Says that the commit thread has ended, when it is dropped.
struct Final(Arc<Shared>);

impl Drop for Final {
    fn drop(&mut self) {
        self.0.tail.lock().is_final = true;
        self.0.news.notify_all();
    }
}

/// Tells those who wait that what they wait for is on disk.
pub(super) fn release(marks: Vec<Mark>) {
    let mut wakers = Vec::new();
    for mark in marks {
        mark.who.committed(mark.sequence, &mut wakers);
    }
    for waker in wakers {
        waker.wake();
    }
}
