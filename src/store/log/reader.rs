//! Reads by position, from any thread, while the log is being written.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::segment::segment_path;
use crate::limits;
use crate::store::disk::{Disk, DiskFile, read_fully};
use crate::store::error::StoreError;
use crate::store::{LogPosition, LogReader};
use crate::sync::{RankedMutex, rank};

/// Reads from segments and keeps the files of the last few open.
#[derive(Debug)]
pub(super) struct SegmentReader {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    /// By generation, the one used last at the back; at most [`limits::SEGMENTS_OPEN`].
    open: RankedMutex<{ rank::LEAF }, VecDeque<(u64, Arc<dyn DiskFile>)>>,
}

impl SegmentReader {
    pub(super) fn new(disk: Arc<dyn Disk>, directory: PathBuf) -> Self {
        Self { disk, directory, open: RankedMutex::new(VecDeque::new()) }
    }

    /// Spares the first reader of a new segment the opening.
    pub(super) fn keep_open(&self, generation: u64, file: Arc<dyn DiskFile>) {
        let mut open = self.open.lock();
        open.push_back((generation, file));
        if open.len() > limits::SEGMENTS_OPEN {
            open.pop_front();
        }
    }

    /// The segment is about to become another one.
    pub(super) fn forget(&self, generation: u64) {
        self.open.lock().retain(|&(kept, _)| kept != generation);
    }

    fn file(&self, at: LogPosition) -> Result<Arc<dyn DiskFile>, StoreError> {
        if let Some(file) = self.kept(at.generation) {
            return Ok(file);
        }
        let path = segment_path(&self.directory, at.generation);
        let file = match self.disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let offset = u64::from(at.offset);
                return Err(StoreError::Damaged {
                    file: path,
                    offset,
                    what: "the segment is gone",
                });
            }
            Err(error) => return Err(StoreError::io(&path, "open")(error)),
        };
        self.keep_open(at.generation, Arc::clone(&file));
        Ok(file)
    }

    fn kept(&self, generation: u64) -> Option<Arc<dyn DiskFile>> {
        let mut open = self.open.lock();
        let index = open.iter().position(|&(kept, _)| kept == generation)?;
        let entry = open.remove(index)?;
        let file = Arc::clone(&entry.1);
        open.push_back(entry);
        Some(file)
    }
}

impl LogReader for SegmentReader {
    fn read(&self, at: LogPosition, length: u32) -> Result<Bytes, StoreError> {
        let file = self.file(at)?;
        let path = || segment_path(&self.directory, at.generation);
        let mut bytes = vec![0; length as usize];
        let read = read_fully(&*file, &mut bytes, u64::from(at.offset));
        let read = read.map_err(|error| StoreError::io(&path(), "read")(error))?;
        if read < bytes.len() {
            let what = "the segment ends too early";
            return Err(StoreError::Damaged { file: path(), offset: u64::from(at.offset), what });
        }
        Ok(Bytes::from(bytes))
    }
}
