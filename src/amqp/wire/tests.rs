//! Whole frames, byte for byte as a probe client and RabbitMQ 3.10.8 exchanged them, and the promises that
//! hold for any octets at all.

use amq_protocol::protocol::{AMQPClass, basic, channel, connection, exchange, queue};
use amq_protocol::types::{AMQPValue, FieldTable};
use bytes::{Buf, Bytes};
use proptest::prelude::*;

use super::decoder::Decoder;
use super::encoder::{Content, Deliver, GetOk, Return};
use super::frame::{ContentHeader, FRAME_END, FrameKind};
use super::method::{Method, PublishMethod, decode};
use super::properties::PropertiesView;
use super::testing::{hex, short_string, table};
use super::write_buffer::WriteBuffer;
use crate::limits;

const START_OK: &str = "01000000000051000a000b0000002d0770726f647563745300000001700c6361706162696c6974696573460000\
    000d0a62617369632e6e61636b740105504c41494e0000000c00677565737400677565737405656e5f5553ce";
const QUEUE_DECLARE: &str = "0100010000003c0032000a00000171020000002f0d782d6d6573736167652d74746c490000ea6016782d6465\
    61642d6c65747465722d65786368616e67655300000000ce";
const CHANNEL_CLOSE: &str = "01000100000033001400280194284e4f545f464f554e44202d206e6f20717565756520276e6f70652720696e20\
    76686f737420272f270032000ace";

/// One frame as its kind, channel and payload.
type Owned = (FrameKind, u16, Vec<u8>);

fn read(decoder: &mut Decoder, octets: &[u8]) -> usize {
    let space = decoder.space();
    let count = space.len().min(octets.len());
    space[..count].copy_from_slice(&octets[..count]);
    decoder.filled(count);
    count
}

fn take_all(decoder: &mut Decoder) -> Result<Vec<Owned>, String> {
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next_frame().map_err(|error| error.to_string())? {
        frames.push((frame.kind, frame.channel, frame.payload.to_vec()));
    }
    Ok(frames)
}

fn frames_of(mut octets: &[u8]) -> Vec<Owned> {
    let mut decoder = Decoder::new(limits::FRAME_MAX_DEFAULT);
    let mut frames = Vec::new();
    while !octets.is_empty() {
        octets = &octets[read(&mut decoder, octets)..];
        frames.extend(take_all(&mut decoder).unwrap());
    }
    frames
}

fn only_frame(digits: &str) -> Owned {
    let mut frames = frames_of(&hex(digits));
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

fn method(digits: &str) -> (u16, AMQPClass) {
    let (kind, channel, payload) = only_frame(digits);
    assert_eq!(kind, FrameKind::Method);
    let Method::Other(class) = decode(&payload).unwrap() else {
        panic!("{digits} is read by hand")
    };
    (channel, class)
}

fn written(say: impl FnOnce(&mut WriteBuffer)) -> Vec<u8> {
    let mut buffer = WriteBuffer::new(limits::FRAME_MAX_DEFAULT);
    say(&mut buffer);
    let length = buffer.remaining();
    buffer.copy_to_bytes(length).to_vec()
}

/// The frame decodes to the class and the class encodes to the frame.
fn assert_golden(digits: &str, channel: u16, class: &AMQPClass) {
    assert_eq!(method(digits), (channel, class.clone()));
    assert_eq!(written(|buffer| buffer.method(channel, class)), hex(digits));
}

fn fields(fields: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in fields {
        table.insert((*key).into(), value.clone());
    }
    table
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

#[test]
fn golden_heartbeat() {
    assert_eq!(only_frame("08000000000000ce"), (FrameKind::Heartbeat, 0, vec![]));
    assert_eq!(written(WriteBuffer::heartbeat), hex("08000000000000ce"));
}

#[test]
fn golden_handshake() {
    let tune = connection::Tune { channel_max: 2047, frame_max: 131_072, heartbeat: 60 };
    let class = AMQPClass::Connection(connection::AMQPMethod::Tune(tune));
    assert_golden("0100000000000c000a001e07ff00020000003cce", 0, &class);

    let open = connection::Open { virtual_host: "/".into() };
    let class = AMQPClass::Connection(connection::AMQPMethod::Open(open));
    assert_golden("01000000000008000a0028012f0000ce", 0, &class);

    let blocked = connection::Blocked { reason: "low on memory".into() };
    let class = AMQPClass::Connection(connection::AMQPMethod::Blocked(blocked));
    assert_golden("01000000000012000a003c0d6c6f77206f6e206d656d6f7279ce", 0, &class);
}

#[test]
fn golden_start_ok() {
    // The client sent its properties unsorted, so only decoding can be exact.
    let capabilities = fields(&[("basic.nack", AMQPValue::Boolean(true))]);
    let start_ok = connection::StartOk {
        client_properties: fields(&[
            ("product", text("p")),
            ("capabilities", AMQPValue::FieldTable(capabilities)),
        ]),
        mechanism: "PLAIN".into(),
        response: "\0guest\0guest".into(),
        locale: "en_US".into(),
    };
    let class = AMQPClass::Connection(connection::AMQPMethod::StartOk(start_ok));
    assert_eq!(method(START_OK), (0, class));
}

#[test]
fn golden_channel() {
    let class = AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {}));
    assert_golden("010001000000050014000a00ce", 1, &class);

    let class = AMQPClass::Channel(channel::AMQPMethod::OpenOk(channel::OpenOk {}));
    assert_golden("010001000000080014000b00000000ce", 1, &class);

    let close = channel::Close {
        reply_code: 404,
        reply_text: "NOT_FOUND - no queue 'nope' in vhost '/'".into(),
        class_id: 50,
        method_id: 10,
    };
    assert_golden(CHANNEL_CLOSE, 1, &AMQPClass::Channel(channel::AMQPMethod::Close(close)));
}

