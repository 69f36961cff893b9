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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_socket_in_a_directory_with_a_long_path_can_be_reached() {
        let scratch = tempfile::tempdir().unwrap();
        let long = scratch.path().join("d".repeat(120));
        fs::create_dir(&long).unwrap();
        // tokio's listener needs a runtime to be made in.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();

        let place = Place::of(&long).unwrap();
        let listener = place.bind("s.sock").unwrap().into_std().unwrap();
        listener.set_nonblocking(false).unwrap();
        let mut client = Place::of(&long).unwrap().connect("s.sock").unwrap();
        client.write_all(b"x").unwrap();

        let mut heard = [0];
        listener.accept().unwrap().0.read_exact(&mut heard).unwrap();
        assert_eq!(heard, *b"x");
        // The next start replaces it.
        assert!(place.bind("s.sock").is_ok());
    }
}
