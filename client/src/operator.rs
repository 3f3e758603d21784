//! The work of an operator before its party runs: making keys, publishing them, and assembling a survey of three.
//!
//! A folder made by [`init`] holds `identity.key`, `sealing.key` and `peer.key` (32-byte seeds in hexadecimal,
//! readable by the owner only) and `operator.json` (the public settings). The party host reads the same folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tercet_protocol::approval::Approval;
use tercet_protocol::ids::{EngineDigest, PublicKey, SealingKey, Signature, SurveyId, sha256};
use tercet_protocol::keys::{OpeningKey, SigningKey, random};
use tercet_protocol::operator::{CoordinatorInfo, Federation, FederationError, OperatorManifest};
use tercet_protocol::survey::{
    MAX_SURVEY_BYTES, PROTOCOL_VERSION, SurveyDescriptor, SurveyError, SurveyManifest,
};
use zeroize::Zeroizing;

use crate::certificates;
use crate::error::Error;
use crate::files::{self, Access};
use crate::secrets::Stored;

/// File of the key that signs receipts, log entries, results and the manifest.
pub const IDENTITY_KEY: &str = "identity.key";
/// File of the key that private parts are sealed to.
pub const SEALING_KEY: &str = "sealing.key";
/// File of the peer link's TLS key.
pub const PEER_KEY: &str = "peer.key";
/// File of the peer link's key that will replace it.
pub const PEER_NEXT_KEY: &str = "peer.next.key";
/// File of the sealing key before the last rotation.
pub const SEALING_PREVIOUS_KEY: &str = "sealing.previous.key";
/// File of the key that signs a coordinator's tickets.
pub const TICKET_KEY: &str = "signing.key";
/// File of the ticket key that will replace it.
pub const TICKET_NEXT_KEY: &str = "signing.next.key";

/// A party's keys as Terraform's module names their secrets.
pub const PARTY_SECRETS: [Stored; 4] = [
    Stored { name: "identity", file: IDENTITY_KEY, required: true },
    Stored { name: "sealing", file: SEALING_KEY, required: true },
    Stored { name: "sealing_previous", file: SEALING_PREVIOUS_KEY, required: false },
    Stored { name: "peer", file: PEER_KEY, required: true },
];
/// A coordinator's.
pub const COORDINATOR_SECRETS: [Stored; 1] =
    [Stored { name: "signing_key", file: TICKET_KEY, required: true }];

/// File of the public settings.
pub const SETTINGS: &str = "operator.json";

const MAX_ENGINE: usize = 64 << 20;
const MAX_MANIFEST: usize = 64 * 1024;

/// An operator's public settings (`operator.json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The operator's name; three different ones make a federation.
    pub operator: String,
    /// The AWS account, or another label of who controls the machine.
    pub account: String,
    /// Base URL of the party's public API.
    pub url: String,
    /// `host:port` of the peer link.
    pub peer_address: String,
    /// Digest of the engine that the party runs.
    pub engine: EngineDigest,
}

impl Settings {
    /// Checks the settings on which the parties and clients will rely.
    pub fn validate(&self) -> Result<(), Error> {
        let short = |what: &str, text: &str| {
            if text.trim().is_empty() || text.len() > 128 || text.chars().any(char::is_control) {
                return Err(Error::usage(format!("{what}: write 1 to 128 printable characters")));
            }
            Ok(())
        };
        short("the operator's name", &self.operator)?;
        short("the account", &self.account)?;
        match reqwest::Url::parse(&self.url) {
            Ok(u) if matches!(u.scheme(), "http" | "https") && u.has_host() && u.query().is_none() => {}
            _ => {
                return Err(Error::usage(
                    "the URL must be the party's base address, such as https://party.example.org",
                ));
            }
        }
        let port = self.peer_address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, p)| p);
        if !port.is_some_and(|p| p.parse::<u16>().is_ok_and(|p| p != 0)) {
            return Err(Error::usage("the peer address must be HOST:PORT, such as party.example.org:7443"));
        }
        Ok(())
    }
}

/// The digest by which surveys and peers know an engine: the SHA-256 of its component file.
pub fn engine_digest(engine: &Path) -> Result<EngineDigest, Error> {
    Ok(EngineDigest(sha256(&[files::read(engine, MAX_ENGINE)?.as_slice()])))
}

