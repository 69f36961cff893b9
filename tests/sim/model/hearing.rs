//! What clients hear, held against what they should hear.

use std::collections::BTreeMap;

use super::super::link::{Heard, returns_of};
use super::super::support::Method;
use super::channel::{Answer, Channel, Consumer, Expected, Held, Mode};
use super::kinds::DEAD;
use super::queue::Place;
use super::{ClientId, Key, Model, Tag, message_in};

/// What went to whom, in one step.
type Deliveries = BTreeMap<&'static str, Vec<(ClientId, Option<Tag>, u64)>>;

/// Where a delivery comes from, and how it goes to whom.
struct Taking {
    queue: &'static str,
    /// None for basic.get.
    consumer: Option<Tag>,
    no_ack: bool,
}

/// Something else than what was promised.
pub type Wrong = String;

impl Model {
    /// Everything that was heard since `start`, the turn with which the step began.
    pub fn hear(&mut self, heard: &[(ClientId, Heard)], start: u64) -> Result<(), Wrong> {
        let mut deliveries = Deliveries::new();
        let mut from_the_dead = Vec::new();
        for (client, heard) in heard {
            self.check_tag(*client, heard)?;
            if self.is_delivery(*client, heard) == Some(DEAD) {
                from_the_dead.push((*client, heard));
            } else {
                self.hear_one(*client, heard, &mut deliveries)?;
            }
        }
        // What queues drop at their heads is decided once consumers have taken theirs, and then it is dead.
        self.trim();
        for (client, heard) in from_the_dead {
            self.hear_one(client, heard, &mut deliveries)?;
        }
        for (queue, taken) in &deliveries {
            self.check_order(queue, taken, start)?;
        }
        self.drop_unkept(&deliveries);
        Ok(())
    }

    /// Delivery tags count the deliveries of a channel.
    fn check_tag(&mut self, client: ClientId, heard: &Heard) -> Result<(), Wrong> {
        if !["basic.deliver", "basic.get-ok"].contains(&heard.method.name) {
            return Ok(());
        }
        let client = self.clients.get_mut(&client);
        let channel = client.and_then(|client| client.channels.get_mut(&heard.channel));
        let Some(channel) = channel else { return Err("a delivery to nobody".to_owned()) };
        channel.last_tag += 1;
        let (tag, due) = (heard.method.number("delivery_tag"), channel.last_tag);
        if tag == due { Ok(()) } else { Err(format!("delivery tag {tag} where {due} was due")) }
    }

