//! What a policy may set: keys and values, in the order and the words of RabbitMQ.
//!
//! The keys are those of RabbitMQ 4.3 and, without effect, those of mirrored queues, which definitions of
//! RabbitMQ 3 are full of, and ours for delayed retry. A number is any integer of the field table.

use amq_protocol::types::{AMQPValue, FieldTable};

use super::{PolicyError, PolicyKind};
use crate::amqp::wire::erlang::{self, Term};
use crate::broker::options;
use crate::broker::retry;
use crate::limits;

/// RabbitMQ's `MAX_STREAM_MAX_SEGMENT_SIZE`.
const STREAM_SEGMENT_MAX: i64 = 3_000_000_000;

/// A key that a policy may set.
#[derive(Clone, Copy)]
struct Rule {
    key: &'static str,
    values: Values,
    /// What RabbitMQ says behind a value that is not one of `values`.
    otherwise: &'static str,
    for_operators: bool,
}

/// The values that a key may have.
#[derive(Clone, Copy)]
enum Values {
    AtLeast(i64),
    Within(i64, i64),
    AnyInteger,
    Name,
    SomeText,
    OneOf(&'static [&'static str]),
    Multiplier,
    Age,
    Anything,
}

const fn rule(key: &'static str, values: Values, otherwise: &'static str) -> Rule {
    Rule { key, values, otherwise, for_operators: false }
}

const fn also_operators(rule: Rule) -> Rule {
    Rule { for_operators: true, ..rule }
}

const NOT_NEGATIVE: Values = Values::AtLeast(0);
const POSITIVE: Values = Values::AtLeast(1);
const DEAD_LETTER_STRATEGIES: Values = Values::OneOf(&["at-most-once", "at-least-once"]);
const OVERFLOWS: Values = Values::OneOf(&["drop-head", "reject-publish", "reject-publish-dlx"]);
const LOCATORS: Values = Values::OneOf(&["client-local", "balanced", "random", "least-leaders"]);
const MASTERS: Values = Values::OneOf(&["client-local", "min-masters", "random"]);
const RETRIES: Values = Values::OneOf(retry::TYPES);
const BACKOFFS: Values = Values::OneOf(retry::BACKOFFS);

/// Sorted by key within a validator of RabbitMQ's, which is the order in which a table's entries are checked; ours
/// come last.
const RULES: &[Rule] = &[
    rule("alternate-exchange", Values::Name, "is not a valid alternate exchange name"),
    rule(
        "consumer-disconnected-timeout",
        NOT_NEGATIVE,
        "is not a valid consumer disconnected timeout",
    ),
    rule("consumer-timeout", NOT_NEGATIVE, "is not a valid consumer timeout"),
    rule("dead-letter-exchange", Values::Name, "is not a valid dead letter exchange name"),
    rule("dead-letter-routing-key", Values::Name, "is not a valid dead letter routing key"),
    rule("dead-letter-strategy", DEAD_LETTER_STRATEGIES, "is not a valid dead letter strategy"),
    also_operators(rule("delivery-limit", Values::AnyInteger, "is not a valid delivery limit")),
    also_operators(rule("expires", POSITIVE, "is not a valid queue expiry")),
    rule("initial-cluster-size", NOT_NEGATIVE, "is not a valid cluster size"),
    rule("max-age", Values::Age, "is not a valid max age"),
    also_operators(rule(
        "max-in-memory-bytes",
        NOT_NEGATIVE,
        "is not a valid maximum memory in bytes",
    )),
    also_operators(rule(
        "max-in-memory-length",
        NOT_NEGATIVE,
        "is not a valid maximum memory in bytes",
    )),
    also_operators(rule("max-length", NOT_NEGATIVE, "is not a valid maximum length")),
    also_operators(rule(
        "max-length-bytes",
        NOT_NEGATIVE,
        "is not a valid maximum length in bytes",
    )),
    also_operators(rule("message-ttl", NOT_NEGATIVE, "is not a valid message TTL")),
    also_operators(rule("overflow", OVERFLOWS, "is not a valid overflow value")),
    rule("queue-leader-locator", LOCATORS, "is not a valid queue leader locator value"),
    rule("queue-mode", Values::OneOf(&["default", "lazy"]), "is not a valid queue-mode value"),
    also_operators(rule(
        "queue-version",
        Values::Within(1, 2),
        "is not a valid queue-version value",
    )),
    rule(
        "stream-filter-size-bytes",
        Values::Within(16, 255),
        "is not a valid filter size. Valid range is 16-255",
    ),
    rule(
        "stream-max-segment-size-bytes",
        Values::Within(0, STREAM_SEGMENT_MAX),
        "is not a valid segment size",
    ),
    also_operators(rule(
        "delayed-retry-max",
        POSITIVE,
        "is not a valid delayed retry maximum delay. Must be a positive integer",
    )),
    also_operators(rule(
        "delayed-retry-min",
        POSITIVE,
        "is not a valid delayed retry minimum delay. Must be a positive integer",
    )),
    also_operators(rule(
        "delayed-retry-type",
        RETRIES,
        "is not a valid delayed retry type. Must be one of: all, failed, returned, disabled",
    )),
    also_operators(rule(
        "member-placement-tag",
        Values::SomeText,
        "is not a valid member-placement-tag value. Must be a non-empty string",
    )),
    also_operators(rule("target-group-size", POSITIVE, "is not a valid qq target count value")),
    rule("queue-master-locator", MASTERS, "invalid queue-master-locator value"),
    rule("ha-mode", Values::OneOf(&["all", "exactly", "nodes"]), "is not a valid ha-mode value"),
    rule("ha-params", Values::Anything, ""),
    rule("ha-sync-mode", Values::Anything, ""),
    rule("ha-sync-batch-size", Values::Anything, ""),
    rule("ha-promote-on-shutdown", Values::Anything, ""),
    rule("ha-promote-on-failure", Values::Anything, ""),
    also_operators(rule(
        "delayed-retry-backoff",
        BACKOFFS,
        "is not a valid delayed retry backoff. Must be one of: linear, fixed, exponential",
    )),
    also_operators(rule(
        "delayed-retry-jitter",
        NOT_NEGATIVE,
        "is not a valid delayed retry jitter. Must not be negative",
    )),
    also_operators(rule(
        "delayed-retry-multiplier",
        Values::Multiplier,
        "is not a valid delayed retry multiplier. Must be a number that is not below 1",
    )),
];

