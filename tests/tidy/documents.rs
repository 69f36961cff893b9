//! Decision records and links.

use super::Complaint;

const HEADINGS: [&str; 3] = ["## Context", "## Decision", "## Consequences"];
/// Lines of one printed page.
const RECORD_LINES: usize = 60;
const FENCE: &str = "```";

/// A decision record is `NNNN-title.md`, one page, with a title and three headings, each followed by text.
pub(crate) fn check_record(path: &str, text: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut complain = |line, what: String| complaints.push(Complaint::new(path, line, what));
    if !is_numbered(path) {
        complain(1, "name it NNNN-title.md, with the next free number".to_owned());
    }
    if !text.starts_with("# ") {
        complain(1, "begin with `# ` and the decision in a few words".to_owned());
    }
    for heading in HEADINGS {
        if !has_section(text, heading) {
            let what = format!(
                "`{heading}` is missing or empty. A record says what made the decision necessary, what was \
                 decided, and what follows from it, good and bad"
            );
            complain(1, what);
        }
    }
    if text.lines().count() > RECORD_LINES {
        let what =
            format!("a record is one page, {RECORD_LINES} lines; move detail to ARCHITECTURE.md");
        complain(RECORD_LINES + 1, what);
    }
    complaints
}

fn is_numbered(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((number, title)) = name.split_once('-') else { return false };
    number.len() == 4
        && number.bytes().all(|one| one.is_ascii_digit())
        && title.strip_suffix(".md").is_some()
}

fn has_section(text: &str, heading: &str) -> bool {
    let mut lines = text.lines().skip_while(|line| *line != heading).skip(1);
    let body = lines.find(|line| !line.trim().is_empty());
    body.is_some_and(|line| !line.starts_with('#'))
}

/// Every relative link leads to a file that exists; so does every path of ours that is set as code. What
/// stands between fences is a program or its output, and has no links.
/// `exists` is asked with a path from the repository's root.
pub(crate) fn check_links(path: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Complaint> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut complaints = Vec::new();
    let mut is_fenced = false;
    for (index, line) in text.lines().enumerate() {
        is_fenced ^= line.starts_with(FENCE);
        if is_fenced {
            continue;
        }
        let links = link_targets(line).map(|target| resolve(folder, target));
        let code = line.split('`').skip(1).step_by(2).filter(|code| is_our_path(code));
        for target in links.chain(code.map(str::to_owned)) {
            if !exists(&target) {
                let what =
                    format!("there is no {target}. Correct the path, or take the mention out");
                complaints.push(Complaint::new(path, index + 1, what));
            }
        }
    }
    complaints
}

/// What stands between `](` and `)`, without places outside of the repository and anchors.
fn link_targets(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let inside = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    inside.map(|target| target.split('#').next().unwrap_or(target))
}

/// `src/sync.rs`, but neither `src/{a,b}.rs` nor `src/main.rs:12` nor a command.
fn is_our_path(code: &str) -> bool {
    let folders = ["src/", "tests/", "docs/", "benches/", "compat/", ".ci/"];
    let is_plain = code.chars().all(|one| one.is_ascii_alphanumeric() || "/._-".contains(one));
    is_plain && folders.iter().any(|folder| code.starts_with(folder))
}

/// The path from the repository's root that `target` means in a document in `folder`.
fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}
