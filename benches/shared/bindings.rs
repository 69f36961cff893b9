//! Exchanges with many bindings, and the keys that are looked for among them.

use amq_protocol::types::{AMQPValue, FieldTable};
use leveret::amqp::wire::properties::PropertiesView;
use leveret::broker::exchange::{Bindings, Endpoint, ExchangeKind};

pub(crate) const KEYS: u32 = 64;

/// What a binding leads to here: a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place(pub(crate) u32);

impl Endpoint for Place {
    fn fingerprint(&self) -> u64 {
        u64::from(self.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

pub(crate) fn empty(kind: ExchangeKind) -> Bindings<Place> {
    Bindings::new(kind, &FieldTable::default())
}

pub(crate) fn destinations(bindings: &Bindings<Place>, key: &str, header: &[u8]) -> u32 {
    let mut found = 0;
    bindings.route(&[key], PropertiesView::assume_checked(header), |_| found += 1);
    found
}

/// Of so many bindings some that are far from each other.
pub(crate) fn sample(count: u32) -> impl Iterator<Item = u32> {
    (0..KEYS).map(move |n| n * (count / KEYS) / 4 * 4)
}

/// Half literal keys, the rest `*` in one place or `#` at both ends; each message has five destinations.
pub(crate) fn regions(count: u32) -> Bindings<Place> {
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
pub(crate) fn tenants(count: u32) -> Bindings<Place> {
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

pub(crate) fn customer(number: u32) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("customer".into(), AMQPValue::LongUInt(number));
    table.insert("format".into(), AMQPValue::LongString("pdf".into()));
    table
}
