//! What an `x-recent-history` exchange remembers, given to whoever is newly bound to it.
//!
//! The binding is there before the history is read, and a publisher tells the exchange of a message before it looks
//! for bindings made meanwhile (the session does, with `VHost::generation`). So a message published while somebody
//! is bound may come twice, but is never missed. RabbitMQ has the same order.
//!
//! RabbitMQ replays to a queue in order and to an exchange in reverse, and closes the connection if a message finds no
//! queue behind that exchange. Here the order is always that of publishing, and such a message is left out.

use std::sync::Arc;

use super::exchange::{Destination, Exchange};
use super::turn::Turn;
use super::vhost::VHost;

/// Sends what `source` remembers to `destination`, oldest first. The caller holds no lock.
pub(super) fn replay(vhost: &VHost, source: &Exchange, destination: &Destination, turn: &mut Turn) {
    let mut messages = source.recall();
    if messages.is_empty() {
        return;
    }
    match destination {
        Destination::Queue(queue) => {
            queue.enqueue(&mut messages, turn);
        }
        Destination::Exchange(exchange) => {
            for message in messages {
                let route = vhost.route_again(exchange, &message);
                route.remember(&message);
                for queue in &route.queues {
                    queue.enqueue(&mut vec![Arc::clone(&message)], turn);
                }
            }
        }
    }
}
