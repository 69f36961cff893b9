//! The read loop: one read is one turn.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, Interest, Ready};
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Context, stopped};
use crate::amqp::protocol::error::Ending;
use crate::amqp::protocol::heartbeat::Heartbeat;
use crate::amqp::session::outbox::Outbox;
use crate::amqp::session::{Session, Status};
use crate::amqp::wire::decoder::Decoder;
use crate::broker::{Broker, Turn};
use crate::limits;

/// RabbitMQ's words when a node stops.
const SHUTDOWN: &str = "broker forced connection closure with reason 'shutdown'";

/// A read of this size is a heartbeat and nothing else: the connection is idle.
const HEARTBEAT_OCTETS: usize = 8;

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// Both sides said so.
    Closed,
    /// The peer's socket closed without connection.close.
    Vanished,
    /// The socket failed.
    Io(io::Error),
    /// Nothing arrived for two heartbeats.
    HeartbeatMissed,
    /// Login and connection.open took too long.
    HandshakeTimeout,
    /// The broker closed it, and this is how it ended.
    Refused,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed"),
            Self::Vanished => f.write_str("client unexpectedly closed TCP connection"),
            Self::Io(error) => write!(f, "{error}"),
            Self::HeartbeatMissed => f.write_str("missed heartbeats from client"),
            Self::HandshakeTimeout => f.write_str("handshake timeout"),
            Self::Refused => f.write_str("closed by the broker"),
        }
    }
}

/// The reading half of a connection with its session.
pub(super) struct Reader {
    input: OwnedReadHalf,
    decoder: Decoder,
    session: Session,
    broker: Arc<Broker>,
    context: Arc<Context>,
    handshake_deadline: Instant,
    last_read: Instant,
    /// Octets of the last read.
    batch: usize,
    /// Octets read since others had their turn.
    share: usize,
}

impl Reader {
    pub(super) fn new(
        input: OwnedReadHalf,
        decoder: Decoder,
        session: Session,
        context: Arc<Context>,
        handshake_deadline: Instant,
    ) -> Self {
        let broker = Arc::clone(session.broker());
        let last_read = Instant::now();
        Self {
            input,
            decoder,
            session,
            broker,
            context,
            handshake_deadline,
            last_read,
            batch: 0,
            share: 0,
        }
    }

    /// Runs the connection to its end and gives back what it had.
    pub(super) async fn run(mut self, outbox: Arc<Outbox>) -> End {
        self.in_turn(Session::start);
        let end = self.converse(&outbox).await;
        self.in_turn(Session::end);
        end
    }

    async fn converse(&mut self, outbox: &Outbox) -> End {
        let mut stopping = self.context.stopping.clone();
        loop {
            let status = self.take_turn();
            if status == Status::Done {
                return End::Closed;
            }
            if let Status::Closing(ending) = status {
                return self.close_for(ending, outbox, &mut stopping).await;
            }
            let deadline = self.deadline();
            let heard = tokio::select! {
                biased;
                () = stopped(&mut stopping) => {
                    self.force_close();
                    return self.close(Ending::AwaitCloseOk, outbox, limits::SHUTDOWN_PATIENCE).await;
                }
                heard = self.hear(outbox, deadline) => heard,
            };
            if let Some(end) = heard {
                return end;
            }
            if self.share >= limits::READ_SHARE {
                self.share = 0;
                yield_now().await;
            }
        }
    }

    /// Waits until more may be read, and reads it. The end, if it came to that.
    async fn hear(&mut self, outbox: &Outbox, deadline: Option<Instant>) -> Option<End> {
        if self.session.status() == Status::Stalled {
            poll_fn(|context| outbox.poll_committed(context)).await;
            self.resume();
            return None;
        }
        if self.session.status() == Status::Paging {
            let session = &self.session;
            poll_fn(|context| session.poll_at_hand(context)).await;
            self.resume();
            return None;
        }
        if self.session.status() == Status::Blocked {
            let gone = self.await_clear().await;
            if gone.is_none() {
                self.resume();
            }
            return gone;
        }
        if self.may_not_read_on(outbox).await {
            // The peer was not listened to meanwhile, so its silence says nothing.
            self.last_read = Instant::now();
            return None;
        }
        tokio::select! {
            biased;
            read = self.read() => match read {
                Ok(0) => Some(End::Vanished),
                Ok(_) => {
                    self.last_read = Instant::now();
                    None
                }
                Err(error) => Some(End::Io(error)),
            },
            () = until(deadline) => self.overdue(),
        }
    }

