//! Three parties in one process: real links, real sandbox, real S3 API, real presentations.

mod asking;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use bytes::Bytes;
use party_host::clock::{Clock, ManualClock};
use party_host::config::{BatchConfig, LimitsConfig, ReleasesConfig};
use party_host::keyring::{FileKeyring, Sealer};
use party_host::node::{Node, NodeParts, Parts, SurveyNode};
use party_host::peer::{KnownPeer, Limits as PeerLimits, PeerConfig, PeerLinks};
use party_host::reload::{Published, Workshop};
use party_host::sandbox::{Limits, Sandbox};
use party_host::store::{Progress, S3Objects, Store, StoreConfig};
use tempfile::TempDir;
use tercet_embedded::s3::{self, Key, Keys};
use tercet_evidence::{Kind, Secrets, SurveyVerifier};
use tercet_mpc::{ColumnWitness, Statement};
use tercet_protocol::api::{Problem, SubmissionState, SubmissionStatus};
use tercet_protocol::ids::{PublicKey, Signature, SubmissionId, SurveyId};
use tercet_protocol::keys::{OpeningKey, SigningKey};
use tercet_protocol::operator::{CoordinatorInfo, Federation, OperatorManifest};
use tercet_protocol::submission::{PublicPart, ShareHashes, ShareUpload, Ticket, seal_private};
use tercet_protocol::survey::{PROTOCOL_VERSION, SurveyDescriptor, SurveyManifest};
use tokio::net::TcpListener;

use super::crash::Dying;

pub const NOW: u64 = 1_800_000_000;

/// The fixtures that all crates share.
pub fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/vectors")
}

/// The engine, compiled once for all tests of the process.
pub fn sandbox() -> Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX
        .get_or_init(|| {
            let built =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/wasm32-wasip2/engine/party_wasm.wasm");
            let path = std::env::var_os("TERCET_ENGINE").map_or(built, PathBuf::from);
            let limits = Limits { memory: 256 << 20, compute: Duration::from_secs(60) };
            Sandbox::load(&path, None, limits).unwrap_or_else(|e| {
                panic!("{e}\nbuild the engine with `cargo xtask engine`, or set TERCET_ENGINE")
            })
        })
        .clone()
}

fn seed(kind: u8, party: usize) -> [u8; 32] {
    [kind * 16 + party as u8 + 1; 32]
}

fn key(kind: u8, party: usize) -> SigningKey {
    SigningKey::from_seed(&seed(kind, party)).unwrap()
}

const IDENTITY: u8 = 1;
const PEER: u8 = 2;
const SEALING: u8 = 3;
/// Seed of the key that the coordinator is about to change to.
pub const NEXT_TICKETS: [u8; 32] = [98; 32];

/// The key that every provider of these tests keeps with its receipt.
pub fn withdrawal_key() -> SigningKey {
    SigningKey::from_seed(&[77; 32]).unwrap()
}

/// A submission as a provider made it: the part of each party, not sealed yet.
#[derive(Clone)]
pub struct Prepared {
    pub public: PublicPart,
    pub private: [Vec<u8>; 3],
}

impl Prepared {
    pub fn id(&self) -> SubmissionId {
        self.public.id()
    }
}

pub struct World {
    dir: TempDir,
    s3: tercet_embedded::Server,
    pub survey: SurveyDescriptor,
    federation: Federation,
    coordinator: SigningKey,
    pub clock: Arc<ManualClock>,
    /// Each party's own.
    clocks: [Arc<PartyClock>; 3],
    pub parties: Vec<Option<Arc<Node>>>,
    patience: Duration,
    /// Each party's bucket, which can be made to stop.
    pub dying: [Option<Arc<Dying>>; 3],
}

/// One party's clock: the world's time, and by how much it is off.
struct PartyClock {
    world: Arc<ManualClock>,
    off: AtomicI64,
}

impl Clock for PartyClock {
    fn now(&self) -> u64 {
        self.world.now().saturating_add_signed(self.off.load(Ordering::Relaxed))
    }
}

pub fn manifest() -> SurveyManifest {
    SurveyManifest::from_toml(&std::fs::read_to_string(vectors().join("survey.toml")).unwrap()).unwrap()
}

impl World {
    pub async fn start(manifest: SurveyManifest, patience: Duration) -> Self {
        let root = std::fs::read(vectors().join("root.der")).unwrap();
        Self::start_trusting(manifest, root, patience).await
    }

