//! Names the broker makes up: of queues and of consumers.

use amq_protocol::types::ShortString;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// `prefix` and 22 characters of URL-safe base64 of 16 random bytes, as RabbitMQ makes them.
pub(super) fn generate(prefix: &str) -> String {
    let mut random = [0; 16];
    if getrandom::fill(&mut random).is_err() {
        // The system has no randomness to give. A name need only be unique: the clock and a counter are.
        random = unlikely_twice();
    }
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random))
}

/// `prefix` and two parts in base64, of 12 and 16 random bytes, which nobody can guess; none if the system has no
/// randomness to give. RabbitMQ's direct reply-to names are of this shape, where the first part is an Erlang process;
/// tests of clients match it.
pub(super) fn secret(prefix: &str) -> Option<String> {
    let mut random = [0; 28];
    getrandom::fill(&mut random).ok()?;
    let (first, second) = random.split_at(12);
    Some(format!("{prefix}.{}.{}", STANDARD.encode(first), STANDARD.encode(second)))
}

/// The consumer tag that basic.consume gives, or a new one.
pub(super) fn consumer_tag(given: &ShortString) -> String {
    match given.as_str() {
        "" => generate("amq.ctag-"),
        given => given.to_owned(),
    }
}

fn unlikely_twice() -> [u8; 16] {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since.unwrap_or_default().as_nanos() & u128::from(u64::MAX);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    ((nanos << 64) | u128::from(count)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_have_rabbitmqs_shape_and_differ() {
        let (one, other) = (generate("amq.gen-"), generate("amq.gen-"));
        assert_eq!(one.len(), 30);
        assert_ne!(one, other);
    }

    #[test]
    fn a_secret_has_rabbitmqs_shape_and_more_than_128_random_bits() {
        let (one, other) = (secret("name").unwrap(), secret("name").unwrap());
        let parts: Vec<&str> = one.split('.').collect();
        assert!(
            matches!(parts[..], ["name", first, second] if first.len() == 16 && second.len() == 24),
            "{one}"
        );
        assert!(one.ends_with("=="), "{one}");
        assert_ne!(one, other);
    }
}
