//! A disk in memory that loses power, fills up and fails when told to.
//!
//! It is as unkind as a real one may be:
//! * What was not synced survives a power cut by the sector or not at all, in any combination.
//! * A file that was made, renamed or removed, and a length that was changed, may each be forgotten while
//!   later ones are not, until the directory or the file was synced.
//! * After a failed sync the pages may be gone although the next one succeeds, as on Linux; see
//!   [`SimulatedDisk::forget_unsynced`].
//!
//! Errors are the business of [`FaultyDisk`](super::FaultyDisk).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use crate::sync::{RankedMutex, rank};

/// What the smallest disk writes whole or not at all.
const SECTOR: usize = 512;

/// What survives a power cut of the changes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Each change of a sector of 512 bytes by itself.
    Sectors,
    /// For each page of 4096 bytes the first few of its changes: it was written back at some moment.
    Pages,
}

const PAGE: usize = 4096;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk {
    state: Arc<RankedMutex<{ rank::LEAF }, State>>,
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    /// The names a power cut leaves for sure.
    durable_names: BTreeMap<PathBuf, usize>,
    /// What happened to names since; each may be lost.
    name_changes: Vec<NameChange>,
    capacity: Option<u64>,
    write_fault: Option<WriteFault>,
    sync_fault: Option<io::ErrorKind>,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    /// What a power cut leaves for sure.
    durable: Vec<u8>,
    /// What happened since; each may be lost.
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Sector { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

/// A file has one name at most.
#[derive(Clone, Debug)]
enum NameChange {
    /// It was made, or got another name.
    Named(PathBuf, usize),
    Removed(PathBuf, usize),
}

impl NameChange {
    fn path(&self) -> &Path {
        match self {
            Self::Named(path, _) | Self::Removed(path, _) => path,
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Named(path, inode) => {
                names.retain(|_, named| named != inode);
                names.insert(path.clone(), *inode);
            }
            Self::Removed(path, inode) => {
                if names.get(path) == Some(inode) {
                    names.remove(path);
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct WriteFault {
    /// How much is still written.
    after: usize,
    kind: io::ErrorKind,
}

impl SimulatedDisk {
    /// An empty disk without bounds.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on the files together hold at most `bytes`; `None` for any number.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// The next write stops after `after` bytes with an error of `kind`.
    pub fn fail_next_write(&self, after: usize, kind: io::ErrorKind) {
        self.state.lock().write_fault = Some(WriteFault { after, kind });
    }

    /// The next sync of a file fails with an error of `kind`.
    pub fn fail_next_sync(&self, kind: io::ErrorKind) {
        self.state.lock().sync_fault = Some(kind);
    }

    /// The disk after a power cut now. `survives` is asked for every sector and every change of length
    /// that was not synced, and for every directory entry. Who uses this disk goes on undisturbed.
    #[must_use]
    pub fn power_cut(&self, survives: &mut dyn FnMut() -> bool) -> Self {
        self.power_cut_at(Split::Sectors, survives)
    }

    /// As [`power_cut`](Self::power_cut), and `split` says what survives together.
    #[must_use]
    pub fn power_cut_at(&self, split: Split, survives: &mut dyn FnMut() -> bool) -> Self {
        let state = self.state.lock();
        let mut names = state.durable_names.clone();
        for change in &state.name_changes {
            if survives() {
                change.apply(&mut names);
            }
        }
        // What has no name is gone.
        let mut inodes = vec![Inode::default(); state.inodes.len()];
        for &inode in names.values() {
            inodes[inode] = state.inodes[inode].after_power_cut(split, survives);
        }
        let after = State {
            inodes,
            names: names.clone(),
            durable_names: names,
            capacity: state.capacity,
            ..State::default()
        };
        Self { state: Arc::new(RankedMutex::new(after)) }
    }

    /// What was written to a file and not synced will not survive a power cut, although the file shows it
    /// and the next sync succeeds: what a failed sync does to the page cache.
    pub fn forget_unsynced(&self, path: &Path) {
        let mut state = self.state.lock();
        if let Ok(inode) = state.inode_of(path) {
            state.inodes[inode].changes.clear();
        }
    }

    /// A copy of the disk as it is, as if every process on it had been killed.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        self.power_cut(&mut || true)
    }

    /// The content of a file.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let inode = *state.names.get(path)?;
        Some(state.inodes[inode].bytes.clone())
    }

    /// Replaces the content of a file, behind everybody's back.
    pub fn overwrite(&self, path: &Path, contents: Vec<u8>) {
        let mut state = self.state.lock();
        let inode = Inode { durable: contents.clone(), bytes: contents, changes: Vec::new() };
        state.inodes.push(inode);
        let number = state.inodes.len() - 1;
        state.name_changes.retain(|change| change.path() != path);
        state.names.insert(path.to_owned(), number);
        state.durable_names.insert(path.to_owned(), number);
    }

    fn handle(&self, inode: usize) -> Arc<dyn DiskFile> {
        Arc::new(SimulatedFile { disk: self.clone(), inode })
    }
}

impl State {
    fn inode_of(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    /// Whether `inode` may become `length` bytes long.
    fn has_space(&self, inode: usize, length: usize) -> bool {
        let others = self.names.values().filter(|&&other| other != inode);
        let used: usize = others.map(|&other| self.inodes[other].bytes.len()).sum();
        self.capacity.is_none_or(|capacity| (used + length) as u64 <= capacity)
    }
}

impl Inode {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[offset..end].copy_from_slice(bytes);
        let mut at = offset;
        while at < end {
            let next = (at / SECTOR + 1) * SECTOR;
            let piece = &bytes[at - offset..next.min(end) - offset];
            self.changes.push(Change::Sector { offset: at, bytes: piece.to_vec() });
            at = next;
        }
    }

    fn set_length(&mut self, length: usize) {
        self.bytes.resize(length, 0);
        self.changes.push(Change::Length(length));
    }

    fn sync(&mut self) {
        for change in self.changes.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    fn after_power_cut(&self, split: Split, survives: &mut dyn FnMut() -> bool) -> Self {
        let mut durable = self.durable.clone();
        // Pages of which nothing later survives.
        let mut closed = BTreeSet::new();
        for change in &self.changes {
            let page = change.page().filter(|_| split == Split::Pages);
            if page.is_some_and(|page| closed.contains(&page)) {
                continue;
            }
            if survives() {
                change.apply(&mut durable);
            } else {
                closed.extend(page);
            }
        }
        Self { bytes: durable.clone(), durable, changes: Vec::new() }
    }
}

impl Change {
    fn page(&self) -> Option<usize> {
        match self {
            Self::Sector { offset, .. } => Some(offset / PAGE),
            Self::Length(_) => None,
        }
    }

    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Sector { offset, bytes } => {
                let end = offset + bytes.len();
                to.resize(to.len().max(end), 0);
                to[*offset..end].copy_from_slice(bytes);
            }
            Self::Length(length) => to.resize(*length, 0),
        }
    }
}

impl Disk for SimulatedDisk {
    fn list(&self, directory: &Path) -> io::Result<Vec<(String, u64)>> {
        let state = self.state.lock();
        let inside = state.names.iter().filter(|(path, _)| path.parent() == Some(directory));
        let named = inside.filter_map(|(path, &inode)| Some((path.file_name()?.to_str()?, inode)));
        let length = |inode: usize| state.inodes[inode].bytes.len() as u64;
        Ok(named.map(|(name, inode)| (name.to_owned(), length(inode))).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.name(NameChange::Named(path.to_owned(), inode));
        drop(state);
        Ok(self.handle(inode))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let inode = self.state.lock().inode_of(path)?;
        Ok(self.handle(inode))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let inode = state.inode_of(from)?;
        state.name(NameChange::Named(to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let inode = state.inode_of(path)?;
        state.name(NameChange::Removed(path.to_owned(), inode));
        Ok(())
    }

    fn free_space(&self, _directory: &Path) -> io::Result<u64> {
        let state = self.state.lock();
        let used: usize = state.names.values().map(|&inode| state.inodes[inode].bytes.len()).sum();
        Ok(state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(used as u64)))
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let State { name_changes, durable_names, .. } = &mut *state;
        name_changes.retain(|change| {
            let is_inside = change.path().parent() == Some(directory);
            if is_inside {
                change.apply(durable_names);
            }
            !is_inside
        });
        Ok(())
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    inode: usize,
}

impl DiskFile for SimulatedFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state.lock().inodes[self.inode].bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state.lock();
        let bytes = state.inodes[self.inode].bytes.get(index(offset)..).unwrap_or_default();
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        let offset = index(offset);
        let fault = state.write_fault.take();
        let written = fault.map_or(bytes.len(), |fault| fault.after.min(bytes.len()));
        let length = state.inodes[self.inode].bytes.len().max(offset + written);
        if !state.has_space(self.inode, length) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.inodes[self.inode].write(&bytes[..written], offset);
        fault.map_or(Ok(()), |fault| Err(fault.kind.into()))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        if let Some(kind) = state.sync_fault.take() {
            return Err(kind.into());
        }
        state.inodes[self.inode].sync();
        Ok(())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        let length = index(length);
        if length <= state.inodes[self.inode].bytes.len() {
            return Ok(());
        }
        if !state.has_space(self.inode, length) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.inodes[self.inode].set_length(length);
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.disk.state.lock().inodes[self.inode].set_length(index(length));
        Ok(())
    }

    fn data_end(&self) -> io::Result<u64> {
        // This disk does not know its holes.
        self.length()
    }
}

/// A place in a file that is in memory and so fits.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
