//! The coordinator's parts in one place; the operations are in [`crate::admission`], [`crate::settle`] and
//! [`crate::queries`].

use std::sync::Arc;
use std::time::Duration;

use tercet_protocol::api::{FederationInfo, SurveySummary};
use tercet_protocol::keys::SigningKey;

use crate::aws;
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::parties::{ClientError, Parties};
use crate::secrets;
use crate::store::{Store, StoreError};
use crate::surveys::{Deployment, DeploymentError};

/// A running coordinator. Any number of them may share one table.
pub struct Coordinator {
    /// Its configuration.
    pub config: Config,
    /// Federation and surveys.
    pub deployment: Deployment,
    /// The registry.
    pub store: Store,
    /// The way to the parties.
    pub parties: Parties,
    /// Signs tickets.
    pub(crate) key: SigningKey,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
}

/// Why a coordinator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration or the key file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Federation or surveys.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// The table.
    #[error("the registry: {0}")]
    Store(#[from] StoreError),
    /// The HTTP client.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Coordinator {
    /// Reads the files that the configuration names and connects to the table.
    pub async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let aws = aws::load(config.region.as_deref()).await;
        let store = Store::connect(&config, &aws).await?;
        let key = secrets::signing_key(&config, &aws).await?;
        Self::with_store(config, store, key, clock)
    }

    /// Reads the files that the configuration names, over a registry that is connected.
    pub fn with_store(
        config: Config,
        store: Store,
        key: SigningKey,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let deployment = Deployment::load(
            &config.federation,
            &config.surveys,
            key.public(),
            config.public_url.as_deref(),
        )?;
        let parties = Parties::new(Duration::from_millis(config.party_timeout_ms))?;
        Ok(Self { config, deployment, store, parties, key, clock })
    }

    /// The address of a resource as clients reach it, for `Location`: below the path of the federation's URL, which a
    /// REST API without its own domain has (the stage).
    pub fn location(&self, path: &str) -> String {
        let base = self.deployment.federation.coordinator.url.parse::<http::Uri>();
        let prefix = base.as_ref().map(|u| u.path().trim_end_matches('/')).unwrap_or_default();
        format!("{prefix}{path}")
    }

    /// Body of `GET /v1/federation`.
    pub fn federation(&self) -> FederationInfo {
        FederationInfo {
            coordinator_key: self.key.public(),
            operators: self.deployment.federation.operators.to_vec(),
        }
    }

    /// Body of `GET /v1/surveys`.
    pub fn surveys(&self) -> Vec<SurveySummary> {
        let summary = |survey: &Arc<crate::surveys::Survey>| {
            let section = &survey.descriptor.manifest().survey;
            SurveySummary { id: survey.id(), name: section.name.clone(), title: section.title.clone() }
        };
        self.deployment.surveys().map(summary).collect()
    }
}
