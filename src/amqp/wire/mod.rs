//! To be written.

pub mod frame;
