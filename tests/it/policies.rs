//! Policies, limits and definitions, as clients feel them.

use crate::support::{Login, Method, RawPeer, TestBroker, method};

/// As RabbitMQ 3.10.8 wrote it.
const EXPORT: &str = include_str!("../../src/definitions/tests/rabbitmq-3.10.8.json");

fn declare(queue: &str) -> Method {
    method("queue.declare").set("queue", queue)
}

fn policy(kind: &str, name: &str, pattern: &str, definition: &str) -> String {
    format!("[[{kind}]]\nname = '{name}'\npattern = '{pattern}'\ndefinition = {{ {definition} }}\n")
}

fn login(user: &str, password: &str, vhost: &'static str) -> Login {
    Login { response: format!("\0{user}\0{password}"), vhost, ..Login::default() }
}

/// Logs in and is turned away at the virtual host.
#[track_caller]
fn is_turned_away(broker: &TestBroker, login: &Login, text: &str) {
    let mut peer = RawPeer::dial(broker);
    peer.greets();
    peer.authenticates(login);
    peer.tunes(login);
    peer.sends(0, &method("connection.open").set("vhost", login.vhost));
    peer.is_cut_off("connection.open", 530, text);
}

#[test]
fn a_length_limit_by_policy_drops_the_head_of_a_queue_that_holds_more() {
    let mut broker = TestBroker::own();
    let mut peer = RawPeer::connect(&broker);
    peer.has_durable_queue(1, "orders");
    peer.selects_confirms(1);
    for body in ["1", "2", "3"] {
        peer.publishes_persistent(1, "orders", body);
    }
    peer.is_confirmed_up_to(1, 3);

    broker.configure(&policy("policies", "limit", "^orders", "max-length = 2"));
    broker.restart();

    let mut peer = RawPeer::connect(&broker);
    // What is too much is read before it goes, see decision 0019.
    peer.waits_for(1, "orders", 2);
    peer.publishes(1, "orders", "4");
    assert_eq!(peer.drains(1, "orders"), ["3", "4"]);
}

#[test]
fn the_lower_of_the_policies_and_the_arguments_limit_holds() {
    let config = policy("policies", "limit", "", "max-length = 3")
        + &policy("operator_policies", "cap", "^capped", "max-length = 1");
    let mut peer = RawPeer::connect(&TestBroker::with_config(&config));
    for (queue, arguments, ready) in [
        ("plain", table! {}, 3),
        ("low", table! { "x-max-length" => 2 }, 2),
        ("high", table! { "x-max-length" => 4 }, 3),
        ("capped", table! { "x-max-length" => 2 }, 1),
    ] {
        peer.asks(1, &declare(queue).set("arguments", arguments), "queue.declare-ok");
        for _ in 0..5 {
            peer.publishes(1, queue, "m");
        }
        assert_eq!(peer.counts(1, queue), (ready, 0), "{queue}");
    }
}

#[test]
fn a_queue_that_refuses_by_policy_says_so_in_its_confirm() {
    let config = policy("policies", "full", "^q$", "max-length = 1, overflow = 'reject-publish'");
    let mut peer = RawPeer::connect(&TestBroker::with_config(&config));
    peer.has_queue(1, "q");
    peer.selects_confirms(1);
    peer.publishes(1, "q", "a");
    peer.is_confirmed(1, 1);
    peer.publishes(1, "q", "b");
    assert_eq!(peer.takes(1, "basic.nack").number("delivery_tag"), 2);
}

#[test]
fn messages_expire_and_are_dead_lettered_by_policy() {
    let config = policy(
        "policies",
        "expire",
        "^brief",
        "message-ttl = 1, dead-letter-exchange = '', dead-letter-routing-key = 'dead'",
    );
    let mut peer = RawPeer::connect(&TestBroker::with_config(&config));
    peer.has_queue(1, "dead");
    peer.has_queue(1, "brief");
    peer.publishes(1, "brief", "m");
    peer.waits_for(1, "dead", 1);
    assert_eq!(peer.counts(1, "brief"), (0, 0));
}

#[test]
fn an_exchange_spills_by_policy_into_its_alternate() {
    let mut config = policy("policies", "spill", "^in$", "alternate-exchange = 'spill'");
    config += "apply_to = 'exchanges'\n";
    let mut peer = RawPeer::connect(&TestBroker::with_config(&config));
    peer.has_queue(1, "spilled");
    peer.has_exchange(1, "in", "direct");
    peer.has_exchange(1, "spill", "fanout");
    peer.binds(1, "spilled", "spill", "");
    peer.publishes_to(1, "in", "nobody", "m");
    assert_eq!(peer.drains(1, "spilled"), ["m"]);
}

#[test]
fn a_virtual_host_takes_no_more_queues_than_its_limit() {
    let broker = TestBroker::with_config("vhost_settings = [{ max_queues = 1 }]");
    let mut peer = RawPeer::connect(&broker);
    peer.has_queue(1, "a");
    peer.has_queue(1, "a");
    peer.sends(1, &declare("b"));
    let text =
        "PRECONDITION_FAILED - cannot declare queue 'b': queue limit in vhost '/' (1) is reached";
    peer.is_refused(1, "queue.declare", 406, text);
}

