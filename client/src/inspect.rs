//! `tercet inspect`: what a presentation proves to a strict third party.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tlsn_verifier::{
    Direction, NotaryKey, NotaryTrust, PartialData, RootStore, Segment, SignatureAlg, TrustPolicy, Verified,
};

use crate::certificates;
use crate::error::Error;

/// Read generously: the verifier itself refuses a file beyond its limit, with a sentence.
pub(crate) const MAX_PRESENTATION_FILE: usize = 16 << 20;

/// Trust as given on the command line.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Notary keys, SEC1 in hexadecimal, optionally with the algorithm in front (`secp256r1:02…`). None: any key,
    /// which then proves nothing by itself.
    pub notaries: Vec<String>,
    /// Certificate files that may vouch for servers. None: Mozilla's roots.
    pub roots: Vec<PathBuf>,
}

impl Trust {
    /// The verifier's policy.
    pub fn policy(&self) -> Result<TrustPolicy, Error> {
        let notaries = if self.notaries.is_empty() {
            NotaryTrust::AnyAndReport
        } else {
            let keys = self.notaries.iter().map(|k| notary_keys(k)).collect::<Result<Vec<_>, _>>()?;
            NotaryTrust::Pinned(keys.concat())
        };
        Ok(TrustPolicy { notaries, roots: root_store(&self.roots)?, server_name: None })
    }
}

/// The keys that `[ALGORITHM:]HEX` may mean.
pub fn notary_keys(text: &str) -> Result<Vec<NotaryKey>, Error> {
    let bad = |why: String| Error::usage(format!("\"{}\" is not a notary key: {why}", text.escape_debug()));
    let (algorithm, digits) = match text.split_once(':') {
        Some((name, digits)) => (Some(name.parse::<SignatureAlg>().map_err(|e| bad(e.to_string()))?), digits),
        None => (None, text),
    };
    let sec1 = hex::decode(digits).map_err(|_| bad("write it in hexadecimal".into()))?;
    match algorithm {
        Some(alg) => Ok(vec![NotaryKey::new(alg, &sec1).map_err(|e| bad(e.to_string()))?]),
        None => match NotaryKey::candidates(&sec1) {
            keys if keys.is_empty() => {
                Err(bad("it is no point of secp256k1 or P-256 in SEC1 form (33 or 65 bytes)".into()))
            }
            keys => Ok(keys),
        },
    }
}

/// Trust anchors from certificate files; empty: Mozilla's.
pub fn root_store(files: &[PathBuf]) -> Result<RootStore, Error> {
    if files.is_empty() {
        return Ok(RootStore::mozilla());
    }
    let mut certs = Vec::new();
    for file in files {
        certs.extend(certificates::read(file)?);
    }
    RootStore::from_der(certs).map_err(|e| Error::usage(e.to_string()))
}

/// Reads and verifies a presentation file.
pub fn inspect_file(path: &Path, trust: &Trust) -> Result<Report, Error> {
    let bytes = crate::files::read(path, MAX_PRESENTATION_FILE)?;
    let bytes = tlsn_verifier::presentation_bytes(&bytes).map_err(|e| Error::usage(e.to_string()))?;
    inspect(&bytes, &trust.policy()?)
}

/// Verifies a presentation.
pub fn inspect(bytes: &[u8], policy: &TrustPolicy) -> Result<Report, Error> {
    let verified = tlsn_verifier::verify(bytes, policy)?;
    Ok(Report::new(&verified, matches!(policy.notaries, NotaryTrust::Pinned(_))))
}

/// The facts that a valid presentation proves, ready to be shown. Serialises to the output of `--json`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Always `valid`; refusals are errors.
    pub verdict: &'static str,
    /// TLSNotary release whose format the file has.
    pub wire_version: String,
    /// The server, in lower case.
    pub server_name: String,
    /// Attested connection time, Unix seconds.
    pub time: u64,
    /// The same for people (RFC 3339, UTC).
    pub time_utc: String,
    /// TLS version.
    pub tls_version: &'static str,
    /// The signer.
    pub notary: NotaryReport,
    /// The attestation's id, hexadecimal.
    pub attestation_id: String,
    /// Sent data.
    pub sent: TranscriptReport,
    /// Received data.
    pub received: TranscriptReport,
    /// All hash commitments of the attestation.
    pub commitments: Vec<CommitmentReport>,
    /// The notary's additions.
    pub extensions: Vec<ExtensionReport>,
    /// The warnings that the reader must know before believing the rest.
    pub warnings: Vec<String>,
}

/// The notary's key.
#[derive(Debug, Clone, Serialize)]
pub struct NotaryReport {
    /// Its signature scheme.
    pub algorithm: &'static str,
    /// SEC1, hexadecimal.
    pub key: String,
    /// True if the key is one that the caller named.
    pub trusted: bool,
}

/// One direction of the transcript.
#[derive(Debug, Clone, Serialize)]
pub struct TranscriptReport {
    /// Bytes, hidden ones included.
    pub length: usize,
    /// Revealed and hidden stretches in order.
    pub segments: Vec<SegmentReport>,
}

/// A stretch of transcript: revealed, with its bytes, or hidden.
#[derive(Debug, Clone, Serialize)]
pub struct SegmentReport {
    /// First byte and the one behind the last.
    pub range: [usize; 2],
    /// True if the prover kept it to itself.
    pub hidden: bool,
    /// The bytes as text, where they are UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The bytes in hexadecimal, where they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hex: Option<String>,
}

