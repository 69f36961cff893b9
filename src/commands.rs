//! What the binary does besides running a broker: check, back up, restore, measure.
//!
//! Findings and results go to standard output, a line each; progress and what keeps a command from being done
//! to standard error. Exit codes: 0 all is well, 1 something is damaged or did not come as it should, 2 it could not be done.

use std::error::Error;
use std::io::{Write as _, stderr, stdout};
use std::path::Path;
use std::process::{self, ExitCode};
use std::time::{Duration, Instant};

use leveret::bench;
use leveret::cli::{Backup, Check, Command, Probe, Restore};
use leveret::clock::Clock;
use leveret::durability::{
    self, CheckListener, CheckStep, CheckSummary, Finding, Severity, Workshop, back_up_stopped,
};
use leveret::server::control::{AskError, ask};
use leveret::store::{BackupError, StoreError, probe_checkpoint};
use serde_json::{Value, json};

type Failure = Box<dyn Error>;

const DAMAGED: u8 = 1;
const NOT_DONE: u8 = 2;

/// Does what was asked for.
pub(crate) fn execute(command: &Command) -> ExitCode {
    let done = match command {
        Command::Check(command) => check(command),
        Command::Backup(command) => backup(command),
        Command::Restore(command) => restore(command),
        Command::Probe(command) => try_checkpoint(command),
        Command::Bench(options) => measure(options),
    };
    match done {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_damages) => ExitCode::from(DAMAGED),
        Err(error) => {
            say(&format!("leveret: {error}"));
            ExitCode::from(NOT_DONE)
        }
    }
}

/// How many damages there are.
fn check(command: &Check) -> Result<u64, Failure> {
    let mut teller = Teller::new(command.json);
    let checked = look(&command.data_dir, &mut teller);
    let summary = checked.map_err(|error| {
        let StoreError::InUse { path } = &error else { return error.to_string() };
        format!(
            "{} is in use by another process, probably its broker: stop it, or check a backup of it",
            path.display()
        )
    })?;
    teller.summary("checked", &summary, json!({}));
    Ok(summary.damages)
}

fn look(path: &Path, teller: &mut Teller) -> Result<CheckSummary, StoreError> {
    let scratch = std::env::temp_dir();
    durability::check(path, Workshop { scratch: &scratch, probe: &probe }, teller)
}

/// Lets another process of this program try to open a database.
fn probe(directory: &Path) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let tried = process::Command::new(program).arg("probe").arg(directory).output();
    let tried = tried.map_err(|error| format!("it cannot be tried: {error}"))?;
    if tried.status.success() {
        return Ok(());
    }
    // The first line is the reason; a backtrace may follow.
    let said = String::from_utf8_lossy(&tried.stderr);
    let why = said.lines().find(|line| !line.is_empty()).unwrap_or("it gave no reason");
    Err(format!("{}: {why}", tried.status))
}

fn try_checkpoint(command: &Probe) -> Result<u64, Failure> {
    probe_checkpoint(&command.directory)?;
    Ok(0)
}

fn backup(command: &Backup) -> Result<u64, Failure> {
    let mut teller = Teller::new(command.json);
    let target = std::path::absolute(&command.target)?;
    let name = target.to_str().ok_or("the target's name is not UTF-8; name another one")?;
    let request = json!({ "command": "backup", "target": name });
    let (segments, bytes) = match ask(&command.data_dir, &request) {
        Ok(done) => (number(&done, "segments"), number(&done, "bytes")),
        Err(AskError::NoBroker) => {
            let done = back_up_stopped(&command.data_dir, &target, &probe, &|| false)?;
            (done.segments, done.bytes)
        }
        Err(error) => return Err(error.into()),
    };
    let took = teller.elapsed();
    let summary = look(&target, &mut teller)
        .map_err(|error| format!("the backup is written, but cannot be verified: {error}"))?;
    let what = format!(
        "backed up in {:.1} s, {bytes} bytes in {segments} segments; verified",
        took.as_secs_f64()
    );
    teller.summary(&what, &summary, json!({ "backup_bytes": bytes, "milliseconds": millis(took) }));
    Ok(summary.damages)
}