/// Makes an operator's keys and settings in `dir`. Existing keys are never replaced: a lost identity key cannot be
/// replaced in a running survey, and messages that were sealed to a lost sealing key cannot be opened.
pub fn init(dir: &Path, settings: &Settings) -> Result<(), Error> {
    settings.validate()?;
    if let Some(name) = [IDENTITY_KEY, SEALING_KEY, PEER_KEY, SETTINGS].iter().find(|n| dir.join(n).exists())
    {
        return Err(Error::usage(format!(
            "{} exists already: choose an empty folder (keys are never overwritten)",
            dir.join(name).display()
        )));
    }
    files::create_private_dir(dir)?;
    for name in [IDENTITY_KEY, SEALING_KEY, PEER_KEY] {
        write_fresh_key(&dir.join(name), false)?;
    }
    let json = serde_json::to_string_pretty(settings).map_err(|e| Error::usage(e.to_string()))?;
    files::write(&dir.join(SETTINGS), format!("{json}\n").as_bytes(), Access::Public, false)
}

fn write_fresh_key(path: &Path, replace: bool) -> Result<(), Error> {
    write_key(path, &Zeroizing::new(random::<32>()?), replace)
}

fn write_key(path: &Path, seed: &[u8; 32], replace: bool) -> Result<(), Error> {
    let text = Zeroizing::new(format!("{}\n", hex::encode(seed)));
    files::write(path, text.as_bytes(), Access::Private, replace)
}

/// Makes a new sealing key and keeps the old one beside it: the party opens messages sealed to either until every
/// client has seen the new manifest. Refuses while an older rotation is not finished.
pub fn rotate_sealing(dir: &Path) -> Result<(), Error> {
    let (key, previous) = (dir.join(SEALING_KEY), dir.join(SEALING_PREVIOUS_KEY));
    if previous.exists() {
        return Err(Error::usage(format!(
            "{} is still there: finish the last rotation (remove `sealing_previous` from the party's configuration, \
             restart it, then run this with --finish)",
            previous.display()
        )));
    }
    // First the copy, then the new key: a crash in between leaves the old key twice, and nothing lost.
    write_key(&previous, &*read_seed(&key)?, false)?;
    write_fresh_key(&key, true)
}

/// Ends the rotation of the sealing key: from now on only messages sealed to the present one are opened.
pub fn finish_sealing(dir: &Path) -> Result<(), Error> {
    remove_key(&dir.join(SEALING_PREVIOUS_KEY))
}

/// Makes the peer link's next key, beside the present one. Peers that have the new manifest accept both.
pub fn rotate_peer(dir: &Path) -> Result<(), Error> {
    next_key(&dir.join(PEER_KEY), &dir.join(PEER_NEXT_KEY))
}

/// Puts the peer link's next key in the place of the present one.
pub fn finish_peer(dir: &Path) -> Result<(), Error> {
    promote(&dir.join(PEER_KEY), &dir.join(PEER_NEXT_KEY))
}

/// Makes the coordinator's next key in `dir`; its public half, for the federation.
pub fn rotate_coordinator(dir: &Path) -> Result<PublicKey, Error> {
    let next = dir.join(TICKET_NEXT_KEY);
    next_key(&dir.join(TICKET_KEY), &next)?;
    Ok(SigningKey::from_seed(&*read_seed(&next)?)?.public())
}

/// Puts the coordinator's next key in the place of the present one; its public half.
pub fn finish_coordinator(dir: &Path) -> Result<PublicKey, Error> {
    promote(&dir.join(TICKET_KEY), &dir.join(TICKET_NEXT_KEY))?;
    coordinator_key(dir)
}

fn next_key(present: &Path, next: &Path) -> Result<(), Error> {
    read_seed(present)?;
    if next.exists() {
        return Err(Error::usage(format!(
            "{} is there already, and others may know it: publish it, or finish the rotation with --finish",
            next.display()
        )));
    }
    write_fresh_key(next, false)
}

/// First the copy, then the removal: a crash in between leaves the key twice, and finishing again mends it.
fn promote(present: &Path, next: &Path) -> Result<(), Error> {
    if !next.exists() {
        return Err(Error::usage(format!(
            "there is no {}: begin the rotation without --finish",
            next.display()
        )));
    }
    write_key(present, &*read_seed(next)?, true)?;
    remove_key(next)
}

fn remove_key(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::usage(format!("there is no {}: no rotation is under way", path.display())))
        }
        Err(e) => Err(Error::usage(format!("{} cannot be removed: {e}", path.display()))),
    }
}

