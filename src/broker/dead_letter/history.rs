//! `x-death`: an array of tables, one for each queue and reason, the last death first.
//!
//! A further death in the same queue for the same reason counts up in its table, which moves to the front;
//! everything else in it is about the first time. Publishers may send the header themselves, as those do that
//! publish a message again with the headers it came with; it is then carried on, as in RabbitMQ 3.
//!
//! RabbitMQ 3.10 turns the order of the older tables round at every death, so that its search for cycles
//! may stop at the wrong one; here, as in RabbitMQ 4, they stay in the order of the deaths.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::amqp::wire::table_view::{TableView, ValueView, append_field};
use crate::limits;

/// The name of the header.
pub(super) const HEADER: &str = "x-death";
const COUNT: &str = "count";
const QUEUE: &str = "queue";
const REASON: &str = "reason";
/// Tag and length of a table in the array.
const TABLE_OVERHEAD: usize = 5;

/// A death, as the history tells it.
pub(super) struct Event<'a> {
    pub(super) reason: &'static str,
    pub(super) queue: &'a str,
    /// The exchange the message had been published to.
    pub(super) exchange: &'a [u8],
    /// The key it had been published with.
    pub(super) routing_key: &'a [u8],
    /// Its `CC`.
    pub(super) more_keys: Option<ValueView<'a>>,
    pub(super) expiration: Option<&'a [u8]>,
    pub(super) at_unix_s: u64,
}

/// A history with one death more.
pub(super) struct History {
    tables: Vec<u8>,
    is_first: bool,
    is_cut: bool,
}

impl History {
    /// What `old`, the header as it was, becomes by `event`. Older deaths that do not fit into `room` octets
    /// or are [too many](limits::DEATHS_KEPT) are left out; the new one is always in it.
    pub(super) fn after(old: Option<ValueView<'_>>, event: &Event<'_>, room: usize) -> Self {
        let is_first = old.is_none();
        // RabbitMQ: a history of the wrong type is replaced, without a word about a first death.
        let Some(array) = old.and_then(|value| value.as_array()) else {
            let tables = event.to_table(Order::AsNoted, room);
            return Self { tables, is_first, is_cut: false };
        };
        let past = Past::of(array.items(), event);
        let mut tables = match past.same {
            Some(same) => counted_up(same, past.implied_count),
            None => event.to_table(Order::ByName, room),
        };
        let others = past.others.len();
        let fitting = past.others.into_iter().take(limits::DEATHS_KEPT - 1);
        let kept = fitting.take_while(|other| append_fitting(*other, &mut tables, room)).count();
        Self { tables, is_first, is_cut: kept < others }
    }

    /// There was no history before.
    pub(super) fn is_first(&self) -> bool {
        self.is_first
    }

    /// Deaths were left out.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The value of the header.
    pub(super) fn value(&self) -> ValueView<'_> {
        ValueView::array(&self.tables)
    }

    /// Octets of the value.
    pub(super) fn len(&self) -> usize {
        self.tables.len()
    }
}

/// Whether the message was in `queue` before and has come round since by itself alone: no death since then,
/// nor that one, was a rejection.
pub(super) fn is_cycle(history: Option<ValueView<'_>>, queue: &str) -> bool {
    let Some(array) = history.and_then(|value| value.as_array()) else { return false };
    for item in array.items() {
        // What is no table was put there by a client, and so was not automatic.
        let Some(death) = item.as_table() else { return false };
        if text(death, REASON) == Some(b"rejected") {
            return false;
        }
        if text(death, QUEUE) == Some(queue.as_bytes()) {
            return true;
        }
    }
    false
}

/// The tables of a history, sorted out.
struct Past<'a> {
    /// The one that counts deaths like the new one.
    same: Option<TableView<'a>>,
    /// What it has counted, if it does not say so.
    implied_count: i64,
    /// All others, each queue and reason once. What is no table is kept: see [`is_cycle`].
    others: Vec<ValueView<'a>>,
}

