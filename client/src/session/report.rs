//! `tercet inspect` on a session that `tercet notarize` wrote: its proven facts, and the part that each reader sees.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tercet_protocol::survey::SurveyDescriptor;
use tercet_tls_session::{Direction, Evidence, Expected, MAX_EVIDENCE, NotaryKey, Refusal, Roots, Statement};

use super::{Notarized, SECRET, SESSION, Target, notaries, read_secret};
use crate::error::Error;
use crate::files;
use crate::inspect::{MAX_PRESENTATION_FILE, NotaryReport, Trust, utc};
use crate::recorded::{Application, applications, describe, roots};

/// A session's file, and where its handshake secret lies if it is there.
#[derive(Debug)]
pub struct Found {
    /// The public part.
    pub evidence: Evidence,
    /// The file with the handshake secret.
    pub secret: Option<PathBuf>,
}

/// A session's proven facts, ready to be shown. Serialises to the output of `--json`.
#[derive(Debug, Clone, Serialize)]
pub struct SessionReport {
    /// Always `valid`; refusals are errors.
    pub verdict: &'static str,
    /// The server's name.
    pub server_name: String,
    /// The address that the notary connected to.
    pub address: String,
    /// The port.
    pub port: u16,
    /// When the connection stood, Unix seconds.
    pub opened: u64,
    /// When it ended, Unix seconds.
    pub closed: u64,
    /// The beginning for people (RFC 3339, UTC).
    pub time_utc: String,
    /// The signer.
    pub notary: NotaryReport,
    /// The survey for which the notary connected, hexadecimal.
    pub survey: String,
    /// The cipher suite's name.
    pub suite: &'static str,
    /// Bytes to the server and from it, as they passed the notary.
    pub bytes: [usize; 2],
    /// The records under the application keys, the client's first.
    pub records: Vec<Application>,
    /// The exchange as coordinator and parties would see it; known with the survey and the handshake secret only.
    pub seen: Option<String>,
    /// Things that the reader must know before believing or submitting it.
    pub warnings: Vec<String>,
}

/// The session at a path, which is its folder or its public part; `None` if the path is a file of another kind.
pub fn find(path: &Path) -> Result<Option<Found>, Error> {
    if path.is_dir() {
        let secret = Some(path.join(SECRET)).filter(|p| p.exists());
        let evidence = Evidence::decode(&files::read(&path.join(SESSION), MAX_EVIDENCE)?)?;
        return Ok(Some(Found { evidence, secret }));
    }
    let decoded = Evidence::decode(&files::read(path, MAX_PRESENTATION_FILE)?);
    match decoded {
        Ok(evidence) => Ok(Some(Found { evidence, secret: None })),
        Err(refusal) if path.file_name().is_some_and(|n| n == SESSION) => Err(refusal.into()),
        Err(_) => Ok(None),
    }
}

/// Checks a session: against a survey if one is given, otherwise against the notaries and roots that are trusted.
pub fn inspect(
    found: Found,
    trust: &Trust,
    survey: Option<&SurveyDescriptor>,
) -> Result<SessionReport, Error> {
    let Found { evidence, secret } = found;
    let stated = evidence.statement.unchecked().clone();
    let trusted = trusted(&stated, trust, survey)?;
    let secret = secret.as_deref().map(read_secret).transpose()?;
    let (anchors, der) = anchors(trust, survey)?;
    let key = NotaryKey { key: stated.notary, from: 0, until: u64::MAX };
    let server_name = survey.map_or(&stated.server_name, |s| &s.manifest().source.server_name).clone();
    let expected = Expected {
        notaries: &[key],
        survey: survey.map_or(stated.survey, |s| s.id().0),
        server_name: &server_name,
        port: stated.port,
        networks: &[],
        from: 0,
        until: u64::MAX,
    };
    let (_, session) = evidence.verify(&expected, &anchors)?;
    let mut records = Vec::new();
    for (direction, bytes) in [(Direction::Client, &evidence.client), (Direction::Server, &evidence.server)] {
        let (of, refusal) = applications(&session, direction, bytes, secret.as_ref());
        refusal.map_or(Ok(()), Err)?;
        records.extend(of);
    }
    let mut report = SessionReport {
        verdict: "valid",
        address: stated.address.to_string(),
        port: stated.port,
        opened: stated.opened,
        closed: stated.closed,
        time_utc: utc(stated.opened),
        notary: NotaryReport { algorithm: "ed25519", key: hex::encode(stated.notary), trusted },
        survey: hex::encode(stated.survey),
        suite: session.suite.name(),
        bytes: [evidence.client.len(), evidence.server.len()],
        server_name: stated.server_name,
        records,
        seen: None,
        warnings: Vec::new(),
    };
    if !trusted {
        report.warnings.push(
            "neither --notary nor --survey-file was given: the notary's key above is whatever the file says, and anyone \
             can make one. Compare it with a notary that you trust before you believe anything here."
                .to_owned(),
        );
    }
    if let (Some(survey), Some(secret)) = (survey, secret) {
        let target = Target { survey: survey.id(), server_name, roots: der };
        let (evidence, secrets) = Notarized::new(evidence, secret, &target)?.evidence(survey.manifest())?;
        let opened = crate::submit::check(survey, &evidence, &secrets)?;
        report.seen = Some(opened.seen().to_owned());
        report.warnings.extend_from_slice(opened.warnings());
    }
    Ok(report)
}

