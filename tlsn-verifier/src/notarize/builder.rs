//! From an attestation and its secrets to the presentation for others.

use super::{Attestation, NotarizeError};
use crate::{
    Direction, HashCommitment, Presentation, RangeSet, Secrets,
    wire::{
        connection::IdentityProof,
        presentation::{MerkleProof, PresentationFile},
        transcript::{HashSecret, Revealed, TranscriptProof},
    },
};

/// Chooses the commitments that a presentation opens. The whole attestation body is always in it.
#[derive(Debug)]
pub struct PresentationBuilder<'a> {
    attestation: &'a Attestation,
    secrets: &'a Secrets,
    open: Vec<HashCommitment>,
    identity: bool,
}

impl<'a> PresentationBuilder<'a> {
    /// A presentation that shows the server's identity and opens nothing yet.
    pub fn new(attestation: &'a Attestation, secrets: &'a Secrets) -> Self {
        Self { attestation, secrets, open: Vec::new(), identity: true }
    }

    /// Opens the commitments that `choose` picks: their bytes are revealed.
    pub fn open(mut self, choose: impl FnMut(&HashCommitment) -> bool) -> Result<Self, NotarizeError> {
        self.open = self.attestation.commitments()?;
        self.open.retain(choose);
        Ok(self)
    }

    /// Leaves out which server it was. This crate's verifier refuses the result; upstream's does
    /// not.
    pub fn without_identity(mut self) -> Self {
        self.identity = false;
        self
    }

    /// The presentation, byte for byte as upstream's builder makes it from the same choice.
    pub fn build(&self) -> Result<Presentation, NotarizeError> {
        let version = self.attestation.wire_version();
        if self.secrets.wire_version() != version {
            return Err(NotarizeError::Answer("wire version"));
        }
        let mut secrets = Vec::with_capacity(self.open.len());
        for direction in Direction::ALL {
            for commitment in self.open.iter().filter(|c| c.direction == direction) {
                let opening = self.secrets.opening_for(commitment);
                let opening = opening.ok_or(NotarizeError::Secrets(commitment.field))?;
                secrets.push(HashSecret {
                    direction,
                    ranges: commitment.ranges.clone(),
                    alg: commitment.alg.id(),
                    blinder: *opening.blinder,
                });
            }
        }
        let file = &self.secrets.file;
        let signed = self.attestation.signed.clone();
        let merkle = MerkleProof {
            alg: signed.header.root.alg,
            leaf_count: 4 + (signed.body.extensions.len() + signed.body.commitments.len()) as u64,
            hashes: Vec::new(),
        };
        let identity = self
            .identity
            .then(|| IdentityProof { name: file.server_name.clone(), opening: file.opening.clone() });
        let transcript = TranscriptProof {
            sent: self.reveal(Direction::Sent),
            received: self.reveal(Direction::Received),
            encoding: None,
            secrets,
        };
        let file = PresentationFile { signed, merkle, identity, transcript: Some(transcript) };
        Ok(Presentation::from_file(version, file))
    }

    fn reveal(&self, direction: Direction) -> Revealed {
        let whole = self.secrets.transcript(direction);
        let opened = self.open.iter().filter(|c| c.direction == direction);
        let ranges = RangeSet::union(opened.flat_map(|c| c.ranges.iter()));
        Revealed {
            // Unwrap-free: the openings before have read the same ranges.
            data: ranges.slices(whole).unwrap_or_default().concat(),
            ranges,
            total: whole.len(),
        }
    }
}
