//! Passwords and their hashes, in RabbitMQ's format: base64 of a salt of four octets followed by the
//! SHA-256 or SHA-512 of salt and password. Such hashes can be taken over from a RabbitMQ unchanged.
//!
//! RabbitMQ's oldest format, MD5, is refused.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256, Sha512};
use subtle::ConstantTimeEq as _;

const SALT: usize = 4;
const SHA256: usize = 32;
const SHA512: usize = 64;
const MD5: usize = 16;

/// A password in the clear. It never shows its content.
///
/// Equality is for comparing settings; a login is decided by [`PasswordHash::verify`].
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Keeps `text` out of sight.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The hash to keep in its place, with a salt of its own.
    pub fn hash(&self) -> Result<PasswordHash, PasswordError> {
        PasswordHash::create(self.0.as_bytes())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A salted hash of a password. It never shows its content, except through [`PasswordHash::encode`].
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    salt: [u8; SALT],
    digest: Digest,
}

#[derive(Clone, PartialEq, Eq)]
enum Digest {
    Sha256([u8; SHA256]),
    Sha512([u8; SHA512]),
}

impl PasswordHash {
    /// Hashes `password` with SHA-256 (RabbitMQ's default) and a random salt.
    ///
    /// Fails if the operating system has no random numbers to give.
    pub fn create(password: &[u8]) -> Result<Self, PasswordError> {
        let mut salt = [0; SALT];
        getrandom::fill(&mut salt).map_err(|_| PasswordError::NoRandomness)?;
        Ok(Self { salt, digest: Digest::Sha256(sha256(salt, password)) })
    }

    /// Reads what RabbitMQ exports as `password_hash`. The length tells the algorithm.
    pub fn parse(text: &str) -> Result<Self, PasswordError> {
        let bytes = BASE64.decode(text).map_err(|_| PasswordError::NotBase64)?;
        let (&salt, digest) = bytes.split_first_chunk().ok_or(PasswordError::WrongLength)?;
        let digest = match digest.len() {
            MD5 => return Err(PasswordError::Md5),
            SHA256 => digest.try_into().map(Digest::Sha256),
            _ => digest.try_into().map(Digest::Sha512),
        };
        Ok(Self { salt, digest: digest.map_err(|_| PasswordError::WrongLength)? })
    }

    /// RabbitMQ's `password_hash`, for an export of definitions.
    pub fn encode(&self) -> String {
        let digest: &[u8] = match &self.digest {
            Digest::Sha256(digest) => digest,
            Digest::Sha512(digest) => digest,
        };
        BASE64.encode([&self.salt, digest].concat())
    }

    /// RabbitMQ's `hashing_algorithm`, for an export of definitions.
    pub fn algorithm(&self) -> &'static str {
        match self.digest {
            Digest::Sha256(_) => "rabbit_password_hashing_sha256",
            Digest::Sha512(_) => "rabbit_password_hashing_sha512",
        }
    }

    /// True if this is the hash of `password`. Takes as long for a wrong one as for the right one.
    pub fn verify(&self, password: &[u8]) -> bool {
        match &self.digest {
            Digest::Sha256(digest) => digest.ct_eq(&sha256(self.salt, password)).into(),
            Digest::Sha512(digest) => digest.ct_eq(&sha512(self.salt, password)).into(),
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordHash({}, ..)", self.algorithm())
    }
}

/// Why there is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordError {
    /// The text is not base64 with its padding.
    NotBase64,
    /// The text does not hold a salt and a SHA-256 or SHA-512.
    WrongLength,
    /// The text holds an MD5.
    Md5,
    /// The operating system gave no random salt.
    NoRandomness,
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotBase64 => "not base64",
            Self::WrongLength => {
                "not a salt of 4 octets followed by a SHA-256 (32 octets) or a SHA-512 (64 octets)"
            }
            Self::Md5 => "RabbitMQ's old MD5 hash, which is not safe; set the password anew",
            Self::NoRandomness => "the operating system gave no random numbers",
        })
    }
}

