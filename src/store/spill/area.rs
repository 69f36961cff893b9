//! The files of a spill area. The last one is written to.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};

use super::{Place, SpillBlock, Usage};
use crate::limits;
use crate::store::disk::{Disk, DiskFile, read_fully};
use crate::store::error::StoreError;
use crate::sync::RankedMutex;

const SUFFIX: &str = ".spill";

/// See the module and its parent.
pub(super) struct Area {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    reserve: u64,
    /// See [`limits::SPILL_FILE`] and [`limits::SPILL_SLACK`].
    file_size: u64,
    slack: u64,
    files: Vec<File>,
    last_number: u64,
    /// Those used last are at the back.
    open: VecDeque<(u64, Arc<dyn DiskFile>)>,
}

#[derive(Debug)]
struct File {
    usage: Arc<Usage>,
    /// Where the next block goes.
    end: u64,
    /// What it takes up.
    length: u64,
    blocks: Vec<Weak<SpillBlock>>,
    /// Something in it cannot be moved.
    is_stuck: bool,
}

impl Area {
    pub(super) fn empty(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        reserve: u64,
    ) -> Result<Self, StoreError> {
        for (name, _) in disk.list(&directory).map_err(StoreError::io(&directory, "list"))? {
            if name.ends_with(SUFFIX) {
                let path = directory.join(name);
                disk.remove(&path).map_err(StoreError::io(&path, "remove"))?;
            }
        }
        let (files, open) = (Vec::new(), VecDeque::new());
        let (file_size, slack) = (limits::SPILL_FILE, limits::SPILL_SLACK);
        Ok(Self { disk, directory, reserve, file_size, slack, files, last_number: 0, open })
    }

