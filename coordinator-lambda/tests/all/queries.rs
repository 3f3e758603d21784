//! Questions: their one form, their costs, refusals, and that answers have three parties' signatures.

use std::time::Duration;

use coordinator_lambda::admission::RateReport;
use coordinator_lambda::config::Limits;
use coordinator_lambda::token::RequestToken;
use tercet_protocol::api::{Problem, ProblemKind, QueryRequest, QueryState, QueryStatus};
use tercet_protocol::filter::Filter;
use tercet_protocol::ids::{PublicKey, QueryId, Signature, SurveyId};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::query_ticket::Question;
use tercet_protocol::result::SignedResult;
use tercet_protocol::survey::{FieldSection, SurveyManifest};

use crate::support::parties::{result, sign};
use crate::support::reply::{Reply, get, post};
use crate::support::table::Table;
use crate::support::{Options, SEED, START, World};

impl World {
    pub(crate) async fn ask(&self, body: &str) -> Reply {
        post(format!("/v1/surveys/{}/queries", self.survey_id()), body).send(&self.router).await
    }

    pub(crate) async fn asked(&self, body: &str) -> QueryId {
        let reply = self.ask(body).await;
        assert_eq!(reply.status, 202, "{}", String::from_utf8_lossy(&reply.body));
        let status: QueryStatus = reply.json();
        assert_eq!(reply.header("location"), Some(&*format!("/v1/queries/{}", status.query)));
        status.query
    }

    pub(crate) async fn query(&self, id: QueryId) -> QueryState {
        let reply = get(format!("/v1/queries/{id}")).send(&self.router).await;
        assert_eq!(reply.status, 200);
        let status: QueryStatus = reply.json();
        assert_eq!(status.query, id);
        status.state
    }

    /// The leading party has this result now.
    pub(crate) fn answered(&self, query: QueryId, result: SignedResult) {
        self.parties[0].set_query(&QueryStatus { query, state: QueryState::Done { result } });
    }

    pub(crate) fn result(&self, release: u64, question: &Question) -> SignedResult {
        result(&self.keys(), self.survey_id(), release, question)
    }
}

pub(crate) fn question(names: &[&str]) -> Question {
    let statistics = names.iter().map(|n| (*n).to_owned()).collect();
    Question { statistics, filter: Filter::default() }
}

pub(crate) const MEAN: &str = r#"{"statistics":["mean","count","mean"]}"#;

