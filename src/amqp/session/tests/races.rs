//! What two threads may do to one consumer at the same time.

use parking_lot::Condvar;

use super::frames::{declare, publish};
use super::*;
use crate::amqp::session::books::{BookId, Subscription};
use crate::broker::delivery::{ConsumerSlot, DeliverySink, Entry, Refusal};
use crate::broker::queue::{Consumer, ConsumerId, DeleteIf};
use crate::sync::{RankedMutex, rank};

/// Two threads tell each other how far they are.
#[derive(Default)]
struct Steps {
    reached: RankedMutex<{ rank::LEAF }, usize>,
    changed: Condvar,
}

impl Steps {
    fn reach(&self, step: usize) {
        *self.reached.lock() = step;
        self.changed.notify_all();
    }

    /// Waits until the other thread has reached `step`, or for so long that it must be waiting for us.
    fn await_step(&self, step: usize) {
        let mut reached = self.reached.lock();
        while *reached < step {
            if reached.wait_for(&self.changed, Duration::from_millis(200)) {
                return;
            }
        }
    }
}

/// An outbox that is slow to hear that a queue is gone.
struct SlowToCancel {
    outbox: Arc<Outbox>,
    steps: Arc<Steps>,
}

const CANCELLING: usize = 1;
const RESUBSCRIBED: usize = 2;

impl DeliverySink for SlowToCancel {
    fn deliver(
        &self,
        slot: ConsumerSlot,
        offers: &mut dyn Iterator<Item = Entry>,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        self.outbox.deliver(slot, offers, turn)
    }

    fn cancelled(&self, slot: ConsumerSlot, turn: &mut Turn) {
        self.steps.reach(CANCELLING);
        self.steps.await_step(RESUBSCRIBED);
        self.outbox.cancelled(slot, turn);
    }
}

/// Starts a consumer of `queue` whose messages go to `sink`.
fn subscribe(
    client: &ClientUnderTest,
    book: BookId,
    queue: &Arc<Queue>,
    tag: &str,
    sink: Arc<dyn DeliverySink>,
) {
    let (tag, queue) = (tag.to_owned(), Arc::clone(queue));
    let queue_of = Arc::clone(&queue);
    let subscription =
        Subscription { tag, queue: queue_of, no_ack: false, prefetch: 0, timeout: None };
    let slot = client.outbox.subscribe(1, book, subscription);
    let id = ConsumerId { connection: client.outbox.connection(), slot };
    let mut turn = client.broker.begin_turn();
    let consumer = Consumer { id, sink, no_ack: false, exclusive: false, priority: 0 };
    queue.consume(consumer, &mut turn, |_| {}).unwrap();
    turn.finish(&client.broker);
}

#[test]
fn a_queue_that_goes_away_does_not_take_a_consumer_of_another_queue_with_it() {
    let broker = BrokerUnderTest::new();
    let mut client = broker.client();
    client.says([declare("old", ""), declare("new", "")]);
    client.hears();
    let (old, new) = (broker.queue("old").unwrap(), broker.queue("new").unwrap());
    let steps = Arc::new(Steps::default());
    let slow = SlowToCancel { outbox: Arc::clone(&client.outbox), steps: Arc::clone(&steps) };
    let book = client.outbox.open_book(1);
    subscribe(&client, book, &old, "first", Arc::new(slow));

    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = broker.broker().begin_turn();
            let host = broker.broker().vhost("/").unwrap();
            host.delete_queue(&old, DeleteIf::default(), &mut turn).unwrap();
            turn.finish(broker.broker());
        });
        // Meanwhile the client cancels that consumer, and starts another elsewhere.
        steps.await_step(CANCELLING);
        let (queue, id) = client.outbox.unsubscribe(book, "first").unwrap();
        let mut turn = client.broker.begin_turn();
        queue.cancel(id, &mut turn);
        turn.finish(&client.broker);
        let outbox = Arc::clone(&client.outbox) as Arc<dyn DeliverySink>;
        subscribe(&client, book, &new, "second", outbox);
        steps.reach(RESUBSCRIBED);
    });

    client.says([publish("new", "a")]);
    assert_eq!(client.hears(), ["1 deliver 1 to second: a"]);
}
