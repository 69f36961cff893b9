//! kill -9 while messages move: by expiry, by rejection, because a queue is full, in transactions. What was confirmed is
//! in one place afterwards, where it was or where it went, never in both and never in neither.
//!
//! `KILLS` and `KILL_SEED` in the environment choose another number and another course.

mod clients;
mod whereabouts;

use std::time::{Duration, Instant};

use self::clients::{Knowledge, Refuser, Sender, Stepper, Turner, Worker};
use self::whereabouts::{Found, Whereabouts};
use super::{CONFIG, Random, look, look_closely, report, setting, settle};
use crate::support::{Method, RawPeer, TestBroker, eventually, method};

/// Messages wait here until they expire,
const WAIT: &str = "wait";
/// here until there are too many of them,
const SHORT: &str = "short";
/// and here until workers acknowledge or reject them.
const JOBS: &str = "jobs";
/// A quorum queue: they are given back until that was too often.
const TRIES: &str = "tries";
/// So often.
const DELIVERY_LIMIT: u64 = 3;
/// One message, which transactions reject while they publish the next.
const STEP: &str = "step";
/// All of these dead-letter to both of these.
const GRAVES: [&str; 2] = ["grave", "grave-too"];
/// Messages go round: rejected here,
const RING: &str = "ring";
/// expired there, and here again.
const PAUSE: &str = "pause";
/// How many do.
const RIDERS: u64 = 12;
/// Where publishes go whose confirms vouch for what was done before them.
const BARRIER: &str = "barrier";

/// How long messages wait, at most, in milliseconds.
const WAIT_MS: i32 = 60;
/// How long it may take after a restart until everything that is due has moved. Generous: the machine may be busy.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn thirty_kills_leave_what_moves_in_one_place() {
    let kills = setting("KILLS").unwrap_or(30);
    let mut course = Course {
        broker: TestBroker::with_config(CONFIG),
        whereabouts: Whereabouts::default(),
        random: Random::seeded(),
        slowest: Duration::ZERO,
    };
    course.prepare();

    let started = Instant::now();
    for life in 0..kills {
        course.live_and_die(life);
        course.broker.launch();
        course.check(life % 3 == 2);
    }

    let Course { whereabouts, slowest, .. } = course;
    report(&format!(
        "kills {kills}, {}, moved after a restart within {slowest:?}, in {:?}",
        whereabouts.summary(),
        started.elapsed()
    ));
    whereabouts.assert_nothing_broken();
    assert!(whereabouts.moved() > kills, "too little happened to mean anything");
}

/// A broker, what was done to it, and what comes next.
struct Course {
    broker: TestBroker,
    whereabouts: Whereabouts,
    random: Random,
    /// The longest that overdue messages took to move after a restart.
    slowest: Duration,
}

impl Course {
    fn prepare(&mut self) {
        let mut peer = RawPeer::connect(&self.broker);
        let exchange = method("exchange.declare").set("exchange", "graves").set("type", "fanout");
        peer.asks(1, &exchange.on("durable"), "exchange.declare-ok");
        for grave in GRAVES {
            peer.has_durable_queue(1, grave);
            peer.binds(1, grave, "graves", "");
        }
        peer.has_durable_queue(1, BARRIER);
        for declare in [
            durable(
                WAIT,
                table! { "x-dead-letter-exchange" => "graves", "x-message-ttl" => WAIT_MS },
            ),
            durable(SHORT, table! { "x-dead-letter-exchange" => "graves", "x-max-length" => 20 }),
            durable(JOBS, table! { "x-dead-letter-exchange" => "graves" }),
            durable(STEP, table! { "x-dead-letter-exchange" => "graves" }),
            durable(
                TRIES,
                table! {
                    "x-dead-letter-exchange" => "graves", "x-queue-type" => "quorum",
                    "x-delivery-limit" => i32::try_from(DELIVERY_LIMIT).unwrap(),
                },
            ),
            durable(
                RING,
                table! { "x-dead-letter-exchange" => "", "x-dead-letter-routing-key" => PAUSE },
            ),
            durable(
                PAUSE,
                table! {
                    "x-dead-letter-exchange" => "", "x-dead-letter-routing-key" => RING,
                    "x-message-ttl" => 3,
                },
            ),
        ] {
            peer.asks(1, &declare, "queue.declare-ok");
        }
        peer.selects_confirms(1);
        peer.publishes_persistent(1, STEP, &super::body(0));
        for rider in 0..RIDERS {
            peer.publishes_persistent(1, RING, &super::body(rider));
        }
        peer.is_confirmed_up_to(1, 1 + RIDERS);
        peer.leaves();
    }

