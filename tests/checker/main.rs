//! The checker, checked: a broker that does one thing wrong to one message is found out, and one that does nothing wrong
//! is not accused.
#![allow(unreachable_pub, reason = "one binary; pub here means: for the other files")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by failing")]

#[allow(dead_code, reason = "other tests need more of it")]
#[path = "mod.rs"]
mod checker;
mod stub;

use checker::{Checker, Event, History, How, Verdict};
use stub::{Sin, StubBroker};

const JOBS: &str = "jobs";
const PAIR: [&str; 2] = ["left", "right"];

/// A bit of everything, with a kill in the middle and a look at everything in the end.
fn history_with(sin: Option<Sin>) -> Vec<Event> {
    let mut broker = StubBroker::with(sin);
    let publisher = broker.connect();
    let consumer = broker.connect();
    broker.publish(publisher, JOBS, 20);
    broker.confirm(publisher);
    broker.consume(consumer, JOBS, 8);
    broker.settle_first(consumer, JOBS, 4, How::Ack);
    broker.barrier(consumer);
    broker.settle_first(consumer, JOBS, 1, How::Requeue);
    broker.settle_first(consumer, JOBS, 1, How::Reject);
    let transactor = broker.connect();
    for _ in 0..3 {
        broker.transact(transactor, &PAIR, JOBS);
    }
    broker.leave(consumer);
    let second = broker.connect();
    broker.consume(second, JOBS, 6);
    broker.settle_first(second, JOBS, 2, How::Ack);

    broker.kill();

    let looker = broker.connect();
    for queue in [JOBS, PAIR[0], PAIR[1]] {
        broker.look(looker, queue);
    }
    broker.note(Event::Round);
    broker.events()
}

#[test]
fn a_broker_that_does_nothing_wrong_is_not_accused() {
    let verdict = Checker::judge(&history_with(None));
    assert!(verdict.is_clean(), "{verdict:#?}");
    assert_eq!((verdict.confirmed, verdict.transactions), (20, 3));
    // Four by a barrier and one within each transaction.
    assert_eq!(verdict.settled, 7);
    assert!(verdict.duplicates > 0, "what was put back came again");
    assert!(verdict.summary().starts_with("confirmed 20, settled 7, "), "{}", verdict.summary());
}

/// This and nothing else is said to be wrong.
#[track_caller]
fn is_found_out(sin: Sin, what: &str) {
    let verdict = Checker::judge(&history_with(Some(sin)));
    let found = verdict.faults().into_iter().filter(|(_, found)| !found.is_empty());
    let names: Vec<_> = found.map(|(name, _)| name).collect();
    assert_eq!(names, [what], "{verdict:#?}");
}

#[test]
fn a_broker_that_loses_a_message_is_found_out() {
    is_found_out(Sin::Lose, "lost");
}

#[test]
fn a_broker_that_has_a_message_twice_is_found_out() {
    is_found_out(Sin::Double, "doubled");
}

#[test]
fn a_broker_that_swaps_messages_is_found_out() {
    is_found_out(Sin::Reorder, "out of order");
}

#[test]
fn a_broker_that_brings_back_what_was_settled_is_found_out() {
    is_found_out(Sin::Resurrect, "resurrected");
}

#[test]
fn a_broker_that_damages_a_body_is_found_out() {
    is_found_out(Sin::Corrupt, "corrupt");
}

#[test]
fn a_broker_that_tears_a_transaction_is_found_out() {
    is_found_out(Sin::Tear, "half transactions");
}

#[test]
fn a_broker_that_forgets_the_redelivered_flag_is_found_out() {
    is_found_out(Sin::ForgetFlag, "not marked as redelivered");
}

#[test]
fn a_broker_that_delivers_what_nobody_published_is_found_out() {
    is_found_out(Sin::Invent, "unexpected");
}

#[test]
fn a_history_is_the_same_when_it_is_read_from_its_file() {
    let events = history_with(Some(Sin::Lose));
    let path = std::env::temp_dir().join(format!("history-{}", std::process::id()));

    History::write(&events, &path).unwrap();
    let read = History::read(&path);
    std::fs::remove_file(&path).unwrap();

    let read = read.unwrap();
    assert_eq!(read, events);
    assert_eq!(Checker::judge(&read), Checker::judge(&events));
}