#[test]
fn golden_topology() {
    let declare = queue::Declare {
        queue: "q".into(),
        durable: true,
        arguments: fields(&[
            ("x-message-ttl", AMQPValue::LongInt(60_000)),
            ("x-dead-letter-exchange", text("")),
        ]),
        ..queue::Declare::default()
    };
    let class = AMQPClass::Queue(queue::AMQPMethod::Declare(declare));
    assert_eq!(method(QUEUE_DECLARE), (1, class));

    let ok = queue::DeclareOk { queue: "q".into(), message_count: 3, consumer_count: 1 };
    let class = AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok));
    assert_golden("0100010000000e0032000b01710000000300000001ce", 1, &class);

    let declare = exchange::Declare {
        exchange: "x".into(),
        kind: "topic".into(),
        durable: true,
        internal: true,
        ..exchange::Declare::default()
    };
    let class = AMQPClass::Exchange(exchange::AMQPMethod::Declare(declare));
    assert_golden("010001000000130028000a0000017805746f7069630a00000000ce", 1, &class);
}

#[test]
fn golden_consume() {
    let consume = basic::Consume {
        queue: "q".into(),
        consumer_tag: "t".into(),
        arguments: fields(&[("x-priority", AMQPValue::LongInt(-1))]),
        ..basic::Consume::default()
    };
    let class = AMQPClass::Basic(basic::AMQPMethod::Consume(consume));
    let digits = "0100010000001f003c001400000171017400000000100a782d7072696f7269747949ffffffffce";
    assert_golden(digits, 1, &class);
}

#[test]
fn golden_publish() {
    let (_, _, payload) = only_frame("0100010000000a003c0028000000017101ce");
    let expected =
        PublishMethod { exchange: "", routing_key: "q", mandatory: true, immediate: false };
    assert_eq!(decode(&payload), Ok(Method::Publish(expected)));

    let (kind, _, payload) = only_frame(
        "02000100000020003c000000000000000000053100000000070161490000000102053630303030ce",
    );
    let header = ContentHeader::parse(&payload).unwrap();
    let properties = PropertiesView::check(header.properties).unwrap();
    assert_eq!(
        (kind, header.class, header.weight, header.body_size),
        (FrameKind::Header, 60, 0, 5)
    );
    assert_eq!(properties.expiration(), Some(&b"60000"[..]));

    assert_eq!(only_frame("0300010000000568656c6c6fce"), (FrameKind::Body, 1, b"hello".to_vec()));
}