    #[cfg(test)]
    pub(super) fn set_file_size(&mut self, bytes: u64) {
        (self.file_size, self.slack) = (bytes, 4 * bytes);
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<Arc<SpillBlock>, StoreError> {
        let free = self.disk.free_space(&self.directory);
        let free = free.map_err(StoreError::io(&self.directory, "look at"))?;
        if free.saturating_sub(bytes.len() as u64) < self.reserve {
            return Err(StoreError::Full { path: self.directory.clone() });
        }
        let place = self.append(bytes, crc32c::crc32c(bytes))?;
        let block = Arc::new(SpillBlock { place: RankedMutex::new(place) });
        if let Some(file) = self.files.last_mut() {
            file.blocks.push(Arc::downgrade(&block));
        }
        Ok(block)
    }

    /// Writes behind everything in the last file, or in a new one.
    fn append(&mut self, bytes: &[u8], crc: u32) -> Result<Place, StoreError> {
        let length = bytes.len() as u64;
        let file = self.file_for(length)?;
        let (usage, offset) = (Arc::clone(&file.usage), file.end);
        let path = self.path(usage.number);
        let written = self.file(usage.number)?.write_at(bytes, offset);
        written.map_err(StoreError::io(&path, "write"))?;
        if let Some(file) = self.files.last_mut() {
            file.end += length;
            file.length = file.length.max(file.end);
        }
        usage.add(length);
        Ok(Place { file: usage, offset, length, crc })
    }

    /// The last file if that has room, or a new one.
    fn file_for(&mut self, length: u64) -> Result<&mut File, StoreError> {
        if let Some(last) = self.files.last_mut().filter(|last| last.usage.live() == 0) {
            last.end = 0;
            last.blocks.clear();
        }
        let file_size = self.file_size;
        let has_room = |last: &File| last.end == 0 || last.end.saturating_add(length) <= file_size;
        if !self.files.last().is_some_and(has_room) {
            let number = self.last_number + 1;
            let path = self.path(number);
            let file = self.disk.create(&path).map_err(StoreError::io(&path, "create"))?;
            self.last_number = number;
            self.keep_open(number, file);
            let usage = Arc::new(Usage { number, live: AtomicU64::new(0) });
            let blocks = Vec::new();
            self.files.push(File { usage, end: 0, length: 0, blocks, is_stuck: false });
        }
        self.files.last_mut().ok_or_else(|| StoreError::Stopped { path: self.directory.clone() })
    }

    pub(super) fn read(&mut self, place: &Place) -> Result<Vec<u8>, StoreError> {
        let Place { file, offset, length, crc } = place;
        let path = self.path(file.number);
        let open = self.file(file.number)?;
        let damaged = |what| StoreError::Damaged { file: path.clone(), offset: *offset, what };
        let length = usize::try_from(*length).map_err(|_| damaged("it is too long"))?;
        let mut bytes = vec![0; length];
        let read = read_fully(&*open, &mut bytes, *offset);
        if read.map_err(StoreError::io(&path, "read"))? < length {
            return Err(damaged("the file ends before its end"));
        }
        if crc32c::crc32c(&bytes) != *crc {
            return Err(damaged("its checksum does not fit"));
        }
        Ok(bytes)
    }

    pub(super) fn tidy(&mut self) -> Result<bool, StoreError> {
        self.remove_dead()?;
        let mut moved = 0;
        while self.is_sparse() && moved < limits::SPILL_MOVE {
            let Some(at) = self.sparsest() else { return Ok(false) };
            let Some(file) = self.files.get_mut(at) else { return Ok(false) };
            let Some(block) = file.blocks.pop() else {
                // What lives in it is being read by somebody who has it no more: it goes soon.
                file.is_stuck = true;
                continue;
            };
            if let Some(block) = block.upgrade() {
                moved += self.relocate(at, &block)?;
            }
            self.remove_dead()?;
        }
        Ok(self.is_sparse() && self.sparsest().is_some())
    }

    /// Files in which nothing lives go, but for the last, which is written to.
    fn remove_dead(&mut self) -> Result<(), StoreError> {
        let before_last = self.files.len().saturating_sub(1);
        let mut at = 0;
        for _ in 0..before_last {
            let Some(file) = self.files.get(at).filter(|file| file.usage.live() == 0) else {
                at += 1;
                continue;
            };
            let (number, path) = (file.usage.number, self.path(file.usage.number));
            self.open.retain(|(open, _)| *open != number);
            self.disk.remove(&path).map_err(StoreError::io(&path, "remove"))?;
            self.files.remove(at);
        }
        Ok(())
    }

    fn is_sparse(&self) -> bool {
        let (live, taken) = self.sizes();
        taken > 2 * live + self.slack
    }

    /// The one of which the least lives, of those that are not written to.
    fn sparsest(&self) -> Option<usize> {
        let (_, sealed) = self.files.split_last()?;
        let movable = sealed.iter().enumerate().filter(|(_, file)| !file.is_stuck);
        // Parts of 1024, so that the large ones compare with the small.
        let share = |file: &File| file.usage.live() * 1024 / file.length.max(1);
        movable.min_by_key(|(_, file)| share(file)).map(|(at, _)| at)
    }

    /// Moves a block of the file at `at` to the end of all. Returns its bytes.
    fn relocate(&mut self, at: usize, block: &Arc<SpillBlock>) -> Result<u64, StoreError> {
        let old = block.place.lock().clone();
        let bytes = match self.read(&old) {
            Ok(bytes) => bytes,
            // Whoever wants it will be told; until then it stays.
            Err(error) => {
                if let Some(file) = self.files.get_mut(at) {
                    file.is_stuck = true;
                    file.blocks.push(Arc::downgrade(block));
                }
                tracing::debug!(%error, "a spilled block cannot be moved");
                return Ok(0);
            }
        };
        let written = self.append(&bytes, old.crc);
        let to = if written.is_ok() { self.files.last_mut() } else { self.files.get_mut(at) };
        if let Some(file) = to {
            file.blocks.push(Arc::downgrade(block));
        }
        *block.place.lock() = written?;
        old.file.subtract(old.length);
        Ok(old.length)
    }

    pub(super) fn sizes(&self) -> (u64, u64) {
        let live = self.files.iter().map(|file| file.usage.live()).sum();
        (live, self.files.iter().map(|file| file.length).sum())
    }

    fn file(&mut self, number: u64) -> Result<Arc<dyn DiskFile>, StoreError> {
        if let Some(at) = self.open.iter().position(|(open, _)| *open == number) {
            let found = self.open.remove(at).map(|(_, file)| file);
            if let Some(file) = found {
                self.keep_open(number, Arc::clone(&file));
                return Ok(file);
            }
        }
        let path = self.path(number);
        let file = self.disk.open(&path).map_err(StoreError::io(&path, "open"))?;
        self.keep_open(number, Arc::clone(&file));
        Ok(file)
    }

    fn keep_open(&mut self, number: u64, file: Arc<dyn DiskFile>) {
        self.open.push_back((number, file));
        if self.open.len() > limits::SPILL_FILES_OPEN {
            self.open.pop_front();
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        path_in(&self.directory, number)
    }
}

fn path_in(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:016x}{SUFFIX}"))
}
