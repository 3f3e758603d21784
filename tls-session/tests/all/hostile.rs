//! Servers and clients that misbehave in each way that the checks name. Everything around the fault is consistent:
//! signatures and Finished messages fit the changed handshake.

use tercet_tls_session::forge::{
    Application, Forge, Forged, Identity, Step, TIME, add_extension, edit_body, extension, message, record,
    remove_extension, seal, vector,
};
use tercet_tls_session::keys::TrafficKeys;
use tercet_tls_session::{
    Direction, HandshakeSecret, Recorded, Refusal, Roots, Session, Suite, open, verify,
};

use crate::samples::NAME;

struct World {
    identity: Identity,
    roots: Roots,
}

impl World {
    fn new() -> Self {
        let identity = Identity::new(NAME);
        let roots = Roots::from_der([&identity.root[..]]).unwrap();
        Self { identity, roots }
    }

    fn verify(&self, forged: &Forged) -> Result<Session, Refusal> {
        verify(&forged.recorded(), NAME, &self.roots, TIME)
    }

    /// Verifies a session in which one handshake message is changed.
    fn edited(&self, step: Step, change: impl Fn(&mut Vec<u8>) + 'static) -> Result<Session, Refusal> {
        let mut forge = Forge { ask_certificate: asked(step), ..Forge::default() };
        forge.edit = Box::new(move |s, bytes| {
            if s == step {
                change(bytes);
            }
        });
        self.verify(&forge.make(&self.identity))
    }

    /// Verifies a session whose recorded bytes are changed.
    fn recorded(&self, change: impl Fn(&mut Forged)) -> Result<Session, Refusal> {
        let mut forged = Forge::default().make(&self.identity);
        change(&mut forged);
        self.verify(&forged)
    }

    /// Verifies and opens a session with these application records.
    fn application(&self, records: Vec<Application>) -> Result<(), Refusal> {
        let forged = Forge { application: records, ..Forge::default() }.make(&self.identity);
        let session = self.verify(&forged)?;
        open(&session, &forged.client, &forged.server, &forged.secret).map(|_| ())
    }
}

fn asked(step: Step) -> bool {
    matches!(step, Step::CertificateRequest | Step::ClientCertificate)
}

#[test]
fn honest_sessions_of_all_forms_are_accepted() {
    let world = World::new();
    for suite in [Suite::Aes128Gcm, Suite::ChaCha20Poly1305] {
        for ask_certificate in [false, true] {
            for (fragment, padding) in [(16384, 0), (1, 0), (100, 30), (7, 300)] {
                let forge = Forge { suite, ask_certificate, fragment, padding, ..Forge::default() };
                let forged = forge.make(&world.identity);
                let session = world.verify(&forged).unwrap();
                assert_eq!(session.server_random, forge.server_random);
                open(&session, &forged.client, &forged.server, &forged.secret).unwrap();
            }
        }
    }
}

