//! What a broker proposes to clients.

use amq_protocol::types::FieldTable;
use leveret::amqp::protocol::handshake::{Mechanism, Offer};
use leveret::limits;

/// The defaults, without properties and heartbeats.
pub(crate) fn offer() -> Offer {
    Offer {
        server_properties: FieldTable::default(),
        mechanisms: vec![Mechanism::Plain],
        channel_max: limits::CHANNEL_MAX_DEFAULT,
        frame_max: limits::FRAME_MAX_DEFAULT,
        heartbeat: 0,
        max_message_size: limits::MESSAGE_SIZE_DEFAULT,
    }
}
