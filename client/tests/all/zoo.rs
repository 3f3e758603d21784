//! Sessions with real servers on loopback, through a notary: OpenSSL, nginx, Caddy, Node, Python, Java.
//!
//! A server whose program this machine does not have is left out, except OpenSSL, Node and Python, which every
//! machine that runs these tests has.

mod servers;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tercet_client::Error;
use tercet_client::inspect::Trust;
use tercet_client::session::{self, Credentials, Group, Notarized, Shape, Target, Tunnel, exchange, finish};
use tercet_notary::{Limits, Notary, Resolver, Running, Served, Surveys, start};
use tercet_protocol::ids::{EngineDigest, Nonce, SurveyId};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::notary::NotaryTicket;
use tercet_protocol::submission::MAX_EVIDENCE;
use tercet_protocol::survey::{SurveyDescriptor, SurveyManifest};
use tercet_tls_session::{Direction, Refusal, StatementKey, Suite};

use servers::has;
pub use servers::{Server, Site};

const NAME: &str = "api.exchange.test";
const SURVEY: SurveyId = SurveyId([5; 32]);
const REQUEST: &[u8] =
    b"GET /account HTTP/1.1\r\nHost: api.exchange.test\r\nAccept: */*\r\nConnection: close\r\n\r\n";

fn body() -> String {
    let rows: Vec<_> =
        (0..60).map(|i| format!(r#"{{"asset":"A{i:04}","free":"{i}.{:08}"}}"#, i * 7919)).collect();
    format!(r#"{{"uid":354937868,"balances":[{},{{"asset":"ETH","free":"12.34567890"}}]}}"#, rows.join(","))
}

/// A notary that leads to a server.
pub struct World {
    pub running: Running,
    pub coordinator: SigningKey,
    target: Target,
    request: Vec<u8>,
}

pub fn notary_key() -> StatementKey {
    StatementKey::from_seed(&[2; 32]).unwrap()
}

impl World {
    async fn new(site: &Site, server: SocketAddr) -> Self {
        let served = Served { id: SURVEY, server_name: NAME.into(), port: 443, opens: 0, closes: u64::MAX };
        Self::serving(site, server, served, REQUEST.to_vec()).await
    }

    /// A notary of this survey, to whose server this request is sent.
    pub async fn serving(site: &Site, server: SocketAddr, served: Served, request: Vec<u8>) -> Self {
        let coordinator = SigningKey::from_seed(&[1; 32]).unwrap();
        let survey = served.id;
        let surveys = Surveys::new([served]);
        let resolver = Resolver::new(vec![], BTreeMap::from([(NAME.to_owned(), server)]));
        let key = notary_key();
        let notary = Notary::new(key, vec![coordinator.public()], surveys, resolver, Limits::default());
        let running = start(notary, "127.0.0.1:0".parse().unwrap(), None).await.unwrap();
        let target = Target { survey, server_name: NAME.into(), roots: vec![site.root.clone()] };
        Self { running, coordinator, target, request }
    }

    async fn session(&self, group: Group) -> Result<Notarized, Error> {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let nonce = Nonce([NEXT.fetch_add(1, Ordering::Relaxed); 16]);
        let expires = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 30;
        let survey = self.target.survey;
        let ticket = NotaryTicket::issue(&self.coordinator, survey, self.running.key, nonce, expires);
        let base = format!("http://{}", self.running.address).parse().unwrap();
        let tunnel = Tunnel::open(&base, survey, ticket).await?;
        let done = exchange(tunnel, NAME, &self.target.roots, group, &self.request).await?;
        finish(done, self.running.key, &self.target)
    }
}

/// A session that must be accepted: the response holds the page, and the session survives its folder.
async fn accepted(site: &Site, server: &Server, group: Group) -> Notarized {
    let world = World::new(site, server.address).await;
    let notarized = world.session(group).await.unwrap();
    assert_eq!(*notarized.opened.stream(Direction::Client), REQUEST);
    let response = String::from_utf8(notarized.response().to_vec()).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    assert!(response.contains(r#""free":"12.34567890""#), "{response}");
    let dir = site.dir.path().join("session");
    notarized.write(&dir).unwrap();
    let again = Notarized::read(&dir, &world.target).unwrap();
    assert_eq!(again.evidence, notarized.evidence);
    private(&dir);
    notarized
}

fn private(dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.join(tercet_client::session::SECRET)), 0o600);
    assert_eq!(mode(dir.into()), 0o700);
}

async fn refused(site: &Site, server: &Server, group: Group) -> Error {
    World::new(site, server.address).await.session(group).await.unwrap_err()
}

pub fn p256() -> Site {
    Site::new(&rcgen::PKCS_ECDSA_P256_SHA256)
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_with_every_kind_of_certificate() {
    let sites = [p256(), Site::new(&rcgen::PKCS_ECDSA_P384_SHA384), Site::openssl(&["ED25519"]), Site::rsa()];
    for site in &sites {
        let server = Server::openssl(site, &[]);
        let session = accepted(site, &server, Group::P256).await;
        assert_eq!(session.session.suite, Suite::ChaCha20Poly1305);
    }
    let server = Server::openssl(&sites[0], &["-ciphersuites", "TLS_AES_128_GCM_SHA256"]);
    let session = accepted(&sites[0], &server, Group::X25519).await;
    assert_eq!(session.session.suite, Suite::Aes128Gcm);
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_with_fragments_padding_tickets_and_none() {
    let site = p256();
    for options in [
        &["-max_send_frag", "512"][..],
        &["-record_padding", "512"],
        &["-num_tickets", "0"],
        &["-num_tickets", "5"],
        &["-max_send_frag", "600", "-record_padding", "300", "-num_tickets", "0"],
    ] {
        let server = Server::openssl(&site, options);
        accepted(&site, &server, Group::P256).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_refused_and_a_new_session_with_the_other_group_is_accepted() {
    let site = p256();
    for (theirs, wrong, right) in
        [("X25519", Group::P256, Group::X25519), ("P-256", Group::X25519, Group::P256)]
    {
        let server = Server::openssl(&site, &["-groups", theirs]);
        let error = refused(&site, &server, wrong).await;
        assert!(matches!(error, Error::Session(Refusal::HelloRetryRequest)), "{error}");
        accepted(&site, &server, right).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_aes_256_only_is_refused_in_words() {
    let site = p256();
    let server = Server::openssl(&site, &["-ciphersuites", "TLS_AES_256_GCM_SHA384"]);
    let error = refused(&site, &server, Group::P256).await.to_string();
    assert!(error.contains("no TLS 1.3 session with"), "{error}");
    assert!(error.contains("TLS_AES_128_GCM_SHA256"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_another_name_or_root_is_refused() {
    let (site, other) = (p256(), p256());
    let server = Server::openssl(&site, &[]);
    let world = World::new(&other, server.address).await;
    assert!(matches!(world.session(Group::P256).await, Err(Error::Exchange(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn node_plain_chunked_and_asking_for_a_certificate() {
    let site = p256();
    for options in [&[][..], &["chunked"], &["ask"]] {
        let server = Server::node(&site, options);
        let session = accepted(&site, &server, Group::P256).await;
        assert_eq!(session.session.certificate_asked, options == ["ask"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn python() {
    let site = Site::rsa();
    let server = Server::python(&site);
    accepted(&site, &server, Group::P256).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn java() {
    if !has("java") {
        return;
    }
    let site = p256();
    let server = Server::java(&site);
    accepted(&site, &server, Group::P256).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx() {
    if !has("nginx") {
        return;
    }
    let site = Site::rsa();
    for options in ["", "ssl_session_tickets off; chunked_transfer_encoding on;", "ssl_buffer_size 1k;"] {
        let server = Server::nginx(&site, options);
        accepted(&site, &server, Group::P256).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy() {
    if !has("caddy") {
        return;
    }
    let site = p256();
    let server = Server::caddy(&site);
    accepted(&site, &server, Group::P256).await;
}

/// A survey about the page that all servers serve, by a notary with this key.
pub fn survey_file(notary: &str) -> String {
    format!(
        r#"
[survey]
name = "zoo"
title = "Balances in the zoo"
opens = "2025-01-01T00:00:00Z"
closes = "2100-01-01T00:00:00Z"
min_cohort = 10
min_new = 10
resubmission = "reject"
statistics = ["count", "sum"]

[source]
server_name = "{NAME}"
root_certificates = ["root.der"]
method = "GET"
path = "/account"

[[notaries]]
name = "the zoo's notary"
kind = "proxy"
algorithm = "ed25519"
key = "{notary}"

[identity]
prefix = '"uid":'
suffix = ','

[[columns]]
name = "eth"
unit = "ETH"
prefix = '{{"asset":"ETH","free":"'
suffix = '"'
scale = 8
bits = 48
"#
    )
}

fn survey(site: &Site, notary: &str) -> SurveyDescriptor {
    let manifest = SurveyManifest::from_toml(&survey_file(notary)).unwrap();
    let parties = [11, 12, 13].map(|seed| SigningKey::from_seed(&[seed; 32]).unwrap().public());
    SurveyDescriptor::assemble(manifest, std::slice::from_ref(&site.root), parties, EngineDigest([0; 32]))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn inspect_says_who_sees_what_of_a_session() {
    let site = p256();
    let server = Server::openssl(&site, &[]);
    let survey = survey(&site, &hex::encode(notary_key().public()));
    let request = Shape::of(survey.manifest()).make(Credentials::default(), 0).unwrap();
    let world = World::serving(&site, server.address, Served::of(&survey), request.0.to_vec()).await;
    let dir = site.dir.path().join("session");
    world.session(Group::P256).await.unwrap().write(&dir).unwrap();
    let secret = fs::read_to_string(dir.join(session::SECRET)).unwrap();

    let look = |path: &Path, trust: &Trust, survey: Option<&SurveyDescriptor>| {
        session::inspect(session::find(path).unwrap().unwrap(), trust, survey)
    };
    let report = look(&dir, &Trust::default(), Some(&survey)).unwrap();
    assert!(report.notary.trusted && report.warnings.is_empty(), "{:?}", report.warnings);
    let seen = report.seen.clone().unwrap();
    assert!(seen.contains("GET /account") && seen.contains("\"uid\":354937868"), "{seen}");
    for shown in [report.to_text(), serde_json::to_string(&report).unwrap()] {
        // The value, what other strings hold, and what opens everything.
        for hidden in ["12.34567890", "1.00007919", secret.trim()] {
            assert!(!shown.contains(hidden), "{hidden}: {shown}");
        }
    }

    // The public part alone, with nobody to compare with: everything is checked but whose key it is.
    let trust = Trust { notaries: vec![], roots: vec![site.write_root()] };
    let report = look(&dir.join(session::SESSION), &trust, None).unwrap();
    assert!(!report.notary.trusted && report.to_text().contains("NOT CHECKED") && report.seen.is_none());
    assert!(report.records.iter().all(|r| r.inner_type.is_none()));
    let code = |trust: &Trust, survey| look(&dir, trust, survey).unwrap_err().code();
    let other = Trust { notaries: vec!["00".repeat(32)], ..trust.clone() };
    assert_eq!(code(&other, None), "notary-unknown");
    assert_eq!(code(&Trust { notaries: vec!["02".repeat(33)], ..trust.clone() }, None), "usage");
    assert_eq!(code(&Trust { roots: vec![], ..trust.clone() }, None), "chain");
    let stranger = StatementKey::from_seed(&[3; 32]).unwrap();
    let elsewhere = self::survey(&site, &hex::encode(stranger.public()));
    assert_eq!(code(&trust, Some(&elsewhere)), "notary-unknown");
    let mut bytes = fs::read(dir.join(session::SESSION)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    bytes[40] ^= 1;
    fs::write(dir.join(session::SESSION), &bytes).unwrap();
    assert!(session::find(&dir).and_then(|found| session::inspect(found.unwrap(), &trust, None)).is_err());
    fs::write(dir.join(session::SESSION), "").unwrap();
    assert_eq!(session::find(&dir).unwrap_err().code(), "evidence-malformed");
    // A file of another kind is none.
    assert!(session::find(&site.dir.path().join("account")).unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_64_kb_is_evidence_that_parties_take() {
    let site = p256();
    let server = Server::openssl(&site, &[]);
    let rows: Vec<_> = (0..1500).map(|i| format!(r#"{{"asset":"B{i:05}","free":"{i}.00000001"}}"#)).collect();
    let body = format!(
        r#"{{"uid":354937868,"balances":[{{"asset":"ETH","free":"12.34567890"}},{}]}}"#,
        rows.join(",")
    );
    assert!(body.len() > 60_000, "{}", body.len());
    site.write("account", &format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let survey = survey(&site, &hex::encode(notary_key().public()));
    let request = Shape::of(survey.manifest()).make(Credentials::default(), 0).unwrap();
    let world = World::serving(&site, server.address, Served::of(&survey), request.0.to_vec()).await;
    let session = world.session(Group::P256).await.unwrap();
    let (evidence, secrets) = session.evidence(survey.manifest()).unwrap();
    // Ciphertext, and what of the text is shown: less than twice the answer.
    assert!((body.len()..MAX_EVIDENCE).contains(&evidence.len()), "{}", evidence.len());
    tercet_client::submit::check(&survey, &evidence, &secrets).unwrap();
}
