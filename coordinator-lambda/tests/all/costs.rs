//! The costs of each path at AWS, by its own requests. docs/costs.md shows the table that this test makes: a path that makes
//! one request more is seen here.

use coordinator_lambda::config::Rate;
use coordinator_lambda::scheduled::{reap_once, refresh_once};
use tercet_protocol::api::SubmissionState;
use tercet_protocol::ids::PublicKey;
use tercet_protocol::notary::TicketRequest;

use crate::queries::{MEAN, question};
use crate::support::reply::{get, post};
use crate::support::table::{Call, Table};
use crate::support::{Options, World};
use crate::withdrawals::ENTERED;

/// Dollars for a million units and requests, us-east-1 (docs/costs.md, "Prices used").
const WRITE: f64 = 0.625;
const READ: f64 = 0.125;
const INVOCATION: f64 = 0.20;
const GATEWAY: f64 = 1.00;
const GIGABYTE_SECOND: f64 = 0.000_013_333_4;
const LOG_GIGABYTE: f64 = 0.50;
/// Memory of the functions, in GB.
const API_MEMORY: f64 = 0.5;
const TICK_MEMORY: f64 = 0.25;
/// Bytes of log lines of one request.
const LOGGED: f64 = 1_400.0;
/// Runs of each scheduled function in a month of 30 days.
const TICKS: f64 = 43_200.0;

/// A path's requests, counted.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    writes: f64,
    reads: f64,
}

impl Cost {
    /// For a million of it.
    fn dollars(self) -> f64 {
        self.writes * WRITE + self.reads * READ
    }
}

fn cost(calls: &[Call]) -> Cost {
    let sum =
        |writes: bool| calls.iter().filter(|c| c.writes == writes).map(|c| c.units).fold(0.0, |a, b| a + b);
    Cost { writes: sum(true), reads: sum(false) }
}

/// One row: the path, its requests by name and number, and their price.
fn row(path: &str, calls: &[Call]) -> String {
    let mut names: Vec<(&str, usize)> = Vec::new();
    for call in calls {
        match names.iter_mut().find(|(name, _)| *name == call.name) {
            Some((_, times)) => *times += 1,
            None => names.push((&call.name, 1)),
        }
    }
    let listed: Vec<String> = names
        .into_iter()
        .map(|(name, times)| if times == 1 { format!("`{name}`") } else { format!("{times} × `{name}`") })
        .collect();
    let listed = if listed.is_empty() { "none".to_owned() } else { listed.join(", ") };
    let c = cost(calls);
    format!("| {path} | {listed} | {} | {} | {:.2} |", c.writes, c.reads, c.dollars())
}

/// A line of the second table.
fn priced(what: &str, how: &str, dollars: f64) -> String {
    format!("| {what} | {how} | {dollars:.2} |")
}

/// Dollars for a million requests of the API that take this many milliseconds, without the table.
fn served(milliseconds: f64) -> f64 {
    INVOCATION
        + GATEWAY
        + milliseconds * 1_000.0 * API_MEMORY * GIGABYTE_SECOND
        + LOGGED / 1_000.0 * LOG_GIGABYTE
}

struct Paths {
    world: World,
    table: Table,
    rows: Vec<String>,
}

impl Paths {
    /// Takes note of the requests since the last look.
    fn note(&mut self, path: &str) -> Cost {
        let calls = self.table.take_calls();
        self.rows.push(row(path, &calls));
        cost(&calls)
    }
}