#[test]
fn golden_deliver_with_the_content_as_published() {
    let body = Bytes::from_static(b"hello");
    let header = hex("3100000000070161490000000102053630303030");
    let deliver = Deliver {
        consumer_tag: b"t",
        delivery_tag: 7,
        redelivered: false,
        exchange: b"",
        routing_key: b"q",
    };
    let octets = written(|buffer| {
        buffer.deliver(1, &deliver, &Content { header: &header, body: &body, blob: &body });
    });
    let expected = "01000100000012003c003c0174000000000000000700000171ce\
        02000100000020003c000000000000000000053100000000070161490000000102053630303030ce\
        0300010000000568656c6c6fce";
    assert_eq!(octets, hex(expected));

    let redelivered = Deliver { redelivered: true, ..deliver };
    let empty = Bytes::new();
    let octets = written(|buffer| {
        buffer.deliver(1, &redelivered, &Content { header: &[0, 0], body: &empty, blob: &empty });
    });
    // An empty body is a header and no body frame.
    let expected = "01000100000012003c003c0174000000000000000701000171ce\
        0200010000000e003c000000000000000000000000ce";
    assert_eq!(octets, hex(expected));
}

#[test]
fn golden_return() {
    let empty = Bytes::new();
    let returned =
        Return { reply_code: 312, reply_text: b"NO_ROUTE", exchange: b"", routing_key: b"k" };
    let octets = written(|buffer| {
        buffer.return_(1, &returned, &Content { header: &[0, 0], body: &empty, blob: &empty });
    });
    let method = hex("01000100000012003c00320138084e4f5f524f55544500016bce");
    assert!(octets.starts_with(&method));
}

#[test]
fn golden_confirms() {
    let nack = written(|buffer| buffer.nack(1, 3, false));
    assert_eq!(nack, hex("0100010000000d003c0078000000000000000302ce"));
    let ack = written(|buffer| buffer.ack(1, 3, true));
    assert_eq!(ack, hex("0100010000000d003c0050000000000000000301ce"));
}

#[test]
fn get_ok_reads_as_the_crate_reads_it() {
    let empty = Bytes::new();
    let get_ok = GetOk {
        delivery_tag: 9,
        redelivered: true,
        exchange: b"x",
        routing_key: b"k",
        message_count: 5,
    };
    let octets = written(|buffer| {
        buffer.get_ok(2, &get_ok, &Content { header: &[0, 0], body: &empty, blob: &empty });
    });
    let frames = frames_of(&octets);
    let expected = basic::GetOk {
        delivery_tag: 9,
        redelivered: true,
        exchange: "x".into(),
        routing_key: "k".into(),
        message_count: 5,
    };
    let class = AMQPClass::Basic(basic::AMQPMethod::GetOk(expected));
    assert_eq!(decode(&frames[0].2), Ok(Method::Other(class)));
    assert_eq!(frames.len(), 2);
}

#[test]
fn bodies_are_split_at_the_negotiated_size() {
    let body = Bytes::from(vec![7; 10_000]);
    let deliver = Deliver {
        consumer_tag: b"t",
        delivery_tag: 1,
        redelivered: false,
        exchange: b"",
        routing_key: b"q",
    };
    let sizes = |frame_max, body: &Bytes| {
        let octets = written(|buffer| {
            buffer.set_frame_max(frame_max);
            buffer.deliver(1, &deliver, &Content { header: &[0, 0], body, blob: body });
        });
        let frames = frames_of(&octets);
        frames.iter().skip(2).map(|(_, _, payload)| payload.len()).collect::<Vec<_>>()
    };
    assert_eq!(sizes(4096, &body), [4088, 4088, 1824]);
    assert_eq!(sizes(131_072, &body), [10_000]);
    assert_eq!(sizes(0, &Bytes::from(vec![7; 131_072])), [131_072]);
    // Large enough to be written from where it lies, and split all the same.
    assert_eq!(sizes(20_000, &Bytes::from(vec![7; 50_000])), [19_992, 19_992, 10_016]);
}

#[test]
fn a_large_body_is_not_copied() {
    let blob = Bytes::from(vec![7; 1_000_000]);
    let deliver = Deliver {
        consumer_tag: b"t",
        delivery_tag: 1,
        redelivered: false,
        exchange: b"",
        routing_key: b"q",
    };
    let mut buffer = WriteBuffer::new(limits::FRAME_MAX_DEFAULT);
    let content = Content { header: &[0, 0], body: &blob[100..], blob: &blob };
    buffer.deliver(1, &deliver, &content);
    assert!(buffer.capacity() < 10_000);
    assert!(buffer.len() > 999_900);
}

