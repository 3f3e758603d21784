//! Exchanges and surveys from the field, through `tercet survey try`: the needs of honest people, and the attempts of
//! forgers.

use std::path::{Path, PathBuf};

use tercet_client::survey_try::{Column, Outcome, Saved, attempt, request, saved};
use tercet_protocol::survey::SurveyManifest;

fn folder(case: &str) -> PathBuf {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/field-cases");
    let found = std::fs::read_dir(all).unwrap().map(|e| e.unwrap().path());
    found.into_iter().find(|p| p.file_name().unwrap().to_string_lossy().starts_with(case)).unwrap()
}

/// Tries a case's files; without a request, the one that the survey asks for.
fn tried(case: &str, survey: &str, sent: Option<&str>, response: &str) -> Outcome {
    let file = |name: &str| folder(case).join(name);
    let text = std::fs::read_to_string(file(survey)).unwrap();
    let manifest = match SurveyManifest::read(&text) {
        Ok(manifest) => manifest,
        Err(e) => return Outcome::bad_survey(&e),
    };
    let sent = match sent {
        Some(name) => saved(&file(name)).unwrap(),
        None => Saved { bytes: request(&manifest), ..Saved::default() },
    };
    let response = saved(&file(response)).unwrap();
    attempt(&manifest, &sent, &response).unwrap_or_else(|e| Outcome::bad_survey(&e))
}

fn with(case: &str, survey: &str, response: &str) -> Outcome {
    tried(case, survey, Some("request.http"), response)
}

fn plain(case: &str) -> Outcome {
    with(case, "survey.toml", "response.http")
}

#[track_caller]
fn admitted(outcome: &Outcome, identity: &str, text: Option<&str>, value: Option<&str>) {
    assert!(outcome.admitted, "{outcome:?}");
    assert_eq!(outcome.identity.as_deref(), Some(identity));
    let column = Column { text: text.map(str::to_owned), value: value.map(str::to_owned) };
    assert_eq!(outcome.columns["balance"], column);
    assert_eq!((&outcome.rule, &outcome.reason), (&None, &None));
}

#[track_caller]
fn refused(outcome: &Outcome, rule: &str, words: &str) {
    assert!(!outcome.admitted, "{outcome:?}");
    assert_eq!(outcome.rule.as_deref(), Some(rule), "{outcome:?}");
    let reason = outcome.reason.as_deref().unwrap();
    assert!(reason.contains(words), "{reason}");
}

#[test]
fn a01_a_post_body_is_pinned() {
    for who in ["honest", "forged"] {
        let of = |survey| {
            tried("A01", survey, Some(&format!("request-{who}.http")), &format!("response-{who}.http"))
        };
        refused(&of("survey.toml"), "survey", "state it, as body_json");
        match who {
            "honest" => admitted(&of("survey-new.toml"), "77", Some("12.50"), Some("12.50")),
            _ => refused(&of("survey-new.toml"), "request-body", "not the survey's"),
        }
    }
}

#[test]
fn a02_other_parameters_are_refused() {
    let of = |who: &str| tried("A02", "survey.toml", Some(&format!("request-{who}.http")), "response.http");
    admitted(&of("honest"), "77", Some("12.50"), Some("12.50"));
    refused(&of("forged"), "request-query", "limit");
}

#[test]
fn a03_one_identity_has_one_form() {
    for survey in ["survey.toml", "survey-new.toml"] {
        for response in ["response.http", "response-2.http", "response-3.http"] {
            admitted(&with("A03", survey, response), "77", Some("12.50"), Some("12.50"));
        }
        refused(
            &tried("A03", survey, Some("request-2.http"), "response-2.http"),
            "request-query",
            "stringify_ids",
        );
    }
}

#[test]
fn a04_a_literal_inside_a_string_is_refused() {
    refused(&plain("A04"), "survey", "ends inside a string");
}

