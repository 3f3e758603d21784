//! Buckets and objects in a folder.
//!
//! `root/BUCKET/HASH` is the object whose key has that SHA-256 (so that any key fits a file name and no key
//! can leave its bucket's folder); `root/.tmp` holds writes that have not finished. An index of all headers is
//! kept in memory and rebuilt from the files at start.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sha2::{Digest, Sha256};

use super::format::Header;
use super::listing::{Page, Query, page};
use crate::Error;
use crate::files::{self, Lock};

/// Why an operation was refused or failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("the bucket does not exist")]
    NoSuchBucket,
    #[error("the bucket exists already")]
    BucketExists,
    #[error("the bucket still holds objects")]
    BucketNotEmpty,
    #[error("there is no object with this key")]
    NoSuchKey,
    #[error("the condition of the write does not hold")]
    Precondition,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A condition of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// Nothing.
    Always,
    /// There is no object with the key.
    Absent,
    /// There is an object with the key.
    Present,
    /// The object with the key has this ETag.
    ETag(String),
}

/// An object without its body.
#[derive(Debug)]
pub(super) struct Object {
    pub header: Header,
    /// The start of the body in the file.
    pub offset: u64,
}

type Bucket = BTreeMap<String, Arc<Object>>;

/// All buckets of a folder.
#[derive(Debug)]
pub(super) struct Objects {
    root: PathBuf,
    sync: bool,
    /// Held for writing around every rename and removal, so that it always agrees with the folder.
    index: RwLock<BTreeMap<String, Bucket>>,
    next_temporary: AtomicU64,
    _lock: Lock,
}

impl Objects {
    /// Opens the folder, removes unfinished writes and reads all headers.
    pub fn open(root: &Path, sync: bool) -> Result<Objects, Error> {
        files::make_folder(root)?;
        let lock = Lock::acquire(&root.join(".lock"))?;
        let temporary = root.join(".tmp");
        files::make_folder(&temporary)?;
        for unfinished in entries(&temporary)? {
            fs::remove_file(&unfinished).map_err(Error::file("removing", &unfinished))?;
        }
        let mut index = BTreeMap::new();
        for folder in entries(root)? {
            let name = folder.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
            if folder.is_dir() && s3s::path::check_bucket_name(&name) {
                index.insert(name, read_bucket(&folder)?);
            }
        }
        let objects = index.values().map(BTreeMap::len).sum::<usize>();
        tracing::info!(buckets = index.len(), objects, root = %root.display(), "object store opened");
        Ok(Objects {
            root: root.to_path_buf(),
            sync,
            index: RwLock::new(index),
            next_temporary: AtomicU64::new(0),
            _lock: lock,
        })
    }

    // A panic while the lock is held (there is none known) leaves index and folder in agreement: both are
    // changed in single steps, the folder first. So a poisoned lock is used on.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Bucket>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Bucket>> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, bucket: &str, key: &str) -> PathBuf {
        self.root.join(bucket).join(file_name(key))
    }

    /// Makes a bucket if it is not there.
    pub fn ensure_bucket(&self, bucket: &str) -> Result<(), Error> {
        if !s3s::path::check_bucket_name(bucket) {
            return Err(Error::BucketName(bucket.to_owned()));
        }
        match self.create_bucket(bucket) {
            Ok(()) | Err(Refused::BucketExists) => Ok(()),
            Err(e) => Err(Error::File {
                action: "creating the bucket",
                path: self.root.join(bucket),
                source: io::Error::other(e.to_string()),
            }),
        }
    }

    /// Makes a bucket. Its name has been checked.
    pub fn create_bucket(&self, bucket: &str) -> Result<(), Refused> {
        let mut index = self.write();
        if index.contains_key(bucket) {
            return Err(Refused::BucketExists);
        }
        fs::create_dir_all(self.root.join(bucket))?;
        if self.sync {
            File::open(&self.root)?.sync_all()?;
        }
        index.insert(bucket.to_owned(), Bucket::new());
        Ok(())
    }

    /// Removes an empty bucket.
    pub fn delete_bucket(&self, bucket: &str) -> Result<(), Refused> {
        let mut index = self.write();
        if !index.get(bucket).ok_or(Refused::NoSuchBucket)?.is_empty() {
            return Err(Refused::BucketNotEmpty);
        }
        fs::remove_dir(self.root.join(bucket))?;
        index.remove(bucket);
        Ok(())
    }

    /// Names of all buckets.
    pub fn buckets(&self) -> Vec<String> {
        self.read().keys().cloned().collect()
    }

    /// True if there is such a bucket.
    pub fn has_bucket(&self, bucket: &str) -> bool {
        self.read().contains_key(bucket)
    }

    /// Stores an object if the condition holds: durably (see the module's text), then visibly, at once.
    pub fn put(
        &self,
        bucket: &str,
        header: Header,
        body: &[u8],
        condition: &Condition,
    ) -> Result<(), Refused> {
        let check = |index: &BTreeMap<String, Bucket>| -> Result<(), Refused> {
            let existing = index.get(bucket).ok_or(Refused::NoSuchBucket)?.get(&header.key);
            let holds = match condition {
                Condition::Always => true,
                Condition::Absent => existing.is_none(),
                Condition::Present => existing.is_some(),
                Condition::ETag(tag) => existing.is_some_and(|o| o.header.e_tag == *tag),
            };
            if holds { Ok(()) } else { Err(Refused::Precondition) }
        };
        // Spares the loser of a race most of its work; what counts is the check below.
        check(&self.read())?;

        let temporary = Temporary::new(&self.root, self.next_temporary.fetch_add(1, Ordering::Relaxed));
        let mut file = File::create_new(&temporary.0)?;
        header.write(&mut file, body)?;
        if self.sync {
            file.sync_all()?;
        }
        let offset = file.metadata()?.len().saturating_sub(header.length);

        let mut index = self.write();
        check(&index)?;
        let path = self.path(bucket, &header.key);
        fs::rename(&temporary.0, &path)?;
        if let Some(bucket) = index.get_mut(bucket) {
            bucket.insert(header.key.clone(), Arc::new(Object { header, offset }));
        }
        drop(index);
        if self.sync {
            File::open(self.root.join(bucket))?.sync_all()?;
        }
        Ok(())
    }

    /// An object without its body.
    pub fn head(&self, bucket: &str, key: &str) -> Result<Arc<Object>, Refused> {
        let index = self.read();
        index.get(bucket).ok_or(Refused::NoSuchBucket)?.get(key).cloned().ok_or(Refused::NoSuchKey)
    }

    /// An object and its file, opened: its bytes stay the same whatever happens to the key afterwards.
    pub fn open_object(&self, bucket: &str, key: &str) -> Result<(Arc<Object>, File), Refused> {
        let index = self.read();
        let object = index.get(bucket).ok_or(Refused::NoSuchBucket)?.get(key).ok_or(Refused::NoSuchKey)?;
        Ok((object.clone(), File::open(self.path(bucket, key))?))
    }

    /// Removes an object; one that is not there counts as removed.
    pub fn delete(&self, bucket: &str, key: &str) -> Result<(), Refused> {
        let mut index = self.write();
        let objects = index.get_mut(bucket).ok_or(Refused::NoSuchBucket)?;
        if objects.contains_key(key) {
            fs::remove_file(self.path(bucket, key))?;
            objects.remove(key);
        }
        Ok(())
    }

    /// One page of a bucket's listing, and whether there is more.
    pub fn list(&self, bucket: &str, query: &Query<'_>) -> Result<Page<Arc<Object>>, Refused> {
        Ok(page(self.read().get(bucket).ok_or(Refused::NoSuchBucket)?, query))
    }
}

