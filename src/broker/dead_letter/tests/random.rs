//! Any headers at all.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Headers that mean something, fields of a history, and others.
const NAMES: [&str; 12] = [
    "x-death",
    "CC",
    "BCC",
    "x-first-death-queue",
    "x-last-death-reason",
    "queue",
    "reason",
    "count",
    "time",
    "routing-keys",
    "",
    "other",
];
const TEXTS: [&str; 7] = ["rejected", "expired", "a", "b", "c", "w", ""];
const REASONS: [Reason; 4] =
    [Reason::Rejected, Reason::Expired, Reason::MaxLength, Reason::DeliveryLimit];

/// A value nested a few levels, of types and texts that look like a history.
pub(super) fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        select(&TEXTS[..]).prop_map(text).boxed(),
        any::<i32>().prop_map(number).boxed(),
        vec(any::<u8>(), 8).prop_map(|octets| [b"l".as_slice(), &octets].concat()).boxed(),
        Just(b"V".to_vec()).boxed(),
        Just(b"S\0\0\0\x02\xFF\xFE".to_vec()).boxed(),
    ];
    scalar.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(|items| array(&items)),
            vec((select(&NAMES[..]), inner), 0..6).prop_map(|fields| table(&fields)),
        ]
    })
}

/// What must hold of any dead letter.
fn check(message: &Message, death: &Death<'_>) -> Result<(), TestCaseError> {
    let dead = DeadLetter::new(message, death);
    let view = PropertiesView::check(dead.header());
    prop_assert!(view.is_ok(), "{view:?}");
    let view = view.unwrap();
    let deaths = view.header("x-death").and_then(|value| value.as_array()).unwrap();
    let newest = deaths.items().next().and_then(|item| item.as_table()).unwrap();
    let named = |name| newest.get(name).and_then(|value| value.as_text());
    prop_assert_eq!(named("queue"), Some(death.queue.as_bytes()));
    prop_assert_eq!(named("reason"), Some(death.reason.name().as_bytes()));
    prop_assert!(death.routing_key.is_none() || view.header(BCC).is_none());
    prop_assert!(view.header("x-last-death-queue").is_some());
    prop_assert_eq!(view.expiration(), None);
    prop_assert!(!dead.keys().is_empty());
    let _ = (dead.is_cycle("a"), dead.properties());
    let published = dead.into_message(false);
    prop_assert_eq!(published.body(), message.body());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn of_any_headers_a_dead_letter_can_be_made(
        headers in vec((select(&NAMES[..]), value()), 0..6),
        expiration in "[0-9]{0,4}",
        reason in select(&REASONS[..]),
        routing_key in proptest::option::of(".{0,300}"),
    ) {
        let sent = message("e", "key", &properties(Some(&headers), &expiration));
        let routing_key = routing_key.as_deref();
        check(&sent, &Death { routing_key, ..death(reason, "w") })?;
    }

    #[test]
    fn of_any_octets_a_dead_letter_can_be_made(
        header in vec(prop_oneof![any::<u8>(), Just(0), Just(b'F'), Just(b'A')], 0..80),
        reason in select(&REASONS[..]),
    ) {
        check(&message("e", "key", &header), &death(reason, "w"))?;
    }
}
