//! A state is the same however it came about: by full replay, or by a checkpoint and the rest.

use std::sync::Arc;

use amq_protocol::types::{AMQPValue, FieldTable};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::broker::message::{Layout, Message};
use crate::durability::StateLoader;
use crate::durability::definition::tests::any_definition;
use crate::durability::record::{
    begin_payload, put_definition_record, put_delivered, put_gone, put_message, put_returned,
};
use crate::durability::recovery::{apply_frame, load};
use crate::store::{MemoryStore, ScannedFrame};

/// Everything a state says, in a form that can be compared and printed.
fn content(state: &LogState) -> impl PartialEq + std::fmt::Debug + use<> {
    let queues: Vec<_> = state
        .queues()
        .map(|queue| {
            let stretches: Vec<_> = queue.stretches().collect();
            let returns: Vec<_> = queue.returns().collect();
            let standing = (queue.next_position(), queue.delivered(), queue.len());
            (queue.definition().clone(), standing, stretches, returns)
        })
        .collect();
    let entries: Vec<_> = state.entries().map(Result::unwrap).collect();
    // Numbers of bindings are not part of what a state means.
    let mut bindings: Vec<_> = state.bindings().map(|binding| format!("{binding:?}")).collect();
    bindings.sort_unstable();
    let exchanges: Vec<_> = state.exchanges().cloned().collect();
    let vhosts: Vec<_> = state.vhosts().cloned().collect();
    let policies: Vec<_> = state.policies().cloned().collect();
    let outside = (vhosts, policies, exchanges);
    let place = (state.position, state.next_queue_id);
    (queues, entries, bindings, outside, state.segment_use().clone(), place)
}

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<(u64, u64, Option<u64>)>, u8),
    Returned(u64, Vec<(u64, (u32, Option<u64>))>),
    Gone(u64, Vec<u64>),
    Delivered(u64, u64),
    Define(Definition),
    Checkpoint,
    /// What the last checkpoint took is in it durably.
    Applied,
}

fn any_step() -> impl Strategy<Value = Step> {
    let place = (0_u64..6, 0_u64..3000, prop::option::of(1_u64..9));
    let retries = (0_u32..9, prop::option::of(1_u64..9));
    let counts = prop::collection::btree_map(0_u64..3000, retries, 1..900);
    prop_oneof![
        6 => (prop::collection::vec(place, 1..4), 0_u8..6)
            .prop_map(|(places, priority)| Step::Put(places, priority)),
        3 => (0_u64..6, prop::collection::btree_set(0_u64..3000, 1..900))
            .prop_map(|(queue, gone)| Step::Gone(queue, gone.into_iter().collect())),
        3 => (0_u64..6, counts)
            .prop_map(|(queue, counts)| Step::Returned(queue, counts.into_iter().collect())),
        1 => (0_u64..6, 0_u64..3000).prop_map(|(queue, up_to)| Step::Delivered(queue, up_to)),
        4 => any_definition(any_arguments().boxed()).prop_map(Step::Define),
        2 => Just(Step::Checkpoint),
        2 => Just(Step::Applied),
    ]
}

/// Of queues with one level or five.
fn any_arguments() -> impl Strategy<Value = FieldTable> {
    prop_oneof![Just(FieldTable::default()), Just(levels(4))]
}

fn levels(highest: u8) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-priority".into(), AMQPValue::LongInt(highest.into()));
    arguments
}

fn frame(step: &Step) -> Vec<u8> {
    let mut payload = Vec::new();
    begin_payload(&mut payload);
    match step {
        Step::Put(places, priority) => {
            let layout = Layout { exchange: 0, routing_key: 0, header: 3 };
            let blob = Bytes::from([&[8, 0, *priority], b"body".as_slice()].concat());
            let message = Message::new(blob, layout, true, false).unwrap();
            let places = places.iter().map(|&(queue, at, expires_at_ms)| Place {
                queue: QueueId(queue),
                position: Position(at),
                expires_at_ms,
            });
            put_message(&mut payload, &message, &places.collect::<Vec<_>>());
        }
        Step::Returned(queue, counts) => {
            let retries = counts
                .iter()
                .map(|&(at, (count, ready_at_ms))| (Position(at), Retries { count, ready_at_ms }));
            put_returned(&mut payload, QueueId(*queue), &retries.collect::<Vec<_>>());
        }
        Step::Gone(queue, gone) => {
            let gone: Vec<_> = gone.iter().copied().map(Position).collect();
            put_gone(&mut payload, QueueId(*queue), &gone);
        }
        Step::Delivered(queue, up_to) => {
            put_delivered(&mut payload, QueueId(*queue), Position(*up_to));
        }
        Step::Define(definition) => put_definition_record(&mut payload, definition),
        Step::Checkpoint | Step::Applied => {}
    }
    payload
}

/// The frames of a log, eight to a segment.
fn place(number: usize) -> LogPosition {
    let offset = u32::try_from(number % 8).unwrap() * 0x1_0000;
    LogPosition { generation: 1 + number as u64 / 8, offset }
}

