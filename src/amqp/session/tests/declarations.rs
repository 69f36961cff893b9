//! Replies that wait for the disk, and what waits behind them.

use super::frames::*;
use super::*;

#[test]
fn the_answer_to_a_durable_declare_waits_for_the_disk() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("jobs", "durable")]);
    assert!(broker.queue("jobs").is_some(), "visible at once");
    assert!(client.hears().is_empty());

    let committed = broker.commits();

    assert!(
        matches!(&committed.definitions[..], [Definition::QueueDeclared(queue)] if &*queue.name == "jobs")
    );
    assert_eq!(client.hears(), ["1 declare-ok jobs 0 0"]);
}

#[test]
fn the_answer_to_a_transient_declare_waits_for_nothing() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();

    client.says([declare("jobs", ""), declare_exchange("x", "fanout", false)]);

    assert_eq!(client.hears(), ["1 declare-ok jobs 0 0", "1 exchange-declare-ok"]);
    assert!(broker.commits().definitions.is_empty());
}

#[test]
fn later_replies_of_the_channel_wait_behind_a_held_one() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("jobs", "durable"), declare("notes", "")]);
    client.says([qos(5, false)]);
    assert!(client.hears().is_empty());

    broker.commits();

    assert_eq!(client.hears(), ["1 declare-ok jobs 0 0", "1 declare-ok notes 0 0", "1 qos-ok"]);
}

#[test]
fn replies_of_other_channels_do_not_wait() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();

    client.says([declare("jobs", "durable"), open_channel().on(2), declare("notes", "").on(2)]);

    assert_eq!(client.hears(), ["2 open-ok", "2 declare-ok notes 0 0"]);
}

#[test]
fn pipelined_declares_share_a_commit() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("a", "durable"), bind("a", "amq.fanout", ""), declare("b", "durable")]);

    assert_eq!(broker.commits().definitions.len(), 3);

    assert_eq!(client.hears(), ["1 declare-ok a 0 0", "1 bind-ok", "1 declare-ok b 0 0"]);
}

#[test]
fn a_reply_of_a_later_turn_waits_for_its_own_mark() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("a", "durable")]);
    broker.commits_with(|| {
        client.says([declare("b", "durable")]);
    });
    assert_eq!(client.hears(), ["1 declare-ok a 0 0"]);

    broker.commits();

    assert_eq!(client.hears(), ["1 declare-ok b 0 0"]);
}

#[test]
fn a_passive_declare_waits_for_nothing() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client_of(["jobs"]);

    client.says([declare("jobs", "passive")]);

    assert_eq!(client.hears(), ["1 declare-ok jobs 0 0"]);
}

#[test]
fn a_queue_that_somebody_else_declared_is_promised_when_it_is_on_disk() {
    let broker = BrokerUnderTest::new();
    let (mut first, mut second) = (broker.client(), broker.client());
    first.says([declare("jobs", "durable")]);
    second.says([declare("jobs", "durable")]);
    assert!(second.hears().is_empty());

    broker.commits();

    assert_eq!(second.hears(), ["1 declare-ok jobs 0 0"]);
}

#[test]
fn a_consume_behind_a_held_declare_waits_and_then_goes_on() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    let status =
        client.says([declare("jobs", "durable"), consume("jobs", "worker"), publish("jobs", "a")]);
    assert_eq!(status, Status::Stalled);
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(client.outbox.poll_committed(&mut context), Poll::Pending);
    assert!(client.hears().is_empty());

    broker.commits();
    assert_eq!(client.resumes(), Status::Running);

    assert_eq!(
        client.hears(),
        ["1 declare-ok jobs 0 0", "1 consume-ok worker", "1 deliver 1 to worker: a"]
    );
}

#[test]
fn a_get_behind_a_held_declare_waits_and_sees_what_was_published_before_it() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("jobs", "durable"), publish("jobs", "a"), get("jobs")]);

    broker.commits();
    client.resumes();

    assert_eq!(client.hears(), ["1 declare-ok jobs 0 0", "1 get-ok 1: a, 0 left"]);
}

#[test]
fn closing_a_channel_waits_for_its_held_replies() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    assert_eq!(client.says([declare("jobs", "durable"), close_channel()]), Status::Stalled);

    broker.commits();
    client.resumes();

    assert_eq!(client.hears(), ["1 declare-ok jobs 0 0", "1 close-ok"]);
}

#[test]
fn a_waiting_reader_is_woken_by_the_commit() {
    struct Bell(std::sync::atomic::AtomicBool);
    impl std::task::Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("jobs", "durable"), get("jobs")]);
    let bell = Arc::new(Bell(false.into()));
    let waker = Waker::from(Arc::clone(&bell));
    let waiting = client.outbox.poll_committed(&mut Context::from_waker(&waker));
    assert_eq!(waiting, Poll::Pending);

    broker.commits();

    assert!(bell.0.load(std::sync::atomic::Ordering::Relaxed));
    client.resumes();
}

#[test]
fn a_durable_delete_and_purge_wait_for_the_disk() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client_of(["jobs"]);
    client.says([keep("jobs", "a"), purge("jobs"), delete("jobs")]);
    assert!(client.hears().is_empty());

    let committed = broker.commits();

    assert!(matches!(&committed.definitions[..], [Definition::QueueDeleted { .. }]));
    assert!(committed.kept().is_empty());
    assert_eq!(client.hears(), ["1 purge-ok 1", "1 delete-ok 0"]);
}

#[test]
fn a_refusal_closes_the_channel_and_drops_what_it_held() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("jobs", "durable"), declare("nowhere", "passive")]);
    assert_eq!(client.hears(), ["1 close 404 NOT_FOUND - no queue 'nowhere' in vhost '/'"]);

    broker.commits();

    assert!(client.hears().is_empty());
}
