//! What one argument may be. An error is the tail of RabbitMQ's text, an Erlang term as `~p` prints it.

use amq_protocol::types::{AMQPValue, FieldTable};

use crate::amqp::wire::erlang::{self, Term};
use crate::amqp::wire::table::{as_int, get_int, get_str, type_name};
use crate::broker::retry;
use crate::limits;

/// The verdict on one argument.
pub(super) type Checked = Result<(), String>;

/// Ten years; RabbitMQ's timers take no more.
const EXPIRY_MAX_MS: i64 = 315_360_000_000;
/// RabbitMQ's `MAX_SUPPORTED_PRIORITY`.
const PRIORITY_MAX: i64 = 255;

/// A number of any of the integer types.
pub(super) fn integer(value: &AMQPValue) -> Result<i64, String> {
    as_int(value).ok_or_else(|| format!("\"expected integer, got {}\"", type_name(value)))
}

pub(super) fn any_integer(value: &AMQPValue) -> Checked {
    integer(value).map(drop)
}

pub(super) fn not_negative(value: &AMQPValue) -> Checked {
    match integer(value)? {
        number if number < 0 => Err(format!("{{value_negative,{number}}}")),
        _ => Ok(()),
    }
}

pub(super) fn positive(value: &AMQPValue) -> Checked {
    match integer(value)? {
        0 => Err("{value_zero,0}".to_owned()),
        _ => not_negative(value),
    }
}

/// How long a message may live.
pub(super) fn message_ttl(value: &AMQPValue) -> Checked {
    not_negative(value)?;
    match integer(value)? {
        number if number > EXPIRY_MAX_MS => Err(format!("{{value_too_large,{number}}}")),
        _ => Ok(()),
    }
}

/// How long a queue may go unused.
pub(super) fn expires(value: &AMQPValue) -> Checked {
    positive(value)?;
    message_ttl(value)
}

pub(super) fn max_priority(value: &AMQPValue) -> Checked {
    not_negative(value)?;
    match integer(value)? {
        number if number > PRIORITY_MAX => Err(format!("{{max_value_exceeded,{number}}}")),
        _ => Ok(()),
    }
}

/// RabbitMQ 4.3 has only version 2 left; 1 is still taken, because neither means anything here.
pub(super) fn queue_version(value: &AMQPValue) -> Checked {
    not_negative(value)?;
    match integer(value)? {
        1 | 2 => Ok(()),
        other => Err(quoted(&format!("unsupported queue version '{other}'"))),
    }
}

pub(super) fn boolean(value: &AMQPValue) -> Checked {
    if value.as_bool().is_some() { Ok(()) } else { unacceptable(value) }
}

/// One of a few strings.
pub(super) fn one_of(value: &AMQPValue, known: &[&str], otherwise: &str) -> Checked {
    let text = octets(value)?;
    if known.iter().any(|one| one.as_bytes() == text) {
        return Ok(());
    }
    Err(otherwise.to_owned())
}

/// `classic`, `quorum` or `stream`; `undefined` asks for the default type (RabbitMQ 4).
pub(super) fn queue_type(value: &AMQPValue) -> Checked {
    let known = ["classic", "quorum", "stream", "undefined"];
    let name = String::from_utf8_lossy(octets(value)?);
    one_of(value, &known, &quoted(&format!("unsupported queue type '{name}'")))
}

/// `7D`: how old a stream's messages may become.
pub(super) fn max_age(value: &AMQPValue) -> Checked {
    if is_age(octets(value)?) { Ok(()) } else { Err("invalid_max_age".to_owned()) }
}

/// Where a consumer of a stream begins: a place, an age, an offset or a time.
pub(super) fn stream_offset(value: &AMQPValue) -> Checked {
    let Some(text) = value.as_long_string() else { return Ok(()) };
    let octets = text.as_bytes();
    if [&b"first"[..], b"last", b"next"].contains(&octets) || is_age(octets) {
        return Ok(());
    }
    Err(format!("{{invalid_stream_offset_arg,{{longstr,{}}}}}", erlang::binary(octets)))
}

/// The name of an exchange or a routing key. RabbitMQ takes any octets and fails when it must send them;
/// what no short string can carry is refused here at once.
pub(super) fn short_string(value: &AMQPValue) -> Checked {
    let octets = octets(value)?;
    if octets.len() > limits::SHORT_STRING_MAX {
        return Err(format!("{{value_too_large,{}}}", octets.len()));
    }
    std::str::from_utf8(octets).map(drop).map_err(|_| "invalid_utf8".to_owned())
}

/// A string that is not empty.
pub(super) fn some_text(value: &AMQPValue, otherwise: &str) -> Checked {
    if octets(value)?.is_empty() { Err(otherwise.to_owned()) } else { Ok(()) }
}

/// RabbitMQ 4.3: without a shortest delay there is none at all, which is not what was asked for.
pub(super) fn retry_type_with_delays(arguments: &FieldTable) -> Checked {
    let retry_type = get_str(arguments, retry::TYPE).filter(|it| *it != "disabled");
    match retry_type {
        Some(retry_type) if !arguments.contains_key(retry::MIN) => {
            Err(quoted(&format!("{} is required when {} is {retry_type}", retry::MIN, retry::TYPE)))
        }
        _ => Ok(()),
    }
}

pub(super) fn retry_max_above_min(arguments: &FieldTable) -> Checked {
    match (get_int(arguments, retry::MIN), get_int(arguments, retry::MAX)) {
        (Some(min), Some(max)) if max < min => Err(quoted(&format!(
            "{} ({max}) must not be smaller than {} ({min})",
            retry::MAX,
            retry::MIN
        ))),
        _ => Ok(()),
    }
}

/// A number of any type, by which delays grow.
pub(super) fn multiplier(value: &AMQPValue) -> Checked {
    if retry::as_multiplier(value).is_some() {
        return Ok(());
    }
    let is_number = as_int(value).is_some() || matches!(type_name(value), "double" | "float");
    if is_number {
        return Err(format!("{{value_below_one,{}}}", Term(value)));
    }
    Err(format!("\"expected number, got {}\"", type_name(value)))
}

fn octets(value: &AMQPValue) -> Result<&[u8], String> {
    match value.as_long_string() {
        Some(text) => Ok(text.as_bytes()),
        None => unacceptable(value),
    }
}

fn unacceptable<T>(value: &AMQPValue) -> Result<T, String> {
    Err(format!("{{unacceptable_type,{}}}", type_name(value)))
}

/// `[0-9]+` that is not zero, and one of six units.
fn is_age(text: &[u8]) -> bool {
    let Some((unit, digits)) = text.split_last() else { return false };
    b"YMDhms".contains(unit)
        && digits.iter().all(u8::is_ascii_digit)
        && digits.iter().any(|digit| *digit != b'0')
}

/// A string as `~p` prints a list of characters.
fn quoted(text: &str) -> String {
    let binary = erlang::binary(text.as_bytes());
    let inner = binary.trim_start_matches("<<").trim_end_matches(">>");
    if inner.starts_with('"') { inner.to_owned() } else { format!("[{inner}]") }
}
