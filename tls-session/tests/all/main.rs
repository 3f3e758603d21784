//! One binary for all of the crate's integration tests.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hostile;
mod layouts;
mod samples;
mod statements;
mod tampering;

/// `docs/notary.md` describes every refusal.
#[test]
fn every_refusal_is_documented() {
    let text = include_str!("../../../docs/notary.md");
    for refusal in tercet_tls_session::Refusal::ALL {
        assert!(text.contains(&format!("| `{}` |", refusal.code())), "{}", refusal.code());
    }
}