/// A temporary file's path; removes the file when dropped (nothing, once it has been renamed).
struct Temporary(PathBuf);

impl Temporary {
    fn new(root: &Path, number: u64) -> Temporary {
        Temporary(root.join(".tmp").join(number.to_string()))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Already gone in the good case; otherwise the next start removes it.
        let _ = fs::remove_file(&self.0);
    }
}

fn file_name(key: &str) -> String {
    hex::encode(Sha256::digest(key.as_bytes()))
}

fn read_bucket(folder: &Path) -> Result<Bucket, Error> {
    let mut bucket = Bucket::new();
    for path in entries(folder)? {
        let (header, offset) = Header::read(&path)?;
        if path.file_name().and_then(|n| n.to_str()) != Some(file_name(&header.key).as_str()) {
            return Err(Error::Damaged { path, reason: "its name is not that of its key".into() });
        }
        bucket.insert(header.key.clone(), Arc::new(Object { header, offset }));
    }
    Ok(bucket)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let read = fs::read_dir(folder).map_err(Error::file("reading the folder", folder))?;
    read.map(|entry| entry.map(|e| e.path()).map_err(Error::file("reading the folder", folder))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(key: &str, length: u64) -> Header {
        Header {
            key: key.into(),
            length,
            e_tag: "0".into(),
            modified_ms: 0,
            fields: BTreeMap::new(),
            metadata: BTreeMap::new(),
            checksums: BTreeMap::new(),
        }
    }

    #[test]
    fn an_unfinished_write_is_gone_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::open(dir.path(), false).unwrap();
        objects.ensure_bucket("bucket").unwrap();
        objects.put("bucket", header("k", 1), b"x", &Condition::Absent).unwrap();
        drop(objects);
        // As a kill in the middle of a write leaves it.
        let torn = dir.path().join(".tmp/7");
        fs::write(&torn, b"TS3\x01 half").unwrap();
        let objects = Objects::open(dir.path(), false).unwrap();
        assert!(!torn.exists());
        assert_eq!(objects.list("bucket", &Query { max: 9, ..Query::default() }).unwrap().0.len(), 1);
    }

    #[test]
    fn one_server_per_folder_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::open(dir.path(), true).unwrap();
        assert!(matches!(Objects::open(dir.path(), true), Err(Error::InUse(_))));
        objects.ensure_bucket("bucket").unwrap();
        objects.put("bucket", header("k", 1), b"x", &Condition::Absent).unwrap();
        let path = objects.path("bucket", "k");
        drop(objects);
        fs::rename(&path, path.with_file_name("other")).unwrap();
        assert!(matches!(Objects::open(dir.path(), true), Err(Error::Damaged { .. })));
    }

    #[test]
    fn conditions() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::open(dir.path(), false).unwrap();
        objects.ensure_bucket("bucket").unwrap();
        let put = |condition: Condition| objects.put("bucket", header("k", 1), b"x", &condition);
        assert!(matches!(put(Condition::Present), Err(Refused::Precondition)));
        assert!(matches!(put(Condition::ETag("0".into())), Err(Refused::Precondition)));
        put(Condition::Absent).unwrap();
        assert!(matches!(put(Condition::Absent), Err(Refused::Precondition)));
        assert!(matches!(put(Condition::ETag("1".into())), Err(Refused::Precondition)));
        put(Condition::ETag("0".into())).unwrap();
        put(Condition::Present).unwrap();
        assert_eq!(entries(&dir.path().join(".tmp")).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn bad_bucket_names_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::open(dir.path(), false).unwrap();
        for name in ["", "..", "a/b", ".tmp", "UPPER", "x"] {
            assert!(matches!(objects.ensure_bucket(name), Err(Error::BucketName(_))), "{name}");
        }
    }
}
