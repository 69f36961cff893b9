//! Field tables as received, read in place. AMQP 0-9-1 section 4.2.5.5 with RabbitMQ's type tags.
//!
//! RabbitMQ's tags differ from the printed specification: `s` is a signed 16-bit number, `l` and `L` are both
//! signed 64-bit, `b`/`B` and the like differ in sign, and `x` is a byte array. There is no short-string value.
//!
//! [`validate`] walks a table without recursion and within fixed bounds. Views exist only of validated octets,
//! except behind [`PropertiesView::assume_checked`](super::properties::PropertiesView::assume_checked); they
//! answer `None` where octets are not what they should be.

use std::fmt::{self, Display, Formatter};

use super::reader::Reader;
use crate::limits;

/// Why a table is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// A length points beyond the end.
    Truncated,
    /// A type tag RabbitMQ does not know either.
    UnknownTag(u8),
    /// Tables and arrays nested deeper than [`limits::TABLE_DEPTH_MAX`].
    TooDeep,
    /// More fields and items than [`limits::TABLE_FIELDS_MAX`].
    TooManyFields,
    /// A key that is not UTF-8, where it has to be.
    KeyNotUtf8,
}

impl Display for TableError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            TableError::Truncated => f.write_str("field table is truncated"),
            TableError::UnknownTag(tag) => write!(f, "unknown field type {tag} in table"),
            TableError::TooDeep => {
                write!(f, "field table is nested deeper than {}", limits::TABLE_DEPTH_MAX)
            }
            TableError::TooManyFields => {
                write!(f, "field table has more than {} fields", limits::TABLE_FIELDS_MAX)
            }
            TableError::KeyNotUtf8 => f.write_str("field table has a key that is not UTF-8"),
        }
    }
}

impl std::error::Error for TableError {}

/// What keys may be. RabbitMQ takes any octets; `FieldTable` holds UTF-8 only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Any octets, as in message headers that are passed on as they are.
    Any,
    /// UTF-8, as in arguments that become a `FieldTable`.
    Utf8,
}

/// Checks a table, its `u32` length already taken off, with everything nested in it.
///
/// # Errors
/// The first thing that is wrong with it. Memory use is bounded by the depth, time by the octets.
pub fn validate(table: &[u8], keys: Keys) -> Result<(), TableError> {
    let mut outer: Vec<(Container, Reader<'_>)> = Vec::new();
    let (mut container, mut reader) = (Container::Table, Reader::new(table));
    let mut fields = 0;
    loop {
        while reader.is_empty() {
            let Some(enclosing) = outer.pop() else { return Ok(()) };
            (container, reader) = enclosing;
        }
        fields += 1;
        if fields > limits::TABLE_FIELDS_MAX {
            return Err(TableError::TooManyFields);
        }
        if container == Container::Table {
            check_key(reader.short().ok_or(TableError::Truncated)?, keys)?;
        }
        let value = ValueView::read(&mut reader)?;
        if let Some(nested) = Container::of(value.tag) {
            // The outermost table counts as the first level.
            if outer.len() + 2 > limits::TABLE_DEPTH_MAX {
                return Err(TableError::TooDeep);
            }
            outer.push((container, reader));
            (container, reader) = (nested, Reader::new(value.data));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Table,
    Array,
}

impl Container {
    fn of(tag: u8) -> Option<Self> {
        match tag {
            b'F' => Some(Container::Table),
            b'A' => Some(Container::Array),
            _ => None,
        }
    }
}

fn check_key(key: &[u8], keys: Keys) -> Result<(), TableError> {
    if keys == Keys::Utf8 && std::str::from_utf8(key).is_err() {
        return Err(TableError::KeyNotUtf8);
    }
    Ok(())
}

/// A table in the buffer it was received in, without its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableView<'a> {
    octets: &'a [u8],
}

impl<'a> TableView<'a> {
    /// A view of a table without its length, such as an AMQPLAIN response.
    ///
    /// # Errors
    /// As [`validate`], with any keys.
    pub fn check(octets: &'a [u8]) -> Result<Self, TableError> {
        validate(octets, Keys::Any)?;
        Ok(Self { octets })
    }

    pub(super) const fn assume_checked(octets: &'a [u8]) -> Self {
        Self { octets }
    }

    /// The table as received, without its length.
    #[must_use]
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// Keys and values in the order they were sent, duplicates included.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], ValueView<'a>)> + use<'a> {
        let mut reader = Reader::new(self.octets);
        std::iter::from_fn(move || Some((reader.short()?, ValueView::read(&mut reader).ok()?)))
    }

    /// The first value under this key, as RabbitMQ looks it up.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<ValueView<'a>> {
        self.fields().find(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value)
    }
}

/// An array in the buffer it was received in, without its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrayView<'a> {
    octets: &'a [u8],
}

