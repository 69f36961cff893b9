//! Typed look-ups in argument tables, and RabbitMQ's idea of when two arguments are the same.

use amq_protocol::types::{AMQPValue, ByteArray, FieldTable, LongString};

use super::erlang::Term;

/// The string under `key`, if there is one and it is UTF-8.
#[must_use]
pub fn get_str<'a>(table: &'a FieldTable, key: &str) -> Option<&'a str> {
    let value = table.inner().get(key)?;
    std::str::from_utf8(value.as_long_string()?.as_bytes()).ok()
}

/// The number under `key`, of any of RabbitMQ's seven integer types. A timestamp is not a number.
#[must_use]
pub fn get_int(table: &FieldTable, key: &str) -> Option<i64> {
    as_int(table.inner().get(key)?)
}

/// The boolean under `key`.
#[must_use]
pub fn get_bool(table: &FieldTable, key: &str) -> Option<bool> {
    table.inner().get(key)?.as_bool()
}

/// A value as a number, whatever its width.
#[must_use]
pub fn as_int(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::ShortShortInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortShortUInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortUInt(number) => Some(i64::from(*number)),
        AMQPValue::LongInt(number) => Some(i64::from(*number)),
        AMQPValue::LongUInt(number) => Some(i64::from(*number)),
        AMQPValue::LongLongInt(number) => Some(*number),
        AMQPValue::Boolean(_)
        | AMQPValue::Float(_)
        | AMQPValue::Double(_)
        | AMQPValue::DecimalValue(_)
        | AMQPValue::ShortString(_)
        | AMQPValue::LongString(_)
        | AMQPValue::FieldArray(_)
        | AMQPValue::Timestamp(_)
        | AMQPValue::FieldTable(_)
        | AMQPValue::ByteArray(_)
        | AMQPValue::Void => None,
    }
}

/// The octets of a string or byte array.
pub(super) fn octets_of(value: &AMQPValue) -> Option<&[u8]> {
    let text = value.as_long_string().map(LongString::as_bytes);
    let octets = || value.as_byte_array().map(ByteArray::as_slice);
    let short = || value.as_short_string().map(|text| text.as_str().as_bytes());
    text.or_else(octets).or_else(short)
}

/// What RabbitMQ calls the type in its texts.
#[must_use]
pub const fn type_name(value: &AMQPValue) -> &'static str {
    match value {
        AMQPValue::Boolean(_) => "bool",
        AMQPValue::ShortShortInt(_) => "byte",
        AMQPValue::ShortShortUInt(_) => "unsignedbyte",
        AMQPValue::ShortInt(_) => "short",
        AMQPValue::ShortUInt(_) => "unsignedshort",
        AMQPValue::LongInt(_) => "signedint",
        AMQPValue::LongUInt(_) => "unsignedint",
        AMQPValue::LongLongInt(_) => "long",
        AMQPValue::Float(_) => "float",
        AMQPValue::Double(_) => "double",
        AMQPValue::DecimalValue(_) => "decimal",
        AMQPValue::ShortString(_) | AMQPValue::LongString(_) => "longstr",
        AMQPValue::FieldArray(_) => "array",
        AMQPValue::Timestamp(_) => "timestamp",
        AMQPValue::FieldTable(_) => "table",
        AMQPValue::ByteArray(_) => "binary",
        AMQPValue::Void => "void",
    }
}

/// Whether RabbitMQ takes two arguments as the same: it compares values, not the types they were sent in, so
/// that any width of integer will do. Inside nested tables and arrays the types count too.
#[must_use]
pub fn equivalent(one: &AMQPValue, other: &AMQPValue) -> bool {
    Comparable::of(one) == Comparable::of(other)
}

