//! The table of crates in `docs/architecture.md` says who depends on whom; this test keeps it true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use crate::command::{cargo, root};

type Dependencies = BTreeMap<String, BTreeSet<String>>;

/// The table: crate and the crates of this workspace that it depends on.
fn written() -> Dependencies {
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let row = |line: &str| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [_, name, dependencies] = cells[..] else { return None };
        let name = name.strip_prefix('`')?.strip_suffix('`')?;
        let dependencies = dependencies.split(", ").filter(|d| *d != "nothing");
        Some((name.to_owned(), dependencies.map(|d| d.trim_matches('`').to_owned()).collect()))
    };
    text.lines().filter(|line| line.starts_with("| `")).filter_map(row).collect()
}

/// The dependencies in the manifests, without those of tests and build scripts.
pub(crate) fn actual() -> Dependencies {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |package: &Value| package["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let dependencies = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|d| d["kind"].is_null()).map(name).filter(|d| ours.contains(d)).collect()
    };
    packages.iter().map(|p| (name(p), dependencies(p))).collect()
}

/// Each crate with its folder.
pub(crate) fn folders() -> BTreeMap<String, PathBuf> {
    let metadata = metadata();
    let folder = |package: &Value| {
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
        (package["name"].as_str().unwrap().to_owned(), manifest.parent().unwrap().to_owned())
    };
    metadata["packages"].as_array().unwrap().iter().map(folder).collect()
}

fn metadata() -> Value {
    let out = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output().unwrap();
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn the_map_says_who_depends_on_whom() {
    assert_eq!(written(), actual(), "docs/architecture.md on the left, the manifests on the right");
}
