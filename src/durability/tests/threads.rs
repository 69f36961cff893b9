//! The threads themselves: started, used from several sides, stopped.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::durability::{Durability, OnFatal, Store, exit_process};
use crate::store::{DataDirectory, SegmentFiles, SimulatedDisk, Survives};

struct Running {
    broker: Arc<Broker>,
    durability: Durability,
    collector: Arc<Collector>,
}

fn start(log: Box<dyn StoredLog>, checkpoint: Box<dyn Checkpoint>, on_fatal: OnFatal) -> Running {
    let clock = Arc::new(Clock::real());
    let recovered = recover(log, &*checkpoint, &["/".to_owned()], clock).unwrap();
    let Recovered { broker, log, state, .. } = recovered;
    let (store, broker) = (Store { log, checkpoint, state }, Arc::new(broker));
    let durability =
        Durability::start(&broker, store, DurabilityOptions::default(), on_fatal).unwrap();
    Running { broker, durability, collector: Arc::default() }
}

fn never() -> OnFatal {
    Arc::new(|| panic!("the store is fine"))
}

fn wait_for(collector: &Collector, sequence: u64) {
    for _ in 0..2000 {
        if collector.committed() >= sequence {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    panic!("mark {sequence} was never released");
}

#[test]
fn a_broker_that_was_stopped_goes_on_where_it_was() {
    let place = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let data = DataDirectory::open(place.path()).unwrap();
        let running = start(data.log(), data.checkpoint().unwrap(), never());
        let queue = declare(&running.broker, "q");
        assert_eq!(queue.counts().ready, round * 10);
        for number in 0..10 {
            publish(&running.broker, &[&queue], &message(&format!("{round}-{number}"), false));
        }
        assert!(running.durability.stop());
    }
}

#[test]
fn stopping_takes_a_checkpoint_of_everything() {
    let store = MemoryStore::new();
    let running = start(store.log(), store.checkpoint(), never());
    let queue = declare(&running.broker, "q");
    publish(&running.broker, &[&queue], &message("body", false));
    running.durability.stop();

    let known = super::super::load(&*store.checkpoint()).unwrap();
    let (_, scanned) = store.log().open(store.checkpoint().position(), &mut |_| Ok(())).unwrap();

    assert_eq!(live(&known).len(), 1);
    assert_eq!(scanned.frames, 0);
}

#[test]
fn every_cut_under_load_keeps_what_was_confirmed_and_whole_transactions() {
    const PUBLISHED: u64 = 300;
    let store = MemoryStore::new();
    let running = start(store.log(), store.checkpoint(), never());
    let (one, two) = (declare(&running.broker, "one"), declare(&running.broker, "two"));
    let (broker, collector) = (Arc::clone(&running.broker), Arc::clone(&running.collector));

    let publisher = std::thread::spawn(move || {
        for sequence in 1..=PUBLISHED {
            publish(&broker, &[&one, &two], &message(&format!("{sequence:06}"), true));
            leave_mark(&broker, &collector, sequence);
        }
    });
    let mut cuts = Vec::new();
    while !publisher.is_finished() {
        let committed = running.collector.committed();
        cuts.push((committed, store.crash(Survives::Synced)));
        std::thread::yield_now();
    }
    publisher.join().unwrap();
    wait_for(&running.collector, PUBLISHED);
    cuts.push((PUBLISHED, store.crash(Survives::Synced)));
    running.durability.stop();

    let few = cuts.len().div_ceil(40);
    for (committed, store) in cuts.iter().rev().step_by(few) {
        let found = bodies_after_restart(store);
        let Some(one) = found.get("one") else { continue };
        assert!(one.len() as u64 >= *committed, "{} of {committed} confirmed", one.len());
        assert_eq!(Some(one), found.get("two"), "published to both or to none");
    }
}

#[test]
fn a_failed_sync_is_fatal_and_releases_nothing() {
    let disk = SimulatedDisk::new();
    let files = SegmentFiles::new(Arc::new(disk.clone()), "log".into());
    let stopped = Arc::new(AtomicBool::new(false));
    let on_fatal: OnFatal = {
        let stopped = Arc::clone(&stopped);
        Arc::new(move || stopped.store(true, Ordering::SeqCst))
    };
    let running = start(Box::new(files), MemoryStore::new().checkpoint(), on_fatal);
    let queue = declare(&running.broker, "q");
    leave_mark(&running.broker, &running.collector, 1);
    wait_for(&running.collector, 1);

    disk.fail_next_sync(std::io::ErrorKind::Other);
    publish(&running.broker, &[&queue], &message("body", false));
    leave_mark(&running.broker, &running.collector, 2);
    running.durability.stop();

    assert!(stopped.load(Ordering::SeqCst));
    assert_eq!(running.collector.committed(), 1);
}

#[test]
fn without_a_store_marks_are_released_and_nothing_is_kept() {
    let clock = Arc::new(Clock::real());
    let broker = Arc::new(Broker::new(["/"], 1, clock));
    let durability = Durability::transient(&broker).unwrap();
    let collector = Arc::default();
    let queue = declare(&broker, "q");
    publish(&broker, &[&queue], &message("body", false));
    leave_mark(&broker, &collector, 1);
    wait_for(&collector, 1);
    durability.stop();

    assert_eq!(queue.counts().ready, 1);
    assert_eq!(broker.inbox().unsaved_bytes(), 0);
    // Not called here; a store that fails has none of this.
    drop(exit_process());
}
