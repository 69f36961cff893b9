//! A flipped bit in any file of a data directory: reported, or of no consequence, and never a changed message.
//!
//! ```text
//! FLIPS=5000 cargo test --release --lib durability::tests::flips -- --nocapture
//! FLIP_SEED=<seed of a failure> FLIPS=1 cargo test --lib durability::tests::flips -- --nocapture
//! ```

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::power::{Dice, number_from};
use super::*;
use crate::durability::RecoveryError;
use crate::durability::salvage::recover_from;
use crate::store::{DataDirectory, FjallCheckpoint, RealDisk, SEGMENT_HEADER_AREA, SegmentFiles};

/// Places of one run of the test suite.
const FLIPS: u64 = 150;
/// Of how many of a hundred flips the file is a journal of the database: few files, and most of the ways to be wrong.
const JOURNAL_CHANCE: u64 = 40;
const SEGMENT: u64 = SEGMENT_HEADER_AREA as u64 + 4096;

type Content = BTreeMap<String, Vec<String>>;

fn log_in(data: &Path) -> Box<dyn StoredLog> {
    let files = SegmentFiles::new(Arc::new(RealDisk), data.join("log"));
    Box::new(files.with_segment_size(SEGMENT))
}

/// What a start says.
struct Start {
    content: Content,
    report: RecoveryReport,
}

/// Starts a broker. If the store proves damaged later, which ends the process, it is started again.
fn start(data: &Path) -> Result<Start, RecoveryError> {
    match try_start(data)? {
        Ok(start) => Ok(start),
        Err(_) => try_start(data)?.map_err(RecoveryError::Store),
    }
}

/// The inner error is one that comes when a message is needed.
fn try_start(data: &Path) -> Result<Result<Start, StoreError>, RecoveryError> {
    let directory = DataDirectory::open(data)?;
    let clock = Arc::new(Clock::manual());
    let (recovered, checkpoint) =
        recover_from(&|| log_in(data), &|| directory.checkpoint(), &["/".to_owned()], &clock)?;
    let Recovered { broker, log, state, mut report } = recovered;
    let broker = Arc::new(broker);
    let store = Store { log, checkpoint, state };
    let stepped = Stepped::new(&broker, store, DurabilityOptions::default());
    let mut content = Content::new();
    for queue in broker.vhost("/").unwrap().queues() {
        let all = content.entry(queue.name.to_string()).or_default();
        loop {
            let mut turn = broker.begin_turn();
            let got = queue.get(false, &mut turn);
            turn.finish(&broker);
            match got {
                Got::Message(entry, _) => all.push(body(&entry)),
                Got::Empty => break,
                Got::Stored => match stepped.page() {
                    Ok(is_wanted) => assert!(is_wanted, "what is next is wanted"),
                    Err(error) => return Ok(Err(error)),
                },
            }
        }
    }
    report.damages.extend(stepped.pager.damages());
    Ok(Ok(Start { content, report }))
}

/// A data directory after a life, and everything that was ever published.
struct Past {
    home: TempDir,
    published: HashSet<String>,
    expected: Content,
}