#[test]
fn a05_an_escaped_quote_ends_nothing() {
    for survey in ["survey.toml", "survey-new.toml"] {
        admitted(&with("A05", survey, "response-1.http"), "A\"B", Some("12.50"), Some("12.50"));
        admitted(&with("A05", survey, "response-2.http"), "A\"C", Some("12.50"), Some("12.50"));
    }
}

#[test]
fn a06_to_a09_and_a25_framing_is_read_as_it_may_be() {
    admitted(&tried("A06", "survey.toml", None, "response.raw.http"), "77", Some("12.50"), Some("12.50"));
    for case in ["A07", "A08", "A09", "A25"] {
        admitted(&plain(case), "77", Some("12.50"), Some("12.50"));
    }
}

#[test]
fn a10_exponents_are_switched_on() {
    refused(&plain("A10"), "value", "byte 1 is not part of a number");
    admitted(&with("A10", "survey-exponents.toml", "response.http"), "77", Some("1e-05"), Some("0.00001000"));
}

#[test]
fn a11_grouping_is_switched_on_and_pages_are_text() {
    refused(&plain("A11"), "survey", "format = \"text\"");
    admitted(&with("A11", "survey-new.toml", "response.http"), "u77", Some("1,234.56"), Some("1234.56"));
}

#[test]
fn a12_quotes_are_optional() {
    for survey in ["survey-open.toml", "survey-quoted.toml", "survey-new.toml"] {
        admitted(&with("A12", survey, "response-number.http"), "77", Some("12.50"), Some("12.50"));
        admitted(&with("A12", survey, "response-null.http"), "77", Some("null"), None);
        // Quotes are never hidden: what stands inside them is.
        refused(&with("A12", survey, "response-number-open.http"), "value", "its quotes are hidden too");
    }
}

#[test]
fn a13_absence_is_what_the_survey_says() {
    refused(&plain("A13"), "column", "absent and within");
    admitted(&with("A13", "survey-missing.toml", "response.http"), "77", None, None);
    admitted(&with("A13", "survey-zero.toml", "response.http"), "77", None, Some("0.00"));
}

#[test]
fn a14_low_digits_may_be_dropped() {
    refused(&plain("A14"), "value", "does not fit in 63 bits");
    let text = "12500000000000000000";
    admitted(&with("A14", "survey-new.toml", "response.http"), "77", Some(text), Some(text));
}

#[test]
fn a15_a_segment_of_the_path_may_be_open() {
    admitted(&plain("A15"), "77", Some("12.50"), Some("12.50"));
    admitted(&with("A15", "survey-path.toml", "response.http"), "77", Some("12.50"), Some("12.50"));
}

#[test]
fn a16_xml_is_text() {
    refused(&plain("A16"), "survey", "format = \"text\"");
    admitted(&with("A16", "survey-new.toml", "response.http"), "77", Some("12.50"), Some("12.50"));
}

#[test]
fn a17_several_accounts_are_told_apart() {
    refused(&plain("A17"), "column", "occurs 2 times");
    admitted(&with("A17", "survey-first.toml", "response.http"), "77", Some("12.50"), Some("12.50"));
}

#[test]
fn a18_the_order_of_members_does_not_matter() {
    for response in ["response-1.http", "response-2.http"] {
        admitted(&with("A18", "survey.toml", response), "77", Some("12.50"), Some("12.50"));
    }
}

#[test]
fn a19_a_hidden_cookie_needs_evidence_that_can_prove_it() {
    refused(&plain("A19"), "hidden", "set-cookie");
    admitted(&with("A19", "survey-proxy.toml", "response.http"), "77", Some("12.50"), Some("12.50"));
    // Shown, it is warned about by name.
    let file = folder("A19");
    let manifest = SurveyManifest::read(&std::fs::read_to_string(file.join("survey.toml")).unwrap()).unwrap();
    let mut response = saved(&file.join("response.http")).unwrap();
    response.hidden.remove(0);
    let outcome = attempt(&manifest, &saved(&file.join("request.http")).unwrap(), &response).unwrap();
    assert!(outcome.admitted && outcome.warnings.iter().any(|w| w.contains("set-cookie")), "{outcome:?}");
}

