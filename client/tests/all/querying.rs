//! Queries against stub servers, and result files checked offline.

use axum::http::{Method, header};
use tercet_client::Error;
use tercet_client::query::{ResultFile, published, query};
use tercet_client::show::to_text;
use tercet_protocol::api::{Problem, ProblemKind, QueryState, QueryStatus};
use tercet_protocol::ids::{QueryId, SurveyId};

use crate::stub::{Call, Stub, World, json, problem, query_options};

async fn ask(stub: &Stub, statistics: &[&str]) -> Result<ResultFile, Error> {
    let coordinator = stub.coordinator();
    let survey = coordinator.survey(stub.survey_id()).await.unwrap();
    let names: Vec<String> = statistics.iter().map(|s| (*s).to_owned()).collect();
    query(&coordinator, &survey, &names, query_options()).await
}

/// Asks a stub whose finished query is altered.
async fn altered(alter: impl Fn(&mut World, QueryId) -> QueryStatus + Send + 'static) -> Error {
    let stub = Stub::start(move |call: &Call, world: &mut World| {
        let id: QueryId = call.path.strip_prefix("/v1/queries/")?.parse().ok()?;
        Some(json(200, &alter(world, id)))
    })
    .await;
    ask(&stub, &["count", "mean"]).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_waited_for_verified_and_kept_verifiable() {
    let stub = Stub::honest().await;
    let file = ask(&stub, &["count", "mean"]).await.unwrap();
    let survey = stub.with(|w| w.survey.clone());
    assert_eq!(file.result.statistics.len(), 2);
    let text = to_text(&file.result, &survey);
    assert!(text.contains("mean") && text.contains("1.5") && text.contains("24 submissions"), "{text}");

    let bytes = serde_json::to_vec(&file).unwrap();
    let read = ResultFile::from_json(&bytes).unwrap();
    assert_eq!(read, file);
    assert_eq!(read.verify(Some(survey.id()), None).unwrap().parties(), survey.parties());
    assert_eq!(read.verify(None, Some(survey.bytes())).unwrap().id(), survey.id());
    assert_eq!(read.verify(Some(SurveyId([1; 32])), None).unwrap_err().exit_status(), 1);
    // All permitted statistics when none is named.
    assert_eq!(ask(&stub, &[]).await.unwrap().result.statistics.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_file_with_any_part_changed_is_refused() {
    let stub = Stub::honest().await;
    let file = ask(&stub, &["mean"]).await.unwrap();
    let mut value = file.clone();
    value.result.statistics[0].value = Some("1.6".into());
    assert_eq!(value.verify(None, None).unwrap_err().code(), "bad-signature");
    let mut swapped = file.clone();
    swapped.signatures.swap(0, 1);
    assert_eq!(swapped.verify(None, None).unwrap_err().code(), "bad-signature");
    // The descriptor of a survey with other parties does not fit the result's survey id.
    let other = Stub::honest().await;
    let descriptor = other.with(|w| w.survey.bytes().to_vec());
    assert_eq!(file.verify(None, Some(&descriptor)).unwrap_err().code(), "bad-answer");
    let mut cut = file.clone();
    cut.descriptor.as_mut().unwrap().truncate(10);
    assert_eq!(cut.verify(None, None).unwrap_err().exit_status(), 1);
    // The API's own answers are read as they are; they bring no survey along.
    let signed = file.signed();
    let status =
        QueryStatus { query: signed.result.query, state: QueryState::Done { result: signed.clone() } };
    let survey = stub.with(|w| w.survey.bytes().to_vec());
    for json in [serde_json::to_vec(&signed).unwrap(), serde_json::to_vec(&status).unwrap()] {
        let read = ResultFile::from_json(&json).unwrap();
        assert_eq!(read.signed(), signed);
        assert_eq!(read.verify(None, None).unwrap_err().exit_status(), 2);
        read.verify(None, Some(&survey)).unwrap();
    }
    let running = QueryStatus { state: QueryState::Running, ..status };
    assert!(ResultFile::from_json(&serde_json::to_vec(&running).unwrap()).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_do_not_verify_or_answer_are_refused() {
    let done = |query, result| QueryStatus { query, state: QueryState::Done { result } };
    let unsigned = altered(move |w, id| {
        let mut result = w.result(id, &["count".into(), "mean".into()]);
        result.signatures[2] = result.signatures[1];
        done(id, result)
    })
    .await;
    assert_eq!(unsigned.code(), "bad-signature");
    assert!(unsigned.to_string().contains("party 2"), "{unsigned}");
    let old =
        altered(move |w, id| done(id, w.result(QueryId([99; 16]), &["count".into(), "mean".into()]))).await;
    assert_eq!(old.code(), "bad-answer");
    let partial = altered(move |w, id| done(id, w.result(id, &["count".into()]))).await;
    assert!(partial.to_string().contains("lacks the statistic mean"), "{partial}");
    let other = altered(|_, _| QueryStatus { query: QueryId([99; 16]), state: QueryState::Running }).await;
    assert_eq!(other.code(), "bad-answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_name_their_reason() {
    let refused = altered(|_, query| {
        let problem = Problem::new(ProblemKind::TooFewNew, "2 new submissions, 5 are needed");
        QueryStatus { query, state: QueryState::Refused { problem } }
    })
    .await;
    assert_eq!(refused.code(), "too-few-new");
    assert!(refused.to_string().contains("2 new submissions"), "{refused}");
    let stub = Stub::honest().await;
    let unknown = ask(&stub, &["median"]).await.unwrap_err();
    assert_eq!(unknown.exit_status(), 2);
    assert!(unknown.to_string().contains("count, sum, mean, variance, stddev"), "{unknown}");
    assert_eq!(stub.count(Method::POST, "", ""), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_not_led_elsewhere() {
    let stub = Stub::start(|call, _| {
        if !call.is(Method::POST, "/v1", "/queries") {
            return None;
        }
        let mut response = json(202, &QueryStatus { query: QueryId([1; 16]), state: QueryState::Running });
        response.headers_mut().insert(header::LOCATION, "http://127.0.0.1:1/v1/queries/01".parse().unwrap());
        Some(response)
    })
    .await;
    assert_eq!(ask(&stub, &[]).await.unwrap_err().code(), "bad-answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_a_query_is_retried_only_when_it_was_refused() {
    let busy = Stub::start(|call, _| {
        (call.is(Method::POST, "/v1", "/queries") && call.nth == 0)
            .then(|| problem(ProblemKind::Busy, "later"))
    })
    .await;
    ask(&busy, &["mean"]).await.unwrap();
    assert_eq!(busy.count(Method::POST, "/v1", "/queries"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn published_statistics_are_verified_too() {
    let stub = Stub::honest().await;
    let coordinator = stub.coordinator();
    let survey = coordinator.survey(stub.survey_id()).await.unwrap();
    assert_eq!(published(&coordinator, &survey, None).await.unwrap().result.statistics.len(), 5);
    let forged = Stub::start(|call, world| {
        let mut result = world.listed();
        result.result.submissions += 1;
        call.path.ends_with("/statistics").then(|| json(200, &result))
    })
    .await;
    let coordinator = forged.coordinator();
    let survey = coordinator.survey(forged.survey_id()).await.unwrap();
    assert_eq!(published(&coordinator, &survey, None).await.unwrap_err().code(), "bad-signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_is_checked_here_and_the_answer_must_be_about_it() {
    use tercet_client::query::ask;
    use tercet_protocol::api::QueryRequest;
    use tercet_protocol::filter::Filter;

    let stub = Stub::honest().await;
    let coordinator = stub.coordinator();
    let survey = coordinator.survey(stub.survey_id()).await.unwrap();
    let request = |filter| QueryRequest { statistics: vec!["mean".into()], filter };
    let unknown = request(Filter::default().or("country", "DE"));
    let refused = ask(&coordinator, &survey, &unknown, query_options()).await.unwrap_err();
    assert_eq!((refused.exit_status(), stub.count(Method::POST, "", "")), (2, 0), "{refused}");
    // Signed, but about other rows.
    let other = altered(|w, id| {
        let mut result = w.result(id, &["count".into(), "mean".into()]).result;
        result.filter = Filter::default().or("country", "DE");
        QueryStatus { query: id, state: QueryState::Done { result: w.signed(result) } }
    })
    .await;
    assert!(other.to_string().contains("other rows"), "{other}");
}
