//! The survey file: valid files are read, and every wrong input is refused by the key that it is at.

use proptest::prelude::*;
use tercet_protocol::ids::{EngineDigest, PublicKey};
use tercet_protocol::survey::{MAX_RESULT, SurveyDescriptor, SurveyError, SurveyManifest};

pub const SURVEY: &str = include_str!("../../../tests/fixtures/vectors/survey.toml");

fn parties() -> [PublicKey; 3] {
    [1, 2, 3].map(|i| PublicKey([i; 32]))
}

fn refused_key(text: &str) -> String {
    match SurveyManifest::from_toml(text) {
        Err(SurveyError::Invalid { key, .. }) => key,
        Err(SurveyError::Syntax(problem)) => format!("syntax: {problem}"),
        other => panic!("{other:?} for\n{text}"),
    }
}

#[test]
fn the_example_is_accepted() {
    let survey = SurveyManifest::from_toml(SURVEY).unwrap();
    assert_eq!(survey.columns[0].scale, 8);
    assert_eq!(survey.lanes().len(), 2, "value and square of one column");
}

#[test]
fn who_asks_and_what_for_is_told() {
    let about = "owner = \"A University\"\ncontact = \"mail@example.edu\"\npurpose = \"A study.\"\n\
                 retention = \"Until the end of 2027.\"\n";
    let text = SURVEY.replacen("[survey]\n", &format!("[survey]\n{about}"), 1);
    let survey = SurveyManifest::from_toml(&text).unwrap().survey;
    assert_eq!(survey.owner.as_deref(), Some("A University"));
    assert!(survey.missing_about().is_empty());
    let old = SurveyManifest::from_toml(SURVEY).unwrap();
    assert_eq!(old.survey.missing_about(), ["owner", "contact", "purpose", "retention"]);
    assert!(!serde_json::to_string(&old).unwrap().contains("owner"), "old files keep their id");
    for key in ["owner", "contact", "purpose", "retention"] {
        for bad in [String::new(), " ".into(), "a\\nb".into(), "x".repeat(501)] {
            let text = SURVEY.replacen("[survey]\n", &format!("[survey]\n{key} = \"{bad}\"\n"), 1);
            assert_eq!(refused_key(&text), format!("survey.{key}"));
        }
    }
}

/// Results that nobody could keep are refused when the survey is checked (field case A23).
#[test]
fn results_that_cannot_be_kept_are_refused_early() {
    let shares = |n: usize| (1..=n).map(|i| format!("0.{i:03}")).collect::<Vec<_>>().join(",");
    let lists = |n: usize| {
        let listed: Vec<_> = (0..n).map(|i| format!("\"lorenz:{},0.{}\"", shares(120), 200 + i)).collect();
        SURVEY
            .replace("statistics = [\"count\",", &format!("statistics = [{}, \"count\",", listed.join(", ")))
    };
    assert!(lists(3).len() > SURVEY.len());
    let few = SurveyManifest::from_toml(&lists(3)).unwrap();
    assert!(few.largest_result() < MAX_RESULT && few.largest_result() > 3 * 120 * 500);
    assert_eq!(refused_key(&lists(90)), "survey.statistics");
}