#[test]
fn framing() {
    let world = World::new();
    type Case = (Refusal, fn(&mut Forged));
    let cases: &[Case] = &[
        (Refusal::DirectionTooLong, |f| f.server.resize(256 * 1024 + 1, 0)),
        (Refusal::RecordType, |f| f.server.extend_from_slice(&record(24, &[0; 20]))),
        (Refusal::RecordType, |f| f.client[0] = 19),
        // Only the client's first record may carry 3.1.
        (Refusal::RecordVersion, |f| f.server[2] = 1),
        (Refusal::RecordVersion, |f| f.client[f.application.0 + 2] = 1),
        (Refusal::RecordVersion, |f| f.client[1] = 2),
        (Refusal::RecordLength, |f| f.server.extend_from_slice(&record(23, &[]))),
        (Refusal::RecordLength, |f| f.server.extend_from_slice(&record(23, &[0; 16]))),
        (Refusal::RecordLength, |f| f.server.extend_from_slice(&record(23, &[0; 16641]))),
        (Refusal::RecordCutOff, |f| f.server.extend_from_slice(&[23, 3, 3, 0])),
        (Refusal::ChangeCipherSpec, |f| f.server[f.server_flight - 1] = 2),
        (Refusal::ChangeCipherSpec, |f| {
            f.server.splice(f.server_flight..f.server_flight, record(20, &[1]));
        }),
        (Refusal::ChangeCipherSpec, |f| f.server.extend_from_slice(&record(20, &[1]))),
        (Refusal::ChangeCipherSpec, |f| f.client.extend_from_slice(&record(20, &[1]))),
        (Refusal::HelloMissing, |f| {
            f.server.splice(0..0, record(20, &[1]));
        }),
        (Refusal::HelloMissing, |f| {
            f.client[2] = 3;
            f.client.splice(0..0, record(21, &[1, 0]));
        }),
        (Refusal::HelloMissing, |f| f.server.clear()),
        (Refusal::HelloMissing, |f| f.client.clear()),
        (Refusal::ServerFlightCutOff, |f| f.server.truncate(f.server_flight)),
        (Refusal::UnprotectedRecord, |f| f.server.extend_from_slice(&record(21, &[1, 0]))),
        (Refusal::UnprotectedRecord, |f| f.client.extend_from_slice(&record(22, &[4, 0, 0, 0]))),
    ];
    for (i, (refusal, change)) in cases.iter().enumerate() {
        assert_eq!(world.recorded(change), Err(*refusal), "case {i}");
    }
    // A hello that another message follows in its record.
    for step in [Step::ClientHello, Step::ServerHello] {
        let more = move |m: &mut Vec<u8>| m.extend_from_slice(&message(4, &[]));
        assert_eq!(world.edited(step, more), Err(Refusal::HelloNotAlone));
        let other = |m: &mut Vec<u8>| m[0] = 3;
        assert_eq!(world.edited(step, other), Err(Refusal::HelloMissing));
    }
}

#[test]
fn client_hellos() {
    let world = World::new();
    type Case = (Refusal, fn(&mut Vec<u8>));
    let cases: &[Case] = &[
        (Refusal::Resumption, |m| add_extension(m, 41, &[0; 8])),
        (Refusal::EarlyData, |m| add_extension(m, 42, &[])),
        (Refusal::RepeatedExtension, |m| add_extension(m, 0, &[0; 8])),
        (Refusal::RepeatedExtension, |m| add_extension(m, 43, &[2, 3, 4])),
        (Refusal::ServerName, |m| remove_extension(m, 0)),
        (Refusal::Version, |m| remove_extension(m, 43)),
        (Refusal::ClientHello, |m| remove_extension(m, 13)),
        (Refusal::ClientHello, |m| remove_extension(m, 51)),
        (Refusal::ClientAlpn, |m| {
            remove_extension(m, 16);
            add_extension(m, 16, b"\x00\x0c\x02h2\x08http/1.1");
        }),
        (Refusal::ClientAlpn, |m| {
            remove_extension(m, 16);
            add_extension(m, 16, b"\x00\x03\x02h2");
        }),
        (Refusal::Version, |m| {
            remove_extension(m, 43);
            add_extension(m, 43, &[2, 3, 3]);
        }),
        // Two names; a name of another kind; another name; a name with more behind it.
        (Refusal::ServerName, |m| names(m, &[(0, NAME), (0, "other.test")])),
        (Refusal::ServerName, |m| names(m, &[(1, NAME)])),
        (Refusal::ServerName, |m| names(m, &[(0, "other.test")])),
        (Refusal::ServerName, |m| names(m, &[(0, "API.exchange.test")])),
        (Refusal::ClientHello, |m| names(m, &[])),
        (Refusal::ClientHello, |m| edit_body(m, |b| b[0] = 2)),
        (Refusal::ClientHello, |m| edit_body(m, |b| b.push(0))),
        (Refusal::ClientHello, |m| edit_body(m, |b| b.truncate(b.len() - 1))),
        // A compression method.
        (Refusal::ClientHello, |m| edit_body(m, |b| b[74] = 1)),
    ];
    for (i, (refusal, change)) in cases.iter().enumerate() {
        assert_eq!(world.edited(Step::ClientHello, change), Err(*refusal), "case {i}");
    }
    // All but the admitted ones: a cookie of a retry, encrypted hellos, compressed certificates, raw keys, ..
    for kind in [1, 15, 19, 20, 21, 24, 27, 28, 34, 44, 47, 49, 57, 0x0a0a, 0xfe0d, 0xffff] {
        let add = move |m: &mut Vec<u8>| add_extension(m, kind, &[0, 1]);
        assert_eq!(world.edited(Step::ClientHello, add), Err(Refusal::ClientExtension), "{kind}");
    }
    for kind in [11, 18, 23, 35, 45, 50, 0xff01] {
        let add = move |m: &mut Vec<u8>| add_extension(m, kind, &[1, 0]);
        assert!(world.edited(Step::ClientHello, add).is_ok(), "{kind}");
    }
}

