//! Every user, and the decision about a login.
//!
//! Invariants:
//! * An account never changes; a connection keeps the [`User`] it logged in as.
//! * Each attempt to log in computes exactly one hash, also for a user that does not exist.
//! * An empty password never logs in (RabbitMQ: users without a password cannot use one).

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::password::{Password, PasswordError, PasswordHash};
use super::permissions::{Access, Permission};
use super::topics::TopicPermission;
use crate::sync::{Place, Places};

/// A user as the operator describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserDefinition {
    /// The name to log in with.
    pub name: String,
    /// What proves it.
    pub credential: Credential,
    /// RabbitMQ's tags: `administrator`, `monitoring`, `management`, `impersonator`, or any other word.
    pub tags: Vec<String>,
    /// Rights, one entry for each virtual host the user may enter.
    pub permissions: Vec<Permission>,
    /// Rights to routing keys, one entry for each topic exchange that is not open with every key.
    pub topic_permissions: Vec<TopicPermission>,
    /// What the user may have at a time.
    pub limits: UserLimits,
}

/// Bounds of what a user may have at a time; `None` is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserLimits {
    /// Connections.
    pub max_connections: Option<u64>,
    /// Channels, of all connections together.
    pub max_channels: Option<u64>,
}

/// What proves who a user is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A password in the clear; only its hash is kept.
    Password(Password),
    /// A hash of the password.
    Hash(PasswordHash),
}

/// All users of the broker.
#[derive(Debug)]
pub struct Users {
    accounts: HashMap<String, Arc<Account>>,
    loopback_only: HashSet<String>,
    /// Checked in place of a user that does not exist, so that a refusal takes as long.
    nobody: PasswordHash,
}

impl Users {
    /// Knows the users of `definitions`; of two with one name, the later. Those in `loopback_only` may log in
    /// from this machine alone (RabbitMQ's `loopback_users`).
    ///
    /// Fails if the operating system has no random numbers to salt a password with.
    pub fn new(
        definitions: impl IntoIterator<Item = UserDefinition>,
        loopback_only: impl IntoIterator<Item = String>,
    ) -> Result<Self, PasswordError> {
        let accounts = definitions.into_iter().map(|definition| {
            let account = Account::new(definition)?;
            Ok((account.name.clone(), Arc::new(account)))
        });
        Ok(Self {
            accounts: accounts.collect::<Result<_, _>>()?,
            loopback_only: loopback_only.into_iter().collect(),
            nobody: PasswordHash::create(b"")?,
        })
    }

    /// Decides about a login with `password` from a peer that is, or is not, on this machine (see
    /// [`is_loopback`]). The peer must not learn which [`Refused`] it was.
    pub fn authenticate(
        &self,
        name: &str,
        password: &[u8],
        peer_is_loopback: bool,
    ) -> Result<User, Refused> {
        let account = self.accounts.get(name);
        let hash = account.map_or(&self.nobody, |account| &account.hash);
        let proven = hash.verify(password) && !password.is_empty();
        let Some(account) = account.filter(|_| proven) else {
            return Err(Refused::Credentials);
        };
        if self.loopback_only.contains(name) && !peer_is_loopback {
            return Err(Refused::NotLoopback);
        }
        Ok(User { account: Arc::clone(account) })
    }

    /// The user called `name`, without any proof. For a protocol that has proven it by other means.
    pub fn get(&self, name: &str) -> Option<User> {
        self.accounts.get(name).map(|account| User { account: Arc::clone(account) })
    }
}