    /// Waits until no alarm is raised, and tells the client of both. The end, if the client hung up meanwhile.
    async fn await_clear(&mut self) -> Option<End> {
        if let Some(reason) = self.broker.alarms().reason() {
            self.in_turn(|session, turn| session.block(reason, turn));
        }
        if self.hangs_up_before_clear().await {
            return Some(End::Vanished);
        }
        self.in_turn(Session::unblock);
        self.last_read = Instant::now();
        None
    }

    /// While a client is not read, the end of its stream is behind what it has sent; the kernel tells all the
    /// same. Without that its consumers would keep their messages for as long as the alarm is raised.
    async fn hangs_up_before_clear(&self) -> bool {
        let alarms = self.broker.alarms();
        let mut is_waiting = false;
        let mut clear = pin!(poll_fn(|context| {
            // Once: the task's waker stays the same.
            if !std::mem::replace(&mut is_waiting, true) {
                return alarms.poll_clear(context);
            }
            if alarms.reason().is_none() { Poll::Ready(()) } else { Poll::Pending }
        }));
        loop {
            tokio::select! {
                biased;
                () = &mut clear => return false,
                () = sleep(limits::BLOCKED_INTERVAL) => {}
            }
            let ready = timeout(Duration::ZERO, self.input.ready(Interest::READABLE)).await;
            if ready.is_ok_and(|ready| ready.is_ok_and(Ready::is_read_closed)) {
                return true;
            }
        }
    }