fn replay(state: &mut LogState, frames: &[(LogPosition, Vec<u8>)]) {
    for (lsn, (position, payload)) in frames.iter().enumerate() {
        let (position, lsn) = (*position, lsn as u64);
        let frame = ScannedFrame { position, lsn, payload, is_batch_whole: true };
        apply_frame(state, frame).unwrap();
    }
}

fn declared(id: u64) -> Definition {
    Definition::QueueDeclared(QueueDefinition {
        id: QueueId(id),
        vhost: Arc::from("/"),
        name: Arc::from("q"),
        auto_delete: false,
        arguments: FieldTable::default(),
    })
}

fn counted(count: u32) -> Retries {
    Retries { count, ready_at_ms: None }
}

fn location(generation: u64) -> Location {
    Location { at: LogPosition { generation, offset: 64 }, length: 9 }
}

#[test]
fn a_deleted_queue_takes_its_entries_and_its_keys_along() {
    let store = MemoryStore::new();
    let mut state = LogState::default();
    state.define(declared(1));
    put(&mut state, 1, 0);
    state.returned(QueueId(1), [(Position(0), counted(2))]).unwrap();
    store.checkpoint().apply(state.checkpoint_batch()).unwrap();

    state.define(Definition::QueueDeleted { id: QueueId(1) });
    put(&mut state, 1, 1);
    store.checkpoint().apply(state.checkpoint_batch()).unwrap();

    assert!(state.live_segments().is_empty());
    let mut keys = Vec::new();
    let mut note = |key: &[u8], _: &[u8]| {
        keys.push(key.to_vec());
        Ok(())
    };
    store.checkpoint().load(&mut note).unwrap();
    assert_eq!(keys, [COUNTERS_KEY]);
}

/// A message of nine octets in segment 3, the last five of them its body.
fn put(state: &mut LogState, queue: u64, position: u64) {
    let (position, location) = (Position(position), location(3));
    let new = NewEntry { position, location, priority: None, body_bytes: 5, expires_at_ms: None };
    state.put(QueueId(queue), new).unwrap();
}

fn only(position: u64) -> Run {
    Run { first: Position(position), last: Position(position) }
}

/// A queue with 3000 entries that came back twice each, all in the checkpoint.
fn returned_and_checkpointed() -> (MemoryStore, LogState) {
    let store = MemoryStore::new();
    let mut state = LogState::default();
    state.define(declared(1));
    for position in 0..3000 {
        put(&mut state, 1, position);
        state.returned(QueueId(1), [(Position(position), counted(2))]).unwrap();
    }
    store.checkpoint().apply(state.checkpoint_batch()).unwrap();
    (store, state)
}

#[test]
fn an_entry_that_is_gone_takes_its_count_along() {
    let (store, mut state) = returned_and_checkpointed();

    let third = Run { first: Position(1024), last: Position(2047) };
    state.gone(QueueId(1), [only(7), third]).unwrap();
    store.checkpoint().apply(state.checkpoint_batch()).unwrap();

    let state = load(&*store.checkpoint()).unwrap();
    let queue = state.queues().next().unwrap();
    let counts = [6, 7, 8, 1023, 1024, 2047, 2048].map(|at| queue.retries(Position(at)).count);
    assert_eq!(counts, [2, 0, 2, 2, 0, 0, 2]);
}

#[test]
fn a_count_of_an_entry_that_is_not_there_is_not_kept() {
    let mut state = LogState::default();
    state.define(declared(1));
    put(&mut state, 1, 0);
    state.gone(QueueId(1), [only(0)]).unwrap();

    let returned = [(Position(0), counted(1)), (Position(1), counted(1))];
    state.returned(QueueId(1), returned).unwrap();

    let queue = state.queues().next().unwrap();
    assert_eq!([0, 1].map(|at| queue.retries(Position(at)).count), [0, 0]);
}

#[test]
fn a_checkpoint_writes_the_counts_that_changed_and_no_others() {
    let (_, mut state) = returned_and_checkpointed();

    let returned = [(Position(5), counted(3)), (Position(2500), counted(2))];
    state.returned(QueueId(1), returned).unwrap();

    // The counters, and the first thousand.
    assert_eq!(state.checkpoint_batch().len(), 2);
}

