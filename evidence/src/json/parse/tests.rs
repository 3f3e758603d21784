//! Texts that are read, texts that are refused, and the places where holes may be.

use super::*;

/// `<…>` marks a hole.
fn read(marked: &str) -> Result<String, &'static str> {
    let (mut bytes, mut holes, mut start) = (Vec::new(), Vec::new(), None);
    for b in marked.bytes() {
        match b {
            b'<' => start = Some(bytes.len()),
            b'>' => holes.push(start.take().unwrap()..bytes.len()),
            _ => bytes.push(if start.is_some() { 0 } else { b }),
        }
    }
    parse(&bytes, 0, &holes).map(|d| write(&d, 0)).map_err(|f| f.problem)
}

fn write(d: &Document<'_>, id: NodeId) -> String {
    let all = |ids: &[NodeId]| ids.iter().map(|id| write(d, *id)).collect::<Vec<_>>().join(",");
    match &d.node(id).value {
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Number(at) => d.number(at).into(),
        Value::Text(i) => format!("{:?}", d.string(*i)),
        Value::Hidden { hole, quoted } => format!("#{hole}{}", if *quoted { "q" } else { "" }),
        Value::Array(ids) => format!("[{}]", all(ids)),
        Value::Object(members) => {
            let one = |(n, v): &(usize, NodeId)| format!("{:?}:{}", d.string(*n), write(d, *v));
            format!("{{{}}}", members.iter().map(one).collect::<Vec<_>>().join(","))
        }
    }
}

#[test]
fn numbers_are_the_same_by_their_exact_value() {
    let of = |text: &'static str| parse(text.as_bytes(), 0, &[]).unwrap();
    let same = |a, b| of(a).same(&of(b));
    for (a, b) in [("1", "1.0"), ("1e3", "1000"), ("-0", "0.000"), ("12.5", "0.125e2"), ("1E-2", "0.01")] {
        assert!(same(a, b) && same(b, a), "{a} {b}");
    }
    // Exponents beyond what is computed with equal nothing.
    for (a, b) in
        [("1", "2"), ("1", "-1"), ("1e99999999999999999999", "1e88888888888888888888"), ("1", "\"1\"")]
    {
        assert!(!same(a, b) && !same(b, a), "{a} {b}");
    }
}

#[test]
fn documents_are_read() {
    for (text, read_as) in [
        ("null", "null"),
        (" [ ] ", "[]"),
        ("{ }", "{}"),
        (
            "[1,-0,1.50,1e-05,123456789012345678901234567890]",
            "[1,-0,1.50,1e-05,123456789012345678901234567890]",
        ),
        (
            r#"{"a":{"b":[true,false,null]},"c":"\u0041\n\ud83d\ude00é"}"#,
            "{\"a\":{\"b\":[true,false,null]},\"c\":\"A\\n😀é\"}",
        ),
        (r#"{"a":<12.50>}"#, r#"{"a":#0}"#),
        (r#"{"a": "<12.50>" ,"b":[<1>, <2> ]}"#, r#"{"a":#0q,"b":[#1,#2]}"#),
    ] {
        assert_eq!(read(text).as_deref(), Ok(read_as), "{text}");
    }
}

#[test]
fn what_has_two_readings_is_refused() {
    for text in [
        "",
        " ",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "[01]",
        "[+1]",
        "[.5]",
        "[5.]",
        "[1e]",
        "[-]",
        "nul",
        "nulll",
        "[1 2]",
        "NaN",
        "[Infinity]",
        "\"a",
        "[\"\t\"]",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\\u12g4\"",
        "[1]]",
        "[1] x",
        "{\"a\":1,\"a\":2}",
        r#"{"a":1,"\u0061":2}"#,
        r#"[{"x":{"b":1,"b":1}}]"#,
        "'a'",
        "[1,,2]",
        "\u{feff}[1]",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn holes_are_whole_values() {
    for text in [
        "<5>",
        "{<\"a\":1>}",
        "{\"<a>\":1}",
        "[-<5>]",
        "[<5>e3]",
        "[<5>.0]",
        "[1<5>]",
        "[\"<5>0\"]",
        "[\"1<5>\"]",
        "[<5>\"\"]",
        "[\"\"<5>]",
        "[<1><2>]",
        "[\"<1><2>\"]",
        "[1]<5>",
        "<5>[1]",
        "[n<ull>]",
        "[tru<e>]",
        "[\"\\<n>\"]",
        "[\"\\u00<41>\"]",
        "[\"a<\",\"b>\"]",
        "{\"a\"<:>1}",
        "[1<,>2]",
        "[1.<5>]",
        "[<5>true]",
        "[1e<5>]",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn limits_hold() {
    let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert!(read(&deep(64)).is_ok());
    assert!(read(&deep(65)).is_err());
    assert!(read(&deep(500_000)).is_err());
    let many = |n: usize| format!("[{}]", vec!["1"; n].join(","));
    assert!(read(&many(MAX_NODES - 1)).is_ok());
    assert!(read(&many(MAX_NODES)).is_err());
    assert!(read(&format!("\"{}\"", "x".repeat(MAX_BYTES))).is_err());
    let holes = |n: usize| format!("[{}]", vec!["<1>"; n].join(","));
    assert!(read(&holes(MAX_HOLES)).is_ok());
    assert!(read(&holes(MAX_HOLES + 1)).is_err());
    assert!(parse(b"[\"\xff\"]", 0, &[]).is_err());
}