/// True if the notary is one that the caller or the survey names. One that they do not name is refused.
fn trusted(stated: &Statement, trust: &Trust, survey: Option<&SurveyDescriptor>) -> Result<bool, Error> {
    let mut keys = Vec::new();
    for text in &trust.notaries {
        let mut key = [0; 32];
        hex::decode_to_slice(text.strip_prefix("ed25519:").unwrap_or(text), &mut key).map_err(|_| {
            Error::usage(format!(
                "\"{}\" is no key of a notary that forwards sessions: write an Ed25519 key as 64 hexadecimal digits",
                text.escape_debug()
            ))
        })?;
        keys.push(key);
    }
    if let Some(survey) = survey {
        keys.extend(notaries(survey.manifest())?.iter().map(|key| key.0));
    }
    match keys.contains(&stated.notary) {
        true => Ok(true),
        false if keys.is_empty() => Ok(false),
        false => Err(Refusal::NotaryUnknown.into()),
    }
}

/// The trust anchors, and the certificates that they are made of; empty: Mozilla's.
fn anchors(trust: &Trust, survey: Option<&SurveyDescriptor>) -> Result<(Roots, Vec<Vec<u8>>), Error> {
    match survey {
        Some(survey) if trust.roots.is_empty() => {
            let target = Target::of(survey)?;
            Ok((target.anchors()?, target.roots))
        }
        _ => {
            let mut der = Vec::new();
            for file in &trust.roots {
                der.extend(crate::certificates::read(file)?);
            }
            Ok((roots(&trust.roots)?, der))
        }
    }
}

impl SessionReport {
    /// The report for people.
    pub fn to_text(&self) -> String {
        let mut out = "valid\n".to_owned();
        let trust = if self.notary.trusted { "trusted: you named it" } else { "NOT CHECKED" };
        let [sent, received] = self.bytes;
        for (name, value) in [
            ("server", format!("{} ({}, port {})", self.server_name, self.address, self.port)),
            ("time", format!("{} ({}), {} s", self.time_utc, self.opened, self.closed - self.opened)),
            ("connection", format!("TLS 1.3, {}", self.suite)),
            ("notary", format!("{} {} ({trust})", self.notary.algorithm, self.notary.key)),
            ("survey", self.survey.clone()),
            ("bytes", format!("{sent} sent, {received} received")),
        ] {
            let _ = writeln!(out, "{name:<12} {value}");
        }
        self.records.iter().for_each(|r| describe(r, &mut out));
        out.push_str(
            "\nwho sees what\n  \
             the notary               these bytes, encrypted; the server's name and address, yours, and the time\n  \
             coordinator and parties  these bytes and what opens the handshake: certificates, not what was said; and of \
             what was said, what the survey has shown\n  \
             one party alone          besides, one share of each value, which is random by itself\n  \
             nobody                   the handshake secret, which opens everything that was said\n",
        );
        match &self.seen {
            Some(seen) => {
                let _ = writeln!(out, "\nWhat coordinator and parties would see:\n\n{}", seen.trim_end());
            }
            None => out.push_str(
                "\nWhat the survey has shown is known with --survey-file and the session's folder, or --handshake-secret.\n",
            ),
        }
        for warning in &self.warnings {
            let _ = writeln!(out, "\nWARNING: {warning}");
        }
        out
    }
}
