//! Assembles a party from its configuration, and runs it until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::SdkConfig;
use metrics_exporter_prometheus::PrometheusHandle;
use tercet_protocol::approval::Approval;
use tercet_protocol::ids::{PublicKey, SurveyId};
use tercet_protocol::keys::OpeningKey;
use tercet_protocol::operator::{Federation, FederationError};
use tercet_protocol::survey::{SurveyDescriptor, SurveyError};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Host};
use crate::aws;
use crate::clock::SystemClock;
use crate::config::{CloudWatchConfig, Config, ConfigError, Keys};
use crate::documents::DocumentPlace;
use crate::emf;
use crate::keyring::{FileKeyring, KeyWrapper, KeyringError, Sealer};
use crate::measures;
use crate::node::{MAX_HELLO, Node, NodeParts, RedeployError, SurveyStartError};
use crate::peer::{KnownPeer, Limits as PeerLimits, PeerConfig, PeerLinks, StartError};
use crate::reload::{Documents, Published, Workshop, announced};
use crate::sandbox::{Limits, Sandbox, SandboxError};
use crate::secrets::WrappingPlace;
use crate::store::{Lease, Store, StoreError};

/// Why a party does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The federation file.
    #[error(transparent)]
    Federation(#[from] FederationError),
    /// A JSON file.
    #[error("{0}: {1}")]
    Json(DocumentPlace, String),
    /// A survey.
    #[error("survey {place}: {source}")]
    Survey {
        /// Its file.
        place: DocumentPlace,
        /// The fault.
        source: SurveyError,
    },
    /// A survey cannot run here.
    #[error("survey {name}: {source}")]
    SurveyStart {
        /// Its name.
        name: String,
        /// The fault.
        source: SurveyStartError,
    },
    /// The published manifest names other keys than the key files.
    #[error(
        "the federation lists this operator with another {0} than its key file holds: publish the manifest again"
    )]
    OtherKey(&'static str),
    /// The engine.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The keyring.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The peer link.
    #[error(transparent)]
    Peer(#[from] StartError),
    /// Another description of the deployment, while the party runs.
    #[error(transparent)]
    Redeploy(#[from] RedeployError),
    /// A socket.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The place.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The API server failed.
    #[error("the API server ended: {0}")]
    Serve(std::io::Error),
    /// Metrics.
    #[error("metrics: {0}")]
    Metrics(String),
}

impl ServeError {
    /// True if the same may succeed a minute later without anybody doing anything.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Config(_) => true,
            Self::Store(e) | Self::SurveyStart { source: SurveyStartError::Store(e), .. } => e.is_retryable(),
            _ => false,
        }
    }
}

/// Time for open requests to be answered when all of the stop time was needed for sessions.
const ANSWERS: Duration = Duration::from_secs(2);

/// A party whose API listens. It may still be starting: see [`Loading`].
pub struct Running {
    /// The address of its API.
    pub address: SocketAddr,
    host: Arc<Host>,
    server: tokio::task::JoinHandle<()>,
    loading: tokio::task::AbortHandle,
    stop: CancellationToken,
    /// Set once the lease on the bucket is this process's.
    held: Arc<OnceLock<Held>>,
    replaced: CancellationToken,
    look: Arc<Notify>,
}

/// The lease on the bucket, and who renews it.
struct Held {
    store: Store,
    lease: Arc<Lease>,
    renewing: tokio::task::JoinHandle<()>,
}

/// The rest of a start, once the API listens. Ends when all surveys are loaded, or with the error that prevents it.
pub struct Loading(tokio::task::JoinHandle<Result<Arc<Node>, ServeError>>);

impl Loading {
    /// Waits for the end. May be dropped and called again before that.
    pub async fn end(&mut self) -> Result<Arc<Node>, ServeError> {
        (&mut self.0).await.unwrap_or_else(|e| Err(ServeError::Serve(std::io::Error::other(e))))
    }
}

impl Running {
    /// Stops in order: no new sessions, running ones end, open requests are answered.
    pub async fn stop(self, patience: Duration) -> Result<(), ServeError> {
        let deadline = tokio::time::Instant::now() + patience;
        self.loading.abort();
        if let Some(node) = self.host.node() {
            node.stop(patience).await;
        }
        self.stop.cancel();
        // What is left of the time, and a moment at least: open requests are answered by now.
        let answered = deadline.max(tokio::time::Instant::now() + ANSWERS);
        let _in_time = tokio::time::timeout_at(answered, self.server).await;
        if let Some(Held { store, lease, renewing }) = self.held.get() {
            renewing.abort();
            store.release_lease(lease).await;
        }
        Ok(())
    }

