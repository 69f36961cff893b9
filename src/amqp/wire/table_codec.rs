//! Field tables between the wire and `amq_protocol`'s owned types.
//!
//! Of equal keys the first is kept, as RabbitMQ looks them up; what only passes through should stay octets.

use amq_protocol::types::{
    AMQPValue, DecimalValue, FieldArray, FieldTable, LongString, ShortString,
};

use super::reader::Reader;
use super::table_view::{TableError, TableView, ValueView};
use crate::limits;

impl TableView<'_> {
    /// The table as an owned value.
    ///
    /// # Errors
    /// A key that is not UTF-8. The others only if the view was not of checked octets.
    pub fn to_table(&self) -> Result<FieldTable, TableError> {
        decode_table(Reader::new(self.octets()), 1)
    }
}

impl ValueView<'_> {
    /// The value as an owned one.
    ///
    /// # Errors
    /// As [`TableView::to_table`].
    pub fn to_value(&self) -> Result<AMQPValue, TableError> {
        decode_value(*self, 1)
    }
}

/// Appends a table with its length. Recurses as deep as the table is nested, which for received ones is bounded.
pub fn encode_table(table: &FieldTable, into: &mut Vec<u8>) {
    with_length(into, |into| {
        for (key, value) in table {
            encode_short(key.as_str().as_bytes(), into);
            encode_value(value, into);
        }
    });
}

fn decode_table(mut reader: Reader<'_>, depth: usize) -> Result<FieldTable, TableError> {
    let mut table = FieldTable::default();
    while !reader.is_empty() {
        let key = reader.short().ok_or(TableError::Truncated)?;
        let key = std::str::from_utf8(key).map_err(|_| TableError::KeyNotUtf8)?;
        let value = ValueView::read(&mut reader)?;
        if !table.contains_key(key) {
            let key = ShortString::try_new(key).map_err(|_| TableError::Truncated)?;
            table.insert(key, decode_value(value, depth)?);
        }
    }
    Ok(table)
}

fn decode_array(mut reader: Reader<'_>, depth: usize) -> Result<FieldArray, TableError> {
    let mut array = FieldArray::default();
    while !reader.is_empty() {
        array.push(decode_value(ValueView::read(&mut reader)?, depth)?);
    }
    Ok(array)
}

fn decode_value(value: ValueView<'_>, depth: usize) -> Result<AMQPValue, TableError> {
    let reader = Reader::new(value.data());
    match value.tag() {
        b'F' => Ok(AMQPValue::FieldTable(decode_table(reader, deeper(depth)?)?)),
        b'A' => Ok(AMQPValue::FieldArray(decode_array(reader, deeper(depth)?)?)),
        tag => decode_scalar(tag, reader).ok_or(TableError::Truncated),
    }
}

fn deeper(depth: usize) -> Result<usize, TableError> {
    if depth < limits::TABLE_DEPTH_MAX { Ok(depth + 1) } else { Err(TableError::TooDeep) }
}

fn decode_scalar(tag: u8, mut data: Reader<'_>) -> Option<AMQPValue> {
    Some(match tag {
        b't' => AMQPValue::Boolean(data.u8()? != 0),
        b'b' => AMQPValue::ShortShortInt(i8::from_be_bytes(data.array()?)),
        b'B' => AMQPValue::ShortShortUInt(data.u8()?),
        b's' => AMQPValue::ShortInt(i16::from_be_bytes(data.array()?)),
        b'u' => AMQPValue::ShortUInt(data.u16()?),
        b'I' => AMQPValue::LongInt(i32::from_be_bytes(data.array()?)),
        b'i' => AMQPValue::LongUInt(data.u32()?),
        b'l' | b'L' => AMQPValue::LongLongInt(i64::from_be_bytes(data.array()?)),
        b'f' => AMQPValue::Float(f32::from_be_bytes(data.array()?)),
        b'd' => AMQPValue::Double(f64::from_be_bytes(data.array()?)),
        b'D' => AMQPValue::DecimalValue(DecimalValue { scale: data.u8()?, value: data.u32()? }),
        b'T' => AMQPValue::Timestamp(data.u64()?),
        b'S' => AMQPValue::LongString(LongString::from(data.rest())),
        b'x' => AMQPValue::ByteArray(data.rest().into()),
        b'V' => AMQPValue::Void,
        _ => return None,
    })
}

