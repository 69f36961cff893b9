//! From connection.start to connection.open: what is offered, what clients answer, what is agreed.
//!
//! The order of the methods is kept by [`Peer`](super::peer::Peer); here is what they mean. connection.secure
//! is never sent: both mechanisms say everything in start-ok. `insist` of connection.open is ignored.

use amq_protocol::protocol::connection::{Start, StartOk, Tune, TuneOk};
use amq_protocol::types::{AMQPValue, FieldTable};

use super::command::{Login, Secret};
use super::error::{AmqpError, ReplyCode};
use super::heartbeat::Heartbeat;
use crate::limits;

/// Class and method of connection.tune, which RabbitMQ names for errors of tune-ok.
const TUNE: (u16, u16) = (10, 30);

/// A way to log in that needs one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 4616: authorisation id, user and password between NULs. The authorisation id is ignored.
    Plain,
    /// A field table without its size, with `LOGIN` and `PASSWORD`.
    AmqPlain,
}

impl Mechanism {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::AmqPlain => "AMQPLAIN",
        }
    }

    /// User and password of a response; `None` if it is malformed.
    fn read(self, response: &[u8]) -> Option<(String, Secret)> {
        let (user, password) = match self {
            Self::Plain => plain(response)?,
            Self::AmqPlain => amqplain(response)?,
        };
        let user = std::str::from_utf8(user).ok()?;
        Some((user.to_owned(), Secret::new(password)))
    }
}

/// What the broker offers every client.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Product, version, capabilities: clients branch on them.
    pub server_properties: FieldTable,
    /// In the order of preference.
    pub mechanisms: Vec<Mechanism>,
    /// Channels that may be open at the same time; 0 means no limit.
    pub channel_max: u16,
    /// Octets of a frame with its header and end; 0 means no limit.
    pub frame_max: u32,
    /// Proposed heartbeat, seconds. The client's answer wins.
    pub heartbeat: u16,
    /// Octets of the largest message body that is taken.
    pub max_message_size: u64,
}

impl Offer {
    /// connection.start, which opens the conversation.
    #[must_use]
    pub fn start(&self) -> Start {
        let mechanisms: Vec<&str> = self.mechanisms.iter().map(|it| it.name()).collect();
        Start {
            version_major: 0,
            version_minor: 9,
            server_properties: self.server_properties.clone(),
            mechanisms: mechanisms.join(" ").into(),
            locales: "en_US".into(),
        }
    }

    /// connection.tune, which follows a login.
    #[must_use]
    pub fn tune(&self) -> Tune {
        Tune { channel_max: self.channel_max, frame_max: self.frame_max, heartbeat: self.heartbeat }
    }

    /// Reads who a client says it is.
    ///
    /// # Errors
    /// A mechanism that was not offered and a malformed response are both a refused login, as far as the client
    /// is told.
    pub(super) fn login(&self, answer: &StartOk, client: &Client) -> Result<Login, AmqpError> {
        let name = answer.mechanism.as_str();
        let offered = self.mechanisms.iter().copied().find(|it| it.name() == name);
        let read = offered.and_then(|it| Some((it, it.read(answer.response.as_bytes())?)));
        match read {
            Some((mechanism, (user, password))) => Ok(Login { mechanism, user, password }),
            None => Err(AmqpError::login_refused(name, client.capabilities)),
        }
    }

    /// Checks tune-ok against what was offered. RabbitMQ: values above the offer are refused, 0 counts as such if
    /// there is a limit, and the heartbeat is the client's to choose.
    pub(super) fn agree(&self, answer: &TuneOk) -> Result<Tuning, AmqpError> {
        let (frame_max, channel_max) = (answer.frame_max, answer.channel_max);
        within("frame_max", frame_max, limits::FRAME_MIN, self.frame_max)?;
        within("channel_max", channel_max.into(), 1, self.channel_max.into())?;
        Ok(Tuning {
            channel_max: if channel_max == 0 { u16::MAX } else { channel_max },
            frame_max: if frame_max == 0 { u32::MAX } else { frame_max },
            heartbeat: Heartbeat::new(answer.heartbeat),
        })
    }
}

/// The limits both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Channels that may be open at the same time. It does not limit their numbers.
    pub channel_max: u16,
    /// Octets of a frame with its header and end.
    pub frame_max: u32,
    /// `None` if switched off.
    pub heartbeat: Option<Heartbeat>,
}

impl Tuning {
    /// In force until tune-ok.
    pub(super) const BEFORE_TUNE: Self =
        Self { channel_max: 0, frame_max: limits::FRAME_MAX_BEFORE_TUNE, heartbeat: None };
}

/// What a client says it can take. RabbitMQ looks at these; all others are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a table of independent capabilities")]
pub struct ClientCapabilities {
    /// It wants basic.cancel when a queue it consumes from goes away.
    pub consumer_cancel_notify: bool,
    /// It wants connection.blocked and unblocked.
    pub connection_blocked: bool,
    /// It wants connection.close when a login fails, not just a closed socket.
    pub authentication_failure_close: bool,
    /// It takes basic.nack from the broker.
    pub basic_nack: bool,
    /// It takes confirms.
    pub publisher_confirms: bool,
}

