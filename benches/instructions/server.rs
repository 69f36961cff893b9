//! A broker whose log is in memory, and that commits when it is told to: everything of a server but sockets and threads.

use std::sync::Arc;

use amq_protocol::protocol::{AMQPClass, basic, confirm, exchange, queue};
use amq_protocol::types::FieldTable;
use leveret::amqp::session::Shared;
use leveret::auth::{Credential, Password, Permission, UserDefinition, UserLimits, Users};
use leveret::clock::Clock;
use leveret::durability::{DurabilityOptions, Recovered, Stepped, Store, recover};
use leveret::store::MemoryStore;

use super::link::Link;
use crate::offer::offer;

/// See the module.
pub(crate) struct Server {
    shared: Arc<Shared>,
    stepped: Stepped,
}

impl Server {
    /// An empty broker. Its clock stands still: what happens must not depend on how long it takes.
    pub(crate) fn start() -> Self {
        let store = MemoryStore::new();
        let checkpoint = store.checkpoint();
        let clock = Arc::new(Clock::manual());
        let recovered = recover(store.log(), &*checkpoint, &["/".to_owned()], clock);
        let Recovered { broker, log, state, .. } = recovered.expect("an empty store can be read");
        let broker = Arc::new(broker);
        let store = Store { log, checkpoint, state };
        let stepped = Stepped::new(&broker, store, DurabilityOptions::default());
        let users = Users::new([guest()], []).expect("one user");
        let offer = Arc::new(offer());
        let shelf = Arc::default();
        let shared = Shared { broker, users, offer, consumer_timeout: None, shelf };
        Self { shared: Arc::new(shared), stepped }
    }

    /// A client of it.
    pub(crate) fn link(&self) -> Link {
        Link::open(&self.shared)
    }

    /// Everything that changed is durable, and those who wait are told.
    pub(crate) fn commit(&mut self) {
        self.stepped.commit().expect("memory takes everything");
    }

    /// Messages in the queue that nobody has taken.
    pub(crate) fn ready(&self, queue: &str) -> usize {
        let vhost = self.shared.broker.vhost("/").expect("it was just made");
        vhost.queue(queue).expect("it was declared").counts().ready
    }
}

fn guest() -> UserDefinition {
    UserDefinition {
        name: "guest".to_owned(),
        credential: Credential::Password(Password::new("guest")),
        tags: Vec::new(),
        permissions: vec![Permission::all("/")],
        topic_permissions: Vec::new(),
        limits: UserLimits::default(),
    }
}

/// queue.declare.
pub(crate) fn declare(name: &str, durable: bool) -> AMQPClass {
    AMQPClass::Queue(queue::AMQPMethod::Declare(queue::Declare {
        queue: name.into(),
        passive: false,
        durable,
        exclusive: false,
        auto_delete: false,
        nowait: false,
        arguments: FieldTable::default(),
    }))
}

/// queue.bind.
pub(crate) fn bind(queue: &str, exchange: &str, key: &str) -> AMQPClass {
    AMQPClass::Queue(queue::AMQPMethod::Bind(queue::Bind {
        queue: queue.into(),
        exchange: exchange.into(),
        routing_key: key.into(),
        nowait: false,
        arguments: FieldTable::default(),
    }))
}

/// exchange.declare.
pub(crate) fn declare_exchange(name: &str, kind: &str) -> AMQPClass {
    AMQPClass::Exchange(exchange::AMQPMethod::Declare(exchange::Declare {
        exchange: name.into(),
        kind: kind.into(),
        passive: false,
        durable: false,
        auto_delete: false,
        internal: false,
        nowait: false,
        arguments: FieldTable::default(),
    }))
}

/// basic.consume.
pub(crate) fn consume(queue: &str, no_ack: bool) -> AMQPClass {
    AMQPClass::Basic(basic::AMQPMethod::Consume(basic::Consume {
        queue: queue.into(),
        consumer_tag: format!("consumer of {queue}").into(),
        no_local: false,
        no_ack,
        exclusive: false,
        nowait: false,
        arguments: FieldTable::default(),
    }))
}

/// confirm.select.
pub(crate) fn confirm() -> AMQPClass {
    AMQPClass::Confirm(confirm::AMQPMethod::Select(confirm::Select { nowait: false }))
}

/// basic.qos for the consumers to come.
pub(crate) fn prefetch(count: u16) -> AMQPClass {
    let qos = basic::Qos { prefetch_count: count, global: false };
    AMQPClass::Basic(basic::AMQPMethod::Qos(qos))
}
