//! The decoders of a provider's uploads.

use std::sync::LazyLock;

use tercet_evidence::Kind;
use tercet_protocol::ids::{PublicKey, SubmissionId};
use tercet_protocol::keys::OpeningKey;
use tercet_protocol::submission::{PublicPart, ShareHashes, ShareUpload, Ticket, open_private, seal_private};

use crate::fixtures;

const SUBMISSION: SubmissionId = SubmissionId([6; 32]);

fn honest() -> PublicPart {
    PublicPart {
        survey: fixtures::SURVEY.id(),
        kind: Kind::Presentation,
        withdrawal_key: PublicKey([4; 32]),
        evidence: fixtures::vector("cohort/provider00/presentation.bin"),
        share_hashes: ShareHashes::default(),
    }
}

/// Decoding is canonical.
pub fn public_part(data: &[u8]) {
    let Ok(public) = PublicPart::decode(data) else { return };
    assert_eq!(public.encode(), data);
    assert_eq!(PublicPart::decode(data).unwrap().id(), public.id());
    assert_ne!(public.proof_context(), public.id().0);
}

pub fn public_part_seeds() -> Vec<Vec<u8>> {
    let small = PublicPart { evidence: vec![2; 8], ..honest() };
    vec![honest().encode(), small.encode()]
}

/// Decoding is canonical; the ticket is the coordinator's or is refused.
pub fn share_upload(data: &[u8]) {
    let Ok(upload) = ShareUpload::decode(data) else { return };
    assert_eq!(upload.encode(), data);
    public_part(&upload.public);
    let coordinator = &fixtures::KEYS[0];
    let honest =
        Ticket::issue(coordinator, upload.ticket.survey, upload.ticket.submission, upload.ticket.expires);
    assert_eq!(upload.ticket.verify(&coordinator.public()).is_ok(), upload.ticket == honest);
}

pub fn share_upload_seeds() -> Vec<Vec<u8>> {
    public_part_seeds()
        .into_iter()
        .map(|public| {
            let ticket = Ticket::issue(&fixtures::KEYS[0], fixtures::SURVEY.id(), SUBMISSION, 7);
            ShareUpload { public, ticket, sealed: vec![4; 80] }.encode()
        })
        .collect()
}

static KEY: LazyLock<OpeningKey> = LazyLock::new(|| OpeningKey::from_seed(&[11; 32]));
const PRIVATE: &[u8] = b"private part";

/// Only parts that were sealed for this place open.
pub fn sealed_share(data: &[u8]) {
    for party in 0..3 {
        if let Ok(opened) = open_private(&KEY, SUBMISSION, party, data) {
            assert_eq!((party, &opened[..]), (1, PRIVATE));
        }
    }
}

pub fn sealed_share_seeds() -> Vec<Vec<u8>> {
    [1, 2]
        .map(|party| {
            let message = if party == 1 { PRIVATE } else { b"another's" };
            let place = if party == 1 { SUBMISSION } else { SubmissionId([5; 32]) };
            seal_private(KEY.public(), place, party, message).unwrap()
        })
        .to_vec()
}