#[tokio::test]
async fn a_question_goes_to_the_leading_party_with_a_ticket_and_is_answered_once() {
    let world = World::new().await;
    world.ask(MEAN).await.problem(ProblemKind::NothingReleased);
    world.publish(3).await;
    let id = world.asked(MEAN).await;
    let asked = question(&["count", "mean"]);
    assert_eq!(id, asked.id(world.survey_id(), 3));
    let puts = world.parties[0].puts();
    assert_eq!(puts.len(), 1);
    let (put, ticket) = &puts[0];
    assert_eq!((*put, ticket.query()), (id, id));
    assert_eq!((ticket.survey, ticket.release, &ticket.question), (world.survey_id(), 3, &asked));
    let key = SigningKey::from_seed(&SEED).unwrap().public();
    assert_eq!(ticket.verify(&[key], START + 300), Ok(()));
    assert!(ticket.verify(&[key], START + 301).is_err());
    assert!(ticket.verify(&[PublicKey([1; 32])], START).is_err());
    assert!(world.parties[1].puts().is_empty());

    assert_eq!(world.query(id).await, QueryState::Running);
    // Asked again, in another spelling, while it is computed: the same question.
    assert_eq!(world.asked(r#"{"statistics":["count","mean"]}"#).await, id);
    let signed = world.result(3, &asked);
    world.answered(id, signed.clone());
    let done = QueryState::Done { result: signed };
    assert_eq!(world.query(id).await, done);
    // Done for good: no party is asked again, whoever asks.
    world.parties[0].forget_queries();
    assert_eq!(world.query(id).await, done);
    let again = world.ask(MEAN).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.json::<QueryStatus>(), QueryStatus { query: id, state: done });
    assert_eq!(world.parties[0].puts().len(), 1);
}

/// Statistics that the parties publish by themselves are never computed for a question.
#[tokio::test]
async fn the_listed_statistics_are_answered_from_what_is_published() {
    let world = World::new().await;
    let signed = world.publish(2).await;
    for body in ["", "{}", r#"{"statistics":["stddev","mean","variance","sum","count"]}"#] {
        let reply = world.ask(body).await;
        assert_eq!(reply.status, 200, "{body}");
        assert_eq!(reply.json::<QueryStatus>().state, QueryState::Done { result: signed.clone() });
    }
    assert!(world.parties[0].puts().is_empty());
}

#[tokio::test]
async fn results_that_are_not_what_three_parties_signed_are_not_stored() {
    let world = World::new().await;
    world.publish(7).await;
    let id = world.asked(MEAN).await;
    let asked = question(&["count", "mean"]);
    let good = world.result(7, &asked);
    let altered = |edit: fn(&mut SignedResult)| {
        let mut bad = good.clone();
        edit(&mut bad);
        bad
    };
    let signed = |edit: fn(&mut SignedResult)| sign(&world.keys(), altered(edit).result);
    let bad = [
        ("an altered value", altered(|r| r.result.statistics[1].value = Some("9".into()))),
        ("another release point", altered(|r| r.result.release.rows += 1)),
        ("a missing signature", altered(|r| r.signatures[2] = Signature([0; 64]))),
        ("one party's signature twice", altered(|r| r.signatures[1] = r.signatures[0])),
        ("signatures in another order", altered(|r| r.signatures.swap(0, 1))),
        ("another id", signed(|r| r.result.query = QueryId([4; 16]))),
        ("another point's number", signed(|r| r.result.release.number = 6)),
        ("another survey", signed(|r| r.result.survey = SurveyId([3; 32]))),
        ("other rows", signed(|r| r.result.filter = Filter::default().or("a", "b"))),
        ("less than asked", signed(|r| r.result.statistics.truncate(1))),
        (
            "more than asked",
            signed(|r| {
                let mut more = r.result.statistics[0].clone();
                more.statistic = "sum".into();
                r.result.statistics.push(more);
            }),
        ),
    ];
    for (what, result) in bad {
        world.answered(id, result);
        assert_eq!(world.query(id).await, QueryState::Running, "{what}");
    }
    // Nothing better comes: the question ends as refused.
    world.clock.advance_seconds(600);
    let QueryState::Refused { problem } = world.query(id).await else { panic!() };
    assert_eq!((problem.known(), problem.party), (Some(ProblemKind::PartyUnavailable), Some(0)));
    // It may be asked again, and then gets its answer.
    world.parties[0].forget_queries();
    assert_eq!(world.asked(MEAN).await, id);
    world.answered(id, good);
    assert!(matches!(world.query(id).await, QueryState::Done { .. }));
}

#[tokio::test]
async fn a_restarted_party_gets_the_question_again() {
    let world = World::new().await;
    world.publish(1).await;
    let id = world.asked(MEAN).await;
    world.parties[0].forget_queries();
    assert_eq!(world.query(id).await, QueryState::Running);
    let puts = world.parties[0].puts();
    assert_eq!(puts.len(), 2);
    assert_eq!((puts[0].0, &puts[0].1.question), (puts[1].0, &puts[1].1.question));
    assert_ne!(puts[0].1.nonce, puts[1].1.nonce);
    world.answered(id, world.result(1, &question(&["count", "mean"])));
    assert!(matches!(world.query(id).await, QueryState::Done { .. }));
}

#[tokio::test]
async fn the_parties_refusals_reach_the_consumer_in_words() {
    let world = World::new().await;
    world.publish(1).await;
    let before = world.items().await;
    let refusal = Problem::new(ProblemKind::CohortTooSmall, "the filter covers 2 rows; 10 are needed");
    let body = serde_json::to_value(&refusal).unwrap();
    world.parties[0].on_query(move |_, _| (403, body.clone()));
    let problem = world.ask(MEAN).await.problem(ProblemKind::CohortTooSmall);
    assert_eq!(problem, refusal.clone().party(0));
    // A party that is away or busy: to be tried again.
    let busy = serde_json::to_value(Problem::new(ProblemKind::Busy, "later").retry_after(3)).unwrap();
    world.parties[0].on_query(move |_, _| (503, busy.clone()));
    assert_eq!(world.ask(MEAN).await.problem(ProblemKind::Busy).retry_after, Some(3));
    world.parties[0].on_query(|_, _| (200, serde_json::json!("nonsense")));
    world.ask(MEAN).await.problem(ProblemKind::PartyUnavailable);
    // Three requests, each of which takes from four rates.
    assert!(world.items().await <= before + 3 * 4, "only rates were written");

    // One that fails while it is computed can be asked again if that can help.
    world.parties[0].forget_queries();
    world.parties[0].on_query(|query, _| {
        (202, serde_json::to_value(QueryStatus { query, state: QueryState::Running }).unwrap())
    });
    let id = world.asked(MEAN).await;
    let aborted = Problem::new(ProblemKind::Aborted, "a party left").party(2);
    world.parties[0].set_query(&QueryStatus { query: id, state: QueryState::Refused { problem: aborted } });
    let QueryState::Refused { problem } = world.query(id).await else { panic!() };
    assert_eq!((problem.known(), problem.party), (Some(ProblemKind::Aborted), Some(2)));
    let puts = world.parties[0].puts().len();
    assert_eq!(world.asked(MEAN).await, id);
    assert_eq!(world.parties[0].puts().len(), puts + 1);
    world.parties[0]
        .set_query(&QueryStatus { query: id, state: QueryState::Refused { problem: refusal.clone() } });
    assert!(matches!(world.query(id).await, QueryState::Refused { .. }));
    world.ask(MEAN).await.problem(ProblemKind::CohortTooSmall);
    assert_eq!(world.parties[0].puts().len(), puts + 1, "that one stays refused");
}

#[tokio::test]
async fn what_the_survey_does_not_release_is_not_asked() {
    let world = World::new().await;
    world.publish(1).await;
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
    // A listed sample variance says the population variance as well: the parties' own rule.
    world.asked("{\"statistics\":[\"variance_population\"]}").await;
    assert!(world.parties[0].puts()[0].1.question.statistics.contains("variance_population"));
}

#[tokio::test]
async fn answers_are_forgotten_after_a_day_and_can_be_asked_for_again() {
    let world = World::new().await;
    world.publish(1).await;
    let id = world.asked(MEAN).await;
    world.answered(id, world.result(1, &question(&["count", "mean"])));
    world.query(id).await;
    world.clock.advance_seconds(86_400);
    get(format!("/v1/queries/{id}")).send(&world.router).await.problem(ProblemKind::NotFound);
    assert_eq!(world.asked(MEAN).await, id);
    let unknown = get(format!("/v1/queries/{}", QueryId([7; 16])));
    unknown.send(&world.router).await.problem(ProblemKind::NotFound);
    get("/v1/queries/abc").send(&world.router).await.problem(ProblemKind::Malformed);
}

#[tokio::test]
async fn a_question_finished_by_many_at_once_has_one_outcome() {
    let world = World::new().await;
    world.publish(2).await;
    let id = world.asked(MEAN).await;
    world.answered(id, world.result(2, &question(&["count", "mean"])));
    let calls = (0..8).map(|_| {
        let c = world.another();
        tokio::spawn(async move { c.query_status(id).await.unwrap() })
    });
    for call in calls.collect::<Vec<_>>() {
        assert!(matches!(call.await.unwrap().state, QueryState::Done { .. }));
    }
}

#[tokio::test]
async fn a_filter_goes_with_the_question() {
    let fields = |m: &mut SurveyManifest| {
        m.survey.statistics.extend(["quantile:0.5".to_owned(), "mean@bnb".to_owned()]);
        m.fields.push(FieldSection {
            name: "bnb".into(),
            at: Some("$.balances[?@.asset=='BNB'].free".into()),
            values: vec!["0".into(), "1".into()],
            ..FieldSection::default()
        });
    };
    let world = World::with(Options { survey: fields, ..Options::default() }).await;
    world.publish(1).await;
    let id = world.asked(r#"{"statistics":["sum","mean"],"where":{"bnb":["1","0"]}}"#).await;
    let filter = Filter::default().or("bnb", "0").or("bnb", "1");
    let asked = Question { filter, ..question(&["mean", "sum"]) };
    assert_eq!(world.parties[0].puts()[0].1.question, asked, "one spelling");
    // A result about all rows is no answer; one about the asked rows is.
    world.answered(id, world.result(1, &question(&["mean", "sum"])));
    assert_eq!(world.query(id).await, QueryState::Running);
    world.answered(id, world.result(1, &asked));
    assert!(matches!(world.query(id).await, QueryState::Done { .. }));
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

/// The parties are one release point ahead of the published one: the coordinator catches up by itself.
#[tokio::test]
async fn a_question_about_an_old_release_point_is_asked_about_the_new_one() {
    let world = World::new().await;
    world.publish(1).await;
    let newer = world.statistics_of(2);
    world.parties[1].publish(&newer);
    world.parties[0].on_query(|query, ticket| {
        if ticket.release == 2 {
            let running = QueryStatus { query, state: QueryState::Running };
            return (202, serde_json::to_value(running).unwrap());
        }
        let old = Problem::new(ProblemKind::TicketInvalid, "release point 2 is the newest").rule("release");
        (403, serde_json::to_value(old).unwrap())
    });
    let id = world.asked(MEAN).await;
    assert_eq!(id, question(&["count", "mean"]).id(world.survey_id(), 2));
    // It never ends in a circle.
    world.parties[0].on_query(|_, _| {
        let old = Problem::new(ProblemKind::TicketInvalid, "not the newest").rule("release");
        (403, serde_json::to_value(old).unwrap())
    });
    world.ask(r#"{"statistics":["sum"]}"#).await.problem(ProblemKind::Busy);
}

/// An answer that is longer than a DynamoDB item may be is kept all the same (field case A23).
#[tokio::test]
async fn a_long_answer_is_not_lost() {
    let world = World::new().await;
    world.publish(1).await;
    let id = world.asked(MEAN).await;
    let asked = question(&["count", "mean"]);
    let long = |bytes: usize| {
        let mut long = world.result(1, &asked).result;
        long.statistics[1].unit = "é".repeat(bytes / 2);
        sign(&world.keys(), long)
    };
    let signed = long(1_500_000);
    world.answered(id, signed.clone());
    assert_eq!(world.query(id).await, QueryState::Done { result: signed.clone() });
    assert_eq!(world.query(id).await, QueryState::Done { result: signed });
    // One that nobody can keep ends as a refusal that says so, instead of failing at every look.
    let other = r#"{"statistics":["mean","sum"]}"#;
    let id = world.asked(other).await;
    world.answered(id, long(5_000_000));
    let QueryState::Refused { problem } = world.query(id).await else { panic!() };
    assert_eq!(problem.known(), Some(ProblemKind::ResultTooLarge));
}

/// Repeated and refused questions leave a bounded number of items, whoever asks them, and the last costs what the first did:
/// the same number of requests to the table.
#[tokio::test]
async fn repeated_and_refused_questions_do_not_make_the_table_grow() {
    let table = Table::new();
    let world = World::with(Options { table: Some(table.clone()), survey: bnb, ..Options::default() }).await;
    world.publish(1).await;
    let id = world.asked(MEAN).await;
    world.answered(id, world.result(1, &question(&["count", "mean"])));
    world.query(id).await;
    let refusal = serde_json::to_value(Problem::new(ProblemKind::CohortTooSmall, "too few")).unwrap();
    world.parties[0].on_query(move |_, _| (403, refusal.clone()));
    let questions = [
        (MEAN, 200),
        (r#"{"statistics":["count","mean"]}"#, 200),
        ("{}", 200),
        (r#"{"statistics":["sum"]}"#, 403),
        (r#"{"statistics":["sum","stddev"],"where":{"bnb":["1"]}}"#, 403),
        (r#"{"statistics":["median"]}"#, 403),
        (r#"{"where":{"a":["b"]}}"#, 400),
        (r#"{"where":{"bnb":["nobody has this"]}}"#, 400),
    ];
    table.take_calls();
    let mut first = None;
    for _ in 0..40 {
        for (body, status) in questions {
            assert_eq!(world.ask(body).await.status, status, "{body}");
        }
        // A bucket that is met for the first time takes one request less or more.
        let work = table.take_calls().iter().filter(|c| !c.name.ends_with("bucket")).count();
        assert_eq!(work, *first.get_or_insert(work), "requests to the table");
    }
    // Rates have at most 64 parts each: of addresses, the survey, askers and questions.
    assert!(world.items().await <= 16 + 4 * 64, "{}", world.items().await);
    assert_eq!(world.parties[0].puts().len(), 1 + 40 * 2, "only what is new costs a party a look");
}

/// A hundred thousand questions that were answered before, and ten thousand that are refused, from one address in two minutes:
/// what is above the address's rate costs the table nothing.
#[tokio::test]
async fn a_flood_of_questions_from_one_address_costs_what_its_rate_lets_through() {
    let table = Table::new();
    let limits = Limits::default();
    let world = World::with(Options { limits, table: Some(table.clone()), ..Options::default() }).await;
    world.publish(1).await;
    let id = world.asked(MEAN).await;
    world.answered(id, world.result(1, &question(&["count", "mean"])));
    world.query(id).await;
    let refusal = serde_json::to_value(Problem::new(ProblemKind::CohortTooSmall, "too few")).unwrap();
    world.parties[0].on_query(move |_, _| (403, refusal.clone()));
    let mut number = 0_u128;
    let mut flood = async |body: &str, times: u32| {
        let request: QueryRequest = serde_json::from_str(body).unwrap();
        let mut through = 0;
        for _ in 0..times {
            world.clock.advance(Duration::from_millis(1));
            number += 1;
            let mut report = RateReport::of(RequestToken(number.to_le_bytes()));
            let asked = world.coordinator.ask(world.survey_id(), request.clone(), "192.0.2.7", &mut report);
            let limited =
                asked.await.is_err_and(|e| e.into_problem().known() == Some(ProblemKind::RateLimited));
            through += u32::from(!limited);
        }
        through
    };
    flood(MEAN, 10_000).await;
    let (items, mut through) = (world.items().await, 0);
    table.take_calls();
    for _ in 0..9 {
        through += flood(MEAN, 10_000).await;
    }
    // Two in a second for ninety seconds.
    assert!((175..=185).contains(&through), "{through}");
    let calls = table.take_calls().len();
    assert!(
        calls <= through as usize * 6,
        "{calls} requests to the table for {through} that were let through"
    );
    let refused = flood(r#"{"statistics":["sum"]}"#, 10_000).await;
    assert!(refused <= 25, "{refused}");
    assert!(world.items().await <= items + 2, "a rate of its own for new questions, from all and from one");
}

fn bnb(m: &mut SurveyManifest) {
    m.fields.push(FieldSection {
        name: "bnb".into(),
        at: Some("$.balances[?@.asset=='BNB'].free".into()),
        values: vec!["0".into(), "1".into()],
        ..FieldSection::default()
    });
    m.fields.push(FieldSection {
        name: "free".into(),
        at: Some("$.balances[?@.asset=='ETH'].free".into()),
        ..FieldSection::default()
    });
}

/// Values that a field does not have make no question. Where a survey lets a field have any value, the parties refuse those
/// that no group has; and whatever the parties say, the rate of new questions bounds what is kept.
#[tokio::test]
async fn filter_values_that_nobody_has_make_a_bounded_number_of_items() {
    let table = Table::new();
    let questions = Limits::default().questions;
    let limits = Limits { questions, ..Options::default().limits };
    let options = Options { limits, table: Some(table), survey: bnb, ..Options::default() };
    let world = World::with(options).await;
    world.publish(1).await;
    let before = world.items().await;
    let ask = async |field: &str, number: u32| {
        world.ask(&format!(r#"{{"statistics":["sum"],"where":{{"{field}":["{number}.5"]}}}}"#)).await.status
    };
    for number in 0..500 {
        assert_eq!(ask("bnb", number).await, 400);
    }
    assert_eq!(world.items().await, before, "not even a rate");
    let mut taken = 0;
    for number in 0..500 {
        taken += u32::from(ask("free", number).await == 202);
    }
    assert_eq!(taken, questions.burst);
    assert_eq!(world.parties[0].puts().len(), taken as usize);
    // Besides the questions, rates: each part of four of them.
    assert!(world.items().await <= before + taken as usize + 4 * 64);
    // Every value, in any order and however often, is one question.
    world.clock.advance_seconds(60);
    let mut ids = std::collections::BTreeSet::new();
    for body in [
        r#"{"statistics":["sum"],"where":{"bnb":["1","0"]}}"#,
        r#"{"statistics":["sum","sum"],"where":{"bnb":["0","1","0"]}}"#,
    ] {
        ids.insert(world.asked(body).await);
    }
    assert_eq!(ids.len(), 1);
}
