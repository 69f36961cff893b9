//! Records come back as they were written, whatever wrote them, and damage is an error.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::durability::definition::tests::any_definition;
use crate::durability::table::tests::any_table;

/// A change, owned.
#[derive(Clone, Debug)]
enum Change {
    Put(Vec<u8>, Layout, Vec<Place>),
    Gone(QueueId, Vec<Position>),
    Delivered(QueueId, Position),
    Definition(Definition),
    Returned(QueueId, Vec<(Position, Retries)>),
}

fn any_place() -> impl Strategy<Value = Place> {
    let expiry = prop::option::of(prop_oneof![1_u64..300, 1..=u64::MAX]);
    (any::<(u64, u64)>(), expiry).prop_map(|((queue, position), expires_at_ms)| Place {
        queue: QueueId(queue),
        position: Position(position),
        expires_at_ms,
    })
}

fn any_retries() -> impl Strategy<Value = Vec<(Position, Retries)>> {
    let position = prop_oneof![4 => 0_u64..40, 1 => any::<u64>()].prop_map(Position);
    let retries = (any::<u32>(), prop::option::of(1_u64..))
        .prop_map(|(count, ready_at_ms)| Retries { count, ready_at_ms });
    prop::collection::btree_map(position, retries, 0..40)
        .prop_map(|retries| retries.into_iter().collect())
}

fn any_change() -> impl Strategy<Value = Change> {
    let places = prop::collection::vec(any_place(), 1..4);
    let put = (prop::collection::vec(any::<u8>(), 0..99), 0_u8..9, 0_u8..9, 0_u32..9, places);
    let put = put.prop_map(|(mut blob, exchange, routing_key, header, places)| {
        blob.extend([0; 27]);
        Change::Put(blob, Layout { exchange, routing_key, header }, places)
    });
    let position = prop_oneof![4 => 0_u64..40, 1 => any::<u64>()];
    let gone = (any::<u64>(), prop::collection::btree_set(position, 0..40));
    let gone = gone.prop_map(|(queue, positions): (u64, BTreeSet<u64>)| {
        Change::Gone(QueueId(queue), positions.into_iter().map(Position).collect())
    });
    prop_oneof![
        put,
        gone,
        any::<(u64, u64)>().prop_map(|(queue, at)| Change::Delivered(QueueId(queue), Position(at))),
        any_definition(any_table().boxed()).prop_map(Change::Definition),
        (any::<u64>(), any_retries())
            .prop_map(|(queue, retries)| Change::Returned(QueueId(queue), retries)),
    ]
}

fn write(into: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Put(blob, layout, places) => {
            let blob = Bytes::copy_from_slice(blob);
            let message = Message::new(blob, *layout, true, false).unwrap();
            put_message(into, &message, places);
        }
        Change::Gone(queue, positions) => put_gone(into, *queue, positions),
        Change::Delivered(queue, up_to) => put_delivered(into, *queue, *up_to),
        Change::Definition(definition) => put_definition_record(into, definition),
        Change::Returned(queue, retries) => put_returned(into, *queue, retries),
    }
}

fn same(change: &Change, record: &Record<'_>) -> bool {
    match (change, record) {
        (Change::Put(blob, layout, places), Record::Put(put)) => {
            put.blob == blob && put.layout == *layout && put.places == *places
        }
        (Change::Gone(queue, positions), Record::Gone { queue: other, runs }) => {
            let singles = runs.iter().flat_map(|run| run.first.0..=run.last.0);
            queue == other && singles.eq(positions.iter().map(|position| position.0))
        }
        (Change::Delivered(queue, up_to), record) => {
            *record == Record::Delivered { queue: *queue, up_to: *up_to }
        }
        (Change::Definition(definition), Record::Definition(other)) => definition == other,
        (Change::Returned(queue, retries), Record::Returned { queue: other, retries: others }) => {
            queue == other && retries == others
        }
        _ => false,
    }
}

fn message(blob: &'static [u8]) -> Message {
    let layout = Layout { exchange: 1, routing_key: 1, header: 2 };
    Message::new(Bytes::from_static(blob), layout, true, false).unwrap()
}

fn place(queue: u64, position: u64, expires_at_ms: Option<u64>) -> Place {
    Place { queue: QueueId(queue), position: Position(position), expires_at_ms }
}

/// A frame with one message for two queues, as every release wrote it before messages could expire.
const LASTING: [u8; 24] = *b"\x01\
    \x01\x01\x01\x02\x02\x03\x05\x04\x80\x01\x08ek--body\x3E\x71\xF1\x32";

/// The same message, if it expires in the first of the queues a second after the epoch.
const EXPIRING: [u8; 26] = *b"\
    \x05\x01\x01\x02\x02\x03\x05\xE8\x07\x04\x80\x01\x00\x08ek--body\x65\x11\xAD\x48";

