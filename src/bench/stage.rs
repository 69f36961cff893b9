//! Queues, exchanges and subscriptions of a run: set up before it, taken down after it.

use std::time::{Duration, Instant};

use crate::bench::Result;
use crate::bench::connection::{Connection, PATIENCE, Target};
use crate::bench::message::Address;
use crate::bench::topic;
use crate::bench::wire::{Fields, MethodWriter, length_u32, method};
use crate::bench::workload::{ArgumentValue, Durability, Feature, Route, Settle, Workload};

const CHANNEL: u16 = 1;
const PASSIVE: u8 = 1;
const DURABLE: u8 = 1 << 1;
const NO_ACK: u8 = 1 << 1;
const EMPTY_TABLE: u32 = 0;

/// What a run declared, and the connection that will delete it.
#[derive(Debug)]
pub(crate) struct Stage {
    control: Connection,
    lanes: Vec<LaneNames>,
}

/// The names that belong to one lane.
#[derive(Debug, Clone)]
pub(crate) struct LaneNames {
    pub(crate) queues: Vec<String>,
    /// Where messages go, one after the other.
    pub(crate) addresses: Vec<Address>,
    exchange: Option<Exchange>,
}

/// An exchange of a lane, and what is bound to it: queues by their place among the lane's, with a key.
#[derive(Debug, Clone)]
struct Exchange {
    name: String,
    kind: &'static str,
    bindings: Vec<(usize, String)>,
}

impl Stage {
    /// Declares everything `workload` needs, empty and new.
    pub(crate) fn set(target: &Target, workload: &Workload) -> Result<Self> {
        let mut stage = Self::find(target, workload)?;
        // What an interrupted run left behind must not count in this one.
        stage.delete_all()?;
        for lane in stage.lanes.clone() {
            stage.declare(&lane, workload)?;
        }
        Ok(stage)
    }

    /// What an earlier [`Stage::set`] declared, left as it is.
    pub(crate) fn find(target: &Target, workload: &Workload) -> Result<Self> {
        let mut control = Connection::open(target)?;
        control.open_channel(CHANNEL)?;
        let lanes = (0..workload.lanes).map(|lane| LaneNames::new(workload, lane)).collect();
        Ok(Self { control, lanes })
    }

    /// Messages ready in all queues, as the broker counts them.
    pub(crate) fn ready(&mut self) -> Result<u64> {
        let mut ready = 0;
        for queue in self.lanes.iter().flat_map(|lane| &lane.queues) {
            let ask = MethodWriter::new(CHANNEL, method::QUEUE_DECLARE)
                .u16(0)
                .short_string(queue)
                .u8(PASSIVE)
                .u32(EMPTY_TABLE);
            let reply = self.control.call(&ask.finish(), method::QUEUE_DECLARE_OK)?;
            let mut fields = Fields(&reply);
            let count = fields.short_string().and_then(|_| fields.u32());
            ready += u64::from(count.ok_or("queue.declare-ok is too short")?);
        }
        Ok(ready)
    }

    /// Waits until `count` messages are ready; fails when nothing changes for [`PATIENCE`].
    pub(crate) fn wait_until_ready(&mut self, count: u64) -> Result<()> {
        const ASK_EVERY: Duration = Duration::from_millis(1);
        let (mut seen, mut since) = (self.ready()?, Instant::now());
        while seen != count {
            if since.elapsed() > PATIENCE {
                return Err(format!("{seen} messages are ready, not {count}").into());
            }
            std::thread::sleep(ASK_EVERY);
            let ready = self.ready()?;
            if ready != seen {
                (seen, since) = (ready, Instant::now());
            }
        }
        Ok(())
    }

    /// The names of each lane.
    pub(crate) fn lanes(&self) -> &[LaneNames] {
        &self.lanes
    }

    /// Deletes everything; returns how many messages were still in the queues.
    pub(crate) fn take_down(mut self) -> Result<u64> {
        let left_behind = self.delete_all()?;
        self.control.close()?;
        Ok(left_behind)
    }

    fn declare(&mut self, lane: &LaneNames, workload: &Workload) -> Result<()> {
        let durable = if workload.durability == Durability::Persistent { DURABLE } else { 0 };
        let arguments = arguments(workload.feature);
        if let Some(exchange) = &lane.exchange {
            let declare = MethodWriter::new(CHANNEL, method::EXCHANGE_DECLARE)
                .u16(0)
                .short_string(&exchange.name)
                .short_string(exchange.kind)
                .u8(durable)
                .u32(EMPTY_TABLE);
            self.control.call(&declare.finish(), method::EXCHANGE_DECLARE_OK)?;
        }
        for queue in &lane.queues {
            let declare = MethodWriter::new(CHANNEL, method::QUEUE_DECLARE)
                .u16(0)
                .short_string(queue)
                .u8(durable)
                .long_string(&arguments);
            self.control.call(&declare.finish(), method::QUEUE_DECLARE_OK)?;
        }
        if let Some(exchange) = &lane.exchange {
            for (queue, key) in &exchange.bindings {
                self.bind(&lane.queues[*queue], &exchange.name, key)?;
            }
        }
        Ok(())
    }

