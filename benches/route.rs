//! What it costs to find the destinations of one message, per kind of exchange and number of bindings.
//!
//! Each sample routes messages with 64 keys in turn, so that what one walk leaves in the processor's caches is
//! not all that the next one needs; each key has the same number of destinations whatever the number of bindings.

use std::hint::black_box;

use amq_protocol::types::{AMQPValue, FieldTable};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use leveret::amqp::wire::properties::PropertiesView;
use leveret::amqp::wire::table_codec::encode_table;
use leveret::broker::exchange::{Bindings, Endpoint, ExchangeKind};

const COUNTS: [u32; 2] = [1_000, 10_000];
const KEYS: u32 = 64;

/// What a binding leads to here: a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place(u32);

impl Endpoint for Place {
    fn fingerprint(&self) -> u64 {
        u64::from(self.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

fn empty(kind: ExchangeKind) -> Bindings<Place> {
    Bindings::new(kind, &FieldTable::default())
}

fn destinations(bindings: &Bindings<Place>, key: &str, header: &[u8]) -> u32 {
    let mut found = 0;
    bindings.route(&[key], PropertiesView::assume_checked(header), |_| found += 1);
    found
}

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

/// Of so many bindings some that are far from each other.
fn sample(count: u32) -> impl Iterator<Item = u32> {
    (0..KEYS).map(move |n| n * (count / KEYS) / 4 * 4)
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

/// Half literal keys, the rest `*` in one place or `#` at both ends; each message has five destinations.
fn regions(count: u32) -> Bindings<Place> {
    let mut bindings = empty(ExchangeKind::Topic);
    for n in 0..count - 2 {
        let pattern = match n % 4 {
            0 | 1 => format!("shop.region{n}.order.created"),
            2 => format!("shop.region{}.*.created", n - 2),
            _ => format!("#.region{}.#", n - 3),
        };
        bindings.bind(&pattern, &FieldTable::default(), Place(n));
    }
    bindings.bind("#", &FieldTable::default(), Place(count));
    bindings.bind("shop.#", &FieldTable::default(), Place(count + 1));
    bindings
}

/// Keys of three words: a hundred tenants with ever more services. Of four bindings one has a `*` at the end and one
/// at the start; each message has three destinations.
fn tenants(count: u32) -> Bindings<Place> {
    let mut bindings = empty(ExchangeKind::Topic);
    for n in 0..count {
        let service = n / 4;
        let tenant = service % 100;
        let pattern = match n % 4 {
            0 => format!("tenant{tenant}.service{service}.created"),
            1 => format!("tenant{tenant}.service{service}.deleted"),
            2 => format!("tenant{tenant}.service{service}.*"),
            _ => format!("*.service{service}.created"),
        };
        bindings.bind(&pattern, &FieldTable::default(), Place(n));
    }
    bindings
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

fn customer(number: u32) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("customer".into(), AMQPValue::LongUInt(number));
    table.insert("format".into(), AMQPValue::LongString("pdf".into()));
    table
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
