//! kill -9, again and again, under load: what was confirmed stays, what was acknowledged stays gone, transactions are
//! whole, queues keep their order.
//!
//! `KILLS` and `KILL_SEED` in the environment choose another number and another course.

pub mod clients;
mod ledger;
mod moves;

use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::clients::{Consumer, Events, Publisher, Transactor, WORK, body, number};
use self::ledger::Ledger;
use crate::support::{Delivery, RawPeer, TestBroker, method};

/// Every transaction publishes its number to both of these,
const PAIR: [&str; 2] = ["tx-a", "tx-b"];
/// and most of them replace the one token in this one.
const TOKEN: &str = "tx-token";
/// Where publishes go whose confirms vouch for what was done before them.
const BARRIER: &str = "barrier";
/// Messages a check leaves in each queue, to go through more than one kill.
const KEPT: usize = 60;

#[test]
fn a_hundred_kills_lose_nothing_that_was_promised() {
    let kills = setting("KILLS").unwrap_or(100);
    let mut course =
        Course { broker: TestBroker::own(), ledger: Ledger::default(), random: Random::seeded() };
    course.prepare();

    let started = Instant::now();
    for life in 0..kills {
        course.live_and_die(life);
        course.broker.launch();
        course.check();
    }
    course.everything_can_be_drained();

    let ledger = course.ledger;
    report(&format!("kills {kills}, {} in {:?}", ledger.summary(), started.elapsed()));
    ledger.assert_nothing_broken();
    assert!(ledger.confirmed() > kills, "too little happened to mean anything");
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// A broker, what was done to it, and what comes next.
struct Course {
    broker: TestBroker,
    ledger: Ledger,
    random: Random,
}

impl Course {
    fn prepare(&mut self) {
        let mut peer = RawPeer::connect(&self.broker);
        for queue in WORK.iter().chain(&PAIR).chain(&[TOKEN, BARRIER]) {
            peer.has_durable_queue(1, queue);
        }
        peer.selects_confirms(1);
        peer.publishes_persistent(1, TOKEN, &body(0));
        peer.is_confirmed_up_to(1, 1);
        peer.leaves();
    }

    /// Clients at work until the kill, at a moment nobody chose.
    fn live_and_die(&mut self, life: u64) {
        let broker = &self.broker;
        let base = (life + 1) << 32;
        let publishers = [0, 1].map(|side| Publisher::new(broker, base + (side << 24)));
        let consumers = [&WORK[..2], &WORK[2..]].map(|queues| Consumer::new(broker, queues));
        let transactor = Transactor::new(broker, base);

        let threads = [
            publishers
                .map(|it| std::thread::spawn(move || it.run()))
                .into_iter()
                .collect::<Vec<_>>(),
            consumers.map(|it| std::thread::spawn(move || it.run())).into_iter().collect(),
            vec![std::thread::spawn(move || transactor.run())],
        ];
        std::thread::park_timeout(Duration::from_millis(20 + self.random.below(130)));
        self.broker.kill9();
        for thread in threads.into_iter().flatten() {
            self.ledger.merge(thread.join().expect("a client ends when the broker does"));
        }
        if life % 8 == 7 {
            self.broker.launch_and_kill(Duration::from_millis(self.random.below(40)));
        }
    }

    /// Looks at every message of every queue, lets go of most of them for good, and puts back the rest.
    fn check(&mut self) {
        let mut peer = RawPeer::connect(&self.broker);
        for (queue, channel) in WORK.into_iter().zip(2..) {
            let found = look(&mut peer, channel, queue);
            self.ledger.check(queue, &found);
            let settled = settle(&mut peer, channel, &found[..found.len().saturating_sub(KEPT)]);
            self.ledger.settled(settled.iter().map(|number| (queue, *number)).collect());
        }
        let tokens = look(&mut peer, 10, TOKEN);
        let pair = [(11, PAIR[0]), (12, PAIR[1])].map(|(channel, queue)| {
            let found = look(&mut peer, channel, queue);
            settle(&mut peer, channel, &found)
        });
        self.ledger.check_transactions(&pair, &tokens);
        let barriers = look(&mut peer, 13, BARRIER);
        settle(&mut peer, 13, &barriers);

        peer.selects_confirms(1);
        peer.publishes_persistent(1, BARRIER, &body(0));
        peer.is_confirmed_up_to(1, 1);
        peer.leaves();
    }

    fn everything_can_be_drained(&mut self) {
        let mut peer = RawPeer::connect(&self.broker);
        for queue in WORK.iter().chain(&PAIR).chain(&[BARRIER]) {
            peer.drains(1, queue);
        }
        peer.leaves();
        self.broker.restart();
        let mut peer = RawPeer::connect(&self.broker);
        for queue in WORK.iter().chain(&[BARRIER]).chain(&PAIR) {
            assert_eq!(peer.counts(1, queue), (0, 0), "{queue} is empty after an orderly stop");
        }
    }
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
    if !first.is_empty() {
        let last = first.len() as u64;
        peer.sends(channel, &method("basic.ack").set("delivery_tag", last).on("multiple"));
    }
    first.to_vec()
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

impl Ledger {
    fn merge(&mut self, events: Events) {
        self.sent(events.sent);
        self.promised(events.confirmed);
        self.acknowledged(events.acked);
        self.settled(events.settled);
        self.committed(events.committed);
        self.delivered(&events.delivered);
    }
}

/// Shows figures also when the test passes, which the harness keeps for itself otherwise.
pub fn report(line: &str) {
    // Nobody reading them is no failure.
    let _ = writeln!(std::io::stderr(), "{line}");
}
