//! A message that the broker itself publishes, about what goes on in it.

use std::sync::Arc;

use amq_protocol::types::FieldTable;
use bytes::Bytes;

use super::exchange::Exchange;
use super::message::{Layout, Message};
use super::turn::Turn;
use super::vhost::VHost;
use crate::amqp::wire::properties::{PERSISTENT, PropertiesView, Property};
use crate::amqp::wire::table_codec::encode_table;
use crate::limits;

/// See the module.
pub(super) struct Notice<'a> {
    pub(super) key: String,
    pub(super) headers: FieldTable,
    pub(super) body: &'a [u8],
    /// It is persistent and says when it happened, in seconds since 1970.
    pub(super) kept_at: Option<u64>,
}

impl Notice<'_> {
    /// Publishes it, if it leads anywhere. A queue that is full may refuse it; nobody is told. The caller
    /// holds no lock.
    pub(super) fn publish(mut self, vhost: &VHost, exchange: &Arc<Exchange>, turn: &mut Turn) {
        cut(&mut self.key);
        let header = self.header();
        let properties = PropertiesView::assume_checked(&header);
        let route = vhost.route(exchange, &[&self.key], properties);
        if route.queues.is_empty() && route.remembers.is_empty() {
            return;
        }
        let shared = route.queues.len() > 1;
        let Some(message) = self.message(&exchange.name, &header, shared) else { return };
        route.remember(&message);
        for queue in route.queues {
            queue.enqueue(&mut vec![Arc::clone(&message)], turn);
        }
    }

    fn message(&self, exchange: &str, header: &[u8], shared: bool) -> Option<Arc<Message>> {
        if header.len() > limits::NOTICE_PROPERTIES {
            tracing::debug!(key = self.key, "a notice was dropped: its headers are too large");
            return None;
        }
        let layout = Layout {
            exchange: u8::try_from(exchange.len()).ok()?,
            routing_key: u8::try_from(self.key.len()).ok()?,
            header: u32::try_from(header.len()).ok()?,
        };
        let blob = [exchange.as_bytes(), self.key.as_bytes(), header, self.body].concat();
        Message::new(Bytes::from(blob), layout, self.kept_at.is_some(), shared).map(Arc::new)
    }

    fn header(&self) -> Vec<u8> {
        let flags = match self.kept_at {
            Some(_) => {
                let kept = Property::DeliveryMode.flag() | Property::Timestamp.flag();
                Property::Headers.flag() | kept
            }
            None => Property::Headers.flag(),
        };
        let mut header = flags.to_be_bytes().to_vec();
        encode_table(&self.headers, &mut header);
        if let Some(seconds) = self.kept_at {
            header.push(PERSISTENT);
            header.extend(seconds.to_be_bytes());
        }
        header
    }
}

/// Names may be as long as a routing key, which here has a word in front of them.
fn cut(key: &mut String) {
    let mut end = key.len().min(limits::SHORT_STRING_MAX);
    while !key.is_char_boundary(end) {
        end -= 1;
    }
    key.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_properties_of_a_notice_parse() {
        let mut headers = FieldTable::default();
        headers.insert("a".into(), amq_protocol::types::AMQPValue::LongInt(1));
        for kept_at in [None, Some(7)] {
            let notice =
                Notice { key: "k".to_owned(), headers: headers.clone(), body: b"b", kept_at };
            let message = notice.message("x", &notice.header(), false).unwrap();

            let properties = PropertiesView::check(message.header()).unwrap();
            assert_eq!(properties.headers().unwrap().to_table().unwrap(), headers);
            assert_eq!(properties.timestamp(), kept_at);
            assert_eq!(
                (properties.is_persistent(), message.body()),
                (kept_at.is_some(), &b"b"[..])
            );
        }
    }

    #[test]
    fn a_key_that_is_too_long_is_cut_between_characters() {
        let mut key = "ä".repeat(200);
        cut(&mut key);
        assert_eq!(key, "ä".repeat(127));
    }
}
