//! Exchanges, queues and consumers. Synchronous, protocol-free, no I/O.
//!
//! A [`Broker`] is virtual hosts and an inbox for the committer. Whoever calls a verb brings a [`Turn`]
//! that collects what must wait until the locks are gone. Deliveries leave through a
//! [`DeliverySink`](delivery::DeliverySink); what must survive a restart is left in queues and virtual
//! hosts, where the committer collects it.

pub mod alarms;
pub mod change;
pub mod commit_inbox;
pub mod dead_letter;
mod dead_lettering;
pub mod delayed;
pub mod delivery;
pub mod error;
pub mod events;
pub mod exchange;
pub mod firehose;
mod interned;
pub mod message;
mod notice;
pub mod options;
pub mod paging;
pub mod policy;
pub mod queue;
mod registry;
mod replay;
pub mod reply_consumers;
pub mod retry;
pub mod route;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod timetable;
pub mod turn;
pub mod vhost;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use self::alarms::Alarms;
use self::commit_inbox::CommitInbox;
use self::delivery::{ConnectionId, Deadline};
use self::events::Events;
use self::options::QueueType;
use self::paging::Paging;
use self::queue::{DeleteIf, Queue, Surroundings};
use self::registry::Registry;
use self::timetable::Timetable;
pub use self::turn::Turn;
use self::vhost::{ConfiguredVHost, VHost, VHostMetadata};
use crate::clock::Clock;
use crate::limits;

/// See the module.
pub struct Broker {
    vhosts: Registry<VHost>,
    surroundings: Surroundings,
    alarms: Arc<Alarms>,
    clock: Arc<Clock>,
    connections: AtomicU64,
    queue_ids: Arc<AtomicU64>,
    events: OnceLock<Arc<Events>>,
    default_queue_type: OnceLock<QueueType>,
}

/// What the configuration says about virtual hosts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configuration {
    /// The type of queues that name none, where the virtual host says nothing.
    pub default_queue_type: Option<QueueType>,
    /// Virtual hosts, made if they are not there.
    pub vhosts: BTreeMap<String, ConfiguredVHost>,
}

