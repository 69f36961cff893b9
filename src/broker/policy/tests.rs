//! What policies promise: which may be set, which is in force, and what becomes of it.

use amq_protocol::types::{AMQPValue, FieldArray, FieldTable};

use super::*;
use crate::broker::exchange::ExchangeKind;
use crate::broker::options::{
    DELIVERY_LIMIT_DEFAULT, DeadLetterStrategy, ExchangeOptions, Overflow, QueueOptions,
};
use crate::broker::retry::{Backoff, DelayedRetry, RetryType};
use crate::broker::settings::QueueSettings;

fn table(fields: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in fields {
        table.insert((*name).into(), value.clone());
    }
    table
}

fn int(value: i64) -> AMQPValue {
    AMQPValue::LongLongInt(value)
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn source(fields: &[(&str, AMQPValue)]) -> PolicySource {
    PolicySource {
        name: "p".to_owned(),
        pattern: ".*".to_owned(),
        apply_to: "all".to_owned(),
        priority: 0,
        definition: table(fields),
    }
}

fn refusal(kind: PolicyKind, fields: &[(&str, AMQPValue)]) -> String {
    Policy::new(kind, source(fields)).unwrap_err().to_string()
}

fn policy(name: &str, pattern: &str, apply_to: &str, priority: i64) -> Arc<Policy> {
    let source = PolicySource {
        name: name.to_owned(),
        pattern: pattern.to_owned(),
        apply_to: apply_to.to_owned(),
        priority,
        ..source(&[("queue-version", int(2))])
    };
    Arc::new(Policy::new(PolicyKind::User, source).unwrap())
}

fn set_of(policies: impl IntoIterator<Item = Arc<Policy>>) -> PolicySet {
    let mut set = PolicySet::default();
    for policy in policies {
        set.set(policy);
    }
    set
}

fn name_of(set: &PolicySet, subject: Subject<'_>) -> Option<String> {
    set.applied(subject).user.map(|policy| policy.name.to_string())
}

const CLASSIC: QueueType = QueueType::Classic;
const QUORUM: QueueType = QueueType::Quorum;

// ---- What may be set -----------------------------------------------------------------------------

/// Every key, a value it takes, one it does not take, and what RabbitMQ says then.
fn keys() -> Vec<Key> {
    [names(), numbers(), words()].concat()
}

type Key = (&'static str, AMQPValue, AMQPValue, &'static str);

fn names() -> Vec<Key> {
    vec![
        ("alternate-exchange", text("ae"), int(5), "5 is not a valid alternate exchange name"),
        ("dead-letter-exchange", text(""), int(5), "5 is not a valid dead letter exchange name"),
        ("dead-letter-routing-key", text("k"), int(5), "5 is not a valid dead letter routing key"),
        (
            "member-placement-tag",
            text("a"),
            text(""),
            "<<>> is not a valid member-placement-tag value. Must be a non-empty string",
        ),
    ]
}

fn numbers() -> Vec<Key> {
    vec![
        ("message-ttl", int(0), int(-1), "-1 is not a valid message TTL"),
        ("expires", int(1), int(0), "0 is not a valid queue expiry"),
        ("max-length", int(0), text("a"), "<<\"a\">> is not a valid maximum length"),
        ("max-length-bytes", int(0), int(-1), "-1 is not a valid maximum length in bytes"),
        ("max-in-memory-length", int(0), int(-1), "-1 is not a valid maximum memory in bytes"),
        ("max-in-memory-bytes", int(0), int(-1), "-1 is not a valid maximum memory in bytes"),
        ("queue-version", int(2), int(3), "3 is not a valid queue-version value"),
        ("delivery-limit", int(-1), text("a"), "<<\"a\">> is not a valid delivery limit"),
        (
            "stream-max-segment-size-bytes",
            int(3_000_000_000),
            int(3_000_000_001),
            "3000000001 is not a valid segment size",
        ),
        (
            "stream-filter-size-bytes",
            int(16),
            int(15),
            "15 is not a valid filter size. Valid range is 16-255",
        ),
        ("initial-cluster-size", int(0), text("a"), "<<\"a\">> is not a valid cluster size"),
        ("consumer-timeout", int(0), int(-1), "-1 is not a valid consumer timeout"),
        (
            "consumer-disconnected-timeout",
            int(0),
            int(-1),
            "-1 is not a valid consumer disconnected timeout",
        ),
        (
            "delayed-retry-min",
            int(1),
            int(0),
            "0 is not a valid delayed retry minimum delay. Must be a positive integer",
        ),
        (
            "delayed-retry-max",
            int(1),
            int(0),
            "0 is not a valid delayed retry maximum delay. Must be a positive integer",
        ),
        ("target-group-size", int(1), int(0), "0 is not a valid qq target count value"),
        (
            "delayed-retry-jitter",
            int(0),
            int(-1),
            "-1 is not a valid delayed retry jitter. Must not be negative",
        ),
        (
            "delayed-retry-multiplier",
            AMQPValue::Double(1.5),
            AMQPValue::Double(0.5),
            "0.5 is not a valid delayed retry multiplier. Must be a number that is not below 1",
        ),
        (
            "delayed-retry-multiplier",
            int(1),
            text("2"),
            "<<\"2\">> is not a valid delayed retry multiplier. Must be a number that is not below 1",
        ),
    ]
}

fn words() -> Vec<Key> {
    vec![
        (
            "dead-letter-strategy",
            text("at-least-once"),
            text("x"),
            "<<\"x\">> is not a valid dead letter strategy",
        ),
        (
            "overflow",
            text("reject-publish-dlx"),
            text("x"),
            "<<\"x\">> is not a valid overflow value",
        ),
        ("queue-mode", text("lazy"), text("x"), "<<\"x\">> is not a valid queue-mode value"),
        ("max-age", text("5D"), text("5"), "<<\"5\">> is not a valid max age"),
        (
            "queue-leader-locator",
            text("balanced"),
            text("x"),
            "<<\"x\">> is not a valid queue leader locator value",
        ),
        (
            "delayed-retry-type",
            text("disabled"),
            text("x"),
            "<<\"x\">> is not a valid delayed retry type. Must be one of: all, failed, returned, \
             disabled",
        ),
        (
            "queue-master-locator",
            text("min-masters"),
            text("x"),
            "<<\"x\">> invalid queue-master-locator value",
        ),
        ("ha-mode", text("all"), text("x"), "<<\"x\">> is not a valid ha-mode value"),
        (
            "delayed-retry-backoff",
            text("exponential"),
            text("x"),
            "<<\"x\">> is not a valid delayed retry backoff. Must be one of: linear, fixed, \
             exponential",
        ),
    ]
}

const FOR_OPERATORS: [&str; 17] = [
    "expires",
    "message-ttl",
    "max-length",
    "max-length-bytes",
    "max-in-memory-length",
    "max-in-memory-bytes",
    "delivery-limit",
    "overflow",
    "queue-version",
    "delayed-retry-min",
    "delayed-retry-max",
    "delayed-retry-type",
    "delayed-retry-backoff",
    "delayed-retry-multiplier",
    "delayed-retry-jitter",
    "member-placement-tag",
    "target-group-size",
];

#[test]
fn every_key_takes_its_values_and_refuses_others_in_rabbitmqs_words() {
    for (key, good, bad, words) in keys() {
        assert!(Policy::new(PolicyKind::User, source(&[(key, good)])).is_ok(), "{key}");
        assert_eq!(refusal(PolicyKind::User, &[(key, bad)]), words);
    }
}

#[test]
fn operators_may_set_limits_only() {
    for (key, good, _, _) in keys() {
        let set = Policy::new(PolicyKind::Operator, source(&[(key, good)]));
        assert_eq!(set.is_ok(), FOR_OPERATORS.contains(&key), "{key}: {set:?}");
    }
}

#[test]
fn keys_that_nobody_knows_are_named_with_their_values() {
    let unknown = [("bogus", int(5)), ("other", text("x"))];
    assert_eq!(
        refusal(PolicyKind::User, &unknown),
        "[{<<\"bogus\">>,5},{<<\"other\">>,<<\"x\">>}] are not recognised policy settings"
    );
    assert_eq!(
        refusal(PolicyKind::User, &[("bogus", int(5)), ("max-length", int(1))]),
        "[{<<\"bogus\">>,5}] are not recognised policy settings"
    );
    assert_eq!(
        refusal(PolicyKind::Operator, &[("alternate-exchange", text("ae"))]),
        "[{<<\"alternate-exchange\">>,<<\"ae\">>}] are not recognised policy settings"
    );
}

#[test]
fn a_value_of_any_type_is_shown_as_rabbitmq_shows_it() {
    let nested = AMQPValue::FieldTable(table(&[("a", int(1))]));
    let list = AMQPValue::FieldArray(FieldArray::from(vec![int(1)]));
    for (value, shown) in [
        (text("5"), "<<\"5\">>"),
        (AMQPValue::Double(1.5), "1.5"),
        (AMQPValue::Void, "null"),
        (AMQPValue::Boolean(true), "true"),
        (nested, "#{<<\"a\">> => 1}"),
        (list, "[1]"),
    ] {
        let words = format!("{shown} is not a valid message TTL");
        assert_eq!(refusal(PolicyKind::User, &[("message-ttl", value)]), words);
    }
}

#[test]
fn of_several_wrong_values_the_first_by_key_is_named() {
    let wrong = [("message-ttl", int(-1)), ("max-length", int(-2))];
    assert_eq!(refusal(PolicyKind::User, &wrong), "-2 is not a valid maximum length");
}

#[test]
fn a_policy_sets_something() {
    assert_eq!(refusal(PolicyKind::User, &[]), "no policy provided");
}

#[test]
fn a_delayed_retry_needs_its_delays_in_order() {
    assert_eq!(
        refusal(PolicyKind::User, &[("delayed-retry-type", text("all"))]),
        "delayed-retry-min is required when delayed-retry-type is all"
    );
    assert_eq!(
        refusal(PolicyKind::User, &[("delayed-retry-min", int(5)), ("delayed-retry-max", int(4))]),
        "delayed-retry-max (4) must not be smaller than delayed-retry-min (5)"
    );
}

#[test]
fn an_unknown_apply_to_is_refused() {
    let strange = PolicySource { apply_to: "x".to_owned(), ..source(&[("max-length", int(1))]) };
    assert_eq!(
        Policy::new(PolicyKind::User, strange).unwrap_err().to_string(),
        "apply-to 'x' unrecognised; should be one of: 'queues', 'classic_queues',  \
         'quorum_queues', 'streams', 'exchanges', or 'all'"
    );
}

// ---- Which is in force ---------------------------------------------------------------------------

#[test]
fn each_apply_to_covers_its_things() {
    let things = [
        Subject::Exchange("n"),
        Subject::Queue("n", CLASSIC),
        Subject::Queue("n", QUORUM),
        Subject::Queue("n", QueueType::Stream),
    ];
    for (apply_to, covered) in [
        ("all", [true, true, true, true]),
        ("exchanges", [true, false, false, false]),
        ("queues", [false, true, true, true]),
        ("classic_queues", [false, true, false, false]),
        ("quorum_queues", [false, false, true, false]),
        ("streams", [false, false, false, true]),
    ] {
        let policy = policy("p", ".*", apply_to, 0);
        assert_eq!(things.map(|thing| policy.matches(thing)), covered, "{apply_to}");
        assert_eq!(policy.apply_to.name(), apply_to);
    }
}

#[test]
fn the_highest_priority_wins_and_of_equals_the_first_by_name() {
    let low = policy("a", ".*", "all", -1);
    let high = policy("b", "^q", "all", 2);
    let (twin, other) = (policy("d", ".*", "all", 1), policy("c", ".*", "all", 1));
    let set = set_of([low, high, twin, other]);

    assert_eq!(name_of(&set, Subject::Queue("q", CLASSIC)), Some("b".to_owned()));
    assert_eq!(name_of(&set, Subject::Queue("other", CLASSIC)), Some("c".to_owned()));
}

#[test]
fn user_policies_are_not_merged_with_one_another() {
    let ttl = Policy::new(PolicyKind::User, source(&[("message-ttl", int(5))])).unwrap();
    let length = PolicySource {
        name: "length".to_owned(),
        priority: 1,
        ..source(&[("max-length", int(7))])
    };
    let set = set_of([ttl, Policy::new(PolicyKind::User, length).unwrap()].map(Arc::new));

    let applied = set.applied(Subject::Queue("q", CLASSIC));
    let settings = QueueSettings::resolve(&QueueOptions::default(), applied.definition(), None);

    assert_eq!((settings.max_length, settings.message_ttl_ms), (Some(7), None));
}

#[test]
fn a_policy_that_queues_of_a_type_do_not_understand_is_not_for_them() {
    let limit = [("delivery-limit", int(1)), ("max-length", int(1))];
    let limit = Policy::new(PolicyKind::User, source(&limit)).unwrap();
    assert!(!limit.matches(Subject::Queue("q", CLASSIC)));
    assert!(limit.matches(Subject::Queue("q", QUORUM)));
    assert!(!limit.matches(Subject::Queue("q", QueueType::Stream)));
    let mirrored = Policy::new(PolicyKind::User, source(&[("ha-mode", text("all"))])).unwrap();
    assert!(mirrored.matches(Subject::Queue("q", CLASSIC)));
    assert!(!mirrored.matches(Subject::Queue("q", QUORUM)));
}

#[test]
fn a_cleared_policy_is_in_force_no_more() {
    let mut set = set_of([policy("a", ".*", "all", 0)]);
    assert!(!set.clear(PolicyKind::Operator, "a"));
    assert!(set.clear(PolicyKind::User, "a"));
    assert!(!set.clear(PolicyKind::User, "a"));
    assert_eq!(set.applied(Subject::Exchange("x")), Applied::default());
}

#[test]
fn setting_a_policy_again_as_it_is_changes_nothing() {
    let mut set = PolicySet::default();
    assert!(set.set(policy("a", ".*", "all", 0)));
    assert!(!set.set(policy("a", ".*", "all", 0)));
    assert!(set.set(policy("a", ".*", "all", 1)));
}

// ---- What becomes of it --------------------------------------------------------------------------

fn definition(kind: PolicyKind, fields: &[(&str, AMQPValue)]) -> Option<PolicyDefinition> {
    let parsed = || PolicyDefinition::parse(kind, table(fields)).unwrap();
    (!fields.is_empty()).then(parsed)
}

type Fields<'a> = &'a [(&'a str, AMQPValue)];

fn resolved(
    queue_type: QueueType,
    own: Fields<'_>,
    user: Fields<'_>,
    operator: Fields<'_>,
) -> QueueSettings {
    let mut arguments = table(own);
    arguments.insert("x-queue-type".into(), text(queue_type.name()));
    let declared = QueueOptions::read(true, false, false, arguments);
    let user = definition(PolicyKind::User, user);
    let operator = definition(PolicyKind::Operator, operator);
    QueueSettings::resolve(&declared, user.as_ref(), operator.as_ref())
}

#[test]
fn without_policies_the_arguments_are_in_force() {
    let own = [("x-max-length", int(3)), ("x-overflow", text("reject-publish"))];
    let settings = resolved(CLASSIC, &own, &[], &[]);
    assert_eq!(settings.max_length, Some(3));
    assert_eq!(settings.overflow, Overflow::RejectPublish);
    for queue_type in [CLASSIC, QUORUM] {
        let declared = resolved(queue_type, &[], &[], &[]);
        let limit = (queue_type == QUORUM).then_some(DELIVERY_LIMIT_DEFAULT);
        assert_eq!(declared, QueueSettings { delivery_limit: limit, ..QueueSettings::default() });
    }
}

#[test]
fn a_policys_delayed_retry_wins_but_the_lower_delays_count() {
    let own = [("x-delayed-retry-type", text("all")), ("x-delayed-retry-min", int(100))];
    let user = [
        ("delayed-retry-type", text("failed")),
        ("delayed-retry-min", int(200)),
        ("delayed-retry-max", int(2000)),
        ("delayed-retry-backoff", text("exponential")),
        ("delayed-retry-multiplier", AMQPValue::Double(1.5)),
    ];
    let operator = [("delayed-retry-max", int(1000)), ("delayed-retry-jitter", int(7))];
    let expected = DelayedRetry {
        retry_type: RetryType::Failed,
        min_ms: 100,
        max_ms: Some(1000),
        backoff: Backoff::Exponential,
        multiplier: 1.5,
        jitter_ms: 7,
    };
    for queue_type in [CLASSIC, QUORUM] {
        let settings = resolved(queue_type, &own, &user, &operator);
        assert_eq!(settings.delayed_retry, Some(expected));
        let off = [("delayed-retry-type", text("disabled"))];
        assert_eq!(resolved(queue_type, &own, &user, &off).delayed_retry, None);
    }
}

#[test]
fn of_three_numbers_the_lowest_is_in_force() {
    type Get = fn(&QueueSettings) -> Option<u64>;
    let numbers: [(&str, Get, bool); 5] = [
        ("message-ttl", |settings| settings.message_ttl_ms, true),
        ("expires", |settings| settings.expires_ms, true),
        ("max-length", |settings| settings.max_length, true),
        ("max-length-bytes", |settings| settings.max_length_bytes, true),
        ("consumer-timeout", |settings| settings.consumer_timeout_ms, false),
    ];
    for (key, get, for_operators) in numbers {
        let argument = format!("x-{key}");
        for (own, user, operator, expected) in [
            (Some(1), Some(2), Some(3), Some(1)),
            (Some(3), Some(1), Some(2), Some(1)),
            (Some(3), Some(2), Some(1), Some(1)),
            (None, Some(2), Some(1), Some(1)),
            (None, Some(1), None, Some(1)),
            (Some(2), None, Some(1), Some(1)),
            (None, None, None, None),
        ] {
            let (expected, operator) = match operator {
                Some(_) if !for_operators => ([own, user].into_iter().flatten().min(), None),
                operator => (expected, operator),
            };
            let field = |name, value: Option<i64>| Vec::from_iter(value.map(|it| (name, int(it))));
            let settings = resolved(
                CLASSIC,
                &field(argument.as_str(), own),
                &field(key, user),
                &field(key, operator),
            );
            let expected = expected.map(|it| u64::try_from(it).unwrap());
            assert_eq!(get(&settings), expected, "{key} {own:?} {user:?} {operator:?}");
        }
    }
}

#[test]
fn an_argument_wins_for_everything_about_dead_letters() {
    let policy = [
        ("dead-letter-exchange", text("policy")),
        ("dead-letter-routing-key", text("by-policy")),
        ("dead-letter-strategy", text("at-least-once")),
    ];
    let by_policy = resolved(QUORUM, &[], &policy, &[]);
    assert_eq!(by_policy.dead_letter_exchange.as_deref(), Some("policy"));
    assert_eq!(by_policy.dead_letter_routing_key.as_deref(), Some("by-policy"));
    assert_eq!(by_policy.dead_letter_strategy, DeadLetterStrategy::AtLeastOnce);

    let own =
        [("x-dead-letter-exchange", text("own")), ("x-dead-letter-strategy", text("at-most-once"))];
    let mixed = resolved(QUORUM, &own, &policy, &[]);
    assert_eq!(mixed.dead_letter_exchange.as_deref(), Some("own"));
    assert_eq!(mixed.dead_letter_routing_key.as_deref(), Some("by-policy"));
    assert_eq!(mixed.dead_letter_strategy, DeadLetterStrategy::AtMostOnce);
}

#[test]
fn an_argument_wins_for_a_classic_queues_overflow_and_a_policy_for_a_quorum_queues() {
    let own = [("x-overflow", text("drop-head"))];
    let user = [("overflow", text("reject-publish-dlx"))];
    let operator = [("overflow", text("reject-publish"))];
    for (queue_type, own, user, operator, expected) in [
        (CLASSIC, &own[..], &user[..], &operator[..], Overflow::DropHead),
        (CLASSIC, &[], &user, &operator, Overflow::RejectPublish),
        (CLASSIC, &[], &user, &[], Overflow::RejectPublishDlx),
        (QUORUM, &own, &user, &operator, Overflow::RejectPublish),
        (QUORUM, &own, &user, &[], Overflow::RejectPublishDlx),
        (QUORUM, &own, &[], &[], Overflow::DropHead),
    ] {
        let settings = resolved(queue_type, own, user, operator);
        assert_eq!(settings.overflow, expected, "{queue_type:?} {own:?} {user:?} {operator:?}");
    }
}

#[test]
fn a_negative_delivery_limit_gives_way_to_any_other() {
    for (own, user, operator, expected) in [
        (None, None, None, Some(DELIVERY_LIMIT_DEFAULT)),
        (Some(5), None, None, Some(5)),
        (Some(-1), None, None, None),
        (None, Some(30), None, Some(30)),
        (None, Some(-1), None, None),
        (Some(-1), Some(3), None, Some(3)),
        (Some(4), Some(3), Some(-1), Some(3)),
        (Some(-1), Some(-2), Some(-1), None),
        (Some(9), Some(8), Some(7), Some(7)),
    ] {
        let field = |name, value: Option<i64>| Vec::from_iter(value.map(|it| (name, int(it))));
        let settings = resolved(
            QUORUM,
            &field("x-delivery-limit", own),
            &field("delivery-limit", user),
            &field("delivery-limit", operator),
        );
        assert_eq!(settings.delivery_limit, expected, "{own:?} {user:?} {operator:?}");
    }
}

#[test]
fn an_exchanges_own_alternate_wins_over_its_policys() {
    let policy = definition(PolicyKind::User, &[("alternate-exchange", text("policy"))]);
    let plain = ExchangeOptions::new(ExchangeKind::Direct);
    let own = plain.clone().with_arguments(table(&[("alternate-exchange", text("own"))]));

    assert_eq!(alternate_exchange(&plain, None), None);
    assert_eq!(alternate_exchange(&plain, policy.as_ref()).as_deref(), Some("policy"));
    assert_eq!(alternate_exchange(&own, policy.as_ref()).as_deref(), Some("own"));
}
