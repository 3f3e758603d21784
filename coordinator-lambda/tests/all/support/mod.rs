//! A world: one table, three stub parties, any number of coordinators, and a clock that moves only when it is set.

pub mod parties;
pub mod reply;
pub mod table;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use coordinator_lambda::config::{Limits, Rate};
use coordinator_lambda::store::Store;
use coordinator_lambda::{Clock, Config, Coordinator, api};
use parties::{Says, StubParty, says};
use reply::{Reply, get, post};
use table::Table;
use tempfile::TempDir;
use tercet_embedded::dynamodb;
use tercet_evidence::{Kind, SurveyVerifier};
use tercet_protocol::api::{Admission, Problem, SubmissionState, SubmissionStatus};
use tercet_protocol::ids::{
    EngineDigest, Nullifier, PublicKey, SealingKey, Signature, SubmissionId, SurveyId,
};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::operator::{CoordinatorInfo, Federation, OperatorManifest};
use tercet_protocol::query_ticket::Question;
use tercet_protocol::result::SignedResult;
use tercet_protocol::submission::{PublicPart, Receipt, ShareHashes};
use tercet_protocol::survey::{PROTOCOL_VERSION, SurveyDescriptor, SurveyManifest};

/// The world's time at its start: within the survey's dates and after the fixtures' connection times.
pub const START: u64 = 1_795_000_000;
/// The coordinator's key seed.
pub const SEED: [u8; 32] = [0x42; 32];
const TABLE: &str = "tercet-test";

/// A clock that moves only when told.
#[derive(Debug)]
pub struct TestClock(AtomicU64);

impl TestClock {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_micros() as u64, Ordering::SeqCst);
    }

    pub fn advance_seconds(&self, by: u64) {
        self.advance(Duration::from_secs(by));
    }
}

impl Clock for TestClock {
    fn now(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// The key with which the provider of this number withdraws.
pub fn withdrawal_key(provider: usize) -> SigningKey {
    SigningKey::from_seed(&[provider as u8 + 100; 32]).unwrap()
}

/// Folder of the fixtures.
pub fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/vectors")
}

/// A presentation of the cohort.
pub fn presentation(provider: usize) -> Vec<u8> {
    std::fs::read(vectors().join(format!("cohort/provider{provider:02}/presentation.bin"))).unwrap()
}

/// The survey file of the cohort.
pub fn manifest() -> SurveyManifest {
    SurveyManifest::from_toml(&std::fs::read_to_string(vectors().join("survey.toml")).unwrap()).unwrap()
}

/// The settings in which worlds differ.
pub struct Options {
    pub limits: Limits,
    /// The coordinator's address in the federation.
    pub url: &'static str,
    pub survey: fn(&mut SurveyManifest),
    pub config: fn(&mut Config),
    /// A table in this process instead of a server.
    pub table: Option<Table>,
}

impl Default for Options {
    fn default() -> Self {
        let plenty = Rate { burst: 1_000_000, per_second: 1_000_000.0 };
        let limits = Limits {
            address: plenty,
            status: plenty,
            survey: plenty,
            identity: plenty,
            asker: plenty,
            questions: plenty,
            max_unfinished: 1_000,
            unfinished_shards: 2,
        };
        Self { limits, url: "http://127.0.0.1:1", survey: |_| {}, config: |_| {}, table: None }
    }
}

pub struct World {
    pub clock: Arc<TestClock>,
    pub parties: [StubParty; 3],
    pub survey: SurveyDescriptor,
    pub coordinator: Arc<Coordinator>,
    pub router: Router,
    pub config: Config,
    pub database: tercet_embedded::Server,
    table: Option<Table>,
    /// Holds the files that the configuration names.
    pub folder: TempDir,
}

impl World {
    pub async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let memory =
            dynamodb::Config { listen: "127.0.0.1:0".parse().unwrap(), store: dynamodb::Store::Memory };
        let database = dynamodb::serve(memory).await.unwrap();
        let parties = [StubParty::start(0).await, StubParty::start(1).await, StubParty::start(2).await];
        let keys = [0, 1, 2].map(|i: usize| parties[i].key.public());
        let folder = tempfile::tempdir().unwrap();