/// Whether a policy of this kind may set this.
pub(super) fn check(kind: PolicyKind, definition: &FieldTable) -> Result<(), PolicyError> {
    if definition.inner().is_empty() {
        return Err(PolicyError("no policy provided".to_owned()));
    }
    let known = || RULES.iter().filter(|rule| kind == PolicyKind::User || rule.for_operators);
    for rule in known() {
        if let Some(value) = definition.inner().get(rule.key)
            && !rule.values.include(value)
        {
            return Err(PolicyError(format!("{} {}", printed(value), rule.otherwise)));
        }
    }
    check_delayed_retry(definition)?;
    let unknown: Vec<String> = definition
        .into_iter()
        .filter(|(key, _)| !known().any(|rule| rule.key == key.as_str()))
        .map(|(key, value)| {
            format!("{{{},{}}}", erlang::binary(key.as_str().as_bytes()), printed(value))
        })
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(PolicyError(format!("[{}] are not recognised policy settings", unknown.join(","))))
}

fn check_delayed_retry(definition: &FieldTable) -> Result<(), PolicyError> {
    let delay = |key| options::integer(definition, key);
    let kind = options::text(definition, "delayed-retry-type").filter(|kind| *kind != "disabled");
    match (kind, delay("delayed-retry-min"), delay("delayed-retry-max")) {
        (Some(kind), None, _) => Err(PolicyError(format!(
            "delayed-retry-min is required when delayed-retry-type is {kind}"
        ))),
        (_, Some(min), Some(max)) if max < min => Err(PolicyError(format!(
            "delayed-retry-max ({max}) must not be smaller than delayed-retry-min ({min})"
        ))),
        _ => Ok(()),
    }
}

impl Values {
    fn include(self, value: &AMQPValue) -> bool {
        let integer = || options::as_integer(value);
        let text = || options::as_text(value);
        match self {
            Values::AtLeast(least) => integer().is_some_and(|number| number >= least),
            Values::Within(low, high) => integer().is_some_and(|it| (low..=high).contains(&it)),
            Values::AnyInteger => integer().is_some(),
            // RabbitMQ takes any text and fails later, when it must send what no short string can carry.
            Values::Name => text().is_some_and(|name| name.len() <= limits::SHORT_STRING_MAX),
            Values::SomeText => text().is_some_and(|text| !text.is_empty()),
            Values::OneOf(known) => text().is_some_and(|text| known.contains(&text)),
            Values::Multiplier => retry::as_multiplier(value).is_some(),
            Values::Age => text().is_some_and(is_age),
            Values::Anything => true,
        }
    }
}

/// `[0-9]+` that is not zero, and one of six units.
fn is_age(text: &str) -> bool {
    let Some(unit) = text.chars().last().filter(|unit| "YMDhms".contains(*unit)) else {
        return false;
    };
    let digits = text.strip_suffix(unit).unwrap_or_default();
    digits.bytes().all(|digit| digit.is_ascii_digit()) && digits.bytes().any(|digit| digit != b'0')
}

/// A value as Erlang's `~p` prints what RabbitMQ reads from JSON.
fn printed(value: &AMQPValue) -> String {
    if matches!(value, AMQPValue::Void) {
        return "null".to_owned();
    }
    if let Some(text) = value.as_long_string() {
        return erlang::binary(text.as_bytes());
    }
    if let Some(values) = value.as_array() {
        let values: Vec<String> = values.as_slice().iter().map(printed).collect();
        return format!("[{}]", values.join(","));
    }
    if let Some(table) = value.as_field_table() {
        let fields = table.into_iter().map(|(key, value)| {
            format!("{} => {}", erlang::binary(key.as_str().as_bytes()), printed(value))
        });
        return format!("#{{{}}}", fields.collect::<Vec<_>>().join(","));
    }
    Term(value).to_string()
}
