//! The promises of the log, on a disk that keeps none it did not make.

mod damage;
mod faults;
mod histories;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::FRAME_OVERHEAD;
use super::segment::{SEGMENT_HEADER_AREA, segment_path};
use super::{FrameBuffer, SegmentFiles, SegmentLog};
use crate::store::{Flush, Log, LogPosition, RealDisk, ScanReport, SimulatedDisk, StoreError};

const AREA: u64 = SEGMENT_HEADER_AREA as u64;
/// Room for frames in a segment under test.
const ROOM: u64 = 1024;
const DIRECTORY: &str = "/log";

type Payloads = Vec<Vec<u8>>;

fn files(disk: &SimulatedDisk) -> SegmentFiles {
    SegmentFiles::new(Arc::new(disk.clone()), PathBuf::from(DIRECTORY))
        .with_segment_size(AREA + ROOM)
}

/// Opens the log, and returns what it holds.
fn open_from(
    disk: &SimulatedDisk,
    from: Option<LogPosition>,
) -> (SegmentLog, Payloads, ScanReport) {
    let mut payloads = Vec::new();
    let mut last_lsn = None;
    let mut last_position = None;
    let (log, report) = files(disk)
        .recover(from, &mut |frame| {
            assert!(last_lsn < Some(frame.lsn), "lsn rises");
            assert!(last_position < Some(frame.position), "positions rise");
            last_lsn = Some(frame.lsn);
            last_position = Some(frame.position);
            payloads.push(frame.payload.to_vec());
            Ok(())
        })
        .unwrap();
    assert_eq!(report.frames, payloads.len() as u64);
    (log, payloads, report)
}

fn open(disk: &SimulatedDisk) -> (SegmentLog, Payloads, ScanReport) {
    open_from(disk, None)
}

fn new_log() -> (SimulatedDisk, SegmentLog) {
    let disk = SimulatedDisk::new();
    let (log, _, _) = open(&disk);
    (disk, log)
}

fn batch<P: AsRef<[u8]>>(payloads: impl IntoIterator<Item = P>) -> FrameBuffer {
    let mut batch = FrameBuffer::new();
    for payload in payloads {
        batch.begin_frame();
        batch.buffer().extend_from_slice(payload.as_ref());
        batch.end_frame();
    }
    batch
}

fn append<const N: usize>(log: &mut SegmentLog, payloads: [&str; N]) -> LogPosition {
    log.append(&mut batch(payloads), Flush::Buffered).unwrap().start
}

fn strings(payloads: &Payloads) -> Vec<&str> {
    payloads.iter().map(|payload| std::str::from_utf8(payload).unwrap()).collect()
}

fn path(generation: u64) -> PathBuf {
    segment_path(Path::new(DIRECTORY), generation)
}

fn edit(disk: &SimulatedDisk, generation: u64, change: impl FnOnce(&mut Vec<u8>)) {
    let mut contents = disk.contents(&path(generation)).unwrap();
    change(&mut contents);
    disk.overwrite(&path(generation), contents);
}

fn flip(disk: &SimulatedDisk, at: LogPosition) {
    edit(disk, at.generation, |contents| contents[at.offset as usize] ^= 0x10);
}

#[test]
fn a_new_log_takes_no_space_until_something_is_appended() {
    let (disk, mut log) = new_log();
    assert!(disk.contents(&path(1)).is_none());

    append(&mut log, ["a"]);

    assert_eq!(disk.contents(&path(1)).map(|contents| contents.len() as u64), Some(AREA + ROOM));
}

#[test]
fn what_was_appended_is_found_again_in_order() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a", "b"]);
    append(&mut log, ["", "c"]);
    drop(log);

    let (_, payloads, report) = open(&disk);

    assert_eq!(strings(&payloads), ["a", "b", "", "c"]);
    assert_eq!((report.frames, report.batches, report.bytes), (4, 2, 3));
    assert_eq!((report.torn_tail, report.damages), (None, vec![]));
}

#[test]
fn a_log_goes_on_where_it_ended() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);
    let end = log.end();
    drop(log);

    let (mut log, _, _) = open(&disk);
    assert_eq!(log.end(), end);
    append(&mut log, ["b"]);

    assert_eq!(strings(&open(&disk).1), ["a", "b"]);
}

#[test]
fn an_empty_batch_leaves_the_log_as_it_is() {
    let (_disk, mut log) = new_log();
    append(&mut log, ["a"]);
    let end = log.end();

    let appended = log.append(&mut FrameBuffer::new(), Flush::Synced).unwrap();

    assert_eq!((appended.start, appended.end, log.end()), (end, end, end));
}

#[test]
fn a_scan_from_a_checkpoint_hands_out_only_what_came_after() {
    let (disk, mut log) = new_log();
    let start = log.end();
    append(&mut log, ["a"]);
    let middle = log.end();
    append(&mut log, ["b"]);
    let end = log.end();

    assert_eq!(strings(&open_from(&disk, Some(start)).1), ["a", "b"]);
    assert_eq!(strings(&open_from(&disk, Some(middle)).1), ["b"]);
    let (log, payloads, report) = open_from(&disk, Some(end));
    assert!(payloads.is_empty());
    assert_eq!((log.end(), report.damages), (end, vec![]));
}

#[test]
fn a_checkpoint_of_a_log_nobody_wrote_to_is_not_damage() {
    let (disk, log) = new_log();

    let (again, _, report) = open_from(&disk, Some(log.end()));

    assert_eq!((again.end(), report.damages), (log.end(), vec![]));
}

