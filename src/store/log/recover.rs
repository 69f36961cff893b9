//! From files to a log that can be continued: scans what is there, cuts a torn tail, finds the end.

use std::path::PathBuf;

use super::scan::{KnownEnd, Scan};
use super::segment::{Found, SEGMENT_HEADER_AREA, Segment, SegmentDirectory, segment_path};
use super::writer::{Current, SegmentLog};
use crate::store::error::StoreError;
use crate::store::{FrameVisitor, LogPosition, ScanReport};

/// A segment that is there, with what can be known without reading its frames.
pub(super) struct Listed {
    pub(super) generation: u64,
    length: u64,
    path: PathBuf,
    found: Found,
}

/// See [`StoredLog::open`](crate::store::StoredLog::open).
pub(super) fn recover<'v>(
    directory: SegmentDirectory,
    segments: &[(u64, u64)],
    from: Option<LogPosition>,
    visit: &'v mut FrameVisitor<'v>,
) -> Result<(SegmentLog, ScanReport), StoreError> {
    let mut scan = Scan::new(visit);
    let first = from.map_or(0, |from| from.generation);
    let to_scan: Vec<_> = segments.iter().copied().filter(|&(number, _)| number >= first).collect();
    if let Some(from) = from {
        report_missing(&mut scan, &directory, &to_scan, from);
    }

    let mut end = End { generation: first_new_generation(from), ..End::default() };
    let mut rest = to_scan.into_iter();
    let mut listed = open_next(&directory, &mut rest)?;
    while let Some(this) = listed {
        let next = open_next(&directory, &mut rest)?;
        end = scan_one(&mut scan, this, next.as_ref(), from, end.lsn)?;
        listed = next;
    }
    if let Some(current) = &mut end.current {
        current.size = current.size.max(directory.segment_size);
        if let Some(torn) = &scan.report.torn_tail {
            tracing::warn!(file = %torn.file.display(), offset = torn.offset, "cut an unfinished batch");
            current.segment.cut(current.end, current.size)?;
        }
    }
    let log = SegmentLog::new(directory, segments.iter().copied().collect(), end);
    Ok((log, scan.report))
}

/// Where a log goes on.
#[derive(Debug, Default)]
pub(super) struct End {
    /// The segment to go on in, if one can be written.
    pub(super) current: Option<Current>,
    /// The generation of the next segment.
    pub(super) generation: u64,
    /// The number of the next segment's first byte, if there is no current one.
    pub(super) lsn: u64,
}

/// A checkpoint's segment is missing if it should hold frames; a number that was never used is not.
pub(super) fn report_missing(
    scan: &mut Scan<'_>,
    directory: &SegmentDirectory,
    to_scan: &[(u64, u64)],
    from: LogPosition,
) {
    let mut expected = from.generation;
    let mut generations: Vec<_> = to_scan.iter().map(|&(generation, _)| generation).collect();
    if generations.is_empty() && from.offset > SEGMENT_HEADER_AREA {
        generations.push(from.generation + 1);
    }
    for generation in generations {
        if generation > expected {
            let file = segment_path(&directory.path, expected);
            scan.damage(&file, 0, 0, "the segment, or several from this one on, are missing");
        }
        expected = generation + 1;
    }
}

/// The number of the first segment of a log without any. Places are never used twice, even if what
/// the checkpoint stands for is gone.
fn first_new_generation(from: Option<LogPosition>) -> u64 {
    match from {
        None => 1,
        Some(from) if from.offset > SEGMENT_HEADER_AREA => from.generation + 1,
        Some(from) => from.generation.max(1),
    }
}

pub(super) fn open_next(
    directory: &SegmentDirectory,
    segments: &mut impl Iterator<Item = (u64, u64)>,
) -> Result<Option<Listed>, StoreError> {
    let Some((generation, length)) = segments.next() else { return Ok(None) };
    let path = segment_path(&directory.path, generation);
    Ok(Some(Listed { generation, length, path, found: directory.segment(generation)? }))
}

pub(super) fn scan_one(
    scan: &mut Scan<'_>,
    this: Listed,
    next: Option<&Listed>,
    from: Option<LogPosition>,
    lsn: u64,
) -> Result<End, StoreError> {
    let Listed { generation, length, path, found } = this;
    let segment = match found {
        Found::Segment(segment) => segment,
        Found::Recycled => {
            tracing::info!(file = %path.display(), "a segment that was given up has its name back");
            return Ok(End { current: None, generation: generation + 1, lsn: lsn + length });
        }
        Found::Lost => {
            scan.damage(&path, 0, length, "both copies of the segment's header are lost");
            return Ok(End { current: None, generation: generation + 1, lsn: lsn + length });
        }
    };
    let start = match from {
        Some(from) if from.generation == generation => from.offset.max(SEGMENT_HEADER_AREA),
        Some(_) | None => SEGMENT_HEADER_AREA,
    };
    let end = scan.segment(&segment, u64::from(start), known_end(&segment, next))?;
    let lsn = segment.lsn(end);
    Ok(End {
        current: Some(Current {
            segment,
            end,
            size: length,
            synced: u64::from(SEGMENT_HEADER_AREA),
        }),
        generation: generation + 1,
        lsn,
    })
}

/// What the segment behind `segment` says about where it ended.
fn known_end(segment: &Segment, next: Option<&Listed>) -> KnownEnd {
    let Some(next) = next else { return KnownEnd::Open };
    let Found::Segment(Segment { header, .. }) = &next.found else { return KnownEnd::Sealed };
    if header.generation != segment.header.generation + 1 {
        return KnownEnd::Sealed;
    }
    match header.first_lsn.checked_sub(segment.header.first_lsn) {
        Some(end) if end >= u64::from(SEGMENT_HEADER_AREA) => KnownEnd::At(end),
        Some(_) | None => KnownEnd::Sealed,
    }
}