fn encode_value(value: &AMQPValue, into: &mut Vec<u8>) {
    // On the wire a value is never a short string; `s` is a number.
    if let AMQPValue::ShortString(text) = value {
        into.push(b'S');
        return with_length(into, |into| into.extend_from_slice(text.as_str().as_bytes()));
    }
    // Every tag is an ASCII letter.
    into.push(u8::try_from(value.get_type().get_id()).unwrap_or(b'V'));
    match value {
        AMQPValue::Boolean(value) => into.push(u8::from(*value)),
        AMQPValue::ShortShortInt(value) => into.extend_from_slice(&value.to_be_bytes()),
        AMQPValue::ShortShortUInt(value) => into.push(*value),
        AMQPValue::ShortInt(value) => into.extend_from_slice(&value.to_be_bytes()),
        AMQPValue::ShortUInt(value) => into.extend_from_slice(&value.to_be_bytes()),
        AMQPValue::LongInt(value) => into.extend_from_slice(&value.to_be_bytes()),
        AMQPValue::LongUInt(value) => into.extend_from_slice(&value.to_be_bytes()),
        AMQPValue::LongLongInt(value) => into.extend_from_slice(&value.to_be_bytes()),
        AMQPValue::Float(value) => into.extend_from_slice(&value.to_be_bytes()),
        AMQPValue::Double(value) => into.extend_from_slice(&value.to_be_bytes()),
        AMQPValue::DecimalValue(value) => {
            into.push(value.scale);
            into.extend_from_slice(&value.value.to_be_bytes());
        }
        AMQPValue::Timestamp(value) => into.extend_from_slice(&value.to_be_bytes()),
        AMQPValue::LongString(text) => {
            with_length(into, |into| into.extend_from_slice(text.as_bytes()));
        }
        AMQPValue::ByteArray(octets) => {
            with_length(into, |into| into.extend_from_slice(octets.as_slice()));
        }
        AMQPValue::FieldArray(items) => with_length(into, |into| {
            items.as_slice().iter().for_each(|item| encode_value(item, into));
        }),
        AMQPValue::FieldTable(table) => encode_table(table, into),
        AMQPValue::ShortString(_) | AMQPValue::Void => {}
    }
}

/// A key is at most 255 octets by its type.
fn encode_short(text: &[u8], into: &mut Vec<u8>) {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    into.push(length);
    into.extend(text.iter().take(usize::from(length)));
}

/// Leaves room for a `u32` length, lets `fill` append, and writes how much that was.
fn with_length(into: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = into.len();
    into.extend_from_slice(&[0; 4]);
    fill(into);
    let length = u32::try_from(into.len() - start - 4).unwrap_or(u32::MAX);
    if let Some(slot) = into.get_mut(start..start + 4) {
        slot.copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{by_crate, hex, table};
    use super::*;

    /// The golden table of all eighteen tags, without its length.
    fn all_tags() -> Vec<u8> {
        hex(
            "016262ff014242c8017373fffd017575ea60014949fffffffb016969ee6b2800016c6cfffffffffffffff7\
             014c4c00000000000000090166663fc000000164644004000000000000014444020000013a017474010154\
             540000000000000005015353000000037374720178780000000200ff01565601414100000015490000000\
             1530000000161410000000549000000020146460000000e016e4600000007016d4900000001",
        )
    }

    #[test]
    fn every_tag_decodes_to_its_value() {
        let table = TableView::check(&all_tags()).unwrap().to_table().unwrap();
        let value = |key: &str| table.inner()[key].clone();

        assert_eq!(table.inner().len(), 18);
        assert_eq!(value("b"), AMQPValue::ShortShortInt(-1));
        assert_eq!(value("B"), AMQPValue::ShortShortUInt(200));
        assert_eq!(value("s"), AMQPValue::ShortInt(-3));
        assert_eq!(value("u"), AMQPValue::ShortUInt(60_000));
        assert_eq!(value("L"), AMQPValue::LongLongInt(9));
        assert_eq!(value("D"), AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 314 }));
        assert_eq!(value("x"), AMQPValue::ByteArray(vec![0, 255].into()));
        assert_eq!(value("V"), AMQPValue::Void);
    }

    #[test]
    fn of_equal_keys_the_first_is_kept() {
        let table = TableView::check(b"\x01at\x01\x01at\x00").unwrap().to_table().unwrap();
        assert_eq!(table.inner()["a"], AMQPValue::Boolean(true));
    }

    #[test]
    fn a_key_that_is_not_utf_8_cannot_become_a_table() {
        let view = TableView::check(b"\x01\xFFV").unwrap();
        assert_eq!(view.to_table(), Err(TableError::KeyNotUtf8));
    }

    #[test]
    fn an_unchecked_view_cannot_make_decoding_recurse_without_bound() {
        let mut octets = Vec::new();
        for _ in 0..10_000 {
            let length = u32::try_from(octets.len()).unwrap().to_be_bytes();
            octets = [b"\x00F".as_slice(), &length, &octets].concat();
        }
        let view = TableView::assume_checked(&octets);
        assert_eq!(view.to_table(), Err(TableError::TooDeep));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn what_we_encode_is_what_the_crate_encodes(table in table()) {
            let mut octets = Vec::new();
            encode_table(&table, &mut octets);
            prop_assert_eq!(octets, by_crate::encode_table(&table));
        }

        #[test]
        fn what_we_decode_is_what_the_crate_decodes(table in table()) {
            let octets = by_crate::encode_table(&table);
            let ours = TableView::check(&octets[4..]).unwrap().to_table().unwrap();
            prop_assert_eq!(&ours, &by_crate::decode_table(&octets));
            prop_assert_eq!(ours, table);
        }

        #[test]
        fn octets_that_pass_the_check_always_decode(
            octets in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(b'F'), Just(b'V')], 0..64)
        ) {
            if validate_utf8(&octets) {
                prop_assert!(TableView::check(&octets).unwrap().to_table().is_ok());
            }
        }
    }

    fn validate_utf8(octets: &[u8]) -> bool {
        super::super::table_view::validate(octets, super::super::table_view::Keys::Utf8).is_ok()
    }
}