#[test]
fn places_are_never_used_again_even_if_the_log_is_gone() {
    let (_disk, mut log) = new_log();
    append(&mut log, ["a"]);
    let gone = log.end();

    let (log, _, report) = open_from(&SimulatedDisk::new(), Some(gone));

    assert!(log.end() > gone);
    assert_eq!(report.damages.len(), 1);
    assert_eq!(report.damages[0].file, path(1));
}

#[test]
fn a_record_is_read_from_the_place_append_gave_it() {
    let (_disk, mut log) = new_log();
    append(&mut log, ["before"]);
    let mut batch = FrameBuffer::new();
    batch.begin_frame();
    batch.buffer().extend_from_slice(b"first");
    let here = batch.here();
    batch.buffer().extend_from_slice(b"second");
    batch.end_frame();
    let appended = log.append(&mut batch, Flush::Buffered).unwrap();

    let read = log.reader().read(appended.position(here), 6).unwrap();

    assert_eq!(read, "second");
}

#[test]
fn the_scan_tells_the_same_places_as_append() {
    let (disk, mut log) = new_log();
    let mut expected = Vec::new();
    for _ in 0..20 {
        let mut batch = batch([[b'x'; 100]]);
        let payload = FRAME_OVERHEAD;
        expected.push(log.append(&mut batch, Flush::Buffered).unwrap().position(payload));
    }

    let mut found = Vec::new();
    files(&disk)
        .recover(None, &mut |frame| {
            found.push(frame.position);
            Ok(())
        })
        .unwrap();

    assert_eq!(found, expected);
}

#[test]
fn a_read_behind_the_segment_or_of_a_released_one_is_damage() {
    let (_disk, mut log) = new_log();
    append(&mut log, ["a"]);
    let reader = log.reader();
    let behind = LogPosition { generation: 1, offset: u32::try_from(AREA + ROOM).unwrap() };
    let gone = LogPosition { generation: 99, offset: 8192 };

    assert!(matches!(reader.read(behind, 1), Err(StoreError::Damaged { .. })));
    assert!(matches!(reader.read(gone, 1), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_full_segment_is_followed_by_the_next() {
    let (disk, mut log) = new_log();
    for number in 0..100 {
        append(&mut log, [&format!("message {number:060}")]);
    }

    let (log, payloads, report) = open(&disk);

    assert_eq!(payloads.len(), 100);
    assert!(log.segments().len() > 5);
    assert_eq!(report.damages, []);
}

#[test]
fn a_batch_that_does_not_fit_a_segment_gets_one_of_its_size() {
    let (disk, mut log) = new_log();
    let large = vec![7; 10_000];
    append(&mut log, ["before"]);
    log.append(&mut batch([&large, &large]), Flush::Buffered).unwrap();
    append(&mut log, ["after"]);

    let (log, payloads, report) = open(&disk);

    assert_eq!(payloads, [b"before".to_vec(), large.clone(), large, b"after".to_vec()]);
    assert_eq!((log.segments().len(), report.damages), (3, vec![]));
}

#[test]
fn segments_are_recycled_up_to_the_bound_of_the_pool() {
    let (disk, mut log) = new_log();
    for _ in 0..12 {
        log.append(&mut batch([[b'x'; 900]]), Flush::Buffered).unwrap();
    }
    log.release(log.end().generation, &|_| false).unwrap();

    let pooled = |disk: &SimulatedDisk| {
        use crate::store::Disk;
        let files = disk.list(Path::new(DIRECTORY)).unwrap();
        files.iter().filter(|(name, _)| name.starts_with("pool-")).count()
    };
    assert_eq!(pooled(&disk), crate::limits::SEGMENT_POOL);

    log.append(&mut batch([[b'x'; 900]]), Flush::Buffered).unwrap();
    assert_eq!(pooled(&disk), crate::limits::SEGMENT_POOL - 1);

    let (mut log, _, _) = open(&disk);
    log.append(&mut batch([[b'x'; 900]]), Flush::Buffered).unwrap();
    assert_eq!(pooled(&disk), crate::limits::SEGMENT_POOL - 2);
}

#[test]
fn a_segment_that_is_live_or_not_old_enough_is_kept() {
    let (_disk, mut log) = new_log();
    for _ in 0..5 {
        log.append(&mut batch([[b'x'; 900]]), Flush::Buffered).unwrap();
    }

    let released = log.release(4, &|generation| generation == 2).unwrap();

    assert_eq!(released, [1, 3]);
    let left: Vec<_> = log.segments().iter().map(|segment| segment.generation).collect();
    assert_eq!(left, [2, 4, 5]);
}

#[test]
fn the_log_works_on_a_real_file_system() {
    let scratch = tempfile::tempdir().unwrap();
    let files = || SegmentFiles::new(Arc::new(RealDisk), scratch.path().to_owned());
    let (mut log, _) = files().with_segment_size(64 * 1024).recover(None, &mut |_| Ok(())).unwrap();
    for number in 0..100_u8 {
        log.append(&mut batch([[number; 5000]]), Flush::Buffered).unwrap();
    }
    log.sync().unwrap();
    log.release(5, &|_| false).unwrap();
    log.append(&mut batch([[100; 5000]]), Flush::Synced).unwrap();
    drop(log);

    let mut found = Vec::new();
    let (log, report) = files()
        .with_segment_size(64 * 1024)
        .recover(None, &mut |frame| {
            found.push((frame.position, frame.payload[0]));
            Ok(())
        })
        .unwrap();

    assert_eq!((report.torn_tail, report.damages), (None, vec![]));
    assert_eq!(found.last().map(|&(_, number)| number), Some(100));
    let reader = log.reader();
    for (position, number) in found {
        assert_eq!(reader.read(position, 5000).unwrap(), vec![number; 5000]);
    }
}
