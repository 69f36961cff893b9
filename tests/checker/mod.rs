//! What clients saw, and whether a broker may behave like that.
//!
//! Clients note an [`Event`] for everything they do, before the octets leave, and for everything they hear. A
//! [`Checker`] takes the events in order and says what was lost, comes twice, comes back, comes in the wrong order, or
//! is half a transaction. A [`History`] keeps the events as lines of text, so that a failure can be looked at, and
//! judged again.
//!
//! All messages are persistent and all queues durable; other messages promise nothing that could be checked here.
//!
//! * `event` — the events, and their lines.
//! * `history` — where clients note them.
//! * `judge` — the checker.
//! * `message` — what is known of one message in one queue.
//! * `verdict` — what it says in the end.

mod event;
mod history;
mod judge;
mod message;
mod verdict;

pub use event::{ClientId, Event, How, MessageId};
pub use history::History;
pub use judge::Checker;
pub use verdict::Verdict;
