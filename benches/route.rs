//! What it costs to find the destinations of one message, per kind of exchange and number of bindings.
//!
//! Each sample routes messages with 64 keys in turn, so that what one walk leaves in the processor's caches is
//! not all that the next one needs; each key has the same number of destinations whatever the number of bindings.

#[path = "shared/bindings.rs"]
mod bindings;

use std::hint::black_box;

use amq_protocol::types::FieldTable;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use leveret::amqp::wire::table_codec::encode_table;
use leveret::broker::exchange::{Bindings, ExchangeKind};

use self::bindings::{Place, customer, destinations, empty, regions, sample, tenants};

const COUNTS: [u32; 2] = [1_000, 10_000];

/// Measures messages without properties, with each of these keys in turn.
fn measure(criterion: &mut Criterion, name: &str, bindings: &Bindings<Place>, keys: &[String]) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(keys.len() as u64));
    group.bench_function(BenchmarkId::from_parameter(bindings.len()), |bencher| {
        bencher.iter(|| -> u32 {
            keys.iter().map(|key| destinations(bindings, black_box(key), &[0, 0])).sum()
        });
    });
}

fn direct(criterion: &mut Criterion) {
    for count in COUNTS {
        let mut bindings = empty(ExchangeKind::Direct);
        for n in 0..count {
            bindings.bind(&format!("orders.{n}"), &FieldTable::default(), Place(n));
        }
        let keys: Vec<_> = sample(count).map(|n| format!("orders.{n}")).collect();
        assert!(keys.iter().all(|key| destinations(&bindings, key, &[0, 0]) == 1));
        measure(criterion, "direct", &bindings, &keys);
    }
}

fn topic(criterion: &mut Criterion) {
    for count in COUNTS {
        let bindings = regions(count);
        let keys: Vec<_> = sample(count).map(|n| format!("shop.region{n}.order.created")).collect();
        assert!(keys.iter().all(|key| destinations(&bindings, key, &[0, 0]) == 5));
        measure(criterion, "topic of regions", &bindings, &keys);
    }
    for count in COUNTS {
        let bindings = tenants(count);
        let key = |n| format!("tenant{}.service{}.created", n / 4 % 100, n / 4);
        let keys: Vec<_> = sample(count).map(key).collect();
        assert!(keys.iter().all(|key| destinations(&bindings, key, &[0, 0]) == 3));
        measure(criterion, "topic of tenants", &bindings, &keys);
    }
}

fn headers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("headers");
    for count in [10, 1_000] {
        let mut bindings = empty(ExchangeKind::Headers);
        for n in 0..count {
            bindings.bind("", &customer(n), Place(n));
        }
        let mut message = vec![0x20, 0];
        encode_table(&customer(7), &mut message);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| destinations(&bindings, "", black_box(&message)));
        });
    }
}

fn hashes(criterion: &mut Criterion) {
    for kind in [ExchangeKind::ConsistentHash, ExchangeKind::ModulusHash, ExchangeKind::Random] {
        for count in [10, 1_000] {
            let mut bindings = empty(kind);
            for n in 0..count {
                bindings.bind(["1", "2"][n as usize % 2], &FieldTable::default(), Place(n));
            }
            let keys: Vec<_> = sample(1_000).map(|n| format!("customer.{n}")).collect();
            measure(criterion, kind.name(), &bindings, &keys);
        }
    }
}

criterion_group!(benches, direct, topic, headers, hashes);
criterion_main!(benches);
