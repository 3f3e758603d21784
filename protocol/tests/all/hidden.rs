//! Columns that may be missing and categories: what surveys may ask of them, what providers share, what guards it.

use tercet_mpc::statement::{Lane, Part};
use tercet_mpc::{Condition, Output, Term};
use tercet_protocol::result::StatisticValue;
use tercet_protocol::statistic::{Opened, Statistic, Target, permitted, release};
use tercet_protocol::survey::{Atom, Guard, SurveyError, SurveyManifest};

use crate::survey::wide;

const CATEGORY: &str = "\n[[categories]]\nname = 'segment'\nprefix = '\"segment\":\"'\nsuffix = '\"'\nvalues = ['a', 'b', 'c']\n";

/// Two columns, `eth_free` and `btc`, of which some may be missing, a field, and a category.
fn text(statistics: &str, missing: &[&str]) -> String {
    let mut text = wide(statistics) + CATEGORY;
    for name in missing {
        let at = text.find(&format!("name = \"{name}\"")).unwrap();
        text.insert_str(at, "missing = 'null'\n");
    }
    text
}

fn survey(statistics: &str, missing: &[&str]) -> SurveyManifest {
    SurveyManifest::from_toml(&text(statistics, missing)).unwrap()
}

fn refused(text: &str) -> (String, String) {
    match SurveyManifest::from_toml(text) {
        Err(SurveyError::Invalid { key, problem }) => (key, problem),
        other => panic!("{other:?} for\n{text}"),
    }
}

fn is(term: Term, value: u8) -> Output {
    // Behind the two columns.
    Output::Given(term, Condition::Is(2, value))
}

#[test]
fn providers_share_what_is_asked_under_a_condition_and_no_more() {
    use Output::{Given, Present, Product, Value};
    let beside = |term, other| Given(term, Condition::Present(other));
    let (a, b) = (0, 1);
    for (statistics, missing, outputs) in [
        ("\"mean\"", &[][..], vec![Value(a), Value(b)]),
        ("\"mean\"", &["btc"], vec![Value(a), Value(b), Present(b)]),
        (
            "\"covariance\"",
            &["btc"],
            vec![Value(a), Value(b), Present(b), Product(a, b), beside(Term::Value(a), b)],
        ),
        (
            "\"regression(btc,eth_free)\"",
            &["btc", "eth_free"],
            vec![
                Value(a),
                Present(a),
                Value(b),
                Present(b),
                Product(a, b),
                beside(Term::Present(a), b),
                beside(Term::Value(a), b),
                beside(Term::Value(b), a),
                beside(Term::Square(b), a),
            ],
        ),
        (
            "\"variance(btc)@segment\"",
            &["btc"],
            [vec![Value(a), Value(b), Present(b)]]
                .into_iter()
                .chain(
                    [Term::One, Term::Present(b), Term::Value(b), Term::Square(b)]
                        .map(|t| (0..3).map(|k| is(t, k)).collect()),
                )
                .flatten()
                .collect(),
        ),
        (
            "\"count@segment\"",
            &[],
            [vec![Value(a), Value(b)], (0..3).map(|k| is(Term::One, k)).collect()].concat(),
        ),
    ] {
        let mut found = survey(statistics, missing).outputs();
        let mut expected = outputs;
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{statistics} {missing:?}");
        assert!(survey(statistics, missing).lanes().len() >= expected.len());
    }
}

