//! A log cut short at any byte, by the sector or by the page: what was whole before is there, and the log goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use leveret::store::{
    Flush, FrameBuffer, Log, SEGMENT_HEADER_AREA, SegmentFiles, SegmentLog, SimulatedDisk,
};

const LOG: &str = "/log";
const SEGMENT: &str = "/log/0000000000000001.seg";
/// What the last batch of the large log takes.
const TAIL: usize = 64 * 1024;

type Payloads = Vec<Vec<u8>>;

fn open(disk: &SimulatedDisk) -> (SegmentLog, Payloads, bool) {
    let files = SegmentFiles::new(Arc::new(disk.clone()), PathBuf::from(LOG));
    let files = files.with_segment_size(u64::from(SEGMENT_HEADER_AREA) + 4 * TAIL as u64);
    let mut payloads = Vec::new();
    let mut visit = |frame: leveret::store::ScannedFrame<'_>| {
        payloads.push(frame.payload.to_vec());
        Ok(())
    };
    let (log, report) = files.recover(None, &mut visit).unwrap();
    assert_eq!(report.damages, []);
    (log, payloads, report.torn_tail.is_some())
}

fn append(log: &mut SegmentLog, payloads: &[Vec<u8>], flush: Flush) {
    let mut batch = FrameBuffer::new();
    for payload in payloads {
        batch.begin_frame();
        batch.buffer().extend_from_slice(payload);
        batch.end_frame();
    }
    log.append(&mut batch, flush).unwrap();
}

/// Of this many bytes, no two alike.
fn payload(number: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 7 + number * 31) % 251 + 1).unwrap()).collect()
}

/// A log with three batches that are synced and a last one that is not, and where that begins and ends.
fn log_with_tail(tail: &[Vec<u8>]) -> (SimulatedDisk, Payloads, std::ops::Range<usize>) {
    let disk = SimulatedDisk::new();
    let (mut log, _, _) = open(&disk);
    let mut whole = Vec::new();
    for number in 0..3 {
        let payloads = [payload(number, 40), payload(number, 10 + number)];
        append(&mut log, &payloads, Flush::Synced);
        whole.extend(payloads);
    }
    let start = log.end().offset as usize;
    append(&mut log, tail, Flush::Buffered);
    (disk, whole, start..log.end().offset as usize)
}

/// Damages the segment and looks whether all that was whole is there, now and after the log went on.
fn survives(disk: &SimulatedDisk, whole: &Payloads, change: impl FnOnce(&mut Vec<u8>)) {
    let torn = disk.snapshot();
    let mut contents = torn.contents(Path::new(SEGMENT)).unwrap();
    change(&mut contents);
    torn.overwrite(Path::new(SEGMENT), contents);
    let (mut log, payloads, _) = open(&torn);
    assert_eq!(&payloads, whole);

    append(&mut log, &[b"next".to_vec()], Flush::Synced);
    let (_, mut payloads, is_torn) = open(&torn);
    assert_eq!(payloads.pop().as_deref(), Some(b"next".as_slice()));
    assert_eq!((&payloads, is_torn), (whole, false));
}

#[test]
fn a_tail_cut_at_any_byte_leaves_every_batch_before_it() {
    // No padding: every byte of it matters.
    let tail: Payloads = (0..4).map(|number| payload(number, 64)).collect();
    let (disk, whole, place) = log_with_tail(&tail);
    let mut cuts = 0;
    for cut in place.clone() {
        // Written no further, and a file that ends there.
        survives(&disk, &whole, |contents| contents[cut..].fill(0));
        survives(&disk, &whole, |contents| contents.truncate(cut));
        cuts += 2;
    }
    println!("{cuts} cuts at every byte of the last {} bytes, opened: all", place.len());
}

#[test]
fn a_long_tail_that_lost_any_sector_or_page_leaves_every_batch_before_it() {
    let tail: Payloads = (0..8).map(|number| payload(number, TAIL / 8 - 24)).collect();
    let (disk, whole, place) = log_with_tail(&tail);
    let mut cuts = 0;
    for unit in [512, 4096] {
        let first = place.start / unit;
        for number in first..=(place.end - 1) / unit {
            let lost = (number * unit).max(place.start)..((number + 1) * unit).min(place.end);
            // Only this one, all but this one, and all from this one on.
            survives(&disk, &whole, |contents| contents[lost.clone()].fill(0));
            survives(&disk, &whole, |contents| {
                contents[place.start..lost.start].fill(0);
                contents[lost.end..place.end].fill(0);
            });
            survives(&disk, &whole, |contents| contents[lost.start..].fill(0));
            cuts += 3;
        }
    }
    println!("{cuts} cuts at sectors and pages of the last {} bytes, opened: all", place.len());
}
