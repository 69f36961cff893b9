//! The only place that knows both the protocol and the broker.
//!
//! A [`Session`] takes frames, asks the [`Peer`] what they mean and executes that on the broker, to
//! completion: when a turn ends, everything that was read has happened. Answers go to the [`Outbox`].
//!
//! Invariants:
//! * Publishes of a turn are gathered by target (`batch`) and are enqueued before anything else the
//!   connection asks for.
//! * A reply that must wait for the disk holds back the channel's later replies; commands that send
//!   something else than a reply wait for it (the session *stalls*).

mod access;
mod announce;
pub mod arguments;
mod batch;
mod bindings;
mod books;
mod channel;
mod confirms;
mod connection;
mod consume;
mod deadlines;
pub mod encode;
mod exchanges;
mod ledger;
mod names;
pub mod outbox;
pub mod outgoing;
mod publish;
mod queues;
mod reading;
mod replies;
mod reply_to;
mod routes;
mod settle;
#[cfg(test)]
mod tests;
mod transaction;

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use amq_protocol::protocol::AMQPClass;

use self::batch::Batch;
use self::books::{BookId, Leaving, Leftovers, Taken};
use self::channel::{Channels, Mode};
use self::outbox::Outbox;
use self::outgoing::Outgoing;
use self::replies::{Cause, Refusals};
use self::routes::RouteCache;
use self::settle::Acknowledgements;
use super::protocol::arena::Arena;
use super::protocol::command::{self, Command, Settle};
use super::protocol::error::{AmqpError, Ending, Scope};
use super::protocol::handshake::Offer;
use super::protocol::peer::Peer;
use super::protocol::shelf::Shelf;
use super::wire::frame::ChannelId;
use crate::auth::{User, Users};
use crate::broker::Broker;
use crate::broker::commit_inbox::{Awaiting, Mark};
use crate::broker::firehose::Tap;
use crate::broker::queue::{DeleteIf, Outcome, Queue};
use crate::broker::retry::Return;
use crate::broker::turn::Turn;
use crate::broker::vhost::VHost;
use crate::sync::Place;

/// What all connections of a broker share.
pub struct Shared {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Who may log in.
    pub users: Users,
    /// What connection.start and connection.tune propose.
    pub offer: Arc<Offer>,
    /// How long a delivery may stay unacknowledged, where neither consumer nor queue says; none is for ever.
    pub consumer_timeout: Option<Duration>,
    /// Memory for large messages.
    pub shelf: Arc<Shelf>,
}

/// Where a connection comes from.
pub struct Origin {
    /// RabbitMQ's name for a connection: `127.0.0.1:53352 -> 127.0.0.1:5672`.
    pub name: Arc<str>,
    /// The client's address.
    pub peer: SocketAddr,
    /// The address it has reached.
    pub local: SocketAddr,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Read on.
    Running,
    /// Await [`Outbox::poll_committed`], then call [`Session::resume`], then read on.
    Stalled,
    /// It published while an alarm is raised: await [`Alarms::poll_clear`], then call [`Session::resume`], then read
    /// on.
    ///
    /// [`Alarms::poll_clear`]: crate::broker::alarms::Alarms::poll_clear
    Blocked,
    /// What basic.get asks for is read from disk: await [`Session::poll_at_hand`], then call [`Session::resume`], then
    /// read on.
    Paging,
    /// connection.close was sent or received (or nothing, for [`Ending::HangUp`]); see [`Ending`].
    Closing(Ending),
    /// Everything was said: write what is left and hang up.
    Done,
}

/// A client that has logged in and entered a virtual host.
struct Login {
    user: User,
    /// Some topic exchange is not open to the user with every key. Users do not change while the broker runs.
    is_restricted_by_topic: bool,
    vhost: Arc<VHost>,
    tap: Arc<Tap>,
    /// Held until the connection ends.
    _places: [Place; 2],
}

