//! The properties of a message, read in place from a content header. AMQP 0-9-1 section 4.2.6.1.
//!
//! The octets are checked once, when they arrive; afterwards single properties are looked up, and what nobody
//! asks for is never read. Strings in here are octets: RabbitMQ does not ask them to be UTF-8.

use std::fmt::{self, Display, Formatter};

use super::reader::Reader;
use super::table_view::{Keys, TableError, TableView, ValueView, validate};

/// Bit 0 announces more flags, which no property of class basic needs; bit 1 stands for none.
const FLAGS_UNUSED: u16 = 0b11;
const DELIVERY_MODE: u16 = Property::DeliveryMode.flag();
/// `delivery_mode` of a message that survives a restart.
const PERSISTENT: u8 = 2;

/// Why properties are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyError {
    /// Fewer octets than flags and lengths announce.
    Truncated,
    /// Octets after the last property.
    Trailing,
    /// Flags that stand for no property.
    UnknownFlags(u16),
    /// The headers are not a table.
    Headers(TableError),
}

impl Display for PropertyError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            PropertyError::Truncated => f.write_str("properties are truncated"),
            PropertyError::Trailing => f.write_str("octets after the last property"),
            PropertyError::UnknownFlags(flags) => write!(f, "unknown property flags {flags:#06x}"),
            PropertyError::Headers(error) => write!(f, "headers: {error}"),
        }
    }
}

impl std::error::Error for PropertyError {}

/// The fourteen properties of class basic, numbered by their flag from the top.
#[derive(Clone, Copy)]
enum Property {
    ContentType = 0,
    ContentEncoding = 1,
    Headers = 2,
    DeliveryMode = 3,
    Priority = 4,
    CorrelationId = 5,
    ReplyTo = 6,
    Expiration = 7,
    MessageId = 8,
    Timestamp = 9,
    Type = 10,
    UserId = 11,
    AppId = 12,
    ClusterId = 13,
}

impl Property {
    const fn flag(self) -> u16 {
        0x8000 >> self as u16
    }
}

/// The properties of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PropertiesView<'a> {
    flags: u16,
    values: &'a [u8],
}

impl<'a> PropertiesView<'a> {
    /// Checks flags, lengths and headers to the last octet. `header` is a content header from its property
    /// flags on.
    ///
    /// # Errors
    /// The first thing that is wrong.
    #[inline]
    pub fn check(header: &'a [u8]) -> Result<Self, PropertyError> {
        let view = Self::assume_checked(header);
        // What nearly every publisher sends is told from its lengths alone.
        match (view.flags, view.values) {
            (0, []) if header.len() == 2 => Ok(view),
            (DELIVERY_MODE, [_]) => Ok(view),
            _ => view.check_all(header),
        }
    }

    /// Properties that were checked before, as when a stored message is delivered. Of others, look-ups answer
    /// `None` where octets are not what they should be.
    #[inline]
    #[must_use]
    pub const fn assume_checked(header: &'a [u8]) -> Self {
        match header.split_first_chunk::<2>() {
            Some((flags, values)) => Self { flags: u16::from_be_bytes(*flags), values },
            None => Self { flags: 0, values: &[] },
        }
    }

