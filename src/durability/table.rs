//! Argument tables as bytes.
//!
//! A codec of its own: AMQP's has no octet for a short string, and 's' and 'l' mean different things to
//! different brokers. What was declared must come back as exactly that, because arguments are compared
//! when something is declared again and are part of a binding's identity.

use std::collections::BTreeMap;

use amq_protocol::types::{
    AMQPValue, ByteArray, DecimalValue, FieldArray, FieldTable, LongString, ShortString,
};

use super::codec::{Reader, RecordError, put_bytes, put_varint};
use crate::limits;

/// Nested tables and arrays that are still read: more than what comes in over the wire, so that whatever
/// was accepted there is found again.
const DEPTH_MAX: usize = limits::TABLE_DEPTH_MAX * 2;

/// Appends a table.
pub(super) fn put_table(into: &mut Vec<u8>, table: &FieldTable) {
    put_varint(into, table.inner().len() as u64);
    for (key, value) in table {
        put_bytes(into, key.as_str().as_bytes());
        put_value(into, value);
    }
}

fn put_value(into: &mut Vec<u8>, value: &AMQPValue) {
    into.push(value_kind(value));
    match value {
        AMQPValue::Boolean(value) => into.push(u8::from(*value)),
        AMQPValue::ShortShortInt(value) => into.extend(value.to_le_bytes()),
        AMQPValue::ShortShortUInt(value) => into.push(*value),
        AMQPValue::ShortInt(value) => into.extend(value.to_le_bytes()),
        AMQPValue::ShortUInt(value) => into.extend(value.to_le_bytes()),
        AMQPValue::LongInt(value) => into.extend(value.to_le_bytes()),
        AMQPValue::LongUInt(value) => into.extend(value.to_le_bytes()),
        AMQPValue::LongLongInt(value) => into.extend(value.to_le_bytes()),
        AMQPValue::Float(value) => into.extend(value.to_le_bytes()),
        AMQPValue::Double(value) => into.extend(value.to_le_bytes()),
        AMQPValue::DecimalValue(value) => {
            into.push(value.scale);
            into.extend(value.value.to_le_bytes());
        }
        AMQPValue::ShortString(value) => put_bytes(into, value.as_str().as_bytes()),
        AMQPValue::LongString(value) => put_bytes(into, value.as_bytes()),
        AMQPValue::FieldArray(values) => {
            put_varint(into, values.as_slice().len() as u64);
            values.as_slice().iter().for_each(|value| put_value(into, value));
        }
        AMQPValue::Timestamp(value) => into.extend(value.to_le_bytes()),
        AMQPValue::FieldTable(table) => put_table(into, table),
        AMQPValue::ByteArray(value) => put_bytes(into, value.as_slice()),
        AMQPValue::Void => {}
    }
}

/// The octet in front of a value. Never reused for another type.
fn value_kind(value: &AMQPValue) -> u8 {
    match value {
        AMQPValue::Boolean(_) => 1,
        AMQPValue::ShortShortInt(_) => 2,
        AMQPValue::ShortShortUInt(_) => 3,
        AMQPValue::ShortInt(_) => 4,
        AMQPValue::ShortUInt(_) => 5,
        AMQPValue::LongInt(_) => 6,
        AMQPValue::LongUInt(_) => 7,
        AMQPValue::LongLongInt(_) => 8,
        AMQPValue::Float(_) => 9,
        AMQPValue::Double(_) => 10,
        AMQPValue::DecimalValue(_) => 11,
        AMQPValue::ShortString(_) => 12,
        AMQPValue::LongString(_) => 13,
        AMQPValue::FieldArray(_) => 14,
        AMQPValue::Timestamp(_) => 15,
        AMQPValue::FieldTable(_) => 16,
        AMQPValue::ByteArray(_) => 17,
        AMQPValue::Void => 18,
    }
}

/// Takes a table.
pub(super) fn read_table(reader: &mut Reader<'_>) -> Result<FieldTable, RecordError> {
    table(reader, DEPTH_MAX)
}

fn table(reader: &mut Reader<'_>, depth: usize) -> Result<FieldTable, RecordError> {
    let depth = deeper(depth)?;
    let mut fields = BTreeMap::new();
    for _ in 0..reader.varint()? {
        let key = short_string(reader)?;
        fields.insert(key, value(reader, depth)?);
    }
    Ok(FieldTable::from(fields))
}

fn array(reader: &mut Reader<'_>, depth: usize) -> Result<FieldArray, RecordError> {
    let depth = deeper(depth)?;
    let mut values = FieldArray::default();
    for _ in 0..reader.varint()? {
        values.push(value(reader, depth)?);
    }
    Ok(values)
}

