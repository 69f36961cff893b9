//! Messages pass through as they are: properties to the octet, bodies of any size.

use crate::support::{Login, Properties, RawPeer, TestBroker, all_tags, properties, unique};

/// Publishes a message, gets it back, and expects every octet of it.
fn passes_through(with: &Properties, body: &[u8]) {
    let mut peer = RawPeer::connect(&TestBroker::start());
    comes_back(&mut peer, with, body);
}

fn comes_back(peer: &mut RawPeer, with: &Properties, body: &[u8]) {
    let queue = unique("through");
    peer.has_queue(1, &queue);
    peer.publishes_with(1, &queue, with, body);
    let got = peer.gets(1, &queue).expect("the message is there");
    assert_eq!(got.properties, with.encode());
    assert!(got.body == body, "{} octets came back of {}", got.body.len(), body.len());
}

#[test]
fn every_property_passes_through() {
    let with = properties()
        .content_type("application/json")
        .content_encoding("gzip")
        .headers(&table! { "a" => 1 })
        .delivery_mode(2)
        .priority(255)
        .correlation_id("correlation")
        .reply_to("reply")
        .expiration("60000000")
        .message_id("id")
        .timestamp(u64::MAX)
        .kind("type")
        .user_id("guest")
        .app_id("app")
        .cluster_id("cluster");
    passes_through(&with, b"body");
}

#[test]
fn no_properties_stay_none() {
    passes_through(&properties(), b"body");
}

#[test]
fn every_type_of_header_passes_through() {
    passes_through(&properties().headers(&all_tags()), b"body");
}

#[test]
fn every_type_of_header_passes_through_the_log() {
    passes_through(&properties().headers(&all_tags()).delivery_mode(2), b"body");
}

#[test]
fn an_empty_table_of_headers_stays_there() {
    passes_through(&properties().headers(&table! {}), b"body");
}

#[test]
fn keys_keep_their_order_and_their_duplicates() {
    let headers = table! { "z" => 1, "a" => 2, "z" => "again", "a" => true };
    passes_through(&properties().headers(&headers), b"body");
}

#[test]
fn header_keys_may_be_empty_and_as_long_as_they_get() {
    let long = "k".repeat(255);
    passes_through(&properties().headers(&table! { "" => 1, long => 2 }), b"body");
}

#[test]
fn headers_of_many_kilobytes_pass_through() {
    let text = "x".repeat(100_000);
    passes_through(&properties().headers(&table! { "text" => &text }), b"body");
}

#[test]
fn an_empty_body_passes_through() {
    passes_through(&properties(), b"");
}

#[test]
fn bodies_are_cut_to_the_frame_size_and_put_together() {
    let login = Login { frame_max: 4096, ..Login::default() };
    let mut peer = RawPeer::connect_with(&TestBroker::start(), &login);
    peer.opens(1);
    let body: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    for length in [4087, 4088, 4089, 8176, 8177, 20_000] {
        comes_back(&mut peer, &properties(), &body[..length]);
    }
}

#[test]
fn a_megabyte_passes_through() {
    let body: Vec<u8> = (0..=250).cycle().take(1024 * 1024).collect();
    passes_through(&Properties::persistent(), &body);
}

#[test]
fn consumers_with_other_frame_sizes_get_the_same_body() {
    let broker = TestBroker::start();
    let mut small = RawPeer::connect_with(&broker, &Login { frame_max: 4096, ..Login::default() });
    let mut large = RawPeer::connect(&broker);
    small.opens(1);
    let queue = unique("sizes");
    small.has_queue(1, &queue);
    small.consumes(1, &queue, "c");
    let body: Vec<u8> = (0..=99).cycle().take(100_000).collect();
    large.publishes_with(1, &queue, &properties(), &body);
    assert!(small.delivery(1).body == body);
}

#[test]
fn empty_frames_inside_a_body_are_ignored() {
    let mut peer = RawPeer::connect(&TestBroker::start());
    let queue = unique("empty-frames");
    peer.has_queue(1, &queue);
    peer.sends(1, &crate::support::method("basic.publish").set("routing_key", &queue));
    peer.sends_frame(2, 1, &crate::support::content_header(4, &properties()));
    for part in ["", "ab", "", "cd"] {
        peer.sends_frame(3, 1, part.as_bytes());
    }
    assert_eq!(peer.drains(1, &queue), ["abcd"]);
}

#[test]
fn strange_delivery_modes_are_transient_and_pass_through() {
    // RabbitMQ 3.10 refuses them; 4.x takes them as transient.
    let mut peer = RawPeer::connect(&TestBroker::own());
    comes_back(&mut peer, &properties().delivery_mode(3), b"body");
}