    /// MIME type of the body.
    #[must_use]
    pub fn content_type(&self) -> Option<&'a [u8]> {
        self.find(Property::ContentType)
    }

    /// MIME encoding of the body.
    #[must_use]
    pub fn content_encoding(&self) -> Option<&'a [u8]> {
        self.find(Property::ContentEncoding)
    }

    /// The application's headers.
    #[must_use]
    pub fn headers(&self) -> Option<TableView<'a>> {
        self.find(Property::Headers).map(TableView::assume_checked)
    }

    /// One of the application's headers; the first, if it was sent twice.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<ValueView<'a>> {
        self.headers()?.get(name)
    }

    /// 1 transient, 2 persistent; other values pass through.
    #[must_use]
    pub fn delivery_mode(&self) -> Option<u8> {
        self.octet(Property::DeliveryMode)
    }

    /// Whether the publisher asked for the message to survive a restart.
    #[inline]
    #[must_use]
    pub fn is_persistent(&self) -> bool {
        self.flags & DELIVERY_MODE != 0 && self.delivery_mode() == Some(PERSISTENT)
    }

    /// Priority, 0 to 255.
    #[must_use]
    pub fn priority(&self) -> Option<u8> {
        self.octet(Property::Priority)
    }

    /// The application's correlation id.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&'a [u8]> {
        self.find(Property::CorrelationId)
    }

    /// Where replies should go.
    #[must_use]
    pub fn reply_to(&self) -> Option<&'a [u8]> {
        self.find(Property::ReplyTo)
    }

    /// Time to live in milliseconds, as digits.
    #[must_use]
    pub fn expiration(&self) -> Option<&'a [u8]> {
        self.find(Property::Expiration)
    }

    /// The application's message id.
    #[must_use]
    pub fn message_id(&self) -> Option<&'a [u8]> {
        self.find(Property::MessageId)
    }

    /// Seconds since 1970, by the application.
    #[must_use]
    pub fn timestamp(&self) -> Option<u64> {
        Reader::new(self.find(Property::Timestamp)?).u64()
    }

    /// The application's name for the kind of message.
    #[must_use]
    pub fn kind(&self) -> Option<&'a [u8]> {
        self.find(Property::Type)
    }

    /// Who the publisher says it is.
    #[must_use]
    pub fn user_id(&self) -> Option<&'a [u8]> {
        self.find(Property::UserId)
    }

    /// The application's id.
    #[must_use]
    pub fn app_id(&self) -> Option<&'a [u8]> {
        self.find(Property::AppId)
    }

    /// Left over from AMQP 0-8; passed through.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&'a [u8]> {
        self.find(Property::ClusterId)
    }

    fn check_all(self, header: &[u8]) -> Result<Self, PropertyError> {
        if header.len() < 2 {
            return Err(PropertyError::Truncated);
        }
        if self.flags & FLAGS_UNUSED != 0 {
            return Err(PropertyError::UnknownFlags(self.flags & FLAGS_UNUSED));
        }
        let mut values = Reader::new(self.values);
        for flag in set_flags(self.flags) {
            let value = read_value(&mut values, flag).ok_or(PropertyError::Truncated)?;
            if flag == Property::Headers.flag() {
                validate(value, Keys::Any).map_err(PropertyError::Headers)?;
            }
        }
        if values.is_empty() { Ok(self) } else { Err(PropertyError::Trailing) }
    }

    fn octet(&self, property: Property) -> Option<u8> {
        Reader::new(self.find(property)?).u8()
    }

    /// A property's octets, without their length.
    fn find(&self, property: Property) -> Option<&'a [u8]> {
        self.split_at(property).map(|(value, _)| value)
    }

    /// A property's octets without their length, and everything after them.
    #[inline]
    fn split_at(&self, property: Property) -> Option<(&'a [u8], &'a [u8])> {
        let wanted = property.flag();
        if self.flags & wanted == 0 {
            return None;
        }
        let mut values = Reader::new(self.values);
        let before = self.flags & !(wanted | (wanted - 1));
        for flag in set_flags(before) {
            read_value(&mut values, flag)?;
        }
        let value = read_value(&mut values, wanted)?;
        Some((value, values.rest()))
    }
}

/// The same properties without the headers of that name, as RabbitMQ strips `BCC`. The rest keeps its octets,
/// and headers that become empty stay present.
#[must_use]
pub fn without_header(header: &[u8], name: &str) -> Vec<u8> {
    let view = PropertiesView::assume_checked(header);
    let Some((headers, after)) = view.split_at(Property::Headers) else { return header.to_vec() };
    let before = header.len().saturating_sub(after.len() + headers.len() + size_of::<u32>());

    let kept = fields_without(headers, name);
    let length = u32::try_from(kept.len()).unwrap_or(u32::MAX);
    let mut stripped = Vec::with_capacity(header.len());
    stripped.extend(header.iter().take(before));
    stripped.extend(length.to_be_bytes());
    stripped.extend(kept);
    stripped.extend(after);
    stripped
}