impl<'a> ArrayView<'a> {
    /// The items in order.
    pub fn items(&self) -> impl Iterator<Item = ValueView<'a>> + use<'a> {
        let mut reader = Reader::new(self.octets);
        std::iter::from_fn(move || ValueView::read(&mut reader).ok())
    }
}

/// One value in the buffer it was received in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueView<'a> {
    tag: u8,
    data: &'a [u8],
}

impl<'a> ValueView<'a> {
    /// A long string of ours.
    #[must_use]
    pub const fn text(octets: &'a [u8]) -> Self {
        Self { tag: b'S', data: octets }
    }

    /// A signed 64-bit number of ours.
    #[must_use]
    pub const fn long(number: &'a [u8; 8]) -> Self {
        Self { tag: b'l', data: number }
    }

    /// A timestamp of ours, in seconds.
    #[must_use]
    pub const fn timestamp(seconds: &'a [u8; 8]) -> Self {
        Self { tag: b'T', data: seconds }
    }

    /// An array of ours, of values [appended](ValueView::append_to) one after the other.
    #[must_use]
    pub const fn array(values: &'a [u8]) -> Self {
        Self { tag: b'A', data: values }
    }

    /// A table of ours, of fields [appended](append_field) one after the other.
    #[must_use]
    pub const fn table(fields: &'a [u8]) -> Self {
        Self { tag: b'F', data: fields }
    }

    /// Appends the value as it is on the wire: tag, length where the type has one, octets.
    pub fn append_to(self, into: &mut Vec<u8>) {
        into.push(self.tag);
        if matches!(self.tag, b'S' | b'x' | b'F' | b'A') {
            into.extend(u32::try_from(self.data.len()).unwrap_or(u32::MAX).to_be_bytes());
        }
        into.extend(self.data);
    }

    /// Takes one tagged value; of a nested one only the outer length is looked at.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, TableError> {
        let tag = reader.u8().ok_or(TableError::Truncated)?;
        let data = match tag {
            b't' | b'b' | b'B' => reader.take(1),
            b's' | b'u' => reader.take(2),
            b'I' | b'i' | b'f' => reader.take(4),
            b'D' => reader.take(5),
            b'l' | b'L' | b'd' | b'T' => reader.take(8),
            b'S' | b'x' | b'F' | b'A' => reader.long(),
            b'V' => reader.take(0),
            unknown => return Err(TableError::UnknownTag(unknown)),
        };
        Ok(Self { tag, data: data.ok_or(TableError::Truncated)? })
    }

    /// The type tag as received.
    #[must_use]
    pub const fn tag(&self) -> u8 {
        self.tag
    }

    /// The octets after the tag, and after the length where the type has one.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// A number of any of the seven integer types. Timestamps are not numbers here.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        let mut data = Reader::new(self.data);
        match self.tag {
            b'b' => data.array().map(i8::from_be_bytes).map(i64::from),
            b'B' => data.array().map(u8::from_be_bytes).map(i64::from),
            b's' => data.array().map(i16::from_be_bytes).map(i64::from),
            b'u' => data.array().map(u16::from_be_bytes).map(i64::from),
            b'I' => data.array().map(i32::from_be_bytes).map(i64::from),
            b'i' => data.array().map(u32::from_be_bytes).map(i64::from),
            b'l' | b'L' => data.array().map(i64::from_be_bytes),
            _ => None,
        }
    }

    /// A boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match (self.tag, self.data) {
            (b't', [octet]) => Some(*octet != 0),
            _ => None,
        }
    }

    /// A long string's octets.
    #[must_use]
    pub const fn as_text(&self) -> Option<&'a [u8]> {
        if self.tag == b'S' { Some(self.data) } else { None }
    }

    /// A nested table.
    #[must_use]
    pub const fn as_table(&self) -> Option<TableView<'a>> {
        if self.tag == b'F' { Some(TableView { octets: self.data }) } else { None }
    }

    /// A nested array.
    #[must_use]
    pub const fn as_array(&self) -> Option<ArrayView<'a>> {
        if self.tag == b'A' { Some(ArrayView { octets: self.data }) } else { None }
    }

    /// The long strings among the items of an array; none if it is no array. RabbitMQ reads routing keys in headers
    /// like this.
    pub fn texts(self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let items = self.as_array().into_iter().flat_map(|array| array.items());
        items.filter_map(|item| item.as_text())
    }
}

