//! The broker without a protocol and without a disk.

pub(in crate::broker) mod support;