fn fields_without(table: &[u8], name: &str) -> Vec<u8> {
    let mut kept = Vec::with_capacity(table.len());
    let mut reader = Reader::new(table);
    while !reader.is_empty() {
        let start = reader.rest();
        let Some(key) = reader.short() else { break };
        if ValueView::read(&mut reader).is_err() {
            break;
        }
        if key != name.as_bytes() {
            kept.extend(start.iter().take(start.len() - reader.rest().len()));
        }
    }
    kept
}

/// The flags that are set, in the order their values lie.
#[inline]
fn set_flags(mut flags: u16) -> impl Iterator<Item = u16> {
    std::iter::from_fn(move || {
        let flag = 0x8000_u16.checked_shr(flags.leading_zeros())?;
        flags &= !flag;
        Some(flag)
    })
}

/// A value's octets without their length.
#[inline]
fn read_value<'a>(values: &mut Reader<'a>, flag: u16) -> Option<&'a [u8]> {
    const HEADERS: u16 = Property::Headers.flag();
    const PRIORITY: u16 = Property::Priority.flag();
    const TIMESTAMP: u16 = Property::Timestamp.flag();
    match flag {
        DELIVERY_MODE | PRIORITY => values.take(1),
        HEADERS => values.long(),
        TIMESTAMP => values.take(8),
        _ => values.short(),
    }
}

#[cfg(test)]
mod tests {
    use amq_protocol::protocol::basic::AMQPProperties;
    use amq_protocol::types::ShortString;
    use proptest::option;
    use proptest::prelude::*;

    use super::super::testing::{by_crate, hex, short_string, table};
    use super::*;

    fn check(digits: &str) -> Result<(), PropertyError> {
        PropertiesView::check(&hex(digits)).map(|_| ())
    }

    #[test]
    fn the_golden_header_reads_property_by_property() {
        let header = hex("3100 00000007 0161 49 00000001 02 05 3630303030");
        let view = PropertiesView::check(&header).unwrap();

        assert_eq!(view.header("a").and_then(|value| value.as_int()), Some(1));
        assert!(view.is_persistent());
        assert_eq!(view.expiration(), Some(&b"60000"[..]));
        assert_eq!(view.priority(), None);
        assert_eq!(view.content_type(), None);
    }

    #[test]
    fn no_properties_and_only_a_delivery_mode_are_fine() {
        assert_eq!(check("0000"), Ok(()));
        assert_eq!(check("1000 02"), Ok(()));
        assert_eq!(check("9000 01 61 02"), Ok(()));
    }

    #[test]
    fn malformed_properties_are_told_apart() {
        assert_eq!(check(""), Err(PropertyError::Truncated));
        assert_eq!(check("10"), Err(PropertyError::Truncated));
        assert_eq!(check("1000"), Err(PropertyError::Truncated));
        assert_eq!(check("8000 05 61"), Err(PropertyError::Truncated));
        assert_eq!(check("0000 00"), Err(PropertyError::Trailing));
        assert_eq!(check("1000 02 00"), Err(PropertyError::Trailing));
        assert_eq!(check("0001 0000"), Err(PropertyError::UnknownFlags(1)));
        assert_eq!(check("0002"), Err(PropertyError::UnknownFlags(2)));
        let unknown = PropertyError::Headers(TableError::UnknownTag(b'U'));
        assert_eq!(check("2000 00000005 0161 55 0001"), Err(unknown));
    }

