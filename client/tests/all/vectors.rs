//! Every vector gets the right verdict from the library behind `tercet inspect`.

use tercet_client::inspect::{Report, inspect, notary_keys};
use tlsn_verifier::{NotaryTrust, RootStore, TrustPolicy};

use crate::fixtures::{Vector, all};

fn verdict(v: &Vector) -> Result<Report, tercet_client::Error> {
    let roots = v.roots();
    let policy = TrustPolicy {
        notaries: NotaryTrust::Pinned(notary_keys(&v.notary()).unwrap()),
        roots: if roots.is_empty() { RootStore::mozilla() } else { RootStore::from_der(roots).unwrap() },
        server_name: None,
    };
    inspect(&v.presentation(), &policy)
}

#[test]
fn every_vector_gets_its_verdict() {
    let mut wrong = Vec::new();
    for group in ["0.1.0-alpha.12", "0.1.0-alpha.15", "cohort"] {
        for v in all(group) {
            let got = verdict(&v);
            let encoding = v.text("mode").to_lowercase().starts_with("encoding");
            let want = match (v.text("expect"), v.text("strict_recommendation")) {
                ("reject", _) | (_, "reject") => Some(false),
                // A documented choice of the verifier's either way.
                (_, "policy" | "either") => None,
                _ if encoding => None,
                _ => Some(true),
            };
            if encoding && v.text("expect") == "accept" && v.text("strict_recommendation").is_empty() {
                // Not opened: if refused, then by name.
                if let Err(e) = &got {
                    assert_eq!(e.code(), "encoding-unsupported", "{}: {e}", v.name);
                }
            }
            if want.is_some_and(|w| w != got.is_ok()) {
                let reason = got.err().map(|e| e.to_string());
                wrong.push(format!("{}: wanted valid={want:?}, refusal={reason:?}", v.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn reports_agree_with_the_descriptions() {
    for v in all("cohort") {
        let report = verdict(&v).unwrap();
        assert_eq!(report.server_name, v.text("server_name"), "{}", v.name);
        assert_eq!(Some(report.time), v.meta["connection_time"].as_u64(), "{}", v.name);
        assert!(report.notary.trusted && report.notary.key == v.notary(), "{}", v.name);
        let range: Vec<usize> = serde_json::from_value(v.meta["value_range"].clone()).unwrap();
        let hidden = report.received.segments.iter().filter(|s| s.hidden).map(|s| s.range.to_vec());
        assert_eq!(hidden.collect::<Vec<_>>(), std::slice::from_ref(&range), "{}", v.name);
        let value = report.commitments.iter().find(|c| !c.opened && c.direction == "received").unwrap();
        assert_eq!(value.hash, v.text("commitment_hex"), "{}", v.name);
        assert_eq!(value.ranges, [[range[0], range[1]]], "{}", v.name);
        // The value itself is nowhere in the report.
        let shown = report.to_text() + &serde_json::to_string(&report).unwrap();
        let quoted = format!("\"free\":\"{}\"", v.text("value"));
        assert!(!shown.contains(&quoted), "{}", v.name);
    }
}

#[test]
fn an_unlisted_notary_is_refused_and_no_list_is_said_loudly() {
    let v = Vector::load(&crate::fixtures::vectors().join("cohort/provider00"));
    let roots = RootStore::from_der(v.roots()).unwrap();
    let other = "02bb58b5feca505c74edc000d8282fc556e51a1024fc8e7d7e56c6f887c5c8d5f2";
    let pinned =
        TrustPolicy { notaries: NotaryTrust::Pinned(notary_keys(other).unwrap()), roots, server_name: None };
    assert_eq!(inspect(&v.presentation(), &pinned).unwrap_err().code(), "notary-untrusted");
    let any = TrustPolicy { notaries: NotaryTrust::AnyAndReport, ..pinned };
    let report = inspect(&v.presentation(), &any).unwrap();
    assert!(!report.notary.trusted && report.to_text().contains("NOT CHECKED"));
    assert_eq!(report.warnings.len(), 1);
}

#[test]
fn notary_keys_are_read_in_every_form() {
    let compressed = "035be5e9478209674a96e60f1f037f6176540fd001fa1d64694770c56a7709c42c";
    assert!(!notary_keys(compressed).unwrap().is_empty());
    assert_eq!(notary_keys(&format!("secp256k1:{compressed}")).unwrap().len(), 1);
    for bad in ["", "zz", "0011", "rsa:0011", "secp256k1:", &compressed[2..]] {
        assert_eq!(notary_keys(bad).unwrap_err().exit_status(), 2, "{bad}");
    }
}
