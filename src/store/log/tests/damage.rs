//! Torn tails, flipped bits, lost pages and files: what is cut, what is skipped, what is reported.

use super::*;
use crate::store::ScannedFrame;

/// Synced, so that what is appended later knows it.
fn append<const N: usize>(log: &mut SegmentLog, payloads: [&str; N]) -> LogPosition {
    log.append(&mut batch(payloads), Flush::Synced).unwrap().start
}

#[test]
fn a_tail_torn_at_any_byte_costs_only_the_last_batch() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a", "b"]);
    append(&mut log, ["c"]);
    let start = log.end().offset as usize;
    // The last frame has no padding: every byte of it matters.
    append(&mut log, ["dd", "eeeeeeeeee", "ffffffff"]);
    let end = log.end().offset as usize;

    for cut in start..end {
        let torn = disk.snapshot();
        edit(&torn, 1, |contents| contents[cut..].fill(0));
        let (mut log, payloads, report) = open(&torn);
        assert_eq!(strings(&payloads), ["a", "b", "c"], "cut at {cut}");
        assert_eq!(report.damages, [], "cut at {cut}");
        assert_eq!(log.end().offset as usize, start, "cut at {cut}");

        append(&mut log, ["g"]);
        let (_, payloads, report) = open(&torn);
        assert_eq!(strings(&payloads), ["a", "b", "c", "g"], "cut at {cut}");
        assert_eq!((report.torn_tail, report.damages), (None, vec![]), "cut at {cut}");
    }
}

#[test]
fn a_file_that_ends_at_any_byte_costs_only_the_last_batch() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);
    let start = log.end().offset as usize;
    append(&mut log, ["bb", "c"]);
    let end = log.end().offset as usize;

    for length in start..end {
        let torn = disk.snapshot();
        edit(&torn, 1, |contents| contents.truncate(length));
        let (mut log, payloads, _) = open(&torn);
        assert_eq!(strings(&payloads), ["a"], "length {length}");

        append(&mut log, ["d"]);
        assert_eq!(strings(&open(&torn).1), ["a", "d"], "length {length}");
    }
}

#[test]
fn a_torn_tail_is_reported_with_its_place() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);
    let end = log.end();
    append(&mut log, ["b", "c"]);
    edit(&disk, 1, |contents| contents[end.offset as usize + 32..].fill(0));

    let torn = open(&disk).2.torn_tail.unwrap();

    assert_eq!((torn.file, torn.offset), (path(1), u64::from(end.offset)));
}

#[test]
fn frames_of_an_abandoned_batch_never_come_back() {
    // The batch is torn in its last frame, so the others are intact and must not survive behind the
    // shorter one that is written over the first of them.
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);
    append(&mut log, ["old 1", "old 2", "old 3", "old 4"]);
    let end = log.end().offset as usize;
    edit(&disk, 1, |contents| contents[end - 8..end].fill(0));

    let (mut log, _, _) = open(&disk);
    append(&mut log, ["new"]);
    let (_, payloads, report) = open(&disk);

    assert_eq!(strings(&payloads), ["a", "new"]);
    assert_eq!((report.torn_tail, report.damages), (None, vec![]));
}

#[test]
fn frames_of_a_recycled_segment_never_come_back() {
    let (disk, mut log) = new_log();
    for _ in 0..10 {
        log.append(&mut batch([[b'x'; 400]; 2]), Flush::Buffered).unwrap();
    }
    let newest = log.end().generation;
    let released = log.release(newest, &|_| false).unwrap();
    assert_eq!(released.len() as u64, newest - 1);
    // The same sizes, so that what the file held before lines up with what is written now.
    log.append(&mut batch([[b'y'; 400]]), Flush::Buffered).unwrap();

    let (_, payloads, report) = open(&disk);

    let expected = [[b'x'; 400], [b'x'; 400], [b'y'; 400]];
    assert_eq!(payloads, expected);
    assert_eq!((report.torn_tail, report.damages), (None, vec![]));
}

