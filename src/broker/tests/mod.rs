//! The broker without a protocol and without a disk.

mod definitions;
mod inbox;
mod moves;
mod policies;
mod routes;
pub(in crate::broker) mod support;
mod threads;

use std::sync::Arc;

use amq_protocol::types::FieldTable;

use self::support::{NO_PROPERTIES, broker, created, durable, host, message, turn, work};
use super::Broker;
use super::error::BrokerError;
use super::exchange::{Destination, Exchange, ExchangeKind};
use super::options::{ExchangeOptions, QueueOptions};
use super::queue::{DeleteIf, Queue};
use super::vhost::{BindingRequest, Declared};

/// A broker whose virtual host is built by name.
struct HostUnderTest {
    broker: Broker,
}

impl HostUnderTest {
    fn new() -> Self {
        Self { broker: broker() }
    }

    fn queue(&self, name: &str) -> Arc<Queue> {
        created(host(&self.broker).declare_queue(name, QueueOptions::default(), None))
    }

    fn durable_queue(&self, name: &str) -> Arc<Queue> {
        created(host(&self.broker).declare_queue(name, durable(), None))
    }

    fn exchange(&self, name: &str, kind: ExchangeKind) -> Arc<Exchange> {
        self.exchange_of(name, ExchangeOptions::new(kind))
    }

    fn exchange_of(&self, name: &str, options: ExchangeOptions) -> Arc<Exchange> {
        created(host(&self.broker).declare_exchange(name, options))
    }

    fn bind(&self, source: &str, key: &str, destination: Destination) {
        self.bind_with(source, key, destination, &FieldTable::default());
    }

    fn bind_with(&self, source: &str, key: &str, destination: Destination, arguments: &FieldTable) {
        let request = BindingRequest { source, destination, key, arguments };
        turn(&self.broker, |turn| host(&self.broker).bind(request, turn)).unwrap();
    }

    fn unbind(&self, source: &str, key: &str, destination: Destination) {
        self.unbind_with(source, key, destination, &FieldTable::default());
    }

    fn unbind_with(
        &self,
        source: &str,
        key: &str,
        destination: Destination,
        arguments: &FieldTable,
    ) {
        host(&self.broker).unbind(&BindingRequest { source, destination, key, arguments });
    }

    fn delete(&self, queue: &Arc<Queue>) {
        let deleted = turn(&self.broker, |turn| {
            host(&self.broker).delete_queue(queue, DeleteIf::default(), turn)
        });
        assert_eq!(deleted, Ok(0));
    }

    fn has_exchange(&self, name: &str) -> bool {
        host(&self.broker).exchange(name).is_some()
    }

    /// Names of the queues a message goes to.
    fn route(&self, exchange: &str, keys: &[&str]) -> Vec<String> {
        let exchange = host(&self.broker).exchange(exchange).unwrap();
        let route = host(&self.broker).route(&exchange, keys, NO_PROPERTIES);
        route.queues.iter().map(|queue| queue.name.to_string()).collect()
    }
}

fn to_queue(queue: &Arc<Queue>) -> Destination {
    Destination::Queue(Arc::clone(queue))
}

fn to_exchange(exchange: &Arc<Exchange>) -> Destination {
    Destination::Exchange(Arc::clone(exchange))
}

fn auto_delete(kind: ExchangeKind) -> ExchangeOptions {
    ExchangeOptions { auto_delete: true, ..ExchangeOptions::new(kind) }
}
