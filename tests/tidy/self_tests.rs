//! Each rule, on a snippet that breaks it and one that does not.

use super::Complaint;
use super::documents::{check_links, check_record};
use super::layers::{check_arrows, check_crates, dependencies, first_circle};
use super::lengths::{check_files, check_functions, summary};
use super::paths::paths;
use super::source::Source;
use super::words::{check_leftovers, check_module_docs};

fn file(path: &str, text: &str) -> [Source; 1] {
    [Source::parse(path, text)]
}

/// The lines that are complained about.
fn lines(complaints: &[Complaint]) -> Vec<usize> {
    complaints.iter().map(|complaint| complaint.line).collect()
}

fn arrows(path: &str, text: &str) -> Vec<usize> {
    lines(&check_arrows(&file(path, text)))
}

fn crates(path: &str, text: &str) -> Vec<usize> {
    let manifest = "[dependencies]\nbytes = \"1\"\ndashmap = \"6\"\namq-protocol = { version = \"10\" }\n\
                    tokio = \"1\"\nfjall = \"3\"\n\n[dev-dependencies]\nproptest = \"1\"\n";
    lines(&check_crates(&file(path, text), &dependencies(manifest)))
}

fn function_of(lines: usize) -> String {
    let body = "    work();\n".repeat(lines - 2);
    format!("//! A module.\n\nfn long(of: [u8; 4]) -> Held<'_, {{ rank::LEAF }}> {{\n{body}}}\n")
}

#[test]
fn an_arrow_that_points_up_is_found_in_every_spelling() {
    let path = "src/broker/turn.rs";
    assert_eq!(arrows(path, "use crate::amqp::protocol::Peer;"), [1]);
    assert_eq!(
        arrows(path, "use crate::{\n    limits,\n    amqp::{session::Session, protocol},\n};"),
        [1, 1]
    );
    assert_eq!(arrows(path, "\nfn f() { crate::durability::start(); }"), [2]);
    assert_eq!(arrows("src/broker/mod.rs", "use super::server::Server;"), [1]);
    assert_eq!(arrows("src/amqp/wire/mod.rs", "use super::session::Session;"), [1]);
    assert_eq!(
        arrows("src/amqp/wire/frame.rs", "use super::super::protocol::{peer, error as e};"),
        [1, 1]
    );
}

#[test]
fn an_arrow_of_the_table_is_fine() {
    assert_eq!(arrows("src/broker/turn.rs", "use crate::{limits, sync::rank};"), []);
    assert_eq!(arrows("src/broker/turn.rs", "use super::Broker; use self::queue::Queue;"), []);
    assert_eq!(arrows("src/amqp/session/mod.rs", "use super::protocol::peer::Peer;"), []);
    assert_eq!(arrows("src/main.rs", "use leveret::server::Server;"), []);
}

#[test]
fn comments_strings_and_tests_draw_no_arrows() {
    let text = "//! [`crate::server`]\n/* crate::server /* nested */ crate::server */\n\
                const A: &str = \"\\\"crate::server\"; const B: &str = r#\"crate::server\"#;\n\
                const C: char = '\"'; fn f<'a>(x: &'a str) {}\n\
                #[cfg(test)]\nmod tests {\n    use crate::server::Server;\n}\n";
    assert_eq!(arrows("src/broker/turn.rs", text), []);
    assert_eq!(arrows("src/broker/queue/tests.rs", "use crate::server::Server;"), []);
    let after = format!("{text}use crate::server::Server;\n");
    assert_eq!(arrows("src/broker/turn.rs", &after), [9]);
}

#[test]
fn the_table_of_layers_has_no_circles() {
    assert_eq!(first_circle(), None);
}

#[test]
fn a_file_outside_of_every_layer_is_found() {
    assert_eq!(arrows("src/mqtt/mod.rs", "//! MQTT"), [1]);
}

#[test]
fn a_crate_outside_of_its_layer_or_file_is_found() {
    assert_eq!(crates("src/broker/turn.rs", "use tokio::time::Instant;"), [1]);
    assert_eq!(crates("src/broker/turn.rs", "\nfn f() -> tokio::io::Result<()> {}"), [2]);
    assert_eq!(crates("src/broker/vhost.rs", "use dashmap::DashMap;"), [1]);
    assert_eq!(crates("src/store/log/writer.rs", "use fjall;"), [1]);
    assert_eq!(crates("src/broker/turn.rs", "use amq_protocol::{types, protocol::basic};"), [1]);
}

