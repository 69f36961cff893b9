//! Any frames in any order.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Frames that look like a client's often enough to get far.
fn any_frame() -> impl Strategy<Value = Sent> {
    let channel = 0_u16..4;
    prop_oneof![
        4 => (channel.clone(), plausible_method()).prop_map(|(id, payload)| frame(FrameKind::Method, id, &payload)),
        2 => (channel.clone(), 0_u64..8).prop_map(|(id, size)| header(id, size, &[0, 0])),
        2 => (channel.clone(), vec(any::<u8>(), 0..8)).prop_map(|(id, octets)| body(id, &octets)),
        1 => (channel, kind(), vec(any::<u8>(), 0..40)).prop_map(|(id, kind, octets)| frame(kind, id, &octets)),
    ]
}

fn kind() -> impl Strategy<Value = FrameKind> {
    select(vec![FrameKind::Method, FrameKind::Header, FrameKind::Body, FrameKind::Heartbeat])
}

fn plausible_method() -> impl Strategy<Value = Vec<u8>> {
    let whole = select(vec![
        open_channel(1),
        open_channel(1),
        close_channel(1),
        close_channel_ok(1),
        publish(1, "x", "k"),
        publish(1, "x", "k"),
        flow(1, true),
        open_vhost("/"),
        tune_ok(3, 4096, 0),
        start_ok("PLAIN", b"\0a\0b", FieldTable::default()),
        close_connection(),
    ]);
    let numbers = (select(vec![10_u16, 20, 30, 40, 50, 60, 85, 90]), 0_u16..130);
    let loose = (numbers, vec(any::<u8>(), 0..20))
        .prop_map(|((class, number), fields)| raw_method(1, class, number, &fields).payload);
    prop_oneof![3 => whole.prop_map(|sent| sent.payload), 1 => loose]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_sequence_of_frames_panics_and_no_message_exceeds_what_was_sent(
        frames in vec(any_frame(), 0..60),
        is_running in any::<bool>(),
    ) {
        let mut peer =
            if is_running { PeerUnderTest::with_channel() } else { PeerUnderTest::connected() };
        let mut sent_octets = 0;
        for sent in frames {
            sent_octets += sent.payload.len();
            match peer.sends(sent).0 {
                Ok(Some(Command::Publish(message))) => {
                    prop_assert!(message.blob.len() <= sent_octets);
                    prop_assert_eq!(message.names().len() + message.header().len() + message.body_len(), message.blob.len());
                }
                Ok(Some(Command::Authenticate(_))) => { peer.peer.authenticated(); }
                Ok(Some(Command::OpenVhost(_))) => peer.peer.opened(),
                Ok(_) => {}
                Err(error) => prop_assert!(error.text.len() <= limits::SHORT_STRING_MAX),
            }
        }
    }

    #[test]
    fn a_body_cut_anywhere_arrives_whole(
        octets in vec(any::<u8>(), 1..3000),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
        key in "[a-z]{0,255}",
    ) {
        let mut peer = PeerUnderTest::with_channel();
        peer.arena.begin(octets.len() * 3);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(octets.len())).collect();
        cuts.sort_unstable();
        peer.sends(publish(1, "x", &key)).expects_nothing();
        peer.sends(header(1, octets.len() as u64, &[0, 0])).expects_nothing();
        let mut from = 0;
        for to in cuts {
            peer.sends(body(1, &octets[from..to])).expects_nothing();
            from = to;
        }
        let message = peer.sends(body(1, &octets[from..])).expects_message();
        prop_assert_eq!(message.body(), &octets[..]);
        prop_assert_eq!(message.routing_key(), key);
    }
}
