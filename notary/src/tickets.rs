//! Tickets of the coordinator, each of which counts once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tercet_protocol::ids::{Nonce, PublicKey, SurveyId};
use tercet_protocol::notary::{NotaryTicket, TICKET_SECONDS};

/// Why a ticket is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Not signed by the coordinator.
    #[error("the ticket is not signed by the coordinator")]
    Signature,
    /// For another survey.
    #[error("the ticket is for another survey")]
    Survey,
    /// For another notary.
    #[error("the ticket is for another notary")]
    Notary,
    /// Over, or made for longer than tickets live.
    #[error("the ticket has expired, or is made for longer than {TICKET_SECONDS} s: check both clocks")]
    Expired,
    /// Taken before.
    #[error("the ticket was used before: ask the coordinator for another")]
    Used,
}

impl TicketError {
    /// A stable name.
    pub fn code(self) -> &'static str {
        match self {
            Self::Signature => "ticket-signature",
            Self::Survey => "ticket-survey",
            Self::Notary => "ticket-notary",
            Self::Expired => "ticket-expired",
            Self::Used => "ticket-used",
        }
    }
}

/// The tickets that were taken and could be shown again.
#[derive(Debug)]
pub struct Tickets {
    coordinators: Vec<PublicKey>,
    notary: PublicKey,
    /// Nonces of taken tickets with their expiry: bounded, since the coordinator limits the tickets that it signs.
    taken: Mutex<HashMap<Nonce, u64>>,
}

impl Tickets {
    /// Takes tickets that one of these keys signed for this notary.
    pub fn new(coordinators: Vec<PublicKey>, notary: PublicKey) -> Self {
        Self { coordinators, notary, taken: Mutex::default() }
    }

    /// Takes a ticket for a session of this survey, at `now` (Unix seconds).
    pub fn take(&self, ticket: &NotaryTicket, survey: SurveyId, now: u64) -> Result<(), TicketError> {
        if !self.coordinators.iter().any(|key| ticket.verify(key).is_ok()) {
            return Err(TicketError::Signature);
        }
        if ticket.survey != survey {
            return Err(TicketError::Survey);
        }
        if ticket.notary != self.notary {
            return Err(TicketError::Notary);
        }
        if ticket.expires < now || ticket.expires > now.saturating_add(TICKET_SECONDS) {
            return Err(TicketError::Expired);
        }
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, expires| *expires >= now);
        match taken.insert(ticket.nonce, ticket.expires) {
            None => Ok(()),
            Some(_) => Err(TicketError::Used),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tercet_protocol::keys::SigningKey;

    #[test]
    fn a_ticket_counts_once_here_and_now() {
        let coordinator = SigningKey::from_seed(&[1; 32]).unwrap();
        let notary = PublicKey([2; 32]);
        let tickets = Tickets::new(vec![PublicKey([9; 32]), coordinator.public()], notary);
        let survey = SurveyId([3; 32]);
        let ticket =
            |nonce, expires| NotaryTicket::issue(&coordinator, survey, notary, Nonce([nonce; 16]), expires);
        assert_eq!(tickets.take(&ticket(1, 150), survey, 100), Ok(()));
        assert_eq!(tickets.take(&ticket(1, 150), survey, 100), Err(TicketError::Used));
        // The same nonce under another expiry is the same ticket.
        assert_eq!(tickets.take(&ticket(1, 151), survey, 150), Err(TicketError::Used));
        assert_eq!(tickets.take(&ticket(1, 150), survey, 151), Err(TicketError::Expired));
        assert_eq!(tickets.take(&ticket(2, 161), survey, 100), Err(TicketError::Expired));
        assert_eq!(tickets.take(&ticket(2, u64::MAX), survey, 100), Err(TicketError::Expired));
        assert_eq!(tickets.take(&ticket(2, 150), SurveyId([4; 32]), 100), Err(TicketError::Survey));
        let other = NotaryTicket { notary: PublicKey([7; 32]), ..ticket(2, 150) };
        assert_eq!(tickets.take(&other, survey, 100), Err(TicketError::Signature));
        let elsewhere = NotaryTicket::issue(&coordinator, survey, PublicKey([7; 32]), Nonce([2; 16]), 150);
        assert_eq!(tickets.take(&elsewhere, survey, 100), Err(TicketError::Notary));
        let stranger = SigningKey::from_seed(&[5; 32]).unwrap();
        let forged = NotaryTicket::issue(&stranger, survey, notary, Nonce([2; 16]), 150);
        assert_eq!(tickets.take(&forged, survey, 100), Err(TicketError::Signature));
        // Refused tickets are not used up, and expired nonces are forgotten.
        assert_eq!(tickets.take(&ticket(2, 150), survey, 100), Ok(()));
        assert_eq!(tickets.take(&ticket(3, 300), survey, 300), Ok(()));
        assert_eq!(tickets.taken.lock().unwrap().len(), 1);
    }
}
