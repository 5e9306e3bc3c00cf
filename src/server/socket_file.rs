//! The file by which a Unix socket is reached: made, taken over from a process that has ended, removed.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use tokio::net::{UnixListener, UnixSocket};

/// Who may connect: the owner and the group, which a proxy is made a member of.
const MODE: u32 = 0o660;

/// The file of a socket of this process. Removed when it is dropped, unless another has taken its place.
pub(super) struct SocketFile {
    path: PathBuf,
    /// The device and the inode.
    identity: (u64, u64),
}

impl SocketFile {
    /// Listens on a Unix socket at this path.
    pub(super) fn listen(path: &Path, backlog: u32) -> io::Result<(UnixListener, Self)> {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        // Of two processes that start at once, the second one must not take the socket of the first,
        // which does not listen yet, for one that was left behind.
        let folder = File::open(folder)?;
        folder.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                io::Error::other("another process is opening a socket in its folder")
            }
            TryLockError::Error(error) => error,
        })?;
        remove_stale(path)?;
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        let file = Self {
            path: path.to_owned(),
            identity: identity(path)?,
        };
        // No client can connect before it listens.
        fs::set_permissions(path, Permissions::from_mode(MODE))?;
        Ok((socket.listen(backlog)?, file))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // If it cannot be removed, the next start replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Removes a socket that no process listens on any more.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            let reason = "there is a file that is no socket";
            return Err(io::Error::new(ErrorKind::AlreadyExists, reason));
        }
        Ok(_) => {}
    }
    match try_connect(path) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path),
        Err(Errno::NOENT) => Ok(()),
        // Also where it takes no more connections, or none of ours.
        Ok(()) | Err(_) => Err(io::Error::new(
            ErrorKind::AddrInUse,
            "another process listens on it",
        )),
    }
}

/// Connects, without waiting for a process that accepts nothing.
fn try_connect(path: &Path) -> Result<(), Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)
}
