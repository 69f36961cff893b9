//! Transactions: whole or not at all.

use super::frames::*;
use super::*;

/// A client in a transaction, with the durable queues `jobs` and `done`.
fn client(broker: &BrokerUnderTest) -> ClientUnderTest {
    let mut client = broker.client_of(["jobs", "done"]);
    client.says([tx_select()]);
    assert_eq!(client.hears(), ["1 tx-select-ok"]);
    client
}

#[test]
fn nothing_of_a_transaction_is_visible_before_its_commit() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    client.says([keep("jobs", "a"), publish("done", "b")]);
    assert_eq!((broker.ready("jobs"), broker.ready("done")), (0, 0));

    client.says([tx_commit()]);

    assert_eq!((broker.ready("jobs"), broker.ready("done")), (1, 1));
}

#[test]
fn the_answer_to_a_commit_waits_for_the_disk() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    client.says([keep("jobs", "a"), keep("done", "b"), tx_commit()]);
    assert!(client.hears().is_empty());

    let mut kept = broker.commits().kept();

    kept.sort();
    assert_eq!(kept, ["a", "b"]);
    assert_eq!(client.hears(), ["1 commit-ok"]);
}

#[test]
fn a_commit_that_keeps_nothing_is_answered_at_once() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);

    client.says([publish("jobs", "a"), tx_commit()]);

    assert_eq!(client.hears(), ["1 commit-ok"]);
}

#[test]
fn publishes_and_acknowledgements_are_one_change_for_the_committer() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    client.says([keep("jobs", "a"), tx_commit()]);
    broker.commits();
    client.says([get("jobs")]);
    broker.commits();

    client.says([ack(1), keep("done", "b"), tx_commit()]);

    let committed = broker.commits();
    assert_eq!((committed.kept(), committed.gone()), (vec!["b".to_owned()], 1));
    assert_eq!(client.hears().last().unwrap(), "1 commit-ok");
}

#[test]
fn a_commit_waits_while_the_committer_looks() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    client.says([keep("jobs", "a"), keep("done", "b")]);
    let collecting = broker.broker().inbox().gate().close();
    let ready = || (broker.ready("jobs"), broker.ready("done"));

    std::thread::scope(|scope| {
        let committing = scope.spawn(|| {
            client.says([tx_commit()]);
        });
        // Nothing becomes visible, however long one looks.
        for _ in 0..1000 {
            assert_eq!(ready(), (0, 0));
            std::thread::yield_now();
        }
        assert!(!committing.is_finished());
        drop(collecting);
    });

    assert_eq!(ready(), (1, 1));
}

#[test]
fn a_commit_in_a_cycle_that_took_its_work_before_waits_for_the_next_one() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    client.says([keep("jobs", "a"), keep("done", "b")]);
    broker.commits_with(|| {
        client.says([tx_commit()]);
    });
    assert!(client.hears().is_empty());

    broker.commits();

    assert_eq!(client.hears(), ["1 commit-ok"]);
}

#[test]
fn a_mandatory_message_is_returned_at_the_commit_and_before_its_answer() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    client.says([publish_to("", "nowhere", "a", "mandatory")]);
    assert!(client.hears().is_empty());

    client.says([tx_commit()]);

    assert_eq!(client.hears(), ["1 return a", "1 commit-ok"]);
}

#[test]
fn a_rollback_forgets_publishes_and_keeps_tags_outstanding() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    client.says([publish("jobs", "a"), tx_commit(), get("jobs"), ack(1), publish("jobs", "b")]);
    client.hears();

    client.says([tx_rollback()]);
    assert_eq!(client.hears(), ["1 rollback-ok"]);

    client.says([ack(1), tx_commit()]);
    assert_eq!(client.hears(), ["1 commit-ok"]);
    assert_eq!(broker.ready("jobs"), 0);
}

#[test]
fn a_tag_acknowledged_in_a_transaction_is_not_outstanding_any_more() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    client.says([publish("jobs", "a"), tx_commit(), get("jobs"), ack(1), ack(1)]);

    let text = "1 close 406 PRECONDITION_FAILED - unknown delivery tag 1";
    assert_eq!(client.hears().last().unwrap(), text);
}

#[test]
fn acknowledgements_free_credit_at_the_commit_only() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    client.says([publish("jobs", "a"), publish("jobs", "b"), tx_commit()]);
    client.says([qos(1, false), consume("jobs", "worker"), ack(1)]);
    assert_eq!(client.hears().last().unwrap(), "1 deliver 1 to worker: a");

    client.says([tx_commit()]);

    assert_eq!(client.hears(), ["1 deliver 2 to worker: b", "1 commit-ok"]);
}

#[test]
fn a_channel_that_closes_gives_back_what_its_transaction_had_taken() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    client.says([publish("jobs", "a"), tx_commit(), get("jobs"), ack(1), publish("done", "b")]);

    client.says([close_channel()]);

    assert_eq!((broker.ready("jobs"), broker.ready("done")), (1, 0));
}

#[test]
fn requeues_of_a_transaction_happen_at_its_commit() {
    let broker = BrokerUnderTest::new();
    let mut client = client(&broker);
    client.says([publish("jobs", "a"), tx_commit(), get("jobs"), requeue(1)]);
    assert_eq!(broker.ready("jobs"), 0);

    client.says([tx_commit()]);

    assert_eq!(broker.ready("jobs"), 1);
}

#[test]
fn a_commit_outside_of_a_transaction_is_refused() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();

    client.says([tx_commit()]);

    let text = "1 close 406 PRECONDITION_FAILED - channel is not transactional";
    assert_eq!(client.hears(), [text]);
}
