//! A provider's secrets: the openings of its evidence's bindings, and the seed of the proof's randomness.

use std::fmt;

use tercet_mpc::proof::{ColumnWitness, HandshakeSecret};
use tercet_mpc::statement::{BLINDER_BYTES, Statement};
use tercet_protocol::ids::SurveyId;
use tercet_protocol::kind::Kind;
use zeroize::Zeroizing;

use crate::policy::{Admitted, Binding};
use crate::presentation;
use crate::verifier::Verified;

/// A provider's secrets, by kind of evidence. `Debug` shows none of them.
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one at a time")]
pub enum Secrets {
    /// The file that belongs to a presentation.
    Presentation(tlsn_verifier::Secrets),
    /// A session's handshake secret.
    Session(tercet_tls_session::HandshakeSecret),
}

/// The secrets that a proof is made from. `Debug` shows no secret.
#[derive(Debug)]
pub enum Witness {
    /// The columns' texts and the secrets that open their commitments.
    Columns(Vec<ColumnWitness>),
    /// A session's handshake secret, and the texts that it opens.
    Session {
        /// The secret.
        secret: HandshakeSecret,
        /// The columns' texts.
        texts: Vec<Zeroizing<Vec<u8>>>,
        /// The seed of the proof's randomness.
        randomness: Zeroizing<[u8; 32]>,
    },
}

impl Witness {
    /// The columns' texts, in order; empty where there is publicly none.
    pub fn texts(&self) -> Vec<&[u8]> {
        match self {
            Self::Columns(columns) => columns.iter().map(|c| &c.bytes[..]).collect(),
            Self::Session { texts, .. } => texts.iter().map(|t| &t[..]).collect(),
        }
    }

    /// The seed of the proof's randomness: secret, uniform, known to the provider alone, and fresh for each piece of
    /// evidence. Of presentations these are the blinders.
    pub fn randomness(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Columns(columns) => Zeroizing::new(columns.iter().flat_map(|w| *w.blinder).collect()),
            Self::Session { randomness, .. } => Zeroizing::new(randomness.to_vec()),
        }
    }
}

/// Secrets that do not open a column: they belong to other evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secrets do not open this value; give the secrets file that belongs to this evidence")]
pub struct NotOpened {
    /// Index of the column, in the order of [`Admitted::columns`].
    pub column: usize,
}

impl From<tlsn_verifier::Secrets> for Secrets {
    fn from(secrets: tlsn_verifier::Secrets) -> Self {
        Self::Presentation(secrets)
    }
}

impl Secrets {
    /// Reads a secrets file of whatever kind.
    pub fn decode(bytes: &[u8]) -> Result<Self, tlsn_verifier::DecodeError> {
        let text = bytes.trim_ascii();
        if text.len() == 64 && text.iter().all(u8::is_ascii_hexdigit) {
            let mut secret = tercet_tls_session::HandshakeSecret([0; 32]);
            for (byte, pair) in secret.0.iter_mut().zip(text.as_chunks::<2>().0) {
                let digit = |d: u8| char::from(d).to_digit(16).unwrap_or(0) as u8;
                *byte = digit(pair[0]) << 4 | digit(pair[1]);
            }
            return Ok(Self::Session(secret));
        }
        tlsn_verifier::Secrets::decode(bytes).map(Self::Presentation)
    }

    /// The file again.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Presentation(secrets) => secrets.encode(),
            Self::Session(secret) => {
                let mut text = Zeroizing::new(Vec::with_capacity(65));
                for byte in secret.0 {
                    text.extend([byte >> 4, byte & 15].map(|d| b"0123456789abcdef"[usize::from(d)]));
                }
                text.push(b'\n');
                text
            }
        }
    }

    /// The kind of the evidence that they belong to.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Presentation(_) => Kind::Presentation,
            Self::Session(_) => Kind::Session,
        }
    }

    /// The secrets that the proof of a statement about this evidence is made from.
    pub fn witness(
        &self,
        survey: SurveyId,
        verified: &Verified,
        admitted: &Admitted,
        statement: &Statement,
    ) -> Result<Witness, NotOpened> {
        match (self, verified) {
            (Self::Session(secret), Verified::Session(session)) => {
                let wrong = |_| NotOpened { column: 0 };
                Ok(Witness::Session {
                    texts: session.texts(secret, admitted).map_err(wrong)?,
                    randomness: session.randomness(secret, survey, statement),
                    secret: session.witness(secret).map_err(wrong)?,
                })
            }
            _ => self.columns(verified, admitted).map(Witness::Columns),
        }
    }

    /// The hidden texts of all columns, with the secrets that open their commitments.
    pub fn columns(&self, verified: &Verified, admitted: &Admitted) -> Result<Vec<ColumnWitness>, NotOpened> {
        let open =
            |(column, admitted): (usize, &crate::AdmittedColumn)| match (self, verified, &admitted.binding) {
                // There is no text.
                (_, _, Binding::Absent) => Ok(ColumnWitness {
                    bytes: Zeroizing::new(Vec::new()),
                    blinder: Zeroizing::new([0; BLINDER_BYTES]),
                }),
                (
                    Self::Presentation(secrets),
                    Verified::Presentation(verified),
                    Binding::Hash { commitment, .. },
                ) => {
                    let opening = presentation::commitment(verified, &admitted.pieces, *commitment)
                        .and_then(|c| secrets.opening_for(c))
                        .ok_or(NotOpened { column })?;
                    Ok(ColumnWitness { bytes: opening.bytes, blinder: opening.blinder })
                }
                _ => Err(NotOpened { column }),
            };
        admitted.columns.iter().enumerate().map(open).collect()
    }
}

impl fmt::Display for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secrets of evidence of the kind {}", self.kind())
    }
}
