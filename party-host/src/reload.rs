//! The documents that may change while a party runs: the description of the deployment, and the approved surveys. Each minute,
//! and on SIGHUP, the party looks if they have changed. A change is read and checked as a whole before any of it counts. A change
//! that is refused leaves everything as it was, and log and metric report it.
//!
//! A survey that is new is loaded beside those that run. A survey whose document is gone goes on until the party is started
//! again: a promise to providers does not end because a file is missing.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use tercet_protocol::ids::{PublicKey, SealingKey};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::operator::{Federation, FederationError};
use tercet_protocol::survey::SurveyDescriptor;
use tokio::sync::Notify;

use crate::config::{BatchConfig, ConfigError, LimitsConfig, ReleasesConfig};
use crate::documents::DocumentPlace;
use crate::measures;
use crate::node::{Node, Parts, SurveyNode};
use crate::sandbox::{Sandbox, SandboxError};
use crate::serve::{self, ServeError};
use crate::store::{Progress, Store};

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(60);

/// The keys of this party that others were told. They cannot change while it runs.
#[derive(Debug, Clone, Copy)]
pub struct Published {
    /// Names the operator.
    pub identity: PublicKey,
    /// The key that private parts are sealed to.
    pub sealing: SealingKey,
    /// The peer link's key.
    pub peer: PublicKey,
}

impl Published {
    /// Checks that a deployment lists this operator with the keys that it has.
    pub fn fits(&self, federation: &Federation) -> Result<(), ServeError> {
        let ours = federation
            .operators
            .iter()
            .find(|m| m.identity == self.identity)
            .ok_or(FederationError::Missing(self.identity))?;
        if ours.sealing != self.sealing {
            return Err(ServeError::OtherKey("sealing key"));
        }
        if !ours.peer_keys().contains(&self.peer) {
            return Err(ServeError::OtherKey("peer key"));
        }
        Ok(())
    }
}

/// The parts that all surveys of a party have in common.
pub struct Workshop {
    /// Signs entries, receipts and results.
    pub identity: Arc<SigningKey>,
    /// The operator's bucket.
    pub store: Store,
    /// The engine, and those of earlier releases that a survey may pin.
    pub sandboxes: Vec<Sandbox>,
    /// Bounds.
    pub limits: LimitsConfig,
    /// Batching.
    pub batch: BatchConfig,
    /// Release points.
    pub releases: ReleasesConfig,
}

impl Workshop {
    /// The parts of a survey: with the engine that it pins, or, to be refused, with the newest.
    fn parts(&self, survey: &SurveyDescriptor) -> Result<Parts, SandboxError> {
        let pinned = self.sandboxes.iter().find(|s| s.digest() == survey.engine());
        let newest = || SandboxError::Load("the party has no engine".into());
        let sandbox = pinned.or(self.sandboxes.first()).ok_or_else(newest)?.clone();
        Ok(Parts {
            sandbox,
            identity: self.identity.clone(),
            store: self.store.clone(),
            pending: self.limits.pending,
            patience: Duration::from_secs(self.limits.peer_seconds),
            gather: Duration::from_millis(self.batch.gather_ms),
            max_batch: self.batch.max,
            linger: Duration::from_millis(self.batch.linger_ms),
            releases_any: self.releases.any_time,
        })
    }

    /// Loads surveys that are [`announced`], one after the other, and lets each take part as soon as it is loaded. A survey that
    /// cannot be loaded does not keep others back.
    pub async fn load(
        &self,
        node: &Arc<Node>,
        surveys: Vec<(SurveyDescriptor, Arc<Progress>)>,
    ) -> Result<(), ServeError> {
        let mut outcome = Ok(());
        for (survey, progress) in surveys {
            let (id, name) = (survey.id(), survey.manifest().survey.name.clone());
            let parts = self.parts(&survey)?;
            let taken = match SurveyNode::load(survey, parts, &progress).await {
                Ok(survey) => node.adopt(survey).await.map_err(ServeError::from),
                Err(source) => Err(ServeError::SurveyStart { name, source }),
            };
            if taken.is_err() {
                node.gives_up(&id);
                outcome = taken;
            }
        }
        outcome
    }
}

/// Tells the party which surveys it is about to load: until then requests about them are answered with 503. `first`: those that
/// it starts with.
pub fn announced(
    node: &Node,
    surveys: Vec<SurveyDescriptor>,
    first: bool,
) -> Vec<(SurveyDescriptor, Arc<Progress>)> {
    let announce = |survey: SurveyDescriptor| {
        let progress = Arc::new(Progress::default());
        node.loads(survey.id(), progress.clone(), first);
        (survey, progress)
    };
    surveys.into_iter().map(announce).collect()
}

