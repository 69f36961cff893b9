//! The queue alone: no protocol, a sink that only keeps what it is handed.

use std::sync::Arc;

use leveret::broker::message::Message;
use leveret::broker::queue::Outcome;

use super::{ROUNDS, Round, Scenario, WARM_UP};
use crate::stage::{Stage, messages};

const BATCH: usize = 256;
/// Ready messages behind those that are touched.
const BACKLOG: usize = 10_000;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "queue-transient",
        what: "enqueue, deliver, acknowledge",
        prepare: || passing(false),
    },
    Scenario {
        name: "queue-durable",
        what: "the same, gone before it was collected for the disk",
        prepare: || passing(true),
    },
    Scenario {
        name: "queue-backlog",
        what: "enqueue behind 10,000 others, get, acknowledge",
        prepare: polling,
    },
];

/// A batch for each round, so that making messages is not counted.
fn batches(persistent: bool) -> Vec<Vec<Arc<Message>>> {
    (0..WARM_UP + ROUNDS).map(|_| messages(BATCH, persistent)).collect()
}

fn passing(persistent: bool) -> Round {
    let stage = Stage::new(persistent);
    let keeper = stage.consumer();
    let mut batches = batches(persistent);
    Round::new(BATCH, move || {
        let mut batch = batches.pop().expect("one for each round");
        stage.turn(|turn| stage.queue.enqueue(&mut batch, turn));
        let entries = keeper.take();
        assert_eq!(entries.len(), BATCH);
        stage.settle(entries, Outcome::Settled);
    })
}

fn polling() -> Round {
    let stage = Stage::with_backlog(BACKLOG);
    let mut batches = batches(false);
    Round::new(BATCH, move || {
        let mut batch = batches.pop().expect("one for each round");
        stage.turn(|turn| stage.queue.enqueue(&mut batch, turn));
        let entries = stage.get(BATCH);
        assert_eq!(entries.len(), BATCH);
        stage.settle(entries, Outcome::Settled);
    })
}