    /// The queue it comes from, if it is a delivery.
    fn is_delivery(&self, client: ClientId, heard: &Heard) -> Option<&'static str> {
        let channel = self.clients.get(&client)?.channels.get(&heard.channel)?;
        match heard.method.name {
            "basic.deliver" => {
                Some(channel.consumers.get(heard.method.text("consumer_tag"))?.queue)
            }
            "basic.get-ok" => match channel.expected.front()?.what {
                Answer::Got { queue, .. } => Some(queue),
                _ => None,
            },
            _ => None,
        }
    }

    fn hear_one(
        &mut self,
        client: ClientId,
        heard: &Heard,
        deliveries: &mut Deliveries,
    ) -> Result<(), Wrong> {
        let Heard { channel: number, method, .. } = heard;
        let number = *number;
        let found = self.clients.get_mut(&client).ok_or("a client that is gone hears something")?;
        let say = |what: String| format!("client {client} on {number}: {what}");
        if number == 0 {
            return match method.name {
                "connection.close-ok" if found.is_closing => {
                    self.clients.remove(&client);
                    Ok(())
                }
                _ => Err(say(format!("unexpected {method:?}"))),
            };
        }
        if let Some(code) = found.failing.remove(&number) {
            let is_close = method.name == "channel.close" && method.number("code") == code;
            return if is_close { Ok(()) } else { Err(say(format!("unexpected {method:?}"))) };
        }
        let channel = found.channels.get_mut(&number);
        let channel = channel.ok_or_else(|| say(format!("{method:?} on a closed channel")))?;
        match method.name {
            "basic.deliver" => self.delivered(client, heard, deliveries).map_err(say),
            "basic.get-ok" => self.got(client, heard, deliveries).map_err(say),
            "basic.ack" | "basic.nack" => {
                let confirmed = channel.confirmed(method).map_err(say)?;
                self.figures.confirmed += confirmed;
                Ok(())
            }
            "basic.return" => {
                let message = message_in(&heard.body).map_err(say)?;
                let is_due = channel.returned.remove(&message);
                if is_due { Ok(()) } else { Err(say(format!("{message} came back"))) }
            }
            "basic.cancel" => {
                let is_due = channel.cancelled.remove(method.text("consumer_tag"));
                if is_due { Ok(()) } else { Err(say(format!("unexpected {method:?}"))) }
            }
            "channel.close-ok" => {
                channel.answered(method).map_err(say)?;
                found.channels.remove(&number);
                Ok(())
            }
            "basic.get-empty" => {
                let queue = channel.got_nothing(method).map_err(say)?;
                match self.queues.get(queue).map(super::queue::Queue::ready) {
                    Some(0) | None => Ok(()),
                    Some(ready) => Err(say(format!("{queue} is not empty: {ready} are ready"))),
                }
            }
            _ => channel.answered(method).map_err(say),
        }
    }

    fn got(
        &mut self,
        client: ClientId,
        heard: &Heard,
        deliveries: &mut Deliveries,
    ) -> Result<(), Wrong> {
        let channel = self.channel(client, heard.channel);
        let what = channel.next_answer(&heard.method)?;
        let Answer::Got { queue, no_ack } = what else {
            return Err(format!("{:?} where {what:?} was due", heard.method));
        };
        self.take(client, heard, &Taking { queue, consumer: None, no_ack }, deliveries)
    }

    fn delivered(
        &mut self,
        client: ClientId,
        heard: &Heard,
        deliveries: &mut Deliveries,
    ) -> Result<(), Wrong> {
        let tag = heard.method.text("consumer_tag").to_owned();
        let channel = self.channel(client, heard.channel);
        let consumer = channel.consumers.get(&tag).cloned();
        let consumer = consumer.ok_or_else(|| format!("a delivery to {tag}, which is no more"))?;
        if !channel.has_credit(&tag) {
            return Err(format!("a delivery to {tag} beyond its prefetch"));
        }
        let queue = self.queues.get(consumer.queue).ok_or("a consumer of a queue that is gone")?;
        let active = queue.consumers.first();
        if queue.kind.single_active && active.is_none_or(|(_, _, first)| *first != tag) {
            return Err(format!("a delivery to {tag}, which is not the active consumer"));
        }
        let Consumer { queue, no_ack, .. } = consumer;
        let taking = Taking { queue, consumer: Some(tag), no_ack };
        self.take(client, heard, &taking, deliveries)
    }

    /// A message leaves the ready ones of its queue.
    fn take(
        &mut self,
        client: ClientId,
        heard: &Heard,
        taking: &Taking,
        deliveries: &mut Deliveries,
    ) -> Result<(), Wrong> {
        let Taking { queue: name, ref consumer, no_ack } = *taking;
        let key = key_of(heard)?;
        let queue = self.queues.get_mut(name).ok_or("a message of a queue that is gone")?;
        let queue_id = queue.id;
        let number = queue.find(&key).ok_or_else(|| {
            format!("{name} has no {key:?}: it was never there, or is settled and back")
        })?;
        let (is_quorum, is_durable) = (queue.kind.quorum, queue.kind.durable);
        let entry = queue.entries.get_mut(&number).expect("it was found");
        if entry.place == Place::Held {
            return Err(format!("{key:?} of {name} is with somebody, and is delivered again"));
        }
        let flag = heard.method.bit("redelivered");
        if flag != entry.redelivered {
            let (should, is) = (entry.redelivered, flag);
            return Err(format!("{key:?} of {name} should say redelivered={should}, not {is}"));
        }
        let returns = returns_of(&heard.headers);
        if is_quorum && returns != entry.returns {
            return Err(format!(
                "{key:?} of {name} came back {} times, not {returns}",
                entry.returns
            ));
        }
        entry.place = Place::Held;
        entry.redelivered = true;
        let is_durable = is_durable && entry.persistent;
        if entry.persistent && !no_ack {
            queue.seen_up_to = queue.seen_up_to.max(Some(entry.turn));
        }
        self.figures.delivered += 1;
        let to = consumer.clone().filter(|_| !no_ack);
        deliveries.entry(name).or_default().push((client, consumer.clone(), number));
        // Without acknowledgement it stays until the order of the step is checked.
        if !no_ack {
            let held = Held { queue: name, queue_id, key, is_durable, consumer: to };
            let channel = self.channel(client, heard.channel);
            channel.held.insert(heard.method.number("delivery_tag"), held);
        }
        Ok(())
    }

    /// Nobody was passed over, and everybody got theirs in order.
    fn check_order(
        &self,
        name: &'static str,
        taken: &[(ClientId, Option<Tag>, u64)],
        start: u64,
    ) -> Result<(), Wrong> {
        let queue = &self.queues[name];
        let show = |number: u64| &queue.entries[&number].key;
        let waited = queue
            .entries
            .iter()
            .filter(|(_, entry)| entry.place == Place::Ready && entry.ready_since < start);
        for (waiting, _) in waited {
            if let Some((_, to, passed)) =
                taken.iter().find(|(_, _, number)| queue.goes_before(*waiting, *number))
            {
                let (waiting, passed) = (show(*waiting), show(*passed));
                return Err(format!("{name}: {passed:?} went to {to:?} before {waiting:?}"));
            }
        }
        for (index, (client, to, later)) in taken.iter().enumerate() {
            let earlier = taken[..index].iter().filter(|it| (&it.0, &it.1) == (client, to));
            for (_, _, earlier) in earlier {
                let [first, second] = [earlier, later].map(|number| &queue.entries[number]);
                // What was put back in between comes when it comes.
                let is_new = [first, second].map(|entry| entry.ready_since == entry.turn);
                let waited = [first, second].map(|entry| entry.ready_since < start);
                let is_wrong = (waited == [true; 2] && queue.goes_before(*later, *earlier))
                    || (is_new == [true; 2]
                        && first.priority == second.priority
                        && queue.came_before(*later, *earlier));
                if is_wrong {
                    let (earlier, later) = (show(*earlier), show(*later));
                    return Err(format!("{name}: {to:?} got {earlier:?} before {later:?}"));
                }
            }
        }
        Ok(())
    }

    /// What was delivered without acknowledgement is gone.
    fn drop_unkept(&mut self, deliveries: &Deliveries) {
        let mut held: Vec<(&'static str, Key)> = Vec::new();
        for (_, _, channel) in self.channels() {
            let mut note = |it: &Held| held.push((it.queue, it.key.clone()));
            channel.held.values().for_each(&mut note);
            if let Mode::Transaction(transaction) = &channel.mode {
                let taken = transaction.settled.iter().flat_map(|(taken, _)| taken);
                taken.for_each(|(_, it)| note(it));
            }
        }
        for (name, taken) in deliveries {
            let Some(queue) = self.queues.get_mut(name) else { continue };
            for (_, _, number) in taken {
                let Some(entry) = queue.entries.get(number) else { continue };
                if !held.contains(&(*name, entry.key.clone())) {
                    queue.entries.remove(number);
                }
            }
        }
    }
}

