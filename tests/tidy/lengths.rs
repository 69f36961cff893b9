//! How long files and functions are.

use std::fmt;

use super::Complaint;
use super::source::{Source, end_of_block, is_word, newlines};

/// No file is longer.
const FILE_LINES: usize = 600;
/// No function is longer, unless a line of it says why.
const FUNCTION_LINES: usize = 70;
/// Nine in ten functions are not longer.
const USUAL_FUNCTION_LINES: usize = 30;
const ESCAPE: &str = "// tidy: long because ";

/// A function from its `fn` to its closing brace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    file: String,
    line: usize,
    name: String,
    lines: usize,
}

/// The longest and the usual.
pub(crate) struct Summary {
    longest_file: (String, usize),
    longest_function: Option<Function>,
    functions: usize,
    /// Lines that nine in ten functions do not exceed.
    p90: usize,
}

pub(crate) fn check_files(sources: &[Source]) -> Vec<Complaint> {
    let long = sources.iter().filter(|source| source.line_count() > FILE_LINES);
    let complain = |source: &Source| {
        let what = format!(
            "the file has {} lines, the ceiling is {FILE_LINES}. A file answers one question: find the \
             second one in it and give that a file of its own",
            source.line_count()
        );
        Complaint::new(&source.path, FILE_LINES + 1, what)
    };
    long.map(complain).collect()
}

pub(crate) fn check_functions(sources: &[Source]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for source in sources {
        let long = functions(source, &source.code).into_iter();
        for function in long.filter(|function| function.lines > FUNCTION_LINES) {
            if !is_excused(source, &function) {
                let what = format!(
                    "`{}` has {} lines, the ceiling is {FUNCTION_LINES}. Leave the decisions in it and \
                     move the work into helpers below; if it reads better whole, say so in a line \
                     `{ESCAPE}…` inside it",
                    function.name, function.lines
                );
                complaints.push(Complaint::new(&function.file, function.line, what));
            }
        }
    }
    complaints
}

fn is_excused(source: &Source, function: &Function) -> bool {
    let mut body = source.text.lines().skip(function.line - 1).take(function.lines);
    body.any(|line| {
        line.trim_start().strip_prefix(ESCAPE).is_some_and(|why| !why.trim().is_empty())
    })
}

/// Figures over all files, and over all functions that are not there for tests only.
pub(crate) fn summary(sources: &[Source]) -> Summary {
    let mut all: Vec<Function> =
        sources.iter().flat_map(|source| functions(source, &source.house)).collect();
    all.sort_by_key(|function| function.lines);
    let longest = sources.iter().map(|source| (source.path.clone(), source.line_count()));
    Summary {
        longest_file: longest.max_by_key(|(_, lines)| *lines).unwrap_or_default(),
        longest_function: all.last().cloned(),
        functions: all.len(),
        p90: all.get((all.len() * 9).div_ceil(10).saturating_sub(1)).map_or(0, |one| one.lines),
    }
}

impl Summary {
    pub(crate) fn complaint(&self) -> Option<Complaint> {
        let is_fine = self.p90 <= USUAL_FUNCTION_LINES;
        let what = format!(
            "one in ten functions has {} lines or more, nine in ten should fit in \
             {USUAL_FUNCTION_LINES}. Split the longest ones into a decision and its helpers",
            self.p90
        );
        (!is_fine).then(|| Complaint::new("src", 1, what))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, lines) = &self.longest_file;
        write!(formatter, "tidy: longest file {file}, {lines} lines (ceiling {FILE_LINES})")?;
        if let Some(Function { file, line, name, lines }) = &self.longest_function {
            write!(
                formatter,
                "; longest function {name} at {file}:{line}, {lines} lines (ceiling {FUNCTION_LINES})"
            )?;
        }
        write!(
            formatter,
            "; nine in ten of {} functions within {} lines (ceiling {USUAL_FUNCTION_LINES})",
            self.functions, self.p90
        )
    }
}

/// Every function with a body in `code`, which is the source's code or a part of it.
fn functions(source: &Source, code: &str) -> Vec<Function> {
    let code: Vec<char> = code.chars().collect();
    let (mut line, mut counted) = (1, 0);
    let mut found = Vec::new();
    for at in 0..code.len() {
        let Some(name) = name_of_function(&code, at) else { continue };
        line += newlines(&code[counted..at]);
        counted = at;
        let Some(open) = opening_brace(&code, at) else { continue };
        let lines = 1 + newlines(&code[at..end_of_block(&code, open)]);
        found.push(Function { file: source.path.clone(), line, name, lines });
    }
    found
}

/// The name, if `fn name` begins at `at`. A function pointer's type has none.
fn name_of_function(code: &[char], at: usize) -> Option<String> {
    let is_fn = code[at..].starts_with(&['f', 'n', ' ']);
    if !is_fn || (at > 0 && is_word(code[at - 1])) {
        return None;
    }
    let name: String = code[at + 3..].iter().take_while(|&&one| is_word(one)).collect();
    (!name.is_empty()).then_some(name)
}

/// Where the body begins; `None` for a declaration without one.
fn opening_brace(code: &[char], from: usize) -> Option<usize> {
    // Braces and semicolons inside brackets belong to types: `[u8; 4]`, `RankedMutex<{ rank::LEAF }, T>`.
    let mut nesting = 0;
    for at in from..code.len() {
        match code[at] {
            '>' if matches!(code[at - 1], '-' | '=') => {}
            '(' | '[' | '<' => nesting += 1,
            ')' | ']' | '>' => nesting -= 1,
            '{' if nesting == 0 => return Some(at),
            ';' if nesting == 0 => return None,
            _ => {}
        }
    }
    None
}
