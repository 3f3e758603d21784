//! The checked-in document describes the router.

use std::collections::BTreeSet;

use coordinator_lambda::api::OPENAPI;
use coordinator_lambda::api::operations::{EVERYWHERE, Operation};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tercet_protocol::api::{
    Admission, FederationInfo, PROBLEM_JSON, Problem, ProblemKind, QueryRequest, QueryStatus, ReleaseList,
    ReleaseNow, SubmissionStatus, SurveySummary,
};
use tercet_protocol::notary::{NotaryTicket, TicketRequest};
use tercet_protocol::result::SignedResult;
use tercet_protocol::withdrawal::Withdrawal;

use crate::support::World;
use crate::support::reply::get;

fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

fn described(document: &Value, operation: Operation) -> &Value {
    &document["paths"][operation.path()][operation.method().as_str().to_ascii_lowercase()]
}

#[tokio::test]
async fn it_is_served_as_checked_in() {
    let world = World::new().await;
    let reply = get("/openapi.json").send(&world.router).await;
    assert_eq!(reply.body, OPENAPI.as_bytes());
}

#[test]
fn paths_methods_and_names_are_those_of_the_router() {
    let document = document();
    let mut written = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            written.insert((path.clone(), method.to_ascii_uppercase(), id.to_owned()));
            let in_path = path.split('/').filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'));
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let named: Vec<_> =
                parameters.iter().filter(|p| p["in"] == "path").map(|p| p["name"].as_str()).collect();
            assert_eq!(named, in_path.map(Some).collect::<Vec<_>>(), "{path}");
        }
    }
    let ours =
        Operation::ALL.iter().map(|o| (o.path().to_owned(), o.method().to_string(), o.id().to_owned()));
    assert_eq!(written, ours.collect());
}

#[test]
fn statuses_and_problems_are_those_of_the_router() {
    let document = document();
    for &operation in Operation::ALL {
        let responses = described(&document, operation)["responses"].as_object().unwrap();
        let mut expected: BTreeSet<String> = operation.successes().iter().map(u16::to_string).collect();
        let kinds: Vec<ProblemKind> = operation.problems().iter().chain(&EVERYWHERE).copied().collect();
        expected.extend(kinds.iter().map(|k| k.status().to_string()));
        assert_eq!(responses.keys().cloned().collect::<BTreeSet<_>>(), expected, "{}", operation.id());
        for (status, response) in responses.iter().filter(|(s, _)| s.as_str() >= "400") {
            let examples = response["content"][PROBLEM_JSON]["examples"].as_object().unwrap();
            let slugs: BTreeSet<_> = examples.keys().map(String::as_str).collect();
            let ours = kinds.iter().filter(|k| k.status().to_string() == *status).map(|k| k.slug());
            assert_eq!(slugs, ours.collect(), "{} {status}", operation.id());
            for (slug, example) in examples {
                let problem: Problem = serde_json::from_value(example["value"].clone()).unwrap();
                let kind = problem.known().unwrap();
                assert_eq!((kind.slug(), kind.status()), (slug.as_str(), problem.status));
                assert_eq!(kind.title(), problem.title);
            }
        }
    }
}

#[test]
fn examples_are_bodies_of_the_api() {
    fn check<T: DeserializeOwned>(examples: &Value) -> usize {
        let examples = examples.as_object().unwrap();
        for (name, example) in examples {
            let read = serde_json::from_value::<T>(example["value"].clone());
            assert!(read.is_ok(), "{name}: {:?}", read.err());
        }
        examples.len()
    }
    let document = document();
    for &operation in Operation::ALL {
        let described = described(&document, operation);
        for status in operation.successes() {
            let response = &described["responses"][status.to_string()];
            let examples = &response["content"]["application/json"]["examples"];
            let checked = match (operation, status) {
                (_, 304) | (Operation::Document | Operation::Survey, _) => continue,
                (Operation::Health | Operation::Ready, _) => check::<Value>(examples),
                (Operation::Federation, _) => check::<FederationInfo>(examples),
                (Operation::Surveys, _) => check::<Vec<SurveySummary>>(examples),
                (Operation::Submit, 201) => check::<Admission>(examples),
                (Operation::Submit | Operation::SubmissionStatus | Operation::Withdraw, _) => {
                    check::<SubmissionStatus>(examples)
                }
                (Operation::Releases, _) => check::<ReleaseList>(examples),
                (Operation::ReleaseNow, _) => check::<ReleaseNow>(examples),
                (Operation::Query | Operation::QueryStatus, _) => check::<QueryStatus>(examples),
                (Operation::NotaryTicket, _) => check::<NotaryTicket>(examples),
                (Operation::Statistics | Operation::ReleaseStatistics, _) => check::<SignedResult>(examples),
            };
            assert!(checked > 0, "{} {status} has no example", operation.id());
        }
        let body = &described["requestBody"]["content"]["application/json"]["examples"];
        match operation {
            Operation::Query => drop(check::<QueryRequest>(body)),
            Operation::NotaryTicket => drop(check::<TicketRequest>(body)),
            Operation::Withdraw => drop(check::<Withdrawal>(body)),
            _ => {}
        }
    }
}

#[test]
fn references_lead_somewhere() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(target) = map.get("$ref").and_then(Value::as_str) {
                    let pointer = target.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{target}");
                }
                map.values().for_each(|v| walk(v, document));
            }
            Value::Array(list) => list.iter().for_each(|v| walk(v, document)),
            _ => {}
        }
    }
    let document = document();
    walk(&document, &document);
}