fn names(hello: &mut Vec<u8>, names: &[(u8, &str)]) {
    remove_extension(hello, 0);
    let list: Vec<u8> =
        names.iter().flat_map(|(kind, n)| [&[*kind][..], &vector(2, n.as_bytes())].concat()).collect();
    add_extension(hello, 0, &vector(2, &list));
}

#[test]
fn server_hellos() {
    let world = World::new();
    type Case = (Refusal, fn(&mut Vec<u8>));
    let cases: &[Case] = &[
        (Refusal::HelloRetryRequest, |m| {
            let retry =
                hex::decode("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c").unwrap();
            m[6..38].copy_from_slice(&retry);
        }),
        (Refusal::Version, |m| edit_body(m, |b| b[1] = 4)),
        (Refusal::Version, |m| remove_extension(m, 43)),
        (Refusal::Version, |m| edit_body(m, |b| b.truncate(70))),
        (Refusal::Version, |m| {
            remove_extension(m, 43);
            add_extension(m, 43, &[3, 3]);
        }),
        (Refusal::SessionId, |m| edit_body(m, |b| b[40] ^= 1)),
        // AES-256, AES-CCM, and a suite that is known but was not offered (by another client, below).
        (Refusal::Suite, |m| edit_body(m, |b| b[68] = 2)),
        (Refusal::Suite, |m| edit_body(m, |b| b[68] = 4)),
        (Refusal::ServerHello, |m| edit_body(m, |b| b[69] = 1)),
        (Refusal::ServerExtension, |m| add_extension(m, 41, &[0, 0])),
        (Refusal::ServerExtension, |m| add_extension(m, 44, &[0, 1, 7])),
        (Refusal::ServerExtension, |m| remove_extension(m, 51)),
        (Refusal::RepeatedExtension, |m| add_extension(m, 43, &[3, 4])),
        (Refusal::KeyShare, |m| {
            remove_extension(m, 51);
            add_extension(m, 51, &[&[0, 0x1d, 0, 32][..], &[9; 32]].concat());
        }),
        (Refusal::ServerHello, |m| {
            remove_extension(m, 51);
            add_extension(m, 51, &[0, 0x17]);
        }),
        (Refusal::ServerHello, |m| edit_body(m, |b| b.push(0))),
    ];
    for (i, (refusal, change)) in cases.iter().enumerate() {
        assert_eq!(world.edited(Step::ServerHello, change), Err(*refusal), "case {i}");
    }
    let offer_aes_only = |m: &mut Vec<u8>| edit_body(m, |b| b[69..71].copy_from_slice(&[0x13, 0x01]));
    let mut forge = Forge { suite: Suite::ChaCha20Poly1305, ..Forge::default() };
    forge.edit = Box::new(move |step, m| {
        if step == Step::ClientHello {
            offer_aes_only(m);
        }
    });
    assert_eq!(world.verify(&forge.make(&world.identity)), Err(Refusal::SuiteNotOffered));
}

