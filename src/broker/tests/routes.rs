//! From an exchange to queues.

use amq_protocol::types::AMQPValue;

use super::*;

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
fn only_a_route_by_headers_says_so() {
    let host = HostUnderTest::new();
    let queue = host.queue("a");
    let headers = host.exchange("h", ExchangeKind::Headers);
    host.bind("amq.fanout", "", to_exchange(&headers));
    let mut arguments = FieldTable::default();
    arguments.insert("colour".into(), AMQPValue::Boolean(true));
    host.bind_with("h", "", to_queue(&queue), &arguments);
    let broker_host = support::host(&host.broker);
    let by_headers = |name: &str| {
        let exchange = broker_host.exchange(name).unwrap();
        let route = broker_host.route(&exchange, &[""], &|| Some(arguments.clone()));
        (route.queues.len(), route.by_headers)
    };

    assert_eq!(by_headers("amq.fanout"), (1, true));
    assert_eq!(by_headers("amq.direct"), (0, false));
}
