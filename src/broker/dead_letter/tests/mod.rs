//! Dead letters, in the words of their headers. What is expected was seen on RabbitMQ 3.10.8 unless a test says
//! otherwise; the `x-last-death-*` headers, which it does not have, are tested on their own.

mod clients;
mod loops;
mod random;

use super::*;
use crate::amqp::wire::properties::without_header;
use crate::amqp::wire::table_view::TableView;

/// An encoded value.
type Value = Vec<u8>;

fn text(text: &str) -> Value {
    let mut value = Vec::new();
    ValueView::text(text.as_bytes()).append_to(&mut value);
    value
}

fn number(number: i32) -> Value {
    [b"I".as_slice(), &number.to_be_bytes()].concat()
}

fn array(items: &[Value]) -> Value {
    let mut value = Vec::new();
    ValueView::array(&items.concat()).append_to(&mut value);
    value
}

fn texts<const N: usize>(items: [&str; N]) -> Value {
    array(&items.map(text))
}

fn fields(fields: &[(&str, Value)]) -> Vec<u8> {
    let field = |(name, value): &(&str, Value)| {
        [&[u8::try_from(name.len()).unwrap()], name.as_bytes(), value].concat()
    };
    fields.iter().map(field).collect::<Vec<_>>().concat()
}

fn table(of: &[(&str, Value)]) -> Value {
    let mut value = Vec::new();
    ValueView::table(&fields(of)).append_to(&mut value);
    value
}

/// Property flags and values of a message with these headers and this expiration.
fn properties(headers: Option<&[(&str, Value)]>, expiration: &str) -> Vec<u8> {
    let headers = headers.map(|headers| table(headers).split_off(1)).unwrap_or_default();
    let flags = if headers.is_empty() { 0 } else { 0x2000_u16 };
    let length = u8::try_from(expiration.len()).unwrap();
    match expiration {
        "" => [flags.to_be_bytes().as_slice(), &headers].concat(),
        _ => [&(flags | 0x0100).to_be_bytes(), &headers[..], &[length], expiration.as_bytes()]
            .concat(),
    }
}

fn message(exchange: &str, key: &str, header: &[u8]) -> Message {
    let blob = [exchange.as_bytes(), key.as_bytes(), header, b"body"].concat();
    let layout = Layout {
        exchange: u8::try_from(exchange.len()).unwrap(),
        routing_key: u8::try_from(key.len()).unwrap(),
        header: u32::try_from(header.len()).unwrap(),
    };
    let persistent = PropertiesView::assume_checked(header).is_persistent();
    Message::new(Bytes::from(blob), layout, persistent, false).unwrap()
}

/// A message with these headers, published to the default exchange for the queue it dies in.
fn sent_to(queue: &str, headers: &[(&str, Value)]) -> Message {
    message("", queue, &properties(Some(headers), ""))
}

fn death(reason: Reason, queue: &str) -> Death<'_> {
    Death { reason, queue, exchange: "dlx", routing_key: None, at_unix_s: 9 }
}

/// The headers as `name:tag=value`, without those that RabbitMQ 3.10.8 does not have and without `BCC`, which is
/// not delivered.
fn headers_of(dead: &DeadLetter) -> String {
    let names = ["x-last-death-reason", "x-last-death-queue", "x-last-death-exchange", BCC];
    let header =
        names.iter().fold(dead.header().to_vec(), |header, name| without_header(&header, name));
    shown(PropertiesView::check(&header).unwrap().headers().unwrap())
}

fn utf8(octets: &[u8]) -> Option<&str> {
    std::str::from_utf8(octets).ok()
}

fn shown(table: TableView<'_>) -> String {
    let field =
        |(name, value): (&[u8], _)| format!("{}:{}", utf8(name).unwrap(), shown_value(value));
    table.fields().map(field).collect::<Vec<_>>().join(" ")
}

fn shown_value(value: ValueView<'_>) -> String {
    let whole = |octets: &[u8]| u64::from_be_bytes(octets.try_into().unwrap());
    let text = value.as_text().map(|text| utf8(text).unwrap().to_owned());
    let number = || value.as_int().map(|number| number.to_string());
    let time = || (value.tag() == b'T').then(|| whole(value.data()).to_string());
    let nested = || value.as_table().map(|table| format!("{{{}}}", shown(table)));
    let items = || {
        let items = value.as_array()?.items().map(shown_value).collect::<Vec<_>>();
        Some(format!("[{}]", items.join(" ")))
    };
    let inside = text.or_else(number).or_else(time).or_else(nested).or_else(items);
    format!("{}={}", char::from(value.tag()), inside.unwrap_or_default())
}

