//! A file system that is looked at and never changed, for those who only read what is there.
//!
//! Files are opened for reading, so that what belongs to somebody else, or lies on a read-only mount, can be
//! read as well; whatever would change something is refused.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::{Disk, DiskFile, RealDisk, RealFile};

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOnlyDisk;

impl Disk for ReadOnlyDisk {
    fn list(&self, directory: &Path) -> io::Result<Vec<(String, u64)>> {
        RealDisk.list(directory)
    }

    fn create(&self, _path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        refused()
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(File::open(path)?)))
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn free_space(&self, directory: &Path) -> io::Result<u64> {
        RealDisk.free_space(directory)
    }

    fn sync_directory(&self, _directory: &Path) -> io::Result<()> {
        refused()
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}
