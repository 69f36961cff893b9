//! basic.publish: checks, route, hand-over, mandatory return, confirm numbering.

use std::sync::Arc;

use amq_protocol::protocol::{AMQPClass, confirm};
use smallvec::SmallVec;

use super::channel::Mode;
use super::confirms::Confirms;
use super::outgoing::Outgoing;
use super::replies::{self, Cause, Refusals};
use super::reply_to::{asks_for_replies, with_requester};
use super::routes::Target;
use super::{Login, Session};
use crate::amqp::protocol::content::Publish;
use crate::amqp::protocol::error::{AmqpError, ReplyCode};
use crate::amqp::wire::frame::ChannelId;
use crate::amqp::wire::properties::PropertiesView;
use crate::amqp::wire::table::type_name;
use crate::auth::Access;
use crate::broker::message::{BCC, CC, Layout, Message};
use crate::broker::queue::Admission;
use crate::broker::reply_consumers::is_reply_to;
use crate::broker::route::extra_keys;
use crate::broker::turn::Turn;
use crate::broker::vhost::VHost;

const PUBLISH: Cause = (60, 40);
/// Longest `expiration`, ms: RabbitMQ's ten years.
const EXPIRATION_MAX: u64 = 315_360_000_000;

impl Session {
    pub(super) fn publish(
        &mut self,
        id: ChannelId,
        publish: Publish,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let Some(login) = &self.login else { return Err(AmqpError::internal()) };
        let Some(channel) = self.channels.get_mut(id) else { return Ok(()) };
        let properties = PropertiesView::assume_checked(publish.header());
        let generation = login.vhost.generation();
        let remembered = if names_more_keys(&properties) {
            None
        } else {
            self.routes.find(&publish, generation)
        };
        let plain = remembered.filter(|target| target.plain && !properties.concern_publishing());
        let Some(target) = plain.filter(|_| !matches!(channel.mode, Mode::Transaction(_))) else {
            let remembered = remembered.cloned();
            return self.publish_any(id, publish, remembered, turn);
        };
        let persistent = properties.is_persistent();
        let saving = persistent && target.keeps;
        self.noted.saved |= saving;
        if let Mode::Confirm(confirms) = &mut channel.mode
            && confirms.published(saving)
        {
            self.confirming.push(id);
        }
        let message = message_of(publish, persistent, target.queues.len() > 1)?;
        self.batch.add(target, message, &self.broker, turn);
        Ok(())
    }

    /// A publish of which nothing is taken for granted but the route that others like it took.
    #[inline(never)]
    fn publish_any(
        &mut self,
        id: ChannelId,
        publish: Publish,
        remembered: Option<Arc<Target>>,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let Some(login) = &self.login else { return Err(AmqpError::internal()) };
        let Some(channel) = self.channels.get_mut(id) else { return Ok(()) };
        let properties = PropertiesView::assume_checked(publish.header());
        let generation = login.vhost.generation();
        let target = if let Some(target) = remembered {
            login.check_properties(id, &properties)?;
            target
        } else {
            let (target, cacheable) = login.target(id, &publish, &properties)?;
            if cacheable {
                self.routes.remember(&publish, &target, generation);
            }
            target
        };
        let asks = asks_for_replies(&properties);
        let persistent = properties.is_persistent();
        let saving = persistent && target.keeps;
        self.noted.saved |= saving;
        let mandatory = publish.mandatory;
        let publish = if asks {
            let refusals = login.refusals(id, PUBLISH);
            with_requester(&publish, channel.reply_to.as_ref(), &refusals)?
        } else {
            publish
        };
        let message = message_of(publish, persistent, target.queues.len() > 1)?;
        if target.traced {
            login.tap.published(id, &message, &target.queues, turn);
        }
        if let Mode::Transaction(transaction) = &mut channel.mode {
            transaction.publish(target, message, mandatory);
            let too_large = transaction.is_too_large();
            return if too_large { Err(replies::transaction_too_large(id)) } else { Ok(()) };
        }
        let target = noted_on_the_way(&login.vhost, target, &message, generation);
        target.reply(&message, turn);
        if target.rejects {
            let admission = self.batch.offer(&target, message, &self.broker, turn);
            self.number(id, saving, admission);
            return Ok(());
        }
        let meets_queues = !target.queues.is_empty();
        if let Mode::Confirm(confirms) = &mut channel.mode {
            let first =
                if meets_queues { confirms.published(saving) } else { confirms.met_no_queue() };
            if first {
                self.confirming.push(id);
            }
        }
        if !meets_queues {
            if mandatory && target.leads_nowhere() {
                self.return_message(id, &message, turn);
            }
            self.confirm_at_once(id, turn);
            return Ok(());
        }
        self.batch.add(&target, message, &self.broker, turn);
        Ok(())
    }

