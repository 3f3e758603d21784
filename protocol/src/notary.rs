//! The messages between provider, coordinator and a notary that forwards TLS 1.3 sessions.
//!
//! A session is a WebSocket. The provider's first text frame is a [`ToNotary::Ticket`]; the notary connects to the
//! survey's server and answers [`FromNotary::Opened`]. Binary frames carry the bytes of both directions. After
//! [`ToNotary::Done`], or when the server has closed, the notary's last text frame is [`FromNotary::Statement`].

use serde::{Deserialize, Serialize};

use crate::codec::Writer;
use crate::ids::{Nonce, PublicKey, Signature, SurveyId};
use crate::keys::{KeyError, SigningKey};

/// Longest life of a ticket, in seconds.
pub const TICKET_SECONDS: u64 = 60;
/// Largest text frame, in bytes.
pub const MAX_TEXT: usize = 4096;

/// The coordinator's word that somebody may hold one session with a notary. It says nothing of who: no id in it
/// returns when a value is submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotaryTicket {
    /// The survey.
    pub survey: SurveyId,
    /// The notary.
    pub notary: PublicKey,
    /// Drawn for this ticket: the notary takes it once.
    pub nonce: Nonce,
    /// Unix seconds after which the notary refuses it.
    pub expires: u64,
    /// The coordinator's signature of [`Self::message`].
    pub signature: Signature,
}

impl NotaryTicket {
    /// Issues a ticket.
    pub fn issue(key: &SigningKey, survey: SurveyId, notary: PublicKey, nonce: Nonce, expires: u64) -> Self {
        let mut this = Self { survey, notary, nonce, expires, signature: Signature([0; 64]) };
        this.signature = key.sign(&this.message());
        this
    }

    /// The signed bytes.
    pub fn message(&self) -> Vec<u8> {
        let mut w = Writer::tagged("tercet notary ticket v1");
        w.array(self.survey.as_ref())
            .array(self.notary.as_ref())
            .array(self.nonce.as_ref())
            .u64(self.expires);
        w.finish()
    }

    /// Checks the coordinator's signature (not the expiry: the caller owns the clock).
    pub fn verify(&self, coordinator: &PublicKey) -> Result<(), KeyError> {
        coordinator.verify(&self.message(), &self.signature)
    }
}

/// `POST /v1/surveys/{survey}/notary-tickets`: for which of the survey's notaries a ticket is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketRequest {
    /// The notary's public key.
    pub notary: PublicKey,
}

/// A text frame from a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToNotary {
    /// The first frame.
    Ticket(NotaryTicket),
    /// The provider needs no more: the notary ends the connection and states what passed.
    Done,
}

/// A text frame from a notary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FromNotary {
    /// The connection to the server is open.
    Opened {
        /// The address that the notary connected to.
        address: std::net::IpAddr,
    },
    /// The signed statement about the bytes that passed; in hexadecimal. The last frame.
    Statement(String),
    /// The session failed. The last frame.
    Refused {
        /// A stable name of the reason, in kebab case.
        code: String,
        /// The reason for people.
        detail: String,
    },
}

/// `GET /v1/notary`: a notary's account of itself. Nobody has to believe it: surveys pin the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotaryInfo {
    /// The public key under its statements.
    pub key: PublicKey,
    /// Surveys that it serves.
    pub surveys: Vec<SurveyId>,
    /// Names that it takes from its configuration instead of from resolvers, which is for development only: none in
    /// use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mapped: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_bind_every_field() {
        let key = SigningKey::from_seed(&[9; 32]).unwrap();
        let (survey, notary, nonce) = (SurveyId([1; 32]), PublicKey([2; 32]), Nonce([3; 16]));
        let good = NotaryTicket::issue(&key, survey, notary, nonce, 5);
        assert_eq!(good.verify(&key.public()), Ok(()));
        for altered in [
            NotaryTicket { survey: SurveyId([9; 32]), ..good.clone() },
            NotaryTicket { notary: PublicKey([9; 32]), ..good.clone() },
            NotaryTicket { nonce: Nonce([9; 16]), ..good.clone() },
            NotaryTicket { expires: 6, ..good.clone() },
        ] {
            assert_eq!(altered.verify(&key.public()), Err(KeyError::BadSignature), "{altered:?}");
        }
    }

    #[test]
    fn frames_have_the_documented_form() {
        assert_eq!(serde_json::to_string(&ToNotary::Done).unwrap(), "\"done\"");
        let refused = FromNotary::Refused { code: "busy".into(), detail: "later".into() };
        let json = r#"{"refused":{"code":"busy","detail":"later"}}"#;
        assert_eq!(serde_json::to_string(&refused).unwrap(), json);
        let statement: FromNotary = serde_json::from_str(r#"{"statement":"00ff"}"#).unwrap();
        assert_eq!(statement, FromNotary::Statement("00ff".into()));
    }
}