/// The documents, and the versions that were seen last.
pub struct Documents {
    /// The deployment's description.
    pub federation: DocumentPlace,
    /// The folder of surveys and their approvals.
    pub surveys: DocumentPlace,
    /// Reads places in a bucket.
    pub aws: SdkConfig,
    /// This party's keys.
    pub published: Published,
    /// The version of each that was judged last.
    seen: [Option<String>; 2],
}

impl Documents {
    /// Documents that were not looked at yet.
    pub fn new(
        federation: DocumentPlace,
        surveys: DocumentPlace,
        aws: SdkConfig,
        published: Published,
    ) -> Self {
        Self { federation, surveys, aws, published, seen: [None, None] }
    }

    /// Reads the documents at the start. Any later difference from these counts as a change.
    pub async fn first(&mut self) -> Result<(Federation, Vec<SurveyDescriptor>), ServeError> {
        let versions =
            [self.federation.version(&self.aws).await?, self.surveys.folder_version(&self.aws).await?];
        let federation = self.deployment().await?;
        let surveys = serve::surveys(&self.surveys, &self.aws, &self.published.identity).await?;
        self.seen = versions.map(Some);
        Ok((federation, surveys))
    }

    async fn deployment(&self) -> Result<Federation, ServeError> {
        let federation = serve::federation(&self.federation, &self.aws).await?;
        self.published.fits(&federation)?;
        Ok(federation)
    }

    /// Looks if documents have changed, and takes those that have. Gives the changed ones, and whether each was taken.
    pub async fn look(&mut self, node: &Arc<Node>, workshop: &Workshop) -> Vec<(&'static str, bool)> {
        let mut judged = Vec::new();
        let version = self.federation.version(&self.aws).await;
        if let Some(outcome) = self.changed(0, version) {
            let taken = match outcome {
                Ok(()) => self.take_deployment(node).await,
                Err(e) => Err(e),
            };
            judged.push(self.judged(0, "federation", taken));
        }
        let version = self.surveys.folder_version(&self.aws).await;
        if let Some(outcome) = self.changed(1, version) {
            let taken = match outcome {
                Ok(()) => self.take_surveys(node, workshop).await,
                Err(e) => Err(e),
            };
            judged.push(self.judged(1, "surveys", taken));
        }
        judged
    }

    /// `None` if a document is the one that was judged last. It counts as judged from here on.
    fn changed(
        &mut self,
        which: usize,
        version: Result<String, ConfigError>,
    ) -> Option<Result<(), ServeError>> {
        match version {
            Ok(version) if self.seen[which].as_ref() == Some(&version) => None,
            Ok(version) => {
                self.seen[which] = Some(version);
                Some(Ok(()))
            }
            Err(e) => Some(Err(e.into())),
        }
    }

    fn judged(
        &mut self,
        which: usize,
        name: &'static str,
        taken: Result<(), ServeError>,
    ) -> (&'static str, bool) {
        let Err(e) = taken else {
            tracing::info!(document = name, "changed documents are in use");
            return (name, true);
        };
        metrics::counter!(measures::DOCUMENTS_REFUSED, "document" => name).increment(1);
        tracing::error!(document = name, error = %e, "changed documents are not used: all stays as it was");
        // What could not be read may be readable in a minute; what was read and is wrong stays wrong.
        if e.may_pass() {
            self.seen[which] = None;
        }
        (name, false)
    }

    async fn take_deployment(&self, node: &Arc<Node>) -> Result<(), ServeError> {
        Ok(node.redeploy(self.deployment().await?)?)
    }

    async fn take_surveys(&self, node: &Arc<Node>, workshop: &Workshop) -> Result<(), ServeError> {
        let surveys = serve::surveys(&self.surveys, &self.aws, &self.published.identity).await?;
        for running in node.running() {
            if !surveys.iter().any(|s| s.id() == running.id()) {
                tracing::warn!(
                    survey = %running.id(),
                    "this survey's document or approval is gone: it runs until the party is started again"
                );
            }
        }
        let new: Vec<_> = surveys.into_iter().filter(|s| !node.knows(&s.id())).collect();
        workshop.load(node, announced(node, new, false)).await
    }

    /// Looks each minute, and at once when told to.
    pub async fn watch(mut self, node: Arc<Node>, workshop: Workshop, now: Arc<Notify>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = now.notified() => tracing::info!("the documents are looked at because of SIGHUP"),
            }
            self.look(&node, &workshop).await;
        }
    }
}
