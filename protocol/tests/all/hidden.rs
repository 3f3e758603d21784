//! Columns that may be missing, and categories: the rules for surveys, the numbers that providers share, and the
//! secret groups.

use tercet_mpc::statement::{Lane, Part};
use tercet_mpc::{Condition, Output, Term};
use tercet_protocol::result::StatisticValue;
use tercet_protocol::statistic::{Opened, Scope, Target, permitted, release};
use tercet_protocol::survey::{Linear, SecretPartition, SurveyError, SurveyManifest};

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
            [vec![Value(a), Value(b)]]
                .into_iter()
                .chain(
                    [Term::Present(b), Term::Value(b), Term::Square(b)]
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
        CATEGORY.replace("segment", "other")
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
        let text = text("\"mean\"", missing).replace("\"count\", \"sum\", ", "");
        refused(&(text + noise)).0
    };
    assert_eq!((noised(&["btc"]).as_str(), noised(&[]).as_str()), ("columns.missing", "categories"));
}

/// A row: two columns of which some may be missing, and the value of the category.
type Person = ([Option<i64>; 2], u8);

fn value(output: Output, person: &Person) -> i64 {
    let of = |c: u8| person.0[usize::from(c)];
    let term = |term: Term| match term {
        Term::One => 1,
        Term::Present(c) => i64::from(of(c).is_some()),
        Term::Value(c) => of(c).unwrap_or(0),
        Term::Square(c) => of(c).map_or(0, |v| v * v),
        Term::Product(a, b) => of(a).unwrap_or(0) * of(b).unwrap_or(0),
        other => panic!("{other:?}"),
    };
    let holds = match output.condition() {
        None => true,
        Some(Condition::Present(c)) => of(c).is_some(),
        Some(Condition::Is(_, k)) => person.1 == k,
        Some(Condition::Below(c, edge)) => of(c).is_some_and(|v| v < edge),
    };
    if holds { term(output.term()) } else { 0 }
}

fn sum(linear: &Linear, people: &[&Person]) -> i64 {
    let of = |(output, times): &(Output, i64)| times * people.iter().map(|p| value(*output, p)).sum::<i64>();
    linear.rows * people.len() as i64 + linear.of.iter().map(of).sum::<i64>()
}

/// True if a person is in a group, by the group's definition.
fn is_in(partition: &SecretPartition, block: usize, person: &Person) -> bool {
    let (has, label) = (&partition.blocks[block].has, &partition.blocks[block].label);
    let there = |c: &u8| person.0[usize::from(*c)].is_some();
    let by_value = label.is_empty() || ["a", "b", "c"][usize::from(person.1)] == label;
    let all = has.iter().all(there);
    // Where groups have no names, they are told apart by who has which values.
    let none_other =
        !label.is_empty() || partition.columns.iter().filter(|c| !has.contains(c)).all(|c| !there(c));
    by_value && all && none_other
}

/// In every survey: the groups of a partition are disjoint, nobody whose column has a value is left out, and the lanes that the
/// providers share say each group's size and each sum over it, whatever the rows.
#[test]
fn partitions_divide_the_rows_and_their_sums() {
    let people: Vec<Person> = [None, Some(3), Some(-7)]
        .into_iter()
        .flat_map(|x| {
            [None, Some(5), Some(11)].into_iter().flat_map(move |y| (0..3).map(move |k| ([x, y], k)))
        })
        .collect();
    let names = ["eth_free", "btc"];
    for (statistics, missing, expected) in [
        ("\"mean\", \"variance\"", &[][..], vec![]),
        ("\"mean\", \"variance\"", &["btc"], vec![1]),
        ("\"mean\", \"variance\"", &names, vec![1, 1]),
        ("\"mean\", \"covariance\", \"variance\"", &["btc"], vec![2]),
        ("\"mean\", \"correlation\", \"count(btc)\"", &names, vec![4]),
        ("\"mean@segment\", \"variance\"", &[], vec![3]),
        ("\"mean@segment\", \"variance\"", &["btc"], vec![3, 3]),
        ("\"count@segment\", \"mean\"", &["btc"], vec![3, 1]),
        ("\"mean@segment\", \"covariance\"", &[], vec![3]),
        ("\"mean(btc)@segment\", \"regression(eth_free,btc)\"", &[], vec![3]),
    ] {
        let survey = survey(statistics, missing);
        let people: Vec<&Person> = people
            .iter()
            .filter(|p| (0..2).all(|c| p.0[c].is_some() || missing.contains(&names[c])))
            .collect();
        let partitions = survey.partitions();
        assert_eq!(partitions.iter().map(|p| p.blocks.len()).collect::<Vec<_>>(), expected, "{statistics}");
        let outputs = survey.outputs();
        let all: Vec<Output> = survey
            .permits()
            .iter()
            .flat_map(|p| {
                tercet_protocol::statistic::targets(&survey, p.family, &p.columns)
                    .into_iter()
                    .map(|t| (p.family, t))
            })
            .flat_map(|(family, target)| family.outputs(target, &survey.optional()))
            .collect();
        let mut columns = std::collections::BTreeSet::new();
        for partition in &partitions {
            assert!(
                partition.columns.iter().all(|c| columns.insert(*c)),
                "{statistics}: a column in two partitions"
            );
            assert_eq!(partition.rest, partition.category.is_some());
            for person in &people {
                let inside = (0..partition.blocks.len()).filter(|b| is_in(partition, *b, person)).count();
                let valued = partition.columns.iter().any(|c| person.0[usize::from(*c)].is_some());
                assert!(
                    inside == 1 || inside == 0 && !valued,
                    "{statistics}: {person:?} is in {inside} groups"
                );
            }
            for (b, block) in partition.blocks.iter().enumerate() {
                let members: Vec<&Person> =
                    people.iter().filter(|p| is_in(partition, b, p)).copied().collect();
                assert_eq!(sum(&block.size, &people), members.len() as i64, "{statistics} {b}");
                let shared = |linear: &Linear| linear.of.iter().all(|(o, _)| outputs.contains(o));
                assert!(shared(&block.size), "{statistics}");
                let of = |c: u8| partition.columns.contains(&c);
                for output in all.iter().filter(|o| match o.term() {
                    Term::Present(c) | Term::Value(c) | Term::Square(c) => of(c),
                    Term::Product(a, _) => of(a),
                    _ => false,
                }) {
                    let within = partition.within(b, *output).unwrap();
                    let expected: i64 = members.iter().map(|p| value(*output, p)).sum();
                    assert_eq!(sum(&within, &people), expected, "{statistics} {b} {output:?}");
                    assert!(shared(&within), "{statistics} {b} {output:?}");
                }
            }
        }
    }
}

