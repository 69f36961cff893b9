//! Routing by the message's headers.
//!
//! A binding's arguments are read once, when it is bound, into a rule: what to compare and whether all of
//! it or any of it must hold. RabbitMQ's reading: fields that start with `x-` take no part unless
//! `x-match` ends in `-with-x`; a void argument asks only that the header exists; with nothing to compare, `all`
//! holds for every message and `any` for none.
//!
//! A destination is reported once for each of its rules that holds. A message costs one look at each rule,
//! and its headers are asked for at most once, not at all if no rule compares anything.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;

use amq_protocol::types::{AMQPValue, FieldTable, ShortString};

use super::roster::same_arguments;
use crate::amqp::wire::properties::PropertiesView;
use crate::broker::message::BCC;

/// Which of a binding's arguments a message must meet: the argument `x-match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadersMatch {
    /// `all`, or no `x-match`: every argument but those named `x-...`.
    All,
    /// `any`: at least one argument not named `x-...`.
    Any,
    /// `all-with-x`: every argument.
    AllWithX,
    /// `any-with-x`: at least one argument.
    AnyWithX,
}

/// Why an `x-match` cannot be used. Clients see it as 406, in RabbitMQ's words, from the session.
#[derive(Clone, Debug, PartialEq)]
pub enum HeadersMatchError {
    /// A string, but none of the four.
    UnknownValue(Vec<u8>),
    /// No string at all.
    WrongType(AMQPValue),
}

impl fmt::Display for HeadersMatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeadersMatchError::UnknownValue(value) => {
                write!(f, "x-match '{}' is unknown", String::from_utf8_lossy(value))
            }
            HeadersMatchError::WrongType(_) => f.write_str("x-match is not a string"),
        }
    }
}

impl std::error::Error for HeadersMatchError {}

impl HeadersMatch {
    /// Reads `x-match` from the arguments of a binding.
    pub fn parse(arguments: &FieldTable) -> Result<HeadersMatch, HeadersMatchError> {
        match arguments.inner().get("x-match") {
            None => Ok(HeadersMatch::All),
            Some(AMQPValue::LongString(text)) => match text.as_bytes() {
                b"all" => Ok(HeadersMatch::All),
                b"any" => Ok(HeadersMatch::Any),
                b"all-with-x" => Ok(HeadersMatch::AllWithX),
                b"any-with-x" => Ok(HeadersMatch::AnyWithX),
                other => Err(HeadersMatchError::UnknownValue(other.to_vec())),
            },
            Some(other) => Err(HeadersMatchError::WrongType(other.clone())),
        }
    }

    fn compares(self, name: &str) -> bool {
        match self {
            HeadersMatch::All | HeadersMatch::Any => !name.starts_with("x-"),
            HeadersMatch::AllWithX | HeadersMatch::AnyWithX => name != "x-match",
        }
    }
}

/// Every binding of the exchange as a rule.
#[derive(Debug)]
pub(super) struct Headers<D> {
    rules: Vec<Rule<D>>,
}

#[derive(Debug)]
struct Rule<D> {
    destination: D,
    matching: Matching,
    /// The arguments that are compared.
    conditions: FieldTable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Matching {
    All,
    Any,
}

impl<D> Default for Headers<D> {
    fn default() -> Self {
        Headers { rules: Vec::new() }
    }
}

impl<D: Eq> Headers<D> {
    /// Adds the rule these arguments spell.
    pub(super) fn add(&mut self, arguments: &FieldTable, destination: D) {
        let (matching, conditions) = read_rule(arguments);
        self.rules.push(Rule { destination, matching, conditions });
    }

    /// Takes one rule away that these arguments spell. Costs the number of rules. Which one of several
    /// equal ones it is (they differ in their key, or in what is not compared) makes no difference.
    pub(super) fn remove(&mut self, arguments: &FieldTable, destination: &D) {
        let (matching, conditions) = read_rule(arguments);
        let place = self.rules.iter().position(|rule| {
            rule.destination == *destination
                && rule.matching == matching
                && same_arguments(&rule.conditions, &conditions)
        });
        if let Some(place) = place {
            self.rules.remove(place);
        }
    }

