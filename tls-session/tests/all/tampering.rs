//! Every bit of a handshake changed, and every prefix of a recording.

use tercet_tls_session::forge::{Forge, Identity, TIME};
use tercet_tls_session::{Direction, Recorded, Refusal, Roots, Session, open, verify};

use crate::samples::{self, NAME};

/// The first record of a client may carry version 3.1 or 3.3, which no TLS peer reads: this bit decides nothing.
const FREE: (Direction, usize, u8) = (Direction::Client, 2, 0x02);

/// Tries each single-bit change of the handshake's bytes.
fn every_bit(name: &str, recorded: &Recorded<'_>, roots: &Roots, time: u64, session: &Session) {
    for direction in [Direction::Client, Direction::Server] {
        let bytes = match direction {
            Direction::Client => recorded.client,
            Direction::Server => recorded.server,
        };
        let first = session.records(direction)[0].body.start - 5;
        let mut changed = bytes.to_vec();
        for at in 0..first {
            for bit in (0..8).map(|i| 1 << i) {
                changed[at] ^= bit;
                let recorded = match direction {
                    Direction::Client => Recorded { client: &changed, ..*recorded },
                    Direction::Server => Recorded { server: &changed, ..*recorded },
                };
                let result = verify(&recorded, NAME, roots, time);
                let free = (direction, at, bit) == FREE;
                assert_eq!(result.is_ok(), free, "{name}: {direction:?} byte {at}, bit {bit:02x}");
                changed[at] ^= bit;
            }
        }
    }
}

#[test]
fn every_single_bit_change_of_a_recorded_handshake_is_refused() {
    // One sample of each server; what differs between the others is not in the handshake.
    let chosen =
        ["nginx-rsa", "node-ec-asks-client-cert", "openssl-http-rsa-chacha", "openssl-small-fragments"];
    let mut tried = 0;
    for sample in samples::good().iter().filter(|s| chosen.contains(&&*s.name) || s.name == "rustls-ec") {
        let session = sample.verify().unwrap();
        every_bit(&sample.name, &sample.recorded(), &sample.roots, sample.time, &session);
        tried += 1;
    }
    assert_eq!(tried, chosen.len() + 1);
}

#[test]
fn a_changed_bit_of_the_handshake_secrets_is_refused() {
    for sample in samples::good() {
        for at in 0..256 {
            let (byte, bit) = (at / 8, 1 << (at % 8));
            let mut secret = sample.client_secret;
            secret[byte] ^= bit;
            let recorded = Recorded { client_secret: &secret, ..sample.recorded() };
            assert_eq!(verify(&recorded, NAME, &sample.roots, sample.time), Err(Refusal::ClientRecord));
            let mut secret = sample.server_secret;
            secret[byte] ^= bit;
            let recorded = Recorded { server_secret: &secret, ..sample.recorded() };
            assert_eq!(verify(&recorded, NAME, &sample.roots, sample.time), Err(Refusal::ServerRecord));
        }
    }
}

#[test]
fn every_prefix_within_a_record_or_the_handshake_is_refused() {
    for sample in samples::good().iter().filter(|s| s.client.len() + s.server.len() < 10_000) {
        let session = sample.verify().unwrap();
        for direction in [Direction::Client, Direction::Server] {
            let bytes = match direction {
                Direction::Client => &sample.client,
                Direction::Server => &sample.server,
            };
            let records = session.records(direction);
            // Behind the handshake a direction may end between two records: the notary's statement has its length.
            let ends: Vec<_> = std::iter::once(records[0].body.start - 5)
                .chain(records.iter().map(|r| r.body.end))
                .collect();
            for cut in 0..bytes.len() {
                let recorded = match direction {
                    Direction::Client => Recorded { client: &bytes[..cut], ..sample.recorded() },
                    Direction::Server => Recorded { server: &bytes[..cut], ..sample.recorded() },
                };
                let result = verify(&recorded, NAME, &sample.roots, sample.time);
                assert_eq!(
                    result.is_ok(),
                    ends.contains(&cut),
                    "{}: {direction:?} cut at {cut}",
                    sample.name
                );
            }
        }
    }
}

#[test]
fn every_bit_of_the_application_records_is_under_its_tag() {
    let identity = Identity::new(NAME);
    let forged = Forge::default().make(&identity);
    let roots = Roots::from_der([&identity.root[..]]).unwrap();
    let session = verify(&forged.recorded(), NAME, &roots, TIME).unwrap();
    every_bit("made here", &forged.recorded(), &roots, TIME, &session);
    for at in session.server[0].body.start..forged.server.len() {
        let mut server = forged.server.clone();
        server[at] ^= 1;
        let recorded = Recorded { server: &server, ..forged.recorded() };
        if let Ok(session) = verify(&recorded, NAME, &roots, TIME) {
            let opened = open(&session, &forged.client, &server, &forged.secret);
            assert_eq!(opened.unwrap_err(), Refusal::ApplicationRecord, "byte {at}");
        }
    }
}
