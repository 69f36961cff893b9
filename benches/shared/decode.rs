//! Octets to frames, and what the protocol layer asks the wire about them.

use leveret::amqp::wire::decoder::Decoder;
use leveret::amqp::wire::frame::{ContentHeader, FrameKind};
use leveret::amqp::wire::method::{self, Method};
use leveret::amqp::wire::properties::PropertiesView;

/// Reads all of `octets`, as they come from a socket. Returns something that depends on everything decoded.
pub(crate) fn read(decoder: &mut Decoder, octets: &[u8]) -> usize {
    let (mut rest, mut sum) = (octets, 0);
    while !rest.is_empty() {
        let space = decoder.space();
        let (now, later) = rest.split_at(space.len().min(rest.len()));
        space[..now.len()].copy_from_slice(now);
        decoder.filled(now.len());
        rest = later;
        sum += drain(decoder);
    }
    sum
}

fn drain(decoder: &mut Decoder) -> usize {
    let mut sum = 0;
    while let Ok(Some(frame)) = decoder.next_frame() {
        match frame.kind {
            FrameKind::Method => match method::decode(frame.payload) {
                Ok(Method::Publish(publish)) => sum += publish.routing_key.len(),
                Ok(Method::Ack { multiple, .. }) => sum += 1 + usize::from(multiple),
                _ => {}
            },
            FrameKind::Header => {
                if let Some(header) = ContentHeader::parse(frame.payload)
                    && let Ok(properties) = PropertiesView::check(header.properties)
                {
                    sum += usize::from(properties.is_persistent());
                }
            }
            FrameKind::Body | FrameKind::Heartbeat => sum += frame.payload.len(),
        }
    }
    sum
}
