//! Dialogues with sessions, without sockets and without a disk: clients say frames and hear words; the test
//! is the committer.

mod confirms;
mod connections;
mod consumers;
mod declarations;
mod events;
mod firehose;
mod frames;
mod length;
mod publishing;
mod races;
mod replies;
mod retries;
mod timeouts;
mod transactions;
mod words;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use amq_protocol::types::FieldTable;

use self::frames::{Said, open_channel, open_vhost, start_ok, tune_ok};
use self::words::Names;
use super::outbox::{Drained, Outbox};
use super::{Origin, Session, Shared, Status};
use crate::amqp::protocol::handshake::{Mechanism, Offer};
use crate::amqp::wire::frame::{ChannelId, Frame, FrameKind};
use crate::auth::{Credential, Password, Permission, UserDefinition, UserLimits, Users};
use crate::broker::Broker;
use crate::broker::change::{Definition, QueueChanges};
use crate::broker::queue::Queue;
use crate::broker::turn::Turn;
use crate::clock::Clock;

/// A broker with the virtual host `/` and the user `guest`.
struct BrokerUnderTest {
    shared: Arc<Shared>,
}

/// What one commit cycle would have written.
struct Committed {
    definitions: Vec<Definition>,
    queues: Vec<QueueChanges>,
}

impl Committed {
    /// Bodies of the messages that are kept.
    fn kept(&self) -> Vec<String> {
        let puts = self.queues.iter().flat_map(|changes| &changes.puts);
        puts.map(|put| String::from_utf8_lossy(put.message.body()).into_owned()).collect()
    }

    /// How many entries are gone.
    fn gone(&self) -> usize {
        self.queues.iter().map(|changes| changes.gone.len()).sum()
    }
}

impl BrokerUnderTest {
    fn new() -> Self {
        let guest = UserDefinition {
            name: "guest".to_owned(),
            credential: Credential::Password(Password::new("guest")),
            tags: Vec::new(),
            permissions: vec![Permission::all("/")],
            topic_permissions: Vec::new(),
            limits: UserLimits::default(),
        };
        let offer = Offer {
            server_properties: FieldTable::default(),
            mechanisms: vec![Mechanism::Plain],
            channel_max: 100,
            frame_max: 131_072,
            heartbeat: 0,
            max_message_size: 1_000_000,
        };
        let broker = Arc::new(Broker::new(["/"], 1, Arc::new(Clock::manual())));
        let users = Users::new([guest], []).unwrap();
        let offer = Arc::new(offer);
        let shelf = Arc::default();
        Self { shared: Arc::new(Shared { broker, users, offer, consumer_timeout: None, shelf }) }
    }

    fn broker(&self) -> &Broker {
        &self.shared.broker
    }

    fn queue(&self, name: &str) -> Option<Arc<Queue>> {
        self.broker().vhost("/").unwrap().queue(name)
    }

    /// Ready messages of a queue.
    fn ready(&self, name: &str) -> usize {
        self.queue(name).unwrap().counts().ready
    }

    /// A client with channel 1 open, whose capabilities these are.
    fn client_with(&self, capabilities: &[&str]) -> ClientUnderTest {
        let outbox = Arc::new(Outbox::new(self.broker().next_connection()));
        let address = SocketAddr::from(([127, 0, 0, 1], 5672));
        let origin = Origin { name: Arc::from("client -> broker"), peer: address, local: address };
        let session = Session::new(Arc::clone(&self.shared), Arc::clone(&outbox), origin);
        let broker = Arc::clone(&self.shared.broker);
        let mut client = ClientUnderTest {
            broker,
            outbox,
            session,
            unread: VecDeque::new(),
            names: Names::default(),
        };
        client.turn(Session::start);
        client.says([start_ok(capabilities)]);
        client.says([tune_ok(), open_vhost("/"), open_channel()]);
        assert_eq!(client.hears(), ["0 start", "0 tune", "0 open-ok", "1 open-ok"]);
        client
    }

    fn client(&self) -> ClientUnderTest {
        self.client_with(&[])
    }

    /// A client that has declared these durable queues, which are committed.
    fn client_of<const N: usize>(&self, durable_queues: [&str; N]) -> ClientUnderTest {
        let mut client = self.client();
        client.says(durable_queues.map(|name| frames::declare(name, "durable")));
        self.commits();
        assert_eq!(client.hears().len(), N);
        client
    }

    /// One commit cycle: takes marks, then changes, and releases the marks.
    fn commits(&self) -> Committed {
        self.commits_with(|| {})
    }

    /// A commit cycle in which something happens between taking the work and collecting the changes.
    fn commits_with(&self, meanwhile: impl FnOnce()) -> Committed {
        let inbox = self.broker().inbox();
        let mut work = inbox.wait(Duration::ZERO, Duration::ZERO);
        meanwhile();
        let committed = {
            let _whole = inbox.gate().close();
            inbox.late_queues(&mut work);
            let queues = work.queues.iter().map(|queue| queue.collect()).collect();
            inbox.late_vhosts(&mut work);
            let definitions = work.vhosts.iter().flat_map(|host| host.collect()).collect();
            Committed { definitions, queues }
        };
        let mut wakers = Vec::new();
        for mark in work.marks {
            mark.who.committed(mark.sequence, &mut wakers);
        }
        wakers.into_iter().for_each(Waker::wake);
        committed
    }
}

/// One connection, both halves of it.
struct ClientUnderTest {
    broker: Arc<Broker>,
    outbox: Arc<Outbox>,
    session: Session,
    /// Frames behind the one the session stalled on.
    unread: VecDeque<(ChannelId, FrameKind, Vec<u8>)>,
    names: Names,
}

impl ClientUnderTest {
    /// Says all of this in one turn. Returns how far the session is then.
    fn says<const N: usize>(&mut self, said: [Said; N]) -> Status {
        for Said { channel, frames } in said {
            self.unread.extend(frames.into_iter().map(|(kind, payload)| (channel, kind, payload)));
        }
        if self.session.status() != Status::Stalled {
            self.turn(|_, _| {});
        }
        self.session.status()
    }

    /// A turn that begins like this and then reads what is unread.
    fn turn(&mut self, begin: impl FnOnce(&mut Session, &mut Turn)) {
        let mut turn = self.broker.begin_turn();
        self.session.begin_turn(self.unread.iter().map(|(.., payload)| payload.len()).sum());
        begin(&mut self.session, &mut turn);
        while self.session.status() == Status::Running
            && let Some((channel, kind, payload)) = self.unread.pop_front()
        {
            self.session.receive(Frame { kind, channel, payload: &payload }, &mut turn);
        }
        self.session.end_turn(&mut turn);
        turn.finish(&self.broker);
    }

    /// It stalled, and may go on.
    #[track_caller]
    fn resumes(&mut self) -> Status {
        assert_eq!(self.session.status(), Status::Stalled);
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(self.outbox.poll_committed(&mut context), Poll::Ready(()));
        self.turn(Session::resume);
        self.session.status()
    }

    /// Everything the writer would have sent by now.
    fn hears(&mut self) -> Vec<String> {
        let mut heard = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        let mut items = Vec::new();
        while let Poll::Ready(Drained::Items) = self.outbox.poll_drain(&mut context, &mut items) {
            heard.extend(items.drain(..).filter_map(|item| self.names.word(item)));
            self.outbox.resume(&self.broker);
        }
        heard
    }

    /// The socket is gone.
    fn vanishes(&mut self) {
        let mut turn = self.broker.begin_turn();
        self.session.end(&mut turn);
        turn.finish(&self.broker);
    }
}