#[test]
fn a_virtual_host_takes_no_more_exchanges_than_its_limit() {
    let broker = TestBroker::with_config("vhost_settings = [{ max_exchanges = 1 }]");
    let mut peer = RawPeer::connect(&broker);
    peer.has_exchange(1, "a", "fanout");
    peer.sends(1, &method("exchange.declare").set("exchange", "b").set("type", "fanout"));
    let text = "PRECONDITION_FAILED - cannot declare exchange 'b' in vhost '/': exchange limit of 1 is reached";
    peer.is_refused(1, "exchange.declare", 406, text);
}

#[test]
fn a_virtual_host_takes_no_more_connections_than_its_limit() {
    let broker = TestBroker::with_config("vhost_settings = [{ max_connections = 1 }]");
    let first = RawPeer::connect(&broker);
    let text = "NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit (1) is reached";
    is_turned_away(&broker, &Login::default(), text);

    first.leaves();
    RawPeer::connect(&broker).leaves();
}

#[test]
fn a_user_has_no_more_connections_and_channels_than_allowed() {
    let users = "[[users]]\nname = 'lim'\npassword = 'lim'\nmax_connections = 1\nmax_channels = 2\n\
        permissions = [{ vhost = '/', configure = '.*', write = '.*', read = '.*' }]";
    let broker = TestBroker::with_config(users);
    let login = login("lim", "lim", "/");
    let mut peer = RawPeer::connect_with(&broker, &login);
    peer.opens(1);
    let text =
        "NOT_ALLOWED - connection refused for user 'lim': user connection limit (1) is reached";
    is_turned_away(&broker, &login, text);

    peer.opens(2);
    peer.asks(2, &method("channel.close").set("code", 200), "channel.close-ok");
    peer.opens(2);
    peer.sends(3, &method("channel.open"));
    let text = "NOT_ALLOWED - number of channels opened for user 'lim' has reached the maximum allowed user limit of (2)";
    peer.is_cut_off("", 530, text);
}

#[test]
fn a_queue_that_names_no_type_has_the_default_one_and_may_be_declared_again() {
    let broker = TestBroker::with_config("default_queue_type = 'quorum'");
    let mut peer = RawPeer::connect(&broker);
    peer.has_durable_queue(1, "q");
    peer.has_durable_queue(1, "q");
    let quorum = table! { "x-queue-type" => "quorum" };
    peer.asks(1, &declare("q").on("durable").set("arguments", quorum), "queue.declare-ok");
    // What no quorum queue could be is a classic one.
    peer.asks(1, &declare("").on("exclusive"), "queue.declare-ok");

    let classic = table! { "x-queue-type" => "classic" };
    peer.sends(1, &declare("q").on("durable").set("arguments", classic));
    let text = "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': \
                received 'classic' but current is 'quorum'";
    peer.is_refused(1, "queue.declare", 406, text);
}

#[test]
fn an_export_of_rabbitmq_is_there_with_its_users_and_survives_a_crash_without_the_file() {
    let mut broker = TestBroker::with_definitions(EXPORT);
    let mut guest = RawPeer::connect_with(&broker, &login("guest", "guest", "v1"));
    guest.opens(1);
    assert!(guest.sees_queue("orders") && guest.sees_queue("orders.q") && guest.sees_queue("temp"));
    assert!(guest.sees_exchange("in") && guest.sees_exchange("gone"));
    guest.publishes_to(1, "in", "any", "m");
    guest.waits_for(1, "dead", 1);
    let mut ada = RawPeer::connect_with(&broker, &login("ada", "lovelace", "v1"));
    ada.opens(1);
    ada.sends(1, &declare("mine"));
    let text =
        "ACCESS_REFUSED - configure access to queue 'mine' in vhost 'v1' refused for user 'ada'";
    ada.is_refused(1, "queue.declare", 403, text);
    // A durable declaration is answered once the disk has all that came before it.
    guest.has_durable_queue(1, "last");

    broker.configure(
        "vhosts = ['v1']\n[[users]]\nname = 'guest'\npassword = 'guest'\n\
         permissions = [{ vhost = 'v1', configure = '.*', write = '.*', read = '.*' }]",
    );
    broker.crash();

    let mut guest = RawPeer::connect_with(&broker, &login("guest", "guest", "v1"));
    guest.opens(1);
    assert!(guest.sees_queue("orders") && !guest.sees_queue("temp"));
    guest.publishes_to(1, "in", "any", "m");
    guest.waits_for(1, "dead", 1);
    for _ in 0..6 {
        guest.asks(1, &declare("").on("exclusive"), "queue.declare-ok");
    }
    let text = "PRECONDITION_FAILED - cannot declare queue 'more': queue limit in vhost 'v1' (10) is reached";
    // Three of the export and the last one are left, which with six more are ten.
    guest.sends(1, &declare("more"));
    guest.is_refused(1, "queue.declare", 406, text);
}

#[test]
fn definitions_with_a_mistake_refuse_the_start_with_its_place() {
    let broker = TestBroker::own();
    broker.defines(r#"{"queues": [{"name": "q", "vhost": "nowhere"}]}"#);
    broker.configure("load_definitions = 'definitions.json'");
    let other = tempfile::tempdir().unwrap();
    let (status, said) = broker.fails_to_start(&other.path().join("data"), "127.0.0.1:0");
    assert!(!status.success());
    let words = "definitions.json: queues[0]: Please create virtual host \"nowhere\" prior to importing definitions.";
    assert!(said.contains(words), "{said}");

    broker.configure("load_definitions = 'missing.json'");
    let (_, said) = broker.fails_to_start(&other.path().join("data"), "127.0.0.1:0");
    assert!(said.contains("load_definitions: missing.json cannot be read"), "{said}");
}