impl ClientCapabilities {
    fn read(table: &FieldTable) -> Self {
        let has = |name| matches!(table.inner().get(name), Some(AMQPValue::Boolean(true)));
        Self {
            consumer_cancel_notify: has("consumer_cancel_notify"),
            connection_blocked: has("connection.blocked"),
            authentication_failure_close: has("authentication_failure_close"),
            basic_nack: has("basic.nack"),
            publisher_confirms: has("publisher_confirms"),
        }
    }
}

/// What a client says about itself in start-ok. Nothing of it is proved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Client {
    /// What it can take.
    pub capabilities: ClientCapabilities,
    /// The name it wants to be seen under.
    pub connection_name: Option<String>,
    /// All of its properties as sent.
    pub properties: FieldTable,
}

impl Client {
    pub(super) fn read(properties: FieldTable) -> Self {
        let capabilities = match properties.inner().get("capabilities") {
            Some(AMQPValue::FieldTable(table)) => ClientCapabilities::read(table),
            Some(_) | None => ClientCapabilities::default(),
        };
        let connection_name = match properties.inner().get("connection_name") {
            Some(AMQPValue::LongString(name)) => Some(name.to_string()),
            Some(_) | None => None,
        };
        Self { capabilities, connection_name, properties }
    }
}

/// RabbitMQ's check of one number of tune-ok, and its words.
fn within(name: &str, value: u32, minimum: u32, maximum: u32) -> Result<(), AmqpError> {
    let refused = |comparison, bound, limit| {
        let unlimited = if value == 0 { " (no limit)" } else { "" };
        let (class, method) = TUNE;
        Err(AmqpError::connection(
            ReplyCode::NotAllowed,
            format_args!(
                "negotiated {name} = {value}{unlimited} is {comparison} than the {bound} allowed value ({limit})"
            ),
        )
        .caused_by(class, method))
    };
    if value != 0 && value < minimum {
        return refused("lower", "minimum", minimum);
    }
    if maximum != 0 && (value == 0 || value > maximum) {
        return refused("higher", "maximum", maximum);
    }
    Ok(())
}

/// RFC 4616, and exactly three parts: NULs in a password would be read differently elsewhere.
fn plain(response: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = response.split(|&octet| octet == 0);
    let (_authorisation_id, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some((user, password))
}

/// Reads `LOGIN` and `PASSWORD`. Only long strings are looked through: no client sends anything else here.
fn amqplain(mut response: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut user, mut password) = (None, None);
    while let Some((&key_len, rest)) = response.split_first() {
        let (key, rest) = rest.split_at_checked(key_len.into())?;
        let (size, rest) = rest.strip_prefix(b"S")?.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*size).try_into().ok()?)?;
        match key {
            b"LOGIN" => user = Some(value),
            b"PASSWORD" => password = Some(value),
            _ => {}
        }
        response = rest;
    }
    Some((user?, password?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(mechanism: Mechanism, response: &[u8]) -> Option<(String, Vec<u8>)> {
        let (user, password) = mechanism.read(response)?;
        Some((user, password.reveal().to_vec()))
    }

    #[test]
    fn plain_names_user_and_password_and_ignores_the_authorisation_id() {
        let guest = Some(("guest".to_owned(), b"secret".to_vec()));
        assert_eq!(credentials(Mechanism::Plain, b"\0guest\0secret"), guest);
        assert_eq!(credentials(Mechanism::Plain, b"someone\0guest\0secret"), guest);
    }

    #[test]
    fn malformed_plain_is_refused() {
        for response in [&b""[..], b"guest", b"\0guest", b"\0guest\0a\0b", b"\0\xFF\0a"] {
            assert_eq!(credentials(Mechanism::Plain, response), None, "{response:?}");
        }
    }

    #[test]
    fn amqplain_is_a_table_without_its_size() {
        let response = b"\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x06secret";
        let guest = Some(("guest".to_owned(), b"secret".to_vec()));
        assert_eq!(credentials(Mechanism::AmqPlain, response), guest);
    }

    #[test]
    fn malformed_amqplain_is_refused() {
        let whole = b"\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x06secret";
        for end in 0..whole.len() {
            assert_eq!(credentials(Mechanism::AmqPlain, &whole[..end]), None, "{end}");
        }
        let number = b"\x05LOGINI\0\0\0\x05\x08PASSWORDS\0\0\0\x01a";
        assert_eq!(credentials(Mechanism::AmqPlain, number), None);
    }

    #[test]
    fn capabilities_count_only_as_boolean_true() {
        let mut capabilities = FieldTable::default();
        capabilities.insert("connection.blocked".into(), AMQPValue::Boolean(true));
        capabilities.insert("consumer_cancel_notify".into(), AMQPValue::Boolean(false));
        capabilities.insert("authentication_failure_close".into(), AMQPValue::LongInt(1));
        let mut properties = FieldTable::default();
        properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
        properties.insert("connection_name".into(), AMQPValue::LongString("billing".into()));

        let client = Client::read(properties);
        let expected = ClientCapabilities { connection_blocked: true, ..Default::default() };
        assert_eq!(client.capabilities, expected);
        assert_eq!(client.connection_name.as_deref(), Some("billing"));
    }
}
