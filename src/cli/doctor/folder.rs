//! Whether files can be put into a folder, or written to.

use std::io;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};

/// Checks that the user who runs this program can put files into a folder.
///
/// # Errors
///
/// It is not there, is no folder, or cannot be written to.
pub fn check_writable(folder: &Path) -> io::Result<()> {
    if !folder.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let access = Access::WRITE_OK | Access::EXEC_OK;
    Ok(accessat(CWD, folder, access, AtFlags::EACCESS)?)
}

/// Checks that the user who runs this program can read and write a file, which does not change it.
pub fn check_file_writable(file: &Path) -> io::Result<()> {
    let access = Access::READ_OK | Access::WRITE_OK;
    Ok(accessat(CWD, file, access, AtFlags::EACCESS)?)
}

/// The folder that a file or a folder of this name is in.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
