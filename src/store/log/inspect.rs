//! Looks at a log without opening it: nothing is cut, recycled, created or kept from another process.
//!
//! Everything the log holds is verified, also what lies before the checkpoint: both copies of every header,
//! the zeros around them, every frame. A torn tail is reported where it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::reader::SegmentReader;
use super::recover::{open_next, report_missing, scan_one};
use super::scan::Scan;
use super::segment::{
    COPIES_AT, HEADER, SEGMENT_HEADER_AREA, SegmentDirectory, SegmentHeader, pool_number,
    segment_generation, segment_path,
};
use crate::limits;
use crate::store::disk::{Disk, read_fully};
use crate::store::error::StoreError;
use crate::store::{
    Damage, FrameVisitor, LogPosition, LogReader, ScanReport, SegmentInfo, TornTail,
};

/// A log that is only looked at.
#[derive(Debug)]
pub struct LogInspection {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Oldest first.
    segments: Vec<SegmentInfo>,
    /// Files to be used again: name and length.
    pool: Vec<(String, u64)>,
}

/// What a look at all frames found besides them and the damages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// Intact frames.
    pub frames: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Where the last complete batch ends; `None` if there is no segment.
    pub end: Option<LogPosition>,
    /// An unfinished batch behind it, which the next start will cut.
    pub torn_tail: Option<TornTail>,
}

/// Takes damages as they are found.
pub type DamageVisitor<'a> = dyn FnMut(Damage) + 'a;

impl LogInspection {
    /// Lists the segments in the directory `path`.
    pub fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Result<Self, StoreError> {
        let files = disk.list(&path).map_err(StoreError::io(&path, "list"))?;
        let (mut segments, mut pool) = (Vec::new(), Vec::new());
        for (name, bytes) in files {
            if let Some(generation) = segment_generation(&name) {
                segments.push(SegmentInfo { generation, bytes });
            } else if pool_number(&name).is_some() {
                pool.push((name, bytes));
            }
        }
        segments.sort_unstable_by_key(|segment| segment.generation);
        pool.sort_unstable();
        Ok(Self { disk, path, segments, pool })
    }

    /// The segments there are, oldest first.
    pub fn segments(&self) -> &[SegmentInfo] {
        &self.segments
    }

    /// Names of the files that are kept to be used again.
    pub fn pool(&self) -> impl Iterator<Item = &str> {
        self.pool.iter().map(|(name, _)| name.as_str())
    }

    /// Where a segment lies.
    pub fn segment_path(&self, generation: u64) -> PathBuf {
        segment_path(&self.path, generation)
    }

    /// A handle that reads by position.
    pub fn reader(&self) -> Arc<dyn LogReader> {
        Arc::new(SegmentReader::new(Arc::clone(&self.disk), self.path.clone()))
    }