#[test]
fn what_cannot_be_kept_apart_is_refused_in_the_survey() {
    let group = |statistics: &str, missing: &[&str]| refused(&text(statistics, missing));
    for (statistics, missing, says) in [
        ("\"mean@country\"", &["btc"][..], "name other columns"),
        ("\"mean@segment\", \"sum@country\"", &[], "name other columns"),
        ("\"median@segment\"", &[], "cannot be sorted"),
        ("\"mean@segment\", \"covariance\"", &["btc"], "pairs"),
        ("\"mean@nothing\"", &[], "[[fields]] or [[categories]]"),
    ] {
        let (key, problem) = group(statistics, missing);
        assert_eq!(key, "survey.statistics");
        assert!(problem.contains(says), "{statistics}: {problem}");
    }
    // Of the other column, and of a field that is grouped besides, there is nothing to hide.
    survey("\"mean(eth_free)@country\", \"mean(btc)\", \"count@country\"", &["btc"]);
    survey("\"mean(eth_free)@segment\", \"mean(btc)@country\", \"median(eth_free)\"", &[]);
    let good = text("\"stddev\"", &["btc"]);
    for (from, to, key) in [
        ("missing = 'null'", "missing = ''", "columns.missing"),
        ("missing = 'null'", "missing = '-1.5'", "columns.missing"),
        ("missing = 'null'", "missing = \"a\\nb\"", "columns.missing"),
        ("name = 'segment'", "name = 'btc'", "categories.name"),
        ("name = 'segment'", "name = 'country'", "categories.name"),
        ("'a', 'b', 'c'", "'a'", "categories.values"),
        ("'a', 'b', 'c'", "'a', 'a'", "categories.values"),
        ("'a', 'b', 'c'", "'a', ''", "categories.values"),
        ("'\"segment\":\"'", "'segment:'", "categories.prefix"),
    ] {
        assert!(good.contains(from), "{from}");
        assert_eq!(refused(&good.replacen(from, to, 1)).0, key, "{to}");
    }
    let two = format!(
        "{}{}",
        text("\"count@segment\", \"count@other\"", &[]),
        CATEGORY.replace("name = 'segment'", "name = 'other'")
    );
    assert!(refused(&two).1.contains("one category at most"));
    // Three columns that may be missing, in pairs.
    let column = |name: &str| {
        format!(
            "\n[[columns]]\nname = '{name}'\nprefix = '\"{name}\":'\nsuffix = ','\nscale = 0\nbits = 9\nmissing = '?'\n"
        )
    };
    let three = text("\"covariance\"", &["btc"]) + &column("x") + &column("y");
    let (key, problem) = refused(&three);
    assert!(key == "survey.statistics" && problem.contains("btc, x, y"), "{problem}");
    assert!(
        SurveyManifest::from_toml(&three.replace("\"covariance\"", "\"covariance(btc,x)\", \"mean\""))
            .is_ok()
    );
    // Noise would leave the numbers of values exact.
    let noise = "[[noise]]\nstatistic = 'mean'\nepsilon = '1'\n\n";
    let noised = |missing: &[&str]| {
        let text = text("\"mean\"", missing)
            .replace("\"count\", \"sum\", ", "")
            .replace("min_new = 5", "min_new = 5\nprivacy_budget = '9'");
        refused(&(text + noise)).0
    };
    assert_eq!((noised(&["btc"]).as_str(), noised(&[]).as_str()), ("columns.missing", "categories"));
}

