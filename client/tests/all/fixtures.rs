//! The repository's test vectors.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Folder of the vectors.
pub fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/vectors").canonicalize().unwrap()
}

/// One presentation with its description.
pub struct Vector {
    pub folder: PathBuf,
    pub name: String,
    pub meta: Value,
}

impl Vector {
    pub fn load(folder: &Path) -> Self {
        let meta = serde_json::from_slice(&fs::read(folder.join("meta.json")).unwrap()).unwrap();
        let version = folder.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        let name = format!("{version}/{}", folder.file_name().unwrap().to_string_lossy());
        Self { folder: folder.to_path_buf(), name, meta }
    }

    pub fn presentation(&self) -> Vec<u8> {
        fs::read(self.folder.join("presentation.bin")).unwrap()
    }

    pub fn secrets(&self) -> Vec<u8> {
        fs::read(self.folder.join("secrets.bin")).unwrap()
    }

    pub fn text(&self, key: &str) -> &str {
        self.meta[key].as_str().unwrap_or_default()
    }

    pub fn notary(&self) -> String {
        self.meta["notary"]["key_hex"].as_str().unwrap().to_owned()
    }

    pub fn roots(&self) -> Vec<Vec<u8>> {
        let roots = self.meta["trust_anchors_der_hex"].as_array().unwrap();
        roots.iter().map(|r| hex::decode(r.as_str().unwrap()).unwrap()).collect()
    }
}

/// All vectors of one folder, by name.
pub fn all(group: &str) -> Vec<Vector> {
    let mut folders: Vec<_> =
        fs::read_dir(vectors().join(group)).unwrap().map(|e| e.unwrap().path()).collect();
    folders.retain(|f| f.join("meta.json").exists());
    folders.sort();
    assert!(!folders.is_empty(), "no vectors in {group}");
    folders.iter().map(|f| Vector::load(f)).collect()
}
