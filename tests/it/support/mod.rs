//! What the dialogues are written with: a broker to talk to, a peer that speaks frames, and waiting with a deadline.

#[macro_use]
mod fields;
mod broker;
mod methods;
mod peer;
mod properties;
mod verbs;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use broker::TestBroker;
pub use fields::{Field, Table};
pub use methods::{Method, method};
pub use peer::{Login, RawPeer, Read, frame};
pub use properties::{Properties, all_tags, properties};
pub use verbs::{Delivery, content_header};

/// How long a test waits for something that must come. Generous: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until the answer is yes.
///
/// # Panics
/// When it is still no after `deadline`.
pub fn eventually(deadline: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !holds() {
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A name nobody else uses, also when tests share a broker.
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let run = (now.as_nanos() ^ u128::from(std::process::id())) & 0xff_ffff;
    format!("{stem}-{run:06x}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
