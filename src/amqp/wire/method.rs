//! Methods as received: by hand for those on the way of a message, through `amq_protocol` for the rest.
//!
//! basic.qos is by hand too, because the crate drops its `prefetch_size`, which RabbitMQ refuses unless 0.

use std::fmt::{self, Display, Formatter};

use amq_protocol::protocol::{AMQPClass, parse_class};

use super::erlang;
use super::layout::{self, FieldFault};
use super::reader::Reader;
use super::table_view::TableError;

/// Octets of malformed fields that are kept: more would not fit the 255 octets of a reply text.
const FIELDS_KEPT: usize = 128;

/// A method as received.
#[derive(Clone, Debug, PartialEq)]
pub enum Method<'a> {
    /// basic.publish
    Publish(PublishMethod<'a>),
    /// basic.ack
    Ack {
        /// The delivery; 0 with `multiple` means all.
        tag: u64,
        /// Everything up to the tag.
        multiple: bool,
    },
    /// basic.nack
    Nack {
        /// The delivery; 0 with `multiple` means all.
        tag: u64,
        /// Everything up to the tag.
        multiple: bool,
        /// Back to the queue, not dead-lettered.
        requeue: bool,
    },
    /// basic.reject
    Reject {
        /// The delivery.
        tag: u64,
        /// Back to the queue, not dead-lettered.
        requeue: bool,
    },
    /// basic.qos
    Qos {
        /// Octets of messages ahead; RabbitMQ refuses anything but 0.
        prefetch_size: u32,
        /// Messages ahead; 0 means no limit.
        prefetch_count: u16,
        /// For the channel, not each consumer.
        global: bool,
    },
    /// Every other method.
    Other(AMQPClass),
}

/// The fields of basic.publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishMethod<'a> {
    /// The exchange; empty for the default one.
    pub exchange: &'a str,
    /// The routing key.
    pub routing_key: &'a str,
    /// Return the message if no queue takes it.
    pub mandatory: bool,
    /// Not supported by RabbitMQ.
    pub immediate: bool,
}

/// Why a method is refused. Its `Display` is the explanation of a reply text, without the code's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MethodError {
    /// Not even a class and a method. The decoder lets no such frame through.
    TooShort,
    /// No such class or method.
    Unknown {
        /// The class as received.
        class: u16,
        /// The method as received.
        method: u16,
    },
    /// Fields that are truncated or followed by more octets: 501 with the ids of the method.
    Malformed {
        /// The class as received.
        class: u16,
        /// The method as received.
        method: u16,
        /// The fields, as far as a text can show them.
        fields: Box<[u8]>,
    },
    /// A short string that is not UTF-8: 501 with class and method 0.
    MalformedUtf8,
    /// A table that cannot be taken. RabbitMQ drops the connection without a word.
    Table {
        /// The class as received.
        class: u16,
        /// The method as received.
        method: u16,
        /// What is wrong with it.
        error: TableError,
    },
}

impl Display for MethodError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            MethodError::TooShort => f.write_str("method without class and method"),
            MethodError::Unknown { class, method } => write!(f, "unknown method {class}.{method}"),
            MethodError::Malformed { fields, .. } => {
                write!(f, "cannot decode {}", erlang::numbers(fields))
            }
            MethodError::MalformedUtf8 => f.write_str("Malformed UTF-8 in shortstr"),
            MethodError::Table { error, .. } => error.fmt(f),
        }
    }
}

impl std::error::Error for MethodError {}

/// Reads the payload of a method frame.
///
/// # Errors
/// Whatever does not fit the method exactly; see [`MethodError`].
#[inline]
pub fn decode(payload: &[u8]) -> Result<Method<'_>, MethodError> {
    let (class, method, fields) = split(payload).ok_or(MethodError::TooShort)?;
    let decoded = match (class, method) {
        (60, 40) => return publish(fields).map(Method::Publish),
        (60, 80) => settle(fields).map(|(tag, bits)| Method::Ack { tag, multiple: bit(bits, 0) }),
        (60, 90) => settle(fields).map(|(tag, bits)| Method::Reject { tag, requeue: bit(bits, 0) }),
        (60, 120) => settle(fields).map(|(tag, bits)| Method::Nack {
            tag,
            multiple: bit(bits, 0),
            requeue: bit(bits, 1),
        }),
        (60, 10) => qos(fields),
        _ => return decode_class(payload).map(Method::Other),
    };
    decoded.ok_or_else(|| malformed(class, method, fields))
}

/// Reads the payload of a method frame if it is a basic.publish without fault. Anything else is for [`decode`].
///
/// The method of which there are most is told apart before a value is made that could hold any of them.
#[inline]
#[must_use]
pub fn decode_publish(payload: &[u8]) -> Option<PublishMethod<'_>> {
    let (60, 40, fields) = split(payload)? else { return None };
    publish(fields).ok()
}

