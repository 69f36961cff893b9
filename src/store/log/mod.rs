//! The log in segment files.
//!
//! ```text
//! frame.rs     what a frame looks like, and the buffer a batch is built in
//! segment.rs   the files: headers, preallocation, recycling
//! writer.rs    append, sync, roll, give up
//! reader.rs    read by position
//! recover.rs   open what is there     scan.rs  find the frames     window.rs  read ahead
//! inspect.rs   look at what is there, and change nothing
//! ```

mod frame;
mod inspect;
mod reader;
mod recover;
mod scan;
mod segment;
#[cfg(test)]
mod tests;
mod window;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

pub use self::frame::{FRAME_OVERHEAD, FrameBuffer};
pub use self::inspect::{DamageVisitor, Inspected, LogInspection};
pub use self::segment::{SEGMENT_HEADER_AREA, segment_name};
pub use self::writer::SegmentLog;

use self::segment::SegmentDirectory;
use super::disk::Disk;
use super::error::StoreError;
use super::{FrameVisitor, Log, LogPosition, ScanReport, StoredLog};
use crate::limits;

/// A directory of segments that is not open yet.
#[derive(Debug)]
pub struct SegmentFiles {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    segment_size: u64,
    pool: usize,
}

impl SegmentFiles {
    /// The segments in the directory `path`, which exists.
    pub fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self { disk, path, segment_size: limits::SEGMENT, pool: limits::SEGMENT_POOL }
    }

    /// Makes ordinary segments `bytes` long, header included, and not [`limits::SEGMENT`].
    #[must_use]
    pub fn with_segment_size(mut self, bytes: u64) -> Self {
        debug_assert!(bytes > u64::from(SEGMENT_HEADER_AREA) && u32::try_from(bytes).is_ok());
        self.segment_size = bytes;
        self
    }

    /// As [`StoredLog::open`], for who needs to know the type.
    pub fn recover(
        self,
        from: Option<LogPosition>,
        visit: &mut FrameVisitor<'_>,
    ) -> Result<(SegmentLog, ScanReport), StoreError> {
        let Self { disk, path, segment_size, pool } = self;
        let (directory, segments) = SegmentDirectory::open(disk, path, segment_size, pool)?;
        recover::recover(directory, &segments, from, visit)
    }
}

impl StoredLog for SegmentFiles {
    fn open(
        self: Box<Self>,
        from: Option<LogPosition>,
        visit: &mut FrameVisitor<'_>,
    ) -> Result<(Box<dyn Log>, ScanReport), StoreError> {
        let (log, report) = self.recover(from, visit)?;
        Ok((Box::new(log), report))
    }
}
