//! Tests of the sources themselves: no file is long, and nothing is written twice.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::command::{program, root};

/// Most lines of a file.
const LONGEST: usize = 500;
/// So many lines in a row are not the same in two places.
const SAME: usize = 12;

/// The tracked files with one of these extensions, each with its text.
fn tracked(extensions: &[&str]) -> Vec<(String, String)> {
    let out = program("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    let names = String::from_utf8(out.stdout).unwrap();
    let wanted = |name: &&str| {
        let extension = Path::new(name).extension().and_then(|e| e.to_str());
        extension.is_some_and(|e| extensions.contains(&e))
    };
    // What was deleted and is not committed yet cannot be read.
    // A link to a file that several folders share is no copy of it.
    let read = |name: &str| {
        let path = root().join(name);
        let text = std::fs::read_to_string(&path).ok().filter(|_| !path.is_symlink())?;
        Some((name.to_owned(), text))
    };
    let files: Vec<_> = names.split('\0').filter(wanted).filter_map(read).collect();
    assert!(!files.is_empty(), "git lists no files");
    files
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let mut long = String::new();
    for (name, text) in tracked(&["rs", "wit", "py", "mjs", "sh", "tf", "hcl", "md", "toml", "yml"]) {
        let lines = text.lines().count();
        if lines > LONGEST {
            _ = writeln!(long, "{name}: {lines}");
        }
    }
    assert!(long.is_empty(), "split by what the parts are for:\n{long}");
}

#[test]
fn no_twelve_lines_are_written_twice() {
    let files = tracked(&["rs", "wit", "py", "mjs", "tf"]);
    let files: Vec<(&str, Vec<(usize, &str)>)> = files
        .iter()
        .map(|(name, text)| {
            let lines = text.lines().map(str::trim).enumerate();
            (name.as_str(), lines.filter(|(_, line)| !line.is_empty()).collect())
        })
        .collect();
    let mut seen: HashMap<Vec<&str>, (&str, usize)> = HashMap::new();
    let mut twice = String::new();
    for (name, lines) in &files {
        for window in lines.windows(SAME) {
            let (at, _) = window[0];
            let text: Vec<&str> = window.iter().map(|(_, line)| *line).collect();
            match seen.get(&text) {
                Some((other, first)) => _ = writeln!(twice, "{other}:{} and {name}:{}", first + 1, at + 1),
                None => _ = seen.insert(text, (*name, at)),
            }
        }
    }
    assert!(twice.is_empty(), "make one piece of code of each of these:\n{twice}");
}
