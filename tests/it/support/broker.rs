//! The broker under test: a process of its own on a free port with a directory of its own.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::{PATIENCE, eventually};

/// Another broker to talk to, `address:port`.
const ELSEWHERE: &str = "TEST_AMQP";

/// A running broker. When the last clone is dropped the process ends and the directory goes. Peers hold one.
#[derive(Clone, Debug)]
pub struct TestBroker {
    address: String,
    /// File descriptors the process may have.
    files: Option<u32>,
    process: Arc<Mutex<Option<Process>>>,
    home: Arc<TempDir>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    log: Arc<Log>,
}

impl TestBroker {
    /// For tests that need nothing but a broker: ours, or the one named by `TEST_AMQP`.
    pub fn start() -> Self {
        match std::env::var(ELSEWHERE) {
            Ok(address) => Self { address, ..Self::at_home() },
            Err(_) => Self::own(),
        }
    }

    /// Always ours.
    pub fn own() -> Self {
        Self::with_config("")
    }

    /// Ours, with this config.toml.
    pub fn with_config(config: &str) -> Self {
        let mut broker = Self::at_home();
        broker.configure(config);
        broker.launch();
        broker
    }

    /// Ours, with this config.toml and at most that many file descriptors.
    #[allow(dead_code, reason = "the tests of another binary are written with this, too")]
    pub fn with_files(files: u32, config: &str) -> Self {
        let mut broker = Self { files: Some(files), ..Self::at_home() };
        broker.configure(config);
        broker.launch();
        broker
    }

    /// Ours, with these definitions loaded.
    pub fn with_definitions(definitions: &str) -> Self {
        let mut broker = Self::at_home();
        broker.defines(definitions);
        broker.configure("load_definitions = 'definitions.json'");
        broker.launch();
        broker
    }

    /// Replaces definitions.json beside config.toml.
    pub fn defines(&self, definitions: &str) {
        std::fs::write(self.home.path().join("definitions.json"), definitions).unwrap();
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// SIGKILL. The process is gone when this returns.
    pub fn kill9(&self) {
        drop(self.process.lock().unwrap().take());
    }

    /// SIGTERM, and how it ended.
    ///
    /// # Panics
    /// When it has not ended in time.
    pub fn stop(&self) -> (ExitStatus, String) {
        self.terminate();
        self.stops()
    }

    /// How it ended, after [`terminate`](Self::terminate).
    pub fn stops(&self) -> (ExitStatus, String) {
        let mut process = self.process.lock().unwrap().take().expect("the broker is running");
        process.ends()
    }

    /// Sends SIGTERM and does not wait.
    pub fn terminate(&self) {
        let process = self.process.lock().unwrap();
        let id = process.as_ref().expect("the broker is running").child.id();
        let kill = format!("kill -TERM {id}");
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Starts again with the same directory, on another port.
    pub fn launch(&mut self) {
        let process = Process::spawn(self.command(&self.data_dir(), "127.0.0.1:0"));
        let address = process.log.wait_for_address();
        self.address =
            address.unwrap_or_else(|| panic!("the broker did not start:\n{}", process.log.text()));
        *self.process.lock().unwrap() = Some(process);
    }

    /// Starts, and SIGKILL after `life`, whether or not it has come up by then.
    pub fn launch_and_kill(&self, life: Duration) {
        let _process = Process::spawn(self.command(&self.data_dir(), "127.0.0.1:0"));
        std::thread::park_timeout(life);
    }

    /// SIGTERM and start.
    pub fn restart(&mut self) {
        self.stop();
        self.launch();
    }

    /// SIGKILL and start.
    pub fn crash(&mut self) {
        self.kill9();
        self.launch();
    }

    /// Runs a second broker that is expected not to come up; its status and what it said.
    pub fn fails_to_start(&self, data_dir: &Path, listen: &str) -> (ExitStatus, String) {
        Process::spawn(self.command(data_dir, listen)).ends()
    }

    /// The binary, to be run with a command.
    pub fn binary() -> Command {
        Command::new(env!("CARGO_BIN_EXE_leveret"))
    }

    /// Its id as long as it runs.
    pub fn pid(&self) -> u32 {
        self.process.lock().unwrap().as_ref().expect("the broker is running").child.id()
    }

    /// Replaces config.toml for the next start.
    pub fn configure(&self, config: &str) {
        std::fs::write(self.home.path().join("config.toml"), config).unwrap();
    }

    /// Ours, not started yet: its directory is free to be made first.
    pub fn at_home() -> Self {
        let home = Arc::new(TempDir::new().unwrap());
        Self { address: String::new(), files: None, process: Arc::default(), home }
    }

    fn command(&self, data_dir: &Path, listen: &str) -> Command {
        let binary = env!("CARGO_BIN_EXE_leveret");
        let mut command = match self.files {
            None => Self::binary(),
            Some(files) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\""), binary]);
                shell
            }
        };
        command
            .current_dir(self.home.path())
            .args(["--listen", listen])
            .arg("--data-dir")
            .arg(data_dir)
            .stdin(Stdio::null())
            .stdout(File::options().write(true).open("/dev/null").unwrap())
            .stderr(Stdio::piped());
        command
    }
}

impl Process {
    fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = Log::follow(&mut child);
        Self { child, log }
    }

    /// Waits for it to end by itself; its status and everything it said.
    fn ends(&mut self) -> (ExitStatus, String) {
        let mut status = None;
        eventually(PATIENCE, "the broker ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        (status.unwrap(), self.log.whole())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- log of broker {} ----\n{}", self.child.id(), self.log.text());
        }
        // It may have ended by itself; then there is nothing to kill.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// What the process says on standard error, as far as it has come.
#[derive(Debug, Default)]
struct Log {
    said: Mutex<(String, bool)>,
    more: Condvar,
}

impl Log {
    /// Reads along until the process is gone.
    fn follow(child: &mut Child) -> Arc<Self> {
        let log = Arc::new(Self::default());
        let stderr = child.stderr.take().unwrap();
        let reader = Arc::clone(&log);
        std::thread::spawn(move || reader.listen(stderr));
        log
    }

    fn listen(&self, stderr: impl std::io::Read) {
        let mut lines = BufReader::new(stderr);
        let mut line = Vec::new();
        while matches!(lines.by_ref().read_until(b'\n', &mut line), Ok(1..)) {
            self.said.lock().unwrap().0.push_str(&String::from_utf8_lossy(&line));
            self.more.notify_all();
            line.clear();
        }
        self.said.lock().unwrap().1 = true;
        self.more.notify_all();
    }

    fn text(&self) -> String {
        self.said.lock().unwrap().0.clone()
    }

    /// Everything, once the process has closed its end.
    fn whole(&self) -> String {
        let said = self.said.lock().unwrap();
        let (said, _) = self.more.wait_timeout_while(said, PATIENCE, |said| !said.1).unwrap();
        said.0.clone()
    }

    /// The first address after the word "listening"; none when the process ended before it said so.
    fn wait_for_address(&self) -> Option<String> {
        let said = self.said.lock().unwrap();
        let waiting = |said: &mut (String, bool)| address_in(&said.0).is_none() && !said.1;
        let (said, _) = self.more.wait_timeout_while(said, PATIENCE, waiting).unwrap();
        address_in(&said.0)
    }
}

fn address_in(log: &str) -> Option<String> {
    let after = log.split("listening").nth(1)?;
    let (line, _) = after.split_once('\n')?;
    let address = &line[line.find("127.0.0.1:")?..];
    let end = address.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
    Some(address[..end.unwrap_or(address.len())].to_owned())
}
