//! The wire's share of one message: decoding a publish with its content, and encoding a deliver.

#[path = "shared/decode.rs"]
mod decode;
#[path = "shared/encode.rs"]
mod encode;
#[path = "shared/frames.rs"]
mod frames;

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use leveret::amqp::wire::decoder::Decoder;
use leveret::amqp::wire::properties::PropertiesView;
use leveret::amqp::wire::write_buffer::WriteBuffer;
use leveret::limits;

use self::decode::read;
use self::encode::deliver;
use self::frames::publish;

const FRAME_MAX: u32 = limits::FRAME_MAX_DEFAULT;
/// Messages in one batch, as a busy read buffer holds them.
const BATCH: usize = 100;

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode publish");
    group.throughput(Throughput::Elements(BATCH as u64));
    let cases: [(&str, usize, &[u8]); 3] = [
        ("16 B, no properties", 16, &[0, 0]),
        ("16 B, content type and mode", 16, b"\x90\x00\x0aapplicatio\x02"),
        ("16 B, with two headers", 16, b"\x20\x00\x00\x00\x00\x0D\x04keysI\x00\x00\x00\x01\x01bV"),
    ];
    for (name, body, properties) in cases {
        let octets = publish("", "some.queue", properties, body).repeat(BATCH);
        let mut decoder = Decoder::new(FRAME_MAX);
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(read(&mut decoder, &octets)));
        });
    }
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode deliver");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, size) in [("16 B", 16), ("1 KiB", 1024), ("128 KiB", 128 * 1024)] {
        let body = Bytes::from(vec![7; size]);
        let mut buffer = WriteBuffer::new(FRAME_MAX);
        group.bench_function(name, |bencher| {
            bencher.iter(|| deliver(&mut buffer, &body, BATCH));
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