/// Reads any method as one of the crate's classes.
///
/// # Errors
/// As [`decode`].
pub fn decode_class(payload: &[u8]) -> Result<AMQPClass, MethodError> {
    let (class, method, fields) = split(payload).ok_or(MethodError::TooShort)?;
    let layout = layout::layout(class, method).ok_or(MethodError::Unknown { class, method })?;
    match layout::check(layout, fields) {
        Ok(()) => {}
        Err(FieldFault::Shape) => return Err(malformed(class, method, fields)),
        Err(FieldFault::Utf8) => return Err(MethodError::MalformedUtf8),
        Err(FieldFault::Table(error)) => return Err(MethodError::Table { class, method, error }),
    }
    match parse_class(payload) {
        Ok((_, parsed)) => Ok(parsed),
        Err(_) => Err(malformed(class, method, fields)),
    }
}

#[inline]
fn split(payload: &[u8]) -> Option<(u16, u16, &[u8])> {
    let mut reader = Reader::new(payload);
    Some((reader.u16()?, reader.u16()?, reader.rest()))
}

#[inline]
fn publish(fields: &[u8]) -> Result<PublishMethod<'_>, MethodError> {
    let Some((exchange, routing_key, bits)) = publish_fields(fields) else {
        return Err(malformed(60, 40, fields));
    };
    Ok(PublishMethod {
        exchange: text(exchange)?,
        routing_key: text(routing_key)?,
        mandatory: bit(bits, 0),
        immediate: bit(bits, 1),
    })
}

#[inline]
fn publish_fields(fields: &[u8]) -> Option<(&[u8], &[u8], u8)> {
    let mut reader = Reader::new(fields);
    reader.u16()?;
    let found = (reader.short()?, reader.short()?, reader.u8()?);
    reader.is_empty().then_some(found)
}

/// The fields of ack, nack and reject: the delivery tag and one octet of bits.
#[inline]
fn settle(fields: &[u8]) -> Option<(u64, u8)> {
    let mut reader = Reader::new(fields);
    let found = (reader.u64()?, reader.u8()?);
    reader.is_empty().then_some(found)
}

fn qos(fields: &[u8]) -> Option<Method<'_>> {
    let mut reader = Reader::new(fields);
    let (prefetch_size, prefetch_count, bits) = (reader.u32()?, reader.u16()?, reader.u8()?);
    let method = Method::Qos { prefetch_size, prefetch_count, global: bit(bits, 0) };
    reader.is_empty().then_some(method)
}

/// AMQP 0-9-1 section 4.2.5.2: bits are packed from the lowest.
#[inline]
const fn bit(bits: u8, index: u32) -> bool {
    bits >> index & 1 == 1
}

#[inline]
fn text(octets: &[u8]) -> Result<&str, MethodError> {
    std::str::from_utf8(octets).map_err(|_| MethodError::MalformedUtf8)
}

#[cold]
fn malformed(class: u16, method: u16, fields: &[u8]) -> MethodError {
    let kept = fields.get(..FIELDS_KEPT).unwrap_or(fields);
    MethodError::Malformed { class, method, fields: kept.into() }
}

#[cfg(test)]
mod tests {
    use amq_protocol::protocol::{basic, queue};
    use proptest::prelude::*;

    use super::super::testing::{by_crate, hex, short_string, table};
    use super::*;

    fn payload(class: u16, method: u16, fields: &[u8]) -> Vec<u8> {
        [&class.to_be_bytes(), &method.to_be_bytes(), fields].concat()
    }

    #[test]
    fn methods_on_the_way_of_a_message_are_read_in_place() {
        let expected =
            PublishMethod { exchange: "", routing_key: "q", mandatory: true, immediate: false };
        let publish = hex("003c0028 0000 00 0171 01");
        assert_eq!(decode(&publish), Ok(Method::Publish(expected)));

        let ack = hex("003c0050 0000000000000007 01");
        assert_eq!(decode(&ack), Ok(Method::Ack { tag: 7, multiple: true }));
        let nack = hex("003c0078 0000000000000007 02");
        assert_eq!(decode(&nack), Ok(Method::Nack { tag: 7, multiple: false, requeue: true }));
        let reject = hex("003c005a 0000000000000007 01");
        assert_eq!(decode(&reject), Ok(Method::Reject { tag: 7, requeue: true }));
    }

    #[test]
    fn qos_keeps_the_prefetch_size_the_crate_drops() {
        let qos = hex("003c000a 00000001 000a 01");
        let expected = Method::Qos { prefetch_size: 1, prefetch_count: 10, global: true };
        assert_eq!(decode(&qos), Ok(expected));
    }

