//! A session that finishes what an earlier one left: all three know from the hellos which entry it is.

use tercet_agreement::Certificate;
use tercet_protocol::log::CommittedEntry;

use super::scheme::Names;
use super::settle;
use crate::node::pool::Outcome;
use crate::node::session::{SessionError, Step, Wire};
use crate::node::survey::SurveyNode;

/// Finishes the entry of a certificate. What a certificate with this party's own prepare names is not judged again,
/// only its hash and its rows. The caller holds the survey's session lock.
pub async fn finish(
    survey: &SurveyNode,
    mut wire: Wire,
    certificate: &Certificate<Names>,
) -> Result<CommittedEntry, SessionError> {
    let record = survey.agreement().record(&certificate.entry).cloned();
    let mine = u8::from(record.is_some());
    for (party, frame) in wire.exchange(Step::Confirm, vec![mine]).await? {
        match frame[..] {
            [1] => {}
            [0] => return Err(SessionError::Lacking { party }),
            _ => return Err(super::malformed(party, "confirmation")),
        }
    }
    let Some(record) = record else { return Err(SessionError::Lacking { party: survey.me() }) };
    let (committed, _wire) = settle(survey, wire, record.entry.clone(), record.rows, None).await?;
    tracing::info!(height = committed.entry.height, "an entry that an earlier session left is final");
    for a in committed.entry.accepted() {
        survey.pool.decide(a.submission, Outcome::Accepted);
    }
    Ok(committed)
}
