//! Tests of everything that is written for people: links lead somewhere, each crate has its README, the site has every document, and
//! comments are sentences.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::architecture;
use crate::command::root;

/// Longest line of prose in a document, in characters.
const LONGEST: usize = 140;

/// Words that no doc comment begins with: such a comment is a heading, and not a sentence.
const NO_BEGINNING: [&str; 3] = ["What", "How", "Whether"];

/// All files with this ending, but built and installed ones.
fn files(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                let other = ["target", "node_modules", ".git", ".terraform"].contains(&name.as_str());
                // A folder with a tag of this name holds a cache.
                if !other && !path.join("CACHEDIR.TAG").exists() {
                    folders.push(path);
                }
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The lines of a document outside code blocks, with their numbers; those inside are empty.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let fence = line.trim_start().starts_with("```");
        lines.push((i + 1, if fenced || fence { "" } else { line }));
        fenced ^= fence;
    }
    lines
}

/// A line without its inline code.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("")
}

/// The targets of links in a document, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let line = without_code(line);
        for part in line.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            found.push((number, target.split(' ').next().unwrap_or_default().to_owned()));
        }
    }
    found
}

/// The anchors of a document: those that GitHub and mdBook make of its headings, and those written in it.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (_, line) in prose(text) {
        all.extend(line.split("id=\"").skip(1).filter_map(|p| Some(p.split_once('"')?.0.to_owned())));
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let slug: String = title
            .trim()
            .to_lowercase()
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            })
            .collect();
        let again = (1..).map(|n| format!("{slug}-{n}"));
        let free = std::iter::once(slug.clone()).chain(again).find(|s| !all.contains(s));
        all.extend(free);
    }
    all
}

