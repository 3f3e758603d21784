//! Operator folders, manifests and assembled surveys.

use std::fs;
use std::path::Path;

use tercet_client::{operator, survey};
use tercet_protocol::ids::EngineDigest;
use tercet_protocol::operator::OperatorManifest;

use crate::fixtures::vectors;

fn settings(i: u8) -> operator::Settings {
    operator::Settings {
        operator: format!("operator {i}"),
        account: format!("{i:012}"),
        url: format!("https://p{i}.example.org"),
        peer_address: format!("p{i}.example.org:7443"),
        engine: EngineDigest([7; 32]),
    }
}

fn manifests(dir: &Path) -> [OperatorManifest; 3] {
    [0, 1, 2].map(|i| {
        let folder = dir.join(format!("op{i}"));
        operator::init(&folder, &settings(i)).unwrap();
        operator::manifest(&folder, 77).unwrap()
    })
}

#[test]
fn keys_are_private_and_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("new/op");
    operator::init(&folder, &settings(0)).unwrap();
    let first = operator::manifest(&folder, 77).unwrap();
    first.verify().unwrap();
    assert_eq!((first.issued, first.operator.as_str()), (77, "operator 0"));
    for name in [operator::IDENTITY_KEY, operator::SEALING_KEY, operator::PEER_KEY] {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(folder.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        // No key shows in what is published.
        let seed = fs::read_to_string(folder.join(name)).unwrap();
        let published = serde_json::to_string(&first).unwrap() + &format!("{first:?}");
        assert!(!published.contains(seed.trim()), "{name}");
    }
    assert_eq!(operator::init(&folder, &settings(0)).unwrap_err().exit_status(), 2);
    assert_eq!(operator::manifest(&folder, 77).unwrap(), first);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let bad = [
        operator::Settings { operator: " ".into(), ..settings(0) },
        operator::Settings { account: String::new(), ..settings(0) },
        operator::Settings { url: "p0.example.org".into(), ..settings(0) },
        operator::Settings { url: "ftp://p0.example.org".into(), ..settings(0) },
        operator::Settings { peer_address: "p0.example.org".into(), ..settings(0) },
        operator::Settings { peer_address: ":7443".into(), ..settings(0) },
    ];
    for settings in bad {
        assert_eq!(settings.validate().unwrap_err().exit_status(), 2, "{settings:?}");
    }
}

#[test]
fn a_survey_is_assembled_of_three_independent_operators() {
    let dir = tempfile::tempdir().unwrap();
    let three = manifests(dir.path());
    let file = vectors().join("survey.toml");
    let engine = EngineDigest([7; 32]);
    let assembled = operator::assemble(&file, &three, engine).unwrap();
    assert_eq!(*assembled.parties(), three.each_ref().map(|m| m.identity));
    assert_eq!(assembled.root_certificates().unwrap(), [fs::read(vectors().join("root.der")).unwrap()]);

    let out = dir.path().join("survey.json");
    fs::write(&out, assembled.bytes()).unwrap();
    let checked = survey::check(&out).unwrap();
    assert_eq!(checked.assembled.as_ref().unwrap().0, assembled.id());
    assert!(checked.to_text().contains(&assembled.id().to_string()));

    let twice = [three[0].clone(), three[1].clone(), three[0].clone()];
    assert_eq!(operator::assemble(&file, &twice, engine).unwrap_err().code(), "federation");
    let mut forged = three.clone();
    forged[1].url = "https://evil.example.org".into();
    assert_eq!(operator::assemble(&file, &forged, engine).unwrap_err().code(), "federation");
    assert_eq!(operator::assemble(&file, &three, EngineDigest([8; 32])).unwrap_err().code(), "survey");
}

#[test]
fn roots_may_be_pem_or_der_and_must_exist() {
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(vectors().join("survey.toml")).unwrap();
    let file = dir.path().join("survey.toml");
    fs::write(&file, &text).unwrap();
    let error = operator::read_survey(&file).unwrap_err();
    assert_eq!(error.code(), "survey");
    assert!(error.to_string().contains("root.der"), "{error}");

    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let der = fs::read(vectors().join("root.der")).unwrap();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(&der));
    fs::write(dir.path().join("root.der"), pem).unwrap();
    assert_eq!(operator::read_survey(&file).unwrap().1, [der]);
    fs::write(dir.path().join("root.der"), "not a certificate").unwrap();
    assert!(operator::read_survey(&file).is_err());
}