impl std::error::Error for PasswordError {}

fn sha256(salt: [u8; SALT], password: &[u8]) -> [u8; SHA256] {
    Sha256::new().chain_update(salt).chain_update(password).finalize().into()
}

fn sha512(salt: [u8; SALT], password: &[u8]) -> [u8; SHA512] {
    Sha512::new().chain_update(salt).chain_update(password).finalize().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example in RabbitMQ's guide to passwords: salt 90 8D C6 0A, password `test12`.
    const TEST12_SHA256: &str = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";
    /// The same salt and password; computed with Python's hashlib.
    const TEST12_SHA512: &str = "kI3GChuNuIYf8lRbCCxZjgjKwsY19ns6+uFO0zcXRBGA/XGJPYD8OWMy7EB8TaOmAzjP2azv84GbINYwX2cDWb4DHnc=";
    /// The same salt, password `pässword €` in UTF-8; computed with Python's hashlib.
    const UMLAUT_SHA256: &str = "kI3GCnl48yMahBycRtK0Ip12EMZOCBXXIJjfJ4frZZpvPNKm";

    #[test]
    fn a_sha256_hash_from_rabbitmq_verifies() {
        let hash = PasswordHash::parse(TEST12_SHA256).unwrap();
        assert!(hash.verify(b"test12"));
        assert!(!hash.verify(b"test13"));
        assert_eq!(hash.algorithm(), "rabbit_password_hashing_sha256");
    }

    #[test]
    fn a_sha512_hash_from_rabbitmq_verifies() {
        let hash = PasswordHash::parse(TEST12_SHA512).unwrap();
        assert!(hash.verify(b"test12"));
        assert!(!hash.verify(b""));
        assert_eq!(hash.algorithm(), "rabbit_password_hashing_sha512");
    }

    #[test]
    fn a_password_beyond_ascii_is_hashed_as_utf8() {
        let hash = PasswordHash::parse(UMLAUT_SHA256).unwrap();
        assert!(hash.verify("pässword €".as_bytes()));
    }

    #[test]
    fn a_hash_is_exported_as_it_was_imported() {
        for text in [TEST12_SHA256, TEST12_SHA512] {
            assert_eq!(PasswordHash::parse(text).unwrap().encode(), text);
        }
    }

    #[test]
    fn two_hashes_of_one_password_have_different_salts() {
        let hashes: Vec<_> = (0..8).map(|_| PasswordHash::create(b"same").unwrap()).collect();
        assert!(hashes.iter().any(|hash| hash.salt != hashes[0].salt));
    }

    #[test]
    fn what_is_not_a_hash_is_refused_with_the_reason() {
        let of_length = |octets: usize| BASE64.encode(vec![7; octets]);
        let refusal = |text: &str| PasswordHash::parse(text).unwrap_err();

        assert_eq!(refusal("not base64!"), PasswordError::NotBase64);
        assert_eq!(refusal(""), PasswordError::WrongLength);
        assert_eq!(refusal(&of_length(SALT + SHA256 + 1)), PasswordError::WrongLength);
        assert_eq!(refusal(&of_length(SALT + MD5)), PasswordError::Md5);
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let hash = PasswordHash::parse(TEST12_SHA256).unwrap();
        assert_eq!(format!("{hash:?}"), "PasswordHash(rabbit_password_hashing_sha256, ..)");
        assert_eq!(format!("{:?}", Password::new("hunter2")), "Password(..)");
    }

    proptest! {
        #[test]
        fn only_the_password_that_was_hashed_verifies(password in ".{0,40}", other in ".{0,40}") {
            let hash = Password::new(password.as_str()).hash().unwrap();
            prop_assert!(hash.verify(password.as_bytes()));
            prop_assert_eq!(hash.verify(other.as_bytes()), password == other);
        }

        #[test]
        fn no_text_makes_parsing_panic(text in any::<String>()) {
            let _refused_or_read = PasswordHash::parse(&text);
        }
    }
}