/// True if `peer` is this machine, also if its IPv4 address comes wrapped in IPv6 (`::ffff:127.0.0.1`).
pub fn is_loopback(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

/// A user who is logged in. Cheap to clone; shows the rights of the moment of the login.
#[derive(Clone)]
pub struct User {
    account: Arc<Account>,
}

impl User {
    /// The user's name.
    pub fn name(&self) -> &str {
        &self.account.name
    }

    /// The user's tags, in the operator's order.
    pub fn tags(&self) -> &[String] {
        &self.account.tags
    }

    /// True if the user has `tag`. RabbitMQ lets `impersonator` set any `user-id` on a message.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.account.tags.iter().any(|one| one == tag)
    }

    /// True if the user may open a connection to `vhost`: any permission there will do.
    pub fn may_enter(&self, vhost: &str) -> bool {
        self.account.permission(vhost).is_some()
    }

    /// True if the user may do `access` to the exchange or queue `name` in `vhost`. The default exchange goes
    /// by the name `amq.default`.
    pub fn may(&self, vhost: &str, access: Access, name: &str) -> bool {
        self.account.permission(vhost).is_some_and(|permission| permission.allows(access, name))
    }

    /// True if there is a topic exchange in `vhost` that is not open to the user with every key. Never changes.
    pub fn is_restricted_by_topic(&self, vhost: &str) -> bool {
        self.account.topic_permissions.iter().any(|topic| topic.vhost == vhost)
    }

    /// True if the user may do `access` with `routing_key` of the topic exchange `exchange` in `vhost`.
    pub fn may_with_key(
        &self,
        vhost: &str,
        access: Access,
        exchange: &str,
        routing_key: &str,
    ) -> bool {
        let mut topics = self.account.topic_permissions.iter();
        let topic = topics.find(|topic| topic.is_for(vhost, exchange));
        topic.is_none_or(|topic| topic.allows(access, routing_key))
    }
}

impl User {
    /// A place for one more connection, or how many there may be if all are taken.
    pub fn connect(&self) -> Result<Place, u64> {
        self.account.connections.take(self.account.limits.max_connections)
    }

    /// The same for a channel.
    pub fn open_channel(&self) -> Result<Place, u64> {
        self.account.channels.take(self.account.limits.max_channels)
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({:?})", self.account.name)
    }
}

/// Why a login was refused. For the log; the peer gets one answer for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No such user, or not the user's password.
    Credentials,
    /// The right password, but from another machine, for a user of `loopback_users`.
    NotLoopback,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Credentials => "invalid credentials",
            Self::NotLoopback => "user can only connect from this machine (see loopback_users)",
        })
    }
}

impl std::error::Error for Refused {}

#[derive(Debug)]
struct Account {
    name: String,
    hash: PasswordHash,
    tags: Vec<String>,
    permissions: Vec<Permission>,
    topic_permissions: Vec<TopicPermission>,
    limits: UserLimits,
    connections: Places,
    channels: Places,
}

impl Account {
    fn new(definition: UserDefinition) -> Result<Self, PasswordError> {
        let UserDefinition { name, credential, tags, permissions, topic_permissions, limits } =
            definition;
        let hash = match credential {
            Credential::Password(password) => password.hash()?,
            Credential::Hash(hash) => hash,
        };
        let (connections, channels) = Default::default();
        Ok(Self { name, hash, tags, permissions, topic_permissions, limits, connections, channels })
    }

    /// Users have a handful of virtual hosts; a search beats a map.
    fn permission(&self, vhost: &str) -> Option<&Permission> {
        self.permissions.iter().find(|permission| permission.vhost == vhost)
    }
}

#[cfg(test)]
mod tests {
    use super::super::permissions::Pattern;
    use super::*;

    const LOOPBACK: bool = true;
    const REMOTE: bool = false;

    fn definition(name: &str, password: &str) -> UserDefinition {
        UserDefinition {
            name: name.to_owned(),
            credential: Credential::Password(Password::new(password)),
            tags: vec!["monitoring".to_owned()],
            permissions: vec![Permission::all("/")],
            topic_permissions: Vec::new(),
            limits: UserLimits::default(),
        }
    }

    fn users() -> Users {
        let definitions = [definition("guest", "guest"), definition("ada", "lovelace")];
        Users::new(definitions, ["guest".to_owned()]).unwrap()
    }

    #[test]
    fn the_right_password_logs_in() {
        let user = users().authenticate("ada", b"lovelace", REMOTE).unwrap();
        assert_eq!(user.name(), "ada");
        assert!(user.has_tag("monitoring"));
        assert!(!user.has_tag("administrator"));
    }

    #[test]
    fn an_unknown_user_and_a_wrong_password_are_refused_alike() {
        let unknown = users().authenticate("eve", b"lovelace", LOOPBACK).unwrap_err();
        let wrong = users().authenticate("ada", b"byron", LOOPBACK).unwrap_err();
        assert_eq!(unknown, wrong);
        assert_eq!(unknown, Refused::Credentials);
    }

    #[test]
    fn a_loopback_user_is_refused_from_another_machine() {
        let users = users();
        assert!(users.authenticate("guest", b"guest", LOOPBACK).is_ok());
        assert_eq!(
            users.authenticate("guest", b"guest", REMOTE).unwrap_err(),
            Refused::NotLoopback
        );
    }

