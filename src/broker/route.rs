//! From an exchange, a key and headers to queues, each at most once.

use std::sync::Arc;

use smallvec::SmallVec;

use super::exchange::{Destination, Exchange, ExchangeKind, HeadersSource};
use super::queue::Queue;
use super::vhost::VHost;

/// The queues a message goes to.
pub type Queues = SmallVec<[Arc<Queue>; 2]>;

/// Where a message goes.
#[derive(Default)]
pub struct Route {
    /// Each once, in the order in which bindings were met.
    pub queues: Queues,
    /// Headers had a say, so the next message with the same key may go elsewhere.
    pub by_headers: bool,
}

/// Follows the exchange graph from `start`. `keys` are the routing key and the CC and BCC keys.
///
/// An exchange is visited once per message, so cycles end. One that leads nowhere hands over to its
/// alternate exchange, if that exists.
pub(super) fn route(
    vhost: &VHost,
    start: &Arc<Exchange>,
    keys: &[&str],
    headers: HeadersSource<'_>,
) -> Route {
    let mut route = Route::default();
    let mut met: SmallVec<[Arc<Exchange>; 4]> = SmallVec::new();
    met.push(Arc::clone(start));
    let mut destinations = Vec::new();
    let mut at = 0;
    while let Some(exchange) = met.get(at).cloned() {
        at += 1;
        route.by_headers |= exchange.options.kind == ExchangeKind::Headers;
        leaving(vhost, &exchange, keys, headers, &mut destinations);
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
    }
    route
}

fn leaving(
    vhost: &VHost,
    exchange: &Exchange,
    keys: &[&str],
    headers: HeadersSource<'_>,
    into: &mut Vec<Destination>,
) {
    for key in keys {
        if exchange.name.is_empty() {
            // The default exchange is bound to every queue by its name.
            into.extend(vhost.queue(key).map(Destination::Queue));
        } else {
            exchange.route(key, headers, into);
        }
    }
}

fn add_once<T, const N: usize>(list: &mut SmallVec<[Arc<T>; N]>, thing: Arc<T>) {
    // A fan-out to thousands of queues comes from one exchange and rarely repeats one; still, a
    // linear look-up is bounded by the bindings that matched.
    if !list.iter().any(|one| Arc::ptr_eq(one, &thing)) {
        list.push(thing);
    }
}
