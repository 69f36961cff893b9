//! A broker, its disk, its clients, and the model that knows what they should see.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use leveret::amqp::protocol::handshake::{Mechanism, Offer};
use leveret::amqp::session::Shared;
use leveret::amqp::wire::properties::PropertiesView;
use leveret::auth::{Credential, Password, Permission, UserDefinition, UserLimits, Users};
use leveret::broker::Broker;
use leveret::broker::delivery::Entry;
use leveret::broker::queue::{Got, Queue};
use leveret::clock::Clock;
use leveret::durability::{Checkpointed, DurabilityOptions, Recovered, Stepped, Store, recover};
use leveret::store::{Damage, SimulatedDisk, SpillArea};

use super::link::{Heard, Link, frame, headers_of};
use super::model::commands::Command;
use super::model::kinds::FAN;
use super::model::restart::{Found, FoundMessage, Stored, compare_loosely};
use super::model::{ClientId, Figures, Model, key_of};
use super::random::Random;
use super::storage::{Cut, Refusal, Sabotage, Storage};
use super::support::method;

/// When the simulated world begins, in milliseconds since the Unix epoch.
const BEGINNING: u64 = 1_700_000_000_000;

/// Rounds after which somebody who waits will never get it.
const PATIENCE: usize = 10_000;

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Step {
    Connect(ClientId),
    /// In one turn.
    Say(ClientId, Vec<Command>),
    Vanish(ClientId),
    Tick(u64),
    Commit,
    Checkpoint,
    /// Messages of a sparse segment are to be moved by the next commit.
    Reclaim,
    /// The next checkpoint, write or sync fails.
    RefuseCheckpoint(Refusal),
    FailWrite(usize),
    FailSync,
    Kill,
    PowerCut(Cut),
    /// Killed, started, and cut off before anything more was synced.
    KillAndPowerCut(Cut),
}

/// Whether there is more to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Step,
    /// The disk lost what it may lose, out of order; nobody knows what exactly should be there.
    End,
}

/// Something else than what was promised.
pub type Wrong = String;

pub struct World {
    pub model: Model,
    storage: Storage,
    sabotage: Sabotage,
    random: Random,
    node: Node,
    links: BTreeMap<ClientId, Link>,
    /// What a stalled client has said and the broker has not done.
    waiting: BTreeMap<ClientId, Command>,
    /// What a power cut may leave, oldest first.
    history: Vec<Stored>,
    /// A write or a sync is going to fail.
    is_armed: bool,
}

struct Node {
    shared: Arc<Shared>,
    stepped: Stepped,
}

impl World {
    pub fn new(random: Random, sabotage: Sabotage) -> Self {
        let mut random = random;
        let storage = Storage::new(sabotage, &mut random);
        let (node, damages) = Node::start(&storage, 0);
        assert_eq!(damages, []);
        let mut world = Self {
            model: Model::default(),
            storage,
            sabotage,
            random,
            node,
            links: BTreeMap::new(),
            waiting: BTreeMap::new(),
            history: vec![Stored::default()],
            is_armed: false,
        };
        world.node.stepped.sync().expect("an empty disk can be synced");
        world
    }

    /// This client can say something now.
    pub fn is_listening(&self, client: ClientId) -> bool {
        self.links.contains_key(&client) && !self.waiting.contains_key(&client)
    }

    pub fn step(&mut self, step: &Step) -> Result<Next, Wrong> {
        self.model.turn += 1;
        let start = self.model.turn;
        match step {
            Step::Connect(client) => {
                self.links.insert(*client, Link::open(&self.node.shared));
                self.model.clients.insert(*client, super::model::Client::default());
            }
            Step::Say(client, commands) => self.say(*client, commands),
            Step::Vanish(client) => {
                self.waiting.remove(client);
                self.model.end_client(*client);
                self.links.remove(client).expect("a link").vanish();
            }
            Step::Tick(ms) => {
                self.model.now += ms;
                self.broker().clock().advance(Duration::from_millis(*ms));
            }
            Step::Commit => return self.commit(start),
            Step::Checkpoint => return self.checkpoint(start),
            Step::Reclaim => {
                self.model.figures.moved += u64::from(self.node.stepped.reclaim());
            }
            Step::RefuseCheckpoint(how) => self.storage.refuse_checkpoint(*how),
            Step::FailWrite(after) => {
                self.storage.fail_next_write(*after);
                self.is_armed = true;
            }
            Step::FailSync => {
                self.storage.fail_next_sync();
                self.is_armed = true;
            }
            Step::Kill => {
                let last = self.history.len() - 1;
                return self.restart_from(last, self.storage.copy(), None);
            }
            Step::PowerCut(cut) => {
                let storage = self.storage.after_power_cut(*cut, &mut self.random);
                return self.restart_from(0, storage, Some(*cut));
            }
            Step::KillAndPowerCut(cut) => {
                let (_stillborn, _) = Node::start(&self.storage, self.model.now);
                let storage = self.storage.after_power_cut(*cut, &mut self.random);
                return self.restart_from(0, storage, Some(*cut));
            }
        }
        self.settle_down(start)
    }