/// Makes the coordinator's key in `dir`; its public half, for the federation. Never replaces one.
pub fn init_coordinator(dir: &Path) -> Result<PublicKey, Error> {
    files::create_private_dir(dir)?;
    write_fresh_key(&dir.join(TICKET_KEY), false)?;
    coordinator_key(dir)
}

/// The public half of the coordinator's key in `dir`.
pub fn coordinator_key(dir: &Path) -> Result<PublicKey, Error> {
    Ok(SigningKey::from_seed(&*read_seed(&dir.join(TICKET_KEY))?)?.public())
}

/// Puts coordinator and operators together into the federation that all of them run with. Checks every signature, and
/// that the operators are three different ones in different accounts.
pub fn federation(
    coordinator: CoordinatorInfo,
    operators: &[OperatorManifest; 3],
) -> Result<Federation, Error> {
    match reqwest::Url::parse(&coordinator.url) {
        Ok(u) if matches!(u.scheme(), "http" | "https") && u.has_host() && u.query().is_none() => {}
        _ => {
            return Err(Error::usage(
                "the coordinator's URL must be its base address, such as https://tercet.example.org",
            ));
        }
    }
    let federation = Federation { coordinator, operators: operators.clone() };
    federation.verify()?;
    Ok(federation)
}

/// Approves a survey for the party whose keys are in `dir`: its descriptor goes into the folder `surveys`, beside an [`Approval`]
/// that the identity key signs. The party runs no survey without one. `id` is the id of the survey that the operator read and
/// agreed on with the others.
///
/// # Errors
/// The file is another survey, does not name this operator, or pins another engine than this party runs.
pub fn approve(descriptor: &Path, id: SurveyId, dir: &Path, surveys: &Path) -> Result<PathBuf, Error> {
    let survey = SurveyDescriptor::from_bytes(files::read(descriptor, MAX_SURVEY_BYTES)?.to_vec())?;
    if survey.id() != id {
        return Err(Error::usage(format!(
            "{} is the survey {}, not {id}: it was altered, or is another one. Nothing is approved",
            descriptor.display(),
            survey.id()
        )));
    }
    let ours = manifest(dir, 0)?;
    if !survey.parties().contains(&ours.identity) {
        return Err(Error::Federation(FederationError::Missing(ours.identity)));
    }
    if survey.engine() != ours.engine {
        return Err(Error::Survey(SurveyError::Invalid {
            key: "engine".into(),
            problem: format!("the survey pins {}, this party runs {}", survey.engine(), ours.engine),
        }));
    }
    files::create_private_dir(surveys)?;
    let path = surveys.join(format!("{id}.json"));
    if !path.exists() {
        files::write(&path, survey.bytes(), Access::Public, false)?;
    }
    sign_approval(dir, id, surveys)?;
    Ok(path)
}

/// Signs the approval of the survey `id` with the identity key in `dir`, and puts it into the folder `surveys`. The caller has
/// checked the survey.
pub fn sign_approval(dir: &Path, id: SurveyId, surveys: &Path) -> Result<PathBuf, Error> {
    let key = SigningKey::from_seed(&*read_seed(&dir.join(IDENTITY_KEY))?)?;
    let json = serde_json::to_string(&Approval::sign(&key, id)).map_err(|e| Error::usage(e.to_string()))?;
    let path = surveys.join(Approval::file_name(&id, &key.public()));
    // The same key signs the same bytes again.
    files::write(&path, format!("{json}\n").as_bytes(), Access::Public, true)?;
    Ok(path)
}

/// Reads a key file: a 32-byte seed in hexadecimal.
pub fn read_seed(path: &Path) -> Result<Zeroizing<[u8; 32]>, Error> {
    let text = files::read_text(path, 128)?;
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), seed.as_mut_slice()).map_err(|_| {
        Error::usage(format!("{} is not a key file: expected 64 hexadecimal digits", path.display()))
    })?;
    Ok(seed)
}