impl Past {
    /// Of two rounds with checkpoints; segments were given up, and some of the log is behind the last.
    fn new(is_flushed: bool) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut published = HashSet::new();
        for round in 0..2 {
            live(home.path(), round, &mut published);
            if is_flushed {
                FjallCheckpoint::open(&home.path().join("meta")).unwrap().flush();
            }
        }
        let copy = copy_of(home.path());
        let Start { content: expected, report } = start(copy.path()).unwrap();
        assert_eq!(report.damages, []);
        Self { home, published, expected }
    }

    /// The log is all there is of a message. What lies in any other file can be put together again.
    fn judge(&self, kind: &str, start: Result<Start, RecoveryError>) -> Verdict {
        let Ok(Start { content, report }) = start else { return Verdict::Refused };
        let mut all = content.values().flatten();
        if !all.all(|body| self.published.contains(body)) {
            return Verdict::Wrong;
        }
        let has_all = self.expected.iter().all(|(queue, expected)| {
            let found = content.get(queue).map(Vec::as_slice).unwrap_or_default();
            expected.iter().all(|body| found.contains(body))
        });
        if kind != "log/segment" && !has_all {
            return Verdict::Wrong;
        }
        let is_told = !report.damages.is_empty() || report.torn_tail.is_some();
        match (content == self.expected, is_told) {
            (true, false) => Verdict::Harmless,
            (_, true) => Verdict::Reported,
            (false, false) => Verdict::Wrong,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing is different.
    Harmless,
    /// Someone is told, with the file's name.
    Reported,
    /// There is no broker, and an error that says why.
    Refused,
    /// Something is different, and nobody is told; or a message is lost that is in the log.
    Wrong,
}

fn live(data: &Path, round: u32, published: &mut HashSet<String>) {
    let directory = DataDirectory::open(data).unwrap();
    let checkpoint = directory.checkpoint().unwrap();
    let mut node = Node::recovered(log_in(data), checkpoint, &|log| log);
    let slow = node.declare("slow");
    let fast = node.declare("fast");
    for number in 0..40 {
        let body = format!("{round}-{number:03} {}", "x".repeat(number * 7));
        let queues = if number % 5 == 0 { vec![&slow, &fast] } else { vec![&fast] };
        node.publish(&queues, &body);
        published.insert(body);
        node.commit_marked();
        if number % 3 > 0 {
            node.take_first(&fast);
        }
        if number % 10 == 7 {
            node.checkpoint();
        }
    }
    node.commit_marked();
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_in(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn copy_of(directory: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in files_in(directory) {
        let to = copy.path().join(file.strip_prefix(directory).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&file, &to).unwrap();
    }
    copy
}

/// Flips a bit of a file, nearly always in a place that is not zero.
fn flip(file: &Path, dice: &mut Dice) -> Option<(usize, u32)> {
    let mut bytes = fs::read(file).unwrap();
    let used = bytes.iter().rposition(|&byte| byte != 0)? + 1;
    let span = if dice.percent(5) { bytes.len() } else { used };
    let mut at = dice.below(span);
    if dice.percent(90) {
        at = (0..=at).rev().find(|&at| bytes[at] != 0).unwrap_or(at);
    }
    let bit = u32::try_from(dice.below(8)).unwrap();
    bytes[at] ^= 1 << bit;
    fs::write(file, bytes).unwrap();
    Some((at, bit))
}

/// What the flips in one kind of file came to.
type Tallies = BTreeMap<String, BTreeMap<String, u64>>;

fn kind_of(file: &Path) -> String {
    let inside = file.iter().any(|part| part == "meta");
    let name = file.file_name().unwrap().to_str().unwrap();
    match (inside, file.extension().and_then(|extension| extension.to_str())) {
        (true, Some(extension)) => format!("meta/*.{extension}"),
        (true, None) => "meta/*".to_owned(),
        (false, Some("seg")) if name.starts_with("pool") => "log/pool".to_owned(),
        (false, Some("seg")) => "log/segment".to_owned(),
        (false, _) => name.to_owned(),
    }
}

/// Tells the parent how far a child came: the seed, the directory, the kind of file.
const PROGRESS: &str = "FLIP_PROGRESS";
/// Asks a child for a start on this directory and nothing else.
const AGAIN: &str = "FLIP_AGAIN";

/// The database may end the process, so this runs in one of its own.
fn flip_in_child(past: &Past) {
    if let Ok(directory) = std::env::var(AGAIN) {
        println!("= again {:?}", past.judge("", start(Path::new(&directory))));
        return;
    }
    let progress = std::env::var(PROGRESS).unwrap();
    for seed in seeds() {
        let mut dice = Dice::new(seed);
        let copy = copy_of(past.home.path());
        let mut files = files_in(copy.path());
        if dice.percent(JOURNAL_CHANCE) {
            files.retain(|file| file.extension().is_some_and(|extension| extension == "jnl"));
        }
        let file = &files[dice.below(files.len())];
        let Some((at, bit)) = flip(file, &mut dice) else { continue };
        let kind = kind_of(file.strip_prefix(copy.path()).unwrap());
        fs::write(&progress, format!("{seed}\n{}\n{kind}", copy.path().display())).unwrap();
        let verdict = past.judge(&kind, start(copy.path()));
        println!("= {kind} {verdict:?}");
        assert_ne!(verdict, Verdict::Wrong, "FLIP_SEED={seed} FLIPS=1: {kind} byte {at} bit {bit}");
    }
}

fn child(test: &str, variables: &[(&str, String)]) -> std::process::Output {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env("RUST_BACKTRACE", "0");
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command.output().unwrap()
}

/// Flips the places of all seeds in children, and starts again where one did not survive.
fn flip_places(test: &str) -> Tallies {
    let mut tallies = Tallies::new();
    let scratch = tempfile::tempdir().unwrap();
    let progress = scratch.path().join("progress");
    let mut seeds = seeds();
    while !seeds.is_empty() {
        let variables = [
            (PROGRESS, progress.display().to_string()),
            ("FLIP_SEED", seeds.start.to_string()),
            ("FLIPS", (seeds.end - seeds.start).to_string()),
        ];
        let output = child(test, &variables);
        for (kind, verdict) in verdicts(&output) {
            *tallies.entry(kind).or_default().entry(verdict).or_default() += 1;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        assert_ne!(output.status.code(), Some(101), "{said}");
        if output.status.success() {
            break;
        }
        let came_to = fs::read_to_string(&progress).unwrap();
        let [seed, directory, kind] = came_to.lines().collect::<Vec<_>>()[..] else { panic!() };
        let output = child(test, &[(AGAIN, directory.to_owned())]);
        let again = verdicts(&output).pop().map(|(_, verdict)| verdict);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(again.as_deref(), Some("Reported"), "FLIP_SEED={seed} FLIPS=1: {said}");
        let tally = tallies.entry(kind.to_owned()).or_default();
        *tally.entry("ReportedAtTheSecondStart".to_owned()).or_default() += 1;
        fs::remove_dir_all(directory).unwrap();
        seeds.start = seed.parse::<u64>().unwrap() + 1;
    }
    tallies
}

fn verdicts(output: &std::process::Output) -> Vec<(String, String)> {
    let said = String::from_utf8_lossy(&output.stdout);
    let lines = said.lines().filter_map(|line| line.split_once("= ")?.1.rsplit_once(' '));
    lines.map(|(kind, verdict)| (kind.to_owned(), verdict.to_owned())).collect()
}

fn flip_everywhere(test: &str, what: &str, is_flushed: bool) {
    let is_child = std::env::var(PROGRESS).is_ok() || std::env::var(AGAIN).is_ok();
    if is_child {
        flip_in_child(&Past::new(is_flushed));
    } else {
        report(what, &flip_places(&format!("durability::tests::flips::{test}")));
    }
}

fn report(what: &str, tallies: &Tallies) {
    let flips: u64 = tallies.values().flat_map(BTreeMap::values).sum();
    println!("{flips} flipped bits in {what}, silently wrong 0");
    for (kind, tally) in tallies {
        println!("    {kind:16} {tally:?}");
    }
}

fn seeds() -> std::ops::Range<u64> {
    let (first, count) = (number_from("FLIP_SEED", 1), number_from("FLIPS", FLIPS));
    first..first + count
}

#[test]
fn a_flipped_bit_anywhere_is_reported_or_of_no_consequence() {
    let test = "a_flipped_bit_anywhere_is_reported_or_of_no_consequence";
    flip_everywhere(test, "a directory with a journal", false);
}

#[test]
fn a_flipped_bit_anywhere_beside_tables_is_reported_or_of_no_consequence() {
    let test = "a_flipped_bit_anywhere_beside_tables_is_reported_or_of_no_consequence";
    flip_everywhere(test, "a directory with tables", true);
}

#[test]
fn without_its_checkpoint_a_broker_has_all_its_messages() {
    let past = Past::new(false);
    let copy = copy_of(past.home.path());
    fs::remove_dir_all(copy.path().join("meta")).unwrap();

    let Start { content, report } = start(copy.path()).unwrap();

    assert_eq!(report.damages.len(), 1);
    for (queue, expected) in &past.expected {
        let found = &content[queue];
        assert!(found.is_sorted(), "{queue} is in order");
        assert!(expected.iter().all(|body| found.contains(body)), "{queue} has all");
    }
}

#[test]
fn a_checkpoint_of_yesterday_loses_nothing_of_today() {
    let home = tempfile::tempdir().unwrap();
    let mut published = HashSet::new();
    live(home.path(), 0, &mut published);
    let yesterday = copy_of(&home.path().join("meta"));
    live(home.path(), 1, &mut published);
    let expected = start(copy_of(home.path()).path()).unwrap().content;
    let meta = home.path().join("meta");
    fs::remove_dir_all(&meta).unwrap();
    fs::create_dir(&meta).unwrap();
    for file in files_in(yesterday.path()) {
        let to = meta.join(file.strip_prefix(yesterday.path()).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&file, &to).unwrap();
    }

    let Start { content, report } = start(home.path()).unwrap();

    assert_eq!(report.damages.len(), 1);
    for (queue, expected) in &expected {
        assert!(expected.iter().all(|body| content[queue].contains(body)), "{queue} has all");
    }
}
