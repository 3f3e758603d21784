//! The doctor against servers that answer like AWS and like a party: everything good, and then one thing after the other wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tercet_client::doctor::{self, Deployment, Finding, KmsKey, Report, Service, State, Vault};
use tercet_client::http::{Http, HttpOptions};
use tercet_client::operator;
use tercet_protocol::ids::{EngineDigest, PublicKey};
use tercet_protocol::operator::{CoordinatorInfo, Federation};

const ACCOUNT: &str = "111111111111";
const POLICY: &str = r#"{"Statement":[{"Sid":"A","Action":["s3:a","s3:b"]},{"Sid":"B"}]}"#;
const DIGEST: &str = "sha256:aa";

/// AWS's answers, by the request's name: a status and a body.
type Answers = Arc<Mutex<BTreeMap<String, (u16, String)>>>;

/// When the deployment is looked at: now, since requests are signed with the machine's clock.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn deployment() -> Deployment {
    Deployment {
        account: ACCOUNT.into(),
        region: "eu-central-1".into(),
        bucket: "shares".into(),
        bucket_policy: POLICY.into(),
        storage_key: "arn:storage".into(),
        noncurrent_days: 30,
        keys: vec![KmsKey { arn: "arn:shares".into(), policy: POLICY.into() }],
        secrets: [("identity", "arn:identity"), ("sealing_previous", "arn:previous")]
            .map(|(name, arn)| (name.to_owned(), arn.to_owned()))
            .into(),
        secret_policy: POLICY.into(),
        alarms: vec!["p-errors".into(), "p-memory".into()],
        rules: vec!["p-policies".into()],
        topics: vec!["arn:aws:sns:eu-central-1:111111111111:alarms".into()],
        vault: Some(Vault { name: "p".into(), locked: true }),
        service: Some(Service {
            cluster: "p".into(),
            name: "party".into(),
            started: true,
            image: Some(format!("repository@{DIGEST}")),
            certificate: "arn:certificate".into(),
            domain: "party.example.org".into(),
        }),
    }
}

/// AWS as it answers when all is well.
fn healthy() -> BTreeMap<String, (u16, String)> {
    let alarm = |name: &str| {
        format!(
            "<member><AlarmName>{name}</AlarmName><ActionsEnabled>true</ActionsEnabled><StateValue>OK</StateValue></member>"
        )
    };
    // AWS changes the order of statements and makes lists of one.
    let reordered = r#"{"Statement":[{"Sid":"B"},{"Action":["s3:b","s3:a"],"Sid":"A"}]}"#;
    let in_a_year = now() as f64 + 365.0 * 86_400.0;
    let answers = [
        ("GetCallerIdentity", format!("<R><Account>{ACCOUNT}</Account></R>")),
        ("policy", reordered.to_owned()),
        (
            "encryption",
            "<R><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>arn:storage</KMSMasterKeyID></R>".into(),
        ),
        ("versioning", "<R><Status>Enabled</Status></R>".into()),
        (
            "publicAccessBlock",
            "<R><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls>\
             <BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></R>"
                .into(),
        ),
        ("lifecycle", "<R><NoncurrentDays>30</NoncurrentDays><Status>Enabled</Status></R>".into()),
        ("DescribeKey", json!({"KeyMetadata": {"KeyState": "Enabled"}}).to_string()),
        ("GetKeyRotationStatus", json!({"KeyRotationEnabled": true}).to_string()),
        ("GetKeyPolicy", json!({"Policy": reordered}).to_string()),
        ("DescribeSecret", json!({"VersionIdsToStages": {"v": ["AWSCURRENT"]}}).to_string()),
        ("GetResourcePolicy", json!({"ResourcePolicy": reordered}).to_string()),
        ("DescribeAlarms", format!("<R>{}{}</R>", alarm("p-errors"), alarm("p-memory"))),
        ("DescribeRule", json!({"State": "ENABLED"}).to_string()),
        ("/backup-vaults/p", json!({"Locked": true, "NumberOfRecoveryPoints": 3}).to_string()),
        (
            "DescribeCertificate",
            json!({"Certificate": {"Status": "ISSUED", "DomainName": "party.example.org", "NotAfter": in_a_year}})
                .to_string(),
        ),
        (
            "DescribeServices",
            json!({"services": [{"desiredCount": 1, "runningCount": 1, "deployments": [{"rolloutState": "COMPLETED"}]}]})
                .to_string(),
        ),
        ("ListTasks", json!({"taskArns": ["arn:task"]}).to_string()),
        ("DescribeTasks", json!({"tasks": [{"containers": [{"imageDigest": DIGEST}]}]}).to_string()),
    ];
    answers.map(|(name, body)| (name.to_owned(), (200, body))).into()
}

