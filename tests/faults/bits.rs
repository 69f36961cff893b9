//! Every bit of a small log: segments, their headers, and files to be used again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use leveret::store::{
    Disk, Flush, FrameBuffer, Log, SEGMENT_HEADER_AREA, ScanReport, SegmentFiles, SegmentLog,
    SimulatedDisk,
};

const AREA: usize = SEGMENT_HEADER_AREA as usize;
const ROOM: usize = 512;
const LOG: &str = "/log";

fn open(disk: &SimulatedDisk) -> (SegmentLog, BTreeSet<Vec<u8>>, ScanReport) {
    let files = SegmentFiles::new(Arc::new(disk.clone()), PathBuf::from(LOG));
    let files = files.with_segment_size((AREA + ROOM) as u64);
    let mut payloads = BTreeSet::new();
    let mut visit = |frame: leveret::store::ScannedFrame<'_>| {
        payloads.insert(frame.payload.to_vec());
        Ok(())
    };
    let (log, report) = files.recover(None, &mut visit).unwrap();
    (log, payloads, report)
}

/// Three segments in use and one to be used again, and where the frames of each file end.
fn small_log() -> (SimulatedDisk, Vec<(PathBuf, usize)>) {
    let disk = SimulatedDisk::new();
    let (mut log, _, _) = open(&disk);
    let mut ends = Vec::new();
    for number in 0..20_u8 {
        let before = log.end();
        let mut batch = FrameBuffer::new();
        batch.begin_frame();
        batch.buffer().extend([number + 1; 60]);
        batch.end_frame();
        log.append(&mut batch, Flush::Synced).unwrap();
        if log.end().generation > before.generation {
            ends.push((before.generation, before.offset as usize));
        }
    }
    ends.push((log.end().generation, log.end().offset as usize));
    let released = log.release(3, &|generation| generation > 1).unwrap();
    assert_eq!(released, [1]);
    let names = disk.list(Path::new(LOG)).unwrap();
    let end_of = |name: &str| {
        let of = |(generation, _): &&(u64, usize)| name == format!("{generation:016x}.seg");
        ends.iter().find(of).map_or(0, |(_, end)| *end)
    };
    let files = names.iter().map(|(name, _)| (Path::new(LOG).join(name), end_of(name)));
    (disk.snapshot(), files.collect())
}

#[test]
fn every_flipped_bit_of_a_frame_is_reported_and_every_other_is_of_no_consequence() {
    let (disk, files) = small_log();
    let all = open(&disk.snapshot()).1;
    let (mut reported, mut harmless) = (0, 0);
    for (path, end) in files {
        let good = disk.contents(&path).unwrap();
        for byte in 0..good.len() {
            let is_frame = (AREA..end).contains(&byte);
            // Of bytes that mean nothing, one bit each.
            let bits = if is_frame || good[byte] != 0 { 0..8 } else { byte % 8..byte % 8 + 1 };
            for bit in bits {
                let mut bad = good.clone();
                bad[byte] ^= 1 << bit;
                let damaged = disk.snapshot();
                damaged.overwrite(&path, bad);
                let place = format!("{} byte {byte} bit {bit}", path.display());

                let (_, payloads, report) = open(&damaged);

                assert!(payloads.is_subset(&all), "{place}: a payload changed");
                let is_told = !report.damages.is_empty() || report.torn_tail.is_some();
                assert_eq!(payloads == all, !is_frame, "{place}");
                assert_eq!(is_told, is_frame, "{place}: {report:?}");
                *(if is_frame { &mut reported } else { &mut harmless }) += 1;
            }
        }
    }
    println!(
        "{} flipped bits: {reported} reported, {harmless} harmless, silently wrong 0",
        reported + harmless
    );
}
