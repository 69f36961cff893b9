//! What happens next: anything that is legal now, by chance.

use super::model::channel::{Channel, How, Mode};
use super::model::commands::{Act, Command, Publish};
use super::model::kinds::{DEAD, FAN, KINDS, kind};
use super::model::{ClientId, Model};
use super::random::Random;
use super::storage::{Cut, Refusal};
use super::world::{Step, World};

const CLIENTS: u32 = 4;
const CHANNELS: u16 = 3;
/// Beyond this nobody publishes, so that a course stays fast.
const ENOUGH: usize = 150;

pub struct Course {
    random: Random,
    next_message: u64,
    next_tag: u64,
    is_armed: bool,
}

impl Course {
    pub fn new(random: Random) -> Self {
        Self { random, next_message: 0, next_tag: 0, is_armed: false }
    }

    pub fn next(&mut self, world: &World) -> Step {
        let step = match self.random.weighted(&[80, 8, 3, 2, 4, 1]) {
            0 => self.some_client(world),
            1 => Step::Commit,
            2 => Step::Tick(1 + self.random.below(120)),
            3 => Step::Checkpoint,
            4 => Step::Reclaim,
            _ => self.fault(),
        };
        match step {
            Step::Kill | Step::PowerCut(_) | Step::KillAndPowerCut(_) => self.is_armed = false,
            Step::FailSync | Step::FailWrite(_) => self.is_armed = true,
            _ => {}
        }
        step
    }

    fn fault(&mut self) -> Step {
        let cut = if self.random.percent(80) { Cut::Torn } else { Cut::Scattered };
        match self.random.weighted(&[10, 10, 4, 2, 2, 4]) {
            0 => Step::Kill,
            1 => Step::PowerCut(cut),
            2 if !self.is_armed => Step::KillAndPowerCut(cut),
            3 => Step::FailSync,
            4 => Step::FailWrite(usize::try_from(self.random.below(600)).unwrap()),
            _ => Step::RefuseCheckpoint(if self.random.percent(50) {
                Refusal::Before
            } else {
                Refusal::After
            }),
        }
    }

    fn some_client(&mut self, world: &World) -> Step {
        let client = u32::try_from(self.random.below(u64::from(CLIENTS))).unwrap();
        let Some(state) = world.model.clients.get(&client) else { return Step::Connect(client) };
        if self.random.percent(1) && self.random.percent(50) {
            return Step::Vanish(client);
        }
        if !world.is_listening(client) || state.is_closing {
            return Step::Commit;
        }
        let channel = u16::try_from(1 + self.random.below(u64::from(CHANNELS))).unwrap();
        let Some(open) = state.channels.get(&channel) else {
            return Step::Say(client, vec![Command { channel, act: Act::OpenChannel }]);
        };
        if open.is_closing() {
            return Step::Commit;
        }
        if self.random.percent(15) {
            return Step::Say(client, self.batch(world, client));
        }
        let act = self.act(&world.model, open);
        Step::Say(client, vec![Command { channel, act }])
    }

    /// Several publishes and acknowledgements in one turn. What depends on how many messages are ready is left out:
    /// nobody can tell which of two such things came first.
    fn batch(&mut self, world: &World, client: ClientId) -> Vec<Command> {
        let model = &world.model;
        let open: Vec<_> = model.clients[&client].channels.iter().collect();
        let mut settled = Vec::new();
        let mut commands = Vec::new();
        for _ in 0..2 + self.random.below(8) {
            let Some((channel, state)) = self.random.pick(&open) else { break };
            let held: Vec<_> = state.held.keys().map(|tag| (*channel, *tag)).collect();
            let held: Vec<_> = held.into_iter().filter(|it| !settled.contains(it)).collect();
            let act = match self.random.pick(&held).filter(|_| self.random.percent(40)) {
                Some((_, tag)) => {
                    settled.push((*channel, tag));
                    Act::Settle { tag, multiple: false, how: How::Ack }
                }
                None => match self.publish(model, state, false) {
                    Some(publish) => Act::Publish(publish),
                    None => continue,
                },
            };
            commands.push(Command { channel: *channel, act });
        }
        commands
    }

