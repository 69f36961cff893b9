//! What a client says, as frames.

use amq_protocol::frame::WriteContext;
use amq_protocol::protocol::{
    AMQPClass, basic, channel, confirm, connection, exchange, gen_class, queue, tx,
};
use amq_protocol::types::{AMQPValue, FieldTable};

use crate::amqp::wire::frame::{ChannelId, FrameKind};

/// One method, with its content if it has one; on channel 1 unless said otherwise.
#[derive(Clone)]
pub(super) struct Said {
    pub(super) channel: ChannelId,
    pub(super) frames: Vec<(FrameKind, Vec<u8>)>,
}

impl Said {
    pub(super) fn on(self, channel: ChannelId) -> Self {
        Self { channel, ..self }
    }
}

fn says(class: &AMQPClass) -> Said {
    let payload = gen_class(class)(WriteContext::from(Vec::new())).unwrap().write;
    Said { channel: 1, frames: vec![(FrameKind::Method, payload)] }
}

fn on_basic(method: basic::AMQPMethod) -> Said {
    says(&AMQPClass::Basic(method))
}

fn on_connection(method: connection::AMQPMethod) -> Said {
    says(&AMQPClass::Connection(method)).on(0)
}

pub(super) fn start_ok(capabilities: &[&str]) -> Said {
    let mut table = FieldTable::default();
    for name in capabilities {
        table.insert((*name).into(), AMQPValue::Boolean(true));
    }
    let mut client_properties = FieldTable::default();
    client_properties.insert("capabilities".into(), AMQPValue::FieldTable(table));
    on_connection(connection::AMQPMethod::StartOk(connection::StartOk {
        client_properties,
        mechanism: "PLAIN".into(),
        response: b"\0guest\0guest".as_slice().into(),
        locale: "en_US".into(),
    }))
}

pub(super) fn tune_ok() -> Said {
    let answer = connection::TuneOk { channel_max: 100, frame_max: 131_072, heartbeat: 0 };
    on_connection(connection::AMQPMethod::TuneOk(answer))
}

pub(super) fn open_vhost(name: &str) -> Said {
    let open = connection::Open { virtual_host: name.into() };
    on_connection(connection::AMQPMethod::Open(open))
}

pub(super) fn close_connection() -> Said {
    on_connection(connection::AMQPMethod::Close(connection::Close {
        reply_code: 200,
        reply_text: "bye".into(),
        class_id: 0,
        method_id: 0,
    }))
}

pub(super) fn open_channel() -> Said {
    says(&AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {})))
}

pub(super) fn close_channel() -> Said {
    let close =
        channel::Close { reply_code: 200, reply_text: "bye".into(), class_id: 0, method_id: 0 };
    says(&AMQPClass::Channel(channel::AMQPMethod::Close(close)))
}

pub(super) fn close_channel_ok() -> Said {
    says(&AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {})))
}

/// queue.declare; `flags` are words.
pub(super) fn declare(name: &str, flags: &str) -> Said {
    declare_with(name, flags, FieldTable::default())
}

/// queue.declare of a queue that refuses publishes while this many messages lie ready.
pub(super) fn declare_rejecting(name: &str, flags: &str, max_length: i32) -> Said {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(max_length));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    declare_with(name, flags, arguments)
}

/// queue.declare of a queue whose deliveries are to be acknowledged within this time.
pub(super) fn declare_impatient(name: &str, timeout_ms: i32) -> Said {
    declare_with(name, "", timeout(timeout_ms))
}

fn timeout(timeout_ms: i32) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-consumer-timeout".into(), AMQPValue::LongInt(timeout_ms));
    arguments
}

pub(super) fn declare_with(name: &str, flags: &str, arguments: FieldTable) -> Said {
    let has = |flag| flags.split(' ').any(|word| word == flag);
    let declare = queue::Declare {
        queue: name.into(),
        passive: has("passive"),
        durable: has("durable"),
        exclusive: has("exclusive"),
        auto_delete: has("auto-delete"),
        nowait: has("nowait"),
        arguments,
    };
    says(&AMQPClass::Queue(queue::AMQPMethod::Declare(declare)))
}

pub(super) fn delete(name: &str) -> Said {
    let delete =
        queue::Delete { queue: name.into(), if_unused: false, if_empty: false, nowait: false };
    says(&AMQPClass::Queue(queue::AMQPMethod::Delete(delete)))
}

pub(super) fn purge(name: &str) -> Said {
    let purge = queue::Purge { queue: name.into(), nowait: false };
    says(&AMQPClass::Queue(queue::AMQPMethod::Purge(purge)))
}

pub(super) fn bind(name: &str, exchange: &str, key: &str) -> Said {
    let bind = queue::Bind {
        queue: name.into(),
        exchange: exchange.into(),
        routing_key: key.into(),
        nowait: false,
        arguments: FieldTable::default(),
    };
    says(&AMQPClass::Queue(queue::AMQPMethod::Bind(bind)))
}

pub(super) fn unbind(name: &str, exchange: &str, key: &str) -> Said {
    let unbind = queue::Unbind {
        queue: name.into(),
        exchange: exchange.into(),
        routing_key: key.into(),
        arguments: FieldTable::default(),
    };
    says(&AMQPClass::Queue(queue::AMQPMethod::Unbind(unbind)))
}

