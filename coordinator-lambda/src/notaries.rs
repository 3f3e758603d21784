//! Tickets for sessions with notaries: `POST /v1/surveys/{id}/notary-tickets`.
//!
//! A notary cannot tell a flood from many providers; the coordinator's rates do it for both. The ticket names no
//! provider and no submission, and nothing of it is kept: coordinator and notary cannot use it to join their
//! knowledge.

use tercet_protocol::ids::{Nonce, PublicKey, SurveyId};
use tercet_protocol::keys::random;
use tercet_protocol::notary::{NotaryTicket, TICKET_SECONDS};

use crate::admission::RateReport;
use crate::coordinator::Coordinator;
use crate::error::Error;

impl Coordinator {
    /// A ticket for one session with this notary, for a client at `address`.
    pub async fn notary_ticket(
        &self,
        survey: SurveyId,
        notary: PublicKey,
        address: &str,
        report: &mut RateReport,
    ) -> Result<NotaryTicket, Error> {
        let survey = self.survey(survey)?.id();
        let limits = &self.config.limits;
        self.limit("address", address, limits.address, report).await?;
        self.limit("survey", &survey.to_string(), limits.survey, report).await?;
        let nonce = Nonce(random().map_err(|_| Error::Randomness)?);
        // A few seconds less than notaries allow, so that clocks need not agree exactly.
        let expires = self.clock.seconds() + TICKET_SECONDS - 10;
        Ok(NotaryTicket::issue(&self.key, survey, notary, nonce, expires))
    }
}
