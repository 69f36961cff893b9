//! The channels of one connection: which are open, which are closing, and what content each is receiving.
//!
//! Invariants:
//! * A channel is in the table from channel.open until channel.close, or, when the broker closes it, until
//!   channel.close-ok.
//! * Any number from 1 to 65535 may be opened; what is limited is how many are open, so memory follows that.

use super::content::Content;
use crate::amqp::wire::frame::ChannelId;

/// One channel, as far as the protocol goes.
#[derive(Debug, Default)]
pub(super) struct Channel {
    /// The message it is in the middle of.
    pub(super) content: Content,
    /// The broker has sent channel.close; nothing but close, close-ok and the framing of content counts.
    is_closing: bool,
}

impl Channel {
    #[inline]
    pub(super) fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// The broker closes it. What was in flight will be dropped.
    pub(super) fn fail(&mut self) {
        self.is_closing = true;
        self.content.discard();
    }
}

/// The channels of a connection, found by number.
#[derive(Debug, Default)]
pub(super) struct Channels {
    /// Sorted; as long as `states`, whose order is the same.
    ids: Vec<ChannelId>,
    states: Vec<Channel>,
    /// Where the last one was found: frames come in runs of one channel.
    last: usize,
}

impl Channels {
    /// How many there are, closing ones included.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Octets of memory held for messages that have arrived in part.
    pub(super) fn reserved(&self) -> u64 {
        self.states.iter().map(|channel| channel.content.reserved() as u64).sum()
    }

    /// The channel of this number, if it is open or closing.
    #[inline]
    pub(super) fn find(&mut self, id: ChannelId) -> Option<&mut Channel> {
        if self.ids.get(self.last) != Some(&id) {
            self.last = self.ids.binary_search(&id).ok()?;
        }
        self.states.get_mut(self.last)
    }

    /// Adds a channel that is not there yet.
    pub(super) fn open(&mut self, id: ChannelId) {
        let Err(place) = self.ids.binary_search(&id) else { return };
        self.ids.insert(place, id);
        self.states.insert(place, Channel::default());
        self.last = place;
    }

    /// Forgets a channel, if it is there.
    pub(super) fn remove(&mut self, id: ChannelId) {
        let Ok(place) = self.ids.binary_search(&id) else { return };
        self.ids.remove(place);
        self.states.remove(place);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn exactly_the_opened_and_not_removed_channels_are_found(
            steps in prop::collection::vec((any::<bool>(), 1_u16..12), 0..60)
        ) {
            let mut channels = Channels::default();
            let mut model = BTreeSet::new();
            for (open, id) in steps {
                if open {
                    channels.open(id);
                    model.insert(id);
                } else {
                    channels.remove(id);
                    model.remove(&id);
                }
                for id in 1..12 {
                    prop_assert_eq!(channels.find(id).is_some(), model.contains(&id));
                }
                prop_assert_eq!(channels.len(), model.len());
            }
        }
    }

    #[test]
    fn channels_keep_their_state_when_others_come_and_go() {
        let mut channels = Channels::default();
        channels.open(7);
        channels.find(7).unwrap().fail();
        channels.open(3);
        channels.open(65535);
        channels.remove(3);

        assert!(channels.find(7).unwrap().is_closing());
        assert!(!channels.find(65535).unwrap().is_closing());
    }
}
