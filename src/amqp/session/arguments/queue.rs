//! queue.declare: what a new queue may be, and whether an old one may be declared like this again.

use std::borrow::Cow;

use amq_protocol::protocol::queue::Declare;
use amq_protocol::types::{AMQPValue, FieldTable};

use super::checks::{self, Checked};
use super::{Refused, Resource};
use crate::amqp::protocol::error::ReplyCode;
use crate::amqp::wire::table::{get_int, get_str, inequivalence};
use crate::broker::options::{QueueOptions, QueueType};
use crate::broker::retry;

const QUEUE_TYPE: &str = "x-queue-type";
const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";
const NAME_PREFIX: &str = "x-name-prefix";
/// RabbitMQ: octets of `x-name-prefix`.
const NAME_PREFIX_MAX: usize = 64;
/// RabbitMQ's `MAX_STREAM_MAX_SEGMENT_SIZE`.
const STREAM_SEGMENT_MAX: i64 = 3_000_000_000;

/// The arguments that mean something to a queue of this type, in the order in which RabbitMQ compares them
/// when a queue is declared again (its queue types' `queue_arguments` capability).
///
/// `x-consumer-timeout` is a classic queue's as well, as from RabbitMQ 3.12 to 4.2; 4.3 refuses it. Delayed retry is
/// a quorum queue's alone in 4.3.
pub(super) fn arguments_of(queue_type: QueueType) -> &'static [&'static str] {
    match queue_type {
        QueueType::Classic => &[
            "x-expires",
            "x-message-ttl",
            DEAD_LETTER_EXCHANGE,
            "x-dead-letter-routing-key",
            "x-max-length",
            "x-max-length-bytes",
            "x-max-priority",
            "x-overflow",
            "x-queue-mode",
            "x-queue-version",
            "x-single-active-consumer",
            QUEUE_TYPE,
            "x-queue-master-locator",
            "x-queue-leader-locator",
            "x-consumer-timeout",
            retry::TYPE,
            retry::MIN,
            retry::MAX,
            retry::BACKOFF,
            retry::MULTIPLIER,
            retry::JITTER,
        ],
        QueueType::Quorum => &[
            DEAD_LETTER_EXCHANGE,
            "x-dead-letter-routing-key",
            "x-dead-letter-strategy",
            "x-expires",
            "x-max-length",
            "x-max-length-bytes",
            "x-max-in-memory-length",
            "x-max-in-memory-bytes",
            "x-overflow",
            "x-single-active-consumer",
            QUEUE_TYPE,
            "x-quorum-initial-group-size",
            "x-member-placement-tag",
            "x-delivery-limit",
            "x-message-ttl",
            "x-queue-leader-locator",
            "x-consumer-disconnected-timeout",
            "x-consumer-timeout",
            retry::TYPE,
            retry::MIN,
            retry::MAX,
            retry::BACKOFF,
            retry::MULTIPLIER,
            retry::JITTER,
        ],
        QueueType::Stream => &[
            "x-max-length-bytes",
            QUEUE_TYPE,
            "x-max-age",
            "x-stream-max-segment-size-bytes",
            "x-stream-filter-size-bytes",
            "x-initial-cluster-size",
            "x-queue-leader-locator",
        ],
    }
}

/// RabbitMQ's order of checking; the first that fails is what the client hears of. Arguments that are not
/// here may have any value.
const CHECKED: [&str; 28] = [
    "x-expires",
    "x-message-ttl",
    DEAD_LETTER_EXCHANGE,
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-version",
    "x-single-active-consumer",
    "x-consumer-timeout",
    "x-consumer-disconnected-timeout",
    "x-quorum-initial-group-size",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-stream-filter-size-bytes",
    "x-initial-cluster-size",
    "x-queue-leader-locator",
    "x-member-placement-tag",
    retry::TYPE,
    retry::MIN,
    retry::MAX,
    retry::BACKOFF,
    retry::MULTIPLIER,
    retry::JITTER,
];

