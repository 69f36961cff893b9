//! Clients whose messages move, and what each knows of them when the broker is gone.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::{BARRIER, JOBS, RING, SHORT, STEP, TRIES, WAIT};
use crate::kill::Numbers;
use crate::kill::clients::{Gone, Heard, body, hear, number, publish, send, take_confirmed};
use crate::support::{PATIENCE, Properties, RawPeer, TestBroker, method};

/// Publishes a sender has open at a time.
const WINDOW: usize = 8;
/// Settlements between two barriers.
const BARRIER_EVERY: usize = 5;

/// What one client did and was told, in order.
#[derive(Debug, Default)]
pub struct Knowledge {
    /// Before the octets left.
    pub sent: Numbers,
    pub confirmed: Numbers,
    /// Before the octets left.
    pub acked: Numbers,
    /// Before the octets left.
    pub rejected: Numbers,
    /// Acknowledged before a publish whose confirm came.
    pub acked_for_sure: Numbers,
    /// Rejected before a publish whose confirm came.
    pub rejected_for_sure: Numbers,
    /// The last step that a transaction with a commit-ok took.
    pub step: u64,
    /// Rejections on the ring.
    pub turns: u64,
    /// How often messages came that are to be tried only so often.
    pub tries: BTreeMap<u64, u64>,
}

/// Publishes with confirms to the queues from which messages move.
pub struct Sender {
    peer: RawPeer,
    next: u64,
    sequence: u64,
    open: BTreeMap<u64, (&'static str, u64)>,
    knowledge: Knowledge,
}

impl Sender {
    /// Numbers its messages from `base`.
    pub fn new(broker: &TestBroker, base: u64) -> Self {
        let mut peer = RawPeer::connect(broker);
        peer.selects_confirms(1);
        let (open, knowledge) = (BTreeMap::new(), Knowledge::default());
        Self { peer, next: base, sequence: 0, open, knowledge }
    }

    pub fn run(mut self) -> Knowledge {
        while self.step().is_ok() {}
        self.knowledge
    }

    fn step(&mut self) -> Result<(), Gone> {
        while self.open.len() < WINDOW {
            self.next += 1;
            self.sequence += 1;
            let queue = [WAIT, SHORT, JOBS, TRIES][usize::try_from(self.next % 4).unwrap()];
            self.open.insert(self.sequence, (queue, self.next));
            self.knowledge.sent.push((queue, self.next));
            self.publish(queue)?;
        }
        match hear(&mut self.peer, PATIENCE)? {
            Heard::Confirm { tag, multiple } => {
                let confirmed = take_confirmed(&mut self.open, tag, multiple);
                self.knowledge.confirmed.extend(confirmed);
                Ok(())
            }
            Heard::Nothing => panic!("a publish is not confirmed"),
            _ => panic!("a confirm was due"),
        }
    }