#[test]
fn server_flights() {
    use Step::*;
    let world = World::new();
    type Case = (Refusal, Step, fn(&mut Vec<u8>));
    let cases: &[Case] = &[
        (Refusal::ServerMessages, EncryptedExtensions, |m| m.clear()),
        (Refusal::ServerMessages, Certificate, |m| m.clear()),
        (Refusal::ServerMessages, CertificateVerify, |m| m.clear()),
        (Refusal::ServerRecord, ServerFinished, |m| m.clear()),
        (Refusal::ServerMessages, EncryptedExtensions, |m| m.extend_from_slice(&message(8, &[0, 0]))),
        // An unknown message, a ticket too early, a compressed certificate.
        (Refusal::ServerMessages, EncryptedExtensions, |m| m.extend_from_slice(&message(99, &[]))),
        (Refusal::ServerMessages, Certificate, |m| m.splice(0..0, message(4, &[0; 9])).for_each(drop)),
        (Refusal::ServerMessages, Certificate, |m| m[0] = 25),
        (Refusal::ServerMessages, CertificateRequest, |m| m.extend_from_within(..)),
        (Refusal::ServerMessages, EncryptedExtensions, |m| *m = message(8, &[0, 0]).repeat(9)),
        (Refusal::ServerFinishedNotLast, ServerFinished, |m| m.extend_from_slice(&message(4, &[0; 9]))),
        (Refusal::ServerFinishedNotLast, ServerFinished, |m| m.push(4)),
        (Refusal::ServerMessage, ServerFinished, |m| edit_body(m, |b| b.push(0))),
        (Refusal::ServerFinished, ServerFinished, |m| edit_body(m, |b| b[0] ^= 1)),
        // Extensions that were not offered, are not admitted, are repeated; other protocols.
        (Refusal::EncryptedExtension, EncryptedExtensions, |m| add_extension(m, 42, &[])),
        (Refusal::EncryptedExtension, EncryptedExtensions, |m| add_extension(m, 28, &[0x40, 0])),
        (Refusal::EncryptedExtension, EncryptedExtensions, |m| add_extension(m, 13, &[])),
        (Refusal::ServerAlpn, EncryptedExtensions, |m| add_extension(m, 16, b"\x00\x03\x02h2")),
        (Refusal::RepeatedExtension, EncryptedExtensions, |m| {
            add_extension(m, 0, &[]);
            add_extension(m, 0, &[]);
        }),
        (Refusal::ServerMessage, EncryptedExtensions, |m| edit_body(m, |b| b.push(0))),
        (Refusal::ServerMessage, CertificateRequest, |m| edit_body(m, |b| *b = vec![1, 7, 0, 0])),
        (Refusal::ServerMessage, CertificateRequest, |m| edit_body(m, |b| b.push(0))),
        (Refusal::CertificateContext, Certificate, |m| {
            edit_body(m, |b| {
                b[0] = 1;
                b.insert(1, 7);
            });
        }),
        (Refusal::ChainLength, Certificate, |m| *m = message(11, &[0, 0, 0, 0])),
        (Refusal::Chain, Certificate, |m| {
            let entry = [vector(3, b"no certificate"), vector(2, &[])].concat();
            *m = message(11, &[&[0][..], &vector(3, &entry)].concat());
        }),
        (Refusal::ServerMessage, Certificate, |m| edit_body(m, |b| b.push(0))),
        (Refusal::CertificateExtension, Certificate, |m| of_certificate(m, 34)),
        // Transparency was not offered by this client; status was.
        (Refusal::CertificateExtension, Certificate, |m| of_certificate(m, 18)),
        (Refusal::SignatureScheme, CertificateVerify, |m| edit_body(m, |b| b[..2].copy_from_slice(&[2, 3]))),
        (Refusal::SignatureScheme, CertificateVerify, |m| edit_body(m, |b| b[..2].copy_from_slice(&[6, 3]))),
        (Refusal::SignatureScheme, CertificateVerify, |m| edit_body(m, |b| b[..2].copy_from_slice(&[4, 1]))),
        (Refusal::CertificateVerify, CertificateVerify, |m| {
            edit_body(m, |b| b[..2].copy_from_slice(&[8, 7]))
        }),
        (Refusal::CertificateVerify, CertificateVerify, |m| edit_body(m, |b| b[9] ^= 1)),
        (Refusal::ServerMessage, CertificateVerify, |m| edit_body(m, |b| b.push(0))),
    ];
    for (i, (refusal, step, change)) in cases.iter().enumerate() {
        assert_eq!(world.edited(*step, change), Err(*refusal), "case {i}, {step:?}");
    }
    for accepted in [(0, &[][..]), (10, &[0, 2, 0, 0x17]), (16, b"\x00\x09\x08http/1.1")] {
        let add = move |m: &mut Vec<u8>| add_extension(m, accepted.0, accepted.1);
        assert!(world.edited(EncryptedExtensions, add).is_ok(), "{}", accepted.0);
    }
    assert!(world.edited(Certificate, |m| of_certificate(m, 5)).is_ok());
}

/// Puts an extension on the only certificate.
fn of_certificate(bytes: &mut Vec<u8>, kind: u16) {
    edit_body(bytes, |b| {
        let entry = [&b[4..b.len() - 2], &vector(2, &extension(kind, &[1]))].concat();
        *b = [&[0][..], &vector(3, &entry)].concat();
    });
}

