//! Values of the checkpoint behind a checksum of our own.
//!
//! What is stored is the value, then the CRC32C of the key's length, the key and the value (four octets,
//! little-endian). So a value that changed, or lies under another key, is never taken for good, whatever the
//! database below believes.

use super::error::StoreError;

const CHECKSUM: usize = 4;

/// What is stored under `key` for `value`.
pub(super) fn seal(key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let checksum = checksum(key, &value);
    value.extend(checksum.to_le_bytes());
    value
}

/// The value of what is stored under `key`.
pub(super) fn unseal<'a>(key: &[u8], stored: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let damaged =
        |what: &str| StoreError::DamagedValue { key: key.to_vec(), what: what.to_owned() };
    let (value, sealed) =
        stored.split_last_chunk::<CHECKSUM>().ok_or_else(|| damaged("it is too short"))?;
    if checksum(key, value) == u32::from_le_bytes(*sealed) {
        return Ok(value);
    }
    Err(damaged("its checksum does not fit"))
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    // Without the length, an octet could move from the key to the value.
    let length = crc32c::crc32c(&(key.len() as u64).to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(length, key), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_value_or_key_is_found() {
        let (key, stored) = (b"i-key".to_vec(), seal(b"i-key", b"a value".to_vec()));
        assert_eq!(unseal(&key, &stored).unwrap(), b"a value");

        for bit in 0..8 * (key.len() + stored.len()) {
            let (mut key, mut stored) = (key.clone(), stored.clone());
            let octets = key.len();
            let octet =
                if bit / 8 < octets { &mut key[bit / 8] } else { &mut stored[bit / 8 - octets] };
            *octet ^= 1 << (bit % 8);
            assert!(unseal(&key, &stored).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn an_octet_does_not_move_from_key_to_value() {
        let stored = seal(b"key", b"value".to_vec());
        assert!(unseal(b"ke", &[b"y", stored.as_slice()].concat()).is_err());
    }

    #[test]
    fn a_damaged_value_is_named_by_its_key() {
        let error = unseal(b"i\0\x07", b"abc").unwrap_err().to_string();
        assert_eq!(
            error,
            "store: the checkpoint's value of key 'i\\x00\\x07' cannot be used: it is too short"
        );
    }
}
