//! Operator folders, manifests and assembled surveys.

use std::fs;
use std::path::Path;

use tercet_client::{operator, survey};
use tercet_protocol::approval::Approval;
use tercet_protocol::ids::{EngineDigest, SurveyId};
use tercet_protocol::operator::{CoordinatorInfo, Federation, OperatorManifest};

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

#[test]
fn a_survey_is_approved_by_its_id_alone() {
    let dir = tempfile::tempdir().unwrap();
    let three = manifests(dir.path());
    let survey = operator::assemble(&vectors().join("survey.toml"), &three, EngineDigest([7; 32])).unwrap();
    let (file, keys, surveys) =
        (dir.path().join("survey.json"), dir.path().join("op1"), dir.path().join("approved"));
    fs::write(&file, survey.bytes()).unwrap();

    let other = SurveyId([1; 32]);
    assert!(operator::approve(&file, other, &keys, &surveys).unwrap_err().to_string().contains("altered"));
    let stranger = dir.path().join("stranger");
    operator::init(&stranger, &settings(9)).unwrap();
    assert_eq!(operator::approve(&file, survey.id(), &stranger, &surveys).unwrap_err().code(), "federation");
    // Another engine than the survey's is in this operator's settings.
    let text = fs::read_to_string(keys.join(operator::SETTINGS)).unwrap();
    fs::write(keys.join(operator::SETTINGS), text.replace(&"07".repeat(32), &"08".repeat(32))).unwrap();
    assert_eq!(operator::approve(&file, survey.id(), &keys, &surveys).unwrap_err().code(), "survey");
    fs::write(keys.join(operator::SETTINGS), text).unwrap();
    assert!(!surveys.exists(), "nothing is approved yet");

    for _ in 0..2 {
        let path = operator::approve(&file, survey.id(), &keys, &surveys).unwrap();
        assert_eq!(path, surveys.join(format!("{}.json", survey.id())));
        assert_eq!(fs::read(path).unwrap(), survey.bytes());
        let identity = three[1].identity;
        let signed = surveys.join(Approval::file_name(&survey.id(), &identity));
        let signed: Approval = serde_json::from_slice(&fs::read(signed).unwrap()).unwrap();
        assert_eq!(signed.verify(&survey.id(), &identity), Ok(()));
    }
}

#[test]
fn a_rotated_sealing_key_leaves_the_old_one_for_an_overlap() {
    let dir = tempfile::tempdir().unwrap();
    operator::init(dir.path(), &settings(0)).unwrap();
    let before = operator::manifest(dir.path(), 1).unwrap();
    let old = fs::read_to_string(dir.path().join(operator::SEALING_KEY)).unwrap();
    operator::rotate_sealing(dir.path()).unwrap();
    let after = operator::manifest(dir.path(), 2).unwrap();
    assert_ne!(before.sealing, after.sealing);
    assert_eq!((before.identity, before.peer_key), (after.identity, after.peer_key));
    assert_eq!(fs::read_to_string(dir.path().join(operator::SEALING_PREVIOUS_KEY)).unwrap(), old);
    // A second rotation would lose the key that clients may still use.
    assert_eq!(operator::rotate_sealing(dir.path()).unwrap_err().exit_status(), 2);
    assert_eq!(operator::manifest(dir.path(), 2).unwrap(), after);
    operator::finish_sealing(dir.path()).unwrap();
    assert_eq!(operator::finish_sealing(dir.path()).unwrap_err().exit_status(), 2, "nothing is under way");
    operator::rotate_sealing(dir.path()).unwrap();
}