#[test]
fn damage_in_the_middle_is_skipped_and_reported_and_what_follows_survives() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);
    let damaged = append(&mut log, ["b"]);
    append(&mut log, ["c"]);
    flip(&disk, LogPosition { offset: damaged.offset + 26, ..damaged });

    let (mut log, payloads, report) = open(&disk);

    assert_eq!(strings(&payloads), ["a", "c"]);
    assert_eq!(report.torn_tail, None);
    assert_eq!(report.damages.len(), 1);
    let damage = &report.damages[0];
    assert_eq!((&damage.file, damage.offset), (&path(1), u64::from(damaged.offset)));
    assert_eq!(damage.bytes, 32);

    append(&mut log, ["d"]);
    assert_eq!(strings(&open(&disk).1), ["a", "c", "d"]);
}

#[test]
fn a_write_that_a_power_cut_lost_ends_the_log_though_later_ones_survive() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);
    let end = log.end().offset;
    let lost = super::append(&mut log, ["b", "b"]).offset as usize..log.end().offset as usize;
    super::append(&mut log, ["c"]);
    for page in [lost.clone(), lost.start..lost.start + 32, lost.start + 32..lost.end] {
        let after = disk.snapshot();
        edit(&after, 1, |contents| contents[page].fill(0));

        let (mut log, payloads, report) = open(&after);

        assert_eq!(strings(&payloads), ["a"]);
        assert_eq!(report.damages, [], "nobody was told that it is safe");
        assert_eq!(report.torn_tail.map(|torn| torn.offset), Some(u64::from(end)));
        append(&mut log, ["d"]);
        assert_eq!(strings(&open(&after).1), ["a", "d"]);
    }
}

#[test]
fn any_flipped_bit_in_the_middle_costs_one_frame_and_is_reported() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);
    let start = append(&mut log, ["bbbbbbbb"]).offset;
    let end = log.end().offset;
    append(&mut log, ["c", "d"]);

    for byte in start..end {
        for bit in 0..8 {
            let damaged = disk.snapshot();
            edit(&damaged, 1, |contents| contents[byte as usize] ^= 1 << bit);
            let (_, payloads, report) = open(&damaged);
            assert_eq!(strings(&payloads), ["a", "c", "d"], "byte {byte} bit {bit}");
            assert_eq!(report.damages.len(), 1, "byte {byte} bit {bit}");
        }
    }
}

#[test]
fn damage_inside_a_batch_costs_only_the_damaged_frame() {
    let (disk, mut log) = new_log();
    let start = append(&mut log, ["a", "b", "c"]);
    append(&mut log, ["d"]);
    flip(&disk, LogPosition { offset: start.offset + 32 + 24, ..start });

    let (_, payloads, report) = open(&disk);

    assert_eq!(strings(&payloads), ["a", "c", "d"]);
    assert_eq!(report.damages.len(), 1);
}

#[test]
fn damage_at_the_end_of_a_sealed_segment_is_not_taken_for_a_torn_tail() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);
    let last = append(&mut log, ["b", "c"]);
    log.append(&mut batch([[b'd'; 1000]]), Flush::Buffered).unwrap();
    flip(&disk, LogPosition { offset: last.offset + 32 + 24, ..last });

    let (_, payloads, report) = open(&disk);

    assert_eq!(strings(&payloads)[..2], ["a", "b"]);
    assert_eq!(payloads.len(), 3);
    assert_eq!(report.torn_tail, None);
    assert_eq!(report.damages[0].offset, u64::from(last.offset) + 32);
}

#[test]
fn one_lost_page_of_a_segment_header_costs_nothing() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);
    for page in [0..4096, 4096..8192] {
        let damaged = disk.snapshot();
        edit(&damaged, 1, |contents| contents[page].fill(0xFF));
        assert_eq!(strings(&open(&damaged).1), ["a"]);
    }
}

