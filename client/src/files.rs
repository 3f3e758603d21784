//! Files: bounded reading, and writing that leaves either the old file or the whole new one.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::Error;

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Io { what, path, source }
}

/// Reads at most `max` bytes; a longer file is an error. The buffer is wiped when dropped, since callers read
/// secrets with this too.
pub fn read(path: &Path, max: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let file = File::open(path).map_err(io("cannot open", path))?;
    // Room for everything from the start: a growing buffer would leave copies behind.
    let size = file.metadata().map_or(0, |m| usize::try_from(m.len()).unwrap_or(usize::MAX));
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.min(max) + 1));
    file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(io("cannot read", path))?;
    if bytes.len() > max {
        return Err(Error::Usage(format!("{} has more than the {max} bytes allowed", path.display())));
    }
    Ok(bytes)
}

/// Reads UTF-8 text of at most `max` bytes.
pub fn read_text(path: &Path, max: usize) -> Result<Zeroizing<String>, Error> {
    let bytes = read(path, max)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(Error::Usage(format!("{} is not text in UTF-8", path.display()))),
    }
}

/// The readers of a written file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The owner only (0600).
    Private,
    /// Everybody whom the umask allows.
    Public,
}

/// Writes a file at once: readers see the old content or the new, never a part. With `replace` false an existing
/// file is an error.
pub fn write(path: &Path, bytes: &[u8], access: Access, replace: bool) -> Result<(), Error> {
    let parent = parent(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tercet-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = if access == Access::Private { 0o600 } else { 0o644 };
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = access;
    let mut file = builder.tempfile_in(parent).map_err(io("cannot write beside", path))?;
    file.write_all(bytes).map_err(io("cannot write", path))?;
    file.as_file().sync_all().map_err(io("cannot write", path))?;
    let done = if replace { file.persist(path) } else { file.persist_noclobber(path) };
    done.map(|_| ()).map_err(|e| io("cannot write", path)(e.error))
}

/// Checks, before anything is sent or computed, that a result can be written to `path`: its folder is there and
/// writable, and nothing is lost. An existing file is an error unless `force` is set; anything but a regular file always
/// is.
pub fn check_output(path: &Path, force: bool) -> Result<(), Error> {
    let parent = parent(path);
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            let path = path.display();
            return Err(Error::Usage(format!(
                "{path} is no regular file: name a file, or leave the option out"
            )));
        }
        Ok(_) if !force => {
            let path = path.display();
            return Err(Error::Usage(format!(
                "{path} exists: name another file, or give --force to replace it"
            )));
        }
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(io("cannot look at", path)(e)),
    }
    // A file that is made and removed again shows what no permission bit tells.
    tempfile::Builder::new()
        .prefix(".tercet-")
        .tempfile_in(parent)
        .map_err(io("cannot write beside", path))?;
    Ok(())
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    }
}

/// Creates a folder and those above it; a new one is the owner's only.
pub fn create_private_dir(path: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path).map_err(io("cannot create the folder", path))
}
