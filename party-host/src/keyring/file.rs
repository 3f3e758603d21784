//! Wrapping keys in a file of one's own: for local use and for operators without a key management service.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tercet_protocol::codec::Writer;
use tercet_protocol::ids::sha256;
use zeroize::Zeroizing;

use super::{DataKey, KeyWrapper, KeyringError, WrappedKey, random};
use crate::private::is_private;

const FORMAT: &str = "tercet-keyring-1";
const NONCE: usize = 12;
/// Largest number of keys in a file, far more than a deployment ever rotates; bounds the size of a file that is read.
const MAX_KEYS: usize = 256;
const MAX_FILE: u64 = 64 * 1024;

/// A keyring in a JSON file with mode 0600: `{"format":"tercet-keyring-1","keys":[{"id":"…","key":"<64 hex>"}]}`.
///
/// The first key wraps, all of them unwrap. A wrapped key is a random 12-byte nonce, then the AES-256-GCM
/// ciphertext of the data key with its 16-byte tag; key id and context are the associated data. With random
/// nonces one key is good for 2^32 objects, which is far beyond the log of any survey.
pub struct FileKeyring {
    keys: Vec<(String, LessSafeKey)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    format: String,
    keys: Vec<KeyRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRecord {
    id: String,
    key: Secret,
}

/// Hexadecimal in the file, wiped in memory.
struct Secret(Zeroizing<[u8; 32]>);

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&Zeroizing::new(hex::encode(*self.0)))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let mut out = Zeroizing::new([0; 32]);
        // Borrowed, so that the file's own wiped buffer is the only text that holds it.
        hex::decode_to_slice(<&str>::deserialize(d)?, &mut *out)
            .map_err(|_| serde::de::Error::custom("a key is 64 hexadecimal digits"))?;
        Ok(Self(out))
    }
}

impl KeyRecord {
    fn fresh() -> Result<Self, KeyringError> {
        let key = Zeroizing::new(random()?);
        Ok(Self { id: key_id(&key), key: Secret(key) })
    }
}

/// Derived from the key, so that two files never give one name to two keys and a damaged key is noticed.
fn key_id(key: &[u8; 32]) -> String {
    let hash = sha256(&[b"tercet keyring key id v1", key]);
    format!("file-{}", hex::encode(&hash[..8]))
}

impl FileKeyring {
    /// Makes a file with one fresh key. Fails if the file exists: to overwrite one would lose everything that its
    /// keys wrap. Fails if the file exists: overwriting one would lose what its keys wrap.
    pub fn create(path: &Path) -> Result<Self, KeyringError> {
        let file = KeyFile { format: FORMAT.into(), keys: vec![KeyRecord::fresh()?] };
        let io = |e: io::Error| at(path, e);
        write_temporary(path, &file)?.persist_noclobber(path).map_err(|e| io(e.error))?;
        sync_directory(path).map_err(io)?;
        Self::from_file(path, file)
    }

    /// Opens an existing file. Refuses one that others can read.
    pub fn open(path: &Path) -> Result<Self, KeyringError> {
        Self::from_file(path, read(path)?)
    }

    /// Opens the file, or makes it if there is none.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyringError> {
        if path.try_exists().map_err(|e| at(path, e))? { Self::open(path) } else { Self::create(path) }
    }

    /// Puts a fresh key in front of the others in the file. A process that has the file open goes on wrapping
    /// with the key it knows until it is restarted.
    pub fn rotate(path: &Path) -> Result<Self, KeyringError> {
        let io = |e: io::Error| at(path, e);
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        // Two rotations at once must not drop each other's key.
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(io)?;
        lock.lock().map_err(io)?;
        let mut file = read(path)?;
        file.keys.insert(0, KeyRecord::fresh()?);
        let temporary = write_temporary(path, &file)?;
        let ring = Self::from_file(path, file)?;
        temporary.persist(path).map_err(|e| io(e.error))?;
        sync_directory(path).map_err(io)?;
        Ok(ring)
    }

    /// The id of the key that wraps.
    pub fn current(&self) -> &str {
        self.keys.first().map_or("", |(id, _)| id)
    }

    /// The ids of all keys, newest first.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(id, _)| id.as_str())
    }

    fn from_file(path: &Path, file: KeyFile) -> Result<Self, KeyringError> {
        let bad = |reason: String| KeyringError::File { path: path.into(), reason };
        if file.format != FORMAT {
            return Err(bad(format!("its format is not `{FORMAT}`: it was written by another version")));
        }
        if file.keys.is_empty() || file.keys.len() > MAX_KEYS {
            return Err(bad(format!("it holds {} keys; 1 to {MAX_KEYS} are possible", file.keys.len())));
        }
        let mut keys: Vec<(String, LessSafeKey)> = Vec::with_capacity(file.keys.len());
        for KeyRecord { id, key } in file.keys {
            if id != key_id(&key.0) {
                return Err(bad(format!(
                    "the id `{id}` is not its key's: the file is damaged, restore it from a backup"
                )));
            }
            if keys.iter().any(|(known, _)| *known == id) {
                return Err(bad(format!("key `{id}` is listed twice: remove one")));
            }
            let key = UnboundKey::new(&AES_256_GCM, &*key.0).map_err(|_| KeyringError::Refused)?;
            keys.push((id, LessSafeKey::new(key)));
        }
        Ok(Self { keys })
    }
}

