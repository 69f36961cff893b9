//! How RabbitMQ prints octets and values in the texts clients see: Erlang's `~p` and `~w`.
//!
//! One deliberate difference: octets beyond ASCII are never printed as text, so that every text is UTF-8.

use std::fmt::{self, Display, Formatter};

use amq_protocol::types::{AMQPValue, FieldTable};

use super::table::{octets_of, type_name};

/// Octets of a payload that RabbitMQ shows of a frame it refuses.
pub const SNIPPET: usize = 16;

/// Octets as `~p` prints them: `<<"abc">>` if all are printable, otherwise `<<0,10>>`.
#[must_use]
pub fn binary(octets: &[u8]) -> String {
    if octets.is_empty() || !octets.iter().all(|&octet| is_printable(octet)) {
        return numbers(octets);
    }
    let mut text = String::with_capacity(octets.len() + 6);
    text.push_str("<<\"");
    for &octet in octets {
        push_escaped(&mut text, octet);
    }
    text.push_str("\">>");
    text
}

/// Octets as `~w` prints them: always `<<97,98>>`.
#[must_use]
pub fn numbers(octets: &[u8]) -> String {
    let list: Vec<String> = octets.iter().map(u8::to_string).collect();
    format!("<<{}>>", list.join(","))
}

/// The start of a payload as RabbitMQ quotes it: `all octets = <<..>>`, or `first 16 octets = <<..>>` of a
/// longer one.
#[must_use]
pub fn snippet(payload: &[u8]) -> String {
    match payload.get(..SNIPPET) {
        Some(first) if payload.len() > SNIPPET => format!("first 16 octets = {}", binary(first)),
        Some(_) | None => format!("all octets = {}", binary(payload)),
    }
}

/// A table's value inside quotes: strings as they are, everything else as `~p` prints the Erlang term.
pub struct Term<'a>(
    /// The value to print.
    pub &'a AMQPValue,
);

impl Display for Term<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match octets_of(self.0) {
            Some(octets) => f.write_str(&String::from_utf8_lossy(octets)),
            None => f.write_str(&term(self.0)),
        }
    }
}

/// A value as `~p` prints the term RabbitMQ holds for it. Recurses as deep as the value is nested.
fn term(value: &AMQPValue) -> String {
    match value {
        AMQPValue::Boolean(value) => value.to_string(),
        AMQPValue::ShortShortInt(value) => value.to_string(),
        AMQPValue::ShortShortUInt(value) => value.to_string(),
        AMQPValue::ShortInt(value) => value.to_string(),
        AMQPValue::ShortUInt(value) => value.to_string(),
        AMQPValue::LongInt(value) => value.to_string(),
        AMQPValue::LongUInt(value) => value.to_string(),
        AMQPValue::LongLongInt(value) => value.to_string(),
        AMQPValue::Timestamp(value) => value.to_string(),
        AMQPValue::Float(value) => float(f64::from(*value)),
        AMQPValue::Double(value) => float(*value),
        AMQPValue::DecimalValue(value) => format!("{{{},{}}}", value.scale, value.value),
        AMQPValue::ShortString(text) => binary(text.as_str().as_bytes()),
        AMQPValue::LongString(text) => binary(text.as_bytes()),
        AMQPValue::ByteArray(octets) => binary(octets.as_slice()),
        AMQPValue::Void => "undefined".to_owned(),
        AMQPValue::FieldArray(items) => list(
            items.as_slice().iter().map(|item| format!("{{{},{}}}", type_name(item), term(item))),
        ),
        AMQPValue::FieldTable(table) => list(fields(table)),
    }
}

/// The fields of a table as `~p` prints them: `{<<"a">>,signedint,1}`.
pub fn fields(table: &FieldTable) -> impl Iterator<Item = String> + '_ {
    table.into_iter().map(|(key, item)| {
        let key = binary(key.as_str().as_bytes());
        format!("{{{key},{},{}}}", type_name(item), term(item))
    })
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// Erlang prints the shortest digits that read back the same, and the shorter of the two notations.
fn float(value: f64) -> String {
    let plain = format!("{value:?}");
    if plain.contains('e') {
        return with_fraction(&plain);
    }
    let scientific = with_fraction(&format!("{value:e}"));
    if scientific.len() < plain.len() { scientific } else { plain }
}

/// `1e3` as Erlang writes it: `1.0e3`.
fn with_fraction(scientific: &str) -> String {
    match scientific.split_once('e') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0e{exponent}"),
        Some(_) | None => scientific.to_owned(),
    }
}

const fn is_printable(octet: u8) -> bool {
    matches!(octet, 0x20..=0x7E | 0x08..=0x0D | 0x1B)
}

fn push_escaped(text: &mut String, octet: u8) {
    let escape = match octet {
        b'"' | b'\\' => char::from(octet),
        b'\n' => 'n',
        b'\r' => 'r',
        b'\t' => 't',
        0x08 => 'b',
        0x0B => 'v',
        0x0C => 'f',
        0x1B => 'e',
        plain => return text.push(char::from(plain)),
    };
    text.push('\\');
    text.push(escape);
}

#[cfg(test)]
mod tests {
    use amq_protocol::types::FieldArray;

    use super::*;

    #[test]
    fn printable_octets_are_quoted_and_others_are_numbers() {
        assert_eq!(binary(b"abc"), r#"<<"abc">>"#);
        assert_eq!(binary(&[0, 10]), "<<0,10>>");
        assert_eq!(binary(b""), "<<>>");
        assert_eq!(binary(b"a\"b\\c\n"), r#"<<"a\"b\\c\n">>"#);
        assert_eq!(binary("é".as_bytes()), "<<195,169>>");
    }

    #[test]
    fn the_unadorned_form_is_always_numbers() {
        assert_eq!(numbers(b"ab"), "<<97,98>>");
        assert_eq!(numbers(b""), "<<>>");
    }

    #[test]
    fn a_snippet_says_whether_it_is_the_whole_payload() {
        assert_eq!(snippet(b""), "all octets = <<>>");
        assert_eq!(snippet(b"abcdefghijklmnop"), r#"all octets = <<"abcdefghijklmnop">>"#);
        assert_eq!(snippet(b"abcdefghijklmnopq"), r#"first 16 octets = <<"abcdefghijklmnop">>"#);
    }

    #[test]
    fn values_print_as_erlang_terms() {
        let mut table = FieldTable::default();
        table.insert("k".into(), AMQPValue::LongInt(1));
        let array =
            FieldArray::from(vec![AMQPValue::LongInt(1), AMQPValue::LongString("a".into())]);

        assert_eq!(Term(&AMQPValue::LongString("lazy".into())).to_string(), "lazy");
        assert_eq!(Term(&AMQPValue::Boolean(true)).to_string(), "true");
        assert_eq!(Term(&AMQPValue::Void).to_string(), "undefined");
        assert_eq!(Term(&AMQPValue::FieldTable(table)).to_string(), r#"[{<<"k">>,signedint,1}]"#);
        assert_eq!(
            Term(&AMQPValue::FieldArray(array)).to_string(),
            r#"[{signedint,1},{longstr,<<"a">>}]"#
        );
    }

    #[test]
    fn floats_print_in_the_shorter_notation() {
        assert_eq!(float(1.5), "1.5");
        assert_eq!(float(100.0), "100.0");
        assert_eq!(float(1000.0), "1.0e3");
        assert_eq!(float(1e300), "1.0e300");
    }
}