/// One address for all services, as an emulator has.
async fn answer(
    Shared(answers): Shared<Answers>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let signed = headers["authorization"].to_str().unwrap();
    assert!(signed.starts_with("AWS4-HMAC-SHA256 Credential=reader/"), "{signed}");
    let body = String::from_utf8_lossy(&body);
    let name = if let Some(target) = headers.get("x-amz-target") {
        target.to_str().unwrap().rsplit('.').next().unwrap().to_owned()
    } else if let Some(form) = body.strip_prefix("Action=") {
        form.split('&').next().unwrap().to_owned()
    } else {
        uri.query().map_or_else(|| uri.path().to_owned(), str::to_owned)
    };
    // The doctor reads, and does nothing else.
    let reads = ["Get", "Describe", "List"].iter().any(|verb| name.starts_with(verb));
    assert!(method == Method::GET || reads, "{method} {name}");
    match answers.lock().unwrap().get(&name) {
        Some((status, body)) => (StatusCode::from_u16(*status).unwrap(), body.clone()).into_response(),
        None => panic!("nobody should ask for {name}"),
    }
}

async fn aws() -> (Answers, SdkConfig) {
    let answers: Answers = Arc::new(Mutex::new(healthy()));
    let router = Router::new().fallback(answer).with_state(answers.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let credentials = Credentials::new("reader", "secret", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build();
    (answers, config)
}

/// The checks that find a difference, each once.
fn differing(findings: &[Finding]) -> Vec<&'static str> {
    let mut names: Vec<_> = findings.iter().filter(|f| f.state == State::Differs).map(|f| f.check).collect();
    names.dedup();
    assert!(
        findings.iter().all(|f| f.state != State::Differs || f.mend.is_some()),
        "each says what mends it"
    );
    names
}

async fn look(aws: &SdkConfig, deployment: &Deployment) -> Vec<Finding> {
    let http = Http::new(HttpOptions::default()).unwrap();
    doctor::aws::check(&http, aws, deployment, now()).await
}

#[tokio::test]
async fn a_healthy_deployment_has_no_difference() {
    let (_, aws) = aws().await;
    let findings = look(&aws, &deployment()).await;
    assert!(findings.iter().all(|f| f.state == State::Good), "{}", Report { findings }.to_text());
}

#[tokio::test]
async fn each_difference_is_found_and_named() {
    let (answers, aws) = aws().await;
    let soon = now() as f64 + 86_400.0;
    let wrong = [
        ("GetCallerIdentity", 200, "<R><Account>222222222222</Account></R>".into(), "account"),
        ("policy", 200, r#"{"Statement":[{"Sid":"A"}]}"#.into(), "bucket-policy"),
        ("policy", 404, "<Error><Code>NoSuchBucketPolicy</Code></Error>".into(), "bucket-policy"),
        ("encryption", 200, "<R><SSEAlgorithm>AES256</SSEAlgorithm></R>".into(), "bucket-encryption"),
        ("versioning", 200, "<R><Status>Suspended</Status></R>".into(), "bucket-versions"),
        ("publicAccessBlock", 200, "<R><BlockPublicAcls>true</BlockPublicAcls></R>".into(), "bucket-public-access"),
        (
            "lifecycle",
            200,
            "<R><NoncurrentDays>3650</NoncurrentDays><Status>Enabled</Status></R>".into(),
            "bucket-lifecycle",
        ),
        ("DescribeKey", 200, json!({"KeyMetadata": {"KeyState": "PendingDeletion"}}).to_string(), "kms-key"),
        ("GetKeyRotationStatus", 200, json!({"KeyRotationEnabled": false}).to_string(), "kms-key"),
        ("GetKeyPolicy", 200, json!({"Policy": "{}"}).to_string(), "kms-key"),
        ("DescribeSecret", 200, json!({"VersionIdsToStages": {}}).to_string(), "secret"),
        ("GetResourcePolicy", 200, json!({}).to_string(), "secret"),
        ("DescribeAlarms", 200, "<R><AlarmName>p-errors</AlarmName></R>".into(), "alarms"),
        ("DescribeRule", 200, json!({"State": "DISABLED"}).to_string(), "guards"),
        ("DescribeRule", 400, json!({"__type": "ResourceNotFoundException"}).to_string(), "guards"),
        ("/backup-vaults/p", 200, json!({"Locked": false, "NumberOfRecoveryPoints": 3}).to_string(), "backup"),
        ("/backup-vaults/p", 200, json!({"Locked": true, "NumberOfRecoveryPoints": 0}).to_string(), "backup"),
        (
            "DescribeCertificate",
            200,
            json!({"Certificate": {"Status": "ISSUED", "DomainName": "party.example.org", "NotAfter": soon}})
                .to_string(),
            "acm-certificate",
        ),
        (
            "DescribeServices",
            200,
            json!({"services": [{"desiredCount": 1, "runningCount": 0, "deployments": [{"rolloutState": "FAILED"}]}]})
                .to_string(),
            "service",
        ),
        (
            "DescribeTasks",
            200,
            json!({"tasks": [{"containers": [{"imageDigest": "sha256:bb"}]}]}).to_string(),
            "image",
        ),
    ];
    for (name, status, body, check) in wrong {
        let body: String = body;
        let had = answers.lock().unwrap().insert(name.into(), (status, body.clone())).unwrap();
        assert_eq!(differing(&look(&aws, &deployment()).await), [check], "{name}: {body}");
        answers.lock().unwrap().insert(name.into(), had);
    }
    // What Terraform was not asked for.
    let silent = Deployment { topics: vec![], ..deployment() };
    assert_eq!(differing(&look(&aws, &silent).await), ["alarms"]);
    let uncopied = Deployment { vault: None, ..deployment() };
    assert_eq!(differing(&look(&aws, &uncopied).await), ["backup"]);
}

#[tokio::test]
async fn a_question_that_is_refused_is_no_difference() {
    let (answers, aws) = aws().await;
    let refused = json!({"__type": "AccessDeniedException"}).to_string();
    answers.lock().unwrap().insert("DescribeKey".into(), (400, refused));
    let findings = look(&aws, &deployment()).await;
    assert!(differing(&findings).is_empty());
    let key = findings.iter().find(|f| f.check == "kms-key").unwrap();
    assert_eq!(key.state, State::Unknown);
    assert!(key.says.contains("AccessDeniedException"), "{}", key.says);
}

#[test]
fn a_deployment_is_read_as_terraform_writes_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deployment.json");
    std::fs::write(&path, serde_json::to_vec(&deployment()).unwrap()).unwrap();
    assert_eq!(Deployment::read(&path).unwrap(), deployment());
    std::fs::write(&path, "{}").unwrap();
    let error = Deployment::read(&path).unwrap_err();
    assert!(
        error.exit_status() == 2 && error.to_string().contains("terraform output -json doctor"),
        "{error}"
    );
}

/// A party's public face: the manifest that it serves, whether it is ready, whether it shows its metrics.
async fn party(manifest: serde_json::Value, ready: bool, metrics: bool) -> String {
    let state = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut router = Router::new()
        .route("/healthz", get(|| async { ([("date", date())], "ok") }))
        .route("/readyz", get(move || async move { state }))
        .route("/v1/operator", get(move || async move { manifest.to_string() }));
    if metrics {
        router = router.route("/metrics", get(|| async { "tercet_submissions_total 1" }));
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// The date of an answer.
fn date() -> String {
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    time::OffsetDateTime::now_utc().format(format).unwrap()
}

#[tokio::test]
async fn the_party_is_asked_what_it_serves() {
    let dir = tempfile::tempdir().unwrap();
    let manifests = [0, 1, 2].map(|i| {
        let folder = dir.path().join(format!("op{i}"));
        let settings = operator::Settings {
            operator: format!("operator {i}"),
            account: format!("{i:012}"),
            url: "http://127.0.0.1:9".into(),
            peer_address: "127.0.0.1:9".into(),
            engine: EngineDigest([7; 32]),
        };
        operator::init(&folder, &settings).unwrap();
        operator::manifest(&folder, 1).unwrap()
    });
    let coordinator =
        CoordinatorInfo { url: "http://127.0.0.1:9".into(), key: PublicKey([9; 32]), next_key: None };
    let federation = Federation { coordinator, operators: manifests.clone() };
    let http = Http::new(HttpOptions::default()).unwrap();
    let served = serde_json::to_value(&manifests[0]).unwrap();
    let other = serde_json::to_value(&manifests[1]).unwrap();
    for (manifest, ready, metrics, expected) in [
        (&served, true, false, vec![]),
        (&served, false, false, vec!["ready"]),
        (&served, true, true, vec!["metrics"]),
        (&other, true, false, vec!["manifest"]),
    ] {
        let mut ours = manifests[0].clone();
        // The address is not signed anew: what is looked at is where it leads.
        ours.url = party(manifest.clone(), ready, metrics).await;
        let findings = doctor::network::check(&http, &federation, &ours, now()).await;
        // Its address is not the federation's, which is a finding of its own.
        let mut found = differing(&findings);
        assert_eq!(found.remove(0), "federation");
        assert_eq!(found, expected);
    }
    let findings = doctor::network::check(&http, &federation, &manifests[0], now()).await;
    assert_eq!(differing(&findings), ["api"], "nobody answers there");
    let mut forged = federation.clone();
    forged.operators[1].url = "http://127.0.0.1:8".into();
    let findings = doctor::network::check(&http, &forged, &manifests[0], now()).await;
    assert_eq!(differing(&findings), ["federation", "api"]);
}
