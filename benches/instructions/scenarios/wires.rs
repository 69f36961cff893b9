//! The wire alone.

use std::hint::black_box;

use bytes::Bytes;
use leveret::amqp::wire::decoder::Decoder;
use leveret::amqp::wire::write_buffer::WriteBuffer;
use leveret::limits;

use super::{Round, Scenario};
use crate::decode::read;
use crate::encode::deliver;
use crate::frames::{frame, publish};

/// Messages of a round, as a busy read buffer holds them.
const BATCH: usize = 256;
/// Content type and delivery mode.
const USUAL: &[u8] = b"\x90\x00\x0aapplicatio\x02";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "decode-publish",
        what: "basic.publish of 16 B without properties to frames and fields",
        prepare: || decode(&publish("", "some.queue", &[0, 0], 16)),
    },
    Scenario {
        name: "decode-publish-properties",
        what: "the same with content type and delivery mode",
        prepare: || decode(&publish("", "some.queue", USUAL, 16)),
    },
    Scenario {
        name: "decode-ack",
        what: "basic.ack",
        prepare: || decode(&frame(1, &[0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 9, 0])),
    },
    Scenario { name: "encode-deliver", what: "basic.deliver of 16 B", prepare: || encode(16) },
    Scenario {
        name: "encode-deliver-1k",
        what: "basic.deliver of 1 KiB",
        prepare: || encode(1024),
    },
];

fn decode(one: &[u8]) -> Round {
    let octets = one.repeat(BATCH);
    let mut decoder = Decoder::new(limits::FRAME_MAX_DEFAULT);
    let sum = read(&mut decoder, &octets);
    assert!(sum >= BATCH, "something was decoded of each");
    Round::new(BATCH, move || assert_eq!(read(&mut decoder, black_box(&octets)), sum))
}

fn encode(size: usize) -> Round {
    let body = Bytes::from(vec![7; size]);
    let mut buffer = WriteBuffer::new(limits::FRAME_MAX_DEFAULT);
    Round::new(BATCH, move || {
        assert!(deliver(&mut buffer, &body, BATCH) > BATCH * size);
    })
}
