//! What machines do to a store: tails that are torn anywhere, and file descriptors that run out.
//!
//! Power cuts, flipped bits, full and failing disks need the inside of the broker: `src/durability/tests`.
#![allow(
    unreachable_pub,
    dead_code,
    reason = "the support of another binary; not all of it is used"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what is wrong by failing"
)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests wait for real processes, by the real clock, and have no lock order to keep"
)]

#[macro_use]
#[path = "../it/support/mod.rs"]
#[allow(unused_imports, reason = "what this binary does not need, the other does")]
mod support;

mod bits;
mod descriptors;
mod torn;
