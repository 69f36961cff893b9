//! `leveret check`: it finds what is damaged, says where, and changes nothing.
//!
//! `FLIPS` and `FLIP_SEED` in the environment choose another number of flipped bits and others of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use leveret::durability::{
    CheckListener, CheckStep, CheckSummary, Finding, Severity, Workshop, check,
};
use tempfile::TempDir;

use crate::backup::{assert_code, leveret};
use crate::kill::report;
use crate::support::{RawPeer, TestBroker, method};

/// Messages in the queues of [`a_directory`].
const MESSAGES: u64 = 60;

/// What a broker left that was stopped: definitions, messages in two queues, some settled, checkpoints.
fn a_directory() -> TestBroker {
    let broker = TestBroker::with_config("checkpoint_interval_ms = 100");
    fill(&broker);
    // The last checkpoint stands for everything.
    broker.stop();
    broker
}

/// The same, with everything in the log and no checkpoint.
fn a_directory_without_checkpoint() -> TestBroker {
    let broker = TestBroker::with_config("checkpoint_interval_ms = 3600000");
    fill(&broker);
    broker.kill9();
    broker
}

fn fill(broker: &TestBroker) {
    let mut peer = RawPeer::connect(broker);
    for queue in ["one", "two"] {
        peer.has_durable_queue(1, queue);
    }
    let exchange = method("exchange.declare").set("exchange", "x").set("type", "topic");
    peer.asks(1, &exchange.on("durable"), "exchange.declare-ok");
    peer.binds(1, "one", "x", "#");
    // Each with a commit of its own.
    for round in 0..7 {
        let channel = 10 + round;
        peer.opens(channel);
        peer.selects_confirms(channel);
        for number in 0..10 {
            let body = format!("<{}>", round * 10 + number).repeat(40);
            peer.publishes_persistent(channel, ["one", "two"][usize::from(number % 3 == 0)], &body);
        }
        peer.is_confirmed_up_to(channel, 10);
    }
    peer.opens(2);
    for _ in 0..10 {
        let tag = peer.gets(2, "one").unwrap().tag();
        peer.acks(2, tag);
    }
    // Its answer comes when the acknowledgements before it are on disk.
    peer.has_durable_queue(2, "last");
    peer.asks(2, &method("queue.delete").set("queue", "last"), "queue.delete-ok");
    peer.leaves();
}

/// Everything a check said.
#[derive(Debug, Default)]
struct Said(Vec<Finding>);

impl CheckListener for Said {
    fn found(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    fn progress(&mut self, _step: CheckStep, _done: u64, _all: u64) {}
}

fn look(path: &Path) -> (Result<CheckSummary, String>, Vec<Finding>) {
    let (scratch, mut said) = (TempDir::new().unwrap(), Said::default());
    let workshop = Workshop { scratch: scratch.path(), probe: &probe };
    let summary = check(path, workshop, &mut said).map_err(|error| error.to_string());
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "the scratch directory is empty");
    (summary, said.0)
}

fn probe(directory: &Path) -> Result<(), String> {
    let output = leveret(&["probe".as_ref(), directory]);
    if output.status.success() { Ok(()) } else { Err(output.status.to_string()) }
}

/// All files below `path`, sorted.
fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Content and time of change of every file.
fn image(path: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let changed = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    let image = files(path).into_iter();
    image.map(|path| (path.clone(), (fs::read(&path).unwrap(), changed(&path)))).collect()
}

#[test]
fn a_sound_directory_is_clean_and_stays_as_it_is() {
    let broker = a_directory();
    let before = image(&broker.data_dir());

    let output = leveret(&["check".as_ref(), &broker.data_dir(), "--json".as_ref()]);

    assert_code(
        &output,
        0,
        &[&format!("\"messages\":{MESSAGES}"), "\"queues\":2", "\"damages\":0"],
    );
    assert!(image(&broker.data_dir()) == before, "nothing changes");
}

#[test]
fn the_directory_of_a_running_broker_is_not_looked_at() {
    let broker = TestBroker::own();
    let output = leveret(&["check".as_ref(), &broker.data_dir()]);
    assert_code(&output, 2, &["in use", "stop it", "backup"]);
}

#[test]
fn a_torn_tail_is_told_and_not_cut() {
    let broker = a_directory_without_checkpoint();
    let segment = broker.data_dir().join("log/0000000000000001.seg");
    let (summary, _) = look(&broker.data_dir());
    let end = summary.unwrap().end.unwrap();
    // A few octets less than the last frame has; the rest of the file is zeros.
    let mut bytes = fs::read(&segment).unwrap();
    bytes[end.offset as usize - 8..].fill(0);
    fs::write(&segment, bytes).unwrap();
    let before = image(&broker.data_dir());

    let (summary, said) = look(&broker.data_dir());

    assert_eq!(summary.unwrap().damages, 0);
    assert_eq!(said.len(), 1);
    assert_eq!((said[0].severity, &said[0].file), (Severity::Note, &segment));
    assert!(image(&broker.data_dir()) == before, "nothing changes");
}

#[test]
fn a_lost_segment_is_told_with_what_was_in_it() {
    let broker = a_directory();
    let segment = broker.data_dir().join("log/0000000000000001.seg");
    fs::remove_file(&segment).unwrap();

    let (summary, said) = look(&broker.data_dir());

    assert!(summary.unwrap().damages > 0);
    let is_told =
        |finding: &Finding| finding.file == segment && finding.what.contains("queue 'two'");
    assert!(said.iter().any(is_told), "{said:?}");
}

