//! Why a broker does not start: one clear sentence, and an exit code that says so.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, ExitStatus};

use crate::support::{Login, PATIENCE, RawPeer, TestBroker, eventually};

/// The broker ended by itself, not well, and said all of these.
#[track_caller]
fn assert_refused((status, said): &(ExitStatus, String), words: &[&str]) {
    assert!(status.code().is_some_and(|code| code != 0), "{status}: {said}");
    for word in words {
        assert!(said.contains(word), "'{word}' is missing in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_data_directory_belongs_to_one_broker() {
    let broker = TestBroker::own();
    let data = broker.data_dir();
    let refused = broker.fails_to_start(&data, "127.0.0.1:0");
    assert_refused(&refused, &[data.to_str().unwrap(), "use"]);
    RawPeer::connect(&broker).leaves();
}

#[test]
fn a_port_belongs_to_one_broker() {
    let broker = TestBroker::own();
    let other = tempfile::tempdir().unwrap();
    let refused = broker.fails_to_start(&other.path().join("data"), broker.address());
    assert_refused(&refused, &["listen", broker.address()]);
    RawPeer::connect(&broker).leaves();
}

#[test]
fn a_data_directory_must_be_a_directory() {
    let broker = TestBroker::own();
    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = broker.fails_to_start(&file, "127.0.0.1:0");
    assert_refused(&refused, &[file.to_str().unwrap()]);
}

#[test]
fn a_data_directory_must_be_writable() {
    let broker = TestBroker::own();
    let other = tempfile::tempdir().unwrap();
    let locked = other.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o500)).unwrap();
    if std::fs::write(locked.join("probe"), "").is_ok() {
        // The superuser may write anywhere; /proc nobody may.
        let refused = broker.fails_to_start("/proc/leveret".as_ref(), "127.0.0.1:0");
        assert_refused(&refused, &["/proc/leveret"]);
        return;
    }
    let refused = broker.fails_to_start(&locked.join("data"), "127.0.0.1:0");
    assert_refused(&refused, &[locked.to_str().unwrap()]);
}

#[test]
fn a_setting_that_does_not_exist_is_named_with_its_line() {
    let broker = TestBroker::own();
    broker.configure("# one\nhart_beat = 5\n");
    let other = tempfile::tempdir().unwrap();
    let refused = broker.fails_to_start(other.path(), "127.0.0.1:0");
    assert_refused(&refused, &["config.toml", "line 2", "hart_beat"]);
}

#[test]
fn a_value_that_does_not_fit_is_named_with_its_line() {
    let broker = TestBroker::own();
    broker.configure("\n\nchannel_max = 70000\n");
    let other = tempfile::tempdir().unwrap();
    let refused = broker.fails_to_start(other.path(), "127.0.0.1:0");
    assert_refused(&refused, &["config.toml", "line 3", "channel_max", "70000"]);
}

#[test]
fn an_address_that_is_none_is_named() {
    let broker = TestBroker::own();
    let other = tempfile::tempdir().unwrap();
    let refused = broker.fails_to_start(other.path(), "nowhere");
    assert_refused(&refused, &["nowhere"]);
}

/// Ended by SIGKILL if the test has not ended it.
struct Deaf(Child);

impl Drop for Deaf {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_that_cannot_be_written_stops_nobody() {
    let home = tempfile::tempdir().unwrap();
    // Somebody else may take the port in between; then the broker does not start, and the test says so.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let command = Command::new(env!("CARGO_BIN_EXE_leveret"))
        .args(["--listen", &address, "--data-dir"])
        .arg(home.path().join("data"))
        .stderr(File::options().write(true).open("/dev/full").unwrap())
        .spawn();
    let mut broker = Deaf(command.unwrap());
    let mut peer = None;
    eventually(PATIENCE, "the broker listens", || {
        peer = RawPeer::try_dial(&address).ok();
        peer.is_some()
    });

    let mut peer = peer.unwrap();
    peer.logs_in(&Login::default());
    peer.opens(1);
    peer.has_durable_queue(1, "q");
    peer.leaves();

    let kill = format!("kill -TERM {}", broker.0.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    assert!(broker.0.wait().unwrap().success());
}
