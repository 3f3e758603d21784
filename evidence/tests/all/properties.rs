//! Random documents, spellings and holes against a reference: `serde_json` parses, `serde_json_path` selects.

use std::ops::Range;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tercet_evidence::json::{Document, NodeId, Selection, Value, parse, select};
use tercet_evidence::{Bindings, Commitment, Data, Kind, Policy, Transcript, http};
use tercet_mpc::HashAlg;
use tercet_protocol::ids::SurveyId;
use tercet_protocol::survey::SurveyManifest;
use tercet_protocol::survey::source::Path;

/// Few names and values, so that paths and filters meet them.
fn document() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-3i64..4).prop_map(Json::from),
        prop::sample::select(vec!["a", "b", "1", "é\u{301}\"\\\n/", "", "😀"]).prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c", "é"]), inner, 0..4)
                .prop_map(|m| Json::from_iter(m.into_iter().map(|(k, v)| (k.to_owned(), v)))),
        ]
    })
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec![
        ".a",
        ".b",
        "['c']",
        "[\"é\"]",
        "[0]",
        "[1]",
        "[*]",
        ".*",
        "[?@.a=='a']",
        "[?@.a==1]",
        "[?@.a=='1']",
        "[?@.b.a=='b']",
        "[?@.a=='a'&&@.b==1]",
        "[?@.c==-2]",
    ]);
    prop::collection::vec(segment, 0..5).prop_map(|s| format!("${}", s.concat()))
}

/// Writes a document with white space, escapes and orders of members chosen by `dice`.
fn spelled(value: &Json, dice: &mut impl FnMut(usize) -> usize) -> String {
    let blank = ["", " ", "\n\t ", "\r\n"];
    let space = |dice: &mut dyn FnMut(usize) -> usize| blank[dice(blank.len())].to_owned();
    match value {
        Json::Number(n) => match (n.as_i64(), dice(4)) {
            (Some(n), 0) => format!("{n}.0"),
            (Some(n), 1) if n != 0 => format!("{n}0e-1"),
            (Some(n), 2) => format!("{n}E+00"),
            _ => n.to_string(),
        },
        Json::String(text) => string(text, dice),
        Json::Array(elements) => {
            let inner: Vec<String> = elements
                .iter()
                .map(|e| format!("{}{}{}", space(dice), spelled(e, dice), space(dice)))
                .collect();
            format!("[{}]", inner.join(","))
        }
        Json::Object(members) => {
            let mut inner: Vec<String> = members
                .iter()
                .map(|(k, v)| {
                    format!(
                        "{}{}{}:{}{}",
                        space(dice),
                        string(k, dice),
                        space(dice),
                        spelled(v, dice),
                        space(dice)
                    )
                })
                .collect();
            for i in (1..inner.len()).rev() {
                inner.swap(i, dice(i + 1));
            }
            format!("{{{}}}", inner.join(","))
        }
        other => other.to_string(),
    }
}

fn string(text: &str, dice: &mut impl FnMut(usize) -> usize) -> String {
    // No server escapes digits, and the proof takes none that are.
    if text.parse::<f64>().is_ok() {
        return format!("\"{text}\"");
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        let plain = !matches!(c, '"' | '\\') && !c.is_control();
        if plain && dice(3) > 0 {
            out.push(c);
        } else if matches!(c, '"' | '\\' | '/') && dice(2) == 0 {
            out.extend(['\\', c]);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out + "\""
}

fn dice(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |n| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n
    }
}

/// Our document as the reference has it; hidden values as this text.
fn reference(d: &Document<'_>, id: NodeId) -> Json {
    match &d.node(id).value {
        Value::Null => Json::Null,
        Value::Bool(b) => (*b).into(),
        Value::Number(at) => {
            let number: f64 = d.number(at).parse().unwrap();
            json!(number as i64)
        }
        Value::Text(i) => d.string(*i).into(),
        Value::Hidden { .. } => "hidden".into(),
        Value::Array(all) => all.iter().map(|id| reference(d, *id)).collect(),
        Value::Object(all) => {
            Json::from_iter(all.iter().map(|(n, id)| (d.string(*n).to_owned(), reference(d, *id))))
        }
    }
}

/// The nodes that the reference selects, as values. Our filters take `"1"` for 1, as identities do.
fn selected<'a>(path: &str, value: &'a Json) -> Vec<&'a Json> {
    serde_json_path::JsonPath::parse(path).unwrap().query(value).all()
}

