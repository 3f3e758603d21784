//! A party runs the surveys that its operator signed, and no others.

use std::fs;
use std::path::Path;

use aws_config::SdkConfig;
use party_host::documents::DocumentPlace;
use party_host::serve;
use tercet_protocol::approval::Approval;
use tercet_protocol::ids::{EngineDigest, SurveyId};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::survey::{SurveyDescriptor, SurveyManifest};

fn key(i: u8) -> SigningKey {
    SigningKey::from_seed(&[i; 32]).unwrap()
}

/// A survey of the operators 1, 2 and 3.
fn survey(engine: u8) -> SurveyDescriptor {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/vectors");
    let manifest =
        SurveyManifest::from_toml(&fs::read_to_string(vectors.join("survey.toml")).unwrap()).unwrap();
    let root = fs::read(vectors.join("root.der")).unwrap();
    let parties = [1, 2, 3].map(|i| key(i).public());
    SurveyDescriptor::assemble(manifest, &[root], parties, EngineDigest([engine; 32])).unwrap()
}

/// The surveys that operator 1's party runs.
async fn run(folder: &Path) -> Vec<SurveyId> {
    let place = DocumentPlace::File(folder.into());
    let aws = SdkConfig::builder().build();
    let found = serve::surveys(&place, &aws, &key(1).public()).await.unwrap();
    found.iter().map(SurveyDescriptor::id).collect()
}

/// Puts an approval under the name that operator 1's approval of `survey` has.
fn put(folder: &Path, survey: SurveyId, approval: &Approval) {
    let name = Approval::file_name(&survey, &key(1).public());
    fs::write(folder.join(name), serde_json::to_vec(approval).unwrap()).unwrap();
}

#[tokio::test]
async fn a_file_among_the_surveys_is_not_enough() {
    let dir = tempfile::tempdir().unwrap();
    let (wanted, planted) = (survey(1), survey(2));
    for survey in [&wanted, &planted] {
        fs::write(dir.path().join(format!("{}.json", survey.id())), survey.bytes()).unwrap();
    }
    assert!(run(dir.path()).await.is_empty(), "no approval is there");
    put(dir.path(), wanted.id(), &Approval::sign(&key(1), wanted.id()));
    assert_eq!(run(dir.path()).await, [wanted.id()], "the approved one, though another is there");
    let copy = dir.path().join("a-copy.json");
    fs::write(&copy, wanted.bytes()).unwrap();
    assert_eq!(run(dir.path()).await, [wanted.id()], "one survey in two files runs once");
    fs::remove_file(copy).unwrap();

    // Everything that somebody without operator 1's key can put there.
    let others = Approval::sign(&key(2), planted.id());
    put(dir.path(), planted.id(), &others);
    assert_eq!(run(dir.path()).await, [wanted.id()], "another operator's approval");
    put(dir.path(), planted.id(), &Approval { identity: key(1).public(), ..others });
    assert_eq!(run(dir.path()).await, [wanted.id()], "another operator's signature");
    let own = Approval::sign(&key(1), wanted.id());
    put(dir.path(), planted.id(), &own);
    assert_eq!(run(dir.path()).await, [wanted.id()], "the approval of another survey");
    put(dir.path(), planted.id(), &Approval { survey: planted.id(), ..own });
    assert_eq!(run(dir.path()).await, [wanted.id()], "the signature of another survey");
    let name = Approval::file_name(&planted.id(), &key(1).public());
    for text in ["", "{}", "null", "{\"survey\":1}"] {
        fs::write(dir.path().join(&name), text).unwrap();
        assert_eq!(run(dir.path()).await, [wanted.id()], "{text:?}");
    }
    put(dir.path(), planted.id(), &Approval::sign(&key(1), planted.id()));
    let mut both = [wanted.id(), planted.id()];
    both.sort();
    let mut found = run(dir.path()).await;
    found.sort();
    assert_eq!(found, both, "approved at last");
}