#[test]
fn a_first_death_is_told_in_a_table_and_in_headers_of_its_own() {
    let expected = "x-death:A=[F={count:l=1 reason:S=rejected queue:S=w time:T=9 exchange:S= \
                    routing-keys:A=[S=w]}] x-first-death-exchange:S= x-first-death-queue:S=w \
                    x-first-death-reason:S=rejected";
    for header in [properties(None, ""), properties(Some(&[]), "")] {
        let dead = DeadLetter::new(&message("", "w", &header), &death(Reason::Rejected, "w"));
        assert_eq!(headers_of(&dead), expected);
    }
}

#[test]
fn reasons_have_rabbitmqs_names() {
    let name = |reason| {
        let dead = DeadLetter::new(&sent_to("w", &[]), &death(reason, "w"));
        let value = PropertiesView::check(dead.header()).unwrap().header("x-first-death-reason");
        String::from_utf8(value.unwrap().as_text().unwrap().to_vec()).unwrap()
    };
    let all = [Reason::Rejected, Reason::Expired, Reason::MaxLength, Reason::DeliveryLimit];
    assert_eq!(all.map(name), ["rejected", "expired", "maxlen", "delivery_limit"]);
}

#[test]
fn the_expiration_moves_into_the_history_as_it_was_written() {
    let sent = message("", "tt", &properties(None, "00500"));
    let dead = DeadLetter::new(&sent, &death(Reason::Expired, "tt"));
    assert_eq!(
        headers_of(&dead),
        "x-death:A=[F={count:l=1 reason:S=expired queue:S=tt time:T=9 exchange:S= routing-keys:A=[S=tt] \
         original-expiration:S=00500}] x-first-death-exchange:S= x-first-death-queue:S=tt \
         x-first-death-reason:S=expired"
    );
    assert_eq!(PropertiesView::check(dead.header()).unwrap().expiration(), None);
}

#[test]
fn the_exchange_in_the_history_is_the_one_that_was_published_to() {
    // It came to `w` over a binding of `e1` to another exchange.
    let dead = DeadLetter::new(&message("e1", "kk", &[0, 0]), &death(Reason::Rejected, "w"));
    assert_eq!(
        headers_of(&dead),
        "x-death:A=[F={count:l=1 reason:S=rejected queue:S=w time:T=9 exchange:S=e1 \
         routing-keys:A=[S=kk]}] x-first-death-exchange:S=e1 x-first-death-queue:S=w \
         x-first-death-reason:S=rejected"
    );
}

#[test]
fn without_a_new_key_it_goes_by_all_the_old_ones_and_bcc_is_not_told() {
    let copies = array(&[text("c1"), text("c2"), number(5)]);
    let headers = [("CC", copies), ("BCC", texts(["b1"])), ("z", number(1)), ("a", number(2))];
    let sent = message("", "w", &properties(Some(&headers), "60000"));
    let dead = DeadLetter::new(&sent, &death(Reason::Rejected, "w"));

    assert_eq!(dead.keys()[..], ["w", "c1", "c2", "b1"]);
    assert!(dead.properties().header(BCC).is_some(), "it routes the next dead letter, too");
    assert_eq!(
        headers_of(&dead),
        "CC:A=[S=c1 S=c2 I=5] a:I=2 x-death:A=[F={count:l=1 reason:S=rejected queue:S=w time:T=9 \
         exchange:S= routing-keys:A=[S=w S=c1 S=c2] original-expiration:S=60000}] \
         x-first-death-exchange:S= x-first-death-queue:S=w x-first-death-reason:S=rejected z:I=1"
    );
    assert_eq!(dead.into_message(false).routing_key(), b"w");
}

#[test]
fn with_a_new_key_it_goes_by_that_alone_and_cc_is_only_history() {
    let headers = [("CC", texts(["c1", "c2"])), ("BCC", texts(["b1"]))];
    let sent = message("", "wk", &properties(Some(&headers), "60000"));
    let routing_key = Some("k2");
    let dead = DeadLetter::new(&sent, &Death { routing_key, ..death(Reason::Rejected, "wk") });

    assert_eq!(dead.keys()[..], ["k2"]);
    assert!(dead.properties().header(BCC).is_none());
    assert_eq!(
        headers_of(&dead),
        "x-death:A=[F={count:l=1 reason:S=rejected queue:S=wk time:T=9 exchange:S= \
         routing-keys:A=[S=wk S=c1 S=c2] original-expiration:S=60000}] x-first-death-exchange:S= \
         x-first-death-queue:S=wk x-first-death-reason:S=rejected"
    );
    assert_eq!(dead.into_message(false).routing_key(), b"k2");
}

