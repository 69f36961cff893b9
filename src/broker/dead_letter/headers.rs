//! The headers of a dead letter: those of the message, and RabbitMQ's words about its deaths among them.
//!
//! `BCC` stays as long as it routes: who delivers a message hides it. They come sorted by name, as RabbitMQ sends
//! the headers of a dead letter; of two with one name both stay, unless the name is one that is written here.

use smallvec::SmallVec;

use super::history::{self, Event, History};
use crate::amqp::wire::table_view::{TableView, ValueView, append_field};
use crate::broker::message::{BCC, CC};

const FIRST: [&str; 3] = ["x-first-death-reason", "x-first-death-queue", "x-first-death-exchange"];
const LAST: [&str; 3] = ["x-last-death-reason", "x-last-death-queue", "x-last-death-exchange"];

/// What changes in the headers.
pub(super) struct Changes<'a> {
    pub(super) history: &'a History,
    pub(super) event: &'a Event<'a>,
    /// There is a dead letter routing key, so those that were published do not apply any more.
    pub(super) is_rerouted: bool,
}

impl Changes<'_> {
    /// Appends the fields of the new table.
    pub(super) fn apply(&self, headers: Option<TableView<'_>>, into: &mut Vec<u8>) {
        let event = self.event;
        let values = [event.reason.as_bytes(), event.queue.as_bytes(), event.exchange];
        let first = if self.history.is_first() { &FIRST[..] } else { &[] };
        let old = headers.iter().flat_map(TableView::fields).filter(|(name, _)| self.stays(name));
        let last = LAST.iter().zip(values);
        let new = first.iter().zip(values).chain(last);
        let new = new.map(|(name, value)| (name.as_bytes(), ValueView::text(value)));

        let mut fields: SmallVec<[_; 16]> = old.chain(new).collect();
        fields.push((history::HEADER.as_bytes(), self.history.value()));
        fields.sort_by_key(|(name, _)| *name);
        for (name, value) in fields {
            append_field(name, value, into);
        }
    }

    fn stays(&self, name: &[u8]) -> bool {
        let is = |one: &&str| one.as_bytes() == name;
        let is_replaced = is(&history::HEADER)
            || LAST.iter().any(is)
            || self.history.is_first() && FIRST.iter().any(is);
        let is_dropped = self.is_rerouted && (is(&CC) || is(&BCC));
        !(is_replaced || is_dropped)
    }
}