    #[test]
    fn a_loopback_user_with_a_wrong_password_learns_nothing_about_the_rule() {
        let refused = users().authenticate("guest", b"wrong", REMOTE).unwrap_err();
        assert_eq!(refused, Refused::Credentials);
    }

    #[test]
    fn an_empty_password_never_logs_in() {
        let hash = PasswordHash::create(b"").unwrap();
        let blank = UserDefinition { credential: Credential::Hash(hash), ..definition("bo", "") };
        let users = Users::new([blank], []).unwrap();
        assert_eq!(users.authenticate("bo", b"", LOOPBACK).unwrap_err(), Refused::Credentials);
        assert_eq!(users.authenticate("eve", b"", LOOPBACK).unwrap_err(), Refused::Credentials);
    }

    #[test]
    fn a_user_enters_the_virtual_hosts_it_has_a_permission_in() {
        let nothing = Pattern::parse("").unwrap();
        let mut definition = definition("ada", "lovelace");
        definition.permissions.push(Permission {
            vhost: "look".to_owned(),
            configure: nothing.clone(),
            write: nothing.clone(),
            read: nothing,
        });
        let user = Users::new([definition], []).unwrap().get("ada").unwrap();

        assert!(user.may_enter("/"));
        assert!(user.may_enter("look"));
        assert!(!user.may_enter("other"));
    }

    #[test]
    fn rights_in_one_virtual_host_are_none_in_another() {
        let user = users().get("ada").unwrap();
        assert!(user.may("/", Access::Write, "amq.default"));
        assert!(!user.may("other", Access::Write, "amq.default"));
    }

    #[test]
    fn only_an_exchange_with_a_topic_permission_is_restricted() {
        let topic = TopicPermission {
            vhost: "/".to_owned(),
            exchange: "news".to_owned(),
            write: Pattern::parse("^mine").unwrap(),
            read: Pattern::any(),
        };
        let restricted =
            UserDefinition { topic_permissions: vec![topic], ..definition("ada", "x") };
        let ada = Users::new([restricted], []).unwrap().get("ada").unwrap();

        assert!(ada.may_with_key("/", Access::Write, "news", "mine.1"));
        assert!(!ada.may_with_key("/", Access::Write, "news", "yours.1"));
        assert!(ada.may_with_key("/", Access::Read, "news", "yours.1"));
        assert!(ada.may_with_key("/", Access::Write, "others", "yours.1"));
        assert!(ada.may_with_key("other", Access::Write, "news", "yours.1"));
        assert!(ada.is_restricted_by_topic("/"));
        assert!(!ada.is_restricted_by_topic("other"));
        assert!(!users().get("ada").unwrap().is_restricted_by_topic("/"));
    }

    #[test]
    fn a_user_has_as_many_connections_and_channels_as_allowed() {
        let limits = UserLimits { max_connections: Some(1), max_channels: Some(2) };
        let users = Users::new([UserDefinition { limits, ..definition("ada", "x") }], []).unwrap();
        // Two logins are one user.
        let (one, other) = (users.get("ada").unwrap(), users.get("ada").unwrap());

        let connection = one.connect().unwrap();
        assert_eq!(other.connect().unwrap_err(), 1);
        drop(connection);
        assert!(other.connect().is_ok());
        let _channels = [one.open_channel().unwrap(), other.open_channel().unwrap()];
        assert_eq!(one.open_channel().unwrap_err(), 2);
    }

    #[test]
    fn of_two_definitions_of_one_user_the_later_counts() {
        let users = Users::new([definition("ada", "one"), definition("ada", "two")], []).unwrap();
        assert!(users.authenticate("ada", b"one", LOOPBACK).is_err());
        assert!(users.authenticate("ada", b"two", LOOPBACK).is_ok());
    }

    #[test]
    fn a_wrapped_ipv4_loopback_address_is_loopback() {
        for (address, expected) in [
            ("127.0.0.1", true),
            ("127.8.8.8", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("::ffff:10.0.0.1", false),
            ("192.168.0.1", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(is_loopback(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn debug_output_of_the_registry_holds_no_password() {
        let shown = format!("{:?} {:?}", users(), definition("ada", "lovelace"));
        assert!(!shown.contains("lovelace"), "{shown}");
    }
}
