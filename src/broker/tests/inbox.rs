//! Where the committer waits.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use crate::broker::commit_inbox::{Awaiting, CommitInbox, Mark};
use crate::broker::tests::support::{Bell, Listener};
use crate::limits;

/// Long enough that a test which waits for it would be taken off.
const FOREVER: Duration = Duration::from_hours(1);

fn mark(who: &Arc<Listener>, sequence: u64) -> Mark {
    Mark { who: Arc::clone(who) as Arc<dyn Awaiting>, sequence }
}

fn leave(inbox: &CommitInbox, who: &Arc<Listener>, sequence: u64) {
    inbox.leave_marks([mark(who, sequence)].into_iter());
}

fn keep(host: &HostUnderTest, queue: &Arc<Queue>, body: &str) {
    turn(&host.broker, |turn| queue.enqueue(&mut vec![message(body, true)], turn));
}

#[test]
fn a_turn_leaves_its_marks_when_it_is_finished() {
    let host = HostUnderTest::new();
    let listener = Arc::new(Listener::default());
    turn(&host.broker, |turn| {
        turn.leave_mark(mark(&listener, 7));
        assert!(work(host.broker.inbox()).marks.is_empty());
    });

    let marks = work(host.broker.inbox()).marks;

    assert_eq!(marks.iter().map(|mark| mark.sequence).collect::<Vec<_>>(), [7]);
}

#[test]
fn what_is_left_after_the_work_was_taken_waits_for_the_next_cycle() {
    let host = HostUnderTest::new();
    let (inbox, listener) = (host.broker.inbox(), Arc::new(Listener::default()));
    let queue = host.queue("unused");
    leave(inbox, &listener, 1);
    let first = work(inbox);
    leave(inbox, &listener, 2);
    inbox.raise_hand(queue);

    let second = work(inbox);

    assert_eq!((first.marks.len(), first.queues.len()), (1, 0));
    assert_eq!((second.marks.len(), second.queues.len()), (1, 1));
}

#[test]
fn a_queue_that_changed_since_the_work_was_taken_joins_the_cycle() {
    let host = HostUnderTest::new();
    let (early, late) = (host.durable_queue("early"), host.durable_queue("late"));
    keep(&host, &early, "a");
    let mut first = work(host.broker.inbox());
    keep(&host, &late, "b");
    host.durable_queue("later");

    host.broker.inbox().late_queues(&mut first);
    host.broker.inbox().late_vhosts(&mut first);

    let names: Vec<_> = first.queues.iter().map(|queue| &*queue.name).collect();
    assert_eq!(names, ["early", "late"]);
    assert!(work(host.broker.inbox()).queues.is_empty());
}

#[test]
fn a_change_without_a_mark_wakes_the_committer_when_its_turn_is_over() {
    let host = HostUnderTest::new();
    let queue = host.durable_queue("kept");
    let _declared = work(host.broker.inbox());
    let inbox = Arc::clone(host.broker.inbox());
    let committer = std::thread::spawn(move || inbox.wait(Duration::ZERO, FOREVER));
    while !host.broker.inbox().is_idle() {
        std::thread::yield_now();
    }

    keep(&host, &queue, "a");

    assert_eq!(committer.join().unwrap().queues.len(), 1);
}

#[test]
fn waiting_for_nothing_ends_with_nothing() {
    let work = CommitInbox::default().wait(FOREVER, Duration::ZERO);

    assert!(work.marks.is_empty() && work.queues.is_empty() && work.vhosts.is_empty());
    assert!(!work.last);
}

#[test]
fn a_mark_ends_the_wait_and_the_linger() {
    let host = HostUnderTest::new();
    let queue = host.durable_queue("q");
    work(host.broker.inbox());
    let inbox = host.broker.inbox();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| inbox.wait(FOREVER, FOREVER));
        keep(&host, &queue, "a");
        leave(inbox, &Arc::new(Listener::default()), 1);

        let work = waiting.join().unwrap();
        assert_eq!((work.marks.len(), work.queues.len()), (1, 1));
    });
}

#[test]
fn many_unsaved_bytes_end_the_linger() {
    let host = HostUnderTest::new();
    let queue = host.durable_queue("q");
    let body = "x".repeat(limits::LINGER_BYTES);
    keep(&host, &queue, &body);

    assert_eq!(host.broker.inbox().wait(FOREVER, FOREVER).queues.len(), 1);
}

#[test]
fn stopping_ends_the_wait_with_the_last_work() {
    let host = HostUnderTest::new();
    let inbox = host.broker.inbox();
    host.durable_queue("q");
    inbox.stop();

    let last = inbox.wait(FOREVER, FOREVER);

    assert!(last.last);
    assert_eq!(last.vhosts.len(), 1);
}

#[test]
fn publishers_go_on_while_there_is_room() {
    let inbox = CommitInbox::default();
    let mut context = Context::from_waker(Waker::noop());
    inbox.add_unsaved(9);
    assert_eq!(inbox.poll_room(&mut context, 10), Poll::Ready(()));

    inbox.add_unsaved(1);

    assert_eq!(inbox.poll_room(&mut context, 10), Poll::Pending);
}

#[test]
fn waiting_publishers_are_woken_once_when_they_are_let_in() {
    let inbox = CommitInbox::default();
    let bells = [Arc::new(Bell::default()), Arc::new(Bell::default())];
    inbox.add_unsaved(10);
    for bell in &bells {
        let waker = Waker::from(Arc::clone(bell));
        assert_eq!(inbox.poll_room(&mut Context::from_waker(&waker), 10), Poll::Pending);
    }
    inbox.subtract_unsaved(10);
    assert_eq!(bells[0].rung(), 0);

    inbox.let_in();
    inbox.let_in();

    assert_eq!([bells[0].rung(), bells[1].rung()], [1, 1]);
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(inbox.poll_room(&mut context, 10), Poll::Ready(()));
}
