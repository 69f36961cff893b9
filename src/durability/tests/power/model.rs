//! What was done to the broker, and what a restart may and must find of it.

use super::super::*;
use super::world::{Cut, Stored, World};
use super::{Dice, Tally};
use crate::store::{CheckpointPlace, Damage};

/// A message in a queue. No two of a run have one name, nor have two queues.
type Place = (Arc<str>, String);
type Places = BTreeSet<Place>;

/// What was so as of some moment of a life.
#[derive(Clone, Default)]
struct Past {
    declared: BTreeSet<Arc<str>>,
    deleted: BTreeSet<Arc<str>>,
    published: Places,
    handed_out: Places,
    settled: Places,
}

/// One process, from start to kill.
struct Life {
    /// What was so as of every mark; the first is before all.
    marked: Vec<Past>,
    now: Past,
}

/// Changes that belong together: one message is taken, others are put.
struct Transaction {
    taken: Option<Place>,
    put: Vec<Place>,
}

/// See the module.
pub(super) struct Model {
    lives: Vec<Life>,
    /// By name.
    queues: BTreeMap<Arc<str>, Arc<Queue>>,
    transactions: Vec<Transaction>,
    /// Handed out in this life.
    outstanding: Places,
    messages: u32,
    names: u32,
}

/// What a restart found.
#[derive(Default)]
struct Found {
    queues: BTreeSet<Arc<str>>,
    places: Places,
    redelivered: Places,
    /// It had no checkpoint to begin with.
    is_salvaged: bool,
    disorder: u64,
    corrupt: u64,
}

impl Found {
    fn on(stored: &Stored) -> Self {
        let node = stored.restart();
        let is_lost = |damage: &&Damage| damage.file == MemoryStore::new().path();
        let (lost, damages): (Vec<_>, Vec<_>) = node.report.damages.iter().partition(is_lost);
        assert!(damages.is_empty(), "{damages:?}");
        let queues = node.vhost().queues().into_iter().map(|queue| Arc::clone(&queue.name));
        let is_salvaged = !lost.is_empty();
        let mut found = Self { queues: queues.collect(), is_salvaged, ..Self::default() };
        for (queue, entries) in drain(&node) {
            found.disorder += u64::from(!entries.is_sorted_by_key(name_of));
            for entry in entries {
                let place = (Arc::from(queue.as_str()), name_of(&entry));
                found.corrupt += u64::from(body(&entry) != text(&place.1));
                if entry.redelivered {
                    found.redelivered.insert(place.clone());
                }
                found.disorder += u64::from(!found.places.insert(place));
            }
        }
        assert_eq!(node.pager.damages(), []);
        found
    }
}

/// The body of a message follows from its name, so that no octet can change unseen.
fn text(name: &str) -> String {
    let seed: u64 = name.bytes().map(u64::from).sum();
    let length = Dice(seed ^ name.len() as u64).below(700);
    format!("{name} {}", name.repeat(length / name.len() + 1))
}

fn name_of(entry: &Entry) -> String {
    let body = body(entry);
    body.split(' ').next().unwrap_or_default().to_owned()
}

impl Model {
    pub(super) fn new(world: &mut World) -> Self {
        let first = Life { marked: vec![Past::default()], now: Past::default() };
        let before_all = Life { marked: vec![Past::default()], now: Past::default() };
        let mut model = Self {
            lives: vec![before_all, first],
            queues: BTreeMap::new(),
            transactions: Vec::new(),
            outstanding: Places::new(),
            messages: 0,
            names: 0,
        };
        for _ in 0..3 {
            model.declare(world);
        }
        model
    }

    fn now(&mut self) -> &mut Past {
        &mut self.lives.last_mut().unwrap().now
    }

    fn any_queue(&self, dice: &mut Dice) -> Option<Arc<Queue>> {
        let at = dice.below(self.queues.len().max(1));
        self.queues.values().nth(at).cloned()
    }

    fn next_name(&mut self) -> String {
        self.messages += 1;
        format!("m{:06}", self.messages)
    }

    pub(super) fn declare(&mut self, world: &mut World) {
        self.names += 1;
        let queue = world.node().declare(&format!("q{}", self.names));
        self.now().declared.insert(Arc::clone(&queue.name));
        self.queues.insert(Arc::clone(&queue.name), queue);
    }

