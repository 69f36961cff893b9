//! Field tables, written and read without the crate's own codec. Type tags as RabbitMQ has them.

/// One value of a field table; the letter of each is its tag on the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    Bool(bool),
    I8(i8),
    U8(u8),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    /// Tag `L`, signed like `l`.
    Long(i64),
    F32(f32),
    F64(f64),
    Decimal(u8, u32),
    Text(String),
    Bytes(Vec<u8>),
    Time(u64),
    Nested(Table),
    Array(Vec<Field>),
    Void,
}

/// Keys and values in the order of the wire, duplicates included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table(pub Vec<(String, Field)>);

/// `table! { "x-max-length" => 5 }`
macro_rules! table {
    ($($key:expr => $value:expr),* $(,)?) => {
        $crate::support::Table(vec![$(($key.to_string(), $crate::support::Field::from($value))),*])
    };
}

impl Table {
    pub fn get(&self, key: &str) -> Option<&Field> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// With the u32 length in front.
    pub fn encode(&self) -> Vec<u8> {
        let mut items = Vec::new();
        for (key, value) in &self.0 {
            put_short(&mut items, key);
            value.encode(&mut items);
        }
        with_length(&items)
    }

    pub fn decode(input: &mut &[u8]) -> Self {
        let length = u32::from_be_bytes(take(input)) as usize;
        let (mut items, rest) = input.split_at(length);
        *input = rest;
        let mut table = Self::default();
        while !items.is_empty() {
            let key = take_short(&mut items);
            table.0.push((key, Field::decode(&mut items)));
        }
        table
    }
}

impl Field {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(value) => put(out, b't', &[u8::from(*value)]),
            Self::I8(value) => put(out, b'b', &value.to_be_bytes()),
            Self::U8(value) => put(out, b'B', &value.to_be_bytes()),
            Self::I16(value) => put(out, b's', &value.to_be_bytes()),
            Self::U16(value) => put(out, b'u', &value.to_be_bytes()),
            Self::I32(value) => put(out, b'I', &value.to_be_bytes()),
            Self::U32(value) => put(out, b'i', &value.to_be_bytes()),
            Self::I64(value) => put(out, b'l', &value.to_be_bytes()),
            Self::Long(value) => put(out, b'L', &value.to_be_bytes()),
            Self::F32(value) => put(out, b'f', &value.to_be_bytes()),
            Self::F64(value) => put(out, b'd', &value.to_be_bytes()),
            Self::Decimal(scale, value) => {
                put(out, b'D', &[*scale]);
                out.extend(value.to_be_bytes());
            }
            Self::Text(value) => put(out, b'S', &with_length(value.as_bytes())),
            Self::Bytes(value) => put(out, b'x', &with_length(value)),
            Self::Time(value) => put(out, b'T', &value.to_be_bytes()),
            Self::Nested(table) => put(out, b'F', &table.encode()),
            Self::Array(values) => {
                let mut items = Vec::new();
                for value in values {
                    value.encode(&mut items);
                }
                put(out, b'A', &with_length(&items));
            }
            Self::Void => put(out, b'V', &[]),
        }
    }

    fn decode(input: &mut &[u8]) -> Self {
        match take::<1>(input)[0] {
            b't' => Self::Bool(take::<1>(input)[0] != 0),
            b'b' => Self::I8(i8::from_be_bytes(take(input))),
            b'B' => Self::U8(u8::from_be_bytes(take(input))),
            b's' => Self::I16(i16::from_be_bytes(take(input))),
            b'u' => Self::U16(u16::from_be_bytes(take(input))),
            b'I' => Self::I32(i32::from_be_bytes(take(input))),
            b'i' => Self::U32(u32::from_be_bytes(take(input))),
            b'l' => Self::I64(i64::from_be_bytes(take(input))),
            b'L' => Self::Long(i64::from_be_bytes(take(input))),
            b'f' => Self::F32(f32::from_be_bytes(take(input))),
            b'd' => Self::F64(f64::from_be_bytes(take(input))),
            b'D' => Self::Decimal(take::<1>(input)[0], u32::from_be_bytes(take(input))),
            b'S' => Self::Text(take_long(input)),
            b'x' => Self::Bytes(take_bytes(input)),
            b'T' => Self::Time(u64::from_be_bytes(take(input))),
            b'F' => Self::Nested(Table::decode(input)),
            b'A' => {
                let bytes = take_bytes(input);
                let mut items = bytes.as_slice();
                let mut values = Vec::new();
                while !items.is_empty() {
                    values.push(Self::decode(&mut items));
                }
                Self::Array(values)
            }
            b'V' => Self::Void,
            tag => panic!("the broker sent a field with tag {tag:#x}"),
        }
    }
}

impl From<&str> for Field {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&String> for Field {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<i32> for Field {
    fn from(value: i32) -> Self {
        Self::I32(value)
    }
}

impl From<i64> for Field {
    fn from(value: i64) -> Self {
        Self::I64(value)
    }
}

impl From<bool> for Field {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Table> for Field {
    fn from(value: Table) -> Self {
        Self::Nested(value)
    }
}

impl From<Vec<&str>> for Field {
    fn from(values: Vec<&str>) -> Self {
        Self::Array(values.into_iter().map(Self::from).collect())
    }
}

fn put(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.push(tag);
    out.extend(value);
}

pub fn put_short(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).expect("a short string has at most 255 octets"));
    out.extend(text.as_bytes());
}

pub fn with_length(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes(), bytes].concat()
}

pub fn take<const N: usize>(input: &mut &[u8]) -> [u8; N] {
    let (head, rest) = input.split_at(N);
    *input = rest;
    head.try_into().unwrap()
}

pub fn take_short(input: &mut &[u8]) -> String {
    let (text, rest) = {
        let length = take::<1>(input)[0] as usize;
        input.split_at(length)
    };
    *input = rest;
    String::from_utf8_lossy(text).into_owned()
}

pub fn take_long(input: &mut &[u8]) -> String {
    String::from_utf8_lossy(&take_bytes(input)).into_owned()
}

fn take_bytes(input: &mut &[u8]) -> Vec<u8> {
    let length = u32::from_be_bytes(take(input)) as usize;
    let (bytes, rest) = input.split_at(length);
    *input = rest;
    bytes.to_vec()
}