#[test]
fn a20_a_suffix_is_no_part_of_a_number() {
    for response in ["response-1.http", "response-2.http"] {
        refused(&with("A20", "survey.toml", response), "survey", "a value ends where it");
    }
}

#[test]
fn a21_a_field_may_be_missing() {
    for response in ["response-null.http", "response-empty.http"] {
        refused(&with("A21", "survey.toml", response), "field", "missing = ");
        let outcome = with("A21", "survey-new.toml", response);
        admitted(&outcome, "77", Some("12.50"), Some("12.50"));
        assert_eq!(outcome.fields["country"], "none");
    }
}

#[test]
fn a22_a_value_may_lie_over_two_chunks() {
    let outcome = tried("A22", "survey.toml", None, "response.raw.http");
    admitted(&outcome, "77", Some("12.50"), Some("12.50"));
    assert_eq!(outcome.hidden.len(), 2);
    assert_eq!(outcome.hidden.iter().map(|[from, to]| to - from).collect::<Vec<_>>(), [1, 4]);
}

#[test]
fn a24_refusals_name_the_cause() {
    let of = |response| tried("A24", "survey.toml", None, response);
    refused(&of("response-gzip.raw.http"), "response", "compressed (gzip)");
    refused(&of("response-no-length.raw.http"), "response", "states no length");
    admitted(&of("response-120-headers.raw.http"), "77", Some("12.50"), Some("12.50"));
}

#[test]
fn a26_what_submit_would_refuse_is_said_before() {
    refused(&tried("A26", "survey.toml", None, "response.raw.http"), "value", "byte 1");
}

#[test]
fn a27_survey_files_are_checked_in_words() {
    let of = |name: &str| {
        let text = std::fs::read_to_string(folder("A27").join(name)).unwrap();
        let key = "035be5e9478209674a96e60f1f037f6176540fd001fa1d64694770c56a7709c42c";
        // Sums of balances need more than one new submission a release.
        let text = text.replace("@NOTARY@", key).replace("min_new = 1\n", "min_new = 10\n");
        SurveyManifest::from_toml(&text).map_err(|e| e.to_string())
    };
    for (name, words) in [
        ("columns-table.toml", "[[columns]]"),
        ("toml-date.toml", "write a time in quotes"),
        ("ip.toml", "is an address"),
        ("same-prefix.toml", "have the same place"),
    ] {
        let error = of(name).unwrap_err();
        assert!(error.contains(words), "{name}: {error}");
    }
    // Since paths may have an open segment, this one can be fitted.
    of("path-template.toml").unwrap();
}

#[test]
fn a28_an_identity_may_stand_in_a_header() {
    refused(&plain("A28"), "survey", "header = \"X-User-Id\"");
    admitted(&with("A28", "survey-new.toml", "response.http"), "77", Some("12.50"), Some("12.50"));
}

#[test]
fn a29_names_are_decoded_before_they_are_compared() {
    refused(&plain("A29"), "request-query", "given twice");
}

#[test]
fn a31_presentations_of_other_tools_are_read() {
    let read = |name: &str| std::fs::read(folder("A31").join(name)).unwrap();
    let (binary, json) = (read("presentation.bin"), read("presentation.json"));
    assert_eq!(*tlsn_verifier::presentation_bytes(&json).unwrap(), binary);
    assert_eq!(*tlsn_verifier::presentation_bytes(hex::encode(&binary).as_bytes()).unwrap(), binary);
    let trust =
        tercet_client::inspect::Trust { notaries: Vec::new(), roots: vec![folder("A31").join("root.pem")] };
    for name in ["presentation.bin", "presentation.json"] {
        let report = tercet_client::inspect::inspect_file(&folder("A31").join(name), &trust).unwrap();
        assert_eq!(report.server_name, "api.bank.test");
    }
}