    pub(super) fn delete(&mut self, world: &mut World, dice: &mut Dice) {
        let Some(queue) = self.any_queue(dice).filter(|_| self.queues.len() > 2) else { return };
        world.node().delete(&queue);
        self.settle_all(&queue.name, |_, _| true);
        self.queues.remove(&queue.name);
        self.now().deleted.insert(Arc::clone(&queue.name));
    }

    pub(super) fn purge(&mut self, world: &mut World, dice: &mut Dice) {
        let Some(queue) = self.any_queue(dice) else { return };
        let node = world.node();
        let mut turn = node.broker.begin_turn();
        queue.purge(&mut turn);
        turn.finish(&node.broker);
        self.settle_all(&queue.name, |place, outstanding| !outstanding.contains(place));
    }

    fn settle_all(&mut self, queue: &str, which: impl Fn(&Place, &Places) -> bool) {
        let Past { published, settled, .. } = &mut self.lives.last_mut().unwrap().now;
        let all = published.iter().filter(|place| &*place.0 == queue);
        settled.extend(all.filter(|place| which(place, &self.outstanding)).cloned());
    }

    pub(super) fn publish(&mut self, world: &mut World, dice: &mut Dice) {
        let name = self.next_name();
        let shared = dice.percent(25);
        let queues: Vec<_> = if shared {
            self.queues.values().cloned().collect()
        } else {
            self.any_queue(dice).into_iter().collect()
        };
        let queues: Vec<_> = queues.iter().collect();
        world.node().publish(&queues, &text(&name));
        let places: Vec<_> =
            queues.iter().map(|queue| (Arc::clone(&queue.name), name.clone())).collect();
        self.now().published.extend(places.iter().cloned());
        if shared {
            self.transactions.push(Transaction { taken: None, put: places });
        }
    }

    /// Takes the first message of a queue, if there is one.
    fn take(&mut self, world: &mut World, queue: &Arc<Queue>) -> Option<(Entry, Place)> {
        let entry = world.node().get(queue)?;
        let place = (Arc::clone(&queue.name), name_of(&entry));
        self.now().handed_out.insert(place.clone());
        self.outstanding.insert(place.clone());
        Some((entry, place))
    }

    pub(super) fn hand_out(&mut self, world: &mut World, dice: &mut Dice) {
        if let Some(queue) = self.any_queue(dice) {
            self.take(world, &queue);
        }
    }

    pub(super) fn settle(&mut self, world: &mut World, dice: &mut Dice) {
        let Some(queue) = self.any_queue(dice) else { return };
        let Some((entry, place)) = self.take(world, &queue) else { return };
        world.node().settle(&queue, entry, Outcome::Settled);
        self.now().settled.insert(place);
    }

    /// Takes from one queue and puts into two, as one.
    pub(super) fn commit_transaction(&mut self, world: &mut World, dice: &mut Dice) {
        let Some(from) = self.any_queue(dice) else { return };
        let (one, other) = (self.any_queue(dice), self.any_queue(dice));
        let taken = self.take(world, &from);
        let mut put = Vec::new();
        {
            let node = world.node();
            let mut turn = node.broker.begin_turn();
            let whole = node.broker.inbox().gate().share();
            for queue in one.iter().chain(&other) {
                let name = self.next_name();
                queue.enqueue(&mut vec![message(&text(&name), false)], &mut turn);
                put.push((Arc::clone(&queue.name), name));
            }
            if let Some((entry, _)) = &taken {
                from.settle(vec![entry.clone()], Outcome::Settled, &[], &mut turn);
            }
            drop(whole);
            turn.finish(&node.broker);
        }
        let now = self.now();
        let taken = taken.map(|(_, place)| place);
        now.settled.extend(taken.clone());
        now.published.extend(put.iter().cloned());
        self.transactions.push(Transaction { taken, put });
    }

    /// Somebody waits for everything so far.
    pub(super) fn mark(&mut self, world: &mut World) {
        let life = self.lives.last_mut().unwrap();
        life.marked.push(life.now.clone());
        world.node().mark();
    }