    pub(super) fn remove_destination(&mut self, destination: &D) {
        self.rules.retain(|rule| rule.destination != *destination);
    }

    /// Shows the destination of every rule that holds.
    pub(super) fn route(&self, properties: PropertiesView<'_>, visit: &mut impl FnMut(&D)) {
        self.compare(|| visible_headers(properties), visit);
    }

    fn compare(&self, headers: impl Fn() -> Option<FieldTable>, visit: &mut impl FnMut(&D)) {
        let message = OnceCell::new();
        for rule in &self.rules {
            if rule.holds(|| message.get_or_init(|| headers().unwrap_or_default())) {
                visit(&rule.destination);
            }
        }
    }
}

impl<D> Rule<D> {
    fn holds<'m>(&self, message: impl FnOnce() -> &'m FieldTable) -> bool {
        let mut conditions = self.conditions.inner().iter();
        if conditions.len() == 0 {
            return self.matching == Matching::All;
        }
        let message = message().inner();
        let mut is_met = |(name, wanted): (&ShortString, &AMQPValue)| {
            message
                .get(name)
                .is_some_and(|found| *wanted == AMQPValue::Void || same_value(wanted, found))
        };
        match self.matching {
            Matching::All => conditions.all(is_met),
            Matching::Any => conditions.any(&mut is_met),
        }
    }
}

/// The headers of a message but for `BCC`, which is nobody's business.
fn visible_headers(properties: PropertiesView<'_>) -> Option<FieldTable> {
    let headers = properties.headers()?.to_table().ok()?;
    if !headers.contains_key(BCC) {
        return Some(headers);
    }
    let visible = headers.into_iter().filter(|(name, _)| name.as_str() != BCC);
    let visible = visible.map(|(name, value)| (name.clone(), value.clone()));
    Some(FieldTable::from(visible.collect::<BTreeMap<_, _>>()))
}

/// Splits arguments into how to match and what to compare. An unknown `x-match` means `all`.
fn read_rule(arguments: &FieldTable) -> (Matching, FieldTable) {
    let wanted = HeadersMatch::parse(arguments).unwrap_or(HeadersMatch::All);
    let matching = match wanted {
        HeadersMatch::All | HeadersMatch::AllWithX => Matching::All,
        HeadersMatch::Any | HeadersMatch::AnyWithX => Matching::Any,
    };
    let mut conditions = FieldTable::default();
    for (name, value) in arguments {
        if wanted.compares(name.as_str()) {
            conditions.insert(name.clone(), value.clone());
        }
    }
    (matching, conditions)
}

/// Whether two values are the same to RabbitMQ, which drops the type tag and compares Erlang terms: integers
/// of every width with each other and with timestamps, floats and doubles, long strings and byte arrays. 1
/// is not 1.0 (4.x; 3.10 thought so), nor "1", nor true. Inside arrays and tables the tags count.
///
/// RabbitMQ 4.x multiplies a message's timestamps by 1000 before it compares, so that none ever match; here they
/// compare by value, as in 3.x.
pub fn same_value(left: &AMQPValue, right: &AMQPValue) -> bool {
    match (Untagged::from(left), Untagged::from(right)) {
        (Untagged::Integer(left), Untagged::Integer(right)) => left == right,
        (Untagged::Float(left), Untagged::Float(right)) => left.total_cmp(&right).is_eq(),
        (Untagged::Octets(left), Untagged::Octets(right)) => left == right,
        (Untagged::Other(left), Untagged::Other(right)) => left == right,
        _ => false,
    }
}

