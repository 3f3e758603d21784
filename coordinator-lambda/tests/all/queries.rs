//! Queries and published statistics.

use std::sync::Arc;

use tercet_protocol::api::{PartyQuery, Problem, ProblemKind, QueryState, QueryStatus};
use tercet_protocol::filter::Filter;
use tercet_protocol::ids::{QueryId, Signature, SurveyId};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::result::SignedResult;
use tercet_protocol::survey::{FieldSection, SurveyManifest};

use crate::support::parties::result;
use crate::support::reply::{Reply, get, post};
use crate::support::{Options, START, World};

impl World {
    fn keys(&self) -> [Arc<SigningKey>; 3] {
        [0, 1, 2].map(|i: usize| Arc::clone(&self.parties[i].key))
    }

    async fn ask(&self, body: &str) -> Reply {
        post(format!("/v1/surveys/{}/queries", self.survey_id()), body).send(&self.router).await
    }

    async fn asked(&self, body: &str) -> QueryId {
        let reply = self.ask(body).await;
        assert_eq!(reply.status, 202);
        let status: QueryStatus = reply.json();
        assert_eq!(reply.header("location"), Some(&*format!("/v1/queries/{}", status.query)));
        status.query
    }

    async fn query(&self, id: QueryId) -> QueryState {
        let reply = get(format!("/v1/queries/{id}")).send(&self.router).await;
        assert_eq!(reply.status, 200);
        let status: QueryStatus = reply.json();
        assert_eq!(status.query, id);
        status.state
    }

    /// The leading party has this result now.
    fn released(&self, query: QueryId, result: SignedResult) {
        self.parties[0].set_query(&QueryStatus { query, state: QueryState::Done { result } });
    }

    fn result(&self, query: QueryId, names: &[&str], height: u64, at: u64) -> SignedResult {
        let statistics = names.iter().map(|n| (*n).to_owned()).collect();
        let asked = PartyQuery { survey: self.survey_id(), statistics, filter: Filter::default() };
        result(&self.keys(), query, &asked, height, at)
    }

    async fn statistics(&self) -> Reply {
        get(format!("/v1/surveys/{}/statistics", self.survey_id())).send(&self.router).await
    }

    /// Asks, lets the parties release, and looks.
    async fn release(&self, names: &[&str], height: u64, at: u64) {
        let body = serde_json::json!({ "statistics": names }).to_string();
        let id = self.asked(&body).await;
        self.released(id, self.result(id, names, height, at));
        assert!(matches!(self.query(id).await, QueryState::Done { .. }));
    }
}

const ALL: [&str; 5] = ["count", "sum", "mean", "variance", "stddev"];

#[tokio::test]
async fn a_query_goes_to_the_leading_party_and_its_result_is_published() {
    let world = World::new().await;
    world.statistics().await.problem(ProblemKind::NotFound);
    let id = world.asked("").await;
    let all = PartyQuery {
        survey: world.survey_id(),
        statistics: ALL.map(str::to_owned).to_vec(),
        filter: Filter::default(),
    };
    assert_eq!(world.parties[0].puts(), [(id, all)], "no names: all that the survey permits");
    assert!(world.parties[1].puts().is_empty());
    assert_eq!(world.query(id).await, QueryState::Running);

    let signed = world.result(id, &ALL, 7, START);
    world.released(id, signed.clone());
    assert_eq!(world.query(id).await, QueryState::Done { result: signed.clone() });
    // Done for good: the party is not asked again.
    world.parties[0].forget_queries();
    assert_eq!(world.query(id).await, QueryState::Done { result: signed.clone() });
    assert_eq!(world.parties[0].puts().len(), 1);

    let reply = world.statistics().await;
    assert_eq!((reply.status, reply.header("cache-control")), (200, Some("public, max-age=10")));
    assert_eq!(reply.json::<SignedResult>(), signed);
    let etag = reply.header("etag").unwrap().to_owned();
    assert!(etag.starts_with('"'), "strong: {etag}");
    let path = format!("/v1/surveys/{}/statistics", world.survey_id());
    for known in [etag.clone(), format!("\"x\", W/{etag}"), "*".into()] {
        let reply = get(&path).header("if-none-match", &known).send(&world.router).await;
        assert_eq!((reply.status, reply.body.len()), (304, 0), "{known}");
        assert_eq!(reply.header("etag"), Some(&*etag));
    }
    let reply = get(&path).header("if-none-match", "\"x\"").send(&world.router).await;
    assert_eq!(reply.status, 200);

    world.release(&ALL, 9, START + 5).await;
    let newer = world.statistics().await;
    assert_ne!(newer.header("etag"), Some(&*etag));
    assert_eq!(newer.json::<SignedResult>().result.height, 9);
}

