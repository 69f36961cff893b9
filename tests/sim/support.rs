//! The clients' codec. It is the one of tests/it, written apart from the crate's own.

#[macro_use]
#[path = "../it/support/fields.rs"]
mod fields;
#[path = "../it/support/methods.rs"]
mod methods;
#[path = "../it/support/properties.rs"]
mod properties;

pub use fields::{Field, Table};
pub use methods::{Method, method};
pub use properties::properties;
