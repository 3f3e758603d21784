//! Notarizing at the sample exchange with the local notary.

use std::net::SocketAddr;

use tempfile::TempDir;
use tercet_client::http::{Http, HttpOptions, Url};
use tercet_client::inspect::inspect;
use tercet_client::notarize::{ATTESTATION, Headers, Notarized, PRESENTATION, Plan, SECRETS, notarize};
use tercet_client::{Error, operator};
use tercet_embedded::exchange::{self, Exchange, SERVER_NAME};
use tercet_embedded::{Server, notary};
use tercet_evidence::Secrets;
use tercet_protocol::kind::Kind;
use tercet_protocol::survey::{NotaryAlgorithm, NotarySection};
use tlsn_verifier::{Direction, HashAlg, NotaryTrust, RootStore, TrustPolicy, WireVersion};

use crate::fixtures::vectors;

pub struct Site {
    pub exchange: Exchange,
    pub notary: Server,
    pub dir: TempDir,
}

pub async fn site() -> Site {
    let dir = tempfile::tempdir().unwrap();
    let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let exchange =
        exchange::serve(exchange::Config::new(loopback, dir.path().join("exchange"), 3, 7)).await.unwrap();
    let notary = notary::serve(notary::Config::new(loopback, dir.path().join("notary"))).await.unwrap();
    Site { exchange, notary, dir }
}

impl Site {
    pub fn page() -> String {
        format!("https://{SERVER_NAME}/api/v3/account?omitZeroBalances=true")
    }

    fn plan(&self, account: usize) -> Plan {
        let (mut survey, _) = operator::read_survey(&vectors().join("survey.toml")).unwrap();
        let key = notary::public_key().unwrap();
        survey.notaries = vec![NotarySection {
            name: "local notary".into(),
            kind: Kind::Presentation,
            valid_from: None,
            valid_until: None,
            algorithm: NotaryAlgorithm::Secp256k1,
            key: hex::encode(key.to_sec1_compressed()),
        }];
        let mut headers = Headers::default();
        headers.add("test", &format!("X-MBX-APIKEY: {}", self.exchange.accounts[account].api_key)).unwrap();
        Plan {
            url: Self::page(),
            connect: Some(self.exchange.server.addr().to_string()),
            headers,
            survey,
            roots: vec![self.exchange.root.to_vec()],
            hash: HashAlg::Blake3,
            format: WireVersion::Alpha15,
        }
    }

    async fn run(&self, plan: &Plan) -> Result<Notarized, Error> {
        let http = Http::new(HttpOptions::default()).unwrap();
        notarize(&http, &Url::parse(&self.notary.url()).unwrap(), plan).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hash_and_format_gives_files_that_verify_and_open() {
    let site = site().await;
    for format in [WireVersion::Alpha12, WireVersion::Alpha15] {
        for (i, hash) in HashAlg::ALL.into_iter().enumerate() {
            let plan = Plan { hash, format, ..site.plan(i) };
            let out = site.run(&plan).await.unwrap();
            let policy = TrustPolicy {
                notaries: NotaryTrust::Pinned(vec![notary::public_key().unwrap()]),
                roots: RootStore::from_der([&site.exchange.root]).unwrap(),
                server_name: Some(SERVER_NAME.into()),
            };
            let verified = tlsn_verifier::verify(&out.presentation, &policy).unwrap();
            assert_eq!(verified.wire_version, format);
            let account = &site.exchange.accounts[i];
            let commitment = verified.unopened().find(|c| c.direction == Direction::Received).unwrap();
            assert_eq!(commitment.alg, hash);
            let secrets = tlsn_verifier::Secrets::decode(&out.secrets.encode()).unwrap();
            let opening = secrets.opening_for(commitment).unwrap();
            assert_eq!(std::str::from_utf8(&opening.bytes).unwrap(), account.eth_free.to_string());

            // Neither the key nor the balance is in what others see, or in what gets logged.
            let report = inspect(&out.presentation, &policy).unwrap();
            assert!(report.to_text().contains("worthless as proof"));
            let seen = [String::from_utf8_lossy(&out.presentation).into_owned(), format!("{out:?} {plan:?}")];
            for text in seen {
                assert!(!text.contains(&account.api_key));
                assert!(!text.contains(&format!("\"ETH\",\"free\":\"{}", account.eth_free)));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_written_whole_and_private() {
    let site = site().await;
    let out = site.run(&site.plan(0)).await.unwrap();
    let dir = site.dir.path().join("out/proof");
    out.write(&dir, false).unwrap();
    for name in [PRESENTATION, SECRETS, ATTESTATION] {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(dir.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
    assert_eq!(std::fs::read(dir.join(PRESENTATION)).unwrap(), out.presentation);
    Secrets::decode(&std::fs::read(dir.join(SECRETS)).unwrap()).unwrap();
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 3, "no temporary file is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_submitted_is_not_notarized() {
    let site = site().await;
    let fails = async |plan: Plan| site.run(&plan).await.unwrap_err();

    let mut stranger = Headers::default();
    stranger.add("test", "X-MBX-APIKEY: nobody").unwrap();
    let refused = fails(Plan { headers: stranger, ..site.plan(0) }).await;
    assert_eq!(refused.code(), "exchange");
    assert!(refused.to_string().contains("401"), "{refused}");

    let untrusted =
        fails(Plan { roots: vec![std::fs::read(vectors().join("root.der")).unwrap()], ..site.plan(0) }).await;
    assert_eq!(untrusted.code(), "exchange");

    let mut unlisted = site.plan(0);
    unlisted.survey = operator::read_survey(&vectors().join("survey.toml")).unwrap().0;
    assert_eq!(fails(unlisted).await.code(), "notary-untrusted");

    let mut column = site.plan(0);
    column.survey.columns[0].prefix = Some("{\"asset\":\"DOGE\",\"free\":\"".into());
    assert!(fails(column).await.to_string().contains("is not in the response"));

    for url in [
        "http://api.exchange.test/api/v3/account?omitZeroBalances=true",
        "https://other.exchange.test/api/v3/account?omitZeroBalances=true",
        "https://api.exchange.test/api/v3/order?omitZeroBalances=true",
        "https://api.exchange.test/api/v3/account",
        "nonsense",
    ] {
        assert_eq!(fails(Plan { url: url.into(), ..site.plan(0) }).await.exit_status(), 2, "{url}");
    }
}
