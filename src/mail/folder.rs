//! A folder instead of a mail server, for development.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A folder into which mails are put.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Creates the folder if it is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Ok(Self(path.to_path_buf()))
    }

    /// Puts a mail into a file of this name, whole from its first moment and readable by its owner
    /// alone: whoever reads it can take over an account.
    pub(super) async fn put(&self, name: String, mail: Vec<u8>) -> io::Result<()> {
        let unfinished = self.0.join(format!(".{name}"));
        let finished = self.0.join(name);
        let write = move || {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            {
                use std::os::unix::fs::OpenOptionsExt;
                options.mode(0o600);
            }
            options.open(&unfinished)?.write_all(&mail)?;
            fs::rename(unfinished, finished)
        };
        tokio::task::spawn_blocking(write).await?
    }
}
