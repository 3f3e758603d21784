//! The state of a submission by the parties' own words. The coordinator calls it accepted once it has three receipts, which it
//! cannot get while a party is down; the provider may have had them for long.

use std::time::Duration;

use futures::future::join_all;
use tercet_protocol::api::{SubmissionState, SubmissionStatus};
use tercet_protocol::ids::SubmissionId;
use tercet_protocol::submission::Receipt;
use tokio::time::timeout;

use crate::coordinator::Deployment;
use crate::http::{Http, Request, join};

/// Longest wait for one party.
const PATIENCE: Duration = Duration::from_secs(5);

/// The receipts that the parties give now, if they prove that the submission is accepted: those of two parties that name one
/// entry. At most one party is corrupted, so an honest one has that entry in its log, where it stays for good.
pub async fn accepted(http: &Http, deployment: &Deployment, id: SubmissionId) -> Option<Vec<Receipt>> {
    let asked =
        (0..deployment.parties.len()).map(|party| timeout(PATIENCE, ask(http, deployment, id, party)));
    let receipts: Vec<Receipt> = join_all(asked).await.into_iter().filter_map(|r| r.ok().flatten()).collect();
    let alike = |first: &Receipt| {
        let same =
            |r: &&Receipt| (r.height, r.entry, r.nullifier) == (first.height, first.entry, first.nullifier);
        receipts.iter().filter(same).cloned().collect::<Vec<_>>()
    };
    receipts.iter().map(alike).find(|of_one_entry| of_one_entry.len() >= 2)
}

/// One party's verified receipt, if it gives one.
async fn ask(http: &Http, deployment: &Deployment, id: SubmissionId, party: usize) -> Option<Receipt> {
    let from = deployment.party_name(party);
    let base = http.base(&deployment.parties.get(party)?.url).ok()?;
    let url = join(&base, &["v1", "submissions", &id.to_string()]);
    let answer = http.send(&Request::get(from.clone(), url)).await.ok()?;
    let status = answer.json::<SubmissionStatus>(&from).ok()?;
    let SubmissionState::Accepted { receipts } = status.state else { return None };
    let receipt = receipts.into_iter().find(|r| usize::from(r.party) == party)?;
    deployment.verify_receipt(id, &receipt).ok()?;
    Some(receipt)
}
