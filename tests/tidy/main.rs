//! The house rules that neither the compiler nor clippy checks.
//!
//! * `layers` — who may know whom, and which foreign crates a layer may name; the table is there.
//! * `lengths` — how long files and functions may get.
//! * `words` — every module says what it is, and nothing is left for later.
//! * `documents` — decision records are complete, and the documents' links lead somewhere.
//!
//! Every complaint names file and line and says what to do instead. `source` and `paths` read Rust just
//! well enough for this: comments, strings and `#[cfg(test)]` items are blanked out, paths are found by
//! their `::`. The `self_tests` show that each rule can fail.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot read its files has failed"
)]

mod documents;
mod layers;
mod lengths;
mod paths;
#[cfg(test)]
mod self_tests;
mod source;
mod words;

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use self::source::Source;

/// Something that is not as the house wants it.
#[derive(Debug, PartialEq, Eq)]
struct Complaint {
    file: String,
    line: usize,
    what: String,
}

impl Complaint {
    fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.file, self.line, self.what)
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Rust file under `folder`, in order of its path.
fn sources(folder: &str) -> Vec<Source> {
    files_under(folder)
        .into_iter()
        .filter(|path| path.rsplit_once('.').is_some_and(|(_, kind)| kind == "rs"))
        .map(|path| Source::parse(&path, &read(&path)))
        .collect()
}

/// Paths, from the repository's root, of all files under `folder`; none if there is no such folder.
fn files_under(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(repository().join(folder)) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_under(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Prints past the test harness, which shows the output of failed tests only.
fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").unwrap();
}

fn assert_tidy(complaints: &[Complaint]) {
    let lines: Vec<String> = complaints.iter().map(Complaint::to_string).collect();
    assert!(lines.is_empty(), "{} complaints\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn arrows_between_layers_point_one_way() {
    let sources = sources("src");
    assert!(!sources.is_empty(), "src/ has no files; run this from the package");
    assert_tidy(&layers::check_arrows(&sources));
}

#[test]
fn foreign_crates_stay_in_their_layers() {
    let crates = layers::dependencies(&read("Cargo.toml"));
    assert_tidy(&layers::check_crates(&sources("src"), &crates));
}

#[test]
fn files_and_functions_fit_their_size() {
    let house = sources("src");
    let mut complaints = lengths::check_functions(&house);
    for folder in ["src", "tests", "benches"] {
        complaints.extend(lengths::check_files(&sources(folder)));
    }
    let summary = lengths::summary(&house);
    say(&summary.to_string());
    complaints.extend(summary.complaint());
    assert_tidy(&complaints);
}

#[test]
fn every_module_says_what_it_is_and_nothing_is_left_for_later() {
    let mut complaints = words::check_module_docs(&sources("src"));
    for folder in ["src", "tests", "benches"] {
        complaints.extend(words::check_leftovers(&sources(folder)));
    }
    assert_tidy(&complaints);
}

#[test]
fn decision_records_are_complete() {
    let mut complaints = Vec::new();
    let records = files_under("docs/decisions");
    assert!(!records.is_empty(), "docs/decisions has no records");
    for path in records {
        complaints.extend(documents::check_record(&path, &read(&path)));
    }
    assert_tidy(&complaints);
}

#[test]
fn documents_lead_to_files_that_exist() {
    let mut documents = files_under("docs");
    documents.extend(["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(str::to_owned));
    documents.extend(["benches/README.md", "compat/README.md"].map(str::to_owned));
    let exists = |path: &str| repository().join(path).exists();
    let mut complaints = Vec::new();
    for path in documents.iter().filter(|path| exists(path)) {
        complaints.extend(documents::check_links(path, &read(path), &exists));
    }
    assert_tidy(&complaints);
}