    /// Half of those that wait have a time of their own, from none at all.
    fn publish(&mut self, queue: &str) -> Result<(), Gone> {
        if queue != WAIT || self.next.is_multiple_of(8) {
            return publish(&mut self.peer, queue, self.next);
        }
        let with = Properties::persistent().expiration(&(self.next % 40).to_string());
        let publish = method("basic.publish").set("routing_key", queue);
        send(self.peer.sends_content(1, &publish, &with, body(self.next).as_bytes()))
    }
}

/// What a worker settles, and how: acknowledged or rejected.
type Settled = ((&'static str, u64), bool);

/// Takes jobs; acknowledges some, rejects some, gives some back once, and keeps some.
pub struct Worker {
    peer: RawPeer,
    sequence: u64,
    given_back: HashSet<u64>,
    unvouched: Vec<Settled>,
    barriers: BTreeMap<u64, Vec<Settled>>,
    knowledge: Knowledge,
}

impl Worker {
    pub fn new(broker: &TestBroker) -> Self {
        let mut peer = RawPeer::connect(broker);
        peer.selects_confirms(1);
        Self {
            peer,
            sequence: 0,
            given_back: HashSet::new(),
            unvouched: Vec::new(),
            barriers: BTreeMap::new(),
            knowledge: Knowledge::default(),
        }
    }

    pub fn run(mut self) -> Knowledge {
        let started = consume(&mut self.peer, JOBS);
        while started.is_ok() && self.step().is_ok() {}
        self.knowledge
    }

    fn step(&mut self) -> Result<(), Gone> {
        match hear(&mut self.peer, Duration::from_millis(50))? {
            Heard::Delivery { tag, body, .. } => self.settle(tag, number(&body)),
            Heard::Confirm { tag, multiple } => {
                let vouched = take_confirmed(&mut self.barriers, tag, multiple);
                for (job, is_rejected) in vouched.into_iter().flatten() {
                    let Knowledge { acked_for_sure, rejected_for_sure, .. } = &mut self.knowledge;
                    if is_rejected { rejected_for_sure } else { acked_for_sure }.push(job);
                }
                Ok(())
            }
            Heard::Answer(_) | Heard::Nothing => Ok(()),
        }
    }

    fn settle(&mut self, tag: u64, number: u64) -> Result<(), Gone> {
        let job = (JOBS, number);
        // Senders give every fourth number to this queue.
        match number / 4 % 11 {
            0 => return Ok(()),
            1 if self.given_back.insert(number) => {
                let nack = method("basic.nack").set("delivery_tag", tag).on("requeue");
                return send(self.peer.sends(1, &nack));
            }
            2..5 => {
                self.knowledge.acked.push(job);
                self.unvouched.push((job, false));
                send(self.peer.acks(1, tag))?;
            }
            _ => {
                self.knowledge.rejected.push(job);
                self.unvouched.push((job, true));
                send(self.peer.sends(1, &method("basic.reject").set("delivery_tag", tag)))?;
            }
        }
        if self.unvouched.len() < BARRIER_EVERY {
            return Ok(());
        }
        self.sequence += 1;
        self.barriers.insert(self.sequence, std::mem::take(&mut self.unvouched));
        publish(&mut self.peer, BARRIER, 0)
    }
}

/// One transaction after the other: rejects the step there is, and publishes the next.
pub struct Stepper {
    peer: RawPeer,
    knowledge: Knowledge,
}

impl Stepper {
    pub fn new(broker: &TestBroker) -> Self {
        let mut peer = RawPeer::connect(broker);
        peer.asks(1, &method("tx.select"), "tx.select-ok");
        Self { peer, knowledge: Knowledge::default() }
    }

    pub fn run(mut self) -> Knowledge {
        while self.step().is_ok() {}
        self.knowledge
    }

    fn step(&mut self) -> Result<(), Gone> {
        send(self.peer.sends(1, &method("basic.get").set("queue", STEP)))?;
        let Heard::Delivery { tag, body, .. } = hear(&mut self.peer, PATIENCE)? else {
            panic!("there is no step");
        };
        let next = number(&body) + 1;
        publish(&mut self.peer, STEP, next)?;
        send(self.peer.sends(1, &method("basic.reject").set("delivery_tag", tag)))?;
        send(self.peer.sends(1, &method("tx.commit")))?;
        match hear(&mut self.peer, PATIENCE)? {
            Heard::Answer(method) => assert_eq!(method.name, "tx.commit-ok"),
            _ => panic!("an answer was due"),
        }
        self.knowledge.step = next;
        Ok(())
    }
}

/// Rejects whatever comes round.
pub struct Turner {
    peer: RawPeer,
    knowledge: Knowledge,
}

impl Turner {
    pub fn new(broker: &TestBroker) -> Self {
        Self { peer: RawPeer::connect(broker), knowledge: Knowledge::default() }
    }

    pub fn run(mut self) -> Knowledge {
        let started = consume(&mut self.peer, RING);
        while started.is_ok() && self.step().is_ok() {}
        self.knowledge
    }

    fn step(&mut self) -> Result<(), Gone> {
        let Heard::Delivery { tag, .. } = hear(&mut self.peer, PATIENCE)? else { return Ok(()) };
        self.knowledge.turns += 1;
        send(self.peer.sends(1, &method("basic.reject").set("delivery_tag", tag)))
    }
}

/// Gives back whatever comes.
pub struct Refuser {
    peer: RawPeer,
    knowledge: Knowledge,
}

impl Refuser {
    pub fn new(broker: &TestBroker) -> Self {
        Self { peer: RawPeer::connect(broker), knowledge: Knowledge::default() }
    }

    pub fn run(mut self) -> Knowledge {
        let started = consume(&mut self.peer, TRIES);
        while started.is_ok() && self.step().is_ok() {}
        self.knowledge
    }

    fn step(&mut self) -> Result<(), Gone> {
        let Heard::Delivery { tag, body, .. } = hear(&mut self.peer, Duration::from_millis(50))?
        else {
            return Ok(());
        };
        *self.knowledge.tries.entry(number(&body)).or_default() += 1;
        let nack = method("basic.nack").set("delivery_tag", tag).on("requeue");
        send(self.peer.sends(1, &nack))
    }
}

fn consume(peer: &mut RawPeer, queue: &str) -> Result<(), Gone> {
    send(peer.sends(1, &method("basic.qos").set("prefetch_count", 100)))?;
    send(peer.sends(1, &method("basic.consume").set("queue", queue).on("nowait")))
}
