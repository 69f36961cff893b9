//! Histories that publishers send themselves.

use std::slice::from_ref;

use super::*;

fn entry(queue: &str, more: &[(&str, Value)]) -> Value {
    let names = [("queue", text(queue)), ("reason", text("rejected"))];
    table(&[&names[..], more].concat())
}

/// What becomes of a message that comes with this `x-death` and is rejected from `w`.
fn rejected_with(history: Value) -> String {
    let headers = [("x-death", history), ("x-first-death-queue", text("mine"))];
    let dead = DeadLetter::new(&sent_to("w", &headers), &death(Reason::Rejected, "w"));
    let shown = headers_of(&dead);
    shown.strip_suffix(" x-first-death-queue:S=mine").expect("it was no first death").to_owned()
}

#[test]
fn a_history_of_the_wrong_type_is_replaced() {
    for wrong in [text("x"), number(5), table(&[("a", number(1))])] {
        assert_eq!(
            rejected_with(wrong),
            "x-death:A=[F={count:l=1 reason:S=rejected queue:S=w time:T=9 exchange:S= \
             routing-keys:A=[S=w]}]"
        );
    }
}

#[test]
fn an_empty_history_is_one_nevertheless() {
    assert_eq!(
        rejected_with(array(&[])),
        "x-death:A=[F={count:l=1 exchange:S= queue:S=w reason:S=rejected routing-keys:A=[S=w] time:T=9}]"
    );
}

#[test]
fn a_count_goes_on_from_where_the_client_left_it() {
    let counted = |count| rejected_with(array(&[entry("w", &[("count", count)])]));
    assert_eq!(counted(number(5)), "x-death:A=[F={count:l=6 queue:S=w reason:S=rejected}]");
    assert_eq!(counted(number(-5)), "x-death:A=[F={count:l=-4 queue:S=w reason:S=rejected}]");
}

#[test]
fn a_count_never_overflows_and_one_that_is_no_number_begins_again() {
    // RabbitMQ wraps the one round and loses the message over the other.
    let counted = |count| rejected_with(array(&[entry("w", &[("count", count)])]));
    let mut most = Vec::new();
    ValueView::long(&i64::MAX.to_be_bytes()).append_to(&mut most);
    let expected = format!("x-death:A=[F={{count:l={} queue:S=w reason:S=rejected}}]", i64::MAX);
    assert_eq!(counted(most), expected);
    assert_eq!(counted(text("5")), "x-death:A=[F={count:l=1 queue:S=w reason:S=rejected}]");
}

#[test]
fn other_fields_of_a_counted_table_stay_sorted_by_name() {
    let unsorted = table(&[
        ("z", number(1)),
        ("queue", text("w")),
        ("reason", text("rejected")),
        ("a", number(1)),
    ]);
    assert_eq!(
        rejected_with(array(&[unsorted])),
        "x-death:A=[F={a:I=1 count:l=1 queue:S=w reason:S=rejected z:I=1}]"
    );
}

#[test]
fn tables_without_a_count_are_counted_as_rabbitmq_counts_them() {
    let counted = |entries: &[Value]| rejected_with(array(entries));
    let (own, other) = (entry("w", &[]), entry("v", &[("count", number(1))]));
    assert_eq!(counted(from_ref(&own)), "x-death:A=[F={count:l=1 queue:S=w reason:S=rejected}]");
    assert_eq!(
        counted(&[own.clone(), own.clone()]),
        "x-death:A=[F={count:l=3 queue:S=w reason:S=rejected}]"
    );
    assert_eq!(
        counted(&[own, other]),
        "x-death:A=[F={count:l=2 queue:S=w reason:S=rejected} F={queue:S=v reason:S=rejected count:I=1}]"
    );
}

#[test]
fn each_queue_and_reason_is_kept_once_in_the_order_of_the_deaths() {
    // RabbitMQ 3.10 would turn the older ones round; see the module.
    let a = entry("a", &[("n", number(1))]);
    let again = entry("a", &[("n", number(2))]);
    let entries = [a, entry("b", &[]), table(&[("n", number(3))]), again];
    assert_eq!(
        rejected_with(array(&entries)),
        "x-death:A=[F={count:l=1 exchange:S= queue:S=w reason:S=rejected routing-keys:A=[S=w] time:T=9} \
         F={queue:S=a reason:S=rejected n:I=1} F={queue:S=b reason:S=rejected} F={n:I=3}]"
    );
}

#[test]
fn what_is_no_table_stays_where_it_is() {
    // RabbitMQ 3.10 loses the queue's process over it.
    assert_eq!(
        rejected_with(array(&[number(1), entry("w", &[])])),
        "x-death:A=[F={count:l=2 queue:S=w reason:S=rejected} I=1]"
    );
}

fn many_deaths(count: usize, note: &str) -> Value {
    let note = [("note", text(note))];
    let entries: Vec<_> = (0..count).map(|at| entry(&format!("q{at}"), &note)).collect();
    array(&entries)
}

#[test]
fn a_history_too_long_for_a_frame_loses_its_oldest_deaths() {
    let long = many_deaths(200, &"n".repeat(1000));
    let dead = DeadLetter::new(&sent_to("w", &[("x-death", long)]), &death(Reason::Expired, "w"));
    let headers = headers_of(&dead);
    assert!(dead.header().len() <= limits::DEAD_LETTER_PROPERTIES);
    assert!(dead.header().len() > limits::DEAD_LETTER_PROPERTIES - 2 * HEADERS_GROWTH);
    assert!(headers.contains("queue:S=w ") && headers.contains("queue:S=q0 "));
    assert!(!headers.contains("queue:S=q199 "));
}

#[test]
fn a_history_of_too_many_deaths_loses_its_oldest() {
    let died_after = |others| {
        let history = [("x-death", many_deaths(others, ""))];
        DeadLetter::new(&sent_to("w", &history), &death(Reason::Expired, "w"))
    };
    let (most, over) = (died_after(limits::DEATHS_KEPT - 1), died_after(limits::DEATHS_KEPT));
    assert!(headers_of(&most).contains("queue:S=q254 ") && !most.is_cycle("never-met"));
    assert!(headers_of(&over).contains("queue:S=q254 ") && over.is_cycle("never-met"));
    assert!(!headers_of(&over).contains("queue:S=q255 "));
}

#[test]
fn a_message_that_lost_deaths_goes_nowhere_by_itself() {
    let sent = sent_to("w", &[("x-death", many_deaths(limits::DEATHS_KEPT, ""))]);
    assert!(DeadLetter::new(&sent, &death(Reason::Expired, "w")).is_cycle("never-met"));
    assert!(!DeadLetter::new(&sent, &death(Reason::Rejected, "w")).is_cycle("never-met"));
}

#[test]
fn more_routing_keys_than_fit_are_left_out_of_the_history() {
    let copies = array(&vec![text(&"k".repeat(100)); 700]);
    let dead = DeadLetter::new(&sent_to("w", &[("CC", copies)]), &death(Reason::Expired, "w"));
    assert!(dead.header().len() <= limits::DEAD_LETTER_PROPERTIES);
    assert!(headers_of(&dead).contains("routing-keys:A=[S=w]"));
    assert_eq!(dead.keys().len(), 701);
    assert!(!dead.is_cycle("v"));
}
