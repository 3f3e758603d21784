//! What a provider keeps: what opens the bindings of its evidence, and what the proof's randomness is derived from.

use std::fmt;

use tercet_mpc::proof::ColumnWitness;
use tercet_mpc::statement::BLINDER_BYTES;
use tercet_protocol::kind::Kind;
use zeroize::Zeroizing;

use crate::policy::{Admitted, Binding};
use crate::presentation;
use crate::verifier::Verified;

/// A provider's secrets, by kind of evidence. `Debug` shows none of them.
#[derive(Debug, PartialEq, Eq)]
pub enum Secrets {
    /// The file that belongs to a presentation.
    Presentation(tlsn_verifier::Secrets),
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
        tlsn_verifier::Secrets::decode(bytes).map(Self::Presentation)
    }

    /// The file again.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Presentation(secrets) => secrets.encode(),
        }
    }

    /// The kind of the evidence that they belong to.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Presentation(_) => Kind::Presentation,
        }
    }

    /// The hidden texts of all columns, with what opens their bindings.
    pub fn witness(&self, verified: &Verified, admitted: &Admitted) -> Result<Vec<ColumnWitness>, NotOpened> {
        let open = |(column, admitted): (usize, &crate::AdmittedColumn)| match (self, verified, &admitted.binding) {
            // There is no text.
            (_, _, Binding::Absent) => {
                Ok(ColumnWitness { bytes: Zeroizing::new(Vec::new()), blinder: Zeroizing::new([0; BLINDER_BYTES]) })
            }
            (Self::Presentation(secrets), Verified::Presentation(verified), Binding::Hash { commitment, .. }) => {
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

/// What a proof's randomness is derived from: secret, uniform, known to the provider alone, and fresh for each piece of
/// evidence. Of presentations these are the blinders.
pub fn randomness(witness: &[ColumnWitness]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(witness.iter().flat_map(|w| *w.blinder).collect())
}

impl fmt::Display for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secrets of evidence of the kind {}", self.kind())
    }
}
