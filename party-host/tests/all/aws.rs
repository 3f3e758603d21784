//! Keys in KMS and Secrets Manager, against servers that answer like them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use party_host::config::{ConfigError, KeyPlaces, Keys};
use party_host::keyring::{DataKey, KeyWrapper, KeyringError, KmsKeyring, WrappedKey};
use party_host::secrets::{EarlierKmsKeys, SeedPlace, WrappingPlace};
use serde_json::{Value, json};
use zeroize::Zeroizing;

const KEY: &str = "arn:aws:kms:eu-central-1:111111111111:key/one";
const OTHER: &str = "arn:aws:kms:eu-central-1:111111111111:key/two";
const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:";

/// The memory of the services: KMS's wrapped keys by ciphertext (key, context, plaintext), secrets by ARN.
#[derive(Default)]
struct Services {
    wrapped: Vec<(String, Value, String)>,
    disabled: bool,
    secrets: HashMap<String, String>,
}

fn refusal(code: &str) -> Response {
    (StatusCode::BAD_REQUEST, json!({"__type": code, "message": "no"}).to_string()).into_response()
}

fn text(request: &Value, name: &str) -> String {
    request[name].as_str().unwrap_or_default().to_owned()
}

/// AWS's JSON protocol: one address, the operation in a header.
async fn answer(State(services): State<Arc<Mutex<Services>>>, headers: HeaderMap, body: String) -> Response {
    let request: Value = serde_json::from_str(&body).unwrap();
    let mut services = services.lock().unwrap();
    match headers["x-amz-target"].to_str().unwrap() {
        "TrentService.Encrypt" if services.disabled => refusal("DisabledException"),
        "TrentService.Encrypt" => {
            let entry =
                (text(&request, "KeyId"), request["EncryptionContext"].clone(), text(&request, "Plaintext"));
            services.wrapped.push(entry);
            // Base64 of the entry's number: what KMS returns says nothing to us either.
            let number = format!("{:04}", services.wrapped.len() - 1);
            json!({"CiphertextBlob": number, "KeyId": request["KeyId"]}).to_string().into_response()
        }
        "TrentService.Decrypt" => {
            let found =
                text(&request, "CiphertextBlob").parse().ok().and_then(|i: usize| services.wrapped.get(i));
            match found {
                Some((key, ..)) if *key != text(&request, "KeyId") => refusal("IncorrectKeyException"),
                Some((_, context, plain)) if *context == request["EncryptionContext"] => {
                    json!({"Plaintext": plain, "KeyId": request["KeyId"]}).to_string().into_response()
                }
                _ => refusal("InvalidCiphertextException"),
            }
        }
        "secretsmanager.GetSecretValue" => match services.secrets.get(&text(&request, "SecretId")) {
            Some(value) => {
                json!({"SecretString": value, "ARN": request["SecretId"]}).to_string().into_response()
            }
            None => refusal("ResourceNotFoundException"),
        },
        other => panic!("nobody should ask for {other}"),
    }
}

async fn world() -> (Arc<Mutex<Services>>, SdkConfig) {
    let services = Arc::new(Mutex::new(Services::default()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(answer)).with_state(services.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (services, config(&endpoint))
}

fn config(endpoint: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("a", "b", None, None, "test")))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}

