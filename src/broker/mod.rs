//! Exchanges, queues and consumers. Synchronous, protocol-free, no I/O.
//!
//! A [`Broker`] is virtual hosts and an inbox for the committer. Whoever calls a verb brings a [`Turn`]
//! that collects what must wait until the locks are gone. Deliveries leave through a
//! [`DeliverySink`](delivery::DeliverySink); what must survive a restart is left in queues and virtual
//! hosts, where the committer collects it.

pub mod alarms;
pub mod change;
pub mod commit_inbox;
pub mod delivery;
pub mod error;
pub mod exchange;
pub mod message;
pub mod options;
pub mod policy;
pub mod queue;
mod registry;
pub mod route;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod turn;
pub mod vhost;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::alarms::Alarms;
use self::commit_inbox::CommitInbox;
use self::delivery::ConnectionId;
use self::queue::{DeleteIf, Queue};
pub use self::turn::Turn;
use self::vhost::VHost;
use crate::clock::Clock;

/// See the module.
pub struct Broker {
    vhosts: BTreeMap<Arc<str>, Arc<VHost>>,
    inbox: Arc<CommitInbox>,
    alarms: Arc<Alarms>,
    clock: Arc<Clock>,
    connections: AtomicU64,
    queue_ids: Arc<AtomicU64>,
}

impl Broker {
    /// A broker with these virtual hosts and nothing in them. The first queue is number
    /// `first_queue_id`; queue numbers are never reused, so recovery passes one above all it met.
    pub fn new<'a>(
        vhosts: impl IntoIterator<Item = &'a str>,
        first_queue_id: u64,
        clock: Arc<Clock>,
    ) -> Self {
        let inbox = Arc::new(CommitInbox::default());
        let queue_ids = Arc::new(AtomicU64::new(first_queue_id));
        let host = |name: &str| {
            let name: Arc<str> = Arc::from(name);
            let (inbox, ids) = (Arc::clone(&inbox), Arc::clone(&queue_ids));
            (Arc::clone(&name), Arc::new(VHost::new(name, inbox, ids)))
        };
        let vhosts = vhosts.into_iter().map(host).collect();
        Self {
            vhosts,
            inbox,
            alarms: Arc::default(),
            clock,
            connections: AtomicU64::new(1),
            queue_ids,
        }
    }

    /// The virtual host of this name.
    pub fn vhost(&self, name: &str) -> Option<&Arc<VHost>> {
        self.vhosts.get(name)
    }

    /// All virtual hosts, by name.
    pub fn vhosts(&self) -> impl Iterator<Item = &Arc<VHost>> {
        self.vhosts.values()
    }

    /// Where the committer waits.
    pub fn inbox(&self) -> &Arc<CommitInbox> {
        &self.inbox
    }

    /// What the broker is short of.
    pub fn alarms(&self) -> &Arc<Alarms> {
        &self.alarms
    }

    /// The broker's time.
    pub fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// A number for a new connection.
    pub fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed))
    }

    /// The number the next queue will get.
    pub fn next_queue_id(&self) -> u64 {
        self.queue_ids.load(Ordering::Relaxed)
    }

    /// Starts a turn now.
    pub fn begin_turn(&self) -> Turn {
        Turn::begin(self.clock.now())
    }

    /// An auto-delete queue lost its last consumer; it goes unless somebody came in between.
    fn delete_unused(&self, queue: &Arc<Queue>, turn: &mut Turn) {
        let Some(vhost) = self.vhost(&queue.vhost) else { return };
        let condition = DeleteIf { unused: true, empty: false };
        // A refusal means that it is in use again, which is as good.
        if let Err(refusal) = vhost.delete_queue(queue, condition, turn) {
            tracing::trace!(queue = %queue.name, ?refusal, "auto-delete queue stays");
        }
    }
}