    /// Waits while the committer is behind, if this connection publishes what it must write, and while the
    /// peer does not take what it asked for. True if that took any time.
    async fn may_not_read_on(&self, outbox: &Outbox) -> bool {
        let bound = self.context.unsaved_bytes;
        let mut waited = false;
        poll_fn(|context| {
            let behind = self.session.has_saved()
                && self.broker.inbox().poll_room(context, bound).is_pending();
            if behind || outbox.poll_room(context).is_pending() {
                waited = true;
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        waited
    }

    /// One read, of as much as there is: into the read buffer, or past it into the message that is under way.
    async fn read(&mut self) -> io::Result<usize> {
        if let Some((channel, missing)) = self.decoder.bypassing()
            && let Some(body) = self.session.room(channel, missing)
        {
            let count = self.input.read_buf(&mut self.decoder.missing_from(body)).await?;
            self.batch = self.decoder.passed(body, count);
            self.share += count;
            return Ok(count);
        }
        let space = self.decoder.space();
        let room = space.len();
        let count = self.input.read(space).await?;
        self.decoder.filled(count);
        self.batch = count;
        // A read that does not fill the room has emptied the socket: the next one waits.
        self.share = if count < room { 0 } else { self.share + count };
        Ok(count)
    }

    /// Everything that is in the read buffer, to completion.
    fn take_turn(&mut self) -> Status {
        if self.session.status() != Status::Running {
            return self.session.status();
        }
        let batch = std::mem::take(&mut self.batch);
        self.session.take_turn(&mut self.decoder, batch);
        if self.session.status() == Status::Running {
            self.begin_bypass();
        }
        if batch == HEARTBEAT_OCTETS {
            self.decoder.shrink_when_idle();
        }
        self.session.status()
    }

    /// What is at the front of the buffer is not whole. The rest of a large body is read where it is to stay.
    fn begin_bypass(&mut self) {
        if let Some(body) = self.decoder.large_body()
            && self.session.begin_piece(body.channel, body.begun, body.missing)
        {
            self.decoder.begin_bypass();
        }
    }

    fn resume(&mut self) {
        self.in_turn(|session, turn| {
            session.resume(turn);
            session.end_turn(turn);
        });
    }

    fn force_close(&mut self) {
        self.in_turn(|session, turn| {
            session.force_close(SHUTDOWN, turn);
            session.end_turn(turn);
        });
    }

    /// Does something that is not asked for by a frame, in a turn of its own.
    fn in_turn(&mut self, work: impl FnOnce(&mut Session, &mut Turn)) {
        let mut turn = self.broker.begin_turn();
        work(&mut self.session, &mut turn);
        turn.finish(&self.broker);
    }

    /// When to look whether the peer is late, with anything.
    fn deadline(&self) -> Option<Instant> {
        if self.session.identity().is_none() {
            return Some(self.handshake_deadline);
        }
        let silence = self.silence_allowed().map(|allowed| self.last_read + allowed);
        let acknowledgement = self.session.deadline().map(Instant::from_std);
        [silence, acknowledgement].into_iter().flatten().min()
    }

    fn silence_allowed(&self) -> Option<Duration> {
        self.session.peer().tuning().heartbeat.map(Heartbeat::give_up_after)
    }

    /// What the peer has missed, if that ends the connection.
    fn overdue(&mut self) -> Option<End> {
        let now = Instant::now();
        if self.session.identity().is_none() {
            return (now >= self.handshake_deadline).then_some(End::HandshakeTimeout);
        }
        if self.silence_allowed().is_some_and(|allowed| now >= self.last_read + allowed) {
            return Some(End::HeartbeatMissed);
        }
        self.in_turn(Session::enforce_deadlines);
        None
    }

    async fn close_for(
        &mut self,
        ending: Ending,
        outbox: &Outbox,
        stopping: &mut watch::Receiver<bool>,
    ) -> End {
        match ending {
            Ending::AwaitCloseOk => self.close(ending, outbox, limits::CLOSE_OK_TIMEOUT).await,
            Ending::LingerThenHangUp | Ending::HangUp => {
                self.close(ending, outbox, limits::SILENT_CLOSE).await
            }
            Ending::AwaitHangUp => {
                let heartbeat = self.session.peer().tuning().heartbeat.map(Heartbeat::interval);
                let patience =
                    heartbeat.unwrap_or(limits::HANG_UP_PATIENCE).min(limits::HANG_UP_PATIENCE);
                tokio::select! {
                    () = stopped(stopping) => {}
                    _ = self.close(ending, outbox, patience) => {}
                }
                End::Closed
            }
        }
    }

    /// connection.close was sent or answered, or the peer is hung up on.
    async fn close(&mut self, ending: Ending, outbox: &Outbox, patience: Duration) -> End {
        let listen = matches!(ending, Ending::AwaitCloseOk | Ending::AwaitHangUp);
        // Whether the peer answered or not, the connection is over.
        let _ = timeout(patience, self.hear_out(listen, outbox)).await;
        outbox.finish();
        End::Refused
    }

    /// Reads until close-ok or the end of the stream. Without `listen` what arrives is not looked at.
    async fn hear_out(&mut self, listen: bool, outbox: &Outbox) {
        loop {
            if listen {
                if self.drain_closing() {
                    return;
                }
                // Each further close is answered: who asks and does not read must not fill the outbox.
                poll_fn(|context| outbox.poll_room(context)).await;
            }
            match self.input.read(self.decoder.space()).await {
                Ok(0) | Err(_) => return,
                Ok(count) if listen => self.decoder.filled(count),
                Ok(_) => {}
            }
        }
    }

    /// Frames after connection.close; true when close-ok was among them.
    fn drain_closing(&mut self) -> bool {
        let mut turn = self.broker.begin_turn();
        let mut done = false;
        while let Ok(Some(frame)) = self.decoder.next_frame() {
            done |= self.session.receive(frame, &mut turn) == Status::Done;
        }
        turn.finish(&self.broker);
        done
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