#[tokio::test]
async fn only_what_is_newer_and_not_narrower_is_published() {
    let world = World::new().await;
    let height = async || world.statistics().await.json::<SignedResult>().result.height;
    world.release(&["mean"], 3, START).await;
    assert_eq!(height().await, 3);
    world.release(&ALL, 5, START + 1).await;
    assert_eq!(height().await, 5);
    world.release(&ALL, 4, START + 2).await;
    assert_eq!(height().await, 5, "older");
    world.release(&["mean"], 8, START + 3).await;
    assert_eq!(height().await, 5, "narrower");
    world.release(&ALL, 5, START + 4).await;
    let released = world.statistics().await.json::<SignedResult>().result;
    assert_eq!((released.height, released.released_at), (5, START + 4), "released later");
}

#[tokio::test]
async fn results_that_are_not_what_three_parties_signed_are_not_stored() {
    let world = World::new().await;
    let id = world.asked("{\"statistics\":[\"count\",\"mean\"]}").await;
    let good = world.result(id, &["count", "mean"], 7, START);
    let altered = |edit: fn(&mut SignedResult)| {
        let mut bad = good.clone();
        edit(&mut bad);
        bad
    };
    let other_survey = {
        let asked = PartyQuery {
            survey: SurveyId([3; 32]),
            statistics: vec!["count".into(), "mean".into()],
            filter: Filter::default(),
        };
        result(&world.keys(), id, &asked, 7, START)
    };
    let bad = [
        ("an altered value", altered(|r| r.result.statistics[1].value = Some("9".into()))),
        ("a missing signature", altered(|r| r.signatures[2] = Signature([0; 64]))),
        ("one party's signature twice", altered(|r| r.signatures[1] = r.signatures[0])),
        ("signatures in another order", altered(|r| r.signatures.swap(0, 1))),
        ("another query", world.result(QueryId([4; 16]), &["count", "mean"], 7, START)),
        ("another survey", other_survey),
        ("less than asked", world.result(id, &["count"], 7, START)),
        ("more than asked", world.result(id, &["count", "mean", "sum"], 7, START)),
    ];
    for (what, result) in bad {
        world.released(id, result);
        assert_eq!(world.query(id).await, QueryState::Running, "{what}");
        world.statistics().await.problem(ProblemKind::NotFound);
    }
    // Nothing better comes: the query ends as refused.
    world.clock.advance_seconds(600);
    let QueryState::Refused { problem } = world.query(id).await else { panic!() };
    assert_eq!((problem.known(), problem.party), (Some(ProblemKind::PartyUnavailable), Some(0)));
    world.released(id, good);
    assert!(matches!(world.query(id).await, QueryState::Refused { .. }), "for good");
}

#[tokio::test]
async fn a_restarted_party_gets_the_query_again() {
    let world = World::new().await;
    let id = world.asked("").await;
    world.parties[0].forget_queries();
    assert_eq!(world.query(id).await, QueryState::Running);
    let puts = world.parties[0].puts();
    assert_eq!(puts.len(), 2);
    assert_eq!(puts[0], puts[1]);
    world.released(id, world.result(id, &ALL, 1, START));
    assert!(matches!(world.query(id).await, QueryState::Done { .. }));
}