impl fmt::Debug for FileKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileKeyring").field(&self.key_ids().collect::<Vec<_>>()).finish()
    }
}

#[async_trait]
impl KeyWrapper for FileKeyring {
    async fn wrap(&self, data_key: &DataKey, context: &[u8]) -> Result<WrappedKey, KeyringError> {
        let (id, key) = self.keys.first().ok_or_else(|| KeyringError::UnknownKey { id: String::new() })?;
        let nonce = random::<NONCE>()?;
        let mut text = Zeroizing::new(*data_key.0);
        let tag = key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad(id, context), &mut *text)
            .map_err(|_| KeyringError::Refused)?;
        let bytes = [&nonce[..], &*text, tag.as_ref()].concat();
        Ok(WrappedKey { key_id: id.clone(), bytes })
    }

    async fn unwrap(&self, wrapped: &WrappedKey, context: &[u8]) -> Result<DataKey, KeyringError> {
        let (id, key) = self
            .keys
            .iter()
            .find(|(id, _)| *id == wrapped.key_id)
            .ok_or_else(|| KeyringError::UnknownKey { id: wrapped.key_id.clone() })?;
        let (nonce, text) = wrapped.bytes.split_first_chunk::<NONCE>().ok_or(KeyringError::Refused)?;
        let mut text = Zeroizing::new(text.to_vec());
        let plain = key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), aad(id, context), &mut text)
            .map_err(|_| KeyringError::Refused)?;
        let key: &[u8; 32] = (&*plain).try_into().map_err(|_| KeyringError::Refused)?;
        Ok(DataKey(Zeroizing::new(*key)))
    }
}

fn aad(id: &str, context: &[u8]) -> Aad<Vec<u8>> {
    let mut w = Writer::tagged("tercet wrapped data key v1");
    w.bytes(id.as_bytes()).bytes(context);
    Aad::from(w.finish())
}

fn at(path: &Path, e: io::Error) -> KeyringError {
    let reason = match e.kind() {
        io::ErrorKind::NotFound => "it does not exist: restore it, or let the first start create it".into(),
        io::ErrorKind::AlreadyExists => {
            "it exists already and is not overwritten: move it away if it is not needed".into()
        }
        _ => e.to_string(),
    };
    KeyringError::File { path: path.into(), reason }
}

fn read(path: &Path) -> Result<KeyFile, KeyringError> {
    let io = |e: io::Error| at(path, e);
    let file = File::open(path).map_err(io)?;
    // Of the open file, not of the path: nothing can be swapped in between.
    let meta = file.metadata().map_err(io)?;
    if !is_private(&meta) {
        return Err(KeyringError::Permissions { path: path.into(), mode: meta.permissions().mode() & 0o777 });
    }
    let bad = |reason: String| KeyringError::File { path: path.into(), reason };
    if meta.len() > MAX_FILE {
        return Err(bad(format!("it is larger than {MAX_FILE} bytes: this is not a key file")));
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE as usize));
    file.take(MAX_FILE).read_to_string(&mut text).map_err(io)?;
    // The parser's own message could quote the file, so only the place is told.
    serde_json::from_str(&text).map_err(|e| {
        bad(format!(
            "it is not a keyring (line {}, column {}): restore it from a backup",
            e.line(),
            e.column()
        ))
    })
}

