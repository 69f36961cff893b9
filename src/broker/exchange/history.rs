//! The last messages that came to an `x-recent-history` exchange, for whoever is bound later.
//!
//! They are kept in memory only, as in RabbitMQ: a restart forgets them. Bounded by number, which is the
//! exchange's argument, and by bytes; what comes first at a bound is forgotten first.

use std::collections::VecDeque;
use std::sync::Arc;

use amq_protocol::types::{AMQPValue, FieldTable};

use crate::amqp::wire::properties::PropertiesView;
use crate::broker::message::Message;
use crate::limits;
use crate::sync::{RankedMutex, rank};

/// How many messages are kept unless the exchange says otherwise (RabbitMQ's default).
const LENGTH_DEFAULT: usize = 20;

/// The header that keeps a message out of the history; only `true` does.
const NO_STORE: &str = "x-recent-history-no-store";

/// Why an `x-recent-history-length` cannot be used: it is no number, or not above zero.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryLengthError(
    /// What was given.
    pub AMQPValue,
);

/// Reads `x-recent-history-length` from the arguments of an exchange.
pub fn history_length(arguments: &FieldTable) -> Result<usize, HistoryLengthError> {
    let Some(value) = arguments.inner().get("x-recent-history-length") else {
        return Ok(LENGTH_DEFAULT);
    };
    // RabbitMQ knows only signed numbers here.
    let number = value
        .as_long_int()
        .map(i64::from)
        .or_else(|| value.as_long_long_int())
        .or_else(|| value.as_short_int().map(i64::from))
        .or_else(|| value.as_short_short_int().map(i64::from));
    match number.map(usize::try_from) {
        Some(Ok(length)) if length > 0 => Ok(length),
        Some(_) | None => Err(HistoryLengthError(value.clone())),
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct History {
    length: usize,
    kept: RankedMutex<{ rank::EXCHANGE }, Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    messages: VecDeque<Arc<Message>>,
    bytes: usize,
}

impl History {
    /// The empty history of an exchange that was declared with these arguments.
    pub(super) fn new(arguments: &FieldTable) -> Self {
        let length = history_length(arguments).unwrap_or(LENGTH_DEFAULT);
        History { length, kept: RankedMutex::default() }
    }

    /// Keeps a message, unless its publisher said no.
    pub(super) fn remember(&self, message: &Arc<Message>) {
        let properties = PropertiesView::assume_checked(message.header());
        if properties.header(NO_STORE).and_then(|value| value.as_bool()) == Some(true) {
            return;
        }
        // Messages are freed after the lock is gone.
        let mut forgotten = Vec::new();
        let mut kept = self.kept.lock();
        kept.bytes += cost(message);
        kept.messages.push_back(Arc::clone(message));
        while kept.messages.len() > self.length || kept.bytes > limits::HISTORY_BYTES {
            let Some(oldest) = kept.messages.pop_front() else { break };
            kept.bytes -= cost(&oldest);
            forgotten.push(oldest);
        }
        drop(kept);
    }

    /// What is remembered, oldest first.
    pub(super) fn recall(&self) -> Vec<Arc<Message>> {
        self.kept.lock().messages.iter().cloned().collect()
    }
}

fn cost(message: &Message) -> usize {
    message.size() + limits::HISTORY_ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::broker::message::Layout;

    fn length_of(value: AMQPValue) -> Result<usize, HistoryLengthError> {
        let mut arguments = FieldTable::default();
        arguments.insert("x-recent-history-length".into(), value);
        history_length(&arguments)
    }

    fn history(length: i32) -> History {
        let mut arguments = FieldTable::default();
        arguments.insert("x-recent-history-length".into(), AMQPValue::LongInt(length));
        History::new(&arguments)
    }

    fn message(header: &[u8], body: &[u8]) -> Arc<Message> {
        let layout =
            Layout { exchange: 0, routing_key: 0, header: u32::try_from(header.len()).unwrap() };
        let blob = Bytes::from([header, body].concat());
        Arc::new(Message::new(blob, layout, false, false).unwrap())
    }

    fn bodies(history: &History) -> Vec<Vec<u8>> {
        history.recall().iter().map(|message| message.body().to_vec()).collect()
    }

    #[test]
    fn the_last_messages_are_kept_in_their_order() {
        let history = history(2);
        for body in [b"a", b"b", b"c"] {
            history.remember(&message(&[0, 0], body));
        }
        assert_eq!(bodies(&history), [b"b", b"c"]);
    }

    #[test]
    fn a_message_may_ask_not_to_be_kept() {
        let header = |value: &[u8]| {
            let field = [&[25], NO_STORE.as_bytes(), value].concat();
            let length = u32::try_from(field.len()).unwrap().to_be_bytes();
            [&[0x20, 0], &length[..], &field].concat()
        };
        let history = history(9);
        history.remember(&message(&header(b"t\x01"), b"no"));
        history.remember(&message(&header(b"t\x00"), b"false is yes"));
        history.remember(&message(&header(b"b\x01"), b"a number is yes"));
        assert_eq!(bodies(&history), [&b"false is yes"[..], b"a number is yes"]);
    }

    #[test]
    fn bytes_are_bounded_whatever_the_length() {
        let history = history(i32::MAX);
        let third = vec![0; limits::HISTORY_BYTES / 3];
        for _ in 0..5 {
            history.remember(&message(&[0, 0], &third));
        }
        assert_eq!(history.recall().len(), 2);
        history.remember(&message(&[0, 0], &vec![0; limits::HISTORY_BYTES]));
        assert_eq!(history.recall().len(), 0, "one beyond the bound leaves nothing");
        assert_eq!(history.kept.lock().bytes, 0);
    }

    #[test]
    fn the_length_is_a_signed_number_above_zero() {
        assert_eq!(history_length(&FieldTable::default()), Ok(20));
        for value in [
            AMQPValue::ShortShortInt(5),
            AMQPValue::ShortInt(5),
            AMQPValue::LongInt(5),
            AMQPValue::LongLongInt(5),
        ] {
            assert_eq!(length_of(value), Ok(5));
        }
        for value in [
            AMQPValue::LongInt(0),
            AMQPValue::LongInt(-1),
            AMQPValue::LongUInt(5),
            AMQPValue::LongString("5".into()),
            AMQPValue::Void,
        ] {
            assert_eq!(length_of(value.clone()), Err(HistoryLengthError(value)));
        }
    }
}