/// Replaces the server's protected handshake records by others under the same keys.
fn replaced(forged: &mut Forged, suite: Suite, records: &[(u8, &[u8], usize)]) {
    let keys = TrafficKeys::derive(suite, &forged.server_secret);
    let mut sealed = Vec::new();
    for (i, (kind, content, padding)) in records.iter().enumerate() {
        seal(&mut sealed, &keys, i, *kind, content, *padding);
    }
    forged.server.splice(forged.server_flight..forged.application.1, sealed);
}

#[test]
fn records_of_the_server_flight() {
    let world = World::new();
    let replaced = |records: &[(u8, &[u8], usize)]| {
        world.recorded(|f| replaced(f, Suite::Aes128Gcm, records)).unwrap_err()
    };
    assert_eq!(replaced(&[(23, b"data", 0)]), Refusal::ServerInnerType);
    assert_eq!(replaced(&[(21, &[1, 0], 0)]), Refusal::ServerInnerType);
    assert_eq!(replaced(&[(22, &[], 9)]), Refusal::ServerInnerType);
    assert_eq!(replaced(&[(22, &[8, 0, 0, 2, 0], 0), (23, &[0], 0)]), Refusal::ServerInnerType);
    // Only zeros within a record; more than a record may hold.
    assert_eq!(replaced(&[(0, &[0; 8], 0)]), Refusal::ServerRecord);
    assert_eq!(replaced(&[(22, &[8; 16000], 385)]), Refusal::ServerRecord);
}

#[test]
fn client_flights() {
    use Step::*;
    let world = World::new();
    type Case = (Refusal, Step, fn(&mut Vec<u8>));
    let cases: &[Case] = &[
        (Refusal::ClientMessages, ClientCertificate, |m| m.clear()),
        (Refusal::ClientCertificate, ClientCertificate, |m| {
            let entry = [vector(3, b"certificate"), vector(2, &[])].concat();
            *m = message(11, &[&[0][..], &vector(3, &entry)].concat());
        }),
        (Refusal::ClientCertificate, ClientCertificate, |m| *m = message(11, &[1, 7, 0, 0, 0])),
        (Refusal::ClientMessages, ClientCertificate, |m| m.extend_from_slice(&message(15, &[4, 3, 0, 0]))),
        (Refusal::ClientMessages, ClientCertificate, |m| m.extend_from_within(..)),
        // Asked for none, sends an empty one; ends early data that it never offered.
        (Refusal::ClientMessages, ClientFinished, |m| m.splice(0..0, message(11, &[0; 4])).for_each(drop)),
        (Refusal::ClientMessages, ClientFinished, |m| m.splice(0..0, message(5, &[])).for_each(drop)),
        (Refusal::ClientFinishedNotLast, ClientFinished, |m| m.extend_from_slice(&message(24, &[0]))),
        (Refusal::ClientFinishedNotLast, ClientFinished, |m| m.push(24)),
        (Refusal::ClientFinished, ClientFinished, |m| edit_body(m, |b| b[31] ^= 1)),
        (Refusal::ClientFinished, ClientFinished, |m| edit_body(m, |b| b.push(0))),
    ];
    for (i, (refusal, step, change)) in cases.iter().enumerate() {
        assert_eq!(world.edited(*step, change), Err(*refusal), "case {i}, {step:?}");
    }
    let records = |records: &[(u8, &[u8], usize)]| {
        let change = |f: &mut Forged| {
            let keys = TrafficKeys::derive(Suite::Aes128Gcm, &f.client_secret);
            f.client.truncate(f.application.0 - (36 + 1 + 16 + 5));
            for (i, (kind, content, padding)) in records.iter().enumerate() {
                seal(&mut f.client, &keys, i, *kind, content, *padding);
            }
        };
        world.recorded(change).unwrap_err()
    };
    assert_eq!(records(&[(22, &[20, 0, 0, 32], 1)]), Refusal::ClientPadding);
    assert_eq!(records(&[(23, b"early", 0)]), Refusal::ClientInnerType);
    assert_eq!(records(&[(22, &[], 0)]), Refusal::ClientInnerType);
    assert_eq!(records(&[]), Refusal::ClientFlightCutOff);
}