/// A value without its tag.
enum Untagged<'v> {
    Integer(i128),
    Float(f64),
    Octets(&'v [u8]),
    Other(&'v AMQPValue),
}

impl<'v> From<&'v AMQPValue> for Untagged<'v> {
    fn from(value: &'v AMQPValue) -> Self {
        match value {
            AMQPValue::ShortShortInt(number) => Untagged::Integer((*number).into()),
            AMQPValue::ShortShortUInt(number) => Untagged::Integer((*number).into()),
            AMQPValue::ShortInt(number) => Untagged::Integer((*number).into()),
            AMQPValue::ShortUInt(number) => Untagged::Integer((*number).into()),
            AMQPValue::LongInt(number) => Untagged::Integer((*number).into()),
            AMQPValue::LongUInt(number) => Untagged::Integer((*number).into()),
            AMQPValue::LongLongInt(number) => Untagged::Integer((*number).into()),
            AMQPValue::Timestamp(seconds) => Untagged::Integer((*seconds).into()),
            AMQPValue::Float(number) => Untagged::Float((*number).into()),
            AMQPValue::Double(number) => Untagged::Float(*number),
            AMQPValue::LongString(text) => Untagged::Octets(text.as_bytes()),
            AMQPValue::ShortString(text) => Untagged::Octets(text.as_str().as_bytes()),
            AMQPValue::ByteArray(bytes) => Untagged::Octets(bytes.as_slice()),
            AMQPValue::Boolean(_)
            | AMQPValue::DecimalValue(_)
            | AMQPValue::FieldArray(_)
            | AMQPValue::FieldTable(_)
            | AMQPValue::Void => Untagged::Other(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use amq_protocol::types::DecimalValue;

    use super::*;

    type Fields<'a> = &'a [(&'a str, AMQPValue)];

    fn table(fields: Fields<'_>) -> FieldTable {
        let mut table = FieldTable::default();
        for (name, value) in fields {
            table.insert((*name).into(), value.clone());
        }
        table
    }

    fn text(value: &str) -> AMQPValue {
        AMQPValue::LongString(value.into())
    }

    fn matches(arguments: Fields<'_>, message: Option<Fields<'_>>) -> bool {
        let mut headers = Headers::default();
        headers.add(&table(arguments), 1);
        let mut found = false;
        headers.compare(|| message.map(table), &mut |_| found = true);
        found
    }

    #[test]
    fn all_is_the_default_and_wants_every_argument() {
        let arguments = [("a", text("1")), ("b", text("2"))];
        let mut explicit = arguments.to_vec();
        explicit.push(("x-match", text("all")));
        let message = [("a", text("1")), ("b", text("2")), ("c", text("3"))];
        for arguments in [&arguments[..], &explicit[..]] {
            assert!(matches(arguments, Some(&message)));
            assert!(!matches(arguments, Some(&message[..1])));
            assert!(!matches(arguments, Some(&[("a", text("1")), ("b", text("3"))])));
            assert!(!matches(arguments, None));
        }
    }

    #[test]
    fn any_wants_one_argument() {
        let arguments = [("x-match", text("any")), ("a", text("1")), ("b", text("2"))];
        assert!(matches(&arguments, Some(&[("b", text("2"))])));
        assert!(!matches(&arguments, Some(&[("b", text("1"))])));
        assert!(!matches(&arguments, None));
    }

    #[test]
    fn nothing_to_compare_is_everything_for_all_and_nothing_for_any() {
        assert!(matches(&[], None));
        assert!(matches(&[("x-k", text("v"))], Some(&[])));
        assert!(matches(&[("x-match", text("all-with-x"))], None));
        assert!(!matches(&[("x-match", text("any"))], Some(&[("a", text("1"))])));
        let only_x = [("x-match", text("any")), ("x-k", text("v"))];
        assert!(!matches(&only_x, Some(&[("x-k", text("v"))])));
    }

    #[test]
    fn arguments_named_x_count_only_with_x() {
        let message = [("a", text("1")), ("x-k", text("other"))];
        let with = |mode| [("x-match", text(mode)), ("a", text("1")), ("x-k", text("v"))];
        assert!(matches(&with("all"), Some(&message)));
        assert!(!matches(&with("all-with-x"), Some(&message)));
        assert!(matches(&with("any-with-x"), Some(&[("x-k", text("v"))])));
        assert!(!matches(&with("any"), Some(&[("x-k", text("v"))])));
    }

    #[test]
    fn a_void_argument_wants_the_header_to_exist() {
        let arguments = [("a", AMQPValue::Void)];
        assert!(matches(&arguments, Some(&[("a", AMQPValue::Boolean(false))])));
        assert!(matches(&arguments, Some(&[("a", AMQPValue::Void)])));
        assert!(!matches(&arguments, Some(&[("A", AMQPValue::Void)])));
        assert!(!matches(&[("a", text(""))], Some(&[("a", AMQPValue::Void)])));
    }

    #[test]
    fn values_compare_whatever_their_tag() {
        let ones = [
            AMQPValue::ShortShortInt(1),
            AMQPValue::ShortShortUInt(1),
            AMQPValue::ShortInt(1),
            AMQPValue::ShortUInt(1),
            AMQPValue::LongInt(1),
            AMQPValue::LongUInt(1),
            AMQPValue::LongLongInt(1),
            AMQPValue::Timestamp(1),
        ];
        for (left, right) in
            ones.iter().flat_map(|left| ones.iter().map(move |right| (left, right)))
        {
            assert!(same_value(left, right), "{left:?} {right:?}");
        }
        assert!(same_value(&text("v"), &AMQPValue::ByteArray(b"v".as_slice().into())));
        assert!(same_value(&AMQPValue::Float(1.5), &AMQPValue::Double(1.5)));
    }

    #[test]
    fn values_of_another_nature_differ() {
        let values = [
            AMQPValue::LongInt(1),
            AMQPValue::Double(1.0),
            text("1"),
            AMQPValue::Boolean(true),
            AMQPValue::DecimalValue(DecimalValue { scale: 0, value: 1 }),
            AMQPValue::FieldArray(vec![AMQPValue::LongInt(1)].into()),
            AMQPValue::FieldArray(vec![AMQPValue::LongLongInt(1)].into()),
            AMQPValue::FieldTable(table(&[("1", AMQPValue::LongInt(1))])),
            AMQPValue::LongLongInt(-1),
            AMQPValue::Timestamp(u64::MAX),
            AMQPValue::Void,
        ];
        for (i, left) in values.iter().enumerate() {
            for (j, right) in values.iter().enumerate() {
                assert_eq!(same_value(left, right), i == j, "{left:?} {right:?}");
            }
        }
    }

    #[test]
    fn x_match_must_be_one_of_four_strings() {
        assert_eq!(HeadersMatch::parse(&table(&[])), Ok(HeadersMatch::All));
        let unknown = HeadersMatch::parse(&table(&[("x-match", text("foo"))]));
        assert_eq!(unknown, Err(HeadersMatchError::UnknownValue(b"foo".to_vec())));
        let number = HeadersMatch::parse(&table(&[("x-match", AMQPValue::LongInt(5))]));
        assert_eq!(number, Err(HeadersMatchError::WrongType(AMQPValue::LongInt(5))));
    }

    #[test]
    fn headers_are_read_once_and_only_if_something_is_compared() {
        let reads = Cell::new(0);
        let source = || {
            reads.set(reads.get() + 1);
            None
        };
        let mut headers = Headers::default();
        headers.add(&table(&[]), 1);
        headers.add(&table(&[("x-match", text("any"))]), 2);
        headers.compare(source, &mut |_| ());
        assert_eq!(reads.get(), 0);

        for destination in 3..10 {
            headers.add(&table(&[("a", text("1"))]), destination);
        }
        headers.compare(source, &mut |_| ());
        assert_eq!(reads.get(), 1);
    }

    #[test]
    fn blind_copies_are_no_header_to_route_by() {
        let fields = b"\x01aV\x03BCCA\x00\x00\x00\x06S\x00\x00\x00\x01k";
        let length = u8::try_from(fields.len()).unwrap();
        let header = [&[0x20, 0, 0, 0, 0, length], &fields[..]].concat();
        let properties = PropertiesView::check(&header).unwrap();
        let mut headers = Headers::default();
        headers.add(&table(&[("BCC", AMQPValue::Void)]), 1);
        headers.add(&table(&[("a", AMQPValue::Void)]), 2);

        let mut found = Vec::new();
        headers.route(properties, &mut |destination| found.push(*destination));
        assert_eq!(found, [2]);
    }

    #[test]
    fn one_of_two_equal_rules_can_go() {
        let arguments = table(&[("a", AMQPValue::Double(f64::NAN)), ("b", AMQPValue::Void)]);
        let mut headers = Headers::default();
        headers.add(&arguments, 1);
        headers.add(&arguments, 1);
        headers.remove(&arguments, &1);
        assert_eq!(headers.rules.len(), 1);
        headers.remove(&arguments, &1);
        assert!(headers.rules.is_empty());
    }
}
