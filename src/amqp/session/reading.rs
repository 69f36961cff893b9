//! What a session reads: turns of frames, and the rest of large bodies.

use super::{Session, Status};
use crate::amqp::protocol::error::AmqpError;
use crate::amqp::wire::decoder::Decoder;
use crate::amqp::wire::frame::{ChannelId, Frame};
use crate::amqp::wire::frame_error::FrameError;
use crate::broker::turn::Turn;

impl Session {
    /// Takes all frames that are whole in `decoder`, of which `bytes` were read just now, to completion: one turn. Does
    /// nothing unless the session is [`Status::Running`], and stops where it is not any more.
    pub fn take_turn(&mut self, decoder: &mut Decoder, bytes: usize) {
        if self.status != Status::Running {
            return;
        }
        let mut turn = self.broker.begin_turn();
        self.begin_turn(bytes);
        let is_tuning = self.identity().is_none();
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    if self.receive(frame, &mut turn) != Status::Running {
                        break;
                    }
                }
                Ok(None) => break,
                Err(fault) => {
                    self.reject(fault, &mut turn);
                    break;
                }
            }
            if is_tuning {
                decoder.set_frame_max(self.peer.frame_max());
            }
        }
        self.end_turn(&mut turn);
        turn.finish(&self.broker);
    }

    /// Begins a turn in which `bytes` are waiting in the read buffer.
    pub(super) fn begin_turn(&mut self, bytes: usize) {
        self.noted.saved = false;
        self.noted.alarmed = self.broker.alarms().reason().is_some();
        self.arena.begin(bytes);
    }

    /// Takes one frame.
    pub fn receive(&mut self, frame: Frame<'_>, turn: &mut Turn) -> Status {
        match self.peer.receive(frame, &mut self.arena) {
            Ok(None) => {}
            Ok(Some(command)) => self.perform(frame.channel, command, turn),
            Err(error) => self.fail(error, turn),
        }
        self.status
    }

    /// Takes the beginning of a body frame, if the rest may be read into [`Session::room`]. An empty body frame ends it.
    pub fn begin_piece(&mut self, channel: ChannelId, begun: &[u8], missing: usize) -> bool {
        self.peer.begin_piece(channel, begun, missing, &self.arena)
    }

    /// Where the rest of that frame is read to, unless the message is not wanted any more.
    pub fn room(&mut self, channel: ChannelId, missing: usize) -> Option<&mut Vec<u8>> {
        self.peer.room(channel, missing, &self.arena)
    }

    /// The stream holds something that is no frame.
    fn reject(&mut self, fault: FrameError, turn: &mut Turn) {
        self.peer.connection_closing();
        self.fail(AmqpError::from(fault), turn);
    }
}
