//! Many providers: each fetches its page over TLS, has it notarized, proves and seals; all before the clock runs.

use anyhow::{Result, bail};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use tercet_client::coordinator::{Admitted, Coordinator, Deployment};
use tercet_client::http::{HttpOptions, Url};
use tercet_client::notarize::{Headers, Notarized, Plan, notarize};
use tercet_evidence::{Kind, SurveyVerifier};
use tercet_protocol::ids::{PublicKey, SubmissionId};
use tercet_protocol::keys::random;
use tercet_protocol::submission::{PublicPart, ShareHashes, ShareUpload, Ticket, seal_private};
use tercet_stack::Stack;
use tlsn_verifier::{HashAlg, WireVersion};
use zeroize::Zeroizing;

/// Providers that fetch and prove at the same time.
const PREPARING: usize = 8;
/// Providers that ask for admission at the same time.
const ADMITTING: usize = 32;

/// A proven submission.
pub struct Proven {
    public: PublicPart,
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
}

/// The providers' view of a running system.
pub struct Providers {
    /// The coordinator.
    pub coordinator: Coordinator,
    /// Survey and parties.
    pub deployment: Deployment,
    notary: Url,
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
            exchange: stack.exchange(),
            root: std::fs::read(exchange.join("root.der"))?,
            accounts: serde_json::from_slice(&std::fs::read(exchange.join("accounts.json"))?)?,
        })
    }

    /// Proves for the first `count` accounts.
    pub async fn prove(&self, count: usize) -> Result<Vec<Proven>> {
        if count > self.accounts.len() {
            bail!("the exchange has {} accounts only", self.accounts.len());
        }
        stream::iter(self.accounts.iter().take(count).enumerate())
            .map(|(i, account)| async move {
                if i % 500 == 0 {
                    eprintln!("preparing submission {i} of {count}");
                }
                let notarized = self.notarize(account, i).await?;
                let survey = self.deployment.survey.clone();
                tokio::task::spawn_blocking(move || prove(&survey, notarized)).await?
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