async fn measure() -> String {
    let table = Table::new();
    let world = World::with(Options { table: Some(table.clone()), ..Options::default() }).await;
    let survey = format!("/v1/surveys/{}", world.survey_id());
    let mut p = Paths { world, table, rows: Vec::new() };
    p.table.take_calls();

    refresh_once(&p.world.coordinator).await.unwrap();
    let refresh = p.note("`refresh`, nothing new");
    reap_once(&p.world.coordinator).await.unwrap();
    let reap = p.note("`reap`, nothing under way");

    let id = p.world.admitted(0, 0).await;
    let admission = p.note("A submission is admitted");
    p.world.status(id).await;
    p.note("Its status, undecided");
    p.world.all_accept(0, id);
    assert!(matches!(p.world.status(id).await.state, SubmissionState::Accepted { .. }));
    let decision = p.note("Its status, now decided");
    p.world.status(id).await;
    p.note("Its status, decided before");
    p.world.submit(0, 0).await;
    p.note("The same submission again");
    p.world.submit(0, 1).await;
    p.note("Another submission of that identity");
    p.world.all_erase(id, Some(ENTERED));
    p.world.withdraw(id, &p.world.wish(0, id)).await;
    p.note("It is withdrawn");
    let body = serde_json::to_vec(&TicketRequest { notary: PublicKey([7; 32]) }).unwrap();
    post(format!("{survey}/notary-tickets"), body).send(&p.world.router).await;
    p.note("A ticket for a notary");

    p.world.publish(1).await;
    let release = p.note("`refresh`, a new release point");
    get(format!("{survey}/statistics")).send(&p.world.router).await;
    let statistics = p.note("The newest statistics");
    get(format!("{survey}/releases/1/statistics")).send(&p.world.router).await;
    p.note("A release point's statistics");
    p.world.ask("{}").await;
    p.note("A question that is published");
    let query = p.world.asked(MEAN).await;
    p.note("A new question");
    p.world.answered(query, p.world.result(1, &question(&["count", "mean"])));
    p.world.query(query).await;
    p.note("Its answer arrives");
    p.world.ask(MEAN).await;
    let known = p.note("A question that was answered");
    for path in ["/v1/surveys", "/v1/federation", survey.as_str(), "/healthz"] {
        get(path).send(&p.world.router).await;
    }
    p.note("Surveys, federation, a survey, health");

    let mut out = vec![
        "| Path | Requests to DynamoDB | Write units | Read units | $ a million |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    out.append(&mut p.rows);
    out.push(String::new());
    out.push("| What | How it is computed | $ |".to_owned());
    out.push("|---|---|---|".to_owned());
    let registry = admission.dollars() + decision.dollars();
    out.push(priced("A million submissions: table", "admission and decision, above", registry));
    let requests = served(76.0) + served(200.0);
    out.push(priced(
        "A million submissions: gateway, functions, logs",
        "two requests, 76 and 200 ms",
        requests,
    ));
    out.push(priced("A million submissions", "together", registry + requests));
    let asked = statistics.dollars() + served(31.0);
    out.push(priced("A million looks at the newest statistics", "31 ms each, no cache in front", asked));
    let answered = known.dollars() + served(31.0);
    out.push(priced("A million questions that were answered before", "31 ms each", answered));
    out.push(priced("A thousand release points of one survey", "`refresh`", release.dollars() / 1_000.0));
    let table = (refresh.dollars() + reap.dollars()) * TICKS / 1e6;
    out.push(priced("An idle month, one survey: table", "43,200 runs each of `refresh` and `reap`", table));
    let runs = 2.0 * TICKS / 1e6 * (INVOCATION + 50.0 * 1_000.0 * TICK_MEMORY * GIGABYTE_SECOND + 0.7);
    out.push(priced("An idle month: functions and logs", "the same runs, 50 ms each", runs));
    out.join("\n")
}

const BEGIN: &str = "<!-- Made by coordinator-lambda/tests/all/costs.rs, which fails when a path makes another request. -->\n";
const END: &str = "\n<!-- End of what is made. -->";

#[tokio::test]
async fn the_document_has_what_each_path_costs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/costs.md");
    let document = std::fs::read_to_string(path).unwrap();
    let made = measure().await;
    let shown =
        document.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(shown, _)| shown.trim());
    assert!(shown == Some(&made), "docs/costs.md must show this between its two comments:\n\n{made}\n");
}

/// A request that is refused by a rate which this function has seen used up costs the table nothing.
#[tokio::test]
async fn refusals_cost_nothing_but_the_request() {
    let table = Table::new();
    let limits = coordinator_lambda::config::Limits {
        address: Rate { burst: 1, per_second: 0.01 },
        ..Options::default().limits
    };
    let world = World::with(Options { limits, table: Some(table.clone()), ..Options::default() }).await;
    world.admitted(0, 0).await;
    table.take_calls();
    for variant in 1..4 {
        assert_eq!(world.submit(0, variant).await.status, 429);
    }
    assert_eq!(table.take_calls(), []);
}
