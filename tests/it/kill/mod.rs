//! kill -9, again and again, under load: what was confirmed stays, what was acknowledged stays gone, transactions are
//! whole, queues keep their order. The clients note what they do and hear, and tests/checker judges it.
//!
//! `KILLS` and `KILL_SEED` in the environment choose another number and another course.

pub mod clients;
mod moves;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::clients::{Consumer, Notes, Publisher, Transactor, WORK, body, number, number_of};
use crate::checker::{Checker, Event, History, How, MessageId};
use crate::support::{Delivery, RawPeer, TestBroker, method};

/// Every transaction publishes its number to both of these,
const PAIR: [&str; 2] = ["tx-a", "tx-b"];
/// and most of them replace the one token in this one.
const TOKEN: &str = "tx-token";
/// Nobody consumes from this one.
const BACKLOG: &str = "backlog";
/// Where publishes go whose confirms vouch for what was done before them.
const BARRIER: &str = "barrier";
/// Messages a check leaves in a queue, to go through more than one kill.
const KEPT: usize = 60;
const KEPT_IN_BACKLOG: usize = 500;
/// What is written in config.toml: whatever may leave memory does, and must be read again.
const CONFIG: &str = "resident_bytes = 0";

#[test]
fn a_hundred_kills_lose_nothing_that_was_promised() {
    let kills = setting("KILLS").unwrap_or(100);
    let mut course = Course::new();
    course.prepare();

    let started = Instant::now();
    for life in 0..kills {
        course.live_and_die(life);
        course.restart();
        course.check();
    }
    course.everything_can_be_drained();

    let p99 = course.restart_p99();
    let verdict = course.checker.verdict();
    let (summary, took) = (verdict.summary(), started.elapsed());
    report(&format!("kills {kills}, {summary}, restart p99 {p99:?}, in {took:?}"));
    assert!(verdict.is_clean(), "see {}\n{:#?}", course.kept_at.display(), verdict.faults());
    assert!(verdict.confirmed > kills, "too little happened to mean anything");
    // Nobody will want to read it.
    std::fs::remove_file(&course.kept_at).unwrap();
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// A broker, what was done to it, and what comes next.
struct Course {
    broker: TestBroker,
    random: Random,
    history: History,
    checker: Checker,
    /// The whole history, for whoever wants to know how it came to a fault.
    kept: BufWriter<File>,
    kept_at: PathBuf,
    restarts: Vec<Duration>,
}

impl Course {
    fn new() -> Self {
        let random = Random::seeded();
        let name = format!("kill-history-{}-{}", std::process::id(), random.0);
        let kept_at = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        Self {
            broker: TestBroker::with_config(CONFIG),
            random,
            history: History::default(),
            checker: Checker::default(),
            kept: BufWriter::new(File::create(&kept_at).unwrap()),
            kept_at,
            restarts: Vec::new(),
        }
    }

    fn prepare(&mut self) {
        let mut peer = RawPeer::connect(&self.broker);
        for queue in WORK.iter().chain(&PAIR).chain(&[TOKEN, BACKLOG, BARRIER]) {
            peer.has_durable_queue(1, queue);
        }
        peer.selects_confirms(1);
        let notes = Notes::new(&self.history);
        let token = notes.message(1);
        notes.publishes(TOKEN, token, None);
        peer.publishes_persistent(1, TOKEN, &body(number_of(token)));
        peer.is_confirmed_up_to(1, 1);
        notes.note(Event::Confirm { message: token });
        peer.leaves();
    }

    /// Clients at work until the kill, at a moment nobody chose.
    fn live_and_die(&mut self, life: u64) {
        let (broker, history) = (&self.broker, &self.history);
        let publishers = [(); 2].map(|()| Publisher::new(broker, history));
        let consumers =
            [&WORK[..2], &WORK[2..]].map(|queues| Consumer::new(broker, history, queues));
        let transactor = Transactor::new(broker, history);

        let mut threads: Vec<_> =
            publishers.map(|it| std::thread::spawn(move || it.run())).into_iter().collect();
        threads.extend(consumers.map(|it| std::thread::spawn(move || it.run())));
        threads.push(std::thread::spawn(move || transactor.run()));
        std::thread::park_timeout(Duration::from_millis(20 + self.random.below(130)));
        self.broker.kill9();
        for thread in threads {
            thread.join().expect("a client ends when the broker does");
        }
        // Only now nobody hears anything more of what came before.
        self.history.note(Event::Fault { what: "kill".to_owned() });
        if life % 8 == 7 {
            self.broker.launch_and_kill(Duration::from_millis(self.random.below(40)));
        }
    }

    fn restart(&mut self) {
        let started = Instant::now();
        self.broker.launch();
        self.restarts.push(started.elapsed());
    }

    fn restart_p99(&mut self) -> Duration {
        self.restarts.sort_unstable();
        let index = self.restarts.len() * 99 / 100;
        self.restarts.get(index).copied().unwrap_or_default()
    }

    /// Looks at every message of every queue, lets go of most of them for good, and puts back the rest.
    fn check(&mut self) {
        let mut peer = RawPeer::connect(&self.broker);
        let notes = Notes::new(&self.history);
        let queues = WORK.into_iter().chain(PAIR).chain([TOKEN, BACKLOG]);
        let found: Vec<_> = queues
            .zip(2..)
            .map(|(queue, channel)| (queue, channel, noted_look(&mut peer, &notes, channel, queue)))
            .collect();
        self.history.note(Event::Round);
        for (queue, channel, found) in found {
            let kept = match queue {
                TOKEN => found.len(),
                BACKLOG => KEPT_IN_BACKLOG,
                _ if PAIR.contains(&queue) => 0,
                _ => KEPT,
            };
            let settled = &found[..found.len().saturating_sub(kept)];
            for message in settled {
                notes.settles(queue, *message, How::Ack, None);
            }
            settle_first(&mut peer, channel, settled.len());
        }
        let barriers = look(&mut peer, 13, BARRIER);
        settle(&mut peer, 13, &barriers);

        notes.asks(1);
        // Every channel has its acknowledgements behind it when it answers.
        for channel in 2..10 {
            peer.counts(channel, BARRIER);
        }
        peer.selects_confirms(1);
        peer.publishes_persistent(1, BARRIER, &body(0));
        peer.is_confirmed_up_to(1, 1);
        notes.is_answered(1);
        notes.ends();
        peer.leaves();
        self.judge();
    }

    fn judge(&mut self) {
        for event in self.history.take() {
            writeln!(self.kept, "{event}").unwrap();
            self.checker.see(&event);
        }
        self.kept.flush().unwrap();
    }

    fn everything_can_be_drained(&mut self) {
        let mut peer = RawPeer::connect(&self.broker);
        for queue in WORK.iter().chain(&PAIR).chain(&[BACKLOG, BARRIER]) {
            peer.drains(1, queue);
        }
        peer.leaves();
        self.broker.restart();
        let mut peer = RawPeer::connect(&self.broker);
        for queue in WORK.iter().chain(&[BACKLOG, BARRIER]).chain(&PAIR) {
            assert_eq!(peer.counts(1, queue), (0, 0), "{queue} is empty after an orderly stop");
        }
    }
}

/// Looks at all messages of a queue, and notes what there is.
fn noted_look(
    peer: &mut RawPeer,
    notes: &Notes,
    channel: u16,
    queue: &'static str,
) -> Vec<MessageId> {
    notes.looks(queue);
    let found = look_closely(peer, channel, queue);
    let noted = found.iter().map(|found| notes.delivered(queue, found.redelivered(), &found.body));
    let noted = noted.collect();
    notes.has_looked(queue);
    noted
}

/// All numbers in a queue, in order.
pub fn look(peer: &mut RawPeer, channel: u16, queue: &str) -> Vec<u64> {
    look_closely(peer, channel, queue).iter().map(|found| number(&found.body)).collect()
}

/// All messages in a queue, in order, as tags 1 and up of a channel of its own. Unsettled until the peer leaves.
fn look_closely(peer: &mut RawPeer, channel: u16, queue: &str) -> Vec<Delivery> {
    peer.opens(channel);
    let (ready, _) = peer.counts(channel, queue);
    peer.sends(channel, &method("basic.consume").set("queue", queue).on("nowait"));
    let seen = (0..ready).map(|_| peer.delivery(channel)).collect();
    peer.hears_nothing_more(channel, queue);
    seen
}

/// Acknowledges the first of the messages looked at.
fn settle(peer: &mut RawPeer, channel: u16, first: &[u64]) -> Vec<u64> {
    settle_first(peer, channel, first.len());
    first.to_vec()
}

fn settle_first(peer: &mut RawPeer, channel: u16, count: usize) {
    if count > 0 {
        let last = count as u64;
        peer.sends(channel, &method("basic.ack").set("delivery_tag", last).on("multiple"));
    }
}

/// xorshift64.
struct Random(u64);

impl Random {
    /// As `KILL_SEED` says, or as chance will have it; which it is, is reported.
    fn seeded() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = setting("KILL_SEED").unwrap_or(u64::from(now.subsec_nanos()));
        report(&format!("KILL_SEED={seed}"));
        Self(seed | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Numbers of messages, by queue.
type Numbers = Vec<(&'static str, u64)>;

/// Shows figures also when the test passes, which the harness keeps for itself otherwise.
pub fn report(line: &str) {
    // Nobody reading them is no failure.
    let _ = writeln!(std::io::stderr(), "{line}");
}
