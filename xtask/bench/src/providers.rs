//! Many providers: each fetches its page over TLS, has it notarized, proves and seals; all before the clock runs. The page is
//! proven by a presentation or by a session through the notary that forwards.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use tercet_client::coordinator::{Admitted, Coordinator, Deployment};
use tercet_client::http::{HttpOptions, Url};
use tercet_client::notarize::{Headers, Notarized, Plan, notarize};
use tercet_client::session::{self, Credentials, Shape, Target, notaries};
use tercet_evidence::{Kind, Secrets, SurveyVerifier, Witness};
use tercet_mpc::OneCore;
use tercet_protocol::ids::{PublicKey, SubmissionId};
use tercet_protocol::keys::random;
use tercet_protocol::submission::{PublicPart, ShareHashes, ShareUpload, Ticket, seal_private};
use tercet_stack::Stack;
use tlsn_verifier::{HashAlg, WireVersion};
use zeroize::Zeroizing;

use crate::proc::thread_cpu;
use crate::report::spread;

/// Providers that fetch and prove at the same time.
const PREPARING: usize = 8;
/// Providers that ask for admission at the same time.
const ADMITTING: usize = 32;

/// A proven submission.
pub struct Proven {
    /// The part that everybody sees.
    pub public: PublicPart,
    private: [Zeroizing<Vec<u8>>; 3],
}

/// A submission with its ticket: the bodies of the three uploads.
pub struct Ready {
    /// Its id.
    pub id: SubmissionId,
    /// The bodies for each party.
    pub bodies: [Bytes; 3],
}

#[derive(Deserialize)]
struct Account {
    api_key: String,
    api_secret: String,
}

/// The providers' view of a running system.
pub struct Providers {
    /// The coordinator.
    pub coordinator: Coordinator,
    /// Survey and parties.
    pub deployment: Deployment,
    notary: Url,
    proxy: Url,
    exchange: String,
    root: Vec<u8>,
    accounts: Vec<Account>,
}

impl Providers {
    /// The providers of the accounts at the sample exchange.
    pub async fn of(stack: &Stack) -> Result<Self> {
        let coordinator = Coordinator::new(&stack.coordinator(), HttpOptions::default())?;
        let deployment = coordinator.deployment(coordinator.survey(stack.survey()).await?).await?;
        let exchange = stack.layout().exchange();
        Ok(Self {
            coordinator,
            deployment,
            notary: Url::parse(&stack.notary())?,
            proxy: Url::parse(&stack.proxy())?,
            exchange: stack.exchange(),
            root: std::fs::read(exchange.join("root.der"))?,
            accounts: serde_json::from_slice(&std::fs::read(exchange.join("accounts.json"))?)?,
        })
    }

    /// Proves for the first `count` accounts, with evidence of this kind.
    pub async fn prove(&self, count: usize, kind: Kind) -> Result<Vec<Proven>> {
        if count > self.accounts.len() {
            bail!("the exchange has {} accounts only", self.accounts.len());
        }
        stream::iter(self.accounts.iter().take(count).enumerate())
            .map(|(i, account)| async move {
                if i % 500 == 0 {
                    eprintln!("preparing submission {i} of {count}");
                }
                let survey = self.deployment.survey.clone();
                match kind {
                    Kind::Presentation => {
                        let notarized = self.notarize(account, i).await?;
                        tokio::task::spawn_blocking(move || prove(&survey, notarized)).await?
                    }
                    Kind::Session => {
                        let (evidence, secrets) = self.session(account).await?;
                        let proof = move || prove_session(&survey, evidence, &secrets);
                        tokio::task::spawn_blocking(proof).await?
                    }
                }
            })
            .buffered(PREPARING)
            .try_collect()
            .await
    }

    async fn notarize(&self, account: &Account, index: usize) -> Result<Notarized> {
        let mut headers = Headers::default();
        headers.add("the account", &format!("X-MBX-APIKEY: {}", account.api_key))?;
        let plan = Plan {
            url: "https://api.exchange.test/api/v3/account?omitZeroBalances=true".into(),
            connect: Some(self.exchange.clone()),
            headers,
            survey: self.deployment.survey.manifest().clone(),
            roots: vec![self.root.clone()],
            hash: HashAlg::Sha256,
            format: if index.is_multiple_of(2) { WireVersion::Alpha15 } else { WireVersion::Alpha12 },
        };
        Ok(notarize(self.coordinator.http(), &self.notary, &plan).await?)
    }