        let mut file = manifest();
        (options.survey)(&mut file);
        let root = std::fs::read(vectors().join("root.der")).unwrap();
        let survey = SurveyDescriptor::assemble(file, &[root], keys, EngineDigest([9; 32])).unwrap();
        std::fs::create_dir(folder.path().join("surveys")).unwrap();
        std::fs::write(folder.path().join("surveys/one.json"), survey.bytes()).unwrap();
        std::fs::write(folder.path().join("surveys/notes.txt"), "not a survey").unwrap();
        // The federation lists the operators in another order than the survey.
        let operators = [2, 0, 1].map(|i: usize| operator(&parties[i]));
        let key = SigningKey::from_seed(&SEED).unwrap().public();
        let federation = Federation {
            coordinator: CoordinatorInfo { url: options.url.into(), key, next_key: None },
            operators,
        };
        std::fs::write(folder.path().join("federation.json"), serde_json::to_vec(&federation).unwrap())
            .unwrap();
        std::fs::write(folder.path().join("key"), SEED).unwrap();
        let text = "table = \"tercet-test\"\ncreate_table = true\nfederation = \"federation.json\"\n\
                    surveys = \"surveys\"\nsigning_key_file = \"key\"\nregion = \"eu-central-1\"\n\
                    party_timeout_ms = 2000\n";
        std::fs::write(folder.path().join("coordinator.toml"), text).unwrap();
        let mut config = Config::load(Some(&folder.path().join("coordinator.toml")), []).unwrap();
        config.limits = options.limits;
        // The clock stands still here, and a party may be silent and speak again at the same time.
        config.party_rest_seconds = 0;
        config.dynamodb_endpoint = Some(database.url());
        (options.config)(&mut config);

        let clock = Arc::new(TestClock(AtomicU64::new(START * 1_000_000)));
        let table = options.table;
        store(&config, table.as_ref()).create_table().await.unwrap();
        let coordinator = another(&config, &clock, table.as_ref());
        let router = api::router(Arc::clone(&coordinator));
        Self { clock, parties, survey, coordinator, router, config, database, table, folder }
    }

    /// A new coordinator over the same table takes the place of the one that has ended.
    pub fn restart(&mut self) {
        self.coordinator = self.another();
        self.router = api::router(Arc::clone(&self.coordinator));
    }

    /// The time at which the table forgets each item of this kind, which is the beginning of its key.
    pub async fn forgotten(&self, kind: &str) -> Vec<u64> {
        let scanned =
            client(&self.config, self.table.as_ref()).scan().table_name(TABLE).send().await.unwrap();
        let of_this_kind =
            |item: &&HashMap<String, AttributeValue>| item["pk"].as_s().unwrap().starts_with(kind);
        let end = |item: &HashMap<String, AttributeValue>| {
            item.get("expires_at").map_or(0, |end| end.as_n().unwrap().parse().unwrap())
        };
        scanned.items().iter().filter(of_this_kind).map(end).collect()
    }

    /// One more coordinator over the same table, as Lambda would start.
    pub fn another(&self) -> Arc<Coordinator> {
        another(&self.config, &self.clock, self.table.as_ref())
    }

    pub fn survey_id(&self) -> SurveyId {
        self.survey.id()
    }

    /// A submission of the cohort's provider; `variant` makes different ones of one identity.
    pub fn public(&self, provider: usize, variant: u8) -> PublicPart {
        PublicPart {
            survey: self.survey_id(),
            kind: Kind::Presentation,
            withdrawal_key: withdrawal_key(provider).public(),
            evidence: presentation(provider),
            share_hashes: ShareHashes { proof: [variant; 32], ..ShareHashes::default() },
        }
    }

    /// The address for this survey's submissions.
    pub fn submissions(&self) -> String {
        format!("/v1/surveys/{}/submissions", self.survey_id())
    }

    /// The nullifier of the cohort's provider.
    pub fn nullifier(&self, provider: usize) -> Nullifier {
        let verifier = SurveyVerifier::new(&self.survey).unwrap();
        verifier.check(Kind::Presentation, &presentation(provider)).unwrap().1.nullifier
    }

    /// A party's receipt for a provider's submission.
    pub fn receipt(&self, party: usize, provider: usize, id: SubmissionId, height: u64) -> Receipt {
        self.parties[party].receipt(self.survey_id(), id, self.nullifier(provider), height)
    }

    /// A party says that it accepted a provider's submission.
    pub fn accepts(&self, party: usize, provider: usize, id: SubmissionId) {
        let receipts = vec![self.receipt(party, provider, id, 3)];
        self.parties[party].say(id, says(self.survey_id(), id, SubmissionState::Accepted { receipts }));
    }

    /// All three parties say that they accepted it.
    pub fn all_accept(&self, provider: usize, id: SubmissionId) {
        (0..3).for_each(|party| self.accepts(party, provider, id));
    }