    /// Clients at work until the kill, at a moment nobody chose.
    fn live_and_die(&mut self, life: u64) {
        let broker = &self.broker;
        let senders = [0, 1].map(|side| Sender::new(broker, ((life + 1) << 32) + (side << 24)));
        let (worker, stepper) = (Worker::new(broker), Stepper::new(broker));
        let (turner, refuser) = (Turner::new(broker), Refuser::new(broker));
        let mut threads: Vec<_> =
            senders.map(|it| std::thread::spawn(move || it.run())).into_iter().collect();
        threads.push(std::thread::spawn(move || worker.run()));
        threads.push(std::thread::spawn(move || stepper.run()));
        threads.push(std::thread::spawn(move || turner.run()));
        threads.push(std::thread::spawn(move || refuser.run()));

        std::thread::park_timeout(Duration::from_millis(20 + self.random.below(130)));
        self.broker.kill9();
        for thread in threads {
            let knowledge: Knowledge = thread.join().expect("a client ends when the broker does");
            self.whereabouts.learn(knowledge);
        }
        if life % 4 == 3 {
            self.broker.launch_and_kill(Duration::from_millis(self.random.below(40)));
        }
    }

    /// Looks at every message of every queue. A sweep lets go of the dead ones and of all jobs for good; else they go
    /// through more kills.
    fn check(&mut self, sweeps: bool) {
        let mut peer = RawPeer::connect(&self.broker);
        self.waits_until_all_have_moved(&mut peer);
        let tries: Vec<Found> = look_closely(&mut peer, 9, TRIES).iter().map(Found::from).collect();
        self.whereabouts.check_tries(&tries);
        let sources = [(2, SHORT), (3, JOBS), (4, STEP)]
            .map(|(channel, queue)| (queue, look(&mut peer, channel, queue)));
        let [graves, copies] =
            [(5, GRAVES[0]), (6, GRAVES[1])].map(|(channel, grave)| -> Vec<Found> {
                look_closely(&mut peer, channel, grave).iter().map(Found::from).collect()
            });
        let tried = tries.iter().map(|found| found.number).collect();
        let sources: Vec<_> = sources.into_iter().chain([(TRIES, tried)]).collect();
        self.whereabouts.check(&sources, &graves, &copies);
        let riders: Vec<Found> = look_closely(&mut peer, 7, RING).iter().map(Found::from).collect();
        self.whereabouts.check_riders(&riders);
        if sweeps {
            let dead: Vec<u64> = graves.iter().map(|found| found.number).collect();
            settle(&mut peer, 5, &dead);
            settle(&mut peer, 6, &dead);
            settle(&mut peer, 3, &sources[1].1);
            self.whereabouts.swept();
        }
        let barriers = look(&mut peer, 8, BARRIER);
        settle(&mut peer, 8, &barriers);
        peer.selects_confirms(1);
        peer.publishes_persistent(1, BARRIER, &super::body(0));
        peer.is_confirmed_up_to(1, 1);
        peer.leaves();
    }

    fn waits_until_all_have_moved(&mut self, peer: &mut RawPeer) {
        let started = Instant::now();
        eventually(SOON, "what is due has moved", || {
            peer.counts(1, WAIT).0 == 0 && peer.counts(1, PAUSE).0 == 0
        });
        self.slowest = self.slowest.max(started.elapsed());
    }
}

fn durable(queue: &str, arguments: crate::support::Table) -> Method {
    method("queue.declare").set("queue", queue).on("durable").set("arguments", arguments)
}