    /// Hands out every intact frame, also those before `position`, the place a checkpoint stands for. A
    /// segment that should be there for what lies behind it, and a log that ends before it, are damage.
    pub fn frames<'v>(
        &self,
        position: Option<LogPosition>,
        visit: &'v mut FrameVisitor<'v>,
        found: &mut DamageVisitor<'_>,
    ) -> Result<Inspected, StoreError> {
        self.scan(None, position, visit, found)
    }

    /// Where the last complete batch ends, found by a look at what lies behind `position` only.
    pub fn end(&self, position: Option<LogPosition>) -> Result<Option<LogPosition>, StoreError> {
        let inspected = self.scan(position, position, &mut |_| Ok(()), &mut |_| {})?;
        Ok(inspected.end)
    }

    fn scan<'v>(
        &self,
        from: Option<LogPosition>,
        position: Option<LogPosition>,
        visit: &'v mut FrameVisitor<'v>,
        found: &mut DamageVisitor<'_>,
    ) -> Result<Inspected, StoreError> {
        let directory = SegmentDirectory::to_read(Arc::clone(&self.disk), self.path.clone());
        let all: Vec<_> = self.segments.iter().map(|it| (it.generation, it.bytes)).collect();
        let is_behind = |from: Option<LogPosition>, generation: u64| {
            from.is_none_or(|from| generation >= from.generation)
        };
        let mut scan = Scan::new(visit);
        // A checkpoint of nothing asks for no segment.
        if let Some(position) = position.filter(|position| position.generation > 0) {
            let behind = all.iter().copied().filter(|it| is_behind(Some(position), it.0));
            report_missing(&mut scan, &directory, &behind.collect::<Vec<_>>(), position);
        }
        let mut rest = all.into_iter().filter(|it| is_behind(from, it.0));
        let (mut end, mut lsn) = (None, 0);
        let mut listed = open_next(&directory, &mut rest)?;
        while let Some(this) = listed {
            let next = open_next(&directory, &mut rest)?;
            let generation = this.generation;
            let here = scan_one(&mut scan, this, next.as_ref(), from, lsn)?;
            lsn = here.lsn;
            end =
                here.current.map(|current| LogPosition { generation, offset: offset(current.end) });
            scan.report.damages.drain(..).for_each(&mut *found);
            listed = next;
        }
        let mut report = scan.report;
        report.damages.drain(..).for_each(&mut *found);
        if let Some(damage) = self.lost_before(position, end, &mut report) {
            found(damage);
        }
        let ScanReport { frames, bytes, torn_tail, .. } = report;
        Ok(Inspected { frames, bytes, end, torn_tail })
    }

    /// A log that ends before the place a checkpoint stands for has lost what was synced.
    fn lost_before(
        &self,
        position: Option<LogPosition>,
        end: Option<LogPosition>,
        report: &mut ScanReport,
    ) -> Option<Damage> {
        let (position, end) = (position?, end?);
        if end >= position || end.generation != position.generation {
            return None;
        }
        report.torn_tail = None;
        Some(Damage {
            file: self.segment_path(end.generation),
            offset: u64::from(end.offset),
            bytes: u64::from(position.offset - end.offset),
            what: "frames that the checkpoint stands for are lost",
        })
    }

    /// Looks at the header area of every segment: what no frame's checksum covers.
    pub fn headers(&self, found: &mut DamageVisitor<'_>) -> Result<(), StoreError> {
        for segment in &self.segments {
            let path = self.segment_path(segment.generation);
            self.header_area(segment, &path, found)?;
        }
        Ok(())
    }

    fn header_area(
        &self,
        segment: &SegmentInfo,
        path: &Path,
        found: &mut DamageVisitor<'_>,
    ) -> Result<(), StoreError> {
        let mut area = vec![0; SEGMENT_HEADER_AREA as usize];
        let file = self.disk.open(path).map_err(StoreError::io(path, "open"))?;
        let read = read_fully(&*file, &mut area, 0).map_err(StoreError::io(path, "read"))?;
        let mut damage = |offset: u64, bytes: u64, what| {
            found(Damage { file: path.to_owned(), offset, bytes, what });
        };
        if read < area.len() {
            damage(0, read as u64, "the segment ends before its first frame");
            return Ok(());
        }
        for at in COPIES_AT {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            let copy = area.get(at..at + area.len() / COPIES_AT.len()).unwrap_or_default();
            let (header, rest) = copy.split_at(HEADER.min(copy.len()));
            // One of another version is refused by whoever reads the frames.
            let is_intact = match SegmentHeader::decode(header) {
                // A younger one: it was used again, and a power cut gave it its old name back.
                Ok(header) => header.is_some_and(|it| it.generation >= segment.generation),
                Err(_version) => true,
            };
            if !is_intact {
                damage(at as u64, HEADER as u64, "this copy of the segment's header is lost");
            }
            if let Some(first) = rest.iter().position(|&octet| octet != 0) {
                let what = "there are zeros between the headers, nothing else";
                damage((at + HEADER + first) as u64, 1, what);
            }
        }
        Ok(())
    }

    /// Reads every file of the pool: what they hold means nothing, but a disk that cannot read them will
    /// not hold the next segment either. Returns how many there are.
    pub fn read_pool(&self, found: &mut DamageVisitor<'_>) -> Result<usize, StoreError> {
        let mut buffer = vec![0; limits::RECOVERY_READ as usize];
        for (name, length) in &self.pool {
            let path = self.path.join(name);
            let file = self.disk.open(&path).map_err(StoreError::io(&path, "open"))?;
            let mut at = 0;
            while at < *length {
                match file.read_at(&mut buffer, at) {
                    Ok(0) => break,
                    Ok(count) => at += count as u64,
                    Err(error) => {
                        tracing::debug!(%error, name, "cannot read");
                        let what = "the disk cannot read a file that is kept for later";
                        found(Damage { file: path, offset: at, bytes: *length - at, what });
                        break;
                    }
                }
            }
        }
        Ok(self.pool.len())
    }
}

/// An offset in a segment; none is larger than `u32::MAX`.
fn offset(offset: u64) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
