//! Who may do what: every operation, with just the rights it needs and without each of them.
//!
//! The letters in a name say what the user `lim` may do with it: `q-cr` may be configured and read, `x-w` written,
//! `q-0` nothing. Of the topic exchange `t-wr`, `lim` may write its own keys and read those of the news too.

use crate::support::{Field, Login, Method, Properties, RawPeer, TestBroker, method, properties};

const USERS: &str = r#"
[[users]]
name = "guest"
password = "guest"
permissions = [{ vhost = "/", configure = ".*", write = ".*", read = ".*" }]

[[users]]
name = "lim"
password = "lim"
permissions = [{ vhost = "/", configure = "^.-.*c", write = "^.-.*w", read = "^.-.*r" }]
topic_permissions = [{ vhost = "/", exchange = "t-wr", write = "^{username}\\.", read = "^(lim|news)\\." }]
"#;

/// A connection of `lim`'s, and one of guest's to whom everything is allowed.
struct Restricted {
    lim: RawPeer,
    guest: RawPeer,
}

impl Restricted {
    fn user() -> Self {
        let broker = TestBroker::with_config(USERS);
        let login = Login { response: "\0lim\0lim".to_owned(), ..Login::default() };
        let lim = RawPeer::connect_with(&broker, &login);
        Self { lim, guest: RawPeer::connect(&broker) }
    }

    /// Exchanges and queues of these names are there.
    fn with(mut self, names: &[&str]) -> Self {
        for name in names {
            if name.starts_with('q') {
                self.guest.asks(1, &queue(name), "queue.declare-ok");
            } else {
                self.guest.asks(1, &exchange(name), "exchange.declare-ok");
            }
        }
        self
    }

    /// The broker does what is asked, and answers.
    #[track_caller]
    fn may(&mut self, asked: &Method) {
        self.lim.opens(1);
        let answer = format!("{}-ok", asked.name);
        self.lim.sends(1, asked);
        let heard = self.lim.next_method(1);
        assert!(heard.name == answer || heard.name == "basic.get-empty", "{asked:?}: {heard:?}");
        self.lim.asks(1, &method("channel.close").set("code", 200), "channel.close-ok");
    }

    /// The broker refuses it for want of this access to this resource.
    #[track_caller]
    fn may_not(&mut self, asked: &Method, access: &str, resource: &str) {
        self.lim.opens(1);
        self.lim.sends(1, asked);
        self.is_refused(asked.name, access, resource);
    }

    #[track_caller]
    fn is_refused(&mut self, asked: &str, access: &str, resource: &str) {
        let text = format!(
            "ACCESS_REFUSED - {access} access to {resource} in vhost '/' refused for user 'lim'"
        );
        self.lim.is_refused(1, asked, 403, &text);
    }

    /// A publish has no answer; the one to a question behind it says that nothing was wrong.
    #[track_caller]
    fn may_publish(&mut self, exchange: &str) {
        self.publishes(exchange);
        self.lim.asks(1, &method("basic.qos"), "basic.qos-ok");
        self.lim.asks(1, &method("channel.close").set("code", 200), "channel.close-ok");
    }

    #[track_caller]
    fn may_not_publish(&mut self, exchange: &str, resource: &str) {
        self.publishes(exchange);
        self.is_refused("basic.publish", "write", resource);
    }

    fn publishes(&mut self, exchange: &str) {
        self.lim.opens(1);
        self.sends(&method("basic.publish").set("exchange", exchange), &properties());
    }

    fn sends(&mut self, publish: &Method, properties: &Properties) {
        self.lim.sends_content(1, publish, properties, b"");
    }

    /// The broker refuses to publish with this key of `t-wr`.
    #[track_caller]
    fn may_not_write(&mut self, key: &str) {
        self.is_refused("basic.publish", "write", &format!("topic '{key}' in exchange 't-wr'"));
    }
}

fn keyed(asked: Method, key: &str) -> Method {
    asked.set("routing_key", key)
}

fn to_topic(key: &str) -> Method {
    keyed(method("basic.publish").set("exchange", "t-wr"), key)
}

