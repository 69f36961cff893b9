//! The alphabet of what durability writes: varints, counted bytes, UTF-8, and a reader that trusts nothing.
//!
//! Varints are LEB128: seven bits an octet, low ones first.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Bytes that are no record of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// They end too early.
    Truncated,
    /// A version octet this program does not know.
    UnknownVersion {
        /// Of what: "frame", "value".
        of: &'static str,
        /// The octet.
        found: u8,
    },
    /// A kind octet this program does not know.
    UnknownKind {
        /// Of what: "record", "definition".
        of: &'static str,
        /// The octet.
        found: u8,
    },
    /// They say something that cannot be.
    Malformed(&'static str),
    /// The checksum of a message does not fit its bytes.
    Checksum,
}

impl fmt::Display for RecordError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => write!(formatter, "a record ends too early"),
            Self::UnknownVersion { of, found } => {
                write!(formatter, "{of} of version {found} is unknown; a newer release wrote it")
            }
            Self::UnknownKind { of, found } => {
                write!(formatter, "{of} of kind {found} is unknown; a newer release wrote it")
            }
            Self::Malformed(what) => write!(formatter, "malformed record: {what}"),
            Self::Checksum => write!(formatter, "the message's checksum does not fit its bytes"),
        }
    }
}

impl Error for RecordError {}

/// Appends an integer, one octet for each seven bits.
pub(super) fn put_varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(low_octet(value) | 0x80);
        value >>= 7;
    }
    into.push(low_octet(value));
}

fn low_octet(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

/// Appends a signed integer, short if it is near zero.
pub(super) fn put_signed(into: &mut Vec<u8>, value: i64) {
    put_varint(into, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Appends bytes behind their count.
pub(super) fn put_bytes(into: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}

/// Takes bytes apart from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { all: bytes, at: 0 }
    }

    /// How many bytes were taken.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at == self.all.len()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        let rest = self.all.get(self.at..).unwrap_or_default();
        let taken = rest.get(..count).ok_or(RecordError::Truncated)?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| RecordError::Truncated)
    }

    pub(super) fn octet(&mut self) -> Result<u8, RecordError> {
        let [octet] = self.array()?;
        Ok(octet)
    }

    pub(super) fn varint(&mut self) -> Result<u64, RecordError> {
        let mut value = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let octet = self.octet()?;
            let bits = u64::from(octet & 0x7F);
            if bits << shift >> shift != bits {
                break;
            }
            value |= bits << shift;
            if octet < 0x80 {
                return Ok(value);
            }
        }
        Err(RecordError::Malformed("an integer does not fit 64 bits"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, RecordError> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A varint that fits the type asked for.
    pub(super) fn number<T: TryFrom<u64>>(&mut self) -> Result<T, RecordError> {
        T::try_from(self.varint()?).map_err(|_| RecordError::Malformed("a number is too large"))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let count = self.number()?;
        self.take(count)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, RecordError> {
        std::str::from_utf8(self.bytes()?)
            .map_err(|_| RecordError::Malformed("a name is not UTF-8"))
    }

    pub(super) fn name(&mut self) -> Result<Arc<str>, RecordError> {
        self.text().map(Arc::from)
    }

    pub(super) fn flag(&mut self) -> Result<bool, RecordError> {
        match self.octet()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(RecordError::Malformed("a flag is neither 0 nor 1")),
        }
    }

    /// Takes the version octet of `of`, which must be `known`.
    pub(super) fn version(&mut self, of: &'static str, known: u8) -> Result<(), RecordError> {
        let found = self.octet()?;
        if found == known { Ok(()) } else { Err(RecordError::UnknownVersion { of, found }) }
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), RecordError> {
        if self.is_empty() {
            return Ok(());
        }
        Err(RecordError::Malformed("there are bytes behind its end"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_integer_of_more_than_64_bits_is_refused() {
        let bytes = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02];
        assert!(Reader::new(&bytes).varint().is_err());
    }

    proptest! {
        #[test]
        fn integers_come_back(value: u64, signed: i64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            put_signed(&mut bytes, signed);

            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert_eq!(reader.signed(), Ok(signed));
            prop_assert!(reader.is_empty());
        }
    }
}