fn check(key: &str, value: &AMQPValue, arguments: &FieldTable) -> Checked {
    match key {
        "x-expires" => checks::expires(value),
        "x-message-ttl" => checks::message_ttl(value),
        DEAD_LETTER_EXCHANGE => checks::short_string(value),
        "x-dead-letter-routing-key" => {
            checks::short_string(value)?;
            if arguments.contains_key(DEAD_LETTER_EXCHANGE) {
                return Ok(());
            }
            Err("routing_key_but_no_dlx_defined".to_owned())
        }
        "x-dead-letter-strategy" => {
            checks::one_of(value, &["at-most-once", "at-least-once"], "invalid_dlx_strategy")
        }
        "x-overflow" => {
            let known = ["drop-head", "reject-publish", "reject-publish-dlx"];
            checks::one_of(value, &known, "invalid_overflow")
        }
        "x-queue-leader-locator" => {
            let known = ["client-local", "balanced", "random", "least-leaders", "min-masters"];
            checks::one_of(value, &known, "invalid_queue_locator_arg")
        }
        "x-max-priority" => checks::max_priority(value),
        "x-queue-version" => checks::queue_version(value),
        "x-single-active-consumer" => checks::boolean(value),
        "x-quorum-initial-group-size" | "x-initial-cluster-size" => checks::positive(value),
        "x-max-age" => checks::max_age(value),
        "x-member-placement-tag" => checks::some_text(value, "invalid_member_placement_tag_arg"),
        retry::TYPE => {
            checks::one_of(value, retry::TYPES, "invalid_delayed_retry_type")?;
            checks::retry_type_with_delays(arguments)
        }
        retry::MIN => checks::expires(value),
        retry::MAX => {
            checks::expires(value)?;
            checks::retry_max_above_min(arguments)
        }
        retry::BACKOFF => checks::one_of(value, retry::BACKOFFS, "invalid_delayed_retry_backoff"),
        retry::MULTIPLIER => checks::multiplier(value),
        retry::JITTER => checks::message_ttl(value),
        _ => checks::not_negative(value),
    }
}

/// The options of a new queue.
pub fn queue_options(name: &str, vhost: &str, declare: &Declare) -> Result<QueueOptions, Refused> {
    let queue = Resource::queue(name, vhost);
    let arguments = &declare.arguments;
    let found = |key: &'static str| arguments.inner().get(key).map(|value| (key, value));

    if let Some((key, exchange)) = found(DEAD_LETTER_EXCHANGE) {
        queue.wants_name(key, exchange)?;
    }
    if let Some((key, queue_type)) = found(QUEUE_TYPE) {
        queue.accepts(key, checks::queue_type(queue_type))?;
    }
    let options = declared_queue(declare);
    let own = arguments_of(options.queue_type);
    for (key, value) in CHECKED.into_iter().filter(|key| own.contains(key)).filter_map(found) {
        queue.accepts(key, check(key, value, arguments))?;
    }
    refuse_arguments_of_others(queue, own, &options)?;
    match options.queue_type {
        QueueType::Classic => Ok(options),
        QueueType::Quorum => refuse_flags(queue, &options).map(|()| options),
        QueueType::Stream => Err(refuse_stream(queue, &options)),
    }
}

/// A declaration that names the type which the virtual host has for queues that name none.
///
/// RabbitMQ 4.x: a quorum queue is durable and shared; a declaration that asks for something else makes a
/// classic queue.
pub fn with_default_type(declare: &Declare, queue_type: Option<QueueType>) -> Cow<'_, Declare> {
    let Some(queue_type) = queue_type else { return Cow::Borrowed(declare) };
    if declare.arguments.contains_key(QUEUE_TYPE) {
        return Cow::Borrowed(declare);
    }
    let is_plain = declare.durable && !declare.exclusive && !declare.auto_delete;
    let queue_type = if is_plain { queue_type } else { QueueType::Classic };
    let mut declare = declare.clone();
    declare.arguments.insert(QUEUE_TYPE.into(), AMQPValue::LongString(queue_type.name().into()));
    Cow::Owned(declare)
}

/// A queue as it is declared, with nothing checked; enough for [`queue_equivalence`].
pub fn declared_queue(declare: &Declare) -> QueueOptions {
    // RabbitMQ 4.3: the prefix of a generated name is used up by the name and not kept.
    let mut arguments = declare.arguments.inner().clone();
    arguments.remove(NAME_PREFIX);
    QueueOptions::read(declare.durable, declare.exclusive, declare.auto_delete, arguments.into())
}

/// What the name of a queue begins with that the server is to name: `amq.gen-`, or `x-name-prefix`
/// (RabbitMQ 4.3). Refused for types whose queues must have names.
pub fn generated_name_prefix(arguments: &FieldTable) -> Result<String, Refused> {
    let queue_type = get_str(arguments, QUEUE_TYPE).and_then(QueueType::from_name);
    match queue_type.unwrap_or_default() {
        QueueType::Classic => {}
        other @ (QueueType::Quorum | QueueType::Stream) => {
            let module = module(other);
            let text = format!("Cannot declare a server-named queue for type {module}");
            return Err(Refused::precondition(text));
        }
    }
    match get_str(arguments, NAME_PREFIX)
        .map(|prefix| (prefix.len(), prefix.replace(['\r', '\n'], "")))
    {
        None | Some((0, _)) => Ok("amq.gen-".to_owned()),
        Some((length, prefix)) if length > NAME_PREFIX_MAX => Err(Refused::precondition(format!(
            "Queue name prefix '{prefix}' exceeds the {NAME_PREFIX_MAX}-byte limit"
        ))),
        Some((_, prefix)) => Ok(format!("{prefix}-")),
    }
}

