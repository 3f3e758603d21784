//! JSON bodies, signed documents and identifiers.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tercet_mpc::statistics::{Permit, Statistic};
use tercet_protocol::api::{
    Admission, FederationInfo, PartySurveyStatus, Problem, ProblemKind, QueryRequest, QueryState,
    QueryStatus, ReleaseList, SubmissionState, SubmissionStatus, SurveySummary,
};
use tercet_protocol::approval::Approval;
use tercet_protocol::filter::Filter;
use tercet_protocol::ids::{
    Commitment, EngineDigest, EntryHash, Nonce, Nullifier, PublicKey, QueryId, SealingKey, Signature,
    SubmissionId, SurveyId,
};
use tercet_protocol::log::{Accepted, CommittedEntry, EntryBody, LogEntry};
use tercet_protocol::operator::{CoordinatorInfo, Federation, OperatorManifest};
use tercet_protocol::query_ticket::{QueryTicket, Question};
use tercet_protocol::release_point::ReleasePoint;
use tercet_protocol::result::{Fraction, PartValue, ReleasedStatistics, SignedResult, StatisticValue};
use tercet_protocol::submission::{Receipt, Ticket};
use tercet_protocol::survey::PROTOCOL_VERSION;
use tercet_protocol::withdrawal::Withdrawal;
use tlsn_verifier::NotaryKey;

use crate::fixtures::{KEYS, parties};