    /// A session with the exchange through the notary that forwards.
    async fn session(&self, account: &Account) -> Result<(Vec<u8>, Secrets)> {
        let survey = &self.deployment.survey;
        let (target, keys) = (Target::of(survey)?, notaries(survey.manifest())?);
        let mut given = Credentials::default();
        given.values.set("api_key", Zeroizing::new(account.api_key.clone()));
        given.values.set("api_secret", Zeroizing::new(account.api_secret.clone()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let request = Shape::of(survey.manifest()).make(given, u64::try_from(now)?)?;
        let (http, coordinator) = (self.coordinator.http(), self.coordinator.url());
        let session = session::notarize(http, coordinator, &self.proxy, &keys, &target, &request.0).await?;
        Ok(session.evidence(survey.manifest())?)
    }

    /// Gets the coordinator's tickets and seals.
    pub async fn admit(&self, proven: Vec<Proven>) -> Result<Vec<Ready>> {
        stream::iter(proven)
            .map(|p| async move {
                match self.coordinator.admit(&p.public).await? {
                    Admitted::Ticket(admission) => Ok((p, admission.ticket)),
                    Admitted::Known(_) => bail!("the coordinator knows a new submission already"),
                }
            })
            .buffer_unordered(ADMITTING)
            .map(|admitted| admitted.and_then(|(p, ticket)| self.seal(&p, &ticket)))
            .try_collect()
            .await
    }

    fn seal(&self, proven: &Proven, ticket: &Ticket) -> Result<Ready> {
        let id = proven.public.id();
        let public = proven.public.encode();
        let body = |party: usize| -> Result<Bytes> {
            let key = self.deployment.parties[party].sealing;
            let sealed = seal_private(key, id, party as u8, &proven.private[party])?;
            Ok(ShareUpload { public: public.clone(), ticket: ticket.clone(), sealed }.encode().into())
        };
        Ok(Ready { id, bodies: [body(0)?, body(1)?, body(2)?] })
    }
}

/// The work of `tercet submit` on a presentation and its secrets before it uploads.
fn prove(survey: &tercet_protocol::survey::SurveyDescriptor, notarized: Notarized) -> Result<Proven> {
    let (verified, admitted) =
        SurveyVerifier::new(survey)?.check(Kind::Presentation, &notarized.presentation)?;
    let statement = verified.statement(&admitted, survey.manifest())?;
    let witness = notarized.secrets.columns(&verified, &admitted)?;
    let mut public = PublicPart {
        survey: survey.id(),
        kind: Kind::Presentation,
        withdrawal_key: PublicKey([0; 32]),
        evidence: notarized.presentation,
        share_hashes: ShareHashes::default(),
    };
    let proven = tercet_mpc::prove(&statement, &witness, &public.proof_context(), &random()?, &mut |_| {})?;
    public.share_hashes = proven.public;
    Ok(Proven { public, private: proven.private })
}

/// The same with a session.
fn prove_session(
    survey: &tercet_protocol::survey::SurveyDescriptor,
    evidence: Vec<u8>,
    secrets: &Secrets,
) -> Result<Proven> {
    let (verified, admitted) = SurveyVerifier::new(survey)?.check(Kind::Session, &evidence)?;
    let statement = verified.statement(&admitted, survey.manifest())?;
    let witness = secrets.witness(survey.id(), &verified, &admitted, &statement).ok();
    let Some(Witness::Session { secret, .. }) = witness else { bail!("the session does not open") };
    let mut public = PublicPart {
        survey: survey.id(),
        kind: Kind::Session,
        withdrawal_key: PublicKey([0; 32]),
        evidence,
        share_hashes: ShareHashes::default(),
    };
    let context = public.proof_context();
    let proven = tercet_mpc::prove_session(&OneCore, &statement, &secret, &context, &random()?, &mut |_| {})?;
    public.share_hashes = proven.public;
    Ok(Proven { public, private: proven.private })
}

/// CPU milliseconds of verifying one submission's evidence as a party does before the proof: statement of the notary,
/// handshake, policy, and making the statement that the proof is checked against. The median of many.
pub fn evidence_cpu(survey: &tercet_protocol::survey::SurveyDescriptor, public: &PublicPart) -> Result<f64> {
    let verifier = SurveyVerifier::new(survey)?;
    let mut times = Vec::new();
    for _ in 0..51 {
        let before = thread_cpu();
        let (verified, admitted) = verifier.check(public.kind, &public.evidence)?;
        std::hint::black_box(verified.statement(&admitted, survey.manifest())?.encode());
        times.push((thread_cpu() - before) * 1e3);
    }
    Ok(spread(&times).1)
}