fn queue(name: &str) -> Method {
    method("queue.declare").set("queue", name)
}

fn exchange(name: &str) -> Method {
    method("exchange.declare").set("exchange", name).set("type", "topic")
}

/// Any method about a queue.
fn about(name: &str, queue: &str) -> Method {
    method(name).set("queue", queue)
}

fn queue_and_exchange(name: &str, queue: &str, exchange: &str) -> Method {
    method(name).set("queue", queue).set("exchange", exchange)
}

fn from_to(name: &str, source: &str, destination: &str) -> Method {
    method(name).set("source", source).set("destination", destination)
}

#[test]
fn declaring_and_deleting_need_configure() {
    let mut user = Restricted::user().with(&["q-wr", "x-wr"]);
    user.may(&queue("q-c"));
    user.may(&queue("q-c"));
    user.may_not(&queue("q-wr"), "configure", "queue 'q-wr'");
    user.may(&about("queue.delete", "q-c"));
    user.may_not(&about("queue.delete", "q-wr"), "configure", "queue 'q-wr'");

    user.may(&exchange("x-c"));
    user.may(&exchange("x-c"));
    user.may_not(&exchange("x-wr"), "configure", "exchange 'x-wr'");
    user.may(&method("exchange.delete").set("exchange", "x-c"));
    let delete = method("exchange.delete").set("exchange", "x-wr");
    user.may_not(&delete, "configure", "exchange 'x-wr'");
}

#[test]
fn a_queue_that_dead_letters_needs_read_itself_and_write_on_the_exchange() {
    let mut user = Restricted::user();
    let declare = |name: &str, exchange: &str| {
        queue(name).set("arguments", table! { "x-dead-letter-exchange" => exchange })
    };
    user.may(&declare("q-cr", "x-w"));
    user.may_not(&declare("q-cw", "x-w"), "read", "queue 'q-cw'");
    user.may_not(&declare("q-cr1", "x-cr"), "write", "exchange 'x-cr'");
}

#[test]
fn an_exchange_with_an_alternate_needs_read_itself_and_write_on_the_alternate() {
    let mut user = Restricted::user();
    let declare = |name: &str, alternate: &str| {
        exchange(name).set("arguments", table! { "alternate-exchange" => alternate })
    };
    user.may(&declare("x-cr", "x-w"));
    user.may_not(&declare("x-cw", "x-w"), "read", "exchange 'x-cw'");
    user.may_not(&declare("x-cr1", "x-c"), "write", "exchange 'x-c'");
}

#[test]
fn binding_and_unbinding_a_queue_need_write_on_it_and_read_on_the_exchange() {
    let mut user = Restricted::user().with(&["q-w", "q-cr", "x-r", "x-cw"]);
    for verb in ["queue.bind", "queue.unbind"] {
        user.may(&queue_and_exchange(verb, "q-w", "x-r"));
        user.may_not(&queue_and_exchange(verb, "q-cr", "x-r"), "write", "queue 'q-cr'");
        user.may_not(&queue_and_exchange(verb, "q-w", "x-cw"), "read", "exchange 'x-cw'");
    }
}

#[test]
fn binding_and_unbinding_an_exchange_need_write_on_it_and_read_on_the_source() {
    let mut user = Restricted::user().with(&["x-w", "x-r", "x-cr", "x-cw"]);
    for verb in ["exchange.bind", "exchange.unbind"] {
        user.may(&from_to(verb, "x-r", "x-w"));
        user.may_not(&from_to(verb, "x-r", "x-cr"), "write", "exchange 'x-cr'");
        user.may_not(&from_to(verb, "x-cw", "x-w"), "read", "exchange 'x-cw'");
    }
}

#[test]
fn publishing_needs_write_on_the_exchange() {
    let mut user = Restricted::user().with(&["x-w", "x-cr"]);
    user.may_publish("x-w");
    user.may_not_publish("x-cr", "exchange 'x-cr'");
}

#[test]
fn the_default_exchange_goes_by_the_name_amq_default() {
    let mut user = Restricted::user().with(&["q-w"]);
    user.may_not_publish("", "exchange 'amq.default'");
}