fn restore(command: &Restore) -> Result<u64, Failure> {
    let Restore { backup, data_dir, accept_damage, json } = command;
    let mut teller = Teller::new(*json);
    let restored = durability::restore(backup, data_dir, *accept_damage, &mut teller, &|| false);
    let summary = match restored {
        Err(error @ BackupError::Damaged(damages)) => {
            say(&format!("leveret: {error}"));
            return Ok(damages);
        }
        restored => restored?,
    };
    let took = teller.elapsed();
    let what = format!("restored {} in {:.1} s", data_dir.display(), took.as_secs_f64());
    teller.summary(&what, &summary, json!({ "milliseconds": millis(took) }));
    Ok(summary.damages)
}

fn measure(options: &bench::Options) -> Result<u64, Failure> {
    let is_clean = bench::run(options).map_err(|error| -> Failure { error })?;
    if !is_clean {
        say("leveret: verification failed");
    }
    Ok(u64::from(!is_clean))
}

fn number(done: &Value, key: &str) -> u64 {
    done.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Tells the operator, or a program that reads JSON.
struct Teller {
    is_json: bool,
    clock: Clock,
    started: Instant,
    /// When to tell how far it is.
    next: Instant,
    pause: Duration,
}

impl Teller {
    fn new(is_json: bool) -> Self {
        let clock = Clock::real();
        let (started, pause) = (clock.now(), Duration::from_secs(1));
        Self { is_json, clock, started, next: started + pause, pause }
    }

    fn elapsed(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.started)
    }

    fn print(&self, json: &Value, text: &str) {
        // Who closed the other end has seen enough; the exit code remains.
        let _ =
            if self.is_json { writeln!(stdout(), "{json}") } else { writeln!(stdout(), "{text}") };
    }

    /// The last line. `more` are further members of the JSON object.
    fn summary(&self, what: &str, summary: &CheckSummary, more: Value) {
        let CheckSummary { segments, frames, bytes, pairs, queues, messages, pool, damages, end } =
            summary;
        let end = end.map(|end| end.to_string());
        let mut object = json!({
            "segments": segments, "frames": frames, "bytes": bytes, "pairs": pairs, "queues": queues,
            "messages": messages, "pool": pool, "damages": damages, "end": end,
        });
        if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
            object.extend(more);
        }
        let text = format!(
            "{what}: {segments} segments, {frames} frames, {bytes} bytes, {queues} queues, {messages} messages, \
             {damages} damages"
        );
        self.print(&json!({ "summary": object }), &text);
    }
}

impl CheckListener for Teller {
    fn found(&mut self, finding: Finding) {
        let Finding { severity, file, offset, bytes, what } = &finding;
        let severity = match severity {
            Severity::Damage => "damage",
            Severity::Note => "note",
        };
        let object = json!({
            "severity": severity, "file": shown(file), "offset": offset, "bytes": bytes, "what": what,
        });
        self.print(&json!({ "finding": object }), &finding.to_string());
    }

    fn progress(&mut self, step: CheckStep, done: u64, all: u64) {
        let now = self.clock.now();
        if now < self.next {
            return;
        }
        // Rarer and rarer: a check of an hour says some hundred lines.
        self.pause = (self.pause * 2).min(Duration::from_secs(30));
        self.next = now + self.pause;
        let what = match step {
            CheckStep::Log => "bytes of the log",
            CheckStep::Messages => "messages",
        };
        say(&format!("leveret: {done} of {all} {what} are read"));
    }
}

/// For the operator alone.
fn say(text: &str) {
    // If nobody can read it there is nobody else to tell; the exit code remains.
    let _ = writeln!(stderr(), "{text}");
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