#[test]
fn anchors_are_made_of_headings() {
    let text = "# One `two`, three\n```\n# no\n```\n## Same\n## Same\n<a id=\"here\"></a>\n#no";
    let expected = ["one-two-three", "same", "same-1", "here"].map(str::to_owned);
    assert_eq!(anchors(text), BTreeSet::from(expected));
    assert_eq!(links("a [b](c.md#d) `[x](y)` [z](w \"t\")"), [(1, "c.md#d".to_owned()), (1, "w".to_owned())]);
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for file in files(".md") {
        for (line, target) in links(&read(&file)) {
            if target.contains(':') {
                continue;
            }
            seen += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target.as_str(), ""));
            let to = if path.is_empty() { file.clone() } else { file.parent().unwrap().join(path) };
            let there = to.exists() && (anchor.is_empty() || anchors(&read(&to)).contains(anchor));
            if !there {
                broken.push(format!("{}:{line}: {target}", shown(&file)));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
    assert!(seen > 50, "{seen}");
}

#[test]
fn the_site_has_every_document_and_leads_nowhere_else() {
    let docs = root().join("docs");
    let summary = links(&read(&docs.join("SUMMARY.md")));
    // A heading of a part of the list has a link to nothing.
    let listed: Vec<PathBuf> =
        summary.into_iter().filter(|(_, to)| !to.is_empty()).map(|(_, to)| docs.join(to)).collect();
    let once: BTreeSet<PathBuf> = listed.iter().cloned().collect();
    assert_eq!(once.len(), listed.len(), "docs/SUMMARY.md lists a document twice");
    let there: BTreeSet<PathBuf> =
        files(".md").into_iter().filter(|f| f.starts_with(&docs) && !f.ends_with("SUMMARY.md")).collect();
    assert_eq!(once, there, "docs/SUMMARY.md on the left, the documents on the right");
    for file in there {
        for (line, target) in links(&read(&file)).into_iter().filter(|(_, t)| !t.contains(':')) {
            let path = target.split('#').next().unwrap_or_default();
            let to = file.parent().unwrap().join(path).canonicalize().unwrap();
            let inside = to.starts_with(docs.canonicalize().unwrap());
            assert!(
                inside,
                "{}:{line}: {target} is not part of the site: write the path as code",
                shown(&file)
            );
        }
    }
}

#[test]
fn every_crate_has_a_readme_that_says_who_uses_it() {
    let actual = architecture::actual();
    for (name, folder) in architecture::folders() {
        let path = folder.join("README.md");
        let text = read(&path);
        let users: Vec<_> =
            actual.iter().filter(|(_, on)| on.contains(&name)).map(|(n, _)| format!("`{n}`")).collect();
        let users = if users.is_empty() { "no other crate".to_owned() } else { users.join(", ") };
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (path, used) = (shown(&path), format!("- **Used by:** {users}."));
        assert!(words.contains(&used), "{path} must have the line: {used}");
        for line in ["- **Invariant:** ", "- **Tests:** ", "- **Start reading at** "] {
            assert!(words.contains(line), "{path} must have a line that begins with: {line}");
        }
    }
}

#[test]
fn lines_of_documents_are_wrapped() {
    let mut long = Vec::new();
    for file in files(".md") {
        for (number, line) in prose(&read(&file)) {
            // A row of a table is one line; a link and a piece of code may be longer than any.
            let whole = line.starts_with('|') || line.contains("](") || line.trim_start().starts_with('`');
            if line.chars().count() > LONGEST && !whole {
                long.push(format!("{}:{number}", shown(&file)));
            }
        }
    }
    assert!(long.is_empty(), "lines of more than {LONGEST} characters:\n{}", long.join("\n"));
}

#[test]
fn claims_name_tests_that_exist() {
    let code: String = [".rs", ".tftest.hcl"].iter().flat_map(|e| files(e)).map(|f| read(&f)).collect();
    let mut missing = Vec::new();
    let mut seen = 0;
    for name in ["agreement", "findings", "protocol", "source-rules", "statistics", "threat-model"] {
        let file = root().join("docs").join(format!("{name}.md"));
        for word in prose(&read(&file)).into_iter().flat_map(|(_, line)| line.split('`').skip(1).step_by(2)) {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            // Shorter names may be keys of a survey file.
            if word.matches('_').count() >= 3 && word.chars().all(plain) {
                seen += 1;
                // A test in Rust, or a run of Terraform's tests.
                let there = [format!("fn {word}("), format!("run \"{word}\"")];
                if !there.iter().any(|test| code.contains(test)) {
                    missing.push(format!("{}: {word}", shown(&file)));
                }
            }
        }
    }
    assert!(missing.is_empty(), "tests that documents name and nobody has written:\n{}", missing.join("\n"));
    assert!(seen > 50, "{seen}");
}

#[test]
fn each_finding_of_the_review_names_what_would_find_it_again() {
    let table = read(&root().join("docs/findings.md"));
    let finding = |line: &&str| ["| A", "| B", "| C"].iter().any(|start| line.starts_with(start));
    let rows: Vec<&str> = table.lines().filter(finding).collect();
    assert_eq!(rows.len(), 4 + 8 + 16, "each finding has a row");
    for row in rows {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        assert!(tests.contains('`'), "no test: {row}");
    }
}

#[test]
fn files_that_documents_name_exist() {
    let files: Vec<String> = [".rs", ".md"]
        .iter()
        .flat_map(|ending| files(ending))
        .map(|file| format!("/{}", shown(&file)))
        .collect();
    let mut missing = Vec::new();
    for document in files.iter().filter(|file| file.ends_with(".md")) {
        // Decision records and the changelog are about the code of their time.
        if document.contains("/adr/") || document.ends_with("CHANGELOG.md") {
            continue;
        }
        let text = read(&root().join(document.trim_start_matches('/')));
        for (number, line) in prose(&text) {
            for word in line.split('`').skip(1).step_by(2) {
                let code = (word.ends_with(".rs") || word.ends_with(".md")) && word.contains('/');
                let plain = !word.contains(['{', '*', ' ', ':', '$']);
                let there = |file: &String| file.ends_with(&format!("/{word}"));
                if code && plain && !files.iter().any(there) {
                    missing.push(format!("{document}:{number}: {word}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "files that documents name and that are not there:\n{}", missing.join("\n"));
}

#[test]
fn doc_comments_are_sentences() {
    let mut found = Vec::new();
    for file in files(".rs") {
        let text = read(&file);
        let mut before = "";
        for (i, line) in text.lines().enumerate() {
            let line = line.trim_start();
            let begins = |mark: &str| line.starts_with(mark) && !before.starts_with(mark.trim_end());
            if let Some(mark) = ["/// ", "//! "].into_iter().find(|mark| begins(mark)) {
                let word = line[mark.len()..].split(|c: char| !c.is_alphanumeric()).next();
                if word.is_some_and(|w| NO_BEGINNING.contains(&w)) {
                    found.push(format!("{}:{}: {line}", shown(&file), i + 1));
                }
            }
            before = line;
        }
    }
    let what = "doc comments that begin with What, How or Whether instead of a sentence or a noun";
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}
