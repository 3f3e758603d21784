//! The coordinator's parts in one place; the operations are in [`crate::admission`], [`crate::settle`] and
//! [`crate::queries`].

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tercet_protocol::api::{FederationInfo, SurveySummary};
use tercet_protocol::keys::SigningKey;

use crate::aws;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Place};
use crate::parties::{ClientError, Parties};
use crate::secrets;
use crate::store::{Store, StoreError};
use crate::surveys::{Deployment, DeploymentError, Documents};

/// A deployment, and the digest of the documents that it was read from.
struct Served {
    deployment: Arc<Deployment>,
    digest: String,
}

/// A running coordinator. Any number of them may share one table.
pub struct Coordinator {
    /// Its configuration.
    pub config: Config,
    /// Federation and surveys, as they were read last.
    served: RwLock<Served>,
    /// Unix seconds of the last look whether they have changed.
    looked: Mutex<u64>,
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
    /// Connects to the table, and reads the documents from where the configuration says they are.
    pub async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let aws = aws::load(config.region.as_deref()).await;
        let store = Store::connect(&config, &aws).await?;
        let key = secrets::signing_key(&config, &aws).await?;
        Self::over(config, store, key, clock).await
    }

    /// The same over a registry that is connected.
    pub async fn over(
        config: Config,
        store: Store,
        key: SigningKey,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        if matches!(config.documents(), Place::Files { .. }) {
            return Self::with_store(config, store, key, clock);
        }
        let digest = store.documents_digest().await?.unwrap_or_default();
        let documents = Documents::from_table(&config.table, store.documents().await?)?;
        Self::with_documents(config, store, key, clock, &documents, digest)
    }

    /// The same with documents in files.
    pub fn with_store(
        config: Config,
        store: Store,
        key: SigningKey,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let Place::Files { federation, surveys } = config.documents() else {
            return Err(DeploymentError::Missing(config.table.clone()).into());
        };
        let documents = Documents::from_files(federation, surveys)?;
        let digest = documents.digest();
        Self::with_documents(config, store, key, clock, &documents, digest)
    }

    fn with_documents(
        config: Config,
        store: Store,
        key: SigningKey,
        clock: Arc<dyn Clock>,
        documents: &Documents,
        digest: String,
    ) -> Result<Self, StartError> {
        let deployment = Arc::new(Deployment::of(documents, key.public(), config.public_url.as_deref())?);
        let parties = Parties::new(
            Duration::from_millis(config.party_timeout_ms),
            Duration::from_secs(config.party_rest_seconds),
        )?;
        let served = RwLock::new(Served { deployment, digest });
        let looked = Mutex::new(clock.seconds());
        Ok(Self { config, served, looked, store, parties, key, clock })
    }

    /// Federation and surveys, as they were read last.
    pub fn deployment(&self) -> Arc<Deployment> {
        Arc::clone(&self.served.read().unwrap_or_else(PoisonError::into_inner).deployment)
    }

    /// Looks whether the documents have changed, if the last look is long enough ago, and takes them then. Documents that
    /// break a rule are logged, and what was served before is served on.
    pub async fn look_for_documents(&self) {
        let now = self.clock.seconds();
        {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if now < looked.saturating_add(self.config.documents_seconds) {
                return;
            }
            *looked = now;
        }
        match self.changed_documents().await {
            Ok(None) => {}
            Ok(Some(served)) => {
                tracing::info!(surveys = served.deployment.surveys().count(), "the documents have changed");
                *self.served.write().unwrap_or_else(PoisonError::into_inner) = served;
            }
            Err(error) => {
                tracing::error!(%error, "the documents cannot be taken; the former ones are served")
            }
        }
    }

    /// The documents to serve from now on, if they have changed.
    async fn changed_documents(&self) -> Result<Option<Served>, StartError> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner).digest.clone();
        let (documents, digest) = match self.config.documents() {
            Place::Files { federation, surveys } => {
                let documents = Documents::from_files(federation, surveys)?;
                let digest = documents.digest();
                if digest == served {
                    return Ok(None);
                }
                (documents, digest)
            }
            Place::Table => {
                let digest = self.store.documents_digest().await?.unwrap_or_default();
                if digest == served {
                    return Ok(None);
                }
                (Documents::from_table(&self.config.table, self.store.documents().await?)?, digest)
            }
        };
        let url = self.config.public_url.as_deref();
        let deployment = Arc::new(Deployment::of(&documents, self.key.public(), url)?);
        Ok(Some(Served { deployment, digest }))
    }

    /// The address of a resource as clients reach it, for `Location`: below the path of the federation's URL, which a
    /// REST API without its own domain has (the stage).
    pub fn location(&self, path: &str) -> String {
        let base = self.deployment().federation.coordinator.url.parse::<http::Uri>();
        let prefix = base.as_ref().map(|u| u.path().trim_end_matches('/')).unwrap_or_default();
        format!("{prefix}{path}")
    }

    /// Body of `GET /v1/federation`.
    pub fn federation(&self) -> FederationInfo {
        FederationInfo {
            coordinator_key: self.key.public(),
            operators: self.deployment().federation.operators.to_vec(),
        }
    }

    /// Body of `GET /v1/surveys`.
    pub fn surveys(&self) -> Vec<SurveySummary> {
        let summary = |survey: &Arc<crate::surveys::Survey>| {
            let section = &survey.descriptor.manifest().survey;
            SurveySummary { id: survey.id(), name: section.name.clone(), title: section.title.clone() }
        };
        self.deployment().surveys().map(summary).collect()
    }
}
