//! Checks that a text is JSON that a request can equal: other texts are refused when the survey is checked.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Deepest nesting, as of the documents that are compared.
const MAX_DEPTH: usize = 64;

/// Reads a text as JSON without two members of one name. The error names the fault, with line and column.
pub(super) fn strict(text: &str) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    Value { depth: 0 }.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|e| e.to_string())
}

/// Any value, so deep.
struct Value {
    depth: usize,
}

impl Value {
    fn inside<E: Error>(&self) -> Result<usize, E> {
        if self.depth < MAX_DEPTH {
            Ok(self.depth + 1)
        } else {
            Err(E::custom("it is nested deeper than 64"))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<(), A::Error> {
        let depth = self.inside()?;
        while all.next_element_seed(Value { depth })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<(), A::Error> {
        let depth = self.inside()?;
        let mut names = BTreeSet::new();
        while let Some(name) = all.next_key::<String>()? {
            if names.contains(&name) {
                return Err(A::Error::custom(format!("two members are named \"{}\"", name.escape_debug())));
            }
            all.next_value_seed(Value { depth })?;
            names.insert(name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::strict;

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for good in ["{}", "[1,\"a\",null,true,-1.5e3,{\"a\":{\"a\":1}}]", "\"\\u00e9\"", " 7 "] {
            assert_eq!(strict(good), Ok(()), "{good}");
        }
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert_eq!(strict(&nested(64)), Ok(()));
        let deep = nested(65);
        for (bad, words) in [
            ("{\"a\":1,\"\\u0061\":2}", "two members are named \"a\""),
            ("[{\"b\":{\"c\":1,\"c\":1}}]", "\"c\""),
            ("\"\\ud800\"", "hex escape"),
            ("1e999", "out of range"),
            (deep.as_str(), "deeper"),
            ("{} {}", "trailing"),
            ("{\"a\":}", "expected"),
        ] {
            let problem = strict(bad).unwrap_err();
            assert!(problem.contains(words), "{bad}: {problem}");
        }
    }
}
