//! An upload's way in: every check that this party can make alone, cheapest first.

use bytes::Bytes;
use tercet_mpc::PartyId;
use tercet_mpc::proof::PrivatePart;
use tercet_mpc::statement::StatementError;
use tercet_protocol::api::{Problem, ProblemKind};
use tercet_protocol::ids::{Commitment, PublicKey, SubmissionId, sha256};
use tercet_protocol::keys::{KeyError, OpeningKey};
use tercet_protocol::submission::{PublicPart, ShareUpload, Ticket, open_private};
use zeroize::Zeroize as _;

use super::batch;
use super::pool::Upload;
use super::survey::SurveyNode;
use crate::sandbox::Submission;

/// An upload whose ticket holds: worth the work of verification.
#[derive(Debug)]
pub struct Ticketed {
    upload: ShareUpload,
    public: PublicPart,
    id: SubmissionId,
}

impl Ticketed {
    /// The survey it is for.
    pub fn public(&self) -> &PublicPart {
        &self.public
    }
}

/// Reads an upload and checks its id and ticket.
pub fn ticketed(
    id: SubmissionId,
    body: &Bytes,
    coordinator: &[PublicKey],
    now: u64,
) -> Result<Ticketed, Problem> {
    let upload = ShareUpload::decode(body)
        .map_err(|e| Problem::new(ProblemKind::Malformed, format!("the upload: {e}")))?;
    if SubmissionId(sha256(&[&upload.public])) != id {
        return Err(Problem::new(
            ProblemKind::Malformed,
            "the public part is not the one that the address names",
        ));
    }
    let public = PublicPart::decode(&upload.public)
        .map_err(|e| Problem::new(ProblemKind::Malformed, format!("the public part: {e}")))?;
    admitted(id, &upload.ticket, coordinator, now)?;
    if upload.ticket.survey != public.survey {
        return Err(Problem::new(ProblemKind::TicketInvalid, "the ticket is for another survey"));
    }
    Ok(Ticketed { upload, public, id })
}

/// Checks a ticket alone, at the start of an upload.
pub fn admitted(
    id: SubmissionId,
    ticket: &Ticket,
    coordinator: &[PublicKey],
    now: u64,
) -> Result<(), Problem> {
    let signed = coordinator.iter().any(|key| ticket.verify(key).is_ok());
    if !signed || ticket.submission != id {
        return Err(Problem::new(
            ProblemKind::TicketInvalid,
            "the ticket is not the coordinator's for this submission",
        ));
    }
    if ticket.expires < now {
        return Err(Problem::new(
            ProblemKind::TicketInvalid,
            "the ticket has expired: ask the coordinator for a new one",
        ));
    }
    Ok(())
}

/// Verifies evidence and policy and opens the private part. Takes about a millisecond of CPU.
pub fn verified(survey: &SurveyNode, sealing: &[OpeningKey], ticketed: Ticketed) -> Result<Upload, Problem> {
    let Ticketed { upload, public, id } = ticketed;
    let (evidence, admitted) = survey.verifier.check(public.kind, &public.evidence).map_err(Problem::from)?;
    let statement = evidence
        .statement(&admitted, survey.descriptor().manifest())
        .map_err(|e: StatementError| Problem::new(ProblemKind::PolicyViolated, e.to_string()))?;
    // During a rotation of the sealing key there are two; the published one first.
    let mut opened = Err(KeyError::CannotOpen);
    for key in sealing {
        opened = open_private(key, id, survey.me(), &upload.sealed);
        if opened.is_ok() {
            break;
        }
    }
    let private = opened.map_err(|e| Problem::new(ProblemKind::ShareInvalid, e.to_string()))?;
    let context = public.proof_context();
    // The parts of parties 1 and 2 are larger than that of party 0, which proposes.
    let part = PrivatePart::encoded_bytes(PartyId::P1, &statement.layout());
    let statement = statement.encode();
    let statement_bytes = statement.len();
    // Garbage must not take an id's place: the part is checked against its own commitments before it does.
    let mut alone = Submission {
        statement: statement.clone(),
        context: context.to_vec(),
        share_hashes: public.share_hashes.encode().to_vec(),
        private: private.to_vec(),
    };
    let fault = survey.sandbox.check_private(survey.me(), &alone);
    alone.private.zeroize();
    match fault {
        Ok(None) => {}
        Ok(Some(reason)) => return Err(batch::problem(reason).party(survey.me())),
        Err(e) => {
            tracing::error!(error = %e, "a private part could not be checked");
            let detail = "the party could not check this private part; its operator's log says more";
            return Err(Problem::new(ProblemKind::Internal, detail));
        }
    }
    Ok(Upload {
        id,
        nullifier: admitted.nullifier,
        fields: admitted.fields,
        rows: public.share_hashes.rows.map(Commitment),
        withdrawal_key: public.withdrawal_key,
        statement,
        context,
        share_hashes: public.share_hashes,
        private,
        weight: batch::weight(part, statement_bytes),
        expires: upload.ticket.expires,
    })
}