impl Broker {
    /// A broker with these virtual hosts and nothing in them. The first queue is number
    /// `first_queue_id`; queue numbers are never reused, so recovery passes one above all it met.
    pub fn new<'a>(
        vhosts: impl IntoIterator<Item = &'a str>,
        first_queue_id: u64,
        clock: Arc<Clock>,
    ) -> Self {
        let surroundings = Surroundings::default();
        let queue_ids = Arc::new(AtomicU64::new(first_queue_id));
        let broker = Self {
            vhosts: Registry::new(),
            surroundings,
            alarms: Arc::default(),
            clock,
            connections: AtomicU64::new(1),
            queue_ids,
            events: OnceLock::new(),
            default_queue_type: OnceLock::new(),
        };
        for name in vhosts {
            broker.vhost_or_new(name);
        }
        broker
    }

    /// The virtual host of this name.
    pub fn vhost(&self, name: &str) -> Option<Arc<VHost>> {
        self.vhosts.get(name)
    }

    /// All virtual hosts, by name.
    pub fn vhosts(&self) -> Vec<Arc<VHost>> {
        let mut vhosts = self.vhosts.all();
        vhosts.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        vhosts
    }

    /// Makes a virtual host that survives a restart; of one that is there, what is said about it changes.
    pub fn add_vhost(&self, name: &str, metadata: VHostMetadata) -> Arc<VHost> {
        let (vhost, is_new) = self.vhost_or_new(name);
        vhost.describe(metadata, is_new);
        vhost
    }

    /// Brings in what is written in the configuration. None of it is kept for the next start, and policies come
    /// into force with [`Broker::apply_policies`] only.
    pub fn configure(&self, configuration: &Configuration) {
        let &Configuration { default_queue_type, ref vhosts } = configuration;
        if let Some(queue_type) = default_queue_type {
            // Once for each start.
            self.default_queue_type.get_or_init(|| queue_type);
        }
        for vhost in self.vhosts() {
            vhost.inherit_queue_type(default_queue_type);
        }
        for (name, configured) in vhosts {
            self.vhost_or_new(name).0.configure(configured.clone());
        }
    }

    /// Puts the policies of all virtual hosts in force.
    pub fn apply_policies(&self, turn: &mut Turn) {
        for vhost in self.vhosts() {
            vhost.apply_policies(turn);
        }
    }

    fn vhost_or_new(&self, name: &str) -> (Arc<VHost>, bool) {
        self.vhosts.get_or_make(name, || {
            let (surroundings, ids) = (self.surroundings.clone(), Arc::clone(&self.queue_ids));
            let vhost = VHost::new(Arc::from(name), surroundings, ids);
            vhost.inherit_queue_type(self.default_queue_type.get().copied());
            vhost
        })
    }

    /// Where the committer waits.
    pub fn inbox(&self) -> &Arc<CommitInbox> {
        &self.surroundings.inbox
    }

    /// Where the pager waits.
    pub fn paging(&self) -> &Arc<Paging> {
        &self.surroundings.paging
    }

    /// When which queue must be looked at.
    pub fn timetable(&self) -> &Arc<Timetable> {
        &self.surroundings.timetable
    }

    /// Looks at queues whose time has come, until it was a burst of them, or they gave up a burst of messages. True
    /// if there may be more.
    pub fn look_at_due(&self, turn: &mut Turn) -> bool {
        for _ in 0..limits::TIMER_BURST {
            if turn.given_up() >= limits::EXPIRY_BURST {
                return true;
            }
            let Some(queue) = self.timetable().take_due(turn.unix_now()) else { return false };
            queue.look_again(turn);
        }
        true
    }

    /// Looks at every queue after a restart: messages expired meanwhile, limits may have been lowered, and
    /// whoever counts the time since the last use starts now.
    pub fn look_at_all(&self) {
        for vhost in self.vhosts() {
            for queue in vhost.queues().into_iter().chain(vhost.waiting_rooms()) {
                let mut turn = self.begin_turn();
                queue.look_again(&mut turn);
                turn.finish(self);
            }
        }
    }

    /// What the broker is short of.
    pub fn alarms(&self) -> &Arc<Alarms> {
        &self.alarms
    }

    /// From now on what happens is published to the event exchange of this virtual host. Once; there is one.
    pub fn publish_events(&self, vhost: &Arc<VHost>) {
        let Some(events) = Events::new(vhost, Arc::clone(&self.clock)) else {
            return tracing::error!(vhost = %vhost.name, "no event exchange: the virtual host is full");
        };
        let events = self.events.get_or_init(|| events);
        for vhost in self.vhosts() {
            vhost.report_to(events);
        }
        self.alarms.report_to(events);
    }

    /// Where events are noted, if they are published.
    pub fn events(&self) -> Option<&Arc<Events>> {
        self.events.get()
    }

    /// Publishes events that came from no turn, such as alarms.
    pub fn publish_pending_events(&self) {
        if self.events().is_some_and(|events| events.has_pending()) {
            self.begin_turn().finish(self);
        }
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
        let now = self.clock.now();
        Turn::begin(now, Deadline::at_ms(self.clock.unix_ms(now)))
    }

    /// A queue lost its last consumer, or nobody used it for too long; it goes unless somebody came in between.
    fn delete_unused(&self, queue: &Arc<Queue>, turn: &mut Turn) {
        let Some(vhost) = self.vhost(&queue.vhost) else { return };
        let condition = DeleteIf { unused: true, empty: false };
        // A refusal means that it is in use again, which is as good.
        if let Err(refusal) = vhost.delete_queue(queue, condition, turn) {
            tracing::trace!(queue = %queue.name, ?refusal, "unused queue stays");
        }
    }
}