    #[test]
    fn truncated_and_trailing_octets_quote_the_fields() {
        let error = decode(&payload(50, 10, &[0, 0, 5, 97, 98])).unwrap_err();
        assert_eq!(error.to_string(), "cannot decode <<0,0,5,97,98>>");
        assert!(matches!(error, MethodError::Malformed { class: 50, method: 10, .. }));

        let error = decode(&payload(60, 80, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 9])).unwrap_err();
        assert_eq!(error.to_string(), "cannot decode <<0,0,0,0,0,0,0,1,0,9>>");
    }

    #[test]
    fn the_quoted_fields_of_a_long_method_are_cut() {
        let error = decode(&payload(60, 80, &[0; 10_000])).unwrap_err();
        assert!(error.to_string().len() > 255);
        assert!(error.to_string().len() < 600);
    }

    #[test]
    fn text_that_is_not_utf_8_is_refused_in_every_short_string() {
        let publish = payload(60, 40, b"\0\0\x00\x01\xFF\x00");
        assert_eq!(decode(&publish), Err(MethodError::MalformedUtf8));
        let purge = payload(50, 30, b"\0\0\x01\xFF\x00");
        assert_eq!(decode(&purge), Err(MethodError::MalformedUtf8));
        assert_eq!(MethodError::MalformedUtf8.to_string(), "Malformed UTF-8 in shortstr");
    }

    #[test]
    fn lengths_are_judged_before_contents() {
        let both = payload(50, 30, b"\0\0\x01\xFF\x00\x00");
        assert!(matches!(decode(&both), Err(MethodError::Malformed { .. })));
    }

    #[test]
    fn unknown_methods_are_named() {
        for (class, method) in [(11, 10), (50, 99), (20, 50), (0, 0)] {
            let error = decode(&payload(class, method, b"")).unwrap_err();
            assert_eq!(error, MethodError::Unknown { class, method });
        }
        assert_eq!(decode(&[0, 10, 0]), Err(MethodError::TooShort));
    }

    #[test]
    fn tables_no_parser_should_see_are_refused_before_parsing() {
        let declare = |table: &[u8]| {
            let length = u32::try_from(table.len()).unwrap().to_be_bytes();
            decode(&payload(50, 10, &[b"\0\0\x01q\0", &length[..], table].concat())).unwrap_err()
        };
        let refused = |error| MethodError::Table { class: 50, method: 10, error };

        let mut deep = Vec::new();
        for _ in 0..20_000 {
            let length = u32::try_from(deep.len()).unwrap().to_be_bytes();
            deep = [b"\x00F".as_slice(), &length, &deep].concat();
        }
        assert_eq!(declare(&deep), refused(TableError::TooDeep));
        assert_eq!(declare(b"\x01aU\0\0"), refused(TableError::UnknownTag(b'U')));
        assert_eq!(declare(b"\x01\xFFV"), refused(TableError::KeyNotUtf8));
        assert_eq!(declare(b"\x01aS\0\0\0\x09"), refused(TableError::Truncated));
    }

    #[test]
    fn the_deepest_table_allowed_is_parsed_by_the_crate() {
        let mut table = Vec::new();
        for _ in 1..crate::limits::TABLE_DEPTH_MAX {
            let length = u32::try_from(table.len()).unwrap().to_be_bytes();
            table = [b"\x00F".as_slice(), &length, &table].concat();
        }
        let length = u32::try_from(table.len()).unwrap().to_be_bytes();
        let declare = payload(50, 10, &[b"\0\0\x01q\0", &length[..], &table].concat());
        assert!(matches!(decode(&declare), Ok(Method::Other(AMQPClass::Queue(_)))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn publish_reads_as_the_crate_reads_it(
            exchange in short_string(), routing_key in short_string(), mandatory: bool, immediate: bool
        ) {
            let class = AMQPClass::Basic(basic::AMQPMethod::Publish(basic::Publish {
                exchange: exchange.clone(), routing_key: routing_key.clone(), mandatory, immediate,
            }));
            let octets = by_crate::encode_class(&class);
            let (exchange, routing_key) = (exchange.as_str(), routing_key.as_str());
            let expected = PublishMethod { exchange, routing_key, mandatory, immediate };
            prop_assert_eq!(decode(&octets), Ok(Method::Publish(expected)));
            prop_assert_eq!(decode_class(&octets), Ok(class));
        }

        #[test]
        fn declare_reads_as_the_crate_reads_it(name in short_string(), arguments in table(), bits in 0..32u8) {
            let class = AMQPClass::Queue(queue::AMQPMethod::Declare(queue::Declare {
                queue: name,
                passive: bits & 1 != 0,
                durable: bits & 2 != 0,
                exclusive: bits & 4 != 0,
                auto_delete: bits & 8 != 0,
                nowait: bits & 16 != 0,
                arguments,
            }));
            let octets = by_crate::encode_class(&class);
            prop_assert_eq!(by_crate::decode_class(&octets), class.clone());
            prop_assert_eq!(decode(&octets), Ok(Method::Other(class)));
        }

        #[test]
        fn any_octets_are_either_refused_or_parsed(
            class in prop_oneof![Just(10u16), Just(20), Just(40), Just(50), Just(60)],
            method in 0..130u16,
            fields in proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..60),
        ) {
            // A class that passes our check but not the crate's parser would come back as malformed.
            let octets = payload(class, method, &fields);
            let parsed = decode_class(&octets);
            let shaped = layout::layout(class, method).map(|layout| layout::check(layout, &fields));
            prop_assert_eq!(parsed.is_ok(), shaped == Some(Ok(())));
        }
    }
}
