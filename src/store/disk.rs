//! The few things the log asks of a file system, so that a test can be the file system.
//!
//! [`RealDisk`] is the one that is used; [`SimulatedDisk`](super::SimulatedDisk) loses power, fills up
//! and fails when told to.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek, statvfs};
use rustix::io::Errno;

/// A file system, as far as the log needs one.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Names and lengths of the files in `directory`, in no order.
    fn list(&self, directory: &Path) -> io::Result<Vec<(String, u64)>>;

    /// A new, empty file to read and write.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// An existing file to read and write.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name in the same directory, replacing what has that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Deletes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Bytes that files in `directory` could still take.
    fn free_space(&self, directory: &Path) -> io::Result<u64>;

    /// Makes creations, renames and deletions in `directory` survive a power cut.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Reads into `buffer` from `offset` on. It may give less than asked; nothing only at the end of the
    /// file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`. After an error any part of them may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes everything written, and the length, survive a power cut.
    fn sync(&self) -> io::Result<()>;

    /// Reserves space for `length` bytes and makes the file at least that long; new bytes are zero.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// Forgets everything behind the first `length` bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Where the last byte that may ever have been written ends; zeros follow. A preallocated file that
    /// was never full is not read to its end this way.
    fn data_end(&self) -> io::Result<u64>;
}

/// Fills `buffer` from `offset` on; returns less than its length only at the end of the file.
pub(super) fn read_fully(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn list(&self, directory: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            // What is not UTF-8 is not ours.
            if let Ok(name) = entry.file_name().into_string() {
                files.push((name, entry.metadata()?.len()));
            }
        }
        Ok(files)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn free_space(&self, directory: &Path) -> io::Result<u64> {
        let status = statvfs(directory)?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }
}

#[derive(Debug)]
pub(super) struct RealFile(pub(super) File);

impl DiskFile for RealFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        match fallocate(&self.0, FallocateFlags::empty(), 0, length) {
            // Some file systems cannot reserve; the length is all we get there.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.0.set_len(length.max(self.length()?)),
            result => Ok(result?),
        }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn data_end(&self) -> io::Result<u64> {
        let mut end = 0;
        loop {
            let hole = seek(&self.0, SeekFrom::Data(end))
                .and_then(|data| seek(&self.0, SeekFrom::Hole(data)));
            match hole {
                Ok(hole) => end = hole,
                Err(Errno::NXIO) => return Ok(end),
                // A file system that does not know its holes: data may be anywhere.
                Err(_) => return self.length(),
            }
        }
    }
}
