//! The promises of a queue, in its own words.
