//! What a peer makes of the frames of small publishes and of acknowledgements. The frames are cut already: only
//! `Peer::receive` and the arena are measured, in batches of one read buffer.

#[path = "shared/offer.rs"]
mod offer;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use leveret::amqp::protocol::arena::Arena;
use leveret::amqp::protocol::peer::Peer;
use leveret::amqp::wire::frame::{Frame, FrameKind};
use leveret::limits;

use self::offer::offer;

const CHANNEL: u16 = 1;

fn frame(kind: FrameKind, channel: u16, payload: &[u8]) -> Frame<'_> {
    Frame { kind, channel, payload }
}

/// A peer with an open channel.
fn running_peer() -> Peer {
    let mut arena = Arena::new();
    let mut peer = Peer::new(Arc::new(offer()));
    let start_ok = b"\0\x0a\0\x0b\0\0\0\0\x05PLAIN\0\0\0\x04\0a\0b\x05en_US";
    let tune_ok = [0, 10, 0, 31, 7, 255, 0, 2, 0, 0, 0, 0];
    let open = b"\0\x0a\0\x28\x01/\0\0";
    let mut method = |peer: &mut Peer, channel, payload: &[u8]| {
        let taken = peer.receive(frame(FrameKind::Method, channel, payload), &mut arena);
        assert!(matches!(taken, Ok(Some(_))), "{taken:?}");
    };
    method(&mut peer, 0, start_ok);
    peer.authenticated();
    method(&mut peer, 0, &tune_ok);
    method(&mut peer, 0, open);
    peer.opened();
    method(&mut peer, CHANNEL, &[0, 20, 0, 10, 0]);
    peer
}

/// Publishes of one size, as many as one read buffer holds.
fn publishes(criterion: &mut Criterion, name: &str, body_size: usize) {
    let method = b"\0\x3c\0\x28\0\0\0\x05bench\0";
    let header = [&[0, 60, 0, 0][..], &(body_size as u64).to_be_bytes(), &[0x10, 0, 1]].concat();
    let body = vec![7; body_size];
    let on_wire = method.len() + header.len() + body.len() + 3 * 8;
    let count = limits::READ_BUFFER / on_wire;

    let mut peer = running_peer();
    let mut arena = Arena::new();
    let mut group = criterion.benchmark_group("publish");
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function(name, |bencher| {
        bencher.iter_batched_ref(
            || Vec::with_capacity(count),
            |messages| {
                arena.begin(limits::READ_BUFFER);
                for _ in 0..count {
                    let mut receive =
                        |kind, payload| peer.receive(frame(kind, CHANNEL, payload), &mut arena);
                    let _ = black_box(receive(FrameKind::Method, black_box(method)));
                    let _ = black_box(receive(FrameKind::Header, black_box(&header)));
                    messages.push(receive(FrameKind::Body, black_box(&body)));
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn acknowledgements(criterion: &mut Criterion) {
    let ack = [0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 9, 0];
    let mut peer = running_peer();
    let mut arena = Arena::new();
    criterion.bench_function("ack", |bencher| {
        bencher
            .iter(|| peer.receive(frame(FrameKind::Method, CHANNEL, black_box(&ack)), &mut arena));
    });
}

fn benches(criterion: &mut Criterion) {
    publishes(criterion, "16 B", 16);
    publishes(criterion, "1 KiB", 1024);
    acknowledgements(criterion);
}

criterion_group!(peer, benches);
criterion_main!(peer);