    fn broker(&self) -> &Arc<Broker> {
        &self.node.shared.broker
    }

    fn say(&mut self, client: ClientId, commands: &[Command]) {
        let link = self.links.get_mut(&client).expect("a link");
        for command in commands {
            let is_lost = self.sabotage == Sabotage::AckLost
                && matches!(command.act, super::model::commands::Act::Settle { .. })
                && self.random.percent(2);
            if !is_lost {
                link.say(&command.encode());
            }
        }
        link.take_turns();
        self.node.page_for(link);
        if link.is_stalled() {
            // The course sends nothing along with a command that may stall.
            self.waiting.insert(client, commands[0].clone());
            return;
        }
        for command in commands {
            self.model.apply(client, command);
        }
    }

    /// Everything that follows by itself, and whether it is as it should be.
    fn settle_down(&mut self, start: u64) -> Result<Next, Wrong> {
        self.run_timer();
        self.hear(start)?;
        // One after the other, so that it is known who came first.
        let waiting: Vec<_> = self.waiting.keys().copied().collect();
        for client in waiting {
            let link = self.links.get_mut(&client).expect("a link");
            if link.resume() {
                self.node.page_for(link);
                self.model.turn += 1;
                let start = self.model.turn;
                let command = self.waiting.remove(&client).expect("it waits");
                self.model.apply(client, &command);
                self.run_timer();
                self.hear(start)?;
            }
        }
        self.check()?;
        Ok(Next::Step)
    }

    fn run_timer(&mut self) {
        self.node.rest();
        self.model.expire();
    }

    fn hear(&mut self, start: u64) -> Result<(), Wrong> {
        let mut heard: Vec<(ClientId, Heard)> = Vec::new();
        for round in 0.. {
            assert!(round < PATIENCE, "the broker never rests");
            let before = heard.len();
            for (client, link) in &mut self.links {
                heard.extend(link.hear().into_iter().map(|it| (*client, it)));
            }
            if heard.len() == before && !self.node.page() {
                break;
            }
        }
        self.spoil(&mut heard);
        self.model.hear(&heard, start)?;
        for (client, heard) in heard {
            if heard.method.name == "channel.close" {
                let close_ok = frame(1, heard.channel, &method("channel.close-ok").encode());
                let link = self.links.get_mut(&client).expect("a link");
                link.say(&close_ok);
                link.take_turns();
            }
        }
        self.links.retain(|client, _| self.model.clients.contains_key(client));
        Ok(())
    }

    /// What a broken broker would do to its deliveries.
    fn spoil(&mut self, heard: &mut Vec<(ClientId, Heard)>) {
        let is_delivery = |it: &(ClientId, Heard)| it.1.method.name == "basic.deliver";
        match self.sabotage {
            Sabotage::DeliveryLost => {
                heard.retain(|it| !is_delivery(it) || !self.random.percent(2));
            }
            Sabotage::DeliveryDoubled => {
                let doubled = heard.iter().position(|it| is_delivery(it) && self.random.percent(2));
                if let Some(index) = doubled {
                    heard.insert(index, heard[index].clone());
                }
            }
            Sabotage::RedeliveredForgotten => {
                for (_, heard) in heard.iter_mut().filter(|it| is_delivery(it)) {
                    heard.method = heard.method.clone().set("redelivered", false);
                }
            }
            _ => {}
        }
    }

    fn commit(&mut self, start: u64) -> Result<Next, Wrong> {
        let stored = self.model.stored();
        let is_awaited = self.model.is_promise_awaited();
        let committed = self.node.stepped.commit();
        if let Err(error) = committed {
            return self.fail(&format!("{error:?}"), stored);
        }
        if is_awaited {
            // All of it will be heard now, so none of it may be lost.
            self.history.clear();
        }
        self.history.push(stored);
        self.model.release();
        self.settle_down(start)?;
        let late = self.model.channels().find(|(client, _, channel)| {
            self.is_listening(*client) && !channel.is_content() && !channel.awaits_disk()
        });
        match late {
            Some((client, number, channel)) => Err(format!(
                "client {client} on {number} still waits after a commit: {:?} {:?}",
                channel.expected, channel.unconfirmed
            )),
            None => Ok(Next::Step),
        }
    }

