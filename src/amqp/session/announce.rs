//! What a connection tells the event exchange: logins, connections, channels, consumers. Nothing unless it is on.

use std::net::IpAddr;
use std::sync::Arc;

use amq_protocol::protocol::basic;

use super::Session;
use crate::amqp::wire::frame::ChannelId;
use crate::broker::events::{Acting, Fields, act_as, process};

const SUCCESS: &str = "user.authentication.success";
const FAILURE: &str = "user.authentication.failure";
/// AMQP 0-9-1, as RabbitMQ's events call it.
const PROTOCOL: &str = "{0,9,1}";

impl Session {
    /// While the result lives, the broker's events name this connection's user.
    pub(super) fn acts(&self) -> Option<Acting> {
        self.broker.events()?;
        self.user.as_ref().map(|user| act_as(Arc::from(user.name())))
    }

    pub(super) fn tell_login(&self, user: &str, succeeded: bool) {
        let Some(events) = self.broker.events() else { return };
        let key = if succeeded { SUCCESS } else { FAILURE };
        events.emit(key, |fields| {
            self.tell_peer(fields);
            fields
                .text("name", user)
                .text("connection_name", &self.origin.name)
                .text("connection_type", "network");
            if !succeeded {
                fields.text("error", &format!("user '{user}' - invalid credentials"));
            }
        });
    }

    pub(super) fn tell_connection_created(&self, vhost: &str) {
        let tuning = self.peer.tuning();
        self.announce("connection.created", |fields| {
            self.tell_peer(fields);
            self.tell_identity(fields);
            let heartbeat = tuning.heartbeat.map_or(0, |heartbeat| heartbeat.interval().as_secs());
            fields
                .text("type", "network")
                .text("vhost", vhost)
                .text("user", self.user.as_ref().map_or("", |user| user.name()))
                .number("port", self.origin.local.port().into())
                .number("channel_max", tuning.channel_max.into())
                .number("frame_max", tuning.frame_max.into())
                .number("timeout", heartbeat)
                .number("connected_at", self.broker.clock().unix_ms(self.connected));
        });
    }

    /// Once, of every connection that has sent start-ok, as in RabbitMQ.
    pub(super) fn tell_connection_closed(&mut self) {
        if self.mechanism.is_empty() || std::mem::replace(&mut self.told_closed, true) {
            return;
        }
        if let Some(events) = self.broker.events() {
            events.emit("connection.closed", |fields| self.tell_identity(fields));
        }
    }

    pub(super) fn tell_channel_created(&self, id: ChannelId) {
        let Some(login) = &self.login else { return };
        self.announce("channel.created", |fields| {
            fields
                .text("pid", &self.process(id))
                .text("name", &format!("{} ({id})", self.origin.name))
                .text("connection", &self.process(0))
                .number("number", id.into())
                .text("user", login.user.name())
                .text("vhost", &login.vhost.name);
        });
    }

    pub(super) fn tell_channel_closed(&self, id: ChannelId) {
        self.announce("channel.closed", |fields| {
            fields.text("pid", &self.process(id));
        });
    }

    pub(super) fn tell_consumer_created(
        &self,
        id: ChannelId,
        tag: &str,
        queue: &str,
        consume: &basic::Consume,
        prefetch: u16,
    ) {
        self.announce("consumer.created", |fields| {
            self.tell_consumer(fields, id, tag, queue);
            fields
                .flag("exclusive", consume.exclusive)
                .flag("ack_required", !consume.no_ack)
                .number("prefetch_count", prefetch.into())
                .table("arguments", &consume.arguments);
        });
    }

    pub(super) fn tell_consumer_deleted(&self, id: ChannelId, tag: &str, queue: &str) {
        self.announce("consumer.deleted", |fields| self.tell_consumer(fields, id, tag, queue));
    }

    fn announce(&self, key: &'static str, fill: impl FnOnce(&mut Fields)) {
        if let Some(events) = self.broker.events() {
            let _acting = self.acts();
            events.emit(key, |fields| {
                fields.actor();
                fill(fields);
            });
        }
    }

    fn tell_consumer(&self, fields: &mut Fields, id: ChannelId, tag: &str, queue: &str) {
        let vhost = self.login.as_ref().map_or("", |login| &login.vhost.name);
        fields
            .text("consumer_tag", tag)
            .text("channel", &self.process(id))
            .text("queue", queue)
            .text("vhost", vhost);
    }

    fn tell_peer(&self, fields: &mut Fields) {
        let (peer, local) = (self.origin.peer, self.origin.local);
        fields
            .text("host", &term(local.ip()))
            .text("peer_host", &term(peer.ip()))
            .number("peer_port", peer.port().into())
            .text("protocol", PROTOCOL)
            .text("auth_mechanism", self.mechanism)
            .flag("ssl", false);
    }

    fn tell_identity(&self, fields: &mut Fields) {
        let client = self.peer.client();
        fields
            .node()
            .text("pid", &self.process(0))
            .text("name", &self.origin.name)
            .table("client_properties", &client.properties);
        if let Some(name) = &client.connection_name {
            fields.text("user_provided_name", name);
        }
    }

    fn process(&self, id: ChannelId) -> String {
        process(self.outbox.connection().0, id)
    }
}

/// An address as Erlang shows it: a tuple of its parts.
fn term(address: IpAddr) -> String {
    let parts: Vec<String> = match address {
        IpAddr::V4(address) => address.octets().iter().map(u8::to_string).collect(),
        IpAddr::V6(address) => address.segments().iter().map(u16::to_string).collect(),
    };
    format!("{{{}}}", parts.join(","))
}
