//! From an exchange, routing keys and properties to queues, each at most once.

use std::sync::Arc;

use smallvec::SmallVec;

use super::delayed::delay_ms;
use super::exchange::{Destination, Exchange, ExchangeKind};
use super::message::{BCC, CC, Message};
use super::queue::Queue;
use super::vhost::VHost;
use crate::amqp::wire::properties::PropertiesView;
use crate::amqp::wire::table_view::ValueView;

/// The queues a message goes to.
pub type Queues = SmallVec<[Arc<Queue>; 2]>;

/// Where a message goes.
#[derive(Default)]
pub struct Route {
    /// Each once, in the order in which bindings were met.
    pub queues: Queues,
    /// Exchanges on the way that want to [`remember`](Exchange::remember) the message.
    pub remembers: SmallVec<[Arc<Exchange>; 1]>,
    /// More than exchange and routing keys had a say (a header, another property, or chance), so the next
    /// message with the same ones may go elsewhere.
    pub varies: bool,
}

impl Route {
    /// Tells the exchanges on the way that remember what goes through them.
    pub fn remember(&self, message: &Arc<Message>) {
        self.remembers.iter().for_each(|exchange| exchange.remember(message));
    }
}

/// Follows the exchange graph from `start`. `keys` are the routing key and the CC and BCC keys.
///
/// An exchange is visited once per message, so cycles end. One that leads nowhere hands over to its
/// alternate exchange, if that exists.
pub(super) fn route(
    vhost: &VHost,
    start: &Arc<Exchange>,
    keys: &[&str],
    properties: PropertiesView<'_>,
) -> Route {
    let mut route = Route::default();
    let mut met: SmallVec<[Arc<Exchange>; 4]> = SmallVec::new();
    met.push(Arc::clone(start));
    let mut destinations = Vec::new();
    let mut at = 0;
    while let Some(exchange) = met.get(at).cloned() {
        at += 1;
        route.varies |= exchange.varies;
        if let Some(waiting_room) = waiting_room(vhost, &exchange, properties) {
            add_once(&mut route.queues, waiting_room);
            continue;
        }
        leaving(vhost, &exchange, keys, properties, &mut destinations);
        if destinations.is_empty() {
            let alternate = exchange.alternate_exchange();
            let alternate = alternate.and_then(|name| vhost.exchange(&name));
            destinations.extend(alternate.map(Destination::Exchange));
        }
        for destination in destinations.drain(..) {
            match destination {
                Destination::Queue(queue) => add_once(&mut route.queues, queue),
                Destination::Exchange(exchange) => add_once(&mut met, exchange),
            }
        }
        if exchange.remembers() {
            route.remembers.push(exchange);
        }
    }
    route
}

/// Where a message waits that is to be delayed by this exchange.
fn waiting_room(
    vhost: &VHost,
    exchange: &Exchange,
    properties: PropertiesView<'_>,
) -> Option<Arc<Queue>> {
    if exchange.options.kind != ExchangeKind::DelayedMessage {
        return None;
    }
    delay_ms(properties)?;
    vhost.waiting_room(&exchange.name)
}

/// The same for a message that was published before: by its own key and those of its CC and BCC.
pub(super) fn route_again(vhost: &VHost, start: &Arc<Exchange>, message: &Message) -> Route {
    let properties = PropertiesView::assume_checked(message.header());
    let mut keys: SmallVec<[&str; 2]> = SmallVec::new();
    keys.extend(std::str::from_utf8(message.routing_key()));
    for header in [CC, BCC] {
        keys.extend(extra_keys(properties, header));
    }
    route(vhost, start, &keys, properties)
}

/// The routing keys in the header `CC` or `BCC`: an array, of which only strings count.
pub fn extra_keys<'a>(
    properties: PropertiesView<'a>,
    header: &str,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let texts = properties.header(header).into_iter().flat_map(ValueView::texts);
    texts.filter_map(|text| std::str::from_utf8(text).ok())
}

fn leaving(
    vhost: &VHost,
    exchange: &Exchange,
    keys: &[&str],
    properties: PropertiesView<'_>,
    into: &mut Vec<Destination>,
) {
    if exchange.name.is_empty() {
        // The default exchange is bound to every queue by its name.
        let queues = keys.iter().filter_map(|key| vhost.queue(key));
        into.extend(queues.map(Destination::Queue));
    } else {
        exchange.route(keys, properties, into);
    }
}

fn add_once<T, const N: usize>(list: &mut SmallVec<[Arc<T>; N]>, thing: Arc<T>) {
    // A fan-out to thousands of queues comes from one exchange and rarely repeats one; still, a
    // linear look-up is bounded by the bindings that matched.
    if !list.iter().any(|one| Arc::ptr_eq(one, &thing)) {
        list.push(thing);
    }
}
