//! Deliveries that are not acknowledged in time.

use super::frames::*;
use super::*;

const TIMED_OUT: &str = "1 close 406 PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed \
                         out. Timeout value used: 1500 ms. This timeout value can be configured, see \
                         consumers doc guide to learn more";

impl BrokerUnderTest {
    /// A broker that gives its consumers this time unless they say otherwise.
    fn impatient(millis: u64) -> Self {
        let Self { shared } = Self::new();
        let Shared { broker, users, offer, shelf, .. } = Arc::into_inner(shared).unwrap();
        let consumer_timeout = Some(Duration::from_millis(millis));
        Self { shared: Arc::new(Shared { broker, users, offer, consumer_timeout, shelf }) }
    }

    fn passes(&self, millis: u64) {
        self.broker().clock().advance(Duration::from_millis(millis));
    }
}

impl ClientUnderTest {
    /// Milliseconds until its deadlines are to be looked at.
    fn due_in(&self) -> Option<u128> {
        let now = self.broker.clock().now();
        self.session.deadline().map(|deadline| deadline.duration_since(now).as_millis())
    }

    fn looks_at_its_deadlines(&mut self) {
        self.turn(Session::enforce_deadlines);
    }
}

/// A client that consumes `jobs`, declared so, where one message lies.
fn client_of(broker: &BrokerUnderTest, jobs: Said, consumer: Said) -> ClientUnderTest {
    let mut client = broker.client();
    client.says([jobs, publish("jobs", "a"), consumer]);
    let heard = client.hears();
    assert_eq!(heard[1..], ["1 consume-ok worker", "1 deliver 1 to worker: a"]);
    client
}

#[test]
fn a_delivery_that_is_not_acknowledged_in_time_closes_the_channel_and_goes_back() {
    let broker = BrokerUnderTest::new();
    let mut client = client_of(&broker, declare_impatient("jobs", 1500), consume("jobs", "worker"));
    broker.passes(1499);
    client.looks_at_its_deadlines();
    assert!(client.hears().is_empty());
    assert_eq!(client.due_in(), Some(1));

    broker.passes(1);
    client.looks_at_its_deadlines();

    assert_eq!(client.hears(), [TIMED_OUT]);
    assert_eq!(broker.ready("jobs"), 1);
}

#[test]
fn a_consumer_that_has_nothing_yet_is_looked_at_again_in_time() {
    let broker = BrokerUnderTest::new();
    let (mut client, mut publisher) = (broker.client(), broker.client());
    client.says([declare_impatient("jobs", 1500), consume("jobs", "worker")]);
    assert_eq!(client.due_in(), Some(1500), "nothing delivered from now on can be late before");

    broker.passes(1000);
    publisher.says([publish("jobs", "a")]);
    broker.passes(500);
    client.looks_at_its_deadlines();

    assert_eq!(client.due_in(), Some(1000), "what came meanwhile");
}

#[test]
fn an_acknowledgement_in_time_keeps_the_channel() {
    let broker = BrokerUnderTest::new();
    let mut client = client_of(&broker, declare_impatient("jobs", 1500), consume("jobs", "worker"));
    broker.passes(1000);
    client.says([publish("jobs", "b"), ack(1)]);

    broker.passes(1000);
    client.looks_at_its_deadlines();
    assert_eq!(client.hears(), ["1 deliver 2 to worker: b"], "the second has 500 ms left");

    broker.passes(500);
    client.looks_at_its_deadlines();
    assert_eq!(client.hears(), [TIMED_OUT]);
}

#[test]
fn the_consumer_goes_before_the_queue_and_the_queue_before_the_broker() {
    let due_in = |broker: BrokerUnderTest, jobs: Said, consumer: Said| {
        client_of(&broker, jobs, consumer).due_in()
    };
    let consumer = || consume("jobs", "worker");
    let impatient = || declare_impatient("jobs", 2000);
    let asks = || consume_within("jobs", "worker", 3000);
    let broker = || BrokerUnderTest::impatient(1000);

    assert_eq!(due_in(broker(), declare("jobs", ""), consumer()), Some(1000));
    assert_eq!(due_in(broker(), impatient(), consumer()), Some(2000));
    assert_eq!(due_in(broker(), impatient(), asks()), Some(3000));
    assert_eq!(due_in(BrokerUnderTest::new(), declare("jobs", ""), consumer()), None);
}

#[test]
fn messages_without_acknowledgement_are_never_late() {
    let broker = BrokerUnderTest::impatient(1500);
    let consumer = consume_with("jobs", "worker", "no-ack");
    let mut client = client_of(&broker, declare("jobs", ""), consumer);
    assert_eq!(client.due_in(), None);

    broker.passes(10_000);
    client.looks_at_its_deadlines();

    assert!(client.hears().is_empty());
}

#[test]
fn a_message_that_was_polled_has_its_time_too() {
    let broker = BrokerUnderTest::impatient(1500);
    let mut client = broker.client();
    client.says([declare("jobs", ""), publish("jobs", "a"), get("jobs")]);
    assert_eq!(client.due_in(), Some(1500));
    client.hears();

    broker.passes(1500);
    client.looks_at_its_deadlines();

    assert_eq!(client.hears(), [TIMED_OUT]);
}

#[test]
fn what_a_cancelled_consumer_holds_is_still_due() {
    let broker = BrokerUnderTest::impatient(1500);
    let mut client = client_of(&broker, declare("jobs", ""), consume("jobs", "worker"));
    client.says([cancel("worker")]);

    broker.passes(1500);
    client.looks_at_its_deadlines();

    assert_eq!(client.hears(), ["1 cancel-ok worker", TIMED_OUT]);
}

#[test]
fn an_acknowledgement_that_is_rolled_back_leaves_the_delivery_due() {
    let broker = BrokerUnderTest::impatient(1500);
    let mut client = client_of(&broker, declare("jobs", ""), consume("jobs", "worker"));
    client.says([tx_select(), ack(1)]);
    broker.passes(1500);
    client.looks_at_its_deadlines();
    assert_eq!(client.hears(), ["1 tx-select-ok"]);
    client.says([tx_rollback()]);

    broker.passes(1500);
    client.looks_at_its_deadlines();

    assert_eq!(client.hears(), ["1 rollback-ok", TIMED_OUT]);
}

#[test]
fn other_channels_of_the_connection_go_on() {
    let broker = BrokerUnderTest::new();
    let mut client = client_of(&broker, declare_impatient("jobs", 1500), consume("jobs", "worker"));
    client.says([open_channel().on(2)]);
    broker.passes(1500);
    client.looks_at_its_deadlines();

    client.says([publish("jobs", "ignored"), close_channel_ok(), get("jobs").on(2)]);

    assert_eq!(client.hears(), ["2 open-ok", TIMED_OUT, "2 get-ok 1 again: a, 0 left"]);
}