    /// With another trust anchor than that of the vectors.
    pub async fn start_trusting(manifest: SurveyManifest, root: Vec<u8>, patience: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key_pair = Key { access_key: "AK".into(), secret_key: "SK".into(), buckets: None };
        let s3 = s3::serve(s3::Config {
            listen: ([127, 0, 0, 1], 0).into(),
            root: dir.path().join("s3"),
            keys: Keys::new(vec![key_pair]),
            buckets: vec![],
            sync: false,
        })
        .await
        .unwrap();
        let coordinator = SigningKey::from_seed(&[99; 32]).unwrap();
        let mut addresses = Vec::new();
        for _ in 0..3 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(listener.local_addr().unwrap());
        }
        let engine = sandbox().digest();
        let operators = [0, 1, 2].map(|i| {
            let unsigned = OperatorManifest {
                protocol: PROTOCOL_VERSION,
                operator: format!("operator {i}"),
                account: format!("{i:012}"),
                identity: PublicKey([0; 32]),
                sealing: OpeningKey::from_seed(&seed(SEALING, i)).public(),
                peer_key: key(PEER, i).public(),
                next_peer_key: None,
                peer_address: addresses[i].to_string(),
                url: format!("http://127.0.0.1:{}", i + 1),
                engine,
                issued: NOW,
                signature: Signature([0; 64]),
            };
            unsigned.signed(&key(IDENTITY, i))
        });
        let parties = operators.each_ref().map(|m| m.identity);
        let survey = SurveyDescriptor::assemble(manifest, &[root], parties, engine).unwrap();
        let info = CoordinatorInfo {
            url: "http://127.0.0.1:9".into(),
            key: coordinator.public(),
            next_key: Some(SigningKey::from_seed(&NEXT_TICKETS).unwrap().public()),
        };
        let federation = Federation { coordinator: info, operators };
        federation.verify().unwrap();
        let clock = Arc::new(ManualClock::new(NOW));
        let mut world = Self {
            dir,
            s3,
            survey,
            federation,
            coordinator,
            clocks: [0, 1, 2].map(|_| Arc::new(PartyClock { world: clock.clone(), off: AtomicI64::new(0) })),
            clock,
            parties: vec![None, None, None],
            patience,
            dying: [None, None, None],
        };
        for i in 0..3 {
            world.start_party(i).await;
        }
        world
    }

    /// Starts a party on its durable state.
    pub async fn start_party(&mut self, i: usize) {
        self.start_party_on(i, "").await;
    }

    /// Starts a party on another bucket of its own.
    pub async fn start_party_on(&mut self, i: usize, bucket: &str) {
        let url = self.s3.url().to_string();
        let config = StoreConfig {
            bucket: format!("party-{i}{bucket}"),
            prefix: String::new(),
            region: Some("us-east-1".into()),
            endpoint: Some(url),
            create_bucket: true,
            cache_mib: 16,
            added_ms: 0,
        };
        let keyring = FileKeyring::open_or_create(&self.dir.path().join(format!("store-{i}.key"))).unwrap();
        let identity = Arc::new(key(IDENTITY, i));
        let credentials = SharedCredentialsProvider::new(Credentials::new("AK", "SK", None, None, "test"));
        let sealer = Sealer::new(Arc::new(keyring), identity.public());
        let objects = Arc::new(S3Objects::new(&config, Some(credentials)).await.unwrap());
        let objects = Arc::new(Dying::new(objects));
        self.dying[i] = Some(objects.clone());
        let store = Store::new(objects, sealer, config.cache_mib << 20);
        store.ensure_bucket().await.unwrap();
        let parts = Parts {
            identity: identity.clone(),
            store,
            sandbox: sandbox(),
            pending: 4096,
            patience: self.patience,
            gather: Duration::from_millis(300),
            max_batch: 64,
            linger: Duration::from_millis(20),
            releases_any: true,
        };
        let survey = SurveyNode::load(self.survey.clone(), parts, &Progress::default()).await.unwrap();
        let address: std::net::SocketAddr = self.federation.operators[i].peer_address.parse().unwrap();
        // While the party was down, another test's connection may have been given its port for a moment.
        let listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(e) => panic!("{address}: {e}"),
            }
        };
        let peers = self.federation.operators.iter().filter(|m| m.identity != identity.public());
        let links = PeerLinks::start(
            listener,
            PeerConfig {
                key: Arc::new(key(PEER, i)),
                peers: peers.map(KnownPeer::from).collect(),
                limits: PeerLimits::default(),
                rtt: None,
            },
        )
        .unwrap();
        let node = Node::start(NodeParts {
            identity,
            sealing: vec![OpeningKey::from_seed(&seed(SEALING, i))],
            federation: self.federation.clone(),
            links,
            clock: self.clocks[i].clone() as Arc<dyn Clock>,
        });
        node.adopt(survey).await.unwrap();
        self.parties[i] = Some(node);
    }

    /// A party's identity key.
    pub fn identity(&self, i: usize) -> SigningKey {
        key(IDENTITY, i)
    }

    pub fn federation(&self) -> &Federation {
        &self.federation
    }

    /// The keys of a party that the federation lists.
    pub fn published_keys(&self, i: usize) -> Published {
        let OperatorManifest { identity, sealing, peer_key, .. } = self.federation.operators[i];
        Published { identity, sealing, peer: peer_key }
    }

    /// The parts that a running party loads further surveys with.
    pub fn workshop(&self, i: usize) -> Workshop {
        let running = self.party(i).survey(self.survey_id()).unwrap();
        let limits = LimitsConfig { peer_seconds: self.patience.as_secs(), ..LimitsConfig::default() };
        Workshop {
            identity: Arc::new(self.identity(i)),
            store: running.store.clone(),
            sandboxes: vec![sandbox()],
            limits,
            batch: BatchConfig::default(),
            releases: ReleasesConfig { any_time: true },
        }
    }

    /// Puts a party's clock off by this many seconds.
    pub fn put_off(&self, party: usize, seconds: i64) {
        self.clocks[party].off.store(seconds, Ordering::Relaxed);
    }

    pub fn party(&self, i: usize) -> &Arc<Node> {
        self.parties[i].as_ref().unwrap()
    }

    pub fn survey_id(&self) -> SurveyId {
        self.survey.id()
    }

    pub fn heights(&self) -> Vec<(u64, tercet_protocol::ids::EntryHash)> {
        let head = |n: &Arc<Node>| n.survey_status(self.survey_id()).map(|s| (s.height, s.head)).unwrap();
        self.parties.iter().flatten().map(head).collect()
    }

    /// The statement and witness of a real presentation with one column.
    pub fn opened(&self, name: &str) -> (Vec<u8>, Statement, ColumnWitness) {
        let (presentation, statement, witnesses) = self.opened_all(name);
        (presentation, statement, witnesses.into_iter().next().unwrap())
    }

    pub fn opened_all(&self, name: &str) -> (Vec<u8>, Statement, Vec<ColumnWitness>) {
        let dir = vectors().join(name);
        let presentation = std::fs::read(dir.join("presentation.bin")).unwrap();
        let secrets = Secrets::decode(&std::fs::read(dir.join("secrets.bin")).unwrap()).unwrap();
        self.opened_files(presentation, secrets)
    }

    /// The same of any presentation.
    pub fn opened_files(
        &self,
        presentation: Vec<u8>,
        secrets: impl Into<Secrets>,
    ) -> (Vec<u8>, Statement, Vec<ColumnWitness>) {
        let secrets = secrets.into();
        let verifier = SurveyVerifier::new(&self.survey).unwrap();
        let (verified, admitted) = verifier.check(Kind::Presentation, &presentation).unwrap();
        let statement = verified.statement(&admitted, self.survey.manifest()).unwrap();
        (presentation, statement, secrets.columns(&verified, &admitted).unwrap())
    }

    /// Proves `witness` under `statement` for a presentation.
    pub fn prove(
        &self,
        presentation: Vec<u8>,
        statement: &Statement,
        witness: ColumnWitness,
        seed: u8,
    ) -> Prepared {
        self.prove_all(presentation, statement, &[witness], seed)
    }

    pub fn prove_all(
        &self,
        presentation: Vec<u8>,
        statement: &Statement,
        witnesses: &[ColumnWitness],
        seed: u8,
    ) -> Prepared {
        let mut public = PublicPart {
            survey: self.survey_id(),
            kind: Kind::Presentation,
            withdrawal_key: withdrawal_key().public(),
            evidence: presentation,
            share_hashes: ShareHashes::default(),
        };
        let context = public.proof_context();
        let proven = tercet_mpc::prove(statement, witnesses, &context, &[seed; 32], &mut |_| {}).unwrap();
        public.share_hashes = proven.public;
        Prepared { public, private: proven.private.map(|p| p.to_vec()) }
    }

    pub fn prepare(&self, name: &str) -> Prepared {
        let (presentation, statement, witnesses) = self.opened_all(name);
        self.prove_all(presentation, &statement, &witnesses, 7)
    }

    /// The upload for one party.
    pub fn upload_body(&self, prepared: &Prepared, party: usize) -> Bytes {
        let (survey, expires) = (self.survey_id(), self.clock.now() + 300);
        self.upload_with(prepared, party, Ticket::issue(&self.coordinator, survey, prepared.id(), expires))
    }

    /// The same with any ticket.
    pub fn upload_with(&self, prepared: &Prepared, party: usize, ticket: Ticket) -> Bytes {
        let key = self.federation.operators[party].sealing;
        let sealed = seal_private(key, prepared.id(), party as u8, &prepared.private[party]).unwrap();
        ShareUpload { public: prepared.public.encode(), ticket, sealed }.encode().into()
    }

    /// Uploads to all three and waits for the three answers.
    pub async fn submit(
        &self,
        prepared: &Prepared,
        patience: Duration,
    ) -> [Result<SubmissionStatus, Problem>; 3] {
        let send = |i: usize| {
            let (node, body, id) = (self.party(i).clone(), self.upload_body(prepared, i), prepared.id());
            async move { node.upload(id, body, patience).await }
        };
        let (a, b, c) = tokio::join!(send(0), send(1), send(2));
        [a, b, c]
    }

    /// Submits and expects three receipts that name one entry.
    pub async fn accept(&self, prepared: &Prepared) {
        let mut entries = Vec::new();
        for (i, answer) in self.submit(prepared, Duration::from_secs(60)).await.into_iter().enumerate() {
            match answer.unwrap_or_else(|p| panic!("party {i}: {p}")).state {
                SubmissionState::Accepted { receipts } => {
                    receipts[0].verify(self.survey.parties()).unwrap();
                    assert_eq!(usize::from(receipts[0].party), i);
                    entries.push((receipts[0].height, receipts[0].entry));
                }
                other => {
                    let survey =
                        |n: &Arc<Node>| n.survey(self.survey_id()).unwrap().failures.borrow().clone();
                    let failures: Vec<_> = self.parties.iter().flatten().map(survey).collect();
                    panic!("party {i}: {other:?}; heights {:?}; {failures:?}", self.heights())
                }
            }
        }
        assert!(entries.iter().all(|e| *e == entries[0]), "{entries:?}");
    }

    /// The clock's time.
    pub fn clock_now(&self) -> u64 {
        self.clock.now()
    }

    /// Number of objects in a party's bucket.
    pub async fn stored(&self, party: usize) -> usize {
        fn files(folder: &Path) -> usize {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|e| if e.path().is_dir() { files(&e.path()) } else { 1 }).sum()
        }
        files(&self.dir.path().join("s3").join(format!("party-{party}")))
    }

    /// True if a party's bucket holds shares of a submission.
    pub async fn holds(&self, party: usize, prepared: &Prepared) -> bool {
        let survey = self.party(party).survey(self.survey_id()).unwrap().clone();
        let mut found = false;
        for (height, name) in survey.store.list_segments(self.survey_id(), 0).await.unwrap() {
            let segment = survey.store.segment(self.survey_id(), height, name).await.unwrap();
            found |= segment.submissions().contains(&prepared.id());
        }
        found
    }

    /// Everybody stops and starts again from the stored data.
    pub async fn restart(&mut self) {
        for i in 0..3 {
            let node = self.parties[i].take().unwrap();
            node.stop(Duration::from_secs(5)).await;
            node.disconnect();
            drop(node);
            self.start_party(i).await;
        }
    }

    /// Sessions that parties joined, led or lost since they started.
    pub fn sessions(&self) -> Vec<u64> {
        let count = |n: &Arc<Node>| n.survey(self.survey_id()).unwrap().sessions();
        self.parties.iter().flatten().map(count).collect()
    }

    /// Waits until all running parties are at one height of at least `height`.
    pub async fn until_height(&self, height: u64) {
        for _ in 0..2000 {
            let heights = self.heights();
            if heights.iter().all(|h| h.0 >= height && *h == heights[0]) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("heights stay at {:?}", self.heights());
    }
}

/// The cohort's folders.
pub fn cohort() -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(vectors().join("cohort"))
        .unwrap()
        .map(|e| format!("cohort/{}", e.unwrap().file_name().to_string_lossy()))
        .collect();
    names.sort();
    names
}
