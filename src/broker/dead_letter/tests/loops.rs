//! Messages that come round.

use std::slice::from_ref;

use proptest::prelude::*;

use super::*;

/// What is left of a message after it has died in each of these queues in turn.
fn after<'a>(deaths: impl IntoIterator<Item = (Reason, &'a str)>) -> DeadLetter {
    let mut dead = None;
    for (reason, queue) in deaths {
        let message = match dead {
            None => Arc::new(sent_to(queue, &[])),
            Some(dead) => DeadLetter::into_message(dead, false),
        };
        dead = Some(DeadLetter::new(&message, &death(reason, queue)));
    }
    dead.expect("at least one death")
}

#[test]
fn a_queue_is_not_entered_again_without_a_rejection() {
    let expired = Reason::Expired;
    assert!(after([(expired, "q")]).is_cycle("q"));
    assert!(after([(expired, "q"), (Reason::MaxLength, "r")]).is_cycle("q"));
    assert!(after([(expired, "q"), (Reason::DeliveryLimit, "r")]).is_cycle("q"));
    assert!(!after([(expired, "q"), (expired, "r")]).is_cycle("s"));
}

#[test]
fn a_rejection_on_the_way_makes_a_loop_somebodys_wish() {
    let (rejected, expired) = (Reason::Rejected, Reason::Expired);
    assert!(!after([(rejected, "q")]).is_cycle("q"));
    assert!(!after([(rejected, "w"), (expired, "retry")]).is_cycle("w"));
    assert!(!after([(expired, "q"), (rejected, "r"), (expired, "s")]).is_cycle("q"));
    assert!(after([(rejected, "r"), (expired, "q"), (expired, "s")]).is_cycle("q"));
}

#[test]
fn a_retry_topology_counts_its_rounds() {
    let round = [(Reason::Rejected, "w"), (Reason::Expired, "retry")];
    let dead = after(round.into_iter().cycle().take(6));
    assert!(!dead.is_cycle("w"));
    let headers = headers_of(&dead);
    let reasons = ["count:l=3 exchange:S=dlx queue:S=retry", "count:l=3 exchange:S= queue:S=w"];
    let [retry, work] = reasons.map(|death| headers.find(death));
    assert!(retry.unwrap() < work.unwrap(), "{headers}");
}

#[test]
fn a_chain_is_told_in_the_order_of_the_deaths() {
    // RabbitMQ 3.10.8 answers c4, c2, c1, c3.
    let dead = after(["c1", "c2", "c3", "c4"].map(|queue| (Reason::Expired, queue)));
    let headers = headers_of(&dead);
    let places =
        ["c4", "c3", "c2", "c1"].map(|queue| headers.find(&format!("queue:S={queue} ")).unwrap());
    assert!(places.is_sorted(), "{headers}");
}

#[test]
fn what_a_client_put_among_the_deaths_was_not_automatic() {
    let expired = table(&[("queue", text("q")), ("reason", text("expired"))]);
    let cycles = |items: &[Value]| {
        let items = items.concat();
        history::is_cycle(Some(ValueView::array(&items)), "q")
    };
    assert!(cycles(from_ref(&expired)));
    assert!(!cycles(&[number(1), expired.clone()]));
    assert!(cycles(&[expired, number(1)]));
    assert!(!history::is_cycle(Some(ValueView::text(b"q")), "q"));
    assert!(!history::is_cycle(None, "q"));
}

const RING: [&str; 5] = ["a", "b", "c", "d", "e"];

fn reason() -> impl Strategy<Value = Reason> {
    prop_oneof![
        1 => Just(Reason::Rejected),
        2 => Just(Reason::Expired),
        1 => Just(Reason::MaxLength),
        1 => Just(Reason::DeliveryLimit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_cycle_is_what_came_back_and_was_not_rejected_since(
        deaths in proptest::collection::vec((reason(), proptest::sample::select(&RING[..])), 1..40)
    ) {
        let dead = after(deaths.iter().copied());
        for queue in RING {
            let last_visit = deaths.iter().rposition(|(_, met)| *met == queue);
            let since = last_visit.map(|at| &deaths[at..]);
            let automatic = since.is_some_and(|since| since.iter().all(|(reason, _)| *reason != Reason::Rejected));
            prop_assert_eq!(dead.is_cycle(queue), automatic, "{}", queue);
        }
    }

    #[test]
    fn whatever_the_client_sends_a_ring_of_queues_is_left_when_nobody_rejects(
        reasons in proptest::collection::vec(reason(), 1..60),
        history in random::value(),
        size in 2..RING.len(),
    ) {
        let mut message = Arc::new(sent_to("a", &[("x-death", history)]));
        let mut hops_by_itself = 0;
        for (at, reason) in reasons.into_iter().enumerate() {
            let dead = DeadLetter::new(&message, &death(reason, RING[at % size]));
            hops_by_itself = if reason == Reason::Rejected { 0 } else { hops_by_itself + 1 };
            prop_assert!(hops_by_itself <= size + 1);
            if dead.is_cycle(RING[(at + 1) % size]) {
                break;
            }
            message = dead.into_message(false);
        }
    }
}
