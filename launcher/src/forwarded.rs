//! The demonstration's providers whose sessions a notary forwards, and the attempts of dishonest ones among them.

use anyhow::Result;
use tercet_client::Error;
use tercet_client::coordinator::{Coordinator, Deployment};
use tercet_client::http::Url;
use tercet_client::session::{self, Credentials, Notarized, Shape, Target};
use tercet_client::submit::{self, SubmitOptions, Submitted};
use tercet_evidence::{Kind, Secrets};
use tercet_protocol::ids::PublicKey;
use tercet_protocol::submission::{PublicPart, ShareHashes};
use tercet_protocol::survey::SurveyDescriptor;
use tercet_tls_session::{Evidence, Recording, StatementKey};
use zeroize::Zeroizing;

/// The way through the notary.
pub struct Forwarded {
    notary: Url,
    survey: SurveyDescriptor,
    keys: Vec<PublicKey>,
    target: Target,
}

impl Forwarded {
    /// The notary of a local system.
    pub fn of(survey: &SurveyDescriptor, notary: &str) -> Result<Self> {
        Ok(Self {
            notary: Url::parse(notary)?,
            keys: session::notaries(survey.manifest())?,
            target: Target::of(survey)?,
            survey: survey.clone(),
        })
    }

    /// One session with a signed request.
    pub async fn session(&self, coordinator: &Coordinator, key: &str, secret: &str) -> Result<Notarized> {
        let mut credentials = Credentials::default();
        credentials.values.set("api_key", Zeroizing::new(key.to_owned()));
        credentials.values.set("api_secret", Zeroizing::new(secret.to_owned()));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
        let request = Shape::of(self.survey.manifest()).make(credentials, u64::try_from(now)?)?;
        let http = coordinator.http();
        let (url, target) = (coordinator.url(), &self.target);
        Ok(session::notarize(http, url, &self.notary, &self.keys, target, &request.0).await?)
    }

    /// Makes a session and submits it.
    pub async fn submit(
        &self,
        coordinator: &Coordinator,
        deployment: &Deployment,
        key: &str,
        secret: &str,
    ) -> Result<Submitted, Error> {
        let failed = |e: anyhow::Error| Error::Exchange(format!("{e:#}"));
        let session = self.session(coordinator, key, secret).await.map_err(failed)?;
        let (evidence, secrets) = self.evidence(&session).map_err(failed)?;
        drop(session);
        submit::submit(coordinator, deployment, &evidence, &secrets, SubmitOptions::default(), &|_| {}).await
    }

    /// The part of a session that is submitted.
    pub fn evidence(&self, session: &Notarized) -> Result<(Vec<u8>, Secrets)> {
        Ok(session.evidence(self.survey.manifest())?)
    }

    /// Evidence that was altered, as far as the coordinator looks at it.
    pub fn public(&self, evidence: &Evidence) -> PublicPart {
        PublicPart {
            survey: self.survey.id(),
            kind: Kind::Session,
            withdrawal_key: PublicKey([0; 32]),
            evidence: evidence.encode(),
            share_hashes: ShareHashes::default(),
        }
    }
}

/// A byte of the server's changed, as if on the way.
pub fn tampered(evidence: &mut Evidence) -> Result<()> {
    if let Some(byte) = evidence.server.last_mut() {
        *byte ^= 1;
    }
    Ok(())
}

/// The changed bytes stated by a notary of one's own.
pub fn restated(evidence: &mut Evidence) -> Result<()> {
    tampered(evidence)?;
    let own = StatementKey::from_seed(&[1; 32]).ok_or_else(|| anyhow::anyhow!("no key"))?;
    let mut statement = evidence.statement.unchecked().clone();
    statement.server = Recording::of(&evidence.server);
    evidence.statement = own.sign(statement);
    Ok(())
}
