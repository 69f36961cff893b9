//! Consumers, their credit, and what comes back.

use super::frames::*;
use super::*;

/// A client with the queue `jobs`, in which these messages are.
fn client_with_jobs<const N: usize>(broker: &BrokerUnderTest, jobs: [&str; N]) -> ClientUnderTest {
    let mut client = broker.client();
    client.says([declare("jobs", "")]);
    client.says(jobs.map(|job| publish("jobs", job)));
    client.hears();
    client
}

#[test]
fn the_consumer_hears_that_it_is_one_before_its_first_delivery() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, ["a"]);

    client.says([consume("jobs", "worker")]);

    assert_eq!(client.hears(), ["1 consume-ok worker", "1 deliver 1 to worker: a"]);
}

#[test]
fn prefetch_is_for_consumers_that_start_later() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, ["a", "b", "c"]);
    client.says([qos(1, false), consume("jobs", "worker"), qos(3, false)]);
    let heard = client.hears();
    assert_eq!(heard[1..], ["1 consume-ok worker", "1 deliver 1 to worker: a", "1 qos-ok"]);

    client.says([ack(1)]);

    assert_eq!(client.hears(), ["1 deliver 2 to worker: b"]);
}

#[test]
fn each_consumer_has_its_own_prefetch() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, ["a", "b", "c"]);

    client.says([qos(1, false), consume("jobs", "one"), consume("jobs", "two")]);

    assert_eq!(
        client.hears(),
        [
            "1 qos-ok",
            "1 consume-ok one",
            "1 deliver 1 to one: a",
            "1 consume-ok two",
            "1 deliver 2 to two: b"
        ]
    );
}

#[test]
fn a_global_prefetch_holds_for_consumers_that_are_there_already() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, ["a"]);
    client.says([consume("jobs", "worker"), qos(1, true), publish("jobs", "b")]);
    assert_eq!(client.hears(), ["1 consume-ok worker", "1 deliver 1 to worker: a", "1 qos-ok"]);

    client.says([qos(2, true)]);

    assert_eq!(client.hears(), ["1 qos-ok", "1 deliver 2 to worker: b"]);
}

#[test]
fn a_global_prefetch_is_shared_by_queues_of_the_channel() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, ["a"]);
    client.says([declare("notes", ""), publish("notes", "n"), qos(1, true)]);
    client.says([consume("jobs", "worker"), consume("notes", "reader")]);
    let heard = client.hears();
    assert_eq!(
        heard[2..],
        ["1 consume-ok worker", "1 deliver 1 to worker: a", "1 consume-ok reader"]
    );

    client.says([ack(1)]);

    assert_eq!(client.hears(), ["1 deliver 2 to reader: n"]);
}

#[test]
fn a_consumer_without_acknowledgements_needs_no_credit() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, ["a", "b"]);

    client.says([qos(1, false), qos(1, true), consume_with("jobs", "worker", "no-ack")]);

    assert_eq!(client.hears()[3..], ["1 deliver 1 to worker: a", "1 deliver 2 to worker: b"]);
    assert_eq!(broker.ready("jobs"), 0);
}

#[test]
fn acknowledging_several_frees_credit_for_as_many() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, ["a", "b", "c", "d"]);
    client.says([qos(2, false), consume("jobs", "worker")]);
    client.hears();

    client.says([ack_up_to(2)]);

    assert_eq!(client.hears(), ["1 deliver 3 to worker: c", "1 deliver 4 to worker: d"]);
}

#[test]
fn a_tag_that_is_not_outstanding_closes_the_channel() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, ["a"]);
    client.says([get("jobs"), ack(1), ack(1)]);

    let text = "1 close 406 PRECONDITION_FAILED - unknown delivery tag 1";
    assert_eq!(client.hears(), ["1 get-ok 1: a, 0 left", text]);
}

#[test]
fn what_is_acknowledged_before_a_wrong_tag_does_not_come_back() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, ["a", "b", "c"]);
    client.says([get("jobs"), get("jobs"), get("jobs"), ack(1), ack(2), ack(2)]);
    client.hears();
    let mut other = broker.client();
    other.says([get("jobs")]);

    assert_eq!(other.hears(), ["1 get-ok 1 again: c, 0 left"]);
}

#[test]
fn a_requeued_message_comes_back_redelivered_with_a_new_tag() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, ["a", "b"]);
    client.says([get("jobs"), requeue(1), get("jobs")]);

    assert_eq!(client.hears(), ["1 get-ok 1: a, 1 left", "1 get-ok 2 again: a, 1 left"]);
}

#[test]
fn recover_gives_everything_back_after_its_answer() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, ["a", "b"]);
    client.says([consume("jobs", "worker")]);
    client.hears();

    client.says([recover()]);

    assert_eq!(
        client.hears(),
        ["1 recover-ok", "1 deliver 3 to worker again: a", "1 deliver 4 to worker again: b"]
    );
}

#[test]
fn a_cancelled_consumer_keeps_its_deliveries_and_may_acknowledge_them() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, ["a"]);
    client.says([consume("jobs", "worker"), cancel("worker"), publish("jobs", "b"), ack(1)]);

    assert_eq!(
        client.hears(),
        ["1 consume-ok worker", "1 deliver 1 to worker: a", "1 cancel-ok worker"]
    );
    assert_eq!(broker.ready("jobs"), 1);
}