/// What a turn came to so far.
#[derive(Default)]
struct Noted {
    /// Something waits for the disk.
    held: bool,
    /// A durable queue took a persistent message.
    saved: bool,
    /// The turn began while an alarm was raised.
    alarmed: bool,
}

/// See the module.
pub struct Session {
    shared: Arc<Shared>,
    broker: Arc<Broker>,
    outbox: Arc<Outbox>,
    peer: Peer,
    arena: Arena,
    origin: Origin,
    connected: Instant,
    /// How it logged in; empty before connection.start-ok.
    mechanism: &'static str,
    /// The event of its end was sent.
    told_closed: bool,
    /// Known after connection.start-ok; `login` after connection.open.
    user: Option<User>,
    login: Option<Arc<Login>>,
    channels: Channels,
    routes: RouteCache,
    batch: Batch,
    /// Channels that owe confirms at the end of the turn.
    confirming: Vec<ChannelId>,
    noted: Noted,
    /// connection.blocked was sent, or would have been had the client wanted it.
    blocked: bool,
    acknowledged: Acknowledgements,
    exclusive: Vec<Arc<Queue>>,
    stalled: Option<(ChannelId, Command)>,
    /// The queue whose next message is read from disk.
    paging: Option<Arc<Queue>>,
    status: Status,
}

impl Session {
    /// A connection that has sent the protocol header.
    pub fn new(shared: Arc<Shared>, outbox: Arc<Outbox>, origin: Origin) -> Self {
        let peer = Peer::new(Arc::clone(&shared.offer));
        let connected = shared.broker.clock().now();
        Self {
            broker: Arc::clone(&shared.broker),
            outbox,
            peer,
            arena: Arena::beside(Arc::clone(&shared.shelf)),
            origin,
            connected,
            mechanism: "",
            told_closed: false,
            user: None,
            login: None,
            channels: Channels::default(),
            routes: RouteCache::default(),
            batch: Batch::default(),
            confirming: Vec::new(),
            noted: Noted::default(),
            blocked: false,
            acknowledged: Acknowledgements::default(),
            exclusive: Vec::new(),
            shared,
            stalled: None,
            paging: None,
            status: Status::Running,
        }
    }

    /// The limits and capabilities the client has agreed to.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// How far the connection is.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The user's name and the virtual host's, once both are known.
    pub fn identity(&self) -> Option<(&str, &str)> {
        self.login.as_ref().map(|login| (login.user.name(), &*login.vhost.name))
    }

    /// The broker it works on.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// The last turn left messages for the disk, so the client must wait while the committer is behind.
    pub fn has_saved(&self) -> bool {
        self.noted.saved
    }

    /// Ready when the message that basic.get waits for may be at hand.
    pub fn poll_at_hand(&self, context: &mut Context<'_>) -> Poll<()> {
        self.paging.as_ref().map_or(Poll::Ready(()), |queue| queue.poll_at_hand(context))
    }

    /// What it was stalled on is durable now or at hand, or no alarm is raised any more.
    pub fn resume(&mut self, turn: &mut Turn) {
        self.paging = None;
        if matches!(self.status, Status::Stalled | Status::Blocked | Status::Paging) {
            self.status = Status::Running;
            self.noted.alarmed = false;
        }
        if let Some((channel, command)) = self.stalled.take() {
            self.perform(channel, command, turn);
        }
    }

    /// Ends the turn: enqueues and settles what was gathered, confirms what was published.
    pub fn end_turn(&mut self, turn: &mut Turn) {
        self.execute_gathered(turn);
        for id in std::mem::take(&mut self.confirming) {
            self.confirm(id, turn);
        }
        if std::mem::take(&mut self.noted.held) {
            let sequence = self.outbox.next_sequence();
            let who: Arc<dyn Awaiting> = Arc::clone(&self.outbox) as Arc<dyn Awaiting>;
            turn.leave_mark(Mark { who, sequence });
        }
    }

