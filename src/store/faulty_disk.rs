//! A disk that fails, lags or lies when told to, in front of any other.
//!
//! There is one hook, asked before every operation: it may answer with a [`Fault`], block as a slow disk
//! does, or only look, for instance to cut the power at that instant. Everything else is a closure of the
//! test's: the n-th write, one file, half of the syncs.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFile};

/// What is asked of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// [`Disk::list`]
    List,
    /// [`Disk::create`]
    Create,
    /// [`Disk::open`]
    Open,
    /// [`Disk::rename`]; the path is the old one.
    Rename,
    /// [`Disk::remove`]
    Remove,
    /// [`Disk::free_space`]
    FreeSpace,
    /// [`Disk::sync_directory`]
    SyncDirectory,
    /// [`DiskFile::length`]
    Length,
    /// [`DiskFile::read_at`]
    Read,
    /// [`DiskFile::write_at`]
    Write,
    /// [`DiskFile::sync`]
    Sync,
    /// [`DiskFile::allocate`]
    Allocate,
    /// [`DiskFile::truncate`]
    Truncate,
    /// [`DiskFile::data_end`]
    DataEnd,
}

impl Operation {
    /// Whether it may be refused for lack of space.
    pub fn takes_space(self) -> bool {
        matches!(self, Self::Create | Self::Rename | Self::Write | Self::Allocate)
    }

    /// Whether it changes what a power cut leaves.
    pub fn changes(self) -> bool {
        self.takes_space()
            || matches!(self, Self::Remove | Self::SyncDirectory | Self::Sync | Self::Truncate)
    }
}

/// What goes wrong with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails and does nothing.
    Fail(io::ErrorKind),
    /// A write puts down this many bytes and fails then.
    Torn(usize, io::ErrorKind),
    /// A read gives this many bytes at most.
    Short(usize),
    /// That is the free space.
    Free(u64),
}

type Hook = dyn Fn(Operation, &Path) -> Option<Fault> + Send + Sync;

/// See the module.
#[derive(Clone)]
pub struct FaultyDisk {
    disk: Arc<dyn Disk>,
    hook: Arc<Hook>,
}

impl FaultyDisk {
    /// `disk`, with `hook` asked before each operation on a path.
    pub fn new(
        disk: Arc<dyn Disk>,
        hook: impl Fn(Operation, &Path) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        Self { disk, hook: Arc::new(hook) }
    }

    fn ask(&self, operation: Operation, path: &Path) -> io::Result<Option<Fault>> {
        refused((self.hook)(operation, path))
    }

    fn file(&self, path: &Path, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile { file, path: path.to_owned(), hook: Arc::clone(&self.hook) })
    }
}

/// The error of a fault that is nothing else.
fn refused(fault: Option<Fault>) -> io::Result<Option<Fault>> {
    if let Some(Fault::Fail(kind)) = fault { Err(kind.into()) } else { Ok(fault) }
}

impl fmt::Debug for FaultyDisk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FaultyDisk").field("disk", &self.disk).finish_non_exhaustive()
    }
}

impl Disk for FaultyDisk {
    fn list(&self, directory: &Path) -> io::Result<Vec<(String, u64)>> {
        self.ask(Operation::List, directory)?;
        self.disk.list(directory)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.ask(Operation::Create, path)?;
        Ok(self.file(path, self.disk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.ask(Operation::Open, path)?;
        Ok(self.file(path, self.disk.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.ask(Operation::Rename, from)?;
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.ask(Operation::Remove, path)?;
        self.disk.remove(path)
    }

    fn free_space(&self, directory: &Path) -> io::Result<u64> {
        match self.ask(Operation::FreeSpace, directory)? {
            Some(Fault::Free(bytes)) => Ok(bytes),
            _ => self.disk.free_space(directory),
        }
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.ask(Operation::SyncDirectory, directory)?;
        self.disk.sync_directory(directory)
    }
}

struct FaultyFile {
    file: Arc<dyn DiskFile>,
    /// The name it was opened by.
    path: PathBuf,
    hook: Arc<Hook>,
}

impl FaultyFile {
    fn ask(&self, operation: Operation) -> io::Result<Option<Fault>> {
        refused((self.hook)(operation, &self.path))
    }
}

impl fmt::Debug for FaultyFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FaultyFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl DiskFile for FaultyFile {
    fn length(&self) -> io::Result<u64> {
        self.ask(Operation::Length)?;
        self.file.length()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.ask(Operation::Read)? {
            Some(Fault::Short(most)) => {
                let most = most.min(buffer.len());
                self.file.read_at(&mut buffer[..most], offset)
            }
            _ => self.file.read_at(buffer, offset),
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self.ask(Operation::Write)? {
            Some(Fault::Torn(most, kind)) => {
                self.file.write_at(&bytes[..most.min(bytes.len())], offset)?;
                Err(kind.into())
            }
            _ => self.file.write_at(bytes, offset),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.ask(Operation::Sync)?;
        self.file.sync()
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.ask(Operation::Allocate)?;
        self.file.allocate(length)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.ask(Operation::Truncate)?;
        self.file.truncate(length)
    }

    fn data_end(&self) -> io::Result<u64> {
        self.ask(Operation::DataEnd)?;
        self.file.data_end()
    }
}
