//! Properties as golden octets, and against `amq_protocol`'s parser.

use amq_protocol::protocol::basic::AMQPProperties;
use amq_protocol::types::ShortString;
use proptest::option;
use proptest::prelude::*;

use super::super::testing::{by_crate, hex, short_string, table};
use super::*;

fn check(digits: &str) -> Result<(), PropertyError> {
    PropertiesView::check(&hex(digits)).map(|_| ())
}

#[test]
fn the_golden_header_reads_property_by_property() {
    let header = hex("3100 00000007 0161 49 00000001 02 05 3630303030");
    let view = PropertiesView::check(&header).unwrap();

    assert_eq!(view.header("a").and_then(|value| value.as_int()), Some(1));
    assert!(view.is_persistent());
    assert_eq!(view.expiration(), Some(&b"60000"[..]));
    assert_eq!(view.priority(), None);
    assert_eq!(view.content_type(), None);
}

#[test]
fn no_properties_and_only_a_delivery_mode_are_fine() {
    assert_eq!(check("0000"), Ok(()));
    assert_eq!(check("1000 02"), Ok(()));
    assert_eq!(check("9000 01 61 02"), Ok(()));
}

#[test]
fn an_expiration_is_read_as_rabbitmq_reads_it() {
    let read = |text: &str| {
        let length = u8::try_from(text.len()).unwrap();
        let header = [&[0x01, 0x00, length], text.as_bytes()].concat();
        PropertiesView::check(&header).unwrap().expiration_ms()
    };
    for (text, number) in [("0", 0), ("60000", 60_000), ("007", 7), ("+5", 5), ("-0", 0)] {
        assert_eq!(read(text), Some(number), "{text}");
    }
    assert_eq!(read(&format!("{}315360000000", "0".repeat(200))), Some(315_360_000_000));
    for text in [
        "",
        "+",
        "-",
        "-1",
        "--0",
        "-+0",
        "+-0",
        " 5",
        "5 ",
        "1.5",
        "abc",
        "5a",
        "18446744073709551616",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
    assert_eq!(PropertiesView::check(&hex("0000")).unwrap().expiration_ms(), None);
}

#[test]
fn malformed_properties_are_told_apart() {
    assert_eq!(check(""), Err(PropertyError::Truncated));
    assert_eq!(check("10"), Err(PropertyError::Truncated));
    assert_eq!(check("1000"), Err(PropertyError::Truncated));
    assert_eq!(check("8000 05 61"), Err(PropertyError::Truncated));
    assert_eq!(check("0000 00"), Err(PropertyError::Trailing));
    assert_eq!(check("1000 02 00"), Err(PropertyError::Trailing));
    assert_eq!(check("0001 0000"), Err(PropertyError::UnknownFlags(1)));
    assert_eq!(check("0002"), Err(PropertyError::UnknownFlags(2)));
    let unknown = PropertyError::Headers(TableError::UnknownTag(b'U'));
    assert_eq!(check("2000 00000005 0161 55 0001"), Err(unknown));
}

#[test]
fn a_stripped_header_leaves_every_other_octet_alone() {
    let (cc, bcc) = ("02 4343 53 00000001 61", "03 424343 53 00000001 62");
    let header = hex(&format!("b000 01 78 00000013 {bcc} {cc} 02"));
    let stripped = hex(&format!("b000 01 78 00000009 {cc} 02"));
    assert_eq!(without_header(&header, "BCC"), stripped);
    assert_eq!(without_header(&stripped, "BCC"), stripped);
    assert_eq!(without_header(&stripped, "CC"), hex("b000 01 78 00000000 02"));
    assert_eq!(without_header(&hex("1000 02"), "BCC"), hex("1000 02"));
}

fn with_fields(header: &str, dropped: Property, fields: &str) -> Vec<u8> {
    let mut changed = Vec::new();
    with_headers(&hex(header), Some(dropped), &mut changed, |into| into.extend(hex(fields)));
    changed
}

#[test]
fn new_headers_take_the_place_of_the_old_ones_and_a_property_goes() {
    let gone = Property::Expiration;
    let changed = with_fields("3100 00000003 0161 56 02 0130", gone, "0162 56");
    assert_eq!(changed, hex("3000 00000003 0162 56 02"));
    assert_eq!(with_fields("0000", gone, ""), hex("2000 00000000"));
    assert_eq!(with_fields("", gone, "0162 56"), hex("2000 00000003 0162 56"));
    let changed = with_fields("9004 0178 02 0163", Property::ContentType, "0162 56");
    assert_eq!(changed, hex("3004 00000003 0162 56 02 0163"));
}

#[test]
fn new_headers_for_properties_that_were_cut_short_still_parse() {
    let changed = with_fields("b104 0178 00000009 01", Property::Expiration, "0162 56");
    let view = PropertiesView::check(&changed).unwrap();
    assert_eq!(view.content_type(), Some(&b"x"[..]));
    assert_eq!(view.header("b").map(|value| value.tag()), Some(b'V'));
}

#[test]
fn another_reply_to_leaves_the_other_properties_where_they_are() {
    let header = hex("b300 01 78 00000000 02 01 79 01 7a");
    let changed = with_reply_to(&header, "there");

    assert_eq!(changed, hex("b300 01 78 00000000 02 05 7468657265 01 7a"));
    assert_eq!(with_reply_to(&hex("1000 02"), "there"), hex("1000 02"));
}

fn properties() -> impl Strategy<Value = AMQPProperties> {
    let texts = proptest::array::uniform10(option::of(short_string()));
    let others = (
        option::of(table()),
        option::of(any::<u8>()),
        option::of(any::<u8>()),
        option::of(any::<u64>()),
    );
    (texts, others).prop_map(|(texts, (headers, delivery_mode, priority, timestamp))| {
        let [content_type, encoding, correlation, reply, expiration, id, kind, user, app, cluster] =
            texts;
        let mut properties = AMQPProperties::default();
        macro_rules! set {
            ($($method:ident $value:expr;)*) => {
                $(if let Some(value) = $value { properties = properties.$method(value); })*
            };
        }
        set! {
            with_content_type content_type; with_content_encoding encoding; with_headers headers;
            with_delivery_mode delivery_mode; with_priority priority;
            with_correlation_id correlation; with_reply_to reply; with_expiration expiration;
            with_message_id id; with_timestamp timestamp; with_type kind; with_user_id user;
            with_app_id app; with_cluster_id cluster;
        }
        properties
    })
}

fn text(value: Option<&ShortString>) -> Option<&[u8]> {
    value.map(|text| text.as_str().as_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn each_property_reads_as_a_full_parse_reads_it(properties in properties()) {
        let octets = by_crate::encode_properties(&properties);
        let view = PropertiesView::check(&octets).unwrap();
        let full = by_crate::decode_properties(&octets);

        prop_assert_eq!(view.content_type(), text(full.content_type().as_ref()));
        prop_assert_eq!(view.content_encoding(), text(full.content_encoding().as_ref()));
        prop_assert_eq!(view.headers().map(|table| table.to_table().unwrap()), full.headers().clone());
        prop_assert_eq!(view.delivery_mode(), *full.delivery_mode());
        prop_assert_eq!(view.priority(), *full.priority());
        prop_assert_eq!(view.correlation_id(), text(full.correlation_id().as_ref()));
        prop_assert_eq!(view.reply_to(), text(full.reply_to().as_ref()));
        prop_assert_eq!(view.expiration(), text(full.expiration().as_ref()));
        prop_assert_eq!(view.message_id(), text(full.message_id().as_ref()));
        prop_assert_eq!(view.timestamp(), *full.timestamp());
        prop_assert_eq!(view.kind(), text(full.kind().as_ref()));
        prop_assert_eq!(view.user_id(), text(full.user_id().as_ref()));
        prop_assert_eq!(view.app_id(), text(full.app_id().as_ref()));
        prop_assert_eq!(view.cluster_id(), text(full.cluster_id().as_ref()));
    }

    #[test]
    fn with_other_headers_everything_else_reads_as_before(properties in properties(), headers in table()) {
        let octets = by_crate::encode_properties(&properties);
        let fields = by_crate::encode_table(&headers);
        let mut changed = Vec::new();
        with_headers(&octets, Some(Property::Expiration), &mut changed, |into| into.extend(&fields[4..]));

        let (before, after) = (PropertiesView::assume_checked(&octets), PropertiesView::check(&changed).unwrap());
        prop_assert_eq!(after.headers().map(|table| table.octets()), Some(&fields[4..]));
        prop_assert_eq!(after.expiration(), None);
        let changing = Property::Headers.flag() | Property::Expiration.flag();
        for flag in set_flags(!(changing | FLAGS_UNUSED)) {
            prop_assert_eq!(after.split_at(flag).map(|(value, _)| value), before.split_at(flag).map(|(value, _)| value));
        }
    }

    #[test]
    fn properties_cut_anywhere_are_refused(properties in properties(), at in any::<prop::sample::Index>()) {
        let octets = by_crate::encode_properties(&properties);
        let end = at.index(octets.len());
        prop_assert!(PropertiesView::check(&octets[..end]).is_err());
    }

    #[test]
    fn any_octets_are_either_refused_or_readable(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
        let checked = PropertiesView::check(&octets).is_ok();
        let view = PropertiesView::assume_checked(&octets);
        let headers = view.headers().map(|headers| headers.fields().count());
        let found = view.cluster_id().is_some();
        let stripped = without_header(&octets, "x");
        prop_assert!(stripped.len() <= octets.len());
        if checked {
            prop_assert_eq!(headers.is_some(), view.flags & 0x2000 != 0);
            prop_assert_eq!(found, view.flags & 0x0004 != 0);
        }
    }
}
