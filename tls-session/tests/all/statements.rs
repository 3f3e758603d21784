//! The notary's statement, and whole evidence.
#![allow(clippy::single_range_in_vec_init, reason = "a session may show one range")]

use std::net::IpAddr;

use tercet_tls_session::forge::{Forge, Forged, Identity, TIME};
use tercet_tls_session::{
    Evidence, Expected, Network, NotaryKey, Recording, Refusal, Roots, Statement, StatementKey, open, verify,
};

use crate::samples::NAME;

struct World {
    key: StatementKey,
    roots: Roots,
    forged: Forged,
    statement: Statement,
    notaries: Vec<NotaryKey>,
    networks: Vec<Network>,
}

impl World {
    fn new() -> Self {
        let identity = Identity::new(NAME);
        let forged = Forge::default().make(&identity);
        let key = StatementKey::from_seed(&[7; 32]).unwrap();
        Self {
            roots: Roots::from_der([&identity.root[..]]).unwrap(),
            statement: Statement {
                session: [1; 16],
                notary: key.public(),
                survey: [2; 32],
                server_name: NAME.into(),
                address: IpAddr::from([203, 0, 113, 7]),
                port: 443,
                opened: TIME,
                closed: TIME + 3,
                client: Recording::of(&forged.client),
                server: Recording::of(&forged.server),
            },
            notaries: vec![NotaryKey { key: key.public(), from: TIME - 10, until: TIME + 10 }],
            networks: vec![],
            forged,
            key,
        }
    }

    fn evidence(&self, statement: Statement) -> Evidence {
        Evidence {
            statement: self.key.sign(statement),
            client_secret: self.forged.client_secret,
            server_secret: self.forged.server_secret,
            client: self.forged.client.clone(),
            server: self.forged.server.clone(),
            layout: None,
        }
    }

    fn expected(&self) -> Expected<'_> {
        Expected {
            notaries: &self.notaries,
            survey: [2; 32],
            server_name: NAME,
            port: 443,
            networks: &self.networks,
            from: TIME - 100,
            until: TIME + 100,
        }
    }

    fn check(&self, change: impl FnOnce(&mut Statement)) -> Result<(), Refusal> {
        let mut statement = self.statement.clone();
        change(&mut statement);
        self.evidence(statement).verify(&self.expected(), &self.roots).map(|_| ())
    }
}

#[test]
fn statements_are_checked_in_every_field() {
    let mut world = World::new();
    assert_eq!(world.check(|_| {}), Ok(()));
    assert_eq!(world.check(|s| s.survey[0] ^= 1), Err(Refusal::StatementSurvey));
    assert_eq!(world.check(|s| s.server_name = "other.test".into()), Err(Refusal::StatementServer));
    assert_eq!(world.check(|s| s.port = 8443), Err(Refusal::StatementServer));
    assert_eq!(world.check(|s| s.closed = s.opened - 1), Err(Refusal::StatementDuration));
    assert_eq!(world.check(|s| s.client.length += 1), Err(Refusal::StatementBytes));
    assert_eq!(world.check(|s| s.server.sha256[0] ^= 1), Err(Refusal::StatementBytes));
    assert_eq!(world.check(|s| s.opened -= 11), Err(Refusal::NotaryKeyExpired));
    assert_eq!(world.check(|s| s.closed += 11), Err(Refusal::NotaryKeyExpired));
    // A key that was renewed: validities that overlap are two entries of one key or of two.
    world.notaries.push(NotaryKey { key: world.key.public(), from: 0, until: u64::MAX });
    assert_eq!(world.check(|s| s.opened -= 11), Ok(()));
    assert_eq!(world.check(|s| s.opened = TIME - 101), Err(Refusal::StatementTime));
    assert_eq!(world.check(|s| s.closed = TIME + 101), Err(Refusal::StatementTime));
    assert_eq!(
        world.check(|s| (s.opened, s.closed) = (TIME - 60, TIME + 61)),
        Err(Refusal::StatementDuration)
    );

    world.networks = vec!["198.51.100.0/24".parse().unwrap(), "203.0.113.0/29".parse().unwrap()];
    assert_eq!(world.check(|_| {}), Ok(()));
    assert_eq!(world.check(|s| s.address = [203, 0, 113, 8].into()), Err(Refusal::StatementAddress));
    assert_eq!(world.check(|s| s.address = [0u16; 8].into()), Err(Refusal::StatementAddress));
    world.notaries.clear();
    assert_eq!(world.check(|_| {}), Err(Refusal::NotaryUnknown));
}

#[test]
fn another_key_signs_nothing_for_this_notary() {
    let world = World::new();
    let expected = world.expected();
    let good = world.evidence(world.statement.clone());
    let encoded = good.statement.encode();
    for at in 0..encoded.len() {
        let mut changed = encoded.clone();
        changed[at] ^= 1;
        let Ok(statement) = tercet_tls_session::SignedStatement::decode(&changed) else { continue };
        assert_eq!(statement.encode(), changed);
        assert!(statement.verify(&expected, &good.client, &good.server).is_err(), "byte {at}");
    }
    let other = StatementKey::from_seed(&[8; 32]).unwrap();
    let evidence = Evidence { statement: other.sign(world.statement.clone()), ..good };
    assert_eq!(evidence.verify(&expected, &world.roots).unwrap_err(), Refusal::NotaryUnknown);
}

#[test]
fn evidence_decodes_to_itself_only() {
    let world = World::new();
    let session = verify(&world.forged.recorded(), NAME, &world.roots, TIME).unwrap();
    let f = &world.forged;
    let opened = open(&session, &f.client, &f.server, &f.secret).unwrap();
    let bare = world.evidence(world.statement.clone());
    let full = Evidence { layout: Some(opened.layout(&[4..5], &[]).unwrap()), ..bare.clone() };
    for evidence in [bare, full] {
        let encoded = evidence.encode();
        assert_eq!(Evidence::decode(&encoded).as_ref(), Ok(&evidence));
        evidence.verify(&world.expected(), &world.roots).unwrap();
        for cut in 0..encoded.len() {
            assert!(Evidence::decode(&encoded[..cut]).is_err(), "cut at {cut}");
        }
        assert!(Evidence::decode(&[&encoded[..], &[0]].concat()).is_err());
        let wrong = Evidence { server: [&evidence.server[..], &[0]].concat(), ..evidence };
        assert_eq!(wrong.verify(&world.expected(), &world.roots).unwrap_err(), Refusal::StatementBytes);
    }
}

#[test]
fn networks() {
    let net = |text: &str| text.parse::<Network>();
    let has = |text: &str, address: &str| net(text).unwrap().contains(address.parse().unwrap());
    assert!(has("203.0.113.0/24", "203.0.113.255") && !has("203.0.113.0/24", "203.0.114.0"));
    assert!(has("0.0.0.0/0", "255.1.2.3") && !has("0.0.0.0/0", "::1"));
    assert!(has("203.0.113.7/32", "203.0.113.7") && !has("203.0.113.7/32", "203.0.113.6"));
    assert!(has("2001:db8::/32", "2001:db8:1::1") && !has("2001:db8::/32", "2001:db9::1"));
    assert!(has("::/0", "2001:db9::1") && !has("::/0", "1.2.3.4"));
    for bad in [
        "203.0.113.0",
        "203.0.113.0/33",
        "203.0.113.1/24",
        "203.0.113.0/",
        "203.0.113.0/+24",
        "x/8",
        "::1/127",
    ] {
        assert!(net(bad).is_err(), "{bad}");
    }
    assert_eq!(net("2001:db8::/32").unwrap().to_string(), "2001:db8::/32");
}