#[test]
fn a_large_body_that_lies_elsewhere_is_copied_whole() {
    let elsewhere = vec![7; 100_000];
    let deliver = Deliver {
        consumer_tag: b"t",
        delivery_tag: 1,
        redelivered: false,
        exchange: b"",
        routing_key: b"q",
    };
    let octets = written(|buffer| {
        let content = Content { header: &[0, 0], body: &elsewhere, blob: &Bytes::new() };
        buffer.deliver(1, &deliver, &content);
    });
    assert_eq!(frames_of(&octets)[2].2, elsewhere);
}

/// A frame with octets that need not make sense.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![Just(1u8), Just(2), Just(3)];
    (kind, any::<u16>(), proptest::collection::vec(any::<u8>(), 12..300)).prop_map(
        |(kind, channel, payload)| {
            let mut octets = vec![kind];
            octets.extend(channel.to_be_bytes());
            octets.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
            octets.extend(payload);
            octets.push(FRAME_END);
            octets
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn frames_do_not_depend_on_how_their_octets_arrive(
        frames in proptest::collection::vec(any_frame(), 0..60),
        pieces in proptest::collection::vec(1..2000usize, 1..30),
    ) {
        let octets = frames.concat();
        let mut decoder = Decoder::new(limits::FRAME_MAX_DEFAULT);
        let mut taken = Vec::new();
        let mut rest = &octets[..];
        for piece in pieces.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            rest = &rest[read(&mut decoder, &rest[..piece.min(rest.len())])..];
            taken.extend(take_all(&mut decoder).unwrap());
        }
        prop_assert_eq!(taken.len(), frames.len());
        prop_assert_eq!(taken, frames_of(&octets));
    }

    #[test]
    fn no_octets_panic_or_take_more_memory_than_one_frame(
        octets in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(FRAME_END), any::<u8>()], 0..2000),
        pieces in proptest::collection::vec(1..100usize, 1..10),
    ) {
        let mut decoder = Decoder::new(limits::FRAME_MIN);
        decoder.protocol_header();
        let mut rest = &octets[..];
        for piece in pieces.into_iter().cycle() {
            let count = read(&mut decoder, &rest[..piece.min(rest.len())]);
            rest = &rest[count..];
            let frames = take_all(&mut decoder);
            for (_, _, payload) in frames.iter().flatten() {
                let _ = decode(payload);
                if let Some(header) = ContentHeader::parse(payload) {
                    let _ = PropertiesView::check(header.properties);
                }
            }
            prop_assert!(decoder.capacity() <= limits::READ_BUFFER);
            if count == 0 || frames.is_err() {
                break;
            }
        }
    }

    #[test]
    fn what_is_delivered_arrives_as_the_crate_reads_it(
        consumer_tag in short_string(), exchange in short_string(), routing_key in short_string(),
        delivery_tag: u64, redelivered: bool, headers in table(), body_size in 0..40_000usize,
    ) {
        let properties = basic::AMQPProperties::default().with_headers(headers);
        let header = super::testing::by_crate::encode_properties(&properties);
        let body = Bytes::from(vec![9; body_size]);
        let deliver = Deliver {
            consumer_tag: consumer_tag.as_str().as_bytes(),
            delivery_tag,
            redelivered,
            exchange: exchange.as_str().as_bytes(),
            routing_key: routing_key.as_str().as_bytes(),
        };
        let octets = written(|buffer| {
            buffer.deliver(3, &deliver, &Content { header: &header, body: &body, blob: &body });
        });

        let frames = frames_of(&octets);
        let expected = basic::Deliver {
            consumer_tag: consumer_tag.clone(), delivery_tag, redelivered,
            exchange: exchange.clone(), routing_key: routing_key.clone(),
        };
        let class = AMQPClass::Basic(basic::AMQPMethod::Deliver(expected));
        prop_assert_eq!(super::testing::by_crate::decode_class(&frames[0].2), class);
        let content = ContentHeader::parse(&frames[1].2).unwrap();
        prop_assert_eq!(content.body_size, body_size as u64);
        prop_assert_eq!(content.properties, &header[..]);
        let received: Vec<u8> = frames[2..].iter().flat_map(|frame| frame.2.clone()).collect();
        prop_assert_eq!(received, body.to_vec());
    }
}
