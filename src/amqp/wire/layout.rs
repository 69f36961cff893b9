//! The fields of every method, and a check of received ones against them.
//!
//! `amq_protocol` would parse the same octets, but recurses on nested tables and says only that parsing failed.
//! What passes here it parses without error, so that each fault gets RabbitMQ's own answer.

use super::reader::Reader;
use super::table_view::{Keys, TableError, validate};

/// Why fields do not fit their method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldFault {
    /// Truncated, or followed by more octets.
    Shape,
    /// A short string that is not UTF-8.
    Utf8,
    /// A table that cannot be taken.
    Table(TableError),
}

/// Every method by class and number, with a letter for each field: `o` octet, `w` short, `l` long, `L` longlong,
/// `s` short string, `S` long string, `b` up to eight bits in one octet, `T` table.
/// AMQP 0-9-1 with RabbitMQ's extensions.
const METHODS: [((u16, u16), &[u8]); 66] = [
    ((10, 10), b"ooTSS"),
    ((10, 11), b"TsSs"),
    ((10, 20), b"S"),
    ((10, 21), b"S"),
    ((10, 30), b"wlw"),
    ((10, 31), b"wlw"),
    ((10, 40), b"ssb"),
    ((10, 41), b"s"),
    ((10, 50), b"wsww"),
    ((10, 51), b""),
    ((10, 60), b"s"),
    ((10, 61), b""),
    ((10, 70), b"Ss"),
    ((10, 71), b""),
    ((20, 10), b"s"),
    ((20, 11), b"S"),
    ((20, 20), b"b"),
    ((20, 21), b"b"),
    ((20, 40), b"wsww"),
    ((20, 41), b""),
    ((30, 10), b"sb"),
    ((30, 11), b"w"),
    ((40, 10), b"wssbT"),
    ((40, 11), b""),
    ((40, 20), b"wsb"),
    ((40, 21), b""),
    ((40, 30), b"wsssbT"),
    ((40, 31), b""),
    ((40, 40), b"wsssbT"),
    ((40, 51), b""),
    ((50, 10), b"wsbT"),
    ((50, 11), b"sll"),
    ((50, 20), b"wsssbT"),
    ((50, 21), b""),
    ((50, 30), b"wsb"),
    ((50, 31), b"l"),
    ((50, 40), b"wsb"),
    ((50, 41), b"l"),
    ((50, 50), b"wsssT"),
    ((50, 51), b""),
    ((60, 10), b"lwb"),
    ((60, 11), b""),
    ((60, 20), b"wssbT"),
    ((60, 21), b"s"),
    ((60, 30), b"sb"),
    ((60, 31), b"s"),
    ((60, 40), b"wssb"),
    ((60, 50), b"wsss"),
    ((60, 60), b"sLbss"),
    ((60, 70), b"wsb"),
    ((60, 71), b"Lbssl"),
    ((60, 72), b"s"),
    ((60, 80), b"Lb"),
    ((60, 90), b"Lb"),
    ((60, 100), b"b"),
    ((60, 110), b"b"),
    ((60, 111), b""),
    ((60, 120), b"Lb"),
    ((85, 10), b"b"),
    ((85, 11), b""),
    ((90, 10), b""),
    ((90, 11), b""),
    ((90, 20), b""),
    ((90, 21), b""),
    ((90, 30), b""),
    ((90, 31), b""),
];

/// The fields of a method, or `None` if there is no such method.
pub(super) fn layout(class: u16, method: u16) -> Option<&'static [u8]> {
    METHODS.iter().find(|(ids, _)| *ids == (class, method)).map(|(_, layout)| *layout)
}

/// Whether `fields` are exactly those of the layout. As in RabbitMQ, lengths are judged before contents.
pub(super) fn check(layout: &[u8], fields: &[u8]) -> Result<(), FieldFault> {
    let mut reader = Reader::new(fields);
    let mut content = Ok(());
    for kind in layout {
        let field = read_field(&mut reader, *kind).ok_or(FieldFault::Shape)?;
        if content.is_ok() {
            content = check_content(*kind, field);
        }
    }
    if reader.is_empty() { content } else { Err(FieldFault::Shape) }
}

fn read_field<'a>(reader: &mut Reader<'a>, kind: u8) -> Option<&'a [u8]> {
    match kind {
        b'o' | b'b' => reader.take(1),
        b'w' => reader.take(2),
        b'l' => reader.take(4),
        b'L' => reader.take(8),
        b's' => reader.short(),
        _ => reader.long(),
    }
}

fn check_content(kind: u8, field: &[u8]) -> Result<(), FieldFault> {
    match kind {
        b's' if std::str::from_utf8(field).is_err() => Err(FieldFault::Utf8),
        b'T' => validate(field, Keys::Utf8).map_err(FieldFault::Table),
        _ => Ok(()),
    }
}