/// The bins of a histogram: the numbers that providers share give the size of each bin, whatever the values are.
#[test]
fn histograms_count_by_shared_limits() {
    let scale = 100_000_000i64;
    let people: Vec<Person> =
        [None, Some(-scale), Some(0), Some(scale - 1), Some(scale), Some(10 * scale), Some(10 * scale + 1)]
            .into_iter()
            .flat_map(|y| (0..3).map(move |k| ([Some(1), y], k)))
            .collect();
    for missing in [&[][..], &["btc"]] {
        let survey = survey("\"histogram:0,1,10(btc)\", \"mean\", \"mean(eth_free)@country\"", missing);
        let people: Vec<&Person> =
            people.iter().filter(|p| p.0[1].is_some() || !missing.is_empty()).collect();
        let partitions = survey.partitions();
        let bins = partitions.last().unwrap();
        assert_eq!(bins.histogram, Some((1, "histogram:0,1,10".to_owned())));
        assert!(bins.rest && bins.columns.is_empty());
        let sizes: Vec<_> = bins.blocks.iter().map(|b| (b.label.as_str(), sum(&b.size, &people))).collect();
        assert_eq!(sizes, [("below 0", 3), ("[0, 1)", 6), ("[1, 10]", 6), ("above 10", 3)]);
        let outputs = survey.outputs();
        assert!(bins.blocks.iter().flat_map(|b| &b.size.of).all(|(o, _)| outputs.contains(o)));
        assert_eq!(outputs.iter().filter(|o| matches!(o.condition(), Some(Condition::Below(..)))).count(), 3);
        assert!(survey.lanes().len() >= outputs.len());
    }
    // Edges beyond what the column holds need no proof: nobody, or everybody, is below them.
    let wide = survey("\"histogram:-100000000,0,100000000(btc)\"", &[]);
    assert_eq!(wide.outputs().iter().filter(|o| o.condition().is_some()).count(), 1);
    let sizes: Vec<_> = wide.partitions()[0]
        .blocks
        .iter()
        .map(|b| sum(&b.size, &people.iter().collect::<Vec<_>>()[3..]))
        .collect();
    assert_eq!(sizes, [0, 3, 15, 0]);
    let edges: Vec<String> = (0..=65).map(|e| e.to_string()).collect();
    let (key, problem) = refused(&text(&format!("\"histogram:{}(btc)\"", edges.join(",")), &[]));
    assert!(key == "survey.statistics" && problem.contains("64 bins"), "{problem}");
    survey(&format!("\"histogram:{}(btc)\"", edges[..65].join(",")), &[]);
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
    let opened = Opened { submissions: 5, units: 1, lanes, sums, ..Opened::default() };
    assert_eq!(survey.submissions(Target::One(1), &opened), Some(3));
    assert_eq!(survey.submissions(Target::One(0), &opened), Some(5));
    let statistics: Vec<_> =
        ["mean", "count(btc)", "covariance"].iter().map(|n| permitted(&survey, n).unwrap()).collect();
    let everything = [(Scope::default(), opened)].into();
    let released = release(&survey, &statistics, &|_, _| None, &everything);
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
