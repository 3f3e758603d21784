//! Leaving: `POST /v1/submissions/{id}/withdraw`.
//!
//! The coordinator passes a provider's signed wish on to the three parties, which agree on an entry that erases the
//! submission's shares. It believes them when all three show verified receipts for the same entry.

use tercet_protocol::api::{Problem, ProblemKind, SubmissionState, SubmissionStatus};
use tercet_protocol::ids::SubmissionId;
use tercet_protocol::withdrawal::{ErasureReceipt, Withdrawal};

use crate::admission::RateReport;
use crate::coordinator::Coordinator;
use crate::error::{Error, refuse};
use crate::parties::{PartyError, passed_on};
use crate::settle::status;
use crate::store::submissions::RecordState;
use crate::surveys::Survey;

impl Coordinator {
    /// Passes a wish to leave on. The status is `withdrawn` once all three parties have erased the submission; until
    /// then the status does not change, and the wish may be sent again.
    pub async fn withdraw(
        &self,
        id: SubmissionId,
        withdrawal: &Withdrawal,
        address: &str,
        report: &mut RateReport,
    ) -> Result<SubmissionStatus, Error> {
        self.limit("address", address, self.config.limits.address, report).await?;
        if withdrawal.submission != id {
            return refuse(ProblemKind::Malformed, "the body is about another submission than the address");
        }
        let survey = self.survey(withdrawal.survey)?;
        let Some(record) = self.store.submission(id).await?.filter(|r| r.survey == survey.id()) else {
            return refuse(ProblemKind::NotFound, "no submission with this id was admitted here");
        };
        if let Err(e) = withdrawal.verify(&record.withdrawal_key) {
            return refuse(
                ProblemKind::Malformed,
                format!("the withdrawal is not signed with the key of this submission's receipt: {e}"),
            );
        }
        if matches!(record.state, RecordState::Withdrawn { .. }) {
            return Ok(status(record));
        }
        let mut record = self.settle(record).await?;
        if let Some(receipts) = self.erased(&survey, withdrawal).await? {
            self.store.withdraw(&record, &receipts).await?;
            tracing::info!(submission = %id, height = receipts[0].height, "submission withdrawn");
            record.state = RecordState::Withdrawn { receipts: receipts.into() };
        }
        Ok(status(record))
    }

    /// Asks the three parties; gives their receipts if all of them have erased the submission by the same entry.
    async fn erased(
        &self,
        survey: &Survey,
        withdrawal: &Withdrawal,
    ) -> Result<Option<[ErasureReceipt; 3]>, Error> {
        let ask = |party: u8| self.erased_at(survey, withdrawal, party);
        // The party that leads gets the wish first: the others may then already have the entry.
        let first = ask(0).await?;
        let (second, third) = tokio::join!(ask(1), ask(2));
        let (Some(a), Some(b), Some(c)) = (first, second?, third?) else { return Ok(None) };
        if a.agrees(&b) && a.agrees(&c) {
            return Ok(Some([a, b, c]));
        }
        tracing::error!(submission = %withdrawal.submission, "the parties' erasure receipts differ");
        Ok(None)
    }

    /// One party's verified receipt, if it has erased the submission.
    async fn erased_at(
        &self,
        survey: &Survey,
        withdrawal: &Withdrawal,
        party: u8,
    ) -> Result<Option<ErasureReceipt>, Error> {
        let id = withdrawal.submission;
        let answer = match self.parties.withdraw(&survey.party_urls[usize::from(party)], withdrawal).await {
            Ok(Some(answer)) => answer,
            Ok(None) => {
                let detail =
                    "a party does not know this submission: it was never accepted, and nothing of it is kept";
                return Err(Problem::new(ProblemKind::NotFound, detail).party(party).into());
            }
            Err(PartyError::Refused(problem)) if !problem.is_transient() => {
                return Err(passed_on(*problem, party).unwrap_or_else(|| unavailable(party)).into());
            }
            Err(e) => {
                tracing::warn!(party, submission = %id, error = %e, "a party took no withdrawal");
                return Err(unavailable(party).into());
            }
        };
        let SubmissionState::Withdrawn { receipts } = answer.state else { return Ok(None) };
        let good = |r: &ErasureReceipt| {
            r.party == party
                && (r.submission, r.survey) == (id, survey.id())
                && r.verify(survey.descriptor.parties()).is_ok()
        };
        let receipt = receipts.into_iter().find(good);
        if receipt.is_none() {
            tracing::error!(party, submission = %id, "a party's erasure receipt does not verify");
        }
        Ok(receipt)
    }
}

fn unavailable(party: u8) -> Problem {
    let detail = "a party took no withdrawal: all three have to erase the submission; send it again";
    Problem::new(ProblemKind::PartyUnavailable, detail).party(party).retry_after(10)
}
