//! A published message: one buffer, in the form the log keeps.

use bytes::Bytes;

use crate::amqp::wire::properties::PropertiesView;

/// The header with routing keys that are the broker's business alone (RabbitMQ's sender-selected distribution). It
/// stays with the message, because dead letters are routed by it, and is taken out on the way to a client.
pub const BCC: &str = "BCC";
/// The header with routing keys that everybody may see.
pub const CC: &str = "CC";

/// Where the parts of a message lie in its blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Octets of the exchange's name, at the start.
    pub exchange: u8,
    /// Octets of the routing key, behind it.
    pub routing_key: u8,
    /// Octets of property flags and values, as received; the body is everything after them.
    pub header: u32,
}

impl Layout {
    /// The `priority` property of the message that lies like this in `blob`.
    pub fn priority_in(self, blob: &[u8]) -> Option<u8> {
        let start = usize::from(self.exchange) + usize::from(self.routing_key);
        PropertiesView::assume_checked(blob.get(start..self.body_start())?).priority()
    }

    /// Octets of the body of the message that lies like this in `blob`.
    pub fn body_size_in(self, blob: &[u8]) -> usize {
        blob.len().saturating_sub(self.body_start())
    }

    fn body_start(self) -> usize {
        usize::from(self.exchange) + usize::from(self.routing_key) + self.header as usize
    }
}

/// A message in a queue or on its way out. Never changes once built.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each answers what is asked of every message")]
pub struct Message {
    blob: Bytes,
    layout: Layout,
    persistent: bool,
    shared: bool,
    expires: bool,
    hides_keys: bool,
    priority: Option<u8>,
}

impl Message {
    /// A message of `exchange | routing key | header | body`, or nothing if the blob is shorter than
    /// its layout says. `persistent` is delivery mode 2; `shared` says that it goes to several queues.
    #[inline]
    pub fn new(blob: Bytes, layout: Layout, persistent: bool, shared: bool) -> Option<Self> {
        let names = usize::from(layout.exchange) + usize::from(layout.routing_key);
        let properties = PropertiesView::assume_checked(blob.get(names..layout.body_start())?);
        let expires = properties.expiration().is_some();
        let hides_keys = properties.header(BCC).is_some();
        let priority = properties.priority();
        Some(Self { blob, layout, persistent, shared, expires, hides_keys, priority })
    }

    /// The exchange it was published to; UTF-8, checked when it came in.
    pub fn exchange(&self) -> &[u8] {
        &self.blob[..usize::from(self.layout.exchange)]
    }

    /// The routing key it was published with; UTF-8, checked when it came in.
    pub fn routing_key(&self) -> &[u8] {
        let start = usize::from(self.layout.exchange);
        &self.blob[start..start + usize::from(self.layout.routing_key)]
    }

    /// Property flags and values, as received.
    pub fn header(&self) -> &[u8] {
        let end = self.layout.body_start();
        &self.blob[end - self.layout.header as usize..end]
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.blob[self.layout.body_start()..]
    }

    /// Everything in one buffer, as the log keeps it.
    pub fn blob(&self) -> &Bytes {
        &self.blob
    }

    /// Where the parts lie.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Bytes it occupies.
    pub fn size(&self) -> usize {
        self.blob.len()
    }

    /// Bytes of the body alone.
    pub fn body_size(&self) -> usize {
        self.blob.len() - self.layout.body_start()
    }

    /// Asked for with delivery mode 2.
    pub fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// It has a [`BCC`] header, which nobody who gets it may see.
    pub fn hides_keys(&self) -> bool {
        self.hides_keys
    }

    /// The `priority` property.
    pub fn priority(&self) -> Option<u8> {
        self.priority
    }

    /// The `expiration` property, ms. RabbitMQ: digits in a string; the session refuses all else.
    #[inline]
    pub fn expiration_ms(&self) -> Option<u64> {
        if self.expires { self.read_expiration() } else { None }
    }

    fn read_expiration(&self) -> Option<u64> {
        PropertiesView::assume_checked(self.header()).expiration_ms()
    }

    /// Routed to more than one queue, so the log may keep one body for several entries.
    pub fn is_shared(&self) -> bool {
        self.shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_message_are_where_the_layout_says() {
        let layout = Layout { exchange: 2, routing_key: 3, header: 2 };
        let message =
            Message::new(Bytes::from_static(b"exkey\0\0body"), layout, true, false).unwrap();

        assert_eq!(message.exchange(), b"ex");
        assert_eq!(message.routing_key(), b"key");
        assert_eq!(message.header(), b"\0\0");
        assert_eq!(message.body(), b"body");
        assert_eq!(message.body_size(), 4);
    }

    #[test]
    fn a_layout_finds_what_the_message_finds() {
        // No exchange, key `key`, property flags for a priority, which is 7.
        let (layout, blob) =
            (Layout { exchange: 0, routing_key: 3, header: 3 }, b"key\x08\0\x07body");
        let message = Message::new(Bytes::from_static(blob), layout, true, false).unwrap();

        assert_eq!((message.priority(), message.body_size()), (Some(7), 4));
        assert_eq!((layout.priority_in(blob), layout.body_size_in(blob)), (Some(7), 4));
        assert_eq!((layout.priority_in(b"key"), layout.body_size_in(b"key")), (None, 0));
    }

    #[test]
    fn a_blob_shorter_than_its_layout_is_refused() {
        let layout = Layout { exchange: 2, routing_key: 3, header: 2 };
        assert!(Message::new(Bytes::from_static(b"exkey"), layout, true, false).is_none());
    }
}
