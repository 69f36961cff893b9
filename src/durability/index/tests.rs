//! An index is a map from positions to places, whatever of it is in memory.

use proptest::prelude::*;

use super::*;
use crate::durability::segments::{SegmentUse, Segments};
use crate::store::{Checkpoint, CheckpointBatch, LogPosition, MemoryStore};

const QUEUE: QueueId = QueueId(7);

fn entry(number: u64) -> IndexEntry {
    let offset = u32::try_from(number % 1000).unwrap() * 64;
    let at = LogPosition { generation: 1 + number / 1000, offset };
    let body_bytes = u32::try_from(number % 50).unwrap();
    let level = u8::try_from(number % 3).unwrap();
    IndexEntry { location: Location { at, length: 60 }, level, body_bytes }
}

fn expiry(number: u64) -> Option<u64> {
    number.is_multiple_of(4).then_some(1 + number)
}

fn run(first: u64, last: u64) -> Run {
    Run { first: Position(first), last: Position(last) }
}

fn reading(checkpoint: &dyn Checkpoint) -> Pool {
    let mut pool = Pool::default();
    pool.reader = Some(checkpoint.reader());
    pool
}

/// An index, the checkpoint it is written to, and what should be in it.
struct Indexed {
    index: Index,
    pool: Pool,
    store: MemoryStore,
    checkpoint: Box<dyn Checkpoint>,
    /// Taken and not yet in the checkpoint.
    pending: Option<CheckpointBatch>,
    model: BTreeMap<u64, u64>,
}

impl Indexed {
    fn new() -> Self {
        let store = MemoryStore::new();
        let checkpoint = store.checkpoint();
        let pool = reading(&*checkpoint);
        let (index, model) = (Index::new(QUEUE), BTreeMap::new());
        Self { index, pool, store, checkpoint, pending: None, model }
    }

    fn insert(&mut self, position: u64, number: u64) {
        let entry = (entry(number), expiry(number));
        self.index.insert(Position(position), entry, &mut self.pool).unwrap();
        self.model.insert(position, number);
    }

    fn remove(&mut self, run: Run) {
        self.index.remove(run, &mut self.pool).unwrap();
        self.model.retain(|&position, _| position < run.first.0 || position > run.last.0);
    }

    /// Takes a batch, and applies the one before.
    fn take(&mut self) {
        self.apply();
        let mut batch = CheckpointBatch::new(LogPosition { generation: 1, offset: 0 });
        self.pool.take();
        self.index.take_changes(&mut self.pool, &mut |key, value| batch.set(key, value));
        self.pending = Some(batch);
    }

    fn apply(&mut self) {
        if let Some(batch) = self.pending.take() {
            self.checkpoint.apply(batch).unwrap();
            self.pool.apply();
        }
    }

    /// Lets every other chunk go that may.
    fn cool(&mut self, which: u64) {
        let coolable: Vec<_> = self.index.coolable(&self.pool).map(|(_, number)| number).collect();
        for number in coolable.into_iter().filter(|number| number % 2 == which % 2) {
            self.index.cool(number, &mut self.pool);
        }
    }

    fn cool_all(&mut self) {
        self.take();
        self.apply();
        self.cool(0);
        self.cool(1);
        assert_eq!(self.pool.warm(), 0);
    }

    /// What a restart finds.
    fn reload(&self) -> (Index, Pool) {
        let mut pool = reading(&*self.checkpoint);
        let mut index = Index::new(QUEUE);
        let mut load = |key: &[u8], value: &[u8]| {
            let mut value = Reader::new(value);
            value.version("value", VALUE_VERSION).unwrap();
            let page = u64::from_be_bytes(key[9..].try_into().unwrap());
            index.load_page(page, &mut value, &mut pool).unwrap();
            assert!(value.is_empty());
            Ok(())
        };
        self.checkpoint.load_range(PAGE_KEYS, Some(b"e"), &mut load).unwrap();
        (index, pool)
    }

    fn expected(&self) -> Vec<Located> {
        let located = |(&position, &number): (&u64, &u64)| Located {
            position: Position(position),
            location: entry(number).location,
        };
        self.model.iter().map(located).collect()
    }