#[test]
fn a_crate_in_its_place_is_fine() {
    assert_eq!(crates("src/server/reader.rs", "use tokio::time::Instant;"), []);
    assert_eq!(crates("src/broker/registry.rs", "use dashmap::DashMap;"), []);
    assert_eq!(crates("src/store/checkpoint/options.rs", "use fjall::Database;"), []);
    assert_eq!(crates("src/broker/turn.rs", "use amq_protocol::types::FieldTable;"), []);
    assert_eq!(crates("src/broker/turn.rs", "let bytes = self.bytes; bytes.len();"), []);
}

#[test]
fn groups_are_taken_apart() {
    let [source] =
        file("src/clock.rs", "use a::{self, b::{C, D as E}, f::*};\nlet g = H::<u8>::i();");
    let found: Vec<String> = paths(&source).iter().map(|named| named.parts.join("::")).collect();
    assert_eq!(found, ["a::self", "a::b::C", "a::b::D", "a::f"]);
}

#[test]
fn a_file_above_the_ceiling_is_found() {
    let long = "//! A line.\n".repeat(601);
    assert_eq!(lines(&check_files(&file("src/clock.rs", &long))), [601]);
    assert_eq!(check_files(&file("src/clock.rs", &long[12..])), []);
}

#[test]
fn a_function_above_the_ceiling_is_found_unless_it_says_why() {
    assert_eq!(lines(&check_functions(&file("src/clock.rs", &function_of(71)))), [3]);
    assert_eq!(check_functions(&file("src/clock.rs", &function_of(70))), []);
    let excused = function_of(71).replacen("work();", "// tidy: long because it is a table", 1);
    assert_eq!(check_functions(&file("src/clock.rs", &excused)), []);
    let unexplained = function_of(71).replacen("work();", "// tidy: long because ", 1);
    assert_eq!(lines(&check_functions(&file("src/clock.rs", &unexplained))), [3]);
}

#[test]
fn long_functions_are_found_when_they_are_usual() {
    let short: String = (0..8).map(|_| function_of(3)).collect();
    let (long, rare) = (function_of(31).repeat(2), function_of(31));
    assert!(summary(&file("src/clock.rs", &format!("{short}{long}"))).complaint().is_some());
    let usual = format!("{short}{}{rare}", function_of(30));
    let usual = summary(&file("src/clock.rs", &usual));
    assert!(usual.complaint().is_none());
    assert_eq!(
        usual.to_string(),
        "tidy: longest file src/clock.rs, 105 lines (ceiling 600); longest function long at \
         src/clock.rs:75, 31 lines (ceiling 70); nine in ten of 10 functions within 30 lines (ceiling 30)"
    );
}

#[test]
fn a_module_without_a_first_word_is_found() {
    assert_eq!(lines(&check_module_docs(&file("src/clock.rs", "use std::io;\n"))), [1]);
    assert_eq!(check_module_docs(&file("src/clock.rs", "//! Time.\n")), []);
}

#[test]
fn what_is_left_for_later_is_found() {
    let later = concat!("//! Time.\n// TO", "DO: leap seconds\nlet x = \"FIX", "ME\";\n");
    assert_eq!(lines(&check_leftovers(&file("src/clock.rs", later))), [2, 3]);
    let part = concat!("//! A mas", "TO", "DON, XX", "XX.\n");
    assert_eq!(check_leftovers(&file("src/clock.rs", part)), []);
}

#[test]
fn an_incomplete_record_is_found() {
    let whole = "# Keep it\n\n## Context\n\nA.\n\n## Decision\n\nB.\n\n## Consequences\n\nC.\n";
    assert_eq!(check_record("docs/decisions/0001-keep-it.md", whole), []);
    assert_eq!(lines(&check_record("docs/decisions/keep-it.md", whole)), [1]);
    let without = whole.replace("## Consequences", "## Notes");
    assert_eq!(lines(&check_record("docs/decisions/0001-keep-it.md", &without)), [1]);
    let empty = whole.replace("B.\n", "");
    assert_eq!(lines(&check_record("docs/decisions/0001-keep-it.md", &empty)), [1]);
    let long = format!("{whole}{}", "And.\n".repeat(60));
    assert_eq!(lines(&check_record("docs/decisions/0001-keep-it.md", &long)), [61]);
}

#[test]
fn a_link_to_nowhere_is_found() {
    let exists = |path: &str| path == "src/sync.rs" || path == "README.md";
    let text = "[up](../../README.md#run) `src/sync.rs` [web](https://example.org) [here](#here)\n\
                [gone](0009-gone.md)\n`src/gone.rs` `src/{a,b}.rs` `cargo test`\n";
    assert_eq!(lines(&check_links("docs/decisions/0001-a.md", text, &exists)), [2, 3]);
}

#[test]
fn a_program_in_a_document_has_no_links() {
    let text = "```go\nfunc first[T any](what T) // `src/gone.rs`\n```\n[gone](gone.md)\n";
    assert_eq!(lines(&check_links("docs/clients.md", text, &|_| false)), [4]);
}
