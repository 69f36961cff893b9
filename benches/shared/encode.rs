//! Deliveries to octets.

use std::hint::black_box;

use bytes::{Buf, Bytes};
use leveret::amqp::wire::encoder::{Content, Deliver};
use leveret::amqp::wire::write_buffer::WriteBuffer;

/// Writes `count` deliveries of a persistent message with this body, as if a socket then took them. How much it was.
pub(crate) fn deliver(buffer: &mut WriteBuffer, body: &Bytes, count: usize) -> usize {
    let content = Content { header: &[0x10, 0, 2], body, blob: body };
    for delivery_tag in 0..count as u64 {
        let deliver = Deliver {
            consumer_tag: b"ctag1.0123456789",
            delivery_tag,
            redelivered: false,
            exchange: b"",
            routing_key: b"some.queue",
        };
        buffer.deliver(1, black_box(&deliver), &content);
    }
    let octets = black_box(&*buffer).remaining();
    buffer.advance(octets);
    octets
}
