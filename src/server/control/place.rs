//! Sockets in directories whose paths are longer than a socket's address may be (107 octets).

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// What fits `sockaddr_un` with its final zero.
const LONGEST: usize = 107;

/// A directory for sockets.
pub(super) struct Place {
    path: PathBuf,
    /// Names a long path by its number.
    directory: File,
}

impl Place {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), directory: File::open(path)? })
    }

    /// Listens there, for this user only. What has the name is replaced.
    pub(super) fn bind(&self, name: &str) -> io::Result<UnixListener> {
        // Nobody may connect before the mode is right, so the name comes last.
        let draft = self.path.join(format!("{name}.new"));
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(self.address(&draft)?)?;
        fs::set_permissions(&draft, Permissions::from_mode(0o600))?;
        fs::rename(&draft, self.path.join(name))?;
        Ok(listener)
    }

    pub(super) fn connect(&self, name: &str) -> io::Result<UnixStream> {
        UnixStream::connect(self.address(&self.path.join(name))?)
    }

    /// The path, or another way to the same place that is short enough.
    fn address(&self, socket: &Path) -> io::Result<PathBuf> {
        if socket.as_os_str().as_bytes().len() <= LONGEST {
            return Ok(socket.to_owned());
        }
        let near = PathBuf::from(format!("/proc/self/fd/{}", self.directory.as_raw_fd()));
        if !near.exists() {
            let what = format!("{} is too long for the path of a socket", socket.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        Ok(near.join(socket.file_name().unwrap_or_default()))
    }
}