#[test]
fn each_wrong_value_is_refused_at_its_key() {
    let cases = [
        ("name = \"exchange-eth-balance\"", "name = \"Exchange\"", "survey.name"),
        ("closes = \"2030", "closes = \"2020", "survey.closes"),
        ("min_cohort = 10", "min_cohort = 0", "survey.min_cohort"),
        ("min_new = 5", "min_new = 0", "survey.min_new"),
        ("\"stddev\"]", "\"maximum\"]", "survey.statistics"),
        ("\"stddev\"]", "\"quantile:1.5\"]", "survey.statistics"),
        ("\"stddev\"]", "\"mean(btc)\"]", "survey.statistics"),
        ("\"stddev\"]", "\"mean@country\"]", "survey.statistics"),
        ("\"stddev\"]", "\"covariance\"]", "survey.statistics"),
        ("min_new = 5", "min_new = 5\nbudget = 500", "survey.budget"),
        ("min_new = 5", "min_new = 5\nprivacy_budget = '10'", "survey.privacy_budget"),
        ("min_new = 5", "min_new = 4", "survey.min_new"),
        ("min_new = 5", "min_new = 1000001", "survey.min_new"),
        ("\"stddev\"]", "\"quantile\"]", "survey.statistics"),
        ("\"stddev\"]", "\"quantile:0.1234\"]", "survey.statistics"),
        ("\"stddev\"]", "\"max\"]", "survey.statistics"),
        ("\"stddev\"]", "\"stddev\"]\nexposes = ['max']", "survey.exposes"),
        ("[source]", "[releases]\nevery = '1 day'\n[source]", "releases.every"),
        ("[source]", "[releases]\nevery = '0s'\n[source]", "releases.every"),
        ("[source]", "[releases]\npatience = '40000d'\n[source]", "releases.patience"),
        ("[\"count\", \"sum\", \"mean\", \"variance\", \"stddev\"]", "[]", "survey.statistics"),
        ("server_name = \"api", "server_name = \"API", "source.server_name"),
        ("server_name = \"api.exchange.test\"", "server_name = \"127.0.0.1\"", "source.server_name"),
        ("method = \"GET\"", "method = \"DELETE\"", "source.method"),
        ("path = \"/api/v3/account\"", "path = \"/api?x=1\"", "source.path"),
        ("omitZeroBalances = \"true\"", "omitZeroBalances = \"a&b\"", "source.query"),
        ("key = \"035b", "key = \"055b", "notaries.key"),
        ("key = \"035b", "key = \"xx5b", "notaries.key"),
        ("prefix = '\"uid\":'", "prefix = 'uid:'", "identity.prefix"),
        ("suffix = '}'", "suffix = ''", "identity.suffix"),
        ("scale = 8", "scale = 19", "columns.scale"),
        ("bits = 48", "bits = 64", "columns.bits"),
        ("bits = 48", "bits = 0", "columns.bits"),
        ("name = \"eth_free\"", "name = \"ETH\"", "columns.name"),
    ];
    for (from, to, key) in cases {
        assert!(SURVEY.contains(from), "{from}");
        assert_eq!(refused_key(&SURVEY.replacen(from, to, 1)), key, "{to}");
    }
    for (noise, key) in [
        ("[[noise]]\nstatistic = 'sum'\nepsilon = '1'\n", "survey.statistics"),
        ("[[noise]]\nstatistic = 'total'\nepsilon = '1'\n", "noise.statistic"),
        ("[[noise]]\nstatistic = 'count'\nepsilon = '1'\n", "noise.statistic"),
        ("[[noise]]\nstatistic = 'median'\nepsilon = '1'\n", "noise.statistic"),
        ("[[noise]]\nstatistic = 'covariance'\nepsilon = '1'\n", "noise.statistic"),
        ("[[noise]]\nstatistic = 'sum'\nepsilon = '0'\n", "noise.epsilon"),
        (
            "[[noise]]\nstatistic = 'sum'\nepsilon = '1'\n[[noise]]\nstatistic = 'sum'\nepsilon = '1'\n",
            "noise.statistic",
        ),
    ] {
        assert_eq!(
            refused_key(&SURVEY.replacen("[[columns]]", &format!("{noise}[[columns]]"), 1)),
            key,
            "{noise}"
        );
    }
    let all = ["sum", "mean", "variance", "stddev"]
        .map(|s| format!("[[noise]]\nstatistic = '{s}'\nepsilon = '0.5'\n"));
    let all = SURVEY.replacen("[[columns]]", &format!("{}[[columns]]", all.concat()), 1);
    assert!(SurveyManifest::from_toml(&all).is_ok());
    assert_eq!(refused_key(&all.replacen("\"stddev\"]", "\"stddev\", \"median\"]", 1)), "survey.statistics");
    assert_eq!(refused_key(&all.replacen("bits = 48", "bits = 60", 1)), "columns.bits");
    assert_eq!(refused_key(&all.replacen("epsilon = '0.5'", "epsilon = '0.000000001'", 1)), "noise.epsilon");
    // Of the same name, at another place.
    let again =
        SURVEY[SURVEY.find("[[columns]]").unwrap()..].replace("\"asset\":\"ETH\"", "\"asset\":\"BTC\"");
    let twice = format!("{SURVEY}\n{again}");
    assert_eq!(refused_key(&twice), "columns.name");
}

const FIELD: &str =
    "[[fields]]\nname = \"country\"\nprefix = '\"country\":\"'\nsuffix = '\"'\nvalues = [\"DE\", \"FR\"]\n";

/// The example with further statistics, a second column and a field.
pub fn wide(statistics: &str) -> String {
    let column =
        SURVEY[SURVEY.find("[[columns]]").unwrap()..].replace("eth_free", "btc").replace("ETH", "BTC");
    let survey = SURVEY
        .replace("\"variance\", \"stddev\"]", &format!("{statistics}]"))
        .replace("min_new = 5", "min_new = 20");
    format!("{survey}\n{FIELD}{column}")
}

#[test]
fn fields_are_checked() {
    let good = wide("\"mean@country\"");
    let survey = SurveyManifest::from_toml(&good).unwrap();
    assert_eq!(survey.field("country"), Some(0));
    for (from, to, key) in [
        ("name = \"country\"", "name = \"Country\"", "fields.name"),
        ("'\"country\":\"'", "'country:'", "fields.prefix"),
        ("suffix = '\"'\nvalues", "suffix = ''\nvalues", "fields.suffix"),
        ("[\"DE\", \"FR\"]", "[\"DE\", \"DE\"]", "fields.values"),
        ("[\"DE\", \"FR\"]", "[\"DE\", \"\"]", "fields.values"),
        ("mean@country", "mean@city", "survey.statistics"),
    ] {
        assert!(good.contains(from), "{from}");
        assert_eq!(refused_key(&good.replacen(from, to, 1)), key, "{to}");
    }
    assert_eq!(refused_key(&format!("{good}\n{FIELD}")), "fields.name");
}