#[test]
fn getting_consuming_and_purging_need_read() {
    let mut user = Restricted::user().with(&["q-r", "q-cw"]);
    for verb in ["basic.get", "basic.consume", "queue.purge"] {
        user.may(&about(verb, "q-r"));
        user.may_not(&about(verb, "q-cw"), "read", "queue 'q-cw'");
    }
}

#[test]
fn a_passive_declare_needs_any_of_the_three() {
    let mut user =
        Restricted::user().with(&["q-c", "q-w", "q-r", "q-0", "x-c", "x-w", "x-r", "x-0"]);
    for right in ["c", "w", "r"] {
        user.may(&queue(&format!("q-{right}")).on("passive"));
        user.may(&exchange(&format!("x-{right}")).on("passive"));
    }
    user.may_not(&queue("q-0").on("passive"), "configure", "queue 'q-0'");
    user.may_not(&exchange("x-0").on("passive"), "configure", "exchange 'x-0'");
}

/// A user who is refused must not learn what is there.
#[test]
fn a_refusal_says_the_same_whether_or_not_the_thing_exists() {
    let mut user = Restricted::user().with(&["q-0", "x-0"]);
    for name in ["q-0", "q-00"] {
        let resource = format!("queue '{name}'");
        user.may_not(&queue(name), "configure", &resource);
        user.may_not(&queue(name).on("passive"), "configure", &resource);
        user.may_not(&about("basic.get", name), "read", &resource);
        user.may_not(&about("basic.consume", name), "read", &resource);
        user.may_not(&about("queue.delete", name), "configure", &resource);
    }
    for name in ["x-0", "x-00"] {
        user.may_not_publish(name, &format!("exchange '{name}'"));
    }
}

#[test]
fn a_name_the_server_makes_up_needs_configure_too() {
    let mut user = Restricted::user();
    user.lim.opens(1);
    user.lim.sends(1, &queue(""));
    let close = user.lim.takes(1, "channel.close");
    let text = close.text("text");
    assert!(text.starts_with("ACCESS_REFUSED - configure access to queue 'amq.gen-"), "{text}");
}

#[test]
fn a_virtual_host_without_rights_is_closed() {
    let broker = TestBroker::with_config(&format!("vhosts = [\"/\", \"other\"]\n{USERS}"));
    let login = Login { response: "\0lim\0lim".to_owned(), vhost: "other", ..Login::default() };
    let mut peer = RawPeer::dial(&broker);
    peer.greets();
    peer.authenticates(&login);
    peer.tunes(&login);
    peer.enters("other");
    let text = "NOT_ALLOWED - access to vhost 'other' refused for user 'lim'";
    peer.is_cut_off("connection.open", 530, text);
}

/// Direct reply-to: consuming the pseudo-queue needs nothing, answering needs what every publish needs.
#[test]
fn answers_need_write_on_the_default_exchange() {
    let mut user = Restricted::user();
    user.may(&about("basic.consume", "amq.rabbitmq.reply-to").on("no_ack"));
    user.lim.opens(1);
    let publish = method("basic.publish").set("routing_key", "amq.rabbitmq.reply-to.x");
    user.lim.sends_content(1, &publish, &properties(), b"");
    user.is_refused("basic.publish", "write", "exchange 'amq.default'");
}

#[test]
fn publish_to_a_topic_exchange_needs_write_on_the_routing_key() {
    let mut user = Restricted::user().with(&["t-wr"]);
    for key in ["news.1", "", "bob.1", "{username}.1"] {
        user.lim.opens(1);
        user.sends(&to_topic("lim.1"), &properties());
        user.sends(&to_topic(key), &properties());
        user.may_not_write(key);
    }
}

/// The second publish with a key goes where the first one went, without questions.
#[test]
fn a_key_that_was_let_through_lets_no_other_through() {
    let mut user = Restricted::user().with(&["t-wr"]);
    user.lim.opens(1);
    for _ in 0..3 {
        user.sends(&to_topic("lim.1"), &properties());
    }
    user.lim.asks(1, &method("basic.qos"), "basic.qos-ok");
    user.sends(&to_topic("bob.1"), &properties());
    user.may_not_write("bob.1");
}