#[test]
fn a_message_of_an_older_release_is_read() {
    let placed = records(&LASTING).unwrap().next().unwrap().unwrap();
    let places = vec![place(3, 5, None), place(4, 128, None)];
    let layout = Layout { exchange: 1, routing_key: 1, header: 2 };

    let put = Put { layout, places, blob: b"ek--body" };
    assert_eq!(placed.record, Record::Put(put));
    let alone = read_message(&LASTING[placed.offset as usize..]).unwrap();
    assert_eq!(Record::Put(alone), placed.record);
}

#[test]
fn a_message_that_does_not_expire_is_written_as_it_was_before_any_could() {
    let mut payload = Vec::new();
    begin_payload(&mut payload);
    put_message(&mut payload, &message(b"ek--body"), &[place(3, 5, None), place(4, 128, None)]);

    assert_eq!(payload, LASTING);
}

#[test]
fn a_message_that_expires_in_one_of_its_queues_says_so_for_each() {
    let places = [place(3, 5, Some(1000)), place(4, 128, None)];
    let mut bytes = Vec::new();
    put_message(&mut bytes, &message(b"ek--body"), &places);

    assert_eq!(bytes, EXPIRING);
    assert_eq!(read_message(&bytes).unwrap().places, places);
}

#[test]
fn a_message_that_expired_when_the_epoch_began_is_not_kept_for_good() {
    let mut bytes = Vec::new();
    put_message(&mut bytes, &message(b"ek--body"), &[place(1, 2, Some(0))]);

    assert_eq!(read_message(&bytes).unwrap().places, [place(1, 2, Some(1))]);
}

#[test]
fn acknowledgements_in_order_take_a_few_octets_together() {
    let positions: Vec<_> = (100_000..200_000).map(Position).collect();
    let mut bytes = Vec::new();
    put_gone(&mut bytes, QueueId(3), &positions);

    assert!(bytes.len() < 12, "{} octets", bytes.len());
}

#[test]
fn a_message_is_read_alone_by_its_place() {
    let mut payload = Vec::new();
    begin_payload(&mut payload);
    put_delivered(&mut payload, QueueId(1), Position(1));
    put_message(&mut payload, &message(b"ek--body"), &[place(1, 2, None)]);

    let placed = records(&payload).unwrap().nth(1).unwrap().unwrap();
    let start = placed.offset as usize;
    let alone = read_message(&payload[start..start + placed.length as usize]).unwrap();

    assert_eq!(alone.blob, b"ek--body");
    assert_eq!(alone.places, [place(1, 2, None)]);
}

#[test]
fn every_flipped_bit_of_a_message_is_noticed() {
    for expires_at_ms in [None, Some(1_700_000_000_000)] {
        let mut bytes = Vec::new();
        put_message(&mut bytes, &message(b"ek--body"), &[place(1, 2, expires_at_ms)]);

        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read_message(&bad).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn an_unknown_version_or_kind_is_named() {
    let unknown = records(&[9]).unwrap_err();
    assert_eq!(unknown.to_string(), "frame of version 9 is unknown; a newer release wrote it");

    let unknown = records(&[FRAME_VERSION, 77]).unwrap().next().unwrap().unwrap_err();
    assert_eq!(unknown.to_string(), "record of kind 77 is unknown; a newer release wrote it");

    let definition = [FRAME_VERSION, DEFINITION, 99];
    let unknown = records(&definition).unwrap().next().unwrap().unwrap_err();
    assert_eq!(unknown, RecordError::UnknownKind { of: "definition", found: 99 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn changes_come_back_as_they_were(changes in prop::collection::vec(any_change(), 0..6)) {
        let mut payload = Vec::new();
        begin_payload(&mut payload);
        for change in &changes {
            write(&mut payload, change);
        }

        let found: Result<Vec<_>, _> = records(&payload).unwrap().collect();
        let found = found.unwrap();

        prop_assert_eq!(found.len(), changes.len());
        for (change, placed) in changes.iter().zip(&found) {
            prop_assert!(same(change, &placed.record), "{:?} became {:?}", change, placed);
        }
    }

    #[test]
    fn garbage_is_an_error_and_no_panic(
        changes in prop::collection::vec(any_change(), 1..4),
        damage in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..4),
        cut: prop::sample::Index,
    ) {
        let mut payload = Vec::new();
        begin_payload(&mut payload);
        for change in &changes {
            write(&mut payload, change);
        }
        for (at, octet) in damage {
            let at = at.index(payload.len());
            payload[at] = octet;
        }
        payload.truncate(cut.index(payload.len() + 1));

        if let Ok(records) = records(&payload) {
            records.for_each(drop);
        }
        read_message(&payload).err();
    }
}