pub(super) fn declare_exchange(name: &str, kind: &str, durable: bool) -> Said {
    let declare = exchange::Declare {
        exchange: name.into(),
        kind: kind.into(),
        passive: false,
        durable,
        auto_delete: false,
        internal: false,
        nowait: false,
        arguments: FieldTable::default(),
    };
    says(&AMQPClass::Exchange(exchange::AMQPMethod::Declare(declare)))
}

pub(super) fn delete_exchange(name: &str) -> Said {
    let delete = exchange::Delete { exchange: name.into(), if_unused: false, nowait: false };
    says(&AMQPClass::Exchange(exchange::AMQPMethod::Delete(delete)))
}

/// A transient message to a queue by its name.
pub(super) fn publish(queue: &str, body: &str) -> Said {
    publish_to("", queue, body, "")
}

/// A persistent message to a queue by its name.
pub(super) fn keep(queue: &str, body: &str) -> Said {
    publish_to("", queue, body, "persistent")
}

/// basic.publish; `flags` are words.
pub(super) fn publish_to(exchange: &str, key: &str, body: &str, flags: &str) -> Said {
    let has = |flag| flags.split(' ').any(|word| word == flag);
    let publish = basic::Publish {
        exchange: exchange.into(),
        routing_key: key.into(),
        mandatory: has("mandatory"),
        immediate: false,
    };
    let mut said = on_basic(basic::AMQPMethod::Publish(publish));
    let delivery_mode = if has("persistent") { 2 } else { 1 };
    let size = (body.len() as u64).to_be_bytes();
    let header = [&[0, 60, 0, 0][..], &size, &[0x10, 0, delivery_mode]].concat();
    said.frames.push((FrameKind::Header, header));
    if !body.is_empty() {
        said.frames.push((FrameKind::Body, body.as_bytes().to_vec()));
    }
    said
}

/// A request to a queue by its name, whose answer is to go to `reply_to`.
pub(super) fn request(queue: &str, reply_to: &str, body: &str) -> Said {
    let mut said = publish_to("", queue, body, "");
    let size = (body.len() as u64).to_be_bytes();
    let length = u8::try_from(reply_to.len()).unwrap();
    let header = [&[0, 60, 0, 0][..], &size, &[0x02, 0, length], reply_to.as_bytes()].concat();
    said.frames[1] = (FrameKind::Header, header);
    said
}

pub(super) fn consume(queue: &str, tag: &str) -> Said {
    consume_with(queue, tag, "")
}

/// basic.consume; `flags` are words.
pub(super) fn consume_with(queue: &str, tag: &str, flags: &str) -> Said {
    consume_as(queue, tag, flags, FieldTable::default())
}

/// basic.consume that asks for this time to acknowledge.
pub(super) fn consume_within(queue: &str, tag: &str, timeout_ms: i32) -> Said {
    consume_as(queue, tag, "", timeout(timeout_ms))
}

fn consume_as(queue: &str, tag: &str, flags: &str, arguments: FieldTable) -> Said {
    let has = |flag| flags.split(' ').any(|word| word == flag);
    on_basic(basic::AMQPMethod::Consume(basic::Consume {
        queue: queue.into(),
        consumer_tag: tag.into(),
        no_local: false,
        no_ack: has("no-ack"),
        exclusive: has("exclusive"),
        nowait: has("nowait"),
        arguments,
    }))
}

pub(super) fn cancel(tag: &str) -> Said {
    let cancel = basic::Cancel { consumer_tag: tag.into(), nowait: false };
    on_basic(basic::AMQPMethod::Cancel(cancel))
}

pub(super) fn get(queue: &str) -> Said {
    on_basic(basic::AMQPMethod::Get(basic::Get { queue: queue.into(), no_ack: false }))
}

pub(super) fn qos(prefetch_count: u16, global: bool) -> Said {
    on_basic(basic::AMQPMethod::Qos(basic::Qos { prefetch_count, global }))
}

pub(super) fn ack(delivery_tag: u64) -> Said {
    on_basic(basic::AMQPMethod::Ack(basic::Ack { delivery_tag, multiple: false }))
}

pub(super) fn ack_up_to(delivery_tag: u64) -> Said {
    on_basic(basic::AMQPMethod::Ack(basic::Ack { delivery_tag, multiple: true }))
}

pub(super) fn requeue(delivery_tag: u64) -> Said {
    let nack = basic::Nack { delivery_tag, multiple: false, requeue: true };
    on_basic(basic::AMQPMethod::Nack(nack))
}

pub(super) fn reject(delivery_tag: u64) -> Said {
    on_basic(basic::AMQPMethod::Reject(basic::Reject { delivery_tag, requeue: true }))
}

pub(super) fn recover() -> Said {
    on_basic(basic::AMQPMethod::Recover(basic::Recover { requeue: true }))
}

pub(super) fn confirm_select() -> Said {
    let select = confirm::Select { nowait: false };
    says(&AMQPClass::Confirm(confirm::AMQPMethod::Select(select)))
}

pub(super) fn tx_select() -> Said {
    says(&AMQPClass::Tx(tx::AMQPMethod::Select(tx::Select {})))
}

pub(super) fn tx_commit() -> Said {
    says(&AMQPClass::Tx(tx::AMQPMethod::Commit(tx::Commit {})))
}

pub(super) fn tx_rollback() -> Said {
    says(&AMQPClass::Tx(tx::AMQPMethod::Rollback(tx::Rollback {})))
}
