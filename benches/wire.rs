//! The wire's share of one message: decoding a publish with its content, and encoding a deliver.

use std::hint::black_box;

use bytes::{Buf, Bytes};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use leveret::amqp::wire::decoder::Decoder;
use leveret::amqp::wire::encoder::{Content, Deliver};
use leveret::amqp::wire::frame::{ContentHeader, FrameKind};
use leveret::amqp::wire::method::{self, Method};
use leveret::amqp::wire::properties::PropertiesView;
use leveret::amqp::wire::write_buffer::WriteBuffer;
use leveret::limits;

const FRAME_MAX: u32 = limits::FRAME_MAX_DEFAULT;
/// Messages in one batch, as a busy read buffer holds them.
const BATCH: usize = 100;

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[kind, 0, 1], &size[..], payload, &[0xCE]].concat()
}

fn published(body: usize, properties: &[u8]) -> Vec<u8> {
    let method = [&[0, 60, 0, 40, 0, 0, 0, 10][..], b"some.queue", &[0]].concat();
    let size = u64::try_from(body).unwrap_or(u64::MAX).to_be_bytes();
    let header = [&[0, 60, 0, 0][..], &size, properties].concat();
    [frame(1, &method), frame(2, &header), frame(3, &vec![7; body])].concat()
}

/// Everything the protocol layer asks the wire about a publish.
fn drain(decoder: &mut Decoder) -> usize {
    let mut octets = 0;
    while let Ok(Some(frame)) = decoder.next_frame() {
        match frame.kind {
            FrameKind::Method => {
                if let Ok(Method::Publish(publish)) = method::decode(frame.payload) {
                    octets += publish.routing_key.len();
                }
            }
            FrameKind::Header => {
                if let Some(header) = ContentHeader::parse(frame.payload)
                    && let Ok(properties) = PropertiesView::check(header.properties)
                {
                    octets += usize::from(properties.is_persistent());
                }
            }
            FrameKind::Body | FrameKind::Heartbeat => octets += frame.payload.len(),
        }
    }
    octets
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode publish");
    group.throughput(Throughput::Elements(BATCH as u64));
    let cases: [(&str, usize, &[u8]); 3] = [
        ("16 B, no properties", 16, &[0, 0]),
        ("16 B, content type and mode", 16, b"\x90\x00\x0aapplicatio\x02"),
        ("16 B, with two headers", 16, b"\x20\x00\x00\x00\x00\x0D\x04keysI\x00\x00\x00\x01\x01bV"),
    ];
    for (name, body, properties) in cases {
        let octets = published(body, properties).repeat(BATCH);
        let mut decoder = Decoder::new(FRAME_MAX);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut rest = &octets[..];
                while !rest.is_empty() {
                    let space = decoder.space();
                    let count = space.len().min(rest.len());
                    let (now, later) = rest.split_at(count);
                    space[..count].copy_from_slice(now);
                    decoder.filled(count);
                    rest = later;
                    black_box(drain(&mut decoder));
                }
            });
        });
    }
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode deliver");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, size) in [("16 B", 16), ("1 KiB", 1024), ("128 KiB", 128 * 1024)] {
        let body = Bytes::from(vec![7; size]);
        let content = Content { header: &[0x10, 0, 2], body: &body, blob: &body };
        let mut buffer = WriteBuffer::new(FRAME_MAX);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for delivery_tag in 0..BATCH as u64 {
                    let deliver = Deliver {
                        consumer_tag: b"ctag1.0123456789",
                        delivery_tag,
                        redelivered: false,
                        exchange: b"",
                        routing_key: b"some.queue",
                    };
                    buffer.deliver(1, black_box(&deliver), &content);
                }
                buffer.advance(black_box(&buffer).remaining());
            });
        });
    }
    group.finish();
}

/// What every queued message is asked: its priority and its time to live.
fn look_up(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("priority and expiration");
    let cases: [(&str, &[u8]); 3] = [
        ("neither, content type and mode", b"\x90\x00\x0aapplicatio\x02"),
        ("neither, with two headers", b"\x20\x00\x00\x00\x00\x0D\x04keysI\x00\x00\x00\x01\x01bV"),
        ("both, content type and mode", b"\x99\x00\x0aapplicatio\x02\x07\x0560000"),
    ];
    for (name, header) in cases {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let properties = PropertiesView::assume_checked(black_box(header));
                (properties.priority(), properties.expiration_ms())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode, encode, look_up);
criterion_main!(benches);
