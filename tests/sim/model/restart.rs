//! What a crash may leave: the state as of one of the commits that nobody had been told to be safe yet, or the one
//! before them. Which of them is the disk's choice; that it is one of them, to the last message, is the broker's
//! promise.

use std::collections::{BTreeMap, BTreeSet};

use super::hearing::Wrong;
use super::kinds::KINDS;
use super::queue::Queue;
use super::{Client, Key, Model};

/// What of the model is on disk, if the disk has it.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub queues: BTreeMap<&'static str, Queue>,
    pub fan: bool,
    pub bindings: BTreeSet<&'static str>,
}

/// What is found in a broker that was started from the disk.
#[derive(Debug, Default)]
pub struct Found {
    /// By the queue's name, in the order of delivery.
    pub queues: BTreeMap<String, Vec<FoundMessage>>,
    pub fan: bool,
    pub bindings: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub struct FoundMessage {
    pub key: Key,
    pub redelivered: bool,
    pub returns: u64,
}

impl Model {
    pub fn stored(&self) -> Stored {
        let queues = self.queues.iter().filter_map(|(name, queue)| {
            let queue = queue.after_restart(self.turn)?;
            Some((*name, queue))
        });
        let queues: BTreeMap<_, _> = queues.collect();
        let bindings = self.bindings.iter().copied().filter(|name| queues.contains_key(name));
        Stored { bindings: bindings.collect(), queues, fan: self.fan }
    }

    /// The broker as it is after a restart from one of `candidates`, newest last. Goes on with the one that was found.
    pub fn restart(&mut self, candidates: &[Stored], found: &Found) -> Result<usize, Wrong> {
        let mut reasons = Vec::new();
        self.clients = BTreeMap::<_, Client>::new();
        self.turn += 1;
        for (age, candidate) in candidates.iter().rev().enumerate() {
            self.start_from(candidate);
            match self.compare(found) {
                Ok(()) => return Ok(candidates.len() - 1 - age),
                Err(reason) => reasons.push(format!("  {age} commits before the last: {reason}")),
            }
        }
        Err(format!("what is found after a crash was never so:\n{}", reasons.join("\n")))
    }

    fn start_from(&mut self, candidate: &Stored) {
        let Stored { queues, fan, bindings } = candidate.clone();
        (self.queues, self.fan, self.bindings) = (queues, fan, bindings);
        for queue in self.queues.values_mut() {
            for entry in queue.entries.values_mut() {
                entry.ready_since = self.turn;
            }
        }
        // As the broker does at its start.
        self.expire();
        self.trim();
    }

    fn compare(&mut self, found: &Found) -> Result<(), Wrong> {
        let due: Vec<_> = self.queues.keys().map(|name| (*name).to_owned()).collect();
        let names: Vec<_> = found.queues.keys().cloned().collect();
        if names != due {
            return Err(format!("there are the queues {names:?}, not {due:?}"));
        }
        if found.fan != self.fan {
            return Err(format!("that the exchange is there is {}", found.fan));
        }
        let bindings = self.bindings.iter().map(|name| (*name).to_owned()).collect();
        if found.bindings != bindings {
            return Err(format!("bound are {:?}, not {bindings:?}", found.bindings));
        }
        for (name, messages) in &found.queues {
            let queue = self.queues.get_mut(name.as_str()).expect("the names are the same");
            compare_queue(queue, messages).map_err(|reason| format!("{name}: {reason}"))?;
        }
        Ok(())
    }
}

fn compare_queue(queue: &mut Queue, messages: &[FoundMessage]) -> Result<(), Wrong> {
    let mut numbers = Vec::new();
    for message in messages {
        let key = &message.key;
        let number = queue.find(key).ok_or_else(|| format!("{key:?} is there"))?;
        if numbers.contains(&number) {
            return Err(format!("{key:?} is there twice"));
        }
        if let Some(passed) = numbers.iter().find(|before| queue.goes_before(number, **before)) {
            let passed = &queue.entries[passed].key;
            return Err(format!("{passed:?} is before {key:?}"));
        }
        numbers.push(number);
        let (seen_up_to, is_quorum) = (queue.seen_up_to, queue.kind.quorum);
        let entry = queue.entries.get_mut(&number).expect("it was found");
        // How far a queue was seen is all that the log knows: who was passed over counts as seen.
        let may_be_seen = entry.redelivered || seen_up_to.is_some_and(|turn| entry.turn <= turn);
        if message.redelivered && !may_be_seen {
            return Err(format!("{key:?} says that it was delivered before"));
        }
        if !message.redelivered && entry.redelivered {
            return Err(format!("{key:?} does not say that it was delivered before"));
        }
        if is_quorum && message.returns != entry.returns {
            let (is, should) = (message.returns, entry.returns);
            return Err(format!("{key:?} came back {is} times, not {should}"));
        }
        entry.redelivered = message.redelivered;
    }
    match queue.entries.iter().find(|(number, _)| !numbers.contains(number)) {
        Some((_, missing)) => Err(format!("{:?} is missing", missing.key)),
        None => Ok(()),
    }
}

/// The least that must be so where a scattered power cut has lost a commit and kept a later one: what is in all of
/// `candidates` is there, and what is in none of them is not. The order of a queue is kept.
pub fn compare_loosely(candidates: &[Stored], found: &Found) -> Result<(), Wrong> {
    for kind in &KINDS {
        let queues: Vec<_> = candidates.iter().map(|it| it.queues.get(kind.name)).collect();
        let messages = found.queues.get(kind.name);
        let ids: BTreeSet<_> = queues.iter().map(|it| it.map(|queue| queue.id)).collect();
        if ids.len() > 1 {
            // It was made or deleted meanwhile.
            continue;
        }
        let there: Vec<_> = queues.iter().flatten().collect();
        let Some(messages) = messages else {
            if there.is_empty() {
                continue;
            }
            return Err(format!("{} is gone", kind.name));
        };
        let first = there.first().ok_or_else(|| format!("{} is there", kind.name))?;
        let keys: BTreeSet<_> = messages.iter().map(|message| &message.key).collect();
        if keys.len() < messages.len() {
            return Err(format!("{}: a message is there twice", kind.name));
        }
        let is_settling =
            kind.ttl_ms.is_some() || kind.is_limited() || kind.name == super::kinds::DEAD;
        for entry in first.entries.values().filter(|_| !is_settling) {
            let is_kept = there.iter().all(|queue| queue.find(&entry.key).is_some());
            // Messages that expire by themselves may have done so.
            if is_kept && entry.expires_at.is_none() && !keys.contains(&entry.key) {
                return Err(format!("{}: {:?} is missing", kind.name, entry.key));
            }
        }
        for key in keys.into_iter().filter(|_| !is_settling) {
            if there.iter().all(|queue| queue.find(key).is_none()) {
                return Err(format!("{}: {key:?} is there", kind.name));
            }
        }
    }
    Ok(())
}