#[test]
fn application_records() {
    use Direction::{Client, Server};
    let world = World::new();
    let record = |direction, kind, content: &[u8]| Application {
        direction,
        kind,
        content: content.into(),
        padding: 0,
    };
    let update = [24, 0, 0, 1, 0];
    let ticket = Application::ticket(9).content;
    let cases = [
        (Refusal::KeyUpdate, vec![record(Server, 22, &update)]),
        (Refusal::KeyUpdate, vec![record(Client, 22, &update)]),
        (Refusal::KeyUpdate, vec![record(Server, 22, &[&ticket[..], &update].concat())]),
        // A request for a certificate after the handshake.
        (Refusal::PostHandshake, vec![record(Server, 22, &[13, 0, 0, 0])]),
        (Refusal::InnerType, vec![record(Client, 22, &ticket)]),
        (Refusal::InnerType, vec![record(Server, 20, &[1])]),
        (Refusal::InnerType, vec![record(Client, 99, b"x")]),
        (Refusal::TicketRecord, vec![record(Server, 22, &ticket[..8])]),
        (Refusal::TicketRecord, vec![record(Server, 22, &[])]),
        (Refusal::TicketRecord, vec![record(Server, 22, &[&ticket[..], &[4]].concat())]),
        (Refusal::Alert, vec![record(Server, 21, &[2, 40])]),
        (Refusal::Alert, vec![record(Server, 21, &[1, 0, 1, 0])]),
        (Refusal::Alert, vec![record(Client, 21, &[3, 0])]),
        (Refusal::AfterClose, vec![Application::close(Server), Application::data(Server, "more")]),
        (Refusal::AfterClose, vec![Application::close(Client), Application::close(Client)]),
    ];
    for (i, (refusal, records)) in cases.into_iter().enumerate() {
        assert_eq!(world.application(records), Err(refusal), "case {i}");
    }
    let padded = Application { padding: 500, ..Application::data(Server, "padded") };
    let two = record(Server, 22, &ticket.repeat(2));
    assert_eq!(world.application(vec![Application::data(Server, ""), padded, two]), Ok(()));
    assert_eq!(world.application(vec![]), Ok(()));
}

#[test]
fn another_sessions_secret_opens_nothing() {
    let world = World::new();
    let forged = Forge::default().make(&world.identity);
    let session = world.verify(&forged).unwrap();
    let wrong = HandshakeSecret([0x43; 32]);
    let opened = open(&session, &forged.client, &forged.server, &wrong);
    assert_eq!(opened.unwrap_err(), Refusal::HandshakeSecret);
}

#[test]
fn certificates() {
    let world = World::new();
    let forged = Forge::default().make(&world.identity);
    let check = |roots: &Roots, name: &str, time| verify(&forged.recorded(), name, roots, time).map(|_| ());
    assert_eq!(check(&world.roots, NAME, TIME), Ok(()));
    assert_eq!(check(&world.roots, NAME, 1_700_000_000), Err(Refusal::ChainTime));
    assert_eq!(check(&world.roots, NAME, 2_000_000_000), Err(Refusal::ChainTime));
    assert_eq!(check(&Roots::from_anchors([]), NAME, TIME), Err(Refusal::Chain));
    // A server that has a certificate for another name only, and one with a chain that is too long.
    let other = Identity::new("other.test");
    let roots = Roots::from_der([&other.root[..]]).unwrap();
    let forged = Forge::default().make(&other);
    assert_eq!(verify(&forged.recorded(), NAME, &roots, TIME), Err(Refusal::ChainName));
    let mut long = Identity::new(NAME);
    long.chain = std::iter::repeat_n(long.chain[0].clone(), 11).collect();
    let roots = Roots::from_der([&long.root[..]]).unwrap();
    let forged = Forge::default().make(&long);
    assert_eq!(verify(&forged.recorded(), NAME, &roots, TIME), Err(Refusal::ChainLength));
    // A certificate's own root in its place: it may not be used for servers.
    let mut rooted = Identity::new(NAME);
    rooted.chain = vec![rooted.root.clone()];
    let roots = Roots::from_der([&rooted.root[..]]).unwrap();
    let forged = Forge::default().make(&rooted);
    assert_eq!(verify(&forged.recorded(), NAME, &roots, TIME), Err(Refusal::Chain));
    assert!(Roots::from_der([&b"no certificate"[..]]).is_err());
    let swapped = Recorded { client_secret: &[0; 32], ..forged.recorded() };
    assert!(verify(&swapped, NAME, &world.roots, TIME).is_err());
}