/// Whether a queue may be declared again like this. Who owns it is compared before, by the caller.
pub fn queue_equivalence(
    name: &str,
    vhost: &str,
    existing: &QueueOptions,
    received: &QueueOptions,
) -> Result<(), Refused> {
    let queue = Resource::queue(name, vhost);
    queue.same("durable", received.durable, existing.durable)?;
    queue.same("auto_delete", received.auto_delete, existing.auto_delete)?;
    for key in arguments_of(existing.queue_type) {
        if *key == QUEUE_TYPE {
            same_type(queue, existing, received)?;
        } else {
            queue.same_argument(key, &received.arguments, &existing.arguments)?;
        }
    }
    Ok(())
}

/// RabbitMQ 4.x keeps the default type with every queue that names none, and compares that.
fn same_type(
    queue: Resource<'_>,
    existing: &QueueOptions,
    received: &QueueOptions,
) -> Result<(), Refused> {
    let named = |options: &QueueOptions| match get_str(&options.arguments, QUEUE_TYPE) {
        Some("" | "undefined") => None,
        _ => options.arguments.inner().get(QUEUE_TYPE).cloned(),
    };
    let classic = || AMQPValue::LongString(QueueType::Classic.name().into());
    let received = named(received).unwrap_or_else(classic);
    let current = named(existing).unwrap_or_else(classic);
    match inequivalence(Some(&received), Some(&current)) {
        Some(difference) => queue.differs(QUEUE_TYPE, &difference),
        None => Ok(()),
    }
}

/// Arguments that only queues of another type understand.
fn refuse_arguments_of_others(
    queue: Resource<'_>,
    own: &[&str],
    options: &QueueOptions,
) -> Result<(), Refused> {
    let all = [QueueType::Classic, QueueType::Quorum, QueueType::Stream].map(arguments_of);
    for (key, _) in &options.arguments {
        let key = key.as_str();
        if !own.contains(&key) && all.iter().any(|arguments| arguments.contains(&key)) {
            return Err(not_for_type(queue, key, options.queue_type));
        }
    }
    Ok(())
}

/// An argument that queues of this type do not take.
pub(super) fn not_for_type(queue: Resource<'_>, key: &str, queue_type: QueueType) -> Refused {
    let module = module(queue_type);
    Refused::precondition(format!("invalid arg '{key}' for {queue} of queue type {module}"))
}

/// Quorum queues and streams are for keeping.
fn refuse_flags(queue: Resource<'_>, options: &QueueOptions) -> Result<(), Refused> {
    let wrong = match options {
        QueueOptions { auto_delete: true, .. } => "auto-delete",
        QueueOptions { exclusive: true, .. } => "exclusive-owner",
        QueueOptions { durable: false, .. } => "non-durable",
        _ => return Ok(()),
    };
    Err(Refused::precondition(format!("invalid property '{wrong}' for {queue}")))
}

/// What is wrong with a stream; at the least, that there are none here.
fn refuse_stream(queue: Resource<'_>, options: &QueueOptions) -> Refused {
    if let Err(refused) = refuse_flags(queue, options) {
        return refused;
    }
    let segment = get_int(&options.arguments, "x-stream-max-segment-size-bytes");
    if segment.is_some_and(|size| size > STREAM_SEGMENT_MAX) {
        return Refused::precondition("Exceeded max value for x-stream-max-segment-size-bytes");
    }
    let filter = get_int(&options.arguments, "x-stream-filter-size-bytes");
    if filter.is_some_and(|size| !(16..=255).contains(&size)) {
        return Refused::precondition("Invalid value for x-stream-filter-size-bytes");
    }
    Refused {
        code: ReplyCode::NotImplemented,
        text: "queue type stream is not supported".to_owned(),
    }
}

/// What RabbitMQ calls a queue type inside.
fn module(queue_type: QueueType) -> &'static str {
    match queue_type {
        QueueType::Classic => "rabbit_classic_queue",
        QueueType::Quorum => "rabbit_quorum_queue",
        QueueType::Stream => "rabbit_stream_queue",
    }
}
