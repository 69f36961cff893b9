//! Backups of a broker that serves, and of one that does not; what becomes of those that are cut short.

mod load;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use tempfile::TempDir;

use self::load::{Load, PAIR, QUEUES, TOKEN};
use crate::kill::{look, report};
use crate::support::{PATIENCE, RawPeer, TestBroker, eventually};

/// Runs `leveret` with these arguments.
pub fn leveret(arguments: &[&Path]) -> Output {
    TestBroker::binary().args(arguments).output().unwrap()
}

/// It ended with this code, said all of these, and did not panic.
#[track_caller]
pub fn assert_code(output: &Output, code: i32, words: &[&str]) {
    let said = [&*output.stdout, &*output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "'{word}' is missing in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// A place for a backup, which does not exist yet.
struct Target(TempDir);

impl Target {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("backup")
    }
}

fn back_up(broker: &TestBroker, target: &Path) -> Output {
    leveret(&["backup".as_ref(), &broker.data_dir(), target])
}

/// A broker on what is restored from `backup`.
fn restored(backup: &Path) -> TestBroker {
    let mut broker = TestBroker::at_home();
    assert_code(&leveret(&["restore".as_ref(), backup, &broker.data_dir()]), 0, &["0 damages"]);
    broker.launch();
    let aside = broker.data_dir().join("meta.damaged-1");
    assert!(!aside.exists(), "the broker believes what was restored");
    broker
}

fn confirmed(broker: &TestBroker, bodies: &[&str]) {
    let mut peer = RawPeer::connect(broker);
    peer.has_durable_queue(1, "q");
    peer.selects_confirms(1);
    for body in bodies {
        peer.publishes_persistent(1, "q", body);
    }
    peer.is_confirmed_up_to(1, bodies.len() as u64);
    peer.leaves();
}

#[test]
fn a_backup_under_load_has_what_was_confirmed_and_whole_transactions() {
    let mut broker = TestBroker::with_config("checkpoint_interval_ms = 300");
    let load = Load::begin(&broker);
    for round in 0..4 {
        let target = Target::new();
        load.goes_on();
        let before = load.known();
        let output = back_up(&broker, &target.path());
        let after = load.known();
        assert_code(&output, 0, &["backed up", "0 damages"]);
        assert!(after.confirmed.len() > before.confirmed.len(), "confirms go on");

        let copy = restored(&target.path());
        let mut peer = RawPeer::connect(&copy);
        let mut in_queue = |channel, queue| look(&mut peer, channel, queue);
        let queues = [in_queue(2, QUEUES[0]), in_queue(3, QUEUES[1])];
        let pair = [in_queue(4, PAIR[0]), in_queue(5, PAIR[1])];
        let token = in_queue(6, TOKEN);
        load::assert_consistent(&before, &after, &queues, &pair, &token);
        report(&format!(
            "backup {round}: {} confirmed before, {} during; {} messages and {} transactions restored",
            before.confirmed.len(),
            after.confirmed.len() - before.confirmed.len(),
            queues.iter().map(Vec::len).sum::<usize>(),
            pair[0].len(),
        ));
        if round == 1 {
            load.ends();
            broker.crash();
            load.begins_again(&broker);
        }
    }
    load.ends();
}

#[test]
fn a_stopped_broker_can_be_backed_up() {
    let broker = TestBroker::own();
    confirmed(&broker, &["a", "b"]);
    for stop in [TestBroker::kill9, |broker: &TestBroker| drop(broker.stop())] {
        let target = Target::new();
        stop(&broker);
        assert_code(&back_up(&broker, &target.path()), 0, &["2 messages"]);
        let mut copy = restored(&target.path());
        assert_eq!(RawPeer::connect(&copy).drains(1, "q"), ["a", "b"]);
        copy.restart();
        assert_eq!(RawPeer::connect(&copy).counts(1, "q").0, 0);
        let mut broker = broker.clone();
        broker.launch();
    }
}

#[test]
fn a_backup_is_no_data_directory_and_does_not_become_one() {
    let broker = TestBroker::own();
    let target = Target::new();
    assert_code(&back_up(&broker, &target.path()), 0, &[]);

    let (status, said) = broker.fails_to_start(&target.path(), "127.0.0.1:0");

    assert!(!status.success() && said.contains("no leveret data"), "{said}");
    assert_code(&leveret(&["check".as_ref(), &target.path()]), 0, &["0 damages"]);
}

#[test]
fn directories_that_hold_something_are_left_alone() {
    let broker = TestBroker::own();
    let target = Target::new();
    assert_code(&back_up(&broker, &target.path()), 0, &[]);
    let files = || std::fs::read_dir(target.path()).unwrap().count();
    let before = files();

    assert_code(&back_up(&broker, &target.path()), 2, &["not empty"]);
    let restore = leveret(&["restore".as_ref(), &target.path(), target.0.path()]);
    assert_code(&restore, 2, &["not empty"]);
    let inside = broker.data_dir().join("backup");
    assert_code(&back_up(&broker, &inside), 2, &["in the data directory"]);

    assert_eq!(files(), before);
    assert!(!inside.exists());
}

#[test]
fn what_cannot_be_asked_for_is_refused_in_a_sentence() {
    let (broker, target) = (TestBroker::own(), Target::new());
    let nowhere = target.0.path().join("nowhere");
    assert_code(
        &leveret(&["backup".as_ref(), &nowhere, &target.path()]),
        2,
        &["no such directory"],
    );
    let unwritable = Path::new("/proc/backup");
    assert_code(&back_up(&broker, unwritable), 2, &["/proc/backup"]);
    assert_code(&leveret(&["restore".as_ref(), target.0.path(), &nowhere]), 2, &["no finished"]);
    assert!(!nowhere.exists());
    RawPeer::connect(&broker).leaves();
}

/// So much that copying it takes a while.
fn much(broker: &TestBroker) {
    let body = "x".repeat(100_000);
    confirmed(broker, &vec![&*body; 1200]);
}

/// A backup under way that has come to the segments.
fn begun(broker: &TestBroker, target: &Path) -> Child {
    let command = &mut TestBroker::binary();
    command.arg("backup").arg(broker.data_dir()).arg(target);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is_segment = |name: &str| Path::new(name).extension().is_some_and(|it| it == "seg");
    eventually(PATIENCE, "a segment is being copied", || {
        let entries = std::fs::read_dir(target).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| is_segment(&entry.file_name().to_string_lossy()))
    });
    child
}