impl<'a> Past<'a> {
    fn of(items: impl Iterator<Item = ValueView<'a>>, event: &Event<'_>) -> Self {
        let new = (Some(event.queue.as_bytes()), Some(event.reason.as_bytes()));
        let mut past = Self { same: None, implied_count: 0, others: Vec::new() };
        let mut met: HashMap<_, i64> = HashMap::new();
        let mut items_met = 0;
        for item in items {
            items_met += 1;
            let Some(table) = item.as_table() else {
                past.others.push(item);
                continue;
            };
            let pair = (text(table, QUEUE), text(table, REASON));
            let times = met.entry(pair).or_default();
            *times += 1;
            match *times {
                1 if pair == new => past.same = Some(table),
                1 => past.others.push(item),
                _ => {}
            }
        }
        // Before RabbitMQ 3.6 each death had a table of its own, without a count; one alone counts for nothing.
        if items_met > 1 {
            past.implied_count = met.get(&new).copied().unwrap_or(0);
        }
        past
    }
}

/// Appends a table, unless there is no room for it.
fn append_fitting(death: ValueView<'_>, tables: &mut Vec<u8>, room: usize) -> bool {
    let fits = tables.len() + TABLE_OVERHEAD + death.data().len() <= room;
    if fits {
        death.append_to(tables);
    }
    fits
}

/// The table of a death that has happened again.
fn counted_up(table: TableView<'_>, implied_count: i64) -> Vec<u8> {
    let count = table.get(COUNT).and_then(|value| value.as_int()).unwrap_or(implied_count);
    let count = count.saturating_add(1).to_be_bytes();
    let others = table.fields().filter(|(name, _)| *name != COUNT.as_bytes());
    let mut fields: SmallVec<[_; 8]> = others.collect();
    fields.push((COUNT.as_bytes(), ValueView::long(&count)));
    fields.sort_by_key(|(name, _)| *name);
    as_item(&fields)
}

/// How RabbitMQ orders the fields of a new table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// In the only table of a new history.
    AsNoted,
    /// In one that joins others.
    ByName,
}

impl Event<'_> {
    /// The table of the first such death; with only the first routing key, if all of them do not fit.
    fn to_table(&self, order: Order, room: usize) -> Vec<u8> {
        let mut keys = Vec::new();
        ValueView::text(self.routing_key).append_to(&mut keys);
        let first = keys.len();
        for key in self.more_keys.into_iter().flat_map(ValueView::texts) {
            ValueView::text(key).append_to(&mut keys);
        }
        let table = self.table_with_keys(&keys, order);
        if table.len() <= room { table } else { self.table_with_keys(&keys[..first], order) }
    }

    fn table_with_keys(&self, keys: &[u8], order: Order) -> Vec<u8> {
        let (count, time) = (1_i64.to_be_bytes(), self.at_unix_s.to_be_bytes());
        let mut fields: SmallVec<[_; 8]> = SmallVec::new();
        fields.push((COUNT.as_bytes(), ValueView::long(&count)));
        fields.push((REASON.as_bytes(), ValueView::text(self.reason.as_bytes())));
        fields.push((QUEUE.as_bytes(), ValueView::text(self.queue.as_bytes())));
        fields.push((b"time", ValueView::timestamp(&time)));
        fields.push((b"exchange", ValueView::text(self.exchange)));
        fields.push((b"routing-keys", ValueView::array(keys)));
        if let Some(expiration) = self.expiration {
            fields.push((b"original-expiration", ValueView::text(expiration)));
        }
        if order == Order::ByName {
            fields.sort_by_key(|(name, _)| *name);
        }
        as_item(&fields)
    }
}

/// These fields as a table in an array.
fn as_item(fields: &[(&[u8], ValueView<'_>)]) -> Vec<u8> {
    let mut table = Vec::new();
    for (name, value) in fields {
        append_field(name, *value, &mut table);
    }
    let mut item = Vec::with_capacity(table.len() + TABLE_OVERHEAD);
    ValueView::table(&table).append_to(&mut item);
    item
}

fn text<'a>(table: TableView<'a>, name: &str) -> Option<&'a [u8]> {
    table.get(name)?.as_text()
}
