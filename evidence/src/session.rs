//! Recorded TLS 1.3 sessions as evidence: a notary forwarded them, and the circuit proves their content.

use tercet_mpc::proof::HandshakeSecret;
use tercet_mpc::statement::session::{self as circuit, Hidden, InertKind, Part, Record, Role};
use tercet_mpc::statement::{Statement, StatementError};
use tercet_protocol::codec::Writer;
use tercet_protocol::ids::{SurveyId, sha256};
use tercet_protocol::kind::Kind;
use tercet_protocol::survey::{SurveyDescriptor, SurveyError, SurveyManifest};
use tercet_tls_session::keys::{Suite, hmac_sha256};
use tercet_tls_session::{
    Direction, Evidence, Expected, Flow, Inner, Layout, Network, NotaryKey, Refusal, Roots, Session, open,
};
use zeroize::Zeroizing;

use crate::policy::{self, Admitted, Binding, InertPlace};
use crate::transcript::{Bindings, Data, Transcript};
use crate::verifier::invalid_key;

/// The port of servers.
const PORT: u16 = 443;

/// Verifies sessions by a survey's notaries.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    survey: SurveyId,
    server_name: String,
    port: u16,
    roots: Roots,
    notaries: Vec<NotaryKey>,
    networks: Vec<Network>,
    from: u64,
    until: u64,
}

/// A session that verifies, with its provider's claims about its records.
#[derive(Debug, Clone)]
pub struct VerifiedSession {
    evidence: Evidence,
    layout: Layout,
    session: Session,
}

impl Sessions {
    /// Prepares the keys of the survey's notaries of this kind.
    pub(crate) fn new(descriptor: &SurveyDescriptor) -> Result<Self, SurveyError> {
        let manifest = descriptor.manifest();
        let invalid = |key: &str, problem: String| SurveyError::Invalid { key: key.into(), problem };
        let certificates = descriptor.root_certificates()?;
        let roots = if certificates.is_empty() {
            Roots::from_anchors(webpki_roots::TLS_SERVER_ROOTS.iter().cloned())
        } else {
            Roots::from_der(certificates.iter().map(Vec::as_slice))
                .map_err(|e| invalid("source.root_certificates", e.to_string()))?
        };
        let second = |t: i64| u64::try_from(t).unwrap_or(0);
        let notaries = manifest.notaries.iter().filter(|n| n.kind == Kind::Session).map(|n| {
            let key = n.key_bytes()?;
            let key = key.try_into().map_err(|_| invalid_key("an Ed25519 key has 32 bytes".into()))?;
            let from = n.valid_from.map_or(0, |t| second(t.unix_timestamp()));
            let until = n.valid_until.map_or(u64::MAX, |t| second(t.unix_timestamp()));
            Ok(NotaryKey { key, from, until })
        });
        let networks = manifest
            .source
            .addresses
            .iter()
            .map(|text| text.parse().map_err(|e: &str| invalid("source.addresses", e.into())));
        Ok(Self {
            survey: descriptor.id(),
            server_name: manifest.source.server_name.clone(),
            port: PORT,
            roots,
            notaries: notaries.collect::<Result<_, SurveyError>>()?,
            networks: networks.collect::<Result<_, _>>()?,
            from: second(manifest.survey.opens.unix_timestamp()),
            until: second(manifest.survey.closes.unix_timestamp()),
        })
    }

    /// Verifies a session.
    pub(crate) fn verify(&self, bytes: &[u8]) -> Result<VerifiedSession, Refusal> {
        let evidence = Evidence::decode(bytes)?;
        let expected = Expected {
            notaries: &self.notaries,
            survey: self.survey.0,
            server_name: &self.server_name,
            port: self.port,
            networks: &self.networks,
            from: self.from,
            until: self.until,
        };
        let (_, session) = evidence.verify(&expected, &self.roots)?;
        let layout = evidence.layout.clone().ok_or(Refusal::LayoutRecords)?;
        Ok(VerifiedSession { evidence, layout, session })
    }
}

/// The transcript of a verified session.
pub(crate) fn transcript(verified: &VerifiedSession) -> Transcript {
    let stated = verified.evidence.statement.unchecked();
    let data = |flow: &Flow| Data { bytes: flow.stream().to_vec(), hidden: flow.hidden().to_vec() };
    Transcript {
        kind: Kind::Session,
        server: stated.server_name.clone(),
        time: stated.opened,
        session: [&stated.notary[..], &verified.session.server_random].concat(),
        sent: data(&verified.layout.client),
        received: data(&verified.layout.server),
        bindings: Bindings::Keystream,
    }
}

impl VerifiedSession {
    /// The signed statement of the notary, encoded.
    fn signed(&self) -> Vec<u8> {
        self.evidence.statement.encode()
    }