    fn expected_segments(&self) -> Segments {
        let mut segments = Segments::default();
        for &number in self.model.values() {
            let Location { at, length } = entry(number).location;
            segments.add(at.generation, SegmentUse::of_one(length));
        }
        segments
    }

    /// The summaries count what is in the model.
    fn check(&self) {
        assert_eq!(self.index.len(), self.model.len());
        assert_eq!(self.pool.segments, self.expected_segments());
        let weights = self.index.chunks.values().map(Chunk::weight);
        assert_eq!(weights.clone().map(|weight| weight.warm).sum::<usize>(), self.pool.warm());
        assert_eq!(weights.map(|weight| weight.changed).sum::<usize>(), self.pool.changed());
        for (number, summary) in self.index.summaries() {
            let positions = join(number, 0).0..=join(number, LAST_LOW).0;
            for level in summary.levels() {
                let of_level = || {
                    let numbers = self.model.range(positions.clone()).map(|(_, &number)| number);
                    numbers.filter(|&number| entry(number).level == level.level)
                };
                assert_eq!(level.entries as usize, of_level().count());
                let bytes: u64 = of_level().map(|number| u64::from(entry(number).body_bytes)).sum();
                assert_eq!(level.bytes, bytes);
                let soonest = of_level().filter_map(expiry).min();
                let bound = level.expires_at_ms.map(std::num::NonZeroU64::get);
                assert!(
                    bound.is_some_and(|bound| soonest.is_none_or(|at| bound <= at))
                        || soonest.is_none()
                );
            }
        }
    }
}