#[test]
fn a_route_of_a_direct_exchange_says_nothing_about_the_topic_exchange_in_its_place() {
    let mut user = Restricted::user();
    let direct = exchange("t-wr").set("type", "direct");
    user.guest.asks(1, &direct, "exchange.declare-ok");
    user.lim.opens(1);
    user.sends(&to_topic("bob.1"), &properties());
    user.lim.asks(1, &method("basic.qos"), "basic.qos-ok");

    let delete = method("exchange.delete").set("exchange", "t-wr");
    user.guest.asks(1, &delete, "exchange.delete-ok");
    user.guest.asks(1, &exchange("t-wr"), "exchange.declare-ok");
    user.sends(&to_topic("bob.1"), &properties());

    user.may_not_write("bob.1");
}

#[test]
fn further_keys_in_headers_need_write_too() {
    let mut user = Restricted::user().with(&["t-wr"]);
    for header in ["CC", "BCC"] {
        let keys = |last: &str| Field::Array(vec!["lim.2".into(), last.into()]);
        user.lim.opens(1);
        user.sends(&to_topic("lim.1"), &properties().headers(&table! { header => keys("lim.3") }));
        user.lim.asks(1, &method("basic.qos"), "basic.qos-ok");
        user.sends(&to_topic("lim.1"), &properties().headers(&table! { header => keys("bob.1") }));
        user.may_not_write("bob.1");
    }
}

#[test]
fn bind_and_unbind_from_a_topic_exchange_need_read_on_the_binding_key() {
    let mut user = Restricted::user().with(&["q-w", "t-wr", "x-w"]);
    let between = |name: &str| method(name).set("destination", "x-w").set("source", "t-wr");
    for asked in [
        queue_and_exchange("queue.bind", "q-w", "t-wr"),
        between("exchange.bind"),
        queue_and_exchange("queue.unbind", "q-w", "t-wr"),
        between("exchange.unbind"),
    ] {
        user.may(&keyed(asked.clone(), "news.#"));
        user.may_not(&keyed(asked, "#"), "read", "topic '#' in exchange 't-wr'");
    }
}

#[test]
fn every_key_of_an_exchange_without_a_topic_permission_is_allowed() {
    let mut user = Restricted::user().with(&["q-w", "x-wr"]);
    user.may(&keyed(queue_and_exchange("queue.bind", "q-w", "x-wr"), "#"));
    user.may_publish("x-wr");
}

/// Who may bind to it from elsewhere may send anything its way.
#[test]
fn what_comes_from_another_exchange_needs_no_topic_permission() {
    let mut user = Restricted::user().with(&["t-wr", "x-wr"]);
    let between = method("exchange.bind").set("destination", "t-wr").set("source", "x-wr");
    user.may(&keyed(between, "#"));
    user.may_publish("x-wr");
}

#[test]
fn topic_permissions_of_definitions_are_in_force() {
    let users = r#"{"vhosts": [{"name": "/"}],
        "users": [{"name": "lim", "password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"}],
        "permissions": [{"user": "lim", "vhost": "/", "configure": "", "write": ".*", "read": ""}],
        "topic_permissions": [
            {"user": "lim", "vhost": "/", "exchange": "amq.topic", "write": "^{username}$", "read": ""}]}"#;
    let broker = TestBroker::with_definitions(users);
    let login = Login { response: "\0lim\0test12".to_owned(), ..Login::default() };
    let mut lim = RawPeer::connect_with(&broker, &login);
    lim.opens(1);
    let publish = method("basic.publish").set("exchange", "amq.topic");
    lim.sends_content(1, &keyed(publish.clone(), "lim"), &properties(), b"");
    lim.asks(1, &method("basic.qos"), "basic.qos-ok");
    lim.sends_content(1, &keyed(publish, "bob"), &properties(), b"");
    let text = "ACCESS_REFUSED - write access to topic 'bob' in exchange 'amq.topic' in vhost '/' \
                refused for user 'lim'";
    lim.is_refused(1, "basic.publish", 403, text);
}