    #[test]
    fn a_stripped_header_leaves_every_other_octet_alone() {
        let (cc, bcc) = ("02 4343 53 00000001 61", "03 424343 53 00000001 62");
        let header = hex(&format!("b000 01 78 00000013 {bcc} {cc} 02"));
        let stripped = hex(&format!("b000 01 78 00000009 {cc} 02"));
        assert_eq!(without_header(&header, "BCC"), stripped);
        assert_eq!(without_header(&stripped, "BCC"), stripped);
        assert_eq!(without_header(&stripped, "CC"), hex("b000 01 78 00000000 02"));
        assert_eq!(without_header(&hex("1000 02"), "BCC"), hex("1000 02"));
    }

    fn properties() -> impl Strategy<Value = AMQPProperties> {
        let texts = proptest::array::uniform10(option::of(short_string()));
        let others = (
            option::of(table()),
            option::of(any::<u8>()),
            option::of(any::<u8>()),
            option::of(any::<u64>()),
        );
        (texts, others).prop_map(|(texts, (headers, delivery_mode, priority, timestamp))| {
            let [content_type, encoding, correlation, reply, expiration, id, kind, user, app, cluster] =
                texts;
            let mut properties = AMQPProperties::default();
            macro_rules! set {
                ($($method:ident $value:expr;)*) => {
                    $(if let Some(value) = $value { properties = properties.$method(value); })*
                };
            }
            set! {
                with_content_type content_type; with_content_encoding encoding; with_headers headers;
                with_delivery_mode delivery_mode; with_priority priority;
                with_correlation_id correlation; with_reply_to reply; with_expiration expiration;
                with_message_id id; with_timestamp timestamp; with_type kind; with_user_id user;
                with_app_id app; with_cluster_id cluster;
            }
            properties
        })
    }

    fn text(value: Option<&ShortString>) -> Option<&[u8]> {
        value.map(|text| text.as_str().as_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn each_property_reads_as_a_full_parse_reads_it(properties in properties()) {
            let octets = by_crate::encode_properties(&properties);
            let view = PropertiesView::check(&octets).unwrap();
            let full = by_crate::decode_properties(&octets);

            prop_assert_eq!(view.content_type(), text(full.content_type().as_ref()));
            prop_assert_eq!(view.content_encoding(), text(full.content_encoding().as_ref()));
            prop_assert_eq!(view.headers().map(|table| table.to_table().unwrap()), full.headers().clone());
            prop_assert_eq!(view.delivery_mode(), *full.delivery_mode());
            prop_assert_eq!(view.priority(), *full.priority());
            prop_assert_eq!(view.correlation_id(), text(full.correlation_id().as_ref()));
            prop_assert_eq!(view.reply_to(), text(full.reply_to().as_ref()));
            prop_assert_eq!(view.expiration(), text(full.expiration().as_ref()));
            prop_assert_eq!(view.message_id(), text(full.message_id().as_ref()));
            prop_assert_eq!(view.timestamp(), *full.timestamp());
            prop_assert_eq!(view.kind(), text(full.kind().as_ref()));
            prop_assert_eq!(view.user_id(), text(full.user_id().as_ref()));
            prop_assert_eq!(view.app_id(), text(full.app_id().as_ref()));
            prop_assert_eq!(view.cluster_id(), text(full.cluster_id().as_ref()));
        }

        #[test]
        fn properties_cut_anywhere_are_refused(properties in properties(), at in any::<prop::sample::Index>()) {
            let octets = by_crate::encode_properties(&properties);
            let end = at.index(octets.len());
            prop_assert!(PropertiesView::check(&octets[..end]).is_err());
        }

        #[test]
        fn any_octets_are_either_refused_or_readable(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            let checked = PropertiesView::check(&octets).is_ok();
            let view = PropertiesView::assume_checked(&octets);
            let headers = view.headers().map(|headers| headers.fields().count());
            let found = view.cluster_id().is_some();
            let stripped = without_header(&octets, "x");
            prop_assert!(stripped.len() <= octets.len());
            if checked {
                prop_assert_eq!(headers.is_some(), view.flags & 0x2000 != 0);
                prop_assert_eq!(found, view.flags & 0x0004 != 0);
            }
        }
    }
}