/// The same document with texts that are integers written as integers: the form in which our comparisons see it.
fn canonical(value: &Json) -> Json {
    match value {
        Json::String(text) if text == "1" => json!(1),
        Json::Array(all) => all.iter().map(canonical).collect(),
        Json::Object(all) => Json::from_iter(all.iter().map(|(k, v)| (k.clone(), canonical(v)))),
        other => other.clone(),
    }
}

fn scalars(d: &Document<'_>) -> Vec<NodeId> {
    let hideable = |id: &NodeId| match &d.node(*id).value {
        Value::Number(_) => true,
        Value::Text(i) => !d.string(*i).is_empty(),
        _ => false,
    };
    (1..d.len()).filter(hideable).collect()
}

/// The position of a value's text: the inside of a string.
fn inside(d: &Document<'_>, id: NodeId) -> Range<usize> {
    let node = d.node(id);
    match node.value {
        Value::Text(_) => node.span.start + 1..node.span.end - 1,
        _ => node.span.clone(),
    }
}

fn without(text: &str, hole: &Range<usize>) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes[hole.clone()].fill(0);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn documents_and_paths_are_the_references(value in document(), path in path(), seed: u64) {
        let text = spelled(&value, &mut dice(seed));
        let ours = parse(text.as_bytes(), 0, &[]).unwrap();
        prop_assert_eq!(&reference(&ours, 0), &value, "{}", text);
        let again = spelled(&value, &mut dice(seed ^ 0x5555));
        prop_assert!(ours.same(&parse(again.as_bytes(), 0, &[]).unwrap()));
        let canonical = canonical(&value);
        let wanted = selected(&path.replace("=='1'", "==1"), &canonical);
        let canonical_text = canonical.to_string();
        let ours = parse(canonical_text.as_bytes(), 0, &[]).unwrap();
        match select(&ours, &Path::parse(&path).unwrap()).unwrap() {
            Selection::Nothing => prop_assert!(wanted.is_empty(), "{}", path),
            Selection::One(id) => {
                prop_assert_eq!(wanted.len(), 1, "{}", path);
                prop_assert_eq!(&reference(&ours, id), wanted[0]);
            }
            Selection::Several(n) => prop_assert_eq!(wanted.len(), n, "{}", path),
        }
    }

    #[test]
    fn what_is_selected_does_not_depend_on_what_is_hidden(value in document(), path in path(), pick: prop::sample::Index, seed: u64) {
        let text = spelled(&value, &mut dice(seed));
        let open = parse(text.as_bytes(), 0, &[]).unwrap();
        let all = scalars(&open);
        prop_assume!(!all.is_empty());
        let hidden = *pick.get(&all);
        let hole = inside(&open, hidden);
        let bytes = without(&text, &hole);
        let closed = parse(&bytes, 0, std::slice::from_ref(&hole)).unwrap();
        prop_assert_eq!(closed.len(), open.len());
        let path = Path::parse(&path).unwrap();
        // Either it refuses, or it says exactly what it would say of the whole document.
        if let Ok(selection) = select(&closed, &path) {
            prop_assert_eq!(selection, select(&open, &path).unwrap());
        }
    }

    #[test]
    fn any_hidden_range_is_one_whole_value_or_refused(value in document(), seed: u64, from: prop::sample::Index, length in 1usize..12) {
        let text = spelled(&value, &mut dice(seed));
        let from = from.index(text.len());
        let hole = from..(from + length).min(text.len());
        let bytes = without(&text, &hole);
        let open = parse(text.as_bytes(), 0, &[]).unwrap();
        if let Ok(closed) = parse(&bytes, 0, std::slice::from_ref(&hole)) {
            let (_, _, quoted) = closed.holes().next().unwrap();
            let root = matches!(open.node(0).value, Value::Text(_)).then_some(0);
            let whole = scalars(&open).into_iter().chain(root).any(|s| inside(&open, s) == hole);
            // What stands there is the proof's to say: of other bytes than these there is none.
            let proven = match text.get(hole.clone()) {
                Some(content) if quoted => !content.contains(|c: char| matches!(c, '"' | '\\') || c.is_control()),
                Some(content) => content.chars().all(|c| "0123456789+-.eE".contains(c)),
                None => false,
            };
            prop_assert!(whole || !proven, "{:?} of {}", hole, text);
        }
    }

    #[test]
    fn spellings_of_one_answer_are_one_person_with_one_value(seed: u64, other: u64, chunks in 1usize..9) {
        let survey = SurveyManifest::from_toml(SURVEY).unwrap();
        let policy = Policy::new(SurveyId([5; 32]), &survey).unwrap();
        let value = json!({"user": {"id": 7, "name": "é\"A/"}, "rows": [{"k": "x", "v": "1.50"}, {"k": "y", "v": "2.50"}], "z": null});
        let admit = |seed: u64, chunks: usize| {
            let (transcript, text) = exchange(&spelled(&value, &mut dice(seed)), chunks);
            let admitted = policy.admit(&transcript).unwrap();
            let value: Vec<u8> = admitted.columns[0].pieces.iter().flat_map(|p| text[p.clone()].to_vec()).collect();
            (admitted.nullifier, admitted.fields, value)
        };
        let one = admit(seed, chunks);
        prop_assert_eq!(&one, &admit(other, 1));
        prop_assert_eq!(&one.1, &["é\"A/".to_owned()]);
    }
}