    /// As RabbitMQ, which confirms what met no queue before it looks at the next publish.
    fn confirm_at_once(&mut self, id: ChannelId, turn: &mut Turn) {
        if !self.channels.get_mut(id).is_some_and(|it| matches!(it.mode, Mode::Confirm(_))) {
            return;
        }
        // What was published before is confirmed with it, and must be in its queues first.
        self.batch.enqueue(&self.broker, turn);
        self.confirm(id, turn);
    }

    /// Counts a publish that might have been refused, if the channel confirms.
    fn number(&mut self, id: ChannelId, saving: bool, admission: Admission) {
        let Some(channel) = self.channels.get_mut(id) else { return };
        let Mode::Confirm(confirms) = &mut channel.mode else { return };
        let first = match admission {
            Admission::Accepted => confirms.published(saving),
            Admission::Refused => confirms.refused(),
        };
        if first {
            self.confirming.push(id);
        }
    }

    /// basic.return of a mandatory message that met no queue. Comes before its confirm.
    pub(super) fn return_message(&self, id: ChannelId, message: &Arc<Message>, turn: &mut Turn) {
        self.outbox.push(Outgoing::Returned(id, Arc::clone(message)), turn);
    }

    pub(super) fn confirm_select(
        &mut self,
        id: ChannelId,
        nowait: bool,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let Some(channel) = self.channels.get_mut(id) else { return Ok(()) };
        match channel.mode {
            Mode::Transaction(_) => {
                let text = "cannot switch from tx to confirm mode";
                let refused = AmqpError::channel(id, ReplyCode::PreconditionFailed, text);
                return Err(refused.caused_by(85, 10));
            }
            Mode::Plain => channel.mode = Mode::Confirm(Confirms::default()),
            Mode::Confirm(_) => {}
        }
        if !nowait {
            let done = confirm::AMQPMethod::SelectOk(confirm::SelectOk {});
            self.reply(id, AMQPClass::Confirm(done), turn);
        }
        Ok(())
    }
}

impl Login {
    /// Where a publish goes, after every check that RabbitMQ makes; and whether the same names go there
    /// again.
    fn target(
        &self,
        id: ChannelId,
        publish: &Publish,
        properties: &PropertiesView<'_>,
    ) -> Result<(Arc<Target>, bool), AmqpError> {
        let refusals = self.refusals(id, PUBLISH);
        let name = publish.exchange();
        self.exchange(Access::Write, name, &refusals)?;
        let exchange = self.vhost.exchange(name).ok_or_else(|| refusals.no_exchange(name))?;
        if exchange.options.internal {
            let vhost = &self.vhost.name;
            let text =
                format_args!("cannot publish to internal exchange '{name}' in vhost '{vhost}'");
            return Err(refusals.with(ReplyCode::AccessRefused, text));
        }
        // Of a publish like one that was let through, this is not asked again: users do not change.
        self.topic(Access::Write, &exchange, publish.routing_key(), &refusals)?;
        self.check_properties(id, properties)?;
        let mut keys: SmallVec<[&str; 4]> = SmallVec::new();
        keys.push(publish.routing_key());
        for name in [CC, BCC] {
            check_extra_keys(properties, name, &refusals)?;
            keys.extend(extra_keys(*properties, name));
        }
        // RabbitMQ asks this of further keys since 4; before, they were a way around topic permissions.
        for key in keys.iter().skip(1) {
            self.topic(Access::Write, &exchange, key, &refusals)?;
        }
        let route = self.vhost.route(&exchange, &keys, *properties);
        let replies = name.is_empty() && keys.iter().any(|key| is_reply_to(key));
        let requesters = if replies { self.requesters(&keys) } else { Vec::new() };
        let cacheable = keys.len() == 1 && !route.varies && !replies;
        Ok((Target::new(route, requesters, self.vhost.is_traced()), cacheable))
    }

