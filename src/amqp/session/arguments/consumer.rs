//! basic.consume: what a consumer may ask of a queue.

use amq_protocol::types::{AMQPValue, FieldTable};

use super::checks::{self, Checked};
use super::queue::not_for_type;
use super::{Refused, Resource};
use crate::broker::options::{ConsumerOptions, QueueOptions, QueueType};

/// The arguments that some queue takes from its consumers, in RabbitMQ's order of checking.
const KNOWN: [&str; 5] = [
    "x-priority",
    "x-consumer-timeout",
    "x-stream-offset",
    "x-stream-filter",
    "x-stream-match-unfiltered",
];

/// What a consumer of this queue asks for. Unknown arguments mean nothing; `x-cancel-on-ha-failover` is one.
pub fn consumer_arguments(
    name: &str,
    vhost: &str,
    queue: &QueueOptions,
    arguments: &FieldTable,
) -> Result<ConsumerOptions, Refused> {
    let resource = Resource::queue(name, vhost);
    let own = arguments_of(queue.queue_type);
    for key in KNOWN.iter().filter(|key| own.contains(key)) {
        if let Some(value) = arguments.inner().get(*key) {
            resource.accepts(key, check(key, value))?;
        }
    }
    for (key, _) in arguments {
        let key = key.as_str();
        if KNOWN.contains(&key) && !own.contains(&key) {
            return Err(not_for_type(resource, key, queue.queue_type));
        }
    }
    Ok(ConsumerOptions::read(arguments))
}

/// Classic queues take a timeout here as they do when they are declared; RabbitMQ 4.3 refuses both.
fn arguments_of(queue_type: QueueType) -> &'static [&'static str] {
    match queue_type {
        QueueType::Classic | QueueType::Quorum => &["x-priority", "x-consumer-timeout"],
        QueueType::Stream => &["x-stream-offset", "x-stream-filter", "x-stream-match-unfiltered"],
    }
}

fn check(key: &str, value: &AMQPValue) -> Checked {
    match key {
        "x-priority" => checks::any_integer(value),
        "x-consumer-timeout" => checks::not_negative(value),
        "x-stream-offset" => checks::stream_offset(value),
        _ => Ok(()),
    }
}
