//! A Rust file with everything blanked out that is not code.
//!
//! Invariant: `code` and `house` have the lines of `text`, each character at its place; what is not code
//! is spaces.

/// A file as the rules look at it.
pub(crate) struct Source {
    /// From the repository's root, with slashes.
    pub(crate) path: String,
    /// As it was written.
    pub(crate) text: String,
    /// Without comments, strings and character literals.
    pub(crate) code: String,
    /// `code` without items that are there for tests only.
    pub(crate) house: String,
}

impl Source {
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let code = blank_text(text);
        let house = if is_test_file(path) { blank(&code) } else { blank_test_items(&code) };
        Self { path: path.to_owned(), text: text.to_owned(), code, house }
    }

    pub(crate) fn line_count(&self) -> usize {
        self.text.lines().count()
    }
}

/// How many lines end in `text`.
pub(crate) fn newlines(text: &[char]) -> usize {
    text.iter().filter(|&&one| one == '\n').count()
}

/// A letter, digit or underscore: part of a name.
pub(crate) fn is_word(one: char) -> bool {
    one.is_alphanumeric() || one == '_'
}

/// Files that a `#[cfg(test)] mod` line brings in, by their names.
fn is_test_file(path: &str) -> bool {
    path.split('/').any(|part| {
        let stem = part.strip_suffix(".rs").unwrap_or(part);
        matches!(stem, "tests" | "testing") || stem.ends_with("_tests")
    })
}

fn blank(text: &str) -> String {
    text.chars().map(blank_one).collect()
}

fn blank_one(one: char) -> char {
    if one == '\n' { '\n' } else { ' ' }
}

/// Blanks comments and literals.
fn blank_text(text: &str) -> String {
    let text: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let end = end_of_text(&text, at);
        if end > at {
            code.extend(text[at..end].iter().copied().map(blank_one));
            at = end;
        } else {
            code.push(text[at]);
            at += 1;
        }
    }
    code
}

/// Where the comment or literal that begins at `at` ends; `at` itself if there is none.
fn end_of_text(text: &[char], at: usize) -> usize {
    let after_word = at > 0 && is_word(text[at - 1]);
    let rest = &text[at..];
    match rest {
        ['/', '/', ..] => at + rest.iter().position(|&one| one == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => end_of_block_comment(text, at),
        ['"', ..] => end_of_string(text, at),
        ['b' | 'c', '"', ..] if !after_word => end_of_string(text, at + 1),
        ['r', '"' | '#', ..] if !after_word => end_of_raw_string(text, at, 1),
        ['b' | 'c', 'r', '"' | '#', ..] if !after_word => end_of_raw_string(text, at, 2),
        ['\'', '\\', ..] => end_of_escaped_char(text, at),
        ['\'', _, '\'', ..] => at + 3,
        _ => at,
    }
}

fn end_of_block_comment(text: &[char], at: usize) -> usize {
    let (mut depth, mut at) = (0, at);
    while at < text.len() {
        match &text[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// `at` is at the opening quote.
fn end_of_string(text: &[char], at: usize) -> usize {
    let mut at = at + 1;
    while at < text.len() {
        match text[at] {
            '"' => return at + 1,
            '\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// `prefix` is the length of `r` or `br`. A raw identifier is not a string.
fn end_of_raw_string(text: &[char], at: usize, prefix: usize) -> usize {
    let start = at + prefix;
    let hashes = text[start..].iter().take_while(|&&one| one == '#').count();
    if text.get(start + hashes) != Some(&'"') {
        return at;
    }
    let closes = |from: usize| {
        text[from] == '"'
            && text[from + 1..].iter().take_while(|&&one| one == '#').count() >= hashes
    };
    let body = start + hashes + 1;
    (body..text.len()).find(|&from| closes(from)).map_or(text.len(), |from| from + 1 + hashes)
}

fn end_of_escaped_char(text: &[char], at: usize) -> usize {
    let closing = text.iter().skip(at + 3).position(|&one| one == '\'');
    closing.map_or(text.len(), |offset| at + 3 + offset + 1)
}

/// Blanks every item behind a `#[cfg(test)]`.
fn blank_test_items(code: &str) -> String {
    let mut chars: Vec<char> = code.chars().collect();
    let marker: Vec<char> = "#[cfg(test)]".chars().collect();
    let mut at = 0;
    while at + marker.len() <= chars.len() {
        if chars[at..].starts_with(&marker) {
            let end = end_of_item(&chars, at + marker.len());
            for one in &mut chars[at..end] {
                *one = blank_one(*one);
            }
            at = end;
        } else {
            at += 1;
        }
    }
    chars.into_iter().collect()
}

/// Where the item ends: behind its `;`, or behind the brace that closes its first one.
fn end_of_item(code: &[char], from: usize) -> usize {
    let mut nesting = 0;
    for at in from..code.len() {
        match code[at] {
            ';' if nesting == 0 => return at + 1,
            '(' | '[' => nesting += 1,
            ')' | ']' => nesting -= 1,
            '{' if nesting == 0 => return end_of_block(code, at),
            _ => {}
        }
    }
    code.len()
}

/// Behind the brace that closes the one at `open`.
pub(crate) fn end_of_block(code: &[char], open: usize) -> usize {
    let mut depth = 0;
    for (at, one) in code.iter().enumerate().skip(open) {
        match one {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}
