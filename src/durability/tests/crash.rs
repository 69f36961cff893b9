//! Cuts at every step of the committer, in scenarios that have a point. Random ones are in `power`.

use super::*;
use crate::store::{Appended, Flush, FrameBuffer, LogReader, SegmentInfo, StoreError, Survives};
use crate::sync::{RankedMutex, rank};

/// What a cut at one instant leaves, and what had been released by then.
pub(super) struct Cut {
    pub(super) store: MemoryStore,
    pub(super) committed: u64,
}

/// Cuts before and after everything the committer does to the log.
#[derive(Default)]
pub(super) struct Cuts {
    taken: RankedMutex<{ rank::LEAF }, Vec<Cut>>,
}

impl Cuts {
    fn add(&self, store: &MemoryStore, collector: &Collector) {
        let survivals = [
            Survives::Synced,
            Survives::SyncedAnd(1),
            Survives::SyncedAnd(2),
            Survives::Everything,
        ];
        for survives in survivals {
            let (store, committed) = (store.crash(survives), collector.committed());
            self.taken.lock().push(Cut { store, committed });
        }
    }

    pub(super) fn take(&self) -> Vec<Cut> {
        std::mem::take(&mut *self.taken.lock())
    }
}

pub(super) struct CutLog {
    log: Box<dyn Log>,
    store: MemoryStore,
    collector: Arc<RankedMutex<{ rank::LEAF }, Option<Arc<Collector>>>>,
    cuts: Arc<Cuts>,
}

impl CutLog {
    /// The log of an empty store. Cuts remember what `collector` was told.
    pub(super) fn new(store: &MemoryStore, collector: &Arc<Collector>, cuts: &Arc<Cuts>) -> Self {
        let (log, _) = store.log().open(None, &mut |_| Ok(())).unwrap();
        let collector = Arc::new(RankedMutex::new(Some(Arc::clone(collector))));
        Self { log, store: store.clone(), collector, cuts: Arc::clone(cuts) }
    }

    fn cut(&self) {
        let collector = self.collector.lock().clone().unwrap_or_default();
        self.cuts.add(&self.store, &collector);
    }
}

impl Log for CutLog {
    fn append(&mut self, batch: &mut FrameBuffer, flush: Flush) -> Result<Appended, StoreError> {
        self.cut();
        // Between the write and the sync, too.
        let appended = self.log.append(batch, Flush::Buffered)?;
        self.cut();
        if flush == Flush::Synced {
            self.log.sync()?;
            self.cut();
        }
        Ok(appended)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.cut();
        self.log.sync()?;
        self.cut();
        Ok(())
    }

    fn end(&self) -> LogPosition {
        self.log.end()
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        self.log.reader()
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        self.log.segments()
    }

    fn release(&mut self, before: u64, live: &dyn Fn(u64) -> bool) -> Result<Vec<u64>, StoreError> {
        let released = self.log.release(before, live)?;
        self.cut();
        Ok(released)
    }
}

pub(super) fn watched(store: &MemoryStore) -> (Node, Arc<Cuts>) {
    let (cuts, slot) = (Arc::new(Cuts::default()), Arc::new(RankedMutex::new(None)));
    let node = Node::recovered(store.log(), store.checkpoint(), &|log| {
        let (cuts, collector) = (Arc::clone(&cuts), Arc::clone(&slot));
        Box::new(CutLog { log, store: store.clone(), collector, cuts })
    });
    *slot.lock() = Some(Arc::clone(&node.collector));
    (node, cuts)
}

