//! The sources of the seeds: the repository's vectors and a small deployment.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use tercet_protocol::ids::{EngineDigest, PublicKey};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::survey::{SurveyDescriptor, SurveyManifest};

/// Folder of the vectors.
fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/vectors")
}

/// One file of the vectors.
pub fn vector(name: &str) -> Vec<u8> {
    let path = vectors().join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every file of this name below the vectors, in the order of their paths.
fn files(name: &str) -> Vec<Vec<u8>> {
    let folders = |path: PathBuf| {
        let entries = fs::read_dir(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut all: Vec<_> = entries.map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
        all.sort();
        all
    };
    let found: Vec<_> = folders(vectors())
        .into_iter()
        .flat_map(folders)
        .filter_map(|f| fs::read(f.join(name)).ok())
        .collect();
    assert!(!found.is_empty(), "no {name} below {}", vectors().display());
    found
}

/// All presentations, good and bad.
pub fn presentations() -> Vec<Vec<u8>> {
    files("presentation.bin")
}

/// All provers' secrets.
pub fn secrets() -> Vec<Vec<u8>> {
    files("secrets.bin")
}

/// All attestations that came as files of their own.
pub fn attestations() -> Vec<Vec<u8>> {
    files("attestation.bin")
}

/// The certificate that the vectors' servers are vouched for by.
pub fn root() -> Vec<u8> {
    vector("root.der")
}

/// The survey file over the cohort.
pub fn survey_file() -> String {
    String::from_utf8(vector("survey.toml")).unwrap()
}

/// The three parties' identity keys.
pub static KEYS: LazyLock<[SigningKey; 3]> =
    LazyLock::new(|| [1, 2, 3].map(|i| SigningKey::from_seed(&[i; 32]).unwrap()));

/// Their public halves.
pub fn parties() -> [PublicKey; 3] {
    KEYS.each_ref().map(SigningKey::public)
}

/// The survey as it would run.
pub static SURVEY: LazyLock<SurveyDescriptor> = LazyLock::new(|| {
    let manifest = SurveyManifest::from_toml(&survey_file()).unwrap();
    SurveyDescriptor::assemble(manifest, &[root()], parties(), EngineDigest([7; 32])).unwrap()
});