#[test]
fn a_peer_key_is_announced_before_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    operator::init(dir, &settings(0)).unwrap();
    let before = operator::manifest(dir, 1).unwrap();
    assert_eq!(operator::finish_peer(dir).unwrap_err().exit_status(), 2, "nothing is under way");
    operator::rotate_peer(dir).unwrap();
    let during = operator::manifest(dir, 2).unwrap();
    let next = during.next_peer_key.unwrap();
    assert_eq!((before.next_peer_key, during.peer_key), (None, before.peer_key));
    // Others may have it already: it is not replaced by a third.
    assert_eq!(operator::rotate_peer(dir).unwrap_err().exit_status(), 2);
    // As after a crash between the two steps of finishing.
    fs::copy(dir.join(operator::PEER_NEXT_KEY), dir.join(operator::PEER_KEY)).unwrap();
    assert_eq!(operator::manifest(dir, 3).unwrap().peer_keys(), [next]);
    operator::finish_peer(dir).unwrap();
    assert_eq!(operator::manifest(dir, 4).unwrap().peer_keys(), [next]);
    assert!(!dir.join(operator::PEER_NEXT_KEY).exists());
}

#[test]
fn a_ticket_key_is_announced_before_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let key = operator::init_coordinator(dir.path()).unwrap();
    let next = operator::rotate_coordinator(dir.path()).unwrap();
    assert_ne!(key, next);
    assert_eq!(operator::coordinator_key(dir.path()).unwrap(), key);
    assert_eq!(operator::rotate_coordinator(dir.path()).unwrap_err().exit_status(), 2);
    assert_eq!(operator::finish_coordinator(dir.path()).unwrap(), next);
    assert_eq!(operator::coordinator_key(dir.path()).unwrap(), next);
}

#[test]
fn a_federation_needs_three_operators_in_three_accounts() {
    let dir = tempfile::tempdir().unwrap();
    let three = manifests(dir.path());
    let key = operator::init_coordinator(&dir.path().join("coordinator")).unwrap();
    assert!(operator::init_coordinator(&dir.path().join("coordinator")).is_err(), "a key is never replaced");
    let coordinator = |url: &str| CoordinatorInfo { url: url.into(), key, next_key: None };
    operator::federation(coordinator("https://c.example.org"), &three).unwrap();
    assert_eq!(operator::federation(coordinator("c.example.org"), &three).unwrap_err().exit_status(), 2);
    let folder = dir.path().join("twin");
    operator::init(&folder, &operator::Settings { account: settings(0).account, ..settings(5) }).unwrap();
    let twin = [three[0].clone(), operator::manifest(&folder, 1).unwrap(), three[2].clone()];
    let error = operator::federation(coordinator("https://c.example.org"), &twin).unwrap_err();
    assert!(error.to_string().contains("account"), "{error}");
}

/// The commands of docs/operators.md between the runbook's marks, run without a change by a shell in an empty folder.
#[test]
fn the_runbook_works_from_an_empty_folder() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operators.md")).unwrap();
    let (_, runbook) = text.split_once("<!-- runbook -->").unwrap();
    let (runbook, _) = runbook.split_once("<!-- end of runbook -->").unwrap();
    let script: String = runbook.split("```sh\n").skip(1).map(|b| b.split("```").next().unwrap()).collect();
    assert!(script.lines().count() > 15, "{script}");

    let dir = tempfile::tempdir().unwrap();
    for name in ["survey.toml", "root.der"] {
        fs::copy(vectors().join(name), dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("party_wasm.wasm"), "any engine").unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_tercet")).parent().unwrap();
    let path = std::env::join_paths(
        [programs.to_path_buf()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let output = std::process::Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(dir.path())
        .env("PATH", path.unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let federation: Federation =
        serde_json::from_slice(&fs::read(dir.path().join("federation.json")).unwrap()).unwrap();
    federation.verify().unwrap();
    for name in ["a", "b", "c"] {
        let folder = dir.path().join(format!("deployment-{name}/surveys"));
        let mut approved: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
        approved.retain(|path| path.extension().is_some_and(|e| e == "json"));
        let (id, parties, _) = survey::check(&approved[0]).unwrap().assembled.unwrap();
        let signed = parties.iter().filter(|p| folder.join(Approval::file_name(&id, p)).exists());
        assert_eq!(signed.count(), 1, "each operator's own approval lies beside it");
        assert_eq!(approved[0].file_stem().unwrap().to_str().unwrap(), id.to_string());
        assert_eq!(parties, federation.operators.each_ref().map(|m| m.identity));
    }
}