#[test]
fn a_second_death_comes_first_with_its_fields_by_name() {
    let first = DeadLetter::new(
        &sent_to("h1", &[("CC", texts(["cc1"]))]),
        &Death { exchange: "dd", ..death(Reason::Expired, "h1") },
    );
    let second = DeadLetter::new(&first.into_message(false), &death(Reason::Expired, "h2"));
    assert_eq!(
        headers_of(&second),
        "CC:A=[S=cc1] x-death:A=[F={count:l=1 exchange:S=dd queue:S=h2 reason:S=expired \
         routing-keys:A=[S=h1 S=cc1] time:T=9} F={count:l=1 reason:S=expired queue:S=h1 time:T=9 \
         exchange:S= routing-keys:A=[S=h1 S=cc1]}] x-first-death-exchange:S= x-first-death-queue:S=h1 \
         x-first-death-reason:S=expired"
    );
}

#[test]
fn the_last_death_is_told_in_headers_that_change_each_time() {
    let last = |dead: &DeadLetter| {
        let view = PropertiesView::check(dead.header()).unwrap();
        ["reason", "queue", "exchange"].map(|what| {
            let value = view.header(&format!("x-last-death-{what}")).unwrap();
            utf8(value.as_text().unwrap()).unwrap().to_owned()
        })
    };
    let first = DeadLetter::new(&message("e", "k", &[0, 0]), &death(Reason::Expired, "a"));
    assert_eq!(last(&first), ["expired", "a", "e"]);
    let second = DeadLetter::new(&first.into_message(false), &death(Reason::MaxLength, "b"));
    assert_eq!(last(&second), ["maxlen", "b", "dlx"]);
    assert!(headers_of(&second).contains("x-first-death-queue:S=a"));
}

#[test]
fn body_names_and_other_properties_are_carried_over() {
    let header = b"\xB8\x00\x01t\x00\x00\x00\x03\x01vV\x02\x07".as_slice();
    let dead = DeadLetter::new(&message("e", "k", header), &death(Reason::Rejected, "w"));
    let dead = dead.into_message(true);

    let properties = PropertiesView::check(dead.header()).unwrap();
    assert_eq!(
        (dead.exchange(), dead.routing_key(), dead.body()),
        (&b"dlx"[..], &b"k"[..], &b"body"[..])
    );
    assert_eq!(properties.content_type(), Some(&b"t"[..]));
    assert_eq!(properties.priority(), Some(7));
    assert_eq!(properties.header("v").map(|value| value.tag()), Some(b'V'));
    assert!(dead.is_persistent() && properties.is_persistent());
    assert!(dead.is_shared());
}

#[test]
fn it_takes_no_more_memory_than_it_has_octets() {
    let dead = DeadLetter::new(&sent_to("w", &[]), &death(Reason::Rejected, "w"));
    let octets = dead.blob.len();
    assert_eq!(dead.blob.try_into_mut().unwrap().capacity(), octets);
}

#[test]
fn headers_sent_twice_stay_but_for_ours() {
    let ours = "x-last-death-queue";
    let twice = [
        ("b", number(1)),
        ("a", number(2)),
        ("b", number(3)),
        (ours, number(4)),
        (ours, number(5)),
    ];
    let dead = DeadLetter::new(&sent_to("w", &twice), &death(Reason::Rejected, "w"));
    assert!(headers_of(&dead).starts_with("a:I=2 b:I=1 b:I=3 x-death:"));
    assert!(!headers_of(&dead).contains(ours), "one was there beside ours");
}

#[test]
fn a_routing_key_too_long_for_a_short_string_is_cut_between_characters() {
    let long = "ü".repeat(200);
    let routing_key = Some(&*long);
    let dead =
        DeadLetter::new(&sent_to("w", &[]), &Death { routing_key, ..death(Reason::Expired, "w") });
    assert_eq!(dead.keys()[..], [&long[..254]]);
    assert_eq!(dead.into_message(false).routing_key(), &long.as_bytes()[..254]);
}

#[test]
fn headers_exchanges_see_the_new_headers() {
    let dead = DeadLetter::new(&sent_to("w", &[("a", number(1))]), &death(Reason::Expired, "w"));
    let headers = dead.properties().headers().unwrap();
    assert!(headers.get("a").is_some() && headers.get("x-first-death-reason").is_some());
}
