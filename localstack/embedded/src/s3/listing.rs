//! One page of a bucket's listing, as `ListObjectsV2` defines it.

use std::collections::BTreeMap;
use std::ops::Bound;

/// The parameters of a listing.
#[derive(Debug, Clone, Default)]
pub(super) struct Query<'a> {
    /// Only keys that start so.
    pub prefix: &'a str,
    /// Keys that share the text before this one (after the prefix) are given once, as a group.
    pub delimiter: Option<&'a str>,
    /// Only keys after this one.
    pub start_after: &'a str,
    /// The end of an earlier page: a key or a group.
    pub resume: Option<&'a str>,
    /// Most entries (keys and groups) on the page.
    pub max: usize,
}

/// An entry of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry<T> {
    /// An object.
    Object(String, T),
    /// A common prefix, delimiter included.
    Group(String),
}

impl<T> Entry<T> {
    /// The key or the group.
    pub fn name(&self) -> &str {
        match self {
            Entry::Object(name, _) | Entry::Group(name) => name,
        }
    }
}

/// The entries of a page, and whether there is more after it.
pub(super) type Page<T> = (Vec<Entry<T>>, bool);

/// Makes a page.
pub(super) fn page<T: Clone>(objects: &BTreeMap<String, T>, query: &Query<'_>) -> Page<T> {
    let group_of = |key: &str| -> Option<usize> {
        let delimiter = query.delimiter.filter(|d| !d.is_empty())?;
        let rest = key.get(query.prefix.len()..)?;
        Some(query.prefix.len() + rest.find(delimiter)? + delimiter.len())
    };
    let after = query.start_after.max(query.resume.unwrap_or(""));
    // The prefix itself may be a key, hence the inclusive bound when it is the later of the two.
    let start = if query.prefix > after {
        Bound::Included(query.prefix)
    } else if after.is_empty() {
        Bound::Unbounded
    } else {
        Bound::Excluded(after)
    };
    let mut entries: Vec<Entry<T>> = Vec::new();
    for (key, value) in objects.range::<str, _>((start, Bound::Unbounded)) {
        if !key.starts_with(query.prefix) {
            break;
        }
        let entry = match group_of(key) {
            None => Entry::Object(key.clone(), value.clone()),
            Some(end) => {
                let group = &key[..end];
                let given = entries.last().is_some_and(|e| e.name() == group);
                if given || query.resume == Some(group) {
                    continue;
                }
                Entry::Group(group.to_owned())
            }
        };
        if entries.len() >= query.max {
            return (entries, true);
        }
        entries.push(entry);
    }
    (entries, false)
}

/// Percent-encodes a key for `encoding-type=url`: everything but unreserved characters and the slash.
pub(super) fn percent_encode(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(keys: &[&str]) -> BTreeMap<String, ()> {
        keys.iter().map(|k| ((*k).to_owned(), ())).collect()
    }

    /// All pages, each of at most `max` entries, as names; groups are marked.
    fn pages(
        objects: &BTreeMap<String, ()>,
        prefix: &str,
        delimiter: Option<&str>,
        max: usize,
    ) -> Vec<String> {
        let mut all = Vec::new();
        let mut resume: Option<String> = None;
        loop {
            let query = Query { prefix, delimiter, start_after: "", resume: resume.as_deref(), max };
            let (entries, more) = page(objects, &query);
            assert!(entries.len() <= max);
            all.extend(entries.iter().map(|e| match e {
                Entry::Object(k, ()) => k.clone(),
                Entry::Group(g) => format!("<{g}>"),
            }));
            if !more {
                return all;
            }
            resume = entries.last().map(|e| e.name().to_owned());
        }
    }

    #[test]
    fn pages_of_any_size_give_the_same_entries() {
        let b = bucket(&["a", "b/", "b/1", "b/2", "b/c/3", "b0", "c/1", "d", "ä"]);
        for max in 1..10 {
            assert_eq!(pages(&b, "", None, max), b.keys().cloned().collect::<Vec<_>>(), "max {max}");
            assert_eq!(pages(&b, "", Some("/"), max), ["a", "<b/>", "b0", "<c/>", "d", "ä"], "max {max}");
            assert_eq!(pages(&b, "b/", Some("/"), max), ["b/", "b/1", "b/2", "<b/c/>"], "max {max}");
            assert_eq!(pages(&b, "b/", None, max), ["b/", "b/1", "b/2", "b/c/3"], "max {max}");
            assert_eq!(pages(&b, "x", None, max), [""; 0]);
        }
    }

    #[test]
    fn start_after_and_no_entries() {
        let b = bucket(&["a", "b", "c"]);
        let (entries, more) = page(&b, &Query { start_after: "a", max: 1, ..Query::default() });
        assert_eq!((entries, more), (vec![Entry::Object("b".into(), ())], true));
        let (entries, more) = page(&b, &Query { start_after: "c", max: 1, ..Query::default() });
        assert_eq!((entries, more), (vec![], false));
    }

    #[test]
    fn percent_encoding() {
        assert_eq!(percent_encode("a/b c+ä"), "a/b%20c%2B%C3%A4");
    }
}
