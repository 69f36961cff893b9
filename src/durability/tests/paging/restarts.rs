//! What is known of stored messages after a restart, without a look at them.

use super::*;

fn restart(node: &mut Node, store: &MemoryStore, with_checkpoint: bool) -> Node {
    node.commit_marked();
    if with_checkpoint {
        node.checkpoint();
    }
    let restarted = Node::on(store);
    restarted.broker.look_at_all();
    restarted
}

/// Both ways to come back: by the log, and by a checkpoint.
const WITH_AND_WITHOUT_CHECKPOINT: [bool; 2] = [false, true];

#[test]
fn nothing_is_in_memory_after_a_restart_and_all_of_it_comes_back_in_order() {
    for with_checkpoint in WITH_AND_WITHOUT_CHECKPOINT {
        let store = MemoryStore::new();
        let mut node = Node::on(&store);
        let (queue, all) = (node.declare("q"), numbers(0..2500));
        publish_all(&node, &queue, &all);
        leave_memory(&mut node, &queue);
        take(&node, &queue, 700);

        let restarted = restart(&mut node, &store, with_checkpoint);

        let queue = restarted.queue("q");
        assert_eq!((queue.counts().ready, queue.resident_bytes()), (2500, 0));
        let entries = &drain(&restarted)["q"];
        assert_eq!(entries.iter().map(body).collect::<Vec<_>>(), all);
        assert!(entries.iter().enumerate().all(|(at, entry)| entry.redelivered == (at < 700)));
    }
}

#[test]
fn quorum_queues_count_returns_of_what_is_stored_also_over_restarts() {
    for with_checkpoint in WITH_AND_WITHOUT_CHECKPOINT {
        let store = MemoryStore::new();
        let mut node = Node::on(&store);
        let queue = declare_with(&node, "q", &[("x-queue-type", text("quorum"))]);
        publish_all(&node, &queue, &numbers(0..5));
        leave_memory(&mut node, &queue);
        let had = take(&node, &queue, 3);
        settle_absent(&node, &queue, &had[..2], BACK);
        let again = take(&node, &queue, 1);
        settle_absent(&node, &queue, &again, BACK);

        let restarted = restart(&mut node, &store, with_checkpoint);

        let found: Vec<_> = drain(&restarted)["q"]
            .iter()
            .map(|entry| (body(entry), entry.returns, entry.redelivered))
            .collect();
        let expected =
            [("0", 2, true), ("1", 1, true), ("2", 0, true), ("3", 0, false), ("4", 0, false)];
        assert_eq!(found, expected.map(|(body, returns, seen)| (body.to_owned(), returns, seen)));
    }
}

#[test]
fn a_delivery_limit_is_kept_for_what_comes_back_without_its_message() {
    let mut node = Node::on(&MemoryStore::new());
    let arguments = [
        &to_dead()[..],
        &[("x-queue-type", text("quorum")), ("x-delivery-limit", AMQPValue::LongInt(1))],
    ];
    let (queue, dead) = (declare_with(&node, "q", &arguments.concat()), node.declare("dead"));
    publish_all(&node, &queue, &numbers(0..3));
    leave_memory(&mut node, &queue);
    for _ in 0..2 {
        let had = take(&node, &queue, 2);
        settle_absent(&node, &queue, &had, BACK);
        settle_down(&node);
    }

    assert_eq!((queue.counts().ready, dead.counts().ready), (1, 2));
    assert_eq!(node.bodies(), queues(&[("dead", &["0", "1"]), ("q", &["2"])]));
}

#[test]
fn what_expired_while_nobody_ran_goes_to_its_dead_letter_exchange_in_order() {
    for with_checkpoint in WITH_AND_WITHOUT_CHECKPOINT {
        let store = MemoryStore::new();
        let mut node = Node::on(&store);
        let arguments = [&to_dead()[..], &[("x-message-ttl", AMQPValue::LongInt(1000))]].concat();
        let (queue, _) = (declare_with(&node, "q", &arguments), node.declare("dead"));
        let all = numbers(0..1500);
        for some in all.chunks(500) {
            publish_all(&node, &queue, some);
            node.broker.clock().advance(Duration::from_millis(100));
        }
        leave_memory(&mut node, &queue);

        let restarted = restart(&mut node, &store, with_checkpoint);
        restarted.broker.clock().advance(Duration::from_millis(1150));
        settle_down(&restarted);

        assert_eq!(restarted.queue("q").counts().ready, 500);
        assert_eq!(restarted.queue("dead").counts().ready, 1000);
        let found = restarted.bodies();
        assert_eq!((&found["dead"][..], &found["q"][..]), (&all[..1000], &all[1000..]));
    }
}

#[test]
fn what_expires_among_what_is_stored_goes_at_its_time_and_the_others_stay() {
    let mut node = Node::on(&MemoryStore::new());
    let (queue, _) = (declare_with(&node, "q", &to_dead()), node.declare("dead"));
    for (body, expiration) in [("a", ""), ("b", "300"), ("c", ""), ("d", "100"), ("e", "200")] {
        publish(&node.broker, &[&queue], &expiring(body, expiration));
    }
    leave_memory(&mut node, &queue);
    let mut gone = Vec::new();
    for _ in 0..3 {
        node.broker.clock().advance(Duration::from_millis(101));
        settle_down(&node);
        gone.push(queue.counts().ready);
    }

    assert_eq!(gone, [4, 3, 2]);
    assert_eq!(node.bodies(), queues(&[("dead", &["d", "e", "b"]), ("q", &["a", "c"])]));
}

/// A message that expires after so many milliseconds, or never.
fn expiring(body: &str, expiration: &str) -> Arc<Message> {
    if expiration.is_empty() {
        return message(body, false);
    }
    let length = u8::try_from(expiration.len()).unwrap();
    let header = [&[1, 0, length][..], expiration.as_bytes()].concat();
    let layout = Layout { exchange: 0, routing_key: 0, header: u32::from(length) + 3 };
    let blob = [&header[..], body.as_bytes()].concat();
    Arc::new(Message::new(Bytes::from(blob), layout, true, false).unwrap())
}

#[test]
fn what_waits_for_its_next_try_comes_back_among_what_is_stored() {
    for with_checkpoint in WITH_AND_WITHOUT_CHECKPOINT {
        let store = MemoryStore::new();
        let mut node = Node::on(&store);
        let arguments = [
            ("x-delayed-retry-type", text("all")),
            ("x-delayed-retry-min", AMQPValue::LongInt(1000)),
        ];
        let queue = declare_with(&node, "q", &arguments);
        publish_all(&node, &queue, &numbers(0..6));
        leave_memory(&mut node, &queue);
        assert!(!queue.takes_back_absent());
        let mut had = take(&node, &queue, 3);
        node.settle(&queue, had.remove(1), BACK);

        let restarted = restart(&mut node, &store, with_checkpoint);
        let queue = restarted.queue("q");
        assert_eq!(queue.counts().ready, 5);
        assert_eq!(body(&take(&restarted, &queue, 1)[0]), "0");
        restarted.broker.clock().advance(Duration::from_millis(1001));
        settle_down(&restarted);

        assert_eq!(restarted.bodies()["q"], ["1", "2", "3", "4", "5"]);
    }
}