    pub(super) fn kill(&mut self, world: &mut World) {
        let committed = world.committed();
        let found = Found::on(&world.kill());
        self.begin_life(world, &found, committed, false);
    }

    pub(super) fn cut_power(&mut self, world: &mut World, dice: &mut Dice) {
        let committed = world.committed();
        let cut = world.cut_power();
        let life = self.lives.len() - 1;
        let tally =
            self.judge(&[Cut { stored: cut.clone(), life, committed, is_checkpoint_lost: false }]);
        assert!(tally.is_clean(), "before step {}: {tally:?}", dice.next());
        self.begin_life(world, &Found::on(&cut), committed, true);
    }

    /// What was found is what there is; what was not must never be seen again. Only after a power cut is
    /// that certain to be on disk.
    fn begin_life(&mut self, world: &mut World, found: &Found, committed: u64, is_durable: bool) {
        let before = self.lives.last().unwrap();
        let marked = &before.marked[usize::try_from(committed).unwrap()];
        let absent = before.now.published.difference(&found.places).cloned().collect();
        let ever = &before.now.declared | &before.now.deleted;
        let now = Past {
            declared: found.queues.clone(),
            deleted: ever.difference(&found.queues).cloned().collect(),
            published: before.now.published.clone(),
            handed_out: found.redelivered.clone(),
            settled: absent,
        };
        let mut first = if is_durable { now.clone() } else { marked.clone() };
        if is_durable {
            first.published.clone_from(&found.places);
        } else {
            // What is settled by now may be found settled at any time.
            first.published = first.published.intersection(&found.places).cloned().collect();
        }
        self.outstanding.clear();
        let queues = world.node().vhost().queues();
        self.queues = queues.into_iter().map(|queue| (Arc::clone(&queue.name), queue)).collect();
        self.lives.push(Life { marked: vec![first], now });
    }

    /// Restarts on every cut.
    pub(super) fn judge(&self, cuts: &[Cut]) -> Tally {
        let mut tally = Tally::default();
        for cut in cuts {
            tally.add(self.judge_cut(cut, &Found::on(&cut.stored)));
        }
        tally
    }

    fn judge_cut(&self, cut: &Cut, found: &Found) -> Tally {
        let life = &self.lives[cut.life];
        let past = &life.marked[usize::try_from(cut.committed).unwrap()];
        let mut tally =
            Tally { cuts: 1, disorder: found.disorder, corrupt: found.corrupt, ..Tally::default() };
        for place in past.published.difference(&life.now.settled) {
            tally.confirmed += 1;
            tally.lost += u64::from(!found.places.contains(place));
        }
        let declared = past.declared.difference(&life.now.deleted);
        tally.lost += declared.filter(|&queue| !found.queues.contains(queue)).count() as u64;
        assert!(cut.is_checkpoint_lost || !found.is_salvaged, "it was not lost");
        tally.salvaged = u64::from(found.is_salvaged);
        let back = found.places.intersection(&past.settled).count() as u64;
        if found.is_salvaged {
            tally.doubled += back;
        } else {
            tally.resurrected += back;
        }
        tally.resurrected += found.queues.intersection(&past.deleted).count() as u64;
        tally.corrupt += found.places.difference(&life.now.published).count() as u64;
        let seen = past.handed_out.intersection(&found.places);
        tally.unmarked += seen.filter(|place| !found.redelivered.contains(place)).count() as u64;
        let halves = self.transactions.iter().filter(|one| is_half(one, life, found));
        tally.halves += halves.count() as u64;
        tally
    }
}

/// Whether a part of it is there and another part is not, although nobody took it.
fn is_half(transaction: &Transaction, life: &Life, found: &Found) -> bool {
    let is_there = |place: &&Place| found.places.contains(*place);
    let (there, not): (Vec<_>, Vec<_>) = transaction.put.iter().partition(is_there);
    let is_untaken = transaction.taken.as_ref().is_some_and(|place| found.places.contains(place));
    // What was taken may be back when the checkpoint is lost.
    let is_untaken = is_untaken && !found.is_salvaged;
    let is_missing = not.iter().any(|place| !life.now.settled.contains(*place));
    !there.is_empty() && (is_missing || is_untaken)
}
