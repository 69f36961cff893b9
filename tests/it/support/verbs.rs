//! What clients do, in one call each. Everything is on one channel, which is always the first argument.

use super::{Method, PATIENCE, Properties, RawPeer, Read, eventually, method};

/// A message as it came, by deliver, get or return.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub method: Method,
    /// Flags and values as in the content header.
    pub properties: Vec<u8>,
    pub body: Vec<u8>,
}

impl Delivery {
    pub fn tag(&self) -> u64 {
        self.method.number("delivery_tag")
    }

    pub fn redelivered(&self) -> bool {
        self.method.bit("redelivered")
    }

    pub fn consumer(&self) -> &str {
        self.method.text("consumer_tag")
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl RawPeer {
    /// Declares a queue that lives as long as this connection.
    pub fn has_queue(&mut self, channel: u16, queue: &str) {
        let declare = method("queue.declare").set("queue", queue).on("exclusive");
        self.asks(channel, &declare, "queue.declare-ok");
    }

    /// Declares a durable queue.
    pub fn has_durable_queue(&mut self, channel: u16, queue: &str) {
        let declare = method("queue.declare").set("queue", queue).on("durable");
        self.asks(channel, &declare, "queue.declare-ok");
    }

    /// Declares an exchange that goes with its last binding.
    pub fn has_exchange(&mut self, channel: u16, exchange: &str, kind: &str) {
        let declare = method("exchange.declare").set("exchange", exchange).set("type", kind);
        self.asks(channel, &declare.on("auto_delete"), "exchange.declare-ok");
    }

    pub fn binds(&mut self, channel: u16, queue: &str, exchange: &str, key: &str) {
        let bind = method("queue.bind").set("queue", queue).set("exchange", exchange);
        self.asks(channel, &bind.set("routing_key", key), "queue.bind-ok");
    }

    /// To a queue, through the default exchange.
    pub fn publishes(&mut self, channel: u16, queue: &str, body: &str) {
        self.publishes_with(channel, queue, &Properties::default(), body.as_bytes());
    }

    pub fn publishes_persistent(&mut self, channel: u16, queue: &str, body: &str) {
        self.publishes_with(channel, queue, &Properties::persistent(), body.as_bytes());
    }

    pub fn publishes_with(&mut self, channel: u16, queue: &str, with: &Properties, body: &[u8]) {
        let publish = method("basic.publish").set("routing_key", queue);
        self.sends_content(channel, &publish, with, body);
    }

    pub fn publishes_to(&mut self, channel: u16, exchange: &str, key: &str, body: &str) {
        let publish = method("basic.publish").set("exchange", exchange).set("routing_key", key);
        self.sends_content(channel, &publish, &Properties::default(), body.as_bytes());
    }

    /// Any method with content; bodies are cut to the agreed frame size. Whether the socket still took it.
    pub fn sends_content(
        &mut self,
        channel: u16,
        publish: &Method,
        with: &Properties,
        body: &[u8],
    ) -> bool {
        let mut bytes = super::peer::frame(1, channel, &publish.encode());
        bytes.extend(super::peer::frame(2, channel, &content_header(body.len() as u64, with)));
        for part in body.chunks(self.frame_max as usize - 8) {
            bytes.extend(super::peer::frame(3, channel, part));
        }
        self.sends_bytes(&bytes)
    }

    /// With acknowledgements.
    pub fn consumes(&mut self, channel: u16, queue: &str, tag: &str) {
        let consume = method("basic.consume").set("queue", queue).set("consumer_tag", tag);
        self.asks(channel, &consume, "basic.consume-ok");
    }

    pub fn prefetches(&mut self, channel: u16, count: u64) {
        self.asks(channel, &method("basic.qos").set("prefetch_count", count), "basic.qos-ok");
    }

    pub fn prefetches_together(&mut self, channel: u16, count: u64) {
        let qos = method("basic.qos").set("prefetch_count", count).on("global");
        self.asks(channel, &qos, "basic.qos-ok");
    }

    /// The next delivery.
    #[track_caller]
    pub fn delivery(&mut self, channel: u16) -> Delivery {
        let deliver = self.takes(channel, "basic.deliver");
        self.content(channel, deliver)
    }

    /// The next deliveries have these bodies; their tags come back.
    #[track_caller]
    pub fn receives(&mut self, channel: u16, bodies: &[&str]) -> Vec<u64> {
        let one = |expected: &&str| {
            let delivery = self.delivery(channel);
            assert_eq!(delivery.text(), *expected);
            delivery.tag()
        };
        bodies.iter().map(one).collect()
    }

    /// basic.get, to be acknowledged.
    #[track_caller]
    pub fn gets(&mut self, channel: u16, queue: &str) -> Option<Delivery> {
        self.sends(channel, &method("basic.get").set("queue", queue));
        let answer = self.next_method(channel);
        match answer.name {
            "basic.get-ok" => Some(self.content(channel, answer)),
            "basic.get-empty" => None,
            _ => panic!("basic.get was answered with {answer:?}"),
        }
    }

    /// Takes everything that is ready, acknowledged; the bodies come back.
    #[track_caller]
    pub fn drains(&mut self, channel: u16, queue: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        while let Some(message) = self.gets(channel, queue) {
            self.acks(channel, message.tag());
            bodies.push(message.text().to_owned());
        }
        bodies
    }

    /// The content that follows a method.
    #[track_caller]
    pub fn content(&mut self, channel: u16, method: Method) -> Delivery {
        let header = self.next_frame(channel);
        assert_eq!(header.kind, 2, "a content header was due, not {header:?}");
        let size = u64::from_be_bytes(header.payload[4..12].try_into().unwrap());
        let mut body = Vec::new();
        while (body.len() as u64) < size {
            let part = self.next_frame(channel);
            assert_eq!(part.kind, 3, "a body was due, not {part:?}");
            assert!(part.payload.len() + 8 <= self.frame_max as usize, "a frame above frame_max");
            body.extend(part.payload);
        }
        Delivery { method, properties: header.payload[12..].to_vec(), body }
    }

    pub fn acks(&mut self, channel: u16, tag: u64) -> bool {
        self.sends(channel, &method("basic.ack").set("delivery_tag", tag))
    }

    pub fn requeues(&mut self, channel: u16, tag: u64) {
        self.sends(channel, &method("basic.nack").set("delivery_tag", tag).on("requeue"));
    }

    /// From now on publishes on the channel are confirmed.
    pub fn selects_confirms(&mut self, channel: u16) {
        self.asks(channel, &method("confirm.select"), "confirm.select-ok");
    }

    /// Waits until everything up to `last` is confirmed, in whatever portions, none refused.
    #[track_caller]
    pub fn is_confirmed_up_to(&mut self, channel: u16, last: u64) {
        let mut open: std::collections::BTreeSet<u64> = (1..=last).collect();
        while !open.is_empty() {
            let ack = self.takes(channel, "basic.ack");
            let tag = ack.number("delivery_tag");
            if ack.bit("multiple") {
                open.retain(|seq| *seq > tag);
            } else {
                open.remove(&tag);
            }
        }
    }

    /// Waits for the confirm of one publish.
    #[track_caller]
    pub fn is_confirmed(&mut self, channel: u16, sequence: u64) {
        self.expects(channel, &method("basic.ack").set("delivery_tag", sequence));
    }

    /// Ready messages, and consumers.
    pub fn counts(&mut self, channel: u16, queue: &str) -> (u64, u64) {
        let declare = method("queue.declare").set("queue", queue).on("passive");
        let ok = self.asks(channel, &declare, "queue.declare-ok");
        (ok.number("message_count"), ok.number("consumer_count"))
    }

    /// Waits until so many messages are ready: another channel may be a little behind, and is in RabbitMQ.
    pub fn waits_for(&mut self, channel: u16, queue: &str, ready: u64) {
        eventually(PATIENCE, "the messages are ready", || self.counts(channel, queue).0 == ready);
    }

    /// Whether the queue is there. Asked on a channel of its own, which a missing queue closes.
    pub fn sees_queue(&mut self, queue: &str) -> bool {
        self.sees(&method("queue.declare").set("queue", queue).on("passive"))
    }

    pub fn sees_exchange(&mut self, exchange: &str) -> bool {
        self.sees(&method("exchange.declare").set("exchange", exchange).on("passive"))
    }

    fn sees(&mut self, declare: &Method) -> bool {
        const ASIDE: u16 = 2000;
        self.opens(ASIDE);
        self.sends(ASIDE, declare);
        let answer = self.next_method(ASIDE);
        if answer.name == "channel.close" {
            assert_eq!(answer.number("code"), 404, "{answer:?}");
            self.sends(ASIDE, &method("channel.close-ok"));
            return false;
        }
        self.asks(ASIDE, &method("channel.close").set("code", 200), "channel.close-ok");
        true
    }

    /// Nothing is on its way to this channel: the answer to a question about the queue is the next frame.
    #[track_caller]
    pub fn hears_nothing_more(&mut self, channel: u16, queue: &str) {
        self.counts(channel, queue);
    }

    /// The broker closes the channel because of `cause`; the peer agrees.
    #[track_caller]
    pub fn is_refused(&mut self, channel: u16, cause: &str, code: u64, text: &str) {
        let expected = close("channel.close", cause, code, text);
        self.expects(channel, &expected);
        self.sends(channel, &method("channel.close-ok"));
    }

    /// The broker closes the connection because of `cause` (empty: no method); the peer agrees; the socket closes.
    #[track_caller]
    pub fn is_cut_off(&mut self, cause: &str, code: u64, text: &str) {
        let expected = close("connection.close", cause, code, text);
        self.expects(0, &expected);
        self.sends(0, &method("connection.close-ok"));
        self.expects_end();
    }

    /// Leaves in order.
    pub fn leaves(mut self) {
        self.sends(0, &method("connection.close").set("code", 200));
        loop {
            match self.reads(PATIENCE) {
                Read::Frame(frame) if frame.channel == 0 && frame.kind == 1 => break,
                Read::Frame(_) => {}
                other => panic!("instead of connection.close-ok: {other:?}"),
            }
        }
    }
}

/// The payload of a content header for class 60.
pub fn content_header(size: u64, with: &Properties) -> Vec<u8> {
    [&[0, 60, 0, 0], size.to_be_bytes().as_slice(), &with.encode()].concat()
}

fn close(name: &str, cause: &str, code: u64, text: &str) -> Method {
    let close = method(name).set("code", code).set("text", text);
    if cause.is_empty() {
        return close;
    }
    let cause = method(cause);
    close.set("class", u64::from(cause.class)).set("method", u64::from(cause.id))
}