    fn checkpoint(&mut self, start: u64) -> Result<Next, Wrong> {
        let stored = self.model.stored();
        if let Err(error) = self.node.stepped.sync() {
            return self.fail(&format!("{error:?}"), stored);
        }
        self.history = vec![stored];
        self.model.release();
        match self.node.stepped.checkpoint() {
            Ok(Checkpointed::Done) => {}
            Ok(Checkpointed::NotSynced) => return Err("a synced log is not synced".to_owned()),
            // The course says so; the next one has to make up for it.
            Err(_) => return self.settle_down(start),
        }
        let stored = self.model.stored();
        if let Err(error) = self.node.stepped.commit() {
            return self.fail(&format!("{error:?}"), stored);
        }
        self.settle_down(start)
    }

    /// The disk has failed, and with it the process. What it was writing may be there or not.
    fn fail(&mut self, error: &str, stored: Stored) -> Result<Next, Wrong> {
        if !std::mem::take(&mut self.is_armed) {
            return Err(format!("the store failed by itself: {error}"));
        }
        let promised = self.links.values_mut().flat_map(Link::hear);
        let promised = promised.filter(|heard| heard.method.name == "basic.ack").count();
        self.history.push(stored);
        // Nobody may have been told, unless it was before the failure: then none of it may be lost.
        let oldest = if promised > 0 { self.history.len() - 1 } else { self.history.len() - 2 };
        self.history.drain(..oldest.min(self.history.len() - 1));
        self.restart_from(0, self.storage.copy(), None)
    }

    /// Starts from `storage`, where one of the history must be, from `oldest` on.
    fn restart_from(
        &mut self,
        oldest: usize,
        storage: Storage,
        cut: Option<Cut>,
    ) -> Result<Next, Wrong> {
        self.model.figures.crashes += 1;
        self.links.clear();
        self.waiting.clear();
        self.is_armed = false;
        self.storage = storage;
        let downtime = if self.random.percent(20) { self.random.below(500) } else { 0 };
        self.model.now += downtime;

        let (look, damages) = Node::start(&self.storage.copy(), self.model.now);
        let found = look.content()?;
        if !damages.is_empty() {
            return self.judge_damage(cut, &damages, &found);
        }
        let chosen = self.model.restart(&self.history[oldest..], &found)? + oldest;
        (self.node, _) = Node::start(&self.storage, self.model.now);
        self.node.rest();
        if cut.is_some() {
            // The rest is lost.
            self.history = vec![self.history[chosen].clone()];
        }
        self.node.stepped.sync().map_err(|error| format!("the first sync: {error:?}"))?;
        self.history = vec![self.model.stored()];
        self.check()?;
        Ok(Next::Step)
    }

    /// Damage may only be where nobody was told that anything is safe.
    fn judge_damage(
        &mut self,
        cut: Option<Cut>,
        damages: &[Damage],
        found: &Found,
    ) -> Result<Next, Wrong> {
        if cut != Some(Cut::Scattered) || self.history.len() < 2 {
            return Err(format!("damage after a {cut:?} of {}: {damages:?}", self.history.len()));
        }
        self.model.figures.damaged += 1;
        compare_loosely(&self.history, found)?;
        Ok(Next::End)
    }

    /// What must be true between any two steps.
    fn check(&self) -> Result<(), Wrong> {
        let vhost = self.broker().vhost("/").expect("the virtual host");
        let mut names: Vec<_> = vhost.queues().iter().map(|queue| queue.name.to_string()).collect();
        names.sort_unstable();
        let due: Vec<_> = self.model.queues.keys().map(|name| (*name).to_owned()).collect();
        if names != due {
            return Err(format!("there are the queues {names:?}, not {due:?}"));
        }
        for (name, queue) in &self.model.queues {
            let counts = vhost.queue(name).expect("it is there").counts();
            let due = (queue.ready(), queue.consumers.len());
            if (counts.ready, counts.consumers) != due {
                return Err(format!("{name} counts {counts:?}, not {due:?}"));
            }
            self.model.check_idle(name)?;
        }
        for (client, number, channel) in self.model.channels() {
            if !channel.awaits_disk() && !channel.is_content() {
                let channel = (&channel.expected, &channel.unconfirmed, &channel.returned);
                return Err(format!("client {client} on {number} hears nothing of {channel:?}"));
            }
        }
        Ok(())
    }

