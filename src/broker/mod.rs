//! To be written.

pub mod exchange;