#[test]
fn guards_are_of_what_is_touched() {
    let guards = |survey: &SurveyManifest, name: &str| -> Vec<Guard> {
        survey.guards_of(&name.parse::<Statistic>().unwrap()).into_iter().collect()
    };
    let plain = survey("\"mean\", \"covariance\"", &[]);
    assert!(guards(&plain, "mean").is_empty() && guards(&plain, "covariance").is_empty());
    let btc = Guard::Column("btc".into());
    let one = survey("\"mean\", \"count(btc)\"", &["btc"]);
    assert_eq!(guards(&one, "count"), []);
    assert_eq!(guards(&one, "mean(eth_free)"), []);
    assert_eq!(guards(&one, "mean"), std::slice::from_ref(&btc));
    assert_eq!(guards(&one, "count(btc)"), std::slice::from_ref(&btc));
    // With pairs, the complete column's sums tell of those who lack the other.
    let pairs = survey("\"mean\", \"covariance\"", &["btc"]);
    assert_eq!(guards(&pairs, "mean(eth_free)"), [Guard::Pairs]);
    assert_eq!(guards(&pairs, "covariance"), [btc.clone(), Guard::Pairs]);
    // And with a category, its sum over everybody does.
    let segment = Guard::Category("segment".into());
    let grouped = survey("\"mean\", \"sum(btc)@segment\", \"count@segment\"", &["btc"]);
    assert_eq!(guards(&grouped, "mean(eth_free)"), []);
    assert_eq!(guards(&grouped, "mean(btc)"), [btc.clone(), segment.clone()]);
    assert_eq!(guards(&grouped, "count@segment"), std::slice::from_ref(&segment));
    assert_eq!(guards(&grouped, "sum(btc)@segment"), [btc, segment]);
    let counts = grouped.category_counts("segment");
    assert_eq!(counts, (0..3).map(|k| vec![is(Term::One, k), is(Term::Present(1), k)]).collect::<Vec<_>>());
}

/// The atoms of pairs are disjoint and nobody is left out, whatever the rows.
#[test]
fn atoms_divide_the_rows() {
    for missing in [&["btc"][..], &["btc", "eth_free"]] {
        let survey = survey("\"covariance\"", missing);
        let atoms = survey.atoms(&Guard::Pairs);
        for present in [[false, false], [false, true], [true, false], [true, true]] {
            let there = |c: u8| present[usize::from(c)];
            let value = |output: Output| match output {
                Output::Present(c) => i64::from(there(c)),
                Output::Given(Term::Present(a), Condition::Present(b)) => i64::from(there(a) && there(b)),
                other => panic!("{other:?}"),
            };
            let inside =
                |atom: &Atom| atom.rows + atom.of.iter().map(|(o, times)| times * value(*o)).sum::<i64>();
            let mut sizes: Vec<i64> = atoms.iter().map(inside).collect();
            sizes.sort_unstable();
            let mut expected = vec![0; atoms.len()];
            *expected.last_mut().unwrap() = 1;
            assert_eq!(sizes, expected, "{missing:?} {present:?}");
        }
    }
}

#[test]
fn a_result_tells_how_many_values_it_is_over() {
    let survey = survey("\"mean\", \"count(btc)\", \"covariance\"", &["btc"]);
    let lanes = survey.lanes();
    // Five rows, three of them with a value of btc: 1, 2 and 3; eth_free is 4 in each, at scale 8.
    let unit = 100_000_000i128;
    let sum = |lane: &Lane| match lane.output {
        Output::Value(0) => 20 * unit,
        Output::Value(1) => 6 * unit,
        Output::Present(1) => 3,
        Output::Given(Term::Value(0), Condition::Present(1)) => 12 * unit,
        Output::Product(0, 1) if lane.part == Part::High => 0,
        Output::Product(0, 1) => 24 * unit * unit,
        other => panic!("{other:?}"),
    };
    let sums = lanes.iter().map(|l| sum(l) as u128).collect();
    let opened = Opened { submissions: 5, lanes, sums, ..Opened::default() };
    assert_eq!(survey.submissions(Target::One(1), &opened), Some(3));
    assert_eq!(survey.submissions(Target::One(0), &opened), Some(5));
    let statistics: Vec<_> =
        ["mean", "count(btc)", "covariance"].iter().map(|n| permitted(&survey, n).unwrap()).collect();
    let released = release(&survey, &statistics, &opened, &Default::default());
    let shown: Vec<_> = released
        .iter()
        .map(|s: &StatisticValue| (s.column.as_deref().unwrap(), s.value.as_deref().unwrap(), s.submissions))
        .collect();
    assert_eq!(
        shown,
        [
            ("eth_free", "4", None),
            ("btc", "2", Some(3)),
            ("btc", "3", Some(3)),
            ("eth_free,btc", "0", Some(3)),
        ]
    );
}
