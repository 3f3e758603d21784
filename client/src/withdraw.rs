//! Leaving a survey: with the receipt, which holds the key that was made at submission.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tercet_protocol::api::SubmissionState;
use tercet_protocol::ids::{SubmissionId, SurveyId};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::submission::Receipt;
use tercet_protocol::withdrawal::{ErasureReceipt, Withdrawal};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::coordinator::{COORDINATOR, Coordinator, Deployment};
use crate::error::Error;
use crate::inspect::utc;
use crate::submit::Submitted;

/// Largest receipt file accepted.
pub const MAX_RECEIPT_FILE: usize = 64 * 1024;

/// The private half of the key that withdraws a submission. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct WithdrawalKey(Zeroizing<[u8; 32]>);

impl WithdrawalKey {
    /// From a seed.
    pub fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        Self(seed)
    }

    /// The key pair.
    pub fn signing_key(&self) -> Result<SigningKey, Error> {
        Ok(SigningKey::from_seed(&self.0)?)
    }
}

impl std::fmt::Debug for WithdrawalKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WithdrawalKey")
    }
}

impl Serialize for WithdrawalKey {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let text = Zeroizing::new(hex::encode(self.0.as_slice()));
        s.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for WithdrawalKey {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(d)?);
        let mut seed = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.as_bytes(), seed.as_mut_slice())
            .map_err(|_| serde::de::Error::custom("the withdrawal key has 64 hexadecimal digits"))?;
        Ok(Self(seed))
    }
}

/// The content of a receipt file: the statement that three parties signed, and the key to leave again. So only its
/// owner may read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptFile {
    /// The way to leave, for whoever opens the file.
    pub how_to_withdraw: String,
    /// The coordinator that the submission went to.
    pub coordinator: String,
    /// The submission.
    pub submission: SubmissionId,
    /// The survey.
    pub survey: SurveyId,
    /// The parties' receipts, in party order.
    pub receipts: Vec<Receipt>,
    /// Whoever has this key can have the submission erased.
    pub withdrawal_key: WithdrawalKey,
}

impl ReceiptFile {
    /// The receipt of an accepted submission; `path` is where it will be kept.
    pub fn new(coordinator: &str, done: &Submitted, key: &WithdrawalKey, path: &str) -> Self {
        let how = format!(
            "Keep this file, and keep it to yourself. To leave the survey: tercet withdraw --receipt {path}"
        );
        Self {
            how_to_withdraw: how,
            coordinator: coordinator.to_owned(),
            submission: done.submission,
            survey: done.survey,
            receipts: done.receipts.clone(),
            withdrawal_key: key.clone(),
        }
    }

    /// Reads a file.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(json)
            .map_err(|e| Error::usage(format!("not a receipt file of tercet submit: {e}")))
    }
}

/// The statement that the three parties signed when they had erased a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// The submission.
    pub submission: SubmissionId,
    /// The survey.
    pub survey: SurveyId,
    /// Always `withdrawn`.
    pub state: &'static str,
    /// The parties' receipts, verified, in party order.
    pub receipts: Vec<ErasureReceipt>,
}

/// The copies of erased shares that stay for a while: an operator's store has old versions and backups, which end by themselves.
const COPIES: &str = ", except\nencrypted copies in the operators' backups, until those end after some weeks";

impl Erased {
    /// The remains of an erased submission, and the time for which the row was counted, in words.
    pub fn to_text(&self) -> String {
        let Some(first) = self.receipts.first() else { return String::new() };
        let erased = utc(first.time);
        match &first.entered {
            None => format!(
                "erased {erased}, by log entry {} of all three parties\n\
                 It was still waiting: it was never counted, and nothing of it is kept{COPIES}.\n",
                first.height
            ),
            Some(entered) => format!(
                "erased {erased}, by log entry {} of all three parties\n\
                 It was counted from release point {} ({}) until then. Kept are the sums of the {} rows with which it\n\
                 entered, of which it was one; nothing else of it is{COPIES}.\n\
                 Nothing that is computed from single rows will contain it again.\n",
                first.height,
                entered.release,
                utc(entered.time),
                entered.unit_rows
            ),
        }
    }
}

/// Has a submission erased, and waits until all three parties have signed that it is.
pub async fn withdraw(
    coordinator: &Coordinator,
    deployment: &Deployment,
    file: &ReceiptFile,
    timeout: Duration,
) -> Result<Erased, Error> {
    if file.survey != deployment.survey.id() {
        return Err(Error::bad_answer(COORDINATOR, "it gave another survey than the receipt's"));
    }
    let key = file.withdrawal_key.signing_key()?;
    let wish = Withdrawal::sign(&key, file.survey, file.submission);
    let end = Instant::now() + timeout;
    let mut pause = Duration::from_millis(300);
    loop {
        let status = coordinator.withdraw(&wish).await?;
        if let SubmissionState::Withdrawn { receipts } = status.state {
            verify(deployment, file.submission, &receipts)?;
            return Ok(Erased {
                submission: file.submission,
                survey: file.survey,
                state: "withdrawn",
                receipts,
            });
        }
        if Instant::now() + pause >= end {
            return Err(Error::TimedOut(format!(
                "the parties have not erased the submission within {} s; run the same command again",
                timeout.as_secs()
            )));
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// Checks that there is one receipt of each party, all for the same erasure of this submission.
pub fn verify(
    deployment: &Deployment,
    submission: SubmissionId,
    receipts: &[ErasureReceipt],
) -> Result<(), Error> {
    let from = |party: u8| deployment.party_name(usize::from(party));
    let [first, ..] = receipts else {
        return Err(Error::bad_answer(COORDINATOR, "the submission is called withdrawn, without receipts"));
    };
    if receipts.iter().map(|r| r.party).ne(0..3) {
        return Err(Error::bad_answer(COORDINATOR, "there must be one erasure receipt of each party"));
    }
    for receipt in receipts {
        if (receipt.survey, receipt.submission) != (deployment.survey.id(), submission) {
            return Err(Error::bad_answer(from(receipt.party), "its receipt is for another submission"));
        }
        receipt.verify(deployment.survey.parties()).map_err(|_| {
            Error::bad_answer(
                from(receipt.party),
                "its receipt is not signed by the key that the survey pins",
            )
        })?;
        if !receipt.agrees(first) {
            let what = "its receipt is about another erasure than the others'";
            return Err(Error::bad_answer(from(receipt.party), what));
        }
    }
    Ok(())
}