    /// What is asked of each message, whatever its route.
    fn check_properties(
        &self,
        id: ChannelId,
        properties: &PropertiesView<'_>,
    ) -> Result<(), AmqpError> {
        let refusals = self.refusals(id, PUBLISH);
        self.check_user(properties, &refusals)?;
        check_expiration(properties, &refusals)
    }

    /// RabbitMQ: `user_id` must be the connection's user, unless that one may impersonate others.
    fn check_user(
        &self,
        properties: &PropertiesView<'_>,
        refusals: &Refusals<'_>,
    ) -> Result<(), AmqpError> {
        let Some(claimed) = properties.user_id() else { return Ok(()) };
        let actual = self.user.name();
        if claimed == actual.as_bytes() || self.user.has_tag("impersonator") {
            return Ok(());
        }
        let claimed = String::from_utf8_lossy(claimed);
        let text = format_args!(
            "user_id property set to '{claimed}' but authenticated user was '{actual}'"
        );
        Err(refusals.with(ReplyCode::PreconditionFailed, text))
    }
}

/// Routing keys besides the one it is published with. Other headers have a say only where the route varies.
#[inline]
fn names_more_keys(properties: &PropertiesView<'_>) -> bool {
    properties
        .headers()
        .is_some_and(|headers| [CC, BCC].iter().any(|name| headers.get(name).is_some()))
}

#[inline]
fn message_of(publish: Publish, persistent: bool, shared: bool) -> Result<Arc<Message>, AmqpError> {
    let layout = Layout {
        exchange: publish.exchange_len,
        routing_key: publish.key_len,
        header: publish.header_len,
    };
    match Message::new(publish.blob, layout, persistent, shared) {
        Some(message) => Ok(Arc::new(message)),
        None => Err(AmqpError::internal()),
    }
}

/// RabbitMQ: the headers CC and BCC are arrays.
fn check_extra_keys(
    properties: &PropertiesView<'_>,
    name: &str,
    refusals: &Refusals<'_>,
) -> Result<(), AmqpError> {
    let Some(value) = properties.header(name) else { return Ok(()) };
    if value.as_array().is_some() {
        return Ok(());
    }
    // Only a table can have octets that make no value: keys that are not UTF-8.
    let found = value.to_value().map_or("table", |value| type_name(&value));
    let text = format_args!("invalid message: {{unacceptable_type_in_header,\"{name}\",{found}}}");
    Err(refusals.with(ReplyCode::PreconditionFailed, text))
}

/// Tells the exchanges on the way that remember what goes through them. A binding made since `generation` has read
/// what they remembered without this message, so the message must find it.
fn noted_on_the_way(
    vhost: &VHost,
    target: Arc<Target>,
    message: &Arc<Message>,
    generation: u64,
) -> Arc<Target> {
    if !target.is_remembered() {
        return target;
    }
    target.remember(message);
    if vhost.generation() == generation {
        return target;
    }
    let exchange =
        std::str::from_utf8(message.exchange()).ok().and_then(|name| vhost.exchange(name));
    // Who waits for replies is reached through the default exchange alone, which remembers nothing.
    let again =
        |exchange| Target::new(vhost.route_again(&exchange, message), Vec::new(), target.traced);
    exchange.map(again).unwrap_or(target)
}