fn all(index: &Index, pool: &Pool) -> Vec<Located> {
    index.entries(pool).collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_chunk_that_came_and_went_between_checkpoints_leaves_no_trace() {
    let mut indexed = Indexed::new();
    for position in 0..100 {
        indexed.insert(position, position);
    }
    indexed.remove(run(0, 99));

    indexed.take();

    assert!(indexed.pending.unwrap().is_empty());
}

#[test]
fn removing_all_there_could_be_is_as_cheap_as_what_is_there() {
    let mut indexed = Indexed::new();
    indexed.insert(5, 5);
    indexed.insert(u64::MAX, 6);

    indexed.remove(run(0, u64::MAX));

    assert_eq!(indexed.index.len(), 0);
    assert_eq!(indexed.pool.segments, Segments::default());
}

#[test]
fn a_chunk_that_is_nearly_empty_gives_back_its_memory() {
    let mut indexed = Indexed::new();
    for position in 0..limits::INDEX_CHUNK {
        indexed.insert(position, position);
    }
    for position in 0..limits::INDEX_CHUNK - 1 {
        indexed.remove(run(position, position));
    }

    indexed.check();
    assert!(indexed.pool.warm() < 128, "{} slots", indexed.pool.warm());
}

/// Three chunks that are cold, and whose values are lost.
fn cold_and_lost() -> Indexed {
    let mut indexed = Indexed::new();
    for position in 0..3 * limits::INDEX_CHUNK {
        indexed.insert(position, position);
    }
    indexed.cool_all();
    for (key, _) in indexed.store.checkpoint_bits() {
        if key.starts_with(CHUNK_KEYS) {
            indexed.store.flip_checkpoint_bit(&key, 0);
        }
    }
    indexed
}

#[test]
fn removing_whole_cold_chunks_reads_nothing() {
    let mut indexed = cold_and_lost();
    indexed.remove(run(0, 2 * limits::INDEX_CHUNK - 1));
    indexed.check();
    indexed.remove(run(0, u64::MAX));
    indexed.check();
}

#[test]
fn what_needs_a_cold_chunk_that_cannot_be_read_fails_and_names_its_key() {
    let Indexed { mut index, mut pool, .. } = cold_and_lost();
    let pool = &mut pool;
    let mut located = Vec::new();
    let errors = [
        index.contains(Position(5), pool).map(drop),
        index.locate(Some(0), run(0, 9), pool, &mut located),
        index.insert(Position(5), (entry(5), None), pool),
        index.remove(run(5, 5), pool),
        index.entries(pool).next().unwrap().map(drop),
    ];

    let key = r"key 'i\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00'";
    for error in errors {
        let error = error.unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
    assert_eq!(located, []);
}

#[test]
fn a_value_of_another_time_is_not_taken_for_the_chunk() {
    let mut indexed = Indexed::new();
    indexed.insert(0, 0);
    indexed.take();
    let old = indexed.pending.clone().unwrap();
    indexed.insert(1, 1);
    indexed.cool_all();

    indexed.checkpoint.apply(old).unwrap();

    assert!(indexed.index.contains(Position(0), &mut indexed.pool).is_err());
}

#[test]
fn a_chunk_that_is_on_its_way_to_the_checkpoint_stays_in_memory() {
    let mut indexed = Indexed::new();
    indexed.insert(0, 0);
    indexed.take();
    assert_eq!(indexed.index.coolable(&indexed.pool).count(), 0);

    indexed.apply();
    assert_eq!(indexed.index.coolable(&indexed.pool).count(), 1);

    indexed.insert(1, 1);
    assert_eq!(indexed.index.coolable(&indexed.pool).count(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Insert { first: u64, count: u64, number: u64 },
    Remove { first: u64, length: u64 },
    Locate { first: u64, length: u64, level: Option<u8> },
    Take,
    Apply,
    Cool(u64),
    Restart,
}

fn any_step() -> impl Strategy<Value = Step> {
    let position = || 0_u64..6000;
    prop_oneof![
        4 => (position(), 0_u64..40, 0_u64..9000)
            .prop_map(|(first, count, number)| Step::Insert { first, count, number }),
        3 => (position(), 0_u64..2500).prop_map(|(first, length)| Step::Remove { first, length }),
        2 => (position(), 0_u64..2500, prop::option::of(0_u8..4))
            .prop_map(|(first, length, level)| Step::Locate { first, length, level }),
        2 => Just(Step::Take),
        2 => Just(Step::Apply),
        3 => (0_u64..2).prop_map(Step::Cool),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// However entries come and go, whenever a checkpoint takes what changed, and whatever leaves memory.
    #[test]
    fn an_index_is_a_map_whatever_of_it_is_in_memory(
        steps in prop::collection::vec(any_step(), 1..80)
    ) {
        let mut indexed = Indexed::new();
        for step in steps {
            match step {
                Step::Insert { first, count, number } => {
                    (0..count).for_each(|next| indexed.insert(first + next, number + next));
                }
                Step::Remove { first, length } => indexed.remove(run(first, first + length)),
                Step::Locate { first, length, level } => {
                    let mut located = Vec::new();
                    let (index, pool) = (&mut indexed.index, &mut indexed.pool);
                    index.locate(level, run(first, first + length), pool, &mut located).unwrap();
                    let mut expected = indexed.expected();
                    expected.retain(|one| {
                        let position = one.position.0;
                        (first..=first + length).contains(&position)
                            && level.is_none_or(|level| entry(indexed.model[&position]).level == level)
                    });
                    prop_assert_eq!(located, expected);
                }
                Step::Take => indexed.take(),
                Step::Apply => indexed.apply(),
                Step::Cool(which) => indexed.cool(which),
                Step::Restart => {
                    indexed.take();
                    indexed.apply();
                    (indexed.index, indexed.pool) = indexed.reload();
                    prop_assert_eq!(indexed.pool.warm(), 0);
                }
            }
            indexed.check();
        }
        prop_assert_eq!(all(&indexed.index, &indexed.pool), indexed.expected());
        indexed.take();
        let stored: BTreeSet<_> = indexed.index.stored_keys().collect();
        indexed.apply();
        let keys: BTreeSet<_> = indexed.store.checkpoint_bits().into_iter().map(|(key, _)| key).collect();
        prop_assert_eq!(stored, keys);
        let (index, pool) = indexed.reload();
        prop_assert_eq!(all(&index, &pool), indexed.expected());
    }

    #[test]
    fn damaged_values_are_an_error_and_no_panic(value: Vec<u8>, page: u64) {
        let mut pool = Pool::default();
        Index::new(QUEUE).load_page(page, &mut Reader::new(&value), &mut pool).err();
        crate::durability::chunk::read_value(&[&[VALUE_VERSION], value.as_slice()].concat()).err();
    }
}