/// A hash commitment.
#[derive(Debug, Clone, Serialize)]
pub struct CommitmentReport {
    /// `sent` or `received`.
    pub direction: &'static str,
    /// Committed ranges, half-open.
    pub ranges: Vec<[usize; 2]>,
    /// Hash function.
    pub algorithm: &'static str,
    /// The hash, hexadecimal.
    pub hash: String,
    /// True if the presentation opens it.
    pub opened: bool,
}

/// An extension of the attestation.
#[derive(Debug, Clone, Serialize)]
pub struct ExtensionReport {
    /// Its name, escaped where not printable.
    pub id: String,
    /// Its content, escaped where not printable.
    pub value: String,
}

impl Report {
    fn new(v: &Verified, pinned: bool) -> Self {
        let mut warnings = Vec::new();
        if !pinned {
            warnings.push(
                "no --notary was given: the notary key above is whatever the file says, and anyone can make one. \
                 Compare it with a notary that you trust before you believe anything here."
                    .to_owned(),
            );
        }
        if v.has_encoding_commitment {
            warnings.push(
                "the attestation also has an encoding commitment of the older kind; nothing shown here rests on it."
                    .to_owned(),
            );
        }
        Self {
            verdict: "valid",
            wire_version: v.wire_version.to_string(),
            server_name: v.server_name.clone(),
            time: v.connection_time,
            time_utc: utc(v.connection_time),
            tls_version: Verified::TLS_VERSION,
            notary: NotaryReport {
                algorithm: v.notary_key.alg().name(),
                key: hex::encode(v.notary_key.to_sec1()),
                trusted: pinned,
            },
            attestation_id: hex::encode(v.attestation_id),
            sent: TranscriptReport::new(v.transcript.direction(Direction::Sent)),
            received: TranscriptReport::new(v.transcript.direction(Direction::Received)),
            commitments: v.commitments.iter().map(CommitmentReport::new).collect(),
            extensions: v
                .extensions
                .iter()
                .map(|e| ExtensionReport {
                    id: e.id.escape_ascii().to_string(),
                    value: e.value.escape_ascii().to_string(),
                })
                .collect(),
            warnings,
        }
    }

    /// The report for people.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        line("valid".to_owned());
        line(format!("server       {}", self.server_name));
        line(format!("time         {} ({})", self.time_utc, self.time));
        line(format!("connection   {}, TLSNotary {}", self.tls_version, self.wire_version));
        let trust = if self.notary.trusted { "trusted: you named it" } else { "NOT CHECKED" };
        line(format!("notary       {} {} ({trust})", self.notary.algorithm, self.notary.key));
        line(format!("attestation  {}", self.attestation_id));
        for e in &self.extensions {
            line(format!("extension    {}: {}", e.id, e.value));
        }
        for (name, part) in [("sent", &self.sent), ("received", &self.received)] {
            line(format!("\n{name}, {} bytes", part.length));
            line(part.to_text());
        }
        line("\ncommitments".to_owned());
        for c in &self.commitments {
            let ranges: Vec<_> = c.ranges.iter().map(|[a, b]| format!("{a}..{b}")).collect();
            let state = if c.opened { "opened" } else { "hidden" };
            line(format!(
                "  {:<8} {:<6} {:<10} {} {}",
                c.direction,
                state,
                c.algorithm,
                c.hash,
                ranges.join(",")
            ));
        }
        for w in &self.warnings {
            line(format!("\nWARNING: {w}"));
        }
        out
    }
}

impl TranscriptReport {
    fn new(data: &PartialData) -> Self {
        let segment = |s: Segment<'_>| match s {
            Segment::Hidden(r) => {
                SegmentReport { range: [r.start, r.end], hidden: true, text: None, hex: None }
            }
            Segment::Revealed(r, bytes) => {
                let text = std::str::from_utf8(bytes).ok().map(str::to_owned);
                let hex = text.is_none().then(|| hex::encode(bytes));
                SegmentReport { range: [r.start, r.end], hidden: false, text, hex }
            }
        };
        Self { length: data.len(), segments: data.segments().into_iter().map(segment).collect() }
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        for s in &self.segments {
            let [start, end] = s.range;
            match (&s.text, &s.hex) {
                (Some(t), _) => text.push_str(&printable(t)),
                (None, Some(h)) => text.push_str(&format!("[{start}..{end}: not text: {h}]")),
                (None, None) => {
                    let bytes = if end - start == 1 { "byte" } else { "bytes" };
                    text.push_str(&format!("[{start}..{end}: {} {bytes} hidden]", end - start));
                }
            }
        }
        let lines: Vec<_> =
            text.trim_end_matches('\n').lines().map(|l| format!("  {l}").trim_end().to_owned()).collect();
        lines.join("\n")
    }
}

impl CommitmentReport {
    fn new(c: &tlsn_verifier::HashCommitment) -> Self {
        Self {
            direction: c.direction.name(),
            ranges: c.ranges.iter().map(|r| [r.start, r.end]).collect(),
            algorithm: c.alg.name(),
            hash: hex::encode(c.digest),
            opened: c.opened,
        }
    }
}

/// Text of a stranger made harmless for a terminal: line ends stay, other control characters are escaped.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\t' => out.push(c),
            // Also what reorders or hides text (bidirectional marks, zero-width characters).
            c if c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}') =>
            {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Unix seconds as RFC 3339, or as a number where that goes beyond the calendar.
pub(crate) fn utc(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok())
        .and_then(|t| t.format(&Rfc3339).ok())
        .unwrap_or_else(|| seconds.to_string())
}
