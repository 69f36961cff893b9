//! Messages that an exchange of type `x-delayed-message` keeps back, as RabbitMQ's plugin of that name did.
//!
//! A delayed message waits in a queue that belongs to the exchange and that no client can name. There it expires
//! when its delay is over, and what expires there is routed instead of dead-lettered. So it is as durable as a
//! message in any queue, and waits through a restart.

use std::sync::Arc;

use amq_protocol::types::FieldTable;
use bytes::Bytes;

use super::exchange::ExchangeKind;
use super::message::{Layout, Message};
use super::options;
use crate::amqp::wire::properties::{PropertiesView, with_long_header};
use crate::limits;

/// The header with the delay in milliseconds.
pub const DELAY: &str = "x-delay";
/// The argument that says how the exchange routes what has waited long enough.
pub const DELAYED_TYPE: &str = "x-delayed-type";
/// How names of waiting rooms begin. Clients can declare nothing that begins with `amq.`, but for queues whose names
/// they only begin.
const WAITING_ROOM: &str = "amq.delayed-";

/// How long a message asks to wait, in milliseconds; nothing if it may go at once.
pub(super) fn delay_ms(properties: PropertiesView<'_>) -> Option<u64> {
    let delay = u64::try_from(properties.header(DELAY)?.as_int()?).ok()?;
    (delay > 0).then(|| delay.min(limits::DELAY_MAX_MS))
}

/// How an exchange with these arguments routes what has waited long enough.
pub fn delayed_type(arguments: &FieldTable) -> ExchangeKind {
    let named = options::text(arguments, DELAYED_TYPE).and_then(ExchangeKind::from_name);
    named.filter(|kind| *kind != ExchangeKind::DelayedMessage).unwrap_or(ExchangeKind::Direct)
}

/// The name of an exchange's waiting room.
pub(super) fn waiting_room_name(exchange: &str) -> String {
    format!("{WAITING_ROOM}{exchange}")
}

/// The exchange whose waiting room has this name, if it is one's that delays.
pub(super) fn waiting_room_of(queue: &str) -> Option<Arc<str>> {
    queue.strip_prefix(WAITING_ROOM).map(Arc::from)
}

/// The message as it leaves the waiting room. The plugin turns the delay's sign, so that whoever publishes the
/// message again as it is does not delay it again.
pub(super) fn released(message: &Message) -> Option<Arc<Message>> {
    let delay = PropertiesView::assume_checked(message.header()).header(DELAY)?.as_int()?;
    let header = with_long_header(message.header(), DELAY, delay.saturating_neg());
    let names = [message.exchange(), message.routing_key()].concat();
    let blob = Bytes::from([&names, &header[..], message.body()].concat());
    let layout = Layout { header: u32::try_from(header.len()).ok()?, ..message.layout() };
    Message::new(blob, layout, message.is_persistent(), true).map(Arc::new)
}