/// RabbitMQ: `expiration` is a whole number of milliseconds in digits.
fn check_expiration(
    properties: &PropertiesView<'_>,
    refusals: &Refusals<'_>,
) -> Result<(), AmqpError> {
    let Some(expiration) = properties.expiration() else { return Ok(()) };
    let given = String::from_utf8_lossy(expiration);
    let Some(problem) = expiration_problem(&given) else { return Ok(()) };
    let text = format_args!("invalid expiration '{given}': {problem}");
    Err(refusals.with(ReplyCode::PreconditionFailed, text))
}

/// What is wrong with an expiration, in RabbitMQ's words (Erlang's `string:to_integer` shows through).
fn expiration_problem(given: &str) -> Option<String> {
    let unsigned = given.strip_prefix(['-', '+']).unwrap_or(given);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Some("no_integer".to_owned());
    }
    let (number, rest) = unsigned.split_at(digits);
    if !rest.is_empty() {
        return Some(format!("{{leftover_string,\"{rest}\"}}"));
    }
    let shown = number.trim_start_matches('0');
    if given.starts_with('-') && !shown.is_empty() {
        return Some(format!("{{value_negative,-{shown}}}"));
    }
    match number.parse::<u64>() {
        Ok(value) if value <= EXPIRATION_MAX => None,
        Ok(_) | Err(_) => Some(format!("{{value_too_large,{shown}}}")),
    }
}

#[cfg(test)]
mod tests {
    use amq_protocol::types::FieldTable;
    use bytes::Bytes;

    use super::*;
    use crate::broker::Broker;
    use crate::broker::exchange::{Destination, ExchangeKind};
    use crate::broker::options::{ExchangeOptions, QueueOptions};
    use crate::broker::vhost::{BindingRequest, Declared};
    use crate::clock::Clock;

    #[test]
    fn a_queue_bound_between_route_and_memory_gets_the_message() {
        let broker = Broker::new(["/"], 1, Arc::new(Clock::manual()));
        let vhost = broker.vhost("/").unwrap();
        let options = ExchangeOptions::new(ExchangeKind::RecentHistory);
        let Declared::Created(exchange) = vhost.declare_exchange("x", options) else { panic!() };
        let Declared::Created(queue) = vhost.declare_queue("q", QueueOptions::default(), None)
        else {
            panic!()
        };
        let layout = Layout { exchange: 1, routing_key: 0, header: 2 };
        let message = Message::new(Bytes::from_static(b"x\0\0body"), layout, false, false);
        let message = Arc::new(message.unwrap());

        let generation = vhost.generation();
        let target = Target::new(vhost.route_again(&exchange, &message), Vec::new(), false);
        let (destination, arguments) = (Destination::Queue(queue), FieldTable::default());
        let request = BindingRequest { source: "x", destination, key: "", arguments: &arguments };
        let mut turn = broker.begin_turn();
        vhost.bind(request, &mut turn).unwrap();
        turn.finish(&broker);

        assert!(target.queues.is_empty());
        let target = noted_on_the_way(&vhost, target, &message, generation);
        assert_eq!(target.queues.len(), 1);
        assert_eq!(exchange.recall().len(), 1);
    }

    #[test]
    fn expirations_are_judged_as_rabbitmq_does() {
        let problem = |given| expiration_problem(given).unwrap_or_default();
        assert_eq!(problem("0"), "");
        assert_eq!(problem("007"), "");
        assert_eq!(problem("abc"), "no_integer");
        assert_eq!(problem(""), "no_integer");
        assert_eq!(problem(" 5"), "no_integer");
        assert_eq!(problem("1.5"), "{leftover_string,\".5\"}");
        assert_eq!(problem("-1"), "{value_negative,-1}");
        assert_eq!(problem("315360000001"), "{value_too_large,315360000001}");
    }
}
