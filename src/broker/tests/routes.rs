//! From an exchange to queues.

use super::*;
use crate::broker::turn::Turn;

#[test]
fn the_default_exchange_leads_to_the_queue_of_that_name() {
    let host = HostUnderTest::new();
    host.queue("a");
    host.queue("b");

    assert_eq!(host.route("", &["a"]), ["a"]);
    assert!(host.route("", &["c"]).is_empty());
}

#[test]
fn several_keys_lead_to_each_queue_once() {
    let host = HostUnderTest::new();
    host.queue("a");
    host.queue("b");

    assert_eq!(host.route("", &["b", "a", "b"]), ["b", "a"]);
}

#[test]
fn a_queue_bound_by_two_keys_that_fit_gets_one_message() {
    let host = HostUnderTest::new();
    let queue = host.queue("a");
    host.bind("amq.topic", "x.*", to_queue(&queue));
    host.bind("amq.topic", "#", to_queue(&queue));

    assert_eq!(host.route("amq.topic", &["x.y"]), ["a"]);
}

#[test]
fn exchanges_lead_to_exchanges_and_cycles_end() {
    let host = HostUnderTest::new();
    let (near, far) = (host.queue("near"), host.queue("far"));
    let (x, y) =
        (host.exchange("x", ExchangeKind::Fanout), host.exchange("y", ExchangeKind::Direct));
    host.bind("x", "", to_queue(&near));
    host.bind("x", "", to_exchange(&y));
    host.bind("y", "k", to_queue(&far));
    host.bind("y", "k", to_queue(&near));
    host.bind("y", "k", to_exchange(&x));
    host.bind("x", "", to_exchange(&x));

    let mut reached = host.route("x", &["k"]);
    reached.sort();
    assert_eq!(reached, ["far", "near"]);
    assert_eq!(host.route("x", &["other"]), ["near"]);
}

#[test]
fn what_an_exchange_leads_nowhere_goes_to_its_alternate() {
    let host = HostUnderTest::new();
    let (found, lost) = (host.queue("found"), host.queue("lost"));
    let options = ExchangeOptions {
        alternate_exchange: Some("amq.fanout".to_owned()),
        ..ExchangeOptions::new(ExchangeKind::Direct)
    };
    host.exchange_of("x", options);
    host.bind("x", "k", to_queue(&found));
    host.bind("amq.fanout", "", to_queue(&lost));

    assert_eq!(host.route("x", &["k"]), ["found"]);
    assert_eq!(host.route("x", &["other"]), ["lost"]);
}

#[test]
fn alternates_are_followed_from_any_exchange_on_the_way_and_may_be_missing() {
    let host = HostUnderTest::new();
    let lost = host.queue("lost");
    let with_alternate = |name: &str| ExchangeOptions {
        alternate_exchange: Some(name.to_owned()),
        ..ExchangeOptions::new(ExchangeKind::Direct)
    };
    host.exchange_of("x", with_alternate("y"));
    host.exchange_of("y", with_alternate("x"));
    host.exchange_of("z", with_alternate("nowhere"));
    assert!(host.route("x", &["k"]).is_empty(), "a cycle of alternates ends");
    assert!(host.route("z", &["k"]).is_empty());

    host.bind("y", "k", to_queue(&lost));

    assert_eq!(host.route("x", &["k"]), ["lost"]);
}

#[test]
fn a_route_that_another_message_may_not_take_says_so() {
    let host = HostUnderTest::new();
    let queue = host.queue("a");
    let random = host.exchange("r", ExchangeKind::Random);
    host.bind("amq.fanout", "", to_exchange(&random));
    host.bind("r", "", to_queue(&queue));
    let varies = |name: &str| {
        let exchange = support::host(&host.broker).exchange(name).unwrap();
        let route = support::host(&host.broker).route(&exchange, &[""], NO_PROPERTIES);
        (route.queues.len(), route.varies)
    };

    assert_eq!(varies("amq.fanout"), (1, true));
    assert_eq!(varies("amq.direct"), (0, false));
}

#[test]
fn a_choice_is_made_once_for_all_keys_of_a_message() {
    let host = HostUnderTest::new();
    host.exchange("h", ExchangeKind::ConsistentHash);
    for name in ["a", "b", "c", "d"] {
        let queue = host.queue(name);
        host.bind("h", "1", to_queue(&queue));
    }

    for key in ["1", "2", "3", "4", "5", "6"] {
        assert_eq!(host.route("h", &[key, "copy", "another"]), host.route("h", &[key]));
    }
}

/// Bodies of what is ready in a queue.
fn ready(host: &HostUnderTest, queue: &Arc<Queue>) -> Vec<String> {
    let take = |turn: &mut Turn| {
        std::iter::from_fn(|| queue.get(true, turn).message()).collect::<Vec<_>>()
    };
    let taken = turn(&host.broker, take);
    taken.iter().map(|(entry, _)| support::body(&entry.message)).collect()
}

#[test]
fn a_new_binding_brings_what_the_exchange_remembers_in_order() {
    let host = HostUnderTest::new();
    let (late, later) = (host.queue("late"), host.queue("later"));
    let exchange = host.exchange("r", ExchangeKind::RecentHistory);
    for body in ["a", "b", "c"] {
        exchange.remember(&message(body, false));
    }

    host.bind("r", "", to_queue(&late));
    assert_eq!(ready(&host, &late), ["a", "b", "c"]);
    host.bind("r", "", to_queue(&late));
    assert!(ready(&host, &late).is_empty(), "the binding was there before");
    host.bind("r", "another key", to_queue(&late));
    assert_eq!(ready(&host, &late), ["a", "b", "c"]);
    host.bind("r", "", to_queue(&later));
    assert_eq!(ready(&host, &later), ["a", "b", "c"]);
}

#[test]
fn what_is_remembered_goes_through_a_newly_bound_exchange_and_is_remembered_there() {
    let host = HostUnderTest::new();
    let (direct, late) = (host.queue("direct"), host.queue("late"));
    let first = host.exchange("first", ExchangeKind::RecentHistory);
    let second = host.exchange("second", ExchangeKind::RecentHistory);
    host.bind("second", "", to_queue(&direct));
    for body in ["a", "b"] {
        first.remember(&message(body, false));
    }

    host.bind("first", "", to_exchange(&second));
    assert_eq!(ready(&host, &direct), ["a", "b"]);
    host.bind("second", "", to_queue(&late));
    assert_eq!(ready(&host, &late), ["a", "b"]);
}

#[test]
fn every_exchange_on_the_way_that_remembers_is_named() {
    let host = HostUnderTest::new();
    let first = host.exchange("first", ExchangeKind::RecentHistory);
    let second = host.exchange("second", ExchangeKind::RecentHistory);
    host.bind("first", "", to_exchange(&second));
    let route = support::host(&host.broker).route(&first, &[""], NO_PROPERTIES);

    let names: Vec<&str> = route.remembers.iter().map(|exchange| &*exchange.name).collect();
    assert_eq!(names, ["first", "second"]);
    assert!(route.queues.is_empty() && Arc::ptr_eq(&route.remembers[1], &second));
}