/// Appends one field of a table: a short string, of which more than 255 octets are cut, and a value.
pub fn append_field(name: &[u8], value: ValueView<'_>, into: &mut Vec<u8>) {
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    into.push(length);
    into.extend(name.iter().take(usize::from(length)));
    value.append_to(into);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(tag: u8, levels: usize) -> Vec<u8> {
        let mut inner = Vec::new();
        for _ in 0..levels {
            let mut outer = if tag == b'F' { vec![0, tag] } else { vec![tag] };
            outer.extend(u32::try_from(inner.len()).unwrap().to_be_bytes());
            outer.append(&mut inner);
            inner = outer;
        }
        inner
    }

    #[test]
    fn depth_is_bounded_and_huge_depths_do_not_overflow_the_stack() {
        let deepest = nested(b'F', limits::TABLE_DEPTH_MAX - 1);
        assert_eq!(validate(&deepest, Keys::Utf8), Ok(()));
        for levels in [limits::TABLE_DEPTH_MAX, 1000, 20_000] {
            assert_eq!(validate(&nested(b'F', levels), Keys::Utf8), Err(TableError::TooDeep));
            let array = [b"\x00".as_slice(), &nested(b'A', levels)].concat();
            assert_eq!(validate(&array, Keys::Utf8), Err(TableError::TooDeep));
        }
    }

    #[test]
    fn the_number_of_fields_is_bounded_with_all_that_is_nested() {
        let full = b"\x00V".repeat(limits::TABLE_FIELDS_MAX);
        assert_eq!(validate(&full, Keys::Any), Ok(()));
        let over = b"\x00V".repeat(limits::TABLE_FIELDS_MAX + 1);
        assert_eq!(validate(&over, Keys::Any), Err(TableError::TooManyFields));

        let items = b"V".repeat(limits::TABLE_FIELDS_MAX);
        let length = u32::try_from(items.len()).unwrap().to_be_bytes();
        let inside = [b"\x00A".as_slice(), &length, &items].concat();
        assert_eq!(validate(&inside, Keys::Any), Err(TableError::TooManyFields));
    }

    #[test]
    fn a_tag_rabbitmq_does_not_know_is_named() {
        assert_eq!(validate(b"\x01aU\x00\x00", Keys::Any), Err(TableError::UnknownTag(b'U')));
        assert_eq!(validate(b"\x01az", Keys::Any), Err(TableError::UnknownTag(b'z')));
    }

    #[test]
    fn a_table_cut_anywhere_is_truncated() {
        let table = b"\x01aI\x00\x00\x00\x01\x01bS\x00\x00\x00\x02hi";
        assert_eq!(validate(table, Keys::Any), Ok(()));
        for end in (1..table.len()).filter(|&end| end != 7) {
            assert_eq!(validate(&table[..end], Keys::Any), Err(TableError::Truncated), "{end}");
        }
    }

    #[test]
    fn keys_have_to_be_utf_8_only_where_asked() {
        assert_eq!(validate(b"\x01\xFFV", Keys::Any), Ok(()));
        assert_eq!(validate(b"\x01\xFFV", Keys::Utf8), Err(TableError::KeyNotUtf8));
    }

    #[test]
    fn integers_of_every_width_read_with_their_sign() {
        let numbers: [(&[u8], i64); 8] = [
            (b"b\xFF", -1),
            (b"B\xC8", 200),
            (b"s\xFF\xFD", -3),
            (b"u\xEA\x60", 60_000),
            (b"I\xFF\xFF\xFF\xFB", -5),
            (b"i\xEE\x6B\x28\x00", 4_000_000_000),
            (b"l\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xF7", -9),
            (b"L\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", -1),
        ];
        for (octets, number) in numbers {
            let value = ValueView::read(&mut Reader::new(octets)).unwrap();
            assert_eq!(value.as_int(), Some(number));
        }
        let timestamp = ValueView::read(&mut Reader::new(b"T\0\0\0\0\0\0\0\x05")).unwrap();
        assert_eq!(timestamp.as_int(), None);
    }

    #[test]
    fn values_of_ours_are_written_as_they_are_read() {
        let mut inner = Vec::new();
        ValueView::text(b"hi").append_to(&mut inner);
        let mut table = Vec::new();
        append_field(b"l", ValueView::long(&7_i64.to_be_bytes()), &mut table);
        append_field(b"T", ValueView::timestamp(&[0; 8]), &mut table);
        append_field(b"A", ValueView::array(&inner), &mut table);
        append_field(b"F", ValueView::table(b"\x01vV"), &mut table);

        let view = TableView::check(&table).unwrap();
        assert_eq!(view.get("l").and_then(|value| value.as_int()), Some(7));
        assert_eq!(view.get("T").map(|value| value.tag()), Some(b'T'));
        let array = view.get("A").and_then(|value| value.as_array()).unwrap();
        assert_eq!(array.items().collect::<Vec<_>>(), [ValueView::text(b"hi")]);
        let nested = view.get("F").and_then(|value| value.as_table()).unwrap();
        assert_eq!(nested.get("v").map(|value| value.tag()), Some(b'V'));

        let mut again = Vec::new();
        view.fields().for_each(|(name, value)| append_field(name, value, &mut again));
        assert_eq!(again, table);
    }

    #[test]
    fn the_first_of_two_equal_keys_is_found() {
        let table = TableView::check(b"\x01at\x01\x01at\x00").unwrap();
        assert_eq!(table.get("a").and_then(|value| value.as_bool()), Some(true));
        assert_eq!(table.fields().count(), 2);
        assert_eq!(table.get("b"), None);
    }
}