/// The operator's signed manifest, made from the folder's keys and settings. `now` is in Unix seconds.
pub fn manifest(dir: &Path, now: u64) -> Result<OperatorManifest, Error> {
    let path = dir.join(SETTINGS);
    let settings: Settings = serde_json::from_str(&files::read_text(&path, MAX_MANIFEST)?)
        .map_err(|e| Error::usage(format!("{}: {e}", path.display())))?;
    settings.validate()?;
    let identity = SigningKey::from_seed(&*read_seed(&dir.join(IDENTITY_KEY))?)?;
    let sealing: SealingKey = OpeningKey::from_seed(&*read_seed(&dir.join(SEALING_KEY))?).public();
    let peer_key: PublicKey = SigningKey::from_seed(&*read_seed(&dir.join(PEER_KEY))?)?.public();
    let next = dir.join(PEER_NEXT_KEY);
    let next_peer_key = if next.exists() {
        // The same as the present one while a crashed rotation waits to be finished again.
        Some(SigningKey::from_seed(&*read_seed(&next)?)?.public()).filter(|next| *next != peer_key)
    } else {
        None
    };
    let Settings { operator, account, url, peer_address, engine } = settings;
    let unsigned = OperatorManifest {
        protocol: PROTOCOL_VERSION,
        operator,
        account,
        identity: identity.public(),
        sealing,
        peer_key,
        next_peer_key,
        peer_address,
        url,
        engine,
        issued: now,
        signature: Signature([0; 64]),
    };
    Ok(unsigned.signed(&identity))
}

/// Reads a manifest that an operator published and checks its signature.
pub fn read_manifest(path: &Path) -> Result<OperatorManifest, Error> {
    let manifest: OperatorManifest = serde_json::from_str(&files::read_text(path, MAX_MANIFEST)?)
        .map_err(|e| Error::usage(format!("{} is not an operator's manifest: {e}", path.display())))?;
    manifest.verify()?;
    Ok(manifest)
}

/// Reads a federation. Whether it is sound is for the caller to check.
pub fn read_federation(path: &Path) -> Result<Federation, Error> {
    serde_json::from_str(&files::read_text(path, 4 * MAX_MANIFEST)?)
        .map_err(|e| Error::usage(format!("{} is not a federation: {e}", path.display())))
}

/// Reads a survey file and the certificates that it names (PEM or DER, beside it): the rules, and the DER roots.
pub fn read_survey(path: &Path) -> Result<(SurveyManifest, Vec<Vec<u8>>), Error> {
    read_survey_of(path, None)
}

/// The same, with a key in the place of `key = "local"`.
fn read_survey_of(path: &Path, local: Option<PublicKey>) -> Result<(SurveyManifest, Vec<Vec<u8>>), Error> {
    let text = files::read_text(path, MAX_SURVEY_BYTES)?;
    let manifest = match local {
        None => SurveyManifest::from_toml(&text)?,
        Some(key) => SurveyManifest::from_toml(&with_local_key(&text, key))?,
    };
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let mut roots = Vec::new();
    for name in &manifest.source.root_certificates {
        let file: PathBuf = folder.join(name);
        roots.extend(certificates::read(&file).map_err(|e| {
            Error::Survey(SurveyError::Invalid {
                key: "source.root_certificates".into(),
                problem: e.to_string(),
            })
        })?);
    }
    Ok((manifest, roots))
}

/// Puts a key where a line of a survey file says `key = "local"`. All lines stay where they are, so that errors name them.
fn with_local_key(text: &str, key: PublicKey) -> String {
    let line = |line: &str| match line.split_once('=') {
        Some((name, value)) if name.trim() == "key" && ["\"local\"", "'local'"].contains(&value.trim()) => {
            format!("{name}= \"{key}\"")
        }
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Makes the descriptor that the operators approve, from the owner's survey file and three operators' manifests;
/// their order becomes the party order. All three must be independent and run `engine`.
pub fn assemble(
    survey: &Path,
    operators: &[OperatorManifest; 3],
    engine: EngineDigest,
) -> Result<SurveyDescriptor, Error> {
    assemble_for(survey, operators, engine, None)
}

/// The same for a system on one machine: `local` is the key of its own notary, which the survey file calls `local`.
pub fn assemble_for(
    survey: &Path,
    operators: &[OperatorManifest; 3],
    engine: EngineDigest,
    local: Option<PublicKey>,
) -> Result<SurveyDescriptor, Error> {
    // The coordinator plays no part in a survey; only the operators are checked here.
    let nobody = CoordinatorInfo { url: String::new(), key: PublicKey([0; 32]), next_key: None };
    Federation { coordinator: nobody, operators: operators.clone() }.verify()?;
    if let Some(m) = operators.iter().find(|m| m.engine != engine) {
        return Err(Error::Survey(SurveyError::Invalid {
            key: "engine".into(),
            problem: format!(
                "operator \"{}\" runs engine {}, not {engine}: all three must run the same release",
                m.operator, m.engine
            ),
        }));
    }
    let (manifest, roots) = read_survey_of(survey, local)?;
    Ok(SurveyDescriptor::assemble(manifest, &roots, operators.each_ref().map(|m| m.identity), engine)?)
}
