//! The header of the index of SQLite's write-ahead log: it changes with every commit, whoever makes it.

#[cfg(target_os = "linux")]
use std::fs::File;

use super::file::OpenFiles;

/// How long a header is. At the start of the index it stands twice
/// (<https://www.sqlite.org/walformat.html>, 2.1).
const LENGTH: usize = 48;

/// Where a header says whether it was written yet.
const IS_INITIALIZED: usize = 12;

/// What a reader who begins now would see, told apart from all that readers have seen before: every
/// commit writes another header, after its frames and before it is acknowledged. It holds the number
/// of commits, the number of frames, the checksum of the last one, and the salts of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalIndexHeader([u8; LENGTH]);

/// The index of a log, the file `-shm`, to read its header from.
pub struct WalIndex {
    /// Never closed: closing any descriptor of the file would drop the locks that SQLite holds on it
    /// in this process (<https://www.sqlite.org/howtocorrupt.html>, 2.2).
    #[cfg(target_os = "linux")]
    file: &'static File,
}

impl WalIndex {
    /// Opens the index of a database that is open; `None` if it cannot be read, and on systems where
    /// reading a file was not tried to show what others wrote into its mapped memory.
    #[cfg(target_os = "linux")]
    pub fn open(files: &OpenFiles) -> Option<Self> {
        let file = Box::leak(Box::new(files.open_index().ok()?));
        files.is_index(file).then_some(Self { file })
    }

    /// The same.
    #[cfg(not(target_os = "linux"))]
    pub fn open(_files: &OpenFiles) -> Option<Self> {
        None
    }

    /// The header as it is now; `None` while it is being written.
    #[cfg(target_os = "linux")]
    pub fn header(&self) -> Option<WalIndexHeader> {
        use std::os::unix::fs::FileExt;
        let mut headers = [0; 2 * LENGTH];
        self.file.read_exact_at(&mut headers, 0).ok()?;
        let (first, second) = headers.split_at(LENGTH);
        // A writer writes the second one first.
        let is_whole = first == second && first[IS_INITIALIZED] == 1;
        is_whole.then(|| WalIndexHeader(first.try_into().unwrap_or([0; LENGTH])))
    }

    /// The same.
    #[cfg(not(target_os = "linux"))]
    pub fn header(&self) -> Option<WalIndexHeader> {
        None
    }
}
