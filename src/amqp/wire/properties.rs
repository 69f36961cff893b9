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
pub const PERSISTENT: u8 = 2;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// MIME type of the body.
    ContentType = 0,
    /// MIME encoding of the body.
    ContentEncoding = 1,
    /// The application's headers.
    Headers = 2,
    /// 1 transient, 2 persistent.
    DeliveryMode = 3,
    /// 0 to 255.
    Priority = 4,
    /// The application's correlation id.
    CorrelationId = 5,
    /// Where replies should go.
    ReplyTo = 6,
    /// Time to live in milliseconds, as digits.
    Expiration = 7,
    /// The application's message id.
    MessageId = 8,
    /// Seconds since 1970.
    Timestamp = 9,
    /// The application's name for the kind of message.
    Type = 10,
    /// Who the publisher says it is.
    UserId = 11,
    /// The application's id.
    AppId = 12,
    /// Left over from AMQP 0-8.
    ClusterId = 13,
}

impl Property {
    /// The bit that says that it is there.
    #[must_use]
    pub const fn flag(self) -> u16 {
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
        if Self::is_plain(header) { Ok(view) } else { view.check_all(header) }
    }

    /// What nearly every publisher sends, told from its flags and length alone: nothing, or a delivery mode.
    #[inline]
    #[must_use]
    pub const fn is_plain(header: &[u8]) -> bool {
        match header {
            [high, low] => u16::from_be_bytes([*high, *low]) == 0,
            [high, low, _] => u16::from_be_bytes([*high, *low]) == DELIVERY_MODE,
            _ => false,
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

    /// One is there that RabbitMQ looks at whenever a message is published: `expiration`, `user_id`, `reply_to`.
    #[inline]
    #[must_use]
    pub const fn concern_publishing(&self) -> bool {
        const LOOKED_AT: u16 =
            Property::Expiration.flag() | Property::UserId.flag() | Property::ReplyTo.flag();
        self.flags & LOOKED_AT != 0
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
    #[inline]
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
    #[inline]
    #[must_use]
    pub fn expiration(&self) -> Option<&'a [u8]> {
        self.find(Property::Expiration)
    }

    /// Time to live in milliseconds, read as RabbitMQ reads it: any number of leading zeros, and a sign if it
    /// does not make it negative. `None` without one, and for one that is refused when it is published.
    #[inline]
    #[must_use]
    pub fn expiration_ms(&self) -> Option<u64> {
        self.expiration().and_then(milliseconds)
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

    #[inline(never)]
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

    #[inline]
    fn octet(&self, property: Property) -> Option<u8> {
        Reader::new(self.find(property)?).u8()
    }

    /// A property's octets, without their length.
    #[inline]
    fn find(&self, property: Property) -> Option<&'a [u8]> {
        self.split_at(property.flag()).map(|(value, _)| value)
    }

    /// A property's octets without their length, and everything after them.
    #[inline]
    fn split_at(&self, wanted: u16) -> Option<(&'a [u8], &'a [u8])> {
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

/// A number in decimal digits with an optional sign, that is not negative and fits.
fn milliseconds(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    let is_negative = text.first() == Some(&b'-') && number > 0;
    (!digits.is_empty() && !is_negative).then_some(number)
}

/// The same properties without the headers of that name, as RabbitMQ strips `BCC`. The rest keeps its octets,
/// and headers that become empty stay present.
#[must_use]
pub fn without_header(header: &[u8], name: &str) -> Vec<u8> {
    let view = PropertiesView::assume_checked(header);
    let Some((headers, after)) = view.split_at(Property::Headers.flag()) else {
        return header.to_vec();
    };
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

/// The same properties with one more header, a number, which takes the place of any of that name. `name` is at most
/// 255 octets long.
#[must_use]
pub fn with_long_header(header: &[u8], name: &str, value: i64) -> Vec<u8> {
    let headers = PropertiesView::assume_checked(header).split_at(Property::Headers.flag());
    let headers = headers.map(|(headers, _)| headers).unwrap_or_default();
    let mut changed = Vec::with_capacity(header.len() + name.len() + 16);
    with_headers(header, None, &mut changed, |into| {
        into.extend(fields_without(headers, name));
        into.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        into.extend(name.as_bytes());
        into.push(b'l');
        into.extend(value.to_be_bytes());
    });
    changed
}

/// The same properties with another `reply_to`. Those that have none stay as they are.
#[must_use]
pub fn with_reply_to(header: &[u8], reply_to: &str) -> Vec<u8> {
    let view = PropertiesView::assume_checked(header);
    let (Some((old, after)), Ok(length)) =
        (view.split_at(Property::ReplyTo.flag()), u8::try_from(reply_to.len()))
    else {
        return header.to_vec();
    };
    let before = header.len().saturating_sub(after.len() + old.len() + size_of::<u8>());

    let mut changed = Vec::with_capacity(header.len() + reply_to.len());
    changed.extend(header.iter().take(before));
    changed.push(length);
    changed.extend(reply_to.as_bytes());
    changed.extend(after);
    changed
}

/// Appends the same properties with other headers and without `dropped`. `fill` appends the fields of the new
/// table, without its length. Of the other properties only lengths are looked at; their octets stay.
pub fn with_headers(
    header: &[u8],
    dropped: Option<Property>,
    into: &mut Vec<u8>,
    fill: impl FnOnce(&mut Vec<u8>),
) {
    const HEADERS: u16 = Property::Headers.flag();
    let view = PropertiesView::assume_checked(header);
    let before = view.flags & !(HEADERS | (HEADERS - 1));
    let after = view.flags & (HEADERS - 1) & !FLAGS_UNUSED;
    let mut values = Reader::new(view.values);

    let start = into.len();
    into.extend([0; 2]);
    let mut flags = HEADERS | copy_values(&mut values, before, dropped, into);
    if view.flags & HEADERS != 0 {
        values.long();
    }
    let length_at = into.len();
    into.extend([0; 4]);
    fill(into);
    let length = u32::try_from(into.len() - length_at - 4).unwrap_or(u32::MAX);
    flags |= copy_values(&mut values, after, dropped, into);

    overwrite(into, length_at, length.to_be_bytes());
    overwrite(into, start, flags.to_be_bytes());
}

/// Appends the values of these flags but for `dropped`, and says which they were.
fn copy_values(
    values: &mut Reader<'_>,
    flags: u16,
    dropped: Option<Property>,
    into: &mut Vec<u8>,
) -> u16 {
    let mut copied = 0;
    for flag in set_flags(flags) {
        let start = values.rest();
        if read_value(values, flag).is_none() {
            break;
        }
        if dropped.is_none_or(|dropped| flag != dropped.flag()) {
            let value = start.len() - values.rest().len();
            into.extend_from_slice(start.get(..value).unwrap_or_default());
            copied |= flag;
        }
    }
    copied
}

fn overwrite<const N: usize>(octets: &mut [u8], at: usize, with: [u8; N]) {
    if let Some(place) = octets.get_mut(at..at + N) {
        place.copy_from_slice(&with);
    }
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
mod tests;