/// Written whole and synced before it gets its name: a crash leaves the old file or the new one.
fn write_temporary(path: &Path, file: &KeyFile) -> Result<tempfile::NamedTempFile, KeyringError> {
    let io = |e: io::Error| at(path, e);
    let directory = directory_of(path);
    fs::create_dir_all(&directory).map_err(io)?;
    // Large enough never to be reallocated, which would leave copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize));
    serde_json::to_writer_pretty(&mut *text, file)
        .map_err(|e| KeyringError::File { path: path.into(), reason: e.to_string() })?;
    text.push(b'\n');
    let mut temporary = tempfile::Builder::new()
        .prefix(".keyring-")
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(&directory)
        .map_err(io)?;
    temporary.write_all(&text).map_err(io)?;
    temporary.as_file().sync_all().map_err(io)?;
    Ok(temporary)
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => PathBuf::from("."),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> DataKey {
        DataKey(Zeroizing::new([byte; 32]))
    }

    #[tokio::test]
    async fn rotation_wraps_with_the_new_key_and_opens_with_both() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.key");
        let old = FileKeyring::create(&path).unwrap();
        let wrapped = old.wrap(&key(1), b"context").await.unwrap();
        FileKeyring::rotate(&path).unwrap();
        let new = FileKeyring::open(&path).unwrap();
        assert_eq!(new.key_ids().count(), 2);
        assert_ne!(new.current(), old.current());
        assert_eq!(new.unwrap(&wrapped, b"context").await.unwrap(), key(1));
        let later = new.wrap(&key(2), b"context").await.unwrap();
        assert_eq!(later.key_id, new.current());
        assert!(matches!(old.unwrap(&later, b"context").await, Err(KeyringError::UnknownKey { .. })));
    }

    #[tokio::test]
    async fn wrapped_keys_are_bound_to_context_and_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.key");
        FileKeyring::create(&path).unwrap();
        let ring = FileKeyring::rotate(&path).unwrap();
        let wrapped = ring.wrap(&key(1), b"context").await.unwrap();
        assert!(matches!(ring.unwrap(&wrapped, b"kontext").await, Err(KeyringError::Refused)));
        let other = ring.key_ids().nth(1).unwrap().to_string();
        let renamed = WrappedKey { key_id: other, ..wrapped.clone() };
        assert!(matches!(ring.unwrap(&renamed, b"context").await, Err(KeyringError::Refused)));
        for i in 0..wrapped.bytes.len() {
            let mut bad = wrapped.clone();
            bad.bytes[i] ^= 0x40;
            assert!(matches!(ring.unwrap(&bad, b"context").await, Err(KeyringError::Refused)), "byte {i}");
            bad.bytes = wrapped.bytes[..i].to_vec();
            assert!(matches!(ring.unwrap(&bad, b"context").await, Err(KeyringError::Refused)), "cut at {i}");
        }
    }

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.key");
        let id = FileKeyring::open_or_create(&path).unwrap().current().to_string();
        assert!(FileKeyring::create(&path).unwrap_err().to_string().contains("not overwritten"));
        assert_eq!(FileKeyring::open_or_create(&path).unwrap().current(), id);
        // Nothing half-written is left in the directory either.
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.key");
        FileKeyring::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for mode in [0o640, 0o604, 0o660, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = FileKeyring::open(&path).unwrap_err();
            assert!(matches!(error, KeyringError::Permissions { mode: m, .. } if m == mode), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        FileKeyring::open(&path).unwrap();
    }

    #[test]
    fn damaged_files_are_refused_without_showing_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.key");
        FileKeyring::create(&path).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        let hex = good.split('"').find(|s| s.len() == 64).unwrap().to_string();
        let changed = if hex.starts_with('0') { "1" } else { "0" };
        let damaged = [
            good.replace(&hex, &format!("{changed}{}", &hex[1..])),
            good.replace(&hex, &hex[1..]),
            good.replace("\"keys\"", "\"kees\""),
            good.replace(FORMAT, "tercet-keyring-2"),
            format!("{{\"format\":\"{FORMAT}\",\"keys\":[]}}"),
            good[..good.len() / 2].to_string(),
            String::new(),
            "\u{0}".repeat(MAX_FILE as usize + 1),
        ];
        for text in damaged {
            fs::write(&path, &text).unwrap();
            let error = FileKeyring::open(&path).unwrap_err();
            assert!(matches!(error, KeyringError::File { .. }), "{error}");
            assert!(!format!("{error} {error:?}").contains(&hex[1..]), "{error}");
        }
    }

    #[tokio::test]
    async fn debug_shows_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.key");
        let ring = FileKeyring::create(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let hex = text.split('"').find(|s| s.len() == 64).unwrap();
        let shown = format!("{ring:?} {:?}", key(0xab));
        assert!(!shown.contains(hex) && !shown.contains("171") && !shown.contains("abab"), "{shown}");
    }
}