    /// Ends when another process of this party has taken the lease on the bucket: this one must stop at once.
    pub async fn replaced(&self) {
        self.replaced.cancelled().await;
    }

    /// Looks at once whether documents have changed, without waiting for the minute to end.
    pub fn look_at_documents(&self) {
        self.look.notify_one();
    }
}

/// Reads the deployment's file and checks it.
pub async fn federation(place: &DocumentPlace, aws: &SdkConfig) -> Result<Federation, ServeError> {
    let federation: Federation = serde_json::from_slice(&place.read(aws).await?)
        .map_err(|e| ServeError::Json(place.clone(), e.to_string()))?;
    federation.verify()?;
    Ok(federation)
}

/// Reads the survey descriptors in a folder that the operator with the key `identity` approved. A descriptor without the
/// operator's signed [`Approval`] beside it is not run, no matter who put it there: it is left out, and the log reports an error.
pub async fn surveys(
    folder: &DocumentPlace,
    aws: &SdkConfig,
    identity: &PublicKey,
) -> Result<Vec<SurveyDescriptor>, ServeError> {
    let mut surveys = Vec::new();
    for place in folder.list(aws).await? {
        let bytes = place.read(aws).await?;
        let survey = match SurveyDescriptor::from_bytes(bytes) {
            Ok(survey) => survey,
            Err(source) => return Err(ServeError::Survey { place, source }),
        };
        // Two instances of one survey would be two parties with one key.
        if surveys.iter().any(|other: &SurveyDescriptor| other.id() == survey.id()) {
            tracing::error!(code = "survey-twice", %place, survey = %survey.id(), "this survey lies here twice: delete one file");
            continue;
        }
        let approval = folder.child(&Approval::file_name(&survey.id(), identity)).read_if_there(aws).await?;
        match approved(approval.as_deref(), &survey.id(), identity) {
            Ok(()) => surveys.push(survey),
            Err(why) => tracing::error!(
                code = "not-approved", %place, survey = %survey.id(),
                "this survey is not run: {why}; its operator approves it with `tercet survey approve`"
            ),
        }
    }
    Ok(surveys)
}

/// Checks that `approval`, a file's content, is the consent of the operator `identity` to `survey`; if not, gives the reason.
fn approved(approval: Option<&[u8]>, survey: &SurveyId, identity: &PublicKey) -> Result<(), String> {
    let approval = approval.ok_or("its operator has not signed an approval of it")?;
    let approval: Approval = serde_json::from_slice(approval)
        .map_err(|e| format!("the approval beside it cannot be read: {e}"))?;
    approval.verify(survey, identity).map_err(|e| format!("the approval beside it does not count: {e}"))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
}

/// The keyring whose keys are in KMS.
#[cfg(feature = "cloud")]
fn kms_keyring(aws: &SdkConfig, key: &str, earlier: &[String]) -> Result<Arc<dyn KeyWrapper>, ServeError> {
    Ok(Arc::new(crate::keyring::KmsKeyring::new(aws, key, earlier.to_vec())))
}

#[cfg(not(feature = "cloud"))]
fn kms_keyring(_: &SdkConfig, key: &str, _: &[String]) -> Result<Arc<dyn KeyWrapper>, ServeError> {
    let code = "this party was built without the feature `cloud`".into();
    Err(KeyringError::KmsKey { key: key.into(), code }.into())
}

/// Starts a party. Its API listens when this returns, and answers that the party is starting; the rest takes as long as keys,
/// the lease, the engine and the logs take.
pub async fn start(config: Config, metrics: PrometheusHandle) -> Result<(Running, Loading), ServeError> {
    let listener = listen(config.listen).await?;
    let address = listener.local_addr().map_err(ServeError::Serve)?;
    let stop = CancellationToken::new();
    if let Some(address) = config.metrics_listen {
        let router = api::metrics_router(metrics.clone());
        tokio::spawn(api::serve(listen(address).await?, router, api::Bounds::default(), stop.clone()));
    }
    if let Some(CloudWatchConfig { namespace, party }) = config.cloudwatch.clone() {
        let clock = Arc::new(SystemClock);
        tokio::spawn(emf::write(metrics, clock, namespace, party, measures::WATCHED));
    }
    let host = Arc::new(Host::default());
    let router = api::router(api::App { host: host.clone(), bodies: api::Bodies::default() });
    let server = tokio::spawn(api::serve(listener, router, api::Bounds::default(), stop.clone()));
    let starting = Starting {
        host: host.clone(),
        held: Arc::default(),
        stop: stop.clone(),
        replaced: CancellationToken::new(),
        look: Arc::default(),
    };
    let (held, replaced, look) = (starting.held.clone(), starting.replaced.clone(), starting.look.clone());
    let loading = tokio::spawn(starting.load(config));
    let running =
        Running { address, host, server, loading: loading.abort_handle(), stop, held, replaced, look };
    Ok((running, Loading(loading)))
}

