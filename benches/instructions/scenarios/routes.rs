//! From a routing key to destinations, among a thousand bindings.

use std::hint::black_box;

use amq_protocol::types::FieldTable;
use leveret::amqp::wire::table_codec::encode_table;
use leveret::broker::exchange::{Bindings, ExchangeKind};

use super::{Round, Scenario};
use crate::bindings::{KEYS, Place, customer, destinations, empty, regions, sample, tenants};

const COUNT: u32 = 1_000;
/// As many of the same kind take turns: each hashes with a seed of its own, and so has collisions of its own.
const EXCHANGES: usize = 16;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "route-direct", what: "1,000 bindings, 1 destination", prepare: direct },
    Scenario {
        name: "route-topic",
        what: "1,000 bindings, half with wildcards; 5 destinations",
        prepare: || route(|| regions(COUNT), |n| format!("shop.region{n}.order.created"), 5),
    },
    Scenario {
        name: "route-topic-tenants",
        what: "1,000 bindings, half with wildcards; 3 destinations",
        prepare: || {
            route(
                || tenants(COUNT),
                |n| format!("tenant{}.service{}.created", n / 4 % 100, n / 4),
                3,
            )
        },
    },
    Scenario { name: "route-headers", what: "100 bindings, 1 destination", prepare: headers },
    Scenario { name: "route-fanout", what: "10 bindings, 10 destinations", prepare: fanout },
];

fn direct() -> Round {
    let key = |n| format!("orders.{n}");
    let bindings = || {
        let mut bindings = empty(ExchangeKind::Direct);
        for n in 0..COUNT {
            bindings.bind(&key(n), &FieldTable::default(), Place(n));
        }
        bindings
    };
    route(bindings, key, 1)
}

fn fanout() -> Round {
    let bindings = || {
        let mut bindings = empty(ExchangeKind::Fanout);
        for n in 0..10 {
            bindings.bind("", &FieldTable::default(), Place(n));
        }
        bindings
    };
    route(bindings, |n| format!("orders.{n}"), 10)
}

fn route(
    bindings: impl Fn() -> Bindings<Place>,
    key: impl Fn(u32) -> String,
    expected: u32,
) -> Round {
    let keys: Vec<_> = sample(COUNT).map(key).collect();
    let exchanges: Vec<_> = (0..EXCHANGES).map(|_| bindings()).collect();
    let mut turn = (0..EXCHANGES).cycle();
    Round::new(keys.len(), move || {
        let bindings = &exchanges[turn.next().expect("a cycle")];
        for key in &keys {
            assert_eq!(destinations(bindings, black_box(key), &[0, 0]), expected);
        }
    })
}

fn headers() -> Round {
    let mut bindings = empty(ExchangeKind::Headers);
    for n in 0..100 {
        bindings.bind("", &customer(n), Place(n));
    }
    let mut message = vec![0x20, 0];
    encode_table(&customer(7), &mut message);
    Round::new(KEYS as usize, move || {
        for _ in 0..KEYS {
            assert_eq!(destinations(&bindings, "", black_box(&message)), 1);
        }
    })
}