const SURVEY: &str = concat!(
    survey_head!(),
    r#"[source]
server_name = "a.example"
method = "GET"
path = "/"
[[notaries]]
name = "n"
algorithm = "secp256k1"
key = "035be5e9478209674a96e60f1f037f6176540fd001fa1d64694770c56a7709c42c"
[identity]
at = "$.user.id"
[[fields]]
name = "name"
at = "$.user.name"
[[columns]]
name = "v"
at = "$.rows[?@.k=='y'].v"
scale = 2
bits = 20
"#
);

/// An exchange with this body in chunks, the value of `y` hidden under one commitment; and the received bytes.
fn exchange(body: &str, chunks: usize) -> (Transcript, Vec<u8>) {
    let mut received =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.as_bytes().chunks(body.len().div_ceil(chunks)) {
        received.extend(format!("{:x}\r\n", chunk.len()).bytes());
        received.extend_from_slice(chunk);
        received.extend_from_slice(b"\r\n");
    }
    received.extend_from_slice(b"0\r\n\r\n");
    let whole = Data { bytes: received.clone(), hidden: Vec::new() };
    let response = http::read_response(&whole).unwrap().unwrap();
    let document = parse(&response.body, 0, &[]).unwrap();
    let path = Path::parse("$.rows[?@.k=='y'].v").unwrap();
    let Selection::One(id) = select(&document, &path).unwrap() else { panic!("{body}") };
    let pieces = response.on_wire(&inside(&document, id));
    let mut hidden = received.clone();
    pieces.iter().for_each(|p| hidden[p.clone()].fill(0));
    let transcript = Transcript {
        kind: Kind::Presentation,
        server: "a.example".into(),
        time: 1_741_091_696,
        session: vec![1; 32],
        sent: Data { bytes: b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec(), hidden: Vec::new() },
        received: Data { bytes: hidden, hidden: pieces.clone() },
        bindings: Bindings::Hashes(vec![Commitment {
            ranges: pieces,
            algorithm: HashAlg::Blake3,
            digest: [9; 32],
        }]),
    };
    (transcript, received)
}