#[test]
fn every_event_has_a_line() {
    let lines = [
        "publish 1/7 jobs",
        "publish 1/7 jobs within 3",
        "confirm 1/7",
        "refuse 1/7",
        "return 1/7",
        "deliver 2 jobs 1/7 first intact",
        "deliver 2 jobs 1/7 again damaged",
        "settle 2 jobs 1/7 ack",
        "settle 2 jobs 1/7 requeue within 9",
        "settle 2 jobs 1/7 reject",
        "ask 2 5",
        "answer 2 5",
        "commit 2 5",
        "committed 2 5",
        "end 2",
        "fault kill",
        "look 2 jobs",
        "looked 2 jobs",
        "round",
        "purge jobs",
    ];
    for line in lines {
        assert_eq!(line.parse::<Event>().unwrap().to_string(), line);
    }
    for line in ["", "publish 1 jobs", "confirm", "end two", "round trip", "settle 2 q 1/7 eat"] {
        assert!(line.parse::<Event>().is_err(), "{line}");
    }
}

fn judged(lines: &[&str]) -> Verdict {
    let events: Vec<Event> = lines.iter().map(|line| line.parse().unwrap()).collect();
    Checker::judge(&events)
}

#[test]
fn what_was_not_confirmed_may_be_lost() {
    let verdict = judged(&["publish 1/1 q", "fault kill", "look 2 q", "looked 2 q"]);
    assert!(verdict.is_clean(), "{verdict:#?}");
}

#[test]
fn what_was_once_found_must_stay() {
    let look = ["look 2 q", "deliver 2 q 1/1 first intact", "looked 2 q", "end 2"];
    let again = ["fault kill", "look 3 q", "looked 3 q"];
    let verdict = judged(&[&["publish 1/1 q", "fault kill"], &look[..], &again[..]].concat());
    assert_eq!(verdict.lost.len(), 1);
}

#[test]
fn what_was_once_missed_must_stay_away() {
    let verdict = judged(&[
        "publish 1/1 q",
        "fault kill",
        "look 2 q",
        "looked 2 q",
        "deliver 2 q 1/1 first intact",
    ]);
    assert_eq!(verdict.resurrected.len(), 1);
}

#[test]
fn a_settlement_without_an_answer_may_be_undone_by_a_kill() {
    let sent =
        ["publish 1/1 q", "confirm 1/1", "deliver 2 q 1/1 first intact", "settle 2 q 1/1 ack"];
    for after in [&["deliver 3 q 1/1 again intact"][..], &[]] {
        let look = [&["end 2", "fault kill", "look 3 q"], after, &["looked 3 q"]].concat();
        let verdict = judged(&[&sent[..], &look].concat());
        assert!(verdict.is_clean(), "{verdict:#?}");
    }
}

#[test]
fn a_barrier_speaks_for_what_was_settled_before_it_was_asked() {
    let verdict = judged(&[
        "publish 1/1 q",
        "publish 1/2 q",
        "deliver 2 q 1/1 first intact",
        "deliver 2 q 1/2 first intact",
        "settle 2 q 1/1 ack",
        "ask 2 1",
        "settle 2 q 1/2 ack",
        "answer 2 1",
        "end 2",
        "fault kill",
        "deliver 3 q 1/1 again intact",
        "deliver 3 q 1/2 again intact",
    ]);
    assert_eq!(verdict.resurrected, ["1/1 in q"]);
}

#[test]
fn a_delivery_that_nothing_has_vouched_for_may_be_forgotten_by_a_kill() {
    let seen = ["publish 1/1 q", "deliver 2 q 1/1 first intact"];
    let again = ["end 2", "fault kill", "deliver 3 q 1/1 first intact"];
    let vouched = ["publish 1/2 q", "confirm 1/2"];

    assert!(judged(&[seen, again[..2].try_into().unwrap()].concat()).is_clean());
    assert_eq!(judged(&[&seen[..], &again].concat()).unmarked.len(), 0);
    assert_eq!(judged(&[&seen[..], &vouched, &again].concat()).unmarked.len(), 1);
}

#[test]
fn a_purge_excuses_what_is_missing() {
    let verdict = judged(&[
        "publish 1/1 q",
        "confirm 1/1",
        "purge q",
        "fault kill",
        "look 2 q",
        "looked 2 q",
    ]);
    assert!(verdict.is_clean(), "{verdict:#?}");
}

#[test]
fn a_transaction_that_was_never_committed_must_not_be_seen() {
    let verdict = judged(&["publish 1/1 q within 1", "end 1", "deliver 2 q 1/1 first intact"]);
    assert_eq!(verdict.resurrected.len(), 1);
}