#[test]
fn a_checkpoint_of_this_format_stays_readable() {
    let key = |prefix: &[u8], numbers: &[u64]| {
        let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        [prefix, &numbers].concat()
    };
    let mut loader = StateLoader::default();
    // The next queue is number 8; one definition.
    loader.add(b"c/", &[1, 8, 1]).unwrap();
    // Durable queue `q` of virtual host `/`, not auto-delete, without arguments.
    loader.add(&key(b"t/q", &[7]), &[1, 7, 1, b'/', 1, b'q', 0, 0]).unwrap();
    loader.add(&key(b"q", &[7]), &[1, 6, 3, 1]).unwrap();
    // Position 5 in segment 3 at 64, nine bytes, level 0, the body four bytes shorter.
    let chunk = (key(b"i", &[7, 0]), vec![1, 1, 5, 6, 0x80, 1, 9, 0, 8]);
    // One chunk, the first, with one entry of level 0, five bytes, never expiring; in segment 3, nine bytes; and
    // the checksum of its value.
    let page = [&[1, 1, 0, 1, 0, 1, 5, 0, 1, 3, 1, 9], &crc32c::crc32c(&chunk.1).to_le_bytes()[..]];
    loader.add(&key(b"d", &[7, 0]), &page.concat()).unwrap();
    loader.add(&chunk.0, &chunk.1).unwrap();
    let position = LogPosition { generation: 3, offset: 128 };
    let mut checkpoint = MemoryStore::new().checkpoint();
    let mut batch = CheckpointBatch::new(position);
    batch.put(chunk.0, chunk.1);
    checkpoint.apply(batch).unwrap();

    let mut state = loader.finish(Some(position)).unwrap();
    state.read_from(checkpoint.reader());

    let queue = state.queues().next().unwrap();
    let entries: Vec<_> = state.entries().map(Result::unwrap).collect();
    let located = Located { position: Position(5), location: location(3) };
    assert_eq!(entries, [(QueueId(7), located)]);
    assert_eq!((queue.next_position(), queue.delivered()), (6, Some(Position(2))));
    assert_eq!(queue.retries(Position(5)), Retries::default());
}

#[test]
fn a_queue_whose_consumers_keep_up_costs_the_checkpoint_no_index() {
    let mut state = LogState::default();
    state.define(declared(1));
    state.checkpoint_batch();
    for position in 0..5000 {
        put(&mut state, 1, position);
        state.gone(QueueId(1), [only(position)]).unwrap();
    }

    // The counters, and how far the queue has come.
    assert_eq!(state.checkpoint_batch().len(), 2);
}

#[test]
fn a_message_of_several_queues_keeps_its_segment_until_the_last_is_done_with_it() {
    let mut state = LogState::default();
    for id in [1, 2] {
        state.define(declared(id));
        put(&mut state, id, 0);
    }

    state.gone(QueueId(1), [only(0)]).unwrap();
    assert!(state.live_segments().contains(&3));

    state.gone(QueueId(2), [only(0)]).unwrap();
    assert!(state.live_segments().is_empty());
}

#[test]
fn a_value_of_an_unknown_version_is_named() {
    let error = StateLoader::default().add(b"q\0\0\0\0\0\0\0\x01", &[7, 0, 0]).unwrap_err();
    assert!(error.to_string().starts_with("checkpoint value of version 7 is unknown"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Wherever the checkpoints were, and however much the replay repeats of what the last one knows.
    #[test]
    fn checkpoint_and_the_rest_are_the_same_as_everything(
        steps in prop::collection::vec(any_step(), 1..80),
        from: prop::sample::Index,
        warm in prop_oneof![Just(0_usize), 0_usize..3000],
    ) {
        let store = MemoryStore::new();
        let mut checkpoint = store.checkpoint();
        // What keeps everything, and what keeps little.
        let mut whole = LogState::default();
        let (mut state, mut frames) = (load(&*checkpoint).unwrap(), Vec::new());
        state.pool.keep(warm);
        let (mut pending, mut checkpointed) = (None, 0);
        for step in &steps {
            let is_applied = matches!(step, Step::Checkpoint | Step::Applied);
            if is_applied && let Some((batch, upto)) = pending.take() {
                checkpoint.apply(batch).unwrap();
                state.checkpoint_applied();
                checkpointed = upto;
            }
            if let Step::Checkpoint = step {
                pending = Some((state.checkpoint_batch(), frames.len()));
            }
            if is_applied {
                continue;
            }
            frames.push((place(frames.len()), frame(step)));
            replay(&mut state, &frames[frames.len() - 1..]);
        }
        replay(&mut whole, &frames);
        prop_assert_eq!(content(&state), content(&whole));

        let mut restarted = load(&*checkpoint).unwrap();
        prop_assert_eq!(restarted.pool.warm(), 0);
        restarted.pool.keep(warm);
        let from = from.index(checkpointed + 1);
        replay(&mut restarted, &frames[from..]);

        prop_assert_eq!(content(&restarted), content(&whole));
        // What is checkpointed next is right too.
        checkpoint.apply(restarted.checkpoint_batch()).unwrap();
        restarted.checkpoint_applied();
        prop_assert!(restarted.pool.warm() <= warm, "{} of {warm}", restarted.pool.warm());
        prop_assert_eq!(content(&restarted), content(&whole));
        prop_assert_eq!(content(&load(&*checkpoint).unwrap()), content(&whole));
    }

    #[test]
    fn damaged_pairs_are_an_error_and_no_panic(key: Vec<u8>, value: Vec<u8>, kind in 0_u8..8) {
        let prefix: &[u8] = [&b"i"[..], b"q", b"c/", b"t/x", b"t/b", b"t/q", b"r", b"d"][usize::from(kind)];
        let mut loader = StateLoader::default();
        let value = [&[VALUE_VERSION], value.as_slice()].concat();
        loader.add(&[prefix, key.as_slice()].concat(), &value).err();
        loader.finish(None).err();
    }
}
