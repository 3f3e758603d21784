//! For authors: the keys with which a column would admit a text that it refuses.

use tercet_mpc::decimal::{Notation, is_decimal};
use tercet_mpc::statement::Format;

/// The keys with which a column would admit this text. `None` if the text is a number of the column's notation, or of no
/// notation. `pages`: it is in quotes or in text, as numbers for people are.
pub fn hint(text: &[u8], format: &Format, pages: bool) -> Option<&'static str> {
    let Format::Number(number) = format else { return None };
    match text {
        b"null" => return Some("missing = \"null\""),
        text if is_decimal(text, number.notation) => return None,
        _ => {}
    }
    let plain = Notation::default();
    let exponents = Notation { exponents: true, ..plain };
    let with = |grouping, point| Notation { grouping: Some(grouping), point, ..plain };
    let for_people = [
        (Notation { point: b',', ..plain }, "point = \",\""),
        (with(b',', b'.'), "grouping = \",\""),
        (with(b'.', b','), "grouping = \".\" and point = \",\""),
        (with(b'\'', b'.'), "grouping = \"'\""),
        (with(b' ', b'.'), "grouping = \" \""),
        (with(b' ', b','), "grouping = \" \" and point = \",\""),
        (with(b'_', b'.'), "grouping = \"_\""),
    ];
    std::iter::once((exponents, "exponents = true"))
        .chain(for_people.into_iter().filter(|_| pages))
        .find_map(|(notation, keys)| is_decimal(text, notation).then_some(keys))
}

#[cfg(test)]
mod tests {
    use tercet_mpc::decimal::Excess;
    use tercet_mpc::statement::Number;

    use super::*;

    #[test]
    fn keys_are_named() {
        let format = Format::Number(Number {
            scale: 2,
            bits: 48,
            excess: Excess::Reject,
            notation: Notation::default(),
            missing: None,
        });
        for (text, pages, keys) in [
            ("null", false, Some("missing = \"null\"")),
            ("1e3", false, Some("exponents = true")),
            ("1,5", true, Some("point = \",\"")),
            ("1,234.5", true, Some("grouping = \",\"")),
            ("1,234.5", false, None),
            ("1.234,5", true, Some("grouping = \".\" and point = \",\"")),
            ("1 234,5", true, Some("grouping = \" \" and point = \",\"")),
            ("12.345", true, None),
            ("12 EUR", true, None),
        ] {
            assert_eq!(hint(text.as_bytes(), &format, pages), keys, "{text}");
        }
    }
}