/// A start under way, and the parts that it shares with callers who may stop it.
struct Starting {
    host: Arc<Host>,
    held: Arc<OnceLock<Held>>,
    stop: CancellationToken,
    replaced: CancellationToken,
    look: Arc<Notify>,
}

impl Starting {
    async fn load(self, config: Config) -> Result<Arc<Node>, ServeError> {
        let host = &self.host;
        host.does("reading keys and documents");
        let aws = aws::load(config.store.region.as_deref()).await;
        let Keys { identity, sealing, peer: peer_key } = Keys::load(&config.keys, &aws).await?;
        let identity = Arc::new(identity);
        let published = Published {
            identity: identity.public(),
            sealing: sealing.first().map(OpeningKey::public).ok_or(ServeError::OtherKey("sealing key"))?,
            peer: peer_key.public(),
        };
        let mut documents = Documents::new(config.federation, config.surveys, aws.clone(), published);
        let (federation, surveys) = documents.first().await?;

        let limits = Limits {
            memory: config.limits.engine_memory_mib << 20,
            compute: Duration::from_secs(config.limits.engine_seconds),
        };
        let engines = [vec![config.engine], config.earlier_engines].concat();
        // Compiling takes about a second of CPU for each.
        let compiling = tokio::task::spawn_blocking(move || {
            let load = |engine: &PathBuf| Sandbox::load(engine, None, limits);
            engines.iter().map(load).collect::<Result<Vec<_>, _>>()
        });

        host.does("waiting for the lease on the bucket");
        let keyring: Arc<dyn KeyWrapper> = match &config.keys.store {
            WrappingPlace::File(path) => Arc::new(FileKeyring::open_or_create(path)?),
            WrappingPlace::Kms(key) => kms_keyring(&aws, key, &config.keys.store_previous.0)?,
        };
        let store = Store::open(&config.store, None, Sealer::new(keyring, identity.public())).await?;
        store.ensure_bucket().await?;
        let lease = store.lease(Duration::from_secs(config.limits.lease_seconds.max(1))).await?;
        let (keeping, kept, replaced) = (store.clone(), lease.clone(), self.replaced.clone());
        let renewing = tokio::spawn(async move {
            keeping.keep_lease(&kept).await;
            replaced.cancel();
        });
        // A start takes one lease.
        let _second = self.held.set(Held { store: store.clone(), lease, renewing });

        host.does("compiling the engine");
        let sandboxes = compiling.await.map_err(|e| SandboxError::Load(e.to_string()))??;
        let peers = federation.operators.iter().filter(|m| m.identity != identity.public());
        let rtt = config.limits.added_rtt_ms;
        let links = PeerLinks::start(
            listen(config.peer_listen).await?,
            PeerConfig {
                key: Arc::new(peer_key),
                peers: peers.map(KnownPeer::from).collect(),
                limits: PeerLimits { max_hello: MAX_HELLO, ..PeerLimits::default() },
                rtt: (rtt > 0).then(|| Duration::from_millis(rtt)),
            },
        )?;
        let clock = Arc::new(SystemClock);
        let node = Node::start(NodeParts { identity: identity.clone(), sealing, federation, links, clock });
        let waiting = announced(&node, surveys, true);
        host.runs(node.clone());
        let (limits, batch, releases) = (config.limits, config.batch, config.releases);
        let workshop = Workshop { identity, store, sandboxes, limits, batch, releases };
        workshop.load(&node, waiting).await?;
        let (watched, look, stop) = (node.clone(), self.look, self.stop);
        tokio::spawn(async move { stop.run_until_cancelled(documents.watch(watched, workshop, look)).await });
        Ok(node)
    }
}

/// Makes the process's metrics recorder.
pub fn metrics() -> Result<PrometheusHandle, ServeError> {
    let handle = metrics_exporter_prometheus::PrometheusBuilder::new()
        .set_buckets(&[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
        .and_then(metrics_exporter_prometheus::PrometheusBuilder::install_recorder)
        .map_err(|e| ServeError::Metrics(e.to_string()))?;
    measures::announce();
    Ok(handle)
}
