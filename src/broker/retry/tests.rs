//! The formulas of the documents, and what terms come to.

use super::*;

fn retry(backoff: Backoff, min_ms: u64, max_ms: Option<u64>) -> DelayedRetry {
    DelayedRetry {
        retry_type: RetryType::All,
        min_ms,
        max_ms,
        backoff,
        multiplier: 2.0,
        jitter_ms: 0,
    }
}

fn delays(retry: DelayedRetry) -> [u64; 6] {
    [1, 2, 3, 4, 5, 6].map(|count| retry.delay_ms(count, 0.0))
}

#[test]
fn linear_delays_grow_by_the_minimum_up_to_the_maximum() {
    let linear = |max| delays(retry(Backoff::Linear, 100, max));
    assert_eq!(linear(Some(450)), [100, 200, 300, 400, 450, 450]);
    // RabbitMQ: without a maximum, the minimum is the maximum.
    assert_eq!(linear(None), [100; 6]);
    // RabbitMQ: a message that was never counted waits as long as one that came back once.
    assert_eq!(retry(Backoff::Linear, 100, Some(450)).delay_ms(0, 0.0), 100);
}

#[test]
fn fixed_delays_are_the_minimum_whatever_the_maximum() {
    assert_eq!(delays(retry(Backoff::Fixed, 100, Some(450))), [100; 6]);
    assert_eq!(delays(retry(Backoff::Fixed, 100, None)), [100; 6]);
}

#[test]
fn every_exponential_delay_is_the_one_before_times_the_multiplier() {
    let twice = retry(Backoff::Exponential, 100, None);
    assert_eq!(delays(twice), [100, 200, 400, 800, 1600, 3200]);
    let half_more = DelayedRetry { multiplier: 1.5, ..retry(Backoff::Exponential, 1600, None) };
    assert_eq!(delays(half_more), [1600, 2400, 3600, 5400, 8100, 12_150]);
    let same = DelayedRetry { multiplier: 1.0, ..twice };
    assert_eq!(delays(same), [100; 6]);
    for count in 1..20 {
        let thrice = DelayedRetry { multiplier: 3.0, ..twice };
        assert_eq!(thrice.delay_ms(count + 1, 0.0), 3 * thrice.delay_ms(count, 0.0));
    }
}

#[test]
fn exponential_delays_end_at_the_maximum_or_after_ten_years() {
    assert_eq!(delays(retry(Backoff::Exponential, 100, Some(500))), [100, 200, 400, 500, 500, 500]);
    for count in [64, 5000, u32::MAX] {
        let endless = retry(Backoff::Exponential, 100, None);
        assert_eq!(endless.delay_ms(count, 0.0), DELAY_MAX_MS);
        let steep = DelayedRetry { multiplier: f64::INFINITY, ..endless };
        assert_eq!(steep.delay_ms(count, 0.0), DELAY_MAX_MS);
    }
    for backoff in [Backoff::Linear, Backoff::Fixed, Backoff::Exponential] {
        let extreme =
            DelayedRetry { jitter_ms: u64::MAX, ..retry(backoff, u64::MAX, Some(u64::MAX)) };
        assert_eq!(extreme.delay_ms(u32::MAX, 1.0), 2 * DELAY_MAX_MS);
    }
}

#[test]
fn jitter_adds_its_random_share_after_the_cap() {
    for backoff in [Backoff::Linear, Backoff::Fixed, Backoff::Exponential] {
        let jittery = DelayedRetry { jitter_ms: 40, ..retry(backoff, 100, Some(100)) };
        let delays = [0.0, 0.25, 0.5, 1.0].map(|random| jittery.delay_ms(3, random));
        assert_eq!(delays, [100, 110, 120, 140]);
    }
}

#[test]
fn a_type_says_which_returns_are_delayed() {
    let delayed = |name| {
        let retry_type = RetryType::from_name(name).unwrap();
        let retry = DelayedRetry { retry_type, ..retry(Backoff::Fixed, 100, None) };
        [Return::Failed, Return::Returned].map(|how| retry.delays(how))
    };
    assert_eq!(delayed("all"), [true, true]);
    assert_eq!(delayed("failed"), [true, false]);
    assert_eq!(delayed("returned"), [false, true]);
    assert_eq!(delayed("disabled"), [false, false]);
}

