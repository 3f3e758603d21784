//! The release rules as a survey states them: intervals, bounds, order statistics, exposed values, warnings.

use tercet_protocol::survey::{SurveyError, SurveyManifest, duration};
use tercet_releases::{DAY, DEFAULT_EVERY, DEFAULT_PATIENCE};

use crate::survey::{SURVEY, wide};

fn survey(text: &str) -> SurveyManifest {
    SurveyManifest::from_toml(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn refused(text: &str) -> (String, String) {
    match SurveyManifest::from_toml(text) {
        Err(SurveyError::Invalid { key, problem }) => (key, problem),
        other => panic!("{other:?} for\n{text}"),
    }
}

#[test]
fn a_survey_without_releases_has_the_defaults() {
    let plain = survey(SURVEY);
    let schedule = plain.schedule();
    assert_eq!((schedule.every, schedule.patience), (DEFAULT_EVERY, DEFAULT_PATIENCE));
    assert_eq!(schedule.opens, 1_735_689_600);
    assert_eq!(
        (schedule.last() - schedule.closes, plain.rules().min_new, plain.rules().replace),
        (DAY, 5, false)
    );
    let own = survey(&SURVEY.replace("[source]", "[releases]\nevery = '90m'\npatience = '2d'\n\n[source]"));
    assert_eq!((own.schedule().every, own.schedule().patience), (5400, 2 * DAY));
    // What is not stated is not written, so descriptors of before keep their ids.
    assert!(!serde_json::to_string(&plain).unwrap().contains("releases"));
    assert!(!serde_json::to_string(&plain).unwrap().contains("exposes"));
    for (text, seconds) in [
        ("1s", Some(1)),
        ("24h", Some(DAY)),
        ("4d", Some(4 * DAY)),
        ("", None),
        ("h", None),
        ("1.5h", None),
        ("-1h", None),
        ("1w", None),
    ] {
        assert_eq!(duration(text), seconds, "{text}");
    }
}

#[test]
fn what_is_gone_is_refused_with_a_sentence_and_its_place() {
    for (line, key, says) in [
        ("budget = 500", "survey.budget", "leave it out"),
        ("privacy_budget = '10'", "survey.privacy_budget", "once in the survey's life"),
    ] {
        let (found, problem) = refused(&SURVEY.replace("min_new = 5", &format!("min_new = 5\n{line}")));
        assert_eq!(found, key);
        let at = SURVEY.lines().position(|l| l.starts_with("min_new = 5")).unwrap() + 1;
        // The rest of the line that was broken comes first.
        assert!(
            problem.contains(says) && problem.ends_with(&format!("(line {}, column 1)", at + 1)),
            "{problem}"
        );
    }
    let wrong = SURVEY.replace("\"stddev\"]", "\"median\", \"max\"]");
    let (key, problem) = refused(&wrong);
    assert_eq!(key, "survey.statistics");
    let line = wrong.lines().position(|l| l.starts_with("statistics")).unwrap() + 1;
    let column = wrong.lines().nth(line - 1).unwrap().find("\"max\"").unwrap() + 1;
    assert!(
        problem.contains("survey.exposes") && problem.ends_with(&format!("(line {line}, column {column})")),
        "{problem}"
    );
}

#[test]
fn min_new_is_large_enough_for_the_sums() {
    let with = |statistics: &str, min_new: u32| {
        wide(statistics).replace("min_new = 20", &format!("min_new = {min_new}"))
    };
    // Sum, squares, and a product with the other column.
    for (statistics, least) in [
        ("\"gini\"", 3),
        ("\"variance\"", 5),
        ("\"correlation\"", 7),
        ("\"correlation\", \"geometric_mean\"", 9),
    ] {
        survey(&with(statistics, least));
        let (key, problem) = refused(&with(statistics, least - 1));
        assert_eq!(key, "survey.min_new");
        assert!(problem.contains(&format!("min_new = {least} or more")), "{problem}");
    }
    // Four bits and a logarithm: the sums hold more than ten people's values have.
    let few = with("\"geometric_mean\", \"variance\"", 10).replace("bits = 48", "bits = 4");
    let (key, problem) = refused(&few);
    assert_eq!(key, "survey.min_new");
    assert!(problem.contains("hold"), "{problem}");
}

#[test]
fn lists_of_order_statistics_have_their_least_number_of_rows() {
    let lists = |statistics: &str| -> Vec<(u8, Option<usize>, u64)> {
        survey(&wide(statistics)).order_lists().iter().map(|l| (l.column, l.field, l.least)).collect()
    };
    assert_eq!(lists("\"variance\""), []);
    assert_eq!(lists("\"median\""), [(0, None, 40), (1, None, 40)]);
    assert_eq!(
        lists("\"median(btc)\", \"gini(btc)\", \"median(btc)@country\""),
        [(1, None, 100), (1, Some(0), 40)]
    );
    // A tenth of the rows is twenty.
    assert_eq!(lists("\"lorenz:0.1,0.5(btc)\"")[0].2, 200);
    let exposing =
        wide("\"max(btc)\", \"median(btc)\"").replace("min_new = 20", "min_new = 20\nexposes = ['max']");
    assert_eq!(survey(&exposing).order_lists().iter().map(|l| l.least).collect::<Vec<_>>(), [40]);
    assert_eq!(survey(&exposing).exposed(), ["max(btc)"]);
    let only = wide("\"max(btc)\"").replace("min_new = 20", "min_new = 20\nexposes = ['max(btc)']");
    assert_eq!(survey(&only).order_lists()[0].least, 20, "anew with every twenty");
    assert!(survey(&only).warnings().iter().any(|w| w.contains("max(btc)") && w.contains("newest group")));
    assert!(survey(&only).order_notes()[0].contains("from 20 people on"));
}

#[test]
fn lists_that_no_number_of_rows_makes_safe_are_refused() {
    for (statistics, says) in [
        ("\"min\"", "publishes one person's value"),
        ("\"mode(btc)\"", "publishes one person's value"),
        ("\"quantile:1(btc)\"", "too close"),
        ("\"quantile_nearest:0\"", "too close"),
        ("\"lorenz:0.9\", \"top_share:0.1\"", "say the same"),
        ("\"trimmed_mean:0.1\", \"top_share:0.1\"", "list one of them"),
        ("\"trimmed_mean:0\"", "list \"mean\""),
        ("\"lorenz\"", "with its parameters"),
        ("\"median\", \"histogram\"", "with its parameters"),
        ("\"quantile:0.0005\"", "three decimal places"),
        ("\"max@country\"", "publishes one person's value"),
    ] {
        let (key, problem) = refused(&wide(statistics));
        assert_eq!(key, "survey.statistics", "{problem}");
        assert!(problem.contains(says), "{statistics}: {problem}");
    }
    let exposing = |statistics: &str, exposes: &str| {
        refused(&wide(statistics).replace("min_new = 20", &format!("min_new = 20\nexposes = [{exposes}]")))
    };
    for (statistics, exposes, key) in [
        ("\"max\"", "'max(eth_free)'", "survey.statistics"),
        ("\"max\", \"max@country\"", "'max'", "survey.statistics"),
        ("\"max\"", "'max', 'min'", "survey.exposes"),
        ("\"max\"", "'max@country'", "survey.exposes"),
        ("\"max\"", "'max', 'mean'", "survey.exposes"),
        ("\"max\"", "'max', 'max(xrp)'", "survey.exposes"),
        ("\"max\"", "'maximum'", "survey.exposes"),
    ] {
        assert_eq!(exposing(statistics, exposes).0, key, "{statistics} {exposes}");
    }
    survey(&wide("\"max\"").replace("min_new = 20", "min_new = 20\nexposes = ['max(btc)', 'max(eth_free)']"));
    // Nobody knows how many values there are to sort.
    let pairs = wide("\"covariance\", \"median(btc)\"").replacen(
        "name = \"btc\"",
        "name = \"btc\"\nmissing = 'null'",
        1,
    );
    assert!(refused(&pairs).1.contains("may be missing"));
    survey(&pairs.replace("\"covariance\", ", ""));
    survey(&pairs.replace("median(btc)", "median(eth_free)"));
}

#[test]
fn a_survey_is_warned_in_words() {
    let has = |text: &str, says: &str| survey(text).warnings().iter().any(|w| w.contains(says));
    assert!(has(SURVEY, "ten or more"));
    assert!(has(SURVEY, "three times"));
    let good = SURVEY.replace("min_new = 5", "min_new = 10");
    assert_eq!(survey(&good).warnings(), [""; 0]);
    let start = good.find("[identity]").unwrap();
    let end = good.find("[[columns]]").unwrap();
    assert!(has(&format!("{}{}", &good[..start], &good[end..]), "each attestation counts"));
    let both =
        wide("\"mean(eth_free)@country\"").replacen("name = \"btc\"", "name = \"btc\"\nmissing = 'null'", 1);
    assert!(has(&both, "secret groups"));
    let noised = good
        .replace("\"mean\", \"variance\", \"stddev\"", "\"mean\"")
        .replace("[[columns]]", "[[noise]]\nstatistic = 'sum'\nepsilon = '1'\n[[noise]]\nstatistic = 'mean'\nepsilon = '1'\n[[columns]]");
    assert!(has(&noised, "square root"));
    // Sum and mean share one sum and its noise.
    assert!(has(&noised, "spends epsilon 1 in all"));
}