#[tokio::test]
async fn data_keys_are_wrapped_by_kms_and_bound_to_key_and_place() {
    let (services, aws) = world().await;
    let ring = KmsKeyring::new(&aws, KEY, vec![OTHER.into()]);
    let key = DataKey(Zeroizing::new([7; 32]));
    let wrapped = ring.wrap(&key, b"place").await.unwrap();
    assert_eq!(wrapped.key_id, KEY);
    assert_eq!(ring.unwrap(&wrapped, b"place").await.unwrap(), key);
    assert!(matches!(ring.unwrap(&wrapped, b"plaice").await, Err(KeyringError::Refused)));
    let renamed = WrappedKey { key_id: OTHER.into(), ..wrapped.clone() };
    assert!(matches!(ring.unwrap(&renamed, b"place").await, Err(KeyringError::Refused)));
    let altered = WrappedKey { bytes: b"no".to_vec(), ..wrapped.clone() };
    assert!(matches!(ring.unwrap(&altered, b"place").await, Err(KeyringError::Refused)));
    // After a change of the wrapping key, objects name the old one and still open.
    let newer = KmsKeyring::new(&aws, OTHER, vec![KEY.into()]);
    assert_eq!(newer.unwrap(&wrapped, b"place").await.unwrap(), key);
    assert_eq!(newer.wrap(&key, b"place").await.unwrap().key_id, OTHER);

    services.lock().unwrap().disabled = true;
    let error = ring.wrap(&key, b"place").await.unwrap_err();
    assert!(
        matches!(error, KeyringError::KmsKey { .. }) && error.to_string().contains("DisabledException"),
        "{error}"
    );
    assert!(!format!("{ring:?} {key:?} {error:?}").contains("7, 7"));
}

#[tokio::test]
async fn only_listed_kms_keys_unwrap() {
    let (services, aws) = world().await;
    // Whoever can write into the bucket can wrap a data key under a KMS key of theirs, for the right place.
    let theirs = KmsKeyring::new(&aws, OTHER, vec![]);
    let planted = theirs.wrap(&DataKey(Zeroizing::new([7; 32])), b"place").await.unwrap();
    let ours = KmsKeyring::new(&aws, KEY, vec![]);
    let error = ours.unwrap(&planted, b"place").await.unwrap_err();
    assert!(matches!(&error, KeyringError::KmsKeyNotListed { key } if key == OTHER), "{error}");
    assert!(error.to_string().contains("keys.store_previous"), "{error}");
    // KMS would have opened it.
    let listed = KmsKeyring::new(&aws, KEY, vec![OTHER.into()]);
    assert!(listed.unwrap(&planted, b"place").await.is_ok());
    drop(services);
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let ring = KmsKeyring::new(&config(&endpoint), KEY, vec![]);
    let error = ring.wrap(&DataKey(Zeroizing::new([7; 32])), b"place").await.unwrap_err();
    assert!(matches!(error, KeyringError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn keys_come_from_secrets_and_a_rotation_brings_two_sealing_keys() {
    let (services, aws) = world().await;
    let place = |name: &str| SeedPlace::Secret(format!("{SECRET}{name}"));
    let put = |name: &str, value: &str| {
        services.lock().unwrap().secrets.insert(format!("{SECRET}{name}"), value.to_owned());
    };
    put("identity", &"01".repeat(32));
    put("sealing", &format!("{}\n", "02".repeat(32)));
    put("old", &"03".repeat(32));
    let mut places = KeyPlaces {
        identity: place("identity"),
        sealing: place("sealing"),
        sealing_previous: Some(place("old")),
        peer: place("peer"),
        store: WrappingPlace::Kms(KEY.into()),
        store_previous: EarlierKmsKeys::default(),
    };
    let error = Keys::load(&places, &aws).await.unwrap_err();
    assert!(matches!(&error, ConfigError::Secret { arn, .. } if arn.ends_with("peer")), "{error}");
    put("peer", "secret words");
    let error = Keys::load(&places, &aws).await.unwrap_err().to_string();
    assert!(error.contains("hexadecimal") && !error.contains("words"), "{error}");
    put("peer", &"04".repeat(32));
    let keys = Keys::load(&places, &aws).await.unwrap();
    assert_eq!(keys.sealing.len(), 2);
    assert_ne!(keys.sealing[0].public(), keys.sealing[1].public());
    assert!(!format!("{keys:?}").contains("02020202"), "no seed shows");
    places.sealing_previous = None;
    assert_eq!(Keys::load(&places, &aws).await.unwrap().sealing.len(), 1);
}
