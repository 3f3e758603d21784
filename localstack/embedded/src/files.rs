//! Small file helpers: atomic replacement and one process per folder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::Error;

/// Holds a folder for this process; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    /// Closing the file is not enough: a child process that is just being started shares it for a moment.
    fn drop(&mut self) {
        if let Err(e) = self.0.unlock() {
            tracing::warn!(error = %e, "unlocking");
        }
    }
}

impl Lock {
    /// Locks by means of the file at `path`, which is made if needed and is left behind.
    pub(crate) fn acquire(path: &Path) -> Result<Lock, Error> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(Error::file("opening", path))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => Err(Error::InUse(path.to_path_buf())),
            Err(TryLockError::Error(source)) => {
                Err(Error::File { action: "locking", path: path.to_path_buf(), source })
            }
        }
    }
}

/// Writes a file so that a reader sees the old or the new content, never a part. Readable by the owner only.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&new)
        .map_err(Error::file("creating", &new))?;
    file.write_all(content).map_err(Error::file("writing", &new))?;
    file.sync_all().map_err(Error::file("writing", &new))?;
    fs::rename(&new, path).map_err(Error::file("replacing", path))
}

/// Reads a file; `None` if there is none.
pub(crate) fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { action: "reading", path: path.to_path_buf(), source }),
    }
}

/// Makes a folder and its parents.
pub(crate) fn make_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::file("creating the folder", path))
}