/// Either there is a backup, whole, or nothing that is taken for one.
fn assert_whole_or_none(broker: &TestBroker, target: &Path) -> bool {
    let checked = leveret(&["check".as_ref(), target]);
    if checked.status.code() == Some(0) {
        assert_code(&checked, 0, &["1200 messages"]);
        return true;
    }
    assert_code(&checked, 2, &[]);
    let elsewhere = TempDir::new().unwrap();
    let made = elsewhere.path().join("data");
    assert_code(&leveret(&["restore".as_ref(), target, &made]), 2, &[]);
    assert!(!made.exists());
    if target.exists() {
        let (status, said) = broker.fails_to_start(target, "127.0.0.1:0");
        assert!(!status.success(), "{said}");
    }
    false
}

#[test]
fn a_broker_killed_in_the_middle_leaves_no_half_backup_and_loses_nothing() {
    let mut broker = TestBroker::own();
    much(&broker);
    let mut whole = 0;
    for _ in 0..3 {
        let target = Target::new();
        let mut command = begun(&broker, &target.path());
        broker.kill9();
        assert_ne!(command.wait().unwrap().code(), Some(1));
        whole += u32::from(assert_whole_or_none(&broker, &target.path()));
        broker.launch();
        assert_eq!(RawPeer::connect(&broker).counts(1, "q").0, 1200);
    }
    report(&format!(
        "3 brokers killed while they wrote a backup: {whole} were whole, the others none"
    ));
}

#[test]
fn a_command_killed_in_the_middle_gives_the_backup_up_and_the_broker_goes_on() {
    let broker = TestBroker::own();
    much(&broker);
    let target = Target::new();
    let mut command = begun(&broker, &target.path());
    command.kill().unwrap();
    command.wait().unwrap();
    // It may have been done just before.
    eventually(PATIENCE, "it is gone or whole", || {
        !target.path().exists() || target.path().join("manifest").exists()
    });
    assert_whole_or_none(&broker, &target.path());

    let again = Target::new();
    assert_code(&back_up(&broker, &again.path()), 0, &["1200 messages"]);
    confirmed(&broker, &["still here"]);
}

#[test]
fn segments_are_released_again_once_a_backup_is_done() {
    let broker = TestBroker::with_config("checkpoint_interval_ms = 100");
    much(&broker);
    let target = Target::new();
    assert_code(&back_up(&broker, &target.path()), 0, &["1200 messages"]);
    RawPeer::connect(&broker).asks(
        1,
        &crate::support::method("queue.purge").set("queue", "q"),
        "queue.purge-ok",
    );
    let segments = || {
        let entries = std::fs::read_dir(broker.data_dir().join("log")).unwrap().flatten();
        entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with("pool")).count()
    };
    eventually(PATIENCE, "only the segment that is written is left", || segments() <= 1);
}

/// Sends a line to the control socket; what comes back.
fn ask(broker: &TestBroker, line: &[u8]) -> String {
    let mut socket = UnixStream::connect(broker.data_dir().join("control.sock")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // It may be refused before it is complete.
    let _refused = socket.write_all(line);
    let mut answer = String::new();
    let _cut = BufReader::new(socket).read_line(&mut answer);
    answer
}

#[test]
fn the_control_socket_is_its_owners_and_takes_one_bounded_line() {
    let broker = TestBroker::own();
    let socket = broker.data_dir().join("control.sock");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&socket), mode(&broker.data_dir())), (0o600, 0o700));

    let pid = format!("\"pid\":{}", broker.pid());
    assert!(ask(&broker, b"{\"command\":\"status\"}\n").contains(&pid));
    for wrong in
        [&b"{\"command\":\"shutdown\"}\n"[..], b"{\n", b"[]\n", b"\xFF\n", &b" ".repeat(40_000)]
    {
        let answer = ask(&broker, wrong);
        assert!(answer.contains("error") || answer.is_empty(), "{answer}");
    }
    let relative = ask(&broker, b"{\"command\":\"backup\",\"target\":\"here\"}\n");
    assert!(relative.contains("absolute"), "{relative}");
    broker.stop();
    assert!(!socket.exists());
}

#[test]
fn a_silent_peer_of_the_control_socket_keeps_nobody_out() {
    let broker = TestBroker::own();
    let socket = broker.data_dir().join("control.sock");
    let silent: Vec<_> = (0..8).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let target = Target::new();
    assert_code(&back_up(&broker, &target.path()), 0, &[]);
    drop(silent);
}
