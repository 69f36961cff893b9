//! When entries expire and how they came back, wherever the cut comes.

use proptest::prelude::*;
use proptest::sample::Index;

use super::crash::{Cut, CutLog, Cuts};
use super::*;
use crate::broker::change::{Definition, Put, QueueChanges, QueueDefinition, Retries};
use crate::broker::delivery::Position;
use crate::durability::collection::{Batch, Collection};
use crate::durability::forward::Emptying;
use crate::durability::load;
use crate::durability::messages::{Wanted, read_messages};
use crate::store::{Flush, Survives};

const QUEUES: u64 = 3;

/// By queue and position: the body, when it expires, how it came back.
type Content = BTreeMap<(u64, u64), (String, Option<u64>, Retries)>;

/// What a restart on this store puts into the queues.
fn content_of(store: &MemoryStore) -> Content {
    let clock = Arc::new(Clock::manual());
    let recovered = recover(store.log(), &*store.checkpoint(), &[], clock).unwrap();
    let Recovered { log, state, report, .. } = recovered;
    let wanted = |entry: Result<(QueueId, Located), StoreError>| {
        let (queue, Located { position, location }) = entry.unwrap();
        Wanted { location, queue, position }
    };
    let mut wanted: Vec<Wanted> = state.entries().map(wanted).collect();
    wanted.sort_unstable();
    let mut content = Content::new();
    let damages = read_messages(&*log.reader(), &wanted, &mut |queue, put| {
        let body = String::from_utf8(put.message.body().to_vec()).unwrap();
        let retries = state.queue(queue).unwrap().retries(put.position);
        content.insert((queue.0, put.position.0), (body, put.expires_at_ms, retries));
    });
    assert_eq!((report.damages, damages), (vec![], vec![]));
    content
}

/// What one commit cycle collects.
#[derive(Clone, Debug)]
struct Cycle {
    /// New messages: when each expires in each queue it is for, and whether it came back already.
    published: Vec<(Vec<Option<u64>>, bool)>,
    returned: Vec<Index>,
    settled: Vec<Index>,
    flush: Flush,
    then: Then,
}

#[derive(Clone, Copy, Debug)]
enum Then {
    Nothing,
    Checkpoint,
    /// As before a checkpoint that is never applied.
    Sync,
    /// All messages move to the end of the log.
    Forward,
}

fn any_cycle() -> impl Strategy<Value = Cycle> {
    let expiries = prop::collection::vec(prop::option::of(1_u64..2_000_000_000_000), 1..=3);
    let some = || prop::collection::vec(any::<Index>(), 0..3);
    let flush = prop_oneof![Just(Flush::Buffered), Just(Flush::Synced)];
    let then = prop_oneof![3 => Just(Then::Nothing), 1 => Just(Then::Checkpoint), 1 => Just(Then::Sync), 2 => Just(Then::Forward)];
    let published = prop::collection::vec((expiries, any::<bool>()), 0..4);
    (published, some(), some(), flush, then).prop_map(
        |(published, returned, settled, flush, then)| Cycle {
            published,
            returned,
            settled,
            flush,
            then,
        },
    )
}

/// Queues without a broker, which put their changes down.
struct Writer {
    log: CutLog,
    checkpoint: Box<dyn Checkpoint>,
    state: LogState,
    batch: Batch,
    collector: Arc<Collector>,
    now: Content,
    next: u64,
    /// What the queues held as of each write; nothing, as of the first.
    history: Vec<Content>,
}

impl Writer {
    fn on(store: &MemoryStore) -> (Self, Arc<Cuts>) {
        let (cuts, collector) = (Arc::default(), Arc::default());
        let writer = Self {
            log: CutLog::new(store, &collector, &cuts),
            checkpoint: store.checkpoint(),
            state: load(&*store.checkpoint()).unwrap(),
            batch: Batch::default(),
            collector,
            now: Content::new(),
            next: 0,
            history: Vec::new(),
        };
        (writer, cuts)
    }

    /// Three queues that are on disk.
    fn with_queues(store: &MemoryStore) -> (Self, Arc<Cuts>) {
        let (mut writer, cuts) = Self::on(store);
        let declared = |id| {
            Definition::QueueDeclared(QueueDefinition {
                id: QueueId(id),
                vhost: Arc::from("/"),
                name: Arc::from(format!("q{id}")),
                auto_delete: false,
                arguments: no_arguments(),
            })
        };
        let definitions = (0..QUEUES).map(declared).collect();
        writer.write(Collection { definitions, ..Collection::default() }, Flush::Synced);
        (writer, cuts)
    }

    fn perform(&mut self, cycle: &Cycle) {
        let queues = self.change(cycle);
        self.write(Collection { queues, ..Collection::default() }, cycle.flush);
        match cycle.then {
            Then::Nothing => {}
            Then::Sync => self.sync(),
            Then::Checkpoint => {
                self.sync();
                self.checkpoint.apply(self.state.checkpoint_batch()).unwrap();
                self.state.checkpoint_applied();
            }
            Then::Forward => self.forward(),
        }
    }