/// `received .. but current is ..`, RabbitMQ's end of the text about an argument that differs from the one a
/// queue or exchange was declared with; `None` if it does not differ.
#[must_use]
pub fn inequivalence(received: Option<&AMQPValue>, current: Option<&AMQPValue>) -> Option<String> {
    match (received, current) {
        (None, None) => None,
        (Some(received), Some(current)) if equivalent(received, current) => None,
        (Some(received), Some(current)) => {
            Some(format!("received '{}' but current is '{}'", Term(received), Term(current)))
        }
        (Some(received), None) => Some(format!("received {} but current is none", typed(received))),
        (None, Some(current)) => Some(format!("received none but current is {}", typed(current))),
    }
}

fn typed(value: &AMQPValue) -> String {
    format!("the value '{}' of type '{}'", Term(value), type_name(value))
}

/// A value as the Erlang term RabbitMQ compares.
#[derive(PartialEq)]
enum Comparable<'a> {
    Integer(i128),
    Float(f64),
    Binary(&'a [u8]),
    /// Booleans, decimals, arrays, tables and void: equal only if they are the same in every part.
    Exact(&'a AMQPValue),
}

impl<'a> Comparable<'a> {
    fn of(value: &'a AMQPValue) -> Self {
        let integer = as_int(value).map(i128::from);
        let timestamp = || value.as_timestamp().map(i128::from);
        if let Some(number) = integer.or_else(timestamp) {
            return Self::Integer(number);
        }
        let double = || value.as_double();
        if let Some(number) = value.as_float().map(f64::from).or_else(double) {
            return Self::Float(number);
        }
        octets_of(value).map_or(Self::Exact(value), Self::Binary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> AMQPValue {
        AMQPValue::LongString(text.into())
    }

    #[test]
    fn look_ups_answer_only_for_the_right_type() {
        let mut table = FieldTable::default();
        table.insert("s".into(), text("drop-head"));
        table.insert("i".into(), AMQPValue::ShortUInt(7));
        table.insert("t".into(), AMQPValue::Boolean(true));
        table.insert("T".into(), AMQPValue::Timestamp(7));

        assert_eq!(get_str(&table, "s"), Some("drop-head"));
        assert_eq!(get_int(&table, "i"), Some(7));
        assert_eq!(get_bool(&table, "t"), Some(true));
        assert_eq!(get_str(&table, "i"), None);
        assert_eq!(get_int(&table, "T"), None);
        assert_eq!(get_int(&table, "absent"), None);
    }

    #[test]
    fn the_width_of_an_integer_does_not_matter() {
        let widths = [
            AMQPValue::ShortShortInt(100),
            AMQPValue::ShortShortUInt(100),
            AMQPValue::ShortInt(100),
            AMQPValue::ShortUInt(100),
            AMQPValue::LongInt(100),
            AMQPValue::LongUInt(100),
            AMQPValue::LongLongInt(100),
        ];
        for one in &widths {
            for other in &widths {
                assert!(equivalent(one, other));
            }
            assert!(!equivalent(one, &AMQPValue::LongInt(101)));
            assert!(!equivalent(one, &text("100")));
            assert!(!equivalent(one, &AMQPValue::Double(100.0)));
        }
    }

    #[test]
    fn inequivalence_is_worded_as_rabbitmq_words_it() {
        let hundred = AMQPValue::LongInt(100);
        assert_eq!(inequivalence(None, None), None);
        assert_eq!(inequivalence(Some(&hundred), Some(&AMQPValue::LongLongInt(100))), None);
        assert_eq!(
            inequivalence(Some(&AMQPValue::LongInt(200)), Some(&hundred)).unwrap(),
            "received '200' but current is '100'"
        );
        assert_eq!(
            inequivalence(Some(&text("100")), Some(&hundred)).unwrap(),
            "received '100' but current is '100'"
        );
        assert_eq!(
            inequivalence(Some(&hundred), None).unwrap(),
            "received the value '100' of type 'signedint' but current is none"
        );
        assert_eq!(
            inequivalence(None, Some(&text("lazy"))).unwrap(),
            "received none but current is the value 'lazy' of type 'longstr'"
        );
    }
}
