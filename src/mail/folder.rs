//! A folder instead of a mail server, for development.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

#[cfg(unix)]
use tracing::warn;

/// A folder into which mails are put.
pub struct Folder(PathBuf);

impl Folder {
    /// Creates the folder, for its owner alone, if it is not there. Warns of one that is open to
    /// others.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        builder.mode(0o700);
        builder.create(path)?;
        #[cfg(unix)]
        if fs::metadata(path)?.mode() & 0o077 != 0 {
            let path = path.display();
            warn!("other users of this machine have access to {path}: chmod 700 {path}");
        }
        Ok(Self(path.to_path_buf()))
    }

    /// Puts a mail into a file of this name, whole from its first moment and readable by its owner
    /// alone: with what is in it an account can be taken over.
    pub async fn put(&self, name: String, mail: Vec<u8>) -> io::Result<()> {
        let unfinished = self.0.join(format!(".{name}"));
        let finished = self.0.join(name);
        let write = move || {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            options.mode(0o600);
            options.open(&unfinished)?.write_all(&mail)?;
            fs::rename(unfinished, finished)
        };
        tokio::task::spawn_blocking(write).await?
    }
}
