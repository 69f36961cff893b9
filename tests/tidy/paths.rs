//! Finds the paths a file names: `a::b::C`, and what `use a::{b, c::D}` stands for.

use super::source::{Source, is_word, newlines};

/// A path as it is written, groups taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) line: usize,
    pub(crate) parts: Vec<String>,
}

/// Every path in what is not there for tests only.
pub(crate) fn paths(source: &Source) -> Vec<Named> {
    let code: Vec<char> = source.house.chars().collect();
    let mut found = Vec::new();
    let (mut line, mut counted, mut at) = (1, 0, 0);
    while at < code.len() {
        if !begins_path(&code, at) {
            at += 1;
            continue;
        }
        line += newlines(&code[counted..at]);
        counted = at;
        let is_use = preceded_by_use(&code, at);
        let mut reader = Reader { code: &code, at };
        let mut all = Vec::new();
        reader.path(&[], &mut all);
        at = reader.at.max(at + 1);
        let told = all.into_iter().filter(|parts| parts.len() > 1 || is_use);
        found.extend(told.map(|parts| Named { line, parts }));
    }
    found
}

/// A name begins here that is neither the rest of a path nor a field or a method.
fn begins_path(code: &[char], at: usize) -> bool {
    let one = code[at];
    if !is_word(one) || one.is_ascii_digit() {
        return false;
    }
    match at.checked_sub(1).map(|before| code[before]) {
        Some('.' | ':' | '\'') => false,
        Some(before) => !is_word(before),
        None => true,
    }
}

fn preceded_by_use(code: &[char], at: usize) -> bool {
    let before: String = code[at.saturating_sub(8)..at].iter().collect();
    before.trim_end().ends_with("use") && before.ends_with(char::is_whitespace)
}

struct Reader<'a> {
    code: &'a [char],
    at: usize,
}

impl Reader<'_> {
    /// Reads a path that continues `before`, and adds every path it stands for to `all`.
    fn path(&mut self, before: &[String], all: &mut Vec<Vec<String>>) {
        let mut parts = before.to_vec();
        loop {
            let word = self.word();
            if word.is_empty() {
                break;
            }
            parts.push(word);
            if !self.takes("::") {
                break;
            }
            if self.takes("{") {
                return self.group(&parts, all);
            }
        }
        // What a glob brings in is not known by name.
        self.takes("*");
        if parts.len() > before.len() {
            all.push(parts);
        }
    }

    fn group(&mut self, before: &[String], all: &mut Vec<Vec<String>>) {
        while self.at < self.code.len() && !self.takes("}") {
            let start = self.at;
            self.path(before, all);
            self.skip_alias();
            if !self.takes(",") && self.at == start {
                self.at += 1;
            }
        }
    }

    /// `as Name`
    fn skip_alias(&mut self) {
        let start = self.at;
        self.skip_space();
        if self.word() == "as" {
            self.skip_space();
            self.word();
        } else {
            self.at = start;
        }
    }

    fn word(&mut self) -> String {
        let word: String = self.code[self.at..].iter().take_while(|&&one| is_word(one)).collect();
        self.at += word.chars().count();
        word
    }

    /// Skips `text` and the space around it, if it comes next.
    fn takes(&mut self, text: &str) -> bool {
        let start = self.at;
        self.skip_space();
        let is_next = text.chars().eq(self.code[self.at..].iter().copied().take(text.len()));
        if is_next {
            self.at += text.len();
            self.skip_space();
        } else {
            self.at = start;
        }
        is_next
    }

    fn skip_space(&mut self) {
        while self.code.get(self.at).is_some_and(|one| one.is_whitespace()) {
            self.at += 1;
        }
    }
}