#[test]
fn a_damaged_message_is_told_with_its_queue_and_place() {
    let broker = a_directory();
    let segment = broker.data_dir().join("log/0000000000000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    // Of a body that no other message has.
    let body = "<33>".repeat(40);
    let at = bytes.windows(body.len()).position(|window| window == body.as_bytes()).unwrap();
    bytes[at + 7] ^= 1;
    fs::write(&segment, bytes).unwrap();

    let (summary, said) = look(&broker.data_dir());

    assert!(summary.unwrap().messages < MESSAGES);
    let near = |finding: &Finding| {
        finding.file == segment
            && (finding.offset..finding.offset + finding.bytes).contains(&(at as u64))
    };
    let told = said.iter().find(|it| near(it) && it.what.contains("queue 'two'"));
    assert!(told.is_some(), "{said:?}");
    let output = leveret(&["check".as_ref(), &broker.data_dir()]);
    assert_code(&output, 1, &["damage: ", "queue 'two'"]);
}

/// Which bits are flipped.
struct Flips {
    random: u64,
    left: u64,
}

impl Flips {
    fn seeded(name: &str, default: u64) -> Self {
        let setting = |name| std::env::var(name).ok().map(|it| it.parse().expect("a number"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = setting("FLIP_SEED").unwrap_or(u64::from(now.subsec_nanos()));
        report(&format!("{name}: FLIP_SEED={seed}"));
        Self { random: seed | 1, left: setting("FLIPS").unwrap_or(default) }
    }

    /// xorshift64.
    fn below(&mut self, end: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % end as u64).unwrap()
    }

    /// Flips a bit before the last octet of the file that is not zero. Returns where, and how it was.
    fn flip(&mut self, file: &Path) -> Option<(usize, Vec<u8>)> {
        let good = fs::read(file).unwrap();
        let used = good.iter().rposition(|octet| *octet != 0)? + 1;
        let at = self.below(used);
        let mut bad = good.clone();
        bad[at] ^= 1 << self.below(8);
        fs::write(file, bad).unwrap();
        Some((at, good))
    }
}

/// A flipped bit is told with its file, or says nothing: then what is read is the same.
fn flip_bits(name: &str, path: &Path, mut flips: Flips, is_told: fn(&Path, &Path) -> bool) -> u64 {
    let (clean, said) = look(path);
    let clean = clean.unwrap();
    assert_eq!((clean.damages, said.len()), (0, 0));
    let files = files(path);
    let (mut done, mut found, mut harmless) = (0_u64, 0_u64, Vec::new());
    while done < flips.left {
        let file = files[flips.below(files.len())].clone();
        let Some((at, good)) = flips.flip(&file) else {
            continue;
        };
        done += 1;
        let (summary, said) = look(path);
        let told = said.iter().any(|finding| is_told(&finding.file, &file));
        match summary {
            // It names the file, or the format it does not know.
            Err(_) => found += 1,
            Ok(_) if told => found += 1,
            Ok(summary) => {
                assert_eq!(
                    summary,
                    clean,
                    "a bit of octet {at} of {} says nothing",
                    file.display()
                );
                harmless.push(format!("{}:{at}", file.strip_prefix(path).unwrap().display()));
            }
        }
        fs::write(&file, good).unwrap();
    }
    report(&format!(
        "{name}: {done} bits flipped, {found} found, harmless {harmless:?}, silently wrong 0"
    ));
    harmless.len() as u64
}

#[test]
fn flipped_bits_of_every_file_of_a_directory_are_found() {
    let broker = a_directory();
    // A file the log keeps for later; what it holds means nothing.
    let path = broker.data_dir();
    flip_bits("directory", &path, Flips::seeded("directory", 60), |told, file| {
        let is_meta = |path: &Path| path.components().any(|part| part.as_os_str() == "meta");
        told == file || (is_meta(told) && is_meta(file))
    });
}

#[test]
fn flipped_bits_of_a_backup_are_all_found_and_nothing_is_restored_from_it() {
    let broker = a_directory();
    let home = TempDir::new().unwrap();
    let backup = home.path().join("backup");
    assert_code(&leveret(&["backup".as_ref(), &broker.data_dir(), &backup]), 0, &["60 messages"]);

    let flips = Flips::seeded("backup", 60);
    let harmless = flip_bits("backup", &backup, flips, |told, file| told == file);
    // The last octet of the manifest ends its line and says nothing.
    assert!(harmless <= 5, "every octet is covered");

    let segment = backup.join("0000000000000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    let body = "<33>".repeat(40);
    let at = bytes.windows(body.len()).position(|window| window == body.as_bytes()).unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let data = home.path().join("data");
    assert_code(&leveret(&["restore".as_ref(), &backup, &data]), 1, &["damage", "--accept-damage"]);
    assert!(!data.exists());
    let accepted = leveret(&["restore".as_ref(), &backup, &data, "--accept-damage".as_ref()]);
    assert_code(&accepted, 1, &["queue 'two'"]);
    assert_code(&leveret(&["check".as_ref(), &data]), 1, &["queue 'two'"]);
}