    fn bind(&mut self, queue: &str, exchange: &str, key: &str) -> Result<()> {
        let bind = MethodWriter::new(CHANNEL, method::QUEUE_BIND)
            .u16(0)
            .short_string(queue)
            .short_string(exchange)
            .short_string(key)
            .u8(0)
            .u32(EMPTY_TABLE);
        self.control.call(&bind.finish(), method::QUEUE_BIND_OK).map(drop)
    }

    fn delete_all(&mut self) -> Result<u64> {
        let mut left_behind = 0;
        for lane in &self.lanes {
            for queue in &lane.queues {
                let delete = MethodWriter::new(CHANNEL, method::QUEUE_DELETE)
                    .u16(0)
                    .short_string(queue)
                    .u8(0);
                let reply = self.control.call(&delete.finish(), method::QUEUE_DELETE_OK)?;
                let count = Fields(&reply).u32().ok_or("queue.delete-ok is too short")?;
                left_behind += u64::from(count);
            }
            if let Some(exchange) = &lane.exchange {
                let delete = MethodWriter::new(CHANNEL, method::EXCHANGE_DELETE)
                    .u16(0)
                    .short_string(&exchange.name)
                    .u8(0);
                self.control.call(&delete.finish(), method::EXCHANGE_DELETE_OK)?;
            }
        }
        Ok(left_behind)
    }
}

impl LaneNames {
    fn new(workload: &Workload, lane: usize) -> Self {
        let prefix =
            format!("load.{}.{lane}", workload.name.to_ascii_lowercase().replace(' ', "-"));
        // Of one length, so that the messages to all queues have one length too.
        let queues = (0..workload.route.queues()).map(|queue| format!("{prefix}.{queue:05}"));
        let queues: Vec<_> = queues.collect();
        let exchange = Exchange::new(workload.route, prefix);
        let name = exchange.as_ref().map_or("", |exchange| &exchange.name);
        let address = |key| Address { exchange: name.to_owned(), routing_key: key };
        let addresses = match workload.route {
            // The default exchange routes by queue name.
            Route::Direct(_) => queues.iter().cloned().map(address).collect(),
            Route::Fanout(_) => vec![address(String::new())],
            Route::Topic { bindings, .. } => {
                (0..bindings).map(topic::routing_key).map(address).collect()
            }
        };
        Self { queues, addresses, exchange }
    }
}

impl Exchange {
    /// The exchange that a route needs, if it is not the default one.
    fn new(route: Route, name: String) -> Option<Self> {
        let (kind, bindings) = match route {
            Route::Direct(_) => return None,
            Route::Fanout(queues) => {
                ("fanout", (0..queues).map(|queue| (queue, String::new())).collect())
            }
            Route::Topic { queues, bindings } => {
                let bind = |number| (number % queues, topic::pattern(number, queues));
                ("topic", (0..bindings).map(bind).collect())
            }
        };
        Some(Self { name, kind, bindings })
    }
}

/// The fields of a queue's arguments.
fn arguments(feature: Feature) -> Vec<u8> {
    let Some((name, value)) = feature.argument() else { return Vec::new() };
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let mut field = [&[length], name.as_bytes()].concat();
    match value {
        ArgumentValue::Number(number) => {
            field.push(b'I');
            field.extend(number.to_be_bytes());
        }
        ArgumentValue::Text(text) => {
            field.push(b'S');
            field.extend(length_u32(text.len()).to_be_bytes());
            field.extend(text.as_bytes());
        }
    }
    field
}

/// A connection ready to publish on channel 1.
pub(crate) fn open_producer(target: &Target, workload: &Workload) -> Result<Connection> {
    let mut connection = Connection::open(target)?;
    connection.open_channel(CHANNEL)?;
    if workload.confirm_window.is_some() {
        let select = MethodWriter::new(CHANNEL, method::CONFIRM_SELECT).u8(0);
        connection.call(&select.finish(), method::CONFIRM_SELECT_OK)?;
    }
    Ok(connection)
}

/// Channels of a consumer of so many queues: one for each, or a hundred that share them.
///
/// The n-th queue is consumed on the n-th channel, from channel 1, and so on in turn, with its number as consumer tag.
pub(crate) fn channels_for(queues: usize) -> usize {
    const MOST_CHANNELS: usize = 100;
    queues.min(MOST_CHANNELS)
}

/// A connection that consumes all of the queues.
pub(crate) fn open_consumer(
    target: &Target,
    workload: &Workload,
    queues: &[String],
) -> Result<Connection> {
    let mut connection = Connection::open(target)?;
    let channels = (1..).take(channels_for(queues.len()));
    for channel in channels.clone() {
        connection.open_channel(channel)?;
        if let Settle::Manual { prefetch, .. } = workload.settle {
            let qos = MethodWriter::new(channel, method::BASIC_QOS).u32(0).u16(prefetch).u8(0);
            connection.call(&qos.finish(), method::BASIC_QOS_OK)?;
        }
    }
    let bits = if workload.settle == Settle::Automatic { NO_ACK } else { 0 };
    for ((number, queue), channel) in queues.iter().enumerate().zip(channels.cycle()) {
        let consume = MethodWriter::new(channel, method::BASIC_CONSUME)
            .u16(0)
            .short_string(queue)
            .short_string(&number.to_string())
            .u8(bits)
            .u32(EMPTY_TABLE);
        connection.call(&consume.finish(), method::BASIC_CONSUME_OK)?;
    }
    Ok(connection)
}
