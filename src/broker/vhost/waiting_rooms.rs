//! The queues in which delayed messages wait, one for each exchange of type `x-delayed-message`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Locked, VHost};
use crate::broker::change::Definition;
use crate::broker::delayed::waiting_room_name;
use crate::broker::delivery::QueueId;
use crate::broker::exchange::{Exchange, ExchangeKind};
use crate::broker::options::QueueOptions;
use crate::broker::queue::{Queue, QueueIdentity};

impl VHost {
    /// Where delayed messages of this exchange wait.
    pub(in crate::broker) fn waiting_room(&self, exchange: &str) -> Option<Arc<Queue>> {
        self.waiting_rooms.get(exchange)
    }

    /// All of them, in no order.
    pub fn waiting_rooms(&self) -> Vec<Arc<Queue>> {
        self.waiting_rooms.all()
    }

    /// A new exchange gets one if it delays. It survives a restart if the exchange does.
    pub(super) fn open_waiting_room(self: &Arc<Self>, locked: &mut Locked<'_>, of: &Exchange) {
        if of.options.kind != ExchangeKind::DelayedMessage {
            return;
        }
        let options = QueueOptions {
            durable: of.options.durable,
            waiting_room_of: Some(Arc::clone(&of.name)),
            ..QueueOptions::default()
        };
        let identity = QueueIdentity {
            id: QueueId(self.queue_ids.fetch_add(1, Ordering::Relaxed)),
            name: Arc::from(waiting_room_name(&of.name)),
            vhost: Arc::clone(&self.name),
            options,
            owner: None,
        };
        let queue = Arc::new(Queue::new(identity, self.surroundings.clone()));
        self.waiting_rooms.insert(Arc::clone(&of.name), Arc::clone(&queue));
        if queue.options.durable {
            self.save(locked, Definition::QueueDeclared(self.queue_definition(&queue)));
        }
    }

    /// An exchange is gone, and with it what it kept back, as in the plugin.
    pub(super) fn close_waiting_room(self: &Arc<Self>, locked: &mut Locked<'_>, of: &Exchange) {
        let Some(queue) = self.waiting_rooms.get(&of.name) else { return };
        self.waiting_rooms.remove(&of.name);
        queue.discard();
        if queue.options.durable {
            self.save(locked, Definition::QueueDeleted { id: queue.id });
        }
    }
}
