//! Message properties, kept as the octets that go over the wire.

use super::fields::{Field, Table, put_short, with_length};

/// Flags and values in the making. Call the setters in the order of the specification; that is the order they are
/// written in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    flags: u16,
    values: Vec<u8>,
}

pub fn properties() -> Properties {
    Properties::default()
}

impl Properties {
    /// `delivery_mode` 2 and nothing else.
    pub fn persistent() -> Self {
        properties().delivery_mode(2)
    }

    #[must_use]
    pub fn content_type(self, text: &str) -> Self {
        self.short(15, text)
    }

    #[must_use]
    pub fn content_encoding(self, text: &str) -> Self {
        self.short(14, text)
    }

    #[must_use]
    pub fn headers(self, table: &Table) -> Self {
        self.raw(13, &table.encode())
    }

    /// A headers table as octets, without its length.
    #[must_use]
    pub fn raw_headers(self, octets: &[u8]) -> Self {
        self.raw(13, &with_length(octets))
    }

    #[must_use]
    pub fn delivery_mode(self, mode: u8) -> Self {
        self.raw(12, &[mode])
    }

    #[must_use]
    pub fn priority(self, priority: u8) -> Self {
        self.raw(11, &[priority])
    }

    #[must_use]
    pub fn correlation_id(self, text: &str) -> Self {
        self.short(10, text)
    }

    #[must_use]
    pub fn reply_to(self, text: &str) -> Self {
        self.short(9, text)
    }

    #[must_use]
    pub fn expiration(self, text: &str) -> Self {
        self.short(8, text)
    }

    #[must_use]
    pub fn message_id(self, text: &str) -> Self {
        self.short(7, text)
    }

    #[must_use]
    pub fn timestamp(self, seconds: u64) -> Self {
        self.raw(6, &seconds.to_be_bytes())
    }

    #[must_use]
    pub fn kind(self, text: &str) -> Self {
        self.short(5, text)
    }

    #[must_use]
    pub fn user_id(self, text: &str) -> Self {
        self.short(4, text)
    }

    #[must_use]
    pub fn app_id(self, text: &str) -> Self {
        self.short(3, text)
    }

    #[must_use]
    pub fn cluster_id(self, text: &str) -> Self {
        self.short(2, text)
    }

    /// As in the content header, flags first.
    pub fn encode(&self) -> Vec<u8> {
        [&self.flags.to_be_bytes(), self.values.as_slice()].concat()
    }

    fn short(self, bit: u16, text: &str) -> Self {
        let mut value = Vec::new();
        put_short(&mut value, text);
        self.raw(bit, &value)
    }

    fn raw(mut self, bit: u16, value: &[u8]) -> Self {
        assert!(
            self.flags.trailing_zeros() > u32::from(bit),
            "properties go in the order of the specification"
        );
        self.flags |= 1 << bit;
        self.values.extend(value);
        self
    }
}

/// Every type tag once, with a value that shows its sign and width.
pub fn all_tags() -> Table {
    table! {
        "t" => true,
        "b" => Field::I8(-1),
        "B" => Field::U8(200),
        "s" => Field::I16(-3),
        "u" => Field::U16(60000),
        "I" => Field::I32(-5),
        "i" => Field::U32(4_000_000_000),
        "l" => Field::I64(-9),
        "L" => Field::Long(i64::MIN + 9),
        "f" => Field::F32(1.5),
        "d" => Field::F64(2.5),
        "D" => Field::Decimal(2, 314),
        "S" => "str",
        "x" => Field::Bytes(vec![0, 255]),
        "A" => Field::Array(vec![1.into(), "a".into(), Field::Array(vec![2.into()])]),
        "T" => Field::Time(5),
        "F" => table! { "n" => table! { "m" => 1 } },
        "V" => Field::Void,
    }
}
