//! The flows of a real client library, end to end.

use lapin::message::{Delivery, DeliveryResult};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions,
    BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
};
use tokio::sync::mpsc::{Receiver, channel};

use crate::support::{PATIENCE, TestBroker, unique};

async fn connect(broker: &TestBroker) -> Connection {
    let uri = format!("amqp://guest:guest@{}/%2f", broker.address());
    Connection::connect(&uri, ConnectionProperties::default()).await.expect("lapin connects")
}

fn short(text: &str) -> ShortString {
    text.into()
}

async fn has_queue(channel: &Channel, queue: &str, options: QueueDeclareOptions) {
    channel.queue_declare(short(queue), options, FieldTable::default()).await.unwrap();
}

/// Publishes through the default exchange; what the broker said to it.
async fn publish(
    channel: &Channel,
    queue: &str,
    body: &str,
    with: BasicProperties,
) -> Confirmation {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let sent = channel.basic_publish(short(""), short(queue), options, body.as_bytes(), with);
    sent.await.unwrap().await.unwrap()
}

/// A consumer whose deliveries can be waited for.
async fn consume(channel: &Channel, queue: &str) -> Receiver<Delivery> {
    let (forward, deliveries) = self::channel(64);
    let options = BasicConsumeOptions::default();
    let consumer =
        channel.basic_consume(short(queue), short(""), options, FieldTable::default()).await;
    consumer.unwrap().set_delegate(move |delivery: DeliveryResult| {
        let forward = forward.clone();
        async move {
            if let Ok(Some(delivery)) = delivery {
                forward.send(delivery).await.expect("the test listens");
            }
        }
    });
    deliveries
}

async fn next(deliveries: &mut Receiver<Delivery>) -> Delivery {
    let next = tokio::time::timeout(PATIENCE, deliveries.recv()).await;
    next.expect("a delivery comes in time").expect("the consumer lives")
}

fn exclusive() -> QueueDeclareOptions {
    QueueDeclareOptions { exclusive: true, ..Default::default() }
}

#[tokio::test]
async fn a_work_queue_hands_out_acknowledges_and_requeues() {
    let broker = TestBroker::start();
    let connection = connect(&broker).await;
    let channel = connection.create_channel().await.unwrap();
    let queue = unique("work");
    has_queue(&channel, &queue, exclusive()).await;
    channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
    for body in ["a", "b"] {
        publish(&channel, &queue, body, BasicProperties::default()).await;
    }

    let mut deliveries = consume(&channel, &queue).await;
    let first = next(&mut deliveries).await;
    assert_eq!((first.data.as_slice(), first.redelivered), (&b"a"[..], false));
    first.acker.nack(BasicNackOptions { requeue: true, ..Default::default() }).await.unwrap();
    let again = next(&mut deliveries).await;
    assert_eq!((again.data.as_slice(), again.redelivered), (&b"a"[..], true));
    again.acker.ack(BasicAckOptions::default()).await.unwrap();
    let second = next(&mut deliveries).await;
    assert_eq!(second.data, b"b");
    second.acker.ack(BasicAckOptions::default()).await.unwrap();
    connection.close(200, short("done")).await.unwrap();
}

#[tokio::test]
async fn confirms_tell_routed_from_unroutable() {
    let broker = TestBroker::start();
    let connection = connect(&broker).await;
    let channel = connection.create_channel().await.unwrap();
    let queue = unique("confirmed");
    has_queue(&channel, &queue, exclusive()).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();

    let persistent = BasicProperties::default().with_delivery_mode(2);
    let routed = publish(&channel, &queue, "m", persistent).await;
    assert!(matches!(routed, Confirmation::Ack(None)), "{routed:?}");
    let lost = publish(&channel, &unique("nowhere"), "m", BasicProperties::default()).await;
    assert!(matches!(lost, Confirmation::Ack(Some(_))), "{lost:?}");
    connection.close(200, short("done")).await.unwrap();
}

