//! `leveret bench`: the generator that is shipped does every workload and step, and notices what it is there to notice.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Output, Stdio};

use serde_json::Value;

use crate::backup::assert_code;
use crate::support::TestBroker;

/// Enough to be compared and settled, few enough to be quick.
const MESSAGES: &str = "200";

fn bench(address: &str, arguments: &[&str]) -> Output {
    let bench = &mut TestBroker::binary();
    bench.args(["bench", "--amqp", address]).args(arguments).output().unwrap()
}

/// The JSON objects it printed.
fn objects(output: &Output) -> Vec<Value> {
    assert_code(output, 0, &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The generator's stand-in for a broker, ended with the test.
struct Relay {
    process: Child,
    address: String,
}

impl Relay {
    fn with_fault(fault: &str) -> Self {
        let mut relay = TestBroker::binary();
        relay.args(["bench", "--relay", "127.0.0.1:0", "--relay-fault", fault]);
        let mut process = relay.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { process, address }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn every_workload_is_done_and_comes_out_clean() {
    let broker = TestBroker::start();
    let listed = bench(broker.address(), &["--list"]);
    let names = String::from_utf8(listed.stdout).unwrap();
    let names: Vec<_> = names.lines().filter_map(|line| line.split(' ').next()).collect();

    let runs = objects(&bench(broker.address(), &["--messages", MESSAGES, "--json"]));

    assert!(names.contains(&"W1") && names.contains(&"W15"), "{names:?}");
    assert_eq!(runs.iter().map(|run| run["workload"].as_str().unwrap()).collect::<Vec<_>>(), names);
    for run in &runs {
        let pairs = run["pairs"].as_u64().unwrap();
        assert_eq!(run["published"], 200 * pairs, "{run}");
        let copies = if run["workload"] == "W7" { 10 } else { 1 };
        assert_eq!(run["received"], 200 * pairs * copies, "{run}");
        assert_eq!(run["delivery_p50_ms"].is_number(), run["rate"].is_number(), "{run}");
        assert_eq!(run["cycle_p50_ms"].is_number(), run["workload"] == "W12", "{run}");
    }
}

#[test]
fn a_workload_is_done_with_other_numbers() {
    let broker = TestBroker::start();
    let numbers = ["--messages", "301", "--pairs", "2", "--queues", "120", "--body-bytes", "64"];
    let more = ["--rate", "20000", "--idle-connections", "20", "--workload", "W4,W7", "--json"];

    let runs = objects(&bench(broker.address(), &[&numbers[..], &more[..]].concat()));

    for (run, deliveries) in runs.iter().zip([2 * 301, 2 * 301 * 120]) {
        assert_eq!(run["received"], deliveries, "{run}");
        for (name, value) in [
            ("pairs", 2),
            ("queues", 120),
            ("body_bytes", 64),
            ("rate", 20_000),
            ("idle_connections", 20),
        ] {
            assert_eq!(run[name], value, "{run}");
        }
    }
    let topic =
        ["--messages", "300", "--workload", "W8", "--queues", "3", "--bindings", "90", "--json"];
    assert_eq!(objects(&bench(broker.address(), &topic))[0]["bindings"], 90);
    assert_code(
        &bench(broker.address(), &["--workload", "W8", "--bindings", "91"]),
        2,
        &["91 bindings are no multiple of 10 queues"],
    );
}

#[test]
fn idle_connections_are_opened_and_closed() {
    let broker = TestBroker::start();
    let step = ["--step", "connections", "--connections", "30", "--json"];

    let report = &objects(&bench(broker.address(), &step))[0];

    assert_eq!(report["figures"]["connections"], 30.0, "{report}");
}

#[test]
fn verification_notices_what_a_broker_does_wrong() {
    for (fault, what) in
        [("double", "doubled 2"), ("swap", "out of order 2"), ("damage", "damaged")]
    {
        let relay = Relay::with_fault(fault);
        let run = bench(
            &relay.address,
            &["--workload", "W1", "--messages", "2500", "--body-bytes", "100"],
        );
        assert_code(&run, 1, &[what, "verification failed"]);
    }
}

#[test]
fn a_broker_that_is_not_there_is_told_from_one_that_fails() {
    let nowhere = Relay::with_fault("double").address.clone();
    assert_code(&bench(&nowhere, &["--workload", "W1"]), 2, &["cannot connect"]);
}
