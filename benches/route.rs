//! What it costs to find the destinations of one message, per kind of exchange and number of bindings.

use std::hint::black_box;

use amq_protocol::types::{AMQPValue, FieldTable};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use leveret::broker::exchange::{Bindings, ExchangeKind};

fn destinations(bindings: &Bindings<u32>, key: &str, headers: &FieldTable) -> u32 {
    let mut found = 0;
    bindings.route(key, &|| Some(headers.clone()), |_| found += 1);
    found
}

fn direct(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("direct");
    for count in [1_000, 10_000] {
        let mut bindings = Bindings::new(ExchangeKind::Direct);
        for destination in 0..count {
            bindings.bind(&format!("orders.{destination}"), &FieldTable::default(), destination);
        }
        let headers = FieldTable::default();
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| destinations(&bindings, black_box("orders.500"), &headers));
        });
    }
}

/// Half literal keys, the rest `*` in one place or `#` at an end; each message has five destinations.
fn topic_bindings(count: u32) -> Bindings<u32> {
    let mut bindings = Bindings::new(ExchangeKind::Topic);
    for n in 0..count {
        let pattern = match n % 4 {
            0 | 1 => format!("shop.region{n}.order.created"),
            2 => format!("shop.region{}.*.created", n - 2),
            _ => format!("#.region{}.#", n - 3),
        };
        bindings.bind(&pattern, &FieldTable::default(), n);
    }
    bindings.bind("#", &FieldTable::default(), count);
    bindings.bind("shop.#", &FieldTable::default(), count + 1);
    bindings
}

fn topic(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("topic");
    let headers = FieldTable::default();
    for count in [1_000, 10_000] {
        let bindings = topic_bindings(count);
        let key = "shop.region400.order.created";
        assert_eq!(destinations(&bindings, key, &headers), 5, "destinations of {key}");
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| destinations(&bindings, black_box(key), &headers));
        });
    }
}

fn headers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("headers");
    for count in [10, 1_000] {
        let mut bindings = Bindings::new(ExchangeKind::Headers);
        for n in 0..count {
            bindings.bind("", &customer(n), n);
        }
        let message = customer(7);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| destinations(&bindings, "", black_box(&message)));
        });
    }
}

fn customer(number: u32) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("customer".into(), AMQPValue::LongUInt(number));
    table.insert("format".into(), AMQPValue::LongString("pdf".into()));
    table
}

criterion_group!(benches, direct, topic, headers);
criterion_main!(benches);