    /// Publishes and acknowledgements that were gathered; of which only one kind is there at a time.
    fn execute_gathered(&mut self, turn: &mut Turn) {
        self.batch.enqueue(&self.broker, turn);
        self.settle_acknowledged(turn);
    }

    fn confirm(&mut self, id: ChannelId, turn: &mut Turn) {
        let Some(channel) = self.channels.get_mut(id) else { return };
        let book = channel.book;
        let Mode::Confirm(confirms) = &mut channel.mode else { return };
        while let Some((item, saving)) = confirms.answer(id) {
            if saving {
                self.outbox.hold(book, item);
                self.noted.held = true;
            } else {
                self.outbox.reply(book, item, turn);
            }
        }
    }

    /// The broker stops, or an operator closes the connection: 320 `CONNECTION_FORCED` with this text.
    pub fn force_close(&mut self, text: &str, turn: &mut Turn) {
        if matches!(self.status, Status::Closing(_) | Status::Done) {
            return;
        }
        self.peer.connection_closing();
        let code = super::protocol::error::ReplyCode::ConnectionForced;
        self.fail(AmqpError::connection(code, text), turn);
    }

    /// When [`Session::enforce_deadlines`] is to be called, if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        self.outbox.next_deadline(self.broker.clock())
    }

    /// Closes channels that have left a delivery unacknowledged for too long.
    pub fn enforce_deadlines(&mut self, turn: &mut Turn) {
        for (channel, timeout) in self.outbox.overdue(turn.now()) {
            let error = replies::acknowledgement_timed_out(channel, timeout);
            tracing::warn!(channel, ?timeout, "a delivery was not acknowledged in time");
            self.note_closing(&error);
            self.fail(error, turn);
        }
    }

    /// Gives back everything the connection has at the broker. Must be called once it is over, however
    /// it ended; calling it twice does no harm.
    pub fn end(&mut self, turn: &mut Turn) {
        self.execute_gathered(turn);
        self.give_everything_back(turn);
        self.tell_connection_closed();
        self.outbox.close();
    }

    /// Requeues deliveries, cancels consumers, deletes exclusive queues.
    fn give_everything_back(&mut self, turn: &mut Turn) {
        self.settle_acknowledged(turn);
        // All end before the first gives anything back: it would go to the next, and come back once more.
        let ids = self.channels.ids().into_iter();
        let ended: Vec<_> = ids.filter_map(|id| Some((id, self.end_channel(id)?))).collect();
        for (id, leftovers) in ended {
            self.clear_away(id, leftovers, turn);
        }
        self.confirming.clear();
        if let Some(login) = self.login.take() {
            delete_all(&login.vhost, std::mem::take(&mut self.exclusive), turn);
        }
    }

    /// Executes a command, or stalls on it.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all that is not gathered")]
    fn perform(&mut self, id: ChannelId, command: Command, turn: &mut Turn) {
        let result = match command {
            Command::Publish(publish) if self.noted.alarmed => {
                // RabbitMQ: not even the first message is taken.
                self.stalled = Some((id, Command::Publish(publish)));
                self.status = Status::Blocked;
                return;
            }
            Command::Publish(publish) => {
                self.settle_acknowledged(turn);
                self.publish(id, publish, turn)
            }
            Command::Settle(Settle { tag, multiple, outcome: command::Outcome::Ack }) => {
                self.batch.enqueue(&self.broker, turn);
                self.acknowledge(id, tag, multiple, turn)
            }
            _ => {
                self.execute_gathered(turn);
                let _acting = self.acts();
                if self.must_wait(id, &command) {
                    self.stalled = Some((id, command));
                    self.status = Status::Stalled;
                    return;
                }
                self.execute(id, command, turn)
            }
        };
        if let Err(error) = result {
            self.note_closing(&error);
            self.fail(error, turn);
        }
    }

    /// Something of the channel waits for the disk, and the command would overtake it.
    fn must_wait(&mut self, id: ChannelId, command: &Command) -> bool {
        let sends_more_than_a_reply = matches!(
            command,
            Command::Consume(_)
                | Command::Get(_)
                | Command::Recover { .. }
                | Command::TxCommit
                | Command::CloseChannel(_)
        );
        let Some(channel) = self.channels.get_mut(id) else { return false };
        let book = channel.book;
        sends_more_than_a_reply && self.outbox.is_holding(book)
    }

    fn execute(
        &mut self,
        id: ChannelId,
        command: Command,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        match command {
            Command::Publish(publish) => self.publish(id, publish, turn),
            Command::Settle(settle) => self.settle(id, settle, turn),
            Command::Authenticate(login) => self.authenticate(&login, turn),
            Command::OpenVhost(name) => self.open_vhost(name.as_str(), turn),
            Command::OpenChannel => self.open_channel(id, turn),
            Command::DeclareExchange(declare) => self.declare_exchange(id, &declare, turn),
            Command::DeleteExchange(delete) => self.delete_exchange(id, &delete, turn),
            Command::BindExchange(bind) => self.bind_exchange(id, &bind, turn),
            Command::UnbindExchange(unbind) => self.unbind_exchange(id, &unbind, turn),
            Command::DeclareQueue(declare) => self.declare_queue(id, &declare, turn),
            Command::BindQueue(bind) => self.bind_queue(id, &bind, turn),
            Command::UnbindQueue(unbind) => self.unbind_queue(id, &unbind, turn),
            Command::PurgeQueue(purge) => self.purge_queue(id, &purge, turn),
            Command::DeleteQueue(delete) => self.delete_queue(id, &delete, turn),
            Command::Consume(consume) => self.consume(id, &consume, turn),
            Command::Get(get) => self.get(id, &get, turn),
            Command::ConfirmSelect { nowait } => self.confirm_select(id, nowait, turn),
            Command::TxSelect => self.tx_select(id, turn),
            Command::TxCommit => self.tx_commit(id, turn),
            Command::TxRollback => self.tx_rollback(id, turn),
            Command::Tuned(_)
            | Command::UpdateSecret(_)
            | Command::CloseConnection(_)
            | Command::CloseConnectionOk
            | Command::Heartbeat
            | Command::CloseChannel(_)
            | Command::CloseChannelOk
            | Command::CrossingClose
            | Command::Flow
            | Command::AccessRequest
            | Command::Qos(_)
            | Command::Cancel(_)
            | Command::CancelOk(_)
            | Command::Recover { .. } => {
                self.execute_unrefusable(id, command, turn);
                Ok(())
            }
        }
    }

    /// Commands that nothing can be wrong with.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the caller names what may come here")]
    fn execute_unrefusable(&mut self, id: ChannelId, command: Command, turn: &mut Turn) {
        match command {
            Command::Tuned(tuning) => self.outbox.push(Outgoing::Tuned(tuning), turn),
            Command::UpdateSecret(_) => self.secret_updated(turn),
            Command::CloseConnection(_) => self.connection_closed(turn),
            Command::CloseConnectionOk => self.close_confirmed(),
            Command::CloseChannel(_) => self.channel_closed(id, turn),
            Command::CrossingClose => self.close_crossed(id, turn),
            Command::Flow => self.flow(id, turn),
            Command::AccessRequest => self.access_request(id, turn),
            Command::Qos(qos) => self.qos(id, &qos, turn),
            Command::Cancel(cancel) => self.cancel(id, cancel, turn),
            Command::Recover { reply } => self.recover(id, reply, turn),
            // Nothing to do: the peer has taken note, and so has the reader's clock.
            _ => {}
        }
    }

    /// The peer must ignore what is in flight on what an executed command closes.
    fn note_closing(&mut self, error: &AmqpError) {
        match error.scope {
            Scope::Channel(id) => self.peer.channel_failed(id),
            Scope::Connection => self.peer.connection_closing(),
        }
    }

    /// Gives back what a channel has, if it is open here.
    fn close_channel(&mut self, id: ChannelId, turn: &mut Turn) {
        self.settle_acknowledged(turn);
        if let Some(leftovers) = self.end_channel(id) {
            self.clear_away(id, leftovers, turn);
        }
    }

    /// Nothing more is delivered to the channel. Returns what it has.
    fn end_channel(&mut self, id: ChannelId) -> Option<Leftovers> {
        let channel = self.channels.remove(id)?;
        let taken = match channel.mode {
            Mode::Transaction(transaction) => transaction.into_taken(),
            Mode::Plain | Mode::Confirm(_) => Taken::new(),
        };
        Some(self.outbox.close_book(channel.book, taken))
    }

    fn clear_away(&mut self, id: ChannelId, leftovers: Leftovers, turn: &mut Turn) {
        for Leaving { queue, tag, .. } in &leftovers.consumers {
            self.tell_consumer_deleted(id, tag, &queue.name);
        }
        give_back(leftovers, turn);
        self.tell_channel_closed(id);
    }

    /// Sends a reply, in the order of the channel's replies.
    fn reply(&mut self, id: ChannelId, method: AMQPClass, turn: &mut Turn) {
        let item = Outgoing::Method(id, Box::new(method));
        match self.channels.get_mut(id).map(|channel| channel.book) {
            Some(book) => self.outbox.reply(book, item, turn),
            None => self.outbox.push(item, turn),
        }
    }

    /// Sends a reply once what this turn changed is durable.
    fn hold(&mut self, book: BookId, item: Outgoing) {
        self.outbox.hold(book, item);
        self.noted.held = true;
    }

    /// Replies to a change of definitions: at once, or when it is durable.
    fn reply_when(&mut self, durable: bool, id: ChannelId, method: AMQPClass, turn: &mut Turn) {
        match self.channels.get_mut(id).map(|channel| channel.book) {
            Some(book) if durable => self.hold(book, Outgoing::Method(id, Box::new(method))),
            _ => self.reply(id, method, turn),
        }
    }

    /// The login of an open connection. The peer lets nothing through before that.
    fn login(&self) -> Result<Arc<Login>, AmqpError> {
        self.login.clone().ok_or_else(AmqpError::internal)
    }
}