    fn act(&mut self, model: &Model, open: &Channel) -> Act {
        let plain = matches!(open.mode, Mode::Plain) && open.expected.is_empty();
        if plain && self.random.percent(25) {
            let confirms = self.random.percent(65);
            return if confirms { Act::SelectConfirms } else { Act::SelectTransactions };
        }
        let held: Vec<_> = open.held.keys().copied().collect();
        let choice = self.random.weighted(&[30, 26, 10, 8, 8, 4, 3, 3, 3, 2, 2, 1]);
        let act = match choice {
            0 => self.publish(model, open, true).map(Act::Publish),
            1 => self.random.pick(&held).map(|tag| self.settle(tag)),
            2 => self.some_queue(model).map(|queue| {
                let no_ack = self.random.percent(20);
                Act::Get { queue, no_ack }
            }),
            3 => self.some_queue(model).map(|queue| {
                self.next_tag += 1;
                let (tag, no_ack) = (format!("c{}", self.next_tag), self.random.percent(15));
                Act::Consume { queue, tag, no_ack }
            }),
            4 => match open.mode {
                Mode::Transaction(_) if self.random.percent(75) => Some(Act::Commit),
                Mode::Transaction(_) => Some(Act::Rollback),
                Mode::Plain | Mode::Confirm => None,
            },
            5 => {
                let (count, global) = (self.random.below(5), self.random.percent(30));
                Some(Act::Qos { count, global })
            }
            6 => self
                .random
                .pick(&open.consumers.keys().cloned().collect::<Vec<_>>())
                .map(Act::Cancel),
            7 => self.binding(model),
            8 => self.some_queue(model).filter(|_| self.random.percent(30)).map(Act::Purge),
            9 => self.some_queue(model).filter(|_| self.random.percent(40)).map(Act::Delete),
            10 => self.random.percent(50).then_some(Act::CloseChannel),
            _ => Some(match self.random.weighted(&[3, 2, 1]) {
                0 => Act::Recover,
                1 => Act::Blunder,
                _ => Act::CloseConnection,
            }),
        };
        act.unwrap_or_else(|| self.anything(model, open))
    }

    /// What is always possible.
    fn anything(&mut self, model: &Model, open: &Channel) -> Act {
        let publish = self.publish(model, open, true).filter(|_| self.random.percent(60));
        if let Some(publish) = publish {
            return Act::Publish(publish);
        }
        let held: Vec<_> = open.held.keys().copied().collect();
        match self.random.weighted(&[4, 2, 1]) {
            0 if !held.is_empty() => {
                let tag = self.random.pick(&held).expect("it has some");
                return self.settle(tag);
            }
            1 => {
                if let Some(queue) = self.some_queue(model) {
                    return Act::Get { queue, no_ack: false };
                }
            }
            _ => {}
        }
        let missing = KINDS.iter().filter(|kind| !model.queues.contains_key(kind.name));
        let missing: Vec<_> = missing.map(|kind| kind.name).collect();
        let kinds: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        let name = self.random.pick(&missing).or_else(|| self.random.pick(&kinds));
        Act::Declare(name.expect("there are kinds"))
    }

    fn settle(&mut self, tag: u64) -> Act {
        let how = match self.random.weighted(&[6, 3, 1]) {
            0 => How::Ack,
            1 => How::Requeue,
            _ => How::Reject,
        };
        Act::Settle { tag, multiple: self.random.percent(30), how }
    }

    fn binding(&mut self, model: &Model) -> Option<Act> {
        if !model.fan {
            return Some(Act::DeclareFan);
        }
        if self.random.percent(25) {
            let bound: Vec<_> = model.bindings.iter().copied().collect();
            return self.random.pick(&bound).map(Act::Unbind);
        }
        self.some_queue(model).filter(|name| !kind(name).is_limited()).map(Act::Bind)
    }

    fn some_queue(&mut self, model: &Model) -> Option<&'static str> {
        self.random.pick(&model.queues.keys().copied().collect::<Vec<_>>())
    }

    fn publish(&mut self, model: &Model, open: &Channel, alone: bool) -> Option<Publish> {
        if model.queues.values().map(|queue| queue.entries.len()).sum::<usize>() > ENOUGH {
            return None;
        }
        let in_transaction = matches!(open.mode, Mode::Transaction(_));
        let may_be_limited = alone && !in_transaction;
        let named = KINDS.iter().filter(|kind| kind.name != DEAD);
        let named = named.filter(|kind| may_be_limited || !kind.is_limited());
        let mut targets: Vec<_> = named.map(|kind| kind.name).collect();
        if model.fan {
            targets.extend([FAN; 4]);
        }
        self.next_message += 1;
        let is_mortal = self.random.percent(10);
        Some(Publish {
            message: self.next_message,
            to: self.random.pick(&targets)?,
            persistent: self.random.percent(75),
            mandatory: !in_transaction && self.random.percent(20),
            priority: u8::try_from(self.random.below(5)).unwrap(),
            ttl_ms: is_mortal.then(|| 1 + self.random.below(600)),
        })
    }
}
