//! A hash that says the same in every process, on every machine and in every release.
//!
//! Where messages go after a restart hangs on it, so it must never change; the standard library's hashes promise
//! less. It is FNV-1a with a last step that spreads every bit over the whole number. Nobody is protected from keys
//! chosen to collide: whoever wants all messages in one queue can give them one key.

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// The hash of several pieces; where one ends and the next begins counts.
pub(super) fn hash_all<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let folded = pieces.into_iter().fold(FNV_OFFSET, |state, piece| {
        fold(fold(state, &(piece.len() as u64).to_be_bytes()), piece)
    });
    mix(folded)
}

/// Spreads every bit of `number` over the whole result (the finalizer of `SplitMix64`).
pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn fold(state: u64, octets: &[u8]) -> u64 {
    octets.iter().fold(state, |state, octet| (state ^ u64::from(*octet)).wrapping_mul(FNV_PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_what_it_was_in_every_release() {
        assert_eq!(fold(FNV_OFFSET, b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fold(FNV_OFFSET, b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn pieces_are_told_apart() {
        assert_ne!(hash_all([&b"ab"[..], b"c"]), hash_all([&b"a"[..], b"bc"]));
        assert_ne!(hash_all([&b"a"[..]]), hash_all([&b"a"[..], b""]));
    }
}