#[test]
fn providers_share_what_the_listed_statistics_need_and_no_more() {
    use tercet_mpc::Output::{Log, Product, Reciprocal, Square, Value};
    for (statistics, outputs) in [
        ("\"gini\"", vec![Value(0), Value(1)]),
        ("\"stddev(btc)\"", vec![Value(0), Value(1), Square(1)]),
        ("\"variance\"", vec![Value(0), Square(0), Value(1), Square(1)]),
        ("\"geometric_mean(btc)\"", vec![Value(0), Value(1), Log(1)]),
        (
            "\"harmonic_mean\", \"stddev(btc)\"",
            vec![Value(0), Reciprocal(0), Value(1), Square(1), Reciprocal(1)],
        ),
        ("\"covariance\"", vec![Value(0), Value(1), Product(0, 1)]),
        ("\"regression(btc,eth_free)\"", vec![Value(0), Value(1), Square(1), Product(0, 1)]),
        ("\"correlation\", \"quantile:0.5\"", vec![Value(0), Square(0), Value(1), Square(1), Product(0, 1)]),
    ] {
        let survey = SurveyManifest::from_toml(&wide(statistics)).unwrap();
        assert_eq!(survey.outputs(), outputs, "{statistics}");
        assert!(!survey.lanes().is_empty());
    }
    // Squares and values of two columns in each of 64 groups are more numbers than a statement has.
    let values: Vec<String> = (0..64).map(|i| format!("'v{i}'")).collect();
    let category = format!(
        "\n[[categories]]\nname = 'segment'\nprefix = '\"segment\":\"'\nsuffix = '\"'\nvalues = [{}]\n",
        values.join(", ")
    );
    let all = wide("\"variance@segment\"") + &category;
    assert_eq!(refused_key(&all), "survey.statistics");
    let named = all.replace("variance@segment", "mean(btc)@segment");
    assert!(SurveyManifest::from_toml(&named).is_ok());
}

#[test]
fn what_is_listed_is_permitted_with_its_parameters_only() {
    use tercet_protocol::statistic::permitted;
    let survey =
        SurveyManifest::from_toml(&wide("\"quantile:0.90\", \"top_share:0.010\", \"mean(btc)@country\""))
            .unwrap();
    let names: Vec<_> = survey.statistics().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["count", "sum", "mean", "quantile:0.9", "top_share:0.01", "mean(btc)@country"]);
    for name in [
        "quantile:0.9",
        "quantile:0.9(btc)",
        "top_share:0.01(eth_free)",
        "mean(eth_free)",
        "mean(btc)@country",
    ] {
        assert!(permitted(&survey, name).is_some(), "{name}");
    }
    for name in [
        "quantile",
        "quantile:0.25(btc)",
        "quantile:0.9(xrp)",
        "top_share:0.1",
        "mean@country",
        "median",
        "quantile:0.9@country",
        "",
    ] {
        assert!(permitted(&survey, name).is_none(), "{name}");
    }
}

#[test]
fn unknown_keys_are_refused_everywhere() {
    for table in ["[survey]", "[source]", "[[notaries]]", "[identity]", "[[columns]]"] {
        let text = SURVEY.replacen(table, &format!("{table}\nmin_cohrt = 1"), 1);
        assert!(refused_key(&text).contains("min_cohrt"), "{table}");
    }
    assert!(refused_key(&format!("extra = 1\n{SURVEY}")).contains("extra"));
}

#[test]
fn a_descriptor_is_its_bytes() {
    let manifest = SurveyManifest::from_toml(SURVEY).unwrap();
    let engine = EngineDigest([7; 32]);
    let a = SurveyDescriptor::assemble(manifest.clone(), &[vec![1, 2, 3]], parties(), engine).unwrap();
    let b = SurveyDescriptor::from_bytes(a.bytes().to_vec()).unwrap();
    assert_eq!((a.id(), a.manifest()), (b.id(), b.manifest()));
    assert_eq!(b.root_certificates().unwrap(), [vec![1, 2, 3]]);
    let other_engine =
        SurveyDescriptor::assemble(manifest.clone(), &[vec![1, 2, 3]], parties(), EngineDigest([8; 32]))
            .unwrap();
    assert_ne!(a.id(), other_engine.id());
    let twice = SurveyDescriptor::assemble(manifest, &[], [PublicKey([1; 32]); 3], engine);
    assert!(matches!(twice, Err(SurveyError::Invalid { key, .. }) if key == "parties"));
    let text = String::from_utf8(a.bytes().to_vec()).unwrap();
    for (from, to) in
        [("\"protocol\": 1", "\"protocol\": 2"), ("\"engine\"", "\"motor\""), ("\"AQID\"", "\"?\"")]
    {
        assert!(SurveyDescriptor::from_bytes(text.replacen(from, to, 1).into_bytes()).is_err(), "{to}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_descriptor_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _read = SurveyDescriptor::from_bytes(bytes);
    }

    #[test]
    fn no_edit_makes_a_manifest_panic(at in 0usize..1500, byte in any::<u8>()) {
        let mut text = SURVEY.as_bytes().to_vec();
        let at = at % text.len();
        text[at] = byte;
        let _read = SurveyManifest::from_toml(&String::from_utf8_lossy(&text));
    }
}