    fn change(&mut self, cycle: &Cycle) -> Vec<QueueChanges> {
        let mut queues: Vec<QueueChanges> = (0..QUEUES).map(unchanged).collect();
        for index in &cycle.settled {
            let Some(at) = self.pick(*index) else { continue };
            self.now.remove(&at);
            changes_of(&mut queues, at.0).gone.push(Position(at.1));
        }
        let mut returned: BTreeSet<_> =
            cycle.returned.iter().filter_map(|index| self.pick(*index)).collect();
        for (expiries, came_back) in &cycle.published {
            let new = self.publish(expiries, &mut queues);
            returned.extend(new.filter(|_| *came_back));
        }
        for at in returned {
            let retries = &mut self.now.get_mut(&at).unwrap().2;
            retries.count += 1;
            // Every other time it must wait.
            let delay = u64::from(retries.count % 2);
            retries.ready_at_ms = (delay > 0).then_some(1_700_000_000_000 + at.1);
            changes_of(&mut queues, at.0).returned.push((Position(at.1), *retries));
        }
        queues
    }

    /// Some entry, if there is any.
    fn pick(&self, index: Index) -> Option<(u64, u64)> {
        let entries = self.now.len();
        if entries == 0 { None } else { self.now.keys().nth(index.index(entries)).copied() }
    }

    /// A message to the first of the queues. Returns its places.
    fn publish(
        &mut self,
        expiries: &[Option<u64>],
        queues: &mut [QueueChanges],
    ) -> impl Iterator<Item = (u64, u64)> + use<> {
        let position = self.next;
        self.next += 1;
        let name = format!("m{position}");
        let message = message(&name, expiries.len() > 1);
        for (queue, &expires_at_ms) in (0..).zip(expiries) {
            self.now.insert((queue, position), (name.clone(), expires_at_ms, Retries::default()));
            let (position, message) = (Position(position), Arc::clone(&message));
            changes_of(queues, queue).puts.push(Put { position, message, expires_at_ms });
        }
        (0..expiries.len() as u64).map(move |queue| (queue, position))
    }

    fn write(&mut self, collection: Collection, flush: Flush) {
        self.batch.encode(collection);
        self.history.push(self.now.clone());
        let appended = self.log.append(&mut self.batch.frames, flush).unwrap();
        self.batch.apply(appended, &mut self.state).unwrap();
        if flush == Flush::Synced {
            self.release();
        }
    }

    fn forward(&mut self) {
        let mut emptying = Emptying::new(self.log.end().generation);
        while emptying.gather(&self.state).unwrap() {}
        while let Some(portion) = emptying.read(&*self.log.reader(), 1000).unwrap() {
            portion.encode(&mut self.state, &mut self.batch).unwrap();
            self.history.push(self.now.clone());
            let appended = self.log.append(&mut self.batch.frames, Flush::Buffered).unwrap();
            self.batch.apply(appended, &mut self.state).unwrap();
        }
    }

    fn sync(&mut self) {
        self.log.sync().unwrap();
        self.release();
    }

    /// Says that everything so far is on disk.
    fn release(&self) {
        self.collector.committed.store(self.history.len() as u64, Ordering::SeqCst);
    }

    /// Some moment's content is there, and none before the last that was released.
    fn check(&self, cut: &Cut) {
        let found = content_of(&cut.store);
        let released = usize::try_from(cut.committed).unwrap().saturating_sub(1);
        assert!(self.history[released..].contains(&found), "it never was so: {found:?}");
    }
}

fn unchanged(queue: u64) -> QueueChanges {
    QueueChanges {
        queue: QueueId(queue),
        puts: Vec::new(),
        gone: Vec::new(),
        purged: Vec::new(),
        delivered: None,
        returned: Vec::new(),
    }
}

fn changes_of(queues: &mut [QueueChanges], queue: u64) -> &mut QueueChanges {
    &mut queues[usize::try_from(queue).unwrap()]
}

#[test]
fn a_message_of_several_queues_expires_in_each_at_its_own_time() {
    for then in [Then::Nothing, Then::Checkpoint] {
        let store = MemoryStore::new();
        let (mut writer, _) = Writer::with_queues(&store);
        let published = vec![(vec![Some(1000), Some(2000), None], false)];
        let (returned, settled) = (Vec::new(), Vec::new());
        writer.perform(&Cycle { published, returned, settled, flush: Flush::Synced, then });

        let found = content_of(&store.crash(Survives::Synced));

        let expiries: Vec<_> = found.values().map(|(_, expires_at_ms, _)| *expires_at_ms).collect();
        assert_eq!(expiries, [Some(1000), Some(2000), None]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn expiries_and_counts_are_as_they_were_wherever_the_cut_comes(
        cycles in prop::collection::vec(any_cycle(), 1..16)
    ) {
        let store = MemoryStore::new();
        let (mut writer, cuts) = Writer::with_queues(&store);
        for cycle in &cycles {
            writer.perform(cycle);
        }
        for cut in cuts.take() {
            writer.check(&cut);
        }
        prop_assert_eq!(content_of(&store), writer.now);
    }
}