fn key_of(heard: &Heard) -> Result<Key, Wrong> {
    super::key_of(&heard.body, &heard.headers)
}

impl Channel {
    fn next_answer(&mut self, method: &Method) -> Result<Answer, Wrong> {
        match self.expected.pop_front() {
            Some(Expected { is_promise: true, what }) => {
                Err(format!("{method:?} before {what:?} was on disk"))
            }
            Some(Expected { what, .. }) => Ok(what),
            None => Err(format!("unexpected {method:?}")),
        }
    }

    fn answered(&mut self, method: &Method) -> Result<(), Wrong> {
        let what = self.next_answer(method)?;
        let count = |field| usize::try_from(method.number(field)).unwrap();
        let is_right = match &what {
            Answer::Plain(name) => method.name == *name,
            Answer::Counted(name, number) => {
                method.name == *name && count("message_count") == *number
            }
            Answer::Tagged(name, tag) => method.name == *name && method.text("consumer_tag") == tag,
            Answer::Declared { queue, ready, consumers } => {
                method.name == "queue.declare-ok"
                    && method.text("queue") == *queue
                    && (count("message_count"), count("consumer_count")) == (*ready, *consumers)
            }
            Answer::Got { .. } => false,
        };
        if is_right { Ok(()) } else { Err(format!("{method:?} where {what:?} was due")) }
    }

    fn got_nothing(&mut self, method: &Method) -> Result<&'static str, Wrong> {
        match self.next_answer(method)? {
            Answer::Got { queue, .. } => Ok(queue),
            what => Err(format!("{method:?} where {what:?} was due")),
        }
    }

    /// How many publishes it confirms.
    fn confirmed(&mut self, method: &Method) -> Result<u64, Wrong> {
        let last = method.number("delivery_tag");
        let first = if method.bit("multiple") { 0 } else { last };
        let numbers: Vec<u64> =
            self.unconfirmed.range(first..=last).map(|(number, _)| *number).collect();
        if numbers.last() != Some(&last) {
            return Err(format!("{method:?} of nothing that is open"));
        }
        for number in &numbers {
            let publish = self.unconfirmed.remove(number).expect("it is open");
            if publish.is_promise {
                return Err(format!("publish {number} is confirmed before it is on disk"));
            }
            if publish.is_refused != (method.name == "basic.nack") {
                return Err(format!("{method:?} of {publish:?}"));
            }
        }
        Ok(numbers.len() as u64)
    }
}

impl Model {
    /// No message waits while somebody would take it.
    pub fn check_idle(&self, name: &'static str) -> Result<(), Wrong> {
        let queue = &self.queues[name];
        if queue.ready() == 0 {
            return Ok(());
        }
        let active = if queue.kind.single_active { 1 } else { queue.consumers.len() };
        let idle = queue.consumers.iter().take(active).find(|(client, channel, tag)| {
            let channel = self.clients.get(client).and_then(|client| client.channels.get(channel));
            channel.is_some_and(|channel| channel.has_credit(tag))
        });
        match idle {
            Some((_, _, tag)) => Err(format!("{name} has messages, and {tag} gets none")),
            None => Ok(()),
        }
    }
}
