//! The header of the index of SQLite's write-ahead log: it changes with every commit, whoever makes it.

#[cfg(target_os = "linux")]
use std::fs::File;

use std::io;

use super::file::OpenFiles;

/// How long a header is. At the start of the index it stands twice
/// (<https://www.sqlite.org/walformat.html>, 2.1).
const LENGTH: usize = 48;

/// Where a header says whether it was written yet.
const IS_INITIALIZED: usize = 12;

/// Where a header says how long a page is, and how many pages the log holds.
const PAGE_SIZE: usize = 14;
const PAGES: usize = 16;

/// How long the header of the log is, and that of each page in it
/// (<https://www.sqlite.org/fileformat2.html>, 4.1).
const LOG_HEADER: u64 = 32;
const PAGE_HEADER: u64 = 24;

/// What a reader who begins now would see, told apart from all that readers have seen before: every
/// commit writes another header, after its frames and before it is acknowledged. It holds the number
/// of commits, the number of frames, the checksum of the last one, and the salts of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalIndexHeader([u8; LENGTH]);

impl WalIndexHeader {
    /// The header by its two copies; `None` if it was never written or is being written.
    #[cfg(any(target_os = "linux", test))]
    fn from_copies(copies: &[u8; 2 * LENGTH]) -> Option<Self> {
        let (first, second) = copies.split_at(LENGTH);
        // A writer writes the second one first.
        let is_whole = first == second && first[IS_INITIALIZED] == 1;
        is_whole.then(|| Self(first.try_into().unwrap_or([0; LENGTH])))
    }

    /// How long the log is at least, in bytes; 0 if it holds nothing.
    fn log_length(self) -> u64 {
        let bytes = self.0;
        let pages = [0, 1, 2, 3].map(|number| bytes[PAGES + number]);
        let pages = u64::from(u32::from_ne_bytes(pages));
        let page_size = match u16::from_ne_bytes([bytes[PAGE_SIZE], bytes[PAGE_SIZE + 1]]) {
            // The only one that two bytes cannot hold.
            1 => 65_536,
            size => u64::from(size),
        };
        match pages {
            0 => 0,
            pages => LOG_HEADER + pages * (PAGE_HEADER + page_size),
        }
    }
}

/// The index of a log, the file `-shm`, to read its header from.
#[derive(Clone, Copy)]
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
    pub fn header(self) -> Option<WalIndexHeader> {
        use std::os::unix::fs::FileExt;
        let mut headers = [0; 2 * LENGTH];
        self.file.read_exact_at(&mut headers, 0).ok()?;
        WalIndexHeader::from_copies(&headers)
    }

    /// The same.
    #[cfg(not(target_os = "linux"))]
    pub fn header(self) -> Option<WalIndexHeader> {
        None
    }
}

impl WalIndex {
    /// How many bytes are missing at the end of the log, of which `length` says how long it is. SQLite
    /// writes pages before the header that tells of them, and shortens the log after that tells of none.
    pub fn missing_bytes(self, length: impl Fn() -> io::Result<u64>) -> io::Result<u64> {
        let Some(header) = self.header() else {
            return Ok(0);
        };
        let missing = header.log_length().saturating_sub(length()?);
        let is_still_so = missing > 0 && self.header() == Some(header);
        Ok(if is_still_so { missing } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_counts_if_it_is_written_and_its_copies_are_equal() {
        let mut copies = [7; 2 * LENGTH];
        assert!(WalIndexHeader::from_copies(&copies).is_none());
        for copy in [0, LENGTH] {
            copies[copy + IS_INITIALIZED] = 1;
        }
        assert!(WalIndexHeader::from_copies(&copies).is_some());
        for place in 0..2 * LENGTH {
            let mut torn = copies;
            torn[place] = 9;
            assert!(WalIndexHeader::from_copies(&torn).is_none(), "{place}");
        }
    }
}
