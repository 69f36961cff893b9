//! Who may log in, and what they may then do.
//!
//! * [`users`] knows every user and decides about logins;
//! * [`password`] keeps and checks RabbitMQ's salted password hashes;
//! * [`permissions`] decides about names of exchanges and queues;
//! * [`topics`] decides about routing keys of topic exchanges.
//!
//! Invariants:
//! * No secret is ever shown: not in `Debug`, not in an error.
//! * A refused login costs one hash and says the same, whether or not the user exists.
//!
//! Nothing here knows SASL or where users are written down.

pub mod password;
pub mod permissions;
pub mod topics;
pub mod users;

pub use password::{Password, PasswordError, PasswordHash};
pub use permissions::{Access, Pattern, PatternError, Permission};
pub use topics::{TopicPermission, TopicVariables};
pub use users::{Credential, Refused, User, UserDefinition, UserLimits, Users, is_loopback};
