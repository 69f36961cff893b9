//! The documents' pika programs, our own, the differential suite and client libraries' own suites, against this
//! build; see `compat/README.md`.
//!
//! Python and what the clients need is never done without: a broker that no client has spoken to is not tested.
#![expect(clippy::unwrap_used, reason = "a test that cannot talk to its child has failed")]

use std::io::{BufRead as _, BufReader, Write as _, stdout};
use std::path::Path;
use std::process::{Command, Stdio};

const PYTHON_NEEDED: &str = "this test runs real clients and needs Python 3.9 or newer with venv; \
                             install it (Debian: apt-get install python3 python3-venv)";
/// How the harness sums up; see `compat/harness/comparison.py`.
const SUMMARY: &str = "compat ";

#[test]
fn programs_written_for_rabbitmq_run_the_same() {
    assert!(has_python(), "{PYTHON_NEEDED}");
    let (succeeded, summaries) = run_harness();
    for summary in &summaries {
        say(summary);
    }
    assert!(succeeded, "the lines above that say DIFFERENT or FAILED differ from RabbitMQ");
    let documents = summaries.iter().any(|line| line.starts_with("compat documents: "));
    assert!(documents, "compat/run ended well, but has not said how many documents it compared");
    let frames = summaries.iter().any(|line| line.starts_with("compat differential: "));
    assert!(frames, "compat/run ended well, but has not said how many scenarios it compared");
    let clients = summaries.iter().any(|line| line.starts_with("compat clients: "));
    assert!(clients, "compat/run ended well, but has not said what client libraries' suites gave");
}

fn has_python() -> bool {
    let check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))";
    let quiet = Command::new("python3").args(["-c", check]).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// Runs everything; returns whether it succeeded, and the lines that sum it up.
fn run_harness() -> (bool, Vec<String>) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut harness = Command::new("python3")
        .arg(repository.join("compat/run"))
        .args(["--broker", "leveret", "--broker-binary", env!("CARGO_BIN_EXE_leveret")])
        .current_dir(repository)
        .env("PYTHONUNBUFFERED", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect(PYTHON_NEEDED);
    let output = BufReader::new(harness.stdout.take().unwrap());
    let mut summaries = Vec::new();
    for line in output.lines() {
        let line = line.unwrap();
        if line.starts_with(SUMMARY) {
            summaries.push(line);
        } else {
            say(&line);
        }
    }
    (harness.wait().unwrap().success(), summaries)
}

/// Prints past the test harness, which shows the output of failed tests only.
fn say(line: &str) {
    let mut out = stdout();
    writeln!(out, "{line}").unwrap();
}
