//! Putting a party together from its configuration, and running it until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use metrics_exporter_prometheus::PrometheusHandle;
use tercet_protocol::approval::Approval;
use tercet_protocol::ids::{PublicKey, SurveyId};
use tercet_protocol::keys::{OpeningKey, SigningKey};
use tercet_protocol::operator::{Federation, FederationError};
use tercet_protocol::survey::{SurveyDescriptor, SurveyError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::aws;
use crate::clock::SystemClock;
use crate::config::{CloudWatchConfig, Config, ConfigError, Keys};
use crate::documents::DocumentPlace;
use crate::emf;
use crate::keyring::{FileKeyring, KeyWrapper, KeyringError, Sealer};
use crate::measures;
use crate::node::{MAX_HELLO, Node, NodeParts, Parts, SurveyNode, SurveyStartError};
use crate::peer::{KnownPeer, Limits as PeerLimits, PeerConfig, PeerLinks, StartError};
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
    /// A socket.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
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

/// Time for open requests to be answered when all of the stop time was needed for sessions.
const ANSWERS: Duration = Duration::from_secs(2);

/// A party that runs.
pub struct Running {
    /// Where its API listens.
    pub address: SocketAddr,
    /// Where its peer link listens.
    pub peer_address: SocketAddr,
    /// The party.
    pub node: Arc<Node>,
    server: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
    store: Store,
    lease: Arc<Lease>,
    renewing: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Stops in order: no new sessions, running ones end, open requests are answered.
    pub async fn stop(self, patience: Duration) -> Result<(), ServeError> {
        let deadline = tokio::time::Instant::now() + patience;
        self.node.stop(patience).await;
        self.stop.cancel();
        // What is left of the time, and a moment at least: open requests are answered by now.
        let answered = deadline.max(tokio::time::Instant::now() + ANSWERS);
        let _in_time = tokio::time::timeout_at(answered, self.server).await;
        self.renewing.abort();
        self.store.release_lease(&self.lease).await;
        Ok(())
    }

    /// Ends when another process of this party has taken the lease on the bucket: this one must stop at once.
    pub async fn replaced(&self) {
        self.lease.taken.cancelled().await;
    }
}

/// Reads the deployment's file and checks it.
pub async fn federation(place: &DocumentPlace, aws: &SdkConfig) -> Result<Federation, ServeError> {
    let federation: Federation = serde_json::from_slice(&place.read(aws).await?)
        .map_err(|e| ServeError::Json(place.clone(), e.to_string()))?;
    federation.verify()?;
    Ok(federation)
}

/// Reads the survey descriptors in a folder that the operator with the key `identity` approved. A descriptor without the operator's
/// signed [`Approval`] beside it is not run, whoever put it there: it is left out, and the log says so as an error.
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

/// Whether `approval`, a file's content, is the consent of the operator `identity` to `survey`; if not, the reason.
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

/// Starts a party.
pub async fn start(config: &Config, metrics: PrometheusHandle) -> Result<Running, ServeError> {
    let aws = aws::load(config.store.region.as_deref()).await;
    let Keys { identity, sealing, peer: peer_key } = Keys::load(&config.keys, &aws).await?;
    let identity = Arc::new(identity);
    let federation = federation(&config.federation, &aws).await?;
    published(&federation, identity.public(), &sealing, &peer_key)?;

    let limits = Limits {
        memory: config.limits.engine_memory_mib << 20,
        compute: Duration::from_secs(config.limits.engine_seconds),
    };
    let descriptors = surveys(&config.surveys, &aws, &identity.public()).await?;
    let pinned = descriptors.first().map(SurveyDescriptor::engine);
    let engine = config.engine.clone();
    // Compiling takes about a second of CPU.
    let sandbox = tokio::task::spawn_blocking(move || Sandbox::load(&engine, pinned, limits))
        .await
        .map_err(|e| SandboxError::Load(e.to_string()))??;

    let keyring: Arc<dyn KeyWrapper> = match &config.keys.store {
        WrappingPlace::File(path) => Arc::new(FileKeyring::open_or_create(path)?),
        WrappingPlace::Kms(key) => kms_keyring(&aws, key, &config.keys.store_previous.0)?,
    };
    let store = Store::open(&config.store, None, Sealer::new(keyring, identity.public())).await?;
    store.ensure_bucket().await?;
    let lease = store.lease(Duration::from_secs(config.limits.lease_seconds.max(1))).await?;
    let (keeping, kept) = (store.clone(), lease.clone());
    let renewing = tokio::spawn(async move { keeping.keep_lease(&kept).await });
    let mut nodes = Vec::new();
    for descriptor in descriptors {
        let name = descriptor.manifest().survey.name.clone();
        let parts = Parts {
            identity: identity.clone(),
            store: store.clone(),
            sandbox: sandbox.clone(),
            pending: config.limits.pending,
            patience: Duration::from_secs(config.limits.peer_seconds),
            gather: Duration::from_millis(config.batch.gather_ms),
            max_batch: config.batch.max,
            linger: Duration::from_millis(config.batch.linger_ms),
            releases_any: config.releases.any_time,
        };
        let node = SurveyNode::load(descriptor, parts)
            .await
            .map_err(|source| ServeError::SurveyStart { name, source })?;
        nodes.push(node);
    }

    let peers = federation.operators.iter().filter(|m| m.identity != identity.public());
    let links = PeerLinks::start(
        listen(config.peer_listen).await?,
        PeerConfig {
            key: Arc::new(peer_key),
            peers: peers.map(KnownPeer::from).collect(),
            limits: PeerLimits { max_hello: MAX_HELLO, ..PeerLimits::default() },
            rtt: (config.limits.added_rtt_ms > 0).then(|| Duration::from_millis(config.limits.added_rtt_ms)),
        },
    )?;
    let peer_address = links.local_addr();
    let node = Node::start(NodeParts {
        identity,
        sealing,
        federation,
        surveys: nodes,
        links,
        clock: Arc::new(SystemClock),
    })?;

    if let Some(CloudWatchConfig { namespace, party }) = config.cloudwatch.clone() {
        let clock = Arc::new(SystemClock);
        tokio::spawn(emf::write(metrics.clone(), clock, namespace, party, measures::WATCHED));
    }
    let listener = listen(config.listen).await?;
    let address = listener.local_addr().map_err(ServeError::Serve)?;
    let stop = CancellationToken::new();
    if let Some(address) = config.metrics_listen {
        let router = api::metrics_router(metrics);
        tokio::spawn(api::serve(listen(address).await?, router, api::Bounds::default(), stop.clone()));
    }
    let stopped = stop.clone();
    let router = api::router(api::App { node: node.clone(), bodies: api::Bodies::default() });
    let server = tokio::spawn(api::serve(listener, router, api::Bounds::default(), stopped));
    Ok(Running { address, peer_address, node, server, stop, store, lease, renewing })
}

/// The keys that this party holds are the ones that others were told.
fn published(
    federation: &Federation,
    identity: PublicKey,
    sealing: &[OpeningKey],
    peer: &SigningKey,
) -> Result<(), ServeError> {
    let ours = federation
        .operators
        .iter()
        .find(|m| m.identity == identity)
        .ok_or(FederationError::Missing(identity))?;
    if sealing.first().map(OpeningKey::public) != Some(ours.sealing) {
        return Err(ServeError::OtherKey("sealing key"));
    }
    if !ours.peer_keys().contains(&peer.public()) {
        return Err(ServeError::OtherKey("peer key"));
    }
    Ok(())
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
