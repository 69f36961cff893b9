//! What it costs to keep messages: batches of 64 x 1 KiB appended to the log, handed over and synced.
//!
//! `cargo bench --bench store`. It writes to `target/`, so that it measures the disk the sources are on.

use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use leveret::store::{
    CheckpointBatch, DataDirectory, Flush, FrameBuffer, Log, LogPosition, MemoryStore,
};

const MESSAGES: usize = 64;
const BODY: [u8; 1024] = [0xA5; 1024];

fn encode(batch: &mut FrameBuffer) {
    batch.clear();
    batch.begin_frame();
    for _ in 0..MESSAGES {
        batch.buffer().extend_from_slice(&BODY);
    }
    batch.end_frame();
}

/// Appends one batch, and releases what is older than two segments, as a queue that is kept short does.
fn append(log: &mut dyn Log, batch: &mut FrameBuffer, flush: Flush) {
    encode(batch);
    let generation = log.append(batch, flush).expect("the disk takes it").end.generation;
    if log.segments().len() > 3 {
        log.release(generation - 1, &|_| false).expect("old segments can be released");
    }
}

fn scratch() -> tempfile::TempDir {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    tempfile::tempdir_in(target).expect("target/ can be written")
}

fn appends(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append 64 x 1 KiB");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    for (name, flush) in [("buffered", Flush::Buffered), ("synced", Flush::Synced)] {
        let scratch = scratch();
        let directory = DataDirectory::open(scratch.path()).expect("a new directory");
        let (mut log, _) = directory.log().open(None, &mut |_| Ok(())).expect("an empty log");
        let mut batch = FrameBuffer::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| append(&mut *log, &mut batch, flush));
        });
    }
    let (mut log, _) = MemoryStore::new().log().open(None, &mut |_| Ok(())).expect("an empty log");
    let mut batch = FrameBuffer::new();
    group.bench_function("memory", |bencher| {
        bencher.iter(|| append(&mut *log, &mut batch, Flush::Synced));
    });
    group.finish();
}

fn reads(criterion: &mut Criterion) {
    let scratch = scratch();
    let directory = DataDirectory::open(scratch.path()).expect("a new directory");
    let (mut log, _) = directory.log().open(None, &mut |_| Ok(())).expect("an empty log");
    let mut batch = FrameBuffer::new();
    encode(&mut batch);
    let places: Vec<_> = (0..256)
        .map(|_| log.append(&mut batch, Flush::Buffered).expect("the disk takes it"))
        .map(|appended| appended.position(1024))
        .collect();
    let reader = log.reader();
    let mut next = places.iter().cycle();
    criterion.bench_function("read 1 KiB", |bencher| {
        bencher.iter(|| reader.read(*next.next().expect("a cycle"), 1024));
    });
}

fn checkpoints(criterion: &mut Criterion) {
    let scratch = scratch();
    let directory = DataDirectory::open(scratch.path()).expect("a new directory");
    let mut checkpoint = directory.checkpoint().expect("an empty checkpoint");
    let position = LogPosition { generation: 1, offset: 8192 };
    criterion.bench_function("checkpoint of 100 chunks", |bencher| {
        let batch = || {
            let mut batch = CheckpointBatch::new(position);
            (0..100_u16).for_each(|chunk| batch.put(chunk.to_be_bytes(), vec![7; 12 * 1024]));
            batch
        };
        bencher.iter_batched(
            batch,
            |batch| checkpoint.apply(batch).expect("the disk takes it"),
            BatchSize::SmallInput,
        );
    });
}

criterion_group! {
    name = store;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(4));
    targets = appends, reads, checkpoints
}
criterion_main!(store);
