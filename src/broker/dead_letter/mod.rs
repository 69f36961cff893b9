//! Dead letters: out of a message that died in a queue, the message that goes to the dead letter exchange.
//!
//! As RabbitMQ 3.10 makes it, with the `x-last-death-*` headers of 3.13: the history of its deaths is in its
//! headers (`history`), `expiration` is gone lest it expire again, and everything else stays octet by
//! octet.
//!
//! Invariants:
//! * Whatever a client put into the headers, a dead letter can be made of it, and parses.
//! * A loop without a rejection in it ends, because each queue on the way is in the history and is not
//!   entered again. Where the history is [too long to be kept](crate::limits::DEATHS_KEPT), no
//!   queue is entered at all.
//!
//! Pure: whoever publishes a dead letter looks up the exchange, routes by [`DeadLetter::keys`] and
//! [`DeadLetter::properties`], and leaves out the queues of which [`DeadLetter::is_cycle`] is true.

mod headers;
mod history;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use self::headers::Changes;
use self::history::{Event, History};
use super::message::{BCC, CC, Layout, Message};
use super::route::extra_keys;
use crate::amqp::wire::properties::{PropertiesView, Property, with_headers};
use crate::amqp::wire::table_view::ValueView;
use crate::limits;

/// Octets by which the headers grow at most, apart from the history: six headers with RabbitMQ's names, of
/// which four values are names of queues and exchanges.
const HEADERS_GROWTH: usize = 6 * 32 + 4 * limits::SHORT_STRING_MAX;

/// Why a message died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A consumer refused it for good.
    Rejected,
    /// Its time to live was over.
    Expired,
    /// The queue was full.
    MaxLength,
    /// It was delivered in vain too often.
    DeliveryLimit,
}

impl Reason {
    /// RabbitMQ's word for it, in the headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::MaxLength => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

/// How a message died and where it goes from there.
#[derive(Clone, Copy, Debug)]
pub struct Death<'a> {
    /// Why.
    pub reason: Reason,
    /// The queue it died in.
    pub queue: &'a str,
    /// The queue's dead letter exchange, to which it is published.
    pub exchange: &'a str,
    /// The queue's dead letter routing key, if it has one.
    pub routing_key: Option<&'a str>,
    /// When, in seconds since 1970.
    pub at_unix_s: u64,
}

/// Routing keys; seldom more than one.
pub type RoutingKeys<'a> = SmallVec<[&'a str; 2]>;

/// A message to be published to a dead letter exchange. See the module.
#[derive(Debug)]
pub struct DeadLetter {
    blob: Bytes,
    layout: Layout,
    persistent: bool,
    reason: Reason,
    /// Deaths were left out of the history, so it cannot tell a loop any more.
    is_forgetful: bool,
}

impl DeadLetter {
    /// What becomes of `message`. A dead letter routing key beyond the 255 octets of a short string, which
    /// RabbitMQ could not deliver, is cut.
    pub fn new(message: &Message, death: &Death<'_>) -> Self {
        let properties = PropertiesView::assume_checked(message.header());
        let headers = properties.headers();
        let old_history = headers.and_then(|headers| headers.get(history::HEADER));
        let event = Event {
            reason: death.reason.name(),
            queue: death.queue,
            exchange: message.exchange(),
            routing_key: message.routing_key(),
            more_keys: headers.and_then(|headers| headers.get(CC)),
            expiration: properties.expiration(),
            at_unix_s: death.at_unix_s,
        };
        let history = History::after(old_history, &event, room(message, old_history));
        let is_rerouted = death.routing_key.is_some();
        let changes = Changes { history: &history, event: &event, is_rerouted };

        let exchange = short(death.exchange);
        let routing_key = death.routing_key.map_or(message.routing_key(), short);
        let mut blob = Vec::with_capacity(message.size() + history.len() + HEADERS_GROWTH);
        blob.extend(exchange);
        blob.extend(routing_key);
        let names = blob.len();
        with_headers(message.header(), Some(Property::Expiration), &mut blob, |into| {
            changes.apply(headers, into);
        });
        let header = blob.len() - names;
        blob.extend(message.body());
        // It may lie in a queue for long, and seldom grew by as much as it could have.
        blob.shrink_to_fit();
        Self {
            blob: Bytes::from(blob),
            layout: Layout {
                exchange: length(exchange),
                routing_key: length(routing_key),
                header: u32::try_from(header).unwrap_or(u32::MAX),
            },
            persistent: message.is_persistent(),
            reason: death.reason,
            is_forgetful: history.is_cut(),
        }
    }

    /// The keys to route it by: the dead letter routing key alone, or else the key it was published with and
    /// those in `CC` and `BCC`.
    pub fn keys(&self) -> RoutingKeys<'_> {
        let names = usize::from(self.layout.exchange);
        let key = &self.blob[names..names + usize::from(self.layout.routing_key)];
        let more = [CC, BCC].into_iter().flat_map(|name| extra_keys(self.properties(), name));
        std::str::from_utf8(key).into_iter().chain(more).collect()
    }

    /// Property flags and values, rewritten.
    pub fn header(&self) -> &[u8] {
        let start = usize::from(self.layout.exchange) + usize::from(self.layout.routing_key);
        &self.blob[start..start + self.layout.header as usize]
    }

    /// The rewritten properties, for exchanges that route by them.
    pub fn properties(&self) -> PropertiesView<'_> {
        PropertiesView::assume_checked(self.header())
    }

    /// It must not go to the queue of this name: it was there already, and since then nobody has rejected
    /// it.
    pub fn is_cycle(&self, queue: &str) -> bool {
        if self.reason == Reason::Rejected {
            return false;
        }
        self.is_forgetful || history::is_cycle(self.properties().header(history::HEADER), queue)
    }

    /// The message to enqueue. `shared` says that it goes to several queues.
    ///
    /// # Panics
    /// Never: the blob was put together as the layout says.
    pub fn into_message(self, shared: bool) -> Arc<Message> {
        let message = Message::new(self.blob, self.layout, self.persistent, shared);
        Arc::new(message.expect("the blob was put together as the layout says"))
    }
}

/// Octets the history may have.
fn room(message: &Message, old_history: Option<ValueView<'_>>) -> usize {
    let old = old_history.map_or(0, |value| value.data().len());
    let others = message.header().len().saturating_sub(old) + HEADERS_GROWTH;
    limits::DEAD_LETTER_PROPERTIES.saturating_sub(others)
}

/// As much of a text as a short string holds.
fn short(text: &str) -> &[u8] {
    &text.as_bytes()[..text.floor_char_boundary(limits::SHORT_STRING_MAX)]
}

fn length(short: &[u8]) -> u8 {
    u8::try_from(short.len()).unwrap_or(u8::MAX)
}
