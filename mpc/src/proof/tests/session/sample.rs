//! Sessions recorded with real servers (`tests/fixtures/vectors/tls13`).

extern crate std;

use std::path::PathBuf;
use std::string::String;

use super::*;
use crate::statement::session::{Hidden, Part, place};

/// A recorded session and its secret.
pub(super) struct Sample {
    pub(super) suite: Suite,
    pub(super) t1: [u8; 32],
    pub(super) t2: [u8; 32],
    pub(super) server_secret: [u8; 32],
    pub(super) client: Vec<Part>,
    pub(super) server: Vec<Part>,
    pub(super) request: Vec<u8>,
    pub(super) response: Vec<u8>,
    pub(super) secret: HandshakeSecret,
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

pub(super) fn sample(name: &str) -> Sample {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/vectors/tls13").join(name);
    let read = |file: &str| std::fs::read(dir.join(file)).unwrap();
    let json = |file: &str| serde_json::from_slice::<serde_json::Value>(&read(file)).unwrap();
    let (vectors, public) = (json("vectors.json"), json("public.json"));
    let array = |value: &serde_json::Value| <[u8; 32]>::try_from(hex(value.as_str().unwrap())).unwrap();
    let parts = |direction: &str, file: &str| {
        let bytes = read(file);
        let of = vectors["application"].as_array().unwrap().iter().find(|d| d["direction"] == direction);
        let part = |record: &serde_json::Value| {
            let n = |key: &str| record[key].as_u64().unwrap() as usize;
            let (start, content) = (n("offset"), n("content_bytes"));
            let ciphertext = bytes[start..start + n("length") - 16].to_vec();
            match n("inner_type") {
                23 => Part::Application { ciphertext, content },
                21 => Part::Other(Record::close_notify(ciphertext, 1)),
                // rustls sends two in a record, the others one.
                22 if content == 162 => Part::Other(Record::tickets(ciphertext, &[77, 77])),
                _ => Part::Other(Record::tickets(ciphertext, &[content - 4])),
            }
        };
        of.unwrap()["records"].as_array().unwrap().iter().map(part).collect()
    };
    let secret = hex(String::from_utf8(read("handshake_secret.hex")).unwrap().trim());
    Sample {
        suite: if vectors["suite"] == "1303" { Suite::ChaCha20Poly1305 } else { Suite::Aes128Gcm },
        t1: array(&vectors["hash_client_hello_server_hello"]),
        t2: array(&vectors["hash_to_server_finished"]),
        server_secret: array(&public["server_handshake_traffic_secret"]),
        client: parts("client", "client_to_server.bin"),
        server: parts("server", "server_to_client.bin"),
        request: read("request.txt"),
        response: read("response.txt"),
        secret: HandshakeSecret(Zeroizing::new(secret.try_into().unwrap())),
    }
}

pub(super) fn hide(text: &[u8], what: &[u8], role: Role) -> Hidden {
    let at = text.windows(what.len()).position(|w| w == what).unwrap();
    Hidden { range: at..at + what.len(), role }
}

pub(super) const fn inert(kind: InertKind) -> Role {
    Role::Inert { kind, continued: false }
}

impl Sample {
    pub(super) fn hidden(&self) -> [Vec<Hidden>; 2] {
        let token = &b"0123456789abcdefghijklmnopqrstuvwxyz"[..];
        let mut server = vec![hide(&self.response, VALUE, Role::Column(0))];
        for (what, kind) in [
            (&b"354937868"[..], InertKind::Number),
            (b"DE", InertKind::Text),
            (b"10.00079190", InertKind::EscapedText),
            (b"A0020", InertKind::EscapedText),
        ] {
            server.push(hide(&self.response, what, inert(kind)));
        }
        server.sort_by_key(|hidden| hidden.range.start);
        [vec![hide(&self.request, token, inert(InertKind::HeaderValue))], server]
    }

    pub(super) fn session(&self, hidden: &[Vec<Hidden>; 2]) -> Session {
        let place = |parts: &Vec<Part>, text, hidden| place(parts.clone(), text, hidden).unwrap();
        Session {
            suite: self.suite,
            t1: self.t1,
            t2: self.t2,
            server_secret: self.server_secret,
            client: place(&self.client, &self.request, &hidden[0]),
            server: place(&self.server, &self.response, &hidden[1]),
        }
    }

    pub(super) fn statement(&self) -> Statement {
        of(self.session(&self.hidden()))
    }
}