    pub fn figures(&self) -> Figures {
        self.model.figures
    }
}

impl Node {
    fn start(storage: &Storage, now: u64) -> (Self, Vec<Damage>) {
        let clock = Arc::new(Clock::manual_since(BEGINNING + now));
        let checkpoint = storage.checkpoint();
        let recovered = recover(storage.log(), &*checkpoint, &["/".to_owned()], clock);
        let Recovered { broker, log, state, report } = recovered.expect("the disk can be read");
        let store = Store { log: storage.broken(log), checkpoint, state };
        let broker = Arc::new(broker);
        broker.paging().set_budget(storage.resident_bytes);
        broker.paging().set_transient_budget(storage.resident_bytes);
        // Whatever is not live is too much.
        let options = DurabilityOptions { reclaim_slack: 0, ..DurabilityOptions::default() };
        // What lies there is gone with the broker in any case.
        let spill = SpillArea::empty(Arc::new(SimulatedDisk::new()), PathBuf::from("/spill"), 0);
        let spill = spill.expect("an empty disk");
        let stepped = Stepped::new(&broker, store, options).spilling_to(spill);
        broker.look_at_all();
        let shared = Shared {
            broker,
            users: Users::new([guest()], []).expect("a user"),
            offer: Arc::new(offer()),
            consumer_timeout: None,
            shelf: Arc::default(),
        };
        (Self { shared: Arc::new(shared), stepped }, report.damages)
    }

    /// Reads what is wanted, and lets go what need not be in memory. True if there may be more.
    fn page(&self) -> bool {
        self.stepped.page().expect("the disk can be read")
    }

    /// Reads what a client waits for.
    fn page_for(&self, link: &mut Link) {
        for _ in 0..PATIENCE {
            if !link.is_paging() || !self.page() {
                return;
            }
            link.resume_paging();
        }
        panic!("what a client waits for comes and goes, and the client never gets it");
    }

    /// Reads what is wanted and looks at what is due, until there is no more of either.
    fn rest(&self) {
        let broker = &self.shared.broker;
        for _ in 0..PATIENCE {
            let mut turn = broker.begin_turn();
            let is_more = broker.look_at_due(&mut turn);
            turn.finish(broker);
            if !is_more && !self.page() {
                return;
            }
        }
        panic!("there is always something more to do");
    }

    /// Everything in every queue. The broker is of no use afterwards.
    fn content(&self) -> Result<Found, Wrong> {
        self.rest();
        let broker = &self.shared.broker;
        let vhost = broker.vhost("/").expect("the virtual host");
        let mut found = Found::default();
        if let Some(exchange) = vhost.exchange(FAN) {
            found.fan = true;
            let route = vhost.route(&exchange, &[""], PropertiesView::assume_checked(&[0, 0]));
            found.bindings = route.queues.iter().map(|queue| queue.name.to_string()).collect();
        }
        for queue in vhost.queues() {
            let mut messages = Vec::new();
            while let Some(entry) = self.get(&queue)? {
                let headers = headers_of(entry.message.header());
                messages.push(FoundMessage {
                    key: key_of(entry.message.body(), &headers)?,
                    redelivered: entry.redelivered,
                    returns: entry.returns.into(),
                });
            }
            found.queues.insert(queue.name.to_string(), messages);
        }
        Ok(found)
    }

    fn get(&self, queue: &Arc<Queue>) -> Result<Option<Entry>, Wrong> {
        let broker = &self.shared.broker;
        for _ in 0..PATIENCE {
            let mut turn = broker.begin_turn();
            let got = queue.get(true, &mut turn);
            turn.finish(broker);
            match got {
                Got::Message(entry, _) => return Ok(Some(entry)),
                Got::Empty => return Ok(None),
                Got::Stored if self.page() => {}
                Got::Stored => break,
            }
        }
        Err(format!("what is next in {} cannot be read", queue.name))
    }
}

fn guest() -> UserDefinition {
    UserDefinition {
        name: "guest".to_owned(),
        credential: Credential::Password(Password::new("guest")),
        tags: Vec::new(),
        permissions: vec![Permission::all("/")],
        topic_permissions: Vec::new(),
        limits: UserLimits::default(),
    }
}

fn offer() -> Offer {
    Offer {
        server_properties: amq_protocol::types::FieldTable::default(),
        mechanisms: vec![Mechanism::Plain],
        channel_max: 100,
        frame_max: 131_072,
        heartbeat: 0,
        max_message_size: 1_000_000,
    }
}