impl Login {
    /// Refusals of a method on a channel, in this login's virtual host.
    fn refusals(&self, channel: ChannelId, cause: Cause) -> Refusals<'_> {
        Refusals { channel, vhost: &self.vhost.name, cause }
    }
}

/// Gives back what a connection has whose session is lost to a panic. The outbox knows its deliveries and
/// consumers, the queues know their owner.
pub fn clean_up(outbox: &Outbox, broker: &Broker, turn: &mut Turn) {
    for leftovers in outbox.close_books() {
        give_back(leftovers, turn);
    }
    for vhost in broker.vhosts() {
        let mut owned = vhost.queues();
        owned.retain(|queue| queue.owner == Some(outbox.connection()));
        delete_all(&vhost, owned, turn);
    }
    outbox.close();
}

fn delete_all(vhost: &Arc<VHost>, queues: Vec<Arc<Queue>>, turn: &mut Turn) {
    for queue in queues {
        // Without conditions it cannot be refused.
        let deleted = vhost.delete_queue(&queue, DeleteIf::default(), turn);
        debug_assert!(deleted.is_ok(), "an unconditional delete succeeds");
    }
}

/// Messages go back before consumers are cancelled, so that whoever follows a single active consumer gets
/// them in order. Nothing comes back to the old ones: their channel is closed, and takes nothing.
fn give_back(leftovers: Leftovers, turn: &mut Turn) {
    settle::settle_groups(leftovers.groups, Outcome::Requeued(Return::Failed), turn);
    for Leaving { queue, consumer, .. } in leftovers.consumers {
        queue.cancel(consumer, turn);
    }
}