    /// One direction's records with the role of each byte.
    fn records(&self, direction: Direction, hidden: &[Hidden]) -> Result<Vec<Record>, StatementError> {
        let (bytes, flow) = match direction {
            Direction::Client => (&self.evidence.client, &self.layout.client),
            Direction::Server => (&self.evidence.server, &self.layout.server),
        };
        let parts = self.session.records(direction).iter().zip(flow.records()).map(|(record, inner)| {
            let ciphertext = bytes.get(record.ciphertext()).ok_or(StatementError::Encoding)?.to_vec();
            Ok(match inner {
                Inner::Data { length } => Part::Application { ciphertext, content: *length },
                Inner::Tickets { bodies } => Part::Other(Record::tickets(ciphertext, bodies)),
                Inner::Close { level } => Part::Other(Record::close_notify(ciphertext, *level)),
            })
        });
        let parts = parts.collect::<Result<Vec<_>, StatementError>>()?;
        circuit::place(parts, flow.stream(), hidden).ok_or(StatementError::Encoding)
    }

    /// The statement that the provider proves: everything of the session, and the columns in it.
    pub(crate) fn statement(
        &self,
        admitted: &Admitted,
        survey: &SurveyManifest,
    ) -> Result<Statement, StatementError> {
        let (mut sent, mut received) = (Vec::new(), Vec::new());
        for (index, column) in (0u8..).zip(&admitted.columns) {
            if column.binding == Binding::Keystream {
                received.extend(pieces(&column.pieces, |_| Role::Column(index)));
            }
        }
        for inert in &admitted.inert {
            let kind = match inert.place {
                InertPlace::Header => InertKind::HeaderValue,
                // Strings without escapes are among those with.
                InertPlace::Text => InertKind::EscapedText,
                InertPlace::Number => InertKind::Number,
            };
            let hidden = match inert.direction {
                policy::Direction::Sent => &mut sent,
                policy::Direction::Received => &mut received,
            };
            hidden.extend(pieces(&inert.pieces, |i| Role::Inert { kind, continued: i > 0 }));
        }
        for hidden in [&mut sent, &mut received] {
            hidden.sort_by_key(|h| h.range.start);
        }
        let session = circuit::Session {
            suite: match self.session.suite {
                Suite::Aes128Gcm => circuit::Suite::Aes128Gcm,
                Suite::ChaCha20Poly1305 => circuit::Suite::ChaCha20Poly1305,
            },
            t1: self.session.t1,
            t2: self.session.t2,
            server_secret: self.session.server_secret,
            client: self.records(Direction::Client, &sent)?,
            server: self.records(Direction::Server, &received)?,
        };
        Statement::of_session(admitted.engine_columns(survey)?, survey.outputs(), session)
    }

    /// The seed of a proof's randomness: a hash of the handshake secret, over the notary's signed statement, the survey
    /// and the whole statement. So two layouts of one session share no mask, and neither do two sessions of one secret.
    pub fn randomness(
        &self,
        secret: &tercet_tls_session::HandshakeSecret,
        survey: SurveyId,
        statement: &Statement,
    ) -> Zeroizing<[u8; 32]> {
        let mut bound = Writer::tagged("tercet proxied provider v1");
        bound.bytes(&self.signed()).array(survey.as_ref()).bytes(&statement.encode());
        let bound = sha256(&[&bound.finish()]);
        // HKDF-SHA256 (RFC 5869) for one block: Extract under the purpose, Expand over what is bound.
        let purpose = b"tercet proxied provider v1";
        let key = Zeroizing::new(hmac_sha256(purpose, &secret.0));
        Zeroizing::new(hmac_sha256(&*key, &[&bound[..], &[1]].concat()))
    }

    /// The hidden texts of all columns, if the secret is this session's; empty where there is publicly none.
    pub(crate) fn texts(
        &self,
        secret: &tercet_tls_session::HandshakeSecret,
        admitted: &Admitted,
    ) -> Result<Vec<Zeroizing<Vec<u8>>>, Refusal> {
        let opened = open(&self.session, &self.evidence.client, &self.evidence.server, secret)?;
        let stream = opened.stream(Direction::Server);
        let text = |pieces: &[std::ops::Range<usize>]| {
            let pieces = pieces.iter().map(|r| stream.get(r.clone()).ok_or(Refusal::LayoutRecords));
            pieces.collect::<Result<Vec<_>, _>>().map(|p| Zeroizing::new(p.concat()))
        };
        admitted.columns.iter().map(|c| text(&c.pieces)).collect()
    }

    /// The handshake secret as the prover takes it, if it is this session's.
    pub fn witness(&self, secret: &tercet_tls_session::HandshakeSecret) -> Result<HandshakeSecret, Refusal> {
        secret.check(&self.session)?;
        Ok(HandshakeSecret(Zeroizing::new(secret.0)))
    }
}

fn pieces<'a>(
    ranges: &'a [std::ops::Range<usize>],
    role: impl Fn(usize) -> Role + 'a,
) -> impl Iterator<Item = Hidden> + 'a {
    ranges.iter().enumerate().map(move |(i, range)| Hidden { range: range.clone(), role: role(i) })
}
