//! Any history of appends, syncs and restarts, cut short anywhere.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::store::Survives;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<usize>, Flush),
    Sync,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sizes = prop::collection::vec(0_usize..600, 1..6);
    let flush = prop_oneof![3 => Just(Flush::Buffered), 1 => Just(Flush::Synced)];
    let step = prop_oneof![
        8 => (sizes, flush).prop_map(|(sizes, flush)| Step::Append(sizes, flush)),
        1 => Just(Step::Sync),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..25)
}

/// Frames that tell which batch they belong to.
fn numbered(batch: usize, sizes: &[usize]) -> Payloads {
    let text = |(frame, size): (usize, &usize)| {
        let mut payload = format!("{batch}/{frame}:").into_bytes();
        payload.resize(payload.len() + size, b'.');
        payload
    };
    sizes.iter().enumerate().map(text).collect()
}

struct History {
    disk: SimulatedDisk,
    log: SegmentLog,
    batches: Vec<Payloads>,
    synced: usize,
    /// How many batches the log knows as synced since it was opened.
    noted: usize,
    /// How many of them a later batch knows as synced.
    known: usize,
}

impl History {
    fn of(steps: &[Step]) -> Self {
        let (disk, log) = new_log();
        let mut history = Self { disk, log, batches: Vec::new(), synced: 0, noted: 0, known: 0 };
        for step in steps {
            history.perform(step);
        }
        history
    }

    fn perform(&mut self, step: &Step) {
        match step {
            Step::Append(sizes, flush) => {
                let payloads = numbered(self.batches.len(), sizes);
                self.known = self.known.max(self.noted);
                self.log.append(&mut batch(&payloads), *flush).unwrap();
                self.batches.push(payloads);
                if *flush == Flush::Synced {
                    self.note_sync();
                }
            }
            Step::Sync => {
                self.log.sync().unwrap();
                self.note_sync();
            }
            Step::Reopen => {
                self.log = open(&self.disk).0;
                self.noted = 0;
            }
        }
    }

    fn note_sync(&mut self) {
        self.synced = self.batches.len();
        self.noted = self.synced;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_kill_at_any_byte_leaves_a_prefix_of_whole_batches(steps in steps(), cut in 0_u64..2000) {
        let history = History::of(&steps);
        let newest = history.log.end();
        prop_assume!(!history.batches.is_empty());
        // The write that was under way got this far.
        let killed = history.disk.snapshot();
        let kept = AREA + cut.min(u64::from(newest.offset) - AREA);
        edit(&killed, newest.generation, |contents| {
            contents[usize::try_from(kept).unwrap()..].fill(0);
        });

        let (_, payloads, report) = open(&killed);

        let whole = history.batches.iter().scan(0, |frames, batch| {
            *frames += batch.len();
            Some(*frames)
        });
        let all: Payloads = history.batches.concat();
        prop_assert!(payloads.is_empty() || whole.into_iter().any(|end| end == payloads.len()));
        prop_assert_eq!(&all[..payloads.len()], &payloads[..]);
        prop_assert_eq!(report.damages, vec![]);
    }

    #[test]
    fn no_power_cut_loses_what_was_synced_or_invents_anything(
        steps in steps(),
        survivors in prop::collection::vec(any::<bool>(), 1..200),
    ) {
        let history = History::of(&steps);
        let mut survivors = survivors.iter().copied().cycle();
        let after = history.disk.power_cut(&mut || survivors.next().unwrap_or_default());

        let (mut log, payloads, _) = open(&after);

        let written: BTreeMap<_, _> =
            history.batches.concat().into_iter().enumerate().map(|(n, payload)| (payload, n)).collect();
        let order: Vec<_> = payloads.iter().map(|payload| written.get(payload)).collect();
        prop_assert!(order.iter().all(Option::is_some), "nothing is invented");
        prop_assert!(order.is_sorted(), "order is kept");
        let synced = history.batches[..history.synced].concat();
        prop_assert_eq!(&payloads[..synced.len()], &synced[..]);

        // And it goes on from there.
        log.append(&mut batch(["next"]), Flush::Synced).unwrap();
        let again = open(&after.power_cut(&mut || false)).1;
        prop_assert_eq!(&again[..payloads.len()], &payloads[..]);
        prop_assert_eq!(again.len(), payloads.len() + 1);
    }

    #[test]
    fn any_single_flipped_bit_costs_one_frame_or_what_was_not_known_to_be_synced(
        steps in steps(),
        place in any::<prop::sample::Index>(),
        bit in 0_u32..8,
    ) {
        let history = History::of(&steps);
        let all = history.batches.concat();
        prop_assume!(!all.is_empty());
        let segments = history.log.segments();
        let generation = segments[place.index(segments.len())].generation;
        edit(&history.disk, generation, |contents| {
            let byte = place.index(contents.len());
            contents[byte] ^= 1_u8 << bit;
        });

        let (_, payloads, report) = open(&history.disk);

        let lost: Vec<_> = all.iter().filter(|payload| !payloads.contains(payload)).collect();
        let is_tail = report.torn_tail.is_some() && all.ends_with(
            &lost.iter().map(|&lost| lost.clone()).collect::<Vec<_>>()
        );
        let known = history.batches[..history.known].concat();
        prop_assert!(lost.len() <= 1 || is_tail, "one frame, or the torn end");
        prop_assert!(lost.len() <= 1 || !lost.iter().any(|&lost| known.contains(lost)));
        prop_assert!(payloads.iter().all(|payload| all.contains(payload)));
        prop_assert!(lost.is_empty() || !report.damages.is_empty() || is_tail, "it is reported");
    }

    #[test]
    fn the_log_in_memory_hands_out_what_a_disk_would(steps in steps(), extra in 0_usize..4) {
        let store = crate::store::MemoryStore::new();
        let (mut log, _) = store.log().open(None, &mut |_| Ok(())).unwrap();
        let mut batches = Vec::new();
        let mut synced = 0;
        for step in &steps {
            match step {
                Step::Append(sizes, flush) => {
                    batches.push(numbered(batches.len(), sizes));
                    log.append(&mut batch(batches.last().unwrap()), *flush).unwrap();
                    if *flush == Flush::Synced { synced = batches.len(); }
                }
                Step::Sync => { log.sync().unwrap(); synced = batches.len(); }
                Step::Reopen => log = store.log().open(None, &mut |_| Ok(())).unwrap().0,
            }
        }

        for (survives, kept) in [
            (Survives::Everything, batches.len()),
            (Survives::Synced, synced),
            (Survives::SyncedAnd(extra), batches.len().min(synced + extra)),
        ] {
            let mut payloads = Vec::new();
            let after = store.crash(survives);
            let opened = after.log().open(None, &mut |frame| {
                payloads.push(frame.payload.to_vec());
                Ok(())
            });
            prop_assert!(opened.is_ok());
            prop_assert_eq!(payloads, batches[..kept].concat());
        }
    }
}
