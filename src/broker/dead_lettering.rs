//! From what queues gave up to the queues that get it: routes dead letters, and messages whose delay is over, and
//! settles them where they were.
//!
//! Works off a list in the turn, without recursion. It ends: a message that is dead-lettered by itself never
//! enters a queue twice (RabbitMQ's cycle rule), and one that a consumer rejects waits for the next consumer.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Broker;
use super::dead_letter::{DeadLetter, Death};
use super::delayed::released;
use super::message::Message;
use super::queue::{Dead, Lost, Queue, Role};
use super::turn::Turn;
use super::vhost::VHost;

impl Broker {
    /// Places every dead letter of the turn, and those that come of it. The caller holds the collection gate
    /// and no other lock.
    pub fn place_dead_letters(&self, turn: &mut Turn) {
        while let Some(dead) = turn.next_dead() {
            self.place(dead, turn);
        }
    }

    /// Places dead letters of one queue; those that come of it are the turn's. The caller holds the collection gate
    /// and no other lock.
    pub(super) fn place(&self, mut dead: Dead, turn: &mut Turn) {
        let Some(vhost) = self.vhost(&dead.queue.vhost) else { return };
        let mut unplaced = Vec::new();
        let mut settled = Vec::with_capacity(dead.lost.len());
        for lost in std::mem::take(&mut dead.lost) {
            let is_placed = place(&vhost, &dead, &lost, turn);
            let list = if is_placed { &mut settled } else { &mut unplaced };
            list.push(lost);
        }
        dead.queue.settle_lost(&settled, &dead.role, turn);
        if !unplaced.is_empty() {
            dead.queue.keep_lost(unplaced, turn);
        }
    }
}

/// Hands one message on. False if it must be kept: nobody took it who should.
fn place(vhost: &Arc<VHost>, dead: &Dead, lost: &Lost, turn: &mut Turn) -> bool {
    match &dead.role {
        Role::Released => {
            release(vhost, dead, &lost.entry.message, turn);
            true
        }
        Role::DeadLetter { routing_key, at_least_once } => {
            dead_letter(vhost, dead, lost, routing_key.as_deref(), *at_least_once, turn)
        }
    }
}

/// Publishes a message to the dead letter exchange.
fn dead_letter(
    vhost: &Arc<VHost>,
    dead: &Dead,
    lost: &Lost,
    routing_key: Option<&str>,
    at_least_once: bool,
    turn: &mut Turn,
) -> bool {
    // RabbitMQ: a dead letter exchange that does not exist is no error; what goes there is dropped.
    let Some(exchange) = vhost.exchange(&dead.exchange) else { return !at_least_once };
    let death = Death {
        reason: lost.reason,
        queue: &dead.queue.name,
        exchange: &dead.exchange,
        routing_key,
        at_unix_s: turn.unix_now().as_ms() / 1000,
    };
    let letter = DeadLetter::new(&lost.entry.message, &death);
    let route = vhost.route(&exchange, &letter.keys(), letter.properties());
    let mut queues: SmallVec<[&Arc<Queue>; 2]> = SmallVec::new();
    for queue in &route.queues {
        if letter.is_cycle(&queue.name) {
            tracing::debug!(queue = %queue.name, from = %dead.queue.name, "dropping a dead letter that goes in circles");
        } else {
            queues.push(queue);
        }
    }
    let message = letter.into_message(queues.len() > 1);
    if at_least_once {
        let has_room = |queue: &&Arc<Queue>| queue.has_room(1, message.body_size());
        if route.queues.is_empty() || !queues.iter().all(has_room) {
            return false;
        }
    }
    route.remember(&message);
    for queue in queues {
        let mut messages = vec![Arc::clone(&message)];
        if at_least_once {
            // It was asked for room, and somebody else may have had that by now.
            queue.enqueue_regardless(&mut messages, turn);
        } else {
            // RabbitMQ: a queue that refuses a dead letter loses it.
            let _refused_or_not = queue.enqueue(&mut messages, turn);
        }
    }
    true
}

/// Routes a message that has waited for long enough. The exchange may be gone by now, and it with it.
fn release(vhost: &Arc<VHost>, dead: &Dead, message: &Message, turn: &mut Turn) {
    let Some(exchange) = vhost.exchange(&dead.exchange) else { return };
    let Some(message) = released(message) else { return };
    let route = vhost.route_again(&exchange, &message);
    route.remember(&message);
    for queue in &route.queues {
        // Its publisher was told long ago; a queue that refuses it now loses it, as it does a dead letter.
        let _refused_or_not = queue.enqueue(&mut vec![Arc::clone(&message)], turn);
    }
}