fn table(fields: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in fields {
        table.insert((*name).into(), value.clone());
    }
    table
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

#[test]
fn arguments_and_policies_say_the_same_with_and_without_a_prefix() {
    let values = [
        (TYPE, text("failed")),
        (MIN, AMQPValue::LongInt(100)),
        (MAX, AMQPValue::LongLongInt(1000)),
        (BACKOFF, text("exponential")),
        (MULTIPLIER, AMQPValue::Double(1.5)),
        (JITTER, AMQPValue::ShortInt(0)),
    ];
    let read = RetryTerms::of_arguments(&table(&values));
    let expected = DelayedRetry {
        retry_type: RetryType::Failed,
        min_ms: 100,
        max_ms: Some(1000),
        backoff: Backoff::Exponential,
        multiplier: 1.5,
        jitter_ms: 0,
    };
    assert_eq!(read.in_force(), Some(expected));
    let unprefixed = values.map(|(key, value)| (key.strip_prefix("x-").unwrap(), value));
    assert_eq!(RetryTerms::of_policy(&table(&unprefixed)), read);
    assert_eq!(RetryTerms::of_arguments(&table(&unprefixed)), RetryTerms::default());
}

#[test]
fn what_cannot_be_counts_as_absent() {
    let nonsense = table(&[
        (TYPE, text("bogus")),
        (MIN, AMQPValue::LongInt(0)),
        (MAX, AMQPValue::LongInt(-1)),
        (BACKOFF, AMQPValue::LongInt(1)),
        (MULTIPLIER, AMQPValue::Double(f64::NAN)),
        (JITTER, text("5")),
    ]);
    assert_eq!(RetryTerms::of_arguments(&nonsense), RetryTerms::default());
    let multipliers = [
        (AMQPValue::Float(2.5), Some(2.5)),
        (AMQPValue::LongInt(3), Some(3.0)),
        (AMQPValue::Double(0.99), None),
        (AMQPValue::ShortShortInt(-2), None),
        (text("2"), None),
    ];
    for (value, expected) in multipliers {
        assert_eq!(as_multiplier(&value), expected, "{value:?}");
    }
}

#[test]
fn without_a_type_or_a_minimum_nothing_is_delayed() {
    let terms = |retry_type, min_ms| RetryTerms { retry_type, min_ms, ..RetryTerms::default() };
    assert_eq!(terms(None, Some(1)).in_force(), None);
    assert_eq!(terms(Some(RetryType::All), None).in_force(), None);
    assert_eq!(terms(Some(RetryType::Disabled), Some(1)).in_force(), None);
    let defaults = terms(Some(RetryType::All), Some(1)).in_force().unwrap();
    assert_eq!(defaults, retry(Backoff::Linear, 1, None));
}

#[test]
fn a_policys_words_win_and_of_two_numbers_the_lower_counts() {
    let own = RetryTerms {
        retry_type: Some(RetryType::All),
        min_ms: Some(100),
        max_ms: None,
        backoff: Some(Backoff::Fixed),
        multiplier: Some(3.0),
        jitter_ms: Some(5),
    };
    let policy = RetryTerms {
        retry_type: Some(RetryType::Disabled),
        min_ms: Some(200),
        max_ms: Some(400),
        backoff: None,
        multiplier: Some(1.5),
        jitter_ms: Some(1),
    };
    let expected = RetryTerms {
        retry_type: Some(RetryType::Disabled),
        min_ms: Some(100),
        max_ms: Some(400),
        backoff: Some(Backoff::Fixed),
        multiplier: Some(1.5),
        jitter_ms: Some(1),
    };
    assert_eq!(own.under(policy), expected);
    assert_eq!(own.under(RetryTerms::default()), own);
    assert_eq!(RetryTerms::default().under(own), own);
}