/// Reads a body, and compares it with the one that is written from it.
fn body<T: DeserializeOwned + Serialize + PartialEq + Debug>(data: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(data).ok()?;
    let text = serde_json::to_vec(&value).unwrap();
    assert_eq!(serde_json::from_slice::<T>(&text).unwrap(), value, "{}", String::from_utf8_lossy(&text));
    Some(value)
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// Every body of the coordinator's and the parties' APIs.
pub fn api(data: &[u8]) {
    let problem = body::<Problem>(data);
    body::<Option<Problem>>(data);
    if let Some(problem) = problem {
        assert!(problem.to_string().starts_with(&problem.title));
        let known = problem.known();
        assert!(known.is_none_or(|k| k.urn() == problem.kind));
        assert!(problem.is_transient() || known.is_some() || problem.status < 500);
    }
    if let Some(SubmissionStatus { state: SubmissionState::Accepted { receipts }, .. }) = body(data) {
        receipts.iter().for_each(check_receipt);
    }
    if let Some(QueryStatus { state: QueryState::Done { result }, .. }) = body(data) {
        check_result(&result);
    }
    body::<Admission>(data);
    body::<Ticket>(data);
    body::<Receipt>(data).iter().for_each(check_receipt);
    body::<QueryRequest>(data);
    body::<QueryTicket>(data);
    body::<Withdrawal>(data);
    if let Some(approval) = body::<Approval>(data) {
        // Whoever it names, it is about one survey and one operator.
        assert!(
            approval.verify(&SurveyId([0; 32]), &approval.identity).is_err() || approval.survey.0 == [0; 32]
        );
    }
    body::<ReleaseList>(data);
    body::<Vec<SurveySummary>>(data);
    body::<PartySurveyStatus>(data);
    if let Some(info) = body::<FederationInfo>(data) {
        info.operators.iter().for_each(check_operator);
    }
}

/// Only the honest receipt verifies.
fn check_receipt(receipt: &Receipt) {
    assert!(receipt.verify(&parties()).is_err() || *receipt == self::receipt());
}

fn receipt() -> Receipt {
    let unsigned = Receipt {
        survey: SurveyId([1; 32]),
        submission: SubmissionId([2; 32]),
        nullifier: Nullifier([3; 32]),
        height: 4,
        entry: EntryHash([5; 32]),
        party: 1,
        signature: Signature([0; 64]),
    };
    unsigned.signed(&KEYS[1])
}

pub fn api_seeds() -> Vec<Vec<u8>> {
    let (submission, survey, query) = (SubmissionId([2; 32]), SurveyId([1; 32]), QueryId([3; 16]));
    let problem = || Problem::new(ProblemKind::RateLimited, "wait").rule("r").party(2).retry_after(9);
    let states = [
        SubmissionState::Pending,
        SubmissionState::Accepted { receipts: vec![receipt()] },
        SubmissionState::Rejected { problem: problem() },
    ];
    let queries = [
        QueryState::Running,
        QueryState::Done { result: signed_result() },
        QueryState::Refused { problem: problem() },
    ];
    let mut seeds = vec![
        json(&problem()),
        b"null".to_vec(),
        json(&Admission { submission, ticket: Ticket::issue(&KEYS[0], survey, submission, 7) }),
        json(&Ticket::issue(&KEYS[0], survey, submission, 7)),
        json(&receipt()),
        json(&QueryRequest { statistics: vec!["mean".into()], filter: filter() }),
        json(&QueryTicket::issue(
            &KEYS[0],
            survey,
            1,
            Question { statistics: ["count".to_owned()].into(), filter: filter() },
            7,
            Nonce([8; 16]),
        )),
        json(&Withdrawal::sign(&KEYS[0], survey, submission)),
        json(&ReleaseList {
            survey,
            releases: vec![ReleasePoint { number: 1, time: 6, rows: 2, units: 1, erased_rows: 0 }],
        }),
        json(&[SurveySummary { id: survey, name: "a".into(), title: "A \"b\" \u{e9}".into() }]),
        json(&PartySurveyStatus {
            survey,
            height: 1,
            head: EntryHash([5; 32]),
            submissions: 2,
            release: 1,
            party: 0,
            engine: EngineDigest([7; 32]),
        }),
        json(&FederationInfo { coordinator_key: KEYS[0].public(), operators: vec![operator(0)] }),
    ];
    seeds.extend(states.map(|state| json(&SubmissionStatus { submission, survey, state })));
    seeds.extend(queries.map(|state| json(&QueryStatus { query, state })));
    seeds
}

fn filter() -> Filter {
    Filter::default().or("country", "DE").or("country", "FR")
}

/// Log entries, one or many, as peers send them; only the honest one extends the log.
pub fn log(data: &[u8]) {
    let mut entries = body::<Vec<CommittedEntry>>(data).unwrap_or_default();
    entries.extend(body::<CommittedEntry>(data));
    for committed in entries {
        let valid = committed.verify(SURVEY, &parties(), (0, EntryHash([0; 32]))).is_ok();
        assert!(!valid || committed == entry(), "a forged entry verifies: {committed:?}");
    }
}

const SURVEY: SurveyId = SurveyId([1; 32]);

/// An entry with three votes.
pub fn entry() -> CommittedEntry {
    let accepted = |i: u8, replaces: Option<SubmissionId>| Accepted {
        submission: SubmissionId([i; 32]),
        nullifier: Nullifier([i; 32]),
        replaces,
        fields: Vec::new(),
        rows: [Commitment([i; 32]); 3],
        withdrawal_key: PublicKey([i; 32]),
    };
    let entry = LogEntry {
        survey: SURVEY,
        height: 1,
        previous: EntryHash([0; 32]),
        at: 1_000,
        body: EntryBody::Batch {
            accepted: vec![accepted(8, None), accepted(9, Some(SubmissionId([7; 32])))],
        },
    };
    let votes = KEYS.each_ref().map(|key| entry.sign(key));
    CommittedEntry { entry, votes }
}

pub fn log_seeds() -> Vec<Vec<u8>> {
    vec![json(&entry()), json(&[entry()])]
}

/// Only the honest result verifies.
pub fn result(data: &[u8]) {
    body::<ReleasedStatistics>(data);
    body::<StatisticValue>(data);
    body::<SignedResult>(data).iter().for_each(check_result);
}

fn check_result(result: &SignedResult) {
    assert!(result.verify(&parties()).is_err() || *result == signed_result(), "a forged result verifies");
}

fn signed_result() -> SignedResult {
    let mean = StatisticValue {
        statistic: "mean".into(),
        column: Some("eth".into()),
        unit: "ETH".into(),
        value: Some("1.5".into()),
        exact: Some(Fraction { numerator: "3".into(), denominator: "2".into() }),
        ..StatisticValue::default()
    };
    let group = PartValue { label: "DE".into(), submissions: Some(2), ..PartValue::default() };
    let grouped = StatisticValue { statistic: "mean@country".into(), parts: vec![group], ..mean.clone() };
    let counted = StatisticValue { submissions: Some(1), ..mean.clone() };
    let undefined = StatisticValue { value: None, exact: None, statistic: "variance".into(), ..mean.clone() };
    let result = ReleasedStatistics {
        survey: SURVEY,
        query: QueryId([3; 16]),
        release: ReleasePoint { number: 1, time: 6, rows: 2, units: 1, erased_rows: 0 },
        height: 1,
        head: EntryHash([5; 32]),
        filter: filter(),
        submissions: 2,
        not_told_apart: Some(1),
        statistics: vec![mean, undefined, grouped, counted],
    };
    let signatures = KEYS.each_ref().map(|key| result.sign(key));
    SignedResult { result, signatures }
}

pub fn result_seeds() -> Vec<Vec<u8>> {
    let signed = signed_result();
    vec![json(&signed), json(&signed.result), json(&signed.result.statistics[0])]
}

/// Operators' manifests and whole deployments.
pub fn operators(data: &[u8]) {
    body::<OperatorManifest>(data).iter().for_each(check_operator);
    if let Some(federation) = body::<Federation>(data) {
        federation.operators.iter().for_each(check_operator);
        if federation.verify().is_ok() {
            let keys = federation.operators.each_ref().map(|m| m.identity);
            let ordered = federation.in_order(&[keys[2], keys[0], keys[1]]).unwrap();
            assert_eq!(ordered.map(|m| m.identity), [keys[2], keys[0], keys[1]]);
        }
    }
}

/// In the name of one of our operators, only its own manifest verifies.
fn check_operator(manifest: &OperatorManifest) {
    if manifest.verify().is_ok()
        && let Some(i) = parties().iter().position(|k| *k == manifest.identity)
    {
        assert_eq!(*manifest, operator(i as u8), "a forged manifest verifies");
    }
}

fn operator(i: u8) -> OperatorManifest {
    let unsigned = OperatorManifest {
        protocol: PROTOCOL_VERSION,
        operator: format!("operator-{i}"),
        account: format!("{i:012}"),
        identity: PublicKey([0; 32]),
        sealing: SealingKey([i; 32]),
        peer_key: PublicKey([i; 32]),
        next_peer_key: Some(PublicKey([i + 100; 32])),
        peer_address: "127.0.0.1:1".into(),
        url: "http://127.0.0.1:2".into(),
        engine: EngineDigest([7; 32]),
        issued: 1,
        signature: Signature([0; 64]),
    };
    unsigned.signed(&KEYS[usize::from(i)])
}

pub fn operators_seeds() -> Vec<Vec<u8>> {
    let coordinator =
        CoordinatorInfo { url: "http://127.0.0.1:3".into(), key: KEYS[0].public(), next_key: None };
    vec![json(&operator(0)), json(&Federation { coordinator, operators: [0, 1, 2].map(operator) })]
}

/// Identifiers as they occur in addresses, headers and options: one spelling each.
pub fn identifiers(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    spelled::<SurveyId>(text);
    spelled::<QueryId>(text);
    spelled::<Signature>(text);
    // Parameters may be spelt with more zeros, but what is written is read back as the same.
    if let Ok(statistic) = text.parse::<Statistic>() {
        assert_eq!(statistic.to_string().parse(), Ok(statistic));
    }
    if let Ok(permit) = text.parse::<Permit>() {
        assert_eq!(permit.to_string().parse(), Ok(permit));
    }
    if let Some(kind) = ProblemKind::from_urn(text) {
        assert_eq!(kind.urn(), text);
    }
    if let Ok(key) = NotaryKey::from_str(text) {
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(NotaryKey::new(key.alg(), &key.to_sec1()), Ok(key));
    }
}

fn spelled<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}

pub fn identifiers_seeds() -> Vec<Vec<u8>> {
    let compressed = "secp256k1:035be5e9478209674a96e60f1f037f6176540fd001fa1d64694770c56a7709c42c";
    let texts = [
        SURVEY.to_string(),
        QueryId([3; 16]).to_string(),
        Signature([0xab; 64]).to_string(),
        "quantile:0.9(eth_free)@country".into(),
        "histogram:-1.5,0,10".into(),
        ProblemKind::Internal.urn(),
        compressed.into(),
        compressed.replace("secp256k1", "secp256k1eth"),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}
