//! Some four hundred exchanges through `tercet survey try`: the answers of websites, the needs of people, and the attempts of
//! forgers. Each was decided by the source rules and by RFC 9112 and RFC 8259 before it was tried.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use tercet_client::survey_try::{Outcome, Saved, attempt, parse};
use tercet_protocol::survey::SurveyManifest;

/// Asks for one account.
const REQUEST: &str = "GET /v1/account HTTP/1.1\r\nHost: api.bank.test\r\n\r\n";
/// Answers; `⟦…⟧` is hidden.
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 28\r\n\r\n{\"uid\":77,\"balance\":\"⟦12.50⟧\"}";

/// One line of `tests/fixtures/exchanges.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    survey: Survey,
    request: Option<String>,
    response: Option<String>,
    /// The rule that refuses.
    refused: Option<String>,
    /// Identity, hidden text and value.
    reads: Option<[Option<String>; 3]>,
    #[serde(default)]
    fields: BTreeMap<String, String>,
}

/// The parts of a survey that are not the usual ones.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Survey {
    source: Option<String>,
    method: Option<String>,
    path: Option<String>,
    notaries: Option<String>,
    identity: Option<String>,
    column: Option<String>,
    extra: Option<String>,
}

impl Survey {
    fn text(&self) -> String {
        let tlsnotary = "[[notaries]]\nname = \"t\"\nalgorithm = \"secp256k1\"\nkey = \"035be5e9478209674a96e60f1f037f6176540fd001fa1d64694770c56a7709c42c\"\n";
        let proxy = format!(
            "[[notaries]]\nname = \"p\"\nkind = \"proxy\"\nalgorithm = \"ed25519\"\nkey = \"{}\"\n",
            "ab".repeat(32)
        );
        let notaries = match self.notaries.as_deref() {
            None => tlsnotary.to_owned(),
            Some("proxy") => proxy,
            Some(_) => format!("{tlsnotary}{proxy}"),
        };
        let or = |part: &Option<String>, usual: &str| part.clone().unwrap_or_else(|| usual.to_owned());
        format!(
            "[survey]\nname = \"field\"\ntitle = \"An exchange\"\nopens = \"2025-01-01T00:00:00Z\"\ncloses = \"2035-01-01T00:00:00Z\"\n\
             min_cohort = 1\nmin_new = 1\nstatistics = [\"count\"]\n\n[source]\nserver_name = \"api.bank.test\"\nmethod = \"{}\"\n\
             path = \"{}\"\n{}\n{notaries}{}{}{}",
            or(&self.method, "GET"),
            or(&self.path, "/v1/account"),
            or(&self.source, ""),
            or(&self.identity, "[identity]\nat = \"$.uid\"\n"),
            or(&self.column, "[[columns]]\nname = \"balance\"\nat = \"$.balance\"\nscale = 2\nbits = 48\n"),
            or(&self.extra, "")
        )
    }
}

fn tried(case: &Case) -> Outcome {
    let manifest = match SurveyManifest::read(&case.survey.text()) {
        Ok(manifest) => manifest,
        Err(e) => return Outcome::bad_survey(&e),
    };
    let saved = |text: Option<&String>, usual: &str| -> Saved {
        parse(text.map_or(usual, String::as_str).as_bytes()).unwrap_or_else(|e| panic!("{}: {e}", case.name))
    };
    let (request, response) =
        (saved(case.request.as_ref(), REQUEST), saved(case.response.as_ref(), RESPONSE));
    attempt(&manifest, &request, &response).unwrap_or_else(|e| Outcome::bad_survey(&e))
}

/// The cases whose outcome is not the decided one.
fn difference(case: &Case, outcome: &Outcome) -> Option<String> {
    let column = outcome.columns.get("balance");
    let read = outcome.admitted.then(|| {
        [outcome.identity.clone(), column.and_then(|c| c.text.clone()), column.and_then(|c| c.value.clone())]
    });
    let same = read == case.reads
        && (!outcome.admitted || outcome.fields == case.fields)
        && outcome.rule == case.refused;
    (!same).then(|| {
        format!("{}: {read:?} {:?} {:?} {:?}", case.name, outcome.fields, outcome.rule, outcome.reason)
    })
}

#[test]
fn exchanges_are_read_and_refused_as_decided() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/exchanges.json");
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert!(cases.len() > 300);
    let differ: Vec<String> = cases.iter().filter_map(|case| difference(case, &tried(case))).collect();
    assert!(differ.is_empty(), "{} of {} differ:\n{}", differ.len(), cases.len(), differ.join("\n"));
}