    /// A party says that it rejected it.
    pub fn rejects(&self, party: usize, id: SubmissionId, problem: Problem) {
        self.parties[party].say(id, says(self.survey_id(), id, SubmissionState::Rejected { problem }));
    }

    /// A party says that it works on it.
    pub fn pends(&self, party: usize, id: SubmissionId) {
        self.parties[party].say(id, says(self.survey_id(), id, SubmissionState::Pending));
    }

    /// Posts a provider's submission.
    pub async fn submit(&self, provider: usize, variant: u8) -> Reply {
        post(self.submissions(), self.public(provider, variant).encode()).send(&self.router).await
    }

    /// Posts one that must be admitted.
    pub async fn admitted(&self, provider: usize, variant: u8) -> SubmissionId {
        let reply = self.submit(provider, variant).await;
        assert_eq!(reply.status, 201, "{}", String::from_utf8_lossy(&reply.body));
        reply.json::<Admission>().submission
    }

    /// A submission's status.
    pub async fn status(&self, id: SubmissionId) -> SubmissionStatus {
        let reply = get(format!("/v1/submissions/{id}")).send(&self.router).await;
        assert_eq!(reply.status, 200);
        reply.json()
    }

    /// The parties' keys, in party order.
    pub fn keys(&self) -> [Arc<SigningKey>; 3] {
        [0, 1, 2].map(|i: usize| Arc::clone(&self.parties[i].key))
    }

    /// The question that the parties answer by themselves.
    pub fn listed(&self) -> Question {
        Question::listed(self.survey.manifest())
    }

    /// A release point's listed statistics, signed.
    pub fn statistics_of(&self, release: u64) -> SignedResult {
        parties::result(&self.keys(), self.survey_id(), release, &self.listed())
    }

    /// All parties have this release point's statistics, and the coordinator has fetched them.
    pub async fn publish(&self, release: u64) -> SignedResult {
        let signed = self.statistics_of(release);
        self.parties.iter().for_each(|p| p.publish(&signed));
        coordinator_lambda::scheduled::refresh_once(&self.coordinator).await.unwrap();
        signed
    }

    /// Number of items in the table, of all kinds.
    pub async fn items(&self) -> usize {
        let (client, mut total, mut start) = (client(&self.config, self.table.as_ref()), 0, None);
        loop {
            let page = client.scan().table_name(TABLE).set_exclusive_start_key(start).send().await.unwrap();
            total += page.items.unwrap_or_default().len();
            match page.last_evaluated_key {
                Some(key) => start = Some(key),
                None => return total,
            }
        }
    }

    /// Number of submissions that count as unfinished.
    pub async fn unfinished(&self) -> i64 {
        let shards = self.config.limits.unfinished_shards;
        self.coordinator.store.unfinished(self.survey_id(), shards).await.unwrap()
    }

    /// All three parties say this about a submission.
    pub fn all_say(&self, id: SubmissionId, says: Says) {
        for party in &self.parties {
            party.say(id, says.clone());
        }
    }
}

fn another(config: &Config, clock: &Arc<TestClock>, table: Option<&Table>) -> Arc<Coordinator> {
    let clock: Arc<TestClock> = Arc::clone(clock);
    let key = SigningKey::from_seed(&SEED).unwrap();
    Arc::new(Coordinator::with_store(config.clone(), store(config, table), key, clock).unwrap())
}

fn store(config: &Config, table: Option<&Table>) -> Store {
    Store::new(client(config, table), TABLE.into())
}

fn client(config: &Config, table: Option<&Table>) -> aws_sdk_dynamodb::Client {
    if let Some(table) = table {
        return table.client();
    }
    let sdk = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(config.dynamodb_endpoint.as_deref().unwrap())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    aws_sdk_dynamodb::Client::from_conf(sdk)
}

fn operator(party: &StubParty) -> OperatorManifest {
    let i = party.index;
    OperatorManifest {
        protocol: PROTOCOL_VERSION,
        operator: format!("operator {i}"),
        account: format!("{i:012}"),
        identity: party.key.public(),
        sealing: SealingKey([i + 1; 32]),
        peer_key: PublicKey([i + 1; 32]),
        next_peer_key: None,
        peer_address: format!("127.0.0.1:{}", 7000 + u16::from(i)),
        url: format!("{}/", party.url),
        engine: EngineDigest([9; 32]),
        issued: 1,
        signature: Signature([0; 64]),
    }
    .signed(&party.key)
}