#[test]
fn a_segment_without_a_header_is_reported_kept_and_not_written_to() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);
    log.append(&mut batch([[b'b'; 1000]]), Flush::Buffered).unwrap();
    for generation in [1, 2] {
        let damaged = disk.snapshot();
        edit(&damaged, generation, |contents| contents[..8192].fill(0xFF));
        let evidence = damaged.contents(&path(generation));

        let (mut log, payloads, report) = open(&damaged);
        assert_eq!(payloads.len(), 1);
        assert_eq!(report.damages.len(), 1);
        assert_eq!(report.damages[0].file, path(generation));

        append(&mut log, ["c"]);
        assert_eq!(damaged.contents(&path(generation)), evidence);
        assert_eq!(strings(&open(&damaged).1).last(), Some(&"c"));
    }
}

#[test]
fn a_missing_segment_behind_the_checkpoint_is_reported() {
    use crate::store::Disk;
    let (disk, mut log) = new_log();
    let checkpoint = log.end();
    for _ in 0..3 {
        log.append(&mut batch([[b'x'; 900]]), Flush::Buffered).unwrap();
    }
    disk.remove(&path(2)).unwrap();

    let (_, payloads, report) = open_from(&disk, Some(checkpoint));

    assert_eq!(payloads.len(), 2);
    assert_eq!(report.damages.len(), 1);
    assert_eq!(report.damages[0].file, path(2));
}

#[test]
fn a_message_that_looks_like_a_frame_is_not_taken_for_one() {
    let (disk, mut log) = new_log();
    let mut forged = batch(["forged"]);
    // Right place and right number; only the segment's seed cannot be known.
    let lsn = AREA + FRAME_OVERHEAD as u64;
    let forged = forged.seal(0, lsn, lsn).to_vec();
    let start = log.append(&mut batch([&forged]), Flush::Synced).unwrap().start;
    append(&mut log, ["after"]);
    flip(&disk, start);

    let (_, payloads, report) = open(&disk);

    assert_eq!(strings(&payloads), ["after"]);
    assert_eq!(report.damages.len(), 1);
}

#[test]
fn a_strangers_file_is_left_alone() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);
    let stranger = Path::new(DIRECTORY).join("notes.txt");
    disk.overwrite(&stranger, b"mine".to_vec());

    open(&disk);

    assert_eq!(disk.contents(&stranger).as_deref(), Some(b"mine".as_slice()));
}

#[test]
fn a_sealed_segment_that_lost_its_end_without_a_trace_is_reported() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);
    let last = append(&mut log, ["b"]);
    let end = log.end();
    log.append(&mut batch([[b'd'; 1000]]), Flush::Buffered).unwrap();
    edit(&disk, 1, |contents| contents[last.offset as usize..].fill(0));

    let (_, payloads, report) = open(&disk);

    assert_eq!(payloads.len(), 2);
    let damage = &report.damages[0];
    assert_eq!((&damage.file, damage.offset), (&path(1), u64::from(last.offset)));
    assert_eq!(damage.bytes, u64::from(end.offset - last.offset));
}

#[test]
fn frames_of_a_batch_that_lost_some_say_so() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);
    let first = append(&mut log, ["b1", "b2", "b3"]);
    append(&mut log, ["c"]);
    let frame = 32;
    flip(&disk, LogPosition { offset: first.offset + frame + 1, ..first });

    let mut found = Vec::new();
    let mut note = |frame: ScannedFrame<'_>| {
        found.push((String::from_utf8_lossy(frame.payload).into_owned(), frame.is_batch_whole));
        Ok(())
    };
    files(&disk).recover(None, &mut note).unwrap();

    let found: Vec<_> = found.iter().map(|(payload, is_whole)| (&**payload, *is_whole)).collect();
    assert_eq!(found, [("a", true), ("b1", false), ("b3", false), ("c", true)]);
}