#[test]
fn a_transaction_is_whole_or_absent_wherever_the_cut_comes() {
    let store = MemoryStore::new();
    let (mut node, cuts) = watched(&store);
    let (from, to, log) = (node.declare("from"), node.declare("to"), node.declare("log"));
    node.publish(&[&from], "moved");
    node.commit_marked();
    let entry = node.get(&from).unwrap();
    node.commit();
    let mut turn = node.broker.begin_turn();
    {
        let _whole = node.broker.inbox().gate().share();
        from.settle(vec![entry], Outcome::Settled, &[], &mut turn);
        to.enqueue(&mut vec![message("moved", false)], &mut turn);
        log.enqueue(&mut vec![message("done", false)], &mut turn);
    }
    turn.finish(&node.broker);
    node.commit();
    node.commit_marked();

    let before = queues(&[("from", &["moved"]), ("log", &[]), ("to", &[])]);
    let after = queues(&[("from", &[]), ("log", &["done"]), ("to", &["moved"])]);
    let mut seen = (0, 0);
    for cut in cuts.take().iter().filter(|cut| cut.committed >= 1) {
        let found = bodies_after_restart(&cut.store);
        assert!(found == before || found == after, "half a transaction: {found:?}");
        seen = (seen.0 + u32::from(found == before), seen.1 + u32::from(found == after));
    }
    assert!(seen.0 > 0 && seen.1 > 0, "both sides of the cut were seen: {seen:?}");
}

#[test]
fn a_transaction_that_meets_a_cycle_is_collected_whole() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let (one, two) = (node.declare("one"), node.declare("two"));
    node.commit_marked();
    // One of its queues is in the cycle's work already, the other is not.
    node.publish(&[&one], "alone");
    let work = node.broker.inbox().wait(Duration::ZERO, Duration::ZERO);
    node.publish(&[&one, &two], "together");
    node.committer.commit(work).unwrap();

    let found = bodies_after_restart(&store.crash(Survives::Everything));
    assert_eq!(found, queues(&[("one", &["alone", "together"]), ("two", &["together"])]));
}

#[test]
fn a_mark_covers_what_an_earlier_cycle_wrote_without_a_sync() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let queue = node.declare("q");
    node.publish(&[&queue], "body");
    node.commit();
    assert!(bodies_after_restart(&store.crash(Survives::Synced)).is_empty());

    // The mark's cycle has nothing to write.
    node.commit_marked();

    let found = bodies_after_restart(&store.crash(Survives::Synced));
    assert_eq!(found, queues(&[("q", &["body"])]));
}

#[test]
fn what_nobody_waits_for_is_synced_when_the_committer_finds_nothing_else_to_do() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let queue = node.declare("q");
    node.publish(&[&queue], "body");
    node.commit();
    node.commit();

    let found = bodies_after_restart(&store.crash(Survives::Synced));
    assert_eq!(found, queues(&[("q", &["body"])]));
}

#[test]
fn what_nobody_waits_for_is_synced_in_time_under_a_steady_flow() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let queue = node.declare("q");
    for body in ["a", "b"] {
        node.publish(&[&queue], body);
        node.commit();
        node.broker.clock().advance(crate::limits::SYNC_INTERVAL);
    }

    let found = bodies_after_restart(&store.crash(Survives::Synced));
    assert_eq!(found, queues(&[("q", &["a", "b"])]));
}

#[test]
fn a_checkpoint_never_runs_ahead_of_what_is_synced() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let queue = node.declare("q");
    node.publish(&[&queue], "body");
    node.commit();
    // The commit thread ended, and nobody will sync what it wrote.
    node.shared.tail.lock().is_final = true;

    node.checkpointer.checkpoint().unwrap();

    assert_eq!(store.checkpoint().position(), None);
}

#[test]
fn an_entry_gone_by_a_record_that_a_cut_loses_still_finds_its_message() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let queue = node.declare("q");
    node.publish(&[&queue], &"x".repeat(1000));
    node.commit_marked();
    // Into the next segment, and a checkpoint that knows the message as live.
    let filler = node.declare("filler");
    node.publish(&[&filler], &"x".repeat(33 * 1024 * 1024));
    node.commit_marked();
    node.checkpoint();
    let work = {
        node.take_first(&queue);
        node.broker.inbox().wait(Duration::ZERO, Duration::ZERO)
    };
    node.committer.commit(work).unwrap();

    let restarted = Node::on(&store.crash(Survives::Synced));

    assert_eq!(restarted.report.damages, []);
    assert_eq!(restarted.queue("q").counts().ready, 1);
}