#[tokio::test]
async fn the_parties_refusals_reach_the_consumer_in_words() {
    let world = World::new().await;
    let refusal = Problem::new(ProblemKind::TooFewNew, "2 came since the last release; 5 are needed");
    let body = serde_json::to_value(&refusal).unwrap();
    world.parties[0].on_query(move |_, _| (403, body.clone()));
    let reply = world.ask("").await;
    assert_eq!(reply.status, 202);
    let status: QueryStatus = reply.json();
    let QueryState::Refused { problem } = world.query(status.query).await else { panic!() };
    assert_eq!(problem, refusal.clone().party(0));
    assert_eq!(status.state, QueryState::Refused { problem });

    // A busy party is asked again.
    let busy = serde_json::to_value(Problem::new(ProblemKind::Busy, "later")).unwrap();
    world.parties[0].on_query(move |_, _| (503, busy.clone()));
    let id = world.asked("").await;
    assert_eq!(world.query(id).await, QueryState::Running);
    world.parties[0]
        .set_query(&QueryStatus { query: id, state: QueryState::Refused { problem: refusal.party(2) } });
    let QueryState::Refused { problem } = world.query(id).await else { panic!() };
    assert_eq!(problem.party, Some(2));
}

#[tokio::test]
async fn what_the_survey_does_not_release_is_not_asked() {
    let world = World::new().await;
    let problem = world
        .ask("{\"statistics\":[\"count\",\"me\\u0007dian\"]}")
        .await
        .problem(ProblemKind::StatisticNotPermitted);
    assert!(problem.detail.contains("me\\u{7}dian") && problem.detail.contains("variance"), "{problem:?}");
    let many = serde_json::json!({ "statistics": vec!["count"; 65] }).to_string();
    for body in ["{", "[]", "{\"statistic\":[]}", "{\"statistics\":[1]}", &many] {
        world.ask(body).await.problem(ProblemKind::Malformed);
    }
    let path = format!("/v1/surveys/{}/queries", world.survey_id());
    let form = post(&path, "{}").header("content-type", "application/x-www-form-urlencoded");
    form.send(&world.router).await.problem(ProblemKind::Malformed);
    post(&path, vec![b' '; 20_000]).send(&world.router).await.problem(ProblemKind::TooLarge);
    let elsewhere = format!("/v1/surveys/{}/queries", SurveyId([1; 32]));
    post(elsewhere, "{}").send(&world.router).await.problem(ProblemKind::NotFound);
    post("/v1/surveys/1/queries", "{}").send(&world.router).await.problem(ProblemKind::Malformed);
    assert!(world.parties[0].puts().is_empty());
    // Each name once, in the order asked.
    world.asked("{\"statistics\":[\"mean\",\"count\",\"mean\"]}").await;
    assert_eq!(world.parties[0].puts()[0].1.statistics, ["mean", "count"]);
    // A listed sample variance says the population variance as well: the parties' own rule.
    world.asked("{\"statistics\":[\"variance_population\"]}").await;
    assert_eq!(world.parties[0].puts()[1].1.statistics, ["variance_population"]);
}

#[tokio::test]
async fn queries_are_forgotten_after_a_week() {
    let world = World::new().await;
    let id = world.asked("").await;
    world.released(id, world.result(id, &ALL, 1, START));
    world.query(id).await;
    world.clock.advance_seconds(7 * 86_400);
    get(format!("/v1/queries/{id}")).send(&world.router).await.problem(ProblemKind::NotFound);
    let unknown = get(format!("/v1/queries/{}", QueryId([7; 16])));
    unknown.send(&world.router).await.problem(ProblemKind::NotFound);
    get("/v1/queries/abc").send(&world.router).await.problem(ProblemKind::Malformed);
    // What was published stays.
    assert_eq!(world.statistics().await.status, 200);
}