fn deeper(depth: usize) -> Result<usize, RecordError> {
    depth.checked_sub(1).ok_or(RecordError::Malformed("a table is nested too deeply"))
}

fn short_string(reader: &mut Reader<'_>) -> Result<ShortString, RecordError> {
    ShortString::try_new(reader.text()?)
        .map_err(|_| RecordError::Malformed("a short string is too long"))
}

fn value(reader: &mut Reader<'_>, depth: usize) -> Result<AMQPValue, RecordError> {
    Ok(match reader.octet()? {
        1 => AMQPValue::Boolean(reader.flag()?),
        2 => AMQPValue::ShortShortInt(i8::from_le_bytes(reader.array()?)),
        3 => AMQPValue::ShortShortUInt(reader.octet()?),
        4 => AMQPValue::ShortInt(i16::from_le_bytes(reader.array()?)),
        5 => AMQPValue::ShortUInt(u16::from_le_bytes(reader.array()?)),
        6 => AMQPValue::LongInt(i32::from_le_bytes(reader.array()?)),
        7 => AMQPValue::LongUInt(u32::from_le_bytes(reader.array()?)),
        8 => AMQPValue::LongLongInt(i64::from_le_bytes(reader.array()?)),
        9 => AMQPValue::Float(f32::from_le_bytes(reader.array()?)),
        10 => AMQPValue::Double(f64::from_le_bytes(reader.array()?)),
        11 => {
            let scale = reader.octet()?;
            let value = u32::from_le_bytes(reader.array()?);
            AMQPValue::DecimalValue(DecimalValue { scale, value })
        }
        12 => AMQPValue::ShortString(short_string(reader)?),
        13 => AMQPValue::LongString(LongString::from(reader.bytes()?)),
        14 => AMQPValue::FieldArray(array(reader, depth)?),
        15 => AMQPValue::Timestamp(u64::from_le_bytes(reader.array()?)),
        16 => AMQPValue::FieldTable(table(reader, depth)?),
        17 => AMQPValue::ByteArray(ByteArray::from(reader.bytes()?)),
        18 => AMQPValue::Void,
        found => return Err(RecordError::UnknownKind { of: "table value", found }),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = AMQPValue> {
        let leaf = prop_oneof![
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
            any::<(u8, u32)>().prop_map(|(scale, value)| {
                AMQPValue::DecimalValue(DecimalValue { scale, value })
            }),
            "[a-zé]{0,9}".prop_map(|text| AMQPValue::ShortString(ShortString::from(text))),
            any::<Vec<u8>>().prop_map(|bytes| AMQPValue::LongString(LongString::from(bytes))),
            any::<u64>().prop_map(AMQPValue::Timestamp),
            any::<Vec<u8>>().prop_map(|bytes| AMQPValue::ByteArray(ByteArray::from(bytes))),
            Just(AMQPValue::Void),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|values| AMQPValue::FieldArray(FieldArray::from(values))),
                prop::collection::btree_map("[a-z]{1,5}".prop_map(ShortString::from), inner, 0..4)
                    .prop_map(|fields| AMQPValue::FieldTable(FieldTable::from(fields))),
            ]
        })
    }

    /// Tables with every type of value.
    pub(in crate::durability) fn any_table() -> impl Strategy<Value = FieldTable> {
        prop::collection::btree_map("[a-z-]{1,8}".prop_map(ShortString::from), any_value(), 0..4)
            .prop_map(FieldTable::from)
    }

    fn nested(depth: usize) -> FieldTable {
        let mut table = FieldTable::default();
        for _ in 1..depth {
            let mut outer = FieldTable::default();
            outer.insert("t".into(), AMQPValue::FieldTable(table));
            table = outer;
        }
        table
    }

    #[test]
    fn a_table_as_deep_as_the_wire_allows_comes_back() {
        let table = nested(limits::TABLE_DEPTH_MAX + 1);
        let mut bytes = Vec::new();
        put_table(&mut bytes, &table);

        assert_eq!(read_table(&mut Reader::new(&bytes)), Ok(table));
    }

    #[test]
    fn nesting_without_end_is_refused() {
        // A table with one field, named "", that is a table with one field, ...
        let bytes = [1, 0, 16].repeat(100_000);

        assert!(read_table(&mut Reader::new(&bytes)).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn tables_come_back_as_they_were(table in any_table()) {
            let mut bytes = Vec::new();
            put_table(&mut bytes, &table);

            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(read_table(&mut reader), Ok(table));
            prop_assert!(reader.is_empty());
        }
    }
}
