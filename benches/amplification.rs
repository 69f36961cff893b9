//! How often the bytes of a message are written, and what the disk holds beside what lives: 1 KiB messages, each
//! confirmed and on disk before it is consumed, so that none is cancelled on its way.
//!
//! `cargo bench --bench amplification -- 4096` publishes 4096 MiB in each of two rounds: 20 queues that are kept short,
//! and the same with one more that gets a tenth of the messages and is never read. It writes to `target/`.

#![allow(clippy::print_stdout, reason = "a program for the command line")]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use leveret::broker::Broker;
use leveret::broker::commit_inbox::{Awaiting, Mark};
use leveret::broker::message::{Layout, Message};
use leveret::broker::options::QueueOptions;
use leveret::broker::queue::{Outcome, Queue};
use leveret::clock::Clock;
use leveret::durability::{
    DiskUse, Durability, DurabilityOptions, Recovered, Store, Written, exit_process, recover,
};
use leveret::limits;
use leveret::store::DataDirectory;

const BODY: usize = 1024;
const MIB: u64 = 1024 * 1024;
const QUEUES: usize = 20;
/// Messages of one queue that are published together.
const BATCH: usize = 50;
/// Batches that wait for their confirms.
const WINDOW: u64 = 64;

/// Remembers how far confirms are.
#[derive(Default)]
struct Confirms(AtomicU64);

impl Awaiting for Confirms {
    fn committed(&self, sequence: u64, _: &mut Vec<Waker>) {
        self.0.store(sequence, Ordering::SeqCst);
    }
}

struct Stage {
    broker: Arc<Broker>,
    durability: Durability,
    confirms: Arc<Confirms>,
    sequence: u64,
}

impl Stage {
    fn on(place: &Path) -> Self {
        let directory = DataDirectory::open(place).expect("a new directory");
        let checkpoint = directory.checkpoint().expect("an empty checkpoint");
        let clock = Arc::new(Clock::real());
        let recovered = recover(directory.log(), &*checkpoint, &["/".to_owned()], clock);
        let Recovered { broker, log, state, .. } = recovered.expect("nothing is damaged");
        let broker = Arc::new(broker);
        let store = Store { log, checkpoint, state };
        let options = DurabilityOptions::default();
        let durability = Durability::start(&broker, store, options, exit_process());
        let durability = durability.expect("threads can be started");
        // The directory is locked while it lives.
        std::mem::forget(directory);
        Self { broker, durability, confirms: Arc::default(), sequence: 0 }
    }

    fn declare(&self, name: &str) -> Arc<Queue> {
        let options = QueueOptions { durable: true, ..QueueOptions::default() };
        let host = self.broker.vhost("/").expect("it was just made");
        host.declare_queue(name, options, None).thing().expect("it has no limit")
    }

    fn publish(&mut self, queue: &Arc<Queue>, messages: usize) {
        self.sequence += 1;
        let mut turn = self.broker.begin_turn();
        let mut batch = (0..messages).map(|_| message()).collect();
        queue.enqueue(&mut batch, &mut turn);
        let who: Arc<Confirms> = Arc::clone(&self.confirms);
        turn.leave_mark(Mark { who, sequence: self.sequence });
        turn.finish(&self.broker);
    }

    fn wait_for(&self, sequence: u64) {
        while self.confirms.0.load(Ordering::SeqCst) < sequence {
            std::thread::park_timeout(Duration::from_micros(100));
        }
    }

    fn consume(&self, queue: &Arc<Queue>, messages: usize) {
        let mut turn = self.broker.begin_turn();
        let next = || queue.get(false, &mut turn).message().map(|(entry, _)| entry);
        let entries = std::iter::from_fn(next).take(messages).collect();
        queue.settle(entries, Outcome::Settled, &[], &mut turn);
        turn.finish(&self.broker);
    }
}

fn message() -> Arc<Message> {
    let layout = Layout { exchange: 0, routing_key: 5, header: 2 };
    let blob = Bytes::from([b"queue\0\0".as_slice(), &[0xA5; BODY]].concat());
    Arc::new(Message::new(blob, layout, true, false).expect("it is long enough"))
}

/// Publishes `mib` of messages; every tenth to a queue that nobody reads, if there is one.
fn run(mib: u64, has_slow_queue: bool) {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let place = tempfile::tempdir_in(target).expect("target/ can be written");
    let mut stage = Stage::on(place.path());
    let queues: Vec<_> = (0..QUEUES).map(|number| stage.declare(&format!("q{number}"))).collect();
    let slow = has_slow_queue.then(|| stage.declare("slow"));
    println!("  published MiB   segments MiB   live MiB   bound MiB   written/published");
    let batches = mib * MIB / (BATCH * BODY) as u64;
    let mut unread: VecDeque<(u64, usize)> = VecDeque::new();
    let mut worst = 0.0_f64;
    for batch in 1..=batches {
        let slot = usize::try_from(batch).unwrap_or_default() % QUEUES;
        let share = slow.as_ref().map_or(0, |_| BATCH / 10);
        if let Some(slow) = &slow {
            stage.publish(slow, share);
        }
        stage.publish(&queues[slot], BATCH - share);
        unread.push_back((stage.sequence, slot));
        if unread.len() as u64 > WINDOW
            && let Some((sequence, slot)) = unread.pop_front()
        {
            stage.wait_for(sequence);
            stage.consume(&queues[slot], BATCH - share);
        }
        let DiskUse { segments, live } = stage.durability.disk_use();
        worst = worst.max(ratio(segments, 2 * live + limits::RECLAIM_SLACK));
        if batch % (batches / 16).max(1) == 0 {
            line(batch * (BATCH * BODY) as u64, &stage);
        }
    }
    let written = stage.durability.written();
    println!("  at most {:.0} % of the bound; {written:?}", worst * 100.0);
    assert!(stage.durability.stop());
}

fn line(published: u64, stage: &Stage) {
    let DiskUse { segments, live } = stage.durability.disk_use();
    let bound = 2 * live + limits::RECLAIM_SLACK;
    let amplification = amplification(stage.durability.written());
    println!(
        "  {:>13} {:>14} {:>10} {:>11} {amplification:>19.3}",
        published / MIB,
        segments / MIB,
        live / MIB,
        bound / MIB,
    );
}

fn amplification(written: Written) -> f64 {
    ratio(written.log + written.checkpoint, written.payload)
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn ratio(one: u64, other: u64) -> f64 {
    one as f64 / other.max(1) as f64
}

fn main() {
    let mib = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(2048);
    println!("{QUEUES} queues that are kept short (goal: 1.1)");
    run(mib, false);
    println!("the same, and one with a tenth of the messages that is never read (goal: 1.4)");
    run(mib, true);
}
