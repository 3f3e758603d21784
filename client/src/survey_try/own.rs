//! Hidden bytes that are no values: `survey try` has them in clear text, and so says what the policy cannot see.

use std::ops::Range;

use tercet_evidence::{Admitted, Direction, InertPlace, Rule};

use super::Saved;

/// The rule and the reason by which hidden bytes besides the columns' values fail: in a proxied session the proof would refuse
/// them, and no client sends a header's value with a line end in it. None if nothing fails.
pub fn refused(admitted: &Admitted, request: &Saved, response: &Saved) -> Option<(Rule, String)> {
    for range in &request.hidden {
        let value = request.bytes.get(range.clone()).unwrap_or_default();
        if value.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
            let reason = "a hidden header's value holds a line end or another control character: what stands behind it would be \
                          another header, or another request";
            return Some((Rule::RequestHeader, reason.to_owned()));
        }
    }
    for inert in &admitted.inert {
        let (bytes, whose) = match inert.direction {
            Direction::Sent => (&request.bytes, "sent"),
            Direction::Received => (&response.bytes, "received"),
        };
        let text = joined(bytes, &inert.pieces);
        let (fits, what) = match inert.place {
            InertPlace::Header => (text.iter().all(|b| *b >= b' '), "part of one header's value"),
            InertPlace::Number => (text.iter().all(|b| b"0123456789+-.eE".contains(b)), "one number"),
            InertPlace::Text => (is_inside(&text), "the inside of one string"),
        };
        if !fits {
            let (from, to) = (inert.pieces.first()?.start, inert.pieces.last()?.end);
            return Some((
                Rule::Hidden,
                format!("{whose} bytes {from}..{to} are hidden and are not {what}: the proof would fail"),
            ));
        }
    }
    None
}

fn joined(bytes: &[u8], pieces: &[Range<usize>]) -> Vec<u8> {
    pieces.iter().flat_map(|p| bytes.get(p.clone()).unwrap_or_default()).copied().collect()
}

/// True if no quote and no control character ends a string in this text, and no backslash at its end escapes what follows.
fn is_inside(text: &[u8]) -> bool {
    let mut escaped = false;
    for b in text {
        match b {
            0..b' ' => return false,
            _ if escaped => escaped = false,
            b'"' => return false,
            b'\\' => escaped = true,
            _ => {}
        }
    }
    !escaped
}

#[cfg(test)]
mod tests {
    use super::is_inside;

    #[test]
    fn strings_end_at_their_quote() {
        for (text, inside) in [
            ("", true),
            ("a é", true),
            ("a\\\"b\\\\", true),
            ("a\"b", false),
            ("a\\\\\"b", false),
            ("a\\", false),
            ("a\nb", false),
            ("\",\"x\":\"", false),
        ] {
            assert_eq!(is_inside(text.as_bytes()), inside, "{text}");
        }
    }
}
