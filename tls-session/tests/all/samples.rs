//! Sessions that were recorded with real servers, against the values that an independent program computed.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tercet_tls_session::{
    Direction, HandshakeSecret, Recorded, Refusal, Roots, Session, Suite, keys, open, verify,
};

/// A recorded session.
pub struct Sample {
    pub name: String,
    pub client: Vec<u8>,
    pub server: Vec<u8>,
    pub client_secret: [u8; 32],
    pub server_secret: [u8; 32],
    pub roots: Roots,
    pub time: u64,
    pub secret: HandshakeSecret,
    pub request: Vec<u8>,
    pub response: Vec<u8>,
    pub vectors: Option<Value>,
}

pub const NAME: &str = "api.exchange.test";

fn array<const N: usize>(value: &Value) -> [u8; N] {
    hex::decode(value.as_str().unwrap()).unwrap().try_into().unwrap()
}

impl Sample {
    pub fn recorded(&self) -> Recorded<'_> {
        Recorded {
            client: &self.client,
            server: &self.server,
            client_secret: &self.client_secret,
            server_secret: &self.server_secret,
        }
    }

    pub fn verify(&self) -> Result<Session, Refusal> {
        verify(&self.recorded(), NAME, &self.roots, self.time)
    }
}

/// All samples, in the order of their names.
pub fn all() -> Vec<Sample> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/vectors/tls13");
    let mut folders: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    assert!(folders.len() >= 10, "the samples are missing");
    let sample = |folder: PathBuf| {
        let read = |name: &str| fs::read(folder.join(name)).unwrap();
        let public: Value = serde_json::from_slice(&read("public.json")).unwrap();
        let secret = String::from_utf8(read("handshake_secret.hex")).unwrap();
        Sample {
            name: folder.file_name().unwrap().to_str().unwrap().into(),
            client: read("client_to_server.bin"),
            server: read("server_to_client.bin"),
            client_secret: array(&public["client_handshake_traffic_secret"]),
            server_secret: array(&public["server_handshake_traffic_secret"]),
            roots: Roots::from_der([&read("root.der")[..]]).unwrap(),
            time: public["attestation"]["opened_ms"].as_u64().unwrap() / 1000,
            secret: HandshakeSecret(array(&Value::from(secret.trim()))),
            request: read("request.txt"),
            response: read("response.txt"),
            vectors: fs::read(folder.join("vectors.json")).ok().map(|v| serde_json::from_slice(&v).unwrap()),
        }
    };
    folders.into_iter().map(sample).collect()
}

/// Samples that are to be accepted.
pub fn good() -> Vec<Sample> {
    let mut all = all();
    all.retain(|s| s.vectors.is_some());
    assert!(all.len() >= 9, "the samples are missing");
    all
}

#[test]
fn verified_values_are_those_of_the_vectors() {
    for sample in good() {
        let name = &sample.name;
        let vectors = sample.vectors.as_ref().unwrap();
        let session = sample.verify().unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(session.t1, array(&vectors["hash_client_hello_server_hello"]), "{name}");
        assert_eq!(session.t2, array(&vectors["hash_to_server_finished"]), "{name}");
        let suite = u16::from_str_radix(vectors["suite"].as_str().unwrap(), 16).unwrap();
        assert_eq!(Some(session.suite), Suite::from_code(suite), "{name}");
        assert_eq!(session.certificate_asked, name.contains("asks-client-cert"), "{name}");

        let secrets = sample.secret.application(&session.t2);
        assert_eq!(secrets.master, array(&vectors["master_secret"]), "{name}");
        let opened = open(&session, &sample.client, &sample.server, &sample.secret).unwrap();
        for (direction, secret, vectors) in [
            (Direction::Client, &secrets.client, &vectors["application"][0]),
            (Direction::Server, &secrets.server, &vectors["application"][1]),
        ] {
            assert_eq!(vectors["direction"], direction.name());
            assert_eq!(*secret, array::<32>(&vectors["traffic_secret_0"]), "{name}");
            let keys = keys::TrafficKeys::derive(session.suite, secret);
            assert_eq!(hex::encode(keys.key()), vectors["key"].as_str().unwrap(), "{name}");
            assert_eq!(keys.iv(), &array::<12>(&vectors["iv"]), "{name}");
            let wanted: Vec<_> = vectors["records"].as_array().unwrap().iter().map(record).collect();
            let found: Vec<_> = session
                .records(direction)
                .iter()
                .zip(opened.records(direction))
                .enumerate()
                .map(|(i, (r, o))| {
                    let sizes = [r.body.start, r.body.len(), o.content.len(), o.padding];
                    (i as u64, o.kind, sizes.map(|n| n as u64))
                })
                .collect();
            assert_eq!(found, wanted, "{name}");
        }
        assert_eq!(*opened.stream(Direction::Client), sample.request, "{name}");
        assert_eq!(*opened.stream(Direction::Server), sample.response, "{name}");
    }
}

fn record(v: &Value) -> (u64, u8, [u64; 4]) {
    let number = |key: &str| v[key].as_u64().unwrap();
    let kind = u8::try_from(number("inner_type")).unwrap();
    (number("seq"), kind, ["offset", "length", "content_bytes", "padding"].map(number))
}

#[test]
fn a_retry_is_refused_as_such() {
    let retried: Vec<_> = all().into_iter().filter(|s| s.vectors.is_none()).collect();
    assert!(!retried.is_empty());
    for sample in retried {
        assert_eq!(sample.verify(), Err(Refusal::HelloRetryRequest), "{}", sample.name);
    }
}

#[test]
fn another_name_root_time_or_secret_is_refused() {
    let good = good();
    let foreign = Roots::from_der([&tercet_tls_session::forge::Identity::new(NAME).root[..]]).unwrap();
    for sample in &good {
        let recorded = sample.recorded();
        let check =
            |recorded: &Recorded<'_>, roots: &Roots, time| verify(recorded, NAME, roots, time).unwrap_err();
        let other = verify(&recorded, "api.exchange.tesT", &sample.roots, sample.time);
        assert_eq!(other, Err(Refusal::ServerName), "{}", sample.name);
        assert_eq!(check(&recorded, &foreign, sample.time), Refusal::Chain);
        assert_eq!(check(&recorded, &sample.roots, 10_000_000_000_000), Refusal::ChainTime);
        assert_eq!(check(&recorded, &sample.roots, 1), Refusal::ChainTime);
        let exchanged = Recorded {
            client_secret: recorded.server_secret,
            server_secret: recorded.client_secret,
            ..recorded
        };
        assert_eq!(check(&exchanged, &sample.roots, sample.time), Refusal::ServerRecord);
        let wrong = Recorded { client_secret: &[1; 32], ..recorded };
        assert_eq!(check(&wrong, &sample.roots, sample.time), Refusal::ClientRecord);
    }
    // One session's client with another's server.
    let [a, b, ..] = &good[..] else { panic!() };
    let mixed = Recorded { client: &b.client, ..a.recorded() };
    assert!(verify(&mixed, NAME, &a.roots, a.time).is_err());
}