/// A client may ask to wait for the end; the coordinator lets it no longer than it is configured to.
#[tokio::test]
async fn waiting_is_passed_on_and_bounded() {
    let world = World::new().await;
    let id = world.asked("").await;
    let look = async |prefer: Option<&str>| {
        let request = get(format!("/v1/queries/{id}"));
        let request = match prefer {
            Some(prefer) => request.header("prefer", prefer),
            None => request,
        };
        assert_eq!(request.send(&world.router).await.status, 200);
        world.parties[0].preferred()
    };
    assert_eq!(look(Some("respond-async, wait=600")).await.as_deref(), Some("wait=1"));
    assert_eq!(look(Some("wait=0")).await, None);
    assert_eq!(look(Some("wait=soon")).await, None);
    assert_eq!(look(None).await, None);
}

#[tokio::test]
async fn a_query_finished_by_many_at_once_has_one_outcome() {
    let world = World::new().await;
    let id = world.asked("").await;
    world.released(id, world.result(id, &ALL, 2, START));
    let calls = (0..8).map(|_| {
        let c = world.another();
        tokio::spawn(async move { c.query_status(id, 0).await.unwrap() })
    });
    for call in calls.collect::<Vec<_>>() {
        assert!(matches!(call.await.unwrap().state, QueryState::Done { .. }));
    }
}

#[tokio::test]
async fn a_filter_goes_with_the_query_and_its_result_is_not_published() {
    let fields = |m: &mut SurveyManifest| {
        m.survey.statistics.extend(["quantile".to_owned(), "mean@bnb".to_owned()]);
        m.fields.push(FieldSection {
            name: "bnb".into(),
            prefix: "{\"asset\":\"BNB\",\"free\":\"".into(),
            suffix: ".".into(),
            values: vec!["0".into(), "1".into()],
        });
    };
    let world = World::with(Options { survey: fields, ..Options::default() }).await;
    let id = world.asked(r#"{"statistics":["quantile:0.90","mean@bnb"],"where":{"bnb":["1","0"]}}"#).await;
    let filter = Filter::default().or("bnb", "0").or("bnb", "1");
    let names = vec!["quantile:0.9".to_owned(), "mean@bnb".to_owned()];
    let asked = PartyQuery { survey: world.survey_id(), statistics: names, filter };
    assert_eq!(world.parties[0].puts(), [(id, asked.clone())], "one spelling each");
    // A result about all rows is no answer; one about the asked rows is, and only its asker gets it.
    let whole = PartyQuery { filter: Filter::default(), ..asked.clone() };
    world.released(id, result(&world.keys(), id, &whole, 7, START));
    assert_eq!(world.query(id).await, QueryState::Running);
    world.released(id, result(&world.keys(), id, &asked, 7, START));
    assert!(matches!(world.query(id).await, QueryState::Done { .. }));
    world.statistics().await.problem(ProblemKind::NotFound);
    // Without names: what the survey lists with its parameters.
    let id = world.asked("{}").await;
    let puts = world.parties[0].puts();
    assert_eq!((puts[1].0, puts[1].1.statistics.last().map(String::as_str)), (id, Some("mean@bnb")));
    assert!(!puts[1].1.statistics.iter().any(|s| s.starts_with("quantile")));
    for body in [
        r#"{"where":{"city":["x"]}}"#,
        r#"{"where":{"bnb":["2"]}}"#,
        r#"{"where":{"bnb":[]}}"#,
        r#"{"where":{"bnb":"1"}}"#,
    ] {
        world.ask(body).await.problem(ProblemKind::Malformed);
    }
    world.ask(r#"{"statistics":["quantile"]}"#).await.problem(ProblemKind::StatisticNotPermitted);
}

#[tokio::test]
async fn a_survey_that_lists_families_only_wants_them_named() {
    let families = |m: &mut SurveyManifest| m.survey.statistics = vec!["quantile".into()];
    let world = World::with(Options { survey: families, ..Options::default() }).await;
    let problem = world.ask("").await.problem(ProblemKind::Malformed);
    assert!(problem.detail.contains("quantile"), "{problem}");
    world.asked(r#"{"statistics":["quantile:0.5"]}"#).await;
}