#[tokio::test]
async fn a_topic_exchange_fans_out_to_its_subscribers() {
    let broker = TestBroker::start();
    let connection = connect(&broker).await;
    let channel = connection.create_channel().await.unwrap();
    let exchange = unique("topic");
    let options = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
    let none = FieldTable::default;
    channel.exchange_declare(short(&exchange), ExchangeKind::Topic, options, none()).await.unwrap();
    let (all, errors) = (unique("all"), unique("errors"));
    for (queue, key) in [(&all, "#"), (&errors, "*.error")] {
        has_queue(&channel, queue, exclusive()).await;
        let bind = QueueBindOptions::default();
        channel.queue_bind(short(queue), short(&exchange), short(key), bind, none()).await.unwrap();
    }
    for key in ["disk.error", "disk.info"] {
        let options = BasicPublishOptions::default();
        let body = key.as_bytes();
        let properties = BasicProperties::default();
        let sent = channel.basic_publish(short(&exchange), short(key), options, body, properties);
        sent.await.unwrap().await.unwrap();
    }
    let get = BasicGetOptions { no_ack: true };
    for (queue, expected) in [(&all, "disk.error"), (&all, "disk.info"), (&errors, "disk.error")] {
        let got = channel.basic_get(short(queue), get).await.unwrap().expect("a message");
        assert_eq!(got.delivery.data, expected.as_bytes());
    }
    assert!(channel.basic_get(short(&errors), get).await.unwrap().is_none());
    connection.close(200, short("done")).await.unwrap();
}

#[tokio::test]
async fn request_and_reply_find_each_other() {
    let broker = TestBroker::start();
    let (server, client) = (connect(&broker).await, connect(&broker).await);
    let (server_channel, client_channel) =
        (server.create_channel().await.unwrap(), client.create_channel().await.unwrap());
    let (requests, replies) = (unique("requests"), unique("replies"));
    has_queue(&server_channel, &requests, exclusive()).await;
    has_queue(&client_channel, &replies, exclusive()).await;
    let mut incoming = consume(&server_channel, &requests).await;
    let mut answers = consume(&client_channel, &replies).await;

    let question =
        BasicProperties::default().with_reply_to(short(&replies)).with_correlation_id(short("42"));
    publish(&client_channel, &requests, "6 * 7", question).await;
    let request = next(&mut incoming).await;
    let reply_to = request.properties.reply_to().as_ref().unwrap().to_string();
    let correlation = request.properties.correlation_id().clone().unwrap();
    let answer = BasicProperties::default().with_correlation_id(correlation);
    publish(&server_channel, &reply_to, "42", answer).await;

    let reply = next(&mut answers).await;
    assert_eq!(reply.data, b"42");
    assert_eq!(reply.properties.correlation_id().as_ref().unwrap().as_str(), "42");
    client.close(200, short("done")).await.unwrap();
    server.close(200, short("done")).await.unwrap();
}

#[tokio::test]
async fn headers_and_large_bodies_come_back_as_sent() {
    let broker = TestBroker::start();
    let connection = connect(&broker).await;
    let channel = connection.create_channel().await.unwrap();
    let queue = unique("large");
    has_queue(&channel, &queue, exclusive()).await;
    let mut headers = FieldTable::default();
    headers.insert(short("attempt"), AMQPValue::LongInt(3));
    let properties = BasicProperties::default().with_headers(headers.clone());
    let body = "x".repeat(2 * 1024 * 1024);
    publish(&channel, &queue, &body, properties).await;
    let got = channel.basic_get(short(&queue), BasicGetOptions::default()).await.unwrap().unwrap();
    assert_eq!(got.delivery.properties.headers().as_ref(), Some(&headers));
    assert!(got.delivery.data == body.as_bytes());
    connection.close(200, short("done")).await.unwrap();
}

#[tokio::test]
async fn a_confirmed_message_survives_a_kill() {
    let mut broker = TestBroker::own();
    let connection = connect(&broker).await;
    let channel = connection.create_channel().await.unwrap();
    has_queue(&channel, "kept", QueueDeclareOptions::durable()).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let confirmed = publish(&channel, "kept", "m", persistent).await;
    assert!(confirmed.is_ack(), "{confirmed:?}");
    broker.crash();

    let connection = connect(&broker).await;
    let channel = connection.create_channel().await.unwrap();
    let got = channel.basic_get(short("kept"), BasicGetOptions::default()).await.unwrap();
    assert_eq!(got.expect("the message is there").delivery.data, b"m");
    let deleted = channel.queue_delete(short("kept"), QueueDeleteOptions::default()).await;
    assert_eq!(deleted.unwrap(), 0, "what is delivered is not ready");
    connection.close(200, short("done")).await.unwrap();
}
