//! A channel as the session knows it, and the set of them.

use std::collections::HashMap;
use std::sync::Arc;

use slab::Slab;

use super::books::BookId;
use super::confirms::Confirms;
use super::transaction::Transaction;
use crate::amqp::wire::frame::ChannelId;
use crate::sync::Place;

/// One open channel. What it was handed and not settled lies in its book in the outbox.
pub(super) struct Channel {
    pub(super) id: ChannelId,
    pub(super) book: BookId,
    /// basic.qos with global=false: what consumers that start from now on get; 0 is no limit.
    pub(super) prefetch: u16,
    /// What an empty queue name stands for.
    pub(super) last_queue: Option<Arc<str>>,
    pub(super) mode: Mode,
    /// Held while the channel is open.
    _place: Place,
    /// What `reply_to` becomes in its requests, while it consumes replies.
    pub(super) reply_to: Option<Arc<str>>,
}

/// confirm.select and tx.select exclude each other.
pub(super) enum Mode {
    Plain,
    Confirm(Confirms),
    Transaction(Box<Transaction>),
}

impl Channel {
    pub(super) fn new(id: ChannelId, book: BookId, place: Place) -> Self {
        Self {
            id,
            book,
            prefetch: 0,
            last_queue: None,
            mode: Mode::Plain,
            _place: place,
            reply_to: None,
        }
    }

    /// The queue that `name` stands for: AMQP's shortcut for the one that was declared last.
    pub(super) fn queue_name(&self, name: &str) -> Option<Arc<str>> {
        if name.is_empty() { self.last_queue.clone() } else { Some(Arc::from(name)) }
    }
}

/// The open channels. Frames of one channel mostly follow each other, so the last one is remembered.
#[derive(Default)]
pub(super) struct Channels {
    open: Slab<Channel>,
    by_id: HashMap<ChannelId, usize>,
    last: Option<(ChannelId, usize)>,
}

impl Channels {
    pub(super) fn insert(&mut self, channel: Channel) {
        let id = channel.id;
        let at = self.open.insert(channel);
        self.by_id.insert(id, at);
    }

    pub(super) fn get_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        let at = match self.last {
            Some((last, at)) if last == id => at,
            _ => *self.by_id.get(&id)?,
        };
        self.last = Some((id, at));
        self.open.get_mut(at)
    }

    pub(super) fn remove(&mut self, id: ChannelId) -> Option<Channel> {
        let at = self.by_id.remove(&id)?;
        self.last = None;
        self.open.try_remove(at)
    }

    /// Of all open channels, rising.
    pub(super) fn ids(&self) -> Vec<ChannelId> {
        let mut ids: Vec<_> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
}
