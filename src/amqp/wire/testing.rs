//! What the tests of this folder share: random values, hex, and `amq_protocol` as the second opinion.

use amq_protocol::types::{AMQPValue, DecimalValue, FieldTable, ShortString};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// Octets from hex digits; spaces are skipped.
pub(super) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// A short string of any characters.
pub(super) fn short_string() -> impl Strategy<Value = ShortString> {
    ".{0,40}".prop_map(|text| ShortString::try_new(text).unwrap())
}

/// A table nested a few levels, with every type a received table can hold.
pub(super) fn table() -> impl Strategy<Value = FieldTable> {
    btree_map(short_string(), value(), 0..6).prop_map(FieldTable::from)
}

fn value() -> impl Strategy<Value = AMQPValue> {
    let scalar = prop_oneof![
        any::<bool>().prop_map(AMQPValue::Boolean),
        any::<i8>().prop_map(AMQPValue::ShortShortInt),
        any::<u8>().prop_map(AMQPValue::ShortShortUInt),
        any::<i16>().prop_map(AMQPValue::ShortInt),
        any::<u16>().prop_map(AMQPValue::ShortUInt),
        any::<i32>().prop_map(AMQPValue::LongInt),
        any::<u32>().prop_map(AMQPValue::LongUInt),
        any::<i64>().prop_map(AMQPValue::LongLongInt),
        any::<f32>().prop_map(AMQPValue::Float),
        any::<f64>().prop_map(AMQPValue::Double),
        any::<u64>().prop_map(AMQPValue::Timestamp),
        (any::<u8>(), any::<u32>())
            .prop_map(|(scale, value)| AMQPValue::DecimalValue(DecimalValue { scale, value })),
        vec(any::<u8>(), 0..40).prop_map(|text| AMQPValue::LongString(text.into())),
        vec(any::<u8>(), 0..40).prop_map(|octets| AMQPValue::ByteArray(octets.into())),
        Just(AMQPValue::Void),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| AMQPValue::FieldArray(items.into())),
            btree_map(short_string(), inner, 0..4)
                .prop_map(|fields| AMQPValue::FieldTable(fields.into())),
        ]
    })
}

/// `amq_protocol`'s own parser and generator.
pub(super) mod by_crate {
    use amq_protocol::frame::WriteContext;
    use amq_protocol::protocol::basic::{AMQPProperties, gen_properties, parse_properties};
    use amq_protocol::protocol::{AMQPClass, gen_class, parse_class};
    use amq_protocol::types::FieldTable;
    use amq_protocol::types::generation::gen_field_table;
    use amq_protocol::types::parsing::parse_field_table;

    pub(in super::super) fn encode_table(table: &FieldTable) -> Vec<u8> {
        gen_field_table(table)(WriteContext::from(Vec::new())).unwrap().write
    }

    pub(in super::super) fn decode_table(octets: &[u8]) -> FieldTable {
        let (rest, table) = parse_field_table(octets).unwrap();
        assert!(rest.is_empty());
        table
    }

    pub(in super::super) fn encode_class(class: &AMQPClass) -> Vec<u8> {
        gen_class(class)(WriteContext::from(Vec::new())).unwrap().write
    }

    pub(in super::super) fn decode_class(octets: &[u8]) -> AMQPClass {
        let (rest, class) = parse_class(octets).unwrap();
        assert!(rest.is_empty());
        class
    }

    pub(in super::super) fn encode_properties(properties: &AMQPProperties) -> Vec<u8> {
        gen_properties(properties)(WriteContext::from(Vec::new())).unwrap().write
    }

    pub(in super::super) fn decode_properties(octets: &[u8]) -> AMQPProperties {
        let (rest, properties) = parse_properties(octets).unwrap();
        assert!(rest.is_empty());
        properties
    }
}
