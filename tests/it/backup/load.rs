//! Clients at work, and what they know at any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::kill::clients::{Heard, body, hear, number, publish, take_confirmed};
use crate::support::{PATIENCE, RawPeer, TestBroker, eventually, method};

/// With a publisher and a consumer; a message with an even number goes to the first.
pub const QUEUES: [&str; 2] = ["left", "right"];
/// Every transaction publishes its number to both,
pub const PAIR: [&str; 2] = ["tx-a", "tx-b"];
/// and replaces the one message in this one by it.
pub const TOKEN: &str = "token";
/// Its confirms vouch for the acknowledgements before.
const BARRIER: &str = "barrier";

/// What clients know. A thing is in it before the octets leave, or after the answer came.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub sent: BTreeSet<u64>,
    pub confirmed: BTreeSet<u64>,
    pub acked: BTreeSet<u64>,
    /// Acknowledged before a publish that was confirmed.
    pub settled: BTreeSet<u64>,
    pub committed: BTreeSet<u64>,
}

/// A publisher, a consumer and one that makes transactions.
pub struct Load {
    known: Arc<Mutex<Known>>,
    next: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Load {
    pub fn begin(broker: &TestBroker) -> Self {
        let mut peer = RawPeer::connect(broker);
        for queue in QUEUES.iter().chain(&PAIR).chain(&[TOKEN, BARRIER]) {
            peer.has_durable_queue(1, queue);
        }
        peer.selects_confirms(1);
        peer.publishes_persistent(1, TOKEN, &body(0));
        peer.is_confirmed_up_to(1, 1);
        peer.leaves();
        let load = Self {
            known: Arc::default(),
            next: Arc::default(),
            stop: Arc::default(),
            threads: Mutex::default(),
        };
        load.begins_again(broker);
        load
    }

    pub fn begins_again(&self, broker: &TestBroker) {
        self.stop.store(false, Ordering::Relaxed);
        for work in [publish_on, consume_on, transact_on] {
            let (known, next) = (Arc::clone(&self.known), Arc::clone(&self.next));
            let (stop, peer) = (Arc::clone(&self.stop), RawPeer::connect(broker));
            let client = Client { peer, known, next, stop };
            self.threads.lock().unwrap().push(std::thread::spawn(move || work(client)));
        }
    }

    pub fn known(&self) -> Known {
        self.known.lock().unwrap().clone()
    }

    /// Waits until there is something more of everything.
    pub fn goes_on(&self) {
        let before = self.known();
        eventually(PATIENCE, "every client gets on", || {
            let now = self.known();
            now.confirmed.len() >= before.confirmed.len() + 50
                && now.settled.len() > before.settled.len()
                && now.committed.len() > before.committed.len()
        });
    }

    pub fn ends(&self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.lock().unwrap().drain(..) {
            thread.join().expect("a client ends well");
        }
    }
}

struct Client {
    peer: RawPeer,
    known: Arc<Mutex<Known>>,
    next: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Client {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn note(&self, note: impl FnOnce(&mut Known)) {
        note(&mut self.known.lock().unwrap());
    }

    fn hears(&mut self, patience: Duration) -> Heard {
        let Ok(heard) = hear(&mut self.peer, patience) else { panic!("the broker is gone") };
        heard
    }

    fn publishes(&mut self, queue: &str, number: u64) {
        assert!(publish(&mut self.peer, queue, number).is_ok(), "the broker is gone");
    }
}

fn publish_on(mut client: Client) {
    client.peer.selects_confirms(1);
    let (mut open, mut sequence) = (BTreeMap::new(), 0);
    while client.goes_on() {
        while open.len() < 8 {
            let number = client.next.fetch_add(1, Ordering::Relaxed) + 1;
            sequence += 1;
            open.insert(sequence, number);
            client.note(|known| known.sent.extend([number]));
            client.publishes(queue_of(number), number);
        }
        let Heard::Confirm { tag, multiple } = client.hears(PATIENCE) else {
            panic!("a confirm was due")
        };
        let confirmed = take_confirmed(&mut open, tag, multiple);
        client.note(|known| known.confirmed.extend(confirmed));
    }
}

fn queue_of(number: u64) -> &'static str {
    QUEUES[usize::try_from(number % 2).unwrap()]
}

/// Leaves every third message unsettled, and takes the others slower than they come.
fn consume_on(mut client: Client) {
    client.peer.selects_confirms(1);
    client.peer.prefetches(1, 2000);
    for queue in QUEUES {
        let consume = method("basic.consume").set("queue", queue).on("nowait");
        assert!(client.peer.sends(1, &consume), "the broker is gone");
    }
    let (mut unvouched, mut barriers, mut sequence) = (Vec::new(), BTreeMap::new(), 0);
    while client.goes_on() {
        match client.hears(Duration::from_millis(50)) {
            Heard::Delivery { tag, body, .. } => {
                let number = number(&body);
                if number.is_multiple_of(3) {
                    continue;
                }
                client.note(|known| known.acked.extend([number]));
                assert!(client.peer.acks(1, tag), "the broker is gone");
                unvouched.push(number);
                if unvouched.len() == 7 {
                    sequence += 1;
                    barriers.insert(sequence, std::mem::take(&mut unvouched));
                    client.publishes(BARRIER, 0);
                }
            }
            Heard::Confirm { tag, multiple } => {
                let vouched = take_confirmed(&mut barriers, tag, multiple);
                client.note(|known| known.settled.extend(vouched.into_iter().flatten()));
            }
            Heard::Answer(_) | Heard::Nothing => {}
        }
    }
}

fn transact_on(mut client: Client) {
    client.peer.asks(1, &method("tx.select"), "tx.select-ok");
    while client.goes_on() {
        let number = client.next.fetch_add(1, Ordering::Relaxed) + 1;
        let token = client.peer.gets(1, TOKEN).expect("there is a token").tag();
        for queue in [PAIR[0], PAIR[1], TOKEN] {
            client.publishes(queue, number);
        }
        assert!(client.peer.acks(1, token), "the broker is gone");
        client.peer.asks(1, &method("tx.commit"), "tx.commit-ok");
        client.note(|known| known.committed.extend([number]));
    }
}

/// `found` is what was there at some moment between `before` and `after`.
pub fn assert_consistent(
    before: &Known,
    after: &Known,
    found: &[Vec<u64>; 2],
    pair: &[Vec<u64>; 2],
    token: &[u64],
) {
    let rises = |numbers: &Vec<u64>| numbers.windows(2).all(|two| two[0] < two[1]);
    assert!(found.iter().chain(pair).all(rises), "each once and in order");
    let there: BTreeSet<u64> = found.iter().flatten().copied().collect();

    let lost = before.confirmed.difference(&after.acked).filter(|it| !there.contains(it));
    assert_eq!(lost.collect::<Vec<_>>(), [&0; 0], "confirmed before and lost");
    let back: Vec<_> = before.settled.intersection(&there).collect();
    assert_eq!(back, [&0; 0], "settled before and back");
    let unknown: Vec<_> = there.difference(&after.sent).collect();
    assert_eq!(unknown, [&0; 0], "never sent");

    assert_eq!(pair[0], pair[1], "half transactions");
    let whole: BTreeSet<u64> = pair[0].iter().copied().collect();
    assert!(before.committed.is_subset(&whole), "committed before and lost");
    assert_eq!(Some(token), whole.last().map(std::slice::from_ref), "half transactions");
}
