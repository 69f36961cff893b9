//! What every module begins with, and what none contains.

use super::Complaint;
use super::source::{Source, is_word};

/// Spelled so that this file has none of them.
const LEFTOVERS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

pub(crate) fn check_module_docs(sources: &[Source]) -> Vec<Complaint> {
    let undocumented = sources.iter().filter(|source| !source.text.starts_with("//! "));
    let what = "the file does not begin with `//! `. Say in its first lines what the module is, what always \
                holds in it, and what it leaves to others";
    undocumented.map(|source| Complaint::new(&source.path, 1, what)).collect()
}

pub(crate) fn check_leftovers(sources: &[Source]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for source in sources {
        for (index, line) in source.text.lines().enumerate() {
            for word in LEFTOVERS.iter().filter(|word| has_word(line, word)) {
                let what = format!(
                    "`{word}` leaves something for later. Do it now, or say plainly what does not work \
                     yet, here and in README.md"
                );
                complaints.push(Complaint::new(&source.path, index + 1, what));
            }
        }
    }
    complaints
}

/// `word` stands in `line` by itself, not as a part of another word.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}