#[test]
fn cancelling_an_unknown_tag_is_answered_all_the_same() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();

    client.says([cancel("nobody")]);

    assert_eq!(client.hears(), ["1 cancel-ok nobody"]);
}

#[test]
fn closing_a_channel_gives_back_what_it_had() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, ["a", "b", "c"]);
    client.says([qos(1, false), consume("jobs", "worker"), get("jobs"), close_channel()]);
    client.hears();

    assert_eq!(broker.queue("jobs").unwrap().counts().consumers, 0);
    client.says([open_channel(), get("jobs"), get("jobs"), get("jobs")]);
    assert_eq!(
        client.hears(),
        [
            "1 open-ok",
            "1 get-ok 1 again: a, 2 left",
            "1 get-ok 2 again: b, 1 left",
            "1 get-ok 3: c, 0 left"
        ]
    );
}

#[test]
fn a_failing_channel_gives_back_what_it_had_to_others() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, ["a"]);
    let mut other = broker.client();
    client.says([consume("jobs", "worker")]);
    other.says([consume("jobs", "heir")]);
    assert_eq!(other.hears(), ["1 consume-ok heir"]);

    client.says([declare("nowhere", "passive")]);

    assert_eq!(other.hears(), ["1 deliver 1 to heir again: a"]);
}

#[test]
fn a_consumer_hears_that_its_queue_is_gone_if_it_wants_to() {
    let broker = BrokerUnderTest::new();
    let mut owner = client_with_jobs(&broker, []);
    let mut told = broker.client_with(&["consumer_cancel_notify"]);
    let mut untold = broker.client();
    told.says([consume("jobs", "worker")]);
    untold.says([consume("jobs", "worker")]);

    owner.says([delete("jobs")]);

    assert_eq!(told.hears(), ["1 consume-ok worker", "1 cancel worker"]);
    assert_eq!(untold.hears(), ["1 consume-ok worker"]);
}

#[test]
fn a_consumer_tag_is_free_again_when_its_queue_is_gone() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, []);
    client.says([consume("jobs", "worker"), delete("jobs"), declare("jobs", "")]);
    client.hears();

    client.says([consume("jobs", "worker"), publish("jobs", "a")]);

    assert_eq!(client.hears(), ["1 consume-ok worker", "1 deliver 1 to worker: a"]);
}

#[test]
fn a_consumer_tag_is_used_once_a_channel() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, []);
    client.says([consume("jobs", "worker"), consume("jobs", "worker")]);

    let text = "0 close 530 NOT_ALLOWED - attempt to reuse consumer tag 'worker'";
    assert_eq!(client.hears(), ["1 consume-ok worker", text]);
}

#[test]
fn an_exclusive_consumer_is_refused_beside_others_and_leaves_no_trace() {
    let broker = BrokerUnderTest::new();
    let mut first = client_with_jobs(&broker, []);
    let mut second = broker.client();
    first.says([consume("jobs", "worker")]);
    second.says([consume_with("jobs", "alone", "exclusive")]);

    let text = "1 close 403 ACCESS_REFUSED - queue 'jobs' in vhost '/' in exclusive use";
    assert_eq!(second.hears(), [text]);
    assert_eq!(broker.queue("jobs").unwrap().counts().consumers, 1);
}

#[test]
fn a_full_outbox_parks_the_consumer_until_it_is_drained() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, []);
    client.says([consume_with("jobs", "worker", "no-ack")]);
    let big = "x".repeat(600_000);
    for _ in 0..5 {
        client.says([publish("jobs", &big)]);
    }
    assert_eq!(broker.ready("jobs"), 3, "two fill the outbox");

    // Each drain makes room for as much again.
    assert_eq!(client.hears().len(), 6);
    assert_eq!(broker.ready("jobs"), 0);
}

#[test]
fn a_global_prefetch_is_no_consumers_own() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, ["a", "b"]);
    client.says([qos(1, true), consume("jobs", "worker")]);
    assert_eq!(client.hears().last().unwrap(), "1 deliver 1 to worker: a");

    client.says([qos(0, true)]);

    assert_eq!(client.hears(), ["1 qos-ok", "1 deliver 2 to worker: b"]);
}

#[test]
fn deliveries_of_a_cancelled_consumer_hold_the_channels_credit_until_they_are_settled() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, ["a", "b"]);
    client.says([qos(1, true), consume("jobs", "first"), cancel("first")]);
    client.says([consume("jobs", "second")]);
    assert_eq!(client.hears().last().unwrap(), "1 consume-ok second");

    client.says([ack(1)]);

    assert_eq!(client.hears(), ["1 deliver 2 to second: b"]);
}

#[test]
fn what_was_got_does_not_count_against_the_channels_credit() {
    let broker = BrokerUnderTest::new();
    let mut client = client_with_jobs(&broker, ["a", "b"]);

    client.says([qos(1, true), get("jobs"), consume("jobs", "worker")]);

    assert_eq!(client.hears().last().unwrap(), "1 deliver 2 to worker: b");
}

#[test]
fn who_deletes_a_queue_hears_the_answer_before_the_end_of_its_own_consumers() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client_with(&["consumer_cancel_notify"]);
    client.says([declare("jobs", ""), consume("jobs", "worker")]);
    client.hears();

    client.says([delete("jobs")]);
    broker.commits();

    assert_eq!(client.hears(), ["1 delete-ok 0", "1 cancel worker"]);
}
